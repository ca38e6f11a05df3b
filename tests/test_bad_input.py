"""Every public function, given everything wrong: one of four kinds of error, which names the call and shows the value.

Nothing is changed by it.
"""

from __future__ import annotations

import inspect
import re
from typing import Any

import bad_input
import numpy as np
import pytest
from bad_input import Wrong, environment, lines, run, wrong_calls

import tinygrad_norm as tn
from tinygrad_norm import autograd, data, nn, optim
from tinygrad_norm.backend import is_array, transfer

pytestmark = pytest.mark.skipif(tn.get_backend() != "numpy", reason="arrays of another backend are among the wrong arguments")
KINDS = (ValueError, TypeError, RuntimeError, IndexError)
ALSO: dict[str, tuple] = {  # as PyTorch has them
    **dict.fromkeys(("F.embedding", "nn.Embedding", "data.TensorDataset", "data.ConcatDataset"), (AssertionError,)),
    "nn.Linear(3, 4).get_parameter": (AttributeError,),
    "nn.ModuleDict": (KeyError,),
    "T.load": (FileNotFoundError,),
    "data.DistributedSampler": (ImportError,),  # without mpi4py nobody knows how many processes there are
}
# a note with the call; the function; the argument
CALL = re.compile(r"\bin .*\w+\(|^\w+: \w+(\(\)|:)|argument '|object of type|object has no attribute")
# how an error shows a wrong argument: its value, its shape, or its kind
SHOWN = {
    "'text'": r"text|\bstr\b",
    "None": "None",
    "-1": r"-1|\bint\b",
    "-7": r"-7|\bint\b",
    "0": r"\b0\b|\bint\b",
    "2.5": r"2\.5|\bfloat\b",
    "nan": r"\bnan\b|\bfloat\b",
    "inf": r"\binf\b|\bfloat\b",
    "[]": r"\[\]|\(\)|\blist\b|\bempty\b",
    "['a', None]": r"'a', None|NoneType|\blist\b",
    "{}": r"\{\}|\(\)|\bdict\b",
    "object()": r"\bobject\b",
    "a tensor of shape [5, 7]": r"\b5, 7\b|\b5x7\b|Tensor|tensor|\b35\b",
    "a tensor of shape []": r"Tensor|tensor|\[\]|2\.5|\(\)",
    "a tensor of shape [0]": r"Tensor|tensor|\[0\]|\(0,\)|\b0\b",
    "an int64 tensor": r"Tensor|tensor|int64|\b2, 2\b|\b2x2\b",
    "a NumPy array": r"array|numpy|\b5, 7\b|\b5x7\b",
    "an array of the other backend": r"Strict|strict|array|\b2, 3\b",
}
NO_CALLS = {  # public, but nothing to be called wrongly
    "autograd": "Function Node RemovableHandle Size Tensor Variable before_edit check_editable elementwise enable_grad "
    "inference_mode is_anomaly_check_nan_enabled is_anomaly_enabled is_grad_enabled keep_equal mark_edited op rebase "
    "require_writable reshape_in_place set_detect_anomaly wrap",
    "nn": "Module UninitializedParameter",
    "optim": "",
    "data": "Dataset IterableDataset Sampler default_convert digits fashion_mnist mnist read_idx write_idx",
}


def state_of(space: dict[str, Any]) -> dict[str, Any]:
    """The values of all that a call could change."""
    found: dict[str, Any] = {"grad mode": tn.is_grad_enabled(), "backend": tn.get_backend(), "threads": tn.get_num_threads()}
    for name, value in space.items():
        for part in ("", "grad"):
            x = value if not part else getattr(value, part, None)
            if isinstance(x, tn.Tensor) or is_array(x):
                array = transfer(getattr(x, "array", x), "cpu")
                found[name + part] = (array.copy(), array.dtype, getattr(x, "requires_grad", None))
    return found


def same(a: Any, b: Any) -> bool:
    if isinstance(a, tuple):
        return a[0].shape == b[0].shape and np.array_equal(a[0], b[0], equal_nan=a[1].kind == "f") and a[1:] == b[1:]
    return a == b


def complaint(wrong: Wrong, unchanged: list[tuple[dict, dict]]) -> str:
    """What is not as it should be about the error of a wrong call, "" if nothing.

    unchanged: an environment, and its state, that earlier errors left as it was; one that a call has changed is not used again.
    """
    space, before = unchanged.pop() if unchanged else ((new := environment(tn)), state_of(new))
    try:
        run(wrong, wrong.line, tn, space)
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        kinds = (*KINDS, *ALSO.get(wrong.callee, ()))
        if not isinstance(error, kinds):
            return f"{wrong}: {text}"
        said = "\n".join([text, *getattr(error, "__notes__", [])])
        if not (CALL.search(said) or wrong.callee.rpartition(".")[2] in said) or not re.search(SHOWN[wrong.bad], said):
            return f"{wrong}: says little: {said}"
        after = state_of(space)
        changed = [name for name in before if name in after and name != "bad" and not same(before[name], after[name])]
        if changed:
            return f"{wrong}: {text}, but {changed} changed"
        unchanged.append((space, before))
    return ""


@pytest.mark.parametrize("line", lines())
def test_the_right_call_runs(line) -> None:
    run(None, line, tn, environment(tn))


@pytest.mark.parametrize("line", lines())
def test_wrong_arguments_get_an_error_that_says_so_and_change_nothing(line, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)  # to save under a wrong name is no mistake
    threads = tn.get_num_threads()
    unchanged: list[tuple[dict, dict]] = []
    try:
        complaints = [found for wrong in wrong_calls(line) if (found := complaint(wrong, unchanged))]
    finally:
        tn.set_num_threads(threads)
    assert not complaints, "\n".join(complaints)


def test_everything_public_is_called() -> None:
    text = "\n".join(lines())

    def missing(prefix: str, names: Any, exempt: str = "") -> list[str]:
        return [f"{prefix}.{n}" for n in names if n not in exempt.split() and not re.search(rf"\b{prefix}\.{n}\b", text)]

    functional = [n for n in nn.functional.__all__ if callable(getattr(nn.functional, n))]
    modules = [n for n in nn.__all__ if isinstance(getattr(nn, n), type)]
    initialisers = [n for n, f in vars(nn.init).items() if n.endswith("_") and not n.startswith("_") and callable(f)]
    optimizers = [n for n in optim.__all__ if isinstance(getattr(optim, n), type)]
    schedulers = [
        n
        for n, f in vars(optim.lr_scheduler).items()
        if inspect.isclass(f) and f.__module__ == optim.lr_scheduler.__name__ and n not in ("LRScheduler", "_LRScheduler")
    ]
    found = [
        *missing("T", [*tn._functions, *tn._created]),
        *missing("F", functional),
        *missing("nn", modules, NO_CALLS["nn"]),
        *missing("init", initialisers),
        *missing("optim", optimizers),
        *missing("lr_scheduler", schedulers),
        *missing("data", [n for n in data.__all__ if callable(getattr(data, n))], NO_CALLS["data"]),
        *missing(r"(autograd|T)", [n for n in autograd.__all__ if callable(getattr(autograd, n))], NO_CALLS["autograd"]),
    ]
    assert not found, "a new function needs a right call in bad_input.py: " + ", ".join(found)


def test_what_is_accepted_here_is_accepted_by_pytorch(tmp_path, monkeypatch) -> None:
    """Save for what LENIENT lists, and for arrays where a Tensor is expected, since vjps call these functions with arrays."""
    torch = pytest.importorskip("torch", reason="comparisons need PyTorch: pip install 'tinygrad_norm[compare]'")
    monkeypatch.chdir(tmp_path)
    found = []
    for line in lines():
        space = environment(tn)
        for wrong in wrong_calls(line):
            if "array" in wrong.bad or (wrong.callee, wrong.argument) in bad_input.LENIENT:
                continue
            if succeeds(wrong, tn, space):
                space = environment(tn)  # the call may have changed something
                if not succeeds(wrong, torch, environment(torch)):
                    found.append(str(wrong))
    assert not found, "\n".join(found)


def succeeds(wrong: Wrong, library: Any, space: dict[str, Any]) -> bool:
    try:
        run(wrong, wrong.line, library, space)
    except Exception:
        return False
    return True
