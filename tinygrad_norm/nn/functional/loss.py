"""Losses: how far a prediction is from its target, as one number or element by element. classification.py has those of
several classes.

reduction: "mean" (the default), "sum", or "none" for one loss per element. An L1 or L2 penalty on
the weights is two lines more, and no part of a loss:

    penalty = sum(p.abs().sum() for p in model.parameters())      # L1; p.square().sum() for L2
    (criterion(model(x), y) + strength * penalty).backward()
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_norm import dtypes
from tinygrad_norm.autograd import Tensor, elementwise, op
from tinygrad_norm.backend import xp
from tinygrad_norm.checks.arguments import checked
from tinygrad_norm.checks.kinds import Float, Num, Reduction, Same
from tinygrad_norm.nn.functional.activation import logsigmoid
from tinygrad_norm.ops.convert import to
from tinygrad_norm.ops.elementwise import abs
from tinygrad_norm.ops.reduce import mean, sum
from tinygrad_norm.ops.select import clamp_min, where
from tinygrad_norm.ops.unary import log, square
from tinygrad_norm.warn import warn


def reduced(losses: Tensor, reduction: Reduction) -> Tensor:
    """The losses, or their mean or sum."""
    if reduction == "mean":
        return mean(losses)
    if reduction == "sum":
        return sum(losses)
    return losses


def reduction_of(reduction: Reduction, size_average: bool | None, reduce: bool | None) -> Reduction:
    """The reduction that PyTorch's two old arguments stand for, where they are given."""
    if size_average is None and reduce is None:
        return reduction
    if reduce is False:
        return "none"
    return "sum" if size_average is False else "mean"


def _warn_if_broadcast(name: str, input: Tensor, target: Tensor) -> None:
    if input.array.shape != target.array.shape:
        sizes = f"a target size ({target.shape}) that is different to the input size ({input.shape})"
        warn(f"Using {sizes} in {name}: they are broadcast, which is hardly ever meant. Give them the same size")


# ---- regression ---------------------------------------------------------------------------


def mse_loss_definition(input: Any, target: Any) -> Any:
    """mean((input - target)**2)."""
    return mean(square(input - target))


@op(definition=mse_loss_definition)
def _mse_loss(input, target):
    difference = input - target
    if input.dtype == dtypes.float16:
        return (difference.astype(np.float32) ** 2).mean().astype(np.float16)
    return (difference * difference).mean()


@_mse_loss.joint_vjp
def _mse_loss_vjp(g, input, target, needs):
    gradient = (input - target) * (g * (2 / input.size))
    return gradient, -gradient if needs[1] else None


@checked
def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: Reduction = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """(input - target)**2, times weight."""
    reduction = reduction_of(reduction, size_average, reduce)
    _warn_if_broadcast("mse_loss", input, target)
    x, y = input.array, target.array
    plain = reduction == "mean" and weight is None
    if plain and x.shape == y.shape and x.dtype == y.dtype and x.dtype.kind == "f" and x.size:
        return _mse_loss(input, target)
    return _weighted(square(_difference(input, target)), weight, reduction)


def _difference(input: Tensor, target: Tensor) -> Tensor:
    """input - target; a bool counts as a number."""
    if input.dtype.kind == "b" and target.dtype.kind != "b":
        input = to(input, dtype=target.dtype)
    return input - (to(target, dtype=input.dtype) if target.dtype.kind == "b" else target)


def _weighted(losses: Tensor, weight: Tensor | None, reduction: Reduction) -> Tensor:
    """The losses times weight; their mean is over the weights."""
    if weight is None:
        return reduced(losses, reduction)
    if weight.array.shape != losses.array.shape:
        raise ValueError(f"Weights and input must have the same size, but got {list(weight.shape)} and {list(losses.shape)}")
    return sum(losses * weight) / sum(weight) if reduction == "mean" else reduced(losses * weight, reduction)


@checked
def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: Reduction = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """|input - target|; the derivative at 0 is 0."""
    _warn_if_broadcast("l1_loss", input, target)
    return _weighted(abs(input - target), weight, reduction_of(reduction, size_average, reduce))


@elementwise
def _smooth_l1(d, *, beta):
    """The loss of a difference d: d**2 / (2 beta) where |d| < beta, else |d| - beta / 2."""
    size = abs(d)
    small = xp(d).minimum(size, beta)  # the square of a large one may overflow
    return xp(d).where(size < beta, small * small * (0.5 / beta), size - 0.5 * beta)


def _smooth_l1_vjp(g, d, beta):
    inside = where(abs(d) < beta, d / beta, math.nan)
    return g * where(d <= -beta, -1.0, where(d >= beta, 1.0, inside))


_smooth_l1.vjp(d=_smooth_l1_vjp)


@checked("beta >= 0")
def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: Reduction = "mean",
    beta: float = 1.0,
) -> Tensor:
    """d**2 / (2 beta) where d = |input - target| < beta, else d - beta/2. Girshick 2015, arXiv:1504.08083."""
    _warn_if_broadcast("smooth_l1_loss", input, target)
    difference = _difference(input, target)
    losses = abs(difference) if beta == 0 else _smooth_l1(difference, beta=beta)
    return reduced(losses, reduction_of(reduction, size_average, reduce))


@checked("delta > 0")
def huber_loss(
    input: Tensor, target: Tensor, reduction: Reduction = "mean", delta: float = 1.0, weight: Tensor | None = None
) -> Tensor:
    """d**2 / 2 where d = |input - target| < delta, else delta * (d - delta/2): delta times smooth_l1_loss.

    Times weight; the mean is over all elements, not over their weights.
    """
    _warn_if_broadcast("huber_loss", input, target)
    losses = _smooth_l1(_difference(input, target), beta=delta) * delta
    return reduced(losses, reduction) if weight is None else reduced(_weighted(losses, weight, "none"), reduction)


# ---- two classes -----------------------------------------------------------------------


@checked(("input.shape == target.shape", ValueError))
def binary_cross_entropy(
    input: Float[Tensor, "..."],
    target: Same[Tensor, "..."],
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """-(y log(p) + (1 - y) log(1 - p)), p = input in [0, 1]; the logarithms are at least -100. Times weight."""
    for name, t, hint in (("input", input, ": apply sigmoid(), or use the loss with logits"), ("target", target, "")):
        p = t.array
        if isinstance(p, np.ndarray) and p.size and not (p.min() >= 0 and p.max() <= 1):
            raise RuntimeError(f"all elements of {name} should be between 0 and 1{hint}")
    losses = _binary_cross_entropy(input, target)
    return reduced(losses if weight is None else losses * weight, reduction_of(reduction, size_average, reduce))


@elementwise
def _binary_cross_entropy(p, y):
    """-y * log(p) - (1 - y) * log(1 - p), each logarithm at least -100."""
    with np.errstate(divide="ignore"):
        yes, no = xp(p).maximum(xp(p).log(p), -100), xp(p).maximum(xp(p).log1p(-p), -100)
    return (y - 1) * no - y * yes


_binary_cross_entropy.vjp(
    p=lambda g, p, y: g * ((p - y) / clamp_min_of(p * (1 - p), 1e-12)),
    y=lambda g, p: g * (clamp_min_of(log(1 - p), -100) - clamp_min_of(log(p), -100)),
)


def clamp_min_of(x: Any, least: float) -> Any:
    """x, but at least a number, for arrays and Tensors."""
    return clamp_min(x, least) if isinstance(x, Tensor) else xp(x).maximum(x, least)


@checked(("input.shape == target.shape", ValueError))
def binary_cross_entropy_with_logits(
    input: Num[Tensor, "..."],
    target: Float[Tensor, "..."],
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: Reduction = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """-(w_pos y log(p) + (1 - y) log(1 - p)) with p = sigmoid(input), without overflow; times weight."""
    log_p = logsigmoid(input)
    losses = (1 - target) * input - (log_p if pos_weight is None else log_p * (1 + (pos_weight - 1) * target))
    return reduced(losses if weight is None else losses * weight, reduction_of(reduction, size_average, reduce))
