"""In-place methods: the new value is written into the Tensor's memory, its history is the op's.

Each is an ordinary op whose result is copied over its first input; `edited` then counts the edit,
so that `backward` notices if an op had saved the old value, and carries it to Tensors that are
viewed. Forbidden as in PyTorch: leaves that require grad, other shapes, lower kinds of dtype.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinygrad_norm.autograd import Tensor, adopt, check_editable, edited, is_grad_enabled, op, wrap
from tinygrad_norm.autograd.tensor import refresh
from tinygrad_norm.backend import Generator, default_generator, xp
from tinygrad_norm.kernels import special
from tinygrad_norm.ops import elementwise, indexing, shape
from tinygrad_norm.ops.indexing import raw_index, split_index

_RANK = {"b": 0, "u": 1, "i": 1, "f": 2}


def overwrite(target: Tensor, result: Tensor, name: str) -> Tensor:
    """Give target the values and the history of result."""
    check_editable(target, name)
    if result.array.shape != target.array.shape:
        raise RuntimeError(
            f"output with shape {list(target.shape)} doesn't match the broadcast shape {list(result.shape)} ({name})"
        )
    if _RANK[result.dtype.kind] > _RANK[target.dtype.kind]:
        raise RuntimeError(f"result type {result.dtype} can't be cast to the desired output type {target.dtype} ({name})")
    result = result.to(target.dtype)
    target.array[...] = result.array
    edited(target, name)
    adopt(target, result.node)
    return target


def _inplace(function: Callable, name: str) -> Callable:
    def method(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        check_editable(input, name)
        old = input
        if is_grad_enabled() and any(isinstance(x, Tensor) and x.requires_grad for x in (input, *args)):
            refresh(input)
            old = wrap(input.array.copy())  # what the op saves has to outlive the edit
            old.node, old.requires_grad = input.node, input.requires_grad
        return overwrite(input, function(old, *args, **kwargs), name)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"{name[:-1]}, in place."
    return method


add_, sub_, mul_, div_, clamp_ = (
    _inplace(getattr(elementwise, name[:-1]), name) for name in ("add_", "sub_", "mul_", "div_", "clamp_")
)
ADDED = {  # in-place forms that the table above does not spell out
    f"{name}_": _inplace(getattr(elementwise, name), f"{name}_")
    for name in ("pow", "neg", "abs", "exp", "log", "sqrt", "reciprocal", "sigmoid", "tanh", "masked_fill")
}


def relu_(input: Tensor) -> Tensor:
    """relu, in place, without a copy: its derivative needs the result only."""
    check_editable(input, "relu_")
    refresh(input)
    array, history = input.array, input.node
    special.rectified(array, out=array)
    edited(input, "relu_")
    if history is not None and is_grad_enabled():
        elementwise.relu.op.record(1, [history], (input,), [array], {}, input)
    adopt(input, input.node)
    return input


@op
def _replaced(x, *, value):
    """Constants in place of x."""
    return value


_replaced.vjp(x=elementwise.zeros_of)


def _constant(input: Tensor, value: Any, name: str) -> Tensor:
    check_editable(input, name)
    input.array[...] = value
    edited(input, name)
    adopt(input, _replaced(input, value=input.array).node if input.requires_grad else None)
    return input


def fill_(input: Tensor, value: Any) -> Tensor:
    """Every element set to a number."""
    if isinstance(value, Tensor):
        if value.ndim:
            raise RuntimeError(f"fill_ only supports 0-dimension value tensor but got tensor with {value.ndim} dimensions.")
        return overwrite(input, value.expand(input.array.shape), "fill_")
    return _constant(input, value, "fill_")


def zero_(input: Tensor) -> Tensor:
    """Every element set to 0."""
    return _constant(input, 0, "zero_")


def normal_(input: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Filled with random numbers of that mean and standard deviation."""
    if std < 0:
        raise RuntimeError(f"normal_ expects std >= 0.0, but found std {std}")
    drawn = (generator or default_generator()).normal(input.array.shape, input.dtype, xp(input.array))
    return _constant(input, drawn * std + mean, "normal_")


def uniform_(input: Tensor, a: float = 0.0, b: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Filled with random numbers from [a, b)."""
    if a > b:
        raise RuntimeError(f"uniform_ expects to return a [from, to) range, but found from={a} > to={b}")
    drawn = (generator or default_generator()).uniform(input.array.shape, input.dtype, xp(input.array))
    return _constant(input, drawn * (b - a) + a, "uniform_")


def copy_(input: Tensor, other: Any) -> Tensor:
    """The elements of other, broadcast and converted."""
    source = other if isinstance(other, Tensor) else wrap(xp(input.array).asarray(other))
    return overwrite(input, source.to(input).expand(input.array.shape), "copy_")


def unsqueeze_(input: Tensor, dim: int) -> Tensor:
    """unsqueeze, in place: the Tensor itself changes its shape."""
    return _reshaped(input, shape.unsqueeze(input, dim), "unsqueeze_")


def squeeze_(input: Tensor, dim: Any = None) -> Tensor:
    """squeeze, in place: the Tensor itself changes its shape."""
    return _reshaped(input, shape.squeeze(input, dim), "squeeze_")


def _reshaped(target: Tensor, view: Tensor, name: str) -> Tensor:
    if target.requires_grad and target.node is None:
        check_editable(target, name)
    target.array, target.node, target.view_of, target.seen = view.array, view.node, None, view.seen
    if target.node is not None:
        target.requires_grad = True
    return target


# ---- item assignment ----------------------------------------------------------------------


@op
def _with_item(x, value, *, index):
    """X with value at the index."""
    out = x.copy()
    out[index] = value
    return out


def _value_vjp(g, value_shape, index):
    at_index = indexing._getitem(g, index=index)
    axes = tuple(range(at_index.ndim - len(value_shape)))
    axes += tuple(i for i in range(len(axes), at_index.ndim) if value_shape[i - len(axes)] == 1)
    return at_index.sum(axis=axes, keepdims=True).reshape(value_shape) if axes else at_index


_with_item.vjp(x=lambda g, index: _with_item(g, 0.0, index=index), value=_value_vjp)


def setitem(input: Tensor, index: Any, value: Any) -> None:
    """input[index] = value; value is broadcast, and sizes of 1 in front of it are dropped."""
    check_editable(input, "item assignment")
    first, index = split_index(raw_index(index, input.array), input.ndim)
    if first is not None:
        setitem(input[first], index, value)
        return
    if isinstance(value, Tensor):
        value = _fitting(value, input.array[index].shape)
        refresh(value)
    refresh(input)
    source = value.array if isinstance(value, Tensor) else value
    pair, after = (input, value), wrap(input.array)
    _with_item.op.record_edit(pair, [input.array, source], {"index": index}, after)
    input.array[index] = source
    edited(input, "item assignment")
    adopt(input, after.node)


def _fitting(value: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The value without superfluous dimensions of size 1, if it can be broadcast to the shape."""
    extra = max(value.ndim - len(shape), 0)
    old = value.array.shape
    sizes = zip(reversed(old[extra:]), reversed(shape))
    if any(n != 1 for n in old[:extra]) or any(n not in (1, m) for n, m in sizes):
        raise RuntimeError(
            f"shape mismatch: value tensor of shape {list(old)} cannot be broadcast to indexing result of shape {list(shape)}"
        )
    return value.reshape(old[extra:]) if extra else value
