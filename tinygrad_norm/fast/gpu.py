"""One pass instead of several on a GPU: formulas for each element, which CuPy compiles.

NumPy needs an operation for each sign in a formula, and so would CuPy: a kernel launch each, and a way through memory.
A `Kernel` is the whole formula, written so that C and Python read it alike. The functions below have the names and
signatures of textbook functions, for which they stand in; tests hold the two equal.
"""

from __future__ import annotations

import math
from typing import Any

from tinygrad_norm.backend import Array, xp


class _Compiled:
    """What CuPy makes of a formula, made once for each array library."""

    maker: str  # the name of CuPy's class

    def __init__(self, *arguments: str) -> None:
        self.arguments = arguments
        self.made: dict[Any, Any] = {}

    def made_for(self, array: Array) -> Any:
        """CuPy's own object."""
        module = xp(array)
        if module not in self.made:
            self.made[module] = getattr(module, self.maker)(*self.arguments)
        return self.made[module]


class Kernel(_Compiled):
    """A formula for each element; called with its inputs, and with arrays for its outputs (which may be inputs too).

    inputs, outputs: CuPy's parameter lists; T is whatever floating type the arrays have. formula: assignments, ended by ";".
    """

    maker = "ElementwiseKernel"

    def __init__(self, name: str, inputs: str, outputs: str, formula: str) -> None:
        super().__init__(inputs, outputs, formula, f"tinygrad_norm_{name}")

    def __call__(self, *arrays: Any) -> Array:
        """The outputs, as new arrays unless they are given."""
        return self.made_for(arrays[0])(*arrays)


class Sum(_Compiled):
    """A sum of an expression of each element over some dimensions, in float64."""

    maker = "ReductionKernel"

    def __init__(self, name: str, inputs: str, expression: str) -> None:
        super().__init__(inputs, "float64 total", expression, "a + b", "total = a", "0", f"tinygrad_norm_{name}")

    def __call__(self, *arrays: Any, axis: tuple[int, ...]) -> Array:
        """The sums, with the dimensions kept."""
        return self.made_for(arrays[0])(*arrays, axis=axis, keepdims=True)


# ---- norms: nn/functional/norm.py ---------------------------------------------------------

_sum = Sum("sum", "T x", "x")
_sum_of_squares = Sum("sum_of_squares", "T x, float64 mean", "(x - mean) * (x - mean)")
_sum_of_products = Sum("sum_of_products", "T g, W weight, T x, float64 mean, float64 rstd", "g * weight * ((x - mean) * rstd)")
_sum_weighted = Sum("sum_weighted", "T g, W weight", "g * weight")
_normalized = Kernel(
    "normalized", "T x, float64 mean, float64 rstd, W weight, V bias", "T y", "y = (x - mean) * rstd * weight + bias;"
)
_gradient = Kernel(
    "gradient",
    "T g, W weight, T x, float64 mean, float64 rstd, float64 mean_gy, float64 mean_gy_x_hat",
    "T gx",
    "gx = rstd * (g * weight - mean_gy - (x - mean) * rstd * mean_gy_x_hat);",
)


def moments(x, axes):
    """E[x] and Var[x]."""
    count = math.prod(x.shape[a] for a in axes)
    mean = _sum(x, axis=axes) / count
    return mean, _sum_of_squares(x, mean, axis=axes) / count


def normalize(x, weight, bias, axes, eps, known=None):
    """The formula, and the moments."""
    mean, variance = moments(x, axes) if known is None else known
    weight = _one(x) if weight is None else weight
    bias = xp(x).zeros_like(weight) if bias is None else bias
    return _normalized(x, mean, 1 / xp(x).sqrt(variance + eps), weight, bias), mean, variance


def normalize_gradients(g, x, weight, mean, variance, axes, eps, needs):
    """The gradients of x, weight and bias."""
    one, rstd, count = _one(x), 1 / xp(x).sqrt(variance + eps), math.prod(x.shape[a] for a in axes)
    seen = one if weight is None else weight
    gx = gweight = gbias = None
    if needs[0]:
        mean_gy = _sum_weighted(g, seen, axis=axes) / count
        gx = _gradient(g, seen, x, mean, rstd, mean_gy, _sum_of_products(g, seen, x, mean, rstd, axis=axes) / count)
    if weight is not None and (needs[1] or needs[2]):
        broadcast = tuple(i for i, n in enumerate(weight.shape) if n == 1)
        gweight = _sum_of_products(g, one, x, mean, rstd, axis=broadcast).astype(x.dtype)
        gbias = _sum(g, axis=broadcast).astype(x.dtype)
    return gx, gweight, gbias


def _one(x):
    return xp(x).ones((1,) * x.ndim, x.dtype)


# ---- dropout, cross-entropy ---------------------------------------------------------------

_kept_and_scaled = Kernel("dropout", "T x, bool kept, T share", "T y", "y = x / share * kept;")
_softmax_less_one_hot = Kernel(
    "softmax_less_one_hot",
    "T exponential, T total, int64 column, int64 target, T factor",
    "T gradient",
    "gradient = (exponential / total - (column == target)) * factor;",
)


def keep_and_scale(x, kept, p):
    """x / (1 - p) where kept."""
    return _kept_and_scaled(x, kept, 1 - p) if p < 1 else x * 0


def cross_entropy_gradient(exponentials, totals, classes, share):
    """(softmax - one_hot) * share."""
    columns = xp(exponentials).arange(exponentials.shape[1])
    return _softmax_less_one_hot(exponentials, totals, columns, classes[:, None], share)


# ---- steps of optimizers ------------------------------------------------------------------

_sgd = Kernel(
    "sgd",
    "T p, T g, T v, T sign, T decay, T momentum, T keep, T now, T look_ahead, T lr",
    "T p_new, T v_new",
    "T d = sign * g + decay * p; T b = momentum * v + keep * d; v_new = b; p_new = p - lr * (now * d + look_ahead * b);",
)
_adam = Kernel(
    "adam",
    "T p, T g, T m, T v, T sign, T shrink, T decay, T beta1, T rest1, T beta2, T rest2, T root, T eps, T rate",
    "T p_new, T m_new, T v_new",
    "T d = sign * g + decay * p; T a = beta1 * m + rest1 * d; T b = beta2 * v + rest2 * d * d; "
    "m_new = a; v_new = b; p_new = p * shrink - rate * a / (sqrt(b) / root + eps);",
)


def sgd_step(p, g, v, lr, momentum, keep, weight_decay, nesterov, maximize):
    """In place on p and v. Without momentum the kernel multiplies `before` by 0: any array of that shape does."""
    sign, look_ahead = -1.0 if maximize else 1.0, momentum if nesterov else 1.0
    before, after = (p, xp(p).empty_like(p)) if v is None else (v, v)
    _sgd(p, g, before, sign, weight_decay, momentum, keep, 1.0 if nesterov else 0.0, look_ahead, lr, p, after)


def adam_step(p, g, m, v, largest, rate, root, beta1, beta2, eps, decay, shrink, maximize):
    """In place on p, m and v; not for amsgrad."""
    if largest is not None:
        return NotImplemented
    sign = -1.0 if maximize else 1.0
    return _adam(p, g, m, v, sign, shrink, decay, beta1, 1 - beta1, beta2, 1 - beta2, root, eps, rate, p, m, v)
