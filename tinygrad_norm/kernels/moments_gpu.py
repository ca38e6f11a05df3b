"""The norms on a GPU: each sum and each formula is one pass over memory.

As moments.py, with less art: differences from the mean are taken in float64, so that no mean is too large and no square
overflows, and nothing has to be looked at on the way.
"""

from __future__ import annotations

import math

from tinygrad_norm.backend import Array, xp
from tinygrad_norm.kernels.gpu import Kernel, Sum

Axes = tuple[int, ...]

_values = Sum("values", "T x", "x")
_squares = Sum("squares", "T x, float64 mean", "(x - mean) * (x - mean)")
_weighted = Sum("weighted", "T g, W weight", "g * weight")
_with_x_hat = Sum("with_x_hat", "T g, W weight, T x, float64 mean, float64 rstd", "g * weight * ((x - mean) * rstd)")
_normalized = Kernel(
    "normalized",
    "T x, float64 mean, float64 rstd, W weight, V bias",
    "T y",
    "y = (x - mean) * rstd * weight + bias;",
)
_gradient = Kernel(
    "gradient",
    "T g, W weight, T x, float64 mean, float64 rstd, float64 mean_gy, float64 mean_gy_x_hat",
    "T gx",
    "gx = rstd * (g * weight - mean_gy - (x - mean) * rstd * mean_gy_x_hat);",
)


def moments(x: Array, axes: Axes, eps: float) -> tuple[Array, Array, Array]:
    """E[x], Var[x] and 1 / sqrt(Var[x] + eps) over `axes`, in float64."""
    count = math.prod(x.shape[a] for a in axes)
    mean = _values(x, axis=axes) / count
    variance = _squares(x, mean, axis=axes) / count
    return mean, variance, 1 / xp(x).sqrt(variance + eps)


def normalize(x: Array, weight: Array | None, bias: Array | None, mean: Array, rstd: Array) -> Array:
    """Y = (x - mean) * rstd * weight + bias."""
    weight = _one(x) if weight is None else weight
    return _normalized(x, mean, rstd, weight, xp(x).zeros_like(weight) if bias is None else bias)


def gradients(
    g: Array, x: Array, weight: Array | None, mean: Array, rstd: Array, axes: Axes, needs: tuple[bool, ...]
) -> tuple[Array | None, Array | None, Array | None]:
    """The gradients of x, weight and bias by the formula in moments.py."""
    affine = tuple(i for i in range(x.ndim) if weight is None or weight.shape[i] == 1)
    one, weight = _one(x), _one(x) if weight is None else weight
    gx = gweight = gbias = None
    if needs[0]:
        count = math.prod(x.shape[a] for a in axes)
        mean_gy = _weighted(g, weight, axis=axes) / count
        mean_gy_x_hat = _with_x_hat(g, weight, x, mean, rstd, axis=axes) / count
        gx = _gradient(g, weight, x, mean, rstd, mean_gy, mean_gy_x_hat)
    if needs[1]:
        gweight = _with_x_hat(g, one, x, mean, rstd, axis=affine).astype(weight.dtype)
    if needs[2]:
        gbias = _weighted(g, one, axis=affine).astype(weight.dtype)
    return gx, gweight, gbias


def _one(x: Array) -> Array:
    return xp(x).ones((1,) * x.ndim, x.dtype)
