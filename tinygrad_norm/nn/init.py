"""How weights start. Each function fills a Tensor in place, without recording, and returns it.

fan_in and fan_out are the numbers of inputs and outputs of one unit: for a weight of shape
(out, in, *kernel), in * prod(kernel) and out * prod(kernel).
"""

from __future__ import annotations

import math
from typing import Any

from tinygrad_norm.autograd import Tensor, no_grad
from tinygrad_norm.backend import xp
from tinygrad_norm.checks.arguments import checked
from tinygrad_norm.engine.tensor import wrap
from tinygrad_norm.generator import Generator, default_generator
from tinygrad_norm.warn import warn


@checked
def calculate_gain(nonlinearity: str, param: Any = None) -> float:
    """The factor that keeps the variance through a nonlinearity; param: leaky_relu's slope."""
    if nonlinearity in ("linear", "conv1d", "conv2d", "conv3d", "sigmoid"):
        return 1.0
    if nonlinearity == "tanh":
        return 5.0 / 3
    if nonlinearity == "relu":
        return math.sqrt(2.0)
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        if isinstance(slope, bool) or not isinstance(slope, (int, float)):
            raise ValueError(f"negative_slope {slope} not a valid number")
        return math.sqrt(2.0 / (1 + slope**2))
    if nonlinearity == "selu":
        return 3.0 / 4
    raise ValueError(f"Unsupported nonlinearity {nonlinearity}: expected linear, sigmoid, tanh, relu, leaky_relu or selu")


def _fans(tensor: Tensor) -> tuple[int, int]:
    if tensor.ndim < 2:
        raise ValueError("Fan in and fan out can not be computed for tensor with fewer than 2 dimensions")
    out_units, in_units, *kernel = tensor.shape
    return in_units * math.prod(kernel), out_units * math.prod(kernel)


@checked
def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Uniform in [a, b)."""
    with no_grad():
        return tensor.uniform_(a, b, generator=generator)


@checked
def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal with this mean and standard deviation."""
    with no_grad():
        return tensor.normal_(mean, std, generator=generator)


@checked
def constant_(tensor: Tensor, val: float) -> Tensor:
    """All elements val."""
    with no_grad():
        return tensor.fill_(val)


@checked
def zeros_(tensor: Tensor) -> Tensor:
    """All elements 0."""
    return constant_(tensor, 0.0)


@checked
def ones_(tensor: Tensor) -> Tensor:
    """All elements 1."""
    return constant_(tensor, 1.0)


@checked
def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Uniform in +-gain * sqrt(6 / (fan_in + fan_out)). Glorot and Bengio 2010."""
    bound = gain * math.sqrt(6.0 / sum(_fans(tensor)))
    return uniform_(tensor, -bound, bound, generator)


@checked
def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal with std gain * sqrt(2 / (fan_in + fan_out)). Glorot and Bengio 2010."""
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / sum(_fans(tensor))), generator)


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"Mode {mode} not supported, please use one of ['fan_in', 'fan_out']")
    fan = _fans(tensor)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


def _nothing_to_do(tensor: Tensor) -> Tensor:
    warn("Initializing zero-element tensors is a no-op")
    return tensor


@checked
def kaiming_uniform_(
    tensor: Tensor, a: Any = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator: Generator | None = None
) -> Tensor:
    """Uniform in +-gain * sqrt(3 / fan). He et al. 2015, arXiv:1502.01852."""
    if not tensor.numel():
        return _nothing_to_do(tensor)
    bound = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


@checked
def kaiming_normal_(
    tensor: Tensor, a: Any = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator: Generator | None = None
) -> Tensor:
    """Normal with std gain / sqrt(fan). He et al. 2015, arXiv:1502.01852."""
    if not tensor.numel():
        return _nothing_to_do(tensor)
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


@checked
def trunc_normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0, generator: Generator | None = None
) -> Tensor:
    """Normal, with what falls outside of [a, b] drawn again."""
    if not a < b:
        raise ValueError(f"trunc_normal_: expected a < b, but got a={a} and b={b}")
    if not std > 0:
        raise ValueError(f"trunc_normal_: expected std > 0, but got {std}")
    below, above = (0.5 * (1 + math.erf((v - mean) / (std * math.sqrt(2)))) for v in (a, b))
    if above - below < 1e-3:
        raise ValueError(f"trunc_normal_: [{a}, {b}] holds hardly any of the normal distribution of mean {mean}, std {std}")
    source, module = generator or default_generator, xp(tensor.array)
    drawn = source.normal(tuple(tensor.shape), tensor.dtype, module) * std + mean
    while (outside := (drawn < a) | (drawn > b)).any():
        drawn = module.where(outside, source.normal(tuple(tensor.shape), tensor.dtype, module) * std + mean, drawn)
    with no_grad():
        return tensor.copy_(wrap(drawn))


@checked
def orthogonal_(tensor: Tensor, gain: float = 1, generator: Generator | None = None) -> Tensor:
    """gain times a matrix with orthonormal rows or columns. Saxe et al. 2013, arXiv:1312.6120."""
    if tensor.ndim < 2:
        raise ValueError("Only tensors with 2 or more dimensions are supported")
    rows, columns = tensor.shape[0], tensor.numel() // max(tensor.shape[0], 1)
    module: Any = xp(tensor.array)
    shape = (max(rows, columns), min(rows, columns))
    q, r = module.linalg.qr((generator or default_generator).normal(shape, "float64", module))
    q = q * module.sign(module.diagonal(r))  # makes the distribution uniform
    matrix = q.T if rows < columns else q
    with no_grad():
        return tensor.copy_(wrap((matrix * gain).reshape(tensor.shape).astype(tensor.dtype)))
