"""Tensors in print: as PyTorch prints them, four digits, the middle of long ones left out."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_norm import dtypes
from tinygrad_norm.autograd import Tensor
from tinygrad_norm.backend import backend_of, transfer

_LIMIT, _EDGE, _DIGITS, _WIDTH = 1000, 3, 4, 80


def to_string(tensor: Tensor) -> str:
    """tensor([1., 2.], grad_fn=<AddBackward>)."""
    host = transfer(tensor.array, "cpu")
    prefix = "tensor("
    text = prefix + (_block(host, len(prefix), *_format(host), host.size > _LIMIT) if host.size else "[]")
    extras = []
    if (place := backend_of(tensor.array).device) != "cpu":
        extras.append(f"device='{place}'")
    if not host.size and host.ndim != 1:
        extras.append(f"size={tuple(host.shape)}")
    if tensor.dtype not in ((dtypes.DEFAULT, dtypes.int64, dtypes.bool) if host.size else (dtypes.DEFAULT,)):
        extras.append(f"dtype={tensor.dtype}")
    if (node := tensor.grad_fn) is not None:
        extras.append(f"grad_fn=<{node.name()}>")
    elif tensor.requires_grad:
        extras.append("requires_grad=True")
    for extra in extras:
        line = text.rpartition("\n")[2]
        text += (", " if len(line) + len(extra) + 4 <= _WIDTH else ",\n" + " " * len(prefix)) + extra
    return text + ")"


def _block(array: np.ndarray, indent: int, show: Callable[[Any], str], width: int, long: bool) -> str:
    """An element; a vector's elements in brackets, as many to a line as fit; or the blocks of the rows, in brackets."""
    if not array.ndim:
        return show(array.item())
    n, is_vector = len(array), array.ndim == 1
    parts = [_block(array[i], indent + 1, show, width, long) for i in _kept(n, long)]
    if len(parts) < n:
        parts.insert(_EDGE, " ..." if is_vector else "...")
    if is_vector:
        count = max(1, (_WIDTH - indent) // (width + len(", ")))
        parts = [", ".join(parts[i : i + count]) for i in range(0, len(parts), count)]
    return "[" + ("," + "\n" * max(array.ndim - 1, 1) + " " * (indent + 1)).join(parts) + "]"


def _kept(n: int, long: bool) -> list[int]:
    """The places in a dimension that are printed: all, or the first and last few."""
    return [*range(_EDGE), *range(n - _EDGE, n)] if long and n > 2 * _EDGE else [*range(n)]


def _format(array: np.ndarray) -> tuple[Callable[[Any], str], int]:
    """What makes a text of an element, all as wide as the widest, and that width.

    Floats are all written as 1. or as 1.0000 or as 1.0000e+00; those that are finite and not 0 say which, as in PyTorch.
    """
    seen = array[np.ix_(*(_kept(n, array.size > _LIMIT) for n in array.shape))].ravel()
    if array.dtype.kind != "f":
        width = max(len(str(v)) for v in seen.tolist())
        return lambda value: str(value).rjust(width), width
    seen = seen[np.isfinite(seen) & (seen != 0)].astype(np.float64)
    whole = bool((seen == np.round(seen)).all())
    largest, smallest = (np.abs(seen).max(), np.abs(seen).min()) if seen.size else (1.0, 1.0)
    scientific = largest / smallest > 1000 or largest > 1e8 or (smallest < 1e-4 and not whole)

    def plain(value: float) -> str:
        if not math.isfinite(value):
            return str(value)
        if scientific:
            return f"{value:.{_DIGITS}e}"
        return f"{value:.0f}." if whole else f"{value:.{_DIGITS}f}"

    width = max((len(plain(v)) for v in seen.tolist()), default=1)
    return lambda value: plain(value).rjust(width), width
