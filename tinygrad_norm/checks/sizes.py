"""Sizes and dimensions, given as one number or several: made tuples of integers, or refused."""

from __future__ import annotations

from collections.abc import Sequence
from operator import index as as_index
from typing import Any

import numpy as np

Ints = int | Sequence[int]


def normalize_dims(ndim: int, dim: Any) -> tuple[int, ...]:
    """The dimensions counted from 0. Raises IndexError out of range, RuntimeError for doubles, TypeError for no integers."""
    dims = tuple(dim) if isinstance(dim, (tuple, list)) else (dim,)
    bound = max(ndim, 1)
    result = []
    for d in dims:
        if isinstance(d, (bool, np.bool_)):
            raise TypeError(f"dim must be an integer or a tuple of integers, but got {dim!r}")
        try:
            at = as_index(d)
        except TypeError:
            raise TypeError(f"dim must be an integer or a tuple of integers, but got {dim!r}") from None
        if not -bound <= at < bound:
            raise IndexError(f"Dimension out of range (expected to be in range of [{-bound}, {bound - 1}], but got {at})")
        if at % bound in result:
            raise RuntimeError(f"dim {at % bound} appears multiple times in the list of dims")
        result.append(at % bound)
    return tuple(result) if ndim else ()


def normalize_dim(ndim: int, dim: Any) -> int:
    """One dimension, counted from 0; 0 for a tensor without dimensions."""
    if dim.__class__ is int and -ndim <= dim < ndim:
        return dim % ndim
    if isinstance(dim, (tuple, list)):
        raise TypeError(f"dim must be an integer, but got {dim!r}")
    return (normalize_dims(ndim, dim) or (0,))[0]


def dim_of(name: str, ndim: int, dim: Any, error: type[Exception] = RuntimeError) -> int:
    """As normalize_dim, where a tensor without dimensions will not do."""
    if not ndim:
        raise error(f"{name}: dimension specified as {dim}, but the tensor has no dimensions")
    return normalize_dim(ndim, dim)


def sizes_of(sizes: tuple, given: Any = None, name: str = "size") -> tuple[int, ...]:
    """Sizes given as separate arguments, as one sequence, or by name."""
    if given is not None:
        sizes = (given,)
    if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
        sizes = tuple(sizes[0])
    try:
        return tuple(map(as_index, sizes))
    except TypeError:
        raise TypeError(f"{name} must be integers, but got {sizes!r}") from None


def pair(value: Any, name: str, least: int | None = None) -> tuple[int, int]:
    """One number for both dimensions, or one for each. Raises RuntimeError unless they are `least` at least."""
    if value.__class__ is int:
        value = (value, value)
    if not (value.__class__ is tuple and len(value) == 2 and value[0].__class__ is value[1].__class__ is int):
        numbers = sizes_of((value,), None, name)
        value = numbers * 2 if len(numbers) == 1 else numbers
    if len(value) != 2 or (least is not None and min(value) < least):
        expected = "" if least is None else f" of at least {least}"
        raise RuntimeError(f"{name} must either be a single int, or a tuple of two ints,{expected} but got {value!r}")
    return value


def single(value: Any, name: str) -> int:
    """One number, also in a sequence of one."""
    numbers = sizes_of((value,), None, name)
    if len(numbers) != 1:
        raise RuntimeError(f"{name} must be a single int, but got {value!r}")
    return numbers[0]


def padding_pairs(
    padding: Any, kernel: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]
) -> tuple[tuple[int, int], ...]:
    """How many zeros before and after, for each dimension; of an odd number the larger part comes after."""
    if padding == "valid":
        return ((0, 0),) * len(kernel)
    if padding == "same":
        if any(s != 1 for s in stride):
            raise RuntimeError("padding='same' is not supported for strided convolutions")
        totals = [d * (k - 1) for k, d in zip(kernel, dilation)]
        return tuple((total // 2, total - total // 2) for total in totals)
    if isinstance(padding, str) or min(padding) < 0:
        raise RuntimeError(f"padding has to be 'same', 'valid' or numbers (negative padding is not supported), got {padding!r}")
    return tuple((p, p) for p in padding)
