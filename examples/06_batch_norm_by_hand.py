"""Batch norm by hand: forward and backward in plain NumPy, and as a module written with Tensor operations.

The backward pass is the chain rule, one line a step; the module leaves it to the engine. Both are compared with
nn.BatchNorm: `forward` and `backward` are what CS231n asks its students for, `BatchNorm` is that of Dive into Deep
Learning, with the conventions put right (see the comments).
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from common import claim, options, save_figure, start

import tinygrad_norm as tn
from tinygrad_norm import nn

# ---- in NumPy, for x (N, D) ---------------------------------------------------------------


def forward(x, gamma, beta, eps=1e-5):
    """Y = gamma * x_hat + beta, and what backward needs."""
    mean = x.mean(axis=0)
    variance = ((x - mean) ** 2).mean(axis=0)
    x_hat = (x - mean) / np.sqrt(variance + eps)
    return gamma * x_hat + beta, (x, gamma, x_hat, mean, variance, eps)


def backward(dy, cache):
    """dL/dx, dL/dgamma, dL/dbeta, step by step against the arrows of forward."""
    x, gamma, x_hat, mean, variance, eps = cache
    n = len(x)
    dbeta = dy.sum(axis=0)
    dgamma = (dy * x_hat).sum(axis=0)  # x_hat, not x
    dx_hat = dy * gamma
    dvariance = (dx_hat * (x - mean) * -0.5 * (variance + eps) ** -1.5).sum(axis=0)
    dmean = -(dx_hat / np.sqrt(variance + eps)).sum(axis=0) - 2 * dvariance * (x - mean).mean(axis=0)
    dx = dx_hat / np.sqrt(variance + eps) + dvariance * 2 * (x - mean) / n + dmean / n
    return dx, dgamma, dbeta


def dropout_forward(x, p, random):
    """Each element dropped with probability p; what is kept is divided by 1 - p, so that nothing needs scaling later."""
    mask = (random.random(x.shape) >= p) / (1 - p)
    return x * mask, mask


def dropout_backward(dy, mask):
    """The same mask once more."""
    return dy * mask


def layer_norm_forward(x, gamma, beta, eps=1e-5):
    """Batch norm of the transposed input: over the features of each sample."""
    x_hat = (x - x.mean(axis=1, keepdims=True)) / np.sqrt(x.var(axis=1, keepdims=True) + eps)
    return gamma * x_hat + beta


# ---- as a module of Tensor operations -----------------------------------------------------


class BatchNorm(nn.Module):
    """For inputs of `dims` dimensions, (N, C) or (N, C, *S); no derivative is written down."""

    def __init__(self, features, dims, eps=1e-5, momentum=0.1):
        super().__init__()
        shape = (1, features, *(1,) * (dims - 2))
        self.gamma, self.beta = nn.Parameter(tn.ones(shape)), nn.Parameter(tn.zeros(shape))
        self.register_buffer("moving_mean", tn.zeros(shape))  # buffers are saved and moved, but not trained
        self.register_buffer("moving_var", tn.ones(shape))
        self.eps, self.momentum, self.axes = eps, momentum, (0, *range(2, dims))

    def forward(self, x):
        """By the batch's moments in training (asked of the module, not of the engine), by the moving ones otherwise."""
        if not self.training:
            return self.gamma * (x - self.moving_mean) / tn.sqrt(self.moving_var + self.eps) + self.beta
        mean = x.mean(self.axes, keepdim=True)
        variance = ((x - mean) ** 2).mean(self.axes, keepdim=True)
        n = x.numel() / mean.numel()
        with tn.no_grad():  # the moving moments are no part of the graph; momentum weighs the new value
            self.moving_mean += self.momentum * (mean - self.moving_mean)
            self.moving_var += self.momentum * (variance * n / (n - 1) - self.moving_var)  # unbiased to store
        return self.gamma * (x - mean) / tn.sqrt(variance + self.eps) + self.beta


def compare():
    """The largest differences from the package."""
    random = np.random.default_rng(0)
    x, dy = random.normal(3, 2, (32, 5)), random.normal(size=(32, 5))
    gamma, beta = random.normal(size=5), random.normal(size=5)
    layer = nn.BatchNorm1d(5).double()
    layer.weight.data, layer.bias.data = tn.tensor(gamma), tn.tensor(beta)
    t = tn.tensor(x, requires_grad=True)
    out = layer(t)
    out.backward(tn.tensor(dy))
    y, cache = forward(x, gamma, beta)
    ours = (out.detach(), t.grad, layer.weight.grad, layer.bias.grad)
    pairs = dict(zip(("y", "dx", "dgamma", "dbeta"), zip(ours, (y, *backward(dy, cache)))))
    normalized = nn.functional.layer_norm(tn.tensor(x), (5,), tn.tensor(gamma), tn.tensor(beta))
    pairs["layer norm"] = normalized, layer_norm_forward(x, gamma, beta)
    differences = {name: abs(a.cpu().numpy() - b).max() for name, (a, b) in pairs.items()}

    for dims, theirs in ((2, nn.BatchNorm1d), (4, nn.BatchNorm2d), (5, nn.BatchNorm3d)):
        mine, package = BatchNorm(3, dims).double(), theirs(3).double()
        for _ in range(3):
            batch = tn.tensor(random.normal(1, 2, (8, 3, 4, 4, 4)[:dims]))
            differences[f"module, {dims}D"] = float(abs(mine(batch) - package(batch)).max().detach())
        differences[f"moving variance, {dims}D"] = float(abs(mine.moving_var.flatten() - package.running_var).max())
        differences[f"evaluation, {dims}D"] = float(abs(mine.eval()(batch) - package.eval()(batch)).max().detach())
    return differences


def main(argv=None):
    """Compare, and draw what batch norm does to three features."""
    arguments = start(options(__doc__.splitlines()[0], out="runs/06_batch_norm_by_hand"), argv)
    differences = compare()
    for name, difference in differences.items():
        print(f"{name:24} differs by {difference:.1e}")
    claim("the versions by hand are the package's", max(differences.values()) < 1e-10)
    x = np.random.default_rng(0).normal((-4, 0, 6), (0.5, 3, 1.5), (2000, 3))
    gamma, beta = np.array([1.0, 1.0, 0.5]), np.array([0.0, 0.0, 2.0])
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), sharey=True)
    for axis, values, title in zip(axes, (x, forward(x, gamma, beta)[0]), ("three features before", "and after batch norm")):
        for i, style in enumerate(("-", "--", ":")):
            label = f"gamma {gamma[i]}, beta {beta[i]}"
            axis.hist(values[:, i], bins=30, histtype="step", lw=2, ls=style, label=label, density=True)
        axis.set(title=title, xlabel="value")
    axes[0].set(ylabel="density")
    axes[1].legend()
    save_figure(figure, arguments.out / "figure.png")
    return differences


if __name__ == "__main__":
    main()
