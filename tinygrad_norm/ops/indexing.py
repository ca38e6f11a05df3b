"""Indexing: elements picked by their places; the gradient is put back there, and adds up where a place was picked twice."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_norm import dtypes
from tinygrad_norm.autograd import Tensor, op, wrap
from tinygrad_norm.backend import backend_of, is_array, xp
from tinygrad_norm.ops.shape import flatten, normalize_dims


@op(view=True)
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


def raw_index(index: Any, array: Any) -> Any:
    """An index as `array` takes it: Tensors, lists and NumPy arrays as arrays of its own library."""
    if isinstance(index, tuple):
        return tuple(raw_index(i, array) for i in index)
    if isinstance(index, Tensor):
        index = index.array.copy() if index.ndim else index.__index__() if index.dtype.kind in "iu" else index.array
    elif isinstance(index, list):
        index = xp(array).asarray(index) if index else xp(array).zeros(0, dtypes.int64)
    if not is_array(index):
        return index
    if index.dtype.kind == "f":
        raise IndexError(f"tensors used as indices must be long, int, byte or bool tensors, but got {index.dtype}: use .long()")
    if index.dtype == dtypes.uint8:
        index = index.astype(bool)  # PyTorch's old masks
    return xp(array).asarray(index) if isinstance(index, np.ndarray) else index


def split_index(index: Any, ndim: int) -> tuple[Any, Any]:
    """An index with integers beside arrays as two: first the integers select, then the arrays index what is left.

    So PyTorch has it; for NumPy an integer is an array too, which can move the dimensions that arrays make. And so can
    an Ellipsis that stands for no dimension: it is left out.
    """
    parts = index if isinstance(index, tuple) else ()
    named = sum(i.ndim if is_array(i) and i.dtype.kind == "b" else i is not None and i is not Ellipsis for i in parts)
    if named == ndim and any(map(is_array, parts)):
        index = parts = tuple(i for i in parts if i is not Ellipsis)
    if not any(map(is_array, parts)) or not any(isinstance(i, (int, np.integer)) for i in parts):
        return None, index
    first: list[Any] = []
    then: list[Any] = []
    for i in parts:
        if isinstance(i, (int, np.integer)) and not isinstance(i, bool):
            first.append(i)
        elif is_array(i):
            first += [slice(None)] * (i.ndim if i.dtype.kind == "b" else 1)
            then.append(i)
        else:
            first.append(i)
            then.append(i if i is Ellipsis else slice(None))
    return tuple(first), tuple(then)


def getitem(input: Tensor, index: Any) -> Tensor:
    """input[index]: a view for integers, slices, None and ...; a copy for tensors, lists and masks."""
    first, then = split_index(raw_index(index, input.array), input.ndim)
    return _getitem(input if first is None else _getitem(input, index=first), index=then)


def _grid(shape: tuple[int, ...], sizes: tuple[int, ...], dim: int, index: Any) -> tuple:
    """An index that takes `index` along dim and the element's own position along the others."""
    grid = []
    for d, n in enumerate(shape):
        along = xp(index).arange(n) if sizes[d] > 1 or n == 1 else xp(index).zeros(n, dtypes.int64)
        grid.append(index if d == dim else along.reshape((-1,) + (1,) * (len(shape) - d - 1)))
    return tuple(grid)


def gather(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """out[i, j, ...] = input[index[i, j, ...], j, ...] for dim 0, and so on for the others."""
    if input.ndim != index.ndim:
        raise RuntimeError(
            f"Index tensor must have the same number of dimensions as input tensor, but got {index.ndim} and {input.ndim}"
        )
    (axis,) = normalize_dims(input.ndim, dim)
    _check_index(index, input.array.shape[axis], axis)
    for d, (n, size) in enumerate(zip(index.array.shape, input.array.shape)):
        if d != axis and n > size:
            raise RuntimeError(
                f"Size does not match at dimension {d} expected index {list(index.shape)} "
                f"to be no larger than self {list(input.shape)} apart from dimension {axis}"
            )
    shape = index.array.shape
    return _getitem(input, index=_grid(shape, (2,) * len(shape), axis, index.array.copy()))


def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """Input with src[i, j, ...] added at [index[i, j, ...], j, ...] for dim 0, and so on: the adjoint of gather."""
    if not input.ndim == index.ndim == src.ndim:
        raise RuntimeError(
            "Index tensor must have the same number of dimensions as input and src, "
            f"but got {index.ndim}, {input.ndim} and {src.ndim}"
        )
    (axis,) = normalize_dims(input.ndim, dim)
    _check_index(index, input.array.shape[axis], axis)
    shape = index.array.shape
    if any(n > m for n, m in zip(shape, src.array.shape)):
        raise RuntimeError(f"Expected index {list(shape)} to be no larger than src {list(src.shape)}")
    grid = _grid(shape, (2,) * len(shape), axis, index.array.copy())
    return input + _place(src[tuple(slice(n) for n in shape)], index=grid, shape=input.array.shape)


def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """As gather, but the other dimensions broadcast; without dim, from the flattened tensor."""
    if dim is None:
        return flatten(input)[flatten(indices)]
    if input.ndim != indices.ndim:
        raise RuntimeError(
            "take_along_dim(): input and indices should have the same number of dimensions, "
            f"but got {input.ndim} dimensions for input, and {indices.ndim} dimensions for indices"
        )
    (axis,) = normalize_dims(input.ndim, dim)
    _check_index(indices, input.array.shape[axis], axis)
    sizes = input.array.shape
    shape = tuple(n if d == axis else max(n, size) for d, (n, size) in enumerate(zip(indices.array.shape, sizes)))
    return _getitem(input, index=_grid(shape, sizes, axis, xp(indices.array).broadcast_to(indices.array.copy(), shape)))


def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """The slices along dim at the positions listed in index (one dimension)."""
    if index.ndim > 1:
        raise IndexError(f"index_select(): Index is supposed to be a vector, but got {index.ndim} dimensions")
    (axis,) = normalize_dims(input.ndim, dim)
    _check_index(index, input.array.shape[axis], axis, IndexError)
    return _getitem(input, index=(slice(None),) * axis + (index.array.reshape(-1).copy(),))


def _check_index(index: Tensor, size: int, dim: int, error: type[Exception] = RuntimeError) -> None:
    if index.dtype not in (dtypes.int64, dtypes.int32):
        raise RuntimeError(f"expected an index of dtype int64 or int32, but got {index.dtype}: use .long()")
    if backend_of(index.array).name == "numpy" and index.array.size:  # a GPU would have to wait for it
        for bad in (index.array.min(), index.array.max()):
            if not 0 <= bad < size:
                raise error(f"index {int(bad)} is out of bounds for dimension {dim} with size {size}")


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
