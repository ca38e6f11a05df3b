"""Dropout: in training, elements (or whole channels) set to 0 at random, the others scaled up to make up for it.

p is the probability to drop. What is kept is x / (1 - p), so that the expectation is x, and evaluation
needs no scaling. Srivastava et al. 2014, "Dropout: a simple way to prevent neural networks from overfitting".
"""

from __future__ import annotations

from typing import Any

from tinygrad_norm.autograd import Tensor, op
from tinygrad_norm.backend import Generator, default_generator, xp
from tinygrad_norm.kernels import gpu
from tinygrad_norm.ops.inplace import overwrite


def dropout_definition(x: Tensor, *, kept: Any, p: float) -> Tensor:
    """X / (1 - p) where kept, 0 elsewhere."""
    return x / (1 - p) * Tensor(kept) if p < 1 else x * 0


@op
def _dropout(x, *, kept, p):
    """One product with 0 or 1 / (1 - p); forward and backward are the same."""
    if gpu.on_gpu(x) and p < 1:
        return gpu.dropout(x, kept, 1 - p)
    scaled = x / (1 - p) if p < 1 else x * 0
    scaled *= kept
    return scaled


_dropout.vjp(x=lambda g, kept, p: _dropout(g, kept=kept, p=p))


def dropout(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """Each element dropped with probability p; in evaluation the input itself."""
    return _dropped(input, p, training, inplace, generator, input.array.shape)


def dropout2d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """Each channel of (N, C, H, W) or (C, H, W) dropped as a whole with probability p. Tompson et al. 2014, arXiv:1411.4280."""
    if input.ndim not in (3, 4):
        raise RuntimeError(f"dropout2d: expected an input of shape (N, C, H, W) or (C, H, W), but got {list(input.shape)}")
    return _dropped(input, p, training, inplace, generator, (*input.array.shape[:-2], 1, 1))


def _dropped(
    input: Tensor, p: float, training: bool, inplace: bool, generator: Generator | None, shape: tuple[int, ...]
) -> Tensor:
    check_probability(p)
    if not training or p == 0:
        return input
    if input.dtype.kind != "f":
        raise RuntimeError(f"dropout: expected a floating point dtype, but got {input.dtype}: convert with .float()")
    p, module = float(p), xp(input.array)
    kept = (generator or default_generator()).uniform(shape, "float32", module) >= p
    out = _dropout(input, kept=kept, p=p)
    return overwrite(input, out, "dropout") if inplace else out


def check_probability(p: float) -> None:
    """Raise ValueError unless 0 <= p <= 1."""
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
