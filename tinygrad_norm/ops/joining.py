"""Tensors put together and taken apart; elements moved about: padded, flipped, rolled, repeated."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

from tinygrad_norm.autograd import Tensor, op
from tinygrad_norm.autograd.views import view_op
from tinygrad_norm.backend import xp
from tinygrad_norm.checks.sizes import Ints, dim_of, normalize_dim, normalize_dims, sizes_of
from tinygrad_norm.engine.tensor import wrap
from tinygrad_norm.ops.shape import flatten, unsqueeze
from tinygrad_norm.promotion import promote

# ---- cat and stack ------------------------------------------------------------------------


@op
def _cat(*tensors, axis):
    """The arrays one after the other along the axis."""
    return xp(*tensors).concatenate(tensors, axis=axis)


@_cat.joint_vjp
def _cat_vjp(g, tensors_shape, axis):
    parts, start = [], 0
    for shape in tensors_shape:
        stop = start + shape[axis]
        parts.append(g[(slice(None),) * axis + (slice(start, stop),)])
        start = stop
    return parts


@op
def _stack(*tensors, axis):
    """The arrays along a new axis."""
    lead = (slice(None),) * axis
    return xp(*tensors).concatenate([t[(*lead, None)] for t in tensors], axis=axis)


@_stack.joint_vjp
def _stack_vjp(g, tensors_shape, axis):
    return [g[(slice(None),) * axis + (i,)] for i in range(len(tensors_shape))]


def as_list(name: str, tensors: Any) -> list[Tensor]:
    """A list or tuple of Tensors as a list. Raises TypeError for anything else."""
    if isinstance(tensors, Tensor) or not isinstance(tensors, (list, tuple)):
        raise TypeError(f"{name}(): argument 'tensors' must be tuple of Tensors, not {type(tensors).__name__}")
    for i, t in enumerate(tensors):
        if not isinstance(t, Tensor):
            raise TypeError(f"{name}(): expected Tensor as element {i} in argument 0, but got {type(t).__name__}")
    return list(tensors)


def in_one_dtype(tensors: list[Tensor]) -> list[Tensor]:
    """The Tensors in the dtype to which theirs promote."""
    first = tensors[0].array.dtype
    for t in tensors:
        if t.array.dtype is not first:
            dtype = promote([(t.dtype, t.array.shape) for t in tensors])
            return [t.to(dtype) for t in tensors]
    return tensors


def cat(tensors: Sequence[Tensor], dim: int = 0, *, axis: int | None = None) -> Tensor:
    """The tensors joined along an existing dimension; dtypes are promoted. Tensors of shape (0,) are passed over."""
    tensors = as_list("cat", tensors)
    if not tensors:
        raise ValueError("cat(): expected a non-empty list of Tensors")
    for i, t in enumerate(tensors):
        if not t.array.ndim:
            raise RuntimeError(f"zero-dimensional tensor (at position {i}) cannot be concatenated: use stack()")
    tensors = in_one_dtype(tensors)
    joined = [t for t in tensors if t.array.shape != (0,)] or tensors[:1]
    at = normalize_dim(joined[0].array.ndim, dim if axis is None else axis)
    first = joined[0].array.shape
    for i, t in enumerate(joined):
        shape = t.array.shape
        if len(shape) != len(first):
            raise RuntimeError(f"Tensors must have same number of dimensions: got {len(first)} and {len(shape)}")
        for d, (m, n) in enumerate(zip(first, shape)):
            if d != at and m != n:
                raise RuntimeError(f"Sizes of tensors must match except in dimension {at}: expected {m}, tensor {i} has {n}")
    return _cat(*joined, axis=at)


def stack(tensors: Sequence[Tensor], dim: int = 0, *, axis: int | None = None) -> Tensor:
    """The tensors, all of one shape, joined along a new dimension."""
    tensors, dim = as_list("stack", tensors), dim if axis is None else axis
    if not tensors:
        raise RuntimeError("stack expects a non-empty TensorList")
    for i, t in enumerate(tensors):
        if t.array.shape != tensors[0].array.shape:
            raise RuntimeError(f"stack expects equal sizes: {list(tensors[0].shape)} at entry 0, {list(t.shape)} at entry {i}")
    return _stack(*in_one_dtype(tensors), axis=normalize_dim(tensors[0].array.ndim + 1, dim))


# ---- split --------------------------------------------------------------------------------

_FROZEN = (
    "This view is the output of a function that returns multiple views. "
    "Such functions do not allow the output views to be modified inplace"
)


def _parts(input: Tensor, indices: Sequence[Any]) -> tuple[Tensor, ...]:
    """Several views at once, which may not be edited while gradients are recorded."""
    parts = tuple(input[index] for index in indices)
    for part in parts:
        if part.view_of is not None:
            part.view_of.edit_error = _FROZEN
    return parts


def split(tensor: Tensor, split_size_or_sections: Any = None, dim: int = 0, *, split_size: Any = None) -> tuple[Tensor, ...]:
    """Views of consecutive parts along dim: of one size (the last may be smaller), or of the sizes listed."""
    axis = dim_of("split", tensor.ndim, dim)
    length, wanted = tensor.array.shape[axis], split_size_or_sections if split_size is None else split_size
    sizes = sizes_of((wanted,), None, "split_size")
    if not isinstance(wanted, (list, tuple)):
        size = sizes[0]
        if size < 0 or (size == 0 and length):
            raise RuntimeError(f"split expects split_size be non-negative, but got split_size={size}")
        sizes = tuple(min(size, length - start) for start in range(0, length, size)) if length else (0,)
    if sum(sizes) != length or any(n < 0 for n in sizes):
        raise RuntimeError(f"split_with_sizes expects split_sizes to sum exactly to {length}, but got {list(sizes)}")
    stops = [sum(sizes[: k + 1]) for k in range(len(sizes))]
    lead = (slice(None),) * axis
    return _parts(tensor, [(*lead, slice(stop - size, stop)) for size, stop in zip(sizes, stops)])


def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most so many parts of equal size along dim; the last may be smaller."""
    axis, (chunks,) = dim_of("chunk", input.ndim, dim), sizes_of((chunks,), None, "chunks")
    if chunks <= 0:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    length = input.array.shape[axis]
    return split(input, [0] * chunks, dim) if not length else split(input, -(-length // chunks), dim)


def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """The slices along dim, without that dimension."""
    axis = dim_of("unbind", input.ndim, dim, IndexError)
    lead = (slice(None),) * axis
    return _parts(input, [(*lead, i) for i in range(input.array.shape[axis])])


def narrow(input: Tensor, dim: int, start: int, length: int) -> Tensor:
    """`length` elements along dim, from start on."""
    axis = dim_of("narrow", input.ndim, dim)
    size = input.array.shape[axis]
    first = int(start) + (size if start < 0 else 0)
    if length < 0 or not 0 <= first <= first + length <= size:
        raise RuntimeError(f"start ({start}) + length ({length}) exceeds dimension size ({size}).")
    return input[(slice(None),) * axis + (slice(first, first + length),)]


def select(input: Tensor, dim: int, index: int) -> Tensor:
    """The slice at one index along dim, without that dimension."""
    return input[(slice(None),) * dim_of("select", input.ndim, dim, IndexError) + (sizes_of((index,), None, "index")[0],)]


# ---- flipped, rolled, repeated ------------------------------------------------------------


@op
def _flip(x, *, dims):
    """The order reversed along the axes."""
    return xp(x).flip(x, dims).copy()


_flip.vjp(x=lambda g, dims: _flip(g, dims=dims))


def flip(input: Any, *order: Any, dims: Any = None) -> Any:
    """The order of elements reversed along the dims."""
    return _flip(input, dims=normalize_dims(input.ndim, sizes_of(order, dims, "dims")))


@op
def _roll(x, *, shifts, dims):
    """out[(i + shift) mod n] = x[i]."""
    return xp(x).roll(x, shifts, dims)


def _opposite(shifts):
    return tuple(-s for s in shifts) if isinstance(shifts, tuple) else -shifts


_roll.vjp(x=lambda g, shifts, dims: _roll(g, shifts=_opposite(shifts), dims=dims))


def roll(input: Tensor, shifts: Ints, dims: Ints | None = None) -> Tensor:
    """Elements moved on by `shifts`; what leaves at the end comes in at the start. Without dims, flattened."""
    moves = sizes_of((shifts,), None, "shifts")
    axes = () if dims is None else sizes_of((dims,), None, "dims")
    if not moves:
        raise RuntimeError("`shifts` required")
    if len(moves) != max(len(axes), 1):
        raise RuntimeError(f"shifts and dimensions must align. shifts: {len(moves)}, dims:{len(axes)}")
    if not axes:
        return _roll(input, shifts=moves[0], dims=None)
    return _roll(input, shifts=moves, dims=tuple(dim_of("roll", input.ndim, d, IndexError) for d in axes))


def repeat_interleave(input: Tensor, repeats: Any = None, dim: int | None = None, *, output_size: int | None = None) -> Tensor:
    """Each element repeated so often in a row: by one number, or by one for each; flattened without dim.

    Of integers alone, each position as often as they say: repeat_interleave(tensor([0, 2])) is [1, 1]. output_size: how
    many there have to be in the end; RuntimeError if there are not.
    """
    if repeats is None:
        if input.dtype.kind not in "iu" or input.ndim != 1:
            raise RuntimeError(f"repeats has to be a vector of integers, but got {input.dtype} of shape {list(input.shape)}")
        module = xp(input.array)
        input, repeats, dim = wrap(module.arange(input.array.size, dtype="int64")), input, 0
    if dim is None:
        input, dim = flatten(input), 0
    axis = normalize_dim(input.ndim, dim)
    if isinstance(repeats, Tensor):
        counts = repeats.array
    else:
        counts = xp(input.array).asarray(sizes_of((operator.index(repeats),), None, "repeats")[0])
    if counts.dtype.kind not in "iu" or counts.ndim > 1:
        raise RuntimeError("repeats must be 0-dim or 1-dim tensor of integers")
    n = input.array.shape[axis]
    if counts.ndim and counts.size not in (1, n):
        raise RuntimeError(f"repeats must have the same size as input along dim, but got {counts.size} and {n}")
    if counts.size and int(counts.min()) < 0:
        raise RuntimeError("repeats can not be negative")
    module = xp(input.array)
    at = module.repeat(module.arange(n), counts.tolist() if counts.ndim else int(counts))
    if output_size is not None and output_size != at.size:
        raise RuntimeError(f"output_size is {output_size}, but the repeats add up to {at.size}")
    return input[(slice(None),) * axis + (wrap(at),)]


def unfold(input: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """All slices of `size` along the dimension, a step apart; their elements in a new last dimension."""
    axis = normalize_dim(input.ndim, dimension)
    n = input.array.shape[axis] if input.ndim else 1
    if not 0 <= size <= n:
        raise RuntimeError(f"maximum size for tensor at dimension {axis} is {n} but size is {size}")
    if step <= 0:
        raise RuntimeError(f"step is {step} but must be > 0")
    return _unfold(input if input.ndim else unsqueeze(input, 0), axis=axis, size=size, step=step)[() if input.ndim else 0]


@view_op
def _unfold(x, *, axis, size, step):
    """Windows of the memory itself."""
    shape, strides = list(x.shape), list(x.strides)
    shape[axis], strides[axis] = (shape[axis] - size) // step + 1, strides[axis] * step
    return xp(x).lib.stride_tricks.as_strided(x, (*shape, size), (*strides, x.strides[axis]))


@op
def _fold(g, *, axis, size, step, shape):
    """The adjoint of _unfold: each window added where it was."""
    out, lead = xp(g).zeros(shape, g.dtype), (slice(None),) * axis
    for i in range(size):
        where = lead + (slice(i, i + (g.shape[axis] - 1) * step + 1, step),)
        out[where] += g[..., i]
    return out


_unfold.vjp(x=lambda g, x_shape, axis, size, step: _fold(g, axis=axis, size=size, step=step, shape=x_shape))
_fold.vjp(g=lambda h, axis, size, step: _unfold(h, axis=axis, size=size, step=step))
