"""Write the lines of source that the tour's pages speak of into the pages, and draw their pictures, so that they stay true.

    python tests/tour.py

A page says in its "Look at" which names of which files it means; under "The code" stand their lines, with a link to the file.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import tinygrad_norm as tn

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "examples" / "tour").glob("[0-9]*.md"))
HEAD = "\n## The code"
MOST = 100  # lines of one definition


def definitions(path: Path) -> dict[str, tuple[int, int]]:
    """The lines of the functions, classes and tables of a file; of methods under Class.method."""
    found: dict[str, tuple[int, int]] = {}

    def add(name: str, node: ast.stmt) -> None:
        first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
        found.setdefault(name, (first, node.end_lineno or first))

    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            add(node.name, node)
        if isinstance(node, ast.ClassDef):
            for part in node.body:
                if isinstance(part, ast.FunctionDef):
                    add(f"{node.name}.{part.name}", part)
        targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        for target in targets:
            if isinstance(target, ast.Name):
                add(target.id, node)
    return found


def named_on(page: Path) -> tuple[list[Path], list[str]]:
    """The files and the names in the page's "Look at"."""
    look = page.read_text().partition("Look at")[2].partition("\n\n")[0]
    named = re.findall(r"`([^`]+)`", look)
    return [ROOT / name for name in named if name.endswith(".py")], [name for name in named if not name.endswith(".py")]


def code_of(page: Path) -> str:
    """What stands under "The code"."""
    files, names = named_on(page)
    parts = [HEAD]
    if gone := [name for name in names if not any(name in definitions(path) for path in files)]:
        raise ValueError(f"{page.name} speaks of {', '.join(gone)}, which its files do not have: correct the page")
    for path in dict.fromkeys(files):
        there, lines, place = definitions(path), path.read_text().splitlines(), path.relative_to(ROOT).as_posix()
        for name in names:
            if name in there:
                first, last = there[name]
                shown = lines[first - 1 : min(last, first - 1 + MOST)]
                parts.append(f"\n`{name}`, [{place}](../../{place}):\n\n```python")
                parts += [*shown, *(["    ..."] if last - first >= MOST else []), "```"]
    return "\n".join(parts) + "\n"


def with_code(page: Path) -> str:
    """The page as it should be: the code stands before what comes next."""
    text = page.read_text()
    before, _, after = text.rpartition("\nNext: ")
    text, end = (before, "\nNext: " + after) if before else (text.rstrip("\n"), "")
    return text.partition(HEAD)[0].rstrip("\n") + "\n" + code_of(page) + end


def _product(a: tn.Tensor, b: tn.Tensor) -> Any:
    """A Node and its two edges."""
    return tn.draw(a * b, names={"a": a, "b": b})


def _used_twice(x: tn.Tensor, _: tn.Tensor) -> Any:
    """A value with two uses, after the walk."""
    y = x.exp()
    w = y * 2 + y
    w.backward()
    return tn.draw(w, names={"x": x}, saved=False)


def _derivative(x: tn.Tensor, _: tn.Tensor) -> Any:
    """The graph of a gradient."""
    return tn.draw(*tn.grad(x**3, x, create_graph=True), names={"x": x}, saved=False)


PICTURES = {"01_an_op_and_its_node": _product, "02_the_walk": _used_twice, "04_second_derivatives": _derivative}


def picture(name: str) -> str:
    """The picture of a page as the text of an SVG file: black on white, since a page cannot give it its colors."""
    a, b = tn.tensor(2.0, requires_grad=True), tn.tensor(3.0, requires_grad=True)
    return PICTURES[name](a, b).svg.replace("<svg ", '<svg style="background: white; color: black" ', 1) + "\n"


def main() -> None:
    """Write all pages anew, and their pictures."""
    for page in PAGES:
        page.write_text(with_code(page))
        if page.stem in PICTURES:
            page.with_suffix(".svg").write_text(picture(page.stem))


if __name__ == "__main__":
    main()
