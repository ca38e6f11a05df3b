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
    "true_divide": "div",
    "divide": "div",
    "subtract": "sub",
    "multiply": "mul",
    "negative": "neg",
    "absolute": "abs",
    "fix": "trunc",
    "arcsin": "asin",
    "arccos": "acos",
    "arctan": "atan",
    "arctan2": "atan2",
    "row_stack": "vstack",
    "clip": "clamp",
    "concat": "cat",
    "concatenate": "cat",
    "ger": "outer",
    "greater": "gt",
    "greater_equal": "ge",
    "less": "lt",
    "less_equal": "le",
    "not_equal": "ne",
    "swapdims": "transpose",
    "moveaxis": "movedim",
}

_NOT_METHODS = {
    *("cat", "stack", "einsum", "concat", "concatenate", "meshgrid", "vstack", "hstack", "row_stack", "var_mean", "std_mean")
}
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
functions |= {alias: functions[name] for alias, name in ALIASES.items()}
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
_methods |= {
    "__add__": elementwise._add,
    "__radd__": elementwise._add,
    "__sub__": elementwise._sub,
    "__rsub__": lambda self, other: elementwise._sub(other, self),
    "__mul__": elementwise.mul,
    "__rmul__": elementwise.mul,
    "__truediv__": elementwise._div,
    "__rtruediv__": lambda self, other: elementwise._div(other, self),
    "__floordiv__": elementwise.floor_divide,
    "__rfloordiv__": lambda self, other: elementwise.floor_divide(other, self),
    "__mod__": elementwise.remainder,
    "__rmod__": lambda self, other: elementwise.remainder(other, self),
    "__pow__": elementwise.pow,
    "__rpow__": lambda self, other: elementwise.pow(other, self),
    "__matmul__": linalg.matmul,
    "__rmatmul__": lambda self, other: linalg.matmul(other, self),
    "__neg__": elementwise.neg,
    "__pos__": lambda self: self,
    "__abs__": elementwise.abs,
    "__eq__": comparisons.__eq__,
    "__ne__": comparisons.__ne__,
    "__lt__": comparisons.lt,
    "__le__": comparisons.le,
    "__gt__": comparisons.gt,
    "__ge__": comparisons.ge,
    "__and__": comparisons.bitwise_and,
    "__rand__": comparisons.bitwise_and,
    "__or__": comparisons.bitwise_or,
    "__ror__": comparisons.bitwise_or,
    "__xor__": comparisons.bitwise_xor,
    "__rxor__": comparisons.bitwise_xor,
    "__invert__": comparisons.bitwise_not,
    "__iadd__": inplace.METHODS["add_"],
    "__isub__": inplace.METHODS["sub_"],
    "__imul__": inplace.METHODS["mul_"],
    "__itruediv__": inplace.METHODS["div_"],
    "__ifloordiv__": inplace.METHODS["floor_divide_"],
    "__imod__": inplace.METHODS["remainder_"],
    "__ipow__": inplace.METHODS["pow_"],
    "__iand__": inplace.METHODS["bitwise_and_"],
    "__ior__": inplace.METHODS["bitwise_or_"],
    "__ixor__": inplace.METHODS["bitwise_xor_"],
    "__getitem__": indexing.getitem,
    "__setitem__": inplace.setitem,
    "__repr__": printing.to_string,
    "__array_ufunc__": numpy_api.array_ufunc,
    "__array_function__": numpy_api.array_function,
}
_methods |= {
    name: getattr(convert, name)
    for name in [
        "__array__",
        "__format__",
        "__bool__",
        "__float__",
        "__int__",
        "__index__",
        "__len__",
        "__iter__",
        "__contains__",
        "__dlpack__",
        "__dlpack_device__",
    ]
}


def _missing(self: Tensor, name: str) -> Any:
    """Called by Python for an attribute that is not there."""
    if hasattr(type(self), name):  # a property of a subclass has raised AttributeError: what it said
        return object.__getattribute__(self, name)
    raise AttributeError(explained("Tensor", name, _methods), name=name, obj=self)


_methods["__getattr__"] = _missing
for _name, _method in _methods.items():
    setattr(Tensor, _name, _method)
