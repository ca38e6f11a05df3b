"""Shapes: nothing is computed, elements only move.

Each op's vjp moves the gradient back the way the elements came; where an element was used twice,
its gradients add up. Results are views of the input's memory wherever NumPy can give one. joining.py puts
tensors together, takes them apart and pads them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_norm.autograd import Tensor
from tinygrad_norm.autograd.views import keep_equal, replay, view_op
from tinygrad_norm.backend import xp
from tinygrad_norm.checks.arguments import require_kind
from tinygrad_norm.checks.sizes import Ints, normalize_dim, normalize_dims, sizes_of
from tinygrad_norm.engine.broadcasting import sum_to

# ---- reshape ------------------------------------------------------------------------------


@view_op
def _reshape(x, *, shape):
    """The elements in row-major order, in another shape.

    Where the batch is innermost in memory (fast/conv.py) and stays as it is, so does a copy's.
    """
    if x.ndim > 2 and x.strides[0] == x.itemsize and shape[:1] == x.shape[:1]:
        rest = x.transpose(*range(1, x.ndim), 0).reshape(*shape[1:], len(x))
        return rest.transpose(-1, *range(rest.ndim - 1))
    return x.reshape(shape)


_reshape.vjp(x=lambda g, x_shape: g.reshape(x_shape))


def in_shape(input: Any, shape: tuple[int, ...]) -> Any:
    """The elements in row-major order in another shape: a view, as in PyTorch, even where memory had to be copied.

    Memory is in another order than PyTorch's after a linear layer or a convolution, say. There the view is a copy
    that is kept equal.
    """
    result = _reshape(input, shape=shape)
    if isinstance(result, Tensor) and result.view_of is None and _is_view_in_pytorch(input, shape):
        keep_equal(result, input, _reshape, {"shape": shape})
    return result


def in_own_shape(input: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Reshape a result that nobody else references; the reshaped Tensor does not count as a view."""
    result = _reshape(input, shape=shape)
    result.view_of = None
    return result


def _is_view_in_pytorch(x: Tensor, shape: tuple[int, ...]) -> bool:
    """Whether memory in row-major order could be seen in that shape."""
    if x.view_of is None:
        return True
    memory = np.empty(x.view_of.root().array.shape, np.int8)
    with_view = replay(memory, (*x.view_of.steps, (_reshape, {"shape": shape})))
    return np.may_share_memory(with_view, memory)


def reshape(input: Tensor, *sizes: Any, shape: Any = None) -> Tensor:
    """The elements in row-major order, in another shape; one size may be -1. A view where possible."""
    wanted = sizes_of(sizes, shape, "shape")
    size = input.array.size
    if -1 in wanted:
        rest = math.prod(n for n in wanted if n != -1)
        if wanted.count(-1) > 1:
            raise RuntimeError("only one dimension can be inferred")
        if rest == 0 and size == 0:
            raise RuntimeError(f"cannot reshape tensor of 0 elements into shape {list(wanted)}: -1 is ambiguous")
        if rest > 0 and size % rest == 0:
            wanted = tuple(size // rest if n == -1 else n for n in wanted)
    if math.prod(wanted) != size or (wanted and min(wanted) < 0):
        raise RuntimeError(f"shape '{list(wanted)}' is invalid for input of size {size}")
    return in_shape(input, wanted)


def view(input: Tensor, *sizes: Any, size: Any = None, dtype: Any = None) -> Tensor:
    """As reshape: it never complains about the order in memory. view(dtype) sees the same bytes as another dtype."""
    if dtype is None and len(sizes) == 1 and not isinstance(sizes[0], (int, tuple, list, np.integer, Tensor)):
        dtype = sizes[0]
    if dtype is not None:
        raise NotImplementedError("view(dtype): bytes cannot be seen as another dtype here; .to(dtype) converts values")
    return reshape(input, *sizes, shape=size)


def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """The dimensions from start_dim to end_dim as one."""
    ndim = max(input.array.ndim, 1)
    start, end = normalize_dim(ndim, start_dim), normalize_dim(ndim, end_dim)
    if start > end:
        raise RuntimeError(f"flatten() has invalid args: start_dim ({start_dim}) cannot come after end_dim ({end_dim})")
    shape = input.array.shape
    if start == end and shape:
        return input
    return in_shape(input, (*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :]))


def unflatten(input: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """The dimension dim as several, of these sizes; one of them may be -1."""
    at, shape, wanted = normalize_dim(input.ndim, dim), input.array.shape, sizes_of((), tuple(sizes), "sizes")
    rest = math.prod(n for n in wanted if n != -1)
    found = tuple(shape[at] // max(rest, 1) if n == -1 else n for n in wanted)
    if not wanted or wanted.count(-1) > 1 or math.prod(found) != shape[at]:
        raise RuntimeError(f"unflatten: Provided sizes {list(wanted)} don't multiply up to the size of dim {at} ({shape[at]})")
    return in_shape(input, (*shape[:at], *found, *shape[at + 1 :]))


def squeeze(input: Tensor, dim: Ints | None = None) -> Tensor:
    """Without its dimensions of size 1, or without those in `dim` that have size 1."""
    shape = input.array.shape
    dims = range(len(shape)) if dim is None else normalize_dims(len(shape), dim)
    return in_shape(input, tuple([n for i, n in enumerate(shape) if n != 1 or i not in dims]))


def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """With a dimension of size 1 at `dim`."""
    shape = input.array.shape
    at = normalize_dim(len(shape) + 1, dim)
    return in_shape(input, (*shape[:at], 1, *shape[at:]))


# ---- transpose ----------------------------------------------------------------------------


@view_op
def _permute(x, *, dims):
    """The dimensions in another order."""
    return x.transpose(dims)


_permute.vjp(x=lambda g, dims: _permute(g, dims=tuple(sorted(range(len(dims)), key=dims.__getitem__))))


def permute(input: Tensor, *order: Any, dims: Any = None) -> Tensor:
    """The dimensions in another order."""
    wanted = sizes_of(order, dims, "dims")
    if len(wanted) != input.ndim:
        raise RuntimeError(f"permute: number of dimensions {input.ndim} does not match the length of the ordering {wanted}")
    return _permute(input, dims=normalize_dims(input.ndim, wanted))


def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Two dimensions exchanged."""
    ndim = input.array.ndim
    order, a, b = list(range(ndim)), normalize_dim(ndim, dim0), normalize_dim(ndim, dim1)
    if order:
        order[a], order[b] = b, a
    return _permute(input, dims=tuple(order))


def swapaxes(input: Tensor, axis0: int, axis1: int) -> Tensor:
    """transpose, under NumPy's name."""
    return transpose(input, axis0, axis1)


def t(input: Tensor) -> Tensor:
    """A matrix transposed; a vector or a single number as it is."""
    if input.array.ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {input.ndim}D")
    return _permute(input, dims=(1, 0)) if input.array.ndim == 2 else transpose(input, 0, -1)


def movedim(input: Tensor, source: Ints, destination: Ints) -> Tensor:
    """The dimensions `source` moved to the places `destination`; the others keep their order."""
    sources, places = normalize_dims(input.ndim, source), normalize_dims(input.ndim, destination)
    if len(sources) != len(places):
        raise RuntimeError(f"movedim: expected as many destinations as sources, but got {list(places)} and {list(sources)}")
    moved = dict(zip(places, sources))
    rest = iter(d for d in range(input.ndim) if d not in sources)
    return _permute(input, dims=tuple(moved[d] if d in moved else next(rest) for d in range(input.ndim)))


def move_to_front(input: Tensor, dims: tuple[int, ...]) -> Tensor:
    """The given dimensions first, the others after them in their order."""
    return _permute(input, dims=dims + tuple(i for i in range(input.ndim) if i not in dims))


# ---- repetition ---------------------------------------------------------------------------


@view_op
def _broadcast_to(x, *, shape):
    """x, repeated along the new dimensions and those of size 1."""
    return xp(x).broadcast_to(x, shape)


_broadcast_to.vjp(x=lambda g, x_shape: sum_to(g, x_shape))


def broadcast_to(input: Any, shape: Sequence[int]) -> Any:
    """Repeated along dimensions of size 1 and new leading ones, without copying."""
    require_kind("broadcast_to", "input", "Tensor", input)
    return expand(input, shape) if isinstance(input, Tensor) else _broadcast_to(input, shape=tuple(shape))


def expand(input: Tensor, *sizes: Any, size: Any = None) -> Tensor:
    """As broadcast_to; a size of -1 keeps the dimension."""
    shape, old = list(sizes_of(sizes, size)), input.array.shape
    lead = len(shape) - len(old)
    if lead < 0:
        raise RuntimeError(f"expand: expected at least {len(old)} sizes, one for each dimension, but got {shape}")
    for i, n in enumerate(shape):
        if n < 0 and (n != -1 or i < lead):
            raise RuntimeError(f"expand: expected sizes >= 0, or -1 to keep one that is there, but got {shape}")
    for i, n in enumerate(old):
        if shape[lead + i] == -1:
            shape[lead + i] = n
        elif n not in (1, shape[lead + i]):
            raise RuntimeError(f"expand {list(old)} to {shape}: the size at {lead + i} must match the existing size {n}")
    return _broadcast_to(input, shape=tuple(shape))


def repeat(input: Tensor, *sizes: Any, repeats: Any = None) -> Tensor:
    """The tensor repeated so many times along each dimension, copied."""
    times = sizes_of(sizes, repeats, "repeats")
    lead = len(times) - input.ndim
    if lead < 0:
        raise RuntimeError(f"repeat: repeats can not be smaller in number: at least {input.ndim}, but got {len(times)}")
    if any(n < 0 for n in times):
        raise RuntimeError(f"repeat: expected repeats that are not negative, but got {list(times)}")
    old = (1,) * lead + input.array.shape
    spaced = _reshape(input, shape=tuple(s for n in old for s in (1, n)))
    spaced = _broadcast_to(spaced, shape=tuple(s for n, t in zip(old, times) for s in (t, n)))
    return _reshape(spaced, shape=tuple(n * t for n, t in zip(old, times))).clone()


def tile(input: Tensor, *sizes: Any, dims: Any = None) -> Tensor:
    """As repeat; missing leading repeats are 1."""
    times = sizes_of(sizes, dims, "dims")
    return repeat(input, (1,) * (input.ndim - len(times)) + times)


def reshape_as(self: Tensor, other: Tensor) -> Tensor:
    """self.reshape(other.shape)."""
    return reshape(self, other.shape)


def expand_as(self: Tensor, other: Tensor) -> Tensor:
    """self.expand(other.shape)."""
    return expand(self, other.shape)


view_as = reshape_as
