"""Products: matmul, einsum, outer, linear; and parts of matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_norm import dtypes
from tinygrad_norm.autograd import Tensor, elementwise, op
from tinygrad_norm.backend import is_array, xp
from tinygrad_norm.checks.kinds import Num
from tinygrad_norm.engine.tensor import wrap
from tinygrad_norm.fast import before_product
from tinygrad_norm.ops.shape import _broadcast_to, expand, in_own_shape, reshape, unsqueeze
from tinygrad_norm.sums import total


@elementwise  # the leading dimensions broadcast
def _matmul(a, b):
    """out[i, j] = sum over k of a[i, k] * b[k, j], for each matrix of a batch."""
    if a.dtype == dtypes.float16:  # added up in float32
        return (a.astype(np.float32) @ b.astype(np.float32)).astype(np.float16)
    return a @ b


_matmul.vjp(a=lambda g, b: g @ b.swapaxes(-1, -2), b=lambda g, a: a.swapaxes(-1, -2) @ g)


def matmul(input: Tensor, other: Tensor) -> Tensor:
    """The matrix product over the last two dimensions; the leading ones broadcast.

    A vector on the left is a row, on the right a column, and is one again in the result. One of the two may be an array.
    """
    if not isinstance(other, Tensor) and is_array(other):
        other = wrap(other)
    elif not isinstance(input, Tensor) and is_array(input):
        input = wrap(input)
    if not isinstance(input, Tensor) or not isinstance(other, Tensor):
        wrong = other if isinstance(input, Tensor) else input
        raise TypeError(f"matmul(): expected two Tensors, but got {type(wrong).__name__}: convert it with tensor()")
    a, b = input.array, other.array
    if not (a.ndim and b.ndim):
        raise RuntimeError(f"both arguments to matmul need to be at least 1D, but they are {a.ndim}D and {b.ndim}D")
    if a.dtype is not b.dtype:
        _require_dtype("matmul", input, other)
    m, k = a.shape[-2:] if a.ndim > 1 else (1, *a.shape)
    k2, n = b.shape[-2:] if b.ndim > 1 else (*b.shape, 1)
    if k != k2:
        raise RuntimeError(f"mat1 and mat2 shapes cannot be multiplied ({m}x{k} and {k2}x{n})")
    if a.ndim > 1 and b.ndim > 1:
        return _matmul(input, other)
    out = _matmul(unsqueeze(input, 0) if a.ndim == 1 else input, unsqueeze(other, 1) if b.ndim == 1 else other)
    shape = out.array.shape
    return in_own_shape(out, (*shape[:-2], *shape[-2:-1] * (a.ndim > 1), *shape[-1:] * (b.ndim > 1)))


def mm(input: Num[Tensor, "N K"], mat2: Num[Tensor, "L M"]) -> Tensor:
    """The product of two matrices."""
    return matmul(input, mat2)


def bmm(input: Num[Tensor, "B N K"], mat2: Num[Tensor, "B L M"]) -> Tensor:
    """The products of two batches of matrices, (B, N, K) and (B, K, M)."""
    return matmul(input, mat2)


def mv(input: Num[Tensor, "N K"], vec: Num[Tensor, "L"]) -> Tensor:
    """The product of a matrix and a vector."""
    return matmul(input, vec)


def dot(input: Num[Tensor, "N"], tensor: Num[Tensor, "N"]) -> Tensor:
    """The sum of the products of two vectors' elements."""
    return matmul(input, tensor)


def addmm(input: Tensor, mat1: Num[Tensor, "N K"], mat2: Num[Tensor, "L M"], *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta * input + alpha * (mat1 @ mat2)."""
    _require_dtype("addmm", input, mat1)
    product = mm(mat1, mat2)
    product = product if alpha == 1 else product * alpha
    start = expand(input, product.array.shape)
    return product if beta == 0 else product + (start if beta == 1 else start * beta)


def _require_dtype(name: str, *tensors: Tensor) -> None:
    for t in tensors[1:]:
        if t.dtype != tensors[0].dtype:
            raise RuntimeError(f"{name}: expected the same dtype, not {tensors[0].dtype} and {t.dtype}: convert one with .to()")


def outer(input: Num[Tensor, "N"], vec2: Num[Tensor, "M"]) -> Tensor:
    """out[i, j] = input[i] * vec2[j]."""
    return unsqueeze(input, 1) * vec2


# ---- linear -------------------------------------------------------------------------------


def linear_definition(x: Any, weight: Any, bias: Any) -> Any:
    """y = x W^T + b over the last dimension of x."""
    y = matmul(x, weight.swapaxes(0, 1))
    return y if bias is None else y + bias


@op
def _linear(x, weight, bias):
    """x @ weight.T + bias, with the bias added in place. Its vjp is made of products again, so that it
    can be differentiated as it stands.

    A matrix is multiplied as y^T = W x^T, so that the rows of a batch end up innermost in memory:
    the next layer finds x^T contiguous, and BLAS is spared the slowest of its cases, x W^T.
    """
    if x.dtype == dtypes.float16:  # added up in float32
        return _linear.op.forward(*(v if v is None else v.astype(np.float32) for v in (x, weight, bias))).astype(x.dtype)
    before_product(x.size * len(weight))
    y = (weight @ x.T).T if x.ndim == 2 else (_rows(x) @ weight.T).reshape(*x.shape[:-1], len(weight))
    if bias is not None:
        y += bias
    return y


def _rows(x):
    """All leading dimensions as one."""
    return x if x.ndim == 2 else x.reshape((math.prod(x.shape[:-1]), x.shape[-1]))


def _linear_input_vjp(g, weight, x_shape):
    return (weight.T @ g.T).T if g.ndim == 2 else (_rows(g) @ weight).reshape(x_shape)


_linear.vjp(
    x=_linear_input_vjp,
    weight=lambda g, x: _rows(g).T @ _rows(x),
    bias=lambda g: _sum_of_rows(_rows(g)),
)


@op
def _sum_of_rows(x):
    """x.sum(0)."""
    return total(x, (0,))


_sum_of_rows.vjp(x=lambda g, x_shape: _broadcast_to(g, shape=x_shape))


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y = x W^T + b: x (*, in), W (out, in) or (in,), b (out,), y (*, out)."""
    x, w = input.array, weight.array
    fits = w.ndim == 2 and x.ndim and x.shape[-1] == w.shape[1] and x.dtype is w.dtype
    if not fits or (bias is not None and (bias.array.shape != w.shape[:1] or bias.array.dtype is not x.dtype)):
        if w.ndim == 1 and (bias is None or not bias.ndim):
            out = matmul(input, weight)
            return out if bias is None else out + bias
        _require_fitting(input, weight, bias)
        if bias is not None and bias.array.shape != w.shape[:1]:
            return _linear(input, weight, None) + bias
    return _linear(input, weight, bias)


def _require_fitting(input: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    """Raise RuntimeError that says what is wrong with the arguments of linear."""
    shape, size = list(input.shape), list(weight.shape)
    if len(size) != 2:
        raise RuntimeError(f"linear: expected a weight of shape (out, in), but got {size}")
    if not shape or shape[-1] != size[1]:
        given = f"{math.prod(shape[:-1])}x{shape[-1] if shape else 0}"
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({given} and {size[1]}x{size[0]}): "
            f"the last dimension of the input, {shape}, has to be in_features={size[1]}"
        )
    for other in (weight, bias):
        if other is not None and input.dtype != other.dtype:
            raise RuntimeError(f"mat1 and mat2 must have the same dtype: input.to({other.dtype}), or net.to({input.dtype})")
    out, added = (*shape[:-1], size[0]), () if bias is None else bias.array.shape
    if len(added) > len(out) or any(n not in (1, m) for n, m in zip(added[::-1], out[::-1])):
        raise RuntimeError(f"linear: expected a bias of shape [{size[0]}], but got {list(added)}")


# ---- einsum -------------------------------------------------------------------------------


@elementwise  # operands share labels; a label may have size 1 in one of them and broadcast
def _einsum(*operands, subscripts, result):
    """The sum of products over the letters that the result lacks."""
    formula = f"{','.join(subscripts)}->{result}"
    if any(x.dtype == dtypes.float16 for x in operands):  # added up in float32
        operands = tuple(x.astype(np.float32) for x in operands)
        return xp(*operands).einsum(formula, *operands, optimize=len(operands) > 2).astype(np.float16)
    out = xp(*operands).einsum(formula, *operands, optimize=len(operands) > 2)
    return out.copy() if len(operands) == 1 else out  # NumPy gives a view of one operand


@_einsum.joint_vjp
def _einsum_vjp(g, operands, subscripts, result, needs):
    """Each operand's gradient is an einsum too, of g and the other operands."""
    gradients = []
    for i, labels in enumerate(subscripts):
        others = [k for k in range(len(operands)) if k != i]
        gradients.append(
            _einsum(g, *[operands[k] for k in others], subscripts=(result, *[subscripts[k] for k in others]), result=labels)
            if needs[i]
            else None
        )
    return gradients


def einsum(equation: str, *operands: Any) -> Tensor:
    """The sum of products that Einstein's convention names: einsum("bij,bjk->bik", x, y).

    Labels not in the output are summed over; a label repeated within one operand takes its diagonal;
    "..." stands for dimensions that broadcast.
    """
    tensors: Sequence[Tensor] = operands[0] if len(operands) == 1 and isinstance(operands[0], (list, tuple)) else operands
    if not isinstance(equation, str) or not all(isinstance(t, Tensor) for t in tensors):
        raise TypeError("einsum(): expected an equation as a string, then Tensors")
    terms, arrow, out = equation.replace(" ", "").partition("->")
    labels = terms.split(",")
    if len(labels) != len(tensors):
        raise ValueError(f"einsum(): {len(labels)} operands in the equation {equation!r}, but {len(tensors)} were given")
    widest = max((t.ndim - len(s.replace("...", "")) for t, s in zip(tensors, labels) if "..." in s), default=0)
    spare = [c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if c not in equation][:widest]
    for i, (t, s) in enumerate(zip(tensors, labels)):
        hidden = t.ndim - len(s.replace("...", ""))
        if hidden < 0 or (hidden and "..." not in s):
            raise RuntimeError(f"einsum(): {len(s)} subscripts do not match the {t.ndim} dimensions of operand {i}")
        labels[i] = s.replace("...", "".join(spare[widest - hidden :]))
    if arrow:
        out = out.replace("...", "".join(spare))
    else:
        joined = "".join(labels)
        out = "".join(spare) + "".join(sorted(c for c in set(joined) - set(spare) if joined.count(c) == 1))
    for c in out:
        if c not in "".join(labels) or out.count(c) > 1:
            raise RuntimeError(f"einsum(): output subscript {c} has to appear once, and in one of the operands: {equation!r}")
    if any(c not in out for c in "".join(labels)):  # there is something to sum
        _require_dtype("einsum", *tensors)
    simple = [_simplified(t, s, out, labels[:i] + labels[i + 1 :]) for i, (t, s) in enumerate(zip(tensors, labels))]
    return _einsum(*[t for t, _ in simple], subscripts=tuple(s for _, s in simple), result=out)


def _simplified(t: Tensor, labels: str, out: str, others: list[str]) -> tuple[Tensor, str]:
    """The operand with repeated labels reduced to their diagonal, and its own private ones summed over."""
    for c in sorted(set(labels)):
        while (first := labels.index(c)) != (last := labels.rindex(c)):
            n = t.array.shape[first]
            if t.array.shape[last] != n:
                raise RuntimeError(f"einsum(): label {c} stands for sizes {n} and {t.array.shape[last]} in one operand")
            order = [d for d in range(t.ndim) if d not in (first, last)]
            flat = reshape(t.permute(*order, first, last), *[t.array.shape[d] for d in order], n * n)
            t = flat[..., :: n + 1]
            labels = "".join(labels[d] for d in order) + c
    private = [d for d, c in enumerate(labels) if c not in out and not any(c in s for s in others)]
    if private:
        t = t.sum(dim=tuple(private))
        labels = "".join(c for d, c in enumerate(labels) if d not in private)
    return t, labels
