"""Layers that learn from their first input how large they are; then they become the layers that they stand for.

Make them, call the model once on an input of the right shape, and go on: parameters are initialised by that call.
"""

from __future__ import annotations

import inspect
from typing import Any

from tinygrad_norm.autograd import Tensor, no_grad
from tinygrad_norm.nn.conv import Conv1d, Conv2d
from tinygrad_norm.nn.layers import Linear
from tinygrad_norm.nn.module import Module
from tinygrad_norm.nn.norm import BatchNorm1d, BatchNorm2d, BatchNorm3d
from tinygrad_norm.nn.parameter import UninitializedParameter
from tinygrad_norm.ops.convert import to


class Lazy(Module):
    """`class LazyLinear(Lazy, Linear, size="in_features")` is Linear without that first argument, until the first call.

    size: the argument that the input tells, the first of the layer's.
    """

    becomes: Any
    size: str
    __signature__: inspect.Signature

    def __init_subclass__(cls, size: str = "", **more: Any) -> None:
        super().__init_subclass__(**more)
        if not size:  # a user's subclass
            return
        cls.size, cls.becomes = size, cls.__mro__[2]
        cls.__signature__ = inspect.Signature(list(inspect.signature(cls.becomes).parameters.values())[1:])

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        given = self.__signature__.bind(*args, **kwargs)
        super().__init__(0, *given.args, **given.kwargs)  # type: ignore[call-arg]
        self._given = given
        for name in ("weight", "bias"):
            if (p := getattr(self, name)) is not None:
                setattr(self, name, UninitializedParameter(device=p.device, dtype=p.dtype))

    def reset_parameters(self) -> None:
        """Nothing, until the size is known."""
        if getattr(self, self.size):
            super().reset_parameters()  # type: ignore[misc]

    def has_uninitialized_params(self) -> bool:
        """Whether a parameter has no shape yet."""
        return any(isinstance(p, UninitializedParameter) for p in self.parameters(recurse=False))

    def forward(self, *inputs: Any, **arguments: Any) -> Any:
        """The first call, and the last of this kind."""
        self.infer(*inputs, **arguments)
        self.__class__ = self.becomes
        return self.forward(*inputs, **arguments)

    def infer(self, input: Tensor) -> None:
        """Take the size from the input, and what has none yet from a layer of that size."""
        size = self._size_in(input)
        layer = self.becomes(size, *self._given.args, **self._given.kwargs)
        setattr(self, self.size, size)
        with no_grad():
            for name, p in layer.named_parameters():
                own = getattr(self, name)
                if isinstance(own, UninitializedParameter):
                    own.materialize(p.shape)
                    own.copy_(p)
        for name, buffer in layer.named_buffers():
            if not getattr(self, name).numel():
                setattr(self, name, to(buffer, getattr(self, name)))
        del self._given

    def _size_in(self, input: Tensor) -> int:
        raise NotImplementedError


class LazyLinear(Lazy, Linear, size="in_features"):
    """Linear whose in_features is the last size of its first input."""

    def _size_in(self, input: Tensor) -> int:
        return input.array.shape[-1]


def _channels(self: Any, input: Tensor) -> int:
    spatial = len(self.kernel_size)
    if input.ndim not in (spatial + 1, spatial + 2):
        raise RuntimeError(f"{type(self).__name__}: expected an input of shape (N, C, *S) or (C, *S), but got {input.shape}")
    return input.array.shape[-spatial - 1]


class LazyConv1d(Lazy, Conv1d, size="in_channels"):
    """Conv1d whose in_channels is that of its first input."""

    _size_in = _channels


class LazyConv2d(Lazy, Conv2d, size="in_channels"):
    """Conv2d whose in_channels is that of its first input."""

    _size_in = _channels


def _features(self: Any, input: Tensor) -> int:
    self._check_input(input)
    return input.array.shape[1]


class LazyBatchNorm1d(Lazy, BatchNorm1d, size="num_features"):
    """BatchNorm1d whose num_features is that of its first input."""

    _size_in = _features


class LazyBatchNorm2d(Lazy, BatchNorm2d, size="num_features"):
    """BatchNorm2d whose num_features is that of its first input."""

    _size_in = _features


class LazyBatchNorm3d(Lazy, BatchNorm3d, size="num_features"):
    """BatchNorm3d whose num_features is that of its first input."""

    _size_in = _features
