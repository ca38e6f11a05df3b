"""Eight hidden layers, badly initialised: what reaches the last of them, with and without batch norm.

Morvan's toy: y = x * x - 5 + noise on [-7, 10]; hidden layers of 10 units, weights from N(0, 0.1), every bias -0.2.
With ReLU most units start out dead; with tanh the signal fades from layer to layer. Batch norm, on the input too,
repairs both.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from common import band, claim, host, label_lines, options, save_figure, start, whole_numbers
from tqdm import tqdm

import tinygrad_norm as tn
from tinygrad_norm import nn, optim
from tinygrad_norm.data import DataLoader, TensorDataset

HIDDEN = 8
ACTIVATIONS = {"tanh": tn.tanh, "relu": tn.relu}


class Net(nn.Module):
    """1 - 10 - ... - 10 - 1; forward returns the prediction and the input of each layer."""

    def __init__(self, activation: str, norm: bool) -> None:
        super().__init__()
        self.activation = ACTIVATIONS[activation]
        self.linears = nn.ModuleList([nn.Linear(1 if i == 0 else 10, 10) for i in range(HIDDEN)])
        sizes = [1] + [10] * HIDDEN
        self.norms = nn.ModuleList([nn.BatchNorm1d(n, momentum=0.5) if norm else nn.Identity() for n in sizes])
        self.predict = nn.Linear(10, 1)
        for linear in [*self.linears, self.predict]:
            nn.init.normal_(linear.weight, mean=0.0, std=0.1)
            nn.init.constant_(linear.bias, -0.2)

    def forward(self, x: tn.Tensor) -> tuple[tn.Tensor, list[tn.Tensor]]:
        """As the class says."""
        x = self.norms[0](x)
        inputs = [x]
        for linear, norm in zip(self.linears, self.norms[1:]):
            x = self.activation(norm(linear(x)))
            inputs.append(x)
        return self.predict(x), inputs


def parabola(points: int) -> tuple[tn.Tensor, tn.Tensor]:
    """Inputs in [-7, 10], and x * x - 5 with noise of standard deviation 2."""
    x = tn.linspace(-7, 10, points).unsqueeze(1)
    return x, x * x - 5 + tn.normal(0, 2, size=x.size())


def train(
    activation: str, epochs: int, lr: float, batch_size: int, test: tuple
) -> dict[str, tuple[list[float], tn.Tensor, list]]:
    """With and without norm: the test loss after each epoch, the last predictions, and each layer's input."""
    loader = DataLoader(TensorDataset(*parabola(2000)), batch_size, shuffle=True)
    x, y = test
    nets = {"no norm": Net(activation, False), "batch norm": Net(activation, True)}
    optimizers = {name: optim.Adam(net.parameters(), lr) for name, net in nets.items()}
    found: dict[str, tuple] = {name: ([], None, []) for name in nets}
    for _ in tqdm(range(epochs), activation, leave=False):
        for batch_x, batch_y in loader:
            for name, net in nets.items():
                optimizers[name].zero_grad()
                nn.functional.mse_loss(net(batch_x)[0], batch_y).backward()
                optimizers[name].step()
        for name, net in nets.items():
            with tn.no_grad():
                predicted, inputs = net.eval()(x)
            found[name] = ([*found[name][0], nn.functional.mse_loss(predicted, y).item()], predicted, inputs)
            net.train()
    return found


def draw(path, found: dict[str, list[dict]]) -> None:
    """For each activation the test losses, and how much the values spread that go into each layer."""
    figure, axes = plt.subplots(2, 2, figsize=(10, 6.4))
    for row, (activation, runs) in zip(axes, found.items()):
        for name in runs[0]:
            losses = [run[name][0] for run in runs]
            spreads = [[host(t).std(0).mean() + 1e-12 for t in run[name][2]] for run in runs]  # no logarithm of 0
            band(row[0], range(1, len(losses[0]) + 1), losses, name, marker="o" if len(losses[0]) == 1 else "")
            band(row[1], range(1, len(spreads[0]) + 1), spreads, name)
        row[0].set(title=f"{activation}: test loss", xlabel="epoch", ylabel="mean squared error", yscale="log")
        row[1].set(title=f"{activation}: what reaches each layer", xlabel="layer", ylabel="std of its input, over the data")
        row[1].set(yscale="log", ylim=(1e-7, 30))
        for axis in row:
            whole_numbers(axis)
            label_lines(axis)
    save_figure(figure, path)


def main(argv: list[str] | None = None) -> dict[str, list[dict]]:
    """Train several times, print, draw."""
    parser = options(__doc__.splitlines()[0], epochs=12, lr=0.03, batch_size=64, runs=5, out="runs/09_bad_initialisation")
    arguments = start(parser, argv)
    epochs, runs = (2, 1) if arguments.quick else (arguments.epochs, arguments.runs)
    found: dict[str, list[dict]] = {}
    for activation in ACTIVATIONS:
        tests = [parabola(200) for _ in range(runs)]
        found[activation] = [train(activation, epochs, arguments.lr, arguments.batch_size, test) for test in tests]
    draw(arguments.out / "figure.png", found)
    for activation, of_runs in found.items():
        last = {name: float(np.median([run[name][0][-1] for run in of_runs])) for name in of_runs[0]}
        words = ", ".join(f"{value:.1f} with {name}" for name, value in last.items())
        print(f"{activation}: test loss, the median of {runs} runs: {words}")
        claim(f"{activation}: batch norm brings the test loss below half", last["batch norm"] < last["no norm"] / 2)
    return found


if __name__ == "__main__":
    main()
