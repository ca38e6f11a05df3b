"""Dropout: what is kept, what is dropped, and where the randomness comes from."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import close, constant, host, leaf
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_norm as tn
from tinygrad_norm import nn
from tinygrad_norm.nn import functional as F


@given(p=st.sampled_from([0.1, 0.5, 0.9]), seed=st.integers(0, 100))
def test_what_is_kept_is_x_over_1_minus_p_and_the_gradient_has_the_same_mask(p, seed) -> None:
    tn.manual_seed(seed)
    x = leaf(np.linspace(1, 2, 50))
    y = F.dropout(x, p)
    kept = host(y) != 0
    close(y, np.where(kept, host(x) / (1 - p), 0))
    y.sum().backward()
    close(x.grad, kept / (1 - p))


@pytest.mark.parametrize("p", [0.1, 0.5, 0.75])
def test_the_expectation_is_the_input(p) -> None:
    n = 100_000
    y = host(F.dropout(tn.ones(n), p))
    sigma = np.sqrt(p / (1 - p) / n)  # of the mean of n elements
    assert abs(y.mean() - 1) < 5 * sigma
    assert abs((y == 0).mean() - p) < 5 * np.sqrt(p * (1 - p) / n)


@pytest.mark.parametrize("p", [0.001, 0.1, 0.5, 0.999])
def test_the_probability_is_p_and_not_a_rounded_one(p) -> None:
    n, kept = 2**20, host(F.dropout(tn.ones(2**20), p)) != 0
    assert abs(n - kept.sum() - n * p) < 5 * (n * p * (1 - p)) ** 0.5  # standard deviations


@pytest.mark.parametrize("shape", [(), (1,), (0,), (2, 0)])
@pytest.mark.parametrize("p", [0.3, 0.5, 1.0])
def test_a_single_number_and_none(shape, p) -> None:
    x = tn.ones(shape)
    for drop in (F.dropout, F.alpha_dropout):
        assert drop(x, p, training=True).shape == shape


def test_one_seed_one_mask_zero_too() -> None:
    x = tn.ones(100)
    for seed in (0, 7):
        masks = []
        for _ in range(2):
            tn.manual_seed(seed)
            masks.append(host(F.dropout(x)))
        assert (masks[0] == masks[1]).all()
    assert (host(F.dropout(x)) != masks[0]).any()
    own = [host(F.dropout(x, generator=tn.Generator().manual_seed(3))) for _ in range(2)]
    assert (own[0] == own[1]).all()


def test_nothing_and_everything() -> None:
    x = leaf([1.0, 2.0])
    assert F.dropout(x, 0.0) is x
    assert F.dropout(x, 0.5, training=False) is x
    y = F.dropout(x, 1.0)
    close(y, [0.0, 0.0])
    y.sum().backward()
    close(x.grad, [0.0, 0.0])
    layer = nn.Dropout(0.5)
    assert layer.eval()(x) is x


def test_in_place() -> None:
    x = constant(np.ones(100))
    y = F.dropout(x, 0.5, inplace=True)
    assert y is x
    assert set(host(x)) == {0.0, 2.0}
    z = leaf(np.ones(100))
    h = z * 1
    nn.Dropout(0.5, inplace=True)(h)
    h.sum().backward()
    close(z.grad, host(h))


def test_whole_channels_are_dropped() -> None:
    x = tn.ones(20, 30, 3, 4)
    y = host(nn.Dropout2d(0.4)(x))
    per_channel = y.reshape(600, -1)
    assert (per_channel == per_channel[:, :1]).all()
    assert abs((per_channel[:, 0] == 0).mean() - 0.4) < 5 * np.sqrt(0.24 / 600)
    assert F.dropout2d(tn.ones(3, 2, 2), 0.5).shape == (3, 2, 2)
    assert F.dropout2d(tn.ones(2, 3, 4, 4, 4)).shape == (2, 3, 4, 4, 4)
    with pytest.raises(RuntimeError, match=r"input has shape \(3,\), expected \(N, C, \*S\)"):
        F.dropout2d(tn.ones(3))


@pytest.mark.parametrize("seed", range(5))
def test_the_published_net_of_ten_thousand_inputs(seed) -> None:
    class Net(nn.Module):
        def __init__(self, inputs, p) -> None:
            super().__init__()
            self.linears = nn.Sequential(nn.Dropout(p), nn.Linear(inputs, 1, bias=False), nn.ReLU(inplace=True))

        def forward(self, x):
            return self.linears(x)

    tn.manual_seed(seed)
    x = tn.ones((10000,))
    net = Net(10000, 0.5)
    net.linears[1].weight.detach().fill_(1.0)
    net.train()
    assert abs(net(x).item() - 10000) < 500
    net.eval()
    assert net(x).item() == 10000


def test_the_mask_is_let_go_of_by_backward() -> None:
    y = F.dropout(leaf(np.ones(8)), 0.5).sum()
    y.backward()
    with pytest.raises(RuntimeError, match="a second time"):
        y.backward()
