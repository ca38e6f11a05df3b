"""Elementwise formulas of many signs as one loop: the optimizers' steps, gradients of activations, dropout.

See optim/sgd.py, optim/adam.py, nn/functional/dropout.py and ops/elementwise.py. Where arrays do not lie alike in memory,
the textbook functions run.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from tinygrad_norm.fast.compiled import compiled, exp, order_of
from tinygrad_norm.fast.threads import LEAST as _LEAST
from tinygrad_norm.fast.threads import parallel_for


def _flat(*arrays: np.ndarray) -> list[np.ndarray] | None:
    """The arrays as they lie in memory, one-dimensional; None unless they lie alike, in one floating point dtype."""
    first = arrays[0]
    if first.dtype.kind != "f" or first.itemsize < 4:
        return None
    order = order_of(first.strides)
    flat = []
    for a in arrays:
        seen = a.transpose(order)
        if a.shape != first.shape or a.dtype is not first.dtype or not seen.flags.c_contiguous:
            return None
        flat.append(seen.reshape(-1))
    return flat


# ---- the optimizers -----------------------------------------------------------------------


@compiled
def _sgd(p, g, v, numbers, part, lo, hi):
    p, g, v = p[lo:hi], g[lo:hi], v[lo:hi]
    lr, momentum, keep, decay, sign, nesterov = numbers
    for i in range(len(p)):
        d = sign * g[i] + decay * p[i] if decay != 0 else sign * g[i]
        new = momentum * v[i] + keep * d
        v[i] = new
        p[i] -= lr * (d + momentum * new) if nesterov else lr * new


@compiled
def _sgd_without_momentum(p, g, lr, decay, sign, part, lo, hi):
    p, g = p[lo:hi], g[lo:hi]
    for i in range(len(p)):
        p[i] -= lr * (sign * g[i] + decay * p[i]) if decay != 0 else lr * sign * g[i]


def sgd_step(p, g, v, lr, momentum, keep, weight_decay, nesterov, maximize):
    """See optim/sgd.py."""
    flat = _flat(p, g) if v is None else _flat(p, g, v)
    if flat is None:
        return NotImplemented
    of = p.dtype.type
    sign = of(-1.0 if maximize else 1.0)
    if v is None:
        parallel_for(_sgd_without_momentum, p.size, _LEAST, *flat, of(lr), of(weight_decay), sign)
    else:
        numbers = (of(lr), of(momentum), of(keep), of(weight_decay), sign, bool(nesterov))
        parallel_for(_sgd, p.size, _LEAST, *flat, numbers)
    return None


@compiled
def _adam(p, g, m, v, numbers, part, lo, hi):
    p, g, m, v = p[lo:hi], g[lo:hi], m[lo:hi], v[lo:hi]
    rate, root, beta1, rest1, beta2, rest2, eps, decay, shrink, sign = numbers
    for i in range(len(p)):
        d = sign * g[i] + decay * p[i] if decay != 0 else sign * g[i]
        mean, square = beta1 * m[i] + rest1 * d, beta2 * v[i] + rest2 * d * d
        m[i], v[i] = mean, square
        p[i] = p[i] * shrink - rate * mean / (np.sqrt(square) / root + eps)


def adam_step(p, g, m, v, largest, rate, root, beta1, beta2, eps, decay, shrink, maximize):
    """See optim/adam.py."""
    flat = _flat(p, g, m, v)
    if flat is None or largest is not None:
        return NotImplemented
    numbers = (rate, root, beta1, 1 - beta1, beta2, 1 - beta2, eps, decay, shrink, -1.0 if maximize else 1.0)
    parallel_for(_adam, p.size, _LEAST // 2, *flat, tuple(map(p.dtype.type, numbers)))
    return None


# ---- activations and dropout --------------------------------------------------------------


@compiled
def _relu(y, x, part, lo, hi):
    y, x = y[lo:hi], x[lo:hi]
    for i in range(len(y)):
        y[i] = 0 if x[i] <= 0 else x[i]


@compiled
def _relu_gradient(gx, g, y, part, lo, hi):
    gx, g, y = gx[lo:hi], g[lo:hi], y[lo:hi]
    for i in range(len(gx)):
        gx[i] = g[i] if y[i] != 0 else 0


@compiled
def _sigmoid_gradient(gx, g, y, part, lo, hi):
    gx, g, y = gx[lo:hi], g[lo:hi], y[lo:hi]
    for i in range(len(gx)):
        gx[i] = g[i] * (y[i] * (1 - y[i]))


@compiled
def _tanh_gradient(gx, g, y, part, lo, hi):
    gx, g, y = gx[lo:hi], g[lo:hi], y[lo:hi]
    for i in range(len(gx)):
        gx[i] = g[i] * (1 - y[i] * y[i])


@compiled
def _sigmoid(y, x, part, lo, hi):
    y, x, one = y[lo:hi], x[lo:hi], np.float32(1)
    for i in range(len(y)):
        e = exp(-abs(x[i]))
        y[i] = (one if x[i] >= 0 else e) / (one + e)


def _elementwise(loop: Any, *arrays: np.ndarray, least: int = _LEAST, out: Any = None) -> Any:
    """What the loop makes of these arrays, in `out` or in a new one."""
    out = np.empty_like(arrays[-1]) if out is None else out
    flat = _flat(out, *arrays)
    if flat is None:
        return NotImplemented
    parallel_for(loop, out.size, least, *flat)
    return out


def relu_of(x, out=None):
    """See ops/unary.py."""
    return _elementwise(_relu, x, out=out)


def sigmoid_of(x):
    """See ops/unary.py."""
    return _elementwise(_sigmoid, x, least=_LEAST // 2) if x.dtype == np.float32 else NotImplemented


relu_gradient = functools.partial(_elementwise, _relu_gradient)
sigmoid_gradient = functools.partial(_elementwise, _sigmoid_gradient)
tanh_gradient = functools.partial(_elementwise, _tanh_gradient)


@compiled
def _keep_and_scale(y, x, kept, share, part, lo, hi):
    y, x, kept = y[lo:hi], x[lo:hi], kept[lo:hi]
    for i in range(len(y)):
        y[i] = x[i] / share * kept[i]


def keep_and_scale(x, kept, p):
    """See nn/functional/dropout.py."""
    if not (x.dtype.kind == "f" and x.itemsize >= 4 and p < 1 and x.flags.c_contiguous and kept.shape == x.shape):
        return NotImplemented
    y = np.empty_like(x)
    share = x.dtype.type(1 - p)
    parallel_for(_keep_and_scale, x.size, _LEAST, y.reshape(-1), x.reshape(-1), np.ascontiguousarray(kept).reshape(-1), share)
    return y
