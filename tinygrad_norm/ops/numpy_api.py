"""NumPy's functions on Tensors: np.exp(x), np.sum(x, axis=0), np.add(a, x) and array @ x are the ops of this package.

NumPy asks a Tensor for __array_ufunc__ and __array_function__ (NEP 13 and NEP 18); the tables below say which op answers.
A function that is not there gets the values as arrays, unless a Tensor requires grad: its gradient would be lost in silence,
so that is a TypeError, which names what there is in its place.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_norm.autograd import Tensor
from tinygrad_norm.backend import transfer
from tinygrad_norm.missing import elsewhere
from tinygrad_norm.ops import (
    comparisons,
    creation,
    diagonals,
    elementwise,
    extremes,
    gathering,
    joining,
    linalg,
    reduce,
    select,
    shape,
    unary,
)
from tinygrad_norm.ops.convert import clone

_SAME_NAMES: dict[Any, str] = {
    elementwise: "add sign floor ceil trunc floor_divide remainder fmod",
    unary: "exp expm1 log log2 log10 log1p sqrt reciprocal square sin cos tan sinh cosh tanh",
    select: "maximum minimum",
    comparisons: "logical_and logical_or logical_xor logical_not isnan isinf isfinite bitwise_and bitwise_or bitwise_xor",
}
UFUNCS: dict[str, Callable] = {name: getattr(module, name) for module, names in _SAME_NAMES.items() for name in names.split()}
UFUNCS |= {
    "subtract": elementwise.sub,
    "multiply": elementwise.mul,
    "divide": elementwise.div,
    "power": elementwise.pow,
    "float_power": elementwise.pow,
    "negative": elementwise.neg,
    "positive": lambda x: x,
    "absolute": elementwise.abs,
    "fabs": elementwise.abs,
    "rint": elementwise.round,
    "equal": comparisons.eq,
    "not_equal": comparisons.ne,
    "less": comparisons.lt,
    "less_equal": comparisons.le,
    "greater": comparisons.gt,
    "greater_equal": comparisons.ge,
    "invert": comparisons.bitwise_not,
    "matmul": linalg.matmul,
}


def _axes(x: Tensor, axis: Any) -> Any:
    return tuple(range(x.ndim)) if axis is None else axis


def _reduced(op: Callable) -> Callable:
    def reduction(a: Any, axis: Any = None, *, keepdims: bool = False, dtype: Any = None) -> Any:
        return op(a, _axes(a, axis), bool(keepdims)) if dtype is None else op(a, _axes(a, axis), bool(keepdims), dtype=dtype)

    return reduction


def _spread(op: Callable) -> Callable:
    def deviation(a: Any, axis: Any = None, *, ddof: int = 0, keepdims: bool = False) -> Any:
        return op(a, _axes(a, axis), correction=ddof, keepdim=bool(keepdims))

    return deviation


def _extreme(op: Callable) -> Callable:
    return lambda a, axis=None, *, keepdims=False: op(a, _axes(a, axis), bool(keepdims))


def _prod(a: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    for d in sorted((d % a.ndim for d in np.atleast_1d(_axes(a, axis))), reverse=True):
        a = reduce.prod(a, int(d), True)
    return a if keepdims else shape.squeeze(a, _axes(a, axis)) if a.ndim else a


def _norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    if ord not in (None, 2, "fro") and x.ndim != 1 and not isinstance(axis, int):
        raise TypeError(f"np.linalg.norm: norms of matrices of order {ord!r} are not there: use tinygrad_norm.norm")
    return reduce.norm(x, 2 if ord in (None, "fro") else ord, _axes(x, axis), bool(keepdims))


FUNCTIONS: dict[str, Callable] = {
    "sum": _reduced(reduce.sum),
    "mean": _reduced(reduce.mean),
    "prod": _prod,
    "var": _spread(reduce.var),
    "std": _spread(reduce.std),
    "max": _extreme(extremes.amax),
    "amax": _extreme(extremes.amax),
    "min": _extreme(extremes.amin),
    "amin": _extreme(extremes.amin),
    "any": _extreme(reduce.any),
    "all": _extreme(reduce.all),
    "argmax": lambda a, axis=None, *, keepdims=False: extremes.argmax(a, axis, bool(keepdims)),
    "argmin": lambda a, axis=None, *, keepdims=False: extremes.argmin(a, axis, bool(keepdims)),
    "cumsum": lambda a, axis=None: reduce.cumsum(shape.flatten(a), 0) if axis is None else reduce.cumsum(a, axis),
    "sort": lambda a, axis=-1: extremes.sort(a, -1 if axis is None else axis)[0],
    "argsort": lambda a, axis=-1: extremes.argsort(a, axis),
    "clip": lambda a, a_min=None, a_max=None, *, min=None, max=None: select.clamp(
        a, a_min if min is None else min, a_max if max is None else max
    ),
    "where": lambda condition, x=None, y=None: select.where(condition, x, y),
    "isclose": lambda a, b, rtol=1e-5, atol=1e-8, equal_nan=False: comparisons.isclose(a, b, rtol, atol, equal_nan),
    "round": lambda a, decimals=0: elementwise.round(a, decimals=decimals) if decimals else elementwise.round(a),
    "reshape": lambda a, shape_, **kwargs: shape.reshape(a, shape_),
    "ravel": lambda a: shape.flatten(a),
    "transpose": lambda a, axes=None: shape.permute(a, *(range(a.ndim)[::-1] if axes is None else axes)),
    "swapaxes": lambda a, axis1, axis2: shape.transpose(a, axis1, axis2),
    "moveaxis": lambda a, source, destination: shape.movedim(a, source, destination),
    "squeeze": lambda a, axis=None: shape.squeeze(a) if axis is None else shape.squeeze(a, axis),
    "expand_dims": lambda a, axis: shape.unsqueeze(a, axis),
    "broadcast_to": lambda array, shape_: shape.broadcast_to(array, shape_),
    "tile": lambda a, reps: shape.tile(a, reps),
    "concatenate": lambda arrays, axis=0: joining.cat(list(arrays), axis),
    "stack": lambda arrays, axis=0: joining.stack(list(arrays), axis),
    "flip": lambda m, axis=None: joining.flip(m, _axes(m, axis)),
    "roll": lambda a, shift, axis=None: joining.roll(a, shift, axis),
    "repeat": lambda a, repeats, axis=None: joining.repeat_interleave(a, repeats, axis),
    "take_along_axis": lambda arr, indices, axis=-1: gathering.take_along_dim(arr, indices, axis),
    "dot": lambda a, b: linalg.matmul(a, b) if getattr(a, "ndim", 0) and getattr(b, "ndim", 0) else elementwise.mul(a, b),
    "outer": lambda a, b: linalg.outer(shape.flatten(a), shape.flatten(b)),
    "einsum": lambda equation, *operands: linalg.einsum(equation, *operands),
    "trace": lambda a: diagonals.trace(a),
    "diagonal": lambda a, offset=0, axis1=0, axis2=1: diagonals.diagonal(a, offset, axis1, axis2),
    "diag": lambda v, k=0: diagonals.diag(v, k),
    "tril": lambda m, k=0: diagonals.tril(m, k),
    "triu": lambda m, k=0: diagonals.triu(m, k),
    "linalg.norm": _norm,
    "zeros_like": lambda a: creation.zeros_like(a),
    "ones_like": lambda a: creation.ones_like(a),
    "full_like": lambda a, fill_value: creation.full_like(a, fill_value),
    "empty_like": lambda a: creation.empty_like(a),
    "copy": lambda a: clone(a),
    "shape": lambda a: tuple(a.shape),
    "ndim": lambda a: a.ndim,
    "size": lambda a: a.numel(),
}
_TENSORS = {"concatenate", "stack", "dot", "outer", "einsum", "where", "isclose", "take_along_axis"}  # of arrays made Tensors


def array_ufunc(self: Tensor, ufunc: Any, method: str, *inputs: Any, **settings: Any) -> Any:
    """An elementwise function of NumPy: our op. In place on an array, or with where=, it is refused."""
    name = "absolute" if ufunc.__name__ == "abs" else ufunc.__name__
    if method != "__call__" or settings or name not in UFUNCS:
        how = f".{method}" if method != "__call__" else ""
        if "out" in settings:
            raise TypeError(f"np.{ufunc.__name__}: the result of Tensors cannot be written into an array: use x.numpy(), or +")
        return _on_arrays(f"np.{ufunc.__name__}{how}", getattr(ufunc, method), list(inputs), settings)
    if name == "matmul":
        inputs = tuple(_tensor(x, self) for x in inputs)
    return UFUNCS[name](*inputs)


def array_function(self: Tensor, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
    """Another function of NumPy: our op of NumPy's arguments."""
    place = function.__module__.removeprefix("numpy").lstrip(".")
    name = f"{place}.{function.__name__}" if place else function.__name__
    ours = FUNCTIONS.get(name)
    if ours is None:
        return _on_arrays(f"np.{name}", function, args, kwargs)
    if name in _TENSORS:
        args = [_tensor(a, self) for a in args]
    kwargs = {("shape_" if k in ("shape", "newshape") else k): v for k, v in kwargs.items()}
    try:
        return ours(*args, **kwargs)
    except TypeError as error:
        if "unexpected keyword argument" in str(error) or "positional argument" in str(error):
            raise TypeError(f"np.{name} of a Tensor: {str(error).partition('() ')[2] or error}") from None
        raise


def _tensor(x: Any, like: Tensor) -> Any:
    """Arrays beside a Tensor as Tensors, in lists too."""
    if isinstance(x, (list, tuple)) and any(isinstance(v, Tensor) for v in x):
        return [_tensor(v, like) for v in x]
    return creation.as_tensor(x, device=like.device.type) if isinstance(x, np.ndarray) else x


def _on_arrays(name: str, function: Callable, args: Any, kwargs: Any) -> Any:
    """NumPy's own function on the values, where no gradient is lost."""

    def plain(x: Any) -> Any:
        if isinstance(x, Tensor):
            if x.requires_grad:
                last = name.rpartition(".")[2]
                near = elsewhere(last) or "".join(f"np.{n}" for n in difflib.get_close_matches(last, {*UFUNCS, *FUNCTIONS}, 1))
                hint = near and f"; the nearest that there is: {near}"
                raise TypeError(f"{name} has no derivative here{hint}: use x.detach() for the values alone")
            return transfer(x.array, "cpu")
        if isinstance(x, (list, tuple)):
            return type(x)(plain(v) for v in x) if type(x) in (list, tuple) else x
        return {k: plain(v) for k, v in x.items()} if type(x) is dict else x

    return function(*plain(list(args)), **plain(kwargs))
