"""Would the suite notice? Plant a mistake in one function of the norms, of dropout, of an optimizer, and run their tests.

    python tests/mutation/lines.py

Each mutant is a few words changed in one function of a copy of the package. Prints each as it is done, and the count killed;
exits with 1 if one survives.
"""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

PACKAGE = Path(__file__).parent.parent.parent / "tinygrad_norm"
NORM, LAYER, DROPOUT, GENERATOR = "nn/functional/norm.py", "nn/norm.py", "nn/functional/dropout.py", "generator.py"
GRADIENTS = "fast/norm_gradients.py"
ARRAYS, LOOPS, STEPS, GPU = "fast/numpy_versions.py", "fast/norm.py", "fast/steps.py", "fast/gpu.py"

# name: file, function or name assigned to, what stands there, what is planted
MUTANTS = {
    "no mean term in the gradient": (NORM, "normalize_gradients", "gy - mean_gy -", "gy -"),
    "no x_hat term in the gradient": (NORM, "normalize_gradients", "- x_hat * (gy * x_hat).mean", "- 0 * (gy * x_hat).mean"),
    "the weight's gradient without x_hat": (NORM, "normalize_gradients", "(g * x_hat).sum", "(g * 1.0).sum"),
    "the biased variance stored": (NORM, "remember", "variance * (count / (count - 1))", "variance * 1"),
    "the unbiased variance used": (NORM, "moments", "(c * c).mean(axis=axes, keepdims=True)", "(c * c).mean(axis=axes, keepdims=True) * 1.1"),
    "momentum reversed": (NORM, "remember", "running.array *= 1 - momentum", "running.array *= momentum"),
    "eps outside of the root": (NORM, "normalize", "xp(x).sqrt(variance + eps)", "(xp(x).sqrt(variance) + eps)"),
    "batch norm over too few axes": (NORM, "AXES", "(0, *range(2, ndim))", "(0,)"),
    "running moments used in training": (LAYER, "BatchNorm", "own = self.training or self.running_mean is None", "own = self.running_mean is None"),
    "the batch's moments used in evaluation": (LAYER, "BatchNorm", "own = self.training or self.running_mean is None", "own = True"),
    "what is to be dropped kept": (GENERATOR, "kept", "drawn >=", "drawn <"),
    "8 bits alone decide what is dropped": (GENERATOR, "kept", "if rest:", "if False:"),
    "no rescaling by dropout": (DROPOUT, "keep_and_scale", "x / (1 - p) * kept", "x * kept"),
    "arrays: no guess of the mean": (ARRAYS, "_centred", "c = x - centre", "c = x * 1; centre = centre * 0"),
    "arrays: what is left of the mean forgotten": (ARRAYS, "normalize", "-rest * scale", "0 * scale"),
    "arrays: no mean term": (ARRAYS, "normalize_gradients", "-factor * sum_gy / seen.count", "-0 * factor * sum_gy"),
    "arrays: no x_hat term": (ARRAYS, "normalize_gradients", "slope = -factor", "slope = -0 * factor"),
    "arrays: a sum of whole pieces only": (ARRAYS, "_sums_of", "if whole:", "if False:"),
    "arrays: SGD without its velocity": (ARRAYS, "sgd_step", "v += work", "v[...] = work"),
    "loops: no mean term": (GRADIENTS, "_set_slopes", "- rstd * total", "- 0 * total"),
    "loops: no x_hat term": (GRADIENTS, "_set_slopes", "-rstd * rstd * rstd * (", "-0 * rstd * ("),
    "loops: the centre not put back": (LOOPS, "_set_moments", "t.centre[g] + rest", "rest"),
    "loops: Adam without its second moment": (STEPS, "_adam", "beta2 * v[i] + rest2", "v[i] + 0 * rest2"),
    "GPU: no mean term": (GPU, "_gradient", "g * weight - mean_gy -", "g * weight -"),
    "GPU: no x_hat term": (GPU, "_gradient", "* rstd * mean_gy_x_hat)", "* 0 * mean_gy_x_hat)"),
    "GPU: the weight's gradient without rstd": (GPU, "_sum_of_products", "((x - mean) * rstd)", "(x - mean)"),
    "GPU: no rescaling by dropout": (GPU, "_kept_and_scaled", "y = x / share * kept;", "y = x * kept;"),
    "GPU: SGD without decay": (GPU, "_sgd", "T d = sign * g + decay * p;", "T d = sign * g;"),
    "GPU: Adam without shrinking": (GPU, "_adam", "p_new = p * shrink -", "p_new = p -"),
}  # fmt: skip
QUICK = "not (first_and_second and layer)"  # those take seconds, and the others notice
USUAL = ["test_norm.py", "-k", f"not loops and {QUICK}"]
FAST = ["test_fast.py", "test_norm.py", "-k", f"not numba and not loops and not threads and not [textbook and {QUICK}"]
COMPILED = ["test_fast.py", "-k", "numba and float64 and usual and finite and (normalize or adam)"]
DROPPED = ["test_dropout.py"]
ON_A_DOUBLE = ["test_norm.py", "-k", f"not [textbook and {QUICK}", "--backend", "strict"]
OTHERS_ON_A_DOUBLE = ["test_dropout.py", "test_backend.py", "-k", "dropout or optimizers", "--backend", "strict"]


def tests_of(name: str, file: str) -> list[str]:
    """The tests that are to notice a mistake in this file."""
    if name.startswith("GPU"):
        return OTHERS_ON_A_DOUBLE if "dropout" in name or "SGD" in name or "Adam" in name else ON_A_DOUBLE
    return {DROPOUT: DROPPED, GENERATOR: DROPPED, ARRAYS: FAST, LOOPS: COMPILED, GRADIENTS: COMPILED, STEPS: COMPILED}.get(
        file, USUAL
    )


def planted(source: str, where: str, right: str, wrong: str) -> str:
    """The source with the change made in the function, class or assignment of that name. Exits if it is not there once."""
    counts = []
    for node in ast.walk(ast.parse(source)):
        targets = [t.id for t in getattr(node, "targets", []) if isinstance(t, ast.Name)]
        if getattr(node, "name", None) == where or where in targets:
            lines = source.splitlines(keepends=True)
            start = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))]) - 1
            body = "".join(lines[start : node.end_lineno])
            if body.count(right) == 1 or (body.count(right) > 1 and targets):
                return "".join(lines[:start]) + body.replace(right, wrong) + "".join(lines[node.end_lineno :])
            counts.append(body.count(right))
    sys.exit(f"{where} holds {right!r} {max(counts)} times, expected once" if counts else f"there is no {where}")


def passes(tests: list[str], file: str = "", where: str = "", right: str = "", wrong: str = "") -> bool:
    """Whether the tests pass with this change to a copy of the package."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(PACKAGE, Path(folder) / "tinygrad_norm", ignore=shutil.ignore_patterns("__pycache__"))
        if file:
            path = Path(folder) / "tinygrad_norm" / file
            path.write_text(planted(path.read_text(), where, right, wrong))
        paths = [str(PACKAGE.parent / "tests" / t) if t.endswith(".py") else t for t in tests]
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *paths]
        environment = {**os.environ, "PYTHONPATH": folder, "HYPOTHESIS_PROFILE": "planted"}
        run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        if run.returncode not in (0, 1):
            raise RuntimeError(f"with {wrong!r} in {where}, the tests did not run:\n{run.stdout[-2000:]}{run.stderr[-2000:]}")
        return run.returncode == 0


def survives(name: str) -> bool:
    """Whether the mutant's tests pass; says so."""
    file, *change = MUTANTS[name]
    alive = passes(tests_of(name, file), file, *change)
    print(f"{'passed' if alive else 'killed'}: {name}", flush=True)
    return alive


def main() -> int:
    """Plant every mutant; print the survivors and the count."""
    with ThreadPoolExecutor(2) as pool:
        if not all(pool.map(passes, [USUAL, FAST, COMPILED, DROPPED, ON_A_DOUBLE, OTHERS_ON_A_DOUBLE])):
            print("the tests fail as it is, with no mutant planted")
            return 1
        survivors = [name for name, alive in zip(MUTANTS, pool.map(survives, MUTANTS)) if alive]
    for name in survivors:
        print(f"survived: {name}")
    print(f"{len(MUTANTS) - len(survivors)} of {len(MUTANTS)} mutants killed")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
