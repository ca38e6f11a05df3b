"""Kill a training run at random moments, and see that it goes on as if nothing had happened.

    python tests/kill_and_resume.py [kills]

A run of examples/lenet.py is killed with SIGKILL at a random moment and resumed, again and again: after each
kill the newest checkpoint has to load, and the model at the end has to be that of a run without interruption,
bit for bit. Then the same with Ctrl-C, which stops in the middle of an epoch.
"""

from __future__ import annotations

import itertools
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import tinygrad_norm as tn

EXAMPLE = Path(__file__).parent.parent / "examples" / "lenet.py"
OPTIONS = ["--epochs", "6", "--batch-size", "32", "--dropout", "0.2", "--optimizer", "adam", "--lr", "0.002"]


def begin(out: Path, *more: str) -> subprocess.Popen:
    """Start a run."""
    return subprocess.Popen([sys.executable, str(EXAMPLE), "--out", str(out), *OPTIONS, *more], stdout=-3, stderr=-3)


def result(out: Path) -> dict:
    """What the checkpoint holds; it has to load."""
    return tn.load(out / "checkpoint.safetensors")


def same(a: dict, b: dict) -> bool:
    """Whether two checkpoints hold the same model, optimizer and history, bit for bit."""
    weights = all((a["model"][k].array == b["model"][k].array).all() for k in a["model"])
    moments = all(
        (s[k].array == b["optimizer"]["state"][i][k].array).all()
        for i, s in a["optimizer"]["state"].items()
        for k in ("exp_avg", "exp_avg_sq")
    )
    return weights and moments and a["history"] == b["history"]


def interrupted(out: Path, number: int, kills: int, seconds: float) -> int:
    """A run that is interrupted at random moments and resumed until it ends; returns how often."""
    done, finished = 0, False
    while not finished:
        run = begin(out, "--resume")
        try:
            run.wait(random.uniform(0.3, 1) * seconds if done < kills else None)
            if run.returncode != 0:
                raise SystemExit(
                    f"a run of {EXAMPLE.name} failed, exit status {run.returncode}: start it with --resume to see why"
                )
            finished = result(out)["epoch"] == 6
        except subprocess.TimeoutExpired:
            run.send_signal(number)
            run.wait()
            done += 1
        if (out / "checkpoint.safetensors").exists():
            result(out)
    return done


def main() -> int:
    """Run, interrupt, compare."""
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    random.seed(0)
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        if begin(Path(folder) / "whole").wait() != 0:
            raise SystemExit(f"{EXAMPLE.name} fails without any interruption")
        seconds = time.perf_counter() - began
        expected = result(Path(folder) / "whole")
        numbers = itertools.count()
        for number, wanted in ((signal.SIGKILL, kills), (signal.SIGINT, max(kills // 5, 1))):
            total = 0
            while total < wanted:
                out = Path(folder) / f"{number.name}{next(numbers)}"
                done = interrupted(out, number, min(4, wanted - total), seconds)
                total += done
                if not done:  # it ended before: the first run took longer, perhaps because it compiled
                    seconds /= 2
                if not same(result(out), expected):
                    print(f"a run interrupted by {number.name} ended elsewhere")
                    return 1
            print(f"{number.name}, {total} times: every checkpoint loaded, every run ended where the whole run ends")
    return 0


if __name__ == "__main__":
    sys.exit(main())
