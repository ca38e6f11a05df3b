"""SyncBatchNorm: batch norm over the batches of several processes, its formula and its gradients.

Moments of several processes: Chan, Golub and LeVeque 1979, Updating formulae and a pairwise algorithm for computing
sample variances.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from tinygrad_norm.autograd import Tensor, op
from tinygrad_norm.backend import xp
from tinygrad_norm.checks.arguments import checked
from tinygrad_norm.checks.kinds import Float, Positive, SameOrFloat32
from tinygrad_norm.mpi import all_reduce, get_world_size, part_of
from tinygrad_norm.nn.functional.norm import (
    AXES,
    Axes,
    affine_of,
    channels_of,
    in_shapes,
    moments,
    normalize,
    normalize_gradients,
    remember,
)
from tinygrad_norm.nn.module import Module
from tinygrad_norm.nn.norm import BatchNorm
from tinygrad_norm.nn.parameter import UninitializedParameter
from tinygrad_norm.ops.shape import reshape
from tinygrad_norm.ops.unary import rsqrt


class Shared(NamedTuple):
    """Several processes share the moments: which ones, and how many elements of a channel they have in all."""

    group: Any
    elements: int


def moments_of_all(x, axes, group):
    """E[x], Var[x] and the number of elements of a channel, over all processes of the group.

    Each process has a count n, a mean m and a sum of squared deviations s. Together, with N = sum(n), they have

        M = sum(n * m) / N        S = sum(s + n * (m - M)**2)

    Only differences of means are squared, so that large means do no harm; the shares need not be equal, and one may be empty.
    """
    n, shape = math.prod(x.shape[a] for a in axes), tuple(1 if a in axes else size for a, size in enumerate(x.shape))
    mean, variance = moments(x, axes) if n else (xp(x).zeros(shape, "float64"),) * 2
    sums = all_reduce(xp(x).stack([n * mean, xp(x).full(shape, n, "float64")]), group=group)
    mean_of_all = sums[0] / xp(x).maximum(sums[1], 1)
    squares = all_reduce(n * (variance + (mean - mean_of_all) ** 2), group=group)
    return mean_of_all, squares / xp(x).maximum(sums[1], 1), int(sums[1].max())


def shared_normalize_gradients(g, x, weight, mean, variance, axes, eps, shared, needs):
    """As normalize_gradients, where E runs over all processes, and weight has one number for each group of elements.

    E_own, the mean over the elements that are here, is known without another look at them: n * E_own[g] is the gradient of
    bias, and n * E_own[g * x_hat] that of weight. So each process takes off its own means, and then what the others change:

        gx = gx_own + weight / sqrt(Var[x] + eps) * (E_own[g] - E[g] + x_hat * (E_own[g * x_hat] - E[g * x_hat]))
    """
    n, one = math.prod(x.shape[a] for a in axes), xp(x).ones(mean.shape, x.dtype)
    gx, gweight, gbias = x, 0 * one, 0 * one  # of no elements
    if n:
        seen = one if weight is None else weight
        gx, gweight, gbias = normalize_gradients(g, x, seen, mean, variance, axes, eps, (needs[0], True, True))
    if needs[0]:
        sums = xp(x).stack([gbias, gweight]).astype("float64")
        of_g, of_g_x_hat = sums / max(n, 1) - all_reduce(sums, group=shared.group) / shared.elements
        rstd, centre = 1 / xp(x).sqrt(variance + eps), mean.astype(x.dtype)
        scale = rstd if weight is None else rstd * weight
        slope = scale * rstd * of_g_x_hat
        offset = scale * of_g + (centre - mean) * slope
        gx = gx + ((x - centre) * slope.astype(x.dtype) + offset.astype(x.dtype))
    return gx if needs[0] else None, *((None, None) if weight is None else (gweight, gbias))


def _definition(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, *, axes: Axes, affine: Axes, eps: float, known: Any, shared: Shared
) -> Tensor:
    """normalize_definition, with sums over all processes."""

    def mean(v: Tensor) -> Tensor:
        return all_reduce(v.sum(axes, keepdim=True), group=shared.group) / shared.elements

    c = x - mean(x)
    c = c - mean(c)
    y = c * rsqrt(mean(c * c) + eps)
    if weight is not None:
        y = y * reshape(weight, affine)
    return y if bias is None else y + reshape(bias, affine)


@op(definition=_definition, keeps=("mean", "variance"))
def _sync_normalize(x, weight, bias, *, axes, affine, eps, known, shared):
    """(x - E[x]) / sqrt(Var[x] + eps) * weight + bias, with the moments of all processes."""
    weight, bias = None if weight is None else weight.reshape(affine), None if bias is None else bias.reshape(affine)
    return normalize(x, weight, bias, axes, eps, known)


@_sync_normalize.joint_vjp
def _sync_normalize_vjp(g, x, weight, mean, variance, axes, affine, eps, shared, needs):
    of_shape = None if weight is None else weight.reshape(affine)
    with part_of("SyncBatchNorm's backward"):
        found = shared_normalize_gradients(g, x, of_shape, mean, variance, axes, eps, shared, needs)
    return in_shapes(found, x.shape, None if weight is None else weight.shape)


@checked
def sync_batch_norm(
    input: Float[Tensor, "N C *S"],
    running_mean: SameOrFloat32[Tensor, "C"] | None,
    running_var: SameOrFloat32[Tensor, "C"] | None,
    weight: SameOrFloat32[Tensor, "C"] | None,
    bias: SameOrFloat32[Tensor, "C"] | None,
    momentum: float,
    eps: Positive,
    group: Any,
) -> Tensor:
    """As batch_norm in training, over N and *S of all processes of the group."""
    axes = AXES["batch"](input.ndim)
    with part_of("SyncBatchNorm in training"):
        mean, variance, count = moments_of_all(input.array, axes, group)
    if count <= 1:
        raise ValueError(f"Expected more than 1 value per channel when training, got {count} in all processes together")
    if running_mean is not None and running_var is not None:
        remember(running_mean, running_var, momentum, mean, variance, count * mean.size)
    settings = {"axes": axes, "affine": channels_of(input.ndim), "eps": eps}
    return _sync_normalize(input, *affine_of(weight, bias), **settings, known=(mean, variance), shared=Shared(group, count))


class SyncBatchNorm(BatchNorm):
    """(N, C, *S), normalized in training over N and *S of the batches of all processes; otherwise as batch norm.

    P processes with batches of N then compute what one computes with a batch of P * N; the N may differ, one may be 0.
    All have to be in training mode, or none. process_group: a communicator of mpi4py's, None for all processes. Training
    needs MPI, `pip install "tinygrad_norm[mpi]"`; evaluation does not. The keys in state_dict are batch norm's. Raises
    ValueError in training where a channel has a single value in all processes together.
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        process_group: Any = None,
        device: str | None = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)
        self.process_group = process_group

    def _check_input(self, input: Tensor) -> None:
        if input.ndim < 2:
            raise ValueError(f"expected at least 2D input (got {input.ndim}D input)")

    def _normalized(self, input: Tensor, mean: Tensor | None, var: Tensor | None, own: bool, momentum: float) -> Tensor:
        if not self.training or get_world_size(self.process_group) == 1:
            return super()._normalized(input, mean, var, own, momentum)
        return sync_batch_norm(input, mean, var, self.weight, self.bias, momentum, self.eps, self.process_group)

    @classmethod
    def convert_sync_batchnorm(cls, module: Module, process_group: Any = None) -> Module:
        """The module with each batch norm in it as a SyncBatchNorm, which has the same parameters and buffers."""
        converted = module
        if isinstance(module, BatchNorm) and not isinstance(module, cls):
            if any(isinstance(p, UninitializedParameter) for p in module.parameters()):
                raise RuntimeError("a lazy batch norm has no features yet: call the module once before it is converted")
            arguments = module.num_features, module.eps, module.momentum, module.affine, module.track_running_stats
            converted = cls(*arguments, process_group, bias=module.bias is not None)
            for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
                setattr(converted, name, getattr(module, name))
            converted.training = module.training
        for name, child in module.named_children():
            setattr(converted, name, cls.convert_sync_batchnorm(child, process_group))
        return converted
