"""The code that ran: the source of an op and of its vjps, of its definition, and of the textbook functions that they call."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tinygrad_norm.engine.op import Op

_ROOT = Path(__file__).parent.parent.parent


class Sources:
    """The functions of a walk, each written once."""

    def __init__(self) -> None:
        self.shown: list[dict[str, Any]] = []
        self.index: dict[Callable, int] = {}

    def add(self, function: Callable) -> int:
        """The number of a function's source."""
        function = inspect.unwrap(function)
        if function not in self.index:
            self.index[function] = len(self.shown)
            self.shown.append(_source(function))
        return self.index[function]

    def of(self, function: Callable, title: str, op: Op) -> list[list[Any]]:
        """A function of an op, and what stands beside it: each a title and the number of a source."""
        found = [[title, self.add(function)]]
        found += [["the textbook", self.add(f)] for f in dict.fromkeys(_textbook(function))]
        return found + ([["the definition", self.add(op.definition)]] if op.definition is not None else [])


def _source(function: Callable) -> dict[str, Any]:
    try:
        lines, first = inspect.getsourcelines(function)
        file = shortened(inspect.getsourcefile(function) or "?")
    except Exception:  # no file, or one that has changed since and cannot be read as it was
        return {"file": "", "line": 0, "text": f"{getattr(function, '__name__', function)}: its source is not at hand"}
    indent = len(lines[0]) - len(lines[0].lstrip())
    text = "".join(line[indent:] if not line[:indent].strip() else line for line in lines)
    return {"file": file, "line": first, "text": text.rstrip()}


def shortened(file: str) -> str:
    """The path of a file from the folder of the package, or from the current one, if it is in one of them."""
    path = Path("a cell of the notebook" if "ipykernel_" in file else file)
    return str(next((path.relative_to(root) for root in (_ROOT, Path.cwd()) if path.is_relative_to(root)), path))


def _textbook(function: Callable, depth: int = 3) -> Iterator[Callable]:
    """The textbook functions, for which fast/ may have stood in, that a function calls, itself or by way of other ops."""
    code = getattr(function, "__code__", None)
    for name in code.co_names if code is not None and depth else ():
        called: Any = getattr(function, "__globals__", {}).get(name)
        if hasattr(called, "textbook"):
            yield called.textbook
            yield from _textbook(called.textbook, depth - 1)
        elif isinstance(getattr(called, "op", None), Op):
            yield from _textbook(called.op.forward, depth - 1)


def formula(op: Op) -> str:
    """The first paragraph of an op's docstring."""
    return (inspect.getdoc(op.forward) or inspect.getdoc(op.definition or op.forward) or "").partition("\n\n")[0]
