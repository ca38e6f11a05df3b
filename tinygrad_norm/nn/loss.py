"""Losses as modules: nn.functional.loss with the arguments kept."""

from __future__ import annotations

from typing import Any

from tinygrad_norm.autograd import Tensor
from tinygrad_norm.nn import functional as F
from tinygrad_norm.nn.functional.loss import check_reduction, reduction_of
from tinygrad_norm.nn.module import Module


class _Loss(Module):
    """A loss: `function(input, target)` with what the constructor was given."""

    function: Any

    def __init__(self, reduction: str, size_average: bool | None, reduce: bool | None, **arguments: Any) -> None:
        super().__init__()
        self.reduction = reduction_of(reduction, size_average, reduce)
        check_reduction(self.reduction)
        for name, value in arguments.items():
            if isinstance(value, Tensor):
                self.register_buffer(name, value)
            else:
                setattr(self, name, value)
        self._names = tuple(arguments)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss of a prediction and its target."""
        arguments = {name: getattr(self, name) for name in self._names}
        return type(self).function(input, target, reduction=self.reduction, **arguments)


class _Plain(_Loss):
    """A loss that has a reduction only."""

    def __init__(self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean") -> None:
        super().__init__(reduction, size_average, reduce)


class MSELoss(_Plain):
    """mean((input - target)**2)."""

    function = staticmethod(F.mse_loss)


class L1Loss(_Plain):
    """mean(|input - target|)."""

    function = staticmethod(F.l1_loss)


class SmoothL1Loss(_Loss):
    """Quadratic below beta, linear above."""

    function = staticmethod(F.smooth_l1_loss)

    def __init__(
        self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean", beta: float = 1.0
    ) -> None:
        super().__init__(reduction, size_average, reduce, beta=beta)


class HuberLoss(_Loss):
    """Quadratic below delta, linear above: delta times SmoothL1Loss."""

    function = staticmethod(F.huber_loss)

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction, None, None, delta=delta)


class CrossEntropyLoss(_Loss):
    """-log softmax(input)[target]: logits (N, C, *S), target classes (N, *S) or probabilities."""

    function = staticmethod(F.cross_entropy)

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        arguments = {"weight": weight, "ignore_index": ignore_index, "label_smoothing": label_smoothing}
        super().__init__(reduction, size_average, reduce, **arguments)


class NLLLoss(_Loss):
    """-input[target]: input log-probabilities (N, C, *S), target classes (N, *S)."""

    function = staticmethod(F.nll_loss)

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction, size_average, reduce, weight=weight, ignore_index=ignore_index)


class BCELoss(_Loss):
    """Binary cross-entropy of probabilities in [0, 1]."""

    function = staticmethod(F.binary_cross_entropy)

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction, size_average, reduce, weight=weight)


class BCEWithLogitsLoss(_Loss):
    """Binary cross-entropy of sigmoid(input), without overflow."""

    function = staticmethod(F.binary_cross_entropy_with_logits)

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        pos_weight: Tensor | None = None,
    ) -> None:
        super().__init__(reduction, size_average, reduce, weight=weight, pos_weight=pos_weight)
