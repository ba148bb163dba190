from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest

from kernels.errors import ConfigError
from kernels.onnx_graphs import gather_graph
from kernels.onnx_session import open_session

GRAPH = gather_graph(np.zeros(1, np.int32))
HINT = "Use the backend numpy or onnx-cpu"


def test_a_provider_that_is_not_got_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where ONNX Runtime falls back to the CPU in silence, the error says what was asked, what came and what to do."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    fallen_back: Any = SimpleNamespace(get_providers=lambda: ["CPUExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *_, **__: fallen_back)
    with pytest.raises(ConfigError, match=r"asked for CUDA.*got \['CPU.*" + HINT):
        open_session(GRAPH, "onnx-cuda")


def test_a_provider_that_is_not_built_in_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """An ONNX Runtime without CUDA is an error that says so."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(ConfigError, match="needs CUDAExecutionProvider.*" + HINT):
        open_session(GRAPH, "onnx-cuda")


def test_a_model_that_does_not_load_is_refused() -> None:
    """Bytes that are no model are an error that names the backend."""
    with pytest.raises(ConfigError, match="backend onnx-cpu cannot load the model"):
        open_session(b"no model", "onnx-cpu")


def test_sessions_have_one_thread() -> None:
    """A session uses one thread, so that no bit depends on how work was divided."""
    settings = open_session(GRAPH, "onnx-cpu").get_session_options()
    assert (settings.intra_op_num_threads, settings.inter_op_num_threads) == (1, 1)
