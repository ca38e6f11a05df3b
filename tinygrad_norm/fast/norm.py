"""The norms as loops: what is added up first, then what is written. nn/functional/norm.py has the formulas.

The array is seen as rows, runs of memory along which the group (and the weight) either stays the same or changes with
every element. So one loop serves all four norms, in any memory order:

    batch norm of (N, C, H, W)      a row is an image's channel: one group, one weight
    the same, batch innermost       a row is a channel's line of all images: one group, one weight
    batch norm of (N, C)            a row is a sample: a group and a weight for each element
    layer norm of (N, D)            a row is a sample: one group, a weight for each element

Rows of the same groups and weights, in which these change with every element, are added up column by column: up to 64 of them
are a run. Elsewhere each row is one. Runs that make up whole groups are a block: it is read again, to be written, while it is
in the cache. Blocks are shared among threads; where there are few blocks, runs are, first to add up, then to write.

Sums are float64, those of 256 elements of a row, and of the rows of a run, in x's precision. Before anything is squared, the
group's centre is taken off, the mean of its first few elements, so that a large mean does no harm; where that was far from the
mean, by 2 standard deviations, all is added up again from there; by 4 where groups change along a row, and the centre is one
element.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np

from tinygrad_norm.fast.compiled import at, compiled, inlined, order_of, place
from tinygrad_norm.fast.threads import LEAST as _LEAST
from tinygrad_norm.fast.threads import get_num_threads, parallel_for

Axes = tuple[int, ...]


# ---- how memory is seen -------------------------------------------------------------------


class Runs(NamedTuple):
    """What the loops have to know of runs. starts: the first row of each, and the end; groups, weights: the number of its group
    and weight, or of those of its first element; first: where in memory each group begins; along_groups, along_weights: True
    where groups and weights change along a row, else None, so that loops are compiled for either; per_block: how many runs are
    a block.
    """

    starts: np.ndarray
    groups: np.ndarray
    weights: np.ndarray
    first: np.ndarray
    along_groups: bool | None
    along_weights: bool | None
    per_block: int


class Layout(NamedTuple):
    """How memory is runs. order: the dimensions, slowest first; back: undoes it; lines: the shape (rows, length);
    groups, blocks: how many; of_groups: the shape of a number for each group, in memory order.
    """

    order: Axes
    back: Axes
    lines: Axes
    groups: int
    blocks: int
    of_groups: Axes
    runs: Runs


@functools.lru_cache(maxsize=64)
def layout_of(shape: Axes, strides: Axes, axes: Axes, affine: Axes) -> Layout:
    """The runs of an array that is packed in memory, for moments over `axes` and a weight of the shape `affine`."""
    order = order_of(strides)
    back = tuple(sorted(range(len(order)), key=order.__getitem__))
    kinds = {i: (i not in axes, affine[i] > 1) for i in order if shape[i] > 1}  # whether group and weight change along i
    row: list[int] = []  # the dimensions that make up a row: the fastest, and those before it of the same kind
    for i in reversed(kinds):
        if row and kinds[i] != kinds[row[0]]:
            break
        row.insert(0, i)
    along_groups, along_weights = (along or None for along in (kinds[row[0]] if row else (None, None)))

    def numbers(changing: list[int]) -> np.ndarray:
        """For each row, the number in memory order of what changes along these dimensions, at its first element."""
        kept = [shape[i] if i in changing else 1 for i in order]
        every = np.broadcast_to(np.arange(math.prod(kept)).reshape(kept), [shape[i] for i in order])
        return every[tuple(slice(1) if i in row else slice(None) for i in order)].flatten()

    groups = numbers([i for i in order if i not in axes])
    weights = numbers([i for i in order if affine[i] > 1])
    length = math.prod(shape[i] for i in row)
    _, begins = np.unique(groups, return_index=True)
    first = (begins[:, None] * length + np.arange(length if along_groups else 1)).reshape(-1)
    blocks = len(begins) if (np.diff(groups) >= 0).all() else 1
    starts = rows = np.arange(len(groups))
    if along_groups:  # a run ends where groups or weights change, and after so many rows
        change = np.diff(groups, prepend=-1) | np.diff(weights, prepend=-1)
        since = rows - np.maximum.accumulate(np.where(change, rows, 0))
        starts = np.flatnonzero(since % min(64, max(4, 2**18 // length)) == 0)
    of_groups = tuple(1 if i in axes else shape[i] for i in order)
    bounds = np.append(starts, len(rows))
    runs = Runs(bounds, groups[starts], weights[starts], first, along_groups, along_weights, len(starts) // blocks)
    return Layout(order, back, (len(rows), length), first.size, blocks, of_groups, runs)


def packed(x: np.ndarray) -> np.ndarray:
    """x, or a copy, without gaps in memory; of what is read-only a copy too: loops are compiled for what can be written to."""
    is_packed = x.flags.c_contiguous or x.transpose(order_of(x.strides)).flags.c_contiguous
    return x if is_packed and x.flags.writeable else x.copy(order="K" if is_packed else "C")


def as_lines(x: np.ndarray, layout: Layout) -> np.ndarray:
    """x as its rows."""
    return x.transpose(layout.order).reshape(layout.lines)


def flat(v: Any, default: float, size: int, dtype: np.dtype, layout: Layout) -> np.ndarray:
    """The numbers of a weight that the loops look up, in memory order; the default, `size` times, where there are none."""
    if v is None:
        return np.full(size, default, dtype)
    numbers = v.transpose(layout.order).reshape(-1).astype(dtype, copy=False)
    return numbers if numbers.flags.c_contiguous and numbers.flags.writeable else numbers.copy()


def of_groups(v: np.ndarray, layout: Layout) -> np.ndarray:
    """A number for each group, in the array's order of dimensions."""
    return v.reshape(layout.of_groups).transpose(layout.back)


def shares_runs(layout: Layout, size: int) -> bool:
    """Whether threads, which are woken twice then, share the runs of a block, since there are fewer blocks than threads."""
    return min(get_num_threads(), size // (2 * _LEAST)) > layout.blocks


# ---- the loops ----------------------------------------------------------------------------


class Forward(NamedTuple):
    """What the loops read and write; (x - mean) / sqrt(variance + eps) = (x - centre) * scale + offset, for each group."""

    runs: Runs
    y: np.ndarray
    weight: np.ndarray
    bias: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    centre: np.ndarray
    scale: np.ndarray
    offset: np.ndarray
    sums: np.ndarray  # (threads, 2, groups): of x - centre, of its square
    work: np.ndarray  # (threads, 2, length): the same of a run, where groups change along a row
    eps: float


@inlined
def _guess(x, t, lo, hi):
    """The centres of groups lo to hi, before their means are known: of their first elements, 0 where those are not finite."""
    n = x.shape[1]
    few = min(n, 16) if t.runs.along_groups is None else 1
    for g in range(lo, hi):
        row, start, total = t.runs.first[g] // n, t.runs.first[g] % n, 0.0
        for j in range(start, start + few):
            total += x[row, j]
        t.centre[g] = total / few if abs(total) < np.inf else 0


@compiled
def _row_sums(x, centre):
    """The sums of c and of c * c over a row, c = x - centre: 256 elements in x's precision, then float64."""
    total, squares = 0.0, 0.0
    for start in range(0, len(x), 256):
        X, t, s = x[start : start + 256], x.dtype.type(0), x.dtype.type(0)
        for j in range(len(X)):
            c = X[j] - centre
            t += c
            s += c * c
        if s < np.inf:
            total += t
            squares += s
        else:  # too large a number for x's precision, or one that is not finite
            for j in range(len(X)):
                total += np.float64(X[j]) - centre
                squares += (np.float64(X[j]) - centre) ** 2
    return total, squares


@compiled
def _add_columns(x, centre, total, squares, t, s):
    """The same over the columns of a run, each of which belongs to a group of its own; t, s: memory to work in."""
    t[:], s[:] = 0, 0
    for r in range(len(x)):
        X = x[r]
        for j in range(len(X)):
            c = X[j] - centre[j]
            t[j] += c
            s[j] += c * c
    for j in range(len(t)):
        if not s[j] < np.inf:
            t[j], s[j] = 0, 0
            for r in range(len(x)):
                total[j] += np.float64(x[r, j]) - centre[j]
                squares[j] += (np.float64(x[r, j]) - centre[j]) ** 2
        total[j] += np.float64(t[j])
        squares[j] += np.float64(s[j])


@inlined
def _add_runs(x, t, part, lo, hi):
    total, squares, n = t.sums[part, 0], t.sums[part, 1], x.shape[1]
    for r in range(lo, hi):
        g, start, end = t.runs.groups[r], t.runs.starts[r], t.runs.starts[r + 1]
        if t.runs.along_groups is not None:
            G = slice(g, g + n)
            _add_columns(x[start:end], t.centre[G], total[G], squares[G], t.work[part, 0], t.work[part, 1])
        else:
            c, s = _row_sums(x[start], t.centre[g])
            total[g] += c
            squares[g] += s


@inlined
def set_coefficients(t, lo, hi):
    """Centre, scale and offset of groups lo to hi, with the mean, rounded, as the centre."""
    for g in range(lo, hi):
        rstd = 1 / np.sqrt(t.variance[g] + t.eps)
        t.centre[g], t.scale[g] = t.mean[g], rstd
        t.offset[g] = (np.float64(t.centre[g]) - t.mean[g]) * rstd


@inlined
def of_all_parts(sums, k, g):
    """What all threads have added up."""
    total = 0.0
    for part in range(len(sums)):
        total += sums[part, k, g]
    return total


@inlined
def _set_moments(x, t, lo, hi):
    """The moments of groups lo to hi. True if a centre was far from the mean: they have to be added up again, from there."""
    count, far, most = x.size // len(t.mean), False, 4 if t.runs.along_groups is None else 16
    for g in range(lo, hi):
        rest, squares = of_all_parts(t.sums, 0, g) / count, of_all_parts(t.sums, 1, g) / count
        t.mean[g] = t.centre[g] + rest
        t.variance[g] = max(squares - rest * rest, 0.0) if squares < np.inf else np.nan
        far |= rest * rest > most * t.variance[g]
        for part in range(len(t.sums)):
            t.sums[part, 0, g] = t.sums[part, 1, g] = 0
    for g in range(lo, hi if far else lo):
        t.centre[g] = t.mean[g] if abs(t.mean[g]) < np.inf else t.centre[g]
    return far


@compiled
def _write_row(y, x, centre, scale, offset, weight, bias):
    for j in range(len(x)):
        y[j] = ((x[j] - at(centre, j)) * at(scale, j) + at(offset, j)) * at(weight, j) + at(bias, j)


@inlined
def _write_run(y, x, centre, scale, offset, weight, bias):
    for r in range(len(x)):
        _write_row(y[r], x[r], centre, scale, offset, weight, bias)


@inlined
def _write_runs(x, t, part, lo, hi):
    """y = ((x - centre) * scale + offset) * weight + bias."""
    for r in range(lo, hi):
        R, n = slice(t.runs.starts[r], t.runs.starts[r + 1]), x.shape[1]
        G, W = place(t.runs.groups[r], n, t.runs.along_groups), place(t.runs.weights[r], n, t.runs.along_weights)
        _write_run(t.y[R], x[R], t.centre[G], t.scale[G], t.offset[G], t.weight[W], t.bias[W])


@inlined
def _moments_of_blocks(x, t, part, lo, hi):
    runs, groups = t.runs.per_block, len(t.mean) * t.runs.per_block // len(t.runs.groups)
    _guess(x, t, lo * groups, hi * groups)
    for b in range(lo, hi):
        for _ in range(2):
            _add_runs(x, t, part, b * runs, (b + 1) * runs)
            if not _set_moments(x, t, b * groups, (b + 1) * groups):
                break
    set_coefficients(t, lo * groups, hi * groups)


@compiled
def _normalize_blocks(x, t, part, lo, hi):
    for b in range(lo, hi):
        _moments_of_blocks(x, t, part, b, b + 1)
        _write_runs(x, t, part, b * t.runs.per_block, (b + 1) * t.runs.per_block)


# ---- the stand-ins ------------------------------------------------------------------------


def _prepared(x: np.ndarray, y: Any, weight: Any, bias: Any, layout: Layout, eps: float) -> tuple[np.ndarray, Forward]:
    lines, groups, threads = as_lines(x, layout), layout.groups, get_num_threads()
    weight = flat(weight, 1, 1, x.dtype, layout)
    bias, sums = flat(bias, 0, weight.size, x.dtype, layout), np.zeros((threads, 2, groups))
    work = np.empty((threads, 2, lines.shape[1] if layout.runs.along_groups else 0), x.dtype)
    coefficients = *np.empty((2, groups)), *np.empty((3, groups), x.dtype)
    return lines, Forward._make((layout.runs, y, weight, bias, *coefficients, sums, work, float(eps)))


def _add_up(lines: np.ndarray, t: Forward, layout: Layout) -> None:
    """The moments, added up on all threads."""
    if not shares_runs(layout, lines.size):
        parallel_for(_moments_of_blocks, layout.blocks, _LEAST * layout.blocks // lines.size, lines, t, most=len(t.sums))
        return
    _guess(lines, t, 0, layout.groups)
    runs = len(layout.runs.groups)
    for _ in range(2):
        parallel_for(_add_runs, runs, _LEAST * runs // lines.size, lines, t, most=len(t.sums))
        if not _set_moments(lines, t, 0, layout.groups):
            break
    set_coefficients(t, 0, layout.groups)


def moments(x, axes):
    """E[x] and Var[x]."""
    if x.dtype.kind != "f" or x.itemsize < 4:
        return NotImplemented
    x = packed(x)
    layout = layout_of(x.shape, x.strides, axes, (1,) * x.ndim)
    lines, t = _prepared(x, as_lines(x, layout), None, None, layout, 0.0)  # as y: nothing is written
    _add_up(lines, t, layout)
    return of_groups(t.mean, layout), of_groups(t.variance, layout)


def normalize(x, weight, bias, axes, eps, known=None):
    """y and the moments; see nn/functional/norm.py."""
    if x.dtype.kind != "f" or x.itemsize < 4:
        return NotImplemented
    x = packed(x)
    layout = layout_of(x.shape, x.strides, axes, (1,) * x.ndim if weight is None else weight.shape)
    y = np.empty_like(x)
    lines, t = _prepared(x, as_lines(y, layout), weight, bias, layout, eps)
    if known is None and not shares_runs(layout, x.size):
        parallel_for(_normalize_blocks, layout.blocks, _LEAST * layout.blocks // x.size, lines, t, most=len(t.sums))
    else:
        if known is None:
            _add_up(lines, t, layout)
        else:
            t.mean[:], t.variance[:] = (v.transpose(layout.order).reshape(-1) for v in known)
            set_coefficients(t, 0, layout.groups)
        runs = len(layout.runs.groups)
        parallel_for(_write_runs, runs, _LEAST * runs // x.size, lines, t)
    return y, of_groups(t.mean, layout), of_groups(t.variance, layout)
