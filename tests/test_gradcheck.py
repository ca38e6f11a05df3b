"""The gradient checker is seen to fail: planted mutants, kinks, wrong dtypes."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import constant, host, leaf
from hypothesis import given

import tinygrad_norm as tn
from tinygrad_norm import autograd, nn, testing
from tinygrad_norm.gradcheck import GradcheckError


def with_vjps(forward, **vjps):
    """An op with these vjps."""
    made = tn.op(forward)
    made.vjp(**vjps)
    return made


def layer_norm(x):
    """Without weight, bias and eps."""
    c = x - x.mean(1, keepdims=True)
    return c / np.sqrt((c * c).mean(1, keepdims=True))


def x_hat(x):
    """What layer_norm gives, on arrays or Tensors."""
    c = x - x.mean(axis=1, keepdims=True)
    return c / (c * c).mean(axis=1, keepdims=True) ** 0.5


def rstd(x):
    """One over the standard deviation."""
    c = x - x.mean(axis=1, keepdims=True)
    return (c * c).mean(axis=1, keepdims=True) ** -0.5


def mean(x):
    """Over the rows."""
    return x.mean(axis=1, keepdims=True)


MUTANTS = {
    "zero": with_vjps(lambda x: x * x, x=lambda g, x: g * 0),
    "sign": with_vjps(lambda x: x * x, x=lambda g, x: -2 * g * x),
    "factor": with_vjps(lambda x: x * x, x=lambda g, x: g * x),
    "forgotten_cotangent": with_vjps(lambda x: x * x, x=lambda g, x: 2 * x),
    "one_percent": with_vjps(lambda x: x * x, x=lambda g, x: 2.00001 * g * x),
    "one_element": with_vjps(lambda x: x * x, x=lambda g, x: 2 * g * x * (x < 1.2)),
    "swapped_inputs": with_vjps(lambda x, y: x * y, x=lambda g, x: g * x, y=lambda g, y: g * y),
    "detached": lambda x: x * x.detach(),
    "norm_without_mean_term": with_vjps(layer_norm, x=lambda g, x: rstd(x) * (g - x_hat(x) * mean(g * x_hat(x)))),
    "norm_without_x_hat_term": with_vjps(layer_norm, x=lambda g, x: rstd(x) * (g - mean(g))),
    "norm_with_zero_gradient": with_vjps(layer_norm, x=lambda g, x: g * 0),
    "transposed": with_vjps(lambda x: x @ x.T, x=lambda g, x: g @ x),
    "shape": with_vjps(lambda x: x.sum(0), x=lambda g, x: g + 0 * x[0]),
}
SECOND_ORDER = {
    "constant_saved": with_vjps(lambda x: x * x * x, x=lambda g, x: g * 3 * square_without_history(x)),
    "second_order_zero": with_vjps(lambda x: x * x, x=lambda g, x: 2 * g * cut(x)),
}


def square_without_history(x):
    """Right as a first derivative, wrong as a function to differentiate."""
    return cut(x * x)


def cut(x):
    """The value without its history."""
    return x.detach() if isinstance(x, tn.Tensor) else x


def inputs(name) -> list:
    """What to try a mutant on."""
    if tn.get_backend() != "numpy" and name.startswith("norm"):
        pytest.skip("written in NumPy")
    x = leaf(testing.values((3, 3), 1))
    return [x, leaf(testing.values((3, 3), 2))] if name == "swapped_inputs" else [x]


@pytest.mark.parametrize("name", MUTANTS)
def test_a_wrong_gradient_is_rejected(name) -> None:
    with pytest.raises((GradcheckError, RuntimeError), match="input 0, index|gradient of shape"):
        tn.gradcheck(MUTANTS[name], inputs(name))


@pytest.mark.parametrize("name", SECOND_ORDER)
def test_a_wrong_second_derivative_is_rejected_where_the_first_is_right(name) -> None:
    assert tn.gradcheck(SECOND_ORDER[name], inputs(name))
    with pytest.raises(GradcheckError, match="input 0, index"):
        tn.gradgradcheck(SECOND_ORDER[name], inputs(name))
    assert not tn.gradgradcheck(SECOND_ORDER[name], inputs(name), raise_exception=False)


def test_check_op_rejects_what_gradcheck_cannot_see() -> None:
    x = testing.values((3,), 1)

    def mutating(x):
        x.array[...] = x.array * 1.0000001
        return x * 2

    @tn.op
    def aliasing(x):
        return x * 1

    aliasing.vjp(x=lambda g: g)

    @tn.op
    def widening(x):
        return x.astype("float64")

    widening.vjp(x=lambda g: g)
    with pytest.raises(AssertionError):
        testing.check_op(mutating, x)
    testing.check_op(aliasing, x)  # the engine sees to it that a gradient is nobody else's
    with pytest.raises(AssertionError, match="float32 in, but float64 out"):
        testing.check_op(widening, x)
    with pytest.raises(AssertionError, match="the value on"):
        testing.check_op(tn.sin, x, reference=np.cos)
    if tn.get_backend() == "numpy":
        testing.check_op(tn.sin, x, devices=["numpy", "strict"])


def test_a_kink_at_the_input_is_named() -> None:
    jump = tn.op(lambda x: (x > 0.5) * 1.0)
    jump.vjp(x=lambda g: g * 0)
    with pytest.raises(GradcheckError, match=r"no derivative near 0\.5 \(a kink or a jump"):
        tn.gradcheck(jump, leaf([0.5]))


def test_a_kink_nearby_is_avoided() -> None:
    assert tn.gradcheck(tn.relu, leaf([5e-4, -3e-5, 1.0]))


def test_what_cannot_be_checked_is_said() -> None:
    with pytest.raises(ValueError, match="float64"):
        tn.gradcheck(tn.sin, leaf([1.0], "float32"))
    with pytest.raises(ValueError, match="at least one input"):
        tn.gradcheck(tn.sin, constant([1.0]))


def test_parameters_of_modules_are_checked_too() -> None:
    class Wrong(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(tn.ones(2, dtype="float64"))

        def forward(self, x):
            return x * self.weight.detach() * self.weight

    with pytest.raises(GradcheckError, match="parameter 'weight', index"):
        tn.gradcheck(Wrong(), leaf([1.0, 2.0]))


def test_several_outputs_are_checked_together() -> None:
    assert tn.gradcheck(lambda x: (x * x, x.sin(), x.argmax()), leaf([1.0, 2.0]))


def wrong_op(vjp):
    @tn.op
    def square(x):
        return x * x

    square.vjp(x=vjp)
    return square


@pytest.mark.parametrize(
    ("vjp", "guess"),
    [
        (lambda g, x: -2 * x * g, "off by the factor -1"),
        (lambda g, x: x * g, "off by the factor 0.5"),
        (lambda g, x: 0 * g, "is 0 everywhere"),
        (lambda g, x: 2 * x * g + 1, "All of it is off by 1"),
        (lambda g, x: (2 * x * g).T, "right when transposed"),
    ],
)
def test_a_wrong_gradient_comes_with_a_guess(vjp, guess) -> None:
    x = leaf([[1.0, 2.0], [3.0, -4.0]])
    with pytest.raises(RuntimeError, match=guess):
        tn.gradcheck(wrong_op(vjp), x)


def test_one_element_says_nothing_of_a_factor_and_the_cotangent_can_be_had_again() -> None:
    with pytest.raises(RuntimeError, match=r"for a random cotangent, seed=7 repeats it\)\n"):
        tn.gradcheck(wrong_op(lambda g, x: -2 * x * g), leaf(3.0), seed=7)


def test_check_op_passes_keywords_on() -> None:
    x = np.array([[1.0, -2.0, 4.0]])
    testing.check_op(tn.softmax, x, dim=1)
    testing.check_op(
        tn.sum, x, dim=1, settings={"keepdim": True}, reference=lambda x, dim, keepdim: x.sum(dim, keepdims=keepdim)
    )
    with pytest.raises(AssertionError, match="the value on"):
        testing.check_op(tn.sum, x, dim=0, reference=lambda x, dim: x.sum(1))


def test_a_gradient_that_was_not_summed_comes_with_a_guess() -> None:
    @tn.op
    def plus(a, b):
        return a + b

    plus.vjp(a=lambda g: g, b=lambda g: g)
    for shape, dims in (((3,), r"\(0,\)"), ((2, 1), r"\(1,\)"), ((), r"\(0, 1\)")):
        with pytest.raises(RuntimeError, match=rf"PlusBackward returned .*not summed over the broadcast dims {dims}\?"):
            testing.check_op(plus, np.ones((2, 3)), np.ones(shape), devices=[tn.get_backend()])


def test_a_failure_names_op_argument_and_order() -> None:
    x = np.array([1.0, 2.0])
    with pytest.raises(AssertionError, match=r"square on numpy, first derivative: input 'x', index \(0,\).*factor -1"):
        testing.check_op(wrong_op(lambda g, x: -2 * x * g), x, devices=["numpy"])

    def second(g, x):
        return 2 * x * g if not isinstance(x, tn.Tensor) else 3 * x * g - x.detach() * g

    with pytest.raises(AssertionError, match="second derivative: input 'x'"):
        testing.check_op(wrong_op(second), x, devices=["numpy"])


def test_a_function_that_changes_its_input_is_found() -> None:
    def careless(x):
        x.array[0] = 7.0
        return x * x

    with pytest.raises(RuntimeError, match="input 0: the function changed it, in place"):
        tn.gradcheck(careless, leaf([1.0, 2.0]))


@given(testing.arrays(elements=testing.elements(large=True, inf=True, nan=True)))
def test_arrays_of_given_elements(x) -> None:
    assert x.dtype == np.float64
    found = host(tn.relu(constant(x)))
    np.testing.assert_array_equal(found, np.maximum(x, 0))


def test_elements_make_ties_that_shrink() -> None:
    from hypothesis import find

    smallest = find(testing.arrays((3,), elements=testing.elements()), lambda x: len({*x.tolist()}) < 3)
    assert smallest.tolist() == [0.0, 0.0, 0.0]


def test_modules_are_checked_as_a_whole() -> None:
    x = np.random.default_rng(0).normal(size=(3, 4))
    testing.check_module(nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Tanh()), x)

    class Lost(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.unused = nn.Linear(4, 2), nn.Linear(4, 2)

        def forward(self, x):
            return self.used(x)

    with pytest.raises(AssertionError, match=r"no gradient reaches unused\.weight, unused\.bias"):
        testing.check_module(Lost(), x)


@pytest.mark.skipif(tn.get_backend() != "numpy", reason="NumPy's functions of NumPy's arrays")
def test_numpy_inside_of_a_vjp_is_differentiated_or_explained() -> None:
    @tn.op
    def smooth(x):
        return np.log(np.cosh(x))

    smooth.vjp(x=lambda g, x: g * np.tanh(x))
    testing.check_op(smooth, np.array([0.5, -1.0]), devices=["numpy"])

    @tn.op
    def arc(x):
        return np.arctan(x)

    arc.vjp(x=lambda g, x: g / (1 + np.hypot(x, 0) ** 2))
    x = leaf([0.5])
    tn.grad(arc(x).sum(), x)
    with pytest.raises(TypeError, match=r"np\.hypot has no derivative here"):
        tn.grad(arc(x).sum(), x, create_graph=True)


class Spoiling(autograd.Function):
    """The square, whose backward changes what it saved."""

    @staticmethod
    def forward(ctx, x):
        ctx.twice = 2 * x.detach()
        return x * x

    @staticmethod
    def backward(ctx, g):
        out = ctx.twice * g
        ctx.twice.mul_(3)  # the mistake
        return out


class WithoutNone(autograd.Function):
    """Two results; its backward takes no None, though it may be given it."""

    @staticmethod
    def forward(ctx, x):
        ctx.set_materialize_grads(False)
        return x * 2, x * 3

    @staticmethod
    def backward(ctx, g, h):
        return g * 2 + h * 3


class WithNone(WithoutNone):
    """As it should be."""

    @staticmethod
    def backward(ctx, g, h):
        parts = [factor * v for factor, v in ((2, g), (3, h)) if v is not None]
        return sum(parts) if parts else None


class NotLinear(autograd.Function):
    """A gradient that is not 0 for a gradient of 0."""

    @staticmethod
    def forward(ctx, x):
        return x.abs()

    @staticmethod
    def backward(ctx, g):
        return g.sign() * 1.0 + (g == 0)


def test_a_second_backward_has_to_give_the_same() -> None:
    x = leaf([1.0, 2.0])
    with pytest.raises(GradcheckError, match="Backward is not reentrant.*input 0.*nondet_tol=0.0"):
        tn.gradcheck(Spoiling.apply, (x,))
    assert not tn.gradcheck(Spoiling.apply, (x,), raise_exception=False)
    assert tn.gradcheck(Spoiling.apply, (x,), nondet_tol=100.0)


def test_a_backward_that_may_be_given_none_has_to_take_it() -> None:
    x = leaf([1.0, 2.0])
    said = "WithoutNoneBackward does not handle undefined output grads: it failed with TypeError"
    with pytest.raises(GradcheckError, match=said):
        tn.gradcheck(WithoutNone.apply, (x,))
    assert tn.gradcheck(WithoutNone.apply, (x,), check_undefined_grad=False)
    assert tn.gradcheck(WithNone.apply, (x,))
    assert tn.gradcheck(lambda x: WithNone.apply(x)[1].sum(), (x,))
    with pytest.raises(TypeError, match="NoneType"):  # without any check: it is given None indeed
        tn.gradcheck(lambda x: WithoutNone.apply(x * 2)[0].sum(), (x,))
    with pytest.raises(GradcheckError):
        tn.gradcheck(NotLinear.apply, (leaf([1.0, 2.0]),))


def test_inputs_that_overlap_are_refused_and_functions_that_differentiate_accepted() -> None:
    windows = np.lib.stride_tricks.as_strided(np.arange(4.0), (3, 2), (8, 8))
    for x in (constant(np.ones((3, 1))).expand(3, 5), *([tn.from_numpy(windows)] if tn.get_backend() == "numpy" else [])):
        with pytest.raises(RuntimeError, match="non-overlapping"):
            tn.gradcheck(lambda x: x * x, (x.requires_grad_(),), raise_exception=False)
    assert tn.gradcheck(lambda x: autograd.grad((x**3).sum(), x, create_graph=True)[0], (leaf([1.0, 2.0]),))
    assert tn.gradgradcheck(lambda x: autograd.grad((x**4).sum(), x, create_graph=True)[0], (leaf([1.0, 2.0]),))
    assert tn.gradcheck(lambda x: x * x, (leaf([1.0]),), fast_mode=True)
    with pytest.raises(NotImplementedError, match="check_batched_grad"):
        tn.gradcheck(lambda x: x * x, (leaf([1.0]),), check_batched_grad=True)
