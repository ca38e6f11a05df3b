"""Out of the engine and in again: dtypes, devices, NumPy, Python numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tinygrad_norm import dtypes
from tinygrad_norm.autograd import Size, Tensor, op
from tinygrad_norm.backend import backend_of, load, transfer


@op
def _to_dtype(x, *, dtype):
    return x.astype(dtype)


_to_dtype.vjp(x=lambda g: g)  # the engine gives each gradient its input's dtype


@op
def _to_device(x, *, device, home):
    return transfer(x, device)


_to_device.vjp(x=lambda g, device, home: _to_device(g, device=home, home=device))


@op
def clone(x):
    """A copy in memory of its own; gradients pass through."""
    return x.copy(order="K")


clone.vjp(x=lambda g: g)


def to(input: Tensor, *args: Any, dtype: Any = None, device: Any = None, copy: bool = False) -> Tensor:
    """In another dtype, on another device, or both: x.to("cuda"), x.to(float64), x.to(other_tensor).

    Returns x itself where nothing changes, unless copy.
    """
    for arg in args:
        if isinstance(arg, Tensor):
            dtype, device = arg.dtype, backend_of(arg.array).name
        elif isinstance(arg, str):
            device = arg
        elif arg is not None:
            dtype = arg
    result = input
    if dtype is not None and (wanted := dtypes.of(dtype)) != input.dtype:
        source = result if wanted.kind == "f" else result.detach()  # no gradient flows through integers
        result = _to_dtype(source, dtype=wanted)
    if device is not None and load(device) is not (home := backend_of(input.array)):
        result = _to_device(result, device=load(device).name, home=home.name)
    return clone(result) if copy and result is input else result


def astype(input: Tensor, dtype: Any) -> Tensor:
    """In another dtype, as NumPy names it."""
    return to(input, dtype=dtype)


def _caster(name: str) -> Any:
    def cast(input: Tensor) -> Tensor:
        return to(input, dtype=getattr(dtypes, name))

    cast.__name__, cast.__doc__ = name, f"As {getattr(dtypes, name).name}."
    return cast


CASTS = {name: _caster(name) for name in ("float", "double", "half", "long", "int", "bool")}


def cpu(input: Tensor) -> Tensor:
    """In host memory, as a NumPy array."""
    return to(input, device="cpu")


def cuda(input: Tensor) -> Tensor:
    """On the GPU, as a CuPy array."""
    return to(input, device="cuda")


def device(input: Tensor) -> str:
    """Where the values are: "cpu" or "cuda"."""
    return backend_of(input.array).device


# ---- to Python and NumPy ------------------------------------------------------------------


def numpy(input: Tensor) -> np.ndarray:
    """The values as a NumPy array on the same memory.

    Raises RuntimeError for a Tensor that requires grad, TypeError for one on the GPU.
    """
    if input.requires_grad:
        raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
    if not isinstance(input.array, np.ndarray):
        raise TypeError("can't convert a cuda tensor to numpy. Use Tensor.cpu() to copy the tensor to host memory first.")
    return input.array


def __array__(input: Tensor, dtype: Any = None, copy: Any = None) -> np.ndarray:
    array = numpy(input)
    if copy is False and dtype is not None and array.dtype != dtype:
        raise ValueError(f"cannot give a {array.dtype} Tensor as {dtype} without a copy")
    return array.astype(dtype or array.dtype, copy=bool(copy))


def item(input: Tensor) -> Any:
    """The only element as a Python number."""
    if input.array.size != 1:
        raise RuntimeError(f"a Tensor with {input.array.size} elements cannot be converted to Scalar")
    return input.array.item()


def tolist(input: Tensor) -> Any:
    """The elements as nested lists of Python numbers."""
    return input.array.tolist()


def __bool__(input: Tensor) -> bool:
    if input.array.size != 1:
        raise RuntimeError(
            f"Boolean value of Tensor with {'no values' if not input.array.size else 'more than one value'} is ambiguous: "
            "use .any() or .all()"
        )
    return bool(input.array.item())


def __format__(input: Tensor, spec: str) -> str:
    return format(item(input), spec) if spec and not input.ndim else object.__format__(input, spec)


def __float__(input: Tensor) -> float:
    return float(item(input))


def __int__(input: Tensor) -> int:
    return int(item(input))


def __index__(input: Tensor) -> int:
    if input.dtype.kind == "f":
        raise TypeError("only integer tensors of a single element can be converted to an index")
    return int(item(input))


def __len__(input: Tensor) -> int:
    if not input.ndim:
        raise TypeError("len() of a 0-d tensor")
    return input.array.shape[0]


def __iter__(input: Tensor) -> Iterator[Tensor]:
    if not input.ndim:
        raise TypeError("iteration over a 0-d tensor")
    return (input[i] for i in range(input.array.shape[0]))


def __contains__(input: Tensor, value: Any) -> bool:
    return bool((input.array == (value.array if isinstance(value, Tensor) else value)).any())


def __dlpack__(input: Tensor, **arguments: Any) -> Any:
    if input.requires_grad:
        raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
    return input.array.__dlpack__(**arguments)


def __dlpack_device__(input: Tensor) -> Any:
    return input.array.__dlpack_device__()


# ---- sizes --------------------------------------------------------------------------------


def size(input: Tensor, dim: Any = None) -> Any:
    """The shape, or its entry `dim`."""
    return Size(input.array.shape) if dim is None else input.array.shape[dim]


def numel(input: Tensor) -> int:
    """The number of elements."""
    return input.array.size


def dim(input: Tensor) -> int:
    """The number of dimensions."""
    return input.array.ndim
