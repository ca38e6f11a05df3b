"""The tour of the code stays true: every name it speaks of is there, and what is tried gives what the page says."""

from __future__ import annotations

import ast
import doctest
import re
from pathlib import Path

import pytest

import tinygrad_norm as tn

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "examples" / "tour").glob("[0-9]*.md"))
DOCUMENTS = [ROOT / "README.md", *(ROOT / "examples").rglob("*.md"), *(ROOT / "tests").rglob("*.md")]


def defined_in(path: Path) -> set[str]:
    """Functions, classes and tables of a file; methods also as Class.method."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{part.name}" for part in node.body if isinstance(part, ast.FunctionDef)}
        targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        found |= {t.id for t in targets if isinstance(t, ast.Name)}
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_the_names_on_a_page_are_in_the_files_it_names(page) -> None:
    look = page.read_text().partition("Look at")[2].partition("\n\n")[0]
    named = re.findall(r"`([^`]+)`", look)
    files = [ROOT / name for name in named if name.endswith(".py")]
    names = [name for name in named if not name.endswith(".py")]
    assert files
    assert names
    there = set().union(*map(defined_in, files))
    assert set(names) <= there


@pytest.mark.skipif(tn.get_backend() != "numpy", reason="the pages print as NumPy does")
@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_what_is_tried_on_a_page_gives_what_it_says(page) -> None:
    tn.manual_seed(0)
    result = doctest.testfile(str(page), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.attempted > 0
    assert result.failed == 0


def test_there_are_twelve_stops_and_the_list_has_them_all() -> None:
    assert len(PAGES) == 12
    index = (ROOT / "examples" / "tour" / "README.md").read_text()
    assert re.findall(r"\((\d+\w+\.md)\)", index) == [p.name for p in PAGES]


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)\)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


@pytest.mark.skipif(tn.get_backend() != "numpy", reason="the programs run as written")
def test_the_programs_of_the_readme_run() -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    space: dict = {}
    for block in blocks:
        exec(block.replace("range(5)", "range(1)"), space)
    assert space["loss"].item() < 1.0
    assert len(blocks) == 2
