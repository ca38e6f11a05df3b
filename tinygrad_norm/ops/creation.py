"""New tensors: from data, and from shapes. The random ones are in random.py.

dtype: float32 where nothing else is said; device: a device or backend name, the current one if None.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_norm import dtypes
from tinygrad_norm.autograd import Tensor
from tinygrad_norm.backend import Array, backend_of, get_backend, is_array, module_for, plain_array, transfer
from tinygrad_norm.checks.sizes import sizes_of
from tinygrad_norm.engine.tensor import wrap
from tinygrad_norm.promotion import NUMBERS, converted, promote


def made(array: Array, requires_grad: bool = False) -> Tensor:
    """A new leaf around the array."""
    result = wrap(array)
    return result.requires_grad_() if requires_grad else result


def shape_of(sizes: tuple, size: Any = None) -> tuple[int, ...]:
    """Sizes given as separate numbers, as one sequence, or as `size`."""
    if sizes and size is not None:
        raise TypeError(f"sizes were given twice: as {sizes} and as size={size}")
    shape = sizes_of(sizes, size)
    for n in shape:
        if n < 0:
            raise RuntimeError(f"Trying to create tensor with negative dimension {n}: {list(shape)}")
    return shape


def number(name: str, value: Any) -> Any:
    """A Python number, also of a NumPy scalar or a Tensor of one element. Raises TypeError for anything else."""
    value = value.item() if isinstance(value, (Tensor, np.generic)) else value
    if not isinstance(value, (int, float)):
        raise TypeError(f"argument {name!r} must be Number, not {type(value).__name__}")
    return value


# ---- from data ----------------------------------------------------------------------------


def tensor(
    data: Any, *, dtype: Any = None, device: str | None = None, requires_grad: bool = False, pin_memory: bool = False
) -> Tensor:
    """A copy of data: nested lists, numbers, arrays or Tensors.

    Python floats become float32, integers int64, bools bool; arrays, and lists of arrays, keep their dtype.
    """
    wanted, data = None if dtype is None else dtypes.of(dtype), plain_array(data)
    if isinstance(data, Tensor):
        data, device = data.array, device or backend_of(data.array).name
    if isinstance(data, (np.ndarray, np.generic)):  # what is on the host goes where the switch says
        data, device = np.asarray(data), device or get_backend()
    if is_array(data):
        array = (data if device is None else transfer(data, device)).copy()
        return made(array.astype(wanted or dtypes.of(array.dtype), copy=False), requires_grad)
    array = _from_lists(data, wanted)
    return made(module_for(device).asarray(array), requires_grad)


def _from_lists(data: Any, wanted: Any) -> np.ndarray:
    """A NumPy array of a number, or of nested sequences of numbers, arrays and Tensors."""
    found: set = set()
    try:
        array = np.asarray(_plain(data, found))
    except ValueError as error:
        raise ValueError(f"tensor: expected rows of one length: {error}") from None
    if wanted is None:
        wanted = promote([(dtype, (1,)) for dtype in found]) if found else dtypes.DEFAULT
    whole = array.dtype == dtypes.uint8 or (array.dtype.kind in "Ou" and wanted.kind == "f")
    if array.dtype.kind not in "fib" and not whole and wanted.kind != "b":
        raise ValueError(f"Overflow when unpacking long long: an integer is too large for int64: {data!r:.80}")
    if wanted.kind in "iu" and array.size:
        low, high = np.iinfo(wanted).min, np.iinfo(wanted).max
        low = -high if wanted.kind == "u" and array.dtype.kind != "f" else low  # a negative integer wraps around
        smallest, largest = array.min(), array.max()
        if not (low <= smallest and largest <= high) or (array.dtype.kind == "f" and not largest < 2.0**63):
            bad = largest if not largest <= high else smallest
            raise RuntimeError(f"value {bad} cannot be converted to type {wanted} without overflow")
    return array.astype(wanted)


def _plain(data: Any, found: set) -> Any:
    """The data with arrays in the place of Tensors; the dtypes of all its elements are added to `found`."""
    kind = data.__class__
    if kind in (float, int, bool):
        found.add(dtypes.of_scalar(data))
        return data
    if isinstance(data, Tensor):
        data = data.array
    data = data if isinstance(data, np.generic) else plain_array(data)
    if is_array(data):
        found.add(dtypes.of(data.dtype))
        return transfer(data, "cpu")
    if isinstance(data, np.generic):
        found.add(dtypes.of(data.dtype))
        return data
    if isinstance(data, (list, tuple)) or (isinstance(data, Sequence | deque) and not isinstance(data, (str, bytes))):
        return [_plain(d, found) for d in data]
    raise TypeError(f"tensor: expected numbers, but got {kind.__name__}: {data!r:.80}")


def as_tensor(data: Any, dtype: Any = None, device: str | None = None) -> Tensor:
    """As tensor, but without a copy where data is a Tensor or an array that fits already."""
    if isinstance(data, Tensor):
        return data.to(device=device, dtype=dtype) if dtype is not None or device is not None else data
    if not is_array(data):
        return tensor(data, dtype=dtype, device=device)
    data, device = plain_array(data), device or (get_backend() if isinstance(data, np.ndarray) else None)
    array = data if device is None else transfer(data, device)
    return wrap(array.astype(dtypes.of(array.dtype if dtype is None else dtype), copy=False))


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
    def create(
        *sizes: Any,
        size: Any = None,
        dtype: Any = None,
        device: str | None = None,
        requires_grad: bool = False,
        pin_memory: bool = False,
    ) -> Tensor:
        shape = shape_of(sizes, size)
        array = getattr(module_for(device), name)(shape, dtype=dtypes.of(dtypes.DEFAULT if dtype is None else dtype))
        return made(array, requires_grad)

    def create_like(
        input: Tensor,
        *,
        dtype: Any = None,
        device: str | None = None,
        requires_grad: bool = False,
        memory_format: Any = None,
    ) -> Tensor:
        module = module_for(device or backend_of(input.array).name)
        array = getattr(module, name)(input.array.shape, dtype=input.array.dtype if dtype is None else dtypes.of(dtype))
        return made(array, requires_grad)

    create.__name__, create.__doc__ = name, f"{doc} of that size: {name}(2, 3) or {name}((2, 3))."
    create_like.__name__, create_like.__doc__ = f"{name}_like", f"{doc}, of input's shape, dtype and device."
    return create, create_like


zeros, zeros_like = _filled("zeros", "A Tensor of zeros")
ones, ones_like = _filled("ones", "A Tensor of ones")
empty, empty_like = _filled("empty", "A Tensor of whatever stood in memory")


def require_range(value: float, dtype: Any) -> float:
    """The number, unless it is finite and too large for a floating point dtype: then RuntimeError."""
    if float(np.finfo(dtype).max) < abs(value) != math.inf:
        raise RuntimeError(f"value {value} cannot be converted to type {dtype} without overflow")
    return value


_INFINITE_HALF = 65520  # and more are rounded to infinity: half way beyond the largest, 65504


def number_for(value: Any, dtype: Any, infinite_half: bool = False) -> Any:
    """A Python number as that dtype holds it: 2 of 2.7 for integers; if told so, inf of 70000.0 for float16.

    Raises RuntimeError where it does not fit, TypeError for anything else.
    """
    if not isinstance(value, NUMBERS):
        raise TypeError(f"expected a number, but got {type(value).__name__}")
    value = value.item() if hasattr(value, "item") else value
    if infinite_half and dtype == dtypes.float16:
        return math.copysign(math.inf, value) if abs(value) >= _INFINITE_HALF else float(value)
    if dtype.kind == "f":
        return require_range(float(value), dtype)
    if dtype.kind == "b":
        return bool(value)
    info = np.iinfo(dtype)
    least = -info.max if info.min == 0 and isinstance(value, int) else info.min  # a negative integer wraps around
    if not least <= value <= info.max:  # nan is not either
        raise RuntimeError(f"value {value} cannot be converted to type {dtype} without overflow")
    return converted(int(value), dtype)


def full(size: Any, fill_value: Any, *, dtype: Any = None, device: str | None = None, requires_grad: bool = False) -> Tensor:
    """A Tensor of that size filled with a number; the dtype follows the number."""
    kind = fill_value.dtype if isinstance(fill_value, Tensor) else None
    value = number("fill_value", fill_value)
    wanted = dtypes.of(dtype) if dtype is not None else kind or dtypes.of_scalar(value)
    return made(module_for(device).full(shape_of((size,)), number_for(value, wanted), dtype=wanted), requires_grad)


def full_like(
    input: Tensor,
    fill_value: Any,
    *,
    dtype: Any = None,
    device: str | None = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """A Tensor of input's shape, dtype and device, filled with a number."""
    device = device or backend_of(input.array).name
    dtype = input.dtype if dtype is None else dtype
    return full(input.array.shape, fill_value, dtype=dtype, device=device, requires_grad=requires_grad)


def eye(n: int, m: int | None = None, *, dtype: Any = None, device: str | None = None, requires_grad: bool = False) -> Tensor:
    """Ones on the diagonal of an (n, m) matrix of zeros."""
    rows, columns = shape_of((n, n if m is None else m))
    wanted = dtypes.of(dtypes.DEFAULT if dtype is None else dtype)
    return made(module_for(device).eye(rows, columns, dtype=wanted), requires_grad)


def arange(
    start: float,
    end: float | None = None,
    step: float = 1,
    *,
    dtype: Any = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """start, start + step, ... up to but without end; arange(end) starts at 0. int64 if all are integers."""
    if end is None:
        start, end = 0, start
    start, end, step = (number(name, v) for name, v in (("start", start), ("end", end), ("step", step)))
    if not (math.isfinite(start) and math.isfinite(end)):
        raise RuntimeError(f"unsupported range: {start} -> {end}")
    if not step or step != step:
        raise RuntimeError("step must be nonzero")
    if (end - start) * step < 0:
        raise RuntimeError(f"upper bound and lower bound inconsistent with step sign: {start}, {end}, step {step}")
    whole = not any(isinstance(v, float) for v in (start, end, step))
    wanted = dtypes.of(dtype) if dtype is not None else dtypes.int64 if whole else dtypes.DEFAULT
    count = -((start - end) // step) if whole else math.ceil((end - start) / step)
    host = np.arange(count) * step + start if whole else np.arange(count, dtype=np.float64) * step + start
    return made(module_for(device).asarray(host.astype(wanted)), requires_grad)


def linspace(
    start: float, end: float, steps: int, *, dtype: Any = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """`steps` numbers in equal distances from start to end, both included."""
    (steps,) = sizes_of((steps,), None, "steps")
    if steps < 0:
        raise RuntimeError(f"number of steps must be non-negative, but got {steps}")
    start, end = number("start", start), number("end", end)
    wanted = dtypes.of(dtypes.DEFAULT if dtype is None else dtype)
    values = np.trunc(np.linspace(start, end, steps)) if wanted.kind != "f" else np.linspace(start, end, steps)
    return made(module_for(device).asarray(values.astype(wanted)), requires_grad)
