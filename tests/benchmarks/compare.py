"""Speed and memory beside PyTorch, measured in one run.

    python tests/benchmarks/compare.py [--quick] [--only TEXT] [--least 1T 2T]

Each library runs in a process of its own, at one thread and at two. They take turns, with a pause in between for threads
that still spin; a turn is a burst to warm up, while the system spreads threads over the cores, and then one that counts. What
is printed are the least and the median of the bursts' medians, and the median of the ratios within a turn. A ratio above 1
means that we are faster; --least lets the program fail where one is smaller. Memory is the peak of a whole process that does
nothing else; the time of an import is beyond that of `import numpy`. OPENBLAS_CORETYPE in the environment makes OpenBLAS
compute for another processor than it finds, to which PyTorch pays no heed: unset it for figures of the machine.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
from workloads import BY_NAME

PAUSE = 0.03  # seconds between two bursts: OpenBLAS's threads wait about that long before they sleep
WARM = 0.06  # seconds
OURS, PEERS = ("tinygrad_norm:1", "tinygrad_norm:2"), ("torch:1", "torch:2")


def library(name: str) -> object:
    """The library of that name; "torch:2" is PyTorch at two threads."""
    name, _, threads = name.partition(":")
    lib = importlib.import_module(name)
    if threads:
        lib.set_num_threads(int(threads))
    return lib


# ---- a worker: one library in a process of its own ------------------------------------------


def work(name: str, workloads: dict[str, Callable]) -> None:
    """Answer the lines of the standard input: build the workload of that name, or run it for so many seconds."""
    lib = library(name)
    run: Callable = list
    for line in sys.stdin:
        command, _, argument = line.strip().partition(" ")
        if command == "build":
            run = workloads[argument](lib)
            run()
        else:
            seconds = float(argument)
            stop = time.perf_counter() + WARM
            while time.perf_counter() < stop:
                run()
            times = []
            stop = time.perf_counter() + seconds
            while not times or time.perf_counter() < stop:
                start = time.perf_counter()
                run()
                times.append(time.perf_counter() - start)
            print(statistics.median(times), flush=True)


class Worker:
    """The other end of `work`."""

    def __init__(self, script: str, name: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, script, "--worker", name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def build(self, workload: str) -> None:
        """Make the workload ready."""
        self._send(f"build {workload}")

    def burst(self, seconds: float) -> float:
        """The median time of a call, over so many seconds."""
        self._send(f"run {seconds}")
        assert self.process.stdout is not None
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the worker of {self.process.args} has ended: its error is printed above")
        return float(answer)

    def _send(self, line: str) -> None:
        assert self.process.stdin is not None
        print(line, file=self.process.stdin, flush=True)

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def in_turns(workers: list[Worker], workload: str, turns: int, seconds: float) -> list[list[float]]:
    """For each worker, the times of its bursts."""
    for worker in workers:
        worker.build(workload)
    times: list[list[float]] = [[] for _ in workers]
    for _ in range(turns):
        for worker, mine in zip(workers, times):
            time.sleep(PAUSE)
            mine.append(worker.burst(seconds))
    return times


def blas() -> str:
    """What multiplies NumPy's matrices, and whether it was told for which processor."""
    from threadpoolctl import threadpool_info

    told = " (by OPENBLAS_CORETYPE: a better one may be there)" if "OPENBLAS_CORETYPE" in os.environ else ""
    found = [
        f"{i['internal_api']} {i['version']} for {i.get('architecture')}" for i in threadpool_info() if i["user_api"] == "blas"
    ]
    return " and ".join(found) + told


# ---- memory and import ----------------------------------------------------------------------


def peak_memory(name: str, workload: str) -> float:
    """Megabytes at the peak of a process that runs a workload a few times."""
    code = f"""
import sys
sys.path.insert(0, {sys.path[0]!r})
import compare, workloads
run = workloads.BY_NAME[{workload!r}](compare.library({name!r}))
for _ in range(10):
    run()
print(next(int(line.split()[1]) / 1024 for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


def import_time(name: str) -> float:
    """Seconds that `import name` takes after `import numpy`."""
    code = f"import numpy, time; t = time.perf_counter(); import {name}; print(time.perf_counter() - t)"
    runs = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout) for _ in range(5)
    ]
    return statistics.median(runs)


# ---- the tables -----------------------------------------------------------------------------


def speed_table(only: str, quick: bool, least: list[float]) -> list[str]:
    """A line for each workload; the names of those with a ratio less than `least`."""
    print("| workload, ms: least, median | ours 1T | PyTorch 1T | ratio | ours 2T | PyTorch 2T | ratio |")
    print("|---|---|---|---|---|---|---|")
    workers, slow = [Worker(__file__, name) for pair in zip(OURS, PEERS) for name in pair], []
    for name in BY_NAME:
        if only in name:
            times = in_turns(workers, name, 3 if quick else 15, 0.04 if quick else 0.1)
            cells = []
            for (ours, theirs), enough in zip((times[:2], times[2:]), least):
                ratio = statistics.median(t / o for o, t in zip(ours, theirs))
                cells += [f"{min(t) * 1e3:.3g}, {statistics.median(t) * 1e3:.3g}" for t in (ours, theirs)]
                cells += [f"{ratio:.2f}"]
                slow += [name] * (ratio < enough)
            print(f"| {name} | {' | '.join(cells)} |", flush=True)
    for worker in workers:
        worker.close()
    return slow


def memory_table(quick: bool) -> None:
    """Memory and import."""
    print("\n| | ours | PyTorch |\n|---|---|---|")
    for name in BY_NAME:
        if "LeNet of d2l" in name or (not quick and ("MLP" in name or "LeNet" in name)):
            ours, theirs = (peak_memory(lib, name) for lib in ("tinygrad_norm:1", "torch:1"))
            print(f"| peak memory of a process, MB: {name} | {ours:.0f} | {theirs:.0f} |", flush=True)
    print(f"| import beyond NumPy's, s | {import_time('tinygrad_norm'):.3f} | {import_time('torch'):.3f} |")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="shorter bursts and fewer turns, less of memory")
    parser.add_argument("--only", default="", help="only workloads whose name holds this text")
    parser.add_argument("--least", type=float, nargs=2, default=[0, 0], help="ratios at one thread and at two, or fail")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        return work(arguments.worker, BY_NAME)
    if importlib.util.find_spec("torch") is None:
        sys.exit("the comparison needs PyTorch: pip install 'tinygrad_norm[compare]'")
    from importlib.metadata import version

    print(f"PyTorch {version('torch')}, NumPy {np.__version__} on {blas()}, ratio = PyTorch / ours\n")
    slow = speed_table(arguments.only, arguments.quick, arguments.least)
    if not arguments.only:
        memory_table(arguments.quick)
    if slow:
        sys.exit(f"slower than asked for: {', '.join(dict.fromkeys(slow))}")
    return None


if __name__ == "__main__":
    main()
