"""Survivors of mutmut once more, each in a process of its own: `mutmut run; python tests/mutation/again.py [NAME ...]`.

mutmut plants a mistake in a process that has imported the package already. What runs at import, as decorators and tables of
functions do, is then as it was, and looks as if no test noticed. Without names: all that mutmut counts as survivors.
Python 3.11 or newer.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[2]
MUTANTS = ROOT / "mutants"  # where mutmut keeps its copy
SECONDS = 600


def survivors() -> list[str]:
    """The names of the mistakes that mutmut's run has not seen killed."""
    found: list[str] = []
    for path in MUTANTS.rglob("*.meta"):
        codes = json.loads(path.read_text())["exit_code_by_key"]
        found += [name for name, code in codes.items() if code == 0]
    return sorted(found)


def killed(name: str) -> bool:
    """Whether a test fails in a process that has this mistake from its start."""
    tests = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mutmut"]["pytest_add_cli_args_test_selection"]
    command = [sys.executable, "-m", "pytest", "-qx", "-p", "no:randomly", "-p", "no:cacheprovider", *tests]
    one = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    environment = {**os.environ, **one, "MUTANT_UNDER_TEST": name, "HYPOTHESIS_PROFILE": "few"}
    try:
        done = subprocess.run(command, cwd=MUTANTS, env=environment, capture_output=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return True
    return done.returncode != 0


def main() -> None:
    """Run the tests on each, as many at once as there are cores, and list what still survives."""
    names = sys.argv[1:] or survivors()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        dead = []
        for name, died in zip(names, pool.map(killed, names)):
            print(f"{'killed' if died else 'survived'}: {name}", flush=True)
            dead.append(died)
    print(f"{sum(dead)} of {len(dead)} killed")


if __name__ == "__main__":
    main()
