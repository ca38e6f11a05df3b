"""Functions of one number, for each element: the name, what it is, its derivative.

A vjp takes g, what arrives from the right, and of the input and the result (`out`) what it needs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_norm import dtypes
from tinygrad_norm.autograd import Tensor, elementwise
from tinygrad_norm.backend import raw, xp
from tinygrad_norm.engine.tensor import wrap
from tinygrad_norm.fast import STAND_INS, replaceable
from tinygrad_norm.ops import special


def _unary(name: str, doc: str, vjp: Callable, function: str = "") -> Any:
    """The op of that name: NumPy's function, under its own name or under another."""

    def forward(input):
        return getattr(xp(input), function or name)(input)

    forward.__name__ = forward.__qualname__ = name
    forward.__doc__ = doc
    made = elementwise(forward)
    made.vjp(input=vjp)
    return made


exp = _unary("exp", "e**input.", lambda g, out: g * out)
expm1 = _unary("expm1", "e**input - 1, exact for small input.", lambda g, out: g * (out + 1))
log = _unary("log", "The natural logarithm.", lambda g, input: g / input)
log2 = _unary("log2", "The logarithm to the base 2.", lambda g, input: g / (input * math.log(2)))
log10 = _unary("log10", "The logarithm to the base 10.", lambda g, input: g / (input * math.log(10)))
log1p = _unary("log1p", "log(1 + input), exact for small input.", lambda g, input: g / (input + 1))
sqrt = _unary(
    "sqrt",
    "The square root. The derivative at 0 is infinite, as in PyTorch; `norm` and `std` have their own.",
    lambda g, out: g / (out * 2),
)
sin = _unary("sin", "The sine of input in radians.", lambda g, input: g * cos(input))
cos = _unary("cos", "The cosine of input in radians.", lambda g, input: -(g * sin(input)))
tan = _unary("tan", "The tangent of input in radians.", lambda g, out: g * (1 + out * out))
asin = _unary(
    "asin", "The angle from -pi/2 to pi/2 whose sine is input.", lambda g, input: g * rsqrt(1 - input * input), "arcsin"
)
acos = _unary(
    "acos", "The angle from 0 to pi whose cosine is input.", lambda g, input: -(g * rsqrt(1 - input * input)), "arccos"
)
atan = _unary(
    "atan", "The angle from -pi/2 to pi/2 whose tangent is input.", lambda g, input: g / (1 + input * input), "arctan"
)
sinh = _unary("sinh", "(e**input - e**-input) / 2.", lambda g, input: g * cosh(input))
cosh = _unary("cosh", "(e**input + e**-input) / 2.", lambda g, input: g * sinh(input))
tanh = _unary("tanh", "(e**input - e**-input) / (e**input + e**-input).", lambda g, out: tanh_gradient(g, out))


@replaceable
def tanh_gradient(g, y):
    """g * (1 - y**2), y = tanh(x)."""
    return g * (1 - y * y)


@elementwise
def rsqrt(input):
    """1 / sqrt(input)."""
    return 1 / xp(input).sqrt(input)


rsqrt.vjp(input=lambda g, out: g * -0.5 * (out * out * out))


@elementwise
def reciprocal(input):
    """1 / input; of integers in float32."""
    return 1 / input


reciprocal.vjp(input=lambda g, out: -(g * (out * out)))


@elementwise
def square(input):
    """input * input."""
    return input * input if input.dtype.kind != "b" else input.astype(dtypes.int64)


square.vjp(input=lambda g, input: g * 2 * input)


@elementwise
def erf(input):
    """The error function, 2/sqrt(pi) times the integral of e**(-t*t) from 0 to input."""
    return special.erf(input)


erf.vjp(input=lambda g, input: g * (2 / math.sqrt(math.pi)) * exp(-(input * input)))


# ---- sigmoid and relu ---------------------------------------------------------------------


@replaceable
def sigmoid_of(x):
    """1 / (1 + e**-x), in one new array."""
    out = xp(x).asarray(-x if x.dtype.kind == "f" else x * -1.0)
    with np.errstate(over="ignore"):  # e**-x = inf gives 0, as it should
        xp(x).exp(out, out=out)
    out += 1
    return xp(x).reciprocal(out, out=out)


@elementwise
def sigmoid(input):
    """1 / (1 + e**-input)."""
    return sigmoid_of(input)


@replaceable
def sigmoid_gradient(g, y):
    """g * y * (1 - y), y = sigmoid(x)."""
    return g * (y * (1 - y))


sigmoid.vjp(input=lambda g, out: sigmoid_gradient(g, out))


_FEW = STAND_INS["relu_of"][0]  # elements below which it is not worth to look for something quicker


@replaceable
def relu_of(x, out=None):
    """max(x, 0), in a new array or in `out`."""
    return xp(x).maximum(x, 0, out=out)


@elementwise
def relu(input):
    """max(input, 0); the derivative at 0 is 0."""
    if input.dtype.kind == "b":
        raise RuntimeError("Boolean inputs not supported for relu")
    return xp(input).maximum(input, 0) if input.size < _FEW else relu_of(input)


@replaceable
def relu_gradient(g, y):
    """g where y = relu(x) is not 0: it is never negative, and a nan lets the gradient through."""
    return special.masked(g, y != 0)


@elementwise
def _relu_gradient(g, y):
    """g where the result of relu is positive, else 0."""
    return relu_gradient(g, y)


relu.vjp(input=lambda g, out: _relu_gradient(g, out) if isinstance(g, Tensor) else relu_gradient(g, out))
_relu_gradient.vjp(g=lambda h, y: _relu_gradient(h, y), y=lambda h: zeros_of(h))


def zeros_of(x: Any) -> Any:
    """Zeros of the shape of an array or a Tensor, whatever it holds: a constant."""
    array = raw(x)
    zeros = xp(array).zeros(array.shape, array.dtype)
    return wrap(zeros) if isinstance(x, Tensor) else zeros
