"""In-place methods: PyTorch's effect, PyTorch's errors, and views that know of each other."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import close, constant, host, leaf

import tinygrad_norm as tn


def test_a_leaf_that_requires_grad_cannot_be_edited() -> None:
    x = leaf([1.0, 2.0])
    for edit in (
        lambda: x.add_(1),
        lambda: x.zero_(),
        lambda: x.relu_(),
        lambda: x.__setitem__(0, 1.0),
        lambda: x.unsqueeze_(0),
        lambda: x.normal_(),
    ):
        with pytest.raises(RuntimeError, match="a leaf Variable that requires grad is being used in an in-place operation"):
            edit()
    with pytest.raises(RuntimeError, match="a view of a leaf Variable that requires grad"):
        x[:1].mul_(2)
    close(x, [1.0, 2.0])
    with tn.no_grad():
        x += 1
    close(x, [2.0, 3.0])
    assert x.requires_grad
    assert x.is_leaf


def test_an_edit_of_a_saved_value_is_noticed_and_named() -> None:
    x = leaf([1.0, 2.0])
    y = x * 2
    z = y * y
    y.add_(1)
    with pytest.raises(RuntimeError, match=r"modified by an inplace operation: the input '(input|other)' of mul, .*add_"):
        z.sum().backward()
    y = x * 2
    z = y.exp()
    z.mul_(2)
    with pytest.raises(RuntimeError, match=r"the output of exp.*mul_"):
        z.sum().backward()


def test_an_edit_through_a_view_or_detach_is_noticed_but_not_through_data() -> None:
    x = leaf([1.0, 2.0])
    y = x * 1
    z = (y * y).sum()
    y[0].fill_(5.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.backward()
    y = x * 1
    z = (y * y).sum()
    y.detach().fill_(5.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.backward()
    y = x * 1
    z = (y * y).sum()
    y.data.fill_(5.0)
    z.backward()
    close(x.grad, [10.0, 10.0])


def test_an_edit_of_what_nobody_saved_is_fine() -> None:
    x = leaf([1.0, -2.0])
    y = x + 1
    y *= 3
    y.relu_()
    y.sum().backward()
    close(x.grad, [3.0, 0.0])


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("add_", (2,), lambda x: x + 2),
        ("sub_", (2,), lambda x: x - 2),
        ("mul_", (2,), lambda x: x * 2),
        ("div_", (2,), lambda x: x / 2),
        ("pow_", (2,), lambda x: x**2),
        ("clamp_", (0.0, 1.0), lambda x: x.clip(0, 1)),
        ("relu_", (), lambda x: np.maximum(x, 0)),
        ("abs_", (), np.abs),
        ("neg_", (), np.negative),
        ("exp_", (), np.exp),
        ("zero_", (), lambda x: x * 0),
        ("fill_", (4.0,), lambda x: x * 0 + 4),
    ],
)
def test_in_place_methods_give_the_tensor_itself(name, arguments, expected) -> None:
    x = constant([[-1.0, 0.5], [2.0, 3.0]])
    array, before = x.array, host(x).copy()
    assert getattr(x, name)(*arguments) is x
    assert x.array is array
    close(x, expected(before))


def test_in_place_operators_edit_in_place() -> None:
    x = constant([1.0, 2.0])
    view = x[:]
    x += 1
    x *= 4
    x -= 2
    x /= 2
    x **= 2
    close(view, [9.0, 25.0])


def test_results_have_to_fit() -> None:
    x = constant([1, 2, 3])
    with pytest.raises(RuntimeError, match="can't be cast to the desired output type int64"):
        x.add_(1.5)
    with pytest.raises(RuntimeError, match="doesn't match the broadcast shape"):
        x.add_(constant([[1, 2, 3], [4, 5, 6]]))
    with pytest.raises(RuntimeError, match="shape mismatch"):
        x[:2] = constant([1, 2, 3])
    close(x, [1, 2, 3])


def test_a_constant_tensor_that_gets_a_differentiable_part_requires_grad() -> None:
    x = leaf([2.0])
    out = tn.zeros(3, dtype="float64")
    out[1] = x * 3
    view = out[1:]
    out[2].add_((x * x).sum())
    assert out.requires_grad
    (out * constant([1.0, 10.0, 100.0], "float64")).sum().backward()
    close(x.grad, [30.0 + 400.0])
    assert view.requires_grad or view.grad_fn is not None


def test_the_other_views_of_edited_memory_get_the_new_history() -> None:
    x = leaf([1.0, 2.0, 3.0])
    y = x * 1
    first, all_of_it = y[0], y.reshape(3, 1)
    y[0] = 10 * y[1]
    close(first, 20.0)
    (first + all_of_it.sum()).backward()
    close(x.grad, [0.0, 21.0, 1.0])


def test_squeeze_and_unsqueeze_in_place() -> None:
    x = tn.linspace(-1, 1, 10).unsqueeze_(1)
    assert x.shape == (10, 1)
    assert x.squeeze_().shape == (10,)
    y = leaf([1.0, 2.0]) * 2
    y.unsqueeze_(0)
    assert y.shape == (1, 2)
    y.sum().backward()


def test_a_tensor_copied_into_another_takes_its_dtype_and_shape() -> None:
    x = tn.zeros(2, 3)
    x.copy_(tn.arange(3))
    close(x, np.array([[0, 1, 2], [0, 1, 2]], "float32"))
    with pytest.raises(RuntimeError, match="must match the existing size"):
        x.copy_(tn.arange(4))


def test_random_fills_are_random_and_reproduce() -> None:
    x = tn.zeros(1000).normal_(2.0, 0.5)
    assert abs(float(x.mean()) - 2) < 0.1
    assert abs(float(x.std()) - 0.5) < 0.05
    y = tn.zeros(1000).uniform_(3, 5)
    assert 3 <= float(y.min()) < 3.1
    assert 4.9 < float(y.max()) < 5
    tn.manual_seed(0)
    close(tn.zeros(1000).normal_(2.0, 0.5), x)
    for bad in (lambda: x.normal_(0, -1), lambda: x.uniform_(2, 1)):
        with pytest.raises(RuntimeError):
            bad()
