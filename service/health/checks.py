"""Checks of this machine: each looks at one component, measures it, and says what to do about what it finds."""

import ctypes
import os
import shutil
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import psutil

from flows.bridge import bridge_of
from flows.models import read_model_file
from flows.settings.root import Settings
from kernels.aggregate import Layout
from kernels.backend import BACKENDS, get_backend
from kernels.errors import ConfigError
from kernels.scorer import Scorer
from operators.model_probe import Probe
from service.health.component import Component
from service.observe.metrics import memory_limit_bytes
from service.recovery.store import Store, directory_of

__all__ = [
    "check_clock",
    "check_disk",
    "check_gpu",
    "check_kernels",
    "check_memory",
    "check_models",
    "check_recovery",
]

_ROWS = 65_536
_GIB = 2**30
_LEAST_FREE_BYTES, _LEAST_FREE = _GIB, 0.1  # below the first nothing should be written, below the second soon
_BUILT_S = 1_735_689_600.0  # 2025-01-01: a clock before that was never set
_TIME_ERROR = 5


def check_kernels(settings: Settings) -> Component:
    """Run the kernels of a batch on the configured backend."""
    layout = Layout(settings.metrics_used, *((True,) * len(settings.metrics_used),) * 2)
    backend, grid = bridge_of(settings, layout), settings.world.to_grid()
    rng = np.random.default_rng(1)
    low, high = np.array(settings.world.min_m), np.array(settings.world.max_m)
    x, y, z = (low + rng.random((_ROWS, 3)) * (high - low)).astype(np.float32).T.copy()
    values = [np.full(_ROWS, (m.low + m.high) / 2, np.float32) for m in layout.metrics]
    start_s = time.perf_counter()
    ints, _ = backend.reduce(backend.cells(grid, x, y, z), grid.size, values, layout)
    rate = _ROWS / (time.perf_counter() - start_s) / 1e6
    if int(ints[0].sum()) != _ROWS:
        return Component("kernels", "failed", detail=f"{int(ints[0].sum())} of {_ROWS} events were counted")
    return Component(
        "kernels", "healthy", detail=f"{backend.name} ({backend.provider})",
        capabilities=tuple(b for b in BACKENDS if b != "onnx-cuda" or _cuda()),
        performance={"million_events_per_s": round(rate, 1)},
    )  # fmt: skip


def check_gpu(settings: Settings) -> Component:
    """Look for the GPU, if one is asked for."""
    wanted = settings.kernels.backend == "onnx-cuda"
    if _cuda():
        backend = get_backend("onnx-cuda")
        return Component("gpu", "healthy", detail=backend.provider, capabilities=("onnx-cuda",))
    if not wanted:
        return Component("gpu", "healthy", detail="none, and none is asked for: kernels.backend")
    todo = "Set kernels.backend to onnx-cpu or numpy, or give the machine its GPU and the CUDA 13 libraries"
    return Component(
        "gpu", "failed", detail="kernels.backend is onnx-cuda, and there is no CUDA GPU", todo=todo
    )


def check_models(settings: Settings) -> Component:
    """Load every configured model, and score a batch with it."""
    speeds, broken = {}, []
    for name in settings.models:
        try:
            data = read_model_file(settings, name)
            Probe({name: data}).wait()
            scorer = Scorer.load(data, backend="onnx-cpu")
        except ConfigError as error:
            broken.append(str(error))
            continue
        features = np.zeros((_ROWS // 8, len(scorer.features)), np.float32)
        start_s = time.perf_counter()
        scorer.score(features)
        speeds[f"{name}_million_rows_per_s"] = round(len(features) / (time.perf_counter() - start_s) / 1e6, 2)
    if broken:
        todo = "Put the files back that the hashes are of, or take the stages out"
        return Component("models", "failed", detail="; ".join(broken), todo=todo, performance=speeds)
    roles = tuple(f"{model.role}: {name}" for name, model in settings.models.items())
    return Component(
        "models", "healthy", detail="" if roles else "none configured", capabilities=roles, performance=speeds
    )


def check_disk(settings: Settings) -> Component:
    """Look at the room where results go, and write there."""
    folder = _existing(settings.sink.directory)
    usage = shutil.disk_usage(folder)
    measured = {"free_bytes": float(usage.free), "sync_write_s": _sync_s(folder)}
    share, where = usage.free / usage.total, f"{usage.free / _GIB:.1f} GiB free in {folder}"
    if usage.free < _LEAST_FREE_BYTES:
        return Component(
            "disk", "failed", detail=where, todo="Make room, or move sink.directory", performance=measured
        )
    if share < _LEAST_FREE:
        todo = f"Make room soon: {share:.0%} is left"
        return Component("disk", "degraded", detail=where, todo=todo, performance=measured)
    return Component("disk", "healthy", detail=where, performance=measured)


def check_memory(settings: Settings) -> Component:
    """Hold what is free against what the configuration means to use, and what this process uses against its limit."""
    free, limit = psutil.virtual_memory().available, memory_limit_bytes(settings.limits.memory_gib)
    used, wanted = psutil.Process().memory_info().rss, settings.resources.memory_gib * _GIB
    measured = {"available_bytes": float(free), "used_bytes": float(used), "limit_bytes": float(limit)}
    if used > settings.monitoring.alert_at * limit:
        detail = f"{used / limit:.0%} of the limit of {limit / _GIB:.1f} GiB is used"
        return Component(
            "memory", "failed", detail=detail, todo="Give it more, or fewer agents", performance=measured
        )
    if free + used < min(wanted, limit):
        detail = f"{free / _GIB:.1f} GiB are free, resources.memory_gib is {settings.resources.memory_gib:g}"
        todo = "Free memory, or set resources.memory_gib to what there is"
        return Component("memory", "degraded", detail=detail, todo=todo, performance=measured)
    return Component("memory", "healthy", detail=f"{free / _GIB:.1f} GiB free", performance=measured)


def check_recovery(settings: Settings) -> Component:
    """Look at the recovery store: whether it is there, private, whole, and how fast it takes a snapshot."""
    if settings.recovery.directory is None:
        return Component("recovery store", "healthy", detail="none configured: a run that dies begins anew")
    directory = directory_of(settings)
    measured = {"sync_write_s": _sync_s(_existing(directory))}
    if not directory.exists():
        return Component(
            "recovery store", "healthy", detail=f"{directory} is made by the first run", performance=measured
        )
    if (mode := directory.stat().st_mode & 0o777) & 0o077:
        detail, todo = f"{directory} has mode {mode:o}, expected 700", f"chmod 700 {directory}"
        return Component("recovery store", "failed", detail=detail, todo=todo)
    detail = "no run is to be gone on with"
    if (directory / "store").exists():
        detail = f"a run is to be gone on with, from epoch {Store.attach(settings).resumed_at}"
    return Component("recovery store", "healthy", detail=detail, performance=measured)


def check_clock(
    now: Callable[[], float] = time.time, synchronised: Callable[[], bool | None] | None = None
) -> Component:
    """Look at the clock: event time does not depend on it, the guard against the future and the lag do."""
    known = (synchronised or _synchronised)()
    if now() < _BUILT_S:
        detail = f"it says {time.strftime('%Y-%m-%d', time.gmtime(now()))}"
        return Component("clock", "failed", detail=detail, todo="Set it, and run an NTP client")
    said = {
        True: "kept by NTP",
        False: "the kernel does not know of an NTP client",
        None: "not known who keeps it",
    }
    return Component("clock", "healthy", detail=said[known])


def _synchronised() -> bool | None:
    """Return whether the kernel takes its clock for synchronised; None where it does not say."""
    try:
        buffer = ctypes.create_string_buffer(512)  # more than a struct timex; all zero: only reads
        return int(ctypes.CDLL(None).adjtimex(buffer)) != _TIME_ERROR
    except (AttributeError, OSError):
        return None


def _cuda() -> bool:
    return "CUDAExecutionProvider" in onnxruntime.get_available_providers() and Path("/dev/nvidia0").exists()


def _existing(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that there is."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir())


def _sync_s(folder: Path) -> float:
    """Return the seconds until 64 KiB are on disk.

    Raises
    ------
    ConfigError
        The folder cannot be written.
    """
    path, start_s = folder / f".aura-{uuid.uuid4().hex}", time.perf_counter()
    try:
        with path.open("wb") as file:
            file.write(bytes(65_536))
            file.flush()
            os.fsync(file.fileno())
        return round(time.perf_counter() - start_s, 5)
    except OSError as error:
        raise ConfigError(
            f"{folder} cannot be written: {error.strerror}", "Make it writable, with room on its disk"
        ) from None
    finally:
        path.unlink(missing_ok=True)
