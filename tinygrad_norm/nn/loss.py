"""Losses as modules: the functions in nn/functional, with their arguments kept."""

from __future__ import annotations

from typing import Any

from tinygrad_norm.autograd import Tensor
from tinygrad_norm.nn import functional as F
from tinygrad_norm.nn.derived import Derived
from tinygrad_norm.nn.functional.loss import reduction_of


class _Loss(Derived):
    """A loss of (input, target). Tensors among the arguments, weights of classes say, are buffers."""

    def _take(self, settings: dict[str, Any]) -> None:
        old = settings.pop("size_average", None), settings.pop("reduce", None)
        self.reduction = reduction_of(settings.pop("reduction"), *old)
        for name, value in settings.items():
            if isinstance(value, Tensor):
                self.register_buffer(name, value)
            else:
                setattr(self, name, value)
        self.arguments = ("reduction", *settings)

    def extra_repr(self) -> str:
        """Nothing, as in PyTorch."""
        return ""


class MSELoss(_Loss, of=F.mse_loss, inputs=2, without=("weight",)):
    """mean((input - target)**2)."""


class L1Loss(_Loss, of=F.l1_loss, inputs=2, without=("weight",)):
    """mean(|input - target|)."""


class SmoothL1Loss(_Loss, of=F.smooth_l1_loss, inputs=2):
    """Quadratic below beta, linear above."""


class HuberLoss(_Loss, of=F.huber_loss, inputs=2, without=("weight",)):
    """Quadratic below delta, linear above: delta times SmoothL1Loss."""


class CrossEntropyLoss(_Loss, of=F.cross_entropy, inputs=2):
    """-log softmax(input)[target]: logits (N, C, *S), target classes (N, *S) or probabilities."""


class NLLLoss(_Loss, of=F.nll_loss, inputs=2):
    """-input[target]: input log-probabilities (N, C, *S), target classes (N, *S)."""


class BCELoss(_Loss, of=F.binary_cross_entropy, inputs=2):
    """Binary cross-entropy of probabilities in [0, 1]."""


class BCEWithLogitsLoss(_Loss, of=F.binary_cross_entropy_with_logits, inputs=2):
    """Binary cross-entropy of sigmoid(input), without overflow."""
