"""The loops of the norms' gradients: see norm.py."""

from __future__ import annotations

import numpy as np

from tinygrad_norm.fast.compiled import at, compiled
from tinygrad_norm.fast.norm import _CACHED, _LEAST, _flat, _lines, _packed, _set_all_coefficients, rows_of
from tinygrad_norm.fast.threads import call, get_num_threads, parallel_for

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


def normalize_gradients(g, x, weight, mean, variance, axes, eps, needs):
    """The gradients of x, weight and bias; see nn/functional/norm.py."""
    if x.dtype.kind != "f" or x.itemsize < 4:
        return NotImplemented
    x = _packed(x)
    seen = rows_of(x.shape, x.strides, axes, (1,) * x.ndim if weight is None else weight.shape)
    if g.strides != x.strides or g.dtype != x.dtype:
        np.copyto(like := np.empty_like(x), g)
        g = like
    gx, lines, threads = np.empty_like(x), _lines(x, seen), get_num_threads()
    ones, groups, rows, least = _flat(weight, 1, 1, x, seen), len(seen.first), len(lines), _LEAST // seen.length
    mean, variance = mean.transpose(seen.order).reshape(-1), variance.transpose(seen.order).reshape(-1)
    centre, scale, offset, slope, shift = np.empty((5, groups), x.dtype)
    call(_set_all_coefficients, centre, scale, offset, mean, variance, eps)
    sums, affine = np.zeros((threads, 2, groups)), np.zeros((threads, 2, ones.size))
    recent = np.zeros((threads, 2, ones.size if seen.along_weights else 0), x.dtype)
    places = seen.groups, seen.along_groups, seen.weights, seen.along_weights
    if seen.per_group and x.size > _CACHED:
        parallel_for(
            _gradient_of_groups, groups, _LEAST * groups // x.size, _lines(gx, seen), _lines(g, seen), lines, *places,
            seen.per_group, mean, variance, eps, centre, scale, offset, slope, shift, ones, sums, affine, recent,
            most=threads,
        )  # fmt: skip
    else:
        parallel_for(
            _add_gradients, rows, least, _lines(g, seen), lines, *places, seen.same, centre, scale, offset, ones, sums, affine,
            recent, most=threads,
        )  # fmt: skip
        if seen.same:
            call(_set_sums, ones, scale, offset, sums, affine)
        call(_set_slopes, slope, shift, centre, mean, variance, eps, sums, x.size // groups)
        if needs[0]:
            parallel_for(
                _write_gradient, rows, least, _lines(gx, seen), _lines(g, seen), lines, *places, centre, scale, slope, shift,
                ones,
            )  # fmt: skip
    if weight is None:
        return gx if needs[0] else None, None, None
    shape = [weight.shape[i] for i in seen.order]
    gweight, gbias = [v.reshape(shape).transpose(seen.back).astype(x.dtype) for v in affine.sum(axis=0)]
    return gx if needs[0] else None, gweight, gbias
