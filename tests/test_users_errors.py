"""What the user's own code raises passes as it is, class, text and traceback, wherever the package calls it."""

from __future__ import annotations

import traceback

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm import autograd, data, nn, optim


class Own(Exception):
    """A class that only the user knows."""


KINDS = (ValueError, TypeError, AttributeError, KeyError, IndexError, ArithmeticError, ZeroDivisionError, AssertionError)
KINDS += (RuntimeError, NotImplementedError, OSError, StopIteration, Own)
ERRORS = [kind("mine") for kind in KINDS]


def fail(error: Exception):
    """A function that raises it, whatever it is given."""

    def raises(*args, **kwargs):
        raise error

    return raises


def module(error: Exception) -> nn.Module:
    class Broken(nn.Module):
        forward = fail(error)

    return Broken()


def function(error: Exception, place: str) -> type[autograd.Function]:
    def forward(ctx, x):
        return x * 2

    methods = {"forward": forward, "backward": forward, place: fail(error)}
    return type("Mine", (autograd.Function,), {name: staticmethod(method) for name, method in methods.items()})


def with_setup(error: Exception) -> type[autograd.Function]:
    methods = {"forward": lambda x: x * 1, "setup_context": fail(error)}
    return type("Mine", (autograd.Function,), {name: staticmethod(method) for name, method in methods.items()})


def hooked(error: Exception, register: str) -> nn.Module:
    net = nn.Linear(2, 2)
    getattr(net, register)(fail(error))
    return nn.Sequential(net)


def with_hook(error: Exception, register: str, x: tn.Tensor) -> tn.Tensor:
    getattr(x, register)(fail(error))
    return x


def dataset(error: Exception, **methods) -> data.Dataset:
    return type("Mine", (data.Dataset,), {"__len__": lambda self: 3, "__getitem__": lambda self, i: i} | methods)()


def own_op(error: Exception, place: str):
    def raises(x):
        raise error

    op = tn.op(raises if place == "forward" else lambda x: x * 2)
    op.vjp(x=raises if place == "vjp" else lambda g: g * 2)
    return op


def own_property(error: Exception) -> nn.Module:
    return type("Mine", (nn.Module,), {"broken": property(fail(error))})()


def leaf() -> tn.Tensor:
    return tn.ones(2, dtype="float64", requires_grad=True)


def sgd() -> optim.Optimizer:
    return optim.SGD([leaf()], lr=0.1)


def generator(error: Exception):
    raise error
    yield


PLACES = {
    "a module in Sequential": lambda e: nn.Sequential(module(e))(tn.ones(2)),
    "a module in a module in Sequential": lambda e: nn.Sequential(nn.Sequential(nn.ReLU(), module(e)))(tn.ones(2)),
    "a forward hook": lambda e: hooked(e, "register_forward_hook")(tn.ones(2)),
    "a forward pre-hook": lambda e: hooked(e, "register_forward_pre_hook")(tn.ones(2)),
    "a property of a module": lambda e: own_property(e).broken,
    "Module.apply": lambda e: nn.Linear(2, 2).apply(fail(e)),
    "an extra state": lambda e: type("M", (nn.Module,), {"get_extra_state": fail(e)})().state_dict(),
    "nn.summary": lambda e: nn.summary(nn.Sequential(module(e)), tn.ones(2)),
    "a lazy layer beside it": lambda e: nn.Sequential(nn.LazyLinear(3), module(e))(tn.ones(2, 2)),
    "forward of a Function": lambda e: function(e, "forward").apply(leaf()),
    "backward of a Function": lambda e: function(e, "backward").apply(leaf()).sum().backward(),
    "setup_context": lambda e: with_setup(e).apply(leaf()),
    "backward of a Function, in grad": lambda e: autograd.grad(function(e, "backward").apply(x := leaf()).sum(), x),
    "forward of an op": lambda e: own_op(e, "forward")(leaf()),
    "the vjp of an op": lambda e: own_op(e, "vjp")(leaf()).sum().backward(),
    "an elementwise op": lambda e: tn.elementwise(fail(e))(leaf()),
    "a hook of a leaf": lambda e: with_hook(e, "register_hook", leaf()).sum().backward(),
    "a hook of a result": lambda e: with_hook(e, "register_hook", leaf() * 2).sum().backward(),
    "a hook after accumulation": lambda e: with_hook(e, "register_post_accumulate_grad_hook", leaf()).sum().backward(),
    "jacobian": lambda e: autograd.functional.jacobian(fail(e), leaf()),
    "hessian": lambda e: autograd.functional.hessian(fail(e), leaf()),
    "vjp": lambda e: autograd.functional.vjp(fail(e), leaf(), tn.ones(2)),
    "gradcheck": lambda e: tn.gradcheck(fail(e), leaf()),
    "gradgradcheck": lambda e: tn.gradgradcheck(fail(e), leaf()),
    "no_grad": lambda e: tn.no_grad()(fail(e))(),
    "a data set": lambda e: next(iter(data.DataLoader(dataset(e, __getitem__=fail(e))))),
    "a data set's items": lambda e: next(iter(data.DataLoader(dataset(e, __getitems__=fail(e))))),
    "a data set in a subset": lambda e: next(iter(data.DataLoader(data.Subset(dataset(e, __getitem__=fail(e)), [0])))),
    "a data set in several": lambda e: data.ConcatDataset([dataset(e, __getitem__=fail(e))])[0],
    "the length of a data set": lambda e: len(data.DataLoader(dataset(e, __len__=fail(e)))),
    "a data set, split": lambda e: data.random_split(dataset(e, __getitem__=fail(e)), [3])[0][0],
    "a collate function": lambda e: next(iter(data.DataLoader([1, 2], collate_fn=fail(e)))),
    "a sampler": lambda e: next(iter(data.DataLoader([1, 2], sampler=type("S", (), {"__iter__": fail(e), "__len__": len})()))),
    "a batch sampler": lambda e: next(iter(data.DataLoader([1, 2], batch_sampler=type("S", (), {"__iter__": fail(e)})()))),
    "an iterable data set": lambda e: next(iter(data.DataLoader(type("D", (data.IterableDataset,), {"__iter__": fail(e)})()))),
    "a closure": lambda e: sgd().step(fail(e)),
    "parameters that are made": lambda e: optim.SGD(generator(e)),
    "an update rule": lambda e: trained(type("O", (optim.Optimizer,), {"update": fail(e)})),
    "LambdaLR": lambda e: optim.lr_scheduler.LambdaLR(sgd(), fail(e)),
    "MultiplicativeLR": lambda e: optim.lr_scheduler.MultiplicativeLR(sgd(), fail(e)).step(),
    "a scheduler's own rule": lambda e: type("S", (optim.lr_scheduler.LRScheduler,), {"get_lr": fail(e)})(sgd()),
    "a metric": lambda e: optim.lr_scheduler.ReduceLROnPlateau(sgd()).step(type("M", (), {"__float__": fail(e)})()),
    "an iterator of gradients to clip": lambda e: nn.utils.clip_grad_norm_(generator(e), 1.0),
    "trace's block": lambda e: inside(tn.trace(), e),
    "detect_anomaly's block": lambda e: inside(autograd.detect_anomaly(), e),
}  # fmt: skip


def trained(kind: type) -> None:
    p = leaf()
    p.sum().backward()
    kind([p], {}).step()


def inside(block, error: Exception) -> None:
    with block:
        raise error


ENDS = ("parameters that are made", "iterator of", "iterable data set", "sampler")  # where StopIteration means the end


@pytest.mark.parametrize("error", ERRORS, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("place", PLACES)
def test_an_error_of_the_users_passes_as_it_is(place, error) -> None:
    if isinstance(error, StopIteration) and any(g in place for g in ENDS):
        pytest.skip("Python itself gives it another meaning in an iterator")
    text = str(error)
    with pytest.raises(type(error)) as caught:
        PLACES[place](error)
    assert caught.value is error
    assert type(error) is type(caught.value)
    assert str(error) == text
    assert any(frame.name in ("raises", "generator", "inside") for frame in traceback.extract_tb(error.__traceback__))


def test_check_op_says_what_an_op_of_the_users_raises() -> None:
    testing = pytest.importorskip("tinygrad_norm.testing")
    for error in ERRORS:
        with pytest.raises(type(error)) as caught:
            testing.check_op(fail(error), np.ones(2))
        assert caught.value is error


def test_an_error_of_the_packages_own_still_says_what_was_given() -> None:
    with pytest.raises(TypeError, match="argument 'input' must be Tensor"):
        nn.Sequential(nn.Linear(2, 2))([1.0, 2.0])
    with pytest.raises(RuntimeError, match="mat1 and mat2 shapes cannot be multiplied"):
        nn.Sequential(nn.Linear(2, 2))(tn.ones(3, 3))
