"""Wrong calls: the kind of the error is PyTorch's, and its text names what was wrong."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import traceback
import weakref
from pathlib import Path

import pytest
from wrong_calls import WRONG_CALLS, x

import tinygrad_norm as tn
from tinygrad_norm import nn
from tinygrad_norm.nn import functional as F

NOT_LOOKED_AT_ON_A_GPU = {"outside of", "Target 3 is out of bounds", "from 2 to 2", "should be between 0 and 1"}


@pytest.mark.parametrize("wrong", [pytest.param(w, id=f"{i}-{w[2]}"[:60]) for i, w in enumerate(WRONG_CALLS)])
def test_a_wrong_call_says_what_is_wrong(wrong) -> None:
    call, kind, text = wrong
    if tn.get_backend() != "numpy" and text in NOT_LOOKED_AT_ON_A_GPU:
        pytest.skip("would have to wait for the values")
    with pytest.raises(kind, match=text) as caught:
        call()
    assert type(caught.value) is kind


def frames(call) -> list[str]:
    """The functions that the traceback of a failing call shows, from this one on."""
    try:
        call()
    except Exception as error:
        shown = [f"{Path(f.filename).stem}.{f.name}" for f in traceback.extract_tb(error.__traceback__)]
        return [*shown[2:], *(["a cause"] if error.__cause__ is not None else [])]
    return []


def test_a_traceback_shows_the_public_function_and_no_wrappers() -> None:
    assert frames(lambda: F.group_norm(x(2, 4), 3)) == ["arguments.group_norm"]
    assert frames(lambda: x(2, 3).sum("x"))[:2] == ["arguments.sum", "reduce.sum"]
    assert frames(lambda: x(2, 3) + x(4)) == ["op.apply", "errors.explained"]

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Linear(3, 4))

        def forward(self, x):
            return self.body(x)

    shown = frames(lambda: Net()(x(5, 7)))
    assert shown == [
        "module.__call__",
        "test_errors.forward",
        "containers.forward",
        "layers.forward",
        "linalg.linear",
        shown[-1],
    ]


def test_a_variable_shows_all_of_a_traceback() -> None:
    program = "import tinygrad_norm as tn; tn.nn.Sequential(tn.nn.Linear(3, 4))(tn.ones(5, 7))"
    environment = {**os.environ, "TINYGRAD_NORM_TRACEBACK": "full"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=False)
    assert done.stderr.count("module.py") == 2
    assert "arguments.py" in done.stderr


def test_a_call_that_was_right_once_is_looked_at_again_where_it_differs() -> None:
    mean, var = x(3), x(3)
    F.batch_norm(x(2, 3), mean, var)
    with pytest.raises(RuntimeError, match="running_mean.requires_grad = True"):
        F.batch_norm(x(2, 3), mean.clone().requires_grad_(), var)
    F.group_norm(x(2, 4), 2)
    for wrong in (lambda: F.group_norm(x(2, 4), 3), lambda: F.group_norm(x(2, 4), 2, x(4).double())):
        for _ in range(2):
            with pytest.raises(RuntimeError, match="num_groups = 3|mixed dtype"):
                wrong()


def test_an_error_bears_one_note_of_a_call_that_of_the_function_the_user_called() -> None:
    with pytest.raises(RuntimeError, match="to have 4 channels") as caught:
        F.conv1d(x(1, 3, 8), x(2, 4, 3))
    assert [note.partition("(")[0] for note in caught.value.__notes__] == ["in conv1d"]


def test_what_is_remembered_of_a_call_is_no_tensor_and_fits_no_other_call() -> None:
    inputs = [x(2, 4) for _ in range(3)]
    alive = [weakref.ref(t) for t in inputs]
    for t in inputs:
        F.group_norm(input=t, num_groups=2, weight=x(4))
        F.gelu(input=t)
    del inputs, t
    gc.collect()
    assert [ref() for ref in alive] == [None] * 3
    mean, var = x(3), x(3)
    call = dict(running_mean=mean, running_var=var, training=True)
    F.batch_norm(x(2, 3), **call)
    mean.requires_grad_()
    with pytest.raises(RuntimeError, match="running_mean.requires_grad = True"):
        F.batch_norm(x(2, 3), **call)
    F.layer_norm(x(3, 2), normalized_shape=(2,))
    with pytest.raises((RuntimeError, TypeError)):
        F.layer_norm(x(3, 2), ("normalized_shape", (2,)))


def test_an_error_in_other_words_still_shows_where_it_arose() -> None:
    with pytest.raises(TypeError) as caught:
        tn.cat([x(2), 3.0])
    assert traceback.extract_tb(caught.value.__traceback__)[-1].name != "cat"


def test_a_letter_stands_for_one_size() -> None:
    with pytest.raises(RuntimeError, match=r"weight should contain 4 elements not 5: .* with C = 4 \(from input \(2, 4\)\)"):
        F.group_norm(x(2, 4), 2, x(5))
    with pytest.raises(RuntimeError, match=r"weight has shape \(1, 1\), expected \(O, C, K\)"):
        F.conv1d(x(1, 1, 4), x(1, 1))


def test_a_note_can_be_made_of_any_argument() -> None:
    class Unprintable:
        def __repr__(self) -> str:
            raise RuntimeError("mine")

    for value in (Unprintable(), [[1.0] * 1000] * 10_000, {"a": Unprintable()}):
        with pytest.raises((TypeError, ValueError, RuntimeError)) as caught:
            F.group_norm(x(2, 4), value)
        assert len(caught.value.__notes__[0]) < 200
