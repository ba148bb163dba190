"""A GPU that is lost, without a GPU: ONNX Runtime's sessions on the CPU stand for it, and raise from some run on."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import onnxruntime
import pytest

from kernels import onnx_session

__all__ = ["Fault", "lost_device"]

LOST = "CUDA failure 700: an illegal memory access was encountered"


class Fault:
    """From which run on a device is lost; counts the runs of all its sessions.

    Parameters
    ----------
    at
        The run that is the first to fail, from 0.
    """

    def __init__(self, at: int) -> None:
        self.at, self.runs = at, 0

    def check(self) -> None:
        """Raise what ONNX Runtime raises, if the device is lost."""
        self.runs += 1
        if self.runs > self.at:
            raise RuntimeError(LOST)


@contextmanager
def lost_device(monkeypatch: pytest.MonkeyPatch, **faults: Fault) -> Iterator[None]:
    """Let the sessions of `onnx_cuda` and `onnx_cpu` fail as told; both run on the CPU, as does one without a fault."""
    real = onnxruntime.InferenceSession
    named = {name.replace("_", "-"): fault for name, fault in faults.items()}
    # What tells the sessions apart: the options of their provider.
    providers = {name: ("CPUExecutionProvider", {"stands_for": name}) for name in onnx_session.PROVIDERS}

    class Losing(real):  # type: ignore[misc,valid-type]  # a class that is found at run time
        def __init__(self, model: bytes, settings: Any, providers: Any) -> None:
            super().__init__(model, settings, providers=["CPUExecutionProvider"])
            self.fault = named.get(providers[0][1]["stands_for"])

        def run(self, *arguments: Any) -> Any:
            if self.fault is not None:
                self.fault.check()
            return super().run(*arguments)

        def run_with_iobinding(self, *arguments: Any) -> Any:
            if self.fault is not None:
                self.fault.check()
            return super().run_with_iobinding(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(onnxruntime, "InferenceSession", Losing)
        patch.setattr(onnx_session, "PROVIDERS", providers)
        patch.setattr(onnx_session, "_DEVICES", dict.fromkeys(providers, "cpu"))
        yield
