"""Layers as modules: Linear, Embedding, Identity, Flatten, the activations."""

from __future__ import annotations

import math
from typing import Any

from tinygrad_norm.autograd import Tensor
from tinygrad_norm.nn import functional as F
from tinygrad_norm.nn import init
from tinygrad_norm.nn.module import Module
from tinygrad_norm.nn.parameter import Parameter
from tinygrad_norm.ops.creation import empty, full
from tinygrad_norm.ops.shape import sizes_of


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


class Unflatten(Module):
    """The dimension dim as several, of these sizes: the reverse of Flatten."""

    def __init__(self, dim: int, unflattened_size: Any) -> None:
        super().__init__()
        self.dim, self.unflattened_size = dim, sizes_of((), tuple(unflattened_size), "unflattened_size")

    def forward(self, input: Tensor) -> Tensor:
        """The input, with one dimension as several."""
        return input.unflatten(self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        """The arguments."""
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"


class Linear(Module):
    """y = x W^T + b: x (*, in_features), weight (out_features, in_features), bias (out_features,).

    Weight and bias start uniform in +-1/sqrt(in_features), as in PyTorch: kaiming_uniform_ with
    a = sqrt(5) (He et al. 2015, arXiv:1502.01852).
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, device: str | None = None, dtype: Any = None
    ) -> None:
        super().__init__()
        in_features, out_features = sizes_of((in_features, out_features), None, "in_features and out_features")
        self.in_features, self.out_features = in_features, out_features
        self.weight = Parameter(empty(out_features, in_features, device=device, dtype=dtype))
        self.register_parameter("bias", Parameter(empty(out_features, device=device, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew."""
        reset_weight_and_bias(self.weight, self.bias)

    def forward(self, input: Tensor) -> Tensor:
        """x W^T + b."""
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


class Embedding(Module):
    """Rows of a table, looked up by number: integers (*) give (*, embedding_dim). The table starts normal.

    padding_idx: a row that starts at 0 and is never trained.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Tensor | None = None,
        _freeze: bool = False,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if max_norm is not None or scale_grad_by_freq or sparse:
            raise NotImplementedError("Embedding: max_norm, scale_grad_by_freq and sparse are not supported: leave them out")
        if padding_idx is not None and not -num_embeddings <= padding_idx < num_embeddings:
            raise AssertionError("Padding_idx must be within num_embeddings")
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = None if padding_idx is None else padding_idx % num_embeddings
        table = empty(num_embeddings, embedding_dim, device=device, dtype=dtype) if _weight is None else _weight
        self.weight = Parameter(table, requires_grad=not _freeze)
        if _weight is None:
            self.reset_parameters()

    @classmethod
    def from_pretrained(cls, embeddings: Tensor, freeze: bool = True, padding_idx: int | None = None) -> Embedding:
        """An Embedding with this table, which is not trained if frozen."""
        rows, size = embeddings.array.shape
        return cls(rows, size, padding_idx=padding_idx, _weight=embeddings, _freeze=freeze)

    def reset_parameters(self) -> None:
        """Draw the table anew."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            self.weight.detach()[self.padding_idx] = 0.0

    def forward(self, input: Tensor) -> Tensor:
        """The rows."""
        return F.embedding(input, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        """The arguments."""
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"


# ---- activations --------------------------------------------------------------------------


class _Activation(Module):
    """An activation: `function` with the attributes named in `arguments`, over its input if `inplace`."""

    function: Any
    arguments: tuple[str, ...] = ()
    inplace = False

    def forward(self, input: Tensor) -> Tensor:
        """The function of the input."""
        settings = {name: getattr(self, name) for name in self.arguments}
        return type(self).function(input, **settings, **({"inplace": True} if self.inplace else {}))

    def extra_repr(self) -> str:
        """The arguments."""
        shown = [f"{name}={getattr(self, name)!r}" for name in self.arguments]
        return ", ".join(shown + ["inplace=True"] * bool(self.inplace))


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


class PReLU(Module):
    """x where x > 0, else weight * x, with a weight that is learned: one, or one for each channel.

    He et al. 2015, arXiv:1502.01852.
    """

    def __init__(self, num_parameters: int = 1, init: float = 0.25, device: str | None = None, dtype: Any = None) -> None:
        super().__init__()
        self.num_parameters, self.init = num_parameters, init
        self.weight = Parameter(full((num_parameters,), float(init), device=device, dtype=dtype))

    def forward(self, input: Tensor) -> Tensor:
        """The activations."""
        return F.prelu(input, self.weight)

    def extra_repr(self) -> str:
        """The arguments."""
        return f"num_parameters={self.num_parameters}"


class LeakyReLU(_Activation):
    """x where x > 0, else negative_slope * x."""

    function = staticmethod(F.leaky_relu)
    arguments = ("negative_slope",)

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__()
        self.negative_slope, self.inplace = negative_slope, inplace


class ELU(_Activation):
    """x where x > 0, else alpha * (e**x - 1)."""

    function = staticmethod(F.elu)
    arguments = ("alpha",)

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha, self.inplace = alpha, inplace


class SELU(_Activation):
    """1.0507 * elu(x, 1.6733)."""

    function = staticmethod(F.selu)

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace


class GELU(_Activation):
    """x * Phi(x); approximate: "none" or "tanh"."""

    function = staticmethod(F.gelu)
    arguments = ("approximate",)

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate


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


class LogSigmoid(_Activation):
    """log(sigmoid(x))."""

    function = staticmethod(F.logsigmoid)


class Tanh(_Activation):
    """The hyperbolic tangent."""

    function = staticmethod(F.tanh)


class SiLU(_Activation):
    """x * sigmoid(x)."""

    function = staticmethod(F.silu)

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace
