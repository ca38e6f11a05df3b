"""The stubs are those that the tables give, and a user's program passes strict checkers; typing errors are found."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

import tinygrad_norm as tn

PROGRAM = Path(__file__).parent / "typed" / "program.py"
ROOT = Path(__file__).parent.parent


def lines(text: str) -> list[str]:
    """Without what a formatter changes: line breaks, blanks, trailing commas and the order of imports."""
    words = "".join(text.split()).replace(",)", ")").replace("(import", "import")
    return sorted(words.replace("def", "\ndef").replace("from", "\nfrom").splitlines())


@pytest.mark.skipif(tn.get_backend() != "numpy" or importlib.util.find_spec("ruff") is None, reason="needs ruff, once")
def test_the_stubs_are_what_the_tables_give(tmp_path, monkeypatch) -> None:
    import stubs

    source = (stubs.PACKAGE / "__init__.py").read_text()
    (tmp_path / "autograd").mkdir()
    (tmp_path / "__init__.py").write_text(source)
    monkeypatch.setattr(stubs, "PACKAGE", tmp_path)
    monkeypatch.chdir(ROOT)
    stubs.main()
    for name in stubs.STUBS:
        assert lines((tmp_path / name).read_text()) == lines((ROOT / "tinygrad_norm" / name).read_text()), "run tests/stubs.py"


def check(tool: list[str], path: Path) -> subprocess.CompletedProcess:
    environment = {**os.environ, "MYPYPATH": str(ROOT)}
    return subprocess.run([sys.executable, "-m", *tool, str(path)], cwd=ROOT, env=environment, capture_output=True, text=True)


CHECKERS = {
    "mypy": ["mypy", "--strict", "--config-file", "", "--ignore-missing-imports", "--follow-imports=silent"],
    "pyright": ["pyright", "--pythonpath", sys.executable],
}


@pytest.mark.skipif(tn.get_backend() != "numpy", reason="once")
@pytest.mark.parametrize("tool", CHECKERS)
def test_a_users_program_passes_strict_checkers_and_mistakes_do_not(tool, tmp_path) -> None:
    if importlib.util.find_spec(tool) is None:
        pytest.skip(f"{tool} is not installed: pip install {tool}")
    run = check(CHECKERS[tool], PROGRAM)
    assert run.returncode == 0, run.stdout + run.stderr
    wrong = tmp_path / "wrong.py"
    mistakes = ["tn.exq(x)", "x.summ()", "x.sum(keepdim='yes')", "tn.no_grad(3, 4)", "nn.Linear('a', 3)"]
    wrong.write_text(
        "import tinygrad_norm as tn\nfrom tinygrad_norm import nn\n\nx = tn.ones(3)\n" + "\n".join(mistakes) + "\n"
    )
    run = check(CHECKERS[tool], wrong)
    for number, mistake in enumerate(mistakes, 5):
        assert f"wrong.py:{number}:" in run.stdout, f"{mistake}: {run.stdout}"
