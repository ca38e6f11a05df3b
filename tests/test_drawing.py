"""Graphs to look at: trees, DOT, steps and summaries."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import close, constant, leaf

import tinygrad_norm as tn
from tinygrad_norm import nn


def small() -> tuple[nn.Module, tn.Tensor]:
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3)).to(tn.get_backend())
    return net, constant(np.ones((2, 1, 8, 8)), "float32")


def test_a_tree_names_ops_leaves_shapes_saved_values_and_gradients() -> None:
    w, b = leaf([2.0, 3.0]), leaf(1.0)
    loss = (w * w.exp() + b).sum()
    tree = str(tn.draw(loss, names={"w": w, "b": b}))
    assert tree.splitlines()[0] == "SumBackward []"
    assert "    ├── MulBackward [2]" in tree.splitlines()
    assert "w [2]" in tree
    assert "b []" in tree
    assert "saved other: float64 [2] in [7.39, 20.1]" in tree
    assert "|grad|" not in tree
    loss.backward()
    after = str(tn.draw(loss, names={"w": w, "b": b}))
    assert "b [] grad = 2" in after
    assert "w [2] |grad| = " in after
    assert "saved other" not in after
    assert "saved" not in str(tn.draw(loss, saved=False))


def test_a_shared_part_is_drawn_once() -> None:
    x = leaf([1.0, 2.0])
    y = x.exp()
    tree = str(tn.draw((y * y + y).sum()))
    assert tree.count("ExpBackward [2] (see above)") == 2
    assert tree.count("saved out") == 1
    picture = tn.draw((y * y + y).sum())._repr_svg_()
    assert picture.count("ExpBackward") == 1
    assert (picture.count("<circle"), picture.count("<rect")) == (4, 1)
    assert all(f">{label} [" in picture for label in ("leaf", "ExpBackward", "MulBackward", "AddBackward", "SumBackward"))


def test_a_long_chain_and_several_outputs_are_drawn() -> None:
    x = leaf([1.0])
    y = x
    for _ in range(3000):
        y = y * 1.0
    assert len(str(tn.draw(y, saved=False)).splitlines()) == 3001
    assert str(tn.draw(x * 2, x + 1)).count("leaf [1]") == 2


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(TypeError, match="expected Tensors, but got list"):
        tn.draw([1])
    with pytest.raises(TypeError, match="at least one Tensor"):
        tn.draw()
    with pytest.raises(RuntimeError, match="has no history"):
        tn.draw(constant([1.0]))


def test_a_trace_has_each_step_in_order() -> None:
    w = leaf([3.0, 4.0])
    with tn.trace(names={"w": w}) as steps:
        (w * 2).sum().backward()
    assert [s["op"] for s in steps] == ["sum", "mul"]
    first, second = steps
    assert (first["shape"], first["norm"]) == ([], 1.0)
    assert second["inputs"] == [{"name": "input = w", "shape": [2], "norm": 8.0**0.5, "size": "|g| = 2.828"}]
    assert len(steps) == 2
    assert str(steps).splitlines()[1].split() == ["1", "sum", "[]", "g", "=", "1", "x", "[2]", "|g|", "=", "1.414"]
    with tn.trace() as signed:
        (leaf(2.0) * -1.397).backward()
    assert "g = -1.397" in str(signed)
    with tn.trace() as quiet:
        pass
    (w * 2).sum().backward()
    assert quiet == []
    close(tn.trace(constant([[1.0, 2.0], [3.0, 4.0]])), 5.0)
    with pytest.raises(TypeError, match="'names' must be a Module or a dict"):
        tn.trace(names=3)


def test_next_functions_lead_to_where_gradients_accumulate() -> None:
    w = leaf([1.0])
    ((mul, place),) = (w * 2).sum().grad_fn.next_functions[:1]
    assert (mul.name(), place) == ("MulBackward", 0)
    end, _ = mul.next_functions[0]
    assert end.name() == "AccumulateGrad"
    assert end.variable is w
    assert end == mul.next_functions[0][0]
    assert mul.next_functions[1] == (None, 0)
    assert repr(end) == "<AccumulateGrad of shape [1]>"


def test_a_summary_counts_what_a_run_does_and_changes_nothing() -> None:
    net, x = small()
    net.train()
    net[1].eval()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    found = nn.summary(net, x)
    assert [(r.kind, r.output_shape) for r in found.rows] == [
        ("Conv2d", (2, 4, 6, 6)),
        ("BatchNorm2d", (2, 4, 6, 6)),
        ("ReLU", (2, 4, 6, 6)),
        ("Flatten", (2, 144)),
        ("Linear", (2, 3)),
    ]
    assert [r.parameters for r in found.rows] == [40, 8, 0, 0, 435]
    assert found.total_parameters == found.trainable_parameters == 483
    assert found.multiply_adds == 2 * 4 * 36 * 9 + 2 * 3 * 144
    assert found.parameter_bytes == 483 * 4
    assert found.output_bytes == 4 * (4 * 288 + 6)
    assert net.training
    assert not net[1].training
    for name, value in net.state_dict().items():
        close(value, before[name])
    assert "483 parameters" in str(found)
    net(x)
    assert len(found.rows) == 5
    assert str(nn.summary(net, (2, 1, 8, 8))) == str(found)
    with pytest.raises(TypeError, match="must be a Module"):
        nn.summary(3, x)
