"""Single arguments, names in errors, limits and defaults: what a slip of the pen would change, and few programs show."""

from __future__ import annotations

import copy
import math
import sys

import numpy as np
import pytest
from helpers import close, constant, host, leaf

import tinygrad_norm as tn
from tinygrad_norm import autograd, data, nn, optim
from tinygrad_norm.autograd.requests import call_at_end
from tinygrad_norm.nn import functional as F

# ---- edits --------------------------------------------------------------------------------

EDITS = {
    "fill_": lambda x: x.fill_(1.0),
    "zero_": lambda x: x.zero_(),
    "fill_ ": lambda x: x.fill_(tn.tensor(1.0)),
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
    with pytest.raises(RuntimeError, match=f"modified by an inplace operation.*the last edit was {name.strip()}\\."):
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
        with pytest.raises(RuntimeError, match="groups (has to be positive|== 0, but got O = 6)"):
            F.conv2d(x, weight, groups=groups)
    with pytest.raises(RuntimeError, match="bias should contain 6 elements not 5"):
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


def test_a_file_in_a_folder_that_is_not_there(tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match="no-folder"):
        tn.save({"a": tn.ones(1)}, tmp_path / "no-folder" / "file")
    (tmp_path / "broken").write_bytes(b"not a checkpoint")
    with open(tmp_path / "broken", "rb") as file, pytest.raises(ValueError, match="broken: not a complete safetensors file"):
        tn.load(file)


def test_three_datasets_are_as_long_as_all_together() -> None:
    joined = data.ConcatDataset([range(2), range(3), range(5)])
    assert len(joined) == 10
    assert [joined[i] for i in (0, 1, 2, 4, 5, 9, -1)] == [0, 1, 0, 2, 0, 4, 4]


def test_draws_with_chances_follow_their_generator() -> None:
    def draw(seed: int) -> list[int]:
        return list(data.WeightedRandomSampler([1.0] * 50, 20, True, generator=tn.Generator().manual_seed(seed)))

    assert draw(1) == draw(1) != draw(2)


def test_what_is_to_be_fetched_needs_pooch(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(ImportError) as caught:
        data.mnist(tmp_path, download=True)
    assert str(caught.value) == "to fetch train-images-idx3-ubyte.gz needs pooch: pip install 'tinygrad_norm[examples]'"


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


# ---- arguments that are passed on ---------------------------------------------------------


def test_a_dtype_is_the_one_asked_for() -> None:
    made = [
        tn.arange(0, 4, 2, dtype="int32"),
        tn.arange(2.0, dtype="int32"),
        tn.normal(0.0, 1.0, (2,), dtype="float64"),
        tn.full((2,), 1, dtype="float16"),
        tn.linspace(0, 1, 3, dtype="float64"),
        tn.as_tensor([1], dtype="float64"),
        tn.as_tensor(tn.ones(1), dtype="float64"),
        tn.ones(1).new_tensor([1], dtype="float64"),
        tn.ones(1).new_full((1,), 1, dtype="float64"),
        tn.ones(1).type("float64"),
        tn.ones(1).type(np.float64),
    ]
    names = ["int32", "int32", "float64", "float16", *["float64"] * 7]
    assert [t.dtype.name for t in made] == names


@pytest.mark.parametrize("name", ["zeros", "ones", "empty", "full", "rand", "randn"])
def test_what_is_made_requires_grad_if_asked_for(name) -> None:
    of_sizes, like = getattr(tn, name), getattr(tn, f"{name}_like")
    value = (1.0,) if name == "full" else ()
    for asked in (True, False):
        assert of_sizes((2,), *value, requires_grad=asked).requires_grad is asked
        assert like(tn.ones(2), *value, requires_grad=asked).requires_grad is asked
    assert like(tn.ones(2), *value, dtype="float64").dtype.name == "float64"


def test_a_device_is_the_one_asked_for_or_that_of_the_tensor() -> None:
    there = tn.ones(2, device="strict")
    made = [
        tn.zeros(2, device="strict"),
        tn.full((2,), 1.0, device="strict"),
        tn.as_tensor([1.0], device="strict"),
        tn.as_tensor(np.ones(2), device="strict"),
        tn.as_tensor(tn.ones(2, device="cpu"), device="strict"),
        tn.as_tensor(there),
        tn.tensor([1.0], device="strict"),
        tn.arange(3, device="strict"),
        tn.linspace(0, 1, 3, device="strict"),
        tn.eye(2, device="strict"),
        tn.rand(2, device="strict"),
        tn.randn(2, device="strict"),
        tn.randint(3, (2,), device="strict"),
        tn.randperm(3, device="strict"),
        tn.normal(0.0, 1.0, (2,), device="strict"),
        tn.bernoulli(there / 2),
        there.new_tensor([1.0]),
        there.new_full((1,), 2.0),
        there.new_zeros(2),
        there.new_ones(2),
        there.new_empty(2),
        tn.zeros_like(there),
        tn.full_like(there, 1.0),
        tn.rand_like(there),
        tn.randn_like(there),
        tn.ones(2, device="cpu").to("strict"),
        tn.ones(2, device="cpu").to(there),
        F.one_hot(tn.tensor([0, 1], device="strict")),
        F.dropout(there),
        tn.where(there > 0, 1.0, 0.0),
        tn.where(there > 0, there, 0.0),
        there > 0.5,
        there == there,
        there.sum(),
        there.softmax(0),
        tn.cat([there, there]),
        there[[]],
    ]
    assert [t.array.__class__ is there.array.__class__ for t in made] == [True] * len(made)
    with tn.backend("strict"):
        assert tn.as_tensor(np.ones(2)).array.__class__ is there.array.__class__
        assert tn.as_tensor(tn.ones(2, device="cpu")).array.__class__ is np.ndarray
    back = [there.cpu(), there.new_tensor([1.0], device="cpu"), there.new_full((1,), 1.0, device="cpu"), there.to("cpu")]
    assert [t.array.__class__ for t in back] == [np.ndarray] * len(back)


def test_an_array_is_a_copy_if_asked_for_or_if_it_has_to_be() -> None:
    t = tn.ones(2, device="cpu")
    assert np.shares_memory(t.__array__(), t.array)
    assert np.shares_memory(t.__array__(copy=False), t.array)
    assert np.shares_memory(t.__array__(np.dtype("float32"), copy=False), t.array)
    assert not np.shares_memory(t.__array__(copy=True), t.array)
    assert t.__array__(np.dtype("float64")).dtype == "float64"
    with pytest.raises(ValueError, match="cannot give a float32 Tensor as float64 without a copy"):
        t.__array__(np.dtype("float64"), copy=False)


@pytest.mark.parametrize(
    ("name", "dims"), [("dropout", 1), ("dropout1d", 3), ("dropout2d", 4), ("dropout3d", 5), ("alpha_dropout", 2)]
)
def test_in_place_is_passed_on(name, dims) -> None:
    x = tn.ones(*[3] * dims)
    assert getattr(F, name)(x, 1.0, True, inplace=True) is x
    assert (x != 1).all()


def test_every_layer_has_a_choice_of_dimension_without_one() -> None:
    for function in (F.softmax, F.log_softmax):
        for shape, dim in (((3,), 0), ((2, 3), 1), ((2, 3, 4), 0), ((2, 3, 4, 5), 1)):
            x = tn.randn(*shape)
            with pytest.warns(UserWarning, match="Implicit dimension choice"):
                out = function(x)
            close(out, function(x, dim))


def test_nothing_has_no_largest_and_its_softmax_is_nothing() -> None:
    assert tuple(tn.softmax(tn.zeros(3, 0), 1).shape) == (3, 0)
    assert tuple(tn.log_softmax(tn.zeros(3, 0), 1).shape) == (3, 0)
    close(tn.logsumexp(tn.zeros(3, 0), 1), np.full(3, -np.inf))
    close(tn.logsumexp(tn.zeros(3, 0), 1, True), np.full((3, 1), -np.inf))
    for name in ("amax", "amin", "argmax", "argmin", "max", "min"):
        with pytest.raises(IndexError if "arg" in name else RuntimeError, match="non-zero size"):
            getattr(tn.zeros(0), name)()
        with pytest.raises(IndexError, match="non-zero size"):
            getattr(tn.zeros(0, 2), name)(0)


def test_flags_have_a_largest_along_a_dimension() -> None:
    flags = constant([[True, False], [False, False]])
    assert flags.max(1).values.tolist() == [True, False]
    assert flags.max(1).indices.tolist() == [0, 0]
    assert flags.min(1).values.tolist() == [False, False]
    assert flags.min(1).indices.tolist() == [1, 0]


def test_a_mask_of_two_dimensions_beside_an_integer() -> None:
    values = np.arange(24.0).reshape(2, 3, 4)
    mask = np.array([[True, False, True], [False, True, False]])
    x = constant(values)
    close(x[constant(mask), 1], values[mask][:, 1])
    close(x[1, constant(mask[0]), 2], values[1][mask[0]][:, 2])
    close(x[:, constant(np.array([0, 2])), 1], values[:, [0, 2]][:, :, 1])


def test_masks_stand_for_as_many_dimensions_as_they_have() -> None:
    values = np.arange(24.0).reshape(2, 3, 4)
    x = constant(values)
    first, last = np.array([[True, False, True], [False, True, False]]), np.tri(3, 4) > 0
    close(x[constant(first), ...], values[first])
    close(x[..., constant(last)], values[..., last])
    close(x[..., constant(last[0])], values[..., last[0]])
    close(x[constant(first), ..., 1], values[first][:, 1])
    close(x[0, constant(last)], values[0][last])
    for index in (
        (constant(first), 0, 0),
        (0, constant(last), 0),
        (0, 0, 0, 0),
        (constant(first), constant(first)),
        (0, 0, 0, [0]),
    ):
        with pytest.raises(IndexError, match="too many indices for tensor of dimension 3"):
            x[index]
        with pytest.raises(IndexError, match="too many indices for tensor of dimension 3"):
            x[index] = 1.0
    with pytest.raises(IndexError, match=r"mask \(3, 4\) .* tensor \(2, 3, 4\) at 0"):
        x[constant(last)]
    with pytest.raises(IndexError, match=r"mask \(2, 2\) .* tensor \(2, 3, 4\) at 1"):
        x[constant(first[:, :2])]
    with pytest.raises(IndexError, match="out of bounds for dimension 4 with size 0"):
        x[..., ..., 0]
    close(x, values)


def test_a_second_ellipsis_stands_for_whole_dimensions() -> None:
    values = np.arange(24.0).reshape(2, 3, 4)
    x = constant(values)
    close(x[..., ...], values)
    close(x[0, ..., ...], values[0])
    close(x[..., None, ...], values[..., None])
    found = tn.nonzero(tn.tensor(1))
    assert (tuple(found.shape), found.dtype.name) == ((1, 0), "int64")


def test_classes_have_to_be_fewer_than_their_number() -> None:
    assert F.one_hot(constant([0, 2]), 3).tolist() == [[1, 0, 0], [0, 0, 1]]
    with pytest.raises(RuntimeError, match="Class values must be smaller than num_classes"):
        F.one_hot(constant([0, 3]), 3)
    with pytest.raises(RuntimeError, match="Class values must be non-negative"):
        F.one_hot(constant([0, -1]), 3)


def test_a_gradient_of_zeros_has_the_dtype_of_the_input() -> None:
    for function in (tn.sign, tn.floor, tn.ceil, tn.trunc, tn.round, lambda x: tn.div(x, 2, rounding_mode="floor")):
        x = tn.ones(2).requires_grad_()
        (g,) = autograd.grad(function(x).sum(), x)
        assert g.dtype.name == "float32"
        close(g, np.zeros(2))


def test_ranges_of_integers_step() -> None:
    assert tn.arange(0, 7, 2).tolist() == [0, 2, 4, 6]
    assert tn.arange(5, 0, -2).tolist() == [5, 3, 1]
    assert tn.arange(1.0, 2.0, 0.25).tolist() == [1.0, 1.25, 1.5, 1.75]
    assert tn.randperm(3, dtype="float32", requires_grad=True).requires_grad


def test_a_number_to_fill_with_says_the_dtype() -> None:
    made = [
        tn.full((2,), 1),
        tn.full((2,), True),
        tn.full((2,), 1.0),
        tn.full((2,), tn.tensor(1)),
        tn.full((2,), tn.tensor(2.5)),
    ]
    assert [t.dtype.name for t in made] == ["int64", "bool", "float32", "int64", "float32"]
    mask = constant([True, False])
    chosen = [tn.where(mask, 1, 0), tn.where(mask, 1, 0.5), tn.where(mask, True, False), tn.where(mask, 1, tn.ones(2))]
    assert [t.dtype.name for t in chosen] == ["int64", "float32", "bool", "float32"]
    assert chosen[1].tolist() == [1.0, 0.5]


def test_closeness_is_absolute_and_relative_and_of_nans_if_asked_for() -> None:
    x, y = constant([1.0, 100.0, math.nan]), constant([1.05, 101.0, math.nan])
    assert tn.isclose(x, y, rtol=0.02, atol=0.0).tolist() == [False, True, False]
    assert tn.isclose(x, y, rtol=0.0, atol=0.1).tolist() == [True, False, False]
    assert tn.isclose(x, y, rtol=0.02, atol=0.1, equal_nan=True).tolist() == [True, True, True]
    assert tn.isclose(constant([True, False]), constant([True, True])).tolist() == [True, False]
    assert tn.isclose(constant([1, 2]), constant([1, 3])).tolist() == [True, False]


def test_any_over_no_dimensions_gives_flags() -> None:
    assert tn.any(constant([0.0, 2.0]), ()).tolist() == [False, True]
    assert tn.all(constant([0, 2]), ()).dtype.name == "bool"
    assert tn.any(constant([0, 2], "uint8"), ()).dtype.name == "uint8"
    assert tn.any(constant([0, 2], "uint8"), 0).dtype.name == "uint8"
    assert tn.all(constant([[0, 2]], "uint8"), 1, True).tolist() == [[0]]


def test_chances_need_not_add_up_to_one() -> None:
    assert set(tn.multinomial(constant([0.0, 10.0, 0.0]), 50, True).tolist()) == {1}
    drawn = np.array(tn.multinomial(constant([[3.0, 1.0], [10.0, 30.0]]), 4000, True).tolist())
    close(drawn.mean(axis=1), np.array([0.25, 0.75]), 0.04)


def test_a_middle_dimension_becomes_several() -> None:
    assert tuple(tn.unflatten(tn.ones(2, 6, 5, 3), 1, (2, 3)).shape) == (2, 2, 3, 5, 3)
    assert tuple(tn.permute(tn.ones(2, 3), dims=(1, 0)).shape) == (3, 2)
    assert tuple(tn.flip(tn.ones(2, 3), dims=(1, 0)).shape) == (2, 3)
    assert tuple(tn.ones(1).new_empty(size=(2, 3)).shape) == (2, 3)
    assert tuple(tn.ones(1).new_empty(2, 3).shape) == (2, 3)


def test_windows_of_no_elements() -> None:
    assert tuple(tn.ones(3).unfold(0, 0, 1).shape) == (4, 0)
    assert tuple(tn.ones(2, 6).unflatten(1, (6, 1)).shape) == (2, 6, 1)
    assert tuple(tn.ones(2, 6).unflatten(1, (1, -1, 2)).shape) == (2, 1, 3, 2)


def test_a_value_without_dimensions_goes_under_a_mask_in_any_dtype() -> None:
    x = constant([1.0, 2.0], "float32")
    x[x > 1] = tn.tensor(5.0, dtype="float64")
    assert x.tolist() == [1.0, 5.0]
    with pytest.raises(RuntimeError, match="source and destination dtypes match"):
        x[tn.tensor([0])] = tn.tensor(5.0, dtype="float64")


def test_a_diagonal_among_several_dimensions() -> None:
    values = np.random.default_rng(0).standard_normal((2, 2, 3, 4))
    for equation in ("iijk->ijk", "iijk->kij", "iijk->jk", "iijk->i"):
        close(tn.einsum(equation, constant(values)), np.einsum(equation, values))


def test_one_row_may_be_chosen_by_a_number() -> None:
    x = constant([[1.0, 2.0], [3.0, 4.0]])
    assert tn.index_select(x, 0, tn.tensor(1)).tolist() == [[3.0, 4.0]]
    assert tn.index_select(x, 1, tn.tensor([1, 0])).tolist() == [[2.0, 1.0], [4.0, 3.0]]


def test_a_view_that_shows_one_element_often_may_be_set_to_zero() -> None:
    x = leaf([1.0, 2.0]) * 3
    x[:1].expand(3).zero_()
    x.sum().backward()
    base = tn.ones(1)
    base.expand(3).fill_(2)
    assert base.tolist() == [2.0]
    base.expand(3)[constant([0, 2])] = 5.0
    assert base.tolist() == [5.0]


def test_a_value_with_a_history_fills() -> None:
    value = leaf(2.0)
    x = constant([1.0, 2.0], "float64")
    x.fill_(value)
    x.sum().backward()
    close(value.grad, np.array(2.0))


def test_a_loss_of_two_dtypes_is_in_the_wider() -> None:
    narrow, wide = constant([0.1], "float32"), constant([0.3], "float64")
    assert [F.l1_loss(narrow, wide).dtype.name, F.mse_loss(narrow, wide).dtype.name] == ["float64", "float64"]
    assert F.mse_loss(narrow, constant([True])).dtype.name == "float32"


def test_a_norm_without_weights_keeps_the_dtype() -> None:
    for dtype in ("float16", "float32", "float64"):
        x = leaf(np.random.default_rng(0).standard_normal((2, 4, 3)), dtype)
        for y in (F.layer_norm(x, (3,)), F.group_norm(x, 2), F.batch_norm(x, None, None, training=True), F.instance_norm(x)):
            (g,) = autograd.grad((y * y * y).sum(), x)
            assert (y.dtype.name, g.dtype.name) == (dtype, dtype)


def test_one_value_in_each_of_two_processes_is_enough(monkeypatch) -> None:
    monkeypatch.setattr(nn.sync_norm, "all_reduce", lambda array, group=None: 2 * array)
    x = leaf(np.random.default_rng(0).standard_normal((3, 2)), "float32")
    y = nn.sync_norm.sync_batch_norm(x, None, None, None, None, 0.1, 1e-5, None)
    (g,) = autograd.grad((y * y * y).sum(), x)
    assert (y.array.dtype, g.array.dtype) == ("float32", "float32")
    assert nn.sync_norm.sync_batch_norm(tn.ones(1, 2), None, None, None, None, 0.1, 1e-5, None).tolist() == [[0.0, 0.0]]


# ---- printing -----------------------------------------------------------------------------


def test_blocks_are_parted_by_empty_lines_and_numbers_stand_in_columns() -> None:
    x = tn.tensor([[[1, 20]], [[300, 4]]], device="cpu")
    assert repr(x) == "tensor([[[  1,  20]],\n\n        [[300,   4]]])"
    assert repr(tn.tensor(7, device="cpu")) == "tensor(7)"
    assert repr(tn.tensor([True, False], device="cpu")) == "tensor([ True, False])"
    with np.printoptions(threshold=2, edgeitems=1, linewidth=20):
        assert repr(tn.arange(5, device="cpu")) == "tensor([0, 1, 2, 3, 4])"


def test_small_beside_large_is_written_with_exponents() -> None:
    for values, text in (
        ([0.001, 2000.0], "[1.0000e-03, 2.0000e+03]"),
        ([1e-5, 1.0], "[1.0000e-05, 1.0000e+00]"),
        ([0.5, 100.0], "[  0.5000, 100.0000]"),
        ([1.0, 2.0, 1e8], "[1.0000e+00, 2.0000e+00, 1.0000e+08]"),
    ):
        assert repr(tn.tensor(values, device="cpu")) == f"tensor({text})"


# ---- optimizers and their schedules -------------------------------------------------------


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop"])
def test_ways_to_run_are_kept_with_the_settings(name) -> None:
    ways = {"foreach": False, "differentiable": True, "fused": 1, "capturable": 2, "maximize": True}
    if name == "SGD":
        del ways["capturable"]
    elif name == "RMSprop":
        del ways["fused"]
    else:
        ways["amsgrad"] = True
    (group,) = getattr(optim, name)([leaf([1.0])], lr=0.1, **ways).param_groups
    assert {way: group[way] for way in ways} == ways


@pytest.mark.parametrize("centered", [True, False])
@pytest.mark.parametrize("maximize", [True, False])
def test_rmsprop_is_its_formula(centered, maximize) -> None:
    p, settings = np.array([1.0, -2.0]), {"alpha": 0.9, "eps": 0.01, "weight_decay": 0.1, "momentum": 0.5}
    x, v, a, b = leaf(p), 0.0, 0.0, 0.0
    optimizer = optim.RMSprop([x], lr=tn.tensor(0.1, dtype="float64"), centered=centered, maximize=maximize, **settings)
    for _ in range(4):
        optimizer.zero_grad()
        (x * x * x).sum().backward()
        optimizer.step()
        g = 3 * p * p * (-1 if maximize else 1) + 0.1 * p
        v, a = 0.9 * v + 0.1 * g * g, 0.9 * a + 0.1 * g
        b = 0.5 * b + g / (np.sqrt(v - a * a if centered else v) + 0.01)
        p = p - 0.1 * b
        close(x, p)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop"])
def test_a_step_returns_nothing_or_the_loss(name) -> None:
    optimizer = getattr(optim, name)([leaf([1.0])], lr=0.1)
    assert optimizer.step() is None
    assert optimizer.step(lambda: 3.0) == 3.0


def test_a_loaded_state_has_the_dtype_of_its_parameter() -> None:
    def trained(dtype: str) -> optim.Adam:
        x = leaf([1.0, 2.0], dtype)
        optimizer = optim.Adam([x], lr=0.1)
        (x * x).sum().backward()
        optimizer.step()
        return optimizer

    narrow, wide = trained("float32"), trained("float64")
    narrow.load_state_dict(wide.state_dict())
    (state,), (other,) = narrow.state.values(), wide.state.values()
    assert state["exp_avg"].dtype.name == "float32"
    close(state["exp_avg"], other["exp_avg"], 1e-6)
    assert not np.shares_memory(host(state["exp_avg"]), host(other["exp_avg"]))


def test_a_loaded_state_may_number_its_parameters_in_words() -> None:
    x = leaf([1.0, 2.0])
    optimizer = optim.SGD([x], lr=0.1, momentum=0.9)
    momentum = {"0": {"momentum_buffer": tn.ones(2, dtype="float64")}}
    optimizer.load_state_dict({**optimizer.state_dict(), "state": momentum})
    close(optimizer.state[x]["momentum_buffer"], np.ones(2))


def test_a_schedule_by_a_function_without_attributes() -> None:
    schedule = optim.lr_scheduler.LambdaLR(optim.SGD([leaf([1.0])], lr=0.1), math.exp)
    assert schedule.state_dict()["lr_lambdas"] == [{}]
    assert schedule.get_last_lr() == [0.1]


# ---- derivatives --------------------------------------------------------------------------


def test_a_product_with_what_does_not_depend_on_the_input() -> None:
    fixed = leaf([3.0])
    x = constant([1.0, 2.0], "float64")
    (one, other), (j_one, j_other) = autograd.functional.jvp(lambda t: (t * 2, fixed * 1), x, constant([1.0, 1.0], "float64"))
    close(one, np.array([2.0, 4.0]))
    close(other, np.array([3.0]))
    close(j_one, np.array([2.0, 2.0]))
    close(j_other, np.array([0.0]))


def test_a_number_may_be_a_tensor_without_dimensions_and_history() -> None:
    x = constant([-1.0, 1.0], "float64")
    close(F.leaky_relu(x, tn.tensor(0.5)), np.array([-0.5, 1.0]))
    close(tn.sum(constant([[1.0, 2.0]]), tn.tensor(1)), np.array([3.0]))
    for wrong in (tn.ones(1), leaf(0.5)):
        with pytest.raises(TypeError, match="argument 'negative_slope' must be float, not Tensor"):
            F.leaky_relu(x, wrong)


def test_a_function_of_constants_has_no_history() -> None:
    class Double(autograd.Function):
        @staticmethod
        def forward(ctx, t):
            return t * 2

        @staticmethod
        def backward(ctx, g):
            return g * 2

    assert Double.apply(tn.ones(2)).grad_fn is None
    with tn.no_grad():
        assert Double.apply(leaf([1.0])).grad_fn is None
    assert Double.apply(leaf([1.0])).grad_fn is not None


def test_a_function_of_three_results_of_different_sizes() -> None:
    class Parts(autograd.Function):
        @staticmethod
        def forward(ctx, t):
            return t[:1] * 1, t[1:3] * 2, t[3:] * 3

        @staticmethod
        def backward(ctx, a, b, c):
            return tn.cat([a, b * 2, c * 3])

    x = leaf(np.arange(6.0))
    a, b, c = Parts.apply(x)
    (a.sum() + (b * constant([1.0, 10.0])).sum() + (c * constant([1.0, 10.0, 100.0])).sum()).backward()
    close(x.grad, np.array([1.0, 2.0, 20.0, 3.0, 30.0, 300.0]))


def test_second_derivatives_where_a_class_is_ignored() -> None:
    rng = np.random.default_rng(0)
    x, target = leaf(rng.standard_normal((4, 3))), tn.tensor([0, 1, 2, 0])
    keep = constant([1.0, 0.0, 1.0, 1.0])

    def by_hand(x: tn.Tensor) -> tn.Tensor:
        return -(F.log_softmax(x, 1)[tn.arange(4), target] * keep).sum() / 3

    def curvature(loss: tn.Tensor) -> tn.Tensor:
        (g,) = autograd.grad(loss, x, create_graph=True)
        return autograd.grad((g * g * g).sum(), x)[0]

    close(curvature(F.cross_entropy(x, target, ignore_index=1)), curvature(by_hand(x)))


def test_second_derivatives_of_a_norm_over_all_processes(monkeypatch) -> None:
    monkeypatch.setattr(nn.sync_norm, "all_reduce", lambda array, group=None: array)
    rng = np.random.default_rng(0)
    x, weight, bias = leaf(rng.standard_normal((4, 2, 3))), leaf([1.0, 2.0]), leaf([0.5, 0.0])

    def curvature(y: tn.Tensor) -> list[tn.Tensor]:
        grads = autograd.grad((y * y * y).sum(), [x, weight, bias], create_graph=True)
        return list(autograd.grad(sum((g * g).sum() for g in grads), [x, weight, bias]))

    found = curvature(nn.sync_norm.sync_batch_norm(x, None, None, weight, bias, 0.1, 1e-5, None))
    for a, b in zip(found, curvature(F.batch_norm(x, None, None, weight, bias, training=True))):
        close(a, b, 1e-9)


def test_what_waits_for_the_end_of_backward_is_called_once() -> None:
    called = []
    assert not call_at_end(lambda: called.append("outside"))
    x = leaf([1.0])

    def hook(g: tn.Tensor) -> None:
        assert call_at_end(lambda: called.append(x.grad))

    x.register_hook(hook)
    (x * 2).sum().backward()
    assert len(called) == 1
    assert called[0] is x.grad


def test_inputs_of_an_op_may_be_named_and_left_out() -> None:
    @autograd.op
    def scaled(x, w=None, *, by=1.0):
        return x * by if w is None else x * w * by

    scaled.vjp(x=lambda g, w, by: g * by if w is None else g * w * by, w=lambda g, x, by: g * x * by)
    x, w = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    for found, factor in (
        (scaled(x), 1.0),
        (scaled(x=x), 1.0),
        (scaled(x, by=2.0), 2.0),
        (scaled(by=2.0, x=x), 2.0),
        (scaled(x, w=w), np.array([3.0, 4.0])),
        (scaled(w=w, x=x, by=2.0), np.array([6.0, 8.0])),
    ):
        close(found, host(x) * factor)
        close(autograd.grad(found.sum(), x)[0], np.ones(2) * factor)
    with pytest.raises(TypeError, match="scaled.*missing a required argument: .x"):
        scaled(w=w)


def test_a_hook_changes_what_the_hooks_that_wait_for_it_find() -> None:
    x, found = leaf([1.0, 2.0]), []
    x.register_hook(lambda g: g * 10)
    x.register_post_accumulate_grad_hook(lambda t: found.append(t.grad.tolist()))
    (x * constant([1.0, 3.0])).sum().backward()
    assert found == [[10.0, 30.0]]


def test_a_copy_of_a_leaf_is_a_leaf() -> None:
    x = copy.deepcopy(leaf([1.0]))
    assert x.requires_grad is True
    assert copy.deepcopy(tn.ones(1)).requires_grad is False
    (x * 2).sum().backward()
    close(x.grad, np.array([2.0]))


def test_a_missing_name_is_given_to_python() -> None:
    x = tn.ones(2)
    with pytest.raises(AttributeError) as caught:
        x.does_not_exist  # noqa: B018
    assert (caught.value.name, caught.value.obj is x) == ("does_not_exist", True)


def test_the_last_edit_is_named_also_where_it_is_no_arithmetic() -> None:
    running = tn.zeros(2, dtype="float64"), tn.ones(2, dtype="float64")
    weight = leaf([1.0, 2.0])
    loss = (weight * running[0]).sum()
    F.batch_norm(constant(np.arange(6.0).reshape(3, 2)), *running, training=True)
    with pytest.raises(RuntimeError, match="the last edit was the running moments' update"):
        loss.backward()
    for name, args in (("t_", ()), ("squeeze_", ()), ("unsqueeze_", (0,))):
        x = leaf(np.ones((2, 2))) * 1
        loss = (x * x).sum()
        getattr(x, name)(*args)
        x.add_(0)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()
    assert tn.ones(1, 1).expand(3, 1).t_().shape == (1, 3)


@pytest.mark.parametrize("pool", [lambda x: F.avg_pool2d(x, 2, 2, 1), lambda x: F.avg_pool2d(x, 2, 2, 1, False, False)])
def test_second_derivatives_of_a_convolution_without_bias_and_of_padded_pooling(pool) -> None:
    rng = np.random.default_rng(0)

    def curvature(bias: tn.Tensor | None) -> tn.Tensor:
        out = pool(F.conv2d(x, weight, bias, padding=1, groups=2))
        (g,) = autograd.grad((out * out).sum(), x, create_graph=True)
        return autograd.grad((g * g).sum(), weight)[0]

    x, weight = leaf(rng.standard_normal((2, 4, 5, 5))), leaf(rng.standard_normal((6, 2, 3, 3)))
    close(curvature(None), curvature(tn.zeros(6, dtype="float64")), 1e-10)
    eps = 1e-6
    along = rng.standard_normal(weight.shape)

    def squares(step: float) -> float:
        out = pool(F.conv2d(x, weight.detach() + step * constant(along), None, padding=1, groups=2))
        (g,) = autograd.grad((out * out).sum(), x)
        return float((g * g).sum())

    measured = (squares(eps) - squares(-eps)) / (2 * eps)
    assert float((curvature(None) * constant(along)).sum()) == pytest.approx(measured, rel=1e-5)
