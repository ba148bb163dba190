"""A violation of an invariant, as a result of one row."""

from typing import Any

import numpy as np

from operators.result import KINDS, Result

__all__ = ["no_violation", "violation"]


def violation(about: str, /, revision: int = 0, **values: Any) -> Result:
    """Return the result of the id `about`, which follows from the events alone.

    Parameters
    ----------
    revision
        Of what is said about it.
    values
        By column of the kind `violations`; those that are not given are 0, NaN or an empty text.
    """
    kind = KINDS["violations"]
    missing = {"O": "", "f": np.nan}
    dtypes = {name: kind.dtype(name) for name in kind.columns}
    columns = {
        name: np.array([values.get(name, missing.get(dtype.kind, 0))], dtype)
        for name, dtype in dtypes.items()
    }
    return Result("violations", about, columns, revision)


def no_violation(about: str, revision: int) -> Result:
    """Return the result that voids what was said about `about` before."""
    columns = {name: values[:0] for name, values in violation(about).columns.items()}
    return Result("violations", about, columns, revision)
