"""What is built holds what it should, and nothing else."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import tinygrad_norm as tn

ROOT = Path(__file__).parent.parent


@pytest.mark.skipif(tn.get_backend() != "numpy", reason="once")
def test_a_wheel_holds_the_package_and_nothing_else(tmp_path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path), str(ROOT)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode and "hatchling" in run.stderr:
        pytest.skip("hatchling could not be fetched")
    assert run.returncode == 0, run.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    package = {n for n in names if n.startswith("tinygrad_norm/")}
    info = {n for n in names if n.startswith(f"tinygrad_norm-{tn.__version__}.dist-info/")}
    assert names == package | info
    wanted = {
        str(p.relative_to(ROOT))
        for p in (ROOT / "tinygrad_norm").rglob("*")
        if p.suffix in (".py", ".pyi", ".gz", ".typed") or p.name == "examples.txt" or p.parent.name in ("digits", "explorer")
    }
    assert package == {n for n in wanted if "__pycache__" not in n}
    assert "tinygrad_norm/py.typed" in package
    assert any(n.endswith("licenses/LICENSE") for n in info)
    (metadata,) = (n for n in info if n.endswith("/METADATA"))
    readme = zipfile.ZipFile(wheel).read(metadata).decode().partition("\n\n")[2]
    assert "with tn.explore(names=net) as walk:" in readme
    assert re.findall(r"\]\((?!https?://)", readme) == []
