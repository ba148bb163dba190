"""The account of the bridge: how often each kernel was asked of each backend, how that ended, and how long it took.

aura_bridge_calls_total        calls        by kernel, backend, outcome
aura_bridge_duration_seconds   durations    by kernel, backend; of the calls that were done
"""

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field

__all__ = ["BOUNDS_S", "DONE", "FAILED", "Calls", "Durations"]

DONE, FAILED = "done", "failed"
"""Outcomes of a call; what failed was done again elsewhere, or raised where the input was at fault."""
BOUNDS_S = (1e-5, 1e-4, 5e-4, 1e-3, 5e-3, 1e-2, 5e-2, 0.1, 0.5, 1.0)
"""Upper bounds of the classes of durations; 0.1 s is what the alert on slow calls asks for."""


@dataclass(slots=True)
class Durations:
    """A histogram.

    Attributes
    ----------
    counts
        Calls in each class: up to each of BOUNDS_S, and above the last.
    total_s
        Their sum.
    """

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_S) + 1))
    total_s: float = 0.0

    def add(self, seconds: float) -> None:
        """Count a call."""
        self.counts[bisect_left(BOUNDS_S, seconds)] += 1
        self.total_s += seconds


@dataclass(slots=True)
class Calls:
    """What was asked, and what came of it.

    Attributes
    ----------
    calls
        By (kernel, backend, outcome).
    durations
        By (kernel, backend).
    providers
        How often a provider was asked for and which was got, by (asked, got).

    Examples
    --------
    >>> calls = Calls()
    >>> calls.add("cells", "numpy", DONE, 0.002)
    >>> calls.add("cells", "onnx-cuda", FAILED, 1.0)
    >>> calls.calls["cells", "numpy", DONE], calls.durations["cells", "numpy"].counts.index(1), calls.failed
    (1, 4, 1)
    """

    calls: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    durations: dict[tuple[str, str], Durations] = field(default_factory=dict)
    providers: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, kernel: str, backend: str, outcome: str, seconds: float) -> None:
        """Count a call."""
        self.calls[kernel, backend, outcome] += 1
        if outcome == DONE:
            if (kernel, backend) not in self.durations:
                self.durations[kernel, backend] = Durations()
            self.durations[kernel, backend].add(seconds)

    @property
    def failed(self) -> int:
        """Calls that failed, over all kernels and backends."""
        return sum(count for (_, _, outcome), count in self.calls.items() if outcome == FAILED)
