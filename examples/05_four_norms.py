"""The four norms: what each of them averages over.

    y = (x - E[x]) / sqrt(Var[x] + eps) * weight + bias

One formula; the norms differ in the cells of (N, C, H, W) that share a mean and a variance. The drawing asks the
package itself: `AXES` is the table that the norms are computed with.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from common import claim, host, options, save_figure, start

import tinygrad_norm as tn
from tinygrad_norm import nn
from tinygrad_norm.nn.functional.norm import AXES

N, C, HEIGHT, WIDTH, GROUPS = 4, 6, 3, 3, 2
NORMS = {
    "batch": lambda: nn.BatchNorm2d(C),
    "layer": lambda: nn.LayerNorm([C, HEIGHT, WIDTH]),
    "instance": lambda: nn.InstanceNorm2d(C),
    "group": lambda: nn.GroupNorm(GROUPS, C),
}


def groups_of(norm: str) -> np.ndarray:
    """For each cell of (N, C, H, W) the number of the group that it is averaged with."""
    shape = (N, GROUPS, C // GROUPS, HEIGHT, WIDTH) if norm == "group" else (N, C, HEIGHT, WIDTH)
    axes = AXES[norm](len(shape))
    kept = [1 if axis in axes else size for axis, size in enumerate(shape)]
    return np.broadcast_to(np.arange(np.prod(kept)).reshape(kept), shape).reshape(N, C, HEIGHT, WIDTH)


def draw(axis, norm: str, numbers: np.ndarray) -> None:
    """The block with N to the right, C to the back and H, W upwards; the cells of one group are dark."""
    cells = numbers.reshape(N, C, HEIGHT * WIDTH)
    dark = cells == cells[N - 1, 0, 0]
    colors = np.where(dark[..., None], (0.12, 0.3, 0.6, 1.0), (0.93, 0.93, 0.93, 1.0))
    axis.voxels(np.ones_like(dark), facecolors=colors, edgecolor="0.35", lw=0.4)
    axis.set(xticks=[], yticks=[], zticks=[])
    axis.set_xlabel("N", labelpad=-14)
    axis.set_ylabel("C", labelpad=-14)
    axis.set_zlabel("H, W", labelpad=-7)
    axis.set_title(f"{norm}\n{cells.max() + 1} groups of {cells.size // (cells.max() + 1)} cells", fontsize=11)
    axis.set_box_aspect((N, C, HEIGHT * WIDTH * 0.6), zoom=0.85)


def is_normalized(norm: str, numbers: np.ndarray) -> bool:
    """Whether the layer's output has mean 0 and variance 1 in each of the groups."""
    y = host(NORMS[norm]().double()(tn.randn(N, C, HEIGHT, WIDTH, dtype=tn.float64) * 3 + 1))
    groups = [y[numbers == number] for number in range(numbers.max() + 1)]
    return all(abs(g.mean()) < 1e-12 and abs(g.var() - 1) < 1e-4 for g in groups)


def main(argv: list[str] | None = None) -> dict[str, np.ndarray]:
    """Draw the four blocks, and check them against the layers."""
    arguments = start(options(__doc__.splitlines()[0], out="runs/05_four_norms"), argv)
    found = {norm: groups_of(norm) for norm in NORMS}
    figure, axes = plt.subplots(1, 4, figsize=(12, 4), subplot_kw={"projection": "3d"})
    for axis, (norm, numbers) in zip(axes, found.items()):
        draw(axis, norm, numbers)
    save_figure(figure, arguments.out / "figure.png")
    for norm, numbers in found.items():
        cells = np.bincount(numbers.ravel())[0]
        claim(f"{norm}: mean 0, variance 1 in each of {numbers.max() + 1} groups of {cells}", is_normalized(norm, numbers))
    return found


if __name__ == "__main__":
    main()
