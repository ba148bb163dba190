"""Which backends a kernel goes to: what the configuration names, or what a measurement at the start finds fastest."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from kernels.backend import BACKENDS, KERNELS, Backend, Kernel, get_backend
from kernels.errors import AuraError, ConfigError
from kernels.onnx_session import PROVIDERS
from operators.bridge import Bridge
from operators.bridge_calls import Calls

__all__ = ["AUTO", "MEASURED", "Samples", "open_bridge"]

AUTO = "auto"
"""The name that asks for a measurement."""
MEASURED: tuple[Kernel, ...] = ("cells", "ranks", "shard_of", "quantise", "reduce", "consensus", "features")
"""What a measurement may choose for: kernels with the same bits from every backend."""
# What `auto` takes for the others, whose last bits must not depend on who was faster today: what most CPUs are faster with.
_NOT_MEASURED: Mapping[Kernel, str] = {"predict": "onnx-cpu", "tensor": "onnx-cpu", "field": "numpy"}

_AFTER = {
    "onnx-cuda": ("onnx-cuda", "onnx-cpu", "numpy"),
    "onnx-cpu": ("onnx-cpu", "numpy"),
    "numpy": ("numpy",),
}
_RUNS = 3
_log = logging.getLogger(__name__)

Samples = Mapping[Kernel, Callable[[Backend], object]]
"""For each kernel a typical call."""


def open_bridge(backend: str, per_kernel: Mapping[Kernel, str], samples: Callable[[], Samples]) -> Bridge:
    """Open what is asked for, warm it up, and return the bridge to it.

    Parameters
    ----------
    backend
        A name in `kernels.backend.BACKENDS`, or `auto`.
    per_kernel
        Names for single kernels, before `backend`.
    samples
        Makes typical calls: what is measured, and what sessions are warmed up with.
    """
    calls = Calls()
    asked = dict.fromkeys(KERNELS, backend) | dict(per_kernel)
    names = {name for each in asked.values() for name in (BACKENDS if each == AUTO else _AFTER[each])}
    opened = _opened(names, set(asked.values()), calls)
    if opened.keys() == {"numpy"} and AUTO not in asked.values():  # nothing to measure or to warm up
        return Bridge(backend, dict.fromkeys(KERNELS, tuple(opened.values())), calls)
    chosen, report, typical = dict(asked), "", samples()
    if AUTO in asked.values():
        timed = _measured(opened, typical, [kernel for kernel in MEASURED if asked[kernel] == AUTO])
        chosen |= {kernel: name for kernel, name in _NOT_MEASURED.items() if asked[kernel] == AUTO}
        chosen |= {kernel: min(times, key=times.__getitem__) for kernel, times in timed.items()}
        report = _report(timed, chosen)
    paths = {
        kernel: [opened[each] for each in _AFTER[name] if each in opened] for kernel, name in chosen.items()
    }
    bridge = Bridge(backend, paths, calls, report=report)
    _warm_up(bridge, paths, typical)
    return bridge


def _opened(names: Iterable[str], asked: set[str], calls: Calls) -> dict[str, Backend]:
    """Open backends by name, the best first; one that cannot be had is left out, and missed where it was asked for."""
    opened: dict[str, Backend] = {}
    for name in sorted(names, key=tuple(_AFTER).index):
        try:
            opened[name] = get_backend(name)
        except ConfigError as error:
            if name in asked:
                _log.warning("backend %s is not to be had, the next one takes its place: %s", name, error)
    for name in sorted(asked & PROVIDERS.keys()):
        got = next(opened[each].provider for each in _AFTER[name] if each in opened)
        calls.providers[PROVIDERS[name][0], got] += 1
    return opened


def _measured(
    opened: Mapping[str, Backend], samples: Samples, kernels: Sequence[Kernel]
) -> dict[Kernel, dict[str, float]]:
    """Return the seconds of each sample on each backend that does it, the least of a few runs."""
    found: dict[Kernel, dict[str, float]] = {}
    for kernel in kernels:
        found[kernel] = {}
        for name, backend in opened.items():
            try:
                samples[kernel](backend)
            except AuraError as error:
                _log.warning("backend %s is not measured in %s: %s", name, kernel, error)
                continue
            found[kernel][name] = min(_seconds(samples[kernel], backend) for _ in range(_RUNS))
    return found


def _seconds(sample: Callable[[Backend], object], backend: Backend) -> float:
    start = time.perf_counter()
    sample(backend)
    return time.perf_counter() - start


def _report(timed: Mapping[Kernel, Mapping[str, float]], chosen: Mapping[Kernel, str]) -> str:
    lines = [
        f"{kernel} {chosen[kernel]} ({', '.join(f'{name} {s * 1e3:.2f} ms' for name, s in times.items())})"
        for kernel, times in timed.items()
    ]
    return "; ".join(lines)


def _warm_up(bridge: Bridge, paths: Mapping[Kernel, Sequence[Backend]], samples: Samples) -> None:
    """Make the sessions of the kernels, and load what a device loads with its first call, before the first batch."""
    for kernel, sample in samples.items():
        if paths[kernel][0].name in PROVIDERS:
            sample(bridge)
