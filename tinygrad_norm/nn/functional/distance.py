"""Lengths and angles of vectors, and the divergence of distributions."""

from __future__ import annotations

from typing import Literal

from tinygrad_norm.autograd import Tensor
from tinygrad_norm.checks.arguments import checked
from tinygrad_norm.nn.functional.loss import reduced, reduction_of
from tinygrad_norm.ops.reduce import norm, sum
from tinygrad_norm.ops.select import clamp_min, where
from tinygrad_norm.ops.unary import exp, log
from tinygrad_norm.warn import warn


@checked
def normalize(input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    """x / max(norm of x along dim, eps)."""
    return input / clamp_min(norm(input, p, dim, True), eps)


@checked
def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """x1 . x2 / (max(|x1|, eps) * max(|x2|, eps)) along dim; shapes broadcast. The derivatives are those of the norms alone."""
    if not eps >= 0:
        raise RuntimeError(f"cosine_similarity: expected eps to be non-negative, but got {eps}")
    first, second = (norm(x, 2, dim, True) for x in (x1, x2))
    first, second = (n + (clamp_min(n, eps) - n).detach() for n in (first, second))
    return sum((x1 / first) * (x2 / second), dim)


@checked
def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: Literal["none", "mean", "sum", "batchmean"] = "mean",
    log_target: bool = False,
) -> Tensor:
    """target * (log(target) - input), 0 where target is 0: input are logarithms of probabilities, target probabilities.

    reduction: as elsewhere, or "batchmean": the sum over the size of the first dimension, which is what the divergence of
    Kullback and Leibler means. log_target: target are logarithms too.
    """
    reduction = reduction if reduction == "batchmean" else reduction_of(reduction, size_average, reduce)
    if reduction == "mean":
        warn("reduction: 'mean' divides by the number of elements; 'batchmean', by the batch size, is the KL divergence")
    if log_target:
        losses = exp(target) * (target - input)
    else:
        at = target > 0
        losses = where(at, target * log(where(at, target, 1.0)), where(target.isnan(), target, 0.0)) - target * input
    if reduction == "batchmean":
        return sum(losses) / input.array.shape[0] if input.ndim else losses
    return reduced(losses, reduction)
