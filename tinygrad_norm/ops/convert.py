"""Conversions: dtypes, devices, NumPy arrays, Python numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tinygrad_norm import dtypes
from tinygrad_norm.autograd import Tensor, is_grad_enabled, op
from tinygrad_norm.backend import backend_of, load, transfer
from tinygrad_norm.checks.sizes import dim_of, sizes_of
from tinygrad_norm.ops.creation import full, tensor
from tinygrad_norm.ops.joining import unbind
from tinygrad_norm.promotion import NUMBERS


@op
def _to_dtype(x, *, dtype):
    """The same values in another dtype."""
    return x.astype(dtype)


_to_dtype.vjp(x=lambda g: g)  # the engine gives each gradient its input's dtype


@op
def _to_device(x, *, device, home):
    """The same values on another device."""
    return transfer(x, device)


_to_device.vjp(x=lambda g, device, home: _to_device(g, device=home, home=device))


@op
def _clone(x, *, order):
    """A copy."""
    return x.copy(order=order)


_clone.vjp(x=lambda g: g)


def clone(input: Tensor, *, memory_format: Any = None) -> Tensor:
    """A copy in memory of its own; gradients pass through."""
    return _clone(input, order="K")


def contiguous(input: Tensor, memory_format: Any = None) -> Tensor:
    """The tensor itself if its memory is in row-major order and its own, else a copy that is so."""
    return input if input.array.flags.c_contiguous else _clone(input, order="C")


def to(
    input: Tensor,
    *args: Any,
    dtype: Any = None,
    device: Any = None,
    non_blocking: bool = False,
    copy: bool = False,
    **more: Any,
) -> Tensor:
    """In another dtype, on another device, or both: x.to("cuda"), x.to(float64), x.to(other_tensor).

    Returns x itself where nothing changes, unless copy. non_blocking is accepted, and does nothing.
    """
    args += (more.pop("tensor", None),)
    more.pop("memory_format", None)
    if more:
        raise TypeError(f"to() got an unexpected keyword argument {next(iter(more))!r}")
    flags = [arg for arg in args if isinstance(arg, int)]
    copy = bool(flags[1]) if len(flags) > 1 else copy  # non_blocking and copy by place
    for arg in args:
        if isinstance(arg, Tensor):
            if dtype is not None or device is not None:
                raise TypeError("to(): a Tensor says dtype and device: expected no others beside it")
            dtype, device = arg.dtype, backend_of(arg.array).name
        elif isinstance(arg, str) and arg not in dtypes.NAMES:
            device = arg
        elif arg is not None and not isinstance(arg, int):
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


def type_as(input: Tensor, other: Tensor) -> Tensor:
    """In the dtype of other."""
    return to(input, dtype=other.dtype)


_TYPES = {
    "float32": "FloatTensor",
    "float64": "DoubleTensor",
    "float16": "HalfTensor",
    "int64": "LongTensor",
    "int32": "IntTensor",
    "uint8": "ByteTensor",
    "bool": "BoolTensor",
}


def type(input: Tensor, dtype: Any = None, non_blocking: bool = False) -> Any:
    """In another dtype; without one, the name that PyTorch has for the type: "torch.FloatTensor"."""
    if dtype is None:
        return f"torch.{'cuda.' if is_cuda(input) else ''}{_TYPES[input.dtype.name]}"
    named = {v: k for k, v in _TYPES.items()}
    name = getattr(dtype, "__name__", dtype) if not isinstance(dtype, np.dtype) else dtype
    return to(input, dtype=named.get(str(name).rpartition(".")[2], dtype))


def _tensor_type(dtype: str) -> Any:
    def make(*data: Any) -> Tensor:
        if data and isinstance(data[0], Tensor) and data[0].dtype != dtype:
            raise TypeError(f"expected {_TYPES[dtype]} (got {_TYPES[data[0].dtype.name]}): convert with .to()")
        if len(data) == 1 and not isinstance(data[0], (int, float, np.number)):
            return tensor(data[0], dtype=dtype)
        sizes = sizes_of(data, None) if data else (0,)
        return full(sizes, 0, dtype=dtype)

    make.__name__, make.__doc__ = _TYPES[dtype], f"A {dtype} Tensor of data, or of sizes: PyTorch's old name for tensor()."
    return make


FloatTensor, DoubleTensor, HalfTensor, LongTensor, IntTensor, ByteTensor, BoolTensor = map(_tensor_type, _TYPES)


def _caster(name: str) -> Any:
    def cast(input: Tensor, memory_format: Any = None) -> Tensor:
        return to(input, dtype=getattr(dtypes, name))

    cast.__name__, cast.__doc__ = name, f"As {getattr(dtypes, name).name}."
    return cast


CASTS = {name: _caster(name) for name in ("float", "double", "half", "long", "int", "bool")}
CASTS["byte"] = lambda input, memory_format=None: to(input, dtype=dtypes.uint8)


def cpu(input: Tensor, memory_format: Any = None) -> Tensor:
    """In host memory, as a NumPy array."""
    return to(input, device="cpu")


def cuda(input: Tensor, device: Any = None, non_blocking: bool = False, memory_format: Any = None) -> Tensor:
    """On the GPU, as a CuPy array."""
    return to(input, device="cuda" if device is None or isinstance(device, int) else device)


def is_cuda(input: Tensor) -> bool:
    """Whether the values are on the GPU."""
    return backend_of(input.array).device == "cuda"


# ---- to Python and NumPy ------------------------------------------------------------------


def numpy(input: Tensor, *, force: bool = False) -> np.ndarray:
    """The values as a NumPy array on the same memory; force: detached and from the GPU, if need be.

    Raises RuntimeError for a Tensor that requires grad, TypeError for one on the GPU.
    """
    if force:
        return transfer(input.array, "cpu")
    if is_grad_enabled() and input.requires_grad:
        raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
    if not isinstance(input.array, np.ndarray):
        raise TypeError("can't convert a cuda tensor to numpy. Use Tensor.cpu() to copy the tensor to host memory first.")
    return input.array


def __array__(input: Tensor, dtype: Any = None, copy: Any = None) -> np.ndarray:
    array = numpy(input)
    if copy is False and dtype is not None and array.dtype != dtype:
        raise ValueError(f"cannot give a {array.dtype} Tensor as {dtype} without a copy")
    return array.astype(dtype or array.dtype, copy=copy is True)


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
        raise RuntimeError(f"Boolean value of Tensor with {input.array.size} values is ambiguous: use .any() or .all()")
    return bool(input.array.item())


def _scalar(input: Tensor) -> Any:
    if input.array.size != 1:
        raise ValueError(f"only one element tensors can be converted to Python scalars, but got {input.array.size} elements")
    return input.array.item()


def __format__(input: Tensor, spec: str) -> str:
    return format(item(input), spec) if not input.ndim and input.__class__ is Tensor else object.__format__(input, spec)


def __float__(input: Tensor) -> float:
    return float(_scalar(input))


def __int__(input: Tensor) -> int:
    return int(_scalar(input))


def __index__(input: Tensor) -> int:
    if input.dtype.kind == "f" or input.array.size != 1:
        raise TypeError("only integer tensors of a single element can be converted to an index")
    return int(input.array.item())


def __len__(input: Tensor) -> int:
    if not input.ndim:
        raise TypeError("len() of a 0-d tensor")
    return input.array.shape[0]


def __iter__(input: Tensor) -> Iterator[Tensor]:
    if not input.ndim:
        raise TypeError("iteration over a 0-d tensor")
    return iter(unbind(input))


def __contains__(input: Tensor, value: Any) -> bool:
    if not isinstance(value, (Tensor, *NUMBERS)):
        raise RuntimeError(f"Tensor.__contains__ only supports Tensor or scalar, but you passed in a {value.__class__}.")
    return bool((input.array == (value.array if isinstance(value, Tensor) else value)).any())


def __dlpack__(input: Tensor, **arguments: Any) -> Any:
    if input.requires_grad:
        raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
    return input.array.__dlpack__(**arguments)


def __dlpack_device__(input: Tensor) -> Any:
    return input.array.__dlpack_device__()


# ---- what it is ---------------------------------------------------------------------------


def size(input: Tensor, dim: int | None = None) -> Any:
    """The shape, or its entry `dim`."""
    return input.shape if dim is None else input.array.shape[dim_of("size", input.ndim, dim, IndexError)]


def numel(input: Tensor) -> int:
    """The number of elements."""
    return input.array.size


def dim(input: Tensor) -> int:
    """The number of dimensions."""
    return input.array.ndim


def element_size(input: Tensor) -> int:
    """The size of an element in bytes."""
    return input.array.itemsize


def is_floating_point(input: Tensor) -> bool:
    """Whether the dtype is float16, float32 or float64."""
    return input.array.dtype.kind == "f"


def is_contiguous(input: Tensor, memory_format: Any = None) -> bool:
    """Whether the memory is in row-major order."""
    return input.array.flags.c_contiguous


def is_tensor(obj: Any) -> bool:
    """Whether the object is a Tensor."""
    return isinstance(obj, Tensor)


# ---- new tensors like one that is there ---------------------------------------------------


def new_tensor(input: Tensor, data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """tensor(data) with the dtype and device of input."""
    dtype, device = input.dtype if dtype is None else dtype, device or backend_of(input.array).name
    return tensor(data, dtype=dtype, device=device, requires_grad=requires_grad)


def new_full(
    input: Tensor, size: Any, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """full(size, fill_value) with the dtype and device of input."""
    dtype, device = input.dtype if dtype is None else dtype, device or backend_of(input.array).name
    return full(size, fill_value, dtype=dtype, device=device, requires_grad=requires_grad)


def new_zeros(
    input: Tensor, *sizes: Any, size: Any = None, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """zeros(size) with the dtype and device of input."""
    return new_full(input, sizes_of(sizes, size), 0, dtype=dtype, device=device, requires_grad=requires_grad)


def new_ones(
    input: Tensor, *sizes: Any, size: Any = None, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """ones(size) with the dtype and device of input."""
    return new_full(input, sizes_of(sizes, size), 1, dtype=dtype, device=device, requires_grad=requires_grad)


def new_empty(
    input: Tensor, *sizes: Any, size: Any = None, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """empty(size) with the dtype and device of input."""
    return new_full(input, sizes_of(sizes, size), 0, dtype=dtype, device=device, requires_grad=requires_grad)
