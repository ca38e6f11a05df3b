"""A double of CuPy for machines without a GPU: NumPy inside, CuPy's strictness outside.

What raises on a GPU raises here: turning an array into a NumPy one without `.get()`, mixing the
two kinds, a NumPy function on such an array, a function that CuPy does not have. Reductions to one
number give an array without dimensions, as CuPy's do. `transfers` counts the ways to the host.
"""

from __future__ import annotations

from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from tinygrad_norm.backend import Backend, register

# what CuPy offers of what the package uses; a test compares the lists with CuPy itself
FUNCTIONS = (
    "abs add all amax amin any arange argmax argmin asarray broadcast_to ceil clip concatenate copysign cos "
    "divide einsum empty empty_like equal exp expand_dims expm1 eye flip floor full full_like greater "
    "greater_equal isfinite isinf isnan less less_equal linspace log log1p logical_and logical_not logical_or "
    "matmul maximum minimum multiply negative not_equal ones ones_like reciprocal roll round sign sin sqrt stack "
    "subtract sum tanh where zeros zeros_like diagonal ascontiguousarray"
).split()
METHODS = (
    "all any argmax argmin astype clip copy cumsum fill max mean min prod ravel reshape squeeze sum swapaxes transpose"
).split()
OPERATORS = (
    "add radd sub rsub mul rmul truediv rtruediv floordiv mod pow rpow matmul eq ne lt le gt ge and rand or ror "
    "neg pos abs invert iadd isub imul itruediv xor ixor iand ior"
).split()

transfers = SimpleNamespace(count=0)


class ndarray:
    """A NumPy array that refuses what a CuPy array refuses."""

    __array_ufunc__ = None
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, inner: np.ndarray, base: ndarray | None = None) -> None:
        self.inner, self.base = inner, base

    def __array__(self, *args: Any, **kwargs: Any) -> np.ndarray:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct a NumPy array explicitly."
        )

    def __array_function__(self, function: Any, *args: Any) -> Any:
        raise TypeError(f"a NumPy function on an array of the GPU: numpy.{function.__name__}")

    shape = property(lambda self: self.inner.shape)
    dtype = property(lambda self: self.inner.dtype)
    ndim = property(lambda self: self.inner.ndim)
    size = property(lambda self: self.inner.size)
    nbytes = property(lambda self: self.inner.nbytes)
    strides = property(lambda self: self.inner.strides)
    flags = property(lambda self: self.inner.flags)
    T = property(lambda self: _out(self.inner.T, [self]))

    def get(self) -> np.ndarray:
        """The way to the host that is allowed."""
        transfers.count += 1
        return self.inner.copy()

    def item(self) -> Any:
        """The only element as a number: waits for the GPU."""
        transfers.count += 1
        return self.inner.item()

    def tolist(self) -> Any:
        """Nested lists of numbers: waits for the GPU."""
        transfers.count += 1
        return self.inner.tolist()

    def __bool__(self) -> bool:
        return bool(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        raise TypeError("only integer scalar arrays can be converted to a scalar index")

    def __len__(self) -> int:
        return len(self.inner)

    def __getitem__(self, index: Any) -> ndarray:
        index = _in(index)
        found = self.inner[index]
        if isinstance(found, np.generic):  # CuPy gives a view without dimensions
            found = self.inner[(*index, ...) if isinstance(index, tuple) else (index, ...)]
        return _out(found, [self])

    def __setitem__(self, index: Any, value: Any) -> None:
        self.inner[_in(index)] = _in(value)

    def __repr__(self) -> str:
        return f"strict {self.inner!r}"


def _in(value: Any) -> Any:
    """Arguments as NumPy takes them; an array of NumPy's own is refused."""
    if isinstance(value, ndarray):
        return value.inner
    if isinstance(value, np.ndarray):
        raise TypeError(f"Unsupported type {type(value)}")
    if isinstance(value, (tuple, list)):
        return type(value)(_in(v) for v in value)
    return value


def _out(result: Any, sources: list) -> Any:
    """Results as CuPy gives them: arrays, never NumPy scalars; views know whose memory they show."""
    if isinstance(result, tuple):
        return tuple(_out(r, sources) for r in result)
    if isinstance(result, (np.ndarray, np.generic)):
        for source in sources:
            if isinstance(source, ndarray):
                if result is source.inner:
                    return source
                if isinstance(result, np.ndarray) and np.may_share_memory(result, source.inner):
                    return ndarray(result, source if source.base is None else source.base)
        return ndarray(np.asarray(result))
    return result


def _call(function: Any, args: tuple, kwargs: dict) -> Any:
    sources = [*args, *kwargs.values()]
    for a in args:
        if isinstance(a, (tuple, list)):
            sources += a
    return _out(function(*_in(args), **{k: _in(v) for k, v in kwargs.items()}), sources)


def _method(name: str) -> Any:
    def method(self: ndarray, *args: Any, **kwargs: Any) -> Any:
        for a in args:
            if isinstance(a, np.ndarray):
                return NotImplemented
        return _call(getattr(np.ndarray, name), (self, *args), kwargs)

    return method


for _name in METHODS:
    setattr(ndarray, _name, _method(_name))
for _name in OPERATORS:
    setattr(ndarray, f"__{_name}__", _method(f"__{_name}__"))


class _Function:
    def __init__(self, function: Any) -> None:
        self.function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return _call(self.function, args, kwargs)

    def at(self, *args: Any) -> None:
        """The unbuffered ufunc method."""
        self.function.at(*_in(args))


def _asarray(value: Any, dtype: Any = None) -> ndarray:
    """To the GPU: the one place that takes NumPy arrays."""
    if isinstance(value, ndarray):
        return value if dtype is None or value.dtype == dtype else ndarray(value.inner.astype(dtype))
    return ndarray(np.array(value, dtype=dtype))


class _Generator:
    def __init__(self, seed: Any = None) -> None:
        self.source = np.random.default_rng(seed)

    def random(self, size: Any, dtype: Any) -> ndarray:
        """From [0, 1)."""
        return ndarray(np.asarray(self.source.random(size, dtype=dtype)))

    def standard_normal(self, size: Any, dtype: Any) -> ndarray:
        """Mean 0, variance 1."""
        return ndarray(np.asarray(self.source.standard_normal(size, dtype=dtype)))

    def integers(self, low: int, high: int, size: Any) -> ndarray:
        """From [low, high)."""
        return ndarray(np.asarray(self.source.integers(low, high, size)))


module: Any = ModuleType("strict")
vars(module).update({name: _Function(getattr(np, name)) for name in FUNCTIONS})
module.asarray = _asarray
module.from_dlpack = _Function(np.from_dlpack)
module.random = SimpleNamespace(default_rng=_Generator)
module.lib = SimpleNamespace(stride_tricks=SimpleNamespace(as_strided=_Function(np.lib.stride_tricks.as_strided)))
module.linalg = SimpleNamespace(qr=_Function(np.linalg.qr))
BACKEND = Backend("strict", "strict", module, ndarray)
register(BACKEND)
