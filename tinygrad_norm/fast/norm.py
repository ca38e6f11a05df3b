"""The norms as loops: what is added up first, then what is written. nn/functional/norm.py has the formulas.

The array is seen as rows, runs of memory along which the group (and the weight) either stays the same or changes with
every element. So one loop serves all four norms, in any memory order:

    batch norm of (N, C, H, W)      a row is an image's channel: one group, one weight
    the same, batch innermost       a row is a channel's line of all images: one group, one weight
    batch norm of (N, C)            a row is a sample: a group and a weight for each element
    layer norm of (N, D)            a row is a sample: one group, a weight for each element

`groups[r]` is the group of row r, of its first element if groups change along the row; `weights[r]` likewise.

Sums are float64. Before anything is squared, the group's first element is taken off, so that a large mean does no harm.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np

from tinygrad_norm.fast.compiled import at, compiled, order_of
from tinygrad_norm.fast.threads import call, get_num_threads, parallel_for

Axes = tuple[int, ...]
_CACHED = 2**15  # elements that stay in the cache anyway
_LEAST = 2**17  # elements for which a second thread is worth waking


# ---- how memory is seen -------------------------------------------------------------------


class Rows(NamedTuple):
    """Memory as rows. order: the dimensions, slowest first; groups, weights: of each row; along_*: whether they change
    along a row; same: True if groups and weights change along the same dimensions; first: where each group
    has its first element; per_group: how many rows follow one another in each group, 0 where groups do not lie together.
    """

    order: Axes
    back: Axes
    length: int
    groups: np.ndarray
    weights: np.ndarray
    along_groups: bool
    along_weights: bool
    same: bool
    first: np.ndarray
    per_group: int


@functools.lru_cache(maxsize=256)
def rows_of(shape: Axes, strides: Axes, axes: Axes, affine: Axes) -> Rows:
    """The rows of an array that is packed in memory, for moments over `axes` and a weight of the shape `affine`."""
    order = tuple(sorted(range(len(shape)), key=lambda i: (-strides[i], i)))
    back = tuple(sorted(range(len(order)), key=order.__getitem__))
    kinds = {i: (i not in axes, affine[i] > 1) for i in order if shape[i] > 1}  # whether group and weight change along i
    row: list[int] = []  # the dimensions that make up a row: the fastest, and those before it of the same kind
    for i in reversed(kinds):
        if row and kinds[i] != kinds[row[0]]:
            break
        row.insert(0, i)
    along_groups, along_weights = kinds[row[0]] if row else (False, False)

    def numbers(changing: list[int]) -> np.ndarray:
        """For each row, the number in memory order of what changes along these dimensions, at its first element."""
        kept = [shape[i] if i in changing else 1 for i in order]
        every = np.broadcast_to(np.arange(math.prod(kept)).reshape(kept), [shape[i] for i in order])
        return every[tuple(slice(1) if i in row else slice(None) for i in order)].flatten()

    groups = numbers([i for i in order if i not in axes])
    weights = numbers([i for i in order if affine[i] > 1])
    length = math.prod(shape[i] for i in row)
    _, rows = np.unique(groups, return_index=True)
    first = rows[:, None] * length + (np.arange(length) if along_groups else np.arange(1))
    together = not along_groups and bool((np.diff(groups) >= 0).all())
    per_group = len(groups) // len(rows) if together else 0
    same = along_groups and all(in_group == in_weight for in_group, in_weight in kinds.values())
    return Rows(order, back, length, groups, weights, along_groups, along_weights, same, first.reshape(-1), per_group)


def _packed(x: np.ndarray) -> np.ndarray:
    """x, or a copy, without gaps in memory."""
    return x if x.flags.c_contiguous or x.transpose(order_of(x.strides)).flags.c_contiguous else x.copy()


# ---- the loops ----------------------------------------------------------------------------


@compiled
def _row_moments(x, first):
    """The sums of c and of c * c over a row, c = x - first: 256 elements in x's precision, then float64."""
    total, squares = 0.0, 0.0
    for start in range(0, len(x), 256):
        X, t, s = x[start : start + 256], x.dtype.type(0), x.dtype.type(0)
        for j in range(len(X)):
            c = X[j] - first
            t += c
            s += c * c
        total += t
        squares += s
    return total, squares


@compiled
def _add_row(x, first, total, squares, g):
    """The sums of c and c * c of one row that belongs to one group, c = x - first."""
    t = s = 0.0
    for j in range(len(x)):
        c = np.float64(x[j] - first)
        t += c
        s += c * c
    total[g] += t
    squares[g] += s


@compiled
def _add_elements(x, first, total, squares):
    """The same of a row in which each element belongs to a group of its own."""
    for j in range(len(x)):
        c = np.float64(x[j] - first[j])
        total[j] += c
        squares[j] += c * c


@compiled
def _add_up(x, groups, along, first, totals, part, lo, hi):
    total, squares, n = totals[part, 0], totals[part, 1], x.shape[1]
    for r in range(lo, hi):
        g = groups[r]
        if along:
            _add_elements(x[r], first[g : g + n], total[g : g + n], squares[g : g + n])
        else:
            _add_row(x[r], first[g], total, squares, g)


@compiled
def _set_moments(g, first, rest, squares, mean, variance):
    """Mean and variance of group g, of the means of c and of c * c."""
    mean[g] = first[g] + rest
    variance[g] = max(squares - rest * rest, 0.0) if squares < np.inf else np.nan


@compiled
def _set_coefficients(g, centre, scale, offset, mean, variance, eps):
    """(x - mean) / sqrt(variance + eps) = (x - centre) * scale + offset, with the mean, rounded, as the centre."""
    rstd = 1 / np.sqrt(variance[g] + eps)
    centre[g], scale[g] = mean[g], rstd
    offset[g] = (np.float64(centre[g]) - mean[g]) * rstd


@compiled
def _set_all_moments(first, mean, variance, totals, count):
    for g in range(len(first)):
        total, squares = totals[:, 0, g].sum(), totals[:, 1, g].sum()
        _set_moments(g, first, total / count, squares / count, mean, variance)


@compiled
def _set_all_coefficients(centre, scale, offset, mean, variance, eps):
    for g in range(len(mean)):
        _set_coefficients(g, centre, scale, offset, mean, variance, eps)


@compiled
def _write_row(y, x, centre, scale, offset, weight, bias):
    for j in range(len(x)):
        y[j] = ((x[j] - at(centre, j)) * at(scale, j) + at(offset, j)) * at(weight, j) + at(bias, j)


@compiled
def _write(y, x, groups, along_groups, weights, along_weights, centre, scale, offset, weight, bias, part, lo, hi):
    """y = ((x - centre) * scale + offset) * weight + bias."""
    n = x.shape[1]
    for r in range(lo, hi):
        g, w = groups[r], weights[r]
        G, W = slice(g, g + n), slice(w, w + n)
        if along_groups and along_weights:
            _write_row(y[r], x[r], centre[G], scale[G], offset[G], weight[W], bias[W])
        elif along_groups:
            _write_row(y[r], x[r], centre[G], scale[G], offset[G], weight[w], bias[w])
        elif along_weights:
            _write_row(y[r], x[r], centre[g], scale[g], offset[g], weight[W], bias[W])
        else:
            _write_row(y[r], x[r], centre[g], scale[g], offset[g], weight[w], bias[w])


@compiled
def _normalize_groups(
    y, x, weights, along_weights, per_group, first, eps, mean, variance, centre, scale, offset, weight, bias, part, lo, hi
):
    """Groups lo to hi, whose rows lie together: each is read again while it is in the cache."""
    count = per_group * x.shape[1]
    for g in range(lo, hi):
        for _ in range(2):  # again from the mean, if the first element was far from it
            total = squares = 0.0
            for r in range(g * per_group, (g + 1) * per_group):
                t, s = _row_moments(x[r], first[g])
                total += t
                squares += s
            rest, squares = total / count, squares / count
            _set_moments(g, first, rest, squares, mean, variance)
            if not rest * rest > 4 * variance[g]:
                break
            first[g] += rest
        _set_coefficients(g, centre, scale, offset, mean, variance, eps)
        m, s, o = centre[g], scale[g], offset[g]
        for r in range(g * per_group, (g + 1) * per_group):
            w = weights[r]
            if along_weights:
                W = slice(w, w + x.shape[1])
                _write_row(y[r], x[r], m, s, o, weight[W], bias[W])
            else:
                _write_row(y[r], x[r], m, s, o, weight[w], bias[w])


# ---- the stand-ins ------------------------------------------------------------------------


def moments(x: np.ndarray, axes: Axes) -> Any:
    """E[x] and Var[x]."""
    if x.dtype.kind != "f" or x.itemsize < 4:
        return NotImplemented
    x = _packed(x)
    seen = rows_of(x.shape, x.strides, axes, (1,) * x.ndim)
    mean, variance = _moments(x, seen)
    return _restored(mean, x, seen, axes), _restored(variance, x, seen, axes)


def _moments(x: np.ndarray, seen: Rows) -> tuple[np.ndarray, np.ndarray]:
    lines = _lines(x, seen)
    first = lines.reshape(-1)[seen.first]
    threads = get_num_threads()
    totals = np.zeros((threads, 2, len(first)))
    parallel_for(_add_up, len(lines), _LEAST // seen.length, lines, seen.groups, seen.along_groups, first, totals, most=threads)
    mean, variance = np.empty(len(first)), np.empty(len(first))
    call(_set_all_moments, first, mean, variance, totals, x.size // len(first))
    return mean, variance


def normalize(x, weight, bias, axes, eps, known=None):
    """y and the moments; see nn/functional/norm.py."""
    if x.dtype.kind != "f" or x.itemsize < 4:
        return NotImplemented
    x = _packed(x)
    seen = rows_of(x.shape, x.strides, axes, (1,) * x.ndim if weight is None else weight.shape)
    lines, y = _lines(x, seen), np.empty_like(x)
    size = 1 if weight is None else weight.size
    weight, bias = _flat(weight, 1, size, x, seen), _flat(bias, 0, size, x, seen)
    groups = len(seen.first)
    centre, scale, offset = np.empty((3, groups), x.dtype)
    if known is None and seen.per_group and x.size > _CACHED:
        first = lines.reshape(-1)[seen.first]
        mean, variance = np.empty(groups), np.empty(groups)
        parallel_for(
            _normalize_groups, groups, _LEAST * groups // x.size, _lines(y, seen), lines, seen.weights, seen.along_weights,
            seen.per_group, first, eps, mean, variance, centre, scale, offset, weight, bias,
        )  # fmt: skip
    else:
        mean, variance = _moments(x, seen) if known is None else [v.transpose(seen.order).reshape(-1) for v in known]
        call(_set_all_coefficients, centre, scale, offset, mean, variance, eps)
        parallel_for(
            _write, len(lines), _LEAST // seen.length, _lines(y, seen), lines, seen.groups, seen.along_groups,
            seen.weights, seen.along_weights, centre, scale, offset, weight, bias,
        )  # fmt: skip
    return y, _restored(mean, x, seen, axes), _restored(variance, x, seen, axes)


def _lines(x: np.ndarray, seen: Rows) -> np.ndarray:
    return x.transpose(seen.order).reshape(-1, seen.length)


def _flat(v: Any, default: float, size: int, x: np.ndarray, seen: Rows) -> np.ndarray:
    """The numbers that the loops look up, in memory order."""
    if v is None:
        return np.full(size, default, x.dtype)
    return np.ascontiguousarray(v.transpose(seen.order), x.dtype).reshape(-1)


def _restored(v: np.ndarray, x: np.ndarray, seen: Rows, axes: Axes) -> np.ndarray:
    """One number for each group, in x's order of dimensions, with `axes` kept."""
    return v.reshape([1 if i in axes else x.shape[i] for i in seen.order]).transpose(seen.back)
