"""The whole flow while what runs its kernels is lost: nothing is lost, and no bit of the exact results changes."""

import logging
from pathlib import Path
from typing import Any

import pytest
from bytewax.testing import run_main
from lost_device import Fault, lost_device

from flows.assemble import assemble
from flows.settings.root import load
from operators import cell_results
from operators.bridge import Bridge, Switch
from operators.bridge_calls import FAILED
from operators.cells import Cells, to_cells
from operators.file_sink import clear_parts
from service.collect import collect

NEVER = 10**9


def _run(out: Path, backend: str) -> tuple[dict[str, Any], Bridge, list[Switch]]:
    """Run the flights through the flow; return the summary, the bridge, and its switches once the flow was built."""
    out.mkdir(parents=True)
    made = assemble(load("flights", {"kernels.backend": backend, "sink.directory": str(out)}).settings)
    switches: list[Switch] = []
    made.plan.backend.listeners.append(switches.append)
    run_main(made.flow)
    summary = collect(made, out, seconds=1.0)
    clear_parts(out)
    return summary, made.plan.backend, switches


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], int, int]:
    """The summary with numpy, and how often the sessions of a device run, before the first batch and in all."""
    summary, *_ = _run(tmp_path_factory.mktemp("numpy") / "out", "numpy")
    fault = Fault(NEVER)
    with pytest.MonkeyPatch.context() as patch, lost_device(patch, onnx_cuda=fault):
        folder = tmp_path_factory.mktemp("warm")
        assemble(load("flights", {"kernels.backend": "onnx-cuda", "sink.directory": str(folder)}).settings)
        before, fault.runs = fault.runs, 0
        found, bridge, _ = _run(tmp_path_factory.mktemp("whole") / "out", "onnx-cuda")
    assert found["digest"] == summary["digest"]
    assert bridge.calls.failed == 0
    return summary, before, fault.runs


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_gpu_lost_mid_stream(
    undisturbed: tuple[dict[str, Any], int, int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    share: float,
) -> None:
    """The batch is done again on the CPU, which goes on; the digest is the same; counter, log and listener say so."""
    expected, before, runs = undisturbed
    fault = Fault(before + 1 + int(share * (runs - before)))
    with caplog.at_level(logging.WARNING), lost_device(monkeypatch, onnx_cuda=fault):
        summary, bridge, (switch,) = _run(tmp_path / "out", "onnx-cuda")
    assert summary["digest"] == expected["digest"]
    assert summary["events_in"] == expected["events_in"]
    assert (switch.lost, switch.used) == ("onnx-cuda", "onnx-cpu")
    assert "illegal memory access" in switch.cause
    assert bridge.calls.calls[switch.kernel, "onnx-cuda", FAILED] == 1
    assert bridge.calls.failed == 1
    assert "onnx-cpu takes the place of backend onnx-cuda" in caplog.text


def test_a_score_says_from_which_batch_on(
    undisturbed: tuple[dict[str, Any], int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the GPU is lost while events are scored, the switch names their partition and offset: it is a decision."""
    with lost_device(monkeypatch, onnx_cuda=Fault(undisturbed[1])):
        _, _, (switch,) = _run(tmp_path / "out", "onnx-cuda")
    assert switch.kernel == "predict"
    assert "adsb_switzerland.parquet[" in switch.origin


def test_a_cell_score_says_from_which_window_on(
    undisturbed: tuple[dict[str, Any], int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the GPU is lost while closed windows are scored, the switch names the window."""
    fault = Fault(NEVER)

    def lost_with_the_first_cells(*given: Any) -> Cells:
        fault.at = min(fault.at, fault.runs)
        return to_cells(*given)

    monkeypatch.setattr(cell_results, "to_cells", lost_with_the_first_cells)
    with lost_device(monkeypatch, onnx_cuda=fault):
        summary, _, (switch,) = _run(tmp_path / "out", "onnx-cuda")
    assert summary["digest"] == undisturbed[0]["digest"]
    assert (switch.kernel, switch.lost) == ("predict", "onnx-cuda")
    assert switch.origin.startswith("window ")


def test_onnx_lost_mid_stream(
    undisturbed: tuple[dict[str, Any], int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where ONNX Runtime fails on the CPU too, numpy goes on, with the same digest."""
    expected, before, runs = undisturbed
    later = before + (runs - before) // 2
    with lost_device(monkeypatch, onnx_cuda=Fault(before + 5), onnx_cpu=Fault(20)):
        summary, bridge, switches = _run(tmp_path / "out", "onnx-cuda")
    assert later > before
    assert summary["digest"] == expected["digest"]
    assert [(each.lost, each.used) for each in switches] == [("onnx-cuda", "onnx-cpu"), ("onnx-cpu", "numpy")]
    assert bridge.provider == "numpy"
    assert bridge.lost.keys() == {"onnx-cuda", "onnx-cpu"}


def test_a_gpu_that_is_not_there_at_the_start(
    undisturbed: tuple[dict[str, Any], int, int], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A restart without the GPU runs on the CPU, and says which provider was asked for and which was got."""
    summary, bridge, _ = _run(tmp_path / "out", "onnx-cuda")
    if bridge.provider == "CUDAExecutionProvider":
        pytest.skip("there is a GPU")
    assert summary["digest"] == undisturbed[0]["digest"]
    assert bridge.calls.providers == {("CUDAExecutionProvider", "CPUExecutionProvider"): 1}
    assert "onnx-cuda is not to be had" in caplog.text


def test_a_measured_choice_changes_nothing(
    undisturbed: tuple[dict[str, Any], int, int], tmp_path: Path
) -> None:
    """With `auto` the fastest form is taken for each exact kernel, said in words, and the digest is the same."""
    summary, bridge, _ = _run(tmp_path / "out", "auto")
    assert summary["digest"] == undisturbed[0]["digest"]
    assert "reduce " in bridge.report
    assert "predict" not in bridge.report
    assert any(kernel == "predict" and name == "onnx-cpu" for kernel, name, _ in bridge.calls.calls)
