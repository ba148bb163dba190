"""ONNX Runtime sessions that run on the provider that was asked for, or not at all."""

import onnxruntime

from kernels.errors import ConfigError

__all__ = ["PROVIDERS", "open_session"]

# Per backend the execution provider and its options; products of float32 must not become TF32.
PROVIDERS: dict[str, tuple[str, dict[str, str]]] = {
    "onnx-cpu": ("CPUExecutionProvider", {}),
    "onnx-cuda": ("CUDAExecutionProvider", {"use_tf32": "0"}),
}
_WARNINGS, _ERRORS_ONLY, _FATAL_ONLY = 2, 3, 4  # ONNX Runtime's log levels; the first is its default
_HINT = "Use the backend numpy or onnx-cpu, or a machine with an NVIDIA GPU and the CUDA 13 libraries"


def open_session(model: bytes, backend: str) -> onnxruntime.InferenceSession:
    """Make a session with one thread, for the bytes of a model.

    More than one thread inside an operator changed bits of results; scale by processes.

    Parameters
    ----------
    model
        A serialised ONNX model.
    backend
        A name in PROVIDERS.

    Raises
    ------
    ConfigError
        If the model does not load, or the provider cannot be had: ONNX Runtime would fall back to the CPU in silence.
    """
    provider, options = PROVIDERS[backend]
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    settings.use_deterministic_compute = True
    settings.log_severity_level = _ERRORS_ONLY
    if provider not in (available := onnxruntime.get_available_providers()):
        raise ConfigError(f"backend {backend} needs {provider}, this ONNX Runtime has {available}", _HINT)
    onnxruntime.set_default_logger_severity(_FATAL_ONLY)  # what is missing is said below, once
    try:
        session = onnxruntime.InferenceSession(model, settings, providers=[(provider, options)])
    except Exception as error:  # its exceptions share no base class of their own
        cause = str(error).splitlines()[0]
        raise ConfigError(f"backend {backend} cannot load the model: {cause}", _HINT) from error
    finally:
        onnxruntime.set_default_logger_severity(_WARNINGS)
    if (got := session.get_providers())[0] != provider:
        raise ConfigError(f"backend {backend} asked for {provider}, got {got}", _HINT)
    return session
