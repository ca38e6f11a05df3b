"""The interactive walk: what is noted is what the engine did. How the page shows it: test_explorer_in_browser.py."""

from __future__ import annotations

import base64
import gc
import json
import re
import subprocess
import sys
import weakref

import numpy as np
import pytest
from helpers import constant, host, leaf
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_norm as tn
from tinygrad_norm import nn
from tinygrad_norm.engine.tensor import thread
from tinygrad_norm.explorer.lanes import places_of
from tinygrad_norm.explorer.script import explore_script
from tinygrad_norm.explorer.values import shown_as


def numbers(walk, index) -> np.ndarray:
    """All numbers of a small value, in its shape."""
    value = walk.values.shown[index]
    return np.frombuffer(base64.b64decode(value["numbers"]), value["kind"]).reshape(value["shape"])


def step_of(walk, kind, label, last=False) -> dict:
    """The first (or last) step of a kind at a row of this label."""
    steps = [s for s in walk.steps if s["kind"] == kind and s["row"] is not None and walk.rows[s["row"]]["label"] == label]
    return steps[-1 if last else 0]


def test_a_chain_is_noted_with_its_numbers_its_sums_and_its_code() -> None:
    a, b = leaf(2.0), leaf(-3.0)
    with tn.explore() as walk:
        c = a * b
        d = c + a
        loss = d * 4.0
        loss.backward()
    assert [row["label"] for row in walk.rows] == ["a", "b", "mul", "add", "mul"]
    assert [row["name"] for row in walk.rows] == ["", "", "c", "d", "loss"]
    assert [row["sources"] for row in walk.rows] == [[], [], [0, 1], [2, 0], [3]]
    assert [s["kind"] for s in walk.steps] == ["forward"] * 3 + ["backward"] * 3 + ["leaf"] * 2
    forward = walk.steps[0]
    assert [numbers(walk, x["value"]) for x in forward["inputs"]] == [2.0, -3.0]
    assert numbers(walk, forward["result"]) == -6.0
    assert forward["call"]["text"] == "c = a * b"
    assert forward["call"]["file"] == "tests/test_explorer.py"
    source = walk.sources.shown[forward["code"][0][1]]
    assert source["file"] == "tinygrad_norm/ops/elementwise.py"
    assert "return input * other" in source["text"]
    assert forward["formula"] == "input * other."
    assert walk.steps[2]["inputs"][1]["text"] == "4.0"
    back = walk.steps[5]
    assert [made["name"] for made in back["made"]] == ["input", "other"]
    assert [numbers(walk, made["value"]) for made in back["made"]] == [-12.0, 8.0]
    assert "other=lambda g, input: g * input" in walk.sources.shown[back["made"][1]["code"][0][1]]["text"]
    left = step_of(walk, "leaf", "a")
    assert [(walk.rows[t["row"]]["label"], float(numbers(walk, t["value"]))) for t in left["terms"]] == [
        ("add", 4.0),
        ("mul", -12.0),
    ]
    assert numbers(walk, left["left"]) == a.grad.item() == -8.0


def lenet() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 3))


def test_modules_are_boxes_around_their_ops_and_parameters() -> None:
    net = nn.Sequential(lenet(), nn.Linear(3, 3)).to(tn.get_backend())
    images = constant(np.ones((2, 1, 8, 8)), "float32")
    with tn.explore() as walk:
        net(images).sum().backward()
    labels = [row["label"] for row in walk.rows]
    assert labels[:5] == ["images", "Sequential", "0 Sequential", "0.0 Conv2d", "0.0.weight"]
    assert labels[-5:] == ["1 Linear", "1.weight", "1.bias", "linear", "sum"]
    around = {row["label"]: None if row["box"] is None else labels[row["box"]] for row in walk.rows}
    assert around["images"] is None
    assert around["0.0.weight"] == around["conv2d"] == "0.0 Conv2d"
    assert around["0.0 Conv2d"] == "0 Sequential"
    assert around["1 Linear"] == "Sequential"
    assert around["sum"] is None
    kinds = {row["label"]: row["kind"] for row in walk.rows}
    assert (kinds["images"], kinds["0.0.weight"], kinds["conv2d"]) == ("data", "parameter", "op")
    fused = step_of(walk, "forward", "normalize")
    assert [title for title, _ in fused["code"]] == ["the op", "the textbook", "the textbook", "the definition"]
    assert "sqrt(Var[x] + eps)" in fused["formula"]


def test_a_module_called_twice_gets_two_boxes_and_names_may_be_given() -> None:
    layer = nn.Linear(2, 2).to(tn.get_backend())
    x = leaf(np.ones((1, 2)), "float32")
    with tn.explore(names={"rate": x}) as walk:
        layer(layer(x)).sum().backward()
    assert [row["label"] for row in walk.rows if row["kind"] == "module"] == ["Linear", "Linear"]
    assert walk.rows[0]["label"] == "rate"
    assert len(step_of(walk, "leaf", "weight")["terms"]) == 2
    with pytest.raises(TypeError, match=r"explore\(\): argument 'names' must be a Module or a dict, not int"):
        tn.explore(names=3)


def test_a_broadcast_gradient_is_shown_as_made_and_as_summed() -> None:
    x, b = leaf(np.ones((3, 2))), leaf([1.0, 2.0])
    with tn.explore() as walk:
        (x * b).sum().backward()
    made = step_of(walk, "backward", "mul")["made"][1]
    assert walk.values.shown[made["value"]]["shape"] == [3, 2]
    assert numbers(walk, made["summed"]).tolist() == [3.0, 3.0]


def test_several_backward_calls_hooks_and_what_was_in_grad_before() -> None:
    x = leaf(3.0)
    x.register_hook(lambda g: g * 10)
    with tn.explore() as walk:
        y = x * x
        y.register_hook(lambda g: g * 2)
        y.backward(retain_graph=True)
        y.backward()
    first, second = (s for s in walk.steps if s["kind"] == "leaf")
    assert (first["pass"], second["pass"]) == (1, 2)
    assert numbers(walk, first["given"]) == numbers(walk, first["left"]) == 120.0
    assert (numbers(walk, second["given"]), numbers(walk, second["left"])) == (120.0, 240.0)
    back = step_of(walk, "backward", "mul")
    assert back["hooked"]
    assert first["hooked"]
    assert (numbers(walk, back["terms"][0]["value"]), numbers(walk, back["given"])) == (1.0, 2.0)


def test_second_derivatives_are_ops_in_a_box_of_their_backward() -> None:
    x = leaf(2.0)
    with tn.explore() as walk:
        y = x**3
        (g,) = tn.grad(y, x, create_graph=True)
        (h,) = tn.grad(g, x)
    assert [row["label"] for row in walk.rows if row["kind"] == "module"] == ["backward 1"]
    assert all(s["inside"] == (walk.rows[s["row"]]["box"] is not None) for s in walk.steps if s["kind"] == "forward")
    found = [numbers(walk, s["given"]) for s in walk.steps if s["kind"] == "leaf"]
    assert found == [g.item(), h.item()] == [12.0, 12.0]
    assert not any(s["kept"] for s in walk.steps if s["kind"] == "leaf")
    net = nn.LayerNorm(3).to(tn.get_backend())
    z = leaf(np.arange(6.0).reshape(2, 3), "float32")
    with tn.explore() as walk:
        tn.grad(net(z).pow(2).sum(), z, create_graph=True)
    through = step_of(walk, "backward", "normalize")
    assert through["through"]
    assert "mean" in [row["label"] for row in walk.rows]


def test_an_edit_says_what_shares_the_memory_and_whose_history_changed() -> None:
    x = leaf([[1.0, 2.0], [3.0, 4.0]])
    with tn.explore() as walk:
        y = x * 2
        row = y[0]
        row.mul_(10)
        (row * y).sum().backward()
    (edit,) = (s for s in walk.steps if s["kind"] == "edit")
    assert edit["name"] == "mul_"
    assert edit["call"]["text"] == "row.mul_(10)"
    assert [(shared["name"], numbers(walk, shared["value"]).tolist()) for shared in edit["inputs"]] == [
        ("y", [[20.0, 40.0], [6.0, 8.0]]),
        ("row", [20.0, 40.0]),
    ]
    changed = {c["name"]: [walk.rows[c[at]]["label"] for at in ("before", "now")] for c in edit["changed"]}
    assert changed == {"y": ["mul", "write_view"], "row": ["getitem", "getitem"]}
    with tn.explore() as walk:  # two edits of one memory, of several elements
        h = x * 1
        v, u = h[0], h[1]
        v.mul_(3)
        h.add_(1)
        (u * u).sum().backward()
    assert [c["name"] for s in walk.steps if s["kind"] == "edit" for c in s["changed"]] == ["h", "u", "h", "u"]
    weight = nn.Parameter(constant([1.0]))
    sgd = tn.optim.SGD([weight], lr=0.5)
    with tn.explore(names={"weight": weight}) as walk:
        (weight * 2).sum().backward()
        sgd.step()
    (edit,) = (s for s in walk.steps if s["kind"] == "edit")
    assert (edit["name"], edit["changed"], numbers(walk, edit["inputs"][0]["value"])) == ("optimizer.step", [], 0.0)


@pytest.mark.filterwarnings("ignore:invalid value")
def test_a_failure_is_the_last_step_with_its_node_and_its_cause() -> None:
    x = leaf([1.0, 2.0])
    with tn.explore() as walk:
        y = x.exp()
        y.add_(1)
        (x * 2).mul_(3)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            y.sum().backward()
    failed = walk.steps[-1]
    assert failed["kind"] == "failed"
    assert walk.rows[failed["row"]]["label"] == "exp"
    assert walk.steps[failed["cause"]]["name"] == "add_"
    assert "RuntimeError: one of the variables" in failed["text"]
    bad = tn.op(lambda x: x * 1)
    bad.vjp(x=lambda g: 1 // 0)
    with tn.explore() as walk:
        y = x * 2
        z = y * y
        y.add_(1)
        with pytest.raises(ZeroDivisionError):
            bad(y).sum().backward()
    assert walk.steps[-1]["cause"] is None
    assert z is not None
    with pytest.raises(RuntimeError, match="returned"), tn.explore() as walk, tn.autograd.detect_anomaly():
        (leaf([0.0]).sqrt() * 0).sum().backward()
    assert walk.rows[walk.steps[-1]["row"]]["label"] == "sqrt"
    assert walk.values.shown[walk.steps[-2]["made"][0]["value"]]["nan"] == 1
    assert thread.observers == ()


class Cube(tn.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return 3 * x * x * g


def test_a_function_shows_the_users_code_and_a_graph_from_before_the_block_is_there() -> None:
    x = leaf(2.0)
    with tn.explore() as walk:
        Cube.apply(x).backward()
    assert "return x**3" in walk.sources.shown[step_of(walk, "forward", "Cube")["code"][0][1]]["text"]
    assert "return 3 * x * x * g" in walk.sources.shown[step_of(walk, "backward", "Cube")["code"][0][1]]["text"]
    y = x * x
    with tn.explore() as walk:
        (y * 3).backward()
    assert [row["label"] for row in walk.rows] == ["x", "mul", "mul"]
    assert [s["kind"] for s in walk.steps] == ["forward", "backward", "backward", "leaf"]


def test_results_are_the_same_and_nothing_is_kept() -> None:
    tn.manual_seed(0)
    net = lenet().to(tn.get_backend())
    images = tn.randn(2, 1, 8, 8)

    def gradients() -> list:
        net.zero_grad()
        net(images).pow(2).sum().backward()
        return [host(p.grad).copy() for p in net.parameters()]

    plain = gradients()
    with tn.explore(names=net) as walk:
        watched = gradients()
    assert all(np.array_equal(a, b) for a, b in zip(plain, watched))
    assert len(walk.steps) > 20


def test_nothing_is_kept_and_nothing_of_the_programs_is_touched() -> None:
    x = leaf([1.0])

    def program() -> list:
        net, scope = nn.Linear(1, 1).to(tn.get_backend()), locals()
        names = set(scope)
        with tn.explore(names=net) as walk:
            y = net(x.float()) * 2
        assert names <= set(scope)
        return [walk, *map(weakref.ref, (net, net.weight, y, y.grad_fn))]

    walk, *gone = program()
    gc.collect()
    assert [ref() for ref in gone] == [None] * 4
    with pytest.raises(RuntimeError, match="a walk is of one block"), walk:
        pass


@tn.op
def two(a, b):
    return a * b


@two.joint_vjp
def two_vjp(g, a, b, needs):
    return tn.mul(g, b), g.reshape(1, 1)[:, :0]  # of the wrong shape, which nobody notices who does not ask for it


def test_what_nobody_asked_for_is_not_looked_at() -> None:
    a, b = leaf([2.0]), leaf([3.0])
    with tn.explore() as walk:
        (g,) = tn.grad(two(a, b).sum(), [a])
    assert g.item() == 3.0
    assert [walk.rows[s["row"]]["label"] for s in walk.steps if s["kind"] == "leaf"] == ["a"]
    assert "tn.mul(g, b)" in walk.sources.shown[step_of(walk, "backward", "two")["code"][0][1]]["text"]


def test_a_block_may_be_left_while_a_walk_is_running() -> None:
    x, walk = leaf(2.0), tn.explore()
    walk.__enter__()
    y = x * x
    y.register_hook(lambda g: walk.__exit__())
    (y * 3).backward()
    assert x.grad.item() == 12.0


def test_more_steps_than_a_page_shows_are_counted(monkeypatch) -> None:
    monkeypatch.setattr("tinygrad_norm.explorer.walk.MOST", 10)
    x = leaf(1.0)
    with tn.explore() as walk:
        y = x
        for _ in range(20):
            y = y * 1.0
        y.backward()
    assert len(walk.steps) == 10
    assert walk.missed > 0
    assert "10 steps" in repr(walk)


def test_a_page_is_one_file_that_fetches_nothing(tmp_path) -> None:
    net = nn.Sequential(nn.Conv2d(1, 6, 5, padding=2), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2))
    net = nn.Sequential(*net, nn.Conv2d(6, 16, 5), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten())
    net = nn.Sequential(*net, nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)).to(
        tn.get_backend()
    )
    with tn.explore(names=net) as walk:
        nn.functional.cross_entropy(
            net(tn.randn(64, 1, 28, 28)), tn.arange(64) % 10
        ).backward()  # <!-- a comment in a source -->
    file = tmp_path / "a < b & c.html"
    walk.save(file)
    text = file.read_text("utf-8")
    assert len(text) < 2_000_000
    assert "<!-- a comment in a source -->" not in text
    assert "<title>a &lt; b &amp; c</title>" in text
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//|@import|fetch\(|url\(""", text)
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)[1])
    assert set(data) == {"rows", "steps", "values", "sources", "missed"}
    assert "<iframe srcdoc=" in walk._repr_html_()


def test_show_opens_a_file(monkeypatch) -> None:
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    with tn.explore() as walk:
        (leaf(1.0) * 2).backward()
    walk.show()
    assert opened[0].startswith("file://")


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "bool", "float16"])
@pytest.mark.parametrize("shape", [(), (1,), (5,), (0,), (600,), (3, 4), (70, 130), (2, 3, 4, 5), (20, 30, 9, 9), (2, 0, 3)])
def test_the_numbers_that_are_shown_are_those_at_the_steps(shape, dtype) -> None:
    array = np.random.default_rng(0).normal(0, 1e50 if dtype == "float64" else 3, shape).astype(dtype)
    value = shown_as(array)
    slices, rows, columns = value["part"]
    assert rows <= 64
    assert slices * rows * columns <= 4096
    found = np.frombuffer(base64.b64decode(value["numbers"]), value["kind"]).reshape(value["part"])
    assert (value["shape"], value["dtype"]) == (list(shape), dtype)
    if array.size:
        seen = array.reshape(-1, *(1, 1, *shape)[-2:])
        down, right = value["steps"]
        np.testing.assert_array_equal(found, seen[:slices, ::down, ::right].astype("float64"))
        np.testing.assert_allclose([value["mean"], value["std"]], [array.mean(dtype="f8"), array.std(dtype="f8")])
        assert (value["min"], value["max"]) == (array.min(), array.max())
        assert value["zeros"] == np.mean(array == 0)


def test_what_is_not_finite_is_counted_and_can_be_written() -> None:
    value = shown_as(np.array([np.nan, np.inf, -np.inf, 0.0, 1.0], "float32"))
    assert (value["nan"], value["inf"], value["zeros"]) == (1, 2, 0.2)
    json.dumps(value, allow_nan=False)


@st.composite
def graphs(draw) -> list:
    """For each row the rows that it uses, or None for a heading."""
    sources: list = []
    for i in range(draw(st.integers(0, 14))):
        earlier = [j for j in range(i) if sources[j] is not None]
        uses = st.lists(st.sampled_from(earlier), max_size=3, unique=True) if earlier else st.just([])
        sources.append(draw(st.one_of(st.none(), uses)))
    return sources


@given(sources=graphs())
def test_a_value_keeps_its_lane_until_its_last_use_and_no_line_runs_through_another_op(sources) -> None:
    places = places_of(sources)
    last = {s: i for i, used in enumerate(sources) for s in used or ()}
    for i, (place, used) in enumerate(zip(places, sources)):
        assert place.above == (places[i - 1].below if i else {})
        assert set(place.below.values()) == {s for s, end in last.items() if s <= i < end}
        for lane, source in place.below.items():
            assert (place.above.get(lane) == source) or (source == i and lane == place.lane)
        if used is not None:
            assert set(used) <= set(place.above.values())
            assert place.below.get(place.lane, i) == i


def test_a_script_is_walked_up_to_the_end_of_its_first_backward(tmp_path, monkeypatch, capsys) -> None:
    (tmp_path / "helper.py").write_text("FACTOR = 5.0\n")
    script = tmp_path / "program.py"
    script.write_text(
        "import sys\nimport tinygrad_norm as tn\nfrom helper import FACTOR\n"
        "x = tn.tensor(2.0, requires_grad=True)\nfor i in range(int(sys.argv[1])):\n    loss = x * FACTOR\n"
        "    loss.backward()\n    assert i == 0 and False, 'the second part of the script'\n"
    )
    before = list(sys.argv), list(sys.path)
    page = explore_script(str(script), ["3"])
    assert (sys.argv, sys.path) == before
    assert [row["name"] or row["label"] for row in page.rows] == ["x", "loss"]
    assert [s["kind"] for s in page.steps] == ["forward", "backward", "leaf"]
    monkeypatch.chdir(tmp_path)
    run = [sys.executable, "-m", "tinygrad_norm", "explore", "--out", "walk.html", "program.py", "3"]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, env=None)
    assert (done.returncode, done.stdout) == (0, "3 steps in walk.html\n"), done.stderr
    assert (tmp_path / "walk.html").read_text("utf-8").startswith("<!doctype html>")
    missing = subprocess.run([*run[:-2], "absent.py"], cwd=tmp_path, capture_output=True, text=True)
    assert missing.returncode == 1
    assert "there is no script 'absent.py'" in missing.stderr


def test_a_scripts_own_errors_go_on_and_that_of_its_backward_is_the_last_step(tmp_path) -> None:
    script = tmp_path / "program.py"
    script.write_text(
        "import tinygrad_norm as tn\ny = tn.tensor([1.0], requires_grad=True).exp()\ny.add_(1)\ny.sum().backward()\n"
    )
    assert explore_script(str(script)).steps[-1]["kind"] == "failed"
    run = [sys.executable, "-m", "tinygrad_norm", "explore", "program.py"]
    failed = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True)
    assert (failed.returncode, failed.stdout) == (1, "7 steps in program.html\n")
    assert "its first backward failed, at the last step: RuntimeError: one of the variables" in failed.stderr
    script.write_text("import tinygrad_norm as tn\ntn.ones(2) * 2\n")
    assert "has recorded nothing" in subprocess.run(run, cwd=tmp_path, capture_output=True, text=True).stderr
    script.write_text("import tinygrad_norm as tn\ntn.ones(2, requires_grad=True) * 2\nraise SystemExit\n")
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "1 steps in program.html, none of them a backward's\n")
    script.write_text("1 / 0\n")
    with pytest.raises(ZeroDivisionError):
        explore_script(str(script))
    assert thread.observers == ()
