"""New tensors: from data, from shapes, from the random generator.

dtype: float32 where nothing else is said; device: a device or backend name, the current one if None.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_norm import dtypes
from tinygrad_norm.autograd import Tensor, wrap
from tinygrad_norm.backend import Array, Generator, backend_of, default_generator, get_backend, is_array, module_for, transfer


def _made(array: Array, requires_grad: bool) -> Tensor:
    result = wrap(array)
    return result.requires_grad_() if requires_grad else result


def _shape(size: tuple) -> tuple[int, ...]:
    """Sizes given as separate numbers or as one sequence."""
    if len(size) == 1 and not isinstance(size[0], (int, np.integer)):
        size = tuple(size[0])
    for n in size:
        if n < 0:
            raise RuntimeError(f"Trying to create tensor with negative dimension {n}: {list(size)}")
    return tuple(int(n) for n in size)


# ---- from data ----------------------------------------------------------------------------


def tensor(data: Any, dtype: Any = None, device: str | None = None, requires_grad: bool = False) -> Tensor:
    """A copy of data: nested lists, numbers, arrays or Tensors.

    Python floats become float32, integers int64, bools bool; arrays keep their dtype.
    """
    if isinstance(data, Tensor):
        data, device = data.array, device or backend_of(data.array).name
    if isinstance(data, (np.ndarray, np.generic)):  # what is on the host goes where the switch says
        data, device = np.asarray(data), device or get_backend()
    if is_array(data):
        array = (data if device is None else transfer(data, device)).copy()
        return _made(array.astype(dtypes.of(dtype or array.dtype), copy=False), requires_grad)
    array = np.asarray(_to_lists(data))
    if array.dtype == object or array.dtype.kind in "USO":
        raise TypeError(f"tensor: expected numbers, but got {data!r}")
    if dtype is None:
        kind = array.dtype.kind
        dtype = dtypes.DEFAULT if kind == "f" else dtypes.bool if kind == "b" else dtypes.int64
    return _made(module_for(device).asarray(array.astype(dtypes.of(dtype))), requires_grad)


def _to_lists(data: Any) -> Any:
    """Tensors inside lists as numbers."""
    if isinstance(data, Tensor):
        return data.detach().tolist()
    if isinstance(data, (list, tuple)):
        try:
            return [_to_lists(d) for d in data] if any(isinstance(d, (Tensor, list, tuple)) for d in data) else data
        finally:
            lengths = {len(d) for d in data if isinstance(d, (list, tuple))}
            if len(lengths) > 1:
                raise ValueError(f"tensor: expected rows of one length, but got the lengths {sorted(lengths)}")
    return data


def as_tensor(data: Any, dtype: Any = None, device: str | None = None) -> Tensor:
    """As tensor, but without a copy where data is a Tensor or an array that fits already."""
    if isinstance(data, Tensor):
        return data.to(device, dtype) if dtype or device else data
    if not is_array(data):
        return tensor(data, dtype, device)
    device = device or (get_backend() if isinstance(data, np.ndarray) else None)
    array = data if device is None else transfer(data, device)
    return wrap(array.astype(dtypes.of(dtype or array.dtype), copy=False))


def from_numpy(array: np.ndarray) -> Tensor:
    """A Tensor on the array's own memory."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(array).__name__})")
    dtypes.of(array.dtype)
    return wrap(array)


def from_dlpack(source: Any) -> Tensor:
    """A Tensor on the memory of another library's array that speaks DLPack."""
    on_gpu = source.__dlpack_device__()[0] != 1
    return wrap(module_for("cuda" if on_gpu else "cpu").from_dlpack(source))


# ---- from shapes --------------------------------------------------------------------------


def _filled(name: str, doc: str) -> Any:
    def create(*size: Any, dtype: Any = None, device: str | None = None, requires_grad: bool = False) -> Tensor:
        array = getattr(module_for(device), name)(_shape(size), dtype=dtypes.of(dtype or dtypes.DEFAULT))
        return _made(array, requires_grad)

    def create_like(input: Tensor, *, dtype: Any = None, device: str | None = None, requires_grad: bool = False) -> Tensor:
        module = module_for(device or backend_of(input.array).name)
        array = getattr(module, name)(input.array.shape, dtype=dtypes.of(dtype or input.dtype))
        return _made(array, requires_grad)

    create.__name__, create.__doc__ = name, f"{doc} of that size: zeros(2, 3) or zeros((2, 3))."
    create_like.__name__, create_like.__doc__ = f"{name}_like", f"{doc}, of input's shape, dtype and device."
    return create, create_like


zeros, zeros_like = _filled("zeros", "A Tensor of zeros")
ones, ones_like = _filled("ones", "A Tensor of ones")
empty, empty_like = _filled("empty", "A Tensor of whatever stood in memory")


def full(size: Any, fill_value: Any, *, dtype: Any = None, device: str | None = None, requires_grad: bool = False) -> Tensor:
    """A Tensor of that size filled with a number; the dtype follows the number."""
    dtype = dtypes.of(dtype) if dtype is not None else dtypes.of_scalar(fill_value)
    return _made(module_for(device).full(_shape((size,)), fill_value, dtype=dtype), requires_grad)


def full_like(input: Tensor, fill_value: Any, *, dtype: Any = None, device: str | None = None) -> Tensor:
    """A Tensor of input's shape, dtype and device, filled with a number."""
    device = device or backend_of(input.array).name
    return full(input.array.shape, fill_value, dtype=dtype or input.dtype, device=device)


def eye(n: int, m: int | None = None, *, dtype: Any = None, device: str | None = None) -> Tensor:
    """Ones on the diagonal of an (n, m) matrix of zeros."""
    return wrap(module_for(device).eye(n, m, dtype=dtypes.of(dtype or dtypes.DEFAULT)))


def arange(start: float, end: float | None = None, step: float = 1, *, dtype: Any = None, device: str | None = None) -> Tensor:
    """start, start + step, ... up to but without end; arange(end) starts at 0. int64 if all are integers."""
    if end is None:
        start, end = 0, start
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if (end - start) * step < 0:
        raise RuntimeError(f"upper bound and lower bound inconsistent with step sign: {start}, {end}, step {step}")
    if dtype is None:
        dtype = dtypes.DEFAULT if any(isinstance(v, float) for v in (start, end, step)) else dtypes.int64
    count = math.ceil((end - start) / step)
    values = np.arange(count, dtype=np.float64) * step + start if dtypes.of(dtype).kind == "f" else None
    host = np.arange(start, end, step) if values is None else values
    return wrap(module_for(device).asarray(host.astype(dtypes.of(dtype))))


def linspace(start: float, end: float, steps: int, *, dtype: Any = None, device: str | None = None) -> Tensor:
    """`steps` numbers in equal distances from start to end, both included."""
    if steps < 0:
        raise RuntimeError(f"number of steps must be non-negative, but got {steps}")
    return wrap(module_for(device).linspace(start, end, steps, dtype=dtypes.of(dtype or dtypes.DEFAULT)))


# ---- random -------------------------------------------------------------------------------


def _random(name: str, doc: str, draw: str) -> Any:
    def create(
        *size: Any,
        generator: Generator | None = None,
        dtype: Any = None,
        device: str | None = None,
        requires_grad: bool = False,
    ) -> Tensor:
        source = generator or default_generator()
        array = getattr(source, draw)(_shape(size), dtypes.of(dtype or dtypes.DEFAULT), module_for(device))
        return _made(array, requires_grad)

    def create_like(input: Tensor, *, dtype: Any = None, device: str | None = None, requires_grad: bool = False) -> Tensor:
        return create(
            input.array.shape,
            dtype=dtype or input.dtype,
            device=device or backend_of(input.array).name,
            requires_grad=requires_grad,
        )

    create.__name__, create.__doc__ = name, f"{doc}: {name}(2, 3) or {name}((2, 3))."
    create_like.__name__, create_like.__doc__ = f"{name}_like", f"{doc}, of input's shape, dtype and device."
    return create, create_like


rand, rand_like = _random("rand", "Random numbers from [0, 1)", "uniform")
randn, randn_like = _random("randn", "Random numbers from the normal distribution, mean 0, variance 1", "normal")


def randint(
    low: int,
    high: Any = None,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: str | None = None,
) -> Tensor:
    """Random integers from [low, high), int64; randint(high, size) starts at 0."""
    if size is None:
        low, high, size = 0, low, high
    if low >= high:
        raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
    source = generator or default_generator()
    return wrap(source.integers(low, high, _shape((size,)), dtypes.of(dtype or dtypes.int64), module_for(device)))


def randperm(n: int, *, generator: Generator | None = None, device: str | None = None) -> Tensor:
    """The integers from 0 to n - 1 in random order, int64."""
    return wrap(module_for(device).asarray((generator or default_generator()).permutation(n)))


def normal(mean: Any, std: Any = 1.0, size: Any = None, *, generator: Generator | None = None) -> Tensor:
    """Random numbers from the normal distribution with this mean and standard deviation, numbers or Tensors."""
    for value in (std.array.min() if isinstance(std, Tensor) else std,):
        if value < 0:
            raise RuntimeError(f"normal expects std >= 0.0, but found std {float(value)}")
    like = next((t for t in (mean, std) if isinstance(t, Tensor)), None)
    if size is None:
        if like is None:
            raise TypeError("normal: expected a size, since neither mean nor std is a Tensor")
        size = np.broadcast_shapes(*(t.array.shape for t in (mean, std) if isinstance(t, Tensor)))
    device = None if like is None else backend_of(like.array).name
    return mean + std * randn(size, generator=generator, device=device)


def bernoulli(input: Tensor, *, generator: Generator | None = None) -> Tensor:
    """1 with the probability that input holds at this place, else 0; in input's dtype."""
    if backend_of(input.array).name == "numpy" and input.array.size and not (0 <= input.array.min() <= input.array.max() <= 1):
        raise RuntimeError("Expected p_in >= 0 && p_in <= 1 to be true, but got a probability outside of [0, 1]")
    drawn = rand(input.array.shape, dtype=input.dtype, generator=generator, device=backend_of(input.array).name)
    return wrap((drawn.array < input.array).astype(input.dtype))
