"""Layers that learn from their first input how large they are; then they become the layers that they stand for.

Make them, call the model once on an input of the right shape, and go on: parameters are initialised by that call.
"""

from __future__ import annotations

from typing import Any

from tinygrad_norm.autograd import Tensor
from tinygrad_norm.nn.conv import Conv1d, Conv2d
from tinygrad_norm.nn.layers import Linear
from tinygrad_norm.nn.module import Module
from tinygrad_norm.nn.norm import BatchNorm1d, BatchNorm2d, BatchNorm3d
from tinygrad_norm.nn.parameter import UninitializedParameter
from tinygrad_norm.ops.creation import ones, zeros


class _Lazy(Module):
    """What they share: the first call runs `infer`, and makes an ordinary layer of it."""

    becomes: type[Module]

    def forward(self, *inputs: Any, **arguments: Any) -> Any:
        """The first call, and the last of this kind."""
        self.infer(*inputs, **arguments)
        self.__class__ = self.becomes  # type: ignore[assignment]
        return self.forward(*inputs, **arguments)

    def has_uninitialized_params(self) -> bool:
        """Whether a parameter has no shape yet."""
        return any(isinstance(p, UninitializedParameter) for p in self.parameters(recurse=False))

    def infer(self, input: Tensor) -> None:
        """Take the sizes from the input, and initialise."""
        raise NotImplementedError


class LazyLinear(_Lazy, Linear):
    """Linear whose in_features is the last size of its first input."""

    becomes = Linear

    def __init__(self, out_features: int, bias: bool = True, device: str | None = None, dtype: Any = None) -> None:
        super().__init__(0, 0, bias, device, dtype)
        self.out_features = out_features
        _forget(self, device, dtype)

    def infer(self, input: Tensor) -> None:
        """in_features from the last dimension."""
        self.in_features = input.array.shape[-1]
        _shape(self, (self.out_features, self.in_features))


class _LazyConv(_Lazy):
    def infer(self, input: Tensor) -> None:
        """in_channels from the dimension before the spatial ones."""
        spatial = len(self.kernel_size)
        if input.ndim not in (spatial + 1, spatial + 2):
            raise RuntimeError(
                f"{type(self).__name__}: expected an input of shape (N, C, *S) or (C, *S), but got {list(input.shape)}"
            )
        self.in_channels = input.array.shape[-spatial - 1]
        if self.in_channels % self.groups:
            raise ValueError("in_channels must be divisible by groups")
        _shape(self, (self.out_channels, self.in_channels // self.groups, *self.kernel_size))


class LazyConv1d(_LazyConv, Conv1d):
    """Conv1d whose in_channels is that of its first input."""

    becomes = Conv1d

    def __init__(
        self,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(0, 0, kernel_size, stride, padding, dilation, groups, bias, padding_mode, device, dtype)
        self.out_channels = out_channels
        _forget(self, device, dtype)


class LazyConv2d(_LazyConv, Conv2d):
    """Conv2d whose in_channels is that of its first input."""

    becomes = Conv2d

    def __init__(
        self,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(0, 0, kernel_size, stride, padding, dilation, groups, bias, padding_mode, device, dtype)
        self.out_channels = out_channels
        _forget(self, device, dtype)


def _forget(layer: Any, device: Any, dtype: Any) -> None:
    layer.weight = UninitializedParameter(device=device, dtype=dtype)
    if layer.bias is not None:
        layer.bias = UninitializedParameter(device=device, dtype=dtype)


def _shape(layer: Any, shape: tuple[int, ...]) -> None:
    """Give weight and bias their shapes, unless a state_dict has done so, and initialise them."""
    new = [p for p in (layer.weight, layer.bias) if isinstance(p, UninitializedParameter)]
    for p in new:
        p.materialize(shape if p is layer.weight else shape[:1])
    if new:
        layer.reset_parameters()


class _LazyBatchNorm(_Lazy):
    running_mean: Any
    running_var: Any

    def __init__(
        self,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: str | None = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(0, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)  # type: ignore[call-arg]
        if self.weight is not None:
            _forget(self, device, dtype)

    def infer(self, input: Tensor) -> None:
        """num_features from the second dimension."""
        self._check_input(input)
        self.num_features = input.array.shape[1]
        if self.weight is not None:
            _shape(self, (self.num_features,))
        if self.track_running_stats:
            like = {"device": self.running_mean.device, "dtype": self.running_mean.dtype}
            self.running_mean, self.running_var = zeros(self.num_features, **like), ones(self.num_features, **like)


class LazyBatchNorm1d(_LazyBatchNorm, BatchNorm1d):
    """BatchNorm1d whose num_features is that of its first input."""

    becomes = BatchNorm1d


class LazyBatchNorm2d(_LazyBatchNorm, BatchNorm2d):
    """BatchNorm2d whose num_features is that of its first input."""

    becomes = BatchNorm2d


class LazyBatchNorm3d(_LazyBatchNorm, BatchNorm3d):
    """BatchNorm3d whose num_features is that of its first input."""

    becomes = BatchNorm3d
