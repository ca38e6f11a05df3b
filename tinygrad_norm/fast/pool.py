"""Pooling as loops: see nn/functional/pool.py.

Arrays of shape (N, C, H, W) are read with the batch innermost in memory (conv.py): each place of a window is then a run of
all images. In another order the textbook functions run.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from tinygrad_norm.fast.compiled import compiled, inlined
from tinygrad_norm.fast.threads import LEAST as _LEAST
from tinygrad_norm.fast.threads import parallel_for


def _lines(x: np.ndarray) -> np.ndarray | None:
    """x as (outer, C, inner dimensions ...): (H, C, W, N) batch innermost, None if memory is ordered otherwise."""
    seen = x.transpose(2, 1, 3, 0)
    return seen if seen.flags.c_contiguous else None


def _windows(rows: Any, columns: Any) -> list[tuple[int, ...]]:
    """What the loops have to know of both sides' windows."""
    return [(w.kernel, w.stride, w.before, w.dilation) for w in (rows, columns)]


@inlined
def _inputs(o, size, windows):
    """The inputs that output o sees, without the padding."""
    kernel, stride, before, dilation = windows
    start = o * stride - before
    skipped = (max(-start, 0) + dilation - 1) // dilation  # places in the padding before the input
    return range(start + skipped * dilation, min(start + kernel * dilation, size), dilation)


@compiled
def _maximum(out, x, rows, columns, part, lo, hi):
    """Of lines (H, C, W, N), output lines lo to hi; a nan is the maximum."""
    height, channels, width, batch = x.shape
    for h in range(lo, hi):
        for c in range(channels):
            for w in range(out.shape[2]):
                best = out[h, c, w]
                best[:] = -np.inf
                for y in _inputs(h, height, rows):
                    for z in _inputs(w, width, columns):
                        seen = x[y, c, z]
                        for n in range(batch):
                            v = seen[n]
                            best[n] = v if (v > best[n]) | (v != v) else best[n]


@compiled
def _scatter_to_maximum(gx, g, x, out, taken, rows, columns, part, lo, hi):
    """Channels lo to hi: g goes to the first place of each window that holds the maximum, or to the last nan."""
    height, _, width, batch = x.shape
    free = taken[part]
    for h in range(g.shape[0]):
        for c in range(lo, hi):
            for w in range(g.shape[2]):
                free[:] = 1
                best, given = out[h, c, w], g[h, c, w]
                for y in _inputs(h, height, rows):
                    for z in _inputs(w, width, columns):
                        seen, into = x[y, c, z], gx[y, c, z]
                        for n in range(batch):
                            here = free[n] & (seen[n] == best[n])
                            into[n] += given[n] if here else 0
                            free[n] ^= here
                for n in range(batch):
                    if best[n] != best[n]:
                        row, column = 0, 0
                        for y in _inputs(h, height, rows):
                            for z in _inputs(w, width, columns):
                                if x[y, c, z, n] != x[y, c, z, n]:
                                    row, column = y, z
                        gx[row, c, column, n] += given[n]


@compiled
def _sum(out, x, rows, columns, part, lo, hi):
    height, channels, width, batch = x.shape
    for h in range(lo, hi):
        for c in range(channels):
            for w in range(out.shape[2]):
                total = out[h, c, w]
                total[:] = 0
                for y in _inputs(h, height, rows):
                    for z in _inputs(w, width, columns):
                        seen = x[y, c, z]
                        for n in range(batch):
                            total[n] += seen[n]


@compiled
def _spread_sum(gx, g, rows, columns, part, lo, hi):
    height, _, width, batch = gx.shape
    for h in range(g.shape[0]):
        for c in range(lo, hi):
            for w in range(g.shape[2]):
                given = g[h, c, w]
                for y in _inputs(h, height, rows):
                    for z in _inputs(w, width, columns):
                        into = gx[y, c, z]
                        for n in range(batch):
                            into[n] += given[n]


def _fits(x: np.ndarray) -> bool:
    return x.dtype.kind == "f" and x.itemsize >= 4 and bool(x.size)


def _new(x: np.ndarray, height: int, width: int, zero: bool) -> np.ndarray:
    """(height, C, width, N) for an array (N, C, H, W)."""
    return (np.zeros if zero else np.empty)((height, x.shape[1], width, len(x)), x.dtype)


def _over_windows(loop, x, rows, columns):
    lines = _lines(x) if _fits(x) else None
    if lines is None:
        return NotImplemented
    out = _new(x, rows.count, columns.count, False)
    parallel_for(loop, len(out), _LEAST * len(out) // x.size, out, lines, *_windows(rows, columns))
    return out.transpose(3, 1, 0, 2)


window_maximum = functools.partial(_over_windows, _maximum)
window_sum = functools.partial(_over_windows, _sum)


def scatter_to_maximum(g, x, out, rows, columns):
    """g, put where the maximum of each window was found."""
    lines, best = (_lines(x), _lines(out)) if _fits(x) and g.dtype == x.dtype else (None, None)
    if lines is None or best is None:
        return NotImplemented
    given = np.ascontiguousarray(g.transpose(2, 1, 3, 0))
    gx, channels = _new(x, rows.size, columns.size, True), x.shape[1]
    taken = np.empty((channels, len(x)), np.uint8)
    parallel_for(
        _scatter_to_maximum, channels, _LEAST * channels // x.size, gx, given, lines, best, taken, *_windows(rows, columns)
    )
    return gx.transpose(3, 1, 0, 2)


def scatter_to_windows(g, rows, columns):
    """Each input gets the sum of the gradients of the windows that see it."""
    if not _fits(g):
        return NotImplemented
    given = np.ascontiguousarray(g.transpose(2, 1, 3, 0))
    gx, channels = _new(g, rows.size, columns.size, True), g.shape[1]
    parallel_for(_spread_sum, channels, _LEAST * channels // gx.size, gx, given, *_windows(rows, columns))
    return gx.transpose(3, 1, 0, 2)
