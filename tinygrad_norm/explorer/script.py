"""The walk of somebody's script, unchanged: all that it records until its first backward has ended."""

from __future__ import annotations

import argparse
import runpy
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tinygrad_norm.explorer.calls import call
from tinygrad_norm.explorer.page import Page
from tinygrad_norm.explorer.walk import Pass


class _Ended(BaseException):
    """The first backward has: no handler of the script's catches it."""


class _FirstBackward(Page):
    def _failed(self, error: Exception) -> None:
        super()._failed(error)
        raise _Ended from error

    def _ended(self, this: Pass, final: Mapping, deposits: bool) -> None:
        super()._ended(this, final, deposits)
        if not self._passes:  # else a walk inside of that one
            self._name(call().user.f_locals)
            raise _Ended


def explore_script(script: str, arguments: Sequence[str] = ()) -> Page:
    """Run a script with these arguments up to the end of its first backward() or grad().

    Exits where there is no such script. If that backward fails, this is the last step; another error of the script's goes on.
    """
    if not Path(script).is_file():
        sys.exit(f"there is no script {script!r}")
    page, before = _FirstBackward(), (sys.argv, sys.path)
    sys.argv, sys.path = [script, *arguments], [str(Path(script).parent.resolve()), *sys.path]
    try:
        with page:
            runpy.run_path(script, run_name="__main__")
    except (_Ended, SystemExit) as end:
        if getattr(end, "code", None):
            raise
    finally:
        sys.argv, sys.path = before
    return page


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Those of `python -m tinygrad_norm explore`."""
    parser.add_argument("-o", "--out", help="before SCRIPT: the page to write (default: its name with .html, here)")
    parser.add_argument("script", help="the script, unchanged")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="its own arguments")


def run(given: argparse.Namespace) -> None:
    """Write the page that was asked for, and say where, and what went wrong."""
    out = Path(given.out or f"{Path(given.script).stem}.html")
    if not out.parent.is_dir():
        sys.exit(f"there is no folder {str(out.parent)!r} for the page")
    page = explore_script(given.script, given.arguments)
    if not page.steps:
        sys.exit(f"{given.script} has recorded nothing: no op had an input that requires a gradient")
    page.save(out)
    last = page.steps[-1]
    print(f"{len(page.steps)} steps in {out}" + ", none of them a backward's" * (last["kind"] in ("forward", "edit")))
    if last["kind"] == "failed":
        sys.exit(f"its first backward failed, at the last step: {last['text']}")
