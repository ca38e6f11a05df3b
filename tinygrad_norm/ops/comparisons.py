"""Comparisons, logic, and what is not finite: results of dtype bool, without gradients."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from tinygrad_norm.autograd import Tensor
from tinygrad_norm.backend import is_array, plain_array, raw, xp
from tinygrad_norm.checks.errors import explain, not_an_operand
from tinygrad_norm.engine.tensor import wrap
from tinygrad_norm.promotion import NUMBERS, common_dtype, converted

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
