"""Rare arguments, one line each, run on PyTorch and here: the same values, shape and dtype, or the same kind of error."""

from __future__ import annotations

import contextlib
import copy
import io
import pickle
import warnings
from typing import Any

import numpy as np
import pytest

from compare.peer import tn, torch

NAMES = """
i = T.tensor([1, -2])
b = T.tensor([True, False])
u = T.tensor([5, 3], dtype=T.uint8)
h = T.ones(3).half()
m = T.tensor([True, False, True])
x = T.arange(6.0).reshape(2, 3)
q = T.tensor([[False, False], [True, True]])
w = T.ones(4, 3)
a = T.tensor([0.25, 0.875, -0.5])
scores = T.ones(2, 4)
classes = T.tensor([1, 0])
"""
LINES = """
F.elu(i); F.selu(i); F.silu(i); F.gelu(b); F.softplus(i); F.logsigmoid(i); F.leaky_relu(b); F.relu(i)
b.abs(); b.floor(); b.ceil(); b.trunc(); b.round(); i.floor(); i.round(); b.sign()
b.remainder(b); b.fmod(b); b.floor_divide(b); b.remainder(i); b % True; b // True; i % 2
b ** b; b ** T.tensor([5, 3]); b ** True; b ** 2; u ** -2; i ** -2; u ** i.abs()
T.maximum(a, 3); T.minimum(i, -2); T.maximum(b, i)
h.masked_fill(m, 1e9); h.clone().fill_(1e9); T.full((2,), 1e9, dtype=T.float16); h.masked_fill(m, float("-inf"))
T.full((2,), 1e60, dtype=T.float32); h.clamp(max=1e9); h.clamp(max=60000.0); T.tensor(1e9, dtype=T.float16); h * 1e9
T.full((2,), float("nan"), dtype=T.float16); T.full((2,), -1e9, dtype=T.float16); h.clamp(-1e9, 1)
T.ones(2).copy_(3); T.ones(2, dtype=T.int64).copy_(3.7); T.ones(2).copy_("a"); T.ones(2).copy_([1, 2])
T.repeat_interleave(T.tensor([0, 2])); T.repeat_interleave(T.tensor([1.0, 2.0])); x.repeat_interleave(2, 0, output_size=3)
x.repeat_interleave(T.tensor([1, 2]), 0, output_size=4); x.repeat_interleave(T.tensor([1, 2]), 0, output_size=3)
T.take_along_dim(x, T.tensor([[-1], [1]]), 1)
x.gather(1, T.tensor([], dtype=T.int64)); x.gather(1, T.zeros(0, 3, dtype=T.int64)); x.gather(1, T.tensor([1]))
T.where(T.tensor([1, 0, 1], dtype=T.uint8), x, -x); T.where(T.tensor([1, 0, 1]), x, -x)
q.any(()); q.all(dim=()); q.any((), keepdim=True); q.any((0, 1)); x.sum(()); x.mean(()); x.amax(())
F.linear(x, w, T.ones(1)); F.linear(x, w, T.tensor(2.0)); F.linear(x, w, T.ones(2, 4)); F.linear(x, w, T.ones(2, 1))
F.linear(x, w, T.ones(3, 1, 1)); F.linear(x, w, T.ones(3)); F.linear(x[0], w, T.ones(2, 4)); F.linear(x, w, T.ones(1).double())
F.group_norm(T.ones(0, 4, 2), 2); F.layer_norm(T.ones(0, 4, 2), (2,)); F.group_norm(T.ones(2, 0, 3), 1)
F.huber_loss(a, a * 3, weight=T.tensor([1.0, 2.0, 3.0])); F.huber_loss(a, a * 3, "sum", weight=T.tensor([1.0, 2.0, 3.0]))
F.mse_loss(a, a * 3, weight=T.tensor([1.0, 2.0, 3.0])); F.huber_loss(a, a * 3, weight=T.ones(2)); F.huber_loss(a, a, "x")
F.binary_cross_entropy(T.tensor([0.5]), T.tensor([2.0])); F.binary_cross_entropy(T.tensor([0.5]), T.tensor([1]))
F.binary_cross_entropy(T.tensor([0.5]), T.tensor([1.0]).double()); F.binary_cross_entropy(T.tensor([1.5]), T.tensor([1.0]))
F.binary_cross_entropy_with_logits(T.tensor([0.5]), T.tensor([1])); F.binary_cross_entropy_with_logits(a, a * 3)
F.cross_entropy(scores, classes, weight=T.ones(4).double()); F.cross_entropy(scores, classes.int())
F.cross_entropy(scores, classes, weight=T.ones(4).long()); F.nll_loss(scores, classes.int())
F.cross_entropy(scores, classes.to(T.uint8)); F.cross_entropy(scores, classes, weight=T.ones(4))
T.set_grad_enabled(3)
F.mse_loss(b, T.ones(2)); F.mse_loss(T.ones(2), b); F.l1_loss(b, b); F.l1_loss(i, T.ones(2)); F.mse_loss(i, i)
T.tensor(1.0).scatter_add(0, T.tensor(0), T.tensor(2.0)); T.ones(1).scatter_add(0, T.tensor(0), T.tensor(2.0))
T.ones(1).scatter_add(0, T.tensor([0]), T.tensor(2.0)); T.tensor(1.0).scatter_add(0, T.tensor([0]), T.ones(1))
x.sum((0, -2)); x.flip((0, 0)); x.permute(0, -2); x.mean((1, 1)); x.amax((0, 0)); x.squeeze((0, -2))
x.to(tensor=h); x.to(h); x.to(h, dtype=T.float64); x.to(dtype=T.float64, tensor=h); x.to(T.float16, False, True)
x.to(T.float64); x.to(dtype=T.int32); x[[]]; x[:, []]; x[T.tensor([], dtype=T.int64)]
T.tensor([-2**63]); T.tensor([-2**63 - 1]); T.tensor([2**63 - 1]); T.tensor([2**63]); T.tensor(-2**63)
T.full((1,), 3.4028234663852886e38); T.full((1,), -65504.0, dtype=T.float16); T.full((2,), 65505.0, dtype=T.float16)
T.tensor(2.0).topk(1).values; T.tensor(2.0).topk(0).values; x.topk(3).indices; x.topk(4); T.tensor(2.0).chunk(1); x.chunk(5)[0]
"""


def outcome(line: str, library: Any) -> Any:
    """What the line gives."""
    space = {"T": library, "F": library.nn.functional}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(NAMES, space)
        try:
            result = eval(line, space)
        except Exception as error:
            return type(error)
    return str(result.dtype).replace("torch.", ""), tuple(result.shape), np.asarray(result.tolist(), float)


@pytest.mark.parametrize("line", [line.strip() for line in LINES.replace("\n", ";").split(";") if line.strip()])
def test_a_line(line: str) -> None:
    with tn.backend("numpy"):
        theirs, ours = outcome(line, torch), outcome(line, tn)
    if isinstance(theirs, type) or isinstance(ours, type):
        kinds = {theirs, RuntimeError} if theirs is NotImplementedError else {theirs}
        assert ours in kinds, f"PyTorch: {theirs}, here: {ours}"
    else:
        assert ours[:2] == theirs[:2]
        np.testing.assert_allclose(ours[2], theirs[2], rtol=1e-6)


PROGRAMS = {
    "outputs without a gradient are None if so asked": """
class S(T.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.set_materialize_grads(False)
        return x * 1, x * 2
    @staticmethod
    def backward(ctx, g, h):
        print(g is None, h is None)
        return g if h is None else h
x = T.ones(3, requires_grad=True)
y, z = S.apply(x)
z.sum().backward(retain_graph=True)
y.sum().backward()
print(x.grad.tolist())
""",
    "constant outputs get zeros": """
class S(T.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        i = x > 0
        ctx.mark_non_differentiable(i)
        return i, x * 2
    @staticmethod
    def backward(ctx, h, g):
        print(h.tolist())
        return g * 2
x = T.ones(3, requires_grad=True)
i, y = S.apply(x)
y.sum().backward()
print(x.grad.tolist(), i.requires_grad, y.requires_grad)
""",
    "what a Function saved is freed": """
class S(T.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**2
    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return 2 * x * g
x = T.ones(3, requires_grad=True)
y = S.apply(x)
y.sum().backward(retain_graph=True)
y.sum().backward()
attempt(lambda: y.sum().backward())
print(x.grad.tolist())
""",
    "gradients of a Function are summed to the shape of its inputs": """
class S(T.autograd.Function):
    @staticmethod
    def forward(ctx, x, factor, shape):
        ctx.shape = shape
        return x * factor
    @staticmethod
    def backward(ctx, g):
        return T.ones(ctx.shape) if ctx.shape else g, None, None
for shape, other in (((2, 3), None), ((2, 1), (2, 3)), ((), (2,)), ((1, 3), (4, 2, 3)), ((2, 3), (2, 1)), ((3,), ()),
                     ((3,), (5,)), ((2, 3), (3,)), ((0, 1), (0, 3)), ((1,), (0,))):
    x = T.ones(shape, requires_grad=True)
    attempt(lambda: S.apply(x, 2.0, other).sum().backward())
    print(None if x.grad is None else x.grad.tolist())
    attempt(lambda: print(list(T.autograd.grad(S.apply(x, 2.0, other).sum(), x, create_graph=True)[0].shape)))
""",
    "a Function has to return Tensors": """
class S(T.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2
    @staticmethod
    def backward(ctx, g):
        return 3.0
x = T.ones(3, requires_grad=True)
attempt(lambda: S.apply(x).sum().backward())
attempt(lambda: S()(x))
print(x.grad)
""",
    "once differentiable": """
class S(T.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**2
    @staticmethod
    @T.autograd.function.once_differentiable
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return 2 * x * g
x = T.ones(3, requires_grad=True)
print(T.autograd.grad(S.apply(x).sum(), x)[0].tolist())
(g,) = T.autograd.grad((S.apply(x) * x).sum(), x, create_graph=True)
print(g.tolist(), g.requires_grad)
attempt(lambda: g.sum().backward())
""",
    "names of parts": """
def taken(register):
    layer = nn.Linear(1, 1)
    attempt(lambda: register(layer))
    print([n for n, _ in layer.named_parameters()], list(layer.state_dict()))
taken(lambda layer: layer.register_buffer("weight", T.ones(1)))
taken(lambda layer: layer.register_parameter("weight", None))
taken(lambda layer: layer.add_module("bias", nn.ReLU()))
taken(lambda layer: layer.register_buffer("forward", T.ones(1)))
attempt(lambda: nn.Module().add_module(3, nn.ReLU()))
attempt(lambda: nn.ModuleDict().__setitem__(3, nn.ReLU()))
""",
    "extra state": """
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.k, self.layer = 1, nn.Linear(1, 1)
    def get_extra_state(self):
        return {"k": self.k}
    def set_extra_state(self, state):
        self.k = state["k"]
one, other = nn.Sequential(M()), nn.Sequential(M())
one[0].k = 5
print(list(one.state_dict()), other.load_state_dict(one.state_dict()).missing_keys, other[0].k)
attempt(lambda: other.load_state_dict({k: v for k, v in one.state_dict().items() if "extra" not in k}))
attempt(lambda: nn.Linear(1, 1).get_extra_state())
""",
    "keys of an old file": """
class M(nn.Linear):
    def _load_from_state_dict(self, state_dict, prefix, *rest):
        state_dict[prefix + "weight"] = state_dict.pop(prefix + "w")
        super()._load_from_state_dict(state_dict, prefix, *rest)
state = {"0.w": T.ones(2, 2), "0.bias": T.zeros(2)}
net = nn.Sequential(M(2, 2))
net.load_state_dict(state)
print(list(state), net[0].weight.tolist())
""",
    "assigned state": """
layer = nn.Linear(2, 2)
old = layer.weight
layer.load_state_dict({"weight": T.ones(2, 2).double(), "bias": T.zeros(2)}, assign=True)
print(layer.weight is old, layer.weight.requires_grad, type(layer.weight).__name__, "float64" in str(layer.weight.dtype))
""",
    "lazy layers are copied and pickled": """
net = copy.deepcopy(nn.Sequential(nn.LazyLinear(3), nn.ReLU(), nn.LazyLinear(2)))
print(net[0].has_uninitialized_params(), tuple(net(T.ones(2, 4)).shape))
print([type(m).__name__ for m in net], tuple(net[0].weight.shape))
layer = pickle.loads(pickle.dumps(nn.LazyLinear(3, bias=False)))
print(tuple(layer(T.ones(1, 2)).shape), layer)
""",
    "parts by kind": """
class Net(nn.Module):
    def __init__(self, *layers):
        super().__init__()
        for i, layer in enumerate(layers):
            self._modules[str(i)] = layer
    def forward(self, x):
        for layer in self._modules.values():
            x = layer(x)
        return x
net = Net(nn.Linear(2, 3), nn.BatchNorm1d(3))
print(net, tuple(net(T.ones(4, 2)).shape), list(net._modules))
layer = nn.Linear(1, 1)
print(list(layer._parameters), layer._parameters.pop("bias") is not None, list(layer.state_dict()))
print(tuple(net.get_parameter("0.weight").shape), tuple(net.get_buffer("1.running_mean").shape))
attempt(lambda: net.get_buffer("0.weight"))
attempt(lambda: net.get_parameter("0.nothing"))
""",
    "data": """
data = T.utils.data
class Batched(data.Dataset):
    def __len__(self):
        return 4
    def __getitem__(self, i):
        return i
    def __getitems__(self, indices):
        return [10 * i for i in indices]
print([batch.tolist() for batch in data.DataLoader(Batched(), 2)], len(iter(data.DataLoader(list(range(5)), 2))))
attempt(lambda: list(data.DataLoader([1], shuffle=True, generator=3)))
attempt(lambda: data.DataLoader([1], prefetch_factor=2))
attempt(lambda: data.DataLoader([1], persistent_workers=True))
print(list(data.WeightedRandomSampler([0.0, 1.0, 0.0], 4)), sorted(data.WeightedRandomSampler([1, 2, 3], 3, False)))
attempt(lambda: data.WeightedRandomSampler([1.0], 0))
attempt(lambda: data.WeightedRandomSampler([[1.0]], 1))
attempt(lambda: data.WeightedRandomSampler([1.0], 1, 3))
""",
    "empty batches and no channels": """
x, w = T.ones(0, 4, 2, requires_grad=True), T.ones(4, requires_grad=True)
F.group_norm(x, 2, w, w).sum().backward()
print(tuple(x.grad.shape), w.grad.tolist())
for name, size in (("conv2d", (5, 5)), ("conv1d", (5,))):
    x, w = T.ones(2, 0, *size, requires_grad=True), T.ones(3, 0, *[3] * len(size), requires_grad=True)
    getattr(F, name)(x, w).sum().backward()
    print(tuple(x.grad.shape), tuple(w.grad.shape))
""",
}


def printed(program: str, library: Any) -> str:
    """What the program prints; attempt(f) prints the kind of error that f raises."""

    def attempt(function: Any) -> None:
        try:
            function()
            print("no error")
        except Exception as error:
            print(type(error).__name__)

    space = {"T": library, "nn": library.nn, "F": library.nn.functional, "copy": copy, "pickle": pickle, "attempt": attempt}
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()) as out:
        warnings.simplefilter("ignore")
        exec(program, space)
    return out.getvalue()


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program(name: str) -> None:
    with tn.backend("numpy"):
        assert printed(PROGRAMS[name], tn) == printed(PROGRAMS[name], torch)
