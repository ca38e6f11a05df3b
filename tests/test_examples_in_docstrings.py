"""Each public name has an example in its docstring, and it gives what it says."""

from __future__ import annotations

import doctest
import inspect
import math
import re
import warnings
from pathlib import Path

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm import __main__ as about
from tinygrad_norm import autograd, data, nn, optim, testing

TEXT = (Path(tn.__file__).parent / "examples.txt").read_text("utf-8")
BLOCKS = dict(block.split("\n", 1) for block in TEXT.strip().split("\n\n"))
SPACE = {"tn": tn, "nn": nn, "F": nn.functional, "optim": optim, "data": data, "autograd": autograd, "np": np, "math": math}
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@pytest.mark.skipif(tn.get_backend() != "numpy", reason="they print as NumPy does")
@pytest.mark.parametrize("name", BLOCKS)
def test_an_example_gives_what_it_says(name) -> None:
    example = doctest.DocTestParser().get_doctest(BLOCKS[name] + "\n", dict(SPACE), name, "examples.txt", 0)
    assert example.examples
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = doctest.DocTestRunner(optionflags=FLAGS).run(example)
    assert result.failed == 0


def public() -> dict[str, object]:
    """All functions, classes and methods, by their names; in-place forms, which say of what they are, and aliases aside."""
    found = {}
    for place in about.NAMESPACES:
        where = about.resolve_name(f"tinygrad_norm{place}")
        for name in about.names_of(where):
            thing = getattr(where, name)
            module = getattr(thing, "__module__", None) or ""
            own = module.startswith("tinygrad_norm") and (
                not inspect.ismodule(where) or hasattr(where, "__all__") or module == where.__name__
            )
            if own and not (name.endswith("_") and place == ".Tensor" and hasattr(tn, name[:-1])):
                found[f"{place}.{name}".lstrip(".")] = thing
    return found


def test_everything_public_has_a_docstring_with_an_example() -> None:
    without = sorted(name for name, thing in public().items() if ">>> " not in (thing.__doc__ or ""))
    assert without == []


def test_the_table_is_in_order_and_names_what_there_is() -> None:
    names = [block.split("\n")[0] for block in TEXT.strip().split("\n\n")]
    assert names == sorted(set(names), key=lambda name: (name.count("."), name.lower(), name))
    assert not re.search(r"[ \t]$", TEXT, re.M)
    assert all(len(line) <= 128 for line in TEXT.splitlines() if line.startswith((">>>", "...")))


def test_those_of_the_checkers_run() -> None:
    for function in (testing.check_op, testing.check_module):
        exec(re.search(r"Example: `(.*)`", function.__doc__ or "")[1], {**SPACE, **vars(testing)})
