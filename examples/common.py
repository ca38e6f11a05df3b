"""What the examples share: options, an output folder, a loop over epochs, curves."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")  # figures go to files
import matplotlib.pyplot as plt

import tinygrad_norm as tn

HELP = {
    "epochs": "how often to go through the data",
    "batch_size": "examples per step",
    "lr": "learning rate at the start",
    "momentum": "of SGD",
    "weight_decay": "strength of the weight decay",
    "dropout": "probability to drop",
    "hidden": "units of a hidden layer",
    "iterations": "steps of training",
    "every": "steps between two figures",
    "out": "folder for what the run makes",
    "root": "folder of the data sets",
}
STYLES = ("-", "--", "-.", ":")  # lines differ in black and white too


def options(description: str, **defaults) -> argparse.ArgumentParser:
    """A parser with --quick, --seed, --out and a numeric option for each default."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few steps only, to see that it runs")
    parser.add_argument("--seed", type=int, default=0, help="of all random numbers")
    parser.add_argument("--backend", default=tn.get_backend(), help="numpy or cupy")
    for name, value in defaults.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value, help=HELP[name])
    return parser


def start(parser: argparse.ArgumentParser, argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of this run, with the seed set, the backend switched and the output folder made."""
    arguments = parser.parse_args(argv)
    arguments.out = Path(arguments.out)
    arguments.out.mkdir(parents=True, exist_ok=True)
    tn.set_backend(arguments.backend)
    tn.manual_seed(arguments.seed)
    return arguments


def curves(path: Path, panels: dict[str, dict[str, Sequence[float]]], xlabel: str = "epoch") -> None:
    """One panel per entry, in it one labelled line per series."""
    figure, axes = plt.subplots(1, len(panels), figsize=(5 * len(panels), 3.6), squeeze=False)
    for axis, (title, series) in zip(axes[0], panels.items()):
        for (label, values), style in zip(series.items(), STYLES * 4):
            axis.plot(range(1, len(values) + 1), values, style, label=label, lw=2)
        axis.set(title=title, xlabel=xlabel)
        axis.legend()
        axis.grid(alpha=0.3)
    save_figure(figure, path)


def save_figure(figure, path: Path) -> None:
    """Write a figure and say where."""
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    plt.close(figure)
    print(f"figure: {path}")


def host(tensor: tn.Tensor):
    """The values as a NumPy array, to draw or to log."""
    return tensor.detach().cpu().numpy()


def log_histograms(writer, model: tn.nn.Module, step: int, suffix: str = "") -> None:
    """Each parameter and its gradient as a TensorBoard histogram."""
    for name, parameter in model.named_parameters():
        writer.add_histogram(f"{name}_data{suffix}", host(parameter), step)
        if parameter.grad is not None:
            writer.add_histogram(f"{name}_grad{suffix}", host(parameter.grad), step)
