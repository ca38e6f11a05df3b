"""The four norms: one formula.

    y = (x - E[x]) / sqrt(Var[x] + eps) * weight + bias

They differ in what E and Var run over, in the shape of weight and bias, and in whether they remember. The
variance is the biased one, sum((x - E[x])**2) / n.

    norm        x seen as           E and Var over      weight, bias    remembers
    ----------  ------------------  ------------------  --------------  ------------------------
    batch       (N, C, *S)          N, *S               (C,)            running mean and variance
    layer       (..., *shape)       the last, *shape    shape           no
    instance    (N, C, *S)          *S                  (C,)            if asked
    group       (N, G, C/G, *S)     C/G, *S             (C,)            no

Batch: Ioffe and Szegedy 2015, arXiv:1502.03167. Layer: Ba, Kiros and Hinton 2016, arXiv:1607.06450.
Instance: Ulyanov, Vedaldi and Lempitsky 2016, arXiv:1607.08022. Group: Wu and He 2018, arXiv:1803.08494.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_norm.autograd import Tensor, op
from tinygrad_norm.autograd.edits import require_writable
from tinygrad_norm.backend import Array, xp
from tinygrad_norm.checks.arguments import checked
from tinygrad_norm.checks.kinds import Float, NonNegative, PositiveInt, SameOrFloat32
from tinygrad_norm.engine.tensor import mark_edited
from tinygrad_norm.fast import replaceable
from tinygrad_norm.ops.convert import to
from tinygrad_norm.ops.creation import ones_like
from tinygrad_norm.ops.shape import reshape
from tinygrad_norm.ops.unary import rsqrt

Axes = tuple[int, ...]
AXES = {  # what the moments run over, by the table above, of x as it is seen there
    "batch": lambda ndim: (0, *range(2, ndim)),
    "layer": lambda ndim: tuple(range(1, ndim)),  # of (N, *shape)
    "instance": lambda ndim: tuple(range(2, ndim)),
    "group": lambda ndim: tuple(range(2, ndim)),
}

# ---- the formula, twice: as a composition of ops, as array lines. What runs is in fast/, where that has something ----


def normalize_definition(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    *,
    axes: Axes,
    seen: Axes,
    affine: Axes,
    eps: float,
    found: Any = None,
) -> Tensor:
    """The formula; x is seen in the shape `seen`, weight and bias in the shape `affine`, which broadcasts to it.

    The mean is subtracted twice: the second pass removes the rounding error of the first.
    """
    x, shape = reshape(x, seen), x.shape
    c = x - x.mean(axes, keepdim=True)
    c = c - c.mean(axes, keepdim=True)
    y = c * rsqrt((c * c).mean(axes, keepdim=True) + eps)
    if weight is not None:
        y = y * reshape(weight, affine)
    if bias is not None:
        y = y + reshape(bias, affine)
    return reshape(y, shape)


@replaceable
def moments(x, axes):
    """E[x] and Var[x] over `axes`, in float64, so that a large mean does no harm."""
    mean = x.mean(axis=axes, keepdims=True, dtype="float64")
    c = x - mean
    return mean, (c * c).mean(axis=axes, keepdims=True)


@replaceable
def normalize(x, weight, bias, axes, eps, known=None):
    """y = (x - E[x]) / sqrt(Var[x] + eps) * weight + bias, and the moments, unless they are known already."""
    mean, variance = moments(x, axes) if known is None else known
    y = (x - mean) / xp(x).sqrt(variance + eps)
    if weight is not None:
        y = y * weight
    if bias is not None:
        y = y + bias
    return y.astype(x.dtype), mean, variance


@replaceable
def normalize_gradients(g, x, weight, mean, variance, axes, eps, needs):
    """The gradients of x, weight and bias, given g, that of y.

    With x_hat = (x - E[x]) / sqrt(Var[x] + eps), y = x_hat * weight + bias. So bias gets the sum of g, and weight that of
    g * x_hat, over all that they were broadcast to. On the way to x, gy = g * weight reaches x_hat; each x moves its own
    x_hat, and through mean and variance all others of its group:

        gx = (gy - E[gy] - x_hat * E[gy * x_hat]) / sqrt(Var[x] + eps)
    """
    rstd = 1 / xp(x).sqrt(variance + eps)
    x_hat = (x - mean) * rstd
    gy = g if weight is None else g * weight
    mean_gy = gy.mean(axis=axes, keepdims=True, dtype="float64")
    gx = rstd * (gy - mean_gy - x_hat * (gy * x_hat).mean(axis=axes, keepdims=True))
    gweight = gbias = None
    if weight is not None:
        broadcast = tuple(i for i, n in enumerate(weight.shape) if n == 1)
        gweight = (g * x_hat).sum(axis=broadcast, keepdims=True).astype(x.dtype)
        gbias = g.sum(axis=broadcast, keepdims=True, dtype="float64").astype(x.dtype)
    return gx.astype(x.dtype) if needs[0] else None, gweight, gbias


@op(definition=normalize_definition, keeps=("mean", "variance"))
def _normalize(x, weight, bias, *, axes, seen, affine, eps, found=None):
    """(x - E[x]) / sqrt(Var[x] + eps) * weight + bias.

    The moments are added to the list `found`, if it is given.
    """
    weight, bias = None if weight is None else weight.reshape(affine), None if bias is None else bias.reshape(affine)
    y, mean, variance = normalize(x.reshape(seen), weight, bias, axes, eps)
    if found is not None:
        found += [mean, variance]
    return y.reshape(x.shape), mean, variance


@_normalize.joint_vjp
def _normalize_vjp(g, x, weight, mean, variance, axes, seen, affine, eps, needs):
    of_shape = None if weight is None else weight.reshape(affine)
    found = normalize_gradients(g.reshape(seen), x.reshape(seen), of_shape, mean, variance, axes, eps, needs)
    return in_shapes(found, x.shape, None if weight is None else weight.shape)


def in_shapes(gradients, shape, affine_shape):
    """The gradients in the shapes of x, weight and bias; that of x is no view, which would be copied for a leaf."""
    gx, gweight, gbias = gradients
    if isinstance(gx, np.ndarray) and gx.flags.owndata and gx.flags.c_contiguous:
        gx.resize(shape, refcheck=False)
    elif gx is not None:
        gx = gx.reshape(shape)
    return gx, *[None if v is None else v.reshape(affine_shape) for v in (gweight, gbias)]


def affine_of(weight: Tensor | None, bias: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
    """Weight and bias; a bias alone gets a weight of ones."""
    return (ones_like(bias) if weight is None and bias is not None else weight), bias


def channels_of(ndim: int) -> Axes:
    """The shape in which (C,) broadcasts over (N, C, *S)."""
    return (1, -1, *(1,) * (ndim - 2))


# ---- batch and instance norm --------------------------------------------------------------

_BOTH = ("(running_mean is None) == (running_var is None)", ValueError)
_CONSTANT = ("not running_mean.requires_grad", "not running_var.requires_grad")


@checked(
    "training or running_mean is not None",
    "training or running_var is not None",
    *_CONSTANT,
    _BOTH,
    ("eps > 0 or not training", ValueError),
)
def batch_norm(
    input: Float[Tensor, "N C *S"],
    running_mean: SameOrFloat32[Tensor, "C"] | None,
    running_var: SameOrFloat32[Tensor, "C"] | None,
    weight: SameOrFloat32[Tensor, "C"] | None = None,
    bias: SameOrFloat32[Tensor, "C"] | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: NonNegative = 1e-5,
) -> Tensor:
    """(N, C, *S), normalized over N and *S in training, by the running moments otherwise.

    In training the running moments, if given, become (1 - momentum) * old + momentum * new; the new variance is
    the unbiased one, sum((x - E[x])**2) / (n - 1).

    Raises ValueError in training where a channel has a single value: it has no variance.
    """
    if not training:
        return _by_running_moments(input, running_mean, running_var, weight, bias, eps)
    shape = input.array.shape
    _require_several(math.prod(shape[:1] + shape[2:]), "value per channel", input)
    return _by_own_moments(AXES["batch"](len(shape)), input, running_mean, running_var, weight, bias, momentum, eps)


@checked("use_input_stats or running_mean is not None", *_CONSTANT, _BOTH)
def instance_norm(
    input: Float[Tensor, "N C *S"],
    running_mean: SameOrFloat32[Tensor, "C"] | None = None,
    running_var: SameOrFloat32[Tensor, "C"] | None = None,
    weight: SameOrFloat32[Tensor, "C"] | None = None,
    bias: SameOrFloat32[Tensor, "C"] | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """(N, C, *S), each channel of each sample normalized over *S, or by the running moments.

    Running moments are updated, if given, with the mean over N of the samples' moments.

    Raises ValueError where there is a single element to normalize over.
    """
    if not use_input_stats:
        return _by_running_moments(input, running_mean, running_var, weight, bias, eps)
    shape = input.array.shape
    _require_several(math.prod(shape[2:]), "spatial element", input)
    return _by_own_moments(AXES["instance"](len(shape)), input, running_mean, running_var, weight, bias, momentum, eps)


def _by_own_moments(
    axes: Axes, x: Tensor, running_mean: Any, running_var: Any, weight: Any, bias: Any, momentum: float, eps: float
) -> Tensor:
    """By the moments of x itself, which then go into the running ones, if there are any."""
    weight, bias = affine_of(weight, bias)
    found: list[Array] = []
    y = _normalize(x, weight, bias, axes=axes, seen=x.array.shape, affine=channels_of(x.ndim), eps=eps, found=found)
    if x.array.size and running_mean is not None:
        mean, variance = found
        remember(running_mean, running_var, momentum, mean, variance, x.array.size)
    return y


def remember(running_mean: Tensor, running_var: Tensor, momentum: float, mean: Array, variance: Array, size: int) -> None:
    """Update the running moments, in place and outside of any graph."""
    count = size // mean.size
    new_moments = (running_mean, mean), (running_var, variance * (count / (count - 1)))
    for running, _ in new_moments:
        require_writable(running.array, "the running moments' update")
    for running, new in new_moments:
        per_channel = new.reshape(new.shape[:2])
        if len(per_channel) > 1:  # over the samples, for instance norm
            per_channel = per_channel.mean(axis=0, keepdims=True)
        running.array *= 1 - momentum
        running.array += momentum * per_channel[0]
        mark_edited(running, "the running moments' update")


def _by_running_moments(x: Tensor, mean: Any, variance: Any, weight: Any, bias: Any, eps: float) -> Tensor:
    """An affine map of each channel: x * scale + offset."""
    scale = rsqrt(variance + eps)
    scale = scale if weight is None else scale * weight
    channels = channels_of(x.ndim)
    y = (x - to(reshape(mean, channels), dtype=x.dtype)) * reshape(scale, channels)
    return to(y if bias is None else y + reshape(bias, channels), dtype=x.dtype)


def _require_several(count: int, what: str, input: Tensor) -> None:
    if count == 1:
        raise ValueError(
            f"Expected more than 1 {what} when training, got input size {input.shape}: "
            "leave out a last batch of one (DataLoader(drop_last=True)), or call .eval() to predict"
        )


# ---- layer and group norm -----------------------------------------------------------------


@checked(
    "len(normalized_shape) > 0",
    "input.shape[-len(normalized_shape):] == tuple(normalized_shape)",
    "weight.shape == tuple(normalized_shape)",
    "bias.shape == tuple(normalized_shape)",
)
def layer_norm(
    input: Float[Tensor, "..."],
    normalized_shape: Sequence[int],
    weight: SameOrFloat32[Tensor, "..."] | None = None,
    bias: SameOrFloat32[Tensor, "..."] | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """(..., *normalized_shape), normalized over its last dimensions; weight and bias of normalized_shape."""
    shape, ndim = input.array.shape, len(normalized_shape)
    axes, affine = tuple(range(len(shape) - ndim, len(shape))), (1,) * (len(shape) - ndim) + shape[len(shape) - ndim :]
    weight, bias = affine_of(weight, bias)
    return _normalize(input, weight, bias, axes=axes, seen=shape, affine=affine, eps=eps)


@checked("C % num_groups == 0", error=RuntimeError)
def group_norm(
    input: Float[Tensor, "N C *S"],
    num_groups: PositiveInt,
    weight: SameOrFloat32[Tensor, "C"] | None = None,
    bias: SameOrFloat32[Tensor, "C"] | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """(N, C, *S), each sample normalized over *S and the channels of each of num_groups groups."""
    batch, channels, *size = input.array.shape
    _require_several(batch * math.prod(size) * (channels // num_groups), "value per channel", input)
    groups = (num_groups, channels // num_groups)
    axes, affine = AXES["group"](3 + len(size)), (1, *groups, *(1,) * len(size))
    weight, bias = affine_of(weight, bias)
    return _normalize(input, weight, bias, axes=axes, seen=(batch, *groups, *size), affine=affine, eps=eps)
