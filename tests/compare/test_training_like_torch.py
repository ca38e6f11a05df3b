"""Modules, optimizers and whole trainings in lockstep with PyTorch."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from compare.peer import TOLERANCE, close, tn, torch
from tinygrad_norm.testing import values


def copy_weights(ours, theirs) -> None:
    """Give our model PyTorch's weights, by the names in the state_dict."""
    state = {key: tn.tensor(value.numpy(), device=tn.get_backend()) for key, value in theirs.state_dict().items()}
    ours.load_state_dict(state)


def mlp(nn, inplace: bool = True):
    """The regression net 1-200-200-200-1 of the weight decay experiment."""
    return nn.Sequential(
        nn.Linear(1, 200),
        nn.ReLU(inplace),
        nn.Linear(200, 200),
        nn.ReLU(inplace),
        nn.Linear(200, 200),
        nn.ReLU(inplace),
        nn.Linear(200, 1),
    )


OPTIMIZERS = {
    "sgd": lambda o, p: o.SGD(p, lr=0.01),
    "sgd_momentum_decay": lambda o, p: o.SGD(p, lr=0.01, momentum=0.9, weight_decay=1e-2),
    "sgd_dampening": lambda o, p: o.SGD(p, lr=0.01, momentum=0.9, dampening=0.5),
    "sgd_nesterov": lambda o, p: o.SGD(p, lr=0.01, momentum=0.9, nesterov=True, weight_decay=1e-3),
    "sgd_maximize": lambda o, p: o.SGD(p, lr=1e-5, momentum=0.5, maximize=True, weight_decay=1e-2),
    "adam": lambda o, p: o.Adam(p, lr=0.01),
    "adam_decay": lambda o, p: o.Adam(p, lr=0.01, weight_decay=0.1, amsgrad=True, betas=(0.8, 0.95), eps=1e-6),
    "adam_maximize": lambda o, p: o.Adam(p, lr=1e-4, maximize=True),
    "adamw": lambda o, p: o.AdamW(p, lr=0.01),
    "groups": lambda o, p: o.SGD([{"params": list(p)[:2], "lr": 0.02}, {"params": list(p)[2:], "momentum": 0.5}], lr=0.01),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_50_steps_stay_in_lockstep(name) -> None:
    theirs = mlp(torch.nn).double()
    ours = mlp(tn.nn).double()
    copy_weights(ours, theirs)
    if name == "groups":
        optimizers = [OPTIMIZERS[name](lib.optim, list(net.parameters())) for lib, net in ((tn, ours), (torch, theirs))]
    else:
        optimizers = [OPTIMIZERS[name](lib.optim, net.parameters()) for lib, net in ((tn, ours), (torch, theirs))]
    x = np.linspace(-1, 1, 10)[:, None]
    for step in range(50):
        y = 1.5 * x + values(x.shape, step, low=-0.5, high=0.5, avoid=())
        for lib, net, optimizer in ((tn, ours, optimizers[0]), (torch, theirs, optimizers[1])):
            loss = lib.nn.MSELoss()(net(lib.tensor(x, **place(lib))), lib.tensor(y, **place(lib)))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    for (key, p), q in zip(ours.state_dict().items(), theirs.state_dict().values()):
        close(p, q.numpy(), TOLERANCE), key


def place(lib) -> dict:
    """Where our tensors go."""
    return {"device": tn.get_backend()} if lib is tn else {}


SCHEDULERS = {
    "step": lambda lr_scheduler, o, last: lr_scheduler.StepLR(o, 3, 0.5, last),
    "milestones": lambda lr_scheduler, o, last: lr_scheduler.MultiStepLR(o, [8, 2, 2, 5], 0.3, last),
    "exponential": lambda lr_scheduler, o, last: lr_scheduler.ExponentialLR(o, 0.9, last),
    "a function": lambda lr_scheduler, o, last: lr_scheduler.LambdaLR(o, lambda epoch: 1 / (1 + epoch), last),
    "functions": lambda lr_scheduler, o, last: lr_scheduler.LambdaLR(o, [lambda e: 0.9**e, lambda e: 1 / (1 + e)], last),
    "cosine": lambda lr_scheduler, o, last: lr_scheduler.CosineAnnealingLR(o, 7, 0.01, last),
}


def two_groups(lib, rates=(0.1, 0.4), **more):
    """An optimizer of two groups, which has taken a step."""
    groups = [{"params": [lib.zeros(1, requires_grad=True)], "lr": lr, **more} for lr in rates]
    optimizer = lib.optim.SGD(groups, lr=0.3)
    optimizer.step()
    return optimizer


def rates_of(optimizer) -> list:
    return [group["lr"] for group in optimizer.param_groups]


@pytest.mark.filterwarnings("ignore:The epoch parameter", "ignore:.*lr_scheduler.step.*optimizer.step")
@pytest.mark.parametrize("kind", SCHEDULERS)
def test_schedulers_give_the_same_rates(kind) -> None:
    rates = []
    for lib in (tn, torch):
        found = []
        make = functools.partial(SCHEDULERS[kind], lib.optim.lr_scheduler)
        optimizer = two_groups(lib)
        scheduler = make(optimizer, -1)
        for _ in range(20):
            found.append(rates_of(optimizer))
            scheduler.step()
        found.append(scheduler.get_last_lr())
        for epoch in (4, 5, 0, 14, 9):  # from anywhere to anywhere
            scheduler.step(epoch)
            found += [rates_of(optimizer), scheduler.get_last_lr(), [scheduler.last_epoch]]
        scheduler.step()
        found.append(rates_of(optimizer))
        for group in optimizer.param_groups:  # a rate set by hand in between
            group["lr"] *= 3
        scheduler.step()
        found.append(rates_of(optimizer))
        again = two_groups(lib)  # resumed from its state
        resumed = make(again, -1)
        resumed.load_state_dict(scheduler.state_dict())
        for _ in range(3):
            resumed.step()
            found.append(rates_of(again))
        late = two_groups(lib, initial_lr=0.2)  # resumed by the number of the epoch
        scheduler = make(late, 5)
        for _ in range(10):
            found.append(rates_of(late))
            scheduler.step()
        rates.append(found)
    for ours, theirs in zip(*rates, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)


class Halving:
    """A function with a state of its own."""

    def __init__(self, share: float) -> None:
        self.share = share

    def __call__(self, epoch: int) -> float:
        return self.share**epoch


def test_the_state_of_what_is_called_for_a_rate_is_saved() -> None:
    found = []
    for lib in (tn, torch):
        scheduler = lib.optim.lr_scheduler.LambdaLR(two_groups(lib), [Halving(0.5), lambda epoch: 1 / (1 + epoch)])
        saved = scheduler.state_dict()
        assert saved["lr_lambdas"] == [{"share": 0.5}, None]
        optimizer = two_groups(lib)
        resumed = lib.optim.lr_scheduler.LambdaLR(optimizer, [Halving(0.1), lambda epoch: 1 / (1 + epoch)])
        resumed.load_state_dict(saved)
        optimizer.step()
        resumed.step()
        found.append(rates_of(optimizer))
    np.testing.assert_allclose(*found, rtol=1e-12)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"mode": "max", "patience": 0},
        {"threshold": 0.5, "patience": 1},
        {"threshold": 0.5, "threshold_mode": "abs", "factor": 0.3, "patience": 1},
        {"mode": "max", "threshold_mode": "abs", "threshold": 0.2, "patience": 2, "cooldown": 2},
        {"min_lr": [0.05, 0.2], "patience": 0, "factor": 0.5},
        {"min_lr": 0.02, "patience": 0, "factor": 0.3, "eps": 0.05},
    ],
    ids=str,
)
def test_plateaus_are_seen_alike(options) -> None:
    random = np.random.default_rng(1)
    losses = [float(x) for x in (*random.standard_normal(40).cumsum(), *np.ones(20), np.nan, np.inf, -np.inf, *np.ones(5))]
    rates = []
    for lib in (tn, torch):
        optimizer = two_groups(lib)
        scheduler = lib.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **options)
        found = []
        for loss in losses:
            scheduler.step(lib.tensor(loss))
            found += [rates_of(optimizer), scheduler.get_last_lr(), [scheduler.num_bad_epochs, scheduler.best]]
        again = lib.optim.lr_scheduler.ReduceLROnPlateau(two_groups(lib), **options)
        again.load_state_dict(scheduler.state_dict())
        found.append([again.num_bad_epochs, again.cooldown_counter, again.best, again.last_epoch])
        rates.append(found)
    for ours, theirs in zip(*rates, strict=True):
        np.testing.assert_allclose([float(v) for v in ours], [float(v) for v in theirs], rtol=1e-12)


def test_optimizers_print_like_pytorchs() -> None:
    for lib_repr in zip(*([repr(two_groups(lib)), repr(lib.optim.Adam([lib.zeros(1)]))] for lib in (tn, torch)), strict=True):
        assert lib_repr[0] == lib_repr[1]


def test_modules_print_like_pytorchs() -> None:
    def build(nn):
        net = nn.Sequential(nn.Linear(3, 2, bias=False), nn.ReLU(inplace=True), nn.Sequential(nn.Flatten(), nn.LeakyReLU(0.2)))
        net.append(nn.ModuleList([nn.Identity(), nn.ELU(), nn.GELU(), nn.Tanh(), nn.Sigmoid(), nn.SiLU(), nn.Softmax(dim=1)]))
        net.append(nn.CrossEntropyLoss())
        return net

    assert repr(build(tn.nn)) == repr(build(torch.nn))


def test_state_dicts_have_the_same_keys_and_shapes() -> None:
    ours, theirs = mlp(tn.nn).state_dict(), mlp(torch.nn).state_dict()
    assert [(k, tuple(v.shape)) for k, v in ours.items()] == [(k, tuple(v.shape)) for k, v in theirs.items()]


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("xavier_uniform_", {"gain": 2.0}),
        ("xavier_normal_", {}),
        ("kaiming_uniform_", {"a": 0.1}),
        ("kaiming_normal_", {"mode": "fan_out", "nonlinearity": "relu"}),
        ("trunc_normal_", {"std": 0.5, "a": -0.4, "b": 1.0}),
        ("uniform_", {"a": -1.0}),
        ("normal_", {"mean": 3.0, "std": 0.1}),
    ],
)
def test_initialisation_has_pytorchs_distribution(name, arguments) -> None:
    torch.manual_seed(0)
    ours, theirs = tn.zeros(300, 40, 3), torch.zeros(300, 40, 3)
    getattr(tn.nn.init, name)(ours, **arguments)
    getattr(torch.nn.init, name)(theirs, **arguments)
    quantiles = np.linspace(0.02, 0.98, 25)
    spread = float(theirs.std())
    np.testing.assert_allclose(
        np.quantile(ours.cpu().numpy(), quantiles), np.quantile(theirs.numpy(), quantiles), atol=0.1 * spread
    )  # 36,000 numbers on each side: a quantile in the tail is uncertain by 0.02 of the spread


def test_gains_and_default_layers_agree() -> None:
    for name, param in (
        ("linear", None),
        ("conv2d", None),
        ("sigmoid", None),
        ("tanh", None),
        ("relu", None),
        ("leaky_relu", 0.3),
        ("selu", None),
    ):
        assert tn.nn.init.calculate_gain(name, param) == pytest.approx(torch.nn.init.calculate_gain(name, param))
    ours, theirs = tn.nn.Linear(400, 300), torch.nn.Linear(400, 300)
    for p, q in zip(ours.parameters(), theirs.parameters()):
        assert float(p.detach().std()) == pytest.approx(float(q.detach().std()), rel=0.15)
        assert float(p.detach().abs().max()) <= 1 / 20


def test_gradient_clipping_agrees() -> None:
    for norm_type in (2.0, 1.0, float("inf")):
        totals = []
        for lib in (tn, torch):
            parameters = [lib.zeros(3, requires_grad=True), lib.zeros(2, 2, requires_grad=True)]
            for i, p in enumerate(parameters):
                p.grad = lib.full(tuple(p.shape), i + 2.0)
            total = lib.nn.utils.clip_grad_norm_(parameters, 1.5, norm_type)
            totals.append([float(total), *[float(p.grad.flatten()[0]) for p in parameters]])
        np.testing.assert_allclose(totals[0], totals[1], rtol=1e-6)


def lenet_relu(nn, norm: bool):
    """LeNet with batch norm, ReLU and maximum pooling on (N, 3, 32, 32)."""
    norms = [nn.BatchNorm2d(6), nn.BatchNorm2d(16), nn.BatchNorm1d(120)] if norm else [nn.Identity()] * 3
    return nn.Sequential(
        *(nn.Conv2d(3, 6, 5), norms[0], nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 16, 5), norms[1], nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(400, 120), norms[2], nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)),
    )


def lenet_sigmoid(nn, norm: bool):
    """LeNet with batch norm, sigmoid and mean pooling on (N, 1, 28, 28)."""
    norms = [nn.BatchNorm2d(6), nn.BatchNorm2d(16), nn.BatchNorm1d(120), nn.BatchNorm1d(84)] if norm else [nn.Identity()] * 4
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 5), norms[0], nn.Sigmoid(), nn.AvgPool2d(2, 2)),
        *(nn.Conv2d(6, 16, 5), norms[1], nn.Sigmoid(), nn.AvgPool2d(2, 2), nn.Flatten()),
        *(nn.Linear(256, 120), norms[2], nn.Sigmoid(), nn.Linear(120, 84), norms[3], nn.Sigmoid(), nn.Linear(84, 10)),
    )


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize(("build", "shape", "lr"), [(lenet_relu, (8, 3, 32, 32), 0.05), (lenet_sigmoid, (8, 1, 28, 28), 0.5)])
def test_50_steps_of_lenet_stay_in_lockstep(build, shape, lr, norm) -> None:
    theirs, ours = build(torch.nn, norm).double(), build(tn.nn, norm).double()
    copy_weights(ours, theirs)
    pairs = [(lib, net, lib.optim.SGD(net.parameters(), lr, momentum=0.5)) for lib, net in ((tn, ours), (torch, theirs))]
    random = np.random.default_rng(0)
    for _ in range(50):
        x, y = random.random(shape), random.integers(0, 10, shape[0])
        losses = []
        for lib, net, optimizer in pairs:
            loss = lib.nn.functional.cross_entropy(net(lib.tensor(x)), lib.tensor(y))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert losses[0] == pytest.approx(losses[1], rel=1e-8)
    for (key, p), q in zip(ours.state_dict().items(), theirs.state_dict().values()):
        close(p, q.numpy(), 1e-8), key


def test_weights_saved_by_pytorch_load_here_and_the_other_way_round(tmp_path) -> None:
    from safetensors.torch import load_file, save_file

    theirs, ours = lenet_relu(torch.nn, True), lenet_relu(tn.nn, True)
    x = np.random.default_rng(0).random((4, 3, 32, 32), dtype="float32")
    theirs(torch.tensor(x))
    save_file(theirs.state_dict(), tmp_path / "theirs.safetensors")
    ours.load_state_dict(tn.load(tmp_path / "theirs.safetensors"))
    with tn.no_grad(), torch.no_grad():
        close(ours.eval()(tn.tensor(x)), theirs.eval()(torch.tensor(x)).numpy(), 1e-5)
        ours.train()(tn.tensor(x))
        tn.save(ours.state_dict(), tmp_path / "ours.safetensors")
        theirs.load_state_dict(load_file(tmp_path / "ours.safetensors"))
        close(ours.eval()(tn.tensor(x)), theirs.eval()(torch.tensor(x)).numpy(), 1e-5)
