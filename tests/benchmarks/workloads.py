"""What is timed. Each workload is given a library, tinygrad_norm or torch, and returns a function to call."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def chain(lib) -> Callable:
    """1,000 times b * 1.001 on 10 floats, forward and backward."""
    x = lib.ones(10, requires_grad=True)

    def run() -> None:
        y = x
        for _ in range(1000):
            y = y * 1.001
        y.sum().backward()

    return run


def mlp(lib) -> Callable:
    """20 steps of SGD on the MLP 1-200-200-200-1 with 10 points."""
    nn = lib.nn
    net = nn.Sequential(
        nn.Linear(1, 200),
        nn.ReLU(True),
        nn.Linear(200, 200),
        nn.ReLU(True),
        nn.Linear(200, 200),
        nn.ReLU(True),
        nn.Linear(200, 1),
    )
    optimizer = lib.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-2)
    criterion = nn.MSELoss()
    x = lib.linspace(-1, 1, 10).unsqueeze(1)
    y = 1.5 * x

    def run() -> None:
        for _ in range(20):
            optimizer.zero_grad()
            criterion(net(x), y).backward()
            optimizer.step()

    return run


def small_ops(lib) -> Callable:
    """100 times tanh(x @ w + b) less its mean over the rows, on (8, 16), forward and backward."""
    x, w, b = (lib.randn(*shape, requires_grad=True) for shape in ((8, 16), (16, 16), (16,)))

    def run() -> None:
        x.grad = w.grad = b.grad = None
        y = x
        for _ in range(100):
            y = (y @ w + b).tanh()
            y = y - y.mean(0)
        (y * y).sum().backward()

    return run


def wide_mlp(nn):
    """784-512-512-10 with ReLU and dropout."""
    hidden = [nn.Linear(784, 512), nn.ReLU(), nn.Dropout(), nn.Linear(512, 512), nn.ReLU(), nn.Dropout()]
    return nn.Sequential(*hidden, nn.Linear(512, 10))


def vgg(nn):
    """Three blocks of two 3x3 convolutions with GroupNorm, 32 to 128 channels, on (N, 3, 32, 32)."""
    layers, before = [], 3
    for channels in (32, 64, 128):
        for _ in range(2):
            layers += [nn.Conv2d(before, channels, 3, padding=1), nn.GroupNorm(8, channels), nn.ReLU()]
            before = channels
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(128 * 4 * 4, 10))


def lenet5(nn):
    """LeNet with batch norm and ReLU on (N, 3, 32, 32)."""
    return nn.Sequential(
        *(nn.Conv2d(3, 6, 5), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(400, 120), nn.BatchNorm1d(120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)),
    )


def lenet_d2l(nn):
    """LeNet with batch norm and sigmoid on (N, 1, 28, 28)."""
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 5), nn.BatchNorm2d(6), nn.Sigmoid(), nn.AvgPool2d(2, 2)),
        *(nn.Conv2d(6, 16, 5), nn.BatchNorm2d(16), nn.Sigmoid(), nn.AvgPool2d(2, 2), nn.Flatten()),
        *(nn.Linear(256, 120), nn.BatchNorm1d(120), nn.Sigmoid()),
        *(nn.Linear(120, 84), nn.BatchNorm1d(84), nn.Sigmoid(), nn.Linear(84, 10)),
    )


def training(build: Callable, shape: tuple[int, ...], lr: float = 0.1) -> Callable:
    """One training step: forward, cross-entropy, backward, SGD."""

    def make(lib) -> Callable:
        net = build(lib.nn)
        optimizer = lib.optim.SGD(net.parameters(), lr=lr)
        criterion = lib.nn.CrossEntropyLoss()
        x = lib.tensor(np.random.default_rng(0).random(shape, dtype="float32"))
        y = lib.tensor(np.random.default_rng(1).integers(0, 10, shape[0]))

        def run() -> None:
            optimizer.zero_grad()
            criterion(net(x), y).backward()
            optimizer.step()

        return run

    return make


def conv2d(shape: tuple[int, ...], outputs: int, kernel: int) -> Callable:
    """A convolution, forward and backward to input and weight."""

    def make(lib) -> Callable:
        layer = lib.nn.Conv2d(shape[1], outputs, kernel)
        x = lib.tensor(np.random.default_rng(0).random(shape, dtype="float32"), requires_grad=True)
        g = lib.ones_like(layer(x)).detach()

        def run() -> None:
            layer.zero_grad()
            x.grad = None
            layer(x).backward(g)

        return run

    return make


def layer(build: Callable, shape: tuple[int, ...], backward: bool) -> Callable:
    """A layer, forward alone (without gradients) or forward and backward."""

    def make(lib) -> Callable:
        net = build(lib.nn)
        x = lib.tensor(np.random.default_rng(0).standard_normal(shape, dtype="float32"), requires_grad=backward)
        g = lib.tensor(np.random.default_rng(1).standard_normal(shape, dtype="float32"))

        def forward() -> None:
            with lib.no_grad():
                net(x)

        def both() -> None:
            net.zero_grad()
            x.grad = None
            net(x).backward(g)

        return both if backward else forward

    return make


def norms() -> dict[str, Callable]:
    """Each norm at the sizes that count."""
    found = []
    for shape in ((32, 64, 32, 32), (256, 6, 24, 24)):
        c = shape[1]
        for name, build in (
            ("BatchNorm2d", lambda nn, c=c: nn.BatchNorm2d(c)),
            ("LayerNorm", lambda nn, shape=shape: nn.LayerNorm(shape[1:])),
            ("InstanceNorm2d", lambda nn, c=c: nn.InstanceNorm2d(c, affine=True)),
            ("GroupNorm", lambda nn, c=c: nn.GroupNorm(2, c)),
        ):
            found.append((name, build, shape))
    found.append(("BatchNorm1d", lambda nn: nn.BatchNorm1d(120), (256, 120)))
    found.append(("LayerNorm", lambda nn: nn.LayerNorm(768), (8, 512, 768)))
    return {
        f"{name} {shape}, {what}": layer(build, shape, backward)
        for name, build, shape in found
        for what, backward in (("forward", False), ("forward and backward", True))
    }


def cross_entropy(rows: int, classes: int) -> Callable:
    """The loss of logits (rows, classes), forward and backward."""

    def make(lib) -> Callable:
        logits = lib.tensor(np.random.default_rng(0).normal(size=(rows, classes)).astype("float32"), requires_grad=True)
        labels = lib.tensor(np.random.default_rng(1).integers(0, classes, rows))

        def run() -> None:
            logits.grad = None
            lib.nn.functional.cross_entropy(logits, labels).backward()

        return run

    return make


def optimizer_step(name: str) -> Callable:
    """One step on a million parameters."""

    def make(lib) -> Callable:
        p = lib.zeros(1000, 1000, requires_grad=True)
        p.grad = lib.ones(1000, 1000)
        optimizer = getattr(lib.optim, name)([p], lr=1e-3, **({"momentum": 0.9} if name == "SGD" else {}))
        return optimizer.step

    return make


BY_NAME: dict[str, Callable] = {
    "op chain, 1,000 ops": chain,
    "small ops, 100 of each": small_ops,
    "MLP 1-200-200-200-1, 20 steps": mlp,
    "MLP 784-512-512-10 with dropout, batch 128": training(wide_mlp, (128, 784)),
    "LeNet with BN, batch 16 of (3, 32, 32)": training(lenet5, (16, 3, 32, 32)),
    "LeNet with BN, batch 64 of (3, 32, 32)": training(lenet5, (64, 3, 32, 32)),
    "LeNet of d2l with BN, batch 32 of (1, 28, 28)": training(lenet_d2l, (32, 1, 28, 28)),
    "LeNet of d2l with BN, batch 256 of (1, 28, 28)": training(lenet_d2l, (256, 1, 28, 28)),
    "small VGG with GroupNorm, batch 32 of (3, 32, 32)": training(vgg, (32, 3, 32, 32), lr=0.01),
    **norms(),
    "conv2d (256, 1, 28, 28), 6 of 5x5": conv2d((256, 1, 28, 28), 6, 5),
    "conv2d (256, 6, 12, 12), 16 of 5x5": conv2d((256, 6, 12, 12), 16, 5),
    "conv2d (32, 64, 32, 32), 64 of 3x3": conv2d((32, 64, 32, 32), 64, 3),
    "cross-entropy (256, 10)": cross_entropy(256, 10),
    "cross-entropy (4096, 1000)": cross_entropy(4096, 1000),
    "SGD, 1,000,000 parameters": optimizer_step("SGD"),
    "Adam, 1,000,000 parameters": optimizer_step("Adam"),
}
