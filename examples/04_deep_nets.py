"""Why a net of 100 layers needs its weights initialised with care, or a norm.

100 times Linear(256, 256, bias=False) and ReLU on 16 random inputs. Each layer multiplies the spread of its input by
some factor; to the power of 100, only a factor of 1 survives.

    default initialisation: uniform in ±1/sqrt(256)   the factor is sqrt(1/6): everything falls to zero
    normal, standard deviation 1                       the factor is sqrt(256/2): everything overflows
    kaiming_normal_: standard deviation sqrt(2/256)    the factor is 1
    BatchNorm1d before the ReLU                        whatever comes in, sqrt(1/2 - 1/(2 pi)) = 0.584 goes out

He et al. 2015, arXiv:1502.01852, for the third; the last is the standard deviation of relu(z), z normal.
"""

from __future__ import annotations

import math

import matplotlib.pyplot as plt
import numpy as np
from common import claim, label_lines, options, save_figure, start

import tinygrad_norm as tn
from tinygrad_norm import nn

AFTER_NORM = math.sqrt(1 / 2 - 1 / (2 * math.pi))
WAYS = {
    "default": None,
    "normal, std 1": lambda weight: nn.init.normal_(weight, std=1.0),
    "kaiming normal": nn.init.kaiming_normal_,
    "default and BatchNorm1d": None,
}


class Deep(nn.Module):
    """Linear and ReLU, `layers` times; its forward notes the spread after each layer."""

    def __init__(self, layers: int, width: int = 256, norm: bool = False) -> None:
        super().__init__()
        self.linears = nn.ModuleList([nn.Linear(width, width, bias=False) for _ in range(layers)])
        self.norms = nn.ModuleList([nn.BatchNorm1d(width) if norm else nn.Identity() for _ in range(layers)])

    def forward(self, x: tn.Tensor) -> list[float]:
        """The standard deviation after each layer, up to the first that is nan."""
        spreads = []
        for linear, norm in zip(self.linears, self.norms):
            x = tn.relu(norm(linear(x)))
            spreads.append(x.std().item())
            if math.isnan(spreads[-1]):
                break
        return spreads


@tn.no_grad()
@np.errstate(over="ignore", invalid="ignore")  # that it overflows is the point here
def spreads(way: str, layers: int = 100) -> list[float]:
    """The standard deviation after each layer of a net initialised that way."""
    net = Deep(layers, norm="BatchNorm" in way)
    if WAYS[way] is not None:
        for linear in net.linears:
            WAYS[way](linear.weight.data)
    return net(tn.randn(16, 256))


def main(argv: list[str] | None = None) -> dict[str, list[float]]:
    """Print and draw the spreads."""
    arguments = start(options(__doc__.splitlines()[0], layers=100, out="runs/04_deep_nets"), argv)
    layers = 40 if arguments.quick else arguments.layers
    found = {way: spreads(way, layers) for way in WAYS}
    marks = sorted({0, 9, 19, 29, 39, layers // 2, layers - 1})
    print(f"{'standard deviation after layer':32}" + "".join(f"{i + 1:>10}" for i in marks))
    for way, values in found.items():
        print(f"{way:32}" + "".join(f"{values[i]:10.2g}" if i < len(values) else f"{'':10}" for i in marks))
        if math.isnan(values[-1]):
            print(f"{'':32}nan at layer {len(values) - 1} (counted from 0)")

    figure, (axis, near) = plt.subplots(1, 2, figsize=(12, 4))
    for way, values in found.items():
        (line,) = axis.semilogy(range(1, len(values) + 1), values, label=way)
        if max(values) < 10 and min(values) > 0.01:
            near.plot(*line.get_data(), color=line.get_color(), ls=line.get_linestyle(), label=way)
    near.axhline(AFTER_NORM, color="0.6", lw=0.8)
    near.text(layers * 0.05, AFTER_NORM + 0.012, f"sqrt(1/2 - 1/(2 pi)) = {AFTER_NORM:.3f}", color="0.3")
    axis.set(title=f"{layers} layers of Linear(256, 256) and ReLU", ylabel="standard deviation of the layer's output")
    near.set(title="the two that stay, on a scale of their own", ylabel="standard deviation")
    for each in (axis, near):
        each.set(xlabel="layer")
        label_lines(each)
    save_figure(figure, arguments.out / "figure.png")
    default, large, kaiming, norm = found.values()
    claim("the default initialisation falls to nothing", default[-1] < math.sqrt(1 / 6) ** layers * 10)
    claim("normal with std 1 overflows within 40 layers", math.isnan(large[-1]) and len(large) <= 40)
    claim("kaiming_normal_ keeps the scale", all(0.05 < s < 5 for s in kaiming))
    claim(f"BatchNorm1d keeps it within 0.05 of {AFTER_NORM:.3f}", all(abs(s - AFTER_NORM) < 0.05 for s in norm))
    return found


if __name__ == "__main__":
    main()
