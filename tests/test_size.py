"""How long the code is: an engine that is read in an hour stays one only if somebody counts.

Lines of code are counted without docstrings, comments and empty lines; those of a file as `wc` counts them.
"""

from __future__ import annotations

import ast
import io
import tokenize
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "tinygrad_norm"
FILES = sorted(PACKAGE.rglob("*.py"))
ENGINE = [f"engine/{name}.py" for name in ("tensor", "op", "backward", "broadcasting")]
READ_FIRST = [
    *ENGINE,
    *(f"nn/functional/{name}.py" for name in ("norm", "conv", "window")),
    "optim/optimizer.py",
    "optim/sgd.py",
]
SILENT = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def docstring_of(node: ast.AST) -> range:
    """The lines of a docstring."""
    body = getattr(node, "body", None)
    first = body[0] if isinstance(body, list) and body else None
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        return range(first.lineno, (first.end_lineno or first.lineno) + 1)
    return range(0)


def lines_of_code(path: Path) -> int:
    source = path.read_text()
    documented = {line for node in ast.walk(ast.parse(source)) for line in docstring_of(node)}
    tokens = [t for t in tokenize.generate_tokens(io.StringIO(source).readline) if t.type not in SILENT]
    return len({line for t in tokens for line in range(t.start[0], t.end[0] + 1)} - documented)


def sizes_of_functions(path: Path) -> dict[str, int]:
    """The lines of each function, without its docstring and without the functions in it."""
    sizes = {}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, FUNCTIONS):
            inner = [n for n in ast.walk(node) if isinstance(n, FUNCTIONS) and n is not node]
            within = {line for n in inner for line in range(n.lineno, (n.end_lineno or n.lineno) + 1)}
            own = set(range(node.lineno, (node.end_lineno or node.lineno) + 1)) - within - set(docstring_of(node))
            sizes[node.name] = max(sizes.get(node.name, 0), len(own))
    return sizes


def test_the_engine_and_what_is_read_first_are_short() -> None:
    assert sum(lines_of_code(PACKAGE / name) for name in ENGINE) <= 450
    assert sum(lines_of_code(PACKAGE / name) for name in READ_FIRST) <= 1_000


def test_the_package_does_not_grow() -> None:
    explorer = [path for path in FILES if path.parent.name == "explorer"]
    assert sum(map(lines_of_code, explorer)) <= 500
    assert sum(map(lines_of_code, FILES)) - sum(map(lines_of_code, explorer)) <= 11_955


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_file_and_its_functions_are_short(path) -> None:
    assert len(path.read_text().splitlines()) <= 350
    assert {name: size for name, size in sizes_of_functions(path).items() if size > 40} == {}


MANY = {  # more than eight parameters: PyTorch's own, the settings of PyTorch's rules, and what the engine gives a vjp by name
    *("__init__", "grad", "gradcheck", "gradgradcheck"),
    *("sgd_step", "adam_step"),
    *("_normalize_vjp", "_sync_normalize_vjp", "shared_normalize_gradients", "_scatter_to_maximum"),
}


def test_functions_take_few_parameters() -> None:
    many = set()
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, FUNCTIONS) and len(names := [a.arg for a in (*node.args.args, *node.args.kwonlyargs)]) > 8:
                many |= {node.name} if len([n for n in names if n != "self"]) > 8 else set()
    assert many == MANY
