"""Who computes the layers of the field, by the name of a backend: numpy, or ONNX Runtime."""

from kernels.backend import BACKENDS
from kernels.errors import ConfigError
from kernels.fields import FieldForm, NumpyForm
from kernels.onnx_fields import OnnxForm

__all__ = ["get_field_form"]


def get_field_form(name: str) -> FieldForm:
    """Return the form of a backend's name.

    The forms agree within the tolerances that `kernels.onnx_fields` states, not to the bit.

    Raises
    ------
    ConfigError
        If there is none of that name, or this machine cannot run it.

    Examples
    --------
    >>> type(get_field_form("numpy")).__name__
    'NumpyForm'
    """
    if name not in BACKENDS:
        raise ConfigError(f"backend: expected one of {', '.join(BACKENDS)}, got {name!r}")
    return NumpyForm() if name == "numpy" else OnnxForm(name)
