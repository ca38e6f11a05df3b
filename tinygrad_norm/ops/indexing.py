"""Indexing: elements picked by their places; the gradient is put back there, and adds up where a place was picked twice."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_norm import dtypes
from tinygrad_norm.autograd import Tensor, op
from tinygrad_norm.autograd.views import view_op
from tinygrad_norm.backend import backend_of, is_array, plain_array, xp
from tinygrad_norm.engine.broadcasting import sum_over
from tinygrad_norm.engine.tensor import wrap
from tinygrad_norm.ops.creation import full, tensor
from tinygrad_norm.ops.shape import flatten, in_own_shape, normalize_dim, reshape, unsqueeze


@view_op
def _getitem(x, *, index):
    out = x[index]
    if not is_array(out):  # NumPy gives a number where one element is left: ask for the view of it
        out = x[index + (...,) if isinstance(index, tuple) else (index, ...)]
    return out


_getitem.vjp(x=lambda g, x_shape, index: _place(g, index=index, shape=x_shape))


@op
def _place(g, *, index, shape):
    """Zeros of that shape with g added at the index, once for each time an element is named."""
    out = xp(g).zeros(shape, g.dtype)
    parts = index if isinstance(index, tuple) else (index,)
    if any(is_array(i) and i.dtype.kind in "iu" for i in parts):
        xp(g).add.at(out, index, g)
    else:
        out[index] = g
    return out


_place.vjp(g=lambda g, index: _getitem(g, index=index))


@op
def with_item(x, value, *, index):
    """x with value at the index."""
    out = xp(x).array(x)  # a copy, also of a NumPy scalar
    out[index] = value
    return out


def _value_vjp(g, value_shape, index):
    at_index = _getitem(g, index=index)
    axes = tuple(range(at_index.ndim - len(value_shape)))
    axes += tuple(i for i in range(len(axes), at_index.ndim) if value_shape[i - len(axes)] == 1)
    return sum_over(at_index, axes).reshape(value_shape) if axes else at_index


with_item.vjp(x=lambda g, index: with_item(g, 0.0, index=index), value=_value_vjp)


_NOT_A_NUMBER = (Tensor, np.ndarray, list, tuple, range, slice)


def raw_index(index: Any, array: Any) -> Any:
    """An index as `array` takes it: Tensors, lists and NumPy arrays as arrays of its own library.

    A list that holds sequences, Tensors, slices, None or ... is a tuple, as in PyTorch; True and False are masks.
    """
    if isinstance(index, list) and any(isinstance(i, _NOT_A_NUMBER) or i is None or i is Ellipsis for i in index):
        index = tuple(index)
    if isinstance(index, tuple):
        return tuple(_raw_part(i, array) for i in index)
    return _raw_part(index, array)


def _raw_part(index: Any, array: Any) -> Any:
    if index is None or index is Ellipsis:
        return index
    if isinstance(index, slice):
        if index.step is not None and not int(index.step) > 0:
            raise ValueError("step must be greater than zero: use flip()")
        return index
    if isinstance(index, (bool, np.bool_)):
        return xp(array).asarray(bool(index))
    if isinstance(index, Tensor):
        index = index.array.copy() if index.ndim or index.dtype.kind not in "iu" or index.dtype == dtypes.uint8 else int(index)
    elif isinstance(index, (list, tuple, range)):
        index = tensor(list(index)).array if len(index) else xp(array).zeros(0, dtypes.int64)
    if not is_array(index):
        if isinstance(index, (str, bytes)) or not hasattr(index, "__index__"):
            raise IndexError(
                "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid indices "
                f"(got {type(index).__name__})"
            )
        return index.__index__()
    if index.dtype.kind == "f":
        raise IndexError(f"tensors used as indices must be long, int, byte or bool tensors, but got {index.dtype}: use .long()")
    if index.dtype == dtypes.uint8:
        index = index.astype(bool)  # PyTorch's old masks
    return xp(array).asarray(plain_array(index)) if isinstance(index, np.ndarray) else index


def split_index(index: Any, ndim: int) -> tuple[Any, Any]:
    """An index with integers beside arrays as two: first the integers select, then the arrays index what is left.

    So PyTorch has it; for NumPy an integer is an array too, which can move the dimensions that arrays make. And so can
    an Ellipsis that stands for no dimension: it is left out.
    """
    parts = index if isinstance(index, tuple) else (index,)
    if sum(i is Ellipsis for i in parts) > 1:  # all but the first stand for one whole dimension each, or for none
        parts = _one_ellipsis(parts)
        index = parts
    arrays = [i for i in parts if is_array(i)]
    if not arrays:
        return None, index
    if _named(parts) == ndim:
        index = parts = tuple(i for i in parts if i is not Ellipsis)
    if not any(isinstance(i, int) for i in parts):
        return None, index
    first: list[Any] = []
    then: list[Any] = []
    for i in parts:
        if isinstance(i, int):
            first.append(i)
        elif is_array(i):
            first += [slice(None)] * (i.ndim if i.dtype.kind == "b" else 1)
            then.append(i)
        else:
            first.append(i)
            then.append(i if i is Ellipsis else slice(None))
    return tuple(first), tuple(then)


def _named(parts: tuple) -> int:
    """How many dimensions the parts of an index stand for, but for an Ellipsis."""
    return sum(i.ndim if is_array(i) and i.dtype.kind == "b" else i is not None and i is not Ellipsis for i in parts)


def _one_ellipsis(parts: tuple) -> tuple:
    kept: list[Any] = []
    for i in parts:
        if i is not Ellipsis or not any(k is Ellipsis for k in kept):
            kept.append(i)
    return tuple(kept)


def _checked(index: Any, shape: tuple[int, ...]) -> Any:
    """The index. Raises IndexError where it has too many parts, or a number or a mask does not fit the shape."""
    parts = index if isinstance(index, tuple) else (index,)
    if not shape and isinstance(index, int):
        raise IndexError("invalid index of a 0-dim tensor. Use `tensor.item()` in Python to convert a 0-dim tensor to a number")
    skipped = len(shape) - _named(parts)
    if skipped < 0:
        raise IndexError(f"too many indices for tensor of dimension {len(shape)}")
    at, sizes = 0, shape + (0,) * (len(shape) * len(parts))  # nothing is left for what follows a second Ellipsis
    for i in parts:
        if i is Ellipsis:
            at += skipped
        elif isinstance(i, int):
            if not -sizes[at] <= i < sizes[at]:
                raise IndexError(f"index {i} is out of bounds for dimension {at} with size {sizes[at]}")
            at += 1
        elif is_array(i) and i.dtype.kind == "b":
            for d, n in enumerate(i.shape):
                if n != sizes[at + d]:
                    raise IndexError(
                        f"The shape of the mask {list(i.shape)} at index {d} does not match the shape of the indexed "
                        f"tensor {list(shape)} at index {at + d}"
                    )
            at += i.ndim
        elif i is not None:
            at += 1
    return index


def getitem(input: Tensor, index: Any) -> Tensor:
    """input[index]: a view for integers, slices, None and ...; a copy for tensors, lists and masks."""
    first, then = places_of(input, index)
    return _getitem(input if first is None else _getitem(input, index=first), index=then)


def places_of(input: Tensor, index: Any) -> tuple[Any, Any]:
    """The index as two that NumPy takes, to be used one after the other; the first may be None."""
    shape = input.array.shape
    if _are_integers(index, shape):
        return None, index
    return split_index(_checked(raw_index(index, input.array), shape), len(shape))


def _are_integers(index: Any, shape: tuple[int, ...]) -> bool:
    """Whether the index is one integer, or several, none of them out of range."""
    parts = index if index.__class__ is tuple else (index,)
    if len(parts) > len(shape):
        return False
    for i, n in zip(parts, shape):  # noqa: SIM110  (a generator costs more than what it looks at)
        if i.__class__ is not int or not -n <= i < n:
            return False
    return True


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
        raise RuntimeError(
            f"Index tensor must have the same number of dimensions as input tensor, but got {index.ndim} and {input.ndim}"
        )
    if not input.ndim or not index.ndim:
        return in_own_shape(gather(at_least_1d(input), 0, at_least_1d(index)), index.array.shape)
    for d, (n, size) in enumerate(zip(index.array.shape, input.array.shape)):
        if d != axis and n > size:
            raise RuntimeError(
                f"Size does not match at dimension {d} expected index {list(index.shape)} "
                f"to be no larger than self {list(input.shape)} apart from dimension {axis}"
            )
    _check_bounds(index, input.array.shape[axis], axis)
    shape = index.array.shape
    return _getitem(input, index=_grid(shape, (2,) * len(shape), axis, index.array.copy()))


def _scattered(name: str, input: Tensor, dim: int, index: Tensor, src: Tensor) -> tuple[Tensor, tuple]:
    """The part of src that an index as large as this one takes, and where it goes."""
    axis = normalize_dim(input.ndim, dim)
    _check_index(name, index)
    if input.dtype != src.dtype:
        raise RuntimeError(f"{name}(): Expected self.dtype to be equal to src.dtype, but got {input.dtype} and {src.dtype}")
    if not max(input.ndim, 1) == max(index.ndim, 1) == max(src.ndim, 1):
        raise RuntimeError(
            "Index tensor must have the same number of dimensions as input and src, "
            f"but got {index.ndim}, {input.ndim} and {src.ndim}"
        )
    sizes, places, source = at_least_1d(input).array.shape, at_least_1d(index), at_least_1d(src)
    shape = places.array.shape
    if any(n > m for n, m in zip(shape, source.array.shape)):
        raise RuntimeError(f"Expected index {list(shape)} to be no larger than src {list(src.shape)}")
    if any(n > m for d, (n, m) in enumerate(zip(shape, sizes)) if d != axis):
        raise RuntimeError(
            f"Expected index {list(shape)} to be no larger than self {list(input.shape)} apart from dimension {axis}"
        )
    _check_bounds(places, sizes[axis], axis)
    return source[tuple(slice(n) for n in shape)], _grid(shape, (2,) * len(shape), axis, places.array.copy())


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
    if list(parts.array.shape) != [*shape[:axis], count, *shape[axis + 1 :]]:
        raise RuntimeError(
            f"index_add_(): Number of indices ({count}) should be equal to source.size(dim), and the other sizes to those of "
            f"self, but got a source of shape {list(source.shape)} and self of shape {list(input.shape)} for dim {axis}"
        )
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
        raise RuntimeError(
            "take_along_dim(): input and indices should have the same number of dimensions, "
            f"but got {input.ndim} dimensions for input, and {indices.ndim} dimensions for indices"
        )
    if not input.ndim:
        return in_own_shape(take_along_dim(at_least_1d(input), at_least_1d(indices), 0), ())
    axis, sizes = normalize_dim(input.ndim, dim), input.array.shape
    for d, (n, size) in enumerate(zip(indices.array.shape, sizes)):
        if d != axis and n != size and 1 not in (n, size):
            raise RuntimeError(
                f"The size of tensor a ({size}) must match the size of tensor b ({n}) at non-singleton dimension {d}"
            )
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
