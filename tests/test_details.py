"""Single arguments, names in errors, limits and defaults: what a slip of the pen would change, and few programs show."""

from __future__ import annotations

import math

import numpy as np
import pytest
from helpers import close, constant, leaf

import tinygrad_norm as tn
from tinygrad_norm import autograd, data, nn, optim
from tinygrad_norm.nn import functional as F

# ---- edits --------------------------------------------------------------------------------

EDITS = {
    "fill_": lambda x: x.fill_(1.0),
    "zero_": lambda x: x.zero_(),
    "copy_": lambda x: x.copy_(tn.ones_like(x)),
    "add_": lambda x: x.add_(1.0),
    "mul_": lambda x: x.mul_(2.0),
    "clamp_": lambda x: x.clamp_(0.0, 1.0),
    "relu_": lambda x: F.relu_(x),
    "masked_fill_": lambda x: x.masked_fill_(x > 0, 1.0),
    "normal_": lambda x: x.normal_(),
    "uniform_": lambda x: x.uniform_(),
    "bernoulli_": lambda x: x.bernoulli_(),
    "item assignment": lambda x: x.__setitem__(0, 1.0),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_of_what_backward_needs_is_named(name) -> None:
    x = leaf([0.5, 2.0]) * 1
    loss = (x * x).sum()
    with tn.no_grad():
        EDITS[name](x)
    with pytest.raises(RuntimeError, match=f"modified by an inplace operation.*{name}"):
        loss.backward()


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_of_a_leaf_is_refused(name) -> None:
    x = leaf([0.5, 2.0])
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad is being used in an in-place operation"):
        EDITS[name](x)
    close(x, np.array([0.5, 2.0]))


def test_values_that_are_written_have_no_gradient() -> None:
    for name in ("fill_", "zero_", "normal_", "uniform_", "bernoulli_"):
        x = leaf([0.5, 2.0])
        y = x * 3
        EDITS[name](y)
        y.sum().backward()
        close(x.grad, np.zeros(2))


def test_dropout_in_place_is_an_edit() -> None:
    x = leaf([0.5, 2.0]) * 1
    loss = (x * x).sum()
    F.dropout(x, 0.5, True, True)
    with pytest.raises(RuntimeError, match=r"modified by an inplace operation.*dropout"):
        loss.backward()


# ---- random numbers -----------------------------------------------------------------------


def test_uniform_numbers_fill_zero_to_one() -> None:
    x = constant(np.zeros(1000), "float32").uniform_()
    assert 0 <= float(x.min()) < 0.05
    assert 0.95 < float(x.max()) < 1


def test_chances_outside_of_zero_to_one_are_refused() -> None:
    for wrong in (-0.1, 1.1, math.nan) if tn.get_backend() == "numpy" else ():  # a GPU does not look
        with pytest.raises(RuntimeError, match=r"probability outside of \[0, 1\]"):
            tn.bernoulli(tn.tensor([0.5, wrong]))
    assert tn.bernoulli(tn.tensor([0.0, 1.0], dtype=tn.float64)).dtype == tn.float64


def test_draws_of_rows_keep_to_their_rows() -> None:
    chances = tn.tensor([[0.0, 3.0, 0.0], [1.0, 0.0, 0.0]])
    drawn = tn.multinomial(chances, 5, replacement=True)
    assert drawn.tolist() == [[1] * 5, [0] * 5]
    assert tn.multinomial(chances, 1).tolist() == [[1], [0]]
    halves = tn.multinomial(tn.tensor([[1.0, 1.0], [2.0, 6.0]]), 4000, replacement=True).float().mean(1)
    close(halves, np.array([0.5, 0.75]), 0.05)


# ---- shapes and dimensions ----------------------------------------------------------------


def test_one_dimension_named_twice_is_refused() -> None:
    x = tn.zeros(2, 3)
    for dims in ((1, -1), (-2, 0), (0, 0)):
        with pytest.raises(RuntimeError, match="appears multiple times"):
            x.sum(dims)


def test_sizes_may_be_given_by_name() -> None:
    x = tn.arange(6)
    assert x.view(size=(2, 3)).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert tn.zeros(1, 3).expand(size=(2, 3)).shape == (2, 3)


def test_other_dimensions_of_one_stay_where_one_is_reduced() -> None:
    x = constant(np.arange(3.0).reshape(1, 3, 1))
    for found in (x.max(1), x.min(1)):
        assert found.values.shape == found.indices.shape == (1, 1)
    assert tn.argmax(x, keepdim=True).shape == (1, 1, 1)
    assert tn.argmin(x).shape == ()


def test_equal_elements_keep_their_order() -> None:
    x = constant(np.arange(200.0) % 2)
    found = tn.sort(x, stable=True)
    assert found.indices.tolist() == [*range(0, 200, 2), *range(1, 200, 2)]
    assert tn.argsort(x, stable=True, descending=True).tolist() == [*range(1, 200, 2), *range(0, 200, 2)]


def test_none_of_the_largest_and_the_largest_of_one() -> None:
    found = tn.topk(tn.tensor([3.0, 1.0]), 0)
    assert found.values.shape == found.indices.shape == (0,)
    assert tn.topk(tn.tensor(3.0), 1).values.tolist() == 3.0


def test_a_list_of_no_places_chooses_none() -> None:
    x = tn.zeros(4, 3)
    assert x[[]].shape == (0, 3)
    assert x[[0, 2]].shape == (2, 3)
    assert x[tn.tensor([True, False, True, False])].shape == (2, 3)


# ---- values -------------------------------------------------------------------------------


def test_bounds_without_dimensions_do_not_widen() -> None:
    x = tn.tensor([-1.0, 0.5, 3.0])
    low, high = tn.tensor(0.0, dtype=tn.float64), tn.tensor(1.0, dtype=tn.float64)
    found = x.clamp(low, high)
    assert found.dtype == tn.float32
    assert found.tolist() == [0.0, 0.5, 1.0]


PLACES = {  # where a number becomes an element of a dtype
    "tensor": lambda value, dtype: tn.tensor([value], dtype=dtype),
    "full": lambda value, dtype: tn.full((1,), value, dtype=dtype),
    "full_like": lambda value, dtype: tn.full_like(tn.zeros(1), value, dtype=dtype),
    "new_full": lambda value, dtype: tn.zeros(1, dtype=dtype).new_full((1,), value),
    "fill_": lambda value, dtype: tn.zeros(1, dtype=dtype).fill_(value),
    "masked_fill": lambda value, dtype: tn.zeros(1, dtype=dtype).masked_fill(tn.tensor([True]), value),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64"])
def test_the_ends_of_a_dtype_fit_and_what_is_beyond_does_not(place, dtype) -> None:
    ends = np.iinfo(dtype)
    for end in (ends.min, ends.max):
        assert PLACES[place](end, dtype).tolist() == [end]
    for beyond in (ends.min - 1 if ends.min else -ends.max - 1, ends.max + 1, 2.0**64, -(2.0**64), math.inf, math.nan):
        if place != "tensor" or not (dtype == "int64" and isinstance(beyond, int)):
            with pytest.raises(RuntimeError, match="cannot be converted to type"):
                PLACES[place](beyond, dtype)
    if dtype == "uint8":  # integers wrap around, other numbers do not
        assert PLACES[place](-1, dtype).tolist() == [255]
        with pytest.raises(RuntimeError, match=r"value -1\.5 cannot be converted to type uint8"):
            PLACES[place](-1.5, dtype)


@pytest.mark.parametrize("place", PLACES)
def test_the_largest_float_fits_and_more_does_not(place) -> None:
    largest = float(np.finfo(np.float32).max)
    assert PLACES[place](largest, "float32").tolist() == [largest]
    assert PLACES[place](-math.inf, "float32").tolist() == [-math.inf]
    if place != "tensor":
        with pytest.raises(RuntimeError, match=r"value -1e\+39 cannot be converted to type float32 without overflow"):
            PLACES[place](-1e39, "float32")
        with pytest.raises(RuntimeError, match=r"value 65505.0 cannot be converted to type float16 without overflow"):
            PLACES[place](65505.0, "float16")


def test_a_choice_that_does_not_fit_is_refused() -> None:
    yes, no = tn.tensor([True]), tn.zeros(1, dtype="int32")
    assert tn.where(yes, 5, no).dtype == tn.int32
    for number, against in ((2**31, no), (1e39, no), (-1e39, no.float())):
        with pytest.raises(RuntimeError, match="cannot be converted to type"):
            tn.where(yes, against, number)


def test_halves_that_are_chosen_or_assigned_may_become_infinite() -> None:
    half, yes = tn.zeros(2, dtype="float16"), tn.tensor([True, False])
    for number, expected in ((65519.0, 65504.0), (65520.0, math.inf), (-1e9, -math.inf), (1e39, math.inf)):
        assert tn.where(yes, number, half).tolist() == [expected, 0.0]
        x = half.clone()
        x[0] = number
        assert x.tolist() == [expected, 0.0]


def test_a_variance_is_computed_in_double_precision() -> None:
    x = np.random.default_rng(0).normal(1e4, 1.0, 1000).astype("float32")
    for found, expected in ((tn.var, x.astype("float64").var(ddof=1)), (tn.std, x.astype("float64").std(ddof=1))):
        value = found(constant(x, "float32"))
        assert value.dtype == tn.float32
        close(value, np.asarray(expected), 1e-6)


def test_a_norm_of_exactly_one_has_its_gradient() -> None:
    for p in (1.5, 2, 3):
        x = leaf([1.0, 0.0])
        tn.norm(x, p).backward()
        close(x.grad, np.array([1.0, 0.0]))


def test_the_logarithm_of_no_exponentials() -> None:
    assert tn.logsumexp(tn.zeros(2, 0), 1).tolist() == [-math.inf] * 2


def test_numpy_reduces_along_an_axis() -> None:
    values = np.array([[1.0, 5.0], [3.0, 2.0]])
    x = leaf(values)
    for function in (np.sum, np.mean, np.max, np.min, np.prod):
        for axis in (None, 0, 1, (0, 1)):
            if not (isinstance(axis, tuple) and function in (np.max, np.min, np.prod)):
                close(function(x, axis=axis), function(values, axis=axis))
        close(function(x, axis=1, keepdims=True), function(values, axis=1, keepdims=True))


# ---- layers -------------------------------------------------------------------------------


def test_a_convolution_says_what_does_not_fit() -> None:
    x, weight = tn.zeros(1, 4, 5, 5), tn.zeros(6, 4, 3, 3)
    for groups in (0, -1, 4):
        with pytest.raises(RuntimeError, match=f"Given groups={groups}"):
            F.conv2d(x, weight, groups=groups)
    with pytest.raises(RuntimeError, match=r"bias to be 1-dimensional with 6 elements, but got bias of size \[5\]"):
        F.conv2d(x, weight, tn.zeros(5))
    assert F.conv2d(x, weight, tn.zeros(6)).shape == (1, 6, 3, 3)


def test_second_derivatives_of_a_norm_by_its_definition() -> None:
    def definition(x, weight, bias):
        c = x - x.mean(1, keepdim=True)
        return c / ((c * c).mean(1, keepdim=True) + 1e-5).sqrt() * weight + bias

    x, weight, bias = leaf(np.arange(6.0).reshape(2, 3) ** 2), leaf([1.0, 2.0, -1.0]), leaf([0.5, 0.0, 1.0])
    second = []
    for function in (lambda *a: F.layer_norm(a[0], (3,), a[1], a[2]), definition):
        (first,) = autograd.grad((function(x, weight, bias) ** 3).sum(), x, create_graph=True)
        second.append(autograd.grad((first**2).sum(), (x, weight, bias)))
    for found, expected in zip(*second):
        close(found, expected, 1e-9)


def test_classes_that_are_ignored_do_not_count_where_none_is_out_of_range() -> None:
    scores = leaf([[1.0, 2.0], [3.0, 1.0], [0.0, 1.0]])
    labels = tn.tensor([1, -100, 0])
    loss = F.cross_entropy(scores, labels)
    expected = np.mean([np.log(1 + np.exp(-1.0)), np.log(1 + np.exp(1.0))])
    close(loss, np.asarray(expected))
    loss.backward()
    assert scores.grad[1].tolist() == [0.0, 0.0]
    close(F.cross_entropy(scores, tn.tensor([1, 1, 0]), ignore_index=1), np.asarray(np.log(1 + np.exp(1.0))))


def test_flags_are_no_numbers_for_a_loss_of_numbers() -> None:
    flags, numbers = tn.tensor([True, False]), tn.tensor([1.0, 0.5])
    close(F.mse_loss(numbers, numbers + 1), np.asarray(1.0))
    close(F.l1_loss(numbers, flags.float()), np.asarray(0.25))


# ---- modules, optimizers, data --------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".pt", ".pth"])
def test_pickles_suffixes_are_remarked_upon(suffix, tmp_path, monkeypatch) -> None:
    from tinygrad_norm import saving

    monkeypatch.setattr(saving, "_said", set())
    with pytest.warns(UserWarning, match="safetensors"):
        tn.save({"w": tn.ones(2)}, tmp_path / f"net{suffix}")
    assert tn.load(tmp_path / f"net{suffix}")["w"].tolist() == [1.0, 1.0]


def test_what_was_no_parameter_is_none_after_loading(tmp_path) -> None:
    tn.save({"w": tn.ones(2), "p": nn.Parameter(tn.ones(2))}, tmp_path / "saved.safetensors")
    found = tn.load(tmp_path / "saved.safetensors")
    assert found["w"].requires_grad is False


def test_settings_of_optimizers_that_make_no_sense() -> None:
    p = [leaf([1.0])]
    for make, text in (
        (lambda: optim.SGD(p, lr=0.1, nesterov=True), "Nesterov momentum requires a momentum and zero dampening"),
        (lambda: optim.SGD(p, lr=0.1, nesterov=True, momentum=0.9, dampening=0.1), "Nesterov momentum requires a momentum"),
        (lambda: optim.SGD([{"params": set(p)}], lr=0.1), "optimizer parameters need to be organized in ordered collections"),
        (lambda: optim.SGD(p, lr=tn.tensor([0.1, 0.2])), "Tensor lr must be 1-element"),
    ):
        with pytest.raises((ValueError, TypeError), match=text):
            make()


def test_a_sampler_of_batches_excludes_what_it_decides() -> None:
    items = data.TensorDataset(tn.arange(4))
    batches = data.BatchSampler(data.SequentialSampler(items), 2, False)
    for setting in ({"batch_size": 2}, {"shuffle": True}, {"drop_last": True}, {"sampler": data.SequentialSampler(items)}):
        with pytest.raises(ValueError, match="batch_sampler option is mutually exclusive with batch_size, shuffle, sampler"):
            data.DataLoader(items, batch_sampler=batches, **setting)
    for generator in (3, "a", object()):
        with pytest.raises(TypeError, match="generator"):
            data.RandomSampler(items, generator=generator)


# ---- derivatives --------------------------------------------------------------------------


def test_products_with_derivatives_have_no_history_unless_asked() -> None:
    x, v = leaf([1.0, 2.0]), constant([1.0, 0.5], "float64")

    def cubes(x: tn.Tensor) -> tn.Tensor:
        return (x**3).sum()

    for product, given in ((autograd.functional.hvp, v), (autograd.functional.vhp, v)):
        value, found = product(cubes, x, given)
        assert not value.requires_grad
        assert not found.requires_grad
        close(found, np.array([6.0, 6.0]))
        value, found = product(cubes, x, given, create_graph=True)
        assert found.requires_grad
        close(autograd.grad(found.sum(), x)[0], np.array([6.0, 3.0]))
    value, found = autograd.functional.vjp(lambda x: x**2, x, v)
    assert isinstance(found, tn.Tensor)
    close(found, np.array([2.0, 2.0]))
    value, found = autograd.functional.vjp(lambda x, y: x * y, (x, x), v)
    assert isinstance(found, tuple)


def test_joined_tensors_have_second_derivatives() -> None:
    x, y = leaf([1.0, 2.0]), leaf([3.0])
    (first,) = autograd.grad((tn.cat([x * y, y]) ** 3).sum(), y, create_graph=True)
    second = autograd.grad(first.sum(), (x, y))
    # s = y**3 * (x0**3 + x1**3 + 1); ds/dy = 3 y**2 (...)
    close(second[0], 9 * 9 * np.array([1.0, 4.0]))
    close(second[1], np.array([6 * 3 * 10.0]))


def test_an_edit_between_first_and_second_derivative_is_noticed() -> None:
    x = leaf([1.0, 2.0])
    y = tn.exp(x * 1)
    (first,) = autograd.grad(y.sum(), x, create_graph=True)
    with tn.no_grad():
        y.add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        first.sum().backward()
