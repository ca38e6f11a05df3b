"""The four norms: one formula.

    y = (x - E[x]) / sqrt(Var[x] + eps) * weight + bias

They differ in what E and Var run over, in the shape of weight and bias, and in whether they remember. The
variance is the biased one, sum((x - E[x])**2) / n.

    norm        x seen as           E and Var over      weight, bias    remembers
    ----------  ------------------  ------------------  --------------  ------------------------
    batch       (N, C, *S)          N, *S               (C,)            running mean and variance
    sync batch  (N, C, *S) of all   N, *S of all        (C,)            running mean and variance
                processes           processes
    layer       (..., *shape)       the last, *shape    shape           no
    instance    (N, C, *S)          *S                  (C,)            if asked
    group       (N, G, C/G, *S)     C/G, *S             (C,)            no

Batch: Ioffe and Szegedy 2015, arXiv:1502.03167. Layer: Ba, Kiros and Hinton 2016, arXiv:1607.06450.
Moments of several processes: Chan, Golub and LeVeque 1979, Updating formulae and a pairwise algorithm for computing
sample variances. Instance: Ulyanov, Vedaldi and Lempitsky 2016, arXiv:1607.08022. Group: Wu and He 2018, arXiv:1803.08494.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_norm import dtypes
from tinygrad_norm.autograd import Tensor, op
from tinygrad_norm.autograd.edits import require_writable
from tinygrad_norm.backend import Array, xp
from tinygrad_norm.checks.arguments import checked
from tinygrad_norm.engine.tensor import mark_edited
from tinygrad_norm.fast import gpu, textbook
from tinygrad_norm.mpi import all_reduce, part_of
from tinygrad_norm.ops.convert import to
from tinygrad_norm.ops.creation import ones_like
from tinygrad_norm.ops.elementwise import rsqrt
from tinygrad_norm.ops.shape import reshape, sizes_of

Axes = tuple[int, ...]


class Shared(NamedTuple):
    """Several processes share the moments: which ones, and how many elements of a channel they have in all."""

    group: Any
    elements: int


@functools.lru_cache(maxsize=64)
def axes_of(norm: str, ndim: int) -> Axes:
    """What the moments run over, by the table above: of (N, C, *S), or (N, G, C/G, *S) for "group".

    For "layer" ndim is the number of dimensions of x, all but the first of which are normalized.
    """
    return {
        "batch": (0, *range(2, ndim)),
        "layer": tuple(range(1, ndim)),
        "instance": tuple(range(2, ndim)),
        "group": tuple(range(2, ndim)),
    }[norm]


# ---- the formula, three times: as a composition of ops, as array lines, as what runs quickly on a GPU ----


def normalize_definition(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    *,
    axes: Axes,
    seen: Axes,
    affine: Axes,
    eps: float,
    known: Any = None,
    shared: Shared | None = None,
) -> Tensor:
    """The formula; x is seen in the shape `seen`, weight and bias in the shape `affine`, which broadcasts to it.

    The mean is subtracted twice: the second pass removes the rounding error of the first. shared: the processes
    over which the sums are taken.
    """

    def mean(v: Tensor) -> Tensor:
        if shared is None:
            return v.mean(axes, keepdim=True)
        return all_reduce(v.sum(axes, keepdim=True), group=shared.group) / shared.elements

    x, shape = reshape(x, seen), x.shape
    c = x - mean(x)
    c = c - mean(c)
    y = c * rsqrt(mean(c * c) + eps)
    if weight is not None:
        y = y * reshape(weight, affine)
    if bias is not None:
        y = y + reshape(bias, affine)
    return reshape(y, shape)


@textbook
def moments(x, axes):
    """E[x] and Var[x] over `axes`, in float64, so that a large mean does no harm."""
    mean = x.mean(axis=axes, keepdims=True, dtype="float64")
    c = x - mean
    return mean, (c * c).mean(axis=axes, keepdims=True)


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


@textbook
def normalize(x, weight, bias, axes, eps, known=None):
    """y = (x - E[x]) / sqrt(Var[x] + eps) * weight + bias, and the moments, unless they are known already."""
    mean, variance = moments(x, axes) if known is None else known
    y = (x - mean) / xp(x).sqrt(variance + eps)
    if weight is not None:
        y = y * weight
    if bias is not None:
        y = y + bias
    return y.astype(x.dtype), mean, variance


@textbook
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


_sum = gpu.Sum("sum", "T x", "x")
_sum_of_squares = gpu.Sum("sum_of_squares", "T x, float64 mean", "(x - mean) * (x - mean)")
_sum_of_products = gpu.Sum(
    "sum_of_products", "T g, W weight, T x, float64 mean, float64 rstd", "g * weight * ((x - mean) * rstd)"
)
_sum_weighted = gpu.Sum("sum_weighted", "T g, W weight", "g * weight")
_normalized = gpu.Kernel(
    "normalized", "T x, float64 mean, float64 rstd, W weight, V bias", "T y", "y = (x - mean) * rstd * weight + bias;"
)
_gradient = gpu.Kernel(
    "gradient",
    "T g, W weight, T x, float64 mean, float64 rstd, float64 mean_gy, float64 mean_gy_x_hat",
    "T gx",
    "gx = rstd * (g * weight - mean_gy - (x - mean) * rstd * mean_gy_x_hat);",
)


@moments.on_gpu
def _moments_on_gpu(x, axes):
    count = math.prod(x.shape[a] for a in axes)
    mean = _sum(x, axis=axes) / count
    return mean, _sum_of_squares(x, mean, axis=axes) / count


@normalize.on_gpu
def _normalize_on_gpu(x, weight, bias, axes, eps, known=None):
    mean, variance = moments(x, axes) if known is None else known
    weight = _one(x) if weight is None else weight
    bias = xp(x).zeros_like(weight) if bias is None else bias
    return _normalized(x, mean, 1 / xp(x).sqrt(variance + eps), weight, bias), mean, variance


@normalize_gradients.on_gpu
def _normalize_gradients_on_gpu(g, x, weight, mean, variance, axes, eps, needs):
    one, rstd, count = _one(x), 1 / xp(x).sqrt(variance + eps), math.prod(x.shape[a] for a in axes)
    seen = one if weight is None else weight
    gx = gweight = gbias = None
    if needs[0]:
        mean_gy = _sum_weighted(g, seen, axis=axes) / count
        gx = _gradient(g, seen, x, mean, rstd, mean_gy, _sum_of_products(g, seen, x, mean, rstd, axis=axes) / count)
    if weight is not None and (needs[1] or needs[2]):
        broadcast = tuple(i for i, n in enumerate(weight.shape) if n == 1)
        gweight = _sum_of_products(g, one, x, mean, rstd, axis=broadcast).astype(x.dtype)
        gbias = _sum(g, axis=broadcast).astype(x.dtype)
    return gx, gweight, gbias


def _one(x):
    return xp(x).ones((1,) * x.ndim, x.dtype)


@op(definition=normalize_definition, keeps=("mean", "variance"))
def _normalize(x, weight, bias, *, axes, seen, affine, eps, known=None, shared=None):
    """The formula, by `known` moments of x if they were found before; those that processes share have to be known."""
    weight, bias = None if weight is None else weight.reshape(affine), None if bias is None else bias.reshape(affine)
    y, mean, variance = normalize(x.reshape(seen), weight, bias, axes, eps, known)
    return y.reshape(x.shape), mean, variance


def _in_shape(fresh, shape):
    """An array that nobody else knows in another shape: itself where it can be, since a view would be copied for a leaf."""
    if fresh.shape == shape:
        return fresh
    if isinstance(fresh, np.ndarray) and fresh.flags.owndata and fresh.flags.c_contiguous:
        fresh.resize(shape, refcheck=False)
        return fresh
    return fresh.reshape(shape)


@_normalize.joint_vjp
def _normalize_vjp(g, x, weight, mean, variance, axes, seen, affine, eps, shared, needs):
    of_shape = None if weight is None else weight.reshape(affine)
    arguments = g.reshape(seen), x.reshape(seen), of_shape, mean, variance, axes, eps
    if shared is None:
        gx, gweight, gbias = normalize_gradients(*arguments, needs)
    else:
        with part_of("SyncBatchNorm's backward"):
            gx, gweight, gbias = shared_normalize_gradients(*arguments, shared, needs)
    gx = None if gx is None else _in_shape(gx, x.shape)
    return gx, *[None if v is None else v.reshape(weight.shape) for v in (gweight, gbias)]


def _require_dtypes(x: Tensor, **others: Tensor | None) -> None:
    """Raise unless x is floating point and the others are of its dtype; float16 may meet float32."""
    if x.dtype.kind != "f":
        raise RuntimeError(f"a norm needs an input of floating point dtype, but got {x.dtype}: convert with .float()")
    for name, t in others.items():
        if t is not None and t.dtype != x.dtype and (x.dtype, t.dtype) != (dtypes.float16, dtypes.float32):
            raise RuntimeError(
                f"mixed dtype: all inputs must share same datatype, but the input is {x.dtype} and {name} is {t.dtype}: "
                "convert the input with .to(dtype), or the module with .float() or .double()"
            )


def _affine(x: Tensor, weight: Tensor | None, bias: Tensor | None, *, seen: Axes | None = None, **settings: Any) -> Tensor:
    """As _normalize, also for a bias without a weight; x is seen in its own shape unless told otherwise."""
    if weight is None and bias is not None:
        weight = ones_like(bias)
    return _normalize(x, weight, bias, seen=x.array.shape if seen is None else seen, **settings)


def _channels_of(ndim: int) -> Axes:
    """The shape in which (C,) broadcasts over (N, C, *S)."""
    return (1, -1, *(1,) * (ndim - 2))


# ---- batch and instance norm --------------------------------------------------------------


@checked
def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """(N, C, *S), normalized over N and *S in training, by the running moments otherwise.

    In training the running moments, if given, become (1 - momentum) * old + momentum * new; the new variance is
    the unbiased one, sum((x - E[x])**2) / (n - 1).

    Raises ValueError in training where a channel has a single value: it has no variance.
    """
    _check_channels(input, running_mean, running_var, weight, bias)
    if not training:
        if running_mean is None or running_var is None:
            name = "running_mean" if running_mean is None else "running_var"
            raise RuntimeError(f"{name} must be defined in evaluation mode: training is False")
        return _by_running_moments(input, running_mean, running_var, weight, bias, eps)
    if (running_mean is None) != (running_var is None):
        raise ValueError("running_mean and running_var must either both be None or neither be None")
    if not eps > 0:
        raise ValueError(f"batch_norm eps must be positive during training, but got {eps}")
    shape = input.array.shape
    if math.prod(shape[:1] + shape[2:]) == 1:
        raise ValueError(
            f"Expected more than 1 value per channel when training, got input size {input.shape}: "
            "leave out a last batch of one (DataLoader(drop_last=True)), or call .eval() to predict"
        )
    return _by_own_moments("batch", input, running_mean, running_var, weight, bias, momentum, eps)


def sync_batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    momentum: float,
    eps: float,
    group: Any,
) -> Tensor:
    """As batch_norm in training, over N and *S of all processes of the group."""
    _check_channels(input, running_mean, running_var, weight, bias)
    if not eps > 0:
        raise ValueError(f"batch_norm eps must be positive during training, but got {eps}")
    axes = axes_of("batch", input.ndim)
    with part_of("SyncBatchNorm in training"):
        mean, variance, count = moments_of_all(input.array, axes, group)
    if count <= 1:
        raise ValueError(f"Expected more than 1 value per channel when training, got {count} in all processes together")
    if running_mean is not None:
        _remember(running_mean, running_var, momentum, mean, variance, count * mean.size)
    settings = {"known": (mean, variance), "shared": Shared(group, count)}
    return _affine(input, weight, bias, axes=axes, affine=_channels_of(input.ndim), eps=eps, **settings)


@checked
def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """(N, C, *S), each channel of each sample normalized over *S, or by the running moments.

    Running moments are updated, if given, with the mean over N of the samples' moments.

    Raises ValueError where there is a single element to normalize over.
    """
    _check_channels(input, running_mean, running_var, weight, bias)
    if (running_mean is None) != (running_var is None):
        raise ValueError("running_mean and running_var must either both be None or neither be None")
    if not use_input_stats:
        if running_mean is None or running_var is None:
            raise RuntimeError("Expected running_mean and running_var to be defined when use_input_stats=False")
        return _by_running_moments(input, running_mean, running_var, weight, bias, eps)
    if math.prod(input.array.shape[2:]) == 1:
        raise ValueError(f"Expected more than 1 spatial element when training, got input size {input.shape}")
    return _by_own_moments("instance", input, running_mean, running_var, weight, bias, momentum, eps)


def _by_own_moments(
    norm: str, x: Tensor, running_mean: Any, running_var: Any, weight: Any, bias: Any, momentum: float, eps: float
) -> Tensor:
    """By the moments of x itself; they go into the running ones first, if there are any."""
    axes, known = axes_of(norm, x.ndim), None
    if x.array.size and (running_mean is not None or running_var is not None):
        known = moments(x.array, axes)
        mean, variance = known
        _remember(running_mean, running_var, momentum, mean, variance, x.array.size)
    return _affine(x, weight, bias, axes=axes, affine=_channels_of(x.ndim), eps=eps, known=known)


def _remember(running_mean: Any, running_var: Any, momentum: float, mean: Array, variance: Array, size: int) -> None:
    """Update the running moments, in place and outside of any graph."""
    for running in (running_mean, running_var):
        if running is not None:
            require_writable(running.array, "batch_norm's update")
    count = size // mean.size
    for running, new in ((running_mean, mean), (running_var, variance * (count / (count - 1)))):
        if running is not None:
            per_channel = new.reshape(new.shape[:2])
            if len(per_channel) > 1:  # over the samples, for instance norm
                per_channel = per_channel.mean(axis=0, keepdims=True)
            running.array *= 1 - momentum
            running.array += momentum * per_channel[0]
            mark_edited(running, "batch_norm's update")


def _by_running_moments(x: Tensor, mean: Tensor, variance: Tensor, weight: Any, bias: Any, eps: float) -> Tensor:
    """An affine map of each channel: x * scale + offset."""
    if not eps >= 0:
        raise ValueError(f"batch_norm eps must be non-negative, but got {eps}")
    scale = rsqrt(variance + eps)
    scale = scale if weight is None else scale * weight
    channels = _channels_of(x.ndim)
    y = (x - to(reshape(mean, channels), dtype=x.dtype)) * reshape(scale, channels)
    return to(y if bias is None else y + reshape(bias, channels), dtype=x.dtype)


def _check_channels(x: Tensor, mean: Tensor | None, var: Tensor | None, weight: Tensor | None, bias: Tensor | None) -> None:
    """Raise unless everything there is has one number for each channel of x."""
    named = {"running_mean": mean, "running_var": var, "weight": weight, "bias": bias}
    if x.ndim < 2:
        raise RuntimeError(
            f"Expected at least 2 dimensions, (N, C, *S), for input tensor but received {x.ndim}: {list(x.shape)}"
        )
    channels = x.array.shape[1]
    for name, p in named.items():
        if p is not None and p.array.shape != (channels,):
            raise RuntimeError(f"{name} should contain {channels} elements not {p.numel()}")
        if p is not None and name.startswith("running") and p.requires_grad:
            raise RuntimeError(
                f"not differentiable with respect to argument {name!r}. This input cannot have requires_grad True."
            )
    _require_dtypes(x, **named)


# ---- layer and group norm -----------------------------------------------------------------


@checked
def layer_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """(..., *normalized_shape), normalized over its last dimensions; weight and bias of normalized_shape."""
    if not isinstance(normalized_shape, (tuple, list)):
        raise TypeError(
            f"layer_norm(): argument 'normalized_shape' must be tuple of ints, not {type(normalized_shape).__name__}"
        )
    shape = sizes_of((), tuple(normalized_shape), "normalized_shape")
    if not shape:
        raise RuntimeError("Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one element")
    for name, p in (("weight", weight), ("bias", bias)):
        if p is not None and p.array.shape != shape:
            raise RuntimeError(
                f"Expected {name} to be of same shape as normalized_shape, but got {name} of shape {list(p.shape)} "
                f"and normalized_shape = {list(shape)}"
            )
    if input.array.shape[-len(shape) :] != shape:
        raise RuntimeError(
            f"Given normalized_shape={list(shape)}, expected input with shape [*, {', '.join(map(str, shape))}], "
            f"but got input of size{list(input.shape)}"
        )
    _require_dtypes(input, weight=weight, bias=bias)
    axes = tuple(range(input.ndim - len(shape), input.ndim))
    leading = (1,) * (input.ndim - len(shape))
    return _affine(input, weight, bias, axes=axes, affine=leading + shape, eps=eps)


@checked
def group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """(N, C, *S), each sample normalized over *S and the channels of each of num_groups groups."""
    _check_channels(input, None, None, weight, bias)
    batch, channels, *size = input.array.shape
    (num_groups,) = sizes_of((num_groups,), None, "num_groups")
    if num_groups <= 0:
        raise RuntimeError(f"Expected num groups to be greater than 0, got {num_groups}")
    if channels % num_groups:
        raise RuntimeError(
            "Expected number of channels in input to be divisible by num_groups, "
            f"but got input of shape {list(input.shape)} and num_groups={num_groups}"
        )
    if math.prod(size) * (channels // num_groups) == 1 and batch == 1:
        raise ValueError(f"Expected more than 1 value per channel when training, got input size {input.shape}")
    groups = (num_groups, channels // num_groups)
    axes, affine = axes_of("group", 3 + len(size)), (1, *groups, *(1,) * len(size))
    return _affine(input, weight, bias, axes=axes, seen=(batch, *groups, *size), affine=affine, eps=eps)
