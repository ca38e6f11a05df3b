"""Conv1d, Conv2d, MaxPool2d, AvgPool2d, AdaptiveAvgPool2d."""

from __future__ import annotations

from typing import Any

from tinygrad_norm.autograd import Tensor
from tinygrad_norm.checks.sizes import padding_pairs, pair, single, sizes_of
from tinygrad_norm.nn import functional as F
from tinygrad_norm.nn.derived import Derived
from tinygrad_norm.nn.layers import reset_weight_and_bias
from tinygrad_norm.nn.module import Module
from tinygrad_norm.nn.parameter import Parameter
from tinygrad_norm.ops.creation import empty

_PADDING_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "replicate", "circular": "circular"}


class _Conv(Module):
    """What the convolutions share: their arguments, checked, and weight and bias."""

    dimensions: int  # spatial ones

    def __init__(
        self,
        in_channels: int,
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
        super().__init__()
        in_channels, out_channels, groups = sizes_of((in_channels, out_channels, groups), None, "channels and groups")
        if groups <= 0:
            raise ValueError("groups must be a positive integer")
        if in_channels % groups:
            raise ValueError("in_channels must be divisible by groups")
        if out_channels % groups:
            raise ValueError("out_channels must be divisible by groups")
        if isinstance(padding, str) and padding not in ("same", "valid"):
            raise ValueError(f"Invalid padding string {padding!r}, should be one of 'valid', 'same'")
        if padding_mode not in _PADDING_MODES:
            raise ValueError(f"padding_mode must be one of {set(_PADDING_MODES)}, but got padding_mode={padding_mode!r}")
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size, self.stride = self._each(kernel_size, "kernel_size"), self._each(stride, "stride")
        if padding == "same" and any(s != 1 for s in self.stride):
            raise ValueError("padding='same' is not supported for strided convolutions")
        self.padding = padding if isinstance(padding, str) else self._each(padding, "padding")
        self.dilation, self.groups, self.padding_mode = self._each(dilation, "dilation"), groups, padding_mode
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        self.weight = Parameter(empty(shape, device=device, dtype=dtype))
        self.register_parameter("bias", Parameter(empty(out_channels, device=device, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def _each(self, value: Any, name: str) -> Any:
        """One number for each spatial dimension."""
        return pair(value, name) if self.dimensions == 2 else (single(value, name),)

    def reset_parameters(self) -> None:
        """Draw weight and bias anew."""
        reset_weight_and_bias(self.weight, self.bias)

    def _padded(self, input: Tensor) -> tuple[Tensor, Any]:
        """The input, padded in another mode than with zeros, and the padding that is left to do."""
        if self.padding_mode == "zeros":
            return input, self.padding
        around = [p for before_after in reversed(self._around()) for p in before_after]
        return F.pad(input, around, mode=_PADDING_MODES[self.padding_mode]), 0

    def _around(self) -> tuple[tuple[int, int], ...]:
        return padding_pairs(self.padding, self.kernel_size, self.stride, self.dilation)

    def extra_repr(self) -> str:
        """The arguments that are not the default."""
        shown = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        if isinstance(self.padding, str) or any(self.padding):
            shown += f", padding={self.padding}"
        if any(d != 1 for d in self.dilation):
            shown += f", dilation={self.dilation}"
        if self.groups != 1:
            shown += f", groups={self.groups}"
        if self.bias is None:
            shown += ", bias=False"
        return shown if self.padding_mode == "zeros" else f"{shown}, padding_mode={self.padding_mode}"


class Conv1d(_Conv):
    """One-dimensional cross-correlation: input (N, C, L) or (C, L), weight (O, C / groups, k), bias (O,).

    Arguments as for Conv2d.
    """

    dimensions = 1

    def forward(self, input: Tensor) -> Tensor:
        """The convolution."""
        input, padding = self._padded(input)
        return F.conv1d(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class Conv2d(_Conv):
    """Two-dimensional cross-correlation: input (N, C, H, W) or (C, H, W), weight (O, C / groups, kh, kw), bias (O,).

    padding: a number, a pair, "valid" or "same"; padding_mode: what stands there: "zeros", "reflect", "replicate"
    or "circular". groups=in_channels with as many outputs is a depthwise convolution. Weight and bias start uniform
    in +-1/sqrt(C / groups * kh * kw), as in PyTorch.
    """

    dimensions = 2

    def forward(self, input: Tensor) -> Tensor:
        """The convolution."""
        input, padding = self._padded(input)
        return F.conv2d(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class _Pool(Derived):
    """What the poolings share: without a stride of its own a window begins where the last one ended."""

    shown = "kernel_size stride padding"

    def _take(self, settings: dict[str, Any]) -> None:
        if settings["stride"] is None:
            settings["stride"] = settings["kernel_size"]
        super()._take(settings)

    def extra_repr(self) -> str:
        """The settings that PyTorch shows."""
        return ", ".join(f"{name}={getattr(self, name)}" for name in self.shown.split())


class MaxPool2d(_Pool, of=F.max_pool2d, order="kernel_size stride padding dilation return_indices ceil_mode"):
    """The maximum of each window of (N, C, H, W) or (C, H, W), and with return_indices where it stands."""

    shown = "kernel_size stride padding dilation ceil_mode"


class AvgPool2d(_Pool, of=F.avg_pool2d):
    """The mean of each window of (N, C, H, W) or (C, H, W)."""


class AdaptiveAvgPool2d(Derived, of=F.adaptive_avg_pool2d):
    """The mean of (N, C, H, W) or (C, H, W) over output_size windows that cover it evenly."""
