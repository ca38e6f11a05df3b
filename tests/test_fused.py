"""What runs is what the definition says: every fused op against its definition, to the second derivative."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers import close, constant, host, leaf
from hypothesis import given
from hypothesis import strategies as st
from op_table import avg_pool, classification, convolution, linear_inputs, normalized, pooled

import tinygrad_norm as tn
from tinygrad_norm import testing
from tinygrad_norm.nn import functional as F
from tinygrad_norm.nn.functional import classification as classes_of_several
from tinygrad_norm.nn.functional import conv, loss, norm, pool
from tinygrad_norm.nn.functional.window import Windows
from tinygrad_norm.ops import linalg

pytestmark = pytest.mark.usefixtures("way")


def derivatives(function: Callable, inputs: list, settings: dict) -> list[np.ndarray]:
    """The value, the gradients for a random cotangent, and the gradients of a random sum of those."""
    leaves = [leaf(x) if isinstance(x, np.ndarray) and x.dtype.kind == "f" else constant(x) for x in inputs]
    wanted = [x for x in leaves if x.requires_grad]
    out = function(*leaves, **settings)
    cotangent = constant(testing.values(tuple(out.shape), 1))
    first = tn.grad(out, wanted, cotangent, create_graph=True, allow_unused=True)
    total = sum((g * constant(testing.values(tuple(g.shape), 2 + i))).sum() for i, g in enumerate(first) if g is not None)
    second = tn.grad(total, wanted, allow_unused=True) if total.requires_grad else [None] * len(wanted)
    zeros = [np.zeros(x.shape) for x in wanted]
    return [host(out), *(z if g is None else host(g) for z, g in zip(zeros * 2, (*first, *second)))]


two_dimensional = testing.arrays(testing.shapes(min_dims=2, max_dims=2))
classes = two_dimensional.map(lambda x: ((x, np.arange(len(x)) % x.shape[1]), {}))
some_ignored = classes.filter(lambda case: case[0][1].any()).map(lambda case: (case[0], {"ignore_index": 0}))
FUSED = {
    "normalize": (norm._normalize, norm.normalize_definition, normalized()),
    "conv2d": (conv._conv2d, conv.conv2d_definition, convolution()),
    "linear": (linalg._linear, linalg.linear_definition, linear_inputs().map(lambda t: (t, {}))),
    "mse_loss": (loss._mse_loss, loss.mse_loss_definition, testing.arrays().map(lambda x: ((x, 0.3 * x + 1), {}))),
    "cross_entropy": (classes_of_several._cross_entropy, classes_of_several.cross_entropy_definition, classes),
    "cross_entropy_of_some": (classes_of_several._cross_entropy, classes_of_several.cross_entropy_definition, some_ignored),
    "max_pool2d": (pool._max_pool2d, pool.max_pool2d_definition, pooled()),
    "avg_pool2d": (avg_pool(pool._avg_pool2d), avg_pool(pool.avg_pool2d_definition), pooled()),
}


@pytest.mark.parametrize("name", FUSED)
@given(data=st.data())
def test_a_fused_op_is_its_definition(name: str, data: Any) -> None:
    fused, definition, strategy = FUSED[name]
    inputs, settings = data.draw(strategy)
    for a, b in zip(derivatives(fused, inputs, settings), derivatives(definition, inputs, settings), strict=True):
        close(a, b, 1e-11)


@pytest.mark.parametrize("labels", [[0, 1], [-100, 1]], ids=str)
def test_the_plain_cross_entropy_is_fused_on_every_backend(labels) -> None:
    loss_of_two = F.cross_entropy(leaf(np.eye(2)), constant(labels))
    assert loss_of_two.grad_fn.name() == "CrossEntropyBackward"


@given(x=testing.arrays((2, 3)), data=classification())
def test_the_general_cross_entropy_is_nll_of_log_softmax(x, data) -> None:
    (logits,), settings = data
    y = constant(settings["y"])
    close(
        F.cross_entropy(constant(logits), y, reduction="sum"),
        F.nll_loss(F.log_softmax(constant(logits), 1), y, reduction="sum"),
    )


@given(
    size=st.integers(1, 9),
    kernel=st.integers(1, 4),
    stride=st.integers(1, 4),
    before=st.integers(0, 3),
    after=st.integers(0, 3),
    dilation=st.integers(1, 3),
    ceil_mode=st.booleans(),
)
def test_taps_name_every_input_that_an_output_sees(size, kernel, stride, before, after, dilation, ceil_mode) -> None:
    windows = Windows(size, kernel, stride, before, after, dilation, ceil_mode)
    if windows.count <= 0:
        return
    seen = {(o, i): o * stride + i * dilation - before for o in range(windows.count) for i in range(kernel)}
    expected = {(o, i, at) for (o, i), at in seen.items() if 0 <= at < size}
    found = set()
    for i, (outputs, inputs) in enumerate(windows.taps):
        pairs = zip(range(windows.count)[outputs], range(size)[inputs], strict=True)
        found |= {(o, i, at) for o, at in pairs}
    assert found == expected
    counts = pool.elements_seen(windows, include_padding=False)
    if dilation == 1 and min(counts) > 0:
        assert counts == [sum(o == k for o, _, _ in expected) for k in range(windows.count)]
