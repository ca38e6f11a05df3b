"""Random tensors, drawn from the default generator unless told otherwise.

dtype: float32 where nothing else is said; device: a device or backend name, the current one if None.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_norm import dtypes
from tinygrad_norm.autograd import Tensor
from tinygrad_norm.backend import backend_of, module_for, xp
from tinygrad_norm.checks.sizes import sizes_of
from tinygrad_norm.engine.tensor import wrap
from tinygrad_norm.generator import Generator, default_generator
from tinygrad_norm.ops.creation import made, number, shape_of


def _random(name: str, doc: str, draw: str) -> Any:
    def create(
        *sizes: Any,
        size: Any = None,
        generator: Generator | None = None,
        dtype: Any = None,
        device: str | None = None,
        requires_grad: bool = False,
        pin_memory: bool = False,
    ) -> Tensor:
        shape, wanted = shape_of(sizes, size), dtypes.of(dtypes.DEFAULT if dtype is None else dtype)
        if wanted.kind != "f":
            raise RuntimeError(f"{name}: not implemented for {wanted}: use randint()")
        return made(getattr(_source(generator), draw)(shape, wanted, module_for(device)), requires_grad)

    def create_like(
        input: Tensor,
        *,
        dtype: Any = None,
        device: str | None = None,
        requires_grad: bool = False,
        generator: Generator | None = None,
        memory_format: Any = None,
    ) -> Tensor:
        device = device or backend_of(input.array).name
        dtype = input.dtype if dtype is None else dtype
        return create(input.array.shape, dtype=dtype, device=device, requires_grad=requires_grad, generator=generator)

    create.__name__, create.__doc__ = name, f"{doc}: {name}(2, 3) or {name}((2, 3))."
    create_like.__name__, create_like.__doc__ = f"{name}_like", f"{doc}, of input's shape, dtype and device."
    return create, create_like


def _source(generator: Generator | None) -> Generator:
    if generator is not None and not isinstance(generator, Generator):
        raise TypeError(f"argument 'generator' must be Generator, not {type(generator).__name__}")
    return default_generator if generator is None else generator


def get_rng_state() -> Tensor:
    """The default generator's state, a uint8 Tensor: what `set_rng_state` needs to go on from here."""
    return wrap(default_generator.get_state())


def set_rng_state(new_state: Tensor) -> None:
    """Let the default generator go on from a state that `get_rng_state` returned."""
    default_generator.set_state(new_state)


rand, rand_like = _random("rand", "Random numbers from [0, 1)", "uniform")
randn, randn_like = _random("randn", "Random numbers from the normal distribution, mean 0, variance 1", "normal")


def randint(
    low: Any = None,
    high: Any = None,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Random integers from [low, high), int64; randint(high, size) starts at 0."""
    if high is None and size is not None:
        low, high = 0, low
    if size is None:
        low, high, size = (0, low, high) if isinstance(high, (tuple, list)) or low is None else (low, high, size)
    low = 0 if low is None else low
    if size is None or high is None:
        raise TypeError("randint: expected randint(high, size) or randint(low, high, size)")
    (low, high), shape = sizes_of((low, high), None, "low and high"), shape_of((size,))
    if low >= high:
        raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
    wanted = dtypes.of(dtypes.int64 if dtype is None else dtype)
    return made(_source(generator).integers(low, high, shape, wanted, module_for(device)), requires_grad)


def randperm(
    n: int, *, generator: Generator | None = None, dtype: Any = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """The integers from 0 to n - 1 in random order, int64."""
    (n,) = shape_of((n,))
    wanted = dtypes.of(dtypes.int64 if dtype is None else dtype)
    return made(module_for(device).asarray(_source(generator).permutation(n).astype(wanted)), requires_grad)


def normal(
    mean: Any = 0.0,
    std: Any = 1.0,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Random numbers from the normal distribution with this mean and standard deviation, numbers or Tensors."""
    smallest = (std.array.min() if std.array.size else 0) if isinstance(std, Tensor) else number("std", std)
    if not smallest >= 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {float(smallest)}")
    tensors = [t for t in (mean, std) if isinstance(t, Tensor)]
    if size is None:
        if not tensors:
            raise TypeError("normal: expected a size, since neither mean nor std is a Tensor")
        try:
            size = np.broadcast_shapes(*(t.array.shape for t in tensors))
        except ValueError as error:
            raise RuntimeError(f"normal: mean and std have to broadcast: {error}") from None
    if tensors:
        dtype, device = tensors[0].dtype if dtype is None else dtype, backend_of(tensors[0].array).name
    drawn = randn(size, generator=generator, device=device, dtype=dtype)
    shifted = drawn.array * _value("std", std) + _value("mean", mean)
    return made(shifted.astype(drawn.dtype, copy=False), requires_grad)


def _value(name: str, x: Any) -> Any:
    return x.array if isinstance(x, Tensor) else number(name, x)


def bernoulli(input: Tensor, *, generator: Generator | None = None) -> Tensor:
    """1 with the probability that input holds at this place, else 0; in input's dtype."""
    array = input.array
    if array.dtype.kind != "f":
        raise RuntimeError(f"bernoulli: not implemented for {array.dtype}: probabilities have to be floating point")
    if backend_of(array).name == "numpy" and array.size and not (array.min() >= 0 and array.max() <= 1):
        raise RuntimeError("Expected p_in >= 0 && p_in <= 1 to be true, but got a probability outside of [0, 1]")
    drawn = rand(array.shape, dtype=input.dtype, generator=generator, device=backend_of(array).name)
    return wrap((drawn.array < array).astype(array.dtype))


def multinomial(input: Tensor, num_samples: int, replacement: bool = False, *, generator: Generator | None = None) -> Tensor:
    """num_samples indices for each row of weights (N, C) or (C,), drawn in proportion to them; int64."""
    weights = input.array
    (count,) = sizes_of((num_samples,), None, "num_samples")
    if weights.dtype.kind != "f" or weights.ndim not in (1, 2) or not weights.size:
        raise RuntimeError("prob_dist must be 1 or 2 dim, floating point and not empty")
    if count <= 0:
        raise RuntimeError("cannot sample n_sample <= 0 samples")
    if not replacement and count > weights.shape[-1]:
        raise RuntimeError("cannot sample n_sample > prob_dist.size(-1) samples without replacement")
    module = xp(weights)
    if not bool((weights >= 0).all()) or not bool(module.isfinite(weights).all()):
        raise RuntimeError("probability tensor contains either `inf`, `nan` or element < 0")
    if not bool((weights.sum(axis=-1) > 0).all()):
        raise RuntimeError("invalid multinomial distribution (sum of probabilities <= 0)")
    rows = weights.reshape(-1, weights.shape[-1]).astype("float64")
    if replacement:
        steps = (rows / rows.sum(axis=1, keepdims=True)).cumsum(axis=1)
        drawn = _source(generator).uniform((len(rows), count), "float64", module)
        found = (drawn[:, :, None] * steps[:, None, -1:] >= steps[:, None]).sum(axis=2)
    else:  # the largest of log(weight) + Gumbel noise, as often as asked
        noise = _source(generator).uniform(rows.shape, "float64", module)
        with np.errstate(divide="ignore"):
            keys = module.log(rows) - module.log(-module.log(noise))
        found = module.argsort(-keys, axis=1)[:, :count]
    return wrap(found.astype(dtypes.int64).reshape(*weights.shape[:-1], count))
