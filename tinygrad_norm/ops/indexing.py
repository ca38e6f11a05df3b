"""Indexing: elements picked by their places; the gradient is put back there, and adds up where a place was picked twice."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_norm import dtypes
from tinygrad_norm.autograd import Tensor, op
from tinygrad_norm.autograd.views import view_op
from tinygrad_norm.backend import is_array, plain_array, xp
from tinygrad_norm.engine.broadcasting import sum_over
from tinygrad_norm.ops.creation import tensor


@view_op
def _getitem(x, *, index):
    """x[index]."""
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
    if "a" in kinds_of(parts):
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


def raw_index(index: Any, array: Any) -> tuple:
    """The parts of an index as `array` takes them: Tensors, lists and NumPy arrays as arrays of its own library.

    A list that holds sequences, Tensors, slices, None or ... is a tuple, as in PyTorch; True and False are masks.
    """
    if isinstance(index, list) and any(isinstance(i, _NOT_A_NUMBER) or i is None or i is Ellipsis for i in index):
        index = tuple(index)
    parts = index if isinstance(index, tuple) else (index,)
    return tuple([i if i.__class__ is slice and i.step is None else _raw_part(i, array) for i in parts])


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
            raise IndexError(f"only integers, slices, ..., None, lists and tensors are valid: got {type(index).__name__}")
        return index.__index__()
    if index.dtype.kind == "f":
        raise IndexError(f"tensors used as indices must be long, int, byte or bool tensors, but got {index.dtype}: use .long()")
    if index.dtype == dtypes.uint8:
        index = index.astype(bool)  # PyTorch's old masks
    return xp(array).asarray(plain_array(index)) if isinstance(index, np.ndarray) else index


def kinds_of(parts: tuple) -> str:
    """A letter for each part of an index: integer, slice, None, Ellipsis, mask or array of integers."""
    kinds = ""
    for i in parts:
        if i is None or i is Ellipsis:
            kinds += "n" if i is None else "e"
        elif isinstance(i, (int, slice)):
            kinds += "i" if isinstance(i, int) else "s"
        else:
            kinds += "m" if i.dtype.kind == "b" else "a"
    return kinds


def _named(parts: tuple, kinds: str) -> int:
    """How many dimensions the parts of an index stand for, but for an Ellipsis."""
    masked = sum([i.ndim - 1 for i, kind in zip(parts, kinds) if kind == "m"]) if "m" in kinds else 0
    return len(kinds) - kinds.count("n") - kinds.count("e") + masked


def split_index(parts: tuple, kinds: str, is_full: bool) -> tuple[Any, Any]:
    """An index with integers beside arrays as two: first the integers select, then the arrays index what is left.

    So PyTorch has it; for NumPy an integer is an array too, which can move the dimensions that arrays make. And so can
    an Ellipsis that stands for no dimension, since the others stand for all (is_full): it is left out. Of several, all but
    the first are left out.
    """
    has_array = "a" in kinds or "m" in kinds
    most = 0 if has_array and is_full else 1  # so many are kept
    if kinds.count("e") > most:
        kept = kinds.index("e") if most else -1
        parts = tuple([i for n, i in enumerate(parts) if i is not Ellipsis or n == kept])
    if not (has_array and "i" in kinds):
        return None, parts
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


def _check_parts(parts: tuple, kinds: str, shape: tuple[int, ...], named: int) -> None:
    """Raise IndexError where an index has too many parts, or a number or a mask does not fit the shape."""
    skipped = len(shape) - named
    if skipped < 0:
        raise IndexError(f"too many indices for tensor of dimension {len(shape)}")
    at, sizes = 0, shape + (0,) * (len(shape) * len(parts))  # nothing is left for what follows a second Ellipsis
    for i, kind in zip(parts, kinds):
        if kind == "i" and not -sizes[at] <= i < sizes[at]:
            raise IndexError(f"index {i} is out of bounds for dimension {at} with size {sizes[at]}")
        for d, n in enumerate(i.shape if kind == "m" else ()):
            if n != sizes[at + d]:
                raise IndexError(f"The shape of the mask {i.shape} does not match the indexed tensor {shape} at {at + d}")
        at += {"e": skipped, "n": 0}.get(kind, 1) if kind != "m" else i.ndim


def getitem(input: Tensor, index: Any) -> Tensor:
    """input[index]: a view for integers, slices, None and ...; a copy for tensors, lists and masks."""
    first, then = places_of(input, index)
    return _getitem(input if first is None else _getitem(input, index=first), index=then)


def places_of(input: Tensor, index: Any) -> tuple[Any, Any]:
    """The index as two that NumPy takes, to be used one after the other; the first may be None."""
    shape = input.array.shape
    if _are_integers(index, shape):
        return None, index
    parts = raw_index(index, input.array)
    kinds = kinds_of(parts)
    if not shape and kinds == "i" and not isinstance(index, tuple):
        raise IndexError("invalid index of a 0-dim tensor. Use `tensor.item()` in Python to convert a 0-dim tensor to a number")
    named = _named(parts, kinds)
    _check_parts(parts, kinds, shape, named)
    return split_index(parts, kinds, named == len(shape))


def _are_integers(index: Any, shape: tuple[int, ...]) -> bool:
    """Whether the index is one integer, or several, none of them out of range."""
    parts = index if index.__class__ is tuple else (index,)
    if len(parts) > len(shape):
        return False
    for i, n in zip(parts, shape):  # noqa: SIM110  (a generator costs more than what it looks at)
        if i.__class__ is not int or not -n <= i < n:
            return False
    return True
