"""Pooling: a few operations on slices, one for each place in the window.

With the batch innermost in memory (see conv.py) each slice is long contiguous runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from tinygrad_norm.backend import Array, xp
from tinygrad_norm.kernels.special import masked
from tinygrad_norm.kernels.window import Windows


def _taps(rows: Windows, columns: Windows) -> Iterator[tuple[tuple, tuple]]:
    """For each place in the window, in reading order: the index of the outputs that see an input, and of the inputs."""
    everything = slice(None)
    for rows_out, rows_in in rows.taps():
        for columns_out, columns_in in columns.taps():
            yield (everything, everything, rows_out, columns_out), (everything, everything, rows_in, columns_in)


def _like(x: Array, height: int, width: int, value: float) -> Array:
    """(N, C, height, width) filled with a value, batch innermost in memory."""
    batch, channels = x.shape[:2]
    return xp(x).full((height, channels, width, batch), value, dtype=x.dtype).transpose(3, 1, 0, 2)


def _to_be_filled(g: Array, rows: Windows, columns: Windows) -> Array:
    """The inputs' gradient: zeros, but where all will be written anyway."""
    if rows.tile and columns.tile:
        return xp(g).empty((rows.size, g.shape[1], columns.size, len(g)), g.dtype).transpose(3, 1, 0, 2)
    return _like(g, rows.size, columns.size, 0)


def _folded(x: Array, rows: Windows, columns: Windows, combine: Callable, neutral: float) -> Array:
    """The inputs of each window combined by a ufunc, place by place; `neutral` where a window sees only padding."""
    out = None
    for outputs, inputs in _taps(rows, columns):
        seen = x[inputs]
        if out is None:
            whole = seen.shape[2:] == (rows.count, columns.count)
            out = seen.copy(order="K") if whole else _like(x, rows.count, columns.count, neutral)
            if whole:
                continue
        combine(out[outputs], seen, out=out[outputs])
    return out


def maximum(x: Array, rows: Windows, columns: Windows) -> Array:
    """The largest input of each window; nan if one is nan."""
    lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    return _folded(x, rows, columns, xp(x).maximum, lowest)


def _first(x: Array, out: Array, rows: Windows, columns: Windows) -> Iterator[tuple[tuple, tuple, Array]]:
    """For each place: the outputs, the inputs, and where this place is the first that holds the maximum."""
    free = xp(x).ones_like(out, dtype=bool)
    may_be_nan = not isinstance(out, np.ndarray) or bool(np.isnan(out).any())
    for outputs, inputs in _taps(rows, columns):
        seen = x[inputs]
        here = seen == out[outputs]
        if may_be_nan:  # a nan is the maximum
            here |= seen != seen
        here &= free[outputs]
        free[outputs] ^= here
        yield outputs, inputs, here


def spread_maximum(g: Array, x: Array, out: Array, rows: Windows, columns: Windows) -> Array:
    """g, put where the maximum of each window was found; ties go to the first."""
    gx = _to_be_filled(g, rows, columns)
    overlap = rows.overlap or columns.overlap
    for outputs, inputs, here in _first(x, out, rows, columns):
        if overlap:
            gx[inputs] += masked(g[outputs], here)
        else:
            masked(g[outputs], here, gx[inputs])
    return gx


def pick_maximum(values: Array, x: Array, out: Array, rows: Windows, columns: Windows) -> Array:
    """The values that stand where the maximum of each window was found."""
    picked = _like(values, rows.count, columns.count, 0)
    for outputs, inputs, here in _first(x, out, rows, columns):
        picked[outputs] += masked(values[inputs], here)
    return picked


def maximum_indices(x: Array, out: Array, rows: Windows, columns: Windows) -> Array:
    """Where the maximum of each window was found: h * W + w, int64."""
    height, width = x.shape[2:]
    positions = xp(x).arange(height * width).reshape(1, 1, height, width)
    found = xp(x).zeros(out.shape, "int64")
    for outputs, inputs, here in _first(x, out, rows, columns):
        found[outputs] += positions[inputs] * here
    return found


def total(x: Array, rows: Windows, columns: Windows) -> Array:
    """The sum of the inputs of each window."""
    return _folded(x, rows, columns, xp(x).add, 0)


def spread_total(g: Array, rows: Windows, columns: Windows) -> Array:
    """The adjoint of total: each input gets the sum of the gradients of the windows that see it."""
    gx = _to_be_filled(g, rows, columns)
    overlap = rows.overlap or columns.overlap
    for outputs, inputs in _taps(rows, columns):
        if overlap:
            gx[inputs] += g[outputs]
        else:
            gx[inputs] = g[outputs]
    return gx
