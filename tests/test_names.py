"""Names that other people's programs use: each does what its name says, or says that nothing is there."""

from __future__ import annotations

import importlib
import subprocess
import sys

import numpy as np
import pytest
from helpers import close, constant, leaf

import tinygrad_norm as tn
from tinygrad_norm import autograd, nn, optim


def test_what_is_not_there_says_so() -> None:
    assert not tn.backends.mps.is_available()
    assert not tn.backends.cudnn.is_available()
    tn.backends.cudnn.benchmark = True
    tn.backends.cudnn.deterministic = True
    assert not tn.backends.cuda.matmul.allow_tf32
    tn.backends.cuda.matmul.allow_tf32 = True
    assert tn.accelerator.is_available() == tn.cuda.is_available()
    assert tn.accelerator.device_count() == tn.cuda.device_count()
    if not tn.cuda.is_available():
        assert tn.accelerator.current_accelerator() is None
    assert not tn.ones(1).is_sparse
    for look, text in (
        (lambda: nn.RNN, "recurrent"), (lambda: nn.ConvTranspose2d, "Conv1d and Conv2d"), (lambda: optim.Adadelta, "SGD, Adam"),
        (lambda: tn.distributions, "no distributions"), (lambda: optim.lr_scheduler.StepLr, "did you mean StepLR"),
    ):  # fmt: skip
        with pytest.raises(AttributeError, match=text):
            look()


@pytest.mark.parametrize("name", ["backends.cudnn", "utils.data.dataloader", "utils.data.dataset", "utils.data.sampler"])
def test_modules_are_imported_by_their_path(name) -> None:
    program = f"import tinygrad_norm.{name} as found; print(found.__name__)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    importlib.import_module(f"tinygrad_norm.{name}")


def test_a_device_is_a_context_and_a_default() -> None:
    before = tn.get_backend()
    with tn.device("cpu") as outer:
        assert tn.ones(2).device == outer == "cpu"
        with tn.device("cpu"), pytest.raises(ValueError, match="inside"):
            raise ValueError("inside")
        assert tn.get_backend() == "numpy"
    assert tn.get_backend() == before
    if before == "numpy":
        tn.set_default_device("cpu")
        tn.set_default_device(tn.device("cpu"))
        tn.set_default_device(None)
        assert tn.get_backend() == "numpy"


def test_the_default_generator_is_one_and_its_state_is_a_tensor() -> None:
    assert isinstance(tn.default_generator, tn.Generator)
    state = tn.get_rng_state()
    assert isinstance(state, tn.Tensor)
    assert state.dtype == tn.uint8
    first = tn.rand(3)
    tn.set_rng_state(state)
    close(tn.rand(3), first)
    tn.default_generator.manual_seed(3)
    again = tn.rand(3)
    tn.manual_seed(3)
    close(tn.rand(3), again)
    assert tn.randint(5, size=(2, 3)).shape == tn.randint(high=5, size=(2, 3)).shape == (2, 3)
    assert tn.randint(2, 5, size=(9,)).min().item() >= 2


def test_pythons_types_are_the_wide_ones_everywhere() -> None:
    x = tn.tensor([1])
    made = [
        tn.zeros(2, dtype=float),
        x.to(float),
        x.type(float),
        tn.tensor([1], dtype=float),
        tn.full((1,), 1, dtype=float),
        x.astype(float),
    ]
    made += [tn.ones_like(x, dtype=float), x.sum(dtype=float), tn.rand(1, dtype=float), tn.arange(3, dtype=float)]
    assert {t.dtype for t in made} == {np.dtype("float64")}
    assert {t.dtype for t in (tn.zeros(2, dtype=int), tn.ones(1).to(int), tn.tensor([1.5], dtype=int))} == {np.dtype("int64")}
    assert (
        tn.tensor([1.5]).dtype == tn.zeros(1, dtype=tn.float).dtype == tn.zeros(1, dtype="float").dtype == np.dtype("float32")
    )
    assert tn.zeros(1, dtype=bool).dtype == np.dtype("bool")


def test_a_number_is_formatted_as_one_and_a_parameter_as_a_tensor() -> None:
    assert f"{tn.tensor(1.5)} {tn.tensor(2)} {tn.tensor(True)} {leaf(0.25)}" == "1.5 2 True 0.25"
    assert f"{tn.tensor(1.25):.1f} {tn.tensor(7):03d}" == "1.2 007"
    assert f"{tn.tensor([1.5])}" == str(tn.tensor([1.5]))
    assert f"{nn.Parameter(tn.tensor(1.5))}".startswith("Parameter containing")


@pytest.mark.parametrize(("name", "expected"), [("iand", [False, False]), ("ior", [True, True]), ("ixor", [True, False])])
def test_a_bitwise_assignment_edits(name, expected) -> None:
    mask, other = constant([True, False, True]), constant([False, True])
    other = constant([False, False]) if name == "iand" else other if name == "ior" else constant([False, False])
    view = same = mask[:2]
    view = getattr(view, f"__{name}__")(other)
    assert view is same
    assert mask.tolist() == [*expected, True]
    numbers = constant([6, 3])
    numbers &= 2
    assert numbers.tolist() == [2, 2]
    with pytest.raises(RuntimeError, match="not supported"):
        tn.ones(2).bitwise_and_(1)


def test_max_of_two_tensors_is_elementwise_also_for_a_number() -> None:
    x = constant([1.0, 2.0, 3.0])
    for bound in (tn.tensor(2.0), tn.tensor(2), tn.tensor(1)):
        bound = bound.to(x.device)
        close(tn.max(x, bound), np.maximum([1.0, 2.0, 3.0], bound.item()))
        close(x.min(bound), np.minimum([1.0, 2.0, 3.0], bound.item()))
    assert tn.max(constant([[1, 5]]), 1).indices.tolist() == [1]


@pytest.mark.parametrize("way_of_memory", ["rows", "batch innermost"])
def test_the_last_of_several_nan_in_a_window_has_the_gradient(way_of_memory) -> None:
    nan = float("nan")
    values = np.array([[[[nan, 1.0, nan, 2.0], [nan, 5.0, 3.0, 2.0]]]] * 3)
    x = leaf(values if way_of_memory == "rows" else values.transpose(2, 1, 3, 0).copy()).detach()
    x = (x if way_of_memory == "rows" else x.permute(3, 1, 0, 2)).requires_grad_()
    for level in ("off", "numpy", "numba"):
        with tn.fast.level(level, share=0):
            found, indices = nn.functional.max_pool2d(x, 2, return_indices=True)
            g = autograd.grad(found.sum(), x, create_graph=True)[0]
            assert indices[0].tolist() == [[[4, 2]]]
            close(g.detach(), [[[[0, 0, 1, 0], [1, 0, 0, 0]]]] * 3)


@pytest.mark.skipif(tn.get_backend() != "numpy", reason="another device is printed too")
def test_how_tensors_are_printed_may_be_set() -> None:
    x = tn.tensor([1.23456, 1000.5])
    try:
        tn.set_printoptions(precision=2)
        assert str(x) == "tensor([   1.23, 1000.50])"
        tn.set_printoptions(sci_mode=True, precision=1)
        assert str(x) == "tensor([1.2e+00, 1.0e+03])"
        tn.set_printoptions(profile="default", threshold=3, edgeitems=1)
        assert str(tn.arange(9)) == "tensor([0,  ..., 8])"
        tn.set_printoptions(profile="full")
        assert "..." not in str(tn.arange(2000))
        tn.set_printoptions(profile="short")
        assert str(tn.tensor([0.12345])) == "tensor([0.12])"
    finally:
        tn.set_printoptions(profile="default")
    assert str(tn.tensor([0.12345])) == "tensor([0.1235])"


def test_old_types_make_tensors_of_data_and_of_sizes() -> None:
    assert tn.FloatTensor([1, 2]).tolist() == [1.0, 2.0]
    assert tn.LongTensor([[1, 2]]).dtype == tn.int64
    assert tn.FloatTensor(2, 3).shape == (2, 3)
    assert tn.FloatTensor().shape == (0,)
    assert tn.BoolTensor([1, 0]).tolist() == [True, False]
    with pytest.raises(TypeError, match=r"expected FloatTensor \(got LongTensor\)"):
        tn.FloatTensor(tn.tensor([1]))


def test_memory_formats_and_versions() -> None:
    x = tn.ones(2, 3)
    for kept in (tn.preserve_format, tn.contiguous_format, tn.channels_last):
        assert tn.zeros_like(x, memory_format=kept).shape == x.clone(memory_format=kept).shape == (2, 3)
        assert tn.rand_like(x, memory_format=kept).shape == tn.full_like(x, 2.0, memory_format=kept).shape == (2, 3)
    assert x._version == 0
    x.add_(1)
    x[0].mul_(2)
    assert x._version == x[0]._version == 2


def test_an_optimizer_by_hand_as_programs_write_it() -> None:
    p, state = leaf([1.0, -2.0]), {}
    for _ in range(3):
        (p * p).sum().backward()
        if not state:
            state["m"] = tn.zeros_like(p, memory_format=tn.preserve_format)
            state["v"] = tn.zeros_like(p, memory_format=tn.preserve_format)
        assert not p.grad.is_sparse
        state["m"].mul_(0.9).add_(p.grad, alpha=0.1)
        state["v"].mul_(0.99).addcmul_(p.grad, p.grad, value=0.01)
        p.data.addcdiv_(state["m"], state["v"].sqrt().add_(1e-8), value=-0.1)
        p.grad = None
    q = leaf([1.0, -2.0])
    m = v = np.zeros(2)
    x = np.array([1.0, -2.0])
    for _ in range(3):
        g = 2 * x
        m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g * g
        x = x - 0.1 * m / (np.sqrt(v) + 1e-8)
    close(p.detach(), x)
    assert q.is_leaf


def test_a_functions_results_bear_its_name_and_setup_context_gets_the_defaults() -> None:
    class MyScale(autograd.Function):
        @staticmethod
        def forward(x, factor=2.0, *, more=1.0):
            return x * factor * more, x + 1

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.factor = inputs[1]

        @staticmethod
        def backward(ctx, g, h):
            return g * ctx.factor + h, None

    x = leaf([1.0, 2.0])
    for call in (MyScale.apply(x), MyScale.apply(x, 2.0), MyScale.apply(x, factor=2.0), MyScale.apply(x=x)):
        assert [out.grad_fn.name() for out in call] == ["MyScaleBackward"] * 2
        close(autograd.grad(call[0].sum() + call[1].sum(), x)[0], [3.0, 3.0])
    assert "MyScaleBackward" in repr(MyScale.apply(x)[0])

    class lower_case(autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * 2

    assert lower_case.apply(x).grad_fn.name() == "lower_caseBackward"
    with pytest.raises(TypeError, match="no keyword arguments"):
        lower_case.apply(x=x)
