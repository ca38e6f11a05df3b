"""What holds between processes: mpiexec -n 2 python tests/mpi_checks.py NAME. Run by test_distributed.py.

Each process compares with what it computes alone, from the data of all.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers import close, host, leaf
from numpy.random import default_rng

import tinygrad_norm as tn
from tinygrad_norm import autograd, nn, optim
from tinygrad_norm.data import DataLoader, DistributedSampler, TensorDataset
from tinygrad_norm.distributed import (
    SyncBatchNorm,
    all_reduce,
    barrier,
    end_all_on_error,
    get_rank,
    get_world_size,
    set_timeout,
)
from tinygrad_norm.mpi import everybody, gather_objects
from tinygrad_norm.nn.parallel import DistributedDataParallel as DDP

RANK, P = get_rank(), get_world_size()
TIGHT = 1e-10


def net(norm: str, seed: int = 0) -> nn.Module:
    """A small convolutional net in float64 with one of the norms."""
    tn.manual_seed(seed)
    norms: dict[str, Callable] = {
        "batch": lambda n, d: nn.BatchNorm2d(n) if d == 4 else nn.BatchNorm1d(n),
        "layer": lambda n, d: nn.LayerNorm((n, 6, 6) if d == 4 else n),
        "instance": lambda n, d: nn.InstanceNorm2d(n, affine=True, track_running_stats=False) if d == 4 else nn.Identity(),
        "group": lambda n, d: nn.GroupNorm(2, n),
        "none": lambda n, d: nn.Identity(),
    }
    make = norms[norm]
    return nn.Sequential(
        *(nn.Conv2d(1, 4, 3), make(4, 4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 8), make(8, 2), nn.Tanh(), nn.Linear(8, 3))
    ).double()


def dataset(count: int) -> TensorDataset:
    random = default_rng(1)
    return TensorDataset(tn.tensor(random.normal(3, 2, (count, 1, 8, 8))), tn.tensor(random.integers(0, 3, count)))


OPTIMIZERS: dict[str, Callable] = {
    "sgd": lambda parameters: optim.SGD(parameters, 0.05, momentum=0.9, weight_decay=0.01),
    "adam": lambda parameters: optim.Adam(parameters, 0.01),
}


def train(model: nn.Module, batches, optimizer, clip: float = 0.5) -> list[float]:
    losses = []
    for x, y in batches:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        losses.append(loss.item())
    return losses


def loaders(count: int, batch: int, epoch: int = 0):
    """The batches of this process, and those of a single one in its place: the same examples, P times as many."""
    sampler = DistributedSampler(items := dataset(count))
    sampler.set_epoch(epoch)
    orders = [DistributedSampler(items, P, rank) for rank in range(P)]
    for o in orders:
        o.set_epoch(epoch)
    alone = [i for row in zip(*orders) for i in row]
    return DataLoader(items, batch, sampler=sampler), DataLoader(items, batch * P, sampler=alone)


def same_state(found: nn.Module, expected: nn.Module, tolerance: float = TIGHT) -> None:
    a, b = found.state_dict(), expected.state_dict()
    assert list(a) == list(b)
    for key in a:
        close(a[key], b[key], tolerance)


# ---- what holds ---------------------------------------------------------------------------


def many_train_as_one() -> None:
    """P processes with batches of B: one with P * B, with all norms, optimizers, clipping, in one bucket and in many."""
    for norm in ("batch", "layer", "instance", "group", "none"):
        for make in OPTIMIZERS.values():
            for cap in (None, 1e-3):
                model = net(norm, seed=RANK)  # overwritten by those of process 0
                model = DDP(SyncBatchNorm.convert_sync_batchnorm(model), bucket_cap_mb=cap)
                assert len(model._buckets) == 1 if cap is None else len(model._buckets) > 2
                mine, all_of_them = loaders(20 * P, 4)
                losses = train(model, mine, make(model.parameters()))
                single = net(norm, seed=0)
                expected = train(single, all_of_them, make(single.parameters()))
                close(np.mean(gather_objects(losses), axis=0), np.array(expected), TIGHT)
                same_state(model.module, single)
                assert len(set(map(str, gather_objects([host(v).tobytes() for v in model.parameters()])))) == 1, "the same bits"


def without_sync_many_are_not_one() -> None:
    """Batch norm of each process' own is another function; the test above can fail."""
    model = DDP(net("batch"))
    mine, all_of_them = loaders(20 * P, 4)
    train(model, mine, OPTIMIZERS["sgd"](model.parameters()))
    single = net("batch")
    train(single, all_of_them, OPTIMIZERS["sgd"](single.parameters()))
    assert np.abs(host(model.module[0].weight) - host(single[0].weight)).max() > 1e-4


def all_reduce_has_every_derivative() -> None:
    random = default_rng(0)
    xs, cs, ds = random.normal(size=(3, P, 2, 3))
    x, alone = leaf(xs[RANK]), leaf(xs)
    c, d = tn.tensor(cs[RANK]), tn.tensor(ds[RANK])
    y = all_reduce(x.sin())
    total = alone.sin().sum(0)
    close(y, total)
    (g,) = autograd.grad((y**3 * c).sum(), x, create_graph=True)
    (g1,) = autograd.grad((total**3 * tn.tensor(cs)).sum(), alone, create_graph=True)
    close(g, host(g1)[RANK], TIGHT)
    (h,) = autograd.grad((g * d).sum(), x, create_graph=True)
    (h1,) = autograd.grad((g1 * tn.tensor(ds)).sum(), alone, create_graph=True)
    close(h, host(h1)[RANK], TIGHT)
    (third,) = autograd.grad((h * h).sum(), x)
    (third1,) = autograd.grad((h1 * h1).sum(), alone)
    close(third, host(third1)[RANK], 1e-9)
    for values in (np.ones(3, "float16"), np.float32(2), np.array([1, 2]), np.array([True, False]), np.ones((0, 2))):
        found = all_reduce(tn.tensor(values))
        close(found, values * P if values.dtype != bool else values * 1 * P)
        assert found.dtype == (values.dtype if values.dtype != bool else np.int64)


def shares(random, of: tuple, empty: bool) -> tuple[np.ndarray, slice]:
    """Data of all processes, and which part is mine: process r has r + 2 samples, or (empty) process 0 none."""
    counts = [r + 2 if r or not empty else 0 for r in range(P)]
    ends = np.cumsum([0, *counts])
    return random.normal(1, 3, (ends[-1], *of)), slice(ends[RANK], ends[RANK + 1])


def sync_batch_norm_is_batch_norm_of_all() -> None:
    """Value, running moments, gradients and second gradients, for unequal and empty shares."""
    for shape, empty, affine in (((3, 2, 2), False, True), ((3,), False, False), ((3, 4), True, True)):
        random = default_rng(2)
        x_all, mine = shares(random, shape, empty)
        c_all, d_all = random.normal(size=(2, *x_all.shape))
        sync = SyncBatchNorm(3, affine=affine, momentum=None).double()
        single = {1: nn.BatchNorm1d, 2: nn.BatchNorm1d, 3: nn.BatchNorm2d}[len(shape)](3, affine=affine, momentum=None).double()
        if affine:
            for norm in (sync, single):
                norm.weight.data, norm.bias.data = tn.tensor([0.5, -1.0, 2.0]).double(), tn.tensor([1.0, 2.0, 3.0]).double()
        x, alone = leaf(x_all[mine]), leaf(x_all)
        y, expected = sync(x), single(alone)
        close(y, host(expected)[mine], TIGHT)
        close(sync.running_mean, single.running_mean, TIGHT)
        close(sync.running_var, single.running_var, TIGHT)
        assert int(sync.num_batches_tracked) == 1
        wanted = (x, *sync.parameters()), (alone, *single.parameters())
        for create_graph in (False, True):
            losses = (y**2 * tn.tensor(c_all[mine])).sum(), (expected**2 * tn.tensor(c_all)).sum()
            g, g1 = (autograd.grad(loss, w, retain_graph=True, create_graph=create_graph) for loss, w in zip(losses, wanted))
            close(g[0], host(g1[0])[mine], TIGHT)
            for found, of_all in zip(g[1:], g1[1:]):
                close(all_reduce(found.detach()), of_all, TIGHT)
        seconds = (g[0] * tn.tensor(d_all[mine])).sum(), (g1[0] * tn.tensor(d_all)).sum()
        for p, q in zip(g[1:], g1[1:]):  # sums over processes, taken to one value before they are squared
            seconds = seconds[0] + (all_reduce(p) ** 2).sum() / P, seconds[1] + (q**2).sum()
        h, h1 = (autograd.grad(s, w, allow_unused=True) for s, w in zip(seconds, wanted))
        close(h[0], host(h1[0])[mine], 1e-9)
        for found, of_all in zip(h[1:], h1[1:]):
            if of_all is not None:
                close(all_reduce(found), of_all, 1e-9)
        sync.eval(), single.eval()
        close(sync(x), host(single(alone))[mine], TIGHT)


def large_means_stay_exact() -> None:
    random = default_rng(3)
    x_all, mine = shares(random, (3, 5), False)
    for far, tolerance in ((1e8, 1e-7), (0.0, TIGHT)):  # the mean itself is rounded to 1e-8
        sync, single = SyncBatchNorm(3).double(), nn.BatchNorm1d(3).double()
        close(sync(tn.tensor(x_all[mine] + far)), host(single(tn.tensor(x_all + far)))[mine], tolerance)
        close(sync.running_var, single.running_var, tolerance)
    ints = tn.tensor((2.0**20 + random.integers(0, 8, (4, 3))).astype("float32"))  # exact in float32, their squares are not
    sync = SyncBatchNorm(3)
    sync(ints)
    rows = np.concatenate(gather_objects(host(ints))).astype("float64")
    close(sync.running_var, (0.9 + 0.1 * rows.var(axis=0, ddof=1)).astype("float32"), 1e-6)


def gradients_accumulate_without_sync() -> None:
    """no_sync() and then one backward: the mean of the sums, as backward of all with sync gives."""
    batches = list(loaders(12 * P, 4)[0])
    model, eager = DDP(net("layer")), DDP(net("layer"))
    for x, y in batches:
        nn.functional.cross_entropy(eager(x), y).backward()
    with model.no_sync():
        for x, y in batches[:-1]:
            nn.functional.cross_entropy(model(x), y).backward()
    own = host(model.module[0].weight.grad)
    assert np.abs(own - gather_objects(own)[(RANK + 1) % P]).max() > 1e-6, "each process' own"
    x, y = batches[-1]
    nn.functional.cross_entropy(model(x), y).backward()
    for p, q in zip(model.parameters(), eager.parameters()):
        close(p.grad, q.grad, TIGHT)


def unequal_batches_by_their_share() -> None:
    """A process with more examples multiplies its loss by its share of them, as the docstring says."""
    items, counts = dataset(sum(range(2, P + 2))), list(range(2, P + 2))
    start = sum(counts[:RANK])
    x, y = (t[start : start + counts[RANK]] for t in items.tensors)
    model, single = DDP(SyncBatchNorm.convert_sync_batchnorm(net("batch"))), net("batch")
    (nn.functional.cross_entropy(model(x), y) * (P * counts[RANK] / sum(counts))).backward()
    nn.functional.cross_entropy(single(items.tensors[0]), items.tensors[1]).backward()
    for p, q in zip(model.parameters(), single.parameters()):
        close(p.grad, q.grad, TIGHT)


class Branches(nn.Module):
    """Uses one of its two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right, self.never = nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2)

    def forward(self, x, left):
        return {"y": [(self.left if left else self.right)(x)]}


def unused_parameters_are_refused_or_zeros() -> None:
    tn.manual_seed(0)
    x = tn.ones(1, 2)
    for cap in (None, 1e-5):
        refusing = DDP(Branches(), bucket_cap_mb=cap)
        with pytest.raises(RuntimeError) as error:
            refusing(x, RANK == 0)["y"][0].sum().backward()
        for text in (f"left.weight has a gradient in 1 of {P}", f"right.bias has a gradient in {P - 1} of {P}", "never.bias"):
            assert text in str(error.value)
        lenient = DDP(Branches(), find_unused_parameters=True, bucket_cap_mb=cap)
        for _ in range(2):
            lenient.zero_grad()
            lenient(x, RANK == 0)["y"][0].sum().backward()
            close(lenient.module.left.weight.grad, np.ones((2, 2), "float32") / P, 1e-6)
            close(lenient.module.right.bias.grad, np.ones(2, "float32") * (P - 1) / P, 1e-6)
            assert lenient.module.never.weight.grad is None


def different_models_are_refused() -> None:
    with pytest.raises(RuntimeError, match=rf"the models differ: process {P - 1} has \('weight', \[3, 2\]"):
        DDP(nn.Linear(2, 3 if RANK == P - 1 else 2))


def wrong_uses_are_refused() -> None:
    frozen = nn.Linear(1, 1).requires_grad_(False)
    wrongs: tuple = (
        (lambda: DDP(nn.ReLU()), RuntimeError, "not needed when a module doesn't have any parameters"),
        (lambda: DDP(frozen), RuntimeError, "not needed"),
        (lambda: DDP("net"), TypeError, "expected a Module, but got str"),
        (lambda: DDP(nn.Linear(1, 1), bucket_cap_mb=0), ValueError, "bucket_cap_mb has to be positive"),
        (lambda: DDP(nn.Linear(1, 1), process_group=3), TypeError, "a process group is a communicator"),
        (lambda: DDP(nn.LazyLinear(1)), RuntimeError, "weight, bias: not initialised yet"),
        (lambda: SyncBatchNorm(2)(tn.ones(int(RANK == 0), 2)), ValueError, "got 1 in all processes together"),
        (lambda: SyncBatchNorm(2, eps=0.0)(tn.ones(4, 2)), ValueError, "eps has to be positive"),
        (
            lambda: (DDP(nn.Linear(1, 1))(tn.ones(1, 1)) ** 2).sum().backward(create_graph=True),
            RuntimeError,
            "not their histories",
        ),
    )
    for wrong, kind, text in wrongs:
        with pytest.raises(kind, match=text):
            wrong()
    model = DDP(nn.Linear(1, 1))
    out = model(tn.ones(1, 1))
    out.register_hook(lambda g: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        out.sum().backward()
    with pytest.raises(RuntimeError, match="Expected to have finished reduction"):
        model(tn.ones(1, 1))
    model = DDP(nn.Linear(1, 1))
    tn.autograd.grad(model(tn.ones(1, 1)).sum(), model.module.weight)  # not backward: nothing is exchanged
    model.eval()
    with tn.no_grad():
        model(tn.ones(1, 1))


def the_hook_for_errors_can_be_taken_back() -> None:
    hook = sys.excepthook
    end_all_on_error(False)
    assert sys.excepthook is sys.__excepthook__
    end_all_on_error()
    assert sys.excepthook is hook


def a_smaller_group_is_apart() -> None:
    pair = everybody().Split(RANK % 2, RANK)
    members = len(range(RANK % 2, P, 2))
    close(all_reduce(tn.ones(2), group=pair), np.full(2, members, "float32"))
    model = DDP(nn.Linear(1, 1), process_group=pair)
    (model(tn.ones(1, 1)) * (RANK + 1)).sum().backward()
    close(model.module.weight.grad, np.array([[np.mean([r + 1 for r in range(RANK % 2, P, 2)])]], "float32"))


def gradients_start_before_backward_ends() -> None:
    """The buckets of the last layers are on their way while backward is at the first."""
    model = DDP(nn.Sequential(*(nn.Linear(64, 64) for _ in range(4))), bucket_cap_mb=0.02)
    seen: list[int] = []

    def watch(module, inputs, output) -> None:
        output.register_hook(lambda g: seen.append(len(model._on_its_way)))

    model.module[0].register_forward_hook(watch)
    model(tn.ones(2, 64)).sum().backward()
    assert seen[0] == 2, seen  # of the layers 3 and 2; the third waits for the bias of layer 0
    assert len(model._buckets) >= 4


def a_checkpoint_resumes_on_another_number() -> None:
    """Three epochs by all; or two by all, and the third by process 0 alone, from the file."""

    def epochs(model, optimizer, numbers, alone):
        for epoch in numbers:
            train(model, loaders(8 * P, 4, epoch)[alone], optimizer)

    model = DDP(SyncBatchNorm.convert_sync_batchnorm(net("batch")))
    optimizer = OPTIMIZERS["adam"](model.parameters())
    epochs(model, optimizer, (0, 1), False)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "checkpoint.safetensors"
        if RANK == 0:
            tn.save({"model": model.module.state_dict(), "optimizer": optimizer.state_dict()}, path)
        barrier()
        epochs(model, optimizer, (2,), False)
        if RANK == 0:
            found, single = tn.load(path), net("batch", seed=7)
            single.load_state_dict(found["model"])
            other = OPTIMIZERS["adam"](single.parameters())
            other.load_state_dict(found["optimizer"])
            epochs(single, other, (2,), True)
            same_state(model.module, single)
        barrier()
    assert next(iter(model.state_dict())) == "module.0.weight"


# ---- what ends all ------------------------------------------------------------------------


def fails_one() -> None:
    """Process 1 raises; the others wait for it."""
    if RANK == 1:
        raise ValueError("this one fails")
    all_reduce(tn.ones(1))


def fails_leaving() -> None:
    """Process 1 takes one step less."""
    model = DDP(nn.Linear(1, 1))
    for _ in range(3 - (RANK == 1)):
        model(tn.ones(1, 1)).sum().backward()


def fails_in_another_mode() -> None:
    """Process 1 evaluates, the others train: found at the exchange that comes next."""
    model = DDP(SyncBatchNorm.convert_sync_batchnorm(net("batch")))
    model.train(RANK != 1)
    model(tn.randn(4, 1, 8, 8).double()).sum().backward()


def fails_late() -> None:
    """Process 1 does not come."""
    set_timeout(2)
    if RANK == 1:
        time.sleep(100)
    gather_objects(RANK)


if __name__ == "__main__":
    globals()[sys.argv[1]]()
    sys.stdout.write(f"{sys.argv[1]} holds in process {RANK}\n")  # in one piece
