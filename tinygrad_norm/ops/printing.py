"""Tensors in print: as PyTorch prints them, four digits, the middle of long ones left out."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_norm import dtypes
from tinygrad_norm.autograd import Tensor
from tinygrad_norm.backend import backend_of, transfer

_LIMIT, _EDGE, _DIGITS, _WIDTH = 1000, 3, 4, 80


def to_string(tensor: Tensor) -> str:
    """tensor([1., 2.], grad_fn=<AddBackward>)."""
    host = transfer(tensor.array, "cpu")
    shown = _elements(host, len("tensor("))
    extras = []
    if not host.size and host.ndim != 1:
        extras.append(f"size={tuple(host.shape)}")
    if (place := backend_of(tensor.array).device) != "cpu":
        extras.append(f"device='{place}'")
    if tensor.dtype not in (dtypes.DEFAULT, dtypes.int64, dtypes.bool):
        extras.append(f"dtype={tensor.dtype}")
    if (node := tensor.grad_fn) is not None:
        extras.append(f"grad_fn=<{node.name()}>")
    elif tensor.requires_grad:
        extras.append("requires_grad=True")
    return f"tensor({', '.join([shown, *extras])})"


def _elements(array: np.ndarray, indent: int) -> str:
    if array.dtype.kind == "f":
        formatter: Any = {"float_kind": _float_format(array)}
    else:
        width = max((len(str(v)) for v in _visible(array).ravel().tolist()), default=0) if array.ndim else 0
        formatter = {"int_kind": lambda v: str(int(v)).rjust(width), "bool": lambda v: str(bool(v)).rjust(width)}
    text = np.array2string(
        array, separator=", ", formatter=formatter, threshold=_LIMIT, edgeitems=_EDGE, max_line_width=_WIDTH - indent
    )
    lines = text.replace(", ...,", ",  ...,").split("\n")
    return "\n".join(lines[:1] + [" " * indent + line if line else "" for line in lines[1:]])


def _visible(array: np.ndarray) -> np.ndarray:
    """The elements that are printed: all, or the first and last few of each dimension."""
    if array.size <= _LIMIT:
        return array
    for axis, n in enumerate(array.shape):
        if n > 2 * _EDGE:
            array = np.take(array, [*range(_EDGE), *range(n - _EDGE, n)], axis=axis)
    return array


def _float_format(array: np.ndarray):
    """One format for all elements: 1. for whole numbers, 1.0000, or 1.0000e+00 where sizes differ much."""
    values = _visible(array).astype(np.float64).ravel()
    finite = np.abs(values[np.isfinite(values) & (values != 0)])
    whole = bool((values[np.isfinite(values)] == np.round(values[np.isfinite(values)])).all())
    largest, smallest = (finite.max(), finite.min()) if finite.size else (0.0, 1.0)
    scientific = bool(finite.size) and (largest / smallest > 1000 or largest > 1e8 or smallest < 1e-4)
    if whole:
        scientific = largest > 1e8

    def plain(value: float) -> str:
        if not np.isfinite(value):
            return str(float(value))
        if scientific:
            return f"{value:.{_DIGITS}e}"
        return f"{value:.0f}." if whole else f"{value:.{_DIGITS}f}"

    width = max((len(plain(v)) for v in values), default=0) if array.ndim else 0
    return lambda value: plain(value).rjust(width)
