"""python -m tinygrad_norm: what runs here, and what there is of PyTorch's names; or the walk of a script's first backward."""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pkgutil import resolve_name
from typing import Any

import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.explorer import script

NAMESPACES = {"": "torch", ".data": "torch.utils.data"}
NAMESPACES |= {
    f".{name}": f"torch.{name}" for name in "Tensor autograd nn nn.functional nn.init nn.utils optim optim.lr_scheduler".split()
}


def installed(package: str) -> str:
    """Its version, or that it is not there."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def blas() -> str:
    """The library of NumPy's matrix products, with its threads where threadpoolctl can tell."""
    if importlib.util.find_spec("threadpoolctl") is not None:
        from threadpoolctl import threadpool_info

        found = [i for i in threadpool_info() if i["user_api"] == "blas"]
        if found:
            return ", ".join(f"{i['internal_api']} {i['version']}, {i['num_threads']} threads" for i in found)
    build = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return f"{build['name']} {build['version']}"


def gpu() -> str:
    """Whether CuPy can compute."""
    try:
        with tn.backend("cupy"):
            return "CuPy can be used"
    except (ImportError, RuntimeError) as error:
        return f"none ({str(error).partition('. ')[0]})"


def names_of(where: Any) -> set[str]:
    """The public functions, classes and methods of a module or class."""
    listed = getattr(where, "__all__", None) or dir(where)
    found = {n for n in listed if not n.startswith("_") and callable(getattr(where, n, None))}
    return {n for n in found if getattr(getattr(where, n), "__module__", "") not in ("typing", "collections.abc", "__future__")}


def main() -> None:
    """What was asked for."""
    parser = argparse.ArgumentParser("python -m tinygrad_norm", description="Without a command: what runs here.")
    commands = parser.add_subparsers(dest="command")
    script.add_arguments(commands.add_parser("explore", help="write the walk of a script's first backward as a page"))
    given = parser.parse_args()
    about() if given.command is None else script.run(given)


def about() -> None:
    """Print what runs here, and what there is of PyTorch's names."""
    lines = {
        "tinygrad_norm": tn.__version__,
        "Python": platform.python_version(),
        "NumPy": np.__version__,
        "BLAS": blas(),
        "threads": str(tn.get_num_threads()),
        "Numba": installed("numba"),
        "fast": os.environ.get("TINYGRAD_NORM_FAST", "numba"),
        "backend": tn.get_backend(),
        "GPU": gpu(),
        "PyTorch": installed("torch"),
    }
    for name, value in lines.items():
        print(f"{name:14} {value}")
    there = importlib.util.find_spec("torch") is not None
    print(f"\n{'names':33} {'here':>5} {'in PyTorch as well' if there else '(pip install torch, to compare)'}")
    for ours, theirs in NAMESPACES.items():
        names, torch = names_of(resolve_name(f"tinygrad_norm{ours}")), resolve_name(theirs) if there else None
        common = f"{len(names & set(dir(torch))):5} of its {len(names_of(torch))}" if there else ""
        print(f"{'tinygrad_norm' + ours:33} {len(names):5} {common}")


if __name__ == "__main__":
    main()
