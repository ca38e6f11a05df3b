"""How many Python calls an op takes: counted, not timed, and the same on every machine."""

from __future__ import annotations

import pytest
from small_ops import calls, calls_of_backward, small_ops, steps

import tinygrad_norm as tn
from tinygrad_norm import fast

pytestmark = pytest.mark.skipif(
    tn.get_backend() != "numpy" or fast._Level.current == "off", reason="counted is what usually runs on a CPU"
)
ELEMENTWISE = ("a + b", "a * b", "a / b", "a.exp()", "a.relu()")
VIEWS_AND_REDUCTIONS = ("a.sum()", "a.mean()", "a.reshape(64)", "a.t()", "a[0]")
BACKWARD = {"F.conv2d(images, kernels)": 46, "where(mask, a, b)": 22}  # the others take twenty at most


@pytest.mark.parametrize("name", small_ops(tn))
def test_an_op_takes_few_calls(name) -> None:
    most = 5 if name in ELEMENTWISE else 10 if name in VIEWS_AND_REDUCTIONS else 20
    run = small_ops(tn)[name]
    assert calls(run) <= most
    assert calls_of_backward(run) <= BACKWARD.get(name, 20)


@pytest.mark.parametrize(("name", "most"), [("a step of the MLP", 250), ("a step of LeNet", 800)])
def test_a_training_step_takes_few_calls(name, most) -> None:
    assert calls(steps()[name]) <= most
