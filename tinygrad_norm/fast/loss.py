"""Exponentials and the gradient of cross-entropy, row by row: see ops/softmax.py and nn/functional/classification.py."""

from __future__ import annotations

import numpy as np

from tinygrad_norm.fast.compiled import compiled, exp
from tinygrad_norm.fast.threads import LEAST, parallel_for

_LANES = 64
_LEAST = LEAST // 4  # exponentials, which take four times as long as what else is done to an element


@compiled
def _largest(row, lanes):
    """The largest number; one that is nan may be passed over. lanes: memory to work in; lanes[k] becomes the largest of
    row[k :: len(lanes)], so that no comparison waits for the one before; then half of them are compared with the others.
    """
    for j in range(len(lanes)):
        lanes[j] = row[j]
    for start in range(len(lanes), len(row), len(lanes)):
        seen = row[start : start + len(lanes)]
        for j in range(len(seen)):
            lanes[j] = seen[j] if seen[j] > lanes[j] else lanes[j]
    while len(lanes) > 1:
        half = (len(lanes) + 1) // 2
        others, lanes = lanes[half:], lanes[:half]
        for j in range(len(others)):
            lanes[j] = others[j] if others[j] > lanes[j] else lanes[j]
    return lanes[0]


@compiled
def _exponentials(out, scores, largest, totals, part, lo, hi):
    """exp(score - the largest of the row); their sums of 256 in float32, then in float64."""
    for r in range(lo, hi):
        most, total = _largest(scores[r], out[r][:_LANES]), 0.0
        for start in range(0, scores.shape[1], 256):
            row, found, t = scores[r, start : start + 256], out[r, start : start + 256], scores.dtype.type(0)
            for j in range(len(row)):
                e = exp(row[j] - most)
                found[j] = e
                t += e
            total += t
        for j in range(scores.shape[1] if total != total else 0):
            if scores[r, j] != scores[r, j]:  # the largest is nan, and so is all
                out[r, :], most = total, total
        largest[r, 0], totals[r, 0] = most, total


def _rows(*arrays: np.ndarray) -> bool:
    first = arrays[0]
    return first.dtype.kind == "f" and first.itemsize >= 4 and all(a.flags.c_contiguous and a.size for a in arrays)


def exponentials_of(x, axis):
    """The largest of each row, exp(x - largest), their sums; see ops/softmax.py."""
    if axis != x.ndim - 1 or x.dtype != np.float32 or not _rows(x):
        return NotImplemented
    rows, shape = x.reshape(-1, x.shape[axis]), (*x.shape[:axis], 1)
    out, (largest, totals) = np.empty_like(rows), np.empty((2, len(rows), 1), x.dtype)
    parallel_for(_exponentials, len(rows), _LEAST // rows.shape[1], out, rows, largest, totals)
    return largest.reshape(shape), out.reshape(x.shape), totals.reshape(shape)


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
    parallel_for(_gradient, len(out), LEAST // out.shape[1], out, exponentials, totals, classes, share)
    return out
