"""ONNX Runtime sessions that run on the provider that was asked for, or not at all; what they fail with, in one class."""

from collections.abc import Callable, Hashable, Mapping
from typing import Any

import onnxruntime
from numpy.typing import NDArray

from kernels.errors import ConfigError, KernelFailed

__all__ = ["PROVIDERS", "Session", "Sessions", "open_session"]

# Per backend the execution provider and its options; products of float32 must not become TF32.
PROVIDERS: dict[str, tuple[str, dict[str, str]]] = {
    "onnx-cpu": ("CPUExecutionProvider", {}),
    "onnx-cuda": ("CUDAExecutionProvider", {"use_tf32": "0"}),
}
_DEVICES = {"onnx-cpu": "cpu", "onnx-cuda": "cuda"}
_MOST_SESSIONS = 64  # kernels of a few grids and layouts, and models that replace one another
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


class Session:
    """A kernel or a model, ready to run.

    Parameters
    ----------
    model
        A serialised ONNX model.
    backend
        A name in PROVIDERS.
    what
        The kernel's name, for messages.
    """

    def __init__(self, model: bytes, backend: str, what: str) -> None:
        self._session = open_session(model, backend)
        self._backend, self._what = backend, what
        self.provider: str = self._session.get_providers()[0]
        self.inputs = frozenset(each.name for each in self._session.get_inputs())
        self._outputs = [each.name for each in self._session.get_outputs()]

    def run(self, feed: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Return the outputs by name, in memory.

        Raises
        ------
        KernelFailed
            The device is lost, out of memory, or the model does not fit the input.
        """
        try:
            return dict(zip(self._outputs, self._session.run(self._outputs, feed), strict=True))
        except Exception as error:  # those of ONNX Runtime share no base class of their own
            raise self._failed(error) from error

    def keep(self, feed: Mapping[str, Any]) -> dict[str, Any]:
        """Return the outputs by name where they were made, for the next session of a chain: arrays of the device.

        Parameters
        ----------
        feed
            Arrays in memory, contiguous, or what `keep` of a session before returned.

        Raises
        ------
        KernelFailed
            As `run`; also where the array of the device was lost with it.
        """
        try:
            binding = self._session.io_binding()
            for name, value in feed.items():
                if isinstance(value, onnxruntime.OrtValue):
                    binding.bind_ortvalue_input(name, value)
                else:
                    binding.bind_cpu_input(name, value)
            for name in self._outputs:
                binding.bind_output(name, _DEVICES[self._backend])
            self._session.run_with_iobinding(binding)
            return dict(zip(self._outputs, binding.get_outputs(), strict=True))
        except Exception as error:  # as above
            raise self._failed(error) from error

    def fetch(self, value: Any) -> NDArray[Any]:
        """Return an array of the device that `keep` returned, in memory."""
        try:
            fetched: NDArray[Any] = value.numpy()
            return fetched
        except Exception as error:  # as above
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> KernelFailed:
        cause = (str(error).splitlines() or [type(error).__name__])[0]
        return KernelFailed(f"backend {self._backend} failed in the kernel {self._what}: {cause}")


class Sessions:
    """The sessions of a backend, each made when it is first used; of many, the ones used last stay.

    Parameters
    ----------
    backend
        A name in PROVIDERS.
    """

    def __init__(self, backend: str) -> None:
        self._backend = backend
        self._open: dict[Hashable, Session] = {}

    def __len__(self) -> int:
        return len(self._open)

    def get(self, what: str, of: Hashable, build: Callable[[], bytes]) -> Session:
        """Return the session of a kernel `of` its constants, made from what `build` returns if there is none."""
        session = self._open.pop((what, of), None)
        if session is None:
            session = Session(build(), self._backend, what)
            if len(self._open) >= _MOST_SESSIONS:
                del self._open[next(iter(self._open))]
        self._open[what, of] = session  # last in order: used last
        return session
