"""Choosing between elements: where, masked_fill, maximum, minimum, clamp; comparisons and logic.

A gradient is chosen as well, never multiplied by a mask: where nothing was chosen it is 0, also for inf and nan.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from tinygrad_norm import dtypes
from tinygrad_norm.autograd import Tensor, elementwise
from tinygrad_norm.backend import is_array, plain_array, raw, xp
from tinygrad_norm.checks.arguments import require_kind
from tinygrad_norm.checks.errors import explain, not_an_operand
from tinygrad_norm.engine.tensor import wrap
from tinygrad_norm.ops import special
from tinygrad_norm.ops.convert import to
from tinygrad_norm.ops.creation import number_for, require_range
from tinygrad_norm.promotion import NUMBERS, common_dtype, converted


@elementwise
def _select(x, *, mask):
    return special.masked(x, mask)


_select.vjp(x=lambda g, mask: _select(g, mask=mask))


def select(x: Any, mask: Any) -> Any:
    """x where the mask holds, else 0."""
    mask = raw(mask)
    return _select(x, mask=np.asarray(mask) if isinstance(mask, np.generic) else mask)


# ---- where --------------------------------------------------------------------------------


@elementwise
def _where(input, other, *, condition):
    return xp(condition, input, other).where(condition, input, other)


_where.vjp(
    input=lambda g, condition: _where(g, 0.0, condition=condition),
    other=lambda g, condition: _where(0.0, g, condition=condition),
)


def where(condition: Any, input: Any = None, other: Any = None) -> Any:
    """input where condition holds, else other; no gradient flows to what was not chosen, not even nan * 0.

    With the condition alone, the indices of its true elements, as nonzero(as_tuple=True).
    """
    require_kind("where", "condition", "Tensor", condition)
    if input is None and other is None:
        return tuple(wrap(places) for places in xp(raw(condition)).nonzero(raw(condition)))
    if isinstance(condition, Tensor):
        if condition.dtype != dtypes.uint8:
            check_mask("where", "condition", condition)
        condition = condition.array.astype(bool)  # a later edit of the mask must not reach the gradient
        if not isinstance(input, Tensor) and not isinstance(other, Tensor):
            input = wrap(xp(condition).asarray(input, dtype=common_dtype([input, other])))
    if isinstance(input, NUMBERS) != isinstance(other, NUMBERS):
        dtype = common_dtype([raw(input), raw(other)])
        input, other = (number_for(v, dtype, True) if isinstance(v, NUMBERS) else v for v in (input, other))
    return _where(input, other, condition=condition)


def check_mask(name: str, argument: str, mask: Any) -> None:
    """Raise unless the mask is a Tensor of bools."""
    if not isinstance(mask, Tensor):
        raise TypeError(f"{name}(): argument {argument!r} must be Tensor, not {type(mask).__name__}")
    if mask.dtype != dtypes.bool:
        raise RuntimeError(
            f"{name} expected {argument} to be a boolean tensor, but got a tensor with dtype {mask.dtype}: use .bool()"
        )


def masked_fill(input: Tensor, mask: Tensor, value: Any) -> Tensor:
    """value, a number or a Tensor without dimensions, where mask holds, else input; in input's dtype."""
    check_mask("masked_fill", "mask", mask)
    if isinstance(value, Tensor):
        if value.ndim:
            raise RuntimeError(
                f"masked_fill only supports a 0-dimensional value tensor, but got tensor with {value.ndim} dimensions."
            )
        value = to(value, dtype=input.dtype)
    else:
        value = number_for(value, input.dtype)
    return where(mask, value, input)


# ---- maximum, minimum, clamp --------------------------------------------------------------


def require_arrays(name: str, *operands: Any, hint: str = "convert it with tensor()") -> None:
    """Raise TypeError for an operand that is a number, where PyTorch takes none."""
    for x in operands:
        if not is_array(x):
            raise TypeError(f"{name}(): expected two Tensors, but got {x!r}: {hint}")


@elementwise
def maximum(input, other):
    """The larger of the two; where they are equal each gets half the gradient."""
    require_arrays("maximum", input, other, hint="for a number use clamp()")
    return xp(input, other).maximum(input, other)


@elementwise
def minimum(input, other):
    """The smaller of the two; where they are equal each gets half the gradient."""
    require_arrays("minimum", input, other, hint="for a number use clamp()")
    return xp(input, other).minimum(input, other)


def _shared(g, a, b, lost):
    """The gradient of a, which is half where a and b are equal, and none where a has lost."""
    return select(where(a == b, g / 2, g), raw(lost) ^ True)


maximum.vjp(
    input=lambda g, input, other: _shared(g, input, other, input < other),
    other=lambda g, input, other: _shared(g, other, input, other < input),
)
minimum.vjp(
    input=lambda g, input, other: _shared(g, input, other, input > other),
    other=lambda g, input, other: _shared(g, other, input, other > input),
)


@elementwise
def _clamp(input, *, min, max):
    return xp(input).clip(input, min, max)


def _inside(x, low, high):
    if low is None:
        return x <= high
    return x >= low if high is None else (x >= low) & (x <= high)


_clamp.vjp(input=lambda g, input, min, max: select(g, _inside(input, min, max)))


@elementwise
def _clamp_min(input, min):
    return xp(input, min).maximum(input, min)


@elementwise
def _clamp_max(input, max):
    return xp(input, max).minimum(input, max)


@elementwise
def _clamp_both(input, min, max):
    return xp(input, min, max).clip(input, min, max)


_clamp_min.vjp(input=lambda g, input, min: select(g, input >= min), min=lambda g, input, min: select(g, input < min))
_clamp_max.vjp(input=lambda g, input, max: select(g, input <= max), max=lambda g, input, max: select(g, input > max))
_clamp_both.vjp(
    input=lambda g, input, min, max: select(g, _inside(input, min, max)),
    min=lambda g, input, min, max: select(g, (input < min) & (min < max)),
    max=lambda g, input, min, max: select(g, (input > max) | (max < min)),
)


def clamp(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """input, but at least min and at most max, numbers or Tensors; at a bound the derivative of input is 1."""
    if min is None and max is None:
        raise RuntimeError("clamp: at least one of 'min' or 'max' must not be None")
    if isinstance(min, Tensor) != isinstance(max, Tensor):  # one Tensor without dimensions may be a number
        min, max = (
            b.item() if isinstance(b, Tensor) and not b.ndim and not (min is None or max is None) else b for b in (min, max)
        )
    if not isinstance(min, Tensor) and not isinstance(max, Tensor):
        for name, bound in (("min", min), ("max", max)):
            if bound is not None and not isinstance(bound, NUMBERS):
                raise TypeError(f"clamp(): argument {name!r} must be Number or Tensor, not {type(bound).__name__}")
        bounds = [b for b in (min, max) if b is not None]
        wanted = common_dtype([input.array, *bounds])
        for bound in bounds if wanted.kind == "f" else ():
            require_range(bound, wanted)
        return _clamp(to(input, dtype=wanted), min=min, max=max)
    for name, bound in (("min", min), ("max", max)):
        if bound is not None and not isinstance(bound, Tensor):
            raise TypeError(f"clamp(): both bounds have to be numbers, or both Tensors, but {name} is {type(bound).__name__}")
    if min is None:
        return _clamp_max(input, max)
    return _clamp_min(input, min) if max is None else _clamp_both(input, min, max)


def clamp_min(input: Tensor, min: Any) -> Tensor:
    """input, but at least min."""
    return clamp(input, min=min)


def clamp_max(input: Tensor, max: Any) -> Tensor:
    """input, but at most max."""
    return clamp(input, max=max)


# ---- comparisons: no gradient -------------------------------------------------------------


def _operand(x: Any) -> Any:
    return plain_array(x) if isinstance(x, np.ndarray) else raw(x)


def _compare(name: str, input: Any, other: Any, ufunc: str = "") -> Tensor:
    """NumPy's comparison, its ufunc of that name or of its own, after the promotion that arithmetic would do."""
    operands = [_operand(input), _operand(other)]
    for x in operands:
        if not isinstance(x, NUMBERS) and not is_array(x):
            raise not_an_operand(name, x)
    dtype = common_dtype(operands)
    a, b = (converted(x, dtype) for x in operands)
    try:
        return wrap(getattr(xp(a, b), ufunc or name)(a, b))
    except Exception as error:
        raise explain(name, [x for x in operands if is_array(x)], True, error) or error from error


def eq(input: Tensor, other: Any) -> Tensor:
    """input == other, elementwise; a bool Tensor."""
    return _compare("eq", input, other, "equal")


def ne(input: Tensor, other: Any) -> Tensor:
    """input != other, elementwise; a bool Tensor."""
    return _compare("ne", input, other, "not_equal")


def lt(input: Tensor, other: Any) -> Tensor:
    """input < other, elementwise; a bool Tensor."""
    return _compare("lt", input, other, "less")


def le(input: Tensor, other: Any) -> Tensor:
    """input <= other, elementwise; a bool Tensor."""
    return _compare("le", input, other, "less_equal")


def gt(input: Tensor, other: Any) -> Tensor:
    """input > other, elementwise; a bool Tensor."""
    return _compare("gt", input, other, "greater")


def ge(input: Tensor, other: Any) -> Tensor:
    """input >= other, elementwise; a bool Tensor."""
    return _compare("ge", input, other, "greater_equal")


def __eq__(input: Tensor, other: Any) -> Any:
    """input == other; False for what is no number, as None."""
    return eq(input, other) if isinstance(other, (Tensor, *NUMBERS)) or is_array(other) else NotImplemented


def __ne__(input: Tensor, other: Any) -> Any:
    """input != other; True for what is no number, as None."""
    return ne(input, other) if isinstance(other, (Tensor, *NUMBERS)) or is_array(other) else NotImplemented


def equal(input: Tensor, other: Tensor) -> bool:
    """Whether the two have the same shape and the same elements: one bool."""
    return input.array.shape == other.array.shape and bool(eq(input, other).array.all())


def isclose(input: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    """Whether |input - other| <= atol + rtol * |other|, elementwise."""
    for name, value in (("rtol", rtol), ("atol", atol)):
        if not value >= 0:
            raise RuntimeError(f"{name} must be greater than or equal to zero, but got {value}")
    if input.dtype != other.dtype:
        raise RuntimeError(f"{input.dtype} did not match {other.dtype}: convert one with .to()")
    a, b = input.array, other.array
    if a.dtype.kind == "b":
        return eq(input, other)
    return wrap(xp(a).isclose(a, b, rtol=rtol, atol=atol, equal_nan=equal_nan))


def allclose(input: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Whether isclose holds for all elements: one bool."""
    return bool(isclose(input, other, rtol, atol, equal_nan).array.all())


# ---- logic --------------------------------------------------------------------------------


def logical_and(input: Tensor, other: Tensor) -> Tensor:
    """Whether both are true (not 0), elementwise."""
    return _compare("logical_and", input, other)


def logical_or(input: Tensor, other: Tensor) -> Tensor:
    """Whether one or both are true (not 0), elementwise."""
    return _compare("logical_or", input, other)


def logical_xor(input: Tensor, other: Tensor) -> Tensor:
    """Whether just one is true (not 0), elementwise."""
    return _compare("logical_xor", input, other)


def logical_not(input: Tensor) -> Tensor:
    """Whether input is 0, elementwise."""
    return wrap(xp(input.array).logical_not(input.array))


def _bitwise(name: str, function: Any, *inputs: Any) -> Tensor:
    operands = [_operand(x) for x in inputs]
    for x in operands:
        if not isinstance(x, NUMBERS) and not is_array(x):
            raise not_an_operand(name, x)
    dtype = common_dtype(operands)
    if dtype.kind == "f":
        raise RuntimeError(f"{name}: not supported for {dtype}: use bools or integers")
    try:
        return wrap(function(*(converted(x, dtype) for x in operands)))
    except Exception as error:
        raise explain(name, [x for x in operands if is_array(x)], True, error) or error from error


def bitwise_and(input: Any, other: Any) -> Tensor:
    """And, bit by bit; for bools, and."""
    return _bitwise("bitwise_and", operator.and_, input, other)


def bitwise_or(input: Any, other: Any) -> Tensor:
    """Or, bit by bit; for bools, or."""
    return _bitwise("bitwise_or", operator.or_, input, other)


def bitwise_xor(input: Any, other: Any) -> Tensor:
    """Exclusive or, bit by bit; for bools, exclusive or."""
    return _bitwise("bitwise_xor", operator.xor, input, other)


def bitwise_not(input: Tensor) -> Tensor:
    """Not, bit by bit; for bools, not."""
    return _bitwise("bitwise_not", operator.invert, input)


# ---- what is not finite -------------------------------------------------------------------


def isnan(input: Tensor) -> Tensor:
    """Whether each element is nan."""
    return wrap(xp(input.array).isnan(input.array))


def isinf(input: Tensor) -> Tensor:
    """Whether each element is plus or minus infinity."""
    return wrap(xp(input.array).isinf(input.array))


def isfinite(input: Tensor) -> Tensor:
    """Whether each element is neither nan nor infinite."""
    return wrap(xp(input.array).isfinite(input.array))
