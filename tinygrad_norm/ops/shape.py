"""Shapes, joining, padding: nothing is computed, elements only move.

Each op's vjp moves the gradient back the way the elements came; where an element was used twice,
its gradients add up. Results are views of the input's memory wherever NumPy can give one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tinygrad_norm import dtypes
from tinygrad_norm.autograd import Tensor, op, wrap
from tinygrad_norm.backend import xp

Ints = int | Sequence[int]


def normalize_dims(ndim: int, dim: Ints) -> tuple[int, ...]:
    """The dimensions counted from 0. Raises IndexError out of range, RuntimeError for doubles."""
    dims = (dim,) if not isinstance(dim, (tuple, list)) else tuple(dim)
    bound = max(ndim, 1)
    for d in dims:
        if not -bound <= d < bound:
            raise IndexError(f"Dimension out of range (expected to be in range of [{-bound}, {bound - 1}], but got {d})")
    result = tuple(d % bound for d in dims)
    for d in result:
        if result.count(d) > 1:
            raise RuntimeError(f"dim {d} appears multiple times in the list of dims")
    return result if ndim else ()


def _sizes(sizes: tuple) -> tuple[int, ...]:
    """Sizes given as separate arguments or as one sequence."""
    if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
        sizes = tuple(sizes[0])
    return tuple(int(s) for s in sizes)


# ---- reshape and transpose ----------------------------------------------------------------


@op(view=True)
def _reshape(x, *, shape):
    """Row-major. Where the batch is innermost in memory (kernels/conv.py) and stays as it is, so does a copy's."""
    if x.ndim > 2 and x.strides[0] == x.itemsize and shape[:1] == x.shape[:1]:
        rest = x.transpose(*range(1, x.ndim), 0).reshape(*shape[1:], len(x))
        return rest.transpose(-1, *range(rest.ndim - 1))
    return x.reshape(shape)


_reshape.vjp(x=lambda g, x_shape: g.reshape(x_shape))


def reshape(input: Tensor, *shape: Any) -> Tensor:
    """The elements in row-major order, in another shape; one size may be -1. A view where possible."""
    sizes = _sizes(shape)
    try:
        return _reshape(input, shape=sizes)
    except ValueError:
        raise RuntimeError(f"shape '{list(sizes)}' is invalid for input of size {input.array.size}") from None


@op(view=True)
def _permute(x, *, dims):
    return x.transpose(dims)


_permute.vjp(x=lambda g, dims: _permute(g, dims=tuple(sorted(range(len(dims)), key=dims.__getitem__))))


def permute(input: Tensor, *dims: Any) -> Tensor:
    """The dimensions in another order."""
    order = _sizes(dims)
    if len(order) != input.ndim:
        raise RuntimeError(
            f"permute: expected {input.ndim} dimensions in the new order, as many as the tensor has, but got {order}"
        )
    return _permute(input, dims=normalize_dims(input.ndim, order))


def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Two dimensions exchanged."""
    order = list(range(input.ndim))
    if order:
        a, b = (normalize_dims(input.ndim, d)[0] for d in (dim0, dim1))
        order[a], order[b] = b, a
    return _permute(input, dims=tuple(order))


swapaxes = transpose


def move_to_front(input: Tensor, dims: tuple[int, ...]) -> Tensor:
    """The given dimensions first, the others after them in their order."""
    return _permute(input, dims=dims + tuple(i for i in range(input.ndim) if i not in dims))


def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """The dimensions from start_dim to end_dim as one."""
    (start,), (end,) = (normalize_dims(max(input.ndim, 1), d) for d in (start_dim, end_dim))
    if start > end:
        raise RuntimeError(f"flatten() has invalid args: start_dim ({start_dim}) cannot come after end_dim ({end_dim})")
    shape = input.array.shape
    return _reshape(input, shape=(*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :]))


def squeeze(input: Tensor, dim: Ints | None = None) -> Tensor:
    """Without its dimensions of size 1, or without those in `dim` that have size 1."""
    dims = range(input.ndim) if dim is None else normalize_dims(input.ndim, dim)
    return _reshape(input, shape=tuple(n for i, n in enumerate(input.array.shape) if n != 1 or i not in dims))


def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """With a dimension of size 1 at `dim`."""
    (at,) = normalize_dims(input.ndim + 1, dim)
    shape = input.array.shape
    return _reshape(input, shape=(*shape[:at], 1, *shape[at:]))


# ---- repetition ---------------------------------------------------------------------------


@op(view=True)
def _broadcast_to(x, *, shape):
    return xp(x).broadcast_to(x, shape)


def _broadcast_back(g, x_shape, shape):
    lead = len(shape) - len(x_shape)
    axes = tuple(i for i, n in enumerate(shape) if i < lead or (x_shape[i - lead] == 1 and n != 1))
    return g.sum(axis=axes, keepdims=True).reshape(x_shape) if axes else g


_broadcast_to.vjp(x=_broadcast_back)


def broadcast_to(input: Any, shape: Sequence[int]) -> Any:
    """Repeated along dimensions of size 1 and new leading ones, without copying."""
    return _broadcast_to(input, shape=tuple(shape))


def expand(input: Tensor, *sizes: Any) -> Tensor:
    """As broadcast_to; a size of -1 keeps the dimension."""
    shape, old = list(_sizes(sizes)), input.array.shape
    lead = len(shape) - len(old)
    if lead < 0:
        raise RuntimeError(
            f"expand(the number of sizes provided ({len(shape)}) must be greater or equal "
            f"to the number of dimensions in the tensor ({len(old)}))"
        )
    for i, n in enumerate(old):
        if shape[lead + i] == -1:
            shape[lead + i] = n
        elif n not in (1, shape[lead + i]):
            raise RuntimeError(
                f"The expanded size of the tensor ({shape[lead + i]}) must match the existing size ({n}) "
                f"at non-singleton dimension {lead + i}.  Target sizes: {shape}.  Tensor sizes: {list(old)}"
            )
    return _broadcast_to(input, shape=tuple(shape))


def repeat(input: Tensor, *repeats: Any) -> Tensor:
    """The tensor repeated so many times along each dimension, copied."""
    times = _sizes(repeats)
    lead = len(times) - input.ndim
    if lead < 0:
        raise RuntimeError(
            "Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor: "
            f"expected at least {input.ndim}, but got {len(times)}"
        )
    old = (1,) * lead + input.array.shape
    spaced = _reshape(input, shape=tuple(s for n in old for s in (1, n)))
    spaced = _broadcast_to(spaced, shape=tuple(s for n, t in zip(old, times) for s in (t, n)))
    return _reshape(spaced, shape=tuple(n * t for n, t in zip(old, times))).clone()


def tile(input: Tensor, *dims: Any) -> Tensor:
    """As repeat; missing leading repeats are 1."""
    times = _sizes(dims)
    return repeat(input, (1,) * (input.ndim - len(times)) + times)


# ---- joining and splitting ----------------------------------------------------------------


@op
def _cat(*tensors, axis):
    return xp(*tensors).concatenate(tensors, axis=axis)


@_cat.joint_vjp
def _cat_vjp(g, tensors_shape, axis):
    parts, start = [], 0
    for shape in tensors_shape:
        stop = start + shape[axis]
        parts.append(g[(slice(None),) * axis + (slice(start, stop),)])
        start = stop
    return parts


def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """The tensors joined along an existing dimension; dtypes are promoted."""
    tensors = list(tensors)
    if not tensors:
        raise ValueError("cat(): expected a non-empty list of Tensors")
    (axis,) = normalize_dims(tensors[0].ndim, dim) or (None,)
    if axis is None:
        raise RuntimeError("zero-dimensional tensor (at position 0) cannot be concatenated: use stack()")
    first = tensors[0].array.shape
    for i, t in enumerate(tensors):
        shape = t.array.shape
        if len(shape) != len(first):
            raise RuntimeError(f"Tensors must have same number of dimensions: got {len(first)} and {len(shape)}")
        for d, (m, n) in enumerate(zip(first, shape)):
            if d != axis and m != n:
                raise RuntimeError(
                    f"Sizes of tensors must match except in dimension {axis}. "
                    f"Expected size {m} but got size {n} for tensor number {i} in the list."
                )
    if any(t.dtype != tensors[0].dtype for t in tensors):
        dtype = dtypes.promote([(t.dtype, t.array.shape) for t in tensors])
        tensors = [t.to(dtype) for t in tensors]
    return _cat(*tensors, axis=axis)


def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """The tensors, all of one shape, joined along a new dimension."""
    tensors = list(tensors)
    if not tensors:
        raise RuntimeError("stack expects a non-empty TensorList")
    for i, t in enumerate(tensors):
        if t.array.shape != tensors[0].array.shape:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(tensors[0].shape)} at entry 0 "
                f"and {list(t.shape)} at entry {i}"
            )
    return cat([unsqueeze(t, dim) for t in tensors], dim)


def split(input: Tensor, split_size_or_sections: Ints, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of consecutive parts along dim: of one size (the last may be smaller), or of the sizes listed."""
    (axis,) = normalize_dims(input.ndim, dim)
    length, sizes = input.array.shape[axis], split_size_or_sections
    if isinstance(sizes, int):
        if sizes <= 0:
            raise RuntimeError(f"split expects split_size be positive, but got split_size={sizes}")
        sizes = [min(sizes, length - start) for start in range(0, length, sizes)] or [0]
    if sum(sizes) != length:
        raise RuntimeError(
            f"split_with_sizes expects split_sizes to sum exactly to {length} (input tensor's size at dimension {axis}), "
            f"but got split_sizes={list(sizes)}"
        )
    stops = [sum(sizes[: k + 1]) for k in range(len(sizes))]
    lead = (slice(None),) * axis
    return tuple(input[lead + (slice(stop - size, stop),)] for size, stop in zip(sizes, stops))


def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most so many parts of equal size along dim; the last may be smaller."""
    if chunks <= 0:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    length = input.array.shape[normalize_dims(input.ndim, dim)[0]]
    return split(input, max(-(-length // chunks), 1), dim)


# ---- padding, flipping, rolling -----------------------------------------------------------


@op
def _pad(x, *, pads, value):
    """`pads`: (before, after) for each dimension; negative ones crop."""
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
    if len(pad) % 2 or len(pad) > 2 * input.ndim:
        raise RuntimeError(
            f"Padding length must be divisible by 2 and at most twice the number of dimensions ({input.ndim}), "
            f"but got {len(pad)} numbers"
        )
    pairs = [tuple(pad[i : i + 2]) for i in range(0, len(pad), 2)][::-1]
    pads = ((0, 0),) * (input.ndim - len(pairs)) + tuple(pairs)
    if mode == "constant":
        for n, (a, b) in zip(input.array.shape, pads):
            if n + a + b < 0:
                raise RuntimeError(f"The input size {n}, plus negative padding {a} and {b}, resulted in a negative output size")
        return _pad(input, pads=pads, value=0 if value is None else value)
    if mode not in ("reflect", "replicate", "circular"):
        raise NotImplementedError(f"Unrecognised padding mode {mode}")
    if value not in (None, 0):
        raise ValueError(f"Padding mode {mode!r} doesn't take in value argument")
    for axis, (a, b) in enumerate(pads):
        if a or b:
            n = input.array.shape[axis]
            limit = {"reflect": n - 1, "replicate": math.inf, "circular": n}[mode]
            if max(a, b) > limit or n == 0:
                raise RuntimeError(
                    f"Padding size should be at most {limit} for mode {mode!r} and size {n}, but got ({a}, {b}) "
                    f"at dimension {axis} of input {list(input.shape)}"
                )
            at = xp(input.array).arange(-a, n + b)
            if mode == "reflect":
                at = (n - 1) - abs((n - 1) - abs(at))
            elif mode == "replicate":
                at = at.clip(0, n - 1)
            input = input[(slice(None),) * axis + (wrap(at % n),)]
    return input


@op
def _flip(x, *, dims):
    return xp(x).flip(x, dims).copy()


_flip.vjp(x=lambda g, dims: _flip(g, dims=dims))


def flip(input: Any, *dims: Any) -> Any:
    """The order of elements reversed along the dims."""
    return _flip(input, dims=normalize_dims(input.ndim, _sizes(dims)))


@op
def _roll(x, *, shifts, dims):
    return xp(x).roll(x, shifts, dims)


def _opposite(shifts):
    return tuple(-s for s in shifts) if isinstance(shifts, tuple) else -shifts


_roll.vjp(x=lambda g, shifts, dims: _roll(g, shifts=_opposite(shifts), dims=dims))


def roll(input: Tensor, shifts: Ints, dims: Ints | None = None) -> Tensor:
    """Elements moved on by `shifts`; what leaves at the end comes in at the start. Without dims, flattened."""
    if dims is None:
        return _roll(input, shifts=shifts, dims=None)
    axes = normalize_dims(input.ndim, dims)
    moves = (shifts,) if isinstance(shifts, int) else tuple(shifts)
    if len(moves) != len(axes):
        raise RuntimeError(f"shifts and dimensions must align. shifts: {len(moves)}, dims:{len(axes)}")
    return _roll(input, shifts=moves, dims=axes)
