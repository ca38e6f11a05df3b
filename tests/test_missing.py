"""A name that is not there says what is; python -m tinygrad_norm says what runs."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import subprocess
import sys

import pytest

import tinygrad_norm as tn
from tinygrad_norm import __main__ as about
from tinygrad_norm import nn, optim


@pytest.mark.parametrize(
    ("look", "text"),
    [
        (lambda: tn.sofmax, "tinygrad_norm has no 'sofmax': did you mean softmax"),
        (lambda: nn.Conv2D, "tinygrad_norm.nn has no 'Conv2D': did you mean Conv2d"),
        (lambda: nn.LSTM, "recurrent and attention layers are not part"),
        (lambda: nn.functional.crossentropy, "did you mean cross_entropy"),
        (lambda: optim.Adagrad, "of optimizers there are SGD, Adam"),
        (lambda: tn.complex64, "there are no complex numbers"),
        (lambda: tn.compile, "there is no compiler"),
        (lambda: tn.data.Dataloader, "did you mean DataLoader"),
        (lambda: tn.autograd.backwards, "did you mean backward"),
        (lambda: tn.ones(2).sofmax(), "Tensor has no 'sofmax': did you mean softmax"),
        (lambda: tn.conv2d, "did you mean tinygrad_norm.nn.functional.conv2d?"),
        (lambda: tn.Linear, "did you mean tinygrad_norm.nn.Linear?"),
        (lambda: nn.relu, "did you mean tinygrad_norm.relu or tinygrad_norm.nn.functional.relu?"),
        (lambda: tn.qqqqqq, "tinygrad_norm has no 'qqqqqq'$"),
    ],
)
def test_a_missing_name_is_explained(look, text) -> None:
    with pytest.raises(AttributeError, match=text):
        look()


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: nn.Linear(in_feature=3, out_features=2), "Linear(): missing a required argument: 'in_features': did you mean"),
        (lambda: nn.Conv2d(3, 4, kernelsize=3), "did you mean 'kernel_size', not 'kernelsize'?"),
        (lambda: nn.functional.batch_norm(tn.ones(2, 2), None, None, trainig=True), "did you mean 'training', not 'trainig'?"),
        (lambda: nn.Softplus(betta=1), "did you mean 'beta', not 'betta'?"),
        (lambda: nn.MSELoss(reductio="sum"), "did you mean 'reduction', not 'reductio'?"),
        (lambda: nn.Softplus(arg=1), "got an unexpected keyword argument 'arg'"),
        (lambda: nn.Linear.__init__(), "missing a required argument"),
        (lambda: nn.Linear(3, 2, zzz=1), "got an unexpected keyword argument 'zzz'"),
    ],
)
def test_a_misspelt_argument_is_explained(call, text) -> None:
    with pytest.raises(TypeError, match=re.escape(text)) as caught:
        call()
    assert ("did you mean" in str(caught.value)) == ("did you mean" in text)


def test_asking_whether_a_name_is_there_is_answered() -> None:
    assert not hasattr(tn, "sofmax")
    assert not hasattr(tn.ones(1), "is_sparse_csr")
    with pytest.raises(ImportError, match="Conv2D"):
        from tinygrad_norm.nn import Conv2D  # noqa: F401


def test_the_package_tells_what_runs() -> None:
    run = subprocess.run([sys.executable, "-m", "tinygrad_norm"], capture_output=True, text=True, check=True)
    first = [line.split()[0] for line in run.stdout.splitlines()[:10]]
    assert first == ["tinygrad_norm", "Python", "NumPy", "BLAS", "threads", "Numba", "fast", "backend", "GPU", "PyTorch"]
    assert tn.__version__ in run.stdout
    assert "tinygrad_norm.nn.functional" in run.stdout


def test_it_tells_so_without_what_could_be_installed(monkeypatch, capsys) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda n: None if n in ("threadpoolctl", "torch") else find_spec(n))
    monkeypatch.setattr(about, "version", nothing)
    about.about()
    printed = capsys.readouterr().out
    assert re.search(r"BLAS +\S+ \d", printed)  # as NumPy was built
    assert re.search(r"Numba +not installed", printed)
    assert "(pip install torch, to compare)" in printed


def nothing(name: str) -> str:
    """The version of a package, where none is installed."""
    raise importlib.metadata.PackageNotFoundError(name)
