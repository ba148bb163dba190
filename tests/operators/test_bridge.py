"""The bridge's rules over backends that fail as told, and how paths are chosen."""

import logging
from itertools import count
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lost_device import Fault, lost_device

from kernels.backend import KERNELS, get_backend
from kernels.deposits import gather
from kernels.diffusion import Diffusion
from kernels.errors import ConfigError, KernelFailed
from kernels.fields import LAYERS, FieldConfig, Fields
from kernels.lattice import Lattice
from kernels.onnx_backend import OnnxBackend
from kernels.onnx_model import read_model
from kernels.potential import Screening
from kernels.tensor import compute
from models.classifier import VALUES, classifier
from operators import bridge_paths
from operators.bridge import Bridge, Switch
from operators.bridge_calls import DONE, FAILED, Calls
from operators.bridge_paths import open_bridge

ONE, OTHER = np.ones((2, 2), np.float32), np.full((2, 2), 2, np.float32)


def _bridge(monkeypatch: pytest.MonkeyPatch, **faults: Fault) -> Bridge:
    """A bridge over all three backends, of which those named fail as told, in calls of `tensor`."""
    for fault in faults.values():
        fault.at += 1
    with lost_device(monkeypatch, **faults):
        path = [OnnxBackend("onnx-cuda"), OnnxBackend("onnx-cpu"), get_backend("numpy")]
        for backend in path[:2]:
            backend.tensor("add", ONE, OTHER)  # opens the session: the one more
    ticks = count()
    return Bridge("onnx-cuda", dict.fromkeys(KERNELS, path), Calls(), clock=lambda: next(ticks) / 1000)


@given(st.integers(0, 6), st.integers(0, 6))
def test_any_losses_lose_no_call(cuda_at: int, cpu_at: int) -> None:
    """Whenever each device is lost, every call has its result, and each lost device failed exactly once."""
    with pytest.MonkeyPatch.context() as patch:
        bridge = _bridge(patch, onnx_cuda=Fault(cuda_at), onnx_cpu=Fault(cpu_at))
        results = [bridge.tensor("add", ONE * i, OTHER) for i in range(5)]
    assert [found.tolist() for found in results] == [
        compute("add", ONE * i, OTHER).tolist() for i in range(5)
    ]
    calls = bridge.calls.calls
    assert sum(n for (_, _, outcome), n in calls.items() if outcome == DONE) == 5
    assert bridge.calls.failed == len(bridge.lost)
    assert all(calls["tensor", name, FAILED] == 1 for name in bridge.lost)


def test_a_switch_is_counted_timed_logged_and_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One lost device is one failed call, one switch for the listeners, and one warning that names both backends."""
    bridge, told = _bridge(monkeypatch, onnx_cuda=Fault(1)), list[Switch]()
    bridge.listeners.append(told.append)
    with caplog.at_level(logging.WARNING):
        for _ in range(4):
            bridge.tensor("add", ONE, OTHER)
    assert [(each.kernel, each.lost, each.used) for each in told] == [("tensor", "onnx-cuda", "onnx-cpu")]
    assert dict(bridge.calls.calls) == {
        ("tensor", "onnx-cuda", DONE): 1,
        ("tensor", "onnx-cuda", FAILED): 1,
        ("tensor", "onnx-cpu", DONE): 3,
    }
    durations = bridge.calls.durations["tensor", "onnx-cpu"]
    assert (sum(durations.counts), durations.total_s) == (3, pytest.approx(0.003))
    assert [record.message for record in caplog.records if "takes the place" in record.message] == [
        f"onnx-cpu takes the place of backend onnx-cuda: {told[0].cause}"
    ]


def test_an_abandoned_backend_is_asked_again_once_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    """`restore` brings a device back for all kernels, and it may be lost again."""
    fault = Fault(0)
    bridge = _bridge(monkeypatch, onnx_cuda=fault)
    bridge.tensor("add", ONE, OTHER)
    assert bridge.provider == "CPUExecutionProvider"
    fault.at = fault.runs + 1
    bridge.restore("onnx-cuda")
    for _ in range(2):
        bridge.tensor("add", ONE, OTHER)
    assert bridge.calls.calls["tensor", "onnx-cuda", DONE] == 1
    assert bridge.lost.keys() == {"onnx-cuda"}


def test_a_call_that_fails_everywhere_abandons_nobody() -> None:
    """What no backend can do is the input's fault: its error is raised, and the backends stay."""

    class Refusing:
        name = provider = "refusing"

        def predict(self, model: Any, features: Any) -> Any:
            raise KernelFailed("no such shape")

    class Last(Refusing):
        name = "last"

        def predict(self, model: Any, features: Any) -> Any:
            raise ConfigError("no such operator")

    bridge: Any = Bridge("refusing", dict.fromkeys(KERNELS, (Refusing(), Last())), Calls())  # type: ignore[list-item]
    with pytest.raises(KernelFailed, match="no such shape"):
        bridge.predict(None, None)
    assert bridge.lost == {}
    assert bridge.calls.failed == 2


def test_bad_input_is_no_failure_of_a_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    """An operation that there is not is an error at once, and counts for no backend."""
    bridge = _bridge(monkeypatch)
    with pytest.raises(Exception, match="'sub', expected one of add, mul, matmul"):
        bridge.tensor("sub", ONE, OTHER)
    assert bridge.calls.failed == 0
    assert bridge.lost == {}


def test_chained_kernels_are_done_again_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that is lost between two kernels of a chain, with the array that was on it, costs nothing but time."""
    model = read_model(classifier())
    columns = list(np.random.default_rng(0).normal(0, 0.3, (VALUES, 10)).astype(np.float32))
    with lost_device(monkeypatch, onnx_cuda=Fault(1)):  # the features are there, the model fails
        path = [OnnxBackend("onnx-cuda"), get_backend("numpy")]
        bridge = Bridge("onnx-cuda", dict.fromkeys(KERNELS, path), Calls())
        found = bridge.predict_columns(model, columns)
    assert found.tobytes() == get_backend("numpy").predict_columns(model, columns).tobytes()
    assert bridge.lost.keys() == {"onnx-cuda"}


@pytest.mark.parametrize("at", [0, 1, 2, 3, 50, 111])
def test_a_field_goes_on_without_its_gpu(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """A device that is lost at any layer of any step leaves the layers as they would be, to the forms' tolerance."""
    lattice = Lattice((0.0, 0.0, 0.0), (10.0, 10.0, 10.0), (12, 10, 6))
    config = FieldConfig(Diffusion(lattice, 1 / 60, 500.0, 0.1), Screening(lattice, 20.0))
    with lost_device(monkeypatch, onnx_cuda=Fault(at)):
        path = [OnnxBackend("onnx-cuda"), get_backend("numpy")]
        bridge = Bridge("onnx-cuda", dict.fromkeys(KERNELS, path), Calls())
        fields, alone = Fields(config, bridge.field), Fields(config)
        for step in range(30):
            here = ((np.arange(40) * 7.3 + step) % 60).astype(np.float32)
            level = np.zeros(40, np.uint8)
            zeros = np.zeros(40, np.int64)
            left = gather(lattice, here, here, here / 2, level=level, step=zeros, steps=1)
            fields.step(left)
            alone.step(left)
    assert bridge.calls.calls["field", "onnx-cuda", DONE] == at
    assert bridge.calls.calls["field", "onnx-cuda", FAILED] == 1
    for name in LAYERS:
        one, other = fields.layer(name), alone.layer(name)
        allowed = 2 * config.screening.tolerance if name == "potential" else 1e-5
        assert abs(one - other).max() <= allowed * abs(other).max(), name


def test_kernels_go_where_they_are_sent() -> None:
    """A name for one kernel goes before the name for all, and kernels of different backends run one after the other."""
    bridge = open_bridge("numpy", {"predict": "onnx-cpu"}, dict)
    bridge.predict_columns(read_model(classifier()), list(np.zeros((VALUES, 3), np.float32)))
    assert set(bridge.calls.calls) == {("features", "numpy", DONE), ("predict", "onnx-cpu", DONE)}
    assert bridge.provider == "numpy + CPUExecutionProvider"
    assert bridge.provider_of("predict") == "CPUExecutionProvider"
    assert bridge.calls.providers == {("CPUExecutionProvider", "CPUExecutionProvider"): 1}


def test_numpy_alone_opens_and_measures_nothing() -> None:
    """What is not asked for costs nothing: no session, no sample."""
    bridge = open_bridge("numpy", {}, lambda: pytest.fail("made samples"))
    assert (bridge.provider, bridge.report, bridge.calls.providers) == ("numpy", "", {})


def test_sessions_are_warm_before_the_first_batch() -> None:
    """Kernels that go to ONNX Runtime are called once at the start, the others are not."""
    bridge = open_bridge(
        "numpy", {"tensor": "onnx-cpu"},
        lambda: {"tensor": lambda b: b.tensor("add", ONE, OTHER), "cells": lambda b: pytest.fail("called")},
    )  # fmt: skip
    assert set(bridge.calls.calls) == {("tensor", "onnx-cpu", DONE)}


def test_the_faster_backend_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A measurement takes the backend with the least time for each exact kernel, and says the times."""
    seconds = {"numpy": 2.0, "onnx-cpu": 1.0, "onnx-cuda": 3.0}
    monkeypatch.setattr(bridge_paths, "_seconds", lambda sample, backend: seconds[backend.name])
    samples = dict.fromkeys(bridge_paths.MEASURED, lambda backend: None)
    bridge = open_bridge("auto", {"cells": "numpy"}, lambda: samples)
    assert "reduce onnx-cpu (onnx-cpu 1000.00 ms, numpy 2000.00 ms)" in bridge.report
    assert "cells" not in bridge.report
    assert bridge.provider == "numpy + CPUExecutionProvider"
