"""Weight decay: the same net on the same ten points, with and without.

Ten points on a line with noise, a net of 80,000 weights. Without decay it goes through every point;
with decay the weights shrink, and the curve is smoother: the training loss is higher, the test loss
lower. Every 200 iterations: histograms for TensorBoard, and a figure.
"""

from __future__ import annotations

import itertools

import matplotlib.pyplot as plt
from common import host, log_histograms, options, save_figure, start
from tensorboardX import SummaryWriter
from tqdm import tqdm

import tinygrad_norm as tn
from tinygrad_norm import nn, optim

DECAYS = {"no weight decay": 0.0, "weight decay": 1e-2}


def make_data(points: int = 10) -> tuple[tn.Tensor, ...]:
    """Y = 1.5 x + noise, of standard deviation 0.5 to train on and 0.3 to test on."""
    x = tn.linspace(-1, 1, points).unsqueeze_(1)
    return x, 1.5 * x + tn.normal(0, 0.5, size=x.size()), x, 1.5 * x + tn.normal(0, 0.3, size=x.size())


def make_net(width: int = 200) -> nn.Sequential:
    """1 - width - width - width - 1 with ReLUs between."""
    sizes = [1, width, width, width]
    hidden = [layer for i, o in itertools.pairwise(sizes) for layer in (nn.Linear(i, o), nn.ReLU(inplace=True))]
    return nn.Sequential(*hidden, nn.Linear(width, 1))


def draw(path, data: tuple, nets: dict, losses: dict, iteration: int) -> None:
    """The points, and what each net makes of them."""
    x, y, test_x, test_y = map(host, data)
    dense = tn.linspace(-1, 1, 200).unsqueeze(1)
    figure, axis = plt.subplots(figsize=(6, 4.2))
    axis.scatter(x, y, c="tab:blue", s=50, alpha=0.6, label="train")
    axis.scatter(test_x, test_y, c="tab:red", s=50, alpha=0.6, marker="^", label="test")
    for (name, net), style in zip(nets.items(), ("k-", "b--")):
        axis.plot(host(dense), host(net(dense)), style, lw=2.5, label=f"{name}, train loss {losses[name]:.4f}")
    axis.set(ylim=(-2.8, 2.8), xlabel="x", ylabel="y", title=f"iteration {iteration}")
    axis.legend(loc="upper left", fontsize=9)
    save_figure(figure, path)


def main(argv: list[str] | None = None) -> dict[str, dict[str, float]]:
    """Train both nets; returns for each its losses and the spread of its weights after / before."""
    parser = options(__doc__.splitlines()[0], iterations=2000, every=200, lr=0.01, momentum=0.9, out="runs/weight_decay")
    arguments = start(parser, argv)
    iterations = 2 * arguments.every if arguments.quick else arguments.iterations

    data = make_data()
    x, y, test_x, test_y = data
    nets = {name: make_net() for name in DECAYS}
    before = {name: [float(p.detach().std()) for p in net.parameters() if p.ndim == 2] for name, net in nets.items()}
    optimizers = {
        name: optim.SGD(nets[name].parameters(), arguments.lr, arguments.momentum, weight_decay=decay)
        for name, decay in DECAYS.items()
    }
    criterion, losses = nn.MSELoss(), {}
    with SummaryWriter(str(arguments.out / "tensorboard")) as writer:
        for iteration in tqdm(range(1, iterations + 1), leave=False):
            for name, net in nets.items():
                loss = criterion(net(x), y)
                optimizers[name].zero_grad()
                loss.backward()
                optimizers[name].step()
                losses[name] = loss.item()
            if iteration % arguments.every == 0:
                for name, net in nets.items():
                    log_histograms(writer, net, iteration, f"_{name.replace(' ', '_')}")
                draw(arguments.out / f"fit_{iteration:04}.png", data, nets, losses, iteration)

    results = {}
    print(f"\n{'':16} {'train loss':>10} {'test loss':>10}   std of each weight matrix, after / before")
    for name, net in nets.items():
        spreads = [float(p.detach().std()) / b for p, b in zip((p for p in net.parameters() if p.ndim == 2), before[name])]
        test = criterion(net(test_x), test_y).item()
        results[name] = {"train": losses[name], "test": test, "spread": spreads[1]}
        print(f"{name:16} {losses[name]:10.4f} {test:10.4f}   " + "  ".join(f"{s:.2f}" for s in spreads))
    decayed, free = results["weight decay"], results["no weight decay"]
    holds = decayed["train"] > free["train"] and decayed["test"] < free["test"]
    print(f"\nhigher training loss and lower test loss with decay: {'yes' if holds else 'no'}, in this run")
    return results


if __name__ == "__main__":
    main()
