"""What the examples claim, over several seeds: bounds that hold for each, and counts where a claim holds for most only."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from helpers import example

import tinygrad_norm as tn

SEEDS = range(4)
EXAMPLES = sorted(path.stem for path in Path(__file__).parent.parent.glob("examples/*.py") if path.stem != "common")
on_the_host = pytest.mark.skipif(
    "config.getoption('--backend') != 'numpy'", reason="statistics of training runs: once is enough"
)


@on_the_host
def test_the_chain_rule_by_hand_is_the_engines(tmp_path) -> None:
    assert example("01_chain_rule").main(["--out", str(tmp_path)]) < 1e-12


@on_the_host
def test_weight_decay_shrinks_weights_and_lifts_the_training_loss() -> None:
    """Published, one seed each: the spread falls to .20 to .30 with decay and stays at 1.01 to 1.03 without."""
    script, better = example("02_weight_decay"), 0
    for seed in SEEDS:
        tn.manual_seed(seed)
        free, decayed = script.train(script.line_with_noise(), iterations=2000, lr=0.01, momentum=0.9).values()
        for shrunk, kept in zip(decayed["spread"][1:3], free["spread"][1:3]):
            assert 0.15 < shrunk < 0.4
            assert 0.99 < kept < 1.06
        assert decayed["train"] > free["train"]
        better += decayed["test"] < free["test"]
    assert better >= 3, "the test loss is lower with decay for most seeds"


@on_the_host
def test_dropout_lifts_the_training_loss_but_does_not_shrink_weights() -> None:
    """That it shrinks them is often read off one histogram; the spread after / before is .9 to 1.4 here."""
    script, better = example("03_dropout"), 0
    for seed in SEEDS:
        tn.manual_seed(seed)
        free, dropped = script.on_a_line(script.line_with_noise(), iterations=2000, lr=0.01, momentum=0.9).values()
        assert dropped["train"] > free["train"]
        assert 0.85 < dropped["spread"] < 1.5
        better += dropped["test"] < free["test"]
    assert better >= 2, "the test loss is lower with dropout for at least half of the seeds"


@on_the_host
@pytest.mark.parametrize("seed", SEEDS)
def test_a_hundred_layers_need_care(seed) -> None:
    script = example("04_deep_nets")
    tn.manual_seed(seed)
    default, large, kaiming, norm = (script.spreads(way) for way in script.WAYS)
    assert 0 < default[-1] < 1e-37
    assert math.isnan(large[-1])
    assert 33 <= len(large) - 1 <= 37
    assert all(0.05 < s < 5 for s in kaiming)
    assert all(abs(s - script.AFTER_NORM) < 0.05 for s in norm)


@on_the_host
def test_the_blocks_are_those_of_the_layers(tmp_path) -> None:
    script = example("05_four_norms")
    found = script.main(["--out", str(tmp_path)])
    assert {norm: numbers.max() + 1 for norm, numbers in found.items()} == {"batch": 6, "layer": 4, "instance": 24, "group": 8}
    assert all(script.is_normalized(norm, numbers) for norm, numbers in found.items())
    assert not script.is_normalized("batch", found["layer"])


@on_the_host
@pytest.mark.parametrize("seed", range(2))
def test_batch_norm_makes_a_sigmoid_lenet_learn(seed) -> None:
    script = example("07_lenet_with_and_without_norm")
    tn.manual_seed(seed)
    with_norm, without = (script.train("d2l", norm, lr=1.0, epochs=2) for norm in ("batch", "none"))
    assert np.mean(with_norm[0][-10:]) < np.mean(without[0][-10:]) / 2
    assert with_norm[1] > 0.8 > without[1]


@on_the_host
@pytest.mark.parametrize("seed", range(3))
def test_batch_norm_gains_most_with_few_large_steps(seed) -> None:
    script = example("08_batch_size")
    tn.manual_seed(seed)
    gain = {size: script.train(True, size, 3, 0.05)[1] - script.train(False, size, 3, 0.05)[1] for size in (4, 64)}
    assert gain[64] > gain[4] + 0.3


@on_the_host
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_batch_norm_repairs_a_bad_initialisation(activation) -> None:
    """Published, one seed each: test losses of 690 and 829 without, 71 and 26 with batch norm."""
    script, shares = example("09_bad_initialisation"), []
    for seed in range(5):
        tn.manual_seed(seed)
        found = script.train(activation, epochs=12, lr=0.03, batch_size=64, test=script.parabola(200))
        last = {name: losses[-1] for name, (losses, *_) in found.items()}
        assert last["no norm"] > 600
        shares.append(last["batch norm"] / last["no norm"])
    assert max(shares) < 0.5
    assert np.median(shares) < 0.25


@on_the_host
def test_second_derivatives_are_exact_and_newton_arrives(tmp_path) -> None:
    found = example("10_second_derivatives").main(["--out", str(tmp_path)])
    assert found["error"] < 1e-12
    assert found["Newton's method"] < 1e-6 < 1e-2 < found["gradient descent"]


@on_the_host
@pytest.mark.parametrize("seed", SEEDS)
def test_a_boundary_bends_and_a_line_does_not(seed) -> None:
    script = example("12_decision_boundary")
    tn.manual_seed(seed)
    x, y = script.moons(100)
    net, linear = script.mlp(), tn.nn.Linear(2, 1)
    for each in (net, linear):
        script.train(each, x, y, 600, 0.1)
    assert script.accuracy(net, x, y) >= 0.97
    assert 0.8 < script.accuracy(linear, x, y) < 0.93


@on_the_host
@pytest.mark.parametrize("seed", range(2))
def test_a_net_leans_on_some_filters_more_than_on_others(seed) -> None:
    script = example("13_filters")
    tn.manual_seed(seed)
    net = script.train(3, 0.03)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    without = script.without_each(net)
    assert 0.5 < min(without) < max(without) - 0.02
    assert all(tn.equal(value, before[name]) for name, value in net.state_dict().items())


@on_the_host
@pytest.mark.parametrize("seed", range(2))
def test_the_loss_around_a_net_with_batch_norm_stays_within_sight(seed) -> None:
    script = example("14_loss_surface")
    tn.manual_seed(seed)
    plain, normed = (script.surface(script.train(norm, 4, 0.02), 7)[1] for norm in (False, True))
    assert normed.max() < plain.max() / 5
    assert plain[3, 3] < plain[0].min()
    assert normed[3, 3] < normed[0].min()


@on_the_host
def test_paths_and_the_drawing_of_weight_decay_are_what_they_say(tmp_path) -> None:
    steps = example("15_paths").main(["--out", str(tmp_path)])
    assert max(steps["momentum 0.9"], steps["Adam"]) < steps["SGD"] / 3
    script = example("16_weight_decay_drawn")
    for decay, w in script.main(["--out", str(tmp_path)]).items():
        np.testing.assert_allclose(w, script.by_hand(decay), atol=1e-12)


@pytest.mark.skipif("config.getoption('--backend') == 'numpy'", reason="run as programs instead, by .ci/run")
@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_runs_on_this_backend(name, tmp_path) -> None:
    example(name).main(["--quick", "--backend", tn.get_backend(), "--out", str(tmp_path)])
