"""detect_anomaly names the op whose gradient first was no number, and the line it was called in."""

from __future__ import annotations

import re
import threading

import pytest
from helpers import constant, leaf

import tinygrad_norm as tn
from tinygrad_norm import autograd, nn

pytestmark = pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")  # NumPy's own, of 1 / 0


def test_the_first_gradient_that_is_not_finite_is_named_with_its_line() -> None:
    x = leaf([4.0, 0.0])
    with autograd.detect_anomaly():
        assert tn.is_anomaly_enabled()
        root = x.sqrt()  # its derivative at 0 is infinite
        loss = (root * 0).sum()
        with pytest.raises(RuntimeError, match="'SqrtBackward' returned nan") as caught:
            loss.backward()
    assert not tn.is_anomaly_enabled()
    assert x.grad is None
    text = str(caught.value)
    assert "test_anomaly.py" in text
    assert "root = x.sqrt()" in text
    assert "gradient of its input" in text


def test_infinity_is_found_where_it_arises() -> None:
    x = leaf([1.0, 0.0])
    with autograd.detect_anomaly(), pytest.raises(RuntimeError, match=r"'LogBackward' returned inf values in its 0th output"):
        (2 * x.log()).sum().backward()


def test_of_several_inputs_the_right_one_is_named() -> None:
    b = leaf([0.0])
    with autograd.detect_anomaly(), pytest.raises(RuntimeError, match="1th output, the gradient of its input 'other'"):
        (constant([1.0]) / b).sum().backward()


def test_what_was_given_already_is_not_blamed_on_the_op() -> None:
    x = leaf([1.0])
    with autograd.detect_anomaly(), pytest.raises(RuntimeError, match="given to 'MulBackward' is nan already"):
        (x * 2).backward(constant([float("nan")]))


def test_a_layer_a_function_and_second_derivatives() -> None:
    class Bad(autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

        @staticmethod
        def backward(ctx, g):
            return g / 0

    with autograd.detect_anomaly():
        with pytest.raises(RuntimeError, match="'BadBackward' returned inf"):
            Bad.apply(leaf([1.0])).sum().backward()
        layer = nn.Linear(2, 1).to(tn.get_backend())
        layer.weight.data.fill_(float("inf"))
        with pytest.raises(RuntimeError, match="'LinearBackward' returned inf values in its 0th output"):
            layer(leaf([[1.0, 2.0]], "float32")).sum().backward()
        x = leaf([0.0])
        (g,) = tn.grad((x.abs() ** 1.5).sum(), x, create_graph=True)
        with pytest.raises(RuntimeError, match="nan|inf"):
            g.sum().backward()


def test_the_mode_is_the_threads_own_and_ends_with_its_block() -> None:
    seen: list[bool] = []
    with autograd.detect_anomaly():
        other = threading.Thread(target=lambda: seen.append(tn.is_anomaly_enabled()))
        other.start()
        other.join()
        with autograd.set_detect_anomaly(False):
            seen.append(tn.is_anomaly_enabled())
        seen.append(tn.is_anomaly_enabled())
    assert [*seen, tn.is_anomaly_enabled()] == [False, False, True, False]
    autograd.set_detect_anomaly(True, check_nan=False)
    assert (tn.is_anomaly_enabled(), tn.is_anomaly_check_nan_enabled()) == (True, False)
    leaf([0.0]).sqrt().sum().backward()
    autograd.set_detect_anomaly(False)
    with pytest.raises(TypeError, match=re.escape("'check_nan' must be bool, not str")):
        autograd.detect_anomaly("yes")


def test_outside_of_it_nothing_is_looked_for() -> None:
    x = leaf([0.0])
    x.sqrt().sum().backward()
    y = x.sqrt().sum()
    with autograd.detect_anomaly(), pytest.raises(RuntimeError, match=r"called outside of detect_anomaly\(\)"):
        y.backward()
