"""What is drawn: how often, of which shape, dtype and device, and from which generator."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import close, constant, host

import tinygrad_norm as tn

N = 20_000
PLACE = {"device": tn.get_backend()}
# name: what draws N numbers with this generator (None for the default one), their mean, variance, least and greatest
DRAWS = {
    "rand": (lambda g: tn.rand(N, generator=g, **PLACE), 0.5, 1 / 12, 0, 1),
    "rand_like": (lambda g: tn.rand_like(tn.zeros(N, **PLACE)), 0.5, 1 / 12, 0, 1),
    "randn": (lambda g: tn.randn(N, generator=g, **PLACE), 0, 1, -6, 6),
    "randn_like": (lambda g: tn.randn_like(tn.zeros(N, **PLACE)), 0, 1, -6, 6),
    "normal": (lambda g: tn.normal(2.0, 0.5, (N,), generator=g, **PLACE), 2, 0.25, -1, 5),
    "normal of Tensors": (lambda g: tn.normal(constant([-1.0] * N), constant([2.0]), generator=g), -1, 4, -13, 11),
    "randint": (lambda g: tn.randint(3, 9, (N,), generator=g, **PLACE), 5.5, 35 / 12, 3, 8),
    "randint from 0": (lambda g: tn.randint(2, (N,), generator=g, **PLACE), 0.5, 0.25, 0, 1),
    "bernoulli": (lambda g: tn.bernoulli(tn.full((N,), 0.3, **PLACE), generator=g), 0.3, 0.21, 0, 1),
    "uniform_": (lambda g: tn.ones(N, **PLACE).uniform_(generator=g), 0.5, 1 / 12, 0, 1),
    "uniform_ between": (lambda g: tn.ones(N, **PLACE).uniform_(-1, 3, generator=g), 1, 16 / 12, -1, 3),
    "uniform_ from, to": (lambda g: tn.ones(N, **PLACE).uniform_(**{"from": 2, "to": 4}, generator=g), 3, 4 / 12, 2, 4),
    "normal_": (lambda g: tn.ones(N, **PLACE).normal_(generator=g), 0, 1, -6, 6),
    "normal_ of": (lambda g: tn.ones(N, **PLACE).normal_(3, 2, generator=g), 3, 4, -9, 15),
    "bernoulli_": (lambda g: tn.ones(N, **PLACE).bernoulli_(generator=g), 0.5, 0.25, 0, 1),
    "bernoulli_ of": (lambda g: tn.ones(N, **PLACE).bernoulli_(0.2, generator=g), 0.2, 0.16, 0, 1),
    "multinomial": (lambda g: tn.multinomial(constant([1.0, 0.0, 3.0]), N, True, generator=g), 1.5, 0.75, 0, 2),
}  # fmt: skip
OWN = [name for name in DRAWS if not name.endswith("_like")]


@pytest.mark.parametrize("name", DRAWS)
def test_mean_variance_and_bounds(name) -> None:
    draw, mean, variance, least, greatest = DRAWS[name]
    drawn = draw(None)
    values = host(drawn).astype(float)
    assert drawn.shape == (N,)
    assert drawn.device == constant([0.0]).device
    assert not drawn.requires_grad
    assert abs(values.mean() - mean) < 5 * np.sqrt(variance / N)
    assert abs(values.var() / variance - 1) < 5 * np.sqrt(3 / N)  # no fourth moment here is over 3 variance**2
    assert least <= values.min()
    assert values.max() <= greatest


@pytest.mark.parametrize("name", OWN)
def test_a_generator_of_ones_own(name) -> None:
    draw = DRAWS[name][0]
    first = draw(tn.Generator().manual_seed(5))
    tn.manual_seed(3)
    undisturbed = host(tn.rand(3))
    tn.manual_seed(3)
    close(draw(tn.Generator().manual_seed(5)), first, 0)
    close(tn.rand(3), undisturbed, 0)  # the default one was not used
    assert (host(draw(tn.Generator().manual_seed(6))) != host(first)).any()
    tn.manual_seed(3)
    one = host(draw(None))
    tn.manual_seed(3)
    close(draw(None), one, 0)


@pytest.mark.parametrize("make", [tn.rand, tn.randn])
def test_dtypes_of_what_is_drawn(make) -> None:
    assert make(2).dtype == tn.float32
    assert make(2, dtype="float64").dtype == tn.float64
    assert make(2, dtype=tn.float16).dtype == tn.float16
    assert make(2, requires_grad=True).requires_grad
    assert tn.randint(5, (2,)).dtype == tn.int64
    assert tn.randint(5, (2,), dtype="float32").dtype == tn.float32
    assert tn.bernoulli(tn.full((2,), 0.5, dtype="float64")).dtype == tn.float64


def test_a_permutation_has_each_number_once() -> None:
    drawn = tn.randperm(1000, generator=tn.Generator().manual_seed(0))
    assert drawn.dtype == tn.int64
    assert sorted(drawn.tolist()) == list(range(1000))
    assert drawn.tolist() != list(range(1000))
    assert drawn.tolist() == tn.randperm(1000, generator=tn.Generator().manual_seed(0)).tolist()


def test_rows_are_drawn_from_in_proportion_to_their_weights() -> None:
    weights = np.array([[1.0, 3.0, 0.0, 4.0], [0.0, 0.0, 2.0, 0.0], [5.0, 1.0, 1.0, 1.0]])
    drawn = host(tn.multinomial(constant(weights, "float32"), N, replacement=True))
    assert drawn.shape == (3, N)
    shares = np.array([np.bincount(row, minlength=4) / N for row in drawn])
    expected = weights / weights.sum(1, keepdims=True)
    assert (abs(shares - expected) <= 5 * np.sqrt(expected * (1 - expected) / N)).all()


def test_without_replacement_nothing_comes_twice_and_the_first_is_drawn_by_weight() -> None:
    weights = constant(np.tile([1.0, 2.0, 1.0], (N, 1)))
    drawn = host(tn.multinomial(weights, 3))
    assert (np.sort(drawn, 1) == [0, 1, 2]).all()
    shares = np.bincount(drawn[:, 0], minlength=3) / N
    assert (abs(shares - [0.25, 0.5, 0.25]) < 5 * np.sqrt(0.25 / N)).all()
    after_1 = drawn[drawn[:, 0] == 1, 1]  # then 0 and 2 are as likely
    assert abs((after_1 == 0).mean() - 0.5) < 5 * np.sqrt(0.25 / len(after_1))
    assert tn.multinomial(constant([1.0, 2.0]), 1).shape == (1,)
