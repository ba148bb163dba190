import pytest

from kernels.backend import BACKENDS, get_backend
from kernels.errors import ConfigError


@pytest.mark.parametrize(("name", "provider"), [("numpy", "numpy"), ("onnx-cpu", "CPUExecutionProvider")])
def test_a_backend_says_what_it_got(name: str, provider: str) -> None:
    """Each backend that runs anywhere has the name asked for and says what provides it."""
    backend = get_backend(name)
    assert (backend.name, backend.provider) == (name, provider)
    assert name in BACKENDS


def test_an_unknown_backend_is_refused() -> None:
    """A name that is none is an error that lists those there are."""
    with pytest.raises(ConfigError, match=r"numpy, onnx-cpu, onnx-cuda, got 'tpu'"):
        get_backend("tpu")
