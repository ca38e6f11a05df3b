"""The cross-entropy, row by row: see nn/functional/classification.py.

The exponentials are NumPy's, which are vectorised; a block of rows stays in the cache from one pass to the next.
"""

from __future__ import annotations

import numpy as np

from tinygrad_norm.fast.compiled import compiled
from tinygrad_norm.fast.threads import parallel_for

_BLOCK = 2**14  # elements
_LANES = 64
_LEAST = 2**17  # elements for which a second thread is worth waking


@compiled
def _largest(row, lanes):
    """The largest number, nan if one is nan. A lane has that of every so-manyth: they need not wait for one another."""
    for j in range(len(lanes)):
        lanes[j] = row[j]
    for start in range(len(lanes), len(row), len(lanes)):
        seen = row[start : start + len(lanes)]
        for j in range(len(seen)):
            lanes[j] = seen[j] if (seen[j] > lanes[j]) | (seen[j] != seen[j]) else lanes[j]
    most = lanes[0]
    for j in range(len(lanes)):
        most = lanes[j] if (lanes[j] > most) | (lanes[j] != lanes[j]) else most
    return most


@compiled
def _shift(out, scores, largest, lo, hi):
    """scores - the largest of the row."""
    for r in range(lo, hi):
        row, shifted = scores[r], out[r]
        most = largest[r, 0] = _largest(row, shifted[:_LANES])
        for j in range(len(row)):
            shifted[j] = row[j] - most


@compiled
def _sum_rows(exponentials, totals, lo, hi):
    for r in range(lo, hi):
        total, row = 0.0, exponentials[r]
        for j in range(len(row)):
            total += np.float64(row[j])
        totals[r, 0] = total


def _exponentials(out, scores, largest, totals, part, lo, hi):
    rows = max(_BLOCK // scores.shape[1], 1)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        for start in range(lo, hi, rows):
            stop = min(start + rows, hi)
            _shift(out, scores, largest, start, stop)
            np.exp(out[start:stop], out=out[start:stop])
            _sum_rows(out, totals, start, stop)


def _rows(*arrays: np.ndarray) -> bool:
    first = arrays[0]
    return first.dtype.kind == "f" and first.itemsize >= 4 and all(a.flags.c_contiguous and a.size for a in arrays)


def exponentials_of(scores):
    """The largest of each row, exp(scores - largest), their sums."""
    if not _rows(scores):
        return NotImplemented
    out, n = np.empty_like(scores), len(scores)
    largest, totals = np.empty((2, n, 1), scores.dtype)
    parallel_for(_exponentials, n, _LEAST // scores.shape[1], out, scores, largest, totals)
    return largest, out, totals


@compiled
def _gradient(out, exponentials, totals, classes, share, part, lo, hi):
    for r in range(lo, hi):
        row, gradient, total, factor = exponentials[r], out[r], totals[r, 0], share[r, 0]
        for j in range(len(row)):
            gradient[j] = row[j] / total * factor
        c = classes[r]
        if 0 <= c < len(row):  # labels are the user's memory, and may have been written over since they were checked
            gradient[c] = (row[c] / total - 1) * factor


def cross_entropy_gradient(exponentials, totals, classes, share):
    """(softmax - one_hot) * share."""
    if not _rows(exponentials, totals, share):
        return NotImplemented
    out = np.empty_like(exponentials)
    classes = np.ascontiguousarray(classes)
    parallel_for(_gradient, len(out), _LEAST // out.shape[1], out, exponentials, totals, classes, share)
    return out
