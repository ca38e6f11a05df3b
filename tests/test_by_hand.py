"""The textbook versions in examples/06_batch_norm_by_hand.py are what the package computes."""

from __future__ import annotations

import numpy as np
from helpers import constant, example, host

import tinygrad_norm as tn
from tinygrad_norm.nn.functional.dropout import _dropout

by_hand = example("06_batch_norm_by_hand")


def test_the_textbook_versions_are_the_packages(tmp_path) -> None:
    differences = by_hand.main(["--out", str(tmp_path), "--backend", tn.get_backend()])
    assert len(differences) == 14
    assert max(differences.values()) < 1e-10


def test_dropout_by_hand_is_the_packages_for_the_same_mask() -> None:
    x, dy = np.random.default_rng(1).normal(size=(2, 6, 5))
    y, mask = by_hand.dropout_forward(x, 0.3, np.random.default_rng(2))
    t = constant(x).requires_grad_()
    kept = constant(mask > 0)
    out = _dropout(t, kept=kept.array, p=0.3)
    out.backward(constant(dy))
    np.testing.assert_allclose(host(out), y, rtol=1e-12)
    np.testing.assert_allclose(host(t.grad), by_hand.dropout_backward(dy, mask), rtol=1e-12)
