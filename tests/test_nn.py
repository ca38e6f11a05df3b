"""Modules: registration, walking, modes, state, printing."""

from __future__ import annotations

import copy
import os
import platform
import subprocess
import sys

import numpy as np
import pytest
from helpers import close, constant, host, leaf

import tinygrad_norm as tn
from tinygrad_norm import nn
from tinygrad_norm.nn import functional as F


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.second = nn.Linear(2, 3)
        self.scale = nn.Parameter(tn.ones(3))
        self.register_buffer("count", tn.tensor(5))
        self.register_buffer("cache", tn.zeros(2), persistent=False)
        self.blocks = nn.ModuleList([nn.Linear(3, 3), nn.ReLU()])

    def forward(self, x):
        x = self.second(x) * self.scale
        for block in self.blocks:
            x = block(x)
        return x


def test_parts_are_registered_in_the_order_of_assignment() -> None:
    net = Net()
    assert [n for n, _ in net.named_parameters()] == [
        "scale",
        "second.weight",
        "second.bias",
        "blocks.0.weight",
        "blocks.0.bias",
    ]
    assert [n for n, _ in net.named_buffers()] == ["count", "cache"]
    assert list(net.state_dict()) == ["scale", "count", "second.weight", "second.bias", "blocks.0.weight", "blocks.0.bias"]
    assert [n for n, _ in net.named_modules()] == ["", "second", "blocks", "blocks.0", "blocks.1"]
    assert [n for n, _ in net.named_children()] == ["second", "blocks"]
    assert len(list(net.children())) == 2
    assert len(list(net.modules())) == 5
    assert len(list(net.buffers())) == 2
    assert {"second", "scale", "count"} <= set(dir(net))


def test_shared_parts_count_once() -> None:
    layer = nn.Linear(2, 2)
    net = nn.Sequential(layer, layer)
    assert len(list(net.parameters())) == 2
    assert len(net.state_dict()) == 4


def test_reassignment_moves_between_registries() -> None:
    net = Net()
    net.scale = None
    assert "scale" not in dict(net.named_parameters())
    net.scale = nn.Parameter(tn.zeros(3))
    net.count = tn.tensor(7)
    assert net.state_dict()["count"].item() == 7
    net.second = nn.Identity()
    del net.count
    assert not hasattr(net, "count")
    with pytest.raises(TypeError, match="cannot assign 'Tensor' as 'scale'"):
        net.scale = tn.zeros(3)
    with pytest.raises(AttributeError, match="'Net' object has no attribute 'nothing'"):
        _ = net.nothing


def test_a_module_before_init_and_a_plain_list_are_noticed() -> None:
    class Early(nn.Module):
        def __init__(self) -> None:
            self.fc = nn.Linear(1, 1)

    with pytest.raises(AttributeError, match=r"cannot assign module before Module\.__init__\(\) call"):
        Early()
    net = nn.Module()
    with pytest.warns(UserWarning, match=r"ModuleList"):
        net.layers = [nn.Linear(1, 1)]
    assert list(net.parameters()) == []


def test_names_are_checked() -> None:
    net = Net()
    for name, error in {"": KeyError, "a.b": KeyError, "forward": KeyError, 3: TypeError}.items():
        with pytest.raises(error):
            net.register_buffer(name, None)
    with pytest.raises(TypeError, match=r"to parameter .p. \(Parameter or None\)"):
        net.register_parameter("p", tn.zeros(1))
    with pytest.raises(TypeError, match=r"to buffer .b. \(Tensor or None\)"):
        net.register_buffer("b", 3)
    with pytest.raises(TypeError, match=r"to module .m. \(Module or None\)"):
        net.add_module("m", 3)


def test_modes_reach_every_module() -> None:
    net = Net()
    assert net.eval() is net
    assert not any(m.training for m in net.modules())
    net.blocks.train()
    assert not net.training
    assert net.blocks[0].training
    with pytest.raises(ValueError, match="boolean"):
        net.train(1)


def test_apply_visits_children_first() -> None:
    seen = []
    Net().apply(lambda m: seen.append(type(m).__name__))
    assert seen == ["Linear", "Linear", "ReLU", "ModuleList", "Net"]


def test_gradients_are_forgotten_or_zeroed() -> None:
    net = nn.Linear(2, 1)
    net(tn.ones(1, 2)).sum().backward()
    net.zero_grad(set_to_none=False)
    close(net.weight.grad, np.zeros((1, 2), "float32"))
    net.zero_grad()
    assert net.weight.grad is None
    net.requires_grad_(False)
    assert not net(tn.ones(1, 2)).requires_grad


def test_conversion_changes_parameters_and_floating_buffers_in_place() -> None:
    net = Net()
    p, before = net.scale, list(net.parameters())
    net.double()
    assert net.scale is p
    assert {q.dtype for q in net.parameters()} == {np.dtype("float64")}
    assert net.count.dtype == tn.int64
    assert net.cache.dtype == tn.float64
    net.half().float().to(tn.float64).to(device=tn.get_backend())
    assert list(net.parameters()) == before
    net.to("strict")
    assert net.scale.device == "strict"
    net.cpu()
    assert net.scale.device == "cpu"


def test_state_is_loaded_whole_or_not_at_all() -> None:
    net, other = Net(), Net()
    assert net.load_state_dict(other.state_dict()) == ([], [])
    for p, q in zip(net.parameters(), other.parameters()):
        close(p, q)
    state = dict(other.state_dict())
    state["second.weight"] = tn.zeros(9, 9)
    state["extra"] = state.pop("scale")
    before = {k: host(v).copy() for k, v in net.state_dict().items()}
    with pytest.raises(RuntimeError) as error:
        net.load_state_dict(state)
    for text in (
        'Missing key(s) in state_dict: "scale"',
        'Unexpected key(s) in state_dict: "extra"',
        "size mismatch for second.weight",
    ):
        assert text in str(error.value)
    for key, value in net.state_dict().items():
        close(value, before[key])
    del state["second.weight"]
    result = net.load_state_dict(state, strict=False)
    assert result.missing_keys == ["scale", "second.weight"]
    assert result.unexpected_keys == ["extra"]


def test_hooks_see_and_replace_inputs_and_outputs() -> None:
    net = nn.Identity()
    first = net.register_forward_pre_hook(lambda m, inputs: inputs[0] + 1)
    second = net.register_forward_hook(lambda m, inputs, output: output * 10)
    close(net(constant([1.0])), [20.0])
    first.remove()
    second.remove()
    close(net(constant([1.0])), [1.0])


def test_containers_behave_like_lists() -> None:
    net = nn.Sequential(nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 1))
    assert len(net) == 3
    assert isinstance(net[1], nn.ReLU)
    assert len(net[1:]) == 2
    assert isinstance(net[-1], nn.Linear)
    assert [type(m).__name__ for m in net] == ["Linear", "ReLU", "Linear"]
    named = nn.Sequential({"a": nn.ReLU(), "b": nn.Tanh()})
    assert [n for n, _ in named.named_children()] == ["a", "b"]
    layers = nn.ModuleList(nn.Linear(1, 1) for _ in range(2))
    layers.insert(0, nn.ReLU())
    layers[1] = nn.Tanh()
    assert [type(m).__name__ for m in layers] == ["ReLU", "Tanh", "Linear"]
    assert len(layers[:2]) == 2
    with pytest.raises(IndexError):
        layers[3]


def test_models_copy_deeply() -> None:
    net = Net()
    other = copy.deepcopy(net)
    with tn.no_grad():
        net.scale.fill_(9.0)
    close(other.scale, np.ones(3, "float32"))
    assert other.scale.requires_grad


def test_a_parameter_prints_and_stays_a_parameter() -> None:
    p = nn.Parameter(tn.ones(1))
    assert repr(p).startswith("Parameter containing:\ntensor([1.]")
    assert p.is_leaf
    assert p.requires_grad


def test_every_activation_module_is_its_function() -> None:
    x = constant([[-1.5, 0.3, 2.0]])
    for module, function in (
        (nn.ReLU(), F.relu),
        (nn.LeakyReLU(0.1), lambda v: F.leaky_relu(v, 0.1)),
        (nn.ELU(0.5), lambda v: F.elu(v, 0.5)),
        (nn.GELU("tanh"), lambda v: F.gelu(v, "tanh")),
        (nn.Softplus(2.0), lambda v: F.softplus(v, 2.0)),
        (nn.Softmax(1), lambda v: F.softmax(v, 1)),
        (nn.LogSoftmax(1), lambda v: F.log_softmax(v, 1)),
        (nn.Sigmoid(), F.sigmoid),
        (nn.Tanh(), F.tanh),
        (nn.SiLU(), F.silu),
        (nn.Identity(1, a=2), lambda v: v),
        (nn.Flatten(0), lambda v: v.flatten()),
    ):
        close(module(x), function(x))
    y = x.clone()
    assert nn.ReLU(inplace=True)(y) is y
    close(y, [[0.0, 0.3, 2.0]])


def test_loss_modules_are_their_functions() -> None:
    x, y, labels = constant([[0.5, -1.0]]), constant([[0.2, 0.9]]), constant([1])
    weight = constant([1.0, 3.0])
    for module, expected in (
        (nn.MSELoss(), F.mse_loss(x, y)),
        (nn.L1Loss(reduction="sum"), F.l1_loss(x, y, reduction="sum")),
        (nn.SmoothL1Loss(beta=0.5), F.smooth_l1_loss(x, y, beta=0.5)),
        (nn.BCEWithLogitsLoss(pos_weight=weight), F.binary_cross_entropy_with_logits(x, y, pos_weight=weight)),
    ):
        close(module(x, y), expected)
    close(nn.CrossEntropyLoss(weight, label_smoothing=0.1)(x, labels), F.cross_entropy(x, labels, weight, label_smoothing=0.1))
    close(nn.NLLLoss()(x, labels), -x[0, 1])
    assert "weight" in dict(nn.CrossEntropyLoss(weight).named_buffers())
    with pytest.raises(ValueError, match="not a valid value for reduction"):
        nn.MSELoss(reduction="median")
    with pytest.warns(UserWarning, match="different to the input size"):
        F.mse_loss(x, y[0])


def test_an_l2_penalty_is_weight_decay() -> None:
    nets = [nn.Linear(3, 2).double() for _ in range(2)]
    nets[1].load_state_dict(nets[0].state_dict())
    x = constant([[1.0, -2.0, 0.5]])
    decayed = tn.optim.SGD(nets[0].parameters(), lr=0.1, weight_decay=0.3)
    penalised = tn.optim.SGD(nets[1].parameters(), lr=0.1)
    for _ in range(3):
        decayed.zero_grad()
        nets[0](x).square().sum().backward()
        decayed.step()
        penalised.zero_grad()
        penalty = sum(p.square().sum() for p in nets[1].parameters())
        (nets[1](x).square().sum() + 0.3 / 2 * penalty).backward()
        penalised.step()
    close(nets[0].weight, nets[1].weight)


def test_init_fills_and_returns_the_tensor() -> None:
    w = tn.empty(4, 6)
    assert nn.init.ones_(w) is w
    close(nn.init.constant_(w, 3), np.full((4, 6), 3, "float32"))
    close(nn.init.zeros_(w), np.zeros((4, 6), "float32"))
    close(nn.init.orthogonal_(w) @ w.T, np.eye(4, dtype="float32"), 1e-5)
    close((lambda v: v.T @ v)(nn.init.orthogonal_(tn.empty(6, 4), gain=2)), 4 * np.eye(4, dtype="float32"), 1e-5)
    p = nn.Parameter(tn.empty(3, 3))
    assert nn.init.kaiming_normal_(p) is p
    assert p.is_leaf
    nn.init.trunc_normal_(w, std=0.3, a=-0.2, b=0.1)
    assert -0.2 <= float(w.min()) <= float(w.max()) <= 0.1
    for bad in (
        lambda: nn.init.orthogonal_(tn.empty(3)),
        lambda: nn.init.trunc_normal_(w, a=1.0, b=0.0),
        lambda: nn.init.trunc_normal_(w, std=0.01, a=5.0, b=6.0),
    ):
        with pytest.raises(ValueError, match="2 or more|expected a < b|hardly any"):
            bad()


def test_gradients_of_modules_check_out() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    x = leaf([[0.1, -0.4, 0.7], [1.0, 0.2, -0.6]])
    assert tn.gradcheck(net, (x,))
    assert tn.gradgradcheck(net, (x,))


def test_clipping_leaves_small_gradients_alone() -> None:
    p = leaf([3.0, 4.0])
    assert float(nn.utils.clip_grad_norm_([p], 1.0)) == 0.0
    p.grad = constant([3.0, 4.0])
    assert float(nn.utils.clip_grad_norm_(p, 10.0)) == pytest.approx(5.0)
    close(p.grad, [3.0, 4.0])
    nn.utils.clip_grad_norm_(p, 1.0)
    close(p.grad, [0.6, 0.8], 1e-6)


TRAINING = """
import sys
import numpy as np
import tinygrad_norm as tn
from tinygrad_norm import nn
tn.manual_seed(0)
net = nn.Sequential(
    nn.Conv2d(3, 6, 5), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.GroupNorm(2, 16), nn.ReLU(),
    nn.MaxPool2d(2), nn.Flatten(), nn.Linear(400, 120), nn.BatchNorm1d(120), nn.ReLU(), nn.Linear(120, 10),
)
net.double()  # in float32, rounding may decide which of two nearly equal inputs of a window is the largest
optimizer = tn.optim.SGD(net.parameters(), lr=0.1)
x, y = tn.randn(128, 3, 32, 32).double(), tn.randint(0, 10, (128,))
for _ in range(3):
    optimizer.zero_grad()
    nn.functional.cross_entropy(net(x), y).backward()
    optimizer.step()
np.savez(sys.argv[1], *[p.detach().numpy() for p in net.parameters()])
"""


def test_threads_change_nothing_but_rounding(tmp_path) -> None:
    """The threads are those of the BLAS library behind NumPy; each of its variables sets their number when it is loaded."""
    results = []
    for threads in ("1", "2"):
        path = tmp_path / f"{threads}.npz"
        names = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
        environment = {**os.environ, **dict.fromkeys(names, threads)}
        subprocess.run([sys.executable, "-c", TRAINING, str(path)], env=environment, check=True)
        results.append(list(np.load(path).values()))
    for one, two in zip(*results):
        np.testing.assert_allclose(one, two, rtol=1e-9, atol=1e-12)


FAULTS = """
import resource, sys, tinygrad_norm as tn
if sys.argv[1] == "0":
    tn.keep_freed_memory(0)
p = tn.zeros(2**20, requires_grad=True)
optimizer = tn.optim.SGD([p], lr=0.1)
def step():
    optimizer.zero_grad()
    (p * 2 + 1).exp().sum().backward()
    optimizer.step()
for _ in range(3):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's malloc is told to keep what was freed")
def test_training_takes_no_fresh_memory_from_the_system_unless_it_is_told_to() -> None:
    run = [sys.executable, "-c", FAULTS]
    environment = {**os.environ, "TINYGRAD_NORM_BACKEND": "numpy"}
    kept, given_back = (
        int(subprocess.run([*run, how], capture_output=True, text=True, check=True, env=environment).stdout)
        for how in ("1", "0")
    )
    assert kept < 100 < given_back  # pages; large ones may count as few


@pytest.mark.parametrize("shape", [(4, 5), (40, 30, 20), (3, 100, 100)])
def test_relu_is_the_same_at_every_size_and_in_any_memory_order(shape) -> None:
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    x.flat[:3] = [np.nan, -0.0, np.inf]
    for values in (x, x.swapaxes(0, 1), x[::2]):
        expected = np.maximum(values, 0)
        np.testing.assert_array_equal(host(F.relu(constant(values))), expected)
        np.testing.assert_array_equal(host(constant(values).clone().relu_()), expected)


# ---- what is infinite or nan stays where it is, and other corners ------------------------------


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_a_convolution_keeps_what_is_not_finite_to_the_outputs_that_see_it(bad) -> None:
    x = np.ones((1, 1, 6, 4), "float32")
    x[0, 0, 3, 0] = bad
    y = host(F.conv2d(constant(x), tn.ones(1, 1, 3, 3)))[0, 0]
    np.testing.assert_array_equal(np.isfinite(y), [[True, True], [False, True], [False, True], [False, True]])


@pytest.mark.parametrize("stride", [2, 1])
def test_max_pooling_sends_gradients_that_are_not_finite_to_the_maxima_only(stride) -> None:
    x = leaf(np.arange(16.0).reshape(1, 1, 4, 4))
    y = F.max_pool2d(x, 2, stride)
    g = np.full(y.shape, np.inf)
    y.backward(constant(g))
    maxima = np.zeros((4, 4), bool)
    maxima[1::stride, 1::stride] = True
    np.testing.assert_array_equal(host(x.grad)[0, 0], np.where(maxima, np.inf, 0))


def test_an_empty_batch_with_dilation_gives_an_empty_output() -> None:
    assert F.conv2d(tn.zeros(0, 3, 11, 5), tn.ones(8, 3, 2, 2), dilation=(3, 1)).shape == (0, 8, 8, 4)
    running = tn.zeros(3), tn.ones(3)
    assert F.instance_norm(tn.zeros(0, 3, 4), *running).shape == (0, 3, 4)
    close(running[0], np.zeros(3, "float32"))


@pytest.mark.parametrize(
    "norm",
    [
        lambda x, bias: F.batch_norm(x, None, None, None, bias, training=True),
        lambda x, bias: F.layer_norm(x, (3, 2), None, bias.reshape(3, 1).expand(3, 2)),
        lambda x, bias: F.instance_norm(x, bias=bias),
        lambda x, bias: F.group_norm(x, 3, bias=bias),
    ],
)
def test_a_norm_may_have_a_bias_and_no_weight(norm) -> None:
    x, bias = leaf(np.random.default_rng(0).normal(size=(4, 3, 2))), leaf([1.0, 2.0, 3.0])
    assert tn.gradcheck(norm, (x, bias))
    close(norm(x, bias) - norm(x, tn.zeros(3, dtype=tn.float64)), np.broadcast_to([[[1], [2], [3]]], (4, 3, 2)), 1e-12)


def test_group_norm_of_a_large_transposed_input() -> None:
    a = np.random.default_rng(0).normal(size=(64, 9000))
    results = []
    for layout in (a.T, a.T.copy()):
        x, weight, bias = leaf(layout), leaf(np.linspace(1, 2, 64)), leaf(np.zeros(64))
        y = F.group_norm(x, 8, weight, bias)
        (y * y).sum().backward()
        results.append([host(v) for v in (y, x.grad, weight.grad, bias.grad)])
    for one, other in zip(*results):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)


def test_an_error_says_in_which_layer_it_arose() -> None:
    body = nn.Sequential(nn.ReLU(), nn.ModuleList([nn.Linear(3, 4)]))

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = body

        def forward(self, x):
            return self.body[1][0](self.body[0](x))

    for net, x, note in (
        (nn.Linear(3, 4), constant(np.ones((5, 7))), "in Linear(in_features=3, out_features=4, bias=True), given (5, 7)"),
        (Net(), constant(np.ones((5, 7))), "in body.1.0, Linear(in_features=3, out_features=4, bias=True), given (5, 7)"),
        (
            nn.Sequential(nn.Sequential(nn.Linear(3, 4))),
            "text",
            "in 0.0, Linear(in_features=3, out_features=4, bias=True), given str",
        ),
        (nn.Sequential(nn.ReLU(), nn.BatchNorm1d(3)), constant(np.ones((1, 3), "float32")), "in 1, BatchNorm1d(3, eps=1e-05"),
    ):
        for _ in range(2):
            with pytest.raises((RuntimeError, TypeError, ValueError)) as caught:
                net(x)
            assert caught.value.__notes__[-1].startswith(note)


def test_warnings_point_to_the_users_line() -> None:
    x, y = constant([[1.0, 2.0]]), constant([1.0, 2.0])
    for call in (
        lambda: nn.functional.mse_loss(x, y), lambda: nn.MSELoss()(x, y), lambda: nn.functional.softmax(x),
        lambda: x[:, :1].var(1), lambda: nn.functional.kl_div(x, x), lambda: nn.Sequential(nn.Softmax())(x),
    ):  # fmt: skip
        with pytest.warns(UserWarning, match=".") as caught:
            call()
        assert [w.filename for w in caught] == [__file__] * len(caught)


def test_settings_of_a_convolution_are_looked_at_in_every_call() -> None:
    x, weight, stride = tn.ones(1, 1, 6, 6), tn.ones(1, 1, 3, 3), tn.tensor(1)
    assert F.conv2d(x, weight, stride=stride).shape == (1, 1, 4, 4)
    stride.fill_(2)
    assert F.conv2d(x, weight, stride=stride).shape == F.conv2d(x, weight, stride=[2, 2]).shape == (1, 1, 2, 2)
    for name in ("stride", "padding", "dilation"):
        F.conv2d(x, weight, **{name: 2})
        for wrong in (2.0, (2.0, 2.0), [[2, 2]], np.array([2, 2]), {2: 2}):
            with pytest.raises(TypeError, match=f"{name} must be integers"):
                F.conv2d(x, weight, **{name: wrong})
        assert F.conv2d(x, weight, **{name: np.array(2)}).shape == F.conv2d(x, weight, **{name: 2}).shape
