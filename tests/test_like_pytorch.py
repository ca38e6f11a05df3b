"""Modules, optimizers, schedulers, data and files, where programs written for PyTorch rely on details."""

from __future__ import annotations

import collections
import copy
import gzip
import io
import os
import pickle
import stat
import struct
import threading
import warnings

import numpy as np
import pytest
from helpers import close, constant, leaf

import tinygrad_norm as tn
from tinygrad_norm import data, nn, optim
from tinygrad_norm.optim import lr_scheduler

# ---- modules ------------------------------------------------------------------------------


def test_train_goes_through_each_childs_own_train() -> None:
    class Frozen(nn.BatchNorm1d):
        def train(self, mode=True):
            return super().train(False)

    net = nn.Sequential(Frozen(2), nn.Dropout()).train()
    assert [m.training for m in net] == [False, True]
    net(tn.ones(4, 2))
    close(net[0].running_mean, [0.0, 0.0])


def test_reset_parameters_forgets_what_was_seen() -> None:
    for norm, x in ((nn.BatchNorm1d(2), tn.ones(4, 2)), (nn.InstanceNorm1d(2, track_running_stats=True), tn.rand(3, 2, 4))):
        norm(x)
        norm.reset_parameters()
        assert (norm.running_mean.tolist(), norm.running_var.tolist(), int(norm.num_batches_tracked)) == ([0, 0], [1, 1], 0)


def test_a_call_that_failed_has_changed_nothing() -> None:
    bn = nn.BatchNorm1d(3)
    before = copy.deepcopy(bn.state_dict())
    for bad in (tn.ones(4, 2), tn.ones(1, 3), tn.ones(4, 3, dtype="float64"), tn.ones(4, 3, dtype="int64")):
        with pytest.raises((RuntimeError, ValueError)):
            bn(bad)
    for key, value in bn.state_dict().items():
        close(value, before[key])


def test_containers_count_modules_only() -> None:
    class Net(nn.Sequential):
        def __init__(self) -> None:
            super().__init__(nn.Linear(2, 2), nn.ReLU())
            self.scale = nn.Parameter(tn.ones(1))
            self.register_buffer("mean", tn.zeros(1))

    net = Net()
    assert (len(net), type(net[-1])) == (2, nn.ReLU)
    net.append(nn.Tanh()).insert(0, nn.Identity())
    assert [type(m).__name__ for m in net] == ["Identity", "Linear", "ReLU", "Tanh"]
    assert set(net.state_dict()) == {"scale", "mean", "1.weight", "1.bias"}


@pytest.mark.parametrize("kind", [nn.Sequential, lambda *m: nn.ModuleList(m)])
def test_containers_are_edited_as_lists_are(kind) -> None:
    row = kind(nn.Linear(2, 2), nn.ReLU())
    row[1] = nn.Tanh()
    row.insert(1, nn.ReLU())
    row += [nn.Sigmoid()]
    assert [type(m).__name__ for m in row] == ["Linear", "ReLU", "Tanh", "Sigmoid"]
    assert type(row.pop(-1)) is nn.Sigmoid
    del row[0]
    assert [name for name, _ in row.named_children()] == ["0", "1"]
    assert len(row + kind(nn.ReLU())) == 3
    assert len(row[:1]) == 1
    del row[:]
    assert len(row) == 0
    for bad in (5, "relu", nn.ReLU):
        with pytest.raises(TypeError, match="not a Module subclass"):
            row.append(bad)


def test_a_dict_of_modules() -> None:
    d = nn.ModuleDict({"a": nn.Linear(1, 1), "b": nn.ReLU()})
    d["c"] = nn.Tanh()
    assert list(d) == ["a", "b", "c"]
    assert type(d.pop("b")) is nn.ReLU
    assert "b" not in d
    assert len(list(d.parameters())) == 2
    with pytest.raises(KeyError):
        d["b"]


def test_lazy_layers_become_what_they_stand_for() -> None:
    net = nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.ReLU(), nn.Flatten(), nn.LazyLinear(3))
    optimizer = optim.SGD(net.parameters(), lr=0.1)
    assert "Uninitialized" in repr(net[0].weight)
    x = tn.rand(2, 3, 5, 5)
    net(x).sum().backward()
    assert [type(m).__name__ for m in net] == ["Conv2d", "BatchNorm2d", "ReLU", "Flatten", "Linear"]
    assert net[4].weight.shape == (3, 36)
    before = net[4].bias.clone()
    optimizer.step()
    assert not tn.equal(before, net[4].bias)
    fresh = nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.ReLU(), nn.Flatten(), nn.LazyLinear(3))
    fresh(x)
    fresh.load_state_dict(net.state_dict())
    close(fresh.eval()(x), net.eval()(x), 1e-6)


def test_modules_are_not_made_of_integers() -> None:
    layer = nn.Linear(2, 2)
    for bad in (tn.int64, "int32", tn.bool):
        with pytest.raises(TypeError, match="floating point"):
            layer.to(bad)
    assert layer.to("float64").weight.dtype == tn.float64


def test_an_old_state_of_batch_norm_loads() -> None:
    bn = nn.BatchNorm1d(2)
    bn.load_state_dict({k: v for k, v in bn.state_dict().items() if "num" not in k})
    state = bn.state_dict()
    del state["num_batches_tracked"]
    with pytest.raises(RuntimeError, match="Missing key"):
        bn.load_state_dict(state)
    bn.num_batches_tracked = None
    bn(tn.ones(3, 2))


def test_forward_hooks_in_order_and_with_keywords() -> None:
    calls = []

    class Net(nn.Module):
        def forward(self, x, scale=1):
            return x * scale

    net = Net()
    net.register_forward_hook(lambda m, inputs, output: calls.append("second"))
    net.register_forward_hook(lambda m, inputs, output: calls.append("first"), prepend=True)
    net.register_forward_pre_hook(lambda m, inputs, keywords: (inputs, {"scale": 3}), with_kwargs=True)
    handle = net.register_forward_hook(lambda m, inputs, keywords, output: output + keywords["scale"], with_kwargs=True)
    close(net(tn.ones(1), scale=2), [6.0])
    handle.remove()
    close(net(tn.ones(1)), [3.0])
    assert calls == ["first", "second"] * 2


def test_clipping_takes_what_pytorchs_takes() -> None:
    for norm_type, expected in ((2, 5.0), ("inf", 4.0), (1, 7.0)):
        p = nn.Parameter(tn.zeros(2))
        p.grad = tn.tensor([3.0, -4.0])
        assert nn.utils.clip_grad_norm_(p, 1.0, norm_type, foreach=False).item() == pytest.approx(expected)
        assert abs(p.grad.norm(float(norm_type)).item() - 1) < 1e-5
    p.grad = tn.tensor([float("nan"), 1.0])
    with pytest.raises(RuntimeError, match="non-finite"):
        nn.utils.clip_grad_norm_([p], 1.0, error_if_nonfinite=True)


def test_initialisers_pass_over_empty_tensors() -> None:
    for f in (nn.init.kaiming_uniform_, nn.init.kaiming_normal_):
        with pytest.warns(UserWarning, match="no-op"):
            f(tn.empty(3, 0))
    layer = nn.Conv2d(0, 1, 1)
    assert layer(tn.ones(1, 0, 4, 4)).shape == (1, 1, 4, 4)


# ---- optimizers ---------------------------------------------------------------------------


class SignSGD(optim.Optimizer):
    """As a user of PyTorch's would write it."""

    def __init__(self, params, lr=0.1) -> None:
        super().__init__(params, dict(lr=lr))

    def step(self, closure=None):
        with tn.no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    state = self.state[p]
                    state["n"] = state.get("n", 0) + 1
                    p.add_(tn.sign(p.grad), alpha=-group["lr"])


def test_an_optimizer_of_the_users_own() -> None:
    p = nn.Parameter(tn.ones(1))
    p.grad = tn.ones(1)
    optimizer = SignSGD([p])
    optimizer.step()
    close(p, [0.9], 1e-6)
    other = SignSGD([p])
    other.load_state_dict(optimizer.state_dict())
    assert other.state[p] == {"n": 1}


def test_state_holds_tensors_and_nothing_before_the_first_step() -> None:
    p = nn.Parameter(tn.ones(1))
    for optimizer in (optim.SGD([p], 0.1, 0.9), optim.Adam([p]), optim.RMSprop([p], momentum=0.5, centered=True)):
        assert optimizer.state[p] == {}
        p.grad = tn.ones(1)
        optimizer.step()
        assert all(isinstance(v, tn.Tensor) for v in optimizer.state[p].values())
        saved = optimizer.state_dict()
        other = type(optimizer)([p], **{k: v for k, v in optimizer.defaults.items() if k != "decoupled_weight_decay"})
        other.load_state_dict(saved)
        for name, value in other.state[p].items():
            assert not np.shares_memory(value.cpu().numpy(), saved["state"][0][name].cpu().numpy())
        restored = pickle.loads(pickle.dumps(optimizer))
        assert len(restored.param_groups) == 1
    sgd = optim.SGD([p], lr=0.1, momentum=0.9)
    sgd.step()
    sgd.state[p]["momentum_buffer"].zero_()
    before = p.item()
    p.grad.zero_()
    sgd.step()
    assert p.item() == before


def test_settings_may_be_tensors_and_parameters_may_have_names() -> None:
    p, q = nn.Parameter(tn.ones(1)), nn.Parameter(tn.ones(1))
    optimizer = optim.Adam([("p", p), ("q", q)], lr=tn.tensor(0.1), betas=(tn.tensor(0.9), 0.99), fused=False, foreach=None)
    assert optimizer.param_groups[0]["param_names"] == ["p", "q"]
    p.grad = q.grad = tn.ones(1)
    optimizer.step()
    close(p, [0.9], 1e-6)
    scheduler = lr_scheduler.StepLR(optimizer, 1, 0.5)
    scheduler.step()
    assert optimizer.param_groups[0]["lr"].item() == pytest.approx(0.05)
    with pytest.raises(ValueError, match="with/without names"):
        optim.SGD([("p", p), q])
    with pytest.raises(TypeError, match="ordered collections"):
        optim.SGD([{"params": {p}}])


# ---- schedulers ---------------------------------------------------------------------------


def rates(optimizer) -> list[float]:
    return [round(float(g["lr"]), 6) for g in optimizer.param_groups]


def test_schedulers_go_on_from_the_rate_that_is_there() -> None:
    def sgd(lr=0.1):
        return optim.SGD([nn.Parameter(tn.ones(1))], lr=lr)

    o = sgd()
    s = lr_scheduler.StepLR(o, 3, 0.5)
    s.step()
    o.param_groups[0]["lr"] = 0.03
    s.step()
    assert rates(o) == [0.03]
    o = sgd()
    pair = lr_scheduler.StepLR(o, 2, 0.5), lr_scheduler.StepLR(o, 3, 0.1)
    for _ in range(3):
        for s in pair:
            s.step()
    assert rates(o) == [0.005]
    o = sgd()
    s = lr_scheduler.StepLR(o, 2, 0.5)
    o.add_param_group({"params": [nn.Parameter(tn.ones(1))], "lr": 0.4})
    s.step()
    s.step()
    assert rates(o) == [0.05, 0.2]
    with pytest.raises(KeyError, match="initial_lr"):
        lr_scheduler.StepLR(sgd(), 3, last_epoch=3)
    with pytest.warns(UserWarning, match="deprecated"):
        s.step(5)


@pytest.mark.parametrize(
    "make",
    [
        lambda o: lr_scheduler.StepLR(o, 3, 0.5),
        lambda o: lr_scheduler.CosineAnnealingLR(o, 10),
        lambda o: lr_scheduler.MultiStepLR(o, [2, 5], 0.3),
        lambda o: lr_scheduler.LambdaLR(o, lambda epoch: 1 / (epoch + 1)),
    ],
)
@pytest.mark.parametrize("optimizer_first", [False, True])
def test_a_schedule_is_resumed_in_either_order(make, optimizer_first, tmp_path) -> None:
    o = optim.SGD([nn.Parameter(tn.ones(1))], lr=0.1)
    s = make(o)
    for _ in range(4):
        s.step()
    tn.save({"o": o.state_dict(), "s": s.state_dict()}, tmp_path / "state")
    saved = tn.load(tmp_path / "state")
    p = optim.SGD([nn.Parameter(tn.ones(1))], lr=0.1)
    if optimizer_first:
        p.load_state_dict(saved["o"])
    t = make(p)
    t.load_state_dict(saved["s"])
    p.load_state_dict(saved["o"])
    for _ in range(9):
        s.step()
        t.step()
        assert rates(p) == rates(o)
    assert t.get_last_lr() == s.get_last_lr()


def test_a_scheduler_of_the_users_own() -> None:
    class Warmup(lr_scheduler.LRScheduler):
        def get_lr(self):
            return [base * min(1, (self.last_epoch + 1) / 4) for base in self.base_lrs]

    o = optim.SGD([nn.Parameter(tn.ones(1))], lr=0.4)
    s = Warmup(o)
    found = [rates(o)[0]]
    for _ in range(4):
        s.step()
        found.append(rates(o)[0])
    assert found == [0.1, 0.2, 0.3, 0.4, 0.4]


# ---- data ---------------------------------------------------------------------------------


def first(dataset, n: int):
    return next(iter(data.DataLoader(dataset, batch_size=n)))


def test_a_batch_is_taken_at_once_from_nothing_that_has_a_say() -> None:
    base = data.TensorDataset(tn.arange(12.0).reshape(4, 3))

    class Centred(data.TensorDataset):
        def __getitem__(self, i):
            (x,) = super().__getitem__(i)
            return (x - x.mean(),)

    class Wrapper(data.Dataset):
        def __init__(self, inner) -> None:
            self.inner = inner

        def __getattr__(self, name):
            return getattr(self.__dict__["inner"], name)

        def __getitem__(self, i):
            return (self.inner[i][0] * 100,)

        def __len__(self) -> int:
            return len(self.inner)

    assert first(Centred(*base.tensors), 2)[0].tolist() == [[-1.0, 0.0, 1.0]] * 2
    assert first(Wrapper(base), 1)[0].tolist() == [[0.0, 100.0, 200.0]]
    assert first(np.arange(12.0).reshape(6, 2), 3).tolist() == [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]
    assert first(data.Subset(data.Subset(base, [3, 1]), [1, 0]), 2)[0].tolist() == [[3.0, 4.0, 5.0], [9.0, 10.0, 11.0]]


def test_a_batch_keeps_the_types_of_its_items() -> None:
    Point = collections.namedtuple("Point", "x y")
    c = data.default_collate
    assert c([0.1, 0.2]).dtype == tn.float64
    assert c([1, 2]).dtype == tn.int64
    assert c([True, False]).dtype == tn.bool
    assert c([np.float32(1), np.float32(2)]).dtype == tn.float32
    assert c([Point(1, 2), Point(3, 4)]).y.tolist() == [2, 4]
    assert type(c([collections.OrderedDict(a=1)])) is collections.OrderedDict
    assert c([collections.ChainMap({"a": 1})])["a"].tolist() == [1]
    assert c([b"a", b"b"]) == [b"a", b"b"]
    for unequal in ([np.ones(2), np.ones(3)], [[1, 2], [1]], [tn.ones(2), tn.ones(3)]):
        with pytest.raises(RuntimeError):
            c(unequal)


def test_loaders_take_streams_samplers_and_batches_of_indices() -> None:
    class Stream(data.IterableDataset):
        def __iter__(self):
            return iter(range(5))

    assert [b.tolist() for b in data.DataLoader(Stream(), batch_size=2)] == [[0, 1], [2, 3], [4]]
    assert [b.tolist() for b in data.DataLoader(Stream(), batch_size=2, drop_last=True)] == [[0, 1], [2, 3]]
    assert [b.tolist() for b in data.DataLoader(range(4), batch_sampler=[[3, 0], [1]])] == [[3, 0], [1]]
    assert list(data.DataLoader([5, 6], batch_size=None)) == [5, 6]
    loader = data.DataLoader(range(10), sampler=data.SubsetRandomSampler([7, 8, 9]), batch_size=3)
    assert sorted(next(iter(loader)).tolist()) == [7, 8, 9]
    assert len(data.DataLoader(range(10), 4, shuffle=True)) == 3
    copy.deepcopy(data.DataLoader([1], generator=tn.Generator()))
    for bad in (
        dict(batch_size=0),
        dict(shuffle=True, sampler=[0]),
        dict(batch_sampler=[[0]], drop_last=True),
        dict(timeout=-1),
    ):
        with pytest.raises(ValueError, match="option|positive"):
            data.DataLoader([1], **bad)
    with pytest.raises(ValueError, match="IterableDataset"):
        data.DataLoader(Stream(), shuffle=True)


def test_a_gzip_file_is_unpacked_no_further_than_its_header_says(tmp_path) -> None:
    header = struct.pack(">BBBBI", 0, 0, 8, 1, 4)
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(header + bytes(50_000_000)))
    with pytest.raises(ValueError, match="too long: more than 4 bytes"):
        data.read_idx(path)


# ---- files --------------------------------------------------------------------------------


def test_what_is_saved_comes_back_as_it_was(tmp_path) -> None:
    state = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)).state_dict()
    for obj in (
        state,
        {0: tn.ones(1), "epoch": 1, "b": None},
        [tn.ones(2, requires_grad=True), (1, 2.5, "x", True), {"z": tn.zeros(0), "a": np.arange(3, dtype="int16")}],
        {"lr": np.float32(0.1), "size": tn.ones(2, 3).shape, "count": collections.Counter([1, 1, 2])},
        nn.Parameter(tn.ones(2)),
    ):
        tn.save(obj, tmp_path / "file")
        same(obj, tn.load(tmp_path / "file"))
    buffer = io.BytesIO()
    tn.save({"x": tn.ones(1)}, buffer)
    buffer.seek(0)
    assert tn.load(buffer, map_location=lambda storage, location: storage)["x"].item() == 1
    for bad in ({(1, 2): 3}, {"x": {1}}, {"x": 1j}, nn.Linear(1, 1), {"x": b"bytes"}, {True: 1}):
        with pytest.raises(TypeError, match="save"):
            tn.save(bad, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def same(a, b) -> None:
    """Types, order of keys, values."""
    assert type(a) is type(b)
    if isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            same(a[key], b[key])
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b)
        for x, y in zip(a, b):
            same(x, y)
    elif isinstance(a, tn.Tensor):
        assert (a.dtype, a.requires_grad) == (b.dtype, b.requires_grad)
        close(a, b)
    elif isinstance(a, np.ndarray):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    else:
        assert a == b


def test_links_are_followed_and_permissions_kept(tmp_path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    tn.save({"x": tn.zeros(1)}, real)
    os.chmod(real, 0o640)
    link.symlink_to(real)
    tn.save({"x": tn.ones(1)}, link)
    assert link.is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert tn.load(real)["x"].item() == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link", "real"]


def test_two_threads_may_save_to_one_path(tmp_path) -> None:
    def save(value: float) -> None:
        for _ in range(20):
            tn.save({"x": tn.full((100,), value)}, tmp_path / "file")

    threads = [threading.Thread(target=save, args=(float(v),)) for v in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(set(tn.load(tmp_path / "file")["x"].tolist())) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_flipped_bit_is_noticed(tmp_path) -> None:
    path = tmp_path / "file"
    tn.save({"x": tn.ones(4), "n": 3}, path)
    raw = bytearray(path.read_bytes())
    raw[-3] ^= 4
    path.write_bytes(raw)
    with pytest.raises(ValueError, match="file: damaged"):
        tn.load(path)
    for broken in (b"", b"\x80\x02}q\x00.", bytes(raw[:40]), (2**60).to_bytes(8, "little") + b"{}"):
        path.write_bytes(broken)
        with pytest.raises(ValueError, match="not a complete safetensors file"):
            tn.load(path)


def test_a_name_of_pytorchs_is_said_once(tmp_path) -> None:
    from tinygrad_norm import saving

    saving._said.clear()
    with pytest.warns(UserWarning, match="safetensors format"):
        tn.save({"x": tn.ones(1)}, tmp_path / "model.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tn.save({"x": tn.ones(1)}, tmp_path / "model.pth")
    assert tn.load(tmp_path / "model.pt", weights_only=True)["x"].item() == 1


# ---- where PyTorch has things -------------------------------------------------------------


def test_paths_and_devices() -> None:
    from tinygrad_norm.utils.data import DataLoader

    assert DataLoader is data.DataLoader
    assert tn.autograd.gradcheck is tn.gradcheck
    assert tn.autograd.grad is tn.grad
    device = tn.device("cuda" if tn.cuda.is_available() else "cpu")
    assert device.type in ("cpu", "cuda")
    assert tn.device("cuda", 1).index == 1
    assert repr(tn.device("cpu")) == "device(type='cpu')"
    with pytest.raises(RuntimeError, match="device string"):
        tn.device("tpu")
    x = leaf([1.0]).to(tn.device("cpu"), non_blocking=True)
    assert x.device == "cpu"
    assert constant([1.0]).float().type() == "torch.FloatTensor" if tn.get_backend() == "numpy" else True
    assert constant([1.0]).type(tn.int64).dtype == tn.int64
    if not tn.cuda.is_available():
        assert tn.cuda.device_count() == 0
        with pytest.raises(RuntimeError, match="no GPU"):
            tn.cuda.synchronize()
