"""What the examples share: options, figures, claims; ten points on a line; LeNet and its data."""

from __future__ import annotations

import argparse
import contextlib
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")  # figures go to files
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import MaxNLocator
from tqdm import tqdm

import tinygrad_norm as tn
from tinygrad_norm import data, nn, optim

HELP = {
    "epochs": "how often to go through the data",
    "batch_size": "examples per step",
    "lr": "learning rate at the start",
    "momentum": "of SGD",
    "weight_decay": "strength of the weight decay",
    "dropout": "probability to drop",
    "hidden": "units of a hidden layer",
    "iterations": "steps of training",
    "every": "steps between two histograms",
    "out": "folder for what the run makes",
    "root": "folder of the data sets",
    "examples": "how many examples to train on",
    "layers": "how many layers",
    "runs": "runs, each with random numbers of its own",
}
_run = {"quick": False}
plt.style.use(Path(__file__).parent / "figures.mplstyle")

# ---- options, figures, claims -------------------------------------------------------------


def options(description: str, **defaults) -> argparse.ArgumentParser:
    """A parser with --quick, --seed, --backend and an option for each default."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few steps only where there are many, to see that it runs")
    parser.add_argument("--seed", type=int, default=0, help="of the random numbers, if there are any")
    parser.add_argument("--backend", default=tn.get_backend(), help="numpy or cupy")
    for name, value in defaults.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value, help=HELP[name])
    return parser


def start(parser: argparse.ArgumentParser, argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of this run, with the seed set, the backend switched and the output folder made."""
    arguments = parser.parse_args(argv)
    _run["quick"] = arguments.quick
    arguments.out = Path(arguments.out)
    arguments.out.mkdir(parents=True, exist_ok=True)
    tn.set_backend(arguments.backend)
    tn.manual_seed(arguments.seed)
    return arguments


@contextlib.contextmanager
def interruptible() -> Iterator[list[int]]:
    """A list that is empty until Ctrl-C, which does nothing else inside the block."""
    stopped: list[int] = []
    before = signal.signal(signal.SIGINT, lambda *_: stopped.append(1))
    try:
        yield stopped
    finally:
        signal.signal(signal.SIGINT, before)


def claim(text: str, held: bool) -> bool:
    """Say whether a claim held in this run; a quick one is too short to speak against it."""
    print(f"{'held' if held else 'too short a run to tell' if _run['quick'] else 'did NOT hold'}, in this run: {text}")
    return held


def curves(path: Path, panels: dict[str, dict[str, Sequence[float]]], xlabel: str = "epoch", **settings) -> None:
    """One panel per entry, in it one labelled line per series."""
    figure, axes = plt.subplots(1, len(panels), figsize=(5 * len(panels), 3.6), squeeze=False)
    for axis, (title, series) in zip(axes[0], panels.items()):
        for label, values in series.items():
            few = "o" if len(values) < 4 else ""  # a line of one point shows nothing
            axis.plot(range(1, len(values) + 1), values, marker=few, label=label)
        positive = all(v > 0 for values in series.values() for v in values)
        if positive and max(map(max, series.values())) > 30 * min(map(min, series.values())) and "yscale" not in settings:
            axis.set_yscale("log")  # what falls by decades
        whole_numbers(axis)
        if (longest := max(map(len, series.values()))) < 4:
            axis.set_xlim(0.5, longest + 0.5)
        axis.set(**{"title": title, "xlabel": xlabel, "ylabel": title, **settings})
        label_lines(axis)
    save_figure(figure, path)


def band(axis, xs: Sequence[float], runs: Sequence[Sequence[float]], label: str, **settings) -> None:
    """The median of several runs as a line, and the range from the smallest to the largest as a band."""
    (line,) = axis.plot(xs, np.median(runs, axis=0), label=label, **settings)
    axis.fill_between(xs, np.min(runs, axis=0), np.max(runs, axis=0), color=line.get_color(), alpha=0.2, lw=0)


def smoothed(values: Sequence[float], over: int = 10) -> tuple[range, np.ndarray]:
    """The means of so many values in a row, and the places of the last of them."""
    over = min(over, len(values))
    return range(over, len(values) + 1), np.convolve(values, np.ones(over) / over, "valid")


def whole_numbers(axis) -> None:
    """Epochs and steps are counted: no ticks between them."""
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def label_lines(axis) -> None:
    """Each line's label at its end and in its colour: beside the axes, one above the other, if it ends there."""
    axis.figure.draw_without_rendering()  # the limits are known from here on
    to_axes = axis.transData + axis.transAxes.inverted()
    ends = []
    for line in axis.get_lines():
        points = line.get_xydata()[np.isfinite(line.get_xydata()).all(axis=1)]
        if not line.get_label().startswith("_") and len(points):
            x, y = to_axes.transform(points[-1])
            if x > 0.85:
                ends.append((min(max(y, 0.0), 1.0), line))
            else:
                axis.text(x + 0.02, y, line.get_label(), color=line.get_color(), va="center", transform=axis.transAxes)
    height = 1.3 * plt.rcParams["font.size"] / 72 * axis.figure.dpi / axis.bbox.height
    places = [y for y, _ in sorted(ends, key=lambda end: end[0])]
    for i in range(1, len(places)):
        places[i] = max(places[i], places[i - 1] + height)
    for i in reversed(range(len(places))):
        places[i] = min(places[i], 1 - height * (len(places) - 1 - i))
    for y, (_, line) in zip(places, sorted(ends, key=lambda end: end[0])):
        axis.text(1.02, y, line.get_label(), color=line.get_color(), va="center", transform=axis.transAxes)


def save_figure(figure, path: Path) -> None:
    """Write a figure and say where."""
    figure.savefig(path)
    plt.close(figure)
    print(f"figure: {path}")


def host(tensor: tn.Tensor):
    """The values as a NumPy array, to draw or to log."""
    return tensor.detach().cpu().numpy()


# ---- ten points on a line, and a net of 80,000 weights --------------------------------------


def line_with_noise(points: int = 10) -> tuple[tn.Tensor, ...]:
    """Y = 1.5 x + noise, of standard deviation 0.5 to train on and 0.3 to test on."""
    x = tn.linspace(-1, 1, points).unsqueeze_(1)
    return x, 1.5 * x + tn.normal(0, 0.5, size=x.size()), x, 1.5 * x + tn.normal(0, 0.3, size=x.size())


def mlp(width: int = 200, dropout: float | None = None) -> nn.Sequential:
    """1 - width - width - width - 1 with ReLUs between, and Dropout before all but the first layer if asked for."""
    drop = [] if dropout is None else [nn.Dropout(dropout)]
    layers: list[nn.Module] = [nn.Linear(1, width), nn.ReLU(inplace=True)]
    for _ in range(2):
        layers += [*drop, nn.Linear(width, width), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, *drop, nn.Linear(width, 1))


def train_side_by_side(
    nets: dict[str, nn.Module], optimizers: dict, x: tn.Tensor, y: tn.Tensor, iterations: int, show: Callable | None
) -> dict[str, float]:
    """All nets on the same points; returns the last training losses. show(iteration, nets, losses) follows each iteration."""
    criterion, losses = nn.MSELoss(), {}
    for iteration in tqdm(range(1, iterations + 1), leave=False, disable=show is None):
        for name, net in nets.items():
            optimizers[name].zero_grad()
            loss = criterion(net(x), y)
            loss.backward()
            optimizers[name].step()
            losses[name] = loss.item()
        if show is not None:
            show(iteration, nets, losses)
    return losses


def draw_fits(path: Path, points: tuple, nets: dict[str, nn.Module], losses: dict[str, float], title: str) -> None:
    """The points, and what each net makes of them, with its losses on both kinds."""
    x, y, test_x, test_y = map(host, points)
    with tn.no_grad():
        tests = {name: nn.functional.mse_loss(net(points[2]), points[3]).item() for name, net in nets.items()}
    dense = tn.linspace(-1, 1, 200).unsqueeze(1)
    figure, axis = plt.subplots(figsize=(6, 4.2))
    axis.scatter(x, y, c="0.2", s=40, label="train")
    axis.scatter(test_x, test_y, c="0.6", s=40, marker="^", label="test")
    for name, net in nets.items():
        axis.plot(host(dense), host(net(dense)), label=f"{name}: train loss {losses[name]:.4f}, test {tests[name]:.4f}")
    axis.set(ylim=(-2.8, 2.8), xlabel="x", ylabel="y", title=title)
    axis.legend(loc="upper left")
    save_figure(figure, path)


# ---- LeNet --------------------------------------------------------------------------------

NORMS = {  # by the number of features and the dimensions of the input
    "batch": lambda features, ndim: nn.BatchNorm2d(features) if ndim == 4 else nn.BatchNorm1d(features),
    "layer": lambda features, ndim: nn.GroupNorm(1, features),  # over C, H, W, with a weight per channel
    "instance": lambda features, ndim: nn.InstanceNorm2d(features, affine=True) if ndim == 4 else nn.Identity(),
    "group": lambda features, ndim: nn.GroupNorm(2, features),
    "none": lambda features, ndim: nn.Identity(),
}


class LeNet(nn.Module):
    """Two convolutions with pooling, three linear layers; LeCun et al. 1998, with a norm where one is asked for.

    "d2l": sigmoid and mean pooling on 28x28, as in Dive into Deep Learning; "lenet5": ReLU and maximum pooling on
    32x32; "rgb": the same on three channels.
    """

    def __init__(self, model: str, norm: str, dropout: float) -> None:
        super().__init__()
        self.channels, self.size = 3 if model == "rgb" else 1, 28 if model == "d2l" else 32
        make_norm, features = NORMS[norm], 16 * (4 if model == "d2l" else 5) ** 2
        activation, pooling = (nn.Sigmoid, nn.AvgPool2d) if model == "d2l" else (nn.ReLU, nn.MaxPool2d)
        drop = [nn.Dropout(dropout)] if dropout else []
        self.features = nn.Sequential(
            *(nn.Conv2d(self.channels, 6, 5), make_norm(6, 4), activation(), pooling(2)),
            *(nn.Conv2d(6, 16, 5), make_norm(16, 4), activation(), pooling(2), nn.Flatten()),
        )
        self.classifier = nn.Sequential(
            *(*drop, nn.Linear(features, 120), make_norm(120, 2), activation()),
            *(*drop, nn.Linear(120, 84), make_norm(84, 2), activation(), nn.Linear(84, 10)),
        )
        if model == "d2l":
            self.apply(lambda m: nn.init.xavier_uniform_(m.weight) if isinstance(m, (nn.Linear, nn.Conv2d)) else None)

    def forward(self, x: tn.Tensor) -> tn.Tensor:
        """Logits (N, 10) of images (N, 1, H, W), enlarged to the model's size."""
        return self.classifier(self.features(fit(x, self.size, self.channels)))


def fit(x: tn.Tensor, size: int, channels: int) -> tn.Tensor:
    """Images enlarged by a whole number, padded with black to size x size, the channel repeated."""
    factor = size // x.shape[2]
    if factor > 1:
        x = x.unsqueeze(3).unsqueeze(5).expand(-1, -1, -1, factor, -1, factor).flatten(2, 3).flatten(3, 4)
    missing = size - x.shape[2]
    x = nn.functional.pad(x, (missing // 2, missing - missing // 2) * 2)
    return x.expand(-1, channels, -1, -1)


def load_data(arguments: argparse.Namespace) -> tuple[data.TensorDataset, data.TensorDataset]:
    """The training and the test set."""
    if arguments.data == "digits":
        return data.digits(train=True), data.digits(train=False)
    source = {"mnist": data.mnist, "fashion-mnist": data.fashion_mnist}[arguments.data]
    root = Path(arguments.root) / arguments.data
    try:
        return source(root, True, arguments.download), source(root, False, arguments.download)
    except FileNotFoundError as error:
        raise SystemExit(f"{arguments.data} is not in {root}: add --download to fetch it ({error})") from None


def train_on_digits(net: nn.Module, epochs: int, lr: float, drop_last: bool = False) -> None:
    """SGD with momentum on the digits, in batches of 64."""
    optimizer = optim.SGD(net.parameters(), lr, momentum=0.9)
    for _ in tqdm(range(epochs), leave=False):
        for x, y in data.DataLoader(data.digits(train=True), 64, shuffle=True, drop_last=drop_last):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x), y).backward()
            optimizer.step()


@tn.no_grad()
def evaluate(model: nn.Module, dataset: data.TensorDataset) -> tuple[float, float, tn.Tensor]:
    """Loss, accuracy and probabilities (N, 10) on a whole set."""
    model.eval()
    logits = tn.cat([model(x) for x, _ in data.DataLoader(dataset, batch_size=500)])
    model.train()
    labels = dataset.tensors[1]
    right = (logits.argmax(1) == labels).float().mean().item()
    return nn.functional.cross_entropy(logits, labels).item(), right, logits.softmax(1)


def draw_least_certain(path: Path, dataset: data.TensorDataset, probabilities: tn.Tensor, most: int = 10) -> None:
    """How often each class is taken for each other, and the images whose likeliest class is the least likely."""
    images, labels = (host(t) for t in dataset.tensors)
    p = host(probabilities)
    predicted = p.argmax(1)
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.6), width_ratios=(1, 1.6))
    counts = [[int(((labels == true) & (predicted == taken)).sum()) for taken in range(10)] for true in range(10)]
    missed = [[0 if true == taken else n for taken, n in enumerate(row)] for true, row in enumerate(counts)]
    left.imshow(missed, cmap="Reds", vmin=0, vmax=max(max(map(max, missed)), 1) * 1.5)
    for true, row in enumerate(counts):
        for taken, n in enumerate(row):
            left.text(taken, true, n or "", ha="center", va="center", fontsize=8, color="0.5" if true == taken else "black")
    wrong = int((predicted != labels).sum())
    left.set(xlabel="taken for", ylabel="true class", xticks=range(10), yticks=range(10))
    left.set_title(f"confusion matrix: {wrong} of {len(labels)} are wrong")
    left.grid(visible=False)
    right.set_title(f"the {most} least certain, and what they are taken for")
    right.axis("off")
    for place, i in enumerate(p.max(1).argsort()[:most]):
        row, column = divmod(place, 5)
        inset = right.inset_axes((column / 5, 0.52 - row * 0.52, 0.17, 0.36))
        inset.imshow(images[i, 0], cmap="gray_r")
        first, second = p[i].argsort()[::-1][:2]
        words = f"{labels[i]}: {first} {p[i, first]:.0%}, {second} {p[i, second]:.0%}"
        inset.set_title(words, fontsize=8, pad=3, color="black" if first == labels[i] else "C1")
        inset.axis("off")
    save_figure(figure, path)
