"""Tensors as values: creation, dtypes and promotion, printing, conversion, the usual errors."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import close, constant, host, leaf
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_norm as tn


def test_python_numbers_become_float32_int64_and_bool() -> None:
    assert tn.tensor([1.0, 2]).dtype == tn.float32
    assert tn.tensor([[1, 2], [3, 4]]).dtype == tn.int64
    assert tn.tensor(True).dtype == tn.bool
    assert tn.tensor(np.float64(1)).dtype == tn.float64
    assert tn.tensor([1, 2], dtype="float64").dtype == tn.float64
    close(tn.tensor([tn.tensor(1.0), tn.tensor(2.0)]), np.array([1, 2], "float32"))
    for bad in ("text", [["a"]], object()):
        with pytest.raises((TypeError, ValueError)):
            tn.tensor(bad)
    with pytest.raises(ValueError, match="rows of one length"):
        tn.tensor([[1, 2], [3]])
    with pytest.raises(TypeError, match="unsupported dtype"):
        tn.tensor([1.0], dtype="complex64")


def test_creation_from_shapes() -> None:
    assert tn.zeros(2, 3).shape == tn.ones((2, 3)).shape == tn.empty([2, 3]).shape == (2, 3)
    close(tn.full((2,), 7), [7, 7])
    assert tn.full((2,), 7.0).dtype == tn.float32
    close(tn.eye(2, 3), np.eye(2, 3, dtype="float32"))
    close(tn.arange(5), np.arange(5))
    close(tn.arange(1, 2, 0.25), np.array([1, 1.25, 1.5, 1.75], "float32"))
    close(tn.linspace(-1, 1, 5), np.linspace(-1, 1, 5, dtype="float32"))
    x = constant([[1, 2]])
    assert tn.zeros_like(x).dtype == tn.int64
    assert tn.ones_like(x, dtype="float32").dtype == tn.float32
    close(tn.full_like(x, 3), [[3, 3]])
    assert tn.zeros(2, requires_grad=True).requires_grad
    for bad in (lambda: tn.zeros(-1), lambda: tn.arange(0, 5, -1), lambda: tn.arange(1, 2, 0), lambda: tn.linspace(0, 1, -1)):
        with pytest.raises(RuntimeError):
            bad()


def test_random_numbers_have_their_distributions_and_reproduce() -> None:
    assert 0 <= float(tn.rand(1000).min()) <= float(tn.rand(1000).max()) < 1
    assert abs(float(tn.randn(10_000).mean())) < 0.05
    assert set(tn.randint(3, 6, (100,)).tolist()) == {3, 4, 5}
    assert set(tn.randint(2, (50,)).tolist()) == {0, 1}
    assert sorted(tn.randperm(10).tolist()) == list(range(10))
    assert abs(float(tn.normal(3.0, 0.1, size=(1000,)).mean()) - 3) < 0.02
    assert tn.normal(tn.zeros(4), tn.ones(4)).shape == (4,)
    assert abs(float(tn.bernoulli(tn.full((10_000,), 0.3)).mean()) - 0.3) < 0.03
    for seed in (0, 1):
        tn.manual_seed(seed)
        first = tn.randn(5).tolist(), tn.rand(5).tolist(), tn.randperm(5).tolist()
        tn.manual_seed(seed)
        assert first == (tn.randn(5).tolist(), tn.rand(5).tolist(), tn.randperm(5).tolist())
    g = tn.Generator().manual_seed(5)
    state = g.get_state()
    drawn = tn.rand(3, generator=g).tolist()
    g.set_state(state)
    if tn.get_backend() == "numpy":
        assert tn.rand(3, generator=g).tolist() == drawn
    assert g.initial_seed() == 5
    with pytest.raises(ValueError, match="not a generator's state"):
        g.set_state(np.zeros(4, np.uint8))
    with pytest.raises(ValueError, match="non-negative integer"):
        tn.manual_seed(-1)
    for bad in (1.5, "x"):
        with pytest.raises(TypeError, match="non-negative integer"):
            tn.manual_seed(bad)
    with pytest.raises(RuntimeError, match="less than"):
        tn.randint(3, 3, (1,))
    with pytest.raises(RuntimeError, match="std >= 0"):
        tn.normal(0.0, -1.0, size=(1,))


FLOATS = ("float32", "float64", "float16")


@given(dtype=st.sampled_from(FLOATS), number=st.sampled_from([2, 2.5, True]), zero_dim=st.booleans())
def test_a_python_number_or_a_wider_scalar_never_widens(dtype, number, zero_dim) -> None:
    x = constant([1.0, 2.0], dtype)
    other = constant(np.float64(1.5)) if zero_dim else number
    for y in (
        x + other,
        other * x,
        x / other,
        x - (1 if other is True else other),
        x**other,
        tn.clamp(x, min=other) if not zero_dim else tn.maximum(x, other),
        tn.where(x > 1, x, other),
    ):
        assert y.dtype == dtype
    assert (x * np.float64(2)).dtype == dtype


def test_promotion_follows_pytorch() -> None:
    i, f, d, b, u = (
        constant([1, 2]),
        constant([1.0], "float32"),
        constant([1.0]),
        constant([True, True]),
        constant([3], "uint8"),
    )
    assert (i + f).dtype == tn.float32
    assert (f + d).dtype == tn.float64
    assert (i + 1.5).dtype == tn.float32
    assert (i / i).dtype == (b / b).dtype == tn.float32
    assert (b + i).dtype == (u + i).dtype == tn.int64
    assert (u + 1).dtype == tn.uint8
    assert tn.exp(i).dtype == tn.sqrt(b).dtype == tn.float32
    assert (i.sum().dtype, b.sum().dtype, u.sum().dtype) == (tn.int64,) * 3
    assert (constant(np.float64(1)) * f).dtype == tn.float32
    assert (constant(np.float32(1.5)) * i).dtype == tn.float32
    assert tn.cat([i, f]).dtype == tn.float32
    assert (i > 1.5).dtype == tn.bool
    assert (constant([1.0], "float16") * f).dtype == tn.float32


def test_an_array_and_a_tensor_make_a_tensor() -> None:
    x = leaf([1.0, 2.0])
    if tn.get_backend() == "numpy":
        for y in (np.array([3.0, 4.0]) * x, np.float64(3) * x, x * np.array([3.0, 4.0])):
            assert isinstance(y, tn.Tensor)
            assert y.requires_grad


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: tn.tensor([1.0, 2.5]), "tensor([1.0000, 2.5000])"),
        (lambda: tn.tensor([1.0, 2.0]), "tensor([1., 2.])"),
        (lambda: tn.tensor([1, 20]), "tensor([ 1, 20])"),
        (lambda: tn.tensor([[1.0], [-2.0]]), "tensor([[ 1.],\n        [-2.]])"),
        (lambda: tn.tensor([True, False]), "tensor([ True, False])"),
        (lambda: tn.tensor(3.0), "tensor(3.)"),
        (lambda: tn.tensor([1e-8, 1.0]), "tensor([1.0000e-08, 1.0000e+00])"),
        (lambda: tn.tensor([1.5], dtype="float64"), "tensor([1.5000], dtype=float64)"),
        (lambda: tn.tensor([1.0], requires_grad=True), "tensor([1.], requires_grad=True)"),
        (lambda: tn.tensor([1.0], requires_grad=True) * 2, "tensor([2.], grad_fn=<MulBackward>)"),
        (lambda: tn.zeros(0), "tensor([])"),
        (lambda: tn.zeros(0, 2), "tensor([], size=(0, 2))"),
        (lambda: tn.tensor([float("nan"), float("inf"), 1.5]), "tensor([   nan,    inf, 1.5000])"),
    ],
)
def test_tensors_print_like_pytorchs(make, text) -> None:
    if tn.get_backend() == "numpy":
        assert repr(make()) == text
    else:
        assert repr(make()).startswith("tensor(")


def test_long_tensors_print_shortened() -> None:
    assert repr(tn.arange(2000)).splitlines()[0] == "tensor([   0,    1,    2,  ..., 1997, 1998, 1999]" + (
        ")" if tn.get_backend() == "numpy" else f", device='{tn.zeros(1).device}')"
    )


def test_to_python() -> None:
    x = constant([[1.5, 2.0]])
    assert x.tolist() == [[1.5, 2.0]]
    assert x[0, 0].item() == 1.5
    assert float(x[0, 0]) == 1.5
    assert int(x[0, 1]) == 2
    assert len(x) == 1
    assert [r.tolist() for r in x] == [[1.5, 2.0]]
    assert 2.0 in x
    assert [10, 20, 30][constant(1)] == 20
    assert (x.size(), x.size(-1), x.numel(), x.dim(), x.ndim) == ((1, 2), 2, 2, 2, 2)
    assert repr(x.shape) == "Size([1, 2])"
    assert x.shape.numel() == 2
    assert bool(constant(1.0))
    for bad, error in (
        (lambda: bool(x), RuntimeError),
        (lambda: x.item(), RuntimeError),
        (lambda: len(x[0, 0]), TypeError),
        (lambda: iter(x[0, 0]), TypeError),
        (lambda: [1, 2][x[0, 0]], TypeError),
    ):
        with pytest.raises(error):
            bad()


def test_to_numpy_and_back_shares_memory() -> None:
    a = np.array([1.0, 2.0])
    x = tn.from_numpy(a)
    a[0] = 5
    assert x.tolist() == [5.0, 2.0]
    assert x.numpy() is a
    assert np.asarray(x) is a
    with pytest.raises(RuntimeError, match="requires grad"):
        tn.from_numpy(np.ones(2)).requires_grad_().numpy()
    with pytest.raises(TypeError, match="expected np.ndarray"):
        tn.from_numpy([1.0])
    assert tn.as_tensor(a, device="cpu").numpy() is a
    assert tn.as_tensor(a).device == tn.zeros(1).device
    assert tn.as_tensor(x) is x
    assert tn.as_tensor([1.0]).dtype == tn.float32


def test_dlpack_both_ways() -> None:
    with tn.backend("numpy"):
        x = tn.arange(4)
        assert np.from_dlpack(x).tolist() == [0, 1, 2, 3]
        assert tn.from_dlpack(np.arange(3.0)).tolist() == [0, 1, 2]
        with pytest.raises(BufferError):
            np.from_dlpack(tn.ones(2, requires_grad=True))


def test_conversion() -> None:
    x = leaf([1.7, 2.2], "float32")
    assert x.double().dtype == tn.float64
    assert x.long().tolist() == [1, 2]
    assert x.to(x) is x
    assert x.float() is x
    assert x.to(x.double()).dtype == tn.float64
    assert x.to(tn.float16).dtype == x.half().dtype == tn.float16
    assert x.int().dtype == tn.int32
    assert (x > 2).dtype == x.bool().dtype == tn.bool
    assert x.to(x.dtype, copy=True) is not x
    assert x.cpu().device == "cpu"
    assert x.type_as(constant([1])).dtype == tn.int64
    assert x.view_as(constant([[1, 2]])).shape == x.expand_as(constant([[1, 2]])).shape == (1, 2)


ERRORS = {
    "add": (
        lambda a: a + constant([1.0, 2.0, 3.0]),
        RuntimeError,
        r"The size of tensor a \(2\) must match the size of tensor b \(3\) at non-singleton dimension 1",
    ),
    "matmul": (
        lambda a: tn.zeros(2, 5) @ tn.zeros(3, 4),
        RuntimeError,
        r"mat1 and mat2 shapes cannot be multiplied \(2x5 and 3x4\)",
    ),
    "matmul_dtype": (lambda a: a @ tn.zeros(2, 2), RuntimeError, "same dtype"),
    "mm": (lambda a: a.mm(a[0]), RuntimeError, r"mat2 has shape \(2,\), expected \(L, M\)"),
    "reshape": (lambda a: a.reshape(3), RuntimeError, r"shape '\[3\]' is invalid for input of size 4"),
    "dim": (lambda a: a.sum(2), IndexError, r"Dimension out of range \(expected to be in range of \[-2, 1\], but got 2\)"),
    "dims": (lambda a: a.sum((0, 0)), RuntimeError, "appears multiple times"),
    "index": (lambda a: a[5], IndexError, "out of bounds"),
    "float_index": (lambda a: a[a], IndexError, r"use \.long\(\)"),
    "mean": (lambda a: a.long().mean(), RuntimeError, r"convert with \.float\(\)"),
    "cat": (lambda a: tn.cat([a, a[:, :1]]), RuntimeError, "Sizes of tensors must match except in dimension 0"),
    "cat_nothing": (lambda a: tn.cat([]), ValueError, "non-empty"),
    "stack": (lambda a: tn.stack([a, a[0]]), RuntimeError, "equal size"),
    "split": (lambda a: a.split([1, 2]), RuntimeError, "sum exactly to 2"),
    "expand": (lambda a: a.expand(3, 3), RuntimeError, "must match the existing size"),
    "permute": (lambda a: a.permute(0), RuntimeError, "does not match the length"),
    "flatten": (lambda a: a.flatten(1, 0), RuntimeError, "cannot come after"),
    "gather": (lambda a: a.gather(0, constant([0])), RuntimeError, "same number of dimensions"),
    "einsum": (lambda a: tn.einsum("ijk->i", a), RuntimeError, "3 subscripts do not match the 2 dimensions"),
    "clamp": (lambda a: a.clamp(), RuntimeError, "at least one of"),
    "one_hot": (lambda a: tn.nn.functional.one_hot(a), RuntimeError, "LongTensor"),
    "pad": (lambda a: tn.nn.functional.pad(a, (5, 5), mode="reflect"), RuntimeError, "Padding size should be at most 1"),
    "amax": (lambda a: a[:0].amax(), RuntimeError, "non-zero size"),
    "roll": (lambda a: a.roll((1, 2), 0), RuntimeError, "must align"),
    "repeat": (lambda a: a.repeat(2), RuntimeError, "can not be smaller"),
    "linear": (lambda a: tn.nn.functional.linear(a, tn.zeros(3, 5)), RuntimeError, r"\(2x2 and 5x3\)"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_say_what_is_wrong(name) -> None:
    function, error, text = ERRORS[name]
    with pytest.raises(error, match=text):
        function(leaf([[1.0, 2.0], [3.0, 4.0]]))


def test_subgradients_at_zero_are_the_documented_ones() -> None:
    zeros = leaf([0.0, 0.0])
    for function, expected in (
        (tn.norm, [0, 0]),
        (tn.std, [0, 0]),
        (lambda x: x.abs().sum(), [0, 0]),
        (lambda x: x.relu().sum(), [0, 0]),
        (lambda x: (x**2).sum(), [0, 0]),
        (lambda x: (x**0).sum(), [0, 0]),
        (lambda x: tn.where(x == 0, x * 2, 1 / (x + (x == 0))).sum(), [2, 2]),
        (lambda x: tn.norm(x, 3), [0, 0]),
        (lambda x: tn.maximum(x, -x).sum(), [0, 0]),
        (lambda x: x.prod(), [0, 0]),
    ):
        (g,) = tn.grad(function(zeros), zeros)
        close(g, np.array(expected, dtype="float64"))


def test_numpy_names_work_for_dimensions() -> None:
    x = constant([[1.0, 2.0], [3.0, 4.0]])
    close(x.sum(axis=1, keepdims=True), [[3.0], [7.0]])
    close(x.max(axis=0).values, [3.0, 4.0])
    close(x.softmax(axis=1).sum(axis=1), [1.0, 1.0])


def test_var_of_too_few_is_nan_and_warns() -> None:
    with pytest.warns(UserWarning, match="degrees of freedom"):
        assert np.isnan(host(constant([1.0]).var()))
    close(constant([1.0, 3.0]).var(unbiased=False), 1.0)
    close(constant([1.0, 3.0]).var(False), 1.0)
    close(constant([[1.0, 3.0]]).std(1, correction=0), [1.0])


def test_integers_sum_and_multiply_as_int64() -> None:
    x = constant([200, 100], "uint8")
    assert x.sum().item() == 300
    assert x.prod().item() == 20000
    assert x.cumsum(0).tolist() == [200, 300]


def test_extremes_with_indices() -> None:
    x = constant([[1.0, 5.0, 5.0], [2.0, 0.0, 2.0]])
    values, indices = x.max(1)
    assert values.tolist() == [5.0, 2.0]
    assert indices.tolist() == [1, 0]
    assert x.argmin().item() == 4
    assert x.argmax(0, keepdim=True).tolist() == [[1, 0, 0]]
    assert x.max(constant([3.0])).tolist() == [[3, 5, 5], [3, 3, 3]]
    assert x.any(1).tolist() == [True, True]
    assert x.all().item() is False


def test_one_hot_and_empty_reductions() -> None:
    assert tn.nn.functional.one_hot(constant([0, 2])).tolist() == [[1, 0, 0], [0, 0, 1]]
    assert tn.nn.functional.one_hot(constant([0]), 2).tolist() == [[1, 0]]
    assert np.isnan(host(tn.zeros(0).mean()))
    assert tn.zeros(0).sum().item() == 0
    assert tn.zeros(0).prod().item() == 1


def test_numpy_scalars_as_settings_do_not_widen() -> None:
    x = constant([1.0, 2.0], "float32")
    for y in (
        x.clamp(np.float64(0), np.float64(1)),
        tn.nn.functional.leaky_relu(x, np.float64(0.1)),
        tn.nn.functional.dropout(x, np.float64(0.5)),
        tn.full((2,), np.float64(2)),
    ):
        assert y.dtype == tn.float32


def test_a_number_formats_like_a_number() -> None:
    assert f"{constant(1.234):.2f}" == "1.23"


def test_integers_are_refused_where_only_floats_make_sense() -> None:
    for bad in (lambda x: x.softmax(0), lambda x: tn.nn.functional.dropout(x), lambda x: tn.nn.BatchNorm1d(2)(x.reshape(2, 2))):
        with pytest.raises(RuntimeError, match=r"convert with \.float\(\)"):
            bad(constant([1, 2, 3, 4]))
    assert constant([1, 2]).logsumexp(0).dtype == tn.float32


def test_an_ellipsis_for_no_dimension_moves_nothing() -> None:
    x, i = constant(np.arange(24).reshape(2, 3, 4)), [0, 1]
    close(x[:, i, ..., i], np.array([[0, 5], [12, 17]]))
    x[:, i, ..., i] = 0
    assert host(x).sum() == np.arange(24).sum() - 34


def test_a_correction_beyond_the_count_gives_an_infinite_variance() -> None:
    with pytest.warns(UserWarning, match="degrees of freedom"):
        assert float(tn.tensor([1.0, 2.0, 4.0]).var(correction=5)) == np.inf


def test_a_tuple_of_integers_has_too_many_of_them_for_a_number() -> None:
    number = tn.tensor(1.0)
    for index, text in ((0, "invalid index of a 0-dim tensor"), ((0,), "too many indices"), ((0, 0), "too many indices")):
        with pytest.raises(IndexError, match=text):
            number[index]
