"""What few programs call, against its formula or what PyTorch documents."""

from __future__ import annotations

import collections.abc
import copy
import math
import types
from collections import namedtuple

import numpy as np
import pytest
from helpers import close, constant, host, leaf

import tinygrad_norm as tn
from tinygrad_norm import autograd, data, nn, optim
from tinygrad_norm.nn import functional as F

# ---- ops ----------------------------------------------------------------------------------


def test_new_tensors_are_of_the_same_dtype_and_device() -> None:
    x = constant([1.0], "float64")
    close(x.new_tensor([1, 2]), np.array([1.0, 2.0]))
    close(x.new_full((2,), 3), np.array([3.0, 3.0]))
    close(x.new_zeros(2, 1), np.zeros((2, 1)))
    close(x.new_ones((1, 2)), np.ones((1, 2)))
    assert x.new_empty(2, 3).shape == (2, 3)
    for made in (x.new_tensor([1]), x.new_full((1,), 1), x.new_zeros(1), x.new_ones(1), x.new_empty(1)):
        assert made.dtype == tn.float64
        assert made.device == x.device
    for like in (tn.rand_like, tn.randn_like):
        assert like(x).dtype == tn.float64
        assert like(x, dtype="float32").dtype == tn.float32


def test_questions_about_a_tensor() -> None:
    x = constant(np.zeros((2, 3)), "float32")
    assert x.element_size() == 4
    assert x.is_floating_point()
    assert not x.long().is_floating_point()
    assert x.is_contiguous()
    assert not x.T.is_contiguous()
    assert tn.is_tensor(x)
    assert not tn.is_tensor(host(x))


def test_places_that_are_not_zero() -> None:
    x = constant([[0, 2], [3, 0]])
    close(x.nonzero(), np.array([[0, 1], [1, 0]]))
    rows, columns = x.nonzero(as_tuple=True)
    close(rows, np.array([0, 1]))
    close(columns, np.array([1, 0]))
    assert tn.tensor(3).nonzero().shape == (1, 0)
    close(tn.where(x > 2)[0], np.array([1]))


def test_integers_are_divided_as_integers() -> None:
    x, y = constant([-7, 7, 6]), constant([2, -2, 3])
    close(tn.div(x, y, rounding_mode="floor"), np.array([-4, -4, 2]))
    close(tn.div(x, y, rounding_mode="trunc"), np.array([-3, -3, 2]))


def test_an_edit_of_a_view_by_relu_reaches_the_base_and_its_gradient() -> None:
    x = leaf([[-1.0, 2.0], [3.0, -4.0]])
    y = x * 1
    y[0].relu_()
    close(y, np.array([[0.0, 2.0], [3.0, -4.0]]))
    (y * y).sum().backward()
    close(x.grad, np.array([[0.0, 4.0], [6.0, -8.0]]))


def test_numbers_of_no_dimension_as_values() -> None:
    x, mask = leaf([1.0, 2.0]), constant([True, False])
    value = leaf(5.0)
    filled = x.masked_fill(mask, value)
    close(filled, np.array([5.0, 2.0]))
    filled.sum().backward()
    close(value.grad, np.array(1.0))
    close(x.grad, np.array([0.0, 1.0]))
    close(x.detach().clamp_max(1.5), np.array([1.0, 1.5]))
    close(tn.logical_xor(mask, constant([True, True])), np.array([False, True]))
    assert tn.isclose(tn.tensor([1, 2]), tn.tensor([1, 3])).tolist() == [True, False]


def test_products_of_vectors_and_diagonals() -> None:
    a, v = np.arange(6.0).reshape(2, 3), np.array([1.0, -1.0, 2.0])
    close(tn.mv(constant(a), constant(v)), a @ v)
    close(tn.diag(constant(a)), np.diag(a))
    close(tn.diag(constant(a), 1), np.diag(a, 1))
    close(F.linear(constant(a), constant(v)), a @ v)
    close(F.linear(constant(a), constant(v), constant(1.0)), a @ v + 1)


def test_repeats_and_flat_choices() -> None:
    a = np.array([[1, 2], [3, 4]])
    close(constant(a).repeat_interleave(2), np.repeat(a, 2))
    close(constant(a).take_along_dim(constant([3, 0])), np.array([4, 1]))
    close(F.pad(constant([[1.0, 2.0, 3.0]]), (-1, 2), "reflect"), np.array([[2.0, 3.0, 2.0, 1.0]]))


def test_an_old_mask_of_bytes_and_several_ellipses() -> None:
    x = constant([[1.0, 2.0], [3.0, 4.0]])
    close(x[constant([1, 0], "uint8")], np.array([[1.0, 2.0]]))
    close(x[1, ..., ...], np.array([3.0, 4.0]))


# ---- random numbers -----------------------------------------------------------------------


def test_zeros_and_ones_with_given_chances() -> None:
    tn.manual_seed(0)
    x = tn.empty(10_000, device=tn.get_backend()).bernoulli_(0.3)
    assert set(np.unique(host(x))) == {0.0, 1.0}
    assert 0.28 < x.mean().item() < 0.32
    chances = constant([0.0, 1.0], "float32")
    close(tn.empty(2, device=tn.get_backend()).bernoulli_(chances), np.array([0.0, 1.0], "float32"))


# ---- layers -------------------------------------------------------------------------------


def test_alpha_dropout_keeps_mean_and_variance() -> None:
    """Klambauer et al. 2017, arXiv:1706.02515, section "New dropout technique"."""
    tn.manual_seed(0)
    x = tn.randn(200_000, device=tn.get_backend())
    y = F.alpha_dropout(x, 0.2, training=True)
    assert abs(y.mean().item()) < 0.02
    assert abs(y.var().item() - 1) < 0.03
    q, limit = 0.8, -1.0507009873554805 * 1.6732632423543772  # the least value of selu
    dropped = (limit - 0.2 * limit) * (q + limit**2 * 0.2 * q) ** -0.5
    assert 0.19 < ((y - dropped).abs() < 1e-5).to("float32").mean().item() < 0.21
    assert F.alpha_dropout(x, 0.2, training=False) is x
    close(F.alpha_dropout(x[:5], 1.0, training=True), np.zeros(5, "float32"))
    layer, same = nn.AlphaDropout(0.5, inplace=True), x[:8].clone()
    assert layer(same) is same


@pytest.mark.parametrize(
    ("drop", "shape"), [(F.dropout1d, (30, 40, 5)), (F.dropout2d, (30, 40, 5, 2)), (F.dropout3d, (30, 40, 5, 2, 2))]
)
def test_whole_channels_are_dropped(drop, shape) -> None:
    tn.manual_seed(0)
    y = host(drop(tn.ones(shape, device=tn.get_backend()), 0.5)).reshape(*shape[:2], -1)
    assert set(np.unique(y)) == {0.0, 2.0}
    assert (y == y[..., :1]).all()
    assert 0.45 < (y[..., 0] == 0).mean() < 0.55


def test_rows_of_an_embedding() -> None:
    rows = np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])
    layer = nn.Embedding.from_pretrained(constant(rows), freeze=False, padding_idx=1)
    out = layer(constant([[2, 1], [0, 2]]))
    close(out, rows[[[2, 1], [0, 2]]])
    out.sum().backward()
    close(layer.weight.grad, np.array([[1.0, 1.0], [0.0, 0.0], [2.0, 2.0]]))  # none for the padding
    assert repr(layer) == "Embedding(3, 2, padding_idx=1)"
    layer.reset_parameters()
    assert host(layer.weight)[1].tolist() == [0.0, 0.0]
    assert not nn.Embedding.from_pretrained(constant(rows)).weight.requires_grad


def test_unflatten_undoes_flatten() -> None:
    layer = nn.Unflatten(1, (2, 3))
    x = constant(np.arange(12.0).reshape(2, 6))
    close(nn.Flatten()(layer(x)), host(x))
    assert repr(layer) == "Unflatten(dim=1, unflattened_size=(2, 3))"
    assert repr(nn.AdaptiveAvgPool2d(3)) == "AdaptiveAvgPool2d(output_size=3)"


def test_padding_by_reflection_is_padding_first() -> None:
    tn.manual_seed(0)
    layer = nn.Conv1d(1, 2, 3, padding=1, padding_mode="reflect")
    x = tn.randn(2, 1, 5)
    padded = F.pad(x, (1, 1), "reflect")
    close(layer(x), F.conv1d(padded, layer.weight, layer.bias), 1e-6)
    lazy = nn.LazyConv1d(2, 3)
    lazy(x)
    assert lazy.weight.shape == (2, 1, 3)


def test_modules_by_name() -> None:
    modules = nn.ModuleDict({"a": nn.ReLU(), "b": nn.Tanh()})
    assert list(modules.keys()) == ["a", "b"]
    assert [type(m) for m in modules.values()] == [nn.ReLU, nn.Tanh]
    assert [name for name, _ in modules.items()] == ["a", "b"]
    modules.clear()
    assert len(modules) == 0
    named = nn.Sequential({"first": nn.ReLU(), "second": nn.Tanh()})
    del named[0]
    assert [name for name, _ in named.named_children()] == ["second"]


def test_old_reductions_and_half_precision_of_losses() -> None:
    a, b = constant([1.0, 4.0]), constant([0.0, 0.0])
    close(F.mse_loss(a, b, reduce=False), np.array([1.0, 16.0]))
    close(F.mse_loss(a, b, size_average=False), np.array(17.0))
    close(F.mse_loss(a > 2, b), np.array(0.5))
    scores = np.array([[1.0, 2.0, 0.5]])
    exact = math.log(np.exp(scores).sum()) - 2.0
    half = F.cross_entropy(constant(scores, "float16"), constant([1]))
    assert half.dtype == tn.float16
    close(half.to("float64"), np.array(exact), 1e-3)
    close(F.relu(a - 2, inplace=True), np.array([0.0, 2.0]))
    close(F.leaky_relu(a - 2, 0.5, inplace=True), np.array([-0.5, 2.0]))


def test_half_precision_convolution_adds_up_in_single() -> None:
    image = constant(np.full((1, 64, 9, 9), 0.1), "float16")
    weight = constant(np.full((1, 64, 9, 9), 0.1), "float16")
    exact = 64 * 81 * float(np.float16(0.1)) ** 2
    assert abs(F.conv2d(image, weight).item() - exact) / exact < 1e-3


# ---- nn.utils -----------------------------------------------------------------------------


def test_parameters_as_one_vector_and_clipped_values() -> None:
    net = nn.Linear(2, 1)
    vector = nn.utils.parameters_to_vector(net.parameters())
    close(vector, np.concatenate([host(net.weight).reshape(-1), host(net.bias)]))
    nn.utils.vector_to_parameters(constant([1.0, 2.0, 3.0], "float32"), net.parameters())
    close(net.weight, np.array([[1.0, 2.0]], "float32"))
    close(net.bias, np.array([3.0], "float32"))
    (net.weight * constant([[5.0, -0.1]], "float32")).sum().backward()
    nn.utils.clip_grad_value_(net.parameters(), 1.0)
    close(net.weight.grad, np.array([[1.0, -0.1]], "float32"))
    assert net.bias.grad is None


# ---- derivatives as functions -------------------------------------------------------------


def test_products_with_the_second_derivative() -> None:
    x, v = constant([1.0, 2.0]), constant([1.0, 3.0])
    cubes = lambda t: (t**3).sum()  # noqa: E731
    for product in (autograd.functional.hvp, autograd.functional.vhp):
        value, found = product(cubes, x, v)
        close(value, np.array(9.0))
        close(found, np.array([6.0, 36.0]))
    value, found = autograd.functional.hvp(lambda t: t**3, constant(2.0))
    close(found, np.array(12.0))
    with pytest.raises(RuntimeError, match="independent"):
        autograd.functional.jacobian(lambda a, b: a * 2, (x, v), strict=True)


def test_grad_mode_inside_a_generator_is_its_own() -> None:
    @tn.no_grad()
    def numbers():
        got = yield tn.is_grad_enabled()
        try:
            yield got, tn.is_grad_enabled()
        except KeyError:
            yield "caught"
        return "end"

    running = numbers()
    assert next(running) is False
    assert tn.is_grad_enabled()
    assert running.send(3) == (3, False)
    assert running.throw(KeyError("x")) == "caught"
    with pytest.raises(StopIteration) as stop:
        next(running)
    assert stop.value.value == "end"
    with tn.inference_mode(False):
        assert tn.is_grad_enabled()


# ---- data ---------------------------------------------------------------------------------


def test_datasets_one_after_the_other() -> None:
    both = data.ConcatDataset([range(2), range(10, 13)])
    assert [both[i] for i in range(len(both))] == [0, 1, 10, 11, 12]
    assert both[-1] == 12
    assert [data.Subset(both, [4, 0])[i] for i in range(2)] == [12, 0]
    parts = data.random_split(range(10), [0.33, 0.33, 0.34])
    assert [len(p) for p in parts] == [4, 3, 3]  # what rounding down leaves goes to the first ones
    assert sorted(i for p in parts for i in p.indices) == list(range(10))


def test_samples_without_batches_become_tensors() -> None:
    point = namedtuple("point", "a b")
    items = [{"a": np.float64(1.0), "p": point(np.arange(2), "text"), "l": [np.int64(1)]}]
    loader = data.DataLoader(items, batch_size=None)
    (item,) = loader
    assert len(loader) == 1
    assert item["a"].dtype == tn.float64
    assert type(item["p"]).__name__ == "point"
    close(item["p"].a, np.arange(2))
    assert item["p"].b == "text"
    assert item["l"][0].item() == 1


def test_lengths_of_loaders_and_samplers() -> None:
    for drop, expected in ((False, 4), (True, 3)):
        assert len(data.DataLoader(range(10), batch_size=3, drop_last=drop)) == expected
    tn.manual_seed(0)
    drawn = list(data.RandomSampler(range(5), replacement=True, num_samples=50))
    assert len(drawn) == 50
    assert set(drawn) <= set(range(5))
    chosen = data.SubsetRandomSampler([4, 7, 9])
    assert len(chosen) == 3
    assert sorted(chosen) == [4, 7, 9]


# ---- optimizers ---------------------------------------------------------------------------


def test_rmsprop_by_its_formula() -> None:
    p = leaf([1.0])
    optimizer = optim.RMSprop([p], lr=0.1, alpha=0.9, eps=1e-8, weight_decay=0.5, maximize=True)
    w, square = 1.0, 0.0
    for gradient in (3.0, -1.0, 2.0):
        p.grad = constant([gradient])
        optimizer.step()
        g = -gradient + 0.5 * w
        square = 0.9 * square + 0.1 * g * g
        w -= 0.1 * g / (math.sqrt(square) + 1e-8)
        close(p, np.array([w]))


@pytest.mark.filterwarnings("ignore:The epoch parameter")
def test_schedulers_can_be_set_to_an_epoch() -> None:
    rules = {
        (optim.lr_scheduler.ExponentialLR, (0.5,)): 0.5**4,
        (optim.lr_scheduler.MultiStepLR, ((2, 3, 9),)): 0.1**2,
        (optim.lr_scheduler.CosineAnnealingLR, (10,)): (1 + math.cos(math.pi * 0.4)) / 2,
        (optim.lr_scheduler.StepLR, (2,)): 0.1**2,
    }
    for (kind, arguments), expected in rules.items():
        optimizer = optim.SGD([leaf([1.0])], lr=1.0)
        scheduler = kind(optimizer, *arguments)
        optimizer.step()
        scheduler.step(4)
        assert optimizer.param_groups[0]["lr"] == pytest.approx(expected)


def test_a_plateau_waits_for_its_cooldown() -> None:
    optimizer = optim.SGD([leaf([1.0])], lr=1.0)
    scheduler = optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=1, cooldown=2, factor=0.5)
    rates = []
    for _ in range(8):
        scheduler.step(1.0)
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == [1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25]


# ---- gradients ----------------------------------------------------------------------------


def test_old_and_rare_arguments_of_grad() -> None:
    x, y = leaf([2.0]), leaf([3.0])
    with pytest.warns(FutureWarning, match="only_inputs"):
        close(tn.autograd.grad((x * x).sum(), x, only_inputs=False)[0], np.array([4.0]))
    with pytest.raises(NotImplementedError, match="is_grads_batched"):
        tn.autograd.grad(x.sum(), x, is_grads_batched=True)
    zeros, of_x = tn.autograd.grad((x * x).sum(), (y, x), materialize_grads=True)
    close(zeros, np.zeros(1))
    close(of_x, np.array([4.0]))
    assert x.grad is None


@pytest.mark.parametrize("create_graph", [False, True])
def test_a_vjp_may_give_less_than_the_shape_of_its_input(create_graph) -> None:
    @tn.op(broadcasts=True)
    def three_times_the_sum(x):
        return 3 * x.sum()

    three_times_the_sum.vjp(x=lambda g: 3 * g)  # a number: the same for every element
    x = leaf(np.ones((2, 3)))
    three_times_the_sum(x).backward(create_graph=create_graph)
    close(x.grad, np.full((2, 3), 3.0))


def test_a_leaf_that_was_switched_off_before_backward_gets_no_gradient() -> None:
    x, called = leaf([1.0]), []
    x.register_post_accumulate_grad_hook(called.append)
    loss = (x * 2).sum()
    x.requires_grad_(False)
    loss.backward()
    assert x.grad is None
    assert not called


def test_hooks_that_wait_are_taken_away_one_by_one() -> None:
    x, called = leaf([1.0]), []
    with x.register_post_accumulate_grad_hook(lambda x: called.append("first")):
        x.register_post_accumulate_grad_hook(lambda x: called.append("second"))
        x.sum().backward()
    x.sum().backward()
    assert called == ["first", "second", "second"]


def test_places_where_gradients_end_are_equal_and_can_be_keys() -> None:
    x, y = leaf([1.0]), leaf([1.0])
    (of_x, _), (again, _) = (x * x).grad_fn.next_functions
    (of_y, _), _ = (y * 2).grad_fn.next_functions
    assert of_x == again != of_y
    assert len({of_x, again, of_y}) == 2


def test_one_tensor_twice_is_copied_once() -> None:
    x, p = leaf([1.0]), nn.Parameter(tn.ones(2))
    a, b, c, d = copy.deepcopy([x, x, p, p])
    assert a is b is not x
    assert c is d is not p


def test_a_function_whose_outputs_are_not_differentiable_has_none() -> None:
    class Whole(autograd.Function):
        @staticmethod
        def forward(ctx, x):
            out = x.round()
            ctx.mark_non_differentiable(out)
            return out

    assert not Whole.apply(leaf([1.4])).requires_grad
    with pytest.raises(NotImplementedError, match="clone"):
        autograd.function.Context(()).mark_dirty(leaf([1.0]))


def test_a_function_set_up_apart_from_its_forward() -> None:
    class Cube(autograd.Function):
        @staticmethod
        def forward(x):
            return x**3

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(inputs[0], output)

        @staticmethod
        def backward(ctx, g):
            x, cube = ctx.saved_tensors
            return g * 3 * cube / x

    x = leaf([2.0])
    Cube.apply(x).backward()
    close(x.grad, np.array([12.0]))


# ---- modules ------------------------------------------------------------------------------


def test_modules_show_their_arguments() -> None:
    assert repr(nn.Flatten(0, -2)) == "Flatten(start_dim=0, end_dim=-2)"
    assert repr(nn.ELU(0.5, inplace=True)) == "ELU(alpha=0.5, inplace=True)"
    assert repr(nn.ReLU(inplace=True)) == "ReLU(inplace=True)"
    assert repr(nn.ReLU()) == "ReLU()"


def test_what_a_module_has_of_its_own() -> None:
    norm = nn.BatchNorm1d(2)
    assert list(norm._buffers) == ["running_mean", "running_var", "num_batches_tracked"]
    assert "weight" in repr(norm._parameters)
    with pytest.raises(AttributeError, match="is not an nn.Module"):
        norm.get_submodule("weight")
    for ask in (norm.get_extra_state, lambda: norm.set_extra_state(1)):
        with pytest.raises(RuntimeError, match="define get_extra_state"):
            ask()

    class Unready(nn.Module):
        def __init__(self) -> None:
            self.weight = nn.Parameter(tn.ones(1))

    with pytest.raises(AttributeError, match=r"cannot assign parameters? before Module.__init__\(\) call"):
        Unready()


def test_weights_for_a_module_that_has_no_shape_yet() -> None:
    net, lazy = nn.Linear(3, 2), nn.LazyLinear(2)
    lazy.load_state_dict(net.state_dict())
    x = tn.ones(1, 3)
    close(lazy(x), net(x), 0)
    assigned = nn.Linear(3, 2)
    assigned.load_state_dict({k: v.detach() for k, v in net.state_dict().items()}, assign=True)
    assert isinstance(assigned.weight, nn.Parameter)


def test_gains() -> None:
    for name, gain in {"linear": 1, "sigmoid": 1, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 0.75}.items():
        assert nn.init.calculate_gain(name) == gain
    assert nn.init.calculate_gain("leaky_relu", 1.0) == 1.0


def test_dictionaries_of_modules_lose_what_is_deleted() -> None:
    modules = nn.ModuleDict({"a": nn.ReLU()})
    del modules["a"]
    assert not len(modules)
    with pytest.raises(KeyError, match="a"):
        del modules["a"]


# ---- more ops -----------------------------------------------------------------------------


def test_sums_and_products_in_a_dtype() -> None:
    x = constant([1.6, 2.7], "float32")
    assert x.sum(dtype=tn.int64).item() == 3  # each is cut first
    assert x.prod(dtype="float64").dtype == tn.float64
    assert x.prod(dtype=tn.int32).item() == 2


def test_padding_around_may_crop() -> None:
    x = constant(np.arange(5.0)[None])
    close(F.pad(x, (-1, 2), mode="circular"), np.array([[1.0, 2, 3, 4, 1, 2]]))


def test_means_of_integers_are_cut() -> None:
    x = constant([[[[-7, 2], [0, 0]]]])
    close(F.avg_pool2d(x, (1, 2)), np.array([[[[-2], [0]]]]))


def test_flags_are_close_where_they_are_equal() -> None:
    a, b = constant([True, False]), constant([True, True])
    close(tn.isclose(a, b), np.array([True, False]))


def test_sizes_can_be_joined() -> None:
    assert tn.Size([1, 2]) + (3,) == tn.Size([1, 2, 3])
    assert isinstance(tn.Size([1]) + tn.Size([2]), tn.Size)


# ---- data ---------------------------------------------------------------------------------


class Stream(data.IterableDataset):
    """Seven numbers, one after the other."""

    def __iter__(self):
        return iter(range(7))

    def __len__(self) -> int:
        return 7


def test_data_that_come_one_after_the_other() -> None:
    assert [len(data.DataLoader(Stream(), b, drop_last=d)) for b, d in ((3, False), (3, True), (None, False))] == [3, 2, 7]
    batches = [b.tolist() for b in data.DataLoader(Stream(), 3, drop_last=True)]
    assert batches == [[0, 1, 2], [3, 4, 5]]
    assert list(data.DataLoader(Stream(), None)) == list(range(7))
    iterator = iter(data.DataLoader(Stream(), 7))
    assert iter(iterator) is iterator


def test_mappings_are_batched_as_mappings() -> None:
    frozen = data.default_collate([types.MappingProxyType({"a": 1}), types.MappingProxyType({"a": 2})])
    close(frozen["a"], np.array([1, 2]))

    class Odd(collections.abc.Mapping):  # cannot be made from a dict
        def __init__(self) -> None:
            self.items_ = {"a": 1}

        def __getitem__(self, key):
            return self.items_[key]

        def __iter__(self):
            return iter(self.items_)

        def __len__(self) -> int:
            return 1

    batch = data.default_collate([Odd(), Odd()])
    assert type(batch) is dict
    close(batch["a"], np.array([1, 1]))


def test_annotations_name_what_is_in_a_dataset() -> None:
    assert data.Dataset[int] is data.Dataset
    assert data.Sampler[int] is data.Sampler
    with pytest.raises(NotImplementedError, match="Sampler"):
        iter(data.Sampler())


def test_datasets_are_added() -> None:
    both = data.TensorDataset(tn.arange(3)) + data.TensorDataset(tn.arange(10, 12)) + data.TensorDataset(tn.arange(20, 21))
    assert [item.item() for (item,) in (both[i] for i in range(len(both)))] == [0, 1, 2, 10, 11, 20]
    with pytest.raises(AssertionError, match="does not support IterableDataset"):
        _ = both + Stream()
    assert data.RandomSampler(both).num_samples == 6
    assert data.RandomSampler(both, num_samples=9).num_samples == 9


def test_part_of_a_part_of_the_data() -> None:
    part = data.Subset(data.Subset(data.TensorDataset(tn.arange(10)), [9, 8, 7, 6]), [3, 1])
    assert [batch.tolist() for (batch,) in data.DataLoader(part, 2)] == [[6, 8]]


@pytest.mark.parametrize(
    ("lengths", "error", "match"),
    [
        ([2, 3], None, ""),
        ([0.5, 0.5], None, ""),
        ([2, 2], ValueError, "^Sum of input lengths does not equal the length of the input dataset: 4 and 5"),
        ([6, -1], ValueError, "^Sum of input lengths does not equal the length of the input dataset"),
        ([1.5, -0.5], ValueError, r"Fractions have to be between 0 and 1, but got \[1.5, -0.5\]"),
    ],
)
def test_lengths_of_parts_are_checked(lengths, error, match) -> None:
    if error is None:
        assert sorted(i for part in data.random_split(range(5), lengths) for i in part) == list(range(5))
    else:
        with pytest.raises(error, match=match):
            data.random_split(range(5), lengths)


# ---- around it ----------------------------------------------------------------------------


def test_without_a_gpu_cuda_says_so(monkeypatch) -> None:
    if tn.cuda.is_available():
        pytest.skip("there is a GPU")
    assert tn.cuda.device_count() == 0
    tn.cuda.empty_cache()
    for ask in (tn.cuda.current_device, tn.cuda.get_device_name):
        with pytest.raises((RuntimeError, ImportError), match="CuPy|GPU|CUDA"):
            ask()


def test_a_writer_takes_tensors(tmp_path) -> None:
    pytest.importorskip("tensorboardX")
    from tinygrad_norm.utils.tensorboard import SummaryWriter

    net = nn.Linear(2, 1)
    net(tn.ones(1, 2)).sum().backward()
    with SummaryWriter(str(tmp_path)) as writer:
        writer.add_scalars("losses", {"a": tn.tensor(1.0), "b": 2.0}, 0)
        writer.add_images("images", tn.rand(2, 1, 4, 4), 0)
        writer.add_parameters(net, 0)
    assert any(path.stat().st_size for path in tmp_path.rglob("events*"))


def test_a_lazy_layer_can_be_the_base_of_a_users_own() -> None:
    class Mine(nn.LazyLinear):
        pass

    layer = Mine(3)
    assert layer(tn.ones(2, 5)).shape == (2, 3)
    assert layer.weight.shape == (3, 5)


def test_a_layer_of_a_users_own_function() -> None:
    class Scaled(nn.derived.Derived, of=lambda x, factor=2.0: x * factor):
        """x times factor."""

    assert Scaled(3.0)(tn.ones(1)).tolist() == [3.0]


def test_a_deep_copy_keeps_attributes() -> None:
    x = tn.ones(2)
    x.note = ["kept"]
    copied = copy.deepcopy(x)
    assert copied.note == ["kept"]
    assert copied.note is not x.note
