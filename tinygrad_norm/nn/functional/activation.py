"""Activations as functions, with PyTorch's arguments. relu, sigmoid, tanh and softmax are ops; the others are here."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_norm.autograd import Tensor, elementwise
from tinygrad_norm.backend import xp
from tinygrad_norm.checks.arguments import checked
from tinygrad_norm.checks.kinds import Float
from tinygrad_norm.ops import softmax as softmaxes
from tinygrad_norm.ops import unary as ops
from tinygrad_norm.ops.inplace import in_place_of, relu_
from tinygrad_norm.ops.select import where
from tinygrad_norm.ops.unary import erf, exp, sigmoid, tanh, zeros_of
from tinygrad_norm.warn import warn


def _in_memory_of(input: Tensor, inplace_: bool, function: Any, *args: Any) -> Tensor:
    """function(input, *args), written over the input if so asked."""
    if not inplace_:
        return function(input, *args)
    return in_place_of(function, f"{function.__name__}_")(input, *args)


@checked
def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(x, 0), in x's memory if inplace; the derivative at 0 is 0."""
    return relu_(input) if inplace else ops.relu(input)


@elementwise
def _leaky_relu(x, *, negative_slope):
    """input where it is positive, else negative_slope * input."""
    return xp(x).where(x > 0, x, x * negative_slope)


@elementwise
def _leaky_relu_gradient(g, x, *, negative_slope):
    """g where the input is positive, else negative_slope * g."""
    return xp(x).where(x > 0, g, g * negative_slope)


_leaky_relu.vjp(x=lambda g, x, negative_slope: _leaky_relu_gradient(g, x, negative_slope=negative_slope))
_leaky_relu_gradient.vjp(
    g=lambda h, x, negative_slope: _leaky_relu_gradient(h, x, negative_slope=negative_slope), x=lambda h: zeros_of(h)
)


@checked
def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """x where x > 0, else weight * x: one weight for all, or one for each channel, which is dimension 1."""
    channels = input.array.shape[1] if input.ndim > 1 else 1
    if weight.array.size not in (1, channels) or weight.ndim > 1:
        raise RuntimeError(f"Mismatch of parameter numbers and input channel size: {weight.array.size} and {channels}")
    if weight.array.size > 1:
        weight = weight.reshape((-1,) + (1,) * (input.ndim - 2))
    return where(input > 0, input, weight.reshape(()) * input if weight.array.size == 1 else weight * input)


@checked(error=NotImplementedError)
def leaky_relu(input: Float[Tensor, "..."], negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """x where x > 0, else negative_slope * x; the derivative at 0 is negative_slope."""
    return _in_memory_of(input, inplace, lambda x: _leaky_relu(x, negative_slope=negative_slope))


@elementwise
def _elu(x, *, alpha, scale):
    """input where it is positive, else alpha * (e**input - 1)."""
    return xp(x).where(x > 0, x, alpha * xp(x).expm1(xp(x).minimum(x, 0))) * scale


_elu.vjp(x=lambda g, x, alpha, scale: where(x <= 0, g * (exp(where(x < 0, x, 0.0)) * (alpha * scale)), g * scale))


@checked(error=NotImplementedError)
def elu(input: Float[Tensor, "..."], alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where x > 0, else alpha * (e**x - 1); the derivative at 0 is alpha. Clevert et al. 2015, arXiv:1511.07289."""
    return _in_memory_of(input, inplace, lambda x: _elu(x, alpha=alpha, scale=1.0))


@checked(error=NotImplementedError)
def selu(input: Float[Tensor, "..."], inplace: bool = False) -> Tensor:
    """1.0507 * elu(x, 1.6733): outputs keep mean 0 and variance 1. Klambauer et al. 2017, arXiv:1706.02515."""
    return _in_memory_of(input, inplace, lambda x: _elu(x, alpha=1.6732632423543772, scale=1.0507009873554805))


@checked(error=NotImplementedError)
def silu(input: Float[Tensor, "..."], inplace: bool = False) -> Tensor:
    """x * sigmoid(x). Hendrycks and Gimpel 2016, arXiv:1606.08415."""
    return _in_memory_of(input, inplace, lambda x: x * sigmoid(x))


@checked(error=NotImplementedError)
def gelu(input: Float[Tensor, "..."], approximate: str = "none") -> Tensor:
    """x * Phi(x), Phi the normal distribution function; with approximate="tanh" the usual approximation.

    Hendrycks and Gimpel 2016, arXiv:1606.08415.
    """
    if approximate == "tanh":
        inner = math.sqrt(2 / math.pi) * (input + 0.044715 * input * input * input)
        return 0.5 * input * (1 + tanh(inner))
    if approximate != "none":
        raise RuntimeError(f"approximate argument must be either none or tanh, but got {approximate!r}")
    return 0.5 * input * (1 + erf(input * math.sqrt(0.5)))


@elementwise
def _softplus(x, *, beta, threshold):
    """log(1 + e**(beta * input)) / beta."""
    scaled = x * beta
    with np.errstate(over="ignore"):
        smooth = (xp(x).maximum(scaled, 0) + xp(x).log1p(xp(x).exp(-abs(scaled)))) / beta
    return xp(x).where(scaled > threshold, x, smooth)


_softplus.vjp(x=lambda g, x, beta, threshold: where(x * beta > threshold, g, g * sigmoid(x * beta)))


@checked(error=NotImplementedError)
def softplus(input: Float[Tensor, "..."], beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + e**(beta x)) / beta; x itself where beta * x > threshold."""
    return _softplus(input, beta=beta, threshold=threshold)


@checked(error=NotImplementedError)
def logsigmoid(input: Float[Tensor, "..."]) -> Tensor:
    """log(sigmoid(x)), without overflow."""
    return -_softplus(-input, beta=1.0, threshold=math.inf)


@checked
def softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """e**x / sum(e**x) along dim."""
    dim = _last_or_first("softmax", input) if dim is None else dim
    return softmaxes.softmax(input, dim, dtype=dtype)


@checked
def log_softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """log(softmax(x)) along dim, without overflow."""
    dim = _last_or_first("log_softmax", input) if dim is None else dim
    return softmaxes.log_softmax(input, dim, dtype=dtype)


def _last_or_first(name: str, input: Tensor) -> int:
    """PyTorch's choice where dim is not given, with its warning: the first dimension of 0, 1 and 3, else the second."""
    warn(f"Implicit dimension choice for {name} has been deprecated. Change the call to include dim=X as an argument.")
    return 0 if input.ndim in (0, 1, 3) else 1
