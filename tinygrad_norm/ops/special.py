"""Functions of arrays that NumPy does not have."""

from __future__ import annotations

import functools
import math

import numpy as np

from tinygrad_norm import dtypes
from tinygrad_norm.backend import Array, xp
from tinygrad_norm.fast import replaceable


@functools.cache
def _coefficients() -> list[float]:
    """erfc(z) * exp(z*z) for z >= 0 as a Chebyshev series in t = 2 / (2 + z), which runs over (0, 1].

    The function is smooth in t, so 40 terms reach the rounding error of float64 (the change of
    variable is that of Press et al., Numerical Recipes, 3rd ed., section 6.2.2).
    """

    def scaled(y: np.ndarray) -> np.ndarray:  # y in [-1, 1], t = (y + 1) / 2
        z = 4 / (y + 1) - 2
        small = [math.erfc(v) * math.exp(v * v) if v < 20 else math.nan for v in z]
        inverse = 1 / (2 * z * z + 1e-300)
        tail = (1 - inverse + 3 * inverse**2 - 15 * inverse**3 + 105 * inverse**4) / (z * math.sqrt(math.pi) + 1e-300)
        return np.where(z < 20, small, tail)

    series: np.ndarray = np.polynomial.chebyshev.chebinterpolate(scaled, 39)
    return series.tolist()


def erf(x: Array) -> Array:
    """The error function, elementwise, in the dtype of x: near 0 by its power series, elsewhere as 1 - erfc."""
    if x.dtype.kind != "f":
        return erf(x.astype(np.float32))
    if x.dtype == dtypes.float16:
        return erf(x.astype(np.float32)).astype(x.dtype)
    z = abs(x)
    square = xp(x).minimum(z, 0.5) ** 2
    series = 0.0
    for n in reversed(range(14)):
        series = series * square + (-1) ** n / (math.factorial(n) * (2 * n + 1))
    y = 8 / (z + 2) - 2  # twice the series' variable, as Clenshaw's recurrence wants it
    b1 = b2 = 0.0
    for c in reversed(_coefficients()[1:]):
        b1, b2 = c + y * b1 - b2, b1
    tail = (_coefficients()[0] + 0.5 * y * b1 - b2) * xp(x).exp(-z * z)
    return xp(x).where(z < 0.5, x * (2 / math.sqrt(math.pi)) * series, xp(x).copysign(1 - tail, x))


@replaceable
def masked(x, mask):
    """x where the mask is True, else 0; a product would make nan of infinity."""
    return xp(x).where(mask, x, 0).astype(x.dtype, copy=False)
