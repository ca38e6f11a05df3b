"""Choosing between elements: where, masked_fill, maximum, minimum, clamp; comparisons and logic.

A gradient is chosen as well, never multiplied by a mask: where nothing was chosen it is 0, also for inf and nan.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_norm import dtypes
from tinygrad_norm.autograd import Tensor, elementwise
from tinygrad_norm.backend import is_array, raw, xp
from tinygrad_norm.checks.arguments import require_kind
from tinygrad_norm.engine.tensor import wrap
from tinygrad_norm.ops import special
from tinygrad_norm.ops.convert import to
from tinygrad_norm.ops.creation import number_for, require_range
from tinygrad_norm.promotion import NUMBERS, common_dtype


@elementwise
def _select(x, *, mask):
    """x where the mask holds, else 0."""
    return special.masked(x, mask)


_select.vjp(x=lambda g, mask: _select(g, mask=mask))


def keep_where(x: Any, mask: Any) -> Any:
    """x where the mask holds, else 0."""
    mask = raw(mask)
    return _select(x, mask=np.asarray(mask) if isinstance(mask, np.generic) else mask)


# ---- where --------------------------------------------------------------------------------


@elementwise
def _where(input, other, *, condition):
    """input where the condition holds, else other."""
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
        raise RuntimeError(f"{name}: expected {argument} to be a boolean tensor, but got dtype {mask.dtype}: use .bool()")


def masked_fill(input: Tensor, mask: Tensor, value: Any) -> Tensor:
    """value, a number or a Tensor without dimensions, where mask holds, else input; in input's dtype."""
    check_mask("masked_fill", "mask", mask)
    if isinstance(value, Tensor):
        if value.ndim:
            raise RuntimeError(f"masked_fill only supports a 0-dimensional value tensor, but got {value.ndim} dimensions")
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
    return keep_where(where(a == b, g / 2, g), raw(lost) ^ True)


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
    """input, but at least min and at most max."""
    return xp(input).clip(input, min, max)


def _inside(x, low, high):
    if low is None:
        return x <= high
    return x >= low if high is None else (x >= low) & (x <= high)


_clamp.vjp(input=lambda g, input, min, max: keep_where(g, _inside(input, min, max)))


@elementwise
def _clamp_min(input, min):
    """input, but at least min."""
    return xp(input, min).maximum(input, min)


@elementwise
def _clamp_max(input, max):
    """input, but at most max."""
    return xp(input, max).minimum(input, max)


@elementwise
def _clamp_both(input, min, max):
    """input, but at least min and at most max."""
    return xp(input, min, max).clip(input, min, max)


_clamp_min.vjp(input=lambda g, input, min: keep_where(g, input >= min), min=lambda g, input, min: keep_where(g, input < min))
_clamp_max.vjp(input=lambda g, input, max: keep_where(g, input <= max), max=lambda g, input, max: keep_where(g, input > max))
_clamp_both.vjp(
    input=lambda g, input, min, max: keep_where(g, _inside(input, min, max)),
    min=lambda g, input, min, max: keep_where(g, (input < min) & (min < max)),
    max=lambda g, input, min, max: keep_where(g, (input > max) | (max < min)),
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
