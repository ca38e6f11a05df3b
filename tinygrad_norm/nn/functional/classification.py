"""Cross-entropy: the losses of one class among several. reduction: as in loss.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_norm import dtypes
from tinygrad_norm.autograd import Tensor, op
from tinygrad_norm.backend import xp
from tinygrad_norm.checks.arguments import checked
from tinygrad_norm.checks.kinds import Reduction
from tinygrad_norm.fast import replaceable
from tinygrad_norm.nn.functional.loss import reduced, reduction_of
from tinygrad_norm.ops.gathering import gather
from tinygrad_norm.ops.reduce import sum, wide
from tinygrad_norm.ops.select import keep_where, where
from tinygrad_norm.ops.softmax import exponentials_of, log_softmax


@checked
def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """-weight[target] * input[target]: input log-probabilities (N, C, *S) or (C,), target classes (N, *S) or ().

    The mean is over the weights of the targets that are not ignore_index; nan if all are ignored.
    """
    reduction = reduction_of(reduction, size_average, reduce)
    axis = _class_axis(input)
    target, _ = _checked_classes(input, target, weight, ignore_index, axis)
    kept = target != ignore_index
    classes = where(kept, target, 0)
    chosen = gather(input, axis, classes.unsqueeze(axis)).squeeze(axis)
    weights = kept.to(input.dtype) if weight is None else keep_where(weight[classes], kept)
    losses = keep_where(-chosen * weights, kept)
    if reduction != "mean":
        return reduced(losses, reduction)
    return sum(losses) / sum(weights)


def cross_entropy_definition(input: Any, target: Any, *, ignore_index: int | None = None) -> Any:
    """mean(-log softmax(input)[target]): input (N, C), target (N,) of classes; None: none is to be ignored."""
    return nll_loss(log_softmax(input, 1), target, ignore_index=-100 if ignore_index is None else ignore_index)


@replaceable
def cross_entropy_gradient(exponentials, totals, classes, share):
    """(softmax - one_hot) * share, with a share (N, 1) for each row."""
    one_hot = classes[:, None] == xp(exponentials).arange(exponentials.shape[1])
    return (exponentials / totals - one_hot) * share


@op(definition=cross_entropy_definition, keeps=("exponentials", "totals"))
def _cross_entropy(input, target, *, ignore_index=None):
    """mean(log sum exp(input) - input[target]), with the largest input taken off first."""
    module, scores = xp(input), wide(input)
    kept = None if ignore_index is None else target != ignore_index
    classes = target if kept is None else module.where(kept, target, 0)
    largest, exponentials, totals = exponentials_of(scores, 1)
    losses = module.log(totals[:, 0]) + largest[:, 0] - scores[module.arange(len(target)), classes]
    if kept is None:
        return losses.mean().astype(input.dtype), exponentials, totals
    total = module.where(kept, losses, 0).sum(dtype="float64")
    return (total / kept.sum()).astype(input.dtype), exponentials, totals


@_cross_entropy.joint_vjp
def _cross_entropy_vjp(g, exponentials, totals, target, ignore_index):
    """(softmax - one_hot) / N in the rows that count, 0 in the others."""
    module, classes = xp(target), target
    share = module.full((len(target), 1), 1 / len(target)) * g
    if ignore_index is not None:
        kept = target != ignore_index
        share = module.where(kept, g / module.maximum(kept.sum(), 1), 0)[:, None]
        classes = module.where(kept, target, 0)
    return cross_entropy_gradient(exponentials, totals, classes, share.astype(exponentials.dtype)), None


@checked
def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """-log softmax(input)[target]: logits (N, C, *S) or (C,); target classes (N, *S) or (), or probabilities.

    label_smoothing: so much of the target's probability is spread evenly over all classes.
    Szegedy et al. 2015, arXiv:1512.00567.
    """
    reduction = reduction_of(reduction, size_average, reduce)
    if not 0.0 <= label_smoothing <= 1.0:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    axis = _class_axis(input)
    probabilities = target.array.shape == input.array.shape and target.dtype.kind == "f"
    if probabilities and ignore_index >= 0:
        raise RuntimeError(f"ignore_index is not supported for floating point target, but got ignore_index={ignore_index}")
    if input.dtype.kind != "f":
        raise RuntimeError(f"cross_entropy: not implemented for {input.dtype}: convert the scores with .float()")
    plain = weight is None and reduction == "mean" and not label_smoothing and not probabilities
    if plain and input.ndim == 2 and input.array.size:
        classes, complete = _checked_classes(input, target, None, ignore_index, axis)
        return _cross_entropy(input, classes, ignore_index=None if complete else ignore_index)
    logs = log_softmax(input, axis)
    if not probabilities:
        loss = nll_loss(logs, target, weight, ignore_index=ignore_index, reduction=reduction)
        if not label_smoothing:
            return loss
        target, _ = _checked_classes(input, target, weight, ignore_index, axis)
        even = _loss_of_all_classes(logs, target, weight, ignore_index, reduction, axis)
        return (1 - label_smoothing) * loss + (label_smoothing / input.array.shape[axis]) * even
    smoothed = target * (1 - label_smoothing) + label_smoothing / input.array.shape[axis]
    weighted = smoothed if weight is None else smoothed * _per_class(weight, logs, axis)
    losses = -sum(logs * weighted, axis)
    return reduced(losses, reduction)


def _loss_of_all_classes(
    logs: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int, reduction: Reduction, axis: int
) -> Tensor:
    """-sum over all classes of their logarithms: the loss of a target that is spread evenly, for the rows that count."""
    kept = target != ignore_index
    losses = keep_where(-sum(logs if weight is None else logs * _per_class(weight, logs, axis), axis), kept)
    if reduction != "mean":
        return reduced(losses, reduction)
    counts = kept.to(logs.dtype) if weight is None else keep_where(weight[where(kept, target, 0)], kept)
    return sum(losses) / sum(counts)


def _class_axis(input: Tensor) -> int:
    if not input.ndim:
        raise ValueError("expected scores of shape (C,), (N, C) or (N, C, *S), but got a single number")
    return 0 if input.ndim == 1 else 1


def _per_class(weight: Tensor, logs: Tensor, axis: int) -> Tensor:
    return weight.reshape((-1,) + (1,) * (logs.ndim - axis - 1))


def _checked_classes(input: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int, axis: int) -> tuple[Tensor, bool]:
    """The target, if it can be one: right shape, integers, each a class or ignore_index; and whether it is known that
    none is to be ignored. On a GPU the targets are not inspected: that would mean waiting for it.
    """
    shape = input.array.shape
    expected = shape[:axis] + shape[axis + 1 :]
    if target.dtype not in (dtypes.int64, dtypes.uint8):
        raise RuntimeError(f"expected target classes of dtype int64, but got {target.dtype}: use .long()")
    if axis and target.ndim and target.array.shape[0] != shape[0]:
        raise ValueError(f"Expected input batch_size ({shape[0]}) to match target batch_size ({target.array.shape[0]}).")
    if target.array.shape != expected:
        raise RuntimeError(f"Expected target size {list(expected)}, got {list(target.shape)}")
    if weight is not None and weight.array.shape != (shape[axis],):
        raise RuntimeError(f"weight should be defined for all {shape[axis]} classes, but got the shape {list(weight.shape)}")
    if weight is not None and weight.dtype != input.dtype:
        raise RuntimeError(f"expected a weight of dtype {input.dtype}, but got {weight.dtype}: use .to(input.dtype)")
    classes, complete = target.array, False
    if isinstance(classes, np.ndarray) and classes.size:
        complete = classes.min() >= 0 and classes.max() < shape[axis]
        if not complete:
            wrong = (classes != ignore_index) & ((classes < 0) | (classes >= shape[axis]))
            if wrong.any():
                raise IndexError(f"Target {int(classes[wrong].flat[0])} is out of bounds: there are {shape[axis]} classes")
        elif 0 <= ignore_index < shape[axis]:
            complete = not (classes == ignore_index).any()
    return target if target.dtype is dtypes.int64 else target.to(dtypes.int64), complete
