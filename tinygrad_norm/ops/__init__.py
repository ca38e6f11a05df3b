"""The ops, each forward beside its vjps, as functions and as methods of Tensor.

Primitives are functions on arrays decorated with `@op` or `@elementwise`; all other functions are
compositions of them. elementwise.py, then shape.py, indexing.py, reduce.py, linalg.py; creation.py, convert.py,
inplace.py and printing.py are what they say.
"""

from __future__ import annotations

from typing import Any

from tinygrad_norm.autograd import Tensor
from tinygrad_norm.ops import convert, creation, elementwise, indexing, inplace, linalg, printing, reduce, shape

FUNCTIONS = {
    elementwise: (
        "add sub mul div pow neg abs sign exp log log1p expm1 sqrt rsqrt reciprocal square sin cos tanh sigmoid erf "
        "relu maximum minimum clamp where floor ceil round masked_fill "
        "eq ne lt le gt ge logical_and logical_or logical_not bitwise_and bitwise_or bitwise_xor bitwise_not "
        "isnan isinf isfinite"
    ),
    reduce: ("sum mean var std norm prod cumsum amax amin max min argmax argmin any all logsumexp softmax log_softmax"),
    shape: ("reshape permute transpose swapaxes flatten squeeze unsqueeze broadcast_to cat stack split chunk flip roll tile"),
    indexing: "gather scatter_add take_along_dim index_select",
    linalg: "matmul mm bmm outer einsum",
}
CREATION = (
    "tensor as_tensor from_numpy from_dlpack zeros ones full empty eye arange linspace zeros_like ones_like "
    "empty_like full_like rand randn rand_like randn_like randint randperm normal bernoulli"
)
ALIASES = {"true_divide": "div", "subtract": "sub", "multiply": "mul", "clip": "clamp", "concat": "cat"}

_NOT_METHODS = {"cat", "stack", "einsum"}
_ONLY_METHODS: dict[Any, str] = {
    shape: "expand repeat",
    convert: "to astype cpu cuda clone numpy item tolist size numel dim",
    inplace: "add_ sub_ mul_ div_ clamp_ relu_ fill_ zero_ normal_ uniform_ copy_ unsqueeze_ squeeze_",
}

functions = {name: getattr(module, name) for module, names in FUNCTIONS.items() for name in names.split()}
functions |= {alias: functions[name] for alias, name in ALIASES.items()}
functions["clone"] = convert.clone
created = {name: getattr(creation, name) for name in CREATION.split()}

_methods: dict[str, Any] = {name: function for name, function in functions.items() if name not in _NOT_METHODS}
_methods |= {name: getattr(module, name) for module, names in _ONLY_METHODS.items() for name in names.split()}
_methods |= convert.CASTS | inplace.ADDED
_methods |= {
    "view": shape.reshape,
    "where": lambda self, condition, other: elementwise.where(condition, self, other),
    "view_as": lambda self, other: shape.reshape(self, other.array.shape),
    "expand_as": lambda self, other: shape.expand(self, other.array.shape),
    "type_as": lambda self, other: convert.to(self, dtype=other.dtype),
    "contiguous": lambda self: self,
    "is_contiguous": lambda self: self.array.flags.c_contiguous,
    "device": property(convert.device),
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
    "__truediv__": elementwise.div,
    "__rtruediv__": lambda self, other: elementwise.div(other, self),
    "__pow__": elementwise.pow,
    "__rpow__": lambda self, other: elementwise.pow(other, self),
    "__matmul__": linalg.matmul,
    "__neg__": elementwise.neg,
    "__pos__": lambda self: self,
    "__abs__": elementwise.abs,
    "__eq__": elementwise.eq,
    "__ne__": elementwise.ne,
    "__lt__": elementwise.lt,
    "__le__": elementwise.le,
    "__gt__": elementwise.gt,
    "__ge__": elementwise.ge,
    "__and__": elementwise.bitwise_and,
    "__rand__": elementwise.bitwise_and,
    "__or__": elementwise.bitwise_or,
    "__ror__": elementwise.bitwise_or,
    "__xor__": elementwise.bitwise_xor,
    "__rxor__": elementwise.bitwise_xor,
    "__invert__": elementwise.bitwise_not,
    "__iadd__": inplace.add_,
    "__isub__": inplace.sub_,
    "__imul__": inplace.mul_,
    "__itruediv__": inplace.div_,
    "__ipow__": inplace.ADDED["pow_"],
    "__getitem__": indexing.getitem,
    "__setitem__": inplace.setitem,
    "__repr__": printing.to_string,
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
for _name, _method in _methods.items():
    setattr(Tensor, _name, _method)
