"""Embedding: rows of a table, looked up by number."""

from __future__ import annotations

from tinygrad_norm import dtypes
from tinygrad_norm.autograd import Tensor
from tinygrad_norm.backend import backend_of
from tinygrad_norm.checks.arguments import checked
from tinygrad_norm.checks.kinds import Num
from tinygrad_norm.ops.select import where


@checked
def embedding(
    input: Tensor,
    weight: Num[Tensor, "V D"],
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """weight[input]: integers (*) and a table (V, D) give rows (*, D); the row padding_idx gets no gradient."""
    if max_norm is not None or scale_grad_by_freq or sparse:
        raise NotImplementedError("embedding: max_norm, scale_grad_by_freq and sparse are not supported: leave them out")
    if input.dtype not in (dtypes.int64, dtypes.int32):
        raise RuntimeError(f"embedding: expected indices of dtype int64 or int32, but got {input.dtype}: use .long()")
    rows, numbers = weight.array.shape[0], input.array
    if padding_idx is not None and not -rows <= padding_idx < rows:
        raise AssertionError("Padding_idx must be within num_embeddings")
    if backend_of(numbers).name == "numpy" and numbers.size and not 0 <= numbers.min() <= numbers.max() < rows:
        raise IndexError(f"index out of range: there are {rows} rows, but got an index from {numbers.min()} to {numbers.max()}")
    found = weight[input] if input.ndim else weight[int(input)]
    if padding_idx is None:
        return found
    padding = (input == padding_idx % rows).unsqueeze(-1)
    return where(padding, found.detach(), found)
