"""Comparisons, logic, and what is not finite: results of dtype bool, without gradients."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_norm.autograd import Tensor
from tinygrad_norm.backend import is_array, plain_array, raw, xp
from tinygrad_norm.checks.errors import explain, not_an_operand
from tinygrad_norm.engine.tensor import wrap
from tinygrad_norm.promotion import NUMBERS, common_dtype, converted


def _computed(name: str, compute: str | Callable, integers: bool, *inputs: Any) -> Tensor:
    """NumPy's function of that name, or an operator, after the promotion that arithmetic would do."""
    operands = [plain_array(x) if isinstance(x, np.ndarray) else raw(x) for x in inputs]
    for x in operands:
        if not isinstance(x, NUMBERS) and not is_array(x):
            raise not_an_operand(name, x)
    dtype = common_dtype(operands)
    if integers and dtype.kind == "f":
        raise RuntimeError(f"{name}: not supported for {dtype}: use bools or integers")
    same = [converted(x, dtype) for x in operands]
    try:
        return wrap((getattr(xp(*same), compute) if isinstance(compute, str) else compute)(*same))
    except Exception as error:
        raise explain(name, [x for x in operands if is_array(x)], True, error) or error from error


def _of_two(name: str, doc: str, compute: str | Callable, other: str, integers: bool = False) -> Callable[[Any, Any], Tensor]:
    """A function of input and other, which is annotated so."""

    def function(input, other):
        return _computed(name, compute, integers, input, other)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    function.__annotations__ = {"input": "Any" if integers else "Tensor", "other": other, "return": "Tensor"}
    return function


eq = _of_two("eq", "input == other, elementwise; a bool Tensor.", "equal", "Any")
ne = _of_two("ne", "input != other, elementwise; a bool Tensor.", "not_equal", "Any")
lt = _of_two("lt", "input < other, elementwise; a bool Tensor.", "less", "Any")
le = _of_two("le", "input <= other, elementwise; a bool Tensor.", "less_equal", "Any")
gt = _of_two("gt", "input > other, elementwise; a bool Tensor.", "greater", "Any")
ge = _of_two("ge", "input >= other, elementwise; a bool Tensor.", "greater_equal", "Any")
logical_and = _of_two("logical_and", "Whether both are true (not 0), elementwise.", "logical_and", "Tensor")
logical_or = _of_two("logical_or", "Whether one or both are true (not 0), elementwise.", "logical_or", "Tensor")
logical_xor = _of_two("logical_xor", "Whether just one is true (not 0), elementwise.", "logical_xor", "Tensor")
bitwise_and = _of_two("bitwise_and", "And, bit by bit; for bools, and.", operator.and_, "Any", True)
bitwise_or = _of_two("bitwise_or", "Or, bit by bit; for bools, or.", operator.or_, "Any", True)
bitwise_xor = _of_two("bitwise_xor", "Exclusive or, bit by bit; for bools, exclusive or.", operator.xor, "Any", True)


def logical_not(input: Tensor) -> Tensor:
    """Whether input is 0, elementwise."""
    return wrap(xp(input.array).logical_not(input.array))


def bitwise_not(input: Tensor) -> Tensor:
    """Not, bit by bit; for bools, not."""
    return _computed("bitwise_not", operator.invert, True, input)


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
