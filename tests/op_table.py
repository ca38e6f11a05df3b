"""Every op and every loss, with inputs to try it on and a reference in NumPy.

A case: a name, the function, a strategy for its (inputs, settings), and the reference, which takes
the same. Inputs that are float64 arrays are differentiated. `test_ops.py` puts each case through
`check_op`; `mutation/vjps.py` counts which wrong derivatives the table would notice.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import strict  # noqa: F401  (registers the backend of that name)
from hypothesis import strategies as st

import tinygrad_norm as tn
import tinygrad_norm.nn.functional as F
from tinygrad_norm import testing
from tinygrad_norm.autograd import views
from tinygrad_norm.nn.functional import conv, norm, pool
from tinygrad_norm.nn.functional.conv import Geometry
from tinygrad_norm.nn.functional.dropout import _dropout
from tinygrad_norm.nn.functional.window import Windows
from tinygrad_norm.ops import linalg


class Case(NamedTuple):
    """One op: see above."""

    name: str
    function: Callable
    inputs: st.SearchStrategy
    reference: Callable | None
    second: bool = True


CASES: list[Case] = []


def case(name: str, function: Callable, inputs: Any, reference: Callable | None = None, **more: Any) -> None:
    """Add a case; inputs: a strategy for arrays, for tuples of them, or for (tuple, settings)."""

    def normal(drawn: Any) -> tuple[tuple, dict]:
        if isinstance(drawn, np.ndarray):
            return (drawn,), {}
        inputs, settings = drawn if len(drawn) == 2 and isinstance(drawn[1], dict) else (drawn, {})
        return tuple(x if x is None else np.asarray(x) for x in inputs), settings

    CASES.append(Case(name, function, inputs.map(normal), reference, **more))


def on(array: Any) -> tn.Tensor:
    """A constant Tensor on the current backend."""
    return tn.tensor(array, device=tn.get_backend())


any_array = testing.arrays()
positive = testing.arrays(low=0.2, high=3.0)
erf = np.vectorize(math.erf, otypes=[float])

# ---- elementwise, one input ---------------------------------------------------------------

for _name, _function, _reference, _inputs in (
    ("neg", tn.neg, np.negative, any_array),
    ("abs", tn.abs, np.abs, any_array),
    ("sign", tn.sign, np.sign, any_array),
    ("floor", tn.floor, np.floor, testing.arrays(avoid=(-2, -1, 0, 1, 2))),
    ("ceil", tn.ceil, np.ceil, testing.arrays(avoid=(-2, -1, 0, 1, 2))),
    ("round", tn.round, np.round, testing.arrays(avoid=(-1.5, -0.5, 0.5, 1.5))),
    ("exp", tn.exp, np.exp, any_array),
    ("log", tn.log, np.log, positive),
    ("log1p", tn.log1p, np.log1p, positive),
    ("log2", tn.log2, np.log2, positive),
    ("log10", tn.log10, np.log10, positive),
    ("asin", tn.asin, np.arcsin, testing.arrays(low=-0.9, high=0.9)),
    ("acos", tn.acos, np.arccos, testing.arrays(low=-0.9, high=0.9)),
    ("atan", tn.atan, np.arctan, any_array),
    ("tan", tn.tan, np.tan, testing.arrays(low=-1.0, high=1.0)),
    ("sinh", tn.sinh, np.sinh, any_array),
    ("cosh", tn.cosh, np.cosh, any_array),
    ("trunc", tn.trunc, np.trunc, testing.arrays(avoid=(-2, -1, 0, 1, 2))),
    ("expm1", tn.expm1, np.expm1, any_array),
    ("sqrt", tn.sqrt, np.sqrt, positive),
    ("rsqrt", tn.rsqrt, lambda x: 1 / np.sqrt(x), positive),
    ("reciprocal", tn.reciprocal, np.reciprocal, positive),
    ("square", tn.square, np.square, any_array),
    ("sin", tn.sin, np.sin, any_array),
    ("cos", tn.cos, np.cos, any_array),
    ("tanh", tn.tanh, np.tanh, any_array),
    ("sigmoid", tn.sigmoid, lambda x: 1 / (1 + np.exp(-x)), any_array),
    ("erf", tn.erf, erf, any_array),
    ("relu", tn.relu, lambda x: np.maximum(x, 0), any_array),
    ("leaky_relu", F.leaky_relu, lambda x: np.where(x > 0, x, 0.01 * x), any_array),
    ("elu", F.elu, lambda x: np.where(x > 0, x, np.expm1(x)), any_array),
    ("silu", F.silu, lambda x: x / (1 + np.exp(-x)), any_array),
    ("gelu", F.gelu, lambda x: 0.5 * x * (1 + erf(x / math.sqrt(2))), any_array),
    (
        "gelu_tanh",
        lambda x: F.gelu(x, approximate="tanh"),
        lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
        any_array,
    ),
    ("softplus", F.softplus, lambda x: np.log1p(np.exp(x)), any_array),
    ("pow_number", lambda x: x**3, lambda x: x**3, any_array),
    ("pow_root", lambda x: x**0.5, np.sqrt, positive),
    ("rpow", lambda x: 2.0**x, lambda x: 2.0**x, any_array),
    ("clone", tn.clone, np.copy, any_array),
):
    case(_name, _function, _inputs, _reference)

case(
    "clamp",
    tn.clamp,
    testing.arrays(avoid=(-1, 0.5)).map(lambda x: ((x,), {"min": -1, "max": 0.5})),
    lambda x, min, max: np.clip(x, min, max),
)
case("clamp_below", lambda x: tn.clamp(x, max=0.5), testing.arrays(avoid=(0.5,)), lambda x: np.minimum(x, 0.5))

# ---- elementwise, several inputs ----------------------------------------------------------

pairs = testing.broadcastable(2)
case("add", tn.add, pairs, np.add)
case("add_alpha", lambda a, b: tn.add(a, b, alpha=2), pairs, lambda a, b: a + 2 * b)
case("sub", tn.sub, pairs, np.subtract)
case("mul", tn.mul, pairs, np.multiply)
case("div", tn.div, testing.broadcastable(2, low=0.3, high=2.0), np.divide)
case("rsub", lambda x: 1 - x, any_array, lambda x: 1 - x)
case("rdiv", lambda x: 1 / x, positive, lambda x: 1 / x)
case("pow", tn.pow, testing.broadcastable(2, low=0.3, high=2.0), np.power)


case("atan2", tn.atan2, pairs, np.arctan2)
case("hypot", tn.hypot, pairs, np.hypot)
case("logaddexp", tn.logaddexp, pairs, np.logaddexp)
case("addcmul", lambda a, b: tn.addcmul(a, a, b, value=0.5), pairs, lambda a, b: a + 0.5 * a * b)
case(
    "addcdiv",
    lambda a, b: tn.addcdiv(a, a, b, value=0.5),
    testing.broadcastable(2, low=0.3, high=2.0),
    lambda a, b: a + 0.5 * a / b,
)
distinct_pairs = pairs.map(lambda ab: (ab[0], ab[1] + 5 * np.sign(ab[1])))  # |a| < 2 < 5 < |b|
case("maximum", tn.maximum, distinct_pairs, np.maximum)
case("minimum", tn.minimum, distinct_pairs, np.minimum)


@st.composite
def with_mask(draw: Any) -> tuple:
    """Two arrays and a mask."""
    a, b, m = draw(testing.broadcastable(3))
    return (a, b), {"mask": m > 0}


case(
    "where",
    lambda a, b, mask: tn.where(on(mask), a, b),
    with_mask(),
    lambda a, b, mask: np.where(mask, a, b),
)
case(
    "masked_fill",
    lambda a, mask: a.masked_fill(on(mask), 7.0),
    any_array.map(lambda a: ((a,), {"mask": a > 0.3})),
    lambda a, mask: np.where(mask, 7.0, a),
)

# ---- reductions ---------------------------------------------------------------------------


@st.composite
def reduced(draw: Any, arrays: Any = any_array, min_dims: int = 0, **names: Any) -> tuple:
    """An array, and dim and keepdim."""
    array = draw(arrays if not min_dims else testing.arrays(testing.shapes(min_dims=min_dims)))
    return (array,), {"dim": draw(testing.axes(array.ndim)), "keepdim": draw(st.booleans())}


def numpy_reduction(function: Callable) -> Callable:
    """A NumPy reduction under PyTorch's argument names."""
    return lambda x, dim, keepdim: function(x, axis=dim, keepdims=keepdim)


def np_logsumexp(x: np.ndarray, axis: Any, keepdims: bool) -> Any:
    """By its formula."""
    return np.log(np.exp(x).sum(axis=axis, keepdims=keepdims))


for _name, _function, _reference in (
    ("sum", tn.sum, np.sum),
    ("mean", tn.mean, np.mean),
    ("amax", tn.amax, np.amax),
    ("amin", tn.amin, np.amin),
    ("prod", tn.prod, np.prod),
    ("logsumexp", tn.logsumexp, np_logsumexp),
):
    case(_name, _function, reduced(), numpy_reduction(_reference))
case("prod_with_zeros", tn.prod, reduced(any_array.map(np.round).map(np.asarray)), numpy_reduction(np.prod))
case(
    "var_biased",
    lambda x, dim, keepdim: x.var(dim, correction=0, keepdim=keepdim),
    reduced(),
    numpy_reduction(np.var),
)
spread_rows = testing.arrays(testing.shapes(min_dims=1, min_side=2))
case("var", tn.var, spread_rows, lambda x: np.var(x, ddof=1))
case("std", tn.std, spread_rows, lambda x: np.std(x, ddof=1))
for _p in (1, 2, 3, math.inf, -math.inf, "fro"):
    case(
        f"norm_{_p}",
        lambda x, dim, keepdim, p=_p: tn.norm(x, p, dim, keepdim),
        reduced(),
        lambda x, dim, keepdim, p=_p: np_norm(x, 2 if p == "fro" else p, dim, keepdim),
    )


def np_norm(x: np.ndarray, p: float, axis: Any, keepdims: bool) -> Any:
    """By its formula."""
    if math.isinf(p):
        return (np.max if p > 0 else np.min)(np.abs(x), axis=axis, keepdims=keepdims)
    return (np.abs(x) ** p).sum(axis=axis, keepdims=keepdims) ** (1 / p)


@st.composite
def along(draw: Any, arrays: Any = None) -> tuple:
    """An array and one of its dimensions."""
    array = draw(testing.arrays(testing.shapes(min_dims=1)) if arrays is None else arrays)
    return (array,), {"dim": draw(st.integers(-array.ndim, array.ndim - 1))}


def np_softmax(x: np.ndarray, dim: int) -> np.ndarray:
    """By its formula."""
    return np.exp(x) / np.exp(x).sum(axis=dim, keepdims=True)


case("softmax", tn.softmax, along(), np_softmax)
case("log_softmax", tn.log_softmax, along(), lambda x, dim: np.log(np_softmax(x, dim)))
case("cumsum", tn.cumsum, along(), lambda x, dim: np.cumsum(x, axis=dim))
case("cumprod", tn.cumprod, along(), lambda x, dim: np.cumprod(x, axis=dim))
case("median", lambda x, dim: x.median(dim).values, along(), lambda x, dim: np.quantile(x, 0.5, dim, method="lower"))
case("median_of_all", lambda x: x.median(), any_array, lambda x: np.quantile(x, 0.5, method="lower"))
case("var_mean", lambda x: sum(tn.var_mean(x, correction=0)), any_array, lambda x: x.var() + x.mean())
case(
    "std_mean",
    lambda x: sum(tn.std_mean(x)),
    testing.arrays(testing.shapes(min_dims=1, min_side=2)),
    lambda x: x.std(ddof=1) + x.mean(),
)
case(
    "normalize", lambda x, dim: F.normalize(x, dim=dim), along(), lambda x, dim: x / np.linalg.norm(x, axis=dim, keepdims=True)
)
case("max", lambda x, dim: x.max(dim).values, along(), lambda x, dim: x.max(axis=dim))
case("min", lambda x, dim: x.min(dim, keepdim=True)[0], along(), lambda x, dim: x.min(axis=dim, keepdims=True))
case("max_of_all", lambda x: x.max(), any_array, np.max)
case("ties", tn.amax, any_array.map(lambda x: ((np.concatenate([x.ravel(), x.ravel() + 9]),), {})), np.max)

# ---- shape --------------------------------------------------------------------------------

matrices = testing.arrays(testing.shapes(min_dims=2, max_dims=3))
vectors = testing.arrays(testing.shapes(min_dims=1))
case("reshape", lambda x: x.reshape(-1), any_array, lambda x: x.reshape(-1))
case("view", lambda x: x.T.view(-1, 1), matrices, lambda x: x.T.reshape(-1, 1))
case("permute", lambda x: x.permute(*range(1, x.ndim), 0), vectors, lambda x: np.moveaxis(x, 0, -1))
case("transpose", lambda x: x.transpose(0, -1), matrices, lambda x: x.swapaxes(0, -1))
case("swapaxes", lambda x: x.swapaxes(-1, 0), matrices, lambda x: x.swapaxes(0, -1))
case("mT", lambda x: x.mT, matrices, lambda x: x.swapaxes(-1, -2))
case("flatten", lambda x: x.flatten(1), matrices, lambda x: x.reshape(len(x), -1))
case("squeeze", lambda x: x[:1].squeeze(), vectors, lambda x: x[:1].squeeze())
case("unsqueeze", lambda x: x.unsqueeze(-1), any_array, lambda x: x[..., None])
case("expand", lambda x: x.expand(2, *x.shape), any_array, lambda x: np.broadcast_to(x, (2, *x.shape)))
case("broadcast_to", lambda x: x[:1].broadcast_to((3, *x.shape[1:])), vectors, lambda x: x[[0, 0, 0]])
case("repeat", lambda x: x.repeat(2, *(1,) * (x.ndim - 1), 2), vectors, lambda x: np.tile(x, (2, *(1,) * (x.ndim - 1), 2)))
case("tile", lambda x: x.tile(2), vectors, lambda x: np.tile(x, 2))
case("cat", lambda a, b: tn.cat([a, b, a], 0), vectors.map(lambda x: (x, 2 * x[:1])), lambda a, b: np.concatenate([a, b, a]))
case("stack", lambda a, b: tn.stack([a, b], -1), any_array.map(lambda x: (x, 3 * x)), lambda a, b: np.stack([a, b], -1))
case("split", lambda x: x.split(2)[-1], vectors, lambda x: np.split(x, range(2, len(x), 2))[-1])
case("chunk", lambda x: x.chunk(2)[0] * 2, vectors, lambda x: np.array_split(x, 2)[0] * 2)
case("flip", lambda x: x.flip(0), vectors, np.flipud)
case("roll", lambda x: x.roll(1, 0), vectors, lambda x: np.roll(x, 1, 0))
case("roll_flat", lambda x: x.roll(2), matrices, lambda x: np.roll(x, 2))
case(
    "pad",
    lambda x: F.pad(x, (1, 2, -1, 1), value=3.0),
    matrices,
    lambda x: np.pad(x, [(0, 0)] * (x.ndim - 2) + [(0, 1), (1, 2)], constant_values=3.0)[..., 1:, :],
)
wide = testing.arrays(testing.shapes(min_dims=2, max_dims=3, min_side=2))
for _mode, _np_mode in (("reflect", "reflect"), ("replicate", "edge"), ("circular", "wrap")):
    case(
        f"pad_{_mode}",
        lambda x, mode=_mode: F.pad(x, (1, 1), mode=mode),
        wide,
        lambda x, mode=_np_mode: np.pad(x, [(0, 0)] * (x.ndim - 1) + [(1, 1)], mode=mode),
    )

# ---- indexing -----------------------------------------------------------------------------


@st.composite
def indexed(draw: Any) -> tuple:
    """An array and indices along its first dimension, some of them more than once."""
    array = draw(vectors)
    return (array,), {"index": np.array(draw(st.lists(st.integers(0, len(array) - 1), min_size=1, max_size=5)))}


@st.composite
def gathered(draw: Any) -> tuple:
    """An array, a dimension, and an index as gather takes it."""
    array = draw(vectors)
    dim = draw(st.integers(0, array.ndim - 1))
    sides = [draw(st.integers(1, 4 if d == dim else n)) for d, n in enumerate(array.shape)]
    random = np.random.default_rng(draw(st.integers(0, 1000)))
    return (array,), {"dim": dim, "index": random.integers(0, array.shape[dim], sides)}


def np_gather(x: np.ndarray, dim: int, index: np.ndarray) -> np.ndarray:
    """By its formula."""
    out = np.empty(index.shape)
    for at in np.ndindex(*index.shape):
        out[at] = x[(*at[:dim], index[at], *at[dim + 1 :])]
    return out


case("getitem", lambda x: x[-1], vectors, lambda x: x[-1])
case("getitem_slices", lambda x: x[..., ::2], vectors, lambda x: x[..., ::2])
case("getitem_none", lambda x: x[None, 0], vectors, lambda x: x[None, 0])
case("getitem_mask", lambda x: x[x > 0.1], testing.arrays(avoid=(0.1,)), lambda x: x[x > 0.1])
case("getitem_list", lambda x: x[[0, -1, 0]], vectors, lambda x: x[[0, -1, 0]])
case("getitem_tensor", lambda x, index: x[on(index)], indexed(), lambda x, index: x[index])


def set_item(x: tn.Tensor, value: tn.Tensor) -> tn.Tensor:
    """A copy of x, its second row and its last column edited in place."""
    y = x.clone()
    y[1] = value
    y[[0, 2], -1] = value[:2] * 2
    return y


def np_set_item(x: np.ndarray, value: np.ndarray) -> np.ndarray:
    """The same in NumPy."""
    y = x.copy()
    y[1] = value
    y[[0, 2], -1] = value[:2] * 2
    return y


case(
    "set_item",
    set_item,
    st.integers(0, 999).map(lambda seed: (testing.values((3, 4), seed), testing.values((4,), seed + 1))),
    np_set_item,
)

case("gather", lambda x, dim, index: x.gather(dim, on(index)), gathered(), np_gather)


def np_scatter(x: np.ndarray, dim: int, index: np.ndarray, src: np.ndarray) -> np.ndarray:
    """By its formula."""
    out = x.copy()
    for at in np.ndindex(*index.shape):
        out[(*at[:dim], index[at], *at[dim + 1 :])] += src[at]
    return out


case(
    "scatter_add",
    lambda x, src, dim, index: tn.scatter_add(x, dim, on(index), src),
    gathered().map(lambda drawn: ((drawn[0][0], testing.values(drawn[1]["index"].shape, 1)), drawn[1])),
    lambda x, src, dim, index: np_scatter(x, dim, index, src),
)


def np_scattered(x: np.ndarray, dim: int, index: np.ndarray, src: np.ndarray) -> np.ndarray:
    """By its formula."""
    out = x.copy()
    for at in np.ndindex(*index.shape):
        out[(*at[:dim], index[at], *at[dim + 1 :])] = src[at]
    return out


def permuted(drawn: tuple) -> tuple:
    """A source as large as the array, and an index that names no place twice."""
    x, dim = drawn[0][0], drawn[1]["dim"]
    return (x, testing.values(x.shape, 1)), {"dim": dim, "index": np.argsort(testing.values(x.shape, 2), axis=dim)}


case(
    "scatter",
    lambda x, src, dim, index: tn.scatter(x, dim, on(index), src),
    gathered().map(permuted),
    lambda x, src, dim, index: np_scattered(x, dim, index, src),
)
case(
    "index_add",
    lambda x, source: tn.index_add(x, 0, on(np.array([1, 0, 1])), source, alpha=0.5),
    st.integers(0, 999).map(lambda seed: (testing.values((2, 3), seed), testing.values((3, 3), seed + 1))),
    lambda x, source: x + 0.5 * np.stack([source[1], source[0] + source[2]]),
)
case("vstack", lambda x: tn.vstack([x, x[:1] * 2]), matrices, lambda x: np.vstack([x, 2 * x[:1]]))
case("hstack", lambda x: tn.hstack([x, 2 * x]), vectors, lambda x: np.hstack([x, 2 * x]))
case(
    "meshgrid",
    lambda x: tn.stack(tn.meshgrid(x, x * x, indexing="xy")),
    testing.arrays(testing.shapes(min_dims=1, max_dims=1)),
    lambda x: np.stack(np.meshgrid(x, x * x)),
)
case("index_select", lambda x, index: x.index_select(0, on(index)), indexed(), lambda x, index: x[index])
case(
    "take_along_dim",
    lambda x, dim: tn.take_along_dim(x, tn.argmin(x, dim, keepdim=True), dim),
    along(),
    lambda x, dim: x.min(axis=dim, keepdims=True),
)


def set_item(x: Any, value: Any) -> Any:
    """x with its first row replaced."""
    y = x * 1
    y[0] = value
    return y


def np_set_item(x: np.ndarray, value: np.ndarray) -> np.ndarray:
    """The same in NumPy."""
    x = x.copy()
    x[0] = value
    return x


def edit_view(x: Any) -> Any:
    """A view edited in place, then its base and another view."""
    y = x * 1
    other = y.reshape(-1)
    y[:1].mul_(3)
    return y + other.reshape(y.shape) * y


def np_edit_view(x: np.ndarray) -> np.ndarray:
    """The same in NumPy."""
    y = x.copy()
    y[:1] *= 3
    return y + y * y


case("setitem", set_item, vectors.map(lambda x: (x, 2 * x[0] + 1)), np_set_item)
case("setitem_number", lambda x, value: set_item(x, value.sum()), vectors.map(lambda x: (x, x[:1])), None)
case("edit_view", edit_view, vectors, np_edit_view)
case("relu_", lambda x: (x * 1).relu_(), any_array, lambda x: np.maximum(x, 0))
case("fill_", lambda x: x + (x * 2).fill_(3.0), any_array, lambda x: x + 3)
case("copy_", lambda x, y: (x * 2).copy_(y) * x, any_array.map(lambda x: (x, x + 1)), lambda x, y: x * y)
case("to_device", lambda x: (x.to("strict") * x.to("strict").exp()).to(tn.get_backend()), any_array, lambda x: x * np.exp(x))
case("to_dtype", lambda x: (x * 2).to(x.dtype) + x.double().to(x.dtype), any_array, lambda x: 3 * x)

# ---- products -----------------------------------------------------------------------------


@st.composite
def product(draw: Any) -> tuple[np.ndarray, np.ndarray]:
    """Two arrays that matmul takes: vectors, matrices, batches that broadcast."""
    m, k, n = (draw(st.integers(1, 3)) for _ in range(3))
    batch_a, batch_b = draw(st.sampled_from([((), ()), ((2,), ()), ((), (2,)), ((2, 1), (3,)), ((2,), (2,))]))
    left = draw(st.sampled_from([(k,), (*batch_a, m, k)]))
    right = draw(st.sampled_from([(k,), (*batch_b, k, n)]))
    seed = draw(st.integers(0, 1000))
    return testing.values(left, seed), testing.values(right, seed + 1)


@st.composite
def linear_inputs(draw: Any) -> tuple:
    """x, weight and bias."""
    *lead, width = draw(testing.shapes(min_dims=1))
    out = draw(st.integers(1, 3))
    seed = draw(st.integers(0, 1000))
    return tuple(testing.values(s, seed + i) for i, s in enumerate([(*lead, width), (out, width), (out,)]))


case("matmul", tn.matmul, product(), np.matmul)
case("linear", F.linear, linear_inputs(), lambda x, w, b: x @ w.T + b)
case("linear_without_bias", lambda x, w: F.linear(x, w), linear_inputs().map(lambda t: t[:2]), lambda x, w: x @ w.T)
case("linear_definition", linalg.linear_definition, linear_inputs(), lambda x, w, b: x @ w.T + b)
case("outer", lambda x: tn.outer(x.flatten(), x.flatten() + 1), any_array, lambda x: np.outer(x, x.ravel() + 1))
for _equation, _shapes in (
    ("ij,jk->ik", [(2, 3), (3, 2)]),
    ("bij,bjk->bik", [(2, 2, 3), (2, 3, 1)]),
    ("i,j->ji", [(2,), (3,)]),
    ("ii->i", [(3, 3)]),
    ("iij->j", [(2, 2, 3)]),
    ("ij->", [(2, 3)]),
    ("...ij,jk->...ik", [(2, 2, 3), (3, 2)]),
    ("ab,bc,cd->ad", [(2, 2), (2, 3), (3, 2)]),
    ("ij,ij", [(2, 3), (2, 3)]),
    ("ij,kj->i", [(2, 3), (2, 3)]),
):
    case(
        f"einsum_{_equation}",
        lambda *xs, equation=_equation: tn.einsum(equation, *xs),
        st.integers(0, 100).map(lambda seed, s=_shapes: tuple(testing.values(x, seed + i) for i, x in enumerate(s))),
        lambda *xs, equation=_equation: np.einsum(equation, *xs),
    )

# ---- the later additions: choosing, dividing, parts of matrices, windows ---------------------------

apart = any_array.map(lambda x: (x, 0.7 * x + 3 * np.sign(x)))
case(
    "clamp_tensors",
    lambda x, a, b: x.clamp(a, b),
    any_array.map(lambda x: (x, x[::-1] * 0 - 0.5, x * 0 + 0.6) if x.ndim else (x, x * 0 - 3, x * 0 + 3)),
    np.clip,
)
case("clamp_min_tensor", lambda x, a: x.clamp(min=a), apart, np.maximum)
case("clamp_max_tensor", lambda x, b: x.clamp(max=b), apart, np.minimum)
case("remainder", tn.remainder, testing.arrays(low=0.6, high=0.9).map(lambda x: (4.5 * x / x + x / 9, x)), np.remainder)
case("fmod", tn.fmod, testing.arrays(low=0.6, high=0.9).map(lambda x: (-4.5 * x / x - x / 9, x)), np.fmod)
case(
    "div_floor",
    lambda a, b: tn.div(a, b, rounding_mode="floor"),
    testing.arrays(low=0.6, high=0.9).map(lambda x: (4.5 * x / x, x)),
    np.floor_divide,
)
case("tril", lambda x: x.tril(-1), matrices, lambda x: np.tril(x, -1))
case("triu", lambda x: x.triu(), matrices, np.triu)
case("diagonal", lambda x: x.diagonal(1, -2, -1) * 2, matrices, lambda x: 2 * np.diagonal(x, 1, -2, -1))
case("diag", lambda x: tn.diag(x, -1), testing.arrays(testing.shapes(min_dims=1, max_dims=1)), lambda x: np.diag(x, -1))
case("trace", tn.trace, testing.arrays(testing.shapes(min_dims=2, max_dims=2)), np.trace)
case(
    "unfold_dim",
    lambda x: x.unfold(0, 1 + (len(x) > 1), 1),
    vectors,
    lambda x: np.lib.stride_tricks.sliding_window_view(x, 1 + (len(x) > 1), 0),
)
case("repeat_interleave", lambda x: x.repeat_interleave(2, 0), vectors, lambda x: np.repeat(x, 2, 0))
case("movedim", lambda x: x.movedim(0, -1), matrices, lambda x: np.moveaxis(x, 0, -1))
case("sort", lambda x: x.sort(0, descending=True).values, vectors, lambda x: -np.sort(-x, 0))
case("topk", lambda x: x.topk(1, 0).values, vectors, lambda x: x.max(0, keepdims=True))
case(
    "addmm",
    lambda c, a: tn.addmm(c, a, a.T, beta=0.5, alpha=2),
    testing.arrays(testing.shapes(min_dims=2, max_dims=2)).map(lambda a: (a[:, :1] * 3, a)),
    lambda c, a: 0.5 * c + 2 * a @ a.T,
)
case("norm_half", lambda x: tn.norm(x, 0.5), any_array, lambda x: (abs(x) ** 0.5).sum() ** 2)
case("norm_3", lambda x: tn.norm(x, 3.0), any_array, lambda x: (abs(x) ** 3).sum() ** (1 / 3))
case("elu_2", lambda x: F.elu(x, 2.0), any_array, lambda x: np.where(x > 0, x, 2 * np.expm1(x)))
case("selu", F.selu, any_array, lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(x)))
case("logsigmoid", F.logsigmoid, any_array, lambda x: -np.log1p(np.exp(-x)))
case(
    "bce",
    lambda p, y: F.binary_cross_entropy(p, y),
    testing.arrays(low=0.1, high=0.9, avoid=()).map(lambda p: (p, 0.3 + 0.2 * p)),
    lambda p, y: np.mean(-y * np.log(p) - (1 - y) * np.log(1 - p)),
)
case(
    "adaptive_avg_pool2d",
    lambda x: F.adaptive_avg_pool2d(x, (2, 1)),
    testing.arrays((1, 2, 3, 2)),
    lambda x: np.stack([x[:, :, :2].mean((2, 3)), x[:, :, 1:].mean((2, 3))], 2)[..., None],
)
case(
    "conv1d",
    lambda x, w: F.conv1d(x, w),
    testing.arrays((2, 1, 4)).map(lambda x: (x, 0.5 * x[:, :, :2] + 1)),
    lambda x, w: np.stack([[np.correlate(a[0], k[0], "valid") for k in w] for a in x]),
)

# ---- losses -------------------------------------------------------------------------------


@st.composite
def regression(draw: Any) -> tuple:
    """A prediction, a target apart from it, and a reduction."""
    x = draw(any_array)
    return (x, x[::-1] * 0.3 + 3.7 if x.ndim else x + 3), {"reduction": draw(st.sampled_from(["mean", "sum", "none"]))}


def np_reduced(losses: np.ndarray, reduction: str) -> Any:
    """By its name."""
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](losses)


case("mse_loss", F.mse_loss, regression(), lambda x, y, reduction: np_reduced((x - y) ** 2, reduction))
case("l1_loss", F.l1_loss, regression(), lambda x, y, reduction: np_reduced(abs(x - y), reduction))
case(
    "smooth_l1_loss",
    lambda x, y, reduction: F.smooth_l1_loss(x, y - 3, reduction=reduction, beta=0.7),
    testing.arrays(avoid=(-1.4, 0.0, 1.4)).map(lambda x: ((x, 0.5 * x + 3), {"reduction": "mean"})),  # |d| = beta has a kink
    lambda x, y, reduction: np_huber(x - y + 3, 0.7).mean(),
)


def np_huber(d: np.ndarray, beta: float) -> np.ndarray:
    """By its formula."""
    return np.where(abs(d) < beta, d * d / (2 * beta), abs(d) - beta / 2)


case(
    "bce_with_logits",
    lambda x, y: F.binary_cross_entropy_with_logits(x, y, pos_weight=on(np.array(2.0)).to(x.dtype)),
    any_array.map(lambda x: (x, 0.5 + 0.2 * x)),
    lambda x, y: np.mean(-2 * y * np.log(1 / (1 + np.exp(-x))) - (1 - y) * np.log(1 / (1 + np.exp(x)))),
)


@st.composite
def classification(draw: Any) -> tuple:
    """Logits (N, C, *S), classes with some to be ignored, a reduction."""
    x = draw(testing.arrays(testing.shapes(min_dims=2)))
    classes = x.shape[1]
    random = np.random.default_rng(draw(st.integers(0, 1000)))
    y = random.integers(0, classes, (x.shape[0], *x.shape[2:]))
    if draw(st.booleans()) and y.size > 1:
        y.flat[0] = -100
    return (x,), {"y": y, "reduction": draw(st.sampled_from(["mean", "sum", "none"]))}


def np_nll(logs: np.ndarray, y: np.ndarray, reduction: str) -> Any:
    """By its formula."""
    out = np.zeros(y.shape)
    for at in np.ndindex(*y.shape):
        if y[at] != -100:
            out[at] = -logs[(at[0], y[at], *at[1:])]
    return out.sum() / (y != -100).sum() if reduction == "mean" else np_reduced(out, reduction)


case("nll_loss", lambda x, y, reduction: F.nll_loss(x, on(y), reduction=reduction), classification(), np_nll)
case(
    "cross_entropy",
    lambda x, y, reduction: F.cross_entropy(x, on(y), reduction=reduction),
    classification(),
    lambda x, y, reduction: np_nll(np.log(np_softmax(x, 1)), y, reduction),
)
square_logits = testing.arrays(testing.shapes(min_dims=2, max_dims=2))
case(
    "cross_entropy_fused",
    lambda x: F.cross_entropy(x, on(np.arange(len(x)) % x.shape[1])),
    square_logits,
    lambda x: np_nll(np.log(np_softmax(x, 1)), np.arange(len(x)) % x.shape[1], "mean"),
)
case(
    "cross_entropy_of_probabilities",
    lambda x, y, reduction: F.cross_entropy(x, y.softmax(1), reduction=reduction, label_smoothing=0.1),
    square_logits.map(lambda x: ((x, x * 0.5 + 1), {"reduction": "mean"})),
    None,
)
case(
    "cross_entropy_weighted_and_smoothed",
    lambda x, y, reduction: F.cross_entropy(
        x, on(y), weight=on(np.linspace(1, 2, x.shape[1])).to(x.dtype), reduction=reduction, label_smoothing=0.2
    ),
    classification(),
    None,
)

# ---- convolution and pooling --------------------------------------------------------------


@st.composite
def windows(draw: Any, size: int) -> Windows:
    """Windows along a dimension of this size, odd ones included; at least one."""
    kernel, stride, dilation = (draw(st.integers(1, 3)) for _ in range(3))
    found = Windows(size, kernel, stride, draw(st.integers(0, 2)), draw(st.integers(0, 2)), dilation)
    return found if found.count > 0 else Windows(size, 1, stride)


@st.composite
def convolution(draw: Any) -> tuple:
    """Input, weight and bias of a convolution, and its geometry."""
    batch, groups, channels, outputs = (draw(st.integers(1, 2)) for _ in range(4))
    height, width = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    geometry = Geometry(draw(windows(height)), draw(windows(width)), groups)
    seed = draw(st.integers(0, 1000))
    kernel = (geometry.rows.kernel, geometry.columns.kernel)
    shapes = [(batch, groups * channels, height, width), (groups * outputs, channels, *kernel), (groups * outputs,)]
    return tuple(testing.values(s, seed + i, low=-1, high=1) for i, s in enumerate(shapes)), {"geometry": geometry}


@st.composite
def pooled(draw: Any) -> tuple:
    """An input and its windows; padding smaller than the kernel, as in PyTorch."""
    height, width = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    found = []
    for size in (height, width):
        kernel = draw(st.integers(1, min(3, size)))
        around = draw(st.integers(0, kernel // 2))
        found.append(Windows(size, kernel, draw(st.integers(1, 3)), around, around, 1, draw(st.booleans())))
    x = testing.values((draw(st.integers(1, 2)), 2, height, width), draw(st.integers(0, 1000)))
    return (x,), {"rows": found[0], "columns": found[1]}


def by_definition(definition: Callable) -> Callable:
    """A definition made of ops, as a reference on NumPy arrays."""

    def reference(*inputs: np.ndarray, **settings: Any) -> np.ndarray:
        with tn.no_grad():
            return definition(*[on(x) for x in inputs], **settings).cpu().numpy()

    return reference


def divisor(x: Any, rows: Windows, columns: Windows) -> Any:
    """How many elements of the input each window sees, as avg_pool2d takes it."""
    return on(np.outer(pool.elements_seen(rows, False), pool.elements_seen(columns, False))).to(x.dtype).array


def avg_pool(function: Callable) -> Callable:
    """avg_pool2d, fused or defined, with the divisor of each window."""
    return lambda x, rows, columns: function(x, rows=rows, columns=columns, divisor=divisor(x, rows, columns))


case("conv2d", conv._conv2d, convolution(), by_definition(conv.conv2d_definition))
case("conv2d_definition", conv.conv2d_definition, convolution(), None, second=False)
case(
    "conv2d_function",
    lambda x, w, b: F.conv2d(x, w, b, 2, 1),
    st.just(((2, 2, 4, 4), (2, 2, 3, 3), (2,))).map(lambda shapes: tuple(testing.values(s, i) for i, s in enumerate(shapes))),
    None,
)
case("max_pool2d", pool._max_pool2d, pooled(), by_definition(pool.max_pool2d_definition))


def pick(values: Any, x: np.ndarray, rows: Windows, columns: Windows) -> Any:
    """What stands in `values` where the maxima of x are."""
    maximum = pool._max_pool2d(on(x).array, rows=rows, columns=columns)
    return pool._pick_maximum(values, x=on(x).array, maximum=maximum, rows=rows, columns=columns)


case("pick_maximum", pick, pooled().map(lambda d: (d[0], {**d[1], "x": testing.values(d[0][0].shape, 5)})))
case("avg_pool2d", avg_pool(pool._avg_pool2d), pooled(), by_definition(avg_pool(pool.avg_pool2d_definition)))
case(
    "unfold",
    lambda x: F.unfold(x, (2, 1), padding=(1, 0)),
    st.integers(0, 99).map(lambda s: testing.values((1, 2, 3, 2), s)),
    None,
)

# ---- views of views ---


@st.composite
def places(draw: Any) -> tuple:
    """An array, and places in it, counted row by row."""
    x = draw(testing.arrays(testing.shapes(min_side=1)))
    return (x,), {"places": draw(st.permutations(range(x.size)))[: max(x.size - 1, 1)]}


case(
    "picked",
    lambda x, places: views._picked(x, places=on(np.array(places)).array),
    places(),
    lambda x, places: x.reshape(-1)[places],
)
case(
    "placed",
    lambda g, places: views._placed(g, places=on(np.array(places)).array, shape=(len(places) + 2,)),
    places().map(lambda d: ((d[0][0].reshape(-1)[: len(d[1]["places"])],), d[1])),
    lambda g, places: np.bincount(places, g, len(places) + 2),
)

# ---- norms and dropout --------------------------------------------------------------------


@st.composite
def normalized(draw: Any) -> tuple:
    """An input, a weight and a bias; over which axes of which shape, in one of the norms' ways."""
    shape = draw(testing.shapes(min_dims=2, max_dims=4, min_side=2, max_side=3))
    norm_axes = draw(st.sampled_from([(0, *range(2, len(shape))), tuple(range(1, len(shape))), (len(shape) - 1,)]))
    affine = draw(st.sampled_from([(1, shape[1], *(1,) * (len(shape) - 2)), (1,) * (len(shape) - 1) + shape[-1:]]))
    seed = draw(st.integers(0, 1000))
    x, *others = (testing.values(s, seed + i) for i, s in enumerate((shape, (max(affine),), (max(affine),))))
    inputs = (draw(st.sampled_from([x, x.reshape(shape[0], -1)])), *others)
    return inputs, {"axes": norm_axes, "seen": shape, "affine": affine, "eps": draw(st.sampled_from([1e-5, 0.1, 1.0]))}


@st.composite
def dropped(draw: Any) -> tuple:
    """An input, what is kept of it, and the probability to drop."""
    x = draw(any_array)
    kept = np.random.default_rng(draw(st.integers(0, 1000))).random(x.shape) > 0.5
    return (x,), {"kept": kept, "p": draw(st.sampled_from([0.0, 0.3, 1.0]))}


case("normalize", norm._normalize, normalized(), by_definition(norm.normalize_definition))
case("normalize_definition", norm.normalize_definition, normalized(), None)
case(
    "normalize_without_affine",
    lambda x, w, b, **settings: norm._normalize(x, None, None, **settings),
    normalized().map(lambda drawn: ((drawn[0][0], None, None), drawn[1])),
    None,
)
case(
    "dropout",
    lambda x, kept, p: _dropout(x, on(kept), p=p),
    dropped(),
    lambda x, kept, p: np.where(kept, x / (1 - p), 0.0) if p < 1 else x * 0,
)
for _name, _function, _shapes in (
    ("batch_norm", lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True), [(3, 2, 2), (2,), (2,)]),
    ("layer_norm", lambda x, w, b: F.layer_norm(x, (2, 3), w, b), [(2, 2, 3), (2, 3), (2, 3)]),
    ("instance_norm", lambda x, w, b: F.instance_norm(x, weight=w, bias=b), [(2, 2, 3), (2,), (2,)]),
    ("group_norm", lambda x, w, b: F.group_norm(x, 2, w, b), [(2, 4, 2), (4,), (4,)]),
):
    case(
        _name,
        _function,
        st.integers(0, 999).map(lambda seed, s=_shapes: tuple(testing.values(x, seed + i) for i, x in enumerate(s))),
    )
