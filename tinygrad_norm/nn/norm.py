"""BatchNorm, LayerNorm, InstanceNorm, GroupNorm as modules; the formula is in nn/functional/norm.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinygrad_norm.autograd import Tensor
from tinygrad_norm.autograd.edits import require_writable
from tinygrad_norm.checks.sizes import sizes_of
from tinygrad_norm.engine.tensor import mark_edited
from tinygrad_norm.nn import functional as F
from tinygrad_norm.nn.module import Module
from tinygrad_norm.nn.parameter import Parameter
from tinygrad_norm.ops.creation import ones, tensor, zeros


class _Norm(Module):
    """What the norms share: weight (ones) and bias (zeros) of one shape, or neither."""

    weight: Parameter | None
    bias: Parameter | None

    def _make_affine(self, shape: Any, affine: bool, bias: bool, device: str | None, dtype: Any) -> None:
        self.register_parameter("weight", Parameter(ones(shape, device=device, dtype=dtype)) if affine else None)
        self.register_parameter("bias", Parameter(zeros(shape, device=device, dtype=dtype)) if affine and bias else None)

    def reset_parameters(self) -> None:
        """Weight to ones, bias to zeros."""
        for parameter, value in ((self.weight, 1.0), (self.bias, 0.0)):
            if parameter is not None:
                parameter.detach().fill_(value)


class _RunningNorm(_Norm):
    """BatchNorm and InstanceNorm: per channel, with running moments if track_running_stats."""

    dimensions: tuple[int, ...]  # what the input may have

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: str | None = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        self._make_affine(num_features, affine, bias, device, dtype)
        tracks = track_running_stats
        self.register_buffer("running_mean", zeros(num_features, device=device, dtype=dtype) if tracks else None)
        self.register_buffer("running_var", ones(num_features, device=device, dtype=dtype) if tracks else None)
        self.register_buffer("num_batches_tracked", tensor(0, device=device) if tracks else None)

    def reset_parameters(self) -> None:
        """Weight to ones, bias to zeros, running moments to those of no batch."""
        self.reset_running_stats()
        super().reset_parameters()

    def reset_running_stats(self) -> None:
        """Mean 0, variance 1, no batch seen."""
        if self.track_running_stats:
            self.running_mean.fill_(0.0)
            self.running_var.fill_(1.0)
            if self.num_batches_tracked is not None:
                self.num_batches_tracked.fill_(0)

    _version = 2  # 1 had no num_batches_tracked

    def _newer_keys(self, version: int | None) -> tuple[str, ...]:
        return ("num_batches_tracked",) if version is None or version < 2 else ()

    def _check_input(self, input: Tensor) -> None:
        if input.ndim not in self.dimensions:
            expected = " or ".join(f"{d}D" for d in self.dimensions)
            raise ValueError(f"expected {expected} input (got {input.ndim}D input)")

    def extra_repr(self) -> str:
        """The arguments."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class BatchNorm(_RunningNorm):
    """(N, C, *S), normalized over N and *S in training, by the running moments in evaluation.

    momentum: the weight of the newest batch in the running moments; None for their cumulative mean.
    affine: train a weight and (if bias) a bias per channel. track_running_stats=False: use the batch's own
    moments in evaluation too. Raises ValueError for other dimensions, and in training for one value per channel.
    """

    def forward(self, input: Tensor) -> Tensor:
        """The normalized input."""
        self._check_input(input)
        own = self.training or self.running_mean is None
        updates = self.training and self.track_running_stats
        counts = updates and self.num_batches_tracked is not None
        momentum = self.momentum
        if momentum is None:  # a cumulative mean
            momentum = 1.0 / (float(self.num_batches_tracked) + 1) if counts else 0.0
        if counts:
            require_writable(self.num_batches_tracked.array, "batch_norm's count")
        mean, var = (self.running_mean, self.running_var) if updates or not own else (None, None)
        y = self._normalized(input, mean, var, own, momentum)
        if counts:  # a call that failed does not count
            self.num_batches_tracked.array += 1
            mark_edited(self.num_batches_tracked, "batch_norm's count")
        return y

    def _normalized(self, input: Tensor, mean: Tensor | None, var: Tensor | None, own: bool, momentum: float) -> Tensor:
        return F.batch_norm(input, mean, var, self.weight, self.bias, own, momentum, self.eps)


class BatchNorm1d(BatchNorm):  # noqa: D101
    __doc__ = BatchNorm.__doc__
    dimensions = (2, 3)


class BatchNorm2d(BatchNorm):  # noqa: D101
    __doc__ = BatchNorm.__doc__
    dimensions = (4,)


class BatchNorm3d(BatchNorm):  # noqa: D101
    __doc__ = BatchNorm.__doc__
    dimensions = (5,)


class _InstanceNorm(_RunningNorm):
    """(N, C, *S) or (C, *S), each channel of each sample normalized over *S.

    affine and track_running_stats are off by default; with the latter, evaluation uses the running moments.
    Raises ValueError for other dimensions, and where there is a single element to normalize over.
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: str | None = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        """The normalized input."""
        self._check_input(input)
        batched = input.ndim == self.dimensions[1]
        channels = input.array.shape[1 if batched else 0]
        if self.affine and channels != self.num_features:
            raise ValueError(f"expected {self.num_features} channels (num_features) at dim={int(batched)}, but got: {channels}")
        own = self.training or not self.track_running_stats
        x = input if batched else input.unsqueeze(0)
        y = F.instance_norm(x, self.running_mean, self.running_var, self.weight, self.bias, own, self.momentum or 0.0, self.eps)
        return y if batched else y.squeeze(0)


class InstanceNorm1d(_InstanceNorm):  # noqa: D101
    __doc__ = _InstanceNorm.__doc__
    dimensions = (2, 3)


class InstanceNorm2d(_InstanceNorm):  # noqa: D101
    __doc__ = _InstanceNorm.__doc__
    dimensions = (3, 4)


class InstanceNorm3d(_InstanceNorm):  # noqa: D101
    __doc__ = _InstanceNorm.__doc__
    dimensions = (4, 5)


class LayerNorm(_Norm):
    """(..., *normalized_shape), normalized over its last dimensions; weight and bias of that shape.

    normalized_shape: a number for the last dimension alone, or the sizes of the last dimensions.
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = sizes_of((normalized_shape,), None, "normalized_shape")
        self.eps, self.elementwise_affine = eps, elementwise_affine
        self._make_affine(self.normalized_shape, elementwise_affine, bias, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        """The normalized input."""
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """The arguments."""
        arguments = f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
        return f"{arguments}, bias={self.bias is not None}"


class GroupNorm(_Norm):
    """(N, C, *S), each sample normalized over *S and the channels of each group; weight and bias per channel.

    Raises ValueError unless num_channels is divisible by num_groups.
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: str | None = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        (num_groups, num_channels) = sizes_of((num_groups, num_channels), None, "num_groups and num_channels")
        if num_groups <= 0:
            raise ValueError(f"num_groups must be positive, but got {num_groups}")
        if num_channels % num_groups:
            raise ValueError(f"num_channels ({num_channels}) must be divisible by num_groups ({num_groups})")
        self.num_groups, self.num_channels, self.eps, self.affine = num_groups, num_channels, eps, affine
        self._make_affine(num_channels, affine, bias, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        """The normalized input."""
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """The arguments."""
        arguments = f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}"
        return f"{arguments}, bias={self.bias is not None}"
