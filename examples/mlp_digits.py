"""Train an MLP on the bundled handwritten digits, with SGD and weight decay.

    python examples/mlp_digits.py

Leaves a checkpoint and a figure of loss and accuracy in the folder --out.
"""

from __future__ import annotations

from common import curves, options, start
from tqdm import tqdm

import tinygrad_norm as tn
from tinygrad_norm import nn, optim
from tinygrad_norm.data import DataLoader, digits


class MLP(nn.Module):
    """64 pixels, two hidden layers, ten classes."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(),
            nn.Linear(64, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, 10),
        )

    def forward(self, x: tn.Tensor) -> tn.Tensor:
        """Logits (N, 10) of images (N, 1, 8, 8)."""
        return self.layers(x)


@tn.no_grad()
def evaluate(model: nn.Module, images: tn.Tensor, labels: tn.Tensor) -> tuple[float, float]:
    """Loss and accuracy on a whole set."""
    model.eval()
    logits = model(images)
    model.train()
    return nn.functional.cross_entropy(logits, labels).item(), (logits.argmax(1) == labels).float().mean().item()


def main(argv: list[str] | None = None) -> float:
    """Train, print a table, save; returns the test accuracy."""
    parser = options(
        __doc__, epochs=30, batch_size=64, lr=0.1, momentum=0.9, weight_decay=1e-3, hidden=200, out="runs/mlp_digits"
    )
    arguments = start(parser, argv)
    epochs = 2 if arguments.quick else arguments.epochs

    train, test = digits(train=True), digits(train=False)
    loader = DataLoader(train, batch_size=arguments.batch_size, shuffle=True)
    model = MLP(arguments.hidden)
    optimizer = optim.SGD(model.parameters(), arguments.lr, arguments.momentum, weight_decay=arguments.weight_decay)
    scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    criterion = nn.CrossEntropyLoss()
    history = {"train loss": [], "test loss": [], "train accuracy": [], "test accuracy": []}

    print(f"{'epoch':>5} {'lr':>8} {'train loss':>11} {'test loss':>10} {'train acc':>10} {'test acc':>9}")
    for epoch in range(1, epochs + 1):
        for x, y in tqdm(loader, desc=f"epoch {epoch}", leave=False):
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            optimizer.step()
        figures = [value for part in (train, test) for value in evaluate(model, *part.tensors)]
        for name, value in zip(("train loss", "train accuracy", "test loss", "test accuracy"), figures):
            history[name].append(value)
        lr = scheduler.get_last_lr()[0]
        print(f"{epoch:5} {lr:8.4f} {figures[0]:11.4f} {figures[2]:10.4f} {figures[1]:10.2%} {figures[3]:9.2%}")
        scheduler.step()

    tn.save(model.state_dict(), arguments.out / "model.safetensors")
    print(f"checkpoint: {arguments.out / 'model.safetensors'}")
    panels = {kind: {part: history[f"{part} {kind}"] for part in ("train", "test")} for kind in ("loss", "accuracy")}
    curves(arguments.out / "curves.png", panels)
    return history["test accuracy"][-1]


if __name__ == "__main__":
    main()
