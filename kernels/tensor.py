"""Arithmetic on whole tensors of float32: addition and multiplication by element, and the product of matrices."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.errors import AuraError

__all__ = ["OPERATIONS", "check_tensors", "compute"]

Tensor = NDArray[np.float32]

OPERATIONS: Mapping[str, Callable[[Tensor, Tensor], Any]] = {
    "add": np.add,
    "mul": np.multiply,
    "matmul": np.matmul,
}
"""By name; `kernels.onnx_tensor` has each of them."""


def compute(operation: str, left: Tensor, right: Tensor) -> Tensor:
    """Compute `left operation right`.

    Parameters
    ----------
    operation
        `add` or `mul`, by element; `matmul`.
    left, right
        float32, of one shape; for matmul (R, K) and (K, C).

    Returns
    -------
    NDArray[np.float32]
        Of the same shape; (R, C) for matmul, which backends sum in different orders: by element they agree to
        2 K 2**-24 (|left| @ |right|). NaN and infinities go through, as by IEEE 754.

    Raises
    ------
    AuraError
        Another operation, type or shape.

    Examples
    --------
    >>> one, other = np.array([[1, 2], [3, 4]], "f4"), np.array([[5, 6], [7, 8]], "f4")
    >>> compute("matmul", one, other).tolist()
    [[19.0, 22.0], [43.0, 50.0]]
    """
    check_tensors(operation, left, right)
    with np.errstate(all="ignore"):
        result: Tensor = OPERATIONS[operation](left, right)
    return result


def check_tensors(operation: str, left: Tensor, right: Tensor) -> None:
    """Check what every form of `compute` is given."""
    if operation not in OPERATIONS:
        raise AuraError(f"tensor operation {operation!r}, expected one of {', '.join(OPERATIONS)}")
    if left.dtype != np.float32 or right.dtype != np.float32:
        raise AuraError(f"tensor {operation}: expected float32, got {left.dtype} and {right.dtype}")
    matrices = left.ndim == right.ndim == 2 and left.shape[1] == right.shape[0]
    if not (matrices if operation == "matmul" else left.shape == right.shape):
        wanted = "[R, K] and [K, C]" if operation == "matmul" else "one shape"
        got = f"{list(left.shape)} and {list(right.shape)}"
        raise AuraError(f"tensor {operation}: expected {wanted}, got {got}")
