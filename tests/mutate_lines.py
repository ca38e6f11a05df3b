"""Would the suite notice? Plant a mistake in the source of the norms and of dropout, and run their tests.

    python tests/mutate_lines.py

Each mutant is one line changed in a copy of the package. Prints the count killed; exits with 1 if one survives.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "tinygrad_norm"
MOMENTS, NORM, DROPOUT = "kernels/moments.py", "nn/functional/norm.py", "nn/functional/dropout.py"
GPU, FORMULAS = "kernels/moments_gpu.py", "kernels/gpu.py"  # noticed on the double of CuPy
MODULE, OWN = "nn/norm.py", "own = self.training or self.running_mean is None"
MUTANTS = {
    "no mean term in the gradient": (MOMENTS, "_offset(sum_g, sum_gc,", "_offset(0 * sum_g, sum_gc,"),
    "no mean term in layer norm's": (
        MOMENTS,
        "_offset(sum_gy, sum_gyc, mean, rstd, cp",
        "_offset(0 * sum_gy, sum_gyc, mean, rstd, cp",
    ),
    "no x_hat term in the gradient": (MOMENTS, "_offset(sum_g, sum_gc,", "_offset(sum_g, 0 * sum_gc,"),
    "no x_hat term in layer norm's": (
        MOMENTS,
        "_offset(sum_gy, sum_gyc, mean, rstd, cp",
        "_offset(sum_gy, 0 * sum_gyc, mean, rstd, cp",
    ),
    "the biased variance stored": (NORM, "variance * (count / (count - 1))", "variance * 1"),
    "the unbiased variance used": (
        MOMENTS,
        "1 / np.sqrt(variance + eps)",
        "1 / np.sqrt(variance * count / (count - 1) + eps)",
    ),
    "momentum reversed": (
        NORM,
        "*= 1 - momentum\n                running.array += momentum *",
        "*= momentum\n                running.array += (1 - momentum) *",
    ),
    "eps outside of the root": (MOMENTS, "1 / np.sqrt(variance + eps)", "1 / (np.sqrt(variance) + eps)"),
    "running moments used in training": (
        "nn/norm.py",
        "own = self.training or self.running_mean is None",
        "own = self.running_mean is None",
    ),
    "the batch's moments used in evaluation": (MODULE, OWN, "own = True"),
    "the mask drawn anew in backward": (
        DROPOUT,
        "_dropout(g, kept=kept, p=p)",
        "_dropout(g, kept=default_generator().uniform(kept.shape, 'float32', xp(kept)) >= p, p=p)",
    ),
    "no rescaling by dropout": (DROPOUT, "scaled = x / (1 - p) if p < 1 else x * 0", "scaled = x * 1.0 if p < 1 else x * 0"),
    "the mean never taken off first": (MOMENTS, "if len(centres) == 2 or", "if True or"),
    "too large a mean left in": (MOMENTS, "else min(1 + count / 8192, 8.0)", "else 100.0"),
    "what is left of the mean forgotten": (MOMENTS, "-moments.mean * moments.rstd", "0 * moments.rstd"),
    "a sum of half a line": ("kernels/sums.py", "if whole == length:", "if True:"),
    "the weight's gradient without rstd": (MOMENTS, "gbias, scale = sum_gc * rstd,", "gbias, scale = sum_gc,"),
    "no mean term on a GPU": (GPU, "g * weight - mean_gy -", "g * weight -"),
    "no x_hat term on a GPU": (GPU, "* rstd * mean_gy_x_hat)", "* 0 * mean_gy_x_hat)"),
    "the weight's gradient without rstd on a GPU": (GPU, "g * weight * ((x - mean) * rstd)", "g * weight * (x - mean)"),
    "no rescaling by dropout on a GPU": (FORMULAS, "y = x / share * kept;", "y = x * kept;"),
    "SGD without decay on a GPU": (FORMULAS, "T d = sign * g + decay * p; T b", "T d = sign * g; T b"),
    "Adam without shrinking on a GPU": (FORMULAS, "p_new = p * shrink -", "p_new = p -"),
    "batch norm over too few axes": (NORM, '"batch": (0, *range(2, ndim)),', '"batch": (0,),'),
}
TESTS = ["test_norm.py", "test_dropout.py", "test_fused.py", "test_ops.py", "test_backend.py"]


def killed(name: str, file: str = NORM, right: str = "", wrong: str = "") -> bool:
    """Whether the tests fail with this line changed."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(PACKAGE, Path(folder) / "tinygrad_norm")
        path = Path(folder) / "tinygrad_norm" / file
        source = path.read_text()
        if right not in source:
            sys.exit(f"mutant {name!r}: {file} does not hold {right!r} any more")
        path.write_text(source.replace(right, wrong) if right else source)
        tests = [str(PACKAGE.parent / "tests" / t) for t in TESTS]
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-x",
            "-p",
            "no:cacheprovider",
            "-k",
            "norm or dropout or moment or optimizers",
            *(["--backend", "strict"] if file in (GPU, FORMULAS) else []),
            *tests,
        ]
        environment = {"PYTHONPATH": folder, "PATH": "", "HYPOTHESIS_PROFILE": "ci"}
        run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        if run.returncode not in (0, 1):
            sys.exit(f"mutant {name!r}: the tests did not run:\n{run.stdout[-2000:]}{run.stderr[-2000:]}")
        return run.returncode == 1


def main() -> int:
    """Plant every mutant; print the survivors and the count."""
    if killed("none"):
        print("the tests fail as it is, with no mutant planted")
        return 1
    survivors = [name for name, change in MUTANTS.items() if not killed(name, *change)]
    for name in survivors:
        print(f"survived: {name}")
    print(f"{len(MUTANTS) - len(survivors)} of {len(MUTANTS)} mutants killed")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
