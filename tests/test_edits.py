"""What an in-place edit does: to the memory, to the base and the views, to histories, hooks and retained gradients."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from helpers import close, constant, leaf

import tinygrad_norm as tn
from tinygrad_norm.nn import functional as F


@pytest.mark.parametrize(
    "edit",
    [
        lambda y: y.copy_(constant([5.0, 5.0, 5.0])),
        lambda y: y.fill_(tn.tensor(5.0)),
        lambda y: y.fill_(5),
        lambda y: y.zero_(),
        lambda y: y.__setitem__(..., 5.0),
        lambda y: y.uniform_(),
    ],
)
def test_a_constant_written_over_a_base_reaches_the_gradient_of_its_views(edit) -> None:
    x = leaf([1.0, 2.0, 3.0])
    y = x * 1
    v, deeper = y[:2], y[:2].reshape(2, 1)[1]
    edit(y)
    assert y.requires_grad
    (v.sum() + deeper.sum()).backward()
    close(x.grad, [0.0, 0.0, 0.0])


@pytest.mark.parametrize(
    "look",
    [
        lambda s: s.reshape(1),
        lambda s: s.unsqueeze(0),
        lambda s: s[None],
        lambda s: s.flatten(),
        lambda s: s.view(1, 1),
        lambda s: s[...],
        lambda s: s.expand(1, 1),
    ],
)
def test_a_number_is_edited_through_its_views(look) -> None:
    x = leaf(3.0)
    s = x * x
    look(s).mul_(5.0)
    close(s, 45.0)
    (s * 2).backward()
    close(x.grad, 60.0)


def test_a_number_takes_items() -> None:
    s = tn.tensor(3.0)
    s[...] = 4
    assert s.item() == 4
    s[()] = 5
    s[None] = s + 1
    assert s.item() == 6
    with pytest.raises(IndexError, match="0-dim"):
        s[0] = 1


def test_views_of_a_base_that_is_squeezed_in_place_stay_views() -> None:
    x = leaf([[1.0, 4.0]])
    b = x * 1
    v = b[0]
    b.squeeze_(0)
    v.mul_(3)
    close(b, [3.0, 12.0])
    b.sum().backward()
    close(x.grad, [[3.0, 3.0]])


def test_a_view_made_without_history_may_not_be_edited_with_one() -> None:
    b = leaf([1.0, 4.0]) * 2
    with tn.no_grad():
        v = b[0]
    assert v.requires_grad
    with pytest.raises(RuntimeError, match="created in no_grad mode"):
        v.mul_(3)
    close(b, [2.0, 8.0])


def test_parts_of_a_split_may_not_be_edited_with_a_history() -> None:
    y = leaf([1.0, 2.0, 3.0]) * 1
    for part in (y.split([1, 2])[0], y.chunk(3)[1], y.unbind()[0], next(iter(y))):
        with pytest.raises(RuntimeError, match="returns multiple views"):
            part.mul_(2)
    plain = constant([1.0, 2.0])
    plain.split(1)[0].mul_(2)
    close(plain, [2.0, 2.0])


def test_a_view_requires_grad_when_its_base_has_come_to() -> None:
    x = tn.ones(4)
    v = x[2:]
    x.mul_(tn.ones(4, requires_grad=True))
    assert v.requires_grad
    assert not v.is_leaf


def test_a_retained_gradient_follows_an_edit_and_hooks_do_not() -> None:
    x = leaf([1.0, 1.0])
    y = x * 2
    seen = []
    y.register_hook(seen.append)
    y.retain_grad()
    y.mul_(3)
    (y * 5).sum().backward()
    close(y.grad, [5.0, 5.0])
    close(seen[0], [15.0, 15.0])


def test_retained_gradients_add_up() -> None:
    y = leaf([1.0, 2.0]) * 2
    y.retain_grad()
    y.sum().backward(retain_graph=True)
    y.sum().backward()
    close(y.grad, [2.0, 2.0])


def test_results_are_no_views_of_what_they_came_from() -> None:
    x = constant([[1.0, 2.0]])
    for made in (x.prod(0), x.logsumexp(()), x.sum(()), x.clone(), F.pad(x, (0, 0)), x.norm(dim=0), tn.einsum("ij->ij", x)):
        made.zero_()
    close(x, [[1.0, 2.0]])


def test_views_of_memory_in_another_order_are_views_all_the_same() -> None:
    y = F.linear(tn.ones(2, 3), tn.ones(4, 3))
    flat, again = y.view(8), y.view(8)
    flat.zero_()
    assert y.sum().item() == 0
    y[0, 1] = 5.0
    assert flat[1].item() == again[1].item() == 5.0
    x = leaf(np.ones((2, 3)))
    y = F.linear(x, constant(np.ones((4, 3)), "float64"))
    y.view(8)[:4].mul_(3)
    y.sum().backward()
    close(x.grad, [[12.0] * 3, [4.0] * 3])


def test_expanded_elements_are_edited_one_by_one_or_not_at_all() -> None:
    y = tn.ones(1, 3).expand(2, 3)
    with pytest.raises(RuntimeError, match="single memory location"):
        y.add_(1)
    y[0].add_(1)
    close(y, [[2.0] * 3] * 2)
    own = tn.ones(1, 3).expand(2, 3).contiguous()
    own.add_(1)
    close(own, [[2.0] * 3] * 2)


def test_memory_that_is_read_only_stays_so() -> None:
    array = np.ones(2)
    array.flags.writeable = False
    with pytest.raises(RuntimeError, match="read-only"):
        tn.from_numpy(array).zero_()


def test_what_an_op_has_not_saved_may_be_edited() -> None:
    for edit in (lambda x: (x / x.norm()).mul_(2), lambda x: F.relu(F.max_pool2d(x.reshape(1, 1, 1, 2), 1), inplace=True)):
        x = leaf([3.0, 4.0])
        edit(x).sum().backward()
        assert np.isfinite(x.grad.tolist()).all()


def test_grad_of_a_hidden_value_leaves_its_own_history_alone() -> None:
    x = leaf([1.0, 2.0])
    h = x.tanh()
    (g,) = tn.grad((h * h).sum(), h)
    h.backward(g)
    assert x.grad is not None
    x.grad = None
    (x * 2).sum().backward(inputs=[x, x])
    close(x.grad, [2.0, 2.0])


def test_a_leaf_that_stopped_asking_gets_nothing() -> None:
    x = leaf([1.0, 2.0])
    y = (x * x).sum()
    x.requires_grad_(False)
    y.backward()
    assert x.grad is None


@pytest.mark.parametrize("wrong", [lambda: tn.ones(3), lambda: tn.ones(2, dtype="float64"), lambda: np.ones(2), lambda: 5])
def test_a_gradient_that_is_none_is_refused(wrong) -> None:
    x = tn.ones(2, requires_grad=True)
    with pytest.raises((RuntimeError, TypeError)):
        x.grad = wrong()
    assert x.grad is None
    x.grad = tn.ones(2)
    del x.grad
    assert x.grad is None


def test_gradients_are_added_to_the_memory_that_is_there() -> None:
    flat = tn.zeros(4)
    ps = [tn.nn.Parameter(tn.ones(2)) for _ in range(2)]
    for i, p in enumerate(ps):
        p.grad = flat[2 * i : 2 * i + 2]
    (ps[0] * 3 + ps[1] * 2).sum().backward()
    close(flat, [3.0, 3.0, 2.0, 2.0])
    tn.optim.SGD(ps, lr=0.1).zero_grad(set_to_none=False)
    close(flat, [0.0] * 4)


@pytest.mark.parametrize("answer", [lambda g: 5, lambda g: tn.tensor([1, 2]), lambda g: tn.ones(3)])
def test_a_hook_may_not_change_the_kind_of_a_gradient(answer) -> None:
    x = tn.tensor([1.0, 2.0], requires_grad=True)
    x.register_hook(answer)
    with pytest.raises((TypeError, RuntimeError), match="hook"):
        (x * 2).sum().backward()
    assert x.grad is None


def test_a_generator_runs_in_its_own_mode_and_its_consumer_in_another() -> None:
    modes = []

    @tn.no_grad()
    def batches():
        try:
            got = yield tn.is_grad_enabled()
            modes.append(got)
            yield tn.is_grad_enabled()
        finally:
            modes.append(tn.is_grad_enabled())

    source = batches()
    assert next(source) is False
    assert tn.is_grad_enabled()
    assert source.send("sent") is False
    source.close()
    assert modes == ["sent", False]

    class Net:
        @tn.no_grad
        def method(self) -> bool:
            return tn.is_grad_enabled()

    assert Net().method() is False


def test_pickled_and_copied() -> None:
    x = tn.ones(2, requires_grad=True)
    y = pickle.loads(pickle.dumps(x * 2))
    assert y.tolist() == [2.0, 2.0]
    assert y.is_leaf
    assert y.requires_grad
    with pytest.raises(RuntimeError, match="graph leaves"):
        copy.deepcopy(x * 2)
    x.grad = tn.ones(2)
    assert copy.deepcopy(x).grad is not x.grad
    p = tn.nn.Parameter(tn.ones(2))
    assert type(pickle.loads(pickle.dumps(p))) is type(copy.deepcopy(p)) is tn.nn.Parameter
    generator = tn.Generator().manual_seed(3)
    assert tn.rand(3, generator=pickle.loads(pickle.dumps(generator))).tolist() == tn.rand(3, generator=generator).tolist()


def test_a_function_with_a_context() -> None:
    class Scale(tn.autograd.Function):
        @staticmethod
        def forward(ctx, x, factor, w):
            y = x * factor * w
            ctx.save_for_backward(x, w, y)
            ctx.factor = factor
            return y, x.detach() + 0

        @staticmethod
        def backward(ctx, g, g_other):
            x, w, _ = ctx.saved_tensors
            assert ctx.needs_input_grad == (True, False, True)
            return g * ctx.factor * w + g_other, None, (g * ctx.factor * x)

    x, w = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    y, other = Scale.apply(x, 2.0, w)
    (y * y + other).sum().backward()
    close(x.grad, 8 * np.array([1.0, 2.0]) * np.array([9.0, 16.0]) + 1)
    assert tn.gradcheck(lambda a, b: Scale.apply(a, 2.0, b)[0], [leaf([1.0, 2.0]), leaf([0.5, -1.0])])
    assert tn.gradgradcheck(lambda a, b: Scale.apply(a, 2.0, b)[0], [leaf([1.0, 2.0]), leaf([0.5, -1.0])])
