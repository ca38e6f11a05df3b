"""The loops of the norms' gradients: see norm.py, whose rows and blocks these are."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tinygrad_norm.fast import norm
from tinygrad_norm.fast.compiled import at, compiled, inlined
from tinygrad_norm.fast.norm import Rows, as_lines, flat, layout_of, of_all_parts, packed, set_coefficients
from tinygrad_norm.fast.threads import get_num_threads, parallel_for


class Backward(NamedTuple):
    """What the loops read and write. gx = rstd * (gy - mean(gy) - x_hat * mean(gy * x_hat)) = scale * gy + slope * c + shift,
    c = x - centre, for each group.

    Where each element of a row has a weight of its own, what goes into `affine` is added up in `recent` first, in x's
    precision, for some 64 rows. Where it has a group of its own, too (rows.same), both hold the sums of g * c and of g at
    first, of which _set_slopes makes the gradients and `sums`.
    """

    rows: Rows
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
    recent: np.ndarray  # as affine
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
def _add_to_groups(total, with_c, g, x, centre, weight):
    """The same, where each element has a group of its own. Two loops: of more arrays LLVM does not see that they are apart."""
    for j in range(len(x)):
        total[j] += g[j] * at(weight, j)
    for j in range(len(x)):
        with_c[j] += g[j] * at(weight, j) * (x[j] - centre[j])


@compiled
def _add_to_weights(gweight, gbias, g, x, centre, scale, offset):
    """gweight += g * x_hat and gbias += g, where each element has a group and a weight of its own."""
    for j in range(len(x)):
        gbias[j] += g[j]
    for j in range(len(x)):
        gweight[j] += g[j] * ((x[j] - centre[j]) * scale[j] + offset[j])


@compiled
def _weight_sums(g, x, centre, scale, offset):
    """The sums of g * x_hat and of g, over a row of one weight and many groups."""
    gweight = gbias = 0.0
    for j in range(len(x)):
        gweight += np.float64(g[j] * ((x[j] - centre[j]) * scale[j] + offset[j]))
        gbias += np.float64(g[j])
    return gweight, gbias


@inlined
def _add_row(x, t, part, r):
    """What row r adds to the sums of its groups and to the gradients of its weights."""
    g, row, n, p, w = t.g[r], x[r], x.shape[1], t.rows.groups[r], t.rows.weights[r]
    sums, affine, recent, centre, scale, offset = t.sums[part], t.affine[part], t.recent[part], t.centre, t.scale, t.offset
    P, W = slice(p, p + n), slice(w, w + n)
    if t.rows.same:
        _add_to_groups(recent[1, P], recent[0, P], g, row, centre[P], x.dtype.type(1))
    elif t.rows.along_groups and t.rows.along_weights:
        _add_to_groups(sums[0, P], sums[1, P], g, row, centre[P], t.weight[W])
        _add_to_weights(recent[0, W], recent[1, W], g, row, centre[P], scale[P], offset[P])
    elif t.rows.along_groups:
        _add_to_groups(sums[0, P], sums[1, P], g, row, centre[P], t.weight[w])
        gweight, gbias = _weight_sums(g, row, centre[P], scale[P], offset[P])
        affine[0, w] += gweight
        affine[1, w] += gbias
    elif t.rows.along_weights:
        total, with_c = _row_sums_with_weights(g, row, centre[p], scale[p], offset[p], t.weight[W], recent[0, W], recent[1, W])
        sums[0, p] += total
        sums[1, p] += with_c
    else:
        total, with_c = _row_sums(g, row, centre[p])
        sums[0, p] += total * t.weight[w]
        sums[1, p] += with_c * t.weight[w]
        affine[0, w] += with_c * scale[p] + total * offset[p]
        affine[1, w] += total


# ---- all rows, and all blocks -------------------------------------------------------------


@inlined
def _move(t, part):
    """Add the recent sums to those in float64, and begin anew."""
    for k in range(2):
        total, recent = t.affine[part, k], t.recent[part, k]
        for j in range(len(recent)):
            total[j] += np.float64(recent[j])
            recent[j] = 0


@inlined
def _add_rows(x, t, part, lo, hi):
    for r in range(lo, hi):
        _add_row(x, t, part, r)
        if t.rows.along_weights and r % 64 == 63:
            _move(t, part)


@compiled
def _add_part(x, t, part, lo, hi):
    _add_rows(x, t, part, lo, hi)
    _move(t, part)


@inlined
def _set_slopes(x, t, lo, hi):
    """What the sums of groups lo to hi make of them; first these sums themselves, where affine has those of g * c and of g."""
    count = x.size // len(t.mean)
    for p in range(lo, hi):
        for k in range(len(t.affine) if t.rows.same else 0):
            with_c, total = t.affine[k, 0, p], t.affine[k, 1, p]
            t.sums[k, 0, p], t.sums[k, 1, p] = total * t.weight[p], with_c * t.weight[p]
            t.affine[k, 0, p] = with_c * t.scale[p] + total * t.offset[p]
        rstd, rest = 1 / np.sqrt(t.variance[p] + t.eps), t.mean[p] - np.float64(t.centre[p])
        total, with_c = of_all_parts(t.sums, 0, p) / count, of_all_parts(t.sums, 1, p) / count
        slope = -rstd * rstd * rstd * (with_c - rest * total)
        t.slope[p], t.shift[p] = slope, -slope * rest - rstd * total


@compiled
def _write_row(gx, g, x, centre, scale, slope, shift, weight):
    for j in range(len(x)):
        gx[j] = at(scale, j) * (g[j] * at(weight, j)) + at(slope, j) * (x[j] - at(centre, j)) + at(shift, j)


@inlined
def _write_rows(x, t, part, lo, hi):
    n, gx, centre, scale, slope, shift, weight = x.shape[1], t.gx, t.centre, t.scale, t.slope, t.shift, t.weight
    for r in range(lo, hi):
        g, p, w = t.g[r], t.rows.groups[r], t.rows.weights[r]
        P, W = slice(p, p + n), slice(w, w + n)
        if t.rows.along_groups and t.rows.along_weights:
            _write_row(gx[r], g, x[r], centre[P], scale[P], slope[P], shift[P], weight[W])
        elif t.rows.along_groups:
            _write_row(gx[r], g, x[r], centre[P], scale[P], slope[P], shift[P], weight[w])
        elif t.rows.along_weights:
            _write_row(gx[r], g, x[r], centre[p], scale[p], slope[p], shift[p], weight[W])
        else:
            _write_row(gx[r], g, x[r], centre[p], scale[p], slope[p], shift[p], weight[w])


@compiled
def _gradients_of_blocks(x, t, part, lo, hi):
    per_block = t.rows.per_block
    groups = len(t.mean) * per_block // len(x)
    set_coefficients(t, lo * groups, hi * groups)
    for b in range(lo, hi):
        _add_rows(x, t, part, b * per_block, (b + 1) * per_block)
        if t.rows.same:
            _move(t, part)
        _set_slopes(x, t, b * groups, (b + 1) * groups)
        _write_rows(x, t, part, b * per_block, (b + 1) * per_block)
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
    gx, lines, groups, threads = np.empty_like(x), as_lines(x, layout), layout.groups, get_num_threads()
    of_weights = flat(weight, 1, 1, x.dtype, layout)
    mean, variance = mean.transpose(layout.order).reshape(-1), variance.transpose(layout.order).reshape(-1)
    sums, affine = np.zeros((threads, 2, groups)), np.zeros((threads, 2, of_weights.size))
    recent = np.zeros((threads, 2, of_weights.size if layout.rows.along_weights else 0), x.dtype)
    centre, scale, offset, slope, shift = np.empty((5, groups), x.dtype)
    lines_of_both = as_lines(g, layout), as_lines(gx, layout)
    coefficients = (centre, scale, offset, slope, shift)
    t = Backward(layout.rows, *lines_of_both, of_weights, mean, variance, *coefficients, sums, affine, recent, float(eps))
    size = 2 * x.size  # twice as many elements are read as by normalize
    if norm.shares_rows(layout, size):
        set_coefficients(t, 0, groups)
        least = norm._LEAST * len(lines) // size
        parallel_for(_add_part, len(lines), least, lines, t, most=threads)
        _set_slopes(lines, t, 0, groups)
        parallel_for(_write_rows, len(lines), least, lines, t)
    else:
        least = norm._LEAST * layout.blocks // size
        parallel_for(_gradients_of_blocks, layout.blocks, least, lines, t, most=threads)
    if weight is None:
        return gx if needs[0] else None, None, None
    shape = [weight.shape[i] for i in layout.order]
    gweight, gbias = [v.reshape(shape).transpose(layout.back).astype(x.dtype) for v in affine.sum(axis=0)]
    return gx if needs[0] else None, gweight, gbias
