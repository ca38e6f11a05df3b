"""The walk of somebody's script, unchanged: all that it records until its first backward has ended."""

from __future__ import annotations

import argparse
import runpy
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tinygrad_norm.explorer.calls import call, variables
from tinygrad_norm.explorer.page import Page
from tinygrad_norm.explorer.walk import Pass


class _Ended(BaseException):
    """The first backward has: no handler of the script's catches it."""


class _FirstBackward(Page):
    def _ended(self, this: Pass, final: Mapping, deposits: bool) -> None:
        super()._ended(this, final, deposits)
        if not self._passes:  # else a walk inside of that one
            self._name(variables(call().user))
            raise _Ended


def explore_script(script: str, arguments: Sequence[str] = ()) -> Page:
    """Run a script with these arguments up to the end of its first backward() or grad().

    Exits where there is no such script. An error of the script's goes on as it is, unless it is one of its
    first backward: that is the last step of the walk.
    """
    if not Path(script).is_file():
        sys.exit(f"there is no script {script!r}")
    page, before = _FirstBackward(), (sys.argv, sys.path)
    sys.argv, sys.path = [script, *arguments], [str(Path(script).parent.resolve()), *sys.path]
    try:
        with page:
            runpy.run_path(script, run_name="__main__")
    except _Ended:
        pass
    except Exception:
        if not page.steps or page.steps[-1]["kind"] != "failed":
            raise
    finally:
        sys.argv, sys.path = before
    return page


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Those of `python -m tinygrad_norm explore`."""
    parser.add_argument("-o", "--out", help="the page to write (default: SCRIPT's name with .html, in this folder)")
    parser.add_argument("script", help="the script, unchanged")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="its own arguments")


def run(given: argparse.Namespace) -> None:
    """Write the page that was asked for, and say where."""
    page, out = explore_script(given.script, given.arguments), given.out or f"{Path(given.script).stem}.html"
    page.save(out)
    print(f"{len(page.steps)} steps in {out}")
