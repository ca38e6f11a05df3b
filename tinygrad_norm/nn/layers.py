"""Layers as modules: Linear, Identity, Flatten, the activations."""

from __future__ import annotations

import math
from typing import Any

from tinygrad_norm.autograd import Tensor
from tinygrad_norm.nn import functional as F
from tinygrad_norm.nn import init
from tinygrad_norm.nn.module import Module, Parameter
from tinygrad_norm.ops.creation import empty


class Identity(Module):
    """Gives its input back, whatever arguments it was made with."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Any) -> Any:
        """The input."""
        return input


class Flatten(Module):
    """The dimensions from start_dim to end_dim as one: (N, C, H, W) becomes (N, C*H*W)."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Tensor) -> Tensor:
        """The input, flattened."""
        return input.flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        """The arguments."""
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Linear(Module):
    """y = x W^T + b: x (*, in_features), weight (out_features, in_features), bias (out_features,).

    Weight and bias start uniform in +-1/sqrt(in_features), as in PyTorch: kaiming_uniform_ with
    a = sqrt(5) (He et al. 2015, arXiv:1502.01852).
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, device: str | None = None, dtype: Any = None
    ) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.weight = Parameter(empty(out_features, in_features, device=device, dtype=dtype))
        self.register_parameter("bias", Parameter(empty(out_features, device=device, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew."""
        reset_weight_and_bias(self.weight, self.bias)

    def forward(self, input: Tensor) -> Tensor:
        """X W^T + b."""
        return F.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        """The arguments."""
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


def reset_weight_and_bias(weight: Parameter, bias: Parameter | None) -> None:
    """PyTorch's start for Linear and Conv2d: uniform in +-1/sqrt(fan_in)."""
    if weight.numel():
        init.kaiming_uniform_(weight, a=math.sqrt(5))
    if bias is not None:
        fan_in = weight.numel() // weight.shape[0] if weight.numel() else 0
        bound = 1 / math.sqrt(fan_in) if fan_in > 0 else 0.0
        init.uniform_(bias, -bound, bound)


# ---- activations --------------------------------------------------------------------------


class _Activation(Module):
    """An activation: `function` with the attributes named in `arguments`."""

    function: Any
    arguments: tuple[str, ...] = ()

    def forward(self, input: Tensor) -> Tensor:
        """The function of the input."""
        return type(self).function(input, *(getattr(self, name) for name in self.arguments))

    def extra_repr(self) -> str:
        """The arguments."""
        return ", ".join(f"{name}={getattr(self, name)}" for name in self.arguments)


class ReLU(Module):
    """max(x, 0); in the memory of x if inplace."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """The larger of x and 0."""
        return F.relu(input, self.inplace)

    def extra_repr(self) -> str:
        """Says inplace=True where it is."""
        return "inplace=True" if self.inplace else ""


class LeakyReLU(_Activation):
    """x where x > 0, else negative_slope * x."""

    function = staticmethod(F.leaky_relu)
    arguments = ("negative_slope",)

    def __init__(self, negative_slope: float = 0.01) -> None:
        super().__init__()
        self.negative_slope = negative_slope


class ELU(_Activation):
    """x where x > 0, else alpha * (e**x - 1)."""

    function = staticmethod(F.elu)
    arguments = ("alpha",)

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = alpha


class GELU(_Activation):
    """x * Phi(x); approximate: "none" or "tanh"."""

    function = staticmethod(F.gelu)
    arguments = ("approximate",)

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate

    def extra_repr(self) -> str:
        """The argument, quoted."""
        return f"approximate={self.approximate!r}"


class Softplus(_Activation):
    """log(1 + e**(beta x)) / beta; x itself where beta * x > threshold."""

    function = staticmethod(F.softplus)
    arguments = ("beta", "threshold")

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta, self.threshold = beta, threshold


class Softmax(_Activation):
    """e**x / sum(e**x) along dim."""

    function = staticmethod(F.softmax)
    arguments = ("dim",)

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim


class LogSoftmax(Softmax):
    """log(softmax(x)) along dim."""

    function = staticmethod(F.log_softmax)


class Sigmoid(_Activation):
    """1 / (1 + e**-x)."""

    function = staticmethod(F.sigmoid)


class Tanh(_Activation):
    """The hyperbolic tangent."""

    function = staticmethod(F.tanh)


class SiLU(_Activation):
    """x * sigmoid(x)."""

    function = staticmethod(F.silu)
