"""Padding: constants, or what the borders hold, around an array."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tinygrad_norm.autograd import Tensor, op
from tinygrad_norm.backend import xp
from tinygrad_norm.checks.sizes import sizes_of
from tinygrad_norm.engine.tensor import wrap
from tinygrad_norm.ops.joining import narrow

# ---- padding ------------------------------------------------------------------------------


@op
def _pad(x, *, pads, value):
    """x, with `value` around it. pads: (before, after) for each dimension; negative ones crop."""
    crop = tuple(slice(max(-a, 0), n - max(-b, 0)) for n, (a, b) in zip(x.shape, pads))
    out = xp(x).full([max(n + a + b, 0) for n, (a, b) in zip(x.shape, pads)], value, dtype=x.dtype)
    inner = tuple(slice(max(a, 0), n - max(b, 0)) for n, (a, b) in zip(out.shape, pads))
    out[inner] = x[crop]
    return out


_pad.vjp(x=lambda g, pads: _pad(g, pads=tuple((-a, -b) for a, b in pads), value=0))


def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """More elements around the tensor: (before, after) of the last dimension, then of the one before it, ...

    mode: "constant" (value; negative pads crop), "reflect" (mirrored without the edge),
    "replicate" (the edge again), "circular" (from the other end).
    """
    numbers = sizes_of((tuple(pad),), None, "pad")
    if len(numbers) % 2 or len(numbers) > 2 * input.ndim:
        raise RuntimeError(f"Padding length must be even and at most {2 * input.ndim}, but got {len(numbers)} numbers")
    pairs = [(numbers[i], numbers[i + 1]) for i in range(0, len(numbers), 2)][::-1]
    pads = ((0, 0),) * (input.ndim - len(pairs)) + tuple(pairs)
    for n, (a, b) in zip(input.array.shape, pads):
        if n + a + b < 0:
            raise RuntimeError(f"The input size {n}, plus negative padding {a} and {b}, resulted in a negative output size")
    if mode == "constant":
        return _pad(input, pads=pads, value=0 if value is None else value)
    if mode not in ("reflect", "replicate", "circular"):
        raise NotImplementedError(f"Unrecognised padding mode {mode}")
    if value not in (None, 0):
        raise ValueError(f"Padding mode {mode!r} doesn't take in value argument")
    if input.ndim not in (len(pairs) + 1, len(pairs) + 2):
        raise NotImplementedError(
            f"mode {mode!r} with {len(numbers)} numbers is not supported for {input.ndim}D input: "
            "expected (N, C, *S) or (C, *S), and two numbers for each dimension of *S"
        )
    for axis, (a, b) in enumerate(pads):
        if a or b:
            input = _padded_along(input, axis, a, b, mode)
    return input


def _padded_along(input: Tensor, axis: int, before: int, after: int, mode: str) -> Tensor:
    n = input.array.shape[axis]
    limit = {"reflect": n - 1, "replicate": math.inf, "circular": n}[mode]
    if max(before, after) > limit or n == 0:
        raise RuntimeError(f"Padding size should be at most {limit} for mode {mode!r}, but got {before, after} for size {n}")
    if mode == "circular" and min(before, after) < 0:  # cropped first: what is left goes round
        input = narrow(input, axis, max(-before, 0), n + min(before, 0) + min(after, 0))
        return _padded_along(input, axis, max(before, 0), max(after, 0), mode)
    at = xp(input.array).arange(-before, n + after)
    if mode == "reflect":
        at = (n - 1) - abs((n - 1) - abs(at))
    elif mode == "replicate":
        at = at.clip(0, n - 1)
    return input[(slice(None),) * axis + (wrap(at % n),)]
