"""Gathering and scattering: elements taken from, and put to, the places that integers name."""

from __future__ import annotations

from typing import Any

from tinygrad_norm import dtypes
from tinygrad_norm.autograd import Tensor
from tinygrad_norm.backend import backend_of, xp
from tinygrad_norm.checks.sizes import normalize_dim
from tinygrad_norm.engine.tensor import wrap
from tinygrad_norm.ops.creation import full
from tinygrad_norm.ops.indexing import _getitem, _place, with_item
from tinygrad_norm.ops.shape import flatten, in_own_shape, reshape, unsqueeze


def _grid(shape: tuple[int, ...], sizes: tuple[int, ...], dim: int, index: Any) -> tuple:
    """An index that takes `index` along dim and the element's own position along the others."""
    grid = []
    for d, n in enumerate(shape):
        along = xp(index).arange(n) if sizes[d] > 1 or n == 1 else xp(index).zeros(n, dtypes.int64)
        grid.append(index if d == dim else along.reshape((-1,) + (1,) * (len(shape) - d - 1)))
    return tuple(grid)


def gather(input: Tensor, dim: int, index: Tensor, *, sparse_grad: bool = False) -> Tensor:
    """out[i, j, ...] = input[index[i, j, ...], j, ...] for dim 0, and so on for the others."""
    axis = normalize_dim(input.ndim, dim)
    _check_index("gather", index)
    if not index.array.size and index.ndim != input.ndim:
        return reshape(flatten(input)[:0], index.array.shape)
    if max(input.ndim, 1) != max(index.ndim, 1):
        raise RuntimeError(f"Index tensor must have the same number of dimensions as input: {index.ndim}, {input.ndim}")
    if not input.ndim or not index.ndim:
        return in_own_shape(gather(at_least_1d(input), 0, at_least_1d(index)), index.array.shape)
    shape = index.array.shape
    _require_within(shape, "self", input.array.shape, axis)
    _check_bounds(index, input.array.shape[axis], axis)
    return _getitem(input, index=_grid(shape, (2,) * len(shape), axis, index.array.copy()))


def _scattered(name: str, input: Tensor, dim: int, index: Tensor, src: Tensor) -> tuple[Tensor, tuple]:
    """The part of src that an index as large as this one takes, and where it goes."""
    axis = normalize_dim(input.ndim, dim)
    _check_index(name, index)
    if input.dtype != src.dtype:
        raise RuntimeError(f"{name}(): Expected self.dtype to be equal to src.dtype, but got {input.dtype} and {src.dtype}")
    if not max(input.ndim, 1) == max(index.ndim, 1) == max(src.ndim, 1):
        raise RuntimeError(f"index, input and src: not the same number of dimensions: {index.ndim}, {input.ndim}, {src.ndim}")
    sizes, places, source = at_least_1d(input).array.shape, at_least_1d(index), at_least_1d(src)
    shape = places.array.shape
    _require_within(shape, "src", source.array.shape)
    _require_within(shape, "self", sizes, axis)
    _check_bounds(places, sizes[axis], axis)
    return source[tuple(slice(n) for n in shape)], _grid(shape, (2,) * len(shape), axis, places.array.copy())


def _require_within(shape: tuple[int, ...], name: str, sizes: tuple[int, ...], free: int | None = None) -> None:
    """Raise RuntimeError where an index is larger than what it points into, but for one dimension."""
    if any(n > m for d, (n, m) in enumerate(zip(shape, sizes)) if d != free):
        but = "" if free is None else f" apart from dimension {free}"
        raise RuntimeError(f"Expected index {list(shape)} to be no larger than {name} {list(sizes)}{but}")


def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """input with src[i, j, ...] added at [index[i, j, ...], j, ...] for dim 0, and so on: the adjoint of gather."""
    part, grid = _scattered("scatter_add", input, dim, index, src)
    added = _place(part, index=grid, shape=at_least_1d(input).array.shape)
    return input + in_own_shape(added, input.array.shape)


def scatter(input: Tensor, dim: int, index: Tensor, src: Any = None, *, value: Any = None, reduce: str | None = None) -> Tensor:
    """input with src[i, j, ...], or a number, at [index[i, j, ...], j, ...] for dim 0, and so on.

    reduce="add" adds it instead. Where an index comes twice, it is not said which of the two stays.
    """
    if reduce not in (None, "add"):
        raise NotImplementedError(f"scatter: expected reduce to be None or 'add', but got {reduce!r}")
    src = value if src is None else src
    if src is None:
        raise TypeError("scatter(): expected src, a Tensor, or a number as value")
    if not isinstance(src, Tensor):
        src = full(index.array.shape, src, dtype=input.dtype, device=backend_of(input.array).name)
    if reduce == "add":
        return scatter_add(input, dim, index, src)
    part, grid = _scattered("scatter", input, dim, index, src)
    return in_own_shape(with_item(at_least_1d(input), part, index=grid), input.array.shape)


def index_add(input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: float = 1) -> Tensor:
    """input with the slices of alpha * source added along dim at the positions listed in index: the adjoint of index_select."""
    axis = normalize_dim(input.ndim, dim)
    _check_index("index_add", index)
    if index.ndim > 1:
        raise IndexError(f"index_add_(): Index is supposed to be a vector, but got {index.ndim} dimensions")
    if input.dtype != source.dtype:
        raise RuntimeError(f"index_add_(): self ({input.dtype}) and source ({source.dtype}) must have the same dtype")
    target, index, parts = at_least_1d(input), at_least_1d(index), at_least_1d(source)
    count, shape = index.array.shape[0], list(target.array.shape)
    _check_bounds(index, shape[axis], axis)
    if (expected := [*shape[:axis], count, *shape[axis + 1 :]]) != list(parts.array.shape):
        raise RuntimeError(f"index_add_(): expected a source of shape {expected}, but got {list(source.shape)}")
    at = (slice(None),) * axis + (index.array.copy(),)
    return input + reshape(_place(parts * alpha if alpha != 1 else parts, index=at, shape=tuple(shape)), input.array.shape)


def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """As gather, but the other dimensions broadcast; without dim, from the flattened tensor."""
    _check_index("take_along_dim", indices)
    size = input.numel() if dim is None else input.array.shape[normalize_dim(input.ndim, dim)] if input.ndim else 1
    indices = wrap(xp(indices.array).where(indices.array < 0, indices.array + size, indices.array))  # counted from the end
    if dim is None:
        return take_along_dim(flatten(input), flatten(indices), 0)
    if input.ndim != indices.ndim:
        raise RuntimeError(f"take_along_dim(): expected indices of {input.ndim} dimensions, but got {indices.ndim}")
    if not input.ndim:
        return in_own_shape(take_along_dim(at_least_1d(input), at_least_1d(indices), 0), ())
    axis, sizes = normalize_dim(input.ndim, dim), input.array.shape
    for d, (n, size) in enumerate(zip(indices.array.shape, sizes)):
        if d != axis and n != size and 1 not in (n, size):
            raise RuntimeError(f"The size of tensor a ({size}) must match the size of tensor b ({n}) at dimension {d}")
    _check_bounds(indices, sizes[axis], axis)
    shape = tuple(n if d == axis else size if n == 1 else n for d, (n, size) in enumerate(zip(indices.array.shape, sizes)))
    return _getitem(input, index=_grid(shape, sizes, axis, xp(indices.array).broadcast_to(indices.array.copy(), shape)))


def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """The slices along dim at the positions listed in index (one dimension)."""
    axis = normalize_dim(input.ndim, dim)
    _check_index("index_select", index)
    if index.ndim > 1:
        raise IndexError(f"index_select(): Index is supposed to be a vector, but got {index.ndim} dimensions")
    if not input.ndim:
        if index.array.size != 1:
            raise RuntimeError(f"index_select(): Index to scalar can have only 1 value, got {index.array.size} value(s)")
        return in_own_shape(index_select(at_least_1d(input), 0, index), ())
    _check_bounds(index, input.array.shape[axis], axis, IndexError)
    return _getitem(input, index=(slice(None),) * axis + (index.array.reshape(-1).copy(),))


def at_least_1d(x: Tensor) -> Tensor:
    """A number as a vector of one element; anything else as it is."""
    return x if x.ndim else unsqueeze(x, 0)


def _check_index(name: str, index: Tensor) -> None:
    if index.dtype not in (dtypes.int64, dtypes.int32):
        raise RuntimeError(f"{name}(): Expected dtype int64 or int32 for index, but got {index.dtype}: use .long()")


def _check_bounds(index: Tensor, size: int, dim: int, error: type[Exception] = RuntimeError) -> None:
    if backend_of(index.array).name == "numpy" and index.array.size:  # a GPU would have to wait for it
        for bad in (index.array.min(), index.array.max()):
            if not 0 <= bad < size:
                raise error(f"index {int(bad)} is out of bounds for dimension {dim} with size {size}")


def nonzero(input: Tensor, *, as_tuple: bool = False) -> Any:
    """The indices of the elements that are not 0, (count, ndim) int64; as_tuple: one vector for each dimension."""
    module = xp(input.array)
    found = module.nonzero(at_least_1d(input).array)
    if as_tuple:
        return tuple(wrap(places) for places in found)
    return wrap(module.stack(found, axis=1) if input.ndim else module.zeros((found[0].size, 0), dtypes.int64))


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """int64, 1 at the class and 0 elsewhere, in a new last dimension; without num_classes, up to the largest."""
    labels = tensor.array
    if labels.dtype != dtypes.int64:
        raise RuntimeError(f"one_hot is only applicable to index tensor of type LongTensor, but got {labels.dtype}")
    if labels.size and int(labels.min()) < 0:
        raise RuntimeError("Class values must be non-negative.")
    if num_classes == -1:
        if not labels.size:
            raise RuntimeError("Can not infer total number of classes from empty tensor.")
        num_classes = int(labels.max()) + 1
    elif labels.size and int(labels.max()) >= num_classes:
        raise RuntimeError(f"Class values must be smaller than num_classes: got {int(labels.max())} of {num_classes}")
    return wrap((labels[..., None] == xp(labels).arange(num_classes)).astype(dtypes.int64))
