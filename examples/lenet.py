"""Train a LeNet on the bundled handwritten digits, or on MNIST or Fashion-MNIST.

    python examples/lenet.py

Leaves in the folder --out: checkpoint.safetensors, curves.png, least_certain.png, and TensorBoard logs. A checkpoint
that is there already is set aside.
Ctrl-C stops after the batch, with a checkpoint; --resume goes on from it and ends, bit for bit, where a run
without interruption ends.
"""

from __future__ import annotations

import argparse
import itertools
import time
from pathlib import Path
from typing import Any

from common import NORMS, LeNet, curves, draw_least_certain, evaluate, interruptible, load_data, options, start
from tqdm import tqdm

import tinygrad_norm as tn
from tinygrad_norm import data, nn, optim
from tinygrad_norm.tensorboard import SummaryWriter

OPTIMIZERS = {
    "sgd": lambda p, a: optim.SGD(p, a.lr, momentum=0.9, weight_decay=a.weight_decay),
    "adam": lambda p, a: optim.Adam(p, a.lr, weight_decay=a.weight_decay),
    "adamw": lambda p, a: optim.AdamW(p, a.lr, weight_decay=a.weight_decay),
}


LEARNING_RATES = {"sgd": 0.03, "adam": 0.002, "adamw": 0.002}


class Training:
    """Everything that a checkpoint holds: model, optimizer, scheduler, generators, the place in the epoch."""

    def __init__(self, arguments: argparse.Namespace, train: data.TensorDataset) -> None:
        self.model = LeNet(arguments.model, arguments.norm, arguments.dropout)
        self.optimizer = OPTIMIZERS[arguments.optimizer](self.model.parameters(), arguments)
        self.scheduler = optim.lr_scheduler.CosineAnnealingLR(self.optimizer, arguments.epochs)
        self.shuffling = tn.Generator().manual_seed(arguments.seed)
        self.loader = data.DataLoader(train, arguments.batch_size, shuffle=True, generator=self.shuffling)
        self.epoch, self.batch, self.loss_sum = 0, 0, 0.0
        self.order = self.shuffling.get_state()  # of the generator at the start of the epoch
        self.history: dict[str, list[float]] = {}
        names = "data model norm dropout optimizer lr weight_decay batch_size epochs seed".split()
        self.fixed = {name: getattr(arguments, name) for name in names}

    def save(self, path: Path) -> None:
        """Write the checkpoint."""
        state: dict[str, Any] = {name: getattr(self, name).state_dict() for name in ("model", "optimizer", "scheduler")}
        state |= {name: getattr(self, name) for name in ("epoch", "batch", "loss_sum", "order", "history", "fixed")}
        tn.save({**state, "random": tn.default_generator.get_state()}, path)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint of a run with the same options."""
        state = tn.load(path)
        for name, value in self.fixed.items():
            if state["fixed"][name] != value:
                raise SystemExit(f"--resume: {path} was made with --{name} {state['fixed'][name]}, not {value}")
        for name in ("model", "optimizer", "scheduler"):
            getattr(self, name).load_state_dict(state[name])
        for name in ("epoch", "batch", "loss_sum", "order", "history"):
            setattr(self, name, state[name])
        tn.default_generator.set_state(state["random"])

    def batches(self):
        """What is left of this epoch, in its order."""
        self.shuffling.set_state(self.order)
        return itertools.islice(self.loader, self.batch, None)

    def step(self, x: tn.Tensor, y: tn.Tensor) -> float:
        """One batch; returns its loss."""
        self.optimizer.zero_grad()
        loss = nn.functional.cross_entropy(self.model(x), y)
        loss.backward()
        self.optimizer.step()
        self.batch += 1
        self.loss_sum += loss.item()
        return loss.item()

    def finish_epoch(self, **figures: float) -> None:
        """Note the epoch's figures and go on to the next."""
        for name, value in {"train loss": self.loss_sum / len(self.loader), **figures}.items():
            self.history.setdefault(name, []).append(value)
        self.scheduler.step()
        self.order = self.shuffling.get_state()
        self.epoch, self.batch, self.loss_sum = self.epoch + 1, 0, 0.0


def set_aside(path: Path) -> Path:
    """Give the file a name that is not taken yet: checkpoint-1.safetensors, say."""
    free = next(p for i in itertools.count(1) if not (p := path.with_stem(f"{path.stem}-{i}")).exists())
    return path.rename(free)


def main(argv: list[str] | None = None) -> float:
    """Train; returns the test accuracy."""
    defaults = {"epochs": 15, "batch_size": 64, "weight_decay": 1e-3, "dropout": 0.0}
    parser = options(__doc__.splitlines()[0], **defaults, out="runs/lenet", root="data")
    parser.add_argument("--data", choices=["digits", "mnist", "fashion-mnist"], default="digits", help="what to train on")
    parser.add_argument("--download", action="store_true", help="fetch the data into --root where it is missing")
    parser.add_argument("--model", choices=["lenet5", "d2l", "rgb"], default="lenet5", help="which LeNet")
    parser.add_argument("--norm", choices=list(NORMS), default="batch", help="the norm after each layer")
    parser.add_argument("--optimizer", choices=list(OPTIMIZERS), default="sgd", help="the update rule")
    rates = ", ".join(f"{rate} for {name}" for name, rate in LEARNING_RATES.items())
    parser.add_argument("--lr", type=float, default=argparse.SUPPRESS, help=f"learning rate at the start (default: {rates})")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out")
    arguments = start(parser, argv)
    arguments.epochs = 1 if arguments.quick else arguments.epochs
    arguments.lr = getattr(arguments, "lr", LEARNING_RATES[arguments.optimizer])
    checkpoint = arguments.out / "checkpoint.safetensors"

    train, test = load_data(arguments)
    training = Training(arguments, train)
    if arguments.resume and checkpoint.exists():
        training.load(checkpoint)
    elif arguments.resume:
        print(f"there is no {checkpoint} yet: starting anew")
    elif checkpoint.exists():
        print(f"the checkpoint of an earlier run is kept as {set_aside(checkpoint)}")
    table = "{:>5} {:>8} {:>11} {:>10} {:>9} {:>11}"
    print(table.format("epoch", "lr", "train loss", "test loss", "test acc", "examples/s"))
    with SummaryWriter(str(arguments.out / "tensorboard")) as writer, interruptible() as stopped:
        while training.epoch < arguments.epochs and not stopped:
            began, done = time.perf_counter(), training.batch
            bar = tqdm(training.batches(), f"epoch {training.epoch + 1}", len(training.loader), False, initial=training.batch)
            for x, y in bar:
                loss = training.step(x, y)
                rate = (training.batch - done) * arguments.batch_size / (time.perf_counter() - began)
                bar.set_postfix(loss=f"{loss:.4f}", examples_per_s=f"{rate:.0f}", refresh=False)
                if stopped:
                    break
            if training.batch == len(training.loader):
                test_loss, accuracy, _ = evaluate(training.model, test)
                lr = training.scheduler.get_last_lr()[0]
                training.finish_epoch(**{"test loss": test_loss, "test accuracy": accuracy})
                figures = {name: values[-1] for name, values in training.history.items()}
                for name, value in figures.items():
                    writer.add_scalar(name.replace(" ", "_"), value, training.epoch)
                row = (f"{lr:.4f}", f"{figures['train loss']:.4f}", f"{test_loss:.4f}", f"{accuracy:.2%}", f"{rate:.0f}")
                print(table.format(training.epoch, *row))
            training.save(checkpoint)
    print(f"checkpoint: {checkpoint}")
    if training.epoch < arguments.epochs:
        print("stopped: --resume goes on from here")
        return 0.0
    history = training.history
    panels = {
        "loss": {"train": history["train loss"], "test": history["test loss"]},
        "test accuracy": {arguments.norm + " norm": history["test accuracy"]},
    }
    curves(arguments.out / "curves.png", panels)
    draw_least_certain(arguments.out / "least_certain.png", test, evaluate(training.model, test)[2])
    return history["test accuracy"][-1]


if __name__ == "__main__":
    main()
