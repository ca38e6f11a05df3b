"""Arithmetic and functions of two numbers, for each element: shapes broadcast, dtypes promote by PyTorch's rules.

Primitives are `@elementwise` functions with their vjps; below them come the compositions.
At a kink the derivative is the one that PyTorch takes, and the docstring says which.
"""

from __future__ import annotations

from typing import Any

from tinygrad_norm import dtypes
from tinygrad_norm.autograd import Tensor, elementwise
from tinygrad_norm.backend import xp
from tinygrad_norm.ops.convert import to
from tinygrad_norm.ops.select import raw, require_arrays, where
from tinygrad_norm.ops.unary import log, sigmoid, zeros_of
from tinygrad_norm.promotion import common_dtype

# ---- arithmetic ---------------------------------------------------------------------------


@elementwise
def _add(input, other):
    """input + other."""
    return input + other


_add.vjp(input=lambda g: g, other=lambda g: g)


@elementwise
def _sub(input, other):
    """input - other."""
    if _is_bool(input) or _is_bool(other):
        raise RuntimeError("Subtraction, the `-` operator, with a bool tensor is not supported: use `~`, `^` or logical_xor()")
    return input - other


def _is_bool(x):
    return x.__class__ is bool or getattr(x, "dtype", None) == dtypes.bool


def _not_for_bools(name):
    return NotImplementedError(f"{name} is not implemented for bool tensors: convert with .int() or .float()")


_sub.vjp(input=lambda g: g, other=lambda g: -g)


def add(input: Any, other: Any, *, alpha: float = 1) -> Tensor:
    """input + alpha * other."""
    return _add(input, other) if alpha == 1 else _scaled(_add, input, other, alpha)


def sub(input: Any, other: Any, *, alpha: float = 1) -> Tensor:
    """input - alpha * other."""
    return _sub(input, other) if alpha == 1 else _scaled(_sub, input, other, alpha)


def _scaled(combine: Any, input: Any, other: Any, alpha: Any) -> Tensor:
    """combine(input, alpha * other), in the dtype that it has without alpha."""
    dtype = common_dtype([raw(input), raw(other)])
    if dtype.kind != "f" and isinstance(alpha, float):
        raise RuntimeError("For integral input tensors, argument alpha must not be a floating point number.")
    other = to(other, dtype=dtype) if isinstance(other, Tensor) else other
    return to(combine(input, mul(other, alpha)), dtype=dtype)


@elementwise
def mul(input: Any, other):
    """input * other."""
    return input * other


mul.vjp(input=lambda g, other: g * other, other=lambda g, input: g * input)


@elementwise
def _div(input, other):
    """input / other."""
    return input / other


_div.vjp(input=lambda g, other: g / other, other=lambda g, input, other: -(g * (input / other / other)))


def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    """input / other; integers are divided as float32.

    rounding_mode: "trunc" rounds the quotient towards 0, "floor" down, as Python's // does; both keep the dtype, and
    have derivative 0.
    """
    if rounding_mode is None:
        return _div(input, other)
    if rounding_mode not in ("trunc", "floor"):
        raise RuntimeError(f"div expected rounding_mode to be one of None, 'trunc', or 'floor' but found '{rounding_mode}'")
    return _rounded_div(input, other, mode=rounding_mode)


@elementwise
def _rounded_div(input, other, *, mode):
    """The quotient, rounded towards 0 or down; its derivative is 0."""
    if _is_bool(input) and _is_bool(other):
        raise _not_for_bools("div with a rounding_mode")
    module = xp(input, other)
    if module.result_type(input, other).kind == "f":
        return module.trunc(input / other) if mode == "trunc" else module.floor_divide(input, other)
    if module.any(module.equal(other, 0)):
        raise RuntimeError("ZeroDivisionError: integer division by zero")
    down = module.floor_divide(input, other)
    return down if mode == "floor" else down + ((down < 0) & (down * other != input))


_rounded_div.op.name = "div"  # what errors and grad_fn call it
_rounded_div.vjp(input=lambda g: zeros_of(g), other=lambda g: zeros_of(g))


@elementwise
def floor_divide(input: Any, other):
    """The quotient, rounded down: input // other. It has no derivative; div(rounding_mode="floor") has 0."""
    return _rounded_div(input, other, mode="floor")


def _no_derivative(g):
    raise NotImplementedError("derivative for floor_divide is not implemented: div(rounding_mode='floor') has the derivative 0")


floor_divide.vjp(input=_no_derivative, other=_no_derivative)


@elementwise
def remainder(input: Any, other):
    """What input // other leaves, with the sign of other: input % other."""
    if _is_bool(input) and _is_bool(other):
        raise _not_for_bools("remainder")
    module = xp(input, other)
    if module.result_type(input, other).kind != "f" and module.any(module.equal(other, 0)):
        raise RuntimeError("ZeroDivisionError: integer remainder by zero")
    return module.remainder(input, other)


remainder.vjp(input=lambda g: g, other=lambda g, input, other: -(g * div(input, other, rounding_mode="floor")))


@elementwise
def fmod(input, other):
    """What the quotient rounded towards 0 leaves, with the sign of input."""
    if _is_bool(input) and _is_bool(other):
        raise _not_for_bools("fmod")
    module = xp(input, other)
    if module.result_type(input, other).kind != "f" and module.any(module.equal(other, 0)):
        raise RuntimeError("ZeroDivisionError: integer remainder by zero")
    return module.fmod(input, other)


fmod.vjp(input=lambda g: g, other=lambda g, input, other: -(g * div(input, other, rounding_mode="trunc")))


@elementwise
def pow(input: Any, exponent):
    """input ** exponent. d/dinput is 0 where the exponent is 0; d/dexponent is 0 where input is 0 and exponent >= 0."""
    if _is_bool(input) and _is_bool(exponent):
        if exponent.__class__ is bool:
            return input | (not exponent)
        raise _not_for_bools("pow")
    if exponent.__class__ is int and exponent < 0 and input.dtype.kind in "iub":
        raise RuntimeError(f"Integers to negative integer powers are not allowed: {input.dtype} ** {exponent}: use .float()")
    if _is_bool(input) and getattr(exponent, "dtype", dtypes.float32).kind in "iu":
        input = input.astype(exponent.dtype)
    if getattr(exponent, "dtype", dtypes.float32).kind == "i" and getattr(input, "dtype", dtypes.int64).kind in "iu":
        module = xp(input, exponent)  # 1 / input**n, rounded towards 0: only of 1 and -1 there is something left
        whole = input ** module.maximum(exponent, 0)
        sign_of = module.where(module.equal(input, -1), 1 - 2 * (exponent % 2), module.equal(input, 1))
        return module.where(exponent < 0, sign_of, whole).astype(whole.dtype)
    return input**exponent


def _pow_base(g, input, exponent):
    if isinstance(exponent, (int, float)):
        return zeros_of(g) if exponent == 0 else g * (exponent * input ** (exponent - 1))
    zero = exponent == 0
    return where(zero, 0.0, g * (exponent * pow(input, where(zero, 1.0, exponent - 1))))


def _pow_exponent(g, out, input, exponent):
    zero = (input == 0) & (exponent >= 0)
    return where(zero, 0.0, g * (out * log(where(zero, 1.0, input))))


pow.vjp(input=_pow_base, exponent=_pow_exponent)


@elementwise
def neg(input):
    """-input."""
    if input.dtype == bool:
        raise RuntimeError("Negation, the `-` operator, on a bool tensor is not supported: use `~` or logical_not()")
    return -input


neg.vjp(input=lambda g: -g)


@elementwise
def abs(input):
    """|input|; the derivative at 0 is 0."""
    if _is_bool(input):
        raise _not_for_bools("abs")
    return xp(input).abs(input)


abs.vjp(input=lambda g, input: g * sign(input))


# ---- steps: their derivative is 0 ---------------------------------------------------------


@elementwise
def sign(input):
    """-1, 0 or 1; 0 for nan."""
    return (input > 0).astype(input.dtype) - (input < 0) if input.dtype.kind != "b" else input.copy()


def _whole(name: str, x: Any) -> Any:
    """Floats rounded by the function of that name; integers are whole already."""
    if _is_bool(x):
        raise _not_for_bools(name)
    return getattr(xp(x), name)(x) if x.dtype.kind == "f" else x.copy()


@elementwise
def floor(input):
    """The largest integer not above input."""
    return _whole("floor", input)


@elementwise
def ceil(input):
    """The smallest integer not below input."""
    return _whole("ceil", input)


@elementwise
def trunc(input):
    """The integer next to input on the way to 0."""
    return _whole("trunc", input)


@elementwise
def _round(input, *, decimals):
    """The nearest integer, the even one of two; with decimals, the nearest multiple of 10**-decimals."""
    if _is_bool(input):
        raise _not_for_bools("round")
    return xp(input).round(input, decimals)


for _step in (sign, floor, ceil, trunc, _round):
    _step.vjp(input=lambda g: zeros_of(g))


def round(input: Tensor, *, decimals: int = 0) -> Tensor:
    """The nearest number with so many decimals, ties to even."""
    return _round(input, decimals=decimals)


# ---- angles, lengths, logarithms of sums ----------------------------------------------------


@elementwise
def atan2(input, other):
    """The angle from -pi to pi of the point (other, input); its derivative at (0, 0) is 0."""
    require_arrays("atan2", input, other)
    return xp(input, other).arctan2(input, other)


def _over_squares(x, input, other):
    """x / (input**2 + other**2), 0 where that is 0."""
    squares = input * input + other * other
    return where(squares == 0, 0.0, x / where(squares == 0, 1.0, squares))


atan2.vjp(
    input=lambda g, input, other: g * _over_squares(other, input, other),
    other=lambda g, input, other: -(g * _over_squares(input, input, other)),
)


@elementwise
def hypot(input, other):
    """sqrt(input**2 + other**2), without overflow."""
    require_arrays("hypot", input, other)
    return xp(input, other).hypot(input, other)


hypot.vjp(input=lambda g, input, out: g * (input / out), other=lambda g, other, out: g * (other / out))


@elementwise
def logaddexp(input, other):
    """log(e**input + e**other), without overflow."""
    require_arrays("logaddexp", input, other)
    return xp(input, other).logaddexp(input, other)


logaddexp.vjp(
    input=lambda g, input, other: g * sigmoid(input - other),
    other=lambda g, input, other: g * sigmoid(other - input),
)
