"""Parts of matrices: triangles, diagonals, the trace."""

from __future__ import annotations

from typing import Any

from tinygrad_norm.autograd import Tensor, op
from tinygrad_norm.autograd.edits import write_view
from tinygrad_norm.autograd.views import view_op
from tinygrad_norm.backend import xp
from tinygrad_norm.checks.kinds import Num
from tinygrad_norm.checks.sizes import normalize_dim, sizes_of
from tinygrad_norm.ops.indexing import _place

# ---- parts of matrices --------------------------------------------------------------------


@op
def _triangle(x, *, diagonal, name):
    """x with zeros on one side of a diagonal."""
    return getattr(xp(x), name)(x, diagonal)


_triangle.vjp(x=lambda g, diagonal, name: _triangle(g, diagonal=diagonal, name=name))


def tril(input: Tensor, diagonal: int = 0) -> Tensor:
    """The lower triangles of the matrices in the last two dimensions, 0 above the diagonal."""
    return _part("tril", input, diagonal)


def triu(input: Tensor, diagonal: int = 0) -> Tensor:
    """The upper triangles of the matrices in the last two dimensions, 0 below the diagonal."""
    return _part("triu", input, diagonal)


def _part(name: str, input: Tensor, diagonal: Any) -> Tensor:
    if input.ndim < 2:
        raise RuntimeError(f"{name}: input tensor must have at least 2 dimensions, but got the shape {list(input.shape)}")
    return _triangle(input, diagonal=sizes_of((diagonal,), None, "diagonal")[0], name=name)


def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """The diagonal of the matrices in two dimensions, as the last dimension of a view; offset: above (or below) it."""
    a, b = normalize_dim(input.ndim, dim1), normalize_dim(input.ndim, dim2)
    if a == b:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    return _diagonal(input, offset=sizes_of((offset,), None, "offset")[0], axes=(a, b))


@view_op
def _diagonal(x, *, offset, axes):
    """The elements x[i, i + offset]."""
    return x.diagonal(offset, *axes)


def _diagonal_vjp(g, x_shape, offset, axes):
    start = xp(g.array if isinstance(g, Tensor) else g).zeros(x_shape, g.dtype)
    return write_view(start, g, steps=((_diagonal, {"offset": offset, "axes": axes}),))


_diagonal.vjp(x=_diagonal_vjp)


def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """A matrix with the vector on its diagonal; or the diagonal of a matrix."""
    if input.ndim == 2:
        return _diagonal(input, offset=sizes_of((diagonal,), None, "diagonal")[0], axes=(0, 1)).clone()
    if input.ndim != 1:
        raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {input.ndim}D")
    (k,) = sizes_of((diagonal,), None, "diagonal")
    at, size = xp(input.array).arange(input.array.size), input.array.size + abs(k)
    return _place(input, index=(at + max(-k, 0), at + max(k, 0)), shape=(size, size))


def trace(input: Num[Tensor, "N M"]) -> Tensor:
    """The sum of a matrix's diagonal."""
    return _diagonal(input, offset=0, axes=(0, 1)).sum()
