"""Elementwise ops: shapes broadcast, dtypes promote by PyTorch's rules.

Primitives are `@elementwise` functions with their vjps; below them come the compositions.
At a kink the derivative is the one that PyTorch takes, and the docstring says which.
"""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from tinygrad_norm import dtypes
from tinygrad_norm.autograd import Tensor, elementwise, wrap
from tinygrad_norm.backend import is_array, xp
from tinygrad_norm.kernels import special

# ---- arithmetic ---------------------------------------------------------------------------


@elementwise
def _add(a, b):
    return a + b


_add.vjp(a=lambda g: g, b=lambda g: g)


@elementwise
def _sub(a, b):
    return a - b


_sub.vjp(a=lambda g: g, b=lambda g: -g)


def add(input: Any, other: Any, *, alpha: float = 1) -> Tensor:
    """Input + alpha * other."""
    return _add(input, other if alpha == 1 else mul(other, alpha))


def sub(input: Any, other: Any, *, alpha: float = 1) -> Tensor:
    """Input - alpha * other."""
    return _sub(input, other if alpha == 1 else mul(other, alpha))


@elementwise
def mul(a, b):
    """A * b."""
    return a * b


mul.vjp(a=lambda g, b: g * b, b=lambda g, a: g * a)


@elementwise
def div(a, b):
    """A / b; integers are divided as float32."""
    return a / b


div.vjp(a=lambda g, b: g / b, b=lambda g, out, b: -(g * out / b))


@elementwise
def pow(a, b):
    """A ** b. d/da is 0 where b is 0; d/db is 0 where a is 0 and b >= 0."""
    return a**b


def _pow_base(g, a, b):
    if isinstance(b, (int, float)):
        return zeros_of(g) if b == 0 else g * (b * a ** (b - 1))
    return g * where(b == 0, 0.0, b * pow(a, where(b == 0, 1.0, b - 1)))


def _pow_exponent(g, out, a, b):
    zero = (a == 0) & (b >= 0)
    return g * where(zero, 0.0, out * log(where(zero, 1.0, a)))


pow.vjp(a=_pow_base, b=_pow_exponent)


@elementwise
def neg(x):
    """-x."""
    return -x


neg.vjp(x=lambda g: -g)


@elementwise
def abs(x):
    """|x|; the derivative at 0 is 0."""
    return xp(x).abs(x)


abs.vjp(x=lambda g, x: g * sign(x))


@elementwise
def sign(x):
    """-1, 0 or 1; the derivative is 0."""
    return xp(x).sign(x)


@elementwise
def floor(x):
    """The largest integer not above x; the derivative is 0."""
    return xp(x).floor(x)


@elementwise
def ceil(x):
    """The smallest integer not below x; the derivative is 0."""
    return xp(x).ceil(x)


@elementwise
def _round(x, *, decimals):
    return xp(x).round(x, decimals)


@elementwise
def zeros_of(x):
    """Zeros of x's shape, whatever x holds; a constant, so its derivative is zero too."""
    return xp(x).zeros_like(x)


for _step in (sign, floor, ceil, _round, zeros_of):
    _step.vjp(x=lambda g: zeros_of(g))


def round(input: Tensor, *, decimals: int = 0) -> Tensor:
    """The nearest number with so many decimals, ties to even; the derivative is 0."""
    return _round(input, decimals=decimals)


# ---- exponentials and roots ---------------------------------------------------------------


@elementwise
def exp(x):
    """e**x."""
    return xp(x).exp(x)


exp.vjp(x=lambda g, out: g * out)


@elementwise
def log(x):
    """The natural logarithm."""
    return xp(x).log(x)


log.vjp(x=lambda g, x: g / x)


@elementwise
def log1p(x):
    """log(1 + x), exact for small x."""
    return xp(x).log1p(x)


log1p.vjp(x=lambda g, x: g / (x + 1))


@elementwise
def sqrt(x):
    """The square root. The derivative at 0 is infinite, as in PyTorch; `norm` and `std` have their own."""
    return xp(x).sqrt(x)


sqrt.vjp(x=lambda g, out: g / (out * 2))


@elementwise
def rsqrt(x):
    """1 / sqrt(x)."""
    return 1 / xp(x).sqrt(x)


rsqrt.vjp(x=lambda g, out: g * -0.5 * (out * out * out))


@elementwise
def reciprocal(x):
    """1 / x; of integers in float32."""
    return 1 / x


reciprocal.vjp(x=lambda g, out: -(g * out * out))


@elementwise
def square(x):
    """X * x."""
    return x * x


square.vjp(x=lambda g, x: g * 2 * x)


@elementwise
def sin(x):
    """The sine of x in radians."""
    return xp(x).sin(x)


sin.vjp(x=lambda g, x: g * cos(x))


@elementwise
def cos(x):
    """The cosine of x in radians."""
    return xp(x).cos(x)


cos.vjp(x=lambda g, x: -(g * sin(x)))


# ---- activations --------------------------------------------------------------------------


@elementwise
def tanh(x):
    """(e**x - e**-x) / (e**x + e**-x)."""
    return xp(x).tanh(x)


tanh.vjp(x=lambda g, out: g * (1 - out * out))


@elementwise
def sigmoid(x):
    """1 / (1 + e**-x), in one new array."""
    out = xp(x).asarray(-x) if x.dtype.kind == "f" else x * -1.0
    with np.errstate(over="ignore"):  # e**-x = inf gives 0, as it should
        xp(x).exp(out, out=out)
    out += 1
    return xp(x).reciprocal(out, out=out)


sigmoid.vjp(x=lambda g, out: g * (out * (1 - out)))


@elementwise
def relu(x):
    """max(x, 0); the derivative at 0 is 0."""
    return special.rectified(x)


relu.vjp(x=lambda g, out: g * (out > 0))


@elementwise
def _leaky_relu(x, *, negative_slope):
    return xp(x).where(x > 0, x, x * negative_slope)


_leaky_relu.vjp(x=lambda g, x, negative_slope: where(x > 0, g, g * negative_slope))


def leaky_relu(input: Tensor, negative_slope: float = 0.01) -> Tensor:
    """X where x > 0, else negative_slope * x; the derivative at 0 is negative_slope."""
    return _leaky_relu(input, negative_slope=negative_slope)


def elu(input: Tensor, alpha: float = 1.0) -> Tensor:
    """X where x > 0, else alpha * (e**x - 1). Clevert et al. 2015, arXiv:1511.07289."""
    return where(input > 0, input, alpha * expm1(minimum(input, 0.0)))


@elementwise
def expm1(x):
    """e**x - 1, exact for small x."""
    return xp(x).expm1(x)


expm1.vjp(x=lambda g, out: g * (out + 1))


def silu(input: Tensor) -> Tensor:
    """X * sigmoid(x). Hendrycks and Gimpel 2016, arXiv:1606.08415."""
    return input * sigmoid(input)


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """X * Phi(x), Phi the normal distribution function; with approximate="tanh" the usual approximation.

    Hendrycks and Gimpel 2016, arXiv:1606.08415.
    """
    if approximate == "tanh":
        inner = math.sqrt(2 / math.pi) * (input + 0.044715 * input * input * input)
        return 0.5 * input * (1 + tanh(inner))
    if approximate != "none":
        raise RuntimeError(f"approximate argument must be either none or tanh, but got {approximate!r}")
    return 0.5 * input * (1 + erf(input * math.sqrt(0.5)))


@elementwise
def erf(x):
    """The error function, 2/sqrt(pi) times the integral of e**(-t*t) from 0 to x."""
    return special.erf(x)


erf.vjp(x=lambda g, x: g * (2 / math.sqrt(math.pi)) * exp(-(x * x)))


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + e**(beta x)) / beta; x itself where beta * x > threshold."""
    scaled = input * beta
    smooth = maximum(scaled, 0.0) + log1p(exp(-abs(scaled)))
    return where(scaled > threshold, input, smooth / beta)


# ---- choosing -----------------------------------------------------------------------------


@elementwise
def maximum(a, b):
    """The larger of a and b; where they are equal each gets half the gradient."""
    return xp(a, b).maximum(a, b)


@elementwise
def minimum(a, b):
    """The smaller of a and b; where they are equal each gets half the gradient."""
    return xp(a, b).minimum(a, b)


maximum.vjp(
    a=lambda g, a, b: g * ((a > b) + (a == b) * 0.5),
    b=lambda g, a, b: g * ((b > a) + (a == b) * 0.5),
)
minimum.vjp(
    a=lambda g, a, b: g * ((a < b) + (a == b) * 0.5),
    b=lambda g, a, b: g * ((b < a) + (a == b) * 0.5),
)


@elementwise
def _clamp(x, *, min, max):
    return xp(x).clip(x, min, max)


_clamp.vjp(x=lambda g, x, min, max: g * _inside(x, min, max))


def _inside(x, low, high):
    if low is None:
        return x <= high
    return x >= low if high is None else (x >= low) & (x <= high)


def clamp(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """input, but at least min and at most max; at the bounds the derivative is 1."""
    if min is None and max is None:
        raise RuntimeError("clamp: at least one of 'min' or 'max' must not be None")
    if isinstance(min, Tensor) or isinstance(max, Tensor):
        input = input if min is None else maximum(input, min)
        return input if max is None else minimum(input, max)
    return _clamp(input, min=min, max=max)


@elementwise
def _where(a, b, *, condition):
    return xp(condition, a, b).where(condition, a, b)


_where.vjp(
    a=lambda g, condition: where(condition, g, 0.0),
    b=lambda g, condition: where(condition, 0.0, g),
)


def where(condition: Any, input: Any, other: Any) -> Any:
    """Input where condition holds, else other; no gradient flows to what was not chosen, not even nan * 0."""
    if isinstance(condition, Tensor):
        condition = condition.array.copy()  # a later edit of the mask must not reach the gradient
        if not isinstance(input, Tensor) and not isinstance(other, Tensor):
            dtype = input.dtype if is_array(input) else dtypes.of_scalar(input)
            input = wrap(xp(condition).asarray(input, dtype=dtype))
    return _where(input, other, condition=condition)


def masked_fill(input: Tensor, mask: Any, value: Any) -> Tensor:
    """Value where mask holds, else input."""
    return where(mask, value, input)


# ---- comparisons: no gradient -------------------------------------------------------------


def _raw(x: Any) -> Any:
    return x.array if isinstance(x, Tensor) else x


def _compare(name: str, sentence: str) -> Any:
    def compare(input: Any, other: Any) -> Tensor:
        a, b = _raw(input), _raw(other)
        return wrap(getattr(xp(a, b), name)(a, b))

    compare.__name__ = compare.__qualname__ = name
    compare.__doc__ = f"{sentence}, elementwise; a bool Tensor."
    return compare


def _bitwise(name: str, sentence: str, function: Any) -> Any:
    def bitwise(input: Any, other: Any) -> Tensor:
        return wrap(function(_raw(input), _raw(other)))

    bitwise.__name__ = bitwise.__qualname__ = name
    bitwise.__doc__ = f"{sentence}, bit by bit; for bools, {sentence.lower()}."
    return bitwise


bitwise_and = _bitwise("bitwise_and", "And", operator.and_)
bitwise_or = _bitwise("bitwise_or", "Or", operator.or_)
bitwise_xor = _bitwise("bitwise_xor", "Exclusive or", operator.xor)


def bitwise_not(input: Tensor) -> Tensor:
    """Not, bit by bit; for bools, not."""
    return wrap(~input.array)


eq = _compare("equal", "input == other")
ne = _compare("not_equal", "input != other")
lt = _compare("less", "input < other")
le = _compare("less_equal", "input <= other")
gt = _compare("greater", "input > other")
ge = _compare("greater_equal", "input >= other")
logical_and = _compare("logical_and", "Both are true")
logical_or = _compare("logical_or", "One or both are true")


def logical_not(input: Any) -> Tensor:
    """Not input, elementwise; a bool Tensor."""
    return wrap(xp(_raw(input)).logical_not(_raw(input)))


def isnan(input: Any) -> Tensor:
    """Whether each element is nan."""
    return wrap(xp(_raw(input)).isnan(_raw(input)))


def isinf(input: Any) -> Tensor:
    """Whether each element is plus or minus infinity."""
    return wrap(xp(_raw(input)).isinf(_raw(input)))


def isfinite(input: Any) -> Tensor:
    """Whether each element is neither nan nor infinite."""
    return wrap(xp(_raw(input)).isfinite(_raw(input)))
