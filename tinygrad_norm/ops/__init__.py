"""The ops, each forward beside its vjps, as functions and as methods of Tensor.

Primitives are functions on arrays decorated with `@op` or `@elementwise`; all other functions are
compositions of them. This file says which there are, and binds them: FUNCTIONS to the package, most of them to
Tensor as well, where the first argument is the Tensor itself.
"""

from __future__ import annotations

from typing import Any

from tinygrad_norm.autograd import Tensor
from tinygrad_norm.checks.arguments import checked
from tinygrad_norm.missing import explained
from tinygrad_norm.ops import (
    comparisons,
    composed,
    convert,
    creation,
    diagonals,
    elementwise,
    extremes,
    gathering,
    indexing,
    inplace,
    joining,
    linalg,
    numpy_api,
    printing,
    random,
    reduce,
    select,
    shape,
    softmax,
    unary,
)

FUNCTIONS = {
    elementwise: ("add sub mul div floor_divide remainder fmod pow neg abs sign floor ceil trunc round atan2 hypot logaddexp"),
    unary: (
        "exp expm1 log log2 log10 log1p sqrt rsqrt reciprocal square sin cos tan asin acos atan sinh cosh tanh erf sigmoid relu"
    ),
    select: "where masked_fill maximum minimum clamp clamp_min clamp_max",
    comparisons: (
        "eq ne lt le gt ge equal isclose allclose logical_and logical_or logical_xor logical_not "
        "bitwise_and bitwise_or bitwise_xor bitwise_not isnan isinf isfinite"
    ),
    reduce: "sum mean var std norm prod cumsum any all",
    softmax: "logsumexp softmax log_softmax",
    extremes: "amax amin max min argmax argmin sort argsort topk",
    shape: ("reshape permute transpose swapaxes t movedim flatten unflatten squeeze unsqueeze broadcast_to tile"),
    joining: "cat stack split chunk unbind narrow flip roll repeat_interleave",
    gathering: "gather scatter scatter_add take_along_dim index_add index_select nonzero",
    linalg: "matmul mm bmm mv dot addmm outer einsum",
    diagonals: "tril triu diag diagonal trace",
    convert: "clone numel is_floating_point",
    random: "bernoulli multinomial",
    composed: "addcmul addcdiv cumprod median meshgrid unique vstack hstack var_mean std_mean",
}
CREATION = {
    creation: (
        "tensor as_tensor from_numpy from_dlpack zeros ones full empty eye arange linspace zeros_like ones_like "
        "empty_like full_like"
    ),
    random: "rand randn rand_like randn_like randint randperm normal get_rng_state set_rng_state",
    convert: "is_tensor FloatTensor DoubleTensor HalfTensor LongTensor IntTensor ByteTensor BoolTensor",
    printing: "set_printoptions",
}
ALIASES = {
    "div": "true_divide divide",
    "cat": "concat concatenate",
    **dict(sub="subtract", mul="multiply", neg="negative", abs="absolute", trunc="fix", clamp="clip", outer="ger"),
    **dict(asin="arcsin", acos="arccos", atan="arctan", atan2="arctan2", gt="greater", ge="greater_equal", lt="less"),
    **dict(le="less_equal", ne="not_equal", transpose="swapdims", movedim="moveaxis", vstack="row_stack"),
}

_NOT_METHODS = "cat stack einsum concat concatenate meshgrid vstack hstack row_stack var_mean std_mean".split()
_ONLY_METHODS: dict[Any, str] = {
    shape: "view expand repeat view_as reshape_as expand_as",
    joining: "unfold select",
    convert: (
        "to astype type type_as cpu cuda contiguous is_contiguous numpy item tolist size dim element_size "
        "new_tensor new_full new_zeros new_ones new_empty"
    ),
    inplace: ("relu_ fill_ zero_ normal_ uniform_ bernoulli_ copy_ unsqueeze_ squeeze_ transpose_ t_"),
}


def _checked(function: Any) -> Any:
    """The function with its arguments checked; an elementwise op of one input, without settings, does so itself."""
    op = getattr(function, "op", None)
    return function if op is not None and op.broadcasts and len(op.inputs) == 1 and not op.settings else checked(function)


functions = {name: _checked(getattr(module, name)) for module, names in FUNCTIONS.items() for name in names.split()}
functions |= {alias: functions[name] for name, aliases in ALIASES.items() for alias in aliases.split()}
created = {name: checked(getattr(creation, name)) for creation, names in CREATION.items() for name in names.split()}

_methods: dict[str, Any] = {name: function for name, function in functions.items() if name not in _NOT_METHODS}
_methods |= {name: checked(getattr(module, name)) for module, names in _ONLY_METHODS.items() for name in names.split()}
_methods |= {name: checked(method) for name, method in inplace.METHODS.items()}
_methods |= convert.CASTS
_methods |= {
    "where": lambda self, condition, other: elementwise.where(condition, self, other),
    "nelement": convert.numel,
    "ndimension": convert.dim,
    "is_cuda": property(convert.is_cuda),
    "is_sparse": property(lambda self: False),
    "T": property(lambda self: shape.permute(self, *range(self.ndim)[::-1])),
    "mT": property(lambda self: shape.transpose(self, -2, -1)),
}
OPERATORS = {  # what Python calls for a + b, and what for a += b
    "add": (elementwise._add, "add_"),
    "sub": (elementwise._sub, "sub_"),
    "mul": (elementwise.mul, "mul_"),
    "truediv": (elementwise._div, "div_"),
    "floordiv": (elementwise.floor_divide, "floor_divide_"),
    "mod": (elementwise.remainder, "remainder_"),
    "pow": (elementwise.pow, "pow_"),
    "and": (comparisons.bitwise_and, "bitwise_and_"),
    "or": (comparisons.bitwise_or, "bitwise_or_"),
    "xor": (comparisons.bitwise_xor, "bitwise_xor_"),
    "matmul": (linalg.matmul, None),
}


def _reflected(operator: Any) -> Any:
    """What Python calls for 1 - x: the operator with its operands the other way round."""
    return lambda self, other: operator(other, self)


for _name, (_operator, _inplace) in OPERATORS.items():
    _commutes = _name in ("add", "mul", "and", "or", "xor")
    _methods |= {f"__{_name}__": _operator, f"__r{_name}__": _operator if _commutes else _reflected(_operator)}
    _methods |= {f"__i{_name}__": inplace.METHODS[_inplace]} if _inplace else {}
_methods |= {f"__{name}__": getattr(comparisons, name) for name in ("lt", "le", "gt", "ge")}
_methods |= {
    "__eq__": comparisons.__eq__,
    "__ne__": comparisons.__ne__,
    "__invert__": comparisons.bitwise_not,
    "__neg__": elementwise.neg,
    "__pos__": lambda self: self,
    "__abs__": elementwise.abs,
    "__getitem__": indexing.getitem,
    "__setitem__": inplace.setitem,
    "__repr__": printing.to_string,
    "__array_ufunc__": numpy_api.array_ufunc,
    "__array_function__": numpy_api.array_function,
}
_SPECIAL = "array format bool float int index len iter contains dlpack dlpack_device"
_methods |= {f"__{name}__": getattr(convert, f"__{name}__") for name in _SPECIAL.split()}


def _missing(self: Tensor, name: str) -> Any:
    """Called by Python for an attribute that is not there."""
    if hasattr(type(self), name):  # a property of a subclass has raised AttributeError: what it said
        return object.__getattribute__(self, name)
    raise AttributeError(explained("Tensor", name, _methods), name=name, obj=self)


_methods["__getattr__"] = _missing
for _name, _method in _methods.items():
    setattr(Tensor, _name, _method)
