"""How the dtypes of an op's inputs meet: PyTorch's rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_norm import dtypes
from tinygrad_norm.backend import Array, is_array

NUMBERS = (bool, int, float, np.generic)


def promote(operands: list[tuple[Any, tuple[Any, ...] | None]]) -> np.dtype:
    """The dtype of an operation on these (dtype, shape) pairs; a Python number has shape None.

    PyTorch's rule: among bool < integer < floating the highest category wins; a tensor without
    dimensions, and after it a Python number, counts only if it is of a higher category than all
    tensors with dimensions. https://docs.pytorch.org/docs/stable/tensor_attributes.html#type-promotion-doc
    """
    result, category = None, -1
    for level in (lambda s: s, lambda s: s == (), lambda s: s is None):
        found = [dtype for dtype, shape in operands if level(shape)]
        if not found:
            continue
        highest = max(dtypes.RANK[dtype.kind] for dtype in found)
        if highest > category:
            result, category = np.result_type(*(d for d in found if dtypes.RANK[d.kind] == highest)), highest
    assert result is not None
    return result


def promoted(forward: Callable, arrays: list, settings: dict, out: Array | None) -> Array:
    """The result in the dtype that PyTorch's rules give; computed anew if NumPy's rules differ.

    NumPy lets an array without dimensions or a NumPy scalar widen the result, takes the logarithm (or quotient) of
    integers in float64, and refuses Python numbers that an integer dtype cannot hold.
    """
    wanted = common_dtype(arrays)
    if out is not None:
        if out.dtype == wanted or out.dtype.kind == "b":
            return out
        if out.dtype.kind == "f" and wanted.kind != "f":
            wanted = dtypes.DEFAULT
    plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in settings.items()}
    return forward(*(converted(x, wanted) for x in arrays), **plain)


def common_dtype(operands: list) -> np.dtype:
    """The dtype in which arrays and Python numbers meet."""
    pairs = []
    for x in operands:
        if is_array(x):
            pairs.append((x.dtype, x.shape))
        elif isinstance(x, NUMBERS):
            pairs.append((dtypes.of_scalar(x), None))
    return promote(pairs)


def converted(x: Any, dtype: np.dtype) -> Any:
    """An array in that dtype; a number as the dtype holds it (integers wrap around)."""
    if is_array(x):
        return x.astype(dtype, copy=False)
    if isinstance(x, np.generic):
        x = x.item()
    if dtype.kind in "iu" and isinstance(x, int):
        bits = 8 * dtype.itemsize
        x = int(x) % 2**bits
        return x - 2**bits if dtype.kind == "i" and x >= 2 ** (bits - 1) else x
    return x
