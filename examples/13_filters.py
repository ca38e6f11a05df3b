"""What a LeNet sees: its first filters, and what they make of a digit.

The filters of the first convolution, 5 x 5 each, and the maps that they and the second convolution make of one image of the
test set. Then each first filter is switched off in turn: how much accuracy goes says how much the net leans on it.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
from common import LeNet, claim, evaluate, fit, host, options, save_figure, start, train_on_digits

import tinygrad_norm as tn
from tinygrad_norm.data import digits


def train(epochs: int, lr: float) -> LeNet:
    """A LeNet with batch norm on the digits."""
    net = LeNet("lenet5", "batch", 0.0)
    train_on_digits(net, epochs, lr)
    return net


@tn.no_grad()
def maps_of(net: LeNet, image: tn.Tensor) -> list[tn.Tensor]:
    """What each layer of `features` makes of one image."""
    x, found = fit(image, net.size, net.channels), []
    for layer in net.features.eval():
        x = layer(x)
        found.append(x[0])
    return found


@tn.no_grad()
def without_each(net: LeNet) -> list[float]:
    """The accuracy on the test set when one filter of the first convolution is switched off, for each."""
    norm, found = net.features[1], []
    for i in range(6):  # after the norm, so that its map is 0 everywhere
        weight, bias = norm.weight[i].item(), norm.bias[i].item()
        norm.weight[i] = norm.bias[i] = 0.0
        found.append(evaluate(net, digits(train=False))[1])
        norm.weight[i], norm.bias[i] = weight, bias
    return found


def main(argv: list[str] | None = None) -> dict[str, list[float]]:
    """Train, look, and switch off."""
    arguments = start(options(__doc__.splitlines()[0], epochs=8, lr=0.03, out="runs/13_filters"), argv)
    net = train(1 if arguments.quick else arguments.epochs, arguments.lr)
    whole, without = evaluate(net, digits(train=False))[1], without_each(net)
    image = digits(train=False).tensors[0][:1]
    maps = maps_of(net, image)
    figure = plt.figure(figsize=(11, 6))
    top, middle, bottom = figure.subfigures(3, 1, height_ratios=(1, 1, 1.15))
    filters, weights = top.subplots(1, 7), host(net.features[0].weight)[:, 0]
    most = abs(weights).max()
    filters[0].imshow(host(image)[0, 0], cmap="gray_r")
    filters[0].set_title("the image")
    for axis, weight, accuracy in zip(filters[1:], weights, without):
        axis.imshow(weight, cmap="RdBu_r", vmin=-most, vmax=most)
        axis.set_title(f"without it {accuracy:.1%}", fontsize=9)
    below, second = middle.subplots(1, 7), bottom.subplots(2, 8)
    below[0].remove()
    for part, axes, layer, which in ((middle, below[1:], 2, "first"), (bottom, second.flat, 6, "second")):
        values = host(maps[layer])
        for axis, value in zip(axes, values):
            axis.imshow(value, cmap="viridis", vmin=0, vmax=values.max())
        part.suptitle(f"after the {which} convolution, norm and ReLU", fontsize=10)
    top.suptitle(f"six filters; all together {whole:.1%} of the test set", fontsize=10)
    for axis in figure.axes:
        axis.set(xticks=[], yticks=[])
        axis.grid(visible=False)
    save_figure(figure, arguments.out / "figure.png")
    print(f"accuracy {whole:.1%}; without one filter {', '.join(f'{a:.1%}' for a in without)}")
    claim(
        "the net leans on some more than on others: their loss costs differently by over 2 %",
        max(without) - min(without) > 0.02,
    )
    claim("none is indispensable: without any one of them more than half is right", min(without) > 0.5)
    return {"whole": [whole], "without": without}


if __name__ == "__main__":
    main()
