"""nan, infinities, zeros of both signs, ties and kinks: values, gradients and second gradients as PyTorch's."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from compare.peer import tn, torch

pytestmark = pytest.mark.filterwarnings("ignore")
INF, NAN = float("inf"), float("nan")
SPECIAL = [NAN, INF, -INF, 0.0, -0.0, 1.0, -1.0, 2.5, -3.5, 1e30, -1e30, 1e-30, 0.5]

UNARY = (
    {
        name: (lambda t, F, x, name=name: getattr(x, name)())
        for name in (
            "neg abs exp log log2 log10 log1p expm1 sqrt rsqrt reciprocal square sin cos tan sinh cosh tanh erf sigmoid relu "
            "sign floor ceil trunc round"
        ).split()
    }
    | {
        name: (lambda t, F, x, name=name: getattr(F, name)(x))
        for name in "elu selu silu softplus logsigmoid leaky_relu".split()
    }
    | {
        "clamp": lambda t, F, x: x.clamp(-1, 1),
        "clamp_min": lambda t, F, x: x.clamp(min=0.0),
        "clamp_max": lambda t, F, x: x.clamp(max=0.5),
        "elu_2": lambda t, F, x: F.elu(x, alpha=2.0),
        "softplus_3": lambda t, F, x: F.softplus(x, beta=3.0, threshold=1.0),
        "where": lambda t, F, x: t.where(x > 0, x, t.zeros_like(x)),
        "where_inf": lambda t, F, x: t.where(x > 0, x, INF),
        "masked_fill": lambda t, F, x: x.masked_fill(x > 0, -INF),
        "pow_2": lambda t, F, x: x**2,
        "pow_0": lambda t, F, x: x**0,
        "pow_half": lambda t, F, x: x**0.5,
        "pow_-1": lambda t, F, x: x**-1,
        "clamp_then_sqrt": lambda t, F, x: x.clamp(min=0).sqrt(),
        "relu_then_log": lambda t, F, x: x.relu().log(),
    }
)
BINARY = {
    "add": lambda t, a, b: a + b,
    "sub": lambda t, a, b: a - b,
    "mul": lambda t, a, b: a * b,
    "div": lambda t, a, b: a / b,
    "pow": lambda t, a, b: a**b,
    "maximum": lambda t, a, b: t.maximum(a, b),
    "minimum": lambda t, a, b: t.minimum(a, b),
    "remainder": lambda t, a, b: t.remainder(a, b),
    "fmod": lambda t, a, b: t.fmod(a, b),
    "floor": lambda t, a, b: t.div(a, b, rounding_mode="floor"),
    "trunc": lambda t, a, b: t.div(a, b, rounding_mode="trunc"),
    "clamp": lambda t, a, b: a.clamp(b, b + 1),
    "clamp_min": lambda t, a, b: a.clamp(min=b),
    "clamp_max": lambda t, a, b: t.clamp(a, max=b),
    "smooth_l1": lambda t, a, b: t.nn.functional.smooth_l1_loss(a, b, reduction="none"),
    "l1": lambda t, a, b: t.nn.functional.l1_loss(a, b, reduction="none"),
    "huber": lambda t, a, b: t.nn.functional.huber_loss(a, b, reduction="none", delta=0.5),
    "mse": lambda t, a, b: t.nn.functional.mse_loss(a, b, reduction="none"),
}
REDUCTIONS = (
    {
        name: (lambda t, x, name=name: getattr(x, name)(dim=-1))
        for name in "sum mean amax amin prod logsumexp softmax log_softmax cumsum".split()
    }
    | {
        "max": lambda t, x: x.max(-1).values,
        "min": lambda t, x: x.min(-1).values,
        "max_all": lambda t, x: x.max(),
        "var": lambda t, x: x.var(-1),
        "std": lambda t, x: x.std(-1),
        "sort": lambda t, x: x.sort(-1).values,
        "sort_down": lambda t, x: x.sort(-1, descending=True).values,
        "topk": lambda t, x: x.topk(2, -1).values,
    }
    | {f"norm_{p}": (lambda t, x, p=p: t.norm(x, p, -1)) for p in (0.5, 1, 1.5, 2, 3, INF, -INF, 0)}
)
COMPARED = {
    name: (lambda t, a, b, name=name: getattr(t, name)(a, b))
    for name in "eq ne lt le gt ge logical_and logical_or isclose".split()
} | {name: (lambda t, a, b, name=name: getattr(t, name)(a)) for name in "isnan isinf isfinite logical_not".split()}
# where another value is given, and the README says so: the gradient of prod at inf is right here, that of norm(p < 1) at 0
# is 0 beside inf; roots of -inf and of -0
KNOWN = {"prod": [3, 4, 6], "norm_0.5": [5, 6], "pow_half": [2, 4], "clamp_then_sqrt": [4]}


def run(lib, function, arrays, second=True):
    """The value, the gradients for a random cotangent, and the second gradients."""
    inputs = [lib.tensor(a, requires_grad=True) for a in arrays]
    out = function(lib, *inputs)
    cotangent = lib.tensor(np.random.default_rng(0).uniform(0.5, 1.5, tuple(out.shape)))
    found = [out]
    if not out.requires_grad:
        return [t.detach().numpy() for t in found]
    first = lib.autograd.grad(out, inputs, cotangent.to(out.dtype), create_graph=True, allow_unused=True)
    found += [g if g is not None else lib.zeros(()) for g in first]
    if second:
        total = sum((g * (i + 2)).sum() for i, g in enumerate(first) if g is not None and g.requires_grad)
        if isinstance(total, lib.Tensor) and total.requires_grad:
            found += [g if g is not None else lib.zeros(()) for g in lib.autograd.grad(total, inputs, allow_unused=True)]
    return [t.detach().numpy(force=True) for t in found]


def agree(function, *arrays, second=True, rtol=1e-9, atol=1e-300):
    """Assert that the two libraries have the same, nan included."""
    ours, theirs = (run(lib, function, arrays, second) for lib in (tn, torch))
    for i, (a, b) in enumerate(zip(ours, theirs)):
        b = np.broadcast_to(b, a.shape) if b.shape == () else b
        np.testing.assert_allclose(a, b, rtol=rtol, atol=atol, err_msg=f"result {i} of {arrays}")


@pytest.fixture(autouse=True)
def on_the_host():
    with tn.backend("numpy"):
        yield


@pytest.mark.parametrize("name", UNARY)
def test_a_function_of_special_values(name: str) -> None:
    for i, value in enumerate(SPECIAL):
        if i in KNOWN.get(name, ()):
            continue
        agree(lambda lib, x: UNARY[name](lib, lib.nn.functional, x), np.array([value]))


@pytest.mark.parametrize("name", BINARY)
def test_a_function_of_two_special_values(name: str) -> None:
    for a, b in itertools.product(SPECIAL, repeat=2):
        agree(BINARY[name], np.array([a]), np.array([b]), second=name not in ("pow",))


@pytest.mark.parametrize("name", REDUCTIONS)
def test_a_reduction_of_special_values(name: str) -> None:
    rows = [
        [0.0, 0.0, 0.0],
        [1.0, 1.0, -1.0],
        [NAN, 1.0, NAN],
        [INF, 2.0, 1.0],
        [-INF, -INF, -INF],
        [-INF, 0.0, 1.0],
        [INF, -INF, 0.0],
    ]
    for i, row in enumerate(rows):
        if i in KNOWN.get(name, ()):
            continue
        agree(REDUCTIONS[name], np.array([row, [3.0, -1.0, 0.5]]), second=False)


@pytest.mark.parametrize("name", COMPARED)
def test_a_comparison_of_special_values(name: str) -> None:
    a, b = np.array(list(itertools.product(SPECIAL, repeat=2))).T
    ours, theirs = (COMPARED[name](lib, lib.tensor(a), lib.tensor(b)).numpy() for lib in (tn, torch))
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("value", [0.0, 1.0, -1.0, INF, -INF, NAN, 50.0, -50.0])
def test_the_cross_entropies_of_special_values(value: float) -> None:
    def with_logits(lib, x):
        return lib.nn.functional.binary_cross_entropy_with_logits(x, lib.full_like(x, 0.25), reduction="none")

    agree(with_logits, np.array([value]), atol=1e-15)
    x = np.array([[value, 1.0, 0.0], [0.5, 0.2, -1.0]])
    agree(lambda lib, x: lib.nn.functional.cross_entropy(x, lib.tensor([0, 2])), x, second=False)
    if 0 <= value <= 1:
        agree(
            lambda lib, x: lib.nn.functional.binary_cross_entropy(x, lib.full_like(x, 0.25), reduction="none"),
            np.array([value]),
            second=False,
            rtol=1e-6,
        )


@pytest.mark.parametrize("name", ["max_pool2d", "avg_pool2d"])
def test_pooling_of_special_values(name: str) -> None:
    x = np.random.default_rng(0).normal(size=(1, 1, 6, 6))
    x[0, 0, 0, 0], x[0, 0, 3, 3], x[0, 0, 5, 0] = NAN, INF, -INF
    agree(lambda lib, x: getattr(lib.nn.functional, name)(x, 2), x, second=False)
    agree(lambda lib, x: getattr(lib.nn.functional, name)(x, 3, 2, 1), x, second=False)
