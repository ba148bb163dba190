"""What topics tell of a flow that runs elsewhere, beside its results: how fast, how late, how well, and what was decided."""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from contextlib import suppress

from pydantic import ValidationError

from dashboard.health import Decided, Report, Said
from dashboard.throughput import Throughput
from kernels.errors import AuraError
from operators.batch import FATES, Tally
from operators.cells import Cells
from operators.committed_reader import Seen, Word
from operators.decisions import decode, kind_of
from operators.withdrawn import Withdrawn

__all__ = ["Elsewhere"]

_DECISIONS = 5
_LEVELS = {"none": 0, "minor": 1, "major": 2, "critical": 3, "emergency": 4}


class Elsewhere:
    """The words of a flow, and what its records tell by when they were written.

    Parameters
    ----------
    windows
        By name, in how many windows of it an event is; the first of those in the fewest is counted.
    """

    def __init__(self, windows: Mapping[str, float]) -> None:
        window = min(windows, key=lambda name: windows[name], default="")
        self.throughput = Throughput(window, windows.get(window, 1.0))
        self.reports: dict[str, Report] = {}
        self.decisions: deque[Decided] = deque(maxlen=_DECISIONS)

    def take(self, seen: Sequence[Seen]) -> None:
        """Take in what a poll brought; a word that is none is left out."""
        counted: Counter[tuple[int, int]] = Counter()
        at_s: dict[tuple[int, int], float] = {}
        for output, written_s in seen:
            if isinstance(output, Word):
                self._hear(output, written_s)
            elif isinstance(output, Cells) and len(output) and output.windows[0] == self.throughput.window:
                about = int(output.columns["start_us"][0]), output.shard
                counted[about] += int(output.columns["count"].sum())
                at_s[about] = written_s
            elif isinstance(output, Withdrawn) and output.window == self.throughput.window:
                counted[output.start_us, output.shard] = 0
                at_s[output.start_us, output.shard] = written_s
        for (start_us, shard), count in counted.items():
            self.throughput.add(start_us, shard, count, at_s[start_us, shard])

    def values(self, now_s: float) -> dict[str, float | None]:
        """Return the values of the curves that it knows; of those that nobody has told lately, None."""
        fresh = [report.said for report in self.reports.values() if not report.is_silent(now_s)]
        latencies = [said.latency_s for said in fresh if said.latency_s]
        levels = [
            _LEVELS[said.level] for said in fresh if said.decisions is not None and said.level in _LEVELS
        ]
        newest = [said.newest_us for said in fresh if said.newest_us is not None]
        least = [said.watermark_us for said in fresh if said.watermark_us is not None]
        return {
            "events_per_s": self.throughput.per_s(now_s),
            "latency_ms": round(max(latencies) * 1e3, 1) if latencies else None,
            "lag_ms": (max(newest) - min(least)) / 1e3 if newest and least else None,
            "level": max(levels, default=None),
        }

    def account(self) -> Tally | None:
        """Return the account of all processes as they said it last; None if none has said one."""
        told = [said.account for report in self.reports.values() if (said := report.said).account is not None]
        if not told:
            return None
        names = ("events_in", *FATES)
        return Tally(**{name: sum(each.get(name, 0) for each in told if each) for name in names})

    def watermark_us(self) -> int | None:
        """Return the least watermark that was told."""
        told = [report.said.watermark_us for report in self.reports.values()]
        return min((each for each in told if each is not None), default=None)

    def _hear(self, word: Word, at_s: float) -> None:
        with suppress(ValidationError, AuraError):
            if word.kind == "control":
                decision = decode(word.value)
                self.decisions.append(Decided(kind=kind_of(decision), **decision._asdict()))
            else:
                self.reports[word.key or "flow"] = Report(Said.model_validate_json(word.value), at_s)
