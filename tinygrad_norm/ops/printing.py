"""Tensors in print: as PyTorch prints them, four digits, the middle of long ones left out."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_norm import dtypes
from tinygrad_norm.autograd import Tensor
from tinygrad_norm.backend import backend_of, transfer


class _Options:
    """PyTorch's names and defaults; sci_mode: None where the numbers decide."""

    precision, threshold, edgeitems, linewidth = 4, 1000, 3, 80
    sci_mode: bool | None = None


_PROFILES: dict[str, dict[str, Any]] = {
    "default": dict(precision=4, threshold=1000, edgeitems=3, linewidth=80),
    "short": dict(precision=2, threshold=1000, edgeitems=2, linewidth=80),
    "full": dict(precision=4, threshold=math.inf, edgeitems=3, linewidth=80),
}


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """How Tensors are printed: digits after the point, from how many elements on the middle is left out, how many elements stay
    at each end, how long a line may be. profile: "default", "short" or "full" for all four. sci_mode: with exponents, or not;
    None: as the numbers need it.
    """
    if profile is not None and profile not in _PROFILES:
        raise ValueError(f"set_printoptions: expected a profile of {', '.join(_PROFILES)}, but got {profile!r}")
    given = dict(precision=precision, threshold=threshold, edgeitems=edgeitems, linewidth=linewidth)
    chosen = {**_PROFILES.get(profile or "", {}), **{name: value for name, value in given.items() if value is not None}}
    for name, value in chosen.items():
        setattr(_Options, name, value)
    _Options.sci_mode = sci_mode


def to_string(tensor: Tensor) -> str:
    """tensor([1., 2.], grad_fn=<AddBackward>)."""
    host = transfer(tensor.array, "cpu")
    prefix = "tensor("
    text = prefix + (_block(host, len(prefix), *_format(host), host.size > _Options.threshold) if host.size else "[]")
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
        text += (", " if len(line) + len(extra) + 4 <= _Options.linewidth else ",\n" + " " * len(prefix)) + extra
    return text + ")"


def _block(array: np.ndarray, indent: int, show: Callable[[Any], str], width: int, long: bool) -> str:
    """An element; a vector's elements in brackets, as many to a line as fit; or the blocks of the rows, in brackets."""
    if not array.ndim:
        return show(array.item())
    n, is_vector = len(array), array.ndim == 1
    parts = [_block(array[i], indent + 1, show, width, long) for i in _kept(n, long)]
    if len(parts) < n:
        parts.insert(_Options.edgeitems, " ..." if is_vector else "...")
    if is_vector:
        count = max(1, (_Options.linewidth - indent) // (width + len(", ")))
        parts = [", ".join(parts[i : i + count]) for i in range(0, len(parts), count)]
    return "[" + ("," + "\n" * max(array.ndim - 1, 1) + " " * (indent + 1)).join(parts) + "]"


def _kept(n: int, long: bool) -> list[int]:
    """The places in a dimension that are printed: all, or the first and last few."""
    return (
        [*range(_Options.edgeitems), *range(n - _Options.edgeitems, n)] if long and n > 2 * _Options.edgeitems else [*range(n)]
    )


def _format(array: np.ndarray) -> tuple[Callable[[Any], str], int]:
    """What makes a text of an element, all as wide as the widest, and that width.

    Floats are all written as 1. or as 1.0000 or as 1.0000e+00; those that are finite and not 0 say which, as in PyTorch.
    """
    seen = array[np.ix_(*(_kept(n, array.size > _Options.threshold) for n in array.shape))].ravel()
    if array.dtype.kind != "f":
        width = max(len(str(v)) for v in seen.tolist())
        return lambda value: str(value).rjust(width), width
    seen = seen[np.isfinite(seen) & (seen != 0)].astype(np.float64)
    whole = bool((seen == np.round(seen)).all())
    largest, smallest = (np.abs(seen).max(), np.abs(seen).min()) if seen.size else (1.0, 1.0)
    scientific = _Options.sci_mode
    if scientific is None:
        scientific = largest / smallest > 1000 or largest > 1e8 or (smallest < 1e-4 and not whole)

    def plain(value: float) -> str:
        if not math.isfinite(value):
            return str(value)
        if scientific:
            return f"{value:.{_Options.precision}e}"
        return f"{value:.0f}." if whole else f"{value:.{_Options.precision}f}"

    width = max((len(plain(v)) for v in seen.tolist()), default=1)
    return lambda value: plain(value).rjust(width), width
