"""Layers as modules: Linear, Embedding, Identity, Flatten, the activations."""

from __future__ import annotations

import math
from typing import Any

from tinygrad_norm.autograd import Tensor
from tinygrad_norm.checks.sizes import sizes_of
from tinygrad_norm.nn import functional as F
from tinygrad_norm.nn import init
from tinygrad_norm.nn.derived import Derived
from tinygrad_norm.nn.module import Module
from tinygrad_norm.nn.parameter import Parameter
from tinygrad_norm.ops.creation import empty, full


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


class ReLU(Derived, of=F.relu):
    """max(x, 0); in the memory of x if inplace."""


class LeakyReLU(Derived, of=F.leaky_relu):
    """x where x > 0, else negative_slope * x."""


class ELU(Derived, of=F.elu):
    """x where x > 0, else alpha * (e**x - 1)."""


class SELU(Derived, of=F.selu):
    """1.0507 * elu(x, 1.6733)."""


class GELU(Derived, of=F.gelu):
    """x * Phi(x); approximate: "none" or "tanh"."""


class Softplus(Derived, of=F.softplus):
    """log(1 + e**(beta x)) / beta; x itself where beta * x > threshold."""


class Softmax(Derived, of=F.softmax, without=("_stacklevel", "dtype")):
    """e**x / sum(e**x) along dim."""


class LogSoftmax(Derived, of=F.log_softmax, without=("_stacklevel", "dtype")):
    """log(softmax(x)) along dim."""


class Sigmoid(Derived, of=F.sigmoid):
    """1 / (1 + e**-x)."""


class LogSigmoid(Derived, of=F.logsigmoid):
    """log(sigmoid(x))."""


class Tanh(Derived, of=F.tanh):
    """The hyperbolic tangent."""


class SiLU(Derived, of=F.silu):
    """x * sigmoid(x)."""


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
