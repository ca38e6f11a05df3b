"""save and load: whole files or none."""

from __future__ import annotations

import argparse
import itertools
import os
from typing import Any

import numpy as np
import pytest
from helpers import close, example

import tinygrad_norm as tn


def test_a_tree_comes_back_as_it_was(tmp_path) -> None:
    tree = {
        "model": {"w": tn.randn(2, 3), "n": tn.tensor(3)},
        "optimizer": {"state": {0: {"step": 4, "v": tn.ones(2)}}, "groups": [{"lr": 0.1, "betas": (0.9, 0.99), "on": True}]},
        "nothing": None,
        "name": "x",
        "array": np.arange(3),
        "transposed": tn.randn(2, 3).T,
        "empty": {},
    }
    tn.save(tree, tmp_path / "a.safetensors")
    found = tn.load(tmp_path / "a.safetensors")
    assert list(found) == list(tree)
    close(found["model"]["w"], tree["model"]["w"])
    assert found["model"]["n"].dtype == tn.int64
    assert found["optimizer"]["state"][0]["step"] == 4
    assert found["optimizer"]["groups"] == tree["optimizer"]["groups"]
    assert found["nothing"] is None
    close(found["transposed"], tree["transposed"])
    assert found["array"].tolist() == [0, 1, 2]


def test_a_state_dict_is_a_plain_safetensors_file(tmp_path) -> None:
    from safetensors.numpy import load_file

    net = tn.nn.Linear(2, 3)
    tn.save(net.state_dict(), tmp_path / "a.safetensors")
    assert set(load_file(tmp_path / "a.safetensors")) == {"weight", "bias"}
    close(tn.load(tmp_path / "a.safetensors")["weight"], net.weight)


def test_files_that_are_not_whole_are_refused(tmp_path) -> None:
    path = tmp_path / "a.safetensors"
    tn.save({"w": tn.ones(100)}, path)
    raw = path.read_bytes()
    for damaged in (raw[:-1], raw[:20], b"", b"PK\3\4 something else entirely"):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="not a complete safetensors file"):
            tn.load(path)
    with pytest.raises(FileNotFoundError, match="no such file"):
        tn.load(tmp_path / "b")


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch) -> None:
    path = tmp_path / "a.safetensors"
    tn.save({"w": tn.ones(3)}, path)
    with pytest.raises(TypeError, match=r"w\.1: expected Tensors"):
        tn.save({"w": [1, object()]}, path)
    with pytest.raises(TypeError, match="keys have to be str or int"):
        tn.save({1.5: 1}, path)

    def full_disk(*args):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="no space"):
        tn.save({"w": tn.zeros(3)}, path)
    close(tn.load(path)["w"], np.ones(3, "float32"))
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]


def test_paths_that_collide_are_refused(tmp_path) -> None:
    for bad in ({"a": {"b": tn.zeros(1)}, "a.b": tn.ones(1)}, {1: tn.zeros(1), "1": tn.ones(1)}):
        with pytest.raises(ValueError, match="two values have the path"):
            tn.save(bad, tmp_path / "a")


def test_files_of_other_dtypes_and_folders_are_refused_by_name(tmp_path) -> None:
    from safetensors.numpy import save_file

    save_file({"w": np.ones(2, "int16")}, tmp_path / "a")
    with pytest.raises(ValueError, match="w is int16, expected one of"):
        tn.load(tmp_path / "a")
    with pytest.raises(ValueError, match="a folder"):
        tn.load(tmp_path)


def test_the_lenet_of_the_examples_goes_on_from_its_checkpoint_bit_for_bit(tmp_path) -> None:
    script = example("lenet")
    names = "data model norm dropout optimizer lr weight_decay batch_size epochs seed".split()
    values = "digits", "lenet5", "batch", 0.2, "adam", 0.002, 1e-3, 8, 2, 0
    arguments = argparse.Namespace(**dict(zip(names, values)))
    images = tn.data.digits(train=True)
    few = tn.data.TensorDataset(*images[:48])

    def begin() -> Any:
        tn.manual_seed(0)
        return script.Training(arguments, few)

    def go_on(training: Any, steps: int) -> list[float]:
        return [training.step(x, y) for x, y in itertools.islice(training.batches(), steps)]

    saved, resumed = begin(), begin()
    go_on(saved, 2)
    saved.save(tmp_path / "checkpoint")
    expected = go_on(saved, 3)
    resumed.load(tmp_path / "checkpoint")
    assert go_on(resumed, 3) == expected
