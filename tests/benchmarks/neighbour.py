"""A training step of LeNet alone, and while another process keeps one core busy, with the threads that each library takes.

    python tests/benchmarks/neighbour.py

Threads that spin while they wait for one another cost most where somebody else needs the core.
"""

from __future__ import annotations

import importlib.util
import statistics
import subprocess
import sys

from compare import Worker, work
from workloads import BY_NAME

WORKLOAD = "LeNet with BN, batch 64 of (3, 32, 32)"


def main() -> None:
    """Print a line for each library."""
    if sys.argv[1:2] == ["--worker"]:
        work(sys.argv[2], BY_NAME)
        return
    print("| " + WORKLOAD + " | alone, ms | beside a busy process | ratio |\n|---|---|---|---|")
    for name in ("tinygrad_norm", "torch"):
        if importlib.util.find_spec(name) is None:
            continue
        worker = Worker(__file__, name)
        worker.build(WORKLOAD)
        alone, beside = [], []
        for _ in range(7):
            alone.append(worker.burst(0.3))
            busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
            beside.append(worker.burst(0.3))
            busy.kill()
            busy.wait()
        worker.close()
        a, b = statistics.median(alone), statistics.median(beside)
        print(f"| {name} | {a * 1e3:.3g} | {b * 1e3:.3g} | {b / a:.2f} |", flush=True)


if __name__ == "__main__":
    main()
