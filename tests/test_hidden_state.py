"""What programs cannot see, and may not notice.

What is returned shares no memory; what is iterated may change; what is saved is copied or versioned; what is cached has all of
its key; what is edited is writable; what is given once may be given again.
"""

from __future__ import annotations

import copy
import itertools
import subprocess
import sys

import numpy as np
import pytest
from helpers import close, constant, host, leaf

import tinygrad_norm as tn
from tinygrad_norm import autograd, data, fast, nn, optim

F = nn.functional
on_the_host = pytest.mark.skipif("config.getoption('--backend') != 'numpy'", reason="NumPy's own memory")


def shared(tensors) -> list[tuple[int, int]]:
    """The pairs of them that share memory."""
    arrays = [host(t) for t in tensors if t is not None]
    return [(i, j) for i, j in itertools.combinations(range(len(arrays)), 2) if np.shares_memory(arrays[i], arrays[j])]


# ---- what is returned shares no memory ----------------------------------------------------

GRAPHS = {
    "a sum and its parts": lambda x: [x, y := x + 1, y + x],
    "one gradient for all": lambda x: [x, y := x * 1, z := y + 0.0, z + y],
    "views": lambda x: [x, y := x.reshape(2, 2), z := y.t(), z + y],
    "expanded": lambda x: [x, y := x.expand(3, 4), y + 0.0],
    "parts": lambda x: [x, *(parts := x.split(2)), tn.cat([*parts, *parts])],
    "negated twice": lambda x: [x, y := -x, -y],
}


@on_the_host
@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("graph", GRAPHS)
def test_no_two_gradients_share_memory(graph, create_graph) -> None:
    x = leaf([1.0, 2.0, 3.0, 4.0])
    nodes = GRAPHS[graph](x)
    cotangent = constant(np.ones(nodes[-1].shape))
    found = autograd.grad(nodes[-1], nodes, cotangent, create_graph=create_graph, retain_graph=True)
    assert not shared([*found, cotangent])
    again = autograd.grad(nodes[-1], [*nodes, *nodes], cotangent, create_graph=create_graph)
    assert not shared(again)
    for a, b in zip(again, itertools.cycle(found)):
        close(a.detach(), b.detach())


@on_the_host
def test_what_backward_leaves_shares_no_memory() -> None:
    x, y = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    total, cotangent = x + y, constant([1.0, 1.0])
    total.retain_grad()
    total.backward(cotangent)
    assert not shared([x.grad, y.grad, total.grad, cotangent])
    seen = []
    z = x * 1
    z.register_hook(lambda g: seen.append(g))
    (z + x).backward(cotangent)
    assert not shared([x.grad, *seen, cotangent])


def test_one_array_as_two_gradients_becomes_two() -> None:
    @tn.op
    def total(a, b):
        return a + b

    @total.joint_vjp
    def vjp(g):
        both = g * 2
        return both, both

    x, y = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    total(x, y).sum().backward()
    x.grad.mul_(5)
    close(y.grad, [2.0, 2.0])
    total(x, x).sum().backward()
    close(x.grad, [14.0, 14.0])


def test_a_view_without_a_history_is_no_root() -> None:
    x = leaf([1.0, 2.0])
    with tn.no_grad():
        view = x[0]
    assert view.requires_grad
    with pytest.raises(RuntimeError, match="does not have a grad_fn"):
        view.backward()
    assert x.grad is None


def test_a_constant_gradient_is_added_to_under_create_graph() -> None:
    x = leaf([1.0, 2.0])
    for times in (1, 2, 3):
        before = x.grad
        (x * 2).sum().backward(create_graph=True)
        close(x.grad.detach(), [2.0 * times] * 2)
        assert x.grad is not before
    (x * x).sum().backward(create_graph=True)
    close(autograd.grad(x.grad.sum(), x)[0], [2.0, 2.0])


def test_what_an_optimizer_gives_away_does_not_change_it() -> None:
    p = leaf([1.0])
    optimizer = optim.SGD([p], lr=0.1, momentum=0.5)
    p.sum().backward()
    optimizer.step()
    state = optimizer.state_dict()
    state["state"][0].clear()
    state["param_groups"][0]["lr"] = 9.0
    state["param_groups"][0]["params"].append(1)
    assert list(optimizer.state[p]) == ["momentum_buffer"]
    assert optimizer.param_groups[0]["lr"] == 0.1
    assert len(optimizer.param_groups[0]["params"]) == 1


def test_a_function_that_returns_its_input_returns_another_tensor() -> None:
    class Same(autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x

        @staticmethod
        def backward(ctx, g):
            return g * 2

    x = leaf([1.0])
    y = x * 1
    for given in (x, y):
        out = Same.apply(given)
        assert out is not given
        assert out.grad_fn.name() == "SameBackward"
        close(autograd.grad(out.sum(), given, retain_graph=True)[0], [2.0])
    assert x.is_leaf
    assert y.grad_fn.name() == "MulBackward"


def test_a_cotangent_has_the_dtype_of_its_output() -> None:
    for dtype, other in (("float64", "float32"), ("float32", "float64"), ("float32", "float16")):
        x = leaf([1.0, 2.0], dtype)
        seen = []
        y = x * 2
        y.register_hook(lambda g, seen=seen: seen.append(g.dtype))
        y.backward(constant([0.5, 0.25], other))
        assert seen == [x.dtype]
        close(x.grad, np.array([1.0, 0.5], dtype))


# ---- what is iterated may change ----------------------------------------------------------


def test_hooks_may_come_and_go_while_they_run() -> None:
    def registering(register):
        """Of three hooks the first removes itself and the second, the third adds a fourth."""
        calls, handles = [], []

        def first(*args):
            calls.append("first")
            handles[0].remove()
            handles[1].remove()

        def third(*args):
            calls.append("third")
            if len(handles) == 3:
                handles.append(register(lambda *args: calls.append("fourth")))

        handles += [register(first), register(lambda *args: calls.append("second")), register(third)]
        return calls

    x = leaf([1.0])
    net, calls = nn.Linear(1, 1).double(), {}
    calls["leaf"], calls["after"] = registering(x.register_hook), registering(x.register_post_accumulate_grad_hook)
    y = x * 2
    calls["result"] = registering(y.register_hook)
    calls["before"], calls["module"] = registering(net.register_forward_pre_hook), registering(net.register_forward_hook)
    for _ in range(2):
        y.sum().backward(retain_graph=True)
        net(x.detach())
    for name, seen in calls.items():
        assert seen[0] == "first", name
        assert seen[-2:] == ["third", "fourth"], name
        assert seen.count("first") == 1, name


def test_a_group_may_come_while_schedulers_are_there() -> None:
    S = optim.lr_scheduler
    made = {
        "StepLR": lambda o: S.StepLR(o, 1, 0.5),
        "MultiStepLR": lambda o: S.MultiStepLR(o, [1, 2], 0.5),
        "ExponentialLR": lambda o: S.ExponentialLR(o, 0.5),
        "LambdaLR": lambda o: S.LambdaLR(o, lambda epoch: 0.5**epoch),
        "MultiplicativeLR": lambda o: S.MultiplicativeLR(o, lambda epoch: 0.5),
        "own": lambda o: type("Own", (S.LRScheduler,), {"get_lr": lambda s: [b * 0.5**s.last_epoch for b in s.base_lrs]})(o),
        "CosineAnnealingLR": lambda o: S.CosineAnnealingLR(o, 2, 0.0),
        "CosineAnnealingWarmRestarts": lambda o: S.CosineAnnealingWarmRestarts(o, 4),
    }
    for name, make in made.items():
        optimizer = optim.SGD([leaf([1.0])], lr=1.0)
        scheduler = make(optimizer)
        optimizer.add_param_group({"params": [leaf([1.0])], "lr": 4.0})
        scheduler.step()
        scheduler.step()
        first, second = (group["lr"] for group in optimizer.param_groups)
        assert 0 <= first < 1, name
        assert second == pytest.approx(4 * first), name
    for make in (lambda o: S.LambdaLR(o, [lambda epoch: 0.5]), lambda o: S.ReduceLROnPlateau(o, min_lr=[0.1])):
        optimizer = optim.SGD([leaf([1.0])], lr=1.0)
        scheduler = make(optimizer)
        optimizer.add_param_group({"params": [leaf([1.0])]})
        with pytest.raises(ValueError, match="Expected 2"):
            scheduler.step(*([1.0] if "Plateau" in type(scheduler).__name__ else []))


# ---- what is saved is copied or versioned -------------------------------------------------

INDEXED = {
    "getitem": lambda x, i: x[i],
    "two of them": lambda x, i: x[i, i],
    "index_select": lambda x, i: x.index_select(0, i),
    "index_select of columns": lambda x, i: x.index_select(1, i),
    "gather": lambda x, i: x.gather(0, i.unsqueeze(1)),
    "take_along_dim": lambda x, i: tn.take_along_dim(x, i.unsqueeze(1), 0),
    "scatter": lambda x, i: tn.zeros(4, 4, dtype="float64").scatter(0, i.unsqueeze(1).expand(2, 4), x[:2]),
    "scatter_add": lambda x, i: tn.zeros(4, 4, dtype="float64").scatter_add(0, i.unsqueeze(1).expand(2, 4), x[:2]),
    "index_add": lambda x, i: tn.zeros(4, 4, dtype="float64").index_add(0, i, x[:2]),
    "an assignment": lambda x, i: assigned(x, i),
    "masked": lambda x, i: x[:2][i > 0],
    "masked_fill": lambda x, i: x[:2].masked_fill((i > 0).unsqueeze(1), 0.0),
    "where": lambda x, i: tn.where((i > 0).unsqueeze(1), x[:2], 0.0),
    "embedding": lambda x, i: F.embedding(i, x),
    "nll_loss": lambda x, i: F.nll_loss(x[:2], i),
    "cross_entropy": lambda x, i: F.cross_entropy(x[:2], i),
    "cross_entropy that ignores": lambda x, i: F.cross_entropy(x[:2], i, ignore_index=0),
    "repeat_interleave": lambda x, i: x[:2].repeat_interleave(i, 0),
}


def assigned(x, i):
    y = x * 1
    y[i] = y[:2] * 2
    return y


@pytest.mark.parametrize("name", INDEXED)
def test_an_index_that_is_edited_later_changes_no_gradient(name) -> None:
    """The right gradient, or the error that says what was edited."""
    x, values = leaf(np.arange(16.0).reshape(4, 4)), [0, 2]
    expected = autograd.grad((INDEXED[name](x, constant(values)) ** 2).sum(), x)[0]
    for edit in (lambda i: i.add_(1), lambda i: i.zero_(), lambda i: i.copy_(constant([1, 1]))):
        index = constant(values)
        found = (INDEXED[name](x, index) ** 2).sum()
        edit(index)
        try:
            close(autograd.grad(found, x)[0], expected)
        except RuntimeError as error:
            assert "modified by an inplace operation" in str(error)  # noqa: PT017


@on_the_host
@pytest.mark.parametrize("bad", [-1, 10**6, -(10**12)])
def test_labels_overwritten_by_numpy_crash_nothing(bad) -> None:
    program = f"""
import numpy as np, tinygrad_norm as tn
labels = np.zeros(5000, "int64")
for classes in (4, 1000):
    for settings in ({{}}, {{"ignore_index": 3}}, {{"label_smoothing": 0.1}}, {{"reduction": "sum"}}):
        labels[:] = 0
        x = tn.ones(5000, classes).requires_grad_()
        loss = tn.nn.functional.cross_entropy(x, tn.from_numpy(labels), **settings)
        labels[:] = {bad}
        try:
            loss.backward()
        except (IndexError, RuntimeError):
            pass
table = tn.ones(10, 3).requires_grad_()
numbers = np.zeros(5000, "int64")
found = tn.nn.functional.embedding(tn.from_numpy(numbers), table).sum() + table.gather(0, tn.from_numpy(numbers[:, None])).sum()
numbers[:] = {bad}
found.backward()
assert table.grad.sum().item() == 20000
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, (done.returncode, done.stderr[-300:])


@pytest.mark.parametrize("name", ["max", "min", "sort", "topk", "median"])
def test_indices_that_were_returned_may_be_edited(name) -> None:
    x = leaf(np.random.default_rng(0).normal(size=(4, 4)))
    call = {"topk": lambda: x.topk(2, 1), "sort": lambda: x.sort(1)}.get(name, lambda: getattr(x, name)(1))
    expected = autograd.grad((call().values ** 2).sum(), x)[0]
    found = call()
    found.indices.zero_()
    close(autograd.grad((found.values**2).sum(), x)[0], expected)


def test_padding_idx_may_be_counted_from_the_end() -> None:
    for layer in (nn.Embedding(4, 2, padding_idx=-1), nn.Embedding(4, 2, padding_idx=3)):
        assert layer.padding_idx == 3
        close(layer.weight[3].detach(), [0.0, 0.0])
        layer(constant([3, 1, 3])).sum().backward()
        close(layer.weight.grad, [[0.0, 0.0], [1.0, 1.0], [0.0, 0.0], [0.0, 0.0]])


# ---- what is cached has all of its key ----------------------------------------------------


@on_the_host
def test_a_stand_in_belongs_to_its_level(monkeypatch) -> None:
    monkeypatch.setitem(fast.STAND_INS, "probe", (0, fast.StandIn("none", "numpy")))
    monkeypatch.setattr(fast, "_quickest", lambda name, level: None if level == "off" else lambda x: level)

    def probe(x):
        return "textbook"

    run = fast.replaceable(probe)
    for name in ("numpy", "off", "numba", "numpy", "off"):
        with fast.level(name):
            assert run(np.ones(3)) == ("textbook" if name == "off" else name)


def test_calls_that_differ_in_one_setting_do_not_share_a_result() -> None:
    x = constant(np.random.default_rng(0).normal(size=(2, 2, 6, 6)))
    calls = [
        *(lambda m=m, s=s, c=c: F.max_pool2d(x, m, s, ceil_mode=c) for m in (2, 3) for s in (1, 3) for c in (False, True)),
        *(lambda p=p, d=d: F.max_pool2d(x, 3, 1, p, d) for p in (0, 1) for d in (1, 2)),
        *(lambda i=i, p=p: F.avg_pool2d(x, 3, 2, p, count_include_pad=i) for i in (False, True) for p in (0, 1)),
        *(lambda m=m: F.pad(x, (1, 2, 0, 1), mode=m) for m in ("reflect", "replicate", "circular", "constant")),
        *(lambda s=s: F.layer_norm(x, s) for s in ((6,), (6, 6), (2, 6, 6))),
        *(lambda n=n: F.group_norm(x, n) for n in (1, 2)),
        *(lambda d=d: x.sum(d) for d in (0, 1, (0, 1), (2, 3))),
    ]
    first = [host(call()).copy() for call in calls]
    order = np.random.default_rng(1).permutation(len(calls))
    for k in order:
        np.testing.assert_array_equal(host(calls[k]()), first[k])


# ---- views, reshaped and forgotten --------------------------------------------------------


def test_a_tensor_squeezed_twice_in_place_may_forget_its_history() -> None:
    x = leaf(np.ones((1, 1, 3)))
    y = x * 2
    y.squeeze_(0).squeeze_(0)
    assert y.shape == (3,)
    close(autograd.grad(y.sum(), x, retain_graph=True)[0], [[[2.0, 2.0, 2.0]]])
    y.detach_()
    assert y.is_leaf
    assert not y.requires_grad
    y.mul_(5)
    close(y, [10.0] * 3)
    with pytest.raises(RuntimeError, match="Can't detach views in-place"):
        (x * 2)[0].detach_()


def test_a_view_made_under_no_grad_follows_whether_its_base_requires_grad() -> None:
    x = leaf([1.0, 2.0])
    with tn.no_grad():
        view = x[:1]
    assert view.requires_grad
    x.requires_grad_(False)
    assert not view.requires_grad
    view.mul_(3)
    close(x, [3.0, 2.0])


@pytest.mark.parametrize("pads", [(-1, 2), (2, -1), (-2, 1), (-1, -1), (1, -2)])
def test_circular_padding_that_crops_goes_round_what_is_left(pads) -> None:
    x = leaf([[[1.0, 2.0, 3.0, 4.0]]])
    left = [1.0, 2.0, 3.0, 4.0][max(-pads[0], 0) : 4 + min(pads[1], 0)]
    before, after = max(pads[0], 0), max(pads[1], 0)
    expected = [*left[len(left) - before :], *left, *left[:after]]
    y = F.pad(x, pads, mode="circular")
    close(y.detach(), [[expected]])
    close(autograd.grad(y.sum(), x)[0], [[[float(expected.count(v)) for v in (1.0, 2.0, 3.0, 4.0)]]])


def test_where_the_bounds_cross_max_is_the_result_and_has_the_gradient() -> None:
    x = leaf([-1.0, 0.5, 3.0])
    low, high = leaf([2.0, 2.0, 2.0]), leaf([1.0, 1.0, 1.0])
    y = tn.clamp(x, low, high)
    close(y.detach(), [1.0, 1.0, 1.0])
    for g, expected in zip(autograd.grad(y.sum(), [x, low, high]), ([0, 0, 0], [0, 0, 0], [1, 1, 1])):
        close(g, np.asarray(expected, float))


def test_a_view_whose_base_was_edited_retains_the_gradient_of_what_it_is_now() -> None:
    x = leaf([1.0, 2.0])
    y = x * 2
    view = y[:1]
    y.mul_(3)
    view.retain_grad()
    (view * 5).sum().backward()
    close(view.grad, [5.0])
    close(x.grad, [30.0, 0.0])


def test_a_name_that_becomes_another_kind_comes_last() -> None:
    for first, second in ((tn.zeros(1), nn.Parameter(tn.zeros(1))), (nn.Linear(1, 1), nn.Parameter(tn.zeros(1)))):
        net = nn.Module()
        if isinstance(first, nn.Module):
            net.a = first
        else:
            net.register_buffer("a", first, persistent=False)
        net.b = nn.Parameter(tn.zeros(1))
        net.a = second
        assert [name for name, _ in net.named_parameters()] == ["b", "a"]
        assert list(net.state_dict()) == ["b", "a"]


# ---- what is edited is writable -----------------------------------------------------------

OVERLAPPING = {
    "expanded": lambda: tn.zeros(1).expand(3),
    "sliding windows": lambda: tn.from_numpy(
        np.lib.stride_tricks.as_strided(np.zeros(3, "float32"), (2, 2), (4, 4), writeable=True)
    ),
    "read-only": lambda: tn.from_numpy(read_only(np.zeros(3, "float32"))),
}


def read_only(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array


@on_the_host
@pytest.mark.parametrize("kind", OVERLAPPING)
def test_a_gradient_in_odd_memory_is_added_to_elsewhere(kind) -> None:
    given = OVERLAPPING[kind]()
    p = nn.Parameter(tn.ones(*given.shape))
    p.grad = given
    factors = tn.arange(1.0, 1.0 + p.numel()).reshape(p.shape)
    (p * factors).sum().backward()
    close(p.grad, factors)
    close(given, np.zeros(given.shape))


@on_the_host
@pytest.mark.parametrize("size", [3, 5000])
@pytest.mark.parametrize("kind", ["expanded", "read-only"])
def test_odd_memory_is_refused_in_words_before_anything_changes(kind, size) -> None:
    def odd() -> tn.Tensor:
        return tn.zeros(1).expand(size) if kind == "expanded" else tn.from_numpy(read_only(np.zeros(size, "float32")))

    said = "single memory location" if kind == "expanded" else "read-only"
    for make in (lambda p: optim.SGD(p, lr=1.0, momentum=0.9), lambda p: optim.Adam(p), lambda p: optim.RMSprop(p)):
        usual, other = nn.Parameter(tn.zeros(size)), nn.Parameter(odd())
        usual.grad, other.grad = tn.ones(size), tn.ones(size)
        with pytest.raises(RuntimeError, match=said):
            make([usual, other]).step()
        close(usual.detach(), np.zeros(size))
    usual.grad, other.grad = tn.ones(size), odd()
    for clip in (lambda p: nn.utils.clip_grad_norm_(p, 0.1), lambda p: nn.utils.clip_grad_value_(p, 0.1)):
        with pytest.raises(RuntimeError, match=said):
            clip([usual, other])
        close(usual.grad, np.ones(size))
    norm = nn.BatchNorm1d(size)
    norm.running_var = odd()
    before = {name: host(value).copy() for name, value in norm.state_dict().items()}
    with pytest.raises(RuntimeError, match=said):
        norm(tn.randn(4, size))
    net = nn.Module()
    net.a, net.b = nn.Parameter(tn.zeros(size)), nn.Parameter(odd())
    with pytest.raises(RuntimeError, match=said):
        net.load_state_dict({"a": tn.ones(size), "b": tn.ones(size)})
    close(net.a.detach(), np.zeros(size))
    assert all(np.array_equal(host(value), before[name]) for name, value in norm.state_dict().items())


@on_the_host
def test_memory_that_runs_backwards_or_leaves_gaps_may_be_edited() -> None:
    memory = np.arange(24.0).reshape(4, 6)
    for view in (memory[::-1], memory[:, ::-1], memory[::2, ::3], memory.T, memory[::-2].T, memory[:, 1:2], memory[3:4, ::-1]):
        expected = view + 1
        close(tn.from_numpy(view).add_(1), expected)
        p = nn.Parameter(tn.from_numpy(view))
        p.grad = tn.ones(*view.shape).double()
        optim.SGD([p], lr=1.0).step()
        close(tn.from_numpy(view), expected - 1)


@on_the_host
def test_a_gradient_of_another_shape_reaches_no_loop() -> None:
    for make in (lambda p: optim.SGD(p, lr=1.0), lambda p: optim.Adam(p)):
        p = nn.Parameter(tn.zeros(9000))
        p.grad = tn.ones(9000)
        p.data = tn.zeros(20000)
        with pytest.raises(RuntimeError, match="a parameter of shape .* has a gradient of shape"):
            make([p]).step()


@on_the_host
@pytest.mark.filterwarnings("ignore:the matrix subclass")
@pytest.mark.parametrize("enter", [tn.from_numpy, tn.as_tensor, tn.tensor, tn.Tensor, lambda m: tn.tensor([m, m])[0],
                                   lambda m: tn.ones(2, 2) * m, lambda m: tn.eye(2) @ m,
                                   lambda m: tn.zeros(2, 2).copy_(m), lambda m: data.default_convert(m),
                                   lambda m: data.default_collate([m, m])[0], lambda m: nn.Parameter(m).detach()])  # fmt: skip
def test_subclasses_of_numpys_array_become_plain_ones(enter) -> None:
    matrix = np.matrix([[1.0, 2.0], [3.0, 4.0]], dtype="float32")
    x = enter(matrix)
    assert type(x.array) is np.ndarray
    close(x * x, [[1.0, 4.0], [9.0, 16.0]])
    assert x.sum(0).shape == (2,)
    with pytest.raises(TypeError, match="masked array"):
        enter(np.ma.masked_array(np.asarray(matrix), mask=np.eye(2)))


@on_the_host
def test_masks_of_numpys_are_refused_as_operands_and_indices() -> None:
    x, masked = tn.ones(2), np.ma.masked_array([1, 0], mask=[0, 1])
    for call in (
        lambda: x == masked,
        lambda: x[masked],
        lambda: x.int() & masked,
        lambda: x @ masked,
        lambda: tn.save({"a": masked}, "x"),
    ):
        with pytest.raises(TypeError, match="masked array"):
            call()


# ---- what is given once may be given again ------------------------------------------------


def test_one_group_with_a_generator_serves_two_optimizers() -> None:
    net = nn.Linear(2, 2)
    groups = [{"params": net.parameters(), "lr": 0.1}]
    for _ in range(2):
        assert len(optim.SGD(groups).param_groups[0]["params"]) == 2


def test_two_optimizers_share_no_setting() -> None:
    p = leaf([1.0])
    first = optim.SGD([p], lr=tn.tensor(0.1), momentum=0.5)
    p.sum().backward()
    first.step()
    second = optim.SGD([p], lr=0.5)
    second.load_state_dict(first.state_dict())
    second.param_groups[0]["lr"].fill_(9.0)
    second.state[p]["momentum_buffer"].fill_(9.0)
    assert first.param_groups[0]["lr"].item() == pytest.approx(0.1)
    close(first.state[p]["momentum_buffer"], [1.0])
    one, other = (optim.lr_scheduler.StepLR(o, 2) for o in (first, second))
    other.load_state_dict(one.state_dict())
    other.base_lrs.append(7.0)
    assert len(one.base_lrs) == 1


@pytest.mark.parametrize("name", ["lr", "momentum", "dampening", "weight_decay", "betas", "eps", "alpha"])
def test_any_setting_may_be_a_tensor(name) -> None:
    value = {"lr": 0.1, "momentum": 0.9, "dampening": 0.1, "weight_decay": 0.1, "betas": (0.5, 0.7), "eps": 0.1, "alpha": 0.7}[
        name
    ]
    given = tuple(map(tn.tensor, value)) if isinstance(value, tuple) else tn.tensor(value)
    for kind in (optim.SGD, optim.Adam, optim.AdamW, optim.RMSprop):
        if name not in kind([leaf([1.0])]).defaults:
            continue
        results = []
        for setting in (value, given, list(given) if isinstance(given, tuple) else given.reshape(1)):
            p = leaf([1.0, -2.0])
            optimizer = kind([p], **{name: setting})
            for _ in range(3):
                optimizer.zero_grad()
                (p * p).sum().backward()
                optimizer.step()
            results.append(p.detach())
        close(results[1], results[0], 1e-6)
        close(results[2], results[0], 1e-6)


class Halves:
    """A function of the epoch with a state of its own."""

    def __init__(self, factor: float) -> None:
        self.factor, self.seen = factor, []

    def __call__(self, epoch: int) -> float:
        self.seen.append(epoch)
        return self.factor**epoch


@pytest.mark.parametrize("kind", ["LambdaLR", "MultiplicativeLR"])
def test_a_callable_with_attributes_is_saved_and_loaded_as_a_copy(kind) -> None:
    def make(factor: float):
        optimizer = optim.SGD([leaf([1.0])], lr=1.0)
        return getattr(optim.lr_scheduler, kind)(optimizer, Halves(factor))

    one, other = make(0.5), make(0.9)
    one.step()
    state = one.state_dict()
    other.load_state_dict(copy.deepcopy(state))
    assert other.lr_lambdas[0].factor == 0.5
    other.load_state_dict(state)
    other.lr_lambdas[0].seen.append("changed")
    assert "changed" not in one.lr_lambdas[0].seen
    other.step()
    assert one.last_epoch == 1
    assert other.last_epoch == 2


def test_a_sampler_with_more_samples_than_data_visits_each_equally_often() -> None:
    tn.manual_seed(0)
    drawn = list(data.RandomSampler(range(4), num_samples=10))
    assert len(drawn) == 10
    assert sorted(drawn[:4]) == sorted(drawn[4:8]) == [0, 1, 2, 3]
    assert len(set(drawn[8:])) == 2
    assert next(iter(data.RandomSampler(range(10**10), replacement=True, num_samples=10**10))) < 10**10
    many = list(data.RandomSampler(range(3), replacement=True, num_samples=5000))
    assert len(many) == 5000
    assert set(many) == {0, 1, 2}


def test_to_changes_gradients_too() -> None:
    net = nn.Linear(2, 2)
    net(tn.ones(1, 2)).sum().backward()
    net.double()
    assert {p.dtype for p in net.parameters()} == {p.grad.dtype for p in net.parameters()} == {np.dtype("float64")}
    net(tn.ones(1, 2).double()).sum().backward()
    close(net.bias.grad, [2.0, 2.0])


def test_loading_a_state_changes_all_or_nothing() -> None:
    class Shaped:
        shape = (2,)

    for bad in (Shaped(), np.array([None, None]), np.zeros(2, "complex64"), np.ma.masked_array([1.0, 2.0]), "text", None):
        for assign in (False, True):
            net = nn.Linear(2, 2)
            before = {name: host(value).copy() for name, value in net.state_dict().items()}
            with pytest.raises(RuntimeError, match='"bias"'):
                net.load_state_dict({"weight": tn.full((2, 2), 7.0), "bias": bad}, assign=assign)
            for name, value in net.state_dict().items():
                np.testing.assert_array_equal(host(value), before[name])
    net = nn.Linear(2, 2)
    with pytest.raises(RuntimeError, match='"bias".*require gradients'):
        net.load_state_dict({"weight": tn.full((2, 2), 7.0), "bias": tn.tensor([1, 2])}, assign=True)
    net.load_state_dict({"weight": np.full((2, 2), 7.0), "bias": tn.tensor([1, 2])})
    close(net.bias.detach(), np.array([1.0, 2.0], "float32"))
