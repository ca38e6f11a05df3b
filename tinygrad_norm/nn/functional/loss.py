"""Losses: how far a prediction is from its target, as one number or element by element.

reduction: "mean" (the default), "sum", or "none" for one loss per element. An L1 or L2 penalty on
the weights is two lines more, and no part of a loss:

    penalty = sum(p.abs().sum() for p in model.parameters())      # L1; p.square().sum() for L2
    (criterion(model(x), y) + strength * penalty).backward()
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from tinygrad_norm import dtypes
from tinygrad_norm.autograd import Tensor, op
from tinygrad_norm.backend import xp
from tinygrad_norm.kernels import gpu
from tinygrad_norm.ops.elementwise import abs, exp, log1p, maximum, square, where
from tinygrad_norm.ops.indexing import gather
from tinygrad_norm.ops.reduce import log_softmax, mean, sum


def _reduced(losses: Tensor, reduction: str) -> Tensor:
    if reduction == "mean":
        return mean(losses)
    if reduction == "sum":
        return sum(losses)
    check_reduction(reduction)
    return losses


def check_reduction(reduction: str) -> None:
    """Raise ValueError unless it is one of the three."""
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not a valid value for reduction: expected 'none', 'mean' or 'sum'")


def _warn_if_broadcast(name: str, input: Tensor, target: Tensor) -> None:
    if input.array.shape != target.array.shape:
        warnings.warn(
            f"Using a target size ({target.shape}) that is different to the input size ({input.shape}) in {name}. "
            "This will likely lead to incorrect results due to broadcasting. Please ensure they have the same size.",
            stacklevel=3,
        )


# ---- regression ---------------------------------------------------------------------------


def mse_loss_definition(input: Any, target: Any) -> Any:
    """mean((input - target)**2)."""
    return mean(square(input - target))


@op(definition=mse_loss_definition)
def _mse_loss(input, target):
    difference = input - target
    return (difference * difference).mean()


@_mse_loss.joint_vjp
def _mse_loss_vjp(g, input, target, needs):
    gradient = (input - target) * (g * (2 / input.size))
    return gradient, -gradient if needs[1] else None


def mse_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """(input - target)**2."""
    _warn_if_broadcast("mse_loss", input, target)
    x, y = input.array, target.array
    if reduction == "mean" and x.shape == y.shape and x.dtype == y.dtype and x.dtype.kind == "f" and x.size:
        return _mse_loss(input, target)
    return _reduced(square(input - target), reduction)


def l1_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """|input - target|; the derivative at 0 is 0."""
    _warn_if_broadcast("l1_loss", input, target)
    return _reduced(abs(input - target), reduction)


def smooth_l1_loss(input: Tensor, target: Tensor, reduction: str = "mean", beta: float = 1.0) -> Tensor:
    """d**2 / (2 beta) where d = |input - target| < beta, else d - beta/2. Girshick 2015, arXiv:1504.08083."""
    _warn_if_broadcast("smooth_l1_loss", input, target)
    if beta < 0:
        raise RuntimeError(f"smooth_l1_loss does not support negative values for beta, but got {beta}")
    distance = abs(input - target)
    if beta == 0:
        return _reduced(distance, reduction)
    return _reduced(where(distance < beta, square(distance) * (0.5 / beta), distance - 0.5 * beta), reduction)


# ---- classification -----------------------------------------------------------------------


def binary_cross_entropy_with_logits(
    input: Tensor, target: Tensor, weight: Tensor | None = None, reduction: str = "mean", pos_weight: Tensor | None = None
) -> Tensor:
    """-(w_pos y log(p) + (1 - y) log(1 - p)) with p = sigmoid(input), without overflow; times weight."""
    if input.array.shape != target.array.shape:
        raise ValueError(f"Target size ({target.shape}) must be the same as input size ({input.shape})")
    softplus = log1p(exp(-abs(input))) + maximum(-input, 0.0)  # -log(p)
    losses = (1 - target) * input
    losses = losses + (softplus if pos_weight is None else softplus * (1 + (pos_weight - 1) * target))
    return _reduced(losses if weight is None else losses * weight, reduction)


def nll_loss(
    input: Tensor, target: Tensor, weight: Tensor | None = None, ignore_index: int = -100, reduction: str = "mean"
) -> Tensor:
    """-weight[target] * input[target]: input log-probabilities (N, C, *S) or (C,), target classes (N, *S) or ().

    The mean is over the weights of the targets that are not ignore_index; nan if all are ignored.
    """
    check_reduction(reduction)
    axis = _class_axis(input)
    target, _ = _checked_classes(input, target, weight, ignore_index, axis)
    kept = target != ignore_index
    classes = where(kept, target, 0)
    chosen = gather(input, axis, classes.unsqueeze(axis)).squeeze(axis)
    weights = kept.to(input.dtype) if weight is None else weight[classes] * kept
    losses = where(kept, -chosen * weights, 0.0)
    if reduction != "mean":
        return _reduced(losses, reduction)
    return sum(losses) / sum(weights)


def cross_entropy_definition(input: Any, target: Any, *, ignore_index: int | None = None) -> Any:
    """mean(-log softmax(input)[target]): input (N, C), target (N,) of classes; None: none is to be ignored."""
    return nll_loss(log_softmax(input, 1), target, ignore_index=-100 if ignore_index is None else ignore_index)


@op(definition=cross_entropy_definition, keeps=("exponentials", "totals"))
def _cross_entropy(input, target, *, ignore_index=None):
    """mean(log sum exp(input) - input[target]), with the largest input taken off first."""
    module = xp(input)
    kept = None if ignore_index is None else target != ignore_index
    classes = target if kept is None else module.where(kept, target, 0)
    shifted = input - input.max(axis=1, keepdims=True)
    chosen = shifted[module.arange(len(target)), classes]
    exponentials = module.exp(shifted, out=shifted)
    totals = exponentials.sum(axis=1, keepdims=True)
    losses = module.log(totals[:, 0]) - chosen
    if kept is None:
        return losses.mean(), exponentials, totals
    total = module.where(kept, losses, 0).sum(dtype="float64")
    return (total / kept.sum()).astype(input.dtype), exponentials, totals


@_cross_entropy.joint_vjp
def _cross_entropy_vjp(g, exponentials, totals, target, ignore_index):
    """(softmax - one_hot) / N in the rows that count, 0 in the others."""
    module, share, classes = xp(target), g / len(target), target
    if ignore_index is not None:
        kept = target != ignore_index
        share = module.where(kept, g / module.maximum(kept.sum(), 1), 0)[:, None].astype(exponentials.dtype)
        classes = module.where(kept, target, 0)
    columns = module.arange(exponentials.shape[1])
    if gpu.on_gpu(exponentials):
        return gpu.softmax_less_one_hot(exponentials, totals, columns, classes[:, None], share), None
    gradient = exponentials * (share / totals)
    gradient[np.arange(len(target)), classes] -= share.reshape(-1)
    return gradient, None


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """-log softmax(input)[target]: logits (N, C, *S) or (C,); target classes (N, *S) or (), or probabilities.

    label_smoothing: so much of the target's probability is spread evenly over all classes.
    Szegedy et al. 2015, arXiv:1512.00567.
    """
    check_reduction(reduction)
    if not 0.0 <= label_smoothing <= 1.0:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    axis = _class_axis(input)
    probabilities = target.array.shape == input.array.shape and target.dtype.kind == "f"
    plain = weight is None and reduction == "mean" and not label_smoothing and not probabilities
    if plain and input.ndim == 2 and input.array.size:
        classes, complete = _checked_classes(input, target, None, ignore_index, axis)
        return _cross_entropy(input, classes, ignore_index=None if complete else ignore_index)
    logs = log_softmax(input, axis)
    if not probabilities:
        loss = nll_loss(logs, target, weight, ignore_index, reduction)
        if not label_smoothing:
            return loss
        target, _ = _checked_classes(input, target, weight, ignore_index, axis)
        kept = target != ignore_index
        weighted = logs if weight is None else logs * _per_class(weight, logs, axis)
        smooth = where(kept, -sum(weighted, axis), 0.0)
        if reduction == "mean":
            counts = kept.to(input.dtype) if weight is None else weight[where(kept, target, 0)] * kept
            smooth = sum(smooth) / sum(counts)
        elif reduction == "sum":
            smooth = sum(smooth)
        return (1 - label_smoothing) * loss + (label_smoothing / input.array.shape[axis]) * smooth
    smoothed = target * (1 - label_smoothing) + label_smoothing / input.array.shape[axis]
    weighted = smoothed if weight is None else smoothed * _per_class(weight, logs, axis)
    losses = -sum(logs * weighted, axis)
    return sum(losses) / max(losses.array.size, 1) if reduction == "mean" else _reduced(losses, reduction)


def _class_axis(input: Tensor) -> int:
    if not input.ndim:
        raise ValueError("expected scores of shape (C,), (N, C) or (N, C, *S), but got a single number")
    return 0 if input.ndim == 1 else 1


def _per_class(weight: Tensor, logs: Tensor, axis: int) -> Tensor:
    return weight.reshape((-1,) + (1,) * (logs.ndim - axis - 1))


def _checked_classes(input: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int, axis: int) -> tuple[Tensor, bool]:
    """The target, if it can be one: right shape, integers, each a class or ignore_index; and whether it is known that
    none is to be ignored. On a GPU, where looking would mean waiting, nothing is known of the single targets.
    """
    shape = input.array.shape
    expected = shape[:axis] + shape[axis + 1 :]
    if target.dtype not in (dtypes.int64, dtypes.uint8, dtypes.int32):
        raise RuntimeError(f"expected target classes of dtype int64, but got {target.dtype}: use .long()")
    if axis and target.ndim and target.array.shape[0] != shape[0]:
        raise ValueError(f"Expected input batch_size ({shape[0]}) to match target batch_size ({target.array.shape[0]}).")
    if target.array.shape != expected:
        raise RuntimeError(f"Expected target size {list(expected)}, got {list(target.shape)}")
    if weight is not None and weight.array.shape != (shape[axis],):
        raise RuntimeError(f"weight should be defined for all {shape[axis]} classes, but got the shape {list(weight.shape)}")
    classes, complete = target.array, False
    if isinstance(classes, np.ndarray) and classes.size:
        complete = classes.min() >= 0 and classes.max() < shape[axis]
        if not complete:
            wrong = (classes != ignore_index) & ((classes < 0) | (classes >= shape[axis]))
            if wrong.any():
                raise IndexError(f"Target {int(classes[wrong].flat[0])} is out of bounds: there are {shape[axis]} classes")
        elif 0 <= ignore_index < shape[axis]:
            complete = not (classes == ignore_index).any()
    return target.to(dtypes.int64), complete
