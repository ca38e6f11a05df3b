"""The loops of the norms' gradients: see norm.py, whose runs and blocks these are."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tinygrad_norm.fast import norm
from tinygrad_norm.fast.compiled import at, compiled, inlined, place
from tinygrad_norm.fast.norm import Runs, as_lines, flat, layout_of, of_all_parts, packed, set_coefficients
from tinygrad_norm.fast.threads import get_num_threads, parallel_for


class Backward(NamedTuple):
    """What the loops read and write. gx = rstd * (gy - mean(gy) - x_hat * mean(gy * x_hat)) = scale * gy + slope * c + shift,
    c = x - centre, for each group.

    Where each element of a row has a weight of its own, what goes into `affine` is added up in `recent` first, in x's
    precision, for some 64 rows; where it has a group of its own, the sums of g and of g * c of a run.
    """

    runs: Runs
    g: np.ndarray
    gx: np.ndarray
    weight: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    centre: np.ndarray
    scale: np.ndarray
    offset: np.ndarray
    slope: np.ndarray
    shift: np.ndarray
    sums: np.ndarray  # (threads, 2, groups): of gy, of gy * c
    affine: np.ndarray  # (threads, 2, weights): of g * x_hat, of g
    recent: np.ndarray  # (threads, 2, weights, or the length of a row)
    eps: float


# ---- what a row adds ----------------------------------------------------------------------


@compiled
def _row_sums(g, x, centre):
    """The sums of g and of g * c over a row of one group and one weight: 256 elements, then float64."""
    total, with_c = 0.0, 0.0
    for start in range(0, len(x), 256):
        G, X, t, s = g[start : start + 256], x[start : start + 256], x.dtype.type(0), x.dtype.type(0)
        for j in range(len(G)):
            t += G[j]
            s += G[j] * (X[j] - centre)
        total += t
        with_c += s
    return total, with_c


@compiled
def _row_sums_with_weights(g, x, centre, scale, offset, weight, gweight, gbias):
    """The same of gy, where each element has a weight of its own: gweight += g * x_hat and gbias += g as well."""
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
def _column_sums(g, x, centre, t, s):
    """t and s: the sums of g and of g * c over the columns of a run, each of which belongs to a group of its own."""
    t[:], s[:] = 0, 0
    for r in range(len(x)):
        G, X = g[r], x[r]
        for j in range(len(X)):
            t[j] += G[j]
            s[j] += G[j] * (X[j] - centre[j])


@compiled
def _add_to_groups(t, s, weight, total, with_c):
    """What the sums of a run add to those of its groups."""
    for j in range(len(t)):
        total[j] += np.float64(t[j] * at(weight, j))
        with_c[j] += np.float64(s[j] * at(weight, j))


@compiled
def _weight_sums(t, s, scale, offset):
    """What they add to the gradients of the one weight of a run, and of its bias."""
    gweight = gbias = 0.0
    for j in range(len(t)):
        gweight += np.float64(s[j] * scale[j] + t[j] * offset[j])
        gbias += np.float64(t[j])
    return gweight, gbias


@compiled
def _add_to_weights(t, s, scale, offset, gweight, gbias):
    """What they add to the gradients of the weights, one for each element, and of the biases."""
    for j in range(len(t)):
        gweight[j] += np.float64(s[j] * scale[j] + t[j] * offset[j])
        gbias[j] += np.float64(t[j])


@inlined
def _add_run(x, t, part, r):
    """What run r adds to the sums of its groups and to the gradients of its weights."""
    start, end, n, p, w = t.runs.starts[r], t.runs.starts[r + 1], x.shape[1], t.runs.groups[r], t.runs.weights[r]
    sums, affine, recent, centre, scale, offset = t.sums[part], t.affine[part], t.recent[part], t.centre, t.scale, t.offset
    P, W = slice(p, p + n), slice(w, w + n)
    if t.runs.along_groups is not None:
        T, S = recent[0, :n], recent[1, :n]
        _column_sums(t.g[start:end], x[start:end], centre[P], T, S)
        _add_to_groups(T, S, t.weight[place(w, n, t.runs.along_weights)], sums[0, P], sums[1, P])
        if t.runs.along_weights is not None:
            _add_to_weights(T, S, scale[P], offset[P], affine[0, W], affine[1, W])
        else:
            gweight, gbias = _weight_sums(T, S, scale[P], offset[P])
            affine[0, w] += gweight
            affine[1, w] += gbias
    elif t.runs.along_weights is not None:
        G, R, c, a, b = t.g[start], x[start], centre[p], scale[p], offset[p]
        total, with_c = _row_sums_with_weights(G, R, c, a, b, t.weight[W], recent[0, W], recent[1, W])
        sums[0, p] += total
        sums[1, p] += with_c
    else:
        total, with_c = _row_sums(t.g[start], x[start], centre[p])
        sums[0, p] += total * t.weight[w]
        sums[1, p] += with_c * t.weight[w]
        affine[0, w] += with_c * scale[p] + total * offset[p]
        affine[1, w] += total


# ---- all runs, and all blocks -------------------------------------------------------------


@inlined
def _move(t, part):
    """Add the recent sums for weights to those in float64, and begin anew."""
    for k in range(2 if t.runs.along_groups is None else 0):  # of a run nothing is left to add
        total, recent = t.affine[part, k], t.recent[part, k]
        for j in range(len(recent)):
            total[j] += np.float64(recent[j])
            recent[j] = 0


@inlined
def _add_runs(x, t, part, lo, hi):
    for r in range(lo, hi):
        _add_run(x, t, part, r)
        if t.runs.along_weights is not None and r % 64 == 63:
            _move(t, part)


@compiled
def _add_part(x, t, part, lo, hi):
    _add_runs(x, t, part, lo, hi)
    _move(t, part)


@inlined
def _set_slopes(x, t, lo, hi):
    """What the sums of groups lo to hi make of them."""
    count = x.size // len(t.mean)
    for p in range(lo, hi):
        rstd, rest = 1 / np.sqrt(t.variance[p] + t.eps), t.mean[p] - np.float64(t.centre[p])
        total, with_c = of_all_parts(t.sums, 0, p) / count, of_all_parts(t.sums, 1, p) / count
        slope = -rstd * rstd * rstd * (with_c - rest * total)
        t.slope[p], t.shift[p] = slope, -slope * rest - rstd * total


@compiled
def _write_row(gx, g, x, centre, scale, slope, shift, weight):
    for j in range(len(x)):
        gx[j] = at(scale, j) * (g[j] * at(weight, j)) + at(slope, j) * (x[j] - at(centre, j)) + at(shift, j)


@inlined
def _write_run(gx, g, x, centre, scale, slope, shift, weight):
    for r in range(len(x)):
        _write_row(gx[r], g[r], x[r], centre, scale, slope, shift, weight)


@inlined
def _write_runs(x, t, part, lo, hi):
    for r in range(lo, hi):
        R, n = slice(t.runs.starts[r], t.runs.starts[r + 1]), x.shape[1]
        P, W = place(t.runs.groups[r], n, t.runs.along_groups), place(t.runs.weights[r], n, t.runs.along_weights)
        _write_run(t.gx[R], t.g[R], x[R], t.centre[P], t.scale[P], t.slope[P], t.shift[P], t.weight[W])


@compiled
def _gradients_of_blocks(x, t, part, lo, hi):
    per_block = t.runs.per_block
    groups = len(t.mean) * per_block // len(t.runs.groups)
    set_coefficients(t, lo * groups, hi * groups)
    for b in range(lo, hi):
        _add_runs(x, t, part, b * per_block, (b + 1) * per_block)
        _set_slopes(x, t, b * groups, (b + 1) * groups)
        _write_runs(x, t, part, b * per_block, (b + 1) * per_block)
    _move(t, part)


def normalize_gradients(g, x, weight, mean, variance, axes, eps, needs):
    """The gradients of x, weight and bias; see nn/functional/norm.py."""
    if x.dtype.kind != "f" or x.itemsize < 4:
        return NotImplemented
    x = packed(x)
    layout = layout_of(x.shape, x.strides, axes, (1,) * x.ndim if weight is None else weight.shape)
    if g.strides != x.strides or g.dtype != x.dtype or not g.flags.writeable:
        np.copyto(like := np.empty_like(x), g)
        g = like
    gx, groups, threads = np.empty_like(x), layout.groups, get_num_threads()
    lines, of_g, of_gx = [as_lines(v, layout) for v in (x, g, gx)]
    weights = flat(weight, 1, 1, x.dtype, layout)
    moments = [v.transpose(layout.order).reshape(-1) for v in (mean, variance)]
    sums, affine = np.zeros((threads, 2, groups)), np.zeros((threads, 2, weights.size))
    length = lines.shape[1] if layout.runs.along_groups else weights.size if layout.runs.along_weights else 0
    recent, coefficients = np.zeros((threads, 2, length), x.dtype), np.empty((5, groups), x.dtype)
    t = Backward._make((layout.runs, of_g, of_gx, weights, *moments, *coefficients, sums, affine, recent, float(eps)))
    size = 2 * x.size  # twice as many elements are read as by normalize
    if norm.shares_runs(layout, size):
        set_coefficients(t, 0, groups)
        runs = len(layout.runs.groups)
        least = norm._LEAST * runs // size
        parallel_for(_add_part, runs, least, lines, t, most=threads)
        _set_slopes(lines, t, 0, groups)
        parallel_for(_write_runs, runs, least, lines, t)
    else:
        least = norm._LEAST * layout.blocks // size
        parallel_for(_gradients_of_blocks, layout.blocks, least, lines, t, most=threads)
    if weight is None:
        return gx if needs[0] else None, None, None
    shape = [weight.shape[i] for i in layout.order]
    gweight, gbias = [v.reshape(shape).transpose(layout.back).astype(x.dtype) for v in np.add.reduce(affine)]
    return gx if needs[0] else None, gweight, gbias
