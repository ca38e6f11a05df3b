"""A double of CuPy for machines without a GPU: NumPy inside, CuPy's strictness outside.

What raises on a GPU raises here: turning an array into a NumPy one without `.get()`, mixing the
two kinds, a NumPy function on such an array, a function that CuPy does not have. Reductions to one
number give an array without dimensions, as CuPy's do. `transfers` counts the ways to the host.
"""

from __future__ import annotations

import re
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from tinygrad_norm.backend import Backend, register

# what CuPy offers of what the package uses; a test compares the lists with CuPy itself
FUNCTIONS = (
    "abs add all amax amin any arange arccos arcsin arctan arctan2 argmax argmin argsort array asarray ascontiguousarray "
    "broadcast_to ceil clip concatenate copysign cos cosh diagonal divide einsum empty empty_like equal exp expand_dims "
    "expm1 eye flip floor floor_divide fmod full full_like greater greater_equal hypot isclose isfinite isinf isnan less "
    "less_equal linspace log log10 log1p log2 logaddexp logical_and logical_not logical_or logical_xor matmul maximum "
    "minimum multiply negative nonzero not_equal ones ones_like reciprocal remainder repeat result_type roll round sign sin "
    "sinh sort sqrt stack subtract sum take tan tanh tril triu trunc unique unravel_index where zeros zeros_like"
).split()
METHODS = (
    "all any argmax argmin astype clip copy cumsum diagonal fill max mean min prod ravel reshape squeeze sum swapaxes transpose"
).split()
KEYWORDS = {  # what CuPy takes by name; its ufuncs take out, dtype and casting
    "all any": "axis out keepdims",
    "unique": "return_index return_inverse return_counts axis equal_nan",
    "amax amin": "axis out keepdims",
    "argmax argmin": "axis dtype out keepdims",
    "argsort": "axis kind",
    "isclose": "rtol atol equal_nan",
    "sum": "axis dtype out keepdims",
    "arange": "start stop step dtype",
    "clip": "a_min a_max out",
    "concatenate stack": "axis out dtype casting",
    "diagonal": "offset axis1 axis2",
    "einsum": "dtype casting optimize",
    "empty ones zeros": "shape dtype order",
    "empty_like ones_like zeros_like": "dtype order shape",
    "expand_dims": "axis",
    "eye": "M k dtype order",
    "flip": "axis",
    "take": "axis out",
    "full": "shape fill_value dtype order",
    "full_like": "fill_value dtype order shape",
    "linspace": "num endpoint retstep dtype axis",
    "roll": "axis",
    "round": "decimals out",
    "ascontiguousarray": "dtype",
    "broadcast_to where": "",
}
METHOD_KEYWORDS = {
    "all any max min": "axis out keepdims",
    "argmax argmin": "axis dtype out keepdims",
    "mean prod sum": "axis dtype out keepdims",
    "cumsum": "axis dtype out",
    "astype": "dtype order casting copy",
    "copy ravel reshape": "order",
    "squeeze": "axis",
    "clip": "min max out",
}
OPERATORS = (
    "add radd sub rsub mul rmul truediv rtruediv floordiv mod pow rpow matmul eq ne lt le gt ge and rand or ror "
    "neg pos abs invert iadd isub imul itruediv xor ixor iand ior"
).split()

transfers = SimpleNamespace(count=0)


def keywords_of(name: str, table: dict[str, str] = KEYWORDS) -> set[str]:
    """What a function (or a method) takes by name."""
    for names, keywords in table.items():
        if name in names.split():
            return set(keywords.split())
    return {"out", "dtype", "casting"} if isinstance(getattr(np, name, None), np.ufunc) else set()


def _check_keywords(name: str, kwargs: dict, table: dict[str, str] = KEYWORDS) -> None:
    if unknown := set(kwargs) - keywords_of(name, table):
        raise TypeError(f"CuPy's {name} does not take {sorted(unknown)}")


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
    itemsize = property(lambda self: self.inner.itemsize)
    flags = property(  # CuPy's know nothing of what is writeable: all is
        lambda self: SimpleNamespace(c_contiguous=self.inner.flags.c_contiguous, f_contiguous=self.inner.flags.f_contiguous)
    )
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
        if isinstance(result, np.ndarray) and not result.flags.writeable:
            result.flags.writeable = True
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
        _check_keywords(name, kwargs, METHOD_KEYWORDS)
        return _call(getattr(np.ndarray, name), (self, *args), kwargs)

    return method


for _name in METHODS:
    setattr(ndarray, _name, _method(_name))
for _name in OPERATORS:
    setattr(ndarray, f"__{_name}__", _method(f"__{_name}__"))


class _Function:
    def __init__(self, function: Any, name: str = "") -> None:
        self.function, self.name = function, name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.name:
            _check_keywords(self.name, kwargs)
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


class _Formula:
    """What CuPy's kernels share: typed inputs, and code that C and Python read alike."""

    def __init__(self, in_params: str, name: str) -> None:
        self.ins = [tuple(p.split()) for p in in_params.split(",")]
        assert name.isidentifier()

    def inputs(self, args: tuple) -> tuple[dict[str, Any], dict[str, np.dtype], tuple[int, ...]]:
        """The inputs by name, what the type letters stand for, and the shape they broadcast to."""
        values = _in(args)
        types = {name: np.dtype(name) for name in ("bool", "int64", "float64")}
        for (kind, _), v in zip(self.ins, values):
            if isinstance(v, np.ndarray):
                types.setdefault(kind, v.dtype)
        names: dict[str, Any] = {"exp": np.exp, "sqrt": np.sqrt}
        for (kind, name), value in zip(self.ins, values):
            if kind not in types:
                raise TypeError(f"no array tells what {kind} is")
            if isinstance(value, np.ndarray) and value.dtype != types[kind]:
                raise TypeError(f"Type is mismatched. {name}: {value.dtype}, expected {types[kind]}")
            names[name] = value.copy() if isinstance(value, np.ndarray) else types[kind].type(value)
        return names, types, np.broadcast_shapes(*(np.shape(v) for v in values))


class _ElementwiseKernel(_Formula):
    """CuPy's ElementwiseKernel."""

    def __init__(self, in_params: str, out_params: str, operation: str, name: str) -> None:
        super().__init__(in_params, name)
        self.outs = [tuple(p.split()) for p in out_params.split(",")]
        self.code = re.sub(r"\bT\s+(\w+\s*=)", r"\1", operation).replace("; ", "\n").replace(";", "\n")

    def __call__(self, *args: Any) -> Any:
        count = len(self.ins)
        if len(args) not in (count, count + len(self.outs)):
            raise TypeError(f"Wrong number of arguments: {len(args)}")
        names, types, shape = self.inputs(args[:count])
        exec(self.code, names)
        outs = list(args[count:]) or [ndarray(np.empty(shape, types[kind])) for kind, _ in self.outs]
        for (kind, name), out in zip(self.outs, outs):
            if out.shape != shape or out.dtype != types[kind]:
                raise ValueError("Out shape or type is mismatched")
            out.inner[...] = names[name]
        return outs[0] if len(outs) == 1 else tuple(outs)


class _ReductionKernel(_Formula):
    """CuPy's ReductionKernel, for sums."""

    def __init__(self, in_params: str, out_params: str, map_expr: str, *rest: str) -> None:
        super().__init__(in_params, rest[-1])
        assert rest[:-1] == ("a + b", "total = a", "0")
        assert out_params == "float64 total"
        self.expression = map_expr

    def __call__(self, *args: Any, axis: tuple[int, ...], keepdims: bool) -> ndarray:
        if len(args) != len(self.ins):
            raise TypeError(f"Wrong number of arguments: {len(args)}")
        names, _, shape = self.inputs(args)
        mapped = np.broadcast_to(eval(self.expression, names), shape)
        return ndarray(np.asarray(mapped.sum(axis=axis, keepdims=keepdims, dtype=np.float64)))


module: Any = ModuleType("strict")
vars(module).update({name: _Function(getattr(np, name), name) for name in FUNCTIONS})
module.asarray = _asarray
module.ElementwiseKernel, module.ReductionKernel = _ElementwiseKernel, _ReductionKernel
module.from_dlpack = _Function(np.from_dlpack)
module.random = SimpleNamespace(default_rng=_Generator)
module.lib = SimpleNamespace(stride_tricks=SimpleNamespace(as_strided=_Function(np.lib.stride_tricks.as_strided)))
module.linalg = SimpleNamespace(qr=_Function(np.linalg.qr))
BACKEND = Backend("strict", "strict", module, ndarray)
register(BACKEND)
