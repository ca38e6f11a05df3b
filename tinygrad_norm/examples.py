"""An example in each docstring, for help() and the reference: examples.txt has them, one for each public name."""

from inspect import cleandoc
from operator import attrgetter
from pathlib import Path
from typing import Any


def attach(package: Any) -> None:
    """Add the examples to what they are of."""
    for block in Path(__file__).with_name("examples.txt").read_text("utf-8").strip().split("\n\n"):
        name, _, example = block.partition("\n")
        documented = attrgetter(name)(package)
        documented.__doc__ = f"{cleandoc(documented.__doc__ or '')}\n\n{example}"
