"""The engine: what is recorded, how it is walked, what is left behind."""

from __future__ import annotations

import gc
import threading
import tracemalloc
import weakref

import numpy as np
import pytest
from helpers import close, constant, host, leaf

import tinygrad_norm as tn
from tinygrad_norm.autograd import Node


def test_a_gradient_adds_up_over_all_uses_of_a_value() -> None:
    x = leaf([1.0, 2.0])
    y = x * 3
    (y * y + x).sum().backward()
    close(x.grad, 18 * host(x) + 1)


def test_gradients_come_back_in_the_dtype_of_their_input() -> None:
    x, y = leaf([1.0, 2.0], "float32"), leaf([3.0, 4.0])
    (x.double() * y).sum().backward()
    assert (x.grad.dtype, y.grad.dtype) == (tn.float32, tn.float64)
    close(x.grad, np.array([3, 4], "float32"))
    z = leaf([1.0, 2.0], "float32")
    (z * y).sum().backward()  # promotion without a word
    assert z.grad.dtype == tn.float32


def test_backward_adds_to_grad_in_its_memory() -> None:
    x = leaf([1.0])
    (x * 2).sum().backward()
    first = x.grad
    (x * 3).sum().backward()
    close(first, [5.0])
    assert x.grad is first


def test_backward_makes_a_new_gradient_where_it_is_differentiated_again() -> None:
    x = leaf([2.0])
    (x * x).sum().backward(create_graph=True)
    first = x.grad
    (x**3).sum().backward(create_graph=True)
    close(x.grad, [16.0])
    close(first, [4.0])
    assert x.grad.requires_grad


def test_a_chain_of_100000_ops_runs_and_is_freed() -> None:
    x = leaf(np.ones(3))
    y = x
    for _ in range(100_000):
        y = y * 1.00001
    y.sum().backward()
    close(x.grad, np.full(3, 1.00001**100_000), 1e-9)
    del y


def test_a_ladder_of_60_diamonds_takes_120_steps() -> None:
    x = leaf([1.0])
    calls = []

    @tn.op
    def half(x):
        return x * 0.5

    half.vjp(x=lambda g: calls.append(1) or g * 0.5)
    y = x
    for _ in range(60):
        y = half(y) + half(y)
    y.backward()
    close(x.grad, [1.0])
    assert len(calls) == 120


def test_a_graph_goes_without_the_garbage_collector() -> None:
    gc.collect()
    gc.disable()
    try:
        x = leaf(np.ones((4, 4)))
        y = ((x @ x).relu() + x.sum()).softmax(1).log().sum()
        node = weakref.ref(y.grad_fn)
        y.backward()
        del y
        assert node() is None
        y = (x * x).sum()
        (g,) = tn.grad(y, x, create_graph=True)
        (g * g).sum().backward()
        del y, g
        assert not any(type(o) is Node for o in gc.get_objects())
    finally:
        gc.enable()


def test_backward_twice_is_an_error_or_right_with_retain_graph() -> None:
    x = leaf([2.0])
    y = x * x
    y.backward(retain_graph=True)
    y.backward()
    close(x.grad, [8.0])
    with pytest.raises(RuntimeError, match="Trying to backward through the graph a second time"):
        y.backward()


def test_backward_needs_a_gradient_for_more_than_one_number() -> None:
    x = leaf([1.0, 2.0])
    with pytest.raises(RuntimeError, match="grad can be implicitly created only for scalar outputs"):
        (x * 2).backward()
    with pytest.raises(RuntimeError, match="Mismatch in shape"):
        (x * 2).backward(constant([1.0]))
    with pytest.raises(RuntimeError, match="does not require grad"):
        constant([1.0]).backward()
    (x * 2).backward(constant([1.0, 10.0]))
    close(x.grad, [2.0, 20.0])


def test_backward_with_inputs_touches_only_them() -> None:
    x, y = leaf([2.0]), leaf([3.0])
    z = x * y
    (z * y).backward(inputs=[x, z])
    close(x.grad, [9.0])
    close(z.grad, [3.0])
    assert y.grad is None
    with pytest.raises(RuntimeError, match="cannot be empty"):
        (x * y).backward(inputs=[])


def test_grad_gives_values_and_touches_no_grad() -> None:
    x, y = leaf([2.0]), leaf([3.0])
    z = x * y
    gx, gz = tn.grad(z * z, [x, z])
    close(gx, [36.0])
    close(gz, [12.0])
    assert x.grad is None
    with pytest.raises(RuntimeError, match="not have been used in the graph"):
        tn.grad(x * 2, y)
    assert tn.grad(x * 2, [y], allow_unused=True) == (None,)
    with pytest.raises(RuntimeError, match="does not require grad"):
        tn.grad(x * 2, constant([1.0]))


def test_derivatives_of_any_order() -> None:
    x = leaf([0.5])
    y = x.sin()
    for expected in (np.cos, lambda v: -np.sin(v), lambda v: -np.cos(v), np.sin, np.cos):
        (y,) = tn.grad(y, x, create_graph=True)
        close(y, expected(host(x)))


def test_second_derivatives_of_a_fused_op_go_through_its_definition() -> None:
    x, w = leaf([[1.0, 2.0]]), leaf([[3.0, 4.0]])
    loss = tn.nn.functional.mse_loss(tn.nn.functional.linear(x, w), constant([[1.0]], "float64"))
    (gx,) = tn.grad(loss, x, create_graph=True)
    gx.sum().backward()
    residual = host(x) @ host(w).T - 1
    close(w.grad, 2 * host(w).sum() * host(x) + 2 * residual)


def test_an_input_that_depends_on_another_keeps_its_own_share() -> None:
    x = leaf([[2.0]])
    y = tn.nn.functional.linear(x * 3, x)  # 3 x^2
    (g,) = tn.grad(y, x, create_graph=True)
    (h,) = tn.grad(g, x)
    close(g, [[12.0]])
    close(h, [[6.0]])


def test_no_grad_and_its_relatives() -> None:
    x = leaf([1.0])
    with tn.no_grad():
        assert not tn.is_grad_enabled()
        assert (x * 2).is_leaf
        with tn.enable_grad():
            assert not (x * 2).is_leaf
    with tn.set_grad_enabled(False):
        assert not (x * 2).requires_grad
    assert tn.is_grad_enabled()

    @tn.no_grad()
    def quiet():
        return (x * 2).requires_grad

    @tn.set_grad_enabled(False)
    def quiet_too():
        return (x * 2).requires_grad

    assert tn.is_grad_enabled()
    assert not quiet()
    assert not quiet_too()
    tn.set_grad_enabled(False)
    assert not tn.is_grad_enabled()
    tn.set_grad_enabled(True)
    with pytest.raises(ZeroDivisionError), tn.no_grad():
        raise ZeroDivisionError
    assert tn.is_grad_enabled()


def test_the_mode_belongs_to_the_thread() -> None:
    seen = []
    with tn.no_grad():
        thread = threading.Thread(target=lambda: seen.append(tn.is_grad_enabled()))
        thread.start()
        thread.join()
    assert seen == [True]


def test_hooks_see_and_replace_the_final_gradient() -> None:
    x = leaf([1.0])
    y = x * 2
    seen = []
    y.register_hook(lambda g: seen.append(host(g).copy()))
    handle = x.register_hook(lambda g: g * 10)
    (y + y).backward()
    close(seen, [[2.0]])
    close(x.grad, [40.0])
    handle.remove()
    handle.remove()
    x.grad = None
    (x * 2).backward()
    close(x.grad, [2.0])
    x.register_hook(lambda g: g.sum())
    with pytest.raises(RuntimeError, match="changed the size"):
        (x * 2).backward()
    with pytest.raises(RuntimeError, match="doesn't require grad"):
        constant([1.0]).register_hook(print)


def test_reading_the_gradient_of_no_leaf_warns_where_none_will_come() -> None:
    x = leaf(2.0)
    y = x * 3
    with pytest.warns(UserWarning, match=r"not a leaf Tensor is being accessed: call \.retain_grad\(\) on it first") as caught:
        assert y.grad is None
    assert caught[0].filename == __file__
    y.retain_grad()
    assert y.grad is None
    y.backward()
    assert y.grad.item() == 1.0
    assert x.grad.item() == 3.0


def test_retain_grad_keeps_the_gradient_of_a_value_in_between() -> None:
    x = leaf([1.0])
    y = x * 2
    y.retain_grad()
    (y * 3).backward()
    close(y.grad, [3.0])
    with pytest.raises(RuntimeError, match="requires_grad=False"):
        constant([1.0]).retain_grad()


def test_detach_shares_memory_and_data_too() -> None:
    x = leaf([1.0])
    for other in (x.detach(), x.data):
        assert other.is_leaf
        assert not other.requires_grad
        other.fill_(7.0)
        close(x, [7.0])
    x.data = constant([9.0], "float64")
    close(x, [9.0])
    x.data = constant([9.0, 1.0], "float32")
    assert (x.dtype, x.shape) == (tn.float32, (2,))
    with pytest.raises(RuntimeError, match="floating point"):
        x.data = constant([9])
    with pytest.raises(TypeError, match="must be a tensor"):
        x.data = 5


def test_requires_grad_is_for_floating_leaves() -> None:
    with pytest.raises(RuntimeError, match="floating point dtype"):
        tn.tensor([1, 2]).requires_grad_()
    x = leaf([1.0])
    with pytest.raises(RuntimeError, match=r"detach\(\)"):
        (x * 2).requires_grad_(False)
    assert not x.requires_grad_(False).requires_grad


def test_an_op_of_the_users_own() -> None:
    @tn.op
    def cube(x):
        return x * x * x

    cube.vjp(x=lambda g, x: 3 * x * x * g)
    x = leaf([2.0])
    (g,) = tn.grad(cube(x), x, create_graph=True)
    (h,) = tn.grad(g, x)
    close(g, [12.0])
    close(h, [12.0])
    assert cube(2.0) == 8.0
    assert cube.__name__ == "cube"


def test_mistakes_in_an_op_are_named() -> None:
    @tn.op
    def total(x, *, scale):
        return x.sum() * scale

    with pytest.raises(TypeError, match="asks for 'y'"):
        total.vjp(x=lambda g, y: g)
    with pytest.raises(TypeError, match="no input 'z'"):
        total.vjp(z=lambda g: g)
    x = leaf([1.0, 2.0])
    with pytest.raises(NotImplementedError, match="total is not differentiable .* input 'x'"):
        total(x, scale=2)
    total.vjp(x=lambda g, scale: g * scale)  # of the wrong shape: summing is not broadcasting
    with pytest.raises(RuntimeError, match=r"gradient of shape \[\] for an input of shape \[2\]"):
        total(x, scale=2).backward()
    with pytest.raises(TypeError, match="cannot name an argument"):
        tn.op(lambda x, *, out: x)


def test_a_node_tells_what_it_is() -> None:
    x = leaf([[1.0, 2.0]])
    y = x.log_softmax(1)
    assert y.grad_fn.name() == "LogSoftmaxBackward"
    assert repr(y.grad_fn) == "<LogSoftmaxBackward of shape [1, 2], of 1 differentiable inputs>"
    assert (y + 1).grad_fn.next_functions == ((y.grad_fn, 0), (None, 0))
    assert x.grad_fn is None
    assert x.is_leaf


def test_leaf_gradients_are_not_aliased() -> None:
    x, y = leaf([1.0]), leaf([1.0])
    g = constant([1.0], "float64")
    (x + y).backward(g)
    x.grad.zero_()
    close(y.grad, [1.0])
    close(g, [1.0])


def test_memory_is_flat_over_1000_steps() -> None:
    net = tn.nn.Sequential(tn.nn.Linear(20, 20), tn.nn.ReLU(inplace=True), tn.nn.Linear(20, 1))
    optimizer = tn.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    x = tn.randn(8, 20)

    def steps(count: int) -> int:
        for _ in range(count):
            optimizer.zero_grad()
            net(x).square().mean().backward()
            optimizer.step()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        gc.disable()
        before = steps(2500)  # Python keeps up to 2,000 freed tuples of each length for itself
        assert steps(1000) - before < 5_000
    finally:
        gc.enable()
        tracemalloc.stop()


def test_a_later_edit_of_an_index_or_mask_does_not_reach_the_gradient() -> None:
    for use in (
        lambda x, i, m: x[i],
        lambda x, i, m: x.gather(0, i),
        lambda x, i, m: x.index_select(0, i),
        lambda x, i, m: tn.where(m, x, 0.0)[:2],
        lambda x, i, m: x.masked_fill(m, 0.0)[2:],
    ):
        x, i, m = leaf(np.ones(4)), constant([0, 1]), constant([True, True, False, False])
        y = use(x, i, m)
        expected = host(y).sum()
        i[0] = 3
        m.fill_(False)
        y.sum().backward()
        assert host(x.grad).sum() == expected


def test_what_only_a_second_derivative_needs_may_be_edited() -> None:
    w, b, x = leaf([1.0, 1.0]), leaf([0.0, 0.0]), leaf([[1.0, 2.0], [3.0, 5.0]])
    y = tn.nn.functional.batch_norm(x, None, None, w, b, training=True)
    with tn.no_grad():
        b.add_(1)
    y.sum().backward()
    layer = tn.nn.Linear(2, 2)
    y = layer(tn.ones(1, 2))
    with tn.no_grad():
        layer.weight.sub_(0.1)
    y.sum().backward()


def test_a_chain_of_views_is_no_recursion() -> None:
    base = leaf(np.ones(4)) * 1
    x = base
    for _ in range(3000):
        x = x.view(2, 2).view(4)
    base.mul_(2)
    close(x.sum(), 8.0)


def test_a_sum_may_be_walked_twice_since_it_saves_no_values() -> None:
    x = leaf([1.0])
    y = x.sum()
    y.backward()
    y.backward()
    close(x.grad, [2.0])


def test_no_grad_works_without_parentheses() -> None:
    @tn.no_grad
    def quiet(x):
        return (x * 2).requires_grad

    assert not quiet(leaf([1.0]))


def test_zeroed_gradients_are_zero_even_after_nan() -> None:
    x = leaf([1.0])
    x.grad = constant([float("nan")])
    tn.optim.SGD([x]).zero_grad(set_to_none=False)
    close(x.grad, [0.0])


def test_a_gradient_that_is_a_view_is_copied_only_where_somebody_else_may_know_it() -> None:
    kept = tn.ones(2, 3, device=tn.get_backend()).array

    @tn.op
    def fresh(x):
        return x * 1

    @tn.op
    def held(x):
        return x * 1

    fresh.vjp(x=lambda g: (g * 2).reshape(3, 2).reshape(2, 3))
    held.vjp(x=lambda g: kept.reshape(6).reshape(2, 3))
    for op in (fresh, held):
        cotangent = tn.ones(2, 3, device=tn.get_backend())
        x = leaf(np.ones((2, 3)), "float32")
        op(x).backward(cotangent)
        x.grad.add_(5)
        close(cotangent, np.ones((2, 3), "float32"))
    close(tn.Tensor(kept), np.ones((2, 3), "float32"))
    for shape in ((6,), (3, 2)):  # the cotangent seen in another shape is still the caller's
        cotangent = tn.ones(*shape, device=tn.get_backend())
        x = leaf(np.ones((2, 3)), "float32")
        x.reshape(shape).backward(cotangent)
        x.grad.add_(5)
        close(cotangent, np.ones(shape, "float32"))
