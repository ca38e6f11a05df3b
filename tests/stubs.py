"""Write the type stubs of what is bound by tables: the package's functions, and Tensor's methods.

    python tests/stubs.py

test_types.py compares the files with what this makes.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tinygrad_norm as tn
from tinygrad_norm import dtypes, ops
from tinygrad_norm.autograd import tensor_methods

PACKAGE = Path(__file__).parent.parent / "tinygrad_norm"
HEAD = '"""Made by tests/stubs.py of the tables in ops/__init__.py."""\n\n'
KNOWN = {"Tensor", "Any", "Sequence", "Generator", "Callable", "Iterator", "Extreme", "Dim", "RemovableHandle"}
KNOWN |= {"int", "float", "bool", "str", "None", "tuple", "list", "dict"}
PROPERTIES = {"T": "Tensor", "mT": "Tensor", "is_cuda": "bool", "is_sparse": "bool"}
ATTACHED = {
    "device": "Device",
    "is_leaf": "builtins.bool",
    "retains_grad": "builtins.bool",
    "_version": "builtins.int",
    "data": "Tensor",
}
RESULTS = {
    "numel": "int",
    "item": "Any",
    "tolist": "Any",
    "dim": "int",
    "numpy": "np.ndarray",
    "__len__": "int",
    "__bool__": "bool",
}
RESULTS |= {"__float__": "float", "__int__": "int", "__index__": "int"}
RESULTS |= {"__iter__": "Iterator[Tensor]", "__repr__": "str"}
RESULTS |= {
    "nelement": "int",
    "ndimension": "int",
    "__contains__": "bool",
    "__array__": "np.ndarray",
    "__format__": "str",
    "backward": "None",
}
OPERATORS = {
    *"add radd sub rsub mul rmul truediv rtruediv floordiv rfloordiv mod rmod pow rpow matmul rmatmul".split(),
    *"eq ne lt le gt ge and rand or ror xor rxor iadd isub imul itruediv ifloordiv imod ipow".split(),
}
NUMBER = "Tensor | np.ndarray | float"


def annotation(text: Any, default: str) -> str:
    """An annotation as a stub has it: names that the stub does not import become Any."""
    if text is inspect.Parameter.empty:
        return default
    shown = re.sub(r"\b(Num|Float|Int|Number|Same)\[Tensor, ", "Annotated[Tensor, ", str(text))
    names = set(re.findall(r"[A-Za-z_.]+", re.sub(r"Annotated\[Tensor, ['\"].*?['\"]\]", "Tensor", shown))) - KNOWN
    return "Any" if names else shown


def plain(text: str) -> str:
    """With Python's types told from the functions and dtypes of the same names."""
    return re.sub(r"\b(int|float|bool)\b", r"builtins.\1", text)


def declaration(name: str, function: Callable, method: bool) -> str:
    """The def line of a function, or of a method, whose first argument is self."""
    parameters = list(inspect.signature(function).parameters.values())
    parts, starred = [], False
    for i, p in enumerate(parameters):
        if p.kind is p.KEYWORD_ONLY and not starred:
            parts.append("*")
        starred = starred or p.kind in (p.KEYWORD_ONLY, p.VAR_POSITIONAL)
        if i == 0 and method:
            parts.append("self")
            continue
        if i == 0 and p.annotation is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD:
            kind = "Tensor"  # of an op
        else:
            kind = annotation(p.annotation, NUMBER)
        star = {p.VAR_POSITIONAL: "*", p.VAR_KEYWORD: "**"}.get(p.kind, "")
        parts.append(f"{star}{p.name}: {kind}" + ("" if p.default is p.empty else " = ..."))
    if hasattr(function, "takes_numpy_names"):
        kinds = {p.name: annotation(p.annotation, "Any") for p in parameters}
        numpys = {"axis": "dim", "keepdims": "keepdim"}
        parts += ["*"] * (not starred)
        parts += [f"{theirs}: {kinds[ours]} = ..." for theirs, ours in numpys.items() if ours in kinds]
    result = RESULTS.get(name, annotation(inspect.signature(function).return_annotation, "Tensor"))
    return f"def {name}" + plain(f"({', '.join(parts)}) -> {result}: ...")


def methods() -> str:
    """autograd/methods.pyi"""
    imports = [
        "import builtins",
        "from collections.abc import Callable, Iterator, Sequence",
        "from typing import Annotated, Any",
        "",
        "import numpy as np",
        "",
        "from tinygrad_norm.engine.tensor import Tensor",
        "from tinygrad_norm.autograd.hooks import RemovableHandle",
        "from tinygrad_norm.backend import Device",
        "from tinygrad_norm.generator import Generator",
        "from tinygrad_norm.ops.extremes import Extreme",
        "from tinygrad_norm.ops.reduce import Dim",
    ]
    lines = ["class Methods:"]
    for name, method in ops._methods.items():
        if name in ("__getattr__", "__array_ufunc__", "__array_function__"):
            continue
        if name in PROPERTIES:
            lines += ["    @property", f"    def {name}(self) -> {plain(PROPERTIES[name])}: ..."]
        elif name.startswith("__") and name.strip("_") in OPERATORS:
            ignored = "  # type: ignore[override]" if name in ("__eq__", "__ne__") else ""
            lines.append(f"    def {name}(self, other: Any) -> Tensor: ...{ignored}")
        else:
            lines.append("    " + declaration(name, method, True))
    lines += ["    " + declaration(name, method, True) for name, method in tensor_methods.METHODS.items()]
    for name, kind in ATTACHED.items():
        lines += ["    @property", f"    def {name}(self) -> {kind}: ..."]
    lines += ["    @data.setter", "    def data(self, value: Tensor) -> None: ..."]
    return HEAD + "\n".join([*imports, "", "", *lines]) + "\n"


def package() -> str:
    """__init__.pyi"""
    lines = [
        "import builtins",
        "from collections.abc import Callable, Iterator, Sequence",
        "from typing import Annotated, Any",
        "",
        "import numpy as np",
        "",
    ]
    for node in ast.parse((PACKAGE / "__init__.py").read_text()).body:
        if isinstance(node, ast.ImportFrom) and node.module not in ("typing", "tinygrad_norm.ops", "tinygrad_norm.missing"):
            for alias in node.names:
                lines.append(f"from {node.module} import {alias.name} as {alias.asname or alias.name}")
    lines += [
        "from tinygrad_norm.drawing import trace as trace",
        "from tinygrad_norm.ops.extremes import Extreme",
        "from tinygrad_norm.ops.reduce import Dim",
        "",
        "__version__: str",
    ]
    lines += [f"{name}: np.dtype" for name in dtypes.NAMES]
    for name, function in {**tn._functions, **tn._created}.items():
        if name != "trace":
            lines.append(declaration(name, function, False))
    return HEAD + "\n".join(lines) + "\n"


STUBS = {"__init__.pyi": package, "autograd/methods.pyi": methods}


def main() -> None:
    """Write them, formatted by ruff."""
    import subprocess

    for name, make in STUBS.items():
        (PACKAGE / name).write_text(make())
    paths = [str(PACKAGE / name) for name in STUBS]
    subprocess.run([sys.executable, "-m", "ruff", "check", "-q", "--fix", "--select", "I,F401", *paths], check=False)
    subprocess.run([sys.executable, "-m", "ruff", "format", "-q", *paths], check=True)


if __name__ == "__main__":
    main()
