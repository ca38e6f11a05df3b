"""In-place methods: the new value is written into the Tensor's memory, its history is the op's.

Each is an ordinary op whose result is copied over its first input; autograd/edits.py says what that does to views
and histories. All is checked before the first element is written.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_norm import dtypes
from tinygrad_norm.autograd import Tensor, is_grad_enabled, op, set_grad_enabled
from tinygrad_norm.autograd.edits import before_edit, check_editable, rebase, record_edit, reshape_in_place
from tinygrad_norm.backend import is_array, plain_array, xp
from tinygrad_norm.checks.errors import mixed_devices
from tinygrad_norm.engine.tensor import mark_edited, wrap
from tinygrad_norm.generator import Generator, default_generator
from tinygrad_norm.ops import comparisons, composed, diagonals, elementwise, gathering, indexing, select, shape, unary
from tinygrad_norm.ops.convert import to
from tinygrad_norm.ops.creation import number_for
from tinygrad_norm.promotion import NUMBERS


def overwrite(target: Tensor, result: Tensor, name: str) -> Tensor:
    """Give target the values and the history of result, which has its shape and dtype, or one that can be cast to it."""
    if result.array.shape != target.array.shape:
        raise RuntimeError(f"{name}: shape {list(target.shape)} doesn't match the broadcast shape {list(result.shape)}")
    if dtypes.RANK[result.dtype.kind] > dtypes.RANK[target.dtype.kind]:
        raise RuntimeError(f"result type {result.dtype} can't be cast to the desired output type {target.dtype} ({name})")
    result = to(result, dtype=target.dtype)
    target.array[...] = result.array
    mark_edited(target, name)
    if result.node is not None:
        rebase(target, result.node)
    return target


def in_place_of(function: Callable, name: str) -> Callable:
    """The method `name`, which writes function(input, ...) over its input."""

    def method(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        old = input
        if check_editable(input, name, *args, *kwargs.values()):
            old = before_edit(input, input.array.copy())  # what the op saves has to outlive the edit
        return overwrite(input, function(old, *args, **kwargs), name)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"{name[:-1]}, in place."
    method.__wrapped__ = function  # type: ignore[attr-defined]  # the arguments are the function's
    return method


METHODS: dict[str, Callable] = {
    f"{name}_": in_place_of(getattr(module, name), f"{name}_")
    for module, names in {
        elementwise: ("add sub mul div floor_divide remainder fmod pow neg abs sign floor ceil trunc round atan2 hypot"),
        unary: (
            "exp expm1 log log2 log10 log1p sqrt rsqrt reciprocal square sin cos tan asin acos atan sinh cosh tanh erf sigmoid"
        ),
        select: "clamp clamp_min clamp_max masked_fill",
        comparisons: "bitwise_and bitwise_or bitwise_xor bitwise_not logical_and logical_or logical_xor logical_not",
        diagonals: "tril triu",
        gathering: "scatter scatter_add index_add",
        composed: "addcmul addcdiv cumprod",
    }.items()
    for name in names.split()
}
add_, mul_, div_, clamp_ = (METHODS[f"{name}_"] for name in ("add", "mul", "div", "clamp"))


def relu_(input: Tensor) -> Tensor:
    """relu, in place, without a copy: its derivative needs the result only."""
    recorded = check_editable(input, "relu_")
    array, history = input.array, input.node
    if array.dtype.kind == "b":
        raise RuntimeError("Boolean inputs not supported for relu")
    if recorded and input.view_of is not None:
        history = before_edit(input, array).node
    unary.relu_of(array, array)
    mark_edited(input, "relu_")
    if recorded:
        rebase(input, unary.relu.op.record(0b11, [history], (input,), [array], {}, input))
    return input


# ---- constants ----------------------------------------------------------------------------


@op
def _filled(x, *, value):
    """Constants in place of x."""
    return value


_filled.vjp(x=unary.zeros_of)


def fill_in_place(input: Tensor, value: Any, name: str, overlap: bool = False) -> Tensor:
    """Write constants, an array of input's shape or a number, over all elements; gradients stop there."""
    recorded = check_editable(input, name, constant=True, overlap=overlap)
    old = before_edit(input, input.array) if recorded else input
    input.array[...] = value
    mark_edited(input, name)
    if recorded:
        rebase(input, _filled(old, value=input.array).node)  # type: ignore[arg-type]
    return input


def fill_(input: Tensor, value: Any) -> Tensor:
    """Every element set to a number."""
    if isinstance(value, Tensor):
        if value.ndim:
            raise RuntimeError(f"fill_ only supports 0-dimension value tensor but got tensor with {value.ndim} dimensions.")
        check_editable(input, "fill_", value)
        if value.needs_grad:
            return overwrite(input, to(value, dtype=input.dtype).expand(input.array.shape), "fill_")
        value = value.item()
    return fill_in_place(input, number_for(value, input.dtype), "fill_")


def zero_(input: Tensor) -> Tensor:
    """Every element set to 0."""
    return fill_in_place(input, 0, "zero_", overlap=True)


def normal_(input: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Filled with random numbers of that mean and standard deviation."""
    if not std >= 0:
        raise RuntimeError(f"normal_ expects std >= 0.0, but found std {std}")
    _check_drawable(input, "normal_")
    check_editable(input, "normal_", constant=True)
    drawn = (generator or default_generator).normal(input.array.shape, input.dtype, xp(input.array))
    return fill_in_place(input, drawn * float(std) + float(mean), "normal_")


def uniform_(input: Tensor, a: float = 0.0, b: float = 1.0, *, generator: Generator | None = None, **bounds: float) -> Tensor:
    """Filled with random numbers from [a, b); the bounds may be named `from` and `to` as well."""
    a, b = bounds.pop("from", a), bounds.pop("to", b)
    if bounds:
        raise TypeError(f"uniform_() got an unexpected keyword argument {next(iter(bounds))!r}")
    if not a <= b:
        raise RuntimeError(f"uniform_ expects to return a [from, to) range, but found from={a} > to={b}")
    _check_drawable(input, "uniform_")
    check_editable(input, "uniform_", constant=True)
    drawn = (generator or default_generator).uniform(input.array.shape, input.dtype, xp(input.array))
    return fill_in_place(input, drawn * (float(b) - float(a)) + float(a), "uniform_")


def bernoulli_(input: Tensor, p: Any = 0.5, *, generator: Generator | None = None) -> Tensor:
    """Each element 1 with the probability p, a number or a Tensor, else 0."""
    chances = p.array if isinstance(p, Tensor) else p
    if not isinstance(p, (Tensor, *NUMBERS)) or xp(input.array).any((chances < 0) | (chances > 1) | (chances != chances)):
        raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={p}")
    check_editable(input, "bernoulli_", constant=True)
    drawn = (generator or default_generator).uniform(input.array.shape, "float32", xp(input.array))
    return fill_in_place(input, drawn < chances, "bernoulli_")


def _check_drawable(input: Tensor, name: str) -> None:
    if input.dtype.kind != "f":
        raise RuntimeError(f"{name}: not implemented for {input.dtype}: convert with .float(), or use randint()")


def copy_(input: Tensor, src: Any, non_blocking: bool = False) -> Tensor:
    """The elements of src, broadcast and converted."""
    if not isinstance(src, Tensor):
        if isinstance(src, NUMBERS):
            src = np.asarray(src)
        elif not is_array(src):
            raise TypeError(f"copy_(): argument 'src' must be Tensor, not {type(src).__name__}")
        src = wrap(xp(input.array).asarray(plain_array(src)))
    recorded = check_editable(input, "copy_", src)
    value = shape.expand(to(src, dtype=input.dtype, device=input.device), input.array.shape)
    return _replace(input, value, recorded, "copy_")


def _replace(input: Tensor, value: Tensor, recorded: bool, name: str) -> Tensor:
    """Write value, of input's shape and dtype, over input; recorded: what check_editable said."""
    if value.needs_grad or not recorded:
        return overwrite(input, value, name)
    return fill_in_place(input, value.array, name)


# ---- shapes -------------------------------------------------------------------------------


def _reshaping(function: Callable, name: str) -> Callable:
    def method(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        check_editable(input, name, overlap=True)
        mark_edited(input, name)
        with set_grad_enabled(is_grad_enabled() or input.node is not None):  # a history has to follow the shape
            reshape_in_place(input, function(input, *args, **kwargs))
        return input

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"{name[:-1]}, in place: the Tensor itself changes its shape."
    method.__wrapped__ = function  # type: ignore[attr-defined]
    return method


unsqueeze_, squeeze_, transpose_, t_ = (
    _reshaping(getattr(shape, name[:-1]), name) for name in ("unsqueeze_", "squeeze_", "transpose_", "t_")
)


# ---- item assignment ----------------------------------------------------------------------


def setitem(input: Tensor, index: Any, value: Any) -> None:
    """input[index] = value; value is broadcast, and sizes of 1 in front of it are dropped."""
    if index is False:  # names nothing
        return
    if index is True:  # names everything, in a new dimension
        input, index = shape.unsqueeze(input, 0), ...
    first, index = indexing.places_of(input, index)
    if not isinstance(value, (Tensor, *NUMBERS)):
        raise TypeError(f"can't assign a {type(value).__name__} to a Tensor: convert it with tensor()")
    part = input if first is None else indexing._getitem(input, index=first)
    if not any(is_array(i) for i in (index if isinstance(index, tuple) else (index,))):
        _assign_to_view(indexing._getitem(part, index=index), value)
    else:
        _assign_at(part, index, value)


def _assign_to_view(part: Tensor, value: Any) -> None:
    """Integers, slices, None and ... show a view: it is filled, or copied to."""
    name = "item assignment"
    if not isinstance(value, Tensor):
        fill_in_place(part, number_for(value, part.dtype, True), name)
        return
    recorded = check_editable(part, name, value)
    value = to(_fitting(value, part.array.shape), dtype=part.dtype)
    if (mixture := mixed_devices(name, [part.array, value.array])) is not None:
        raise mixture
    _replace(part, shape.expand(value, part.array.shape), recorded, name)


def _assign_at(input: Tensor, index: Any, value: Any) -> None:
    """Arrays of places, and masks: the elements there are replaced one by one."""
    recorded = check_editable(input, "item assignment", value, constant=True)
    if isinstance(value, Tensor):
        masks = [i for i in (index if isinstance(index, tuple) else (index,)) if is_array(i) and i.dtype.kind == "b"]
        if value.dtype != input.dtype and not (masks and not value.ndim):
            raise RuntimeError(f"Index put requires the source and destination dtypes match: {value.dtype}.to({input.dtype})")
        value = to(_fitting(value, input.array[index].shape), dtype=input.dtype)
    else:
        value = number_for(value, input.dtype, True)
        _ = input.array[index]  # raises where the index does not fit
    after = wrap(input.array)
    if recorded:
        old = before_edit(input, input.array)
        record_edit(indexing.with_item.op, (old, value), {"index": index}, after)
    input.array[index] = value.array if isinstance(value, Tensor) else value
    mark_edited(input, "item assignment")
    if recorded:
        rebase(input, after.node)  # type: ignore[arg-type]


def _fitting(value: Tensor, sizes: tuple[int, ...]) -> Tensor:
    """The value without superfluous dimensions of size 1, if it can be broadcast to the shape."""
    extra = max(value.ndim - len(sizes), 0)
    old = value.array.shape
    pairs = zip(reversed(old[extra:]), reversed(sizes))
    if any(n != 1 for n in old[:extra]) or any(n not in (1, m) for n, m in pairs):
        raise RuntimeError(f"shape mismatch: a value of shape {list(old)} cannot be broadcast to a part of shape {list(sizes)}")
    return value.reshape(old[extra:]) if extra else value
