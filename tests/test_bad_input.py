"""Every public function, given everything wrong: one of four kinds of error, which says what was wrong, and nothing changed.

wrong_argument_texts.txt has, for every argument, the whole text of each error that it can lead to, to be read one after the
other; `python tests/test_bad_input.py` writes them anew.
"""

from __future__ import annotations

import inspect
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parent / "double"))

import bad_input
import numpy as np
import pytest
from bad_input import Wrong, environment, lines, run, wrong_calls
from helpers import one_line

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
# what Python and NumPy say of their own accord, which tells a user of tensors nothing
BARE = re.compile(
    r"object has no attribute|object is not (iterable|subscriptable|callable|a mapping)|unsupported operand|cannot unpack|"
    r"truth value of an array|not supported between|invalid literal|list index|tuple index|unhashable|__array_ufunc__|"
    r"only (length-1|integer scalar|0-dimensional)|object cannot be interpreted|can't multiply|setting an array element"
)
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
        if type(error) in KINDS and BARE.search(text) and "(called with" not in text:
            return f"{wrong}: says little: {text}"
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


TEXTS, PACKAGE = Path(__file__).parent / "wrong_argument_texts.txt", str(Path(tn.__file__).parent)
# what the text quotes is another's to word, and each version of it has its own words
FOREIGN = re.compile(r" at 0x|mpi4py|numpy|array\(|could not broadcast|No such file|dlpack", re.IGNORECASE)


def text_of(wrong: Wrong, space: dict[str, Any]) -> tuple[str, tuple[str, int]] | None:
    """What the call says in one line, and the line of the package that says so; None if it succeeds."""
    try:
        run(wrong, wrong.line, tn, space)
    except Exception as error:
        trace, place = error.__traceback__, ("", 0)
        while trace is not None:
            if trace.tb_frame.f_code.co_filename.startswith(PACKAGE):
                place = trace.tb_frame.f_code.co_filename, trace.tb_lineno
            trace = trace.tb_next
        return one_line(error), place
    return None


def texts_of(line: str) -> Iterator[str]:
    """For every argument of the line one text from each place in the package that complains of it."""
    space, seen = environment(tn), set()
    for wrong in wrong_calls(line):
        found = text_of(wrong, space)
        if found is None:
            space = environment(tn)
        elif (wrong.argument, found[1]) not in seen and not FOREIGN.search(found[0]):
            seen.add((wrong.argument, found[1]))
            yield f"{wrong} -> {found[0]}"


@pytest.mark.parametrize("line", lines())
def test_the_texts_are_those_on_file(line, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert list(texts_of(line)) == [t for t in TEXTS.read_text().splitlines() if t.startswith(f"{line}   with ")]


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


if __name__ == "__main__":
    os.chdir(tempfile.mkdtemp())
    TEXTS.write_text("".join(f"{text}\n" for line in lines() for text in texts_of(line)))
