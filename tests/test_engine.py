"""The walk, not the formulas: what must happen to hooks, roots, saved values, views and loaded state, case by case."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from helpers import close, constant, host, leaf

import tinygrad_norm as tn
import tinygrad_norm.nn.functional as F
from tinygrad_norm import autograd, data, nn, optim

# ---- hooks and roots ----------------------------------------------------------------------


@pytest.mark.parametrize("inner", [False, True], ids=["leaf", "value"])
def test_all_hooks_run_in_order_and_each_sees_what_the_one_before_returned(inner) -> None:
    w = leaf([1.0, 2.0])
    x = w * 1 if inner else w
    seen: list[float] = []

    def hook(factor):
        def run(g):
            seen.append(float(g.sum()))
            return g * factor

        return run

    x.register_hook(hook(2))
    removed = x.register_hook(hook(100))
    x.register_hook(hook(5))
    removed.remove()
    (3 * x).sum().backward()
    assert seen == [6.0, 12.0]
    close(w.grad, [30.0, 30.0])


def test_a_hook_sees_the_sum_of_all_that_arrives_once() -> None:
    w = leaf([1.0])
    x = w * 1
    seen: list[float] = []
    x.register_hook(lambda g: seen.append(float(g)))
    (x * 2 + x * 3 + x.exp() * 0).sum().backward()
    assert seen == [5.0]


def test_a_root_given_twice_counts_twice_and_a_root_inside_another_adds() -> None:
    w = leaf([1.0, 2.0])
    y = w * 3
    autograd.backward([y, y], [constant([1.0, 1.0]), constant([10.0, 10.0])])
    close(w.grad, [33.0, 33.0])
    w.grad = None
    y = w * 3
    z = y * y
    autograd.backward([z.sum(), y.sum()])
    close(w.grad, 2 * 9 * host(w) + 3)
    (g,) = tn.grad([w.sum(), w.sum()], w)
    close(g, [2.0, 2.0])


def test_a_leaf_can_be_a_root_and_several_inputs_may_be_one() -> None:
    w = leaf(2.0)
    w.backward()
    close(w.grad, 1.0)
    first, second = tn.grad(w * w, [w, w])
    close(first, 4.0)
    close(second, 4.0)


def test_a_hook_that_waits_for_grad_finds_the_whole_of_it_there() -> None:
    first, second = leaf([1.0]), leaf([2.0])
    seen: list[tuple[str, float]] = []
    handle = first.register_post_accumulate_grad_hook(lambda p: seen.append(("first", float(p.grad))))
    second.register_post_accumulate_grad_hook(lambda p: seen.append(("second", float(p.grad))))
    (first * second + first * 3).sum().backward()
    assert sorted(seen) == [("first", 5.0), ("second", 1.0)]
    close(first.grad, [5.0])
    handle.remove()
    seen.clear()
    first.backward(constant([1.0]))
    second.backward(constant([10.0]))
    assert seen == [("second", 11.0)]
    (first * second).sum().backward(inputs=[second])
    assert seen[-1] == ("second", 12.0)
    tn.grad((first * second).sum(), second)
    assert len(seen) == 2
    for wrong in (lambda: constant([1.0]), lambda: first * 1):
        with pytest.raises(RuntimeError, match=r"cannot (be registered|register)|cannot register a hook|non-leaf"):
            wrong().register_post_accumulate_grad_hook(print)


def test_a_leaf_that_is_a_root_does_not_keep_the_gradient_it_was_given() -> None:
    w, g = leaf([1.0, 2.0]), constant([3.0, 4.0])
    w.backward(g)
    g.add_(10)
    close(w.grad, [3.0, 4.0])


def test_a_view_that_requires_grad_since_its_base_does_is_no_leaf_to_leave_a_gradient_in() -> None:
    base = constant([1.0, 2.0])
    view = base[:1]
    base.requires_grad_()
    assert view.requires_grad
    w = leaf([1.0])
    (view * w).sum().backward()
    assert view.grad is None
    assert base.grad is None
    close(w.grad, [1.0])


def test_retain_graph_and_create_graph_are_independent() -> None:
    x = leaf(3.0)
    y = x**3
    (g,) = tn.grad(y, x, create_graph=True, retain_graph=False)
    close(tn.grad(g, x)[0], 18.0)
    with pytest.raises(RuntimeError, match="second time"):
        tn.grad(y, x)
    y = x**3
    tn.grad(y, x, create_graph=True)
    tn.grad(y, x, retain_graph=True)
    tn.grad(y, x)
    with pytest.raises(RuntimeError, match="second time"):
        tn.grad(y, x)


def test_inputs_that_are_not_wanted_are_neither_computed_nor_kept() -> None:
    computed = []

    @autograd.op
    def product(a, b):
        return a * b

    product.vjp(a=lambda g, b: computed.append("a") or g * b, b=lambda g, a: computed.append("b") or g * a)
    a, b = leaf([2.0]), leaf([3.0])
    (g,) = tn.grad(product(a, b).sum(), b)
    close(g, [2.0])
    assert computed == ["b"]
    with tn.no_grad():
        assert product(a, b).grad_fn is None
    product(a.detach(), b).sum().backward()
    assert computed == ["b", "b"]
    assert a.grad is None


def test_backward_with_inputs_goes_through_a_value_and_stops_above_the_rest() -> None:
    w = leaf([2.0])
    x = w * 3
    (x * x).sum().backward(inputs=[x])
    close(x.grad, [12.0])
    assert w.grad is None


def test_gradients_of_old_and_new_dtypes_meet_in_that_of_the_leaf() -> None:
    x = leaf([1.0, 2.0], "float32")
    (x.double() * constant([2.0, 3.0])).sum().backward()
    assert x.grad.dtype == tn.float32
    x.sum().backward()
    close(x.grad, np.array([3.0, 4.0], "float32"))


def test_a_retained_gradient_has_memory_of_its_own() -> None:
    y, g = leaf([1.0]) * 2, constant([3.0])
    y.retain_grad()
    y.backward(g)
    g.add_(10)
    close(y.grad, [3.0])


def test_what_was_saved_of_a_gradient_is_checked_against_the_next_backward() -> None:
    w, v = leaf([1.0]), leaf([2.0])
    (w * 3).sum().backward()
    y = w.grad * v
    (w * 3).sum().backward()
    with pytest.raises(RuntimeError, match="modified by an inplace operation.*backward"):
        y.sum().backward()


def test_a_copy_has_memory_of_its_own() -> None:
    x = constant([1.0, 2.0])
    twin = copy.deepcopy(x)
    twin.add_(1)
    close(x, [1.0, 2.0])


# ---- ops ----------------------------------------------------------------------------------


def test_one_tensor_in_two_places_of_a_fused_op() -> None:
    values = np.arange(1.0, 5.0).reshape(2, 2)
    found = []
    for linear in (F.linear, lambda a, b, c: a @ b.T + c):
        x = leaf(values)
        (g,) = tn.grad((linear(x, x, x[0]) ** 2).sum(), x, create_graph=True)
        (second,) = tn.grad((g * g).sum(), x)
        found.append((g, second))
    close(*(g for g, _ in found))
    close(*(second for _, second in found), tolerance=1e-10)


def test_an_input_of_a_fused_op_that_depends_on_another_under_create_graph() -> None:
    found = []
    for layer in (lambda x, w: F.layer_norm(x, (3,), w), lambda x, w: F.layer_norm(x, (3,)) * w):
        x = leaf([[1.0, 2.0, 4.0]])
        w = x[0] * 2
        g, gw = tn.grad((layer(x, w) ** 3).sum(), [x, w], create_graph=True)
        found.append([g, gw, *tn.grad((g**2).sum() + gw.sum(), x)])
    for a, b in zip(*found):
        close(a, b, tolerance=1e-8)


def test_what_a_variadic_op_has_saved_is_checked() -> None:
    @autograd.op
    def multiply(*factors):
        return factors[0] * factors[1] * factors[2]

    @multiply.joint_vjp
    def gradients(g, factors):
        a, b, c = factors
        return [g * b * c, g * a * c, g * a * b]

    x, other = leaf([2.0]), constant([3.0])
    y = multiply(x, other, other)
    close(tn.grad(y.sum(), x, retain_graph=True)[0], [9.0])
    other.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


@pytest.mark.parametrize("edit", ["index", "mask", "list"])
def test_an_index_is_taken_as_it_was(edit) -> None:
    x = leaf([1.0, 2.0, 3.0])
    index = {"index": constant([0, 2]), "mask": constant([True, False, True]), "list": [0, 2]}[edit]
    y = x[index] if edit != "list" else x[index,]
    if edit == "list":
        index[0] = 1
    else:
        index[0] = False if edit == "mask" else 1
    y.sum().backward()
    close(x.grad, [1.0, 0.0, 1.0])


def test_ties_share_or_the_first_takes_all() -> None:
    x = leaf([[2.0, 2.0, 1.0]])
    x.amax(1).sum().backward()
    close(x.grad, [[0.5, 0.5, 0.0]])
    for f in (lambda x: x.max(1).values, lambda x: F.max_pool2d(x[None], (1, 3)), lambda x: x.topk(1).values):
        x.grad = None
        f(x).sum().backward()
        assert host(x.grad).sum() == 1.0
        assert (host(x.grad) == 1).sum() == 1
    x.grad = None
    x.max().backward()
    close(x.grad, [[0.5, 0.5, 0.0]])


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_moments_of_large_numbers_are_exact(dtype) -> None:
    base = 1000.0 if dtype == "float16" else 1e5
    x = constant(base + np.arange(512) % 4, dtype)
    assert abs(float(x.var(correction=0)) - 1.25) < 1e-3
    assert abs(float(x.std(correction=0)) - 1.25**0.5) < 1e-3
    y = F.layer_norm(x.reshape(1, 512), (512,), eps=0.0)
    close(host(y)[0, :4].astype("float64"), (np.arange(4) - 1.5) / 1.25**0.5, 2e-3)


def test_windows_that_lie_across_one_another_add_up() -> None:
    x = leaf(np.arange(49.0).reshape(1, 1, 7, 7))
    F.max_pool2d(x, 3, stride=1, dilation=2).sum().backward()
    expected = np.zeros((7, 7))
    expected[4:, 4:] = 1  # the last of each window of rows i, i + 2, i + 4
    close(x.grad[0, 0], expected)
    weight = leaf(np.ones((1, 1, 2, 2)))
    x.grad = None
    F.conv2d(x, weight, dilation=3).sum().backward()
    counts = np.zeros((7, 7))
    for i in (0, 3):
        for j in (0, 3):
            counts[i : i + 4, j : j + 4] += 1
    close(x.grad[0, 0], counts)


# ---- edits --------------------------------------------------------------------------------


def test_an_edit_of_a_view_of_a_view_reaches_all_above_and_beside_it() -> None:
    w = leaf(np.arange(6.0).reshape(2, 3))
    base = w * 1
    row = base[0]
    part, beside = row[1:], row[:2]
    part.mul_(10)
    close(row, [0.0, 10.0, 20.0])
    (row * constant([1.0, 2.0, 3.0])).sum().backward(retain_graph=True)
    close(w.grad, [[1.0, 20.0, 30.0], [0.0, 0.0, 0.0]])
    w.grad = None
    beside.sum().backward(retain_graph=True)
    close(w.grad, [[1.0, 10.0, 0.0], [0.0, 0.0, 0.0]])
    w.grad = None
    base.sum().backward()
    close(w.grad, [[1.0, 10.0, 10.0], [1.0, 1.0, 1.0]])


def test_an_edit_of_the_base_reaches_views_two_levels_deep() -> None:
    w = leaf([1.0, 2.0, 3.0, 4.0])
    base = w * 1
    deep = base.reshape(2, 2)[1][:1]
    base.mul_(constant([1.0, 1.0, 7.0, 1.0]))
    deep.sum().backward()
    close(w.grad, [0.0, 0.0, 7.0, 0.0])


def test_a_view_that_is_assigned_is_up_to_date() -> None:
    w = leaf([1.0, 2.0])
    base = w * 1
    view = base[:1]
    base.mul_(5)
    y = constant([0.0, 0.0, 0.0])
    y[1:2] = view
    y.sum().backward()
    close(w.grad, [5.0, 0.0])


def test_a_value_that_is_broadcast_into_a_tensor_gets_the_sum() -> None:
    value, row = leaf(2.0), leaf([[1.0], [2.0]])
    y = constant(np.zeros((2, 3)))
    y[...] = value
    z = constant(np.zeros((2, 3)))
    z[:, 1:] = row
    (y.sum() + 2 * z.sum()).backward()
    close(value.grad, 6.0)
    close(row.grad, [[4.0], [4.0]])


def test_copying_into_a_part_takes_its_gradient_away_from_what_was_there() -> None:
    w, v = leaf([1.0, 2.0, 3.0]), leaf([5.0])
    y = w * 2
    y[1:2].copy_(v)
    (y * constant([1.0, 10.0, 100.0])).sum().backward()
    close(w.grad, [2.0, 0.0, 200.0])
    close(v.grad, [10.0])


def test_a_saved_output_is_checked_as_well() -> None:
    x = leaf([1.0])
    y = x.exp()
    y.mul_(2)
    with pytest.raises(RuntimeError, match="the output of exp"):
        y.sum().backward()


def test_the_history_of_a_view_is_made_anew_once_after_an_edit() -> None:
    base = leaf([1.0, 2.0]) * 1
    view = base[:1]
    base.mul_(2)
    assert view.grad_fn is view.grad_fn


def test_hooks_of_a_view_belong_to_its_value_before_the_edit() -> None:
    seen = []
    base = leaf([1.0, 2.0]) * 1
    view = base[:1]
    view.register_hook(seen.append)
    view.mul_(2)
    view.sum().backward()
    assert not seen


def test_what_was_squeezed_in_place_can_be_detached_in_place() -> None:
    x = leaf([[1.0]]) * 2
    x.squeeze_()
    x.detach_()
    assert x.grad_fn is None


def test_a_view_of_a_view_made_without_history_may_not_be_edited_with_one() -> None:
    base = leaf([1.0, 2.0]) * 1
    with tn.no_grad():
        view = base[:]
    part = view[:1]
    with pytest.raises(RuntimeError, match="created in no_grad mode"):
        part.mul_(leaf([2.0]))


def test_integers_wrap_around_as_their_dtype_does() -> None:
    close(constant([5], "int32") + 2**31, np.array([5 - 2**31], "int32"))
    close(constant([5], "uint8") + 300, np.array([49], "uint8"))


# ---- state --------------------------------------------------------------------------------


def test_loaded_state_has_memory_of_its_own() -> None:
    p = leaf([1.0, 2.0])
    optimizer = optim.Adam([p], lr=0.1)
    p.sum().backward()
    optimizer.step()
    state = optimizer.state_dict()
    before = copy.deepcopy({k: host(v) for k, v in state["state"][0].items()})
    other = optim.Adam([leaf([1.0, 2.0])], lr=0.1)
    other.load_state_dict(state)
    q = other.param_groups[0]["params"][0]
    q.grad = constant([5.0, 5.0])
    other.step()
    for name, value in before.items():
        close(state["state"][0][name], value)
    assert other.param_groups[0]["lr"] == 0.1


def test_state_of_the_wrong_kind_changes_nothing() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    before = {k: host(v).copy() for k, v in net.state_dict().items()}
    state = {k: v + 1 for k, v in net.state_dict().items()}
    for bad in (
        {**state, "1.weight": tn.ones(4)},
        {k: v for k, v in state.items() if k != "1.bias"},
        {**state, "more": tn.ones(1)},
        {**state, "1.running_var": 3.0},
    ):
        with pytest.raises(RuntimeError, match="Error"):
            net.load_state_dict(bad)
        for name, value in net.state_dict().items():
            close(value, before[name])
    optimizer = optim.SGD([leaf([1.0]), leaf([1.0, 2.0])], lr=0.1, momentum=0.9)
    with pytest.raises(ValueError, match="has shape"):
        optimizer.load_state_dict(
            {
                "state": {0: {"momentum_buffer": tn.ones(1)}, 1: {"momentum_buffer": tn.ones(3)}},
                "param_groups": [{"params": [0, 1], "lr": 9.0}],
            }
        )
    assert optimizer.param_groups[0]["lr"] == 0.1
    assert not optimizer.state


@pytest.mark.filterwarnings("ignore:optimizer contains a parameter group with duplicate")
def test_a_parameter_given_twice_has_the_number_of_its_first_place() -> None:
    p = leaf([1.0])
    assert optim.SGD([p, p], lr=0.1).state_dict()["param_groups"][0]["params"] == [0, 0]


def test_a_shared_parameter_counts_once_and_is_saved_under_both_names() -> None:
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(2, 2), nn.Linear(2, 2)
            self.b.weight = self.a.weight

    net = Tied()
    assert len(list(net.parameters())) == 3
    assert [name for name, _ in net.named_parameters()] == ["a.weight", "a.bias", "b.bias"]
    assert len(list(net.named_parameters(remove_duplicate=False))) == 4
    assert "b.weight" in net.state_dict()
    x = constant(np.ones((1, 2)), "float32")
    tn.manual_seed(1)
    net.to(tn.get_backend())
    (net.b(net.a(x))).sum().backward()
    before, g = host(net.a.weight).copy(), host(net.a.weight.grad).copy()
    optim.SGD(net.parameters(), lr=0.5).step()
    close(net.b.weight, before - 0.5 * g, 1e-6)


@pytest.mark.parametrize(("fractions", "sizes"), [((0.5, 0.3, 0.2), [6, 3, 2]), ((0.34, 0.33, 0.33), [4, 4, 3])])
def test_fractions_leave_no_item_out(fractions, sizes) -> None:
    parts = data.random_split(range(11), fractions)
    assert [len(p) for p in parts] == sizes
    assert sorted(i for p in parts for i in p.indices) == list(range(11))


# ---- what somebody else knows too ---------------------------------------------------------


def test_a_gradient_that_a_hook_has_seen_or_given_is_not_the_one_in_grad() -> None:
    x, y, seen, given = leaf([1.0]), leaf([1.0]), [], constant([5.0])
    x.register_hook(seen.append)
    y.register_hook(lambda g: given)
    for _ in range(2):
        (3 * x + 4 * y).sum().backward()
    assert [float(g) for g in seen] == [3.0, 3.0]
    assert (float(given), float(x.grad), float(y.grad)) == (5.0, 6.0, 10.0)


def test_one_array_as_the_gradient_of_inputs_that_are_not_neighbours() -> None:
    @tn.op
    def total(a, b, c):
        return a + b + c

    @total.joint_vjp
    def _vjp(g):
        h = 2 * g
        return h, 3 * g, h

    a, b, c = leaf([1.0]), leaf([1.0]), leaf([1.0])
    total(a, b, c).sum().backward()
    total(a, constant([1.0]), constant([1.0])).sum().backward()
    assert (float(a.grad), float(b.grad), float(c.grad)) == (4.0, 3.0, 2.0)


def test_a_joint_vjp_gives_one_gradient_for_each_input() -> None:
    @tn.op
    def total(a, b, c):
        return a + b + c

    total.joint_vjp(lambda g: (g, g))
    for inputs in ((leaf([1.0]),) * 3, (constant([1.0]), leaf([1.0]), leaf([1.0]))):
        with pytest.raises(RuntimeError, match="TotalBackward returned 2 gradients for 3 inputs"):
            total(*inputs).sum().backward()


def test_a_vjp_that_takes_arrays_for_tensors_is_told_so() -> None:
    @tn.op
    def twice(a, b):
        return a * b

    twice.vjp(a=lambda g, b: g * b, b=lambda g, a: g.unsqueeze(0)[0] * a)
    with pytest.raises(TypeError, match=r"the vjp of twice for the input 'b': .*unsqueeze.*: vjps get arrays"):
        twice(leaf([1.0]), leaf([2.0])).sum().backward()
    twice.vjp(b=lambda g, a: 1.0)
    with pytest.raises(TypeError, match="the vjp of twice for the input 'b': .*an array of the input's shape"):
        twice(leaf([1.0]), leaf([2.0])).sum().backward()


def test_an_input_of_an_op_may_have_a_default() -> None:
    @tn.op
    def scale(x, n=2):
        return x * n

    scale.vjp(x=lambda g, n: g * n)
    x = leaf([1.0])
    scale(x).sum().backward()
    assert float(x.grad) == 2.0


def test_gradients_of_gradients_add_up_also_under_no_grad() -> None:
    x = leaf([2.0])
    y = (x**3).sum()
    with tn.no_grad():
        for _ in range(2):
            y.backward(retain_graph=True, create_graph=True)
    assert x.grad.requires_grad
    assert float(tn.grad(x.grad.sum(), x)[0]) == 24.0


def test_a_hook_that_waits_is_not_called_without_a_gradient() -> None:
    x, called = leaf([1.0]), []
    x.register_hook(lambda g: x.requires_grad_(False) and None)
    x.register_post_accumulate_grad_hook(lambda p: called.append(p.grad))
    (2 * x).sum().backward()
    assert called == []


# ---- backward(inputs=) --------------------------------------------------------------------


def test_only_the_inputs_asked_for_get_gradients() -> None:
    a, x, w, b = leaf([1.0]), leaf(np.ones((2, 3))), leaf(np.ones((1, 3))), leaf([0.0])
    y = F.linear(x, w, b).sum()
    autograd.backward([a, y], inputs=[w])
    assert [t.grad is None for t in (a, x, w, b)] == [True, True, False, True]
    weight = leaf(np.ones(3))
    autograd.backward([a, F.layer_norm(x, (3,), weight, weight).sum()], inputs=[x])
    assert [t.grad is None for t in (a, x, weight)] == [True, False, True]


def test_what_is_saved_goes_if_so_asked_also_under_create_graph() -> None:
    x = leaf([2.0])
    y = (x**3).sum()
    y.backward(retain_graph=False, create_graph=True)
    with pytest.raises(RuntimeError, match="a second time"):
        y.backward()
