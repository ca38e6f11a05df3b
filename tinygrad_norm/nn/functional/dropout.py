"""Dropout: in training, elements (or whole channels) set to 0 at random, the others scaled up to make up for it.

p is the probability to drop. What is kept is x / (1 - p), so that the expectation is x, and evaluation
needs no scaling. Srivastava et al. 2014, "Dropout: a simple way to prevent neural networks from overfitting".
"""

from __future__ import annotations

from tinygrad_norm.autograd import Tensor, op
from tinygrad_norm.autograd.edits import check_editable
from tinygrad_norm.backend import xp
from tinygrad_norm.checks.arguments import checked
from tinygrad_norm.checks.kinds import Float, Probability
from tinygrad_norm.engine.tensor import wrap
from tinygrad_norm.fast import replaceable
from tinygrad_norm.generator import Generator, default_generator
from tinygrad_norm.ops.inplace import overwrite
from tinygrad_norm.ops.select import where


@replaceable
def keep_and_scale(x, kept, p):
    """x / (1 - p) where kept, 0 elsewhere."""
    return x / (1 - p) * kept if p < 1 else x * 0


@op
def _dropout(x, kept, *, p):
    """x / (1 - p) where it is kept, else 0. Forward and backward are the same."""
    return keep_and_scale(x, kept, p)


_dropout.vjp(x=lambda g, kept, p: _dropout(g, kept, p=p))


@checked
def dropout(
    input: Float[Tensor, "..."],
    p: Probability = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """Each element dropped with probability p; in evaluation the input itself."""
    return _dropped("dropout", input, p, training, inplace, generator, input.array.shape)


@checked("input.ndim in (2, 3)")
def dropout1d(
    input: Float[Tensor, "..."],
    p: Probability = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """Each channel of (N, C, L) or (C, L) dropped as a whole with probability p."""
    return _dropped("dropout1d", input, p, training, inplace, generator, (*input.array.shape[:-1], 1))


@checked
def dropout2d(
    input: Float[Tensor, "N C *S"],
    p: Probability = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """Each channel of (N, C, *S) dropped as a whole with probability p. Tompson et al. 2014, arXiv:1411.4280."""
    shape = input.array.shape
    return _dropped("dropout2d", input, p, training, inplace, generator, (*shape[:2], *(1,) * (len(shape) - 2)))


@checked
def dropout3d(
    input: Float[Tensor, "N C *S"],
    p: Probability = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """As dropout2d."""
    return dropout2d(input, p, training, inplace, generator=generator)


@checked
def alpha_dropout(
    input: Float[Tensor, "..."],
    p: Probability = 0.5,
    training: bool = False,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """Elements set to selu's negative limit l with probability p; then a * x + b, which keeps mean 0 and variance 1.

    l = -1.7581, a = (q + l**2 p q)**-0.5 with q = 1 - p, b = -a p l. Klambauer et al. 2017, arXiv:1706.02515.
    """
    if not training or p == 0:
        return input
    if inplace:
        check_editable(input, "alpha_dropout")
    limit, q = -1.7580993408473766, 1 - float(p)
    a = 0.0 if q == 0 else (q + limit**2 * p * q) ** -0.5
    kept = (generator or default_generator).kept(input.array.shape, float(p), xp(input.array))
    out = where(wrap(kept), input, limit) * a - a * p * limit
    return overwrite(input, out, "alpha_dropout") if inplace else out


def _dropped(
    name: str, input: Tensor, p: float, training: bool, inplace: bool, generator: Generator | None, shape: tuple[int, ...]
) -> Tensor:
    if not training or p == 0:
        return input
    if inplace:
        check_editable(input, name)
    p = float(p)
    kept = (generator or default_generator).kept(shape, p, xp(input.array))
    out = _dropout(input, wrap(kept), p=p)
    return overwrite(input, out, name) if inplace else out
