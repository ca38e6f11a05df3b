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

from tinygrad_norm.fast.loops import at, compiled, order_of
from tinygrad_norm.fast.threads import call, get_num_threads, spread

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


# ---- the loops of the gradients -----------------------------------------------------------


@compiled
def _row_sums(g, x, centre, weight):
    """The sums of gy = g * weight and of gy * c, c = x - centre, over a row of one group: 256 elements, then float64."""
    total, with_c = 0.0, 0.0
    for start in range(0, len(x), 256):
        G, X, t, s = g[start : start + 256], x[start : start + 256], x.dtype.type(0), x.dtype.type(0)
        for j in range(len(G)):
            gy = G[j] * at(weight, start + j)
            t += gy
            s += gy * (X[j] - centre)
        total += t
        with_c += s
    return total, with_c


@compiled
def _row_sums_with_weights(g, x, centre, scale, offset, weight, gweight, gbias):
    """As _row_sums, of a row in which each element has a weight of its own: gweight += g * x_hat and gbias += g as well."""
    total, with_c = 0.0, 0.0
    for start in range(0, len(x), 256):
        G, X, W = g[start : start + 256], x[start : start + 256], weight[start : start + 256]
        gW, gB, t, s = gweight[start : start + 256], gbias[start : start + 256], x.dtype.type(0), x.dtype.type(0)
        for j in range(len(G)):
            c, gy = X[j] - centre, G[j] * W[j]
            t += gy
            s += gy * c
            gB[j] += G[j]
            gW[j] += G[j] * (c * scale + offset)
        total += t
        with_c += s
    return total, with_c


@compiled
def _add_to_groups(total, with_c, g, x, centre, weight):
    """The same, where each element has a group of its own. Two loops: of more arrays LLVM does not see that they are apart."""
    for j in range(len(x)):
        total[j] += np.float64(g[j] * at(weight, j))
    for j in range(len(x)):
        with_c[j] += np.float64(g[j] * at(weight, j) * (x[j] - centre[j]))


@compiled
def _add_elements_gradients(total, with_c, g, x, centre):
    """The sums of g and of g * c, where each element has a group and a weight of its own, in x's precision."""
    for j in range(len(x)):
        total[j] += g[j]
        with_c[j] += g[j] * (x[j] - centre[j])


@compiled
def _add_to_weights(gweight, gbias, g, x, centre, scale, offset):
    """gweight += g * x_hat and gbias += g, where each element has a weight of its own."""
    for j in range(len(x)):
        gbias[j] += g[j]
    for j in range(len(x)):
        gweight[j] += g[j] * ((x[j] - at(centre, j)) * at(scale, j) + at(offset, j))


@compiled
def _weight_sums(g, x, centre, scale, offset):
    """The sums of g * x_hat and of g, over a row of one weight and many groups."""
    gweight = gbias = 0.0
    for j in range(len(x)):
        gweight += np.float64(g[j] * ((x[j] - centre[j]) * scale[j] + offset[j]))
        gbias += np.float64(g[j])
    return gweight, gbias


@compiled
def _add_row_gradients(
    r, g, x, groups, along_groups, weights, along_weights, same, centre, scale, offset, weight, sums, affine, recent
):
    """What row r adds: to sums, of its groups: of gy and of gy * c; to affine: to the gradients of weight and bias.

    Where each element has a weight of its own they go to `recent` first, in x's precision, for some 64 rows. Where it is
    that of its group, what goes there are the sums of g * c and of g, of which all others are made in the end.
    """
    n, p, w = x.shape[1], groups[r], weights[r]
    P, W = slice(p, p + n), slice(w, w + n)
    if same:
        _add_elements_gradients(recent[1, P], recent[0, P], g[r], x[r], centre[P])
    elif along_groups:
        if along_weights:
            _add_to_groups(sums[0, P], sums[1, P], g[r], x[r], centre[P], weight[W])
            _add_to_weights(recent[0, W], recent[1, W], g[r], x[r], centre[P], scale[P], offset[P])
        else:
            _add_to_groups(sums[0, P], sums[1, P], g[r], x[r], centre[P], weight[w])
            gweight, gbias = _weight_sums(g[r], x[r], centre[P], scale[P], offset[P])
            affine[0, w] += gweight
            affine[1, w] += gbias
    elif along_weights:
        total, with_c = _row_sums_with_weights(
            g[r], x[r], centre[p], scale[p], offset[p], weight[W], recent[0, W], recent[1, W]
        )
        sums[0, p] += total
        sums[1, p] += with_c
    else:
        total, with_c = _row_sums(g[r], x[r], centre[p], x.dtype.type(1))
        sums[0, p] += total * weight[w]
        sums[1, p] += with_c * weight[w]
        affine[0, w] += with_c * scale[p] + total * offset[p]
        affine[1, w] += total


@compiled
def _set_slope(p, total, with_c, mean, variance, eps, centre, slope, shift):
    """gx = rstd * (gy - mean(gy) - x_hat * mean(gy * x_hat)) = rstd * gy + slope * c + shift; total, with_c: means."""
    rstd, rest = 1 / np.sqrt(variance[p] + eps), mean[p] - np.float64(centre[p])
    along = -rstd * rstd * rstd * (with_c - rest * total)
    slope[p], shift[p] = along, -along * rest - rstd * total


@compiled
def _write_row_gradient(gx, g, x, centre, scale, slope, shift, weight):
    for j in range(len(x)):
        gx[j] = at(scale, j) * (g[j] * at(weight, j)) + at(slope, j) * (x[j] - at(centre, j)) + at(shift, j)


@compiled
def _write_gradient_of_row(r, gx, g, x, groups, along_groups, weights, along_weights, centre, scale, slope, shift, weight):
    n, p, w = x.shape[1], groups[r], weights[r]
    P, W = slice(p, p + n), slice(w, w + n)
    if along_groups and along_weights:
        _write_row_gradient(gx[r], g[r], x[r], centre[P], scale[P], slope[P], shift[P], weight[W])
    elif along_groups:
        _write_row_gradient(gx[r], g[r], x[r], centre[P], scale[P], slope[P], shift[P], weight[w])
    elif along_weights:
        _write_row_gradient(gx[r], g[r], x[r], centre[p], scale[p], slope[p], shift[p], weight[W])
    else:
        _write_row_gradient(gx[r], g[r], x[r], centre[p], scale[p], slope[p], shift[p], weight[w])


@compiled
def _move(sums, recent):
    """Add the recent sums to those in float64, and begin anew."""
    for k in range(2):
        total, part = sums[k], recent[k]
        for j in range(len(total)):
            total[j] += np.float64(part[j])
            part[j] = 0


@compiled
def _add_gradients(
    g, x, groups, along_groups, weights, along_weights, same, centre, scale, offset, weight, sums, affine, recent, part, lo, hi
):
    for r in range(lo, hi):
        _add_row_gradients(
            r, g, x, groups, along_groups, weights, along_weights, same, centre, scale, offset, weight,
            sums[part], affine[part], recent[part],
        )  # fmt: skip
        if along_weights and (r % 64 == 63 or r == hi - 1):
            _move(affine[part], recent[part])


@compiled
def _set_sums(weight, scale, offset, sums, affine):
    """The sums of gy and of gy * c, and the gradients of weight and bias, of the sums of g * c and of g in affine."""
    for k in range(len(affine)):
        for j in range(len(scale)):
            with_c, total = affine[k, 0, j], affine[k, 1, j]
            sums[k, 0, j], sums[k, 1, j] = total * weight[j], with_c * weight[j]
            affine[k, 0, j] = with_c * scale[j] + total * offset[j]


@compiled
def _set_slopes(slope, shift, centre, mean, variance, eps, sums, count):
    for p in range(len(mean)):
        _set_slope(p, sums[:, 0, p].sum() / count, sums[:, 1, p].sum() / count, mean, variance, eps, centre, slope, shift)


@compiled
def _write_gradient(gx, g, x, groups, along_groups, weights, along_weights, centre, scale, slope, shift, weight, part, lo, hi):
    for r in range(lo, hi):
        _write_gradient_of_row(r, gx, g, x, groups, along_groups, weights, along_weights, centre, scale, slope, shift, weight)


@compiled
def _gradient_of_groups(
    gx, g, x, groups, along_groups, weights, along_weights, per_group, mean, variance, eps, centre, scale, offset, slope, shift,
    weight, sums, affine, recent, part, lo, hi,
):  # fmt: skip
    """Groups lo to hi, whose rows lie together: each is read again while it is in the cache."""
    count = per_group * x.shape[1]
    for p in range(lo, hi):
        rows = range(p * per_group, (p + 1) * per_group)
        for r in rows:
            _add_row_gradients(
                r, g, x, groups, along_groups, weights, along_weights, False, centre, scale, offset, weight,
                sums[part], affine[part], recent[part],
            )  # fmt: skip
        total, with_c = sums[part, 0, p] / count, sums[part, 1, p] / count
        _set_slope(p, total, with_c, mean, variance, eps, centre, slope, shift)
        for r in rows:
            _write_gradient_of_row(
                r, gx, g, x, groups, along_groups, weights, along_weights, centre, scale, slope, shift, weight
            )
        if along_weights and (p % 64 == 63 or p == hi - 1):
            _move(affine[part], recent[part])


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
    spread(_add_up, len(lines), _LEAST // seen.length, lines, seen.groups, seen.along_groups, first, totals, most=threads)
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
        spread(
            _normalize_groups, groups, _LEAST * groups // x.size, _lines(y, seen), lines, seen.weights, seen.along_weights,
            seen.per_group, first, eps, mean, variance, centre, scale, offset, weight, bias,
        )  # fmt: skip
    else:
        mean, variance = _moments(x, seen) if known is None else [v.transpose(seen.order).reshape(-1) for v in known]
        call(_set_all_coefficients, centre, scale, offset, mean, variance, eps)
        spread(
            _write, len(lines), _LEAST // seen.length, _lines(y, seen), lines, seen.groups, seen.along_groups,
            seen.weights, seen.along_weights, centre, scale, offset, weight, bias,
        )  # fmt: skip
    return y, _restored(mean, x, seen, axes), _restored(variance, x, seen, axes)


def normalize_gradients(g, x, weight, mean, variance, axes, eps, needs):
    """The gradients of x, weight and bias; see nn/functional/norm.py."""
    if x.dtype.kind != "f" or x.itemsize < 4:
        return NotImplemented
    x = _packed(x)
    seen = rows_of(x.shape, x.strides, axes, (1,) * x.ndim if weight is None else weight.shape)
    if g.strides != x.strides or g.dtype != x.dtype:
        given, g = g, np.empty_like(x)
        g[...] = given
    gx, lines, threads = np.empty_like(x), _lines(x, seen), get_num_threads()
    ones, groups = _flat(weight, 1, 1, x, seen), len(seen.first)
    mean, variance = mean.transpose(seen.order).reshape(-1), variance.transpose(seen.order).reshape(-1)
    centre, scale, offset, slope, shift = np.empty((5, groups), x.dtype)
    call(_set_all_coefficients, centre, scale, offset, mean, variance, eps)
    sums, affine = np.zeros((threads, 2, groups)), np.zeros((threads, 2, ones.size))
    recent = np.zeros((threads, 2, ones.size if seen.along_weights else 0), x.dtype)
    places = seen.groups, seen.along_groups, seen.weights, seen.along_weights
    if seen.per_group and x.size > _CACHED:
        spread(
            _gradient_of_groups, groups, _LEAST * groups // x.size, _lines(gx, seen), _lines(g, seen), lines, *places,
            seen.per_group, mean, variance, eps, centre, scale, offset, slope, shift, ones, sums, affine, recent,
            most=threads,
        )  # fmt: skip
    else:
        rows, least = len(lines), _LEAST // seen.length
        spread(
            _add_gradients, rows, least, _lines(g, seen), lines, *places, seen.same, centre, scale, offset, ones, sums, affine,
            recent, most=threads,
        )  # fmt: skip
        if seen.same:
            call(_set_sums, ones, scale, offset, sums, affine)
        call(_set_slopes, slope, shift, centre, mean, variance, eps, sums, x.size // groups)
        if needs[0]:
            spread(
                _write_gradient, rows, least, _lines(gx, seen), _lines(g, seen), lines, *places, centre, scale, slope, shift,
                ones,
            )  # fmt: skip
    if weight is None:
        return gx if needs[0] else None, None, None
    shape = [weight.shape[i] for i in seen.order]
    gweight, gbias = [v.reshape(shape).transpose(seen.back).astype(x.dtype) for v in affine.sum(axis=0)]
    return gx if needs[0] else None, gweight, gbias


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
