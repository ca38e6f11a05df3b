"""Weight decay: the same net on the same ten points, with and without.

Ten points on a line with noise, a net of 80,000 weights. Without decay it goes through every point; with decay the
weights shrink, and the curve is smoother. Every 200 iterations: histograms for TensorBoard, and a figure.
"""

from __future__ import annotations

from collections.abc import Callable

from common import claim, draw_fits, line_with_noise, mlp, options, start, train_side_by_side

import tinygrad_norm as tn
from tinygrad_norm import nn, optim
from tinygrad_norm.tensorboard import SummaryWriter

DECAYS = {"no weight decay": 0.0, "weight decay": 1e-2}


def matrices(net: nn.Module) -> list[tn.Tensor]:
    """The weight matrices."""
    return [p.detach() for p in net.parameters() if p.ndim == 2]


def train(points: tuple, iterations: int, lr: float, momentum: float, show: Callable | None = None) -> dict[str, dict]:
    """Both nets, side by side; for each its losses and the spread of its weight matrices after / before."""
    x, y, test_x, test_y = points
    nets = {name: mlp() for name in DECAYS}
    before = {name: [w.std().item() for w in matrices(net)] for name, net in nets.items()}
    optimizers = {name: optim.SGD(nets[name].parameters(), lr, momentum, weight_decay=decay) for name, decay in DECAYS.items()}
    losses = train_side_by_side(nets, optimizers, x, y, iterations, show)
    return {
        name: {
            "train": losses[name],
            "test": nn.functional.mse_loss(net(test_x), test_y).item(),
            "spread": [w.std().item() / b for w, b in zip(matrices(net), before[name])],
        }
        for name, net in nets.items()
    }


def main(argv: list[str] | None = None) -> dict[str, dict]:
    """Train, log, draw, and look at the claims."""
    parser = options(__doc__.splitlines()[0], iterations=2000, every=200, lr=0.01, momentum=0.9, out="runs/02_weight_decay")
    parser.set_defaults(seed=1)  # a typical one: see README.md for ten of them
    arguments = start(parser, argv)
    iterations = 2 * arguments.every if arguments.quick else arguments.iterations
    points = line_with_noise()
    with SummaryWriter(str(arguments.out / "tensorboard")) as writer:

        def show(iteration: int, nets: dict, losses: dict) -> None:
            if iteration % arguments.every == 0:
                for name, net in nets.items():
                    writer.add_parameters(net, iteration, f"_{name.replace(' ', '_')}")
                last = "figure" if iteration == iterations else f"fit_{iteration:04}"
                draw_fits(arguments.out / f"{last}.png", points, nets, losses, f"iteration {iteration}")

        results = train(points, iterations, arguments.lr, arguments.momentum, show)

    print(f"\n{'':16} {'train loss':>10} {'test loss':>10}   std of each weight matrix, after / before")
    for name, r in results.items():
        print(f"{name:16} {r['train']:10.4f} {r['test']:10.4f}   " + "  ".join(f"{s:.2f}" for s in r["spread"]))
    free, decayed = results.values()
    claim("weights shrink with decay, and do not without", decayed["spread"][1] < 0.5 < free["spread"][1])
    claim("the training loss is higher with decay", decayed["train"] > free["train"])
    claim("the test loss is lower with decay", decayed["test"] < free["test"])
    return results


if __name__ == "__main__":
    main()
