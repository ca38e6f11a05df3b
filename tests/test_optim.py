"""Optimizers: the published figures, the state, the errors."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import close, constant, leaf

import tinygrad_norm as tn
from tinygrad_norm import optim

# w after 1 to 4 steps of SGD on w*w/2 from w = 1 with lr .1, in float64
FIGURES = {
    "plain": ({}, [0.9, 0.81, 0.729, 0.6561]),
    "weight_decay": ({"weight_decay": 0.1}, [0.89, 0.7921, 0.704969, 0.62742241]),
    "momentum": ({"momentum": 0.9}, [0.9, 0.72, 0.486, 0.2268]),
    "dampening": ({"momentum": 0.9, "dampening": 0.5}, [0.9, 0.765, 0.60525, 0.4312125]),
    "nesterov": ({"momentum": 0.9, "nesterov": True}, [0.81, 0.5751, 0.327321, 0.09388791]),
    "nesterov_decay": ({"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}, [0.791, 0.536581, 0.27376747, 0.03313941]),
    "maximize": ({"maximize": True}, [1.1, 1.21, 1.331, 1.4641]),
}


@pytest.mark.parametrize("name", FIGURES)
def test_sgd_takes_the_published_steps(name) -> None:
    settings, figures = FIGURES[name]
    w = leaf(1.0)
    optimizer = optim.SGD([w], lr=0.1, **settings)
    found = []
    for _ in range(4):
        optimizer.zero_grad()
        (w * w / 2).backward()
        optimizer.step()
        found.append(w.item())
    np.testing.assert_allclose(found, figures, rtol=0, atol=5e-9)


@pytest.mark.parametrize(
    "make", [lambda p: optim.SGD(p, 0.1, 0.9), lambda p: optim.Adam(p, 0.1, amsgrad=True), lambda p: optim.AdamW(p, 0.1)]
)
def test_training_goes_on_from_a_saved_state(make, tmp_path) -> None:
    def steps(w, optimizer, count):
        for _ in range(count):
            optimizer.zero_grad()
            (w * w).sum().backward()
            optimizer.step()

    w = leaf([1.0, -2.0])
    optimizer = make([w])
    steps(w, optimizer, 3)
    tn.save({"w": w, "optimizer": optimizer.state_dict()}, tmp_path / "state.safetensors")
    steps(w, optimizer, 3)
    saved = tn.load(tmp_path / "state.safetensors")
    v = leaf(saved["w"].detach().numpy())
    other = make([v])
    other.load_state_dict(saved["optimizer"])
    steps(v, other, 3)
    close(v, w, 0)


def test_state_keeps_the_dtype_and_gradients_stay() -> None:
    for dtype in ("float32", "float64"):
        w = leaf([1.0], dtype)
        optimizer = optim.Adam([w])
        w.grad = constant([2.0], dtype)
        optimizer.step()
        assert w.dtype == dtype
        assert {v.dtype for k, v in optimizer.state[w].items() if k.startswith("exp")} == {np.dtype(dtype)}
        close(w.grad, np.array([2.0], dtype))


def test_parameters_without_gradient_stay() -> None:
    w, v = leaf([1.0]), leaf([1.0])
    w.grad = constant([1.0])
    optim.SGD([w, v], lr=0.5, weight_decay=0.1).step()
    close(v, [1.0])
    close(w, [0.45])


def test_a_closure_computes_the_loss_anew() -> None:
    w = leaf([1.0])
    optimizer = optim.SGD([w], lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        return loss

    with tn.no_grad():
        assert optimizer.step(closure).item() == 1.0
    close(w, [0.8])


def test_a_step_between_forward_and_backward_is_noticed() -> None:
    w = leaf([1.0])
    w.grad = constant([1.0])
    y = w * w
    optim.SGD([w], lr=0.1).step()
    with pytest.raises(RuntimeError, match=r"optimizer\.step"):
        y.backward()


def test_groups_have_their_own_settings() -> None:
    w, v = leaf([1.0]), leaf([1.0])
    optimizer = optim.SGD([{"params": [w], "lr": 0.5}], lr=0.1)
    optimizer.add_param_group({"params": v})
    for p in (w, v):
        p.grad = constant([1.0])
    optimizer.step()
    close(w, [0.5])
    close(v, [0.9])
    assert "lr: 0.5" in repr(optimizer)
    optimizer.zero_grad(set_to_none=False)
    close(w.grad, [0.0])
    optimizer.zero_grad()
    assert w.grad is None


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda w: optim.SGD([w], lr=-1), ValueError, "Invalid learning rate: -1"),
        (lambda w: optim.SGD([w], lr=float("nan")), ValueError, "Invalid learning rate: nan"),
        (lambda w: optim.SGD([]), ValueError, "optimizer got an empty parameter list"),
        (lambda w: optim.SGD([w * 2]), ValueError, "can't optimize a non-leaf Tensor"),
        (lambda w: optim.SGD([w], nesterov=True), ValueError, "Nesterov momentum requires a momentum and zero dampening"),
        (lambda w: optim.SGD([w], momentum=-1), ValueError, "Invalid momentum value: -1"),
        (lambda w: optim.SGD([w], weight_decay=-1), ValueError, "Invalid weight_decay value: -1"),
        (lambda w: optim.SGD([{"params": [w]}, {"params": [w]}]), ValueError, "more than one parameter group"),
        (lambda w: optim.SGD(w), TypeError, "iterable of Tensors or dicts"),
        (lambda w: optim.SGD([1.0]), TypeError, "can only optimize Tensors"),
        (lambda w: optim.Adam([w], betas=(1.0, 0.9)), ValueError, "Invalid beta parameter at index 0: 1.0"),
        (lambda w: optim.Adam([w], eps=-1), ValueError, "Invalid epsilon value: -1"),
        (
            lambda w: optim.SGD([w]).load_state_dict(optim.SGD([w, w.detach()]).state_dict()),
            ValueError,
            "doesn't match the size",
        ),
        (lambda w: optim.lr_scheduler.StepLR(w, 3), TypeError, "not an Optimizer"),
    ],
)
def test_bad_settings_are_named(make, error, text) -> None:
    with pytest.raises(error, match=text):
        make(leaf([1.0]))


def test_schedulers_go_on_from_a_saved_state() -> None:
    optimizer = optim.SGD([leaf([1.0])], lr=1.0)
    scheduler = optim.lr_scheduler.StepLR(optimizer, 2)
    for _ in range(3):
        scheduler.step()
    assert scheduler.get_last_lr() == pytest.approx([0.1])
    resumed = optim.SGD([leaf([1.0])], lr=1.0)
    other = optim.lr_scheduler.StepLR(resumed, 2)
    other.load_state_dict(scheduler.state_dict())
    resumed.load_state_dict(optimizer.state_dict())
    other.step()
    assert other.get_last_lr() == pytest.approx([0.01])
