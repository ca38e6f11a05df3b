"""The tour of the code stays true: every name it speaks of is there, and what is tried gives what the page says."""

from __future__ import annotations

import doctest
import re

import pytest
from tour import PAGES, PICTURES, ROOT, definitions, named_on, picture, with_code

import tinygrad_norm as tn

DOCUMENTS = [ROOT / "README.md", *(ROOT / "examples").rglob("*.md"), *(ROOT / "tests").rglob("*.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_the_names_on_a_page_are_in_the_files_it_names(page) -> None:
    files, names = named_on(page)
    assert files
    assert names
    there = set().union(*map(definitions, files))
    assert set(names) <= there


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_a_page_shows_the_lines_as_they_are(page) -> None:
    assert page.read_text() == with_code(page), "python tests/tour.py writes them anew"


@pytest.mark.skipif(tn.get_backend() != "numpy", reason="the pages print as NumPy does")
@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_what_is_tried_on_a_page_gives_what_it_says(page) -> None:
    tn.manual_seed(0)
    result = doctest.testfile(str(page), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.attempted > 0
    assert result.failed == 0


def test_there_are_thirteen_stops_and_the_list_has_them_all() -> None:
    assert len(PAGES) == 13
    index = (ROOT / "examples" / "tour" / "README.md").read_text()
    assert re.findall(r"\((\d+\w+\.md)\)", index) == [p.name for p in PAGES]


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)\)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_what_is_drawn_now(name) -> None:
    with tn.backend("numpy"):
        assert (ROOT / "examples" / "tour" / f"{name}.svg").read_text() == picture(name), "python tests/tour.py draws it anew"


def test_each_difference_from_forty_lines_is_a_line_of_the_engine() -> None:
    source = "\n".join(path.read_text() for path in (ROOT / "tinygrad_norm" / "engine").glob("*.py"))
    lines = re.findall(r"^\| \*\*.*\| `(.*)` \|$", PAGES[12].read_text(), re.M)
    assert len(lines) == 10
    assert [line for line in lines if not re.search(rf"^ *{re.escape(line)}( *#.*)?$", source, re.M)] == []


@pytest.mark.skipif(tn.get_backend() != "numpy", reason="the programs run as written")
def test_the_programs_of_the_readme_run(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    space: dict = {}
    for block in blocks:
        exec(block.replace("range(5)", "range(1)"), space)
    assert space["loss"].item() < 1.0
    assert "0.weight" in (tmp_path / "lenet.html").read_text("utf-8")
    assert len(blocks) == 3
