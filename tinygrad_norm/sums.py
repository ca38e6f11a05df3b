"""The sum of an array, added up in a precision that holds it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_norm import dtypes
from tinygrad_norm.fast import replaceable

_FEW = 512  # so many numbers may be added one by one


@replaceable
def total(x, axes, keepdims=False):
    """x.sum(axes) in x's dtype: float16 is added up in float32, integers and bools as int64.

    NumPy adds in pairs along memory, but one by one across it; many float32 are then added up in float64.
    """
    if x.dtype == dtypes.float32 and x.size > _FEW and adds_one_by_one(x, axes):
        return x.sum(axis=axes, keepdims=keepdims, dtype=np.float64).astype(np.float32)
    if x.dtype == dtypes.float16:
        return x.sum(axis=axes, keepdims=keepdims, dtype=np.float32).astype(np.float16)
    if x.dtype.kind != "f":
        return x.sum(axis=axes, keepdims=keepdims, dtype=np.int64)
    return x.sum(axis=axes, keepdims=keepdims)


def adds_one_by_one(x: Any, axes: tuple[int, ...]) -> bool:
    """Whether NumPy's own sum would not be in pairs, over many elements."""
    if not isinstance(x, np.ndarray):
        return False
    whole = len(axes) == x.ndim and (x.flags.c_contiguous or x.flags.f_contiguous)
    return not whole and math.prod([x.shape[a] for a in axes]) > _FEW
