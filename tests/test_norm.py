"""The norms: published figures, what they have in common, numerics, running moments."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import close, constant, host, leaf
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_norm as tn
from tinygrad_norm import nn, testing
from tinygrad_norm.nn import functional as F

pytestmark = pytest.mark.usefixtures("way")


NORMS = {  # one of each kind, for an input (N, 4, H, W)
    "batch": lambda **k: nn.BatchNorm2d(4, **k),
    "layer": lambda **k: nn.LayerNorm((4, 3, 5), **k),
    "instance": lambda **k: nn.InstanceNorm2d(4, affine=True, **k),
    "group": lambda **k: nn.GroupNorm(2, 4, **k),
}
AXES = {"batch": (0, 2, 3), "layer": (1, 2, 3), "instance": (2, 3), "group": (2, 3, 4)}


def grouped(norm: str, x: np.ndarray) -> np.ndarray:
    """x as the norm sees it."""
    return x.reshape(len(x), 2, 2, *x.shape[2:]) if norm == "group" else x


def channels(shape: tuple[int, ...], count: int) -> tn.Tensor:
    """A float32 input whose channel c (dimension 1) holds c + 1."""
    values = np.broadcast_to(np.arange(1, count + 1).reshape(-1, *(1,) * (len(shape) - 2)), shape)
    return constant(values, "float32")


# ---- published figures --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "shape"), [(nn.BatchNorm1d, (3, 5, 1)), (nn.BatchNorm2d, (3, 3, 2, 2)), (nn.BatchNorm3d, (3, 3, 2, 2, 3))]
)
def test_running_moments_take_the_published_steps(layer, shape) -> None:
    count = shape[1]
    bn = layer(count, momentum=0.3)
    means = np.arange(1, count + 1)
    for mean, variance in ((0.3, 0.7), (0.51, 0.49)):
        bn(channels(shape, count))
        close(bn.running_mean, (mean * means).astype("float32"), 1e-6)
        close(bn.running_var, np.full(count, variance, "float32"), 1e-6)
    assert {t.shape for t in (bn.running_mean, bn.running_var, bn.weight, bn.bias)} == {(count,)}
    close(bn.weight, np.ones(count, "float32"))
    close(bn.bias, np.zeros(count, "float32"))
    assert bn.num_batches_tracked.item() == 2


def test_layer_norm_of_the_published_input() -> None:
    x = channels((8, 2, 3, 4), 2)
    ln = nn.LayerNorm([2, 3, 4])
    assert ln.weight.shape == (2, 3, 4)
    y = host(ln(x))
    np.testing.assert_allclose(y[:, 0], -1, atol=3e-5)
    np.testing.assert_allclose(y[:, 1], 1, atol=3e-5)
    assert abs(y).max() < 1  # 0.99998: eps
    for shape in ([3, 4], [4], 4):
        assert (host(nn.LayerNorm(shape)(x)) == 0).all()
    with pytest.raises(RuntimeError) as error:
        nn.LayerNorm([6, 3])(tn.ones(8, 6, 3, 4))
    assert "input.shape = Size([8, 6, 3, 4]), normalized_shape = (6, 3)" in str(error.value)
    plain = nn.LayerNorm([2, 3, 4], elementwise_affine=False)
    assert plain.weight is None
    close(plain(x), y)


def test_instance_and_group_norm_of_the_published_inputs() -> None:
    assert (host(nn.InstanceNorm2d(3, momentum=0.3)(channels((3, 3, 2, 2), 3))) == 0).all()
    gn = nn.GroupNorm(2, 4)
    assert gn.weight.shape == (4,)
    np.testing.assert_allclose(host(gn(channels((2, 4, 2, 2), 4)))[0, :, 0, 0], [-1, 1, -1, 1], atol=3e-5)


def test_the_stored_variance_is_unbiased() -> None:
    bn = nn.BatchNorm1d(4, momentum=1)
    bn(constant([[2, 15, 2, 1], [2, 17, 2, 1], [-4, -2, -2, -1]], "float32"))
    close(bn.running_mean, np.array([0, 10, 2 / 3, 1 / 3], "float32"), 1e-6)
    close(bn.running_var, np.array([12, 109, 16 / 3, 4 / 3], "float32"), 1e-6)


ONE_VALUE = r"Expected more than 1 value per channel when training, got input size Size\(\[1, 5\]\).*drop_last.*eval"
ERRORS = [
    (lambda: nn.BatchNorm1d(5)(tn.ones(1, 5)), ValueError, ONE_VALUE),
    (lambda: nn.BatchNorm1d(5)(tn.ones(2, 5, 1, 1)), ValueError, r"expected 2D or 3D input \(got 4D input\)"),
    (lambda: nn.BatchNorm1d(5)(tn.ones(2, 6)), RuntimeError, "running_mean should contain 6 elements not 5"),
    (lambda: nn.InstanceNorm2d(5)(tn.ones(2, 5, 1, 1)), ValueError, "Expected more than 1 spatial element when training"),
    (lambda: nn.GroupNorm(3, 4), ValueError, r"num_channels \(4\) must be divisible by num_groups \(3\)"),
    (lambda: nn.Dropout(1.5), ValueError, r"dropout probability has to be between 0 and 1, but got 1\.5"),
]


@pytest.mark.parametrize(("make", "error", "text"), ERRORS)
def test_errors_have_the_texts_that_people_search_for(make, error, text) -> None:
    with pytest.raises(error, match=text):
        make()


# ---- what they have in common -------------------------------------------------------------

images = testing.arrays((3, 4, 3, 5), low=-3, high=3, avoid=())


@given(x=images)
def test_the_norms_are_one_another(x) -> None:
    t = constant(x)
    close(F.group_norm(t, 1), F.layer_norm(t, (4, 3, 5)))
    close(F.group_norm(t, 4), F.instance_norm(t))
    close(F.instance_norm(t[:1]), F.batch_norm(t[:1], None, None, training=True))
    flat = t.reshape(3, 60)
    close(F.batch_norm(flat, None, None, training=True), F.layer_norm(flat.T, (3,)).T)


@pytest.mark.parametrize("norm", NORMS)
@given(x=images, seed=st.integers(0, 1000))
def test_the_output_has_the_moments_that_weight_and_bias_say(norm, x, seed) -> None:
    layer = NORMS[norm](eps=0.1).double()
    layer.weight.detach().fill_(-1.7)
    layer.bias.detach().fill_(0.6)
    y, v = grouped(norm, host(layer(constant(x)))), grouped(norm, x).var(AXES[norm])
    close(y.mean(AXES[norm]), np.full_like(v, 0.6), 1e-10)
    close(y.var(AXES[norm]), 1.7**2 * v / (v + 0.1), 1e-10)


@pytest.mark.parametrize("norm", NORMS)
@given(x=images, shift=st.floats(-100, 100), scale=st.floats(0.1, 100))
def test_shift_does_not_matter_nor_scale_without_eps(norm, x, shift, scale) -> None:
    layer = NORMS[norm](eps=1e-300).double()  # batch norm wants more than 0
    close(layer(constant(x * scale + shift)), layer(constant(x)), 1e-9)


@pytest.mark.parametrize("norm", NORMS)
@given(x=images, seed=st.integers(0, 1000))
def test_the_input_gradient_is_orthogonal_to_ones_and_to_the_output(norm, x, seed) -> None:
    t = leaf(x)
    layer = NORMS[norm](eps=1e-300).double()  # batch norm wants more than 0
    y = layer(t)
    (g,) = tn.grad(y, t, constant(testing.values(x.shape, seed)))
    g, x_hat = grouped(norm, host(g)), grouped(norm, host(y))
    close(g.sum(AXES[norm]), np.zeros_like(g.sum(AXES[norm])), 1e-9)
    close((g * x_hat).sum(AXES[norm]), np.zeros_like(g.sum(AXES[norm])), 1e-9)


@given(x=images, y=images, a=st.floats(-3, 3))
def test_batch_norm_in_evaluation_is_affine(x, y, a) -> None:
    bn = nn.BatchNorm2d(4).double()
    bn(constant(x))
    bn.eval()
    close(bn(constant(a * x + (1 - a) * y)), a * bn(constant(x)) + (1 - a) * bn(constant(y)), 1e-10)


@pytest.mark.parametrize("weight", [0.0, 1.3])
@pytest.mark.parametrize("norm", NORMS)
def test_first_and_second_derivatives_are_right_also_for_weight_zero(norm, weight) -> None:
    layer, small = NORMS[norm]().double(), (NORMS[norm]() if norm != "layer" else nn.LayerNorm((4, 1, 2))).double()
    for each in (layer, small):
        each.weight.detach().fill_(weight)
        if norm == "batch":
            each.running_mean = each.running_var = each.num_batches_tracked = None
            each.track_running_stats = False
    x = testing.values((2, 4, 3, 5), 1)
    assert tn.gradcheck(layer, leaf(x))
    assert tn.gradgradcheck(small, leaf(x[:, :, :1, :2]), rtol=1e-5)


# ---- numerics -----------------------------------------------------------------------------


def exact(norm: str, x: np.ndarray, eps: float = 1e-5) -> np.ndarray:
    """The formula in float64."""
    wide = grouped(norm, x.astype("float64"))
    c = wide - wide.mean(AXES[norm], keepdims=True)
    return (c / np.sqrt((c * c).mean(AXES[norm], keepdims=True) + eps)).reshape(x.shape)


@pytest.mark.parametrize("order", ["C", "batch innermost"])
@pytest.mark.parametrize("mean", [0.0, 1.0, 1e3, 1e5, 1e7])
@pytest.mark.parametrize("norm", NORMS)
def test_a_large_mean_costs_no_precision(norm, mean, order) -> None:
    random = np.random.default_rng(0)
    x = (random.normal(size=(8, 4, 3, 5)) + mean).astype("float32")
    if order != "C":
        x = np.ascontiguousarray(x.transpose(2, 1, 3, 0)).transpose(3, 1, 0, 2)
    t = tn.tensor(x, device=tn.get_backend()).requires_grad_()
    y = NORMS[norm]()(t)
    np.testing.assert_allclose(host(y), exact(norm, x), rtol=0, atol=1e-6)
    cotangent = random.normal(size=x.shape).astype("float32")
    (g,) = tn.grad(y, t, constant(cotangent))
    wide = leaf(x.astype("float64"))
    (expected,) = tn.grad(NORMS[norm]().double()(wide), wide, constant(cotangent.astype("float64")))
    assert abs(host(g) - host(expected)).max() <= 1e-5 * abs(host(expected)).max()


@pytest.mark.parametrize("mean", [0.9, 1.9, 2.8, 4.0, 8.0])
def test_a_mean_that_is_not_taken_off_costs_no_precision(mean) -> None:
    """Over many elements a mean of a few standard deviations stays: here up to 2.8 of them."""
    x = (np.random.default_rng(1).normal(size=(24, 4, 24, 100)) + mean).astype("float32").transpose(3, 1, 0, 2)
    y = NORMS["batch"]()(tn.tensor(x, device=tn.get_backend()))
    np.testing.assert_allclose(host(y), exact("batch", x), rtol=0, atol=1e-6)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("value", [0.0, 0.1, -7.3, 1e7, 3e18])
def test_constant_inputs_give_exactly_the_bias(norm, value) -> None:
    layer = NORMS[norm]()
    layer.bias.detach().fill_(0.3)
    assert (host(layer(tn.full((8, 4, 3, 5), value))) == np.float32(0.3)).all()


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("size", [1e-12, 1e12, 1e18])
def test_large_and_small_inputs_do_not_overflow(norm, size) -> None:
    x = (np.random.default_rng(0).normal(size=(8, 4, 3, 5)) * size).astype("float32")
    t = tn.tensor(x, device=tn.get_backend()).requires_grad_()
    y = NORMS[norm]()(t)
    np.testing.assert_allclose(host(y), exact(norm, x), rtol=0, atol=1e-6)
    (g,) = tn.grad(y.square().sum() + y.sum(), t)
    assert np.isfinite(host(g)).all()


@pytest.mark.parametrize("norm", NORMS)
def test_float16_is_computed_in_float32(norm) -> None:
    x = (np.random.default_rng(0).normal(size=(64, 4, 3, 5)) * 200).astype("float16")  # squares overflow float16
    t = tn.tensor(x, device=tn.get_backend()).requires_grad_()
    y = NORMS[norm]().half()(t)
    assert y.dtype == tn.float16
    np.testing.assert_allclose(host(y).astype("float64"), exact(norm, x), atol=2e-3)
    y.sum().backward()
    assert t.grad.dtype == tn.float16


# ---- running moments ----------------------------------------------------------------------


def test_running_moments_hold_no_graph_and_survive_saving(tmp_path) -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    for _ in range(3):
        net(tn.randn(5, 3)).sum().backward()
    bn = net[1]
    assert not any(b.requires_grad or b.grad_fn for b in bn.buffers())
    x = tn.randn(2, 3)
    before = net.eval()(x)
    tn.save(net.state_dict(), tmp_path / "net.safetensors")
    other = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    other.load_state_dict(tn.load(tmp_path / "net.safetensors"))
    close(other.eval()(x), before, 0)
    bn.reset_running_stats()
    close(bn.running_mean, np.zeros(4, "float32"))
    assert bn.num_batches_tracked.item() == 0


def test_evaluation_uses_the_running_moments_and_does_not_change_them() -> None:
    bn = nn.BatchNorm1d(2, momentum=0.5)
    bn(constant([[0.0, 10.0], [2.0, 14.0]], "float32"))
    bn.eval()
    x = constant([[1.0, 5.0]], "float32")
    mean, variance = np.array([0.5, 6.0]), np.array([1.5, 4.5])
    close(bn(x), ((host(x) - mean) / np.sqrt(variance + 1e-5)).astype("float32"), 1e-6)
    close(bn.running_mean, mean.astype("float32"))
    assert bn.num_batches_tracked.item() == 1


def test_the_modules_flag_decides_and_not_whether_gradients_are_on() -> None:
    x = constant(np.random.default_rng(0).normal(3, 2, (8, 4)), "float64")
    layer = nn.BatchNorm1d(4).double()
    with tn.no_grad():
        normalized = host(layer(x))
    np.testing.assert_allclose(normalized.mean(axis=0), 0, atol=1e-12)
    assert abs(host(layer.running_mean)).min() > 0.1, "training counts without gradients, too"
    expected = (host(x) - host(layer.running_mean)) / np.sqrt(host(layer.running_var) + 1e-5)
    np.testing.assert_allclose(host(layer.eval()(x)), expected, rtol=1e-12)


def test_without_tracking_evaluation_uses_the_batch() -> None:
    bn = nn.BatchNorm1d(3, track_running_stats=False)
    x = tn.randn(6, 3)
    close(bn(x), bn.eval()(x))
    assert list(bn.state_dict()) == ["weight", "bias"]


def test_a_frozen_net_has_no_gradient_graph_in_its_norm() -> None:
    bn = nn.BatchNorm1d(3).requires_grad_(False)
    assert not bn(tn.randn(4, 3)).requires_grad


def test_reset_parameters_brings_back_ones_and_zeros() -> None:
    gn = nn.GroupNorm(2, 4)
    gn.weight.detach().fill_(5.0)
    gn.reset_parameters()
    close(gn.weight, np.ones(4, "float32"))


def test_a_group_that_begins_far_from_the_rest_is_exact() -> None:
    """Moments that are guessed from the first elements have to notice."""
    x = np.random.default_rng(0).normal(size=(500, 1, 40, 40)).astype("float32")
    x[0, 0, :2] = 3e5
    exact = (x - x.mean(dtype="float64")) / x.std(dtype="float64")
    close(nn.BatchNorm2d(1, eps=1e-12)(constant(x)), exact.astype("float32"), 1e-5)
