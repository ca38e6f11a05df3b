"""A right call of everything that is public, and what is wrong to put in the place of each of its arguments.

test_bad_input.py says what has to hold. The calls are text, so that both libraries can run them.
"""

from __future__ import annotations

import ast
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent / "double")]

import numpy as np
import strict  # noqa: F401  (registers the backend of that name)

import tinygrad_norm as tn
from tinygrad_norm.backend import transfer

# ---- the calls ----------------------------------------------------------------------------

ELEMENTWISE = (
    "abs absolute acos arccos arcsin arctan asin atan bitwise_not ceil clone cos cosh erf exp expm1 fix floor log log10 "
    "log1p log2 logical_not neg negative reciprocal relu rsqrt sigmoid sign sin sinh sqrt square tan tanh trunc isfinite "
    "isinf isnan is_floating_point numel"
).split()
BINARY = (
    "add sub mul div fmod remainder pow true_divide divide multiply subtract floor_divide eq ne lt le gt ge greater "
    "greater_equal less less_equal not_equal atan2 arctan2 hypot logaddexp maximum minimum logical_and logical_or logical_xor"
).split()
CALLS = [
    *(f"T.{name}(x)" for name in ELEMENTWISE if name != "bitwise_not"),
    *(f"T.{name}(x, y)" for name in BINARY),
    *(f"T.{name}(i, i)" for name in ("bitwise_and", "bitwise_or", "bitwise_xor")),
    *(f"x.{name}()" for name in "contiguous cpu detach dim double float half int long byte bool numpy tolist".split()),
    *(
        f"x.{name}()"
        for name in "is_contiguous ndimension nelement detach_ retain_grad_of t t_ zero_".split()
        if "of" not in name
    ),
    *(f"x.{name}_()" for name in "abs ceil cos exp floor neg relu round sigmoid sin sqrt tanh".split()),
    *(f"x.{name}_(y)" for name in "add sub mul div fmod remainder pow copy floor_divide".split()),
    """
    T.bitwise_not(i)
    T.add(x, y, alpha=2)
    T.sub(x, y, alpha=2)
    T.max(x, other=y)
    T.min(x, other=y)
    T.any(x, 1)
    T.div(x, y, rounding_mode='floor')
    T.round(x, decimals=2)
    T.addmm(sq, sq, sq, beta=1.0, alpha=2.0)
    T.addcmul(x, x, y, value=2.0)
    T.addcdiv(x, x, y, value=2.0)
    T.cumprod(x, 1)
    T.median(x, 1, True)
    T.meshgrid(v, v, indexing='xy')
    T.unique(x, True, True, True)
    T.vstack([x, y])
    T.row_stack([x, y])
    T.hstack([x, y])
    T.var_mean(x, 1, correction=1, keepdim=True)
    T.std_mean(x, 1, correction=1, keepdim=True)
    T.index_add(x, 1, j, sq[:2, :2], alpha=2.0)
    T.scatter(x, 1, i, y)
    T.set_rng_state(T.get_rng_state())
    T.all(b, 1, True)
    T.any(b, 1, True)
    T.allclose(x, y, rtol=1e-5, atol=1e-8, equal_nan=True)
    T.isclose(x, y, rtol=1e-5, atol=1e-8, equal_nan=True)
    T.amax(x, 1, True)
    T.amin(x, 1, True)
    T.argmax(x, 1, True)
    T.argmin(x, 1, True)
    T.argsort(x, dim=1, descending=True)
    T.bernoulli(p)
    T.bmm(batch, batch)
    T.broadcast_to(v, (2, 3))
    T.cat([x, y], 1)
    T.concat([x, y], 1)
    T.concatenate([x, y], 1)
    T.chunk(x, 2, 1)
    T.clamp(x, min=-1.0, max=1.0)
    T.clip(x, min=-1.0, max=1.0)
    T.clamp_max(x, 1.0)
    T.clamp_min(x, -1.0)
    T.cumsum(x, 1)
    T.diag(sq, 1)
    T.diagonal(sq, 0, 0, 1)
    T.dot(v, v)
    T.einsum('ij,kj->ik', x, y)
    T.equal(x, y)
    T.flatten(x, 0, 1)
    T.flip(x, (0, 1))
    T.gather(x, 1, i)
    T.ger(v, v)
    T.index_select(x, 1, j)
    T.log_softmax(x, 1)
    T.logsumexp(x, 1, True)
    T.masked_fill(x, b, 0.5)
    T.matmul(x, sq)
    T.max(x, 1, True)
    T.min(x, 1, True)
    T.mean(x, 1, True)
    T.mm(x, sq)
    T.moveaxis(x, 0, 1)
    T.movedim(x, 0, 1)
    T.multinomial(p, 2, True)
    T.mv(sq, v)
    T.narrow(x, 1, 0, 2)
    T.nonzero(x)
    T.norm(x, 2, 1, True)
    T.outer(v, v)
    T.permute(x, (1, 0))
    T.prod(x, 1, True)
    T.repeat_interleave(x, 2, 1)
    T.reshape(x, (3, 2))
    T.roll(x, 1, 0)
    T.scatter_add(x, 1, i, y)
    T.softmax(x, 1)
    T.sort(x, 1, True)
    T.split(x, 1, 1)
    T.squeeze(x, 0)
    T.stack([x, y], 1)
    T.std(x, 1, correction=1, keepdim=True)
    T.var(x, 1, correction=1, keepdim=True)
    T.sum(x, 1, True)
    T.swapaxes(x, 0, 1)
    T.swapdims(x, 0, 1)
    T.t(x)
    T.take_along_dim(x, i, 1)
    T.tile(x, (2, 1))
    T.topk(x, 2, 1, True, True)
    T.trace(sq)
    T.transpose(x, 0, 1)
    T.tril(x, 1)
    T.triu(x, 1)
    T.unbind(x, 1)
    T.unflatten(x, 1, (3, 1))
    T.unsqueeze(x, 1)
    T.where(b, x, y)
    T.FloatTensor([1, 2])
    T.DoubleTensor([1, 2])
    T.HalfTensor([1, 2])
    T.LongTensor([1, 2])
    T.IntTensor([1, 2])
    T.ByteTensor([1, 2])
    T.BoolTensor([1, 2])
    T.arange(0, 5, 1)
    T.as_tensor([1.0, 2.0])
    T.empty(2, 3)
    T.empty_like(x)
    T.eye(2, 3)
    T.from_numpy(array)
    T.from_dlpack(array)
    T.full((2, 3), 1.0)
    T.full_like(x, 1.0)
    T.is_tensor(x)
    T.linspace(0.0, 1.0, 5)
    T.normal(0.0, 1.0, (2, 3))
    T.ones(2, 3)
    T.ones_like(x)
    T.rand(2, 3)
    T.rand_like(x)
    T.randint(0, 5, (2, 3))
    T.randn(2, 3)
    T.randn_like(x)
    T.randperm(5)
    T.tensor([1.0, 2.0], requires_grad=True)
    T.zeros(2, 3)
    T.zeros_like(x)
    x.expand(2, 2, 3)
    x.expand_as(y)
    x.fill_(1.0)
    x.masked_fill_(b, 1.0)
    x.clamp_(min=-1.0, max=1.0)
    x.new_full((2,), 1.0)
    x.new_zeros((2,))
    x.new_tensor([1.0])
    x.normal_(0.0, 1.0)
    x.uniform_(0.0, 1.0)
    x.bernoulli_(0.5)
    x.repeat(2, 1)
    x.reshape_as(y)
    x.view_as(y)
    x.type_as(y)
    x.requires_grad_(True)
    x.scatter_add_(1, i, y)
    x.select(1, 0)
    x.size(1)
    x.squeeze_(0)
    x.unsqueeze_(1)
    x.transpose_(0, 1)
    x.tril_(1)
    x.triu_(1)
    x.to(T.float64)
    x.unfold(1, 2, 1)
    x.view(3, 2)
    x.view((3, 2))
    w.sum().backward(one)
    w.register_hook(hook)
    v[0].item()
    T.autograd.backward([w.sum()], [one], True, False)
    T.autograd.grad([w.sum()], [w], [one], True, False)
    T.no_grad()
    T.set_grad_enabled(True)
    T.autograd.detect_anomaly(True)
    T.autograd.functional.jacobian(hook, x)
    T.autograd.functional.hessian(total, x)
    T.manual_seed(1)
    T.set_num_threads(2)
    T.gradcheck(hook, (w64,)) if T.__name__ != 'torch' else T.autograd.gradcheck(hook, (w64,))
    F.adaptive_avg_pool2d(img, (2, 3))
    F.alpha_dropout(x, 0.5, True)
    F.avg_pool2d(img, 2, 2, 1, True, True, 3)
    F.avg_pool1d(seq, 2, 2, 1, True, True)
    F.normalize(x, 2.0, 1, 1e-12)
    F.cosine_similarity(x, y, 1, 1e-8)
    F.kl_div(x, y, reduction='batchmean', log_target=True)
    F.prelu(x, v)
    T.set_printoptions(profile='default')
    F.batch_norm(img, b4 + 0, b4 + 1, b4, b4, True, 0.1, 1e-5)
    F.batch_norm(img, b4, b4 + 1, b4, b4, False, 0.1, 1e-5)
    F.binary_cross_entropy(p, p, reduction='mean')
    F.binary_cross_entropy_with_logits(x, p, reduction='sum')
    F.conv1d(seq, k1, b4, 1, 1, 1, 1)
    F.conv2d(img, k, b4, 1, 1, 1, 1)
    F.cross_entropy(x, labels, v, ignore_index=-100, reduction='mean', label_smoothing=0.1)
    F.dropout(x, 0.5, True)
    F.dropout1d(seq, 0.5, True)
    F.dropout2d(img, 0.5, True)
    F.dropout3d(vol, 0.5, True)
    F.elu(x, 1.0)
    F.embedding(labels, sq, 1)
    F.gelu(x, approximate='tanh')
    F.group_norm(img, 2, b4, b4, 1e-5)
    F.huber_loss(x, y, reduction='mean', delta=1.0)
    F.instance_norm(img, b4, b4 + 1, b4, b4, True, 0.1, 1e-5)
    F.l1_loss(x, y, reduction='mean')
    F.layer_norm(x, (3,), v, v, 1e-5)
    F.leaky_relu(x, 0.1)
    F.linear(x, sq, v)
    F.log_softmax(x, 1)
    F.logsigmoid(x)
    F.max_pool2d(img, 2, 2, 1, 1, True)
    F.mse_loss(x, y, reduction='mean')
    F.nll_loss(x, labels, v, ignore_index=-100, reduction='mean')
    F.one_hot(labels, 5)
    F.pad(x, (1, 1), 'constant', 0.0)
    F.relu(x)
    F.relu_(x)
    F.selu(x)
    F.sigmoid(x)
    F.silu(x)
    F.smooth_l1_loss(x, y, reduction='mean', beta=1.0)
    F.softmax(x, 1)
    F.softplus(x, 1.0, 20.0)
    F.tanh(x)
    F.unfold(img, 2, 1, 0, 1)
    nn.AdaptiveAvgPool2d((2, 3))(img)
    nn.AlphaDropout(0.5)(x)
    nn.AvgPool2d(2, 2, 1)(img)
    nn.BCELoss(reduction='mean')(p, p)
    nn.BCEWithLogitsLoss(reduction='mean')(x, p)
    nn.BatchNorm1d(3, 1e-5, 0.1, True, True)(x)
    nn.BatchNorm2d(4, 1e-5, 0.1, True, True)(img)
    nn.BatchNorm3d(4, 1e-5, 0.1, True, True)(vol)
    nn.Conv1d(4, 4, 3, 1, 1, 1, 1)(seq)
    nn.Conv2d(4, 4, 3, 1, 1, 1, 1)(img)
    nn.CrossEntropyLoss(v, reduction='mean', label_smoothing=0.1)(x, labels)
    nn.Dropout(0.5)(x)
    nn.Dropout1d(0.5)(seq)
    nn.Dropout2d(0.5)(img)
    nn.Dropout3d(0.5)(vol)
    nn.ELU(1.0)(x)
    nn.Embedding(5, 3, 1)(labels)
    nn.Flatten(1, -1)(img)
    nn.GELU('tanh')(x)
    nn.GroupNorm(2, 4, 1e-5, True)(img)
    nn.HuberLoss('mean', 1.0)(x, y)
    nn.Identity()(x)
    nn.InstanceNorm1d(4, 1e-5, 0.1, True, True)(seq)
    nn.InstanceNorm2d(4, 1e-5, 0.1, True, True)(img)
    nn.InstanceNorm3d(4, 1e-5, 0.1, True, True)(vol)
    nn.L1Loss(reduction='mean')(x, y)
    nn.LayerNorm((3,), 1e-5, True)(x)
    nn.LazyBatchNorm1d(1e-5)(x)
    nn.LazyBatchNorm2d(1e-5)(img)
    nn.LazyBatchNorm3d(1e-5)(vol)
    nn.LazyConv1d(4, 3)(seq)
    nn.LazyConv2d(4, 3)(img)
    nn.LazyLinear(4)(x)
    nn.LeakyReLU(0.1)(x)
    nn.PReLU(3, 0.1)(x)
    nn.ZeroPad2d((1, 0, 2, 1))(img)
    nn.ReplicationPad2d((1, 0, 2, 1))(img)
    nn.ReflectionPad2d((1, 0, 2, 1))(img)
    nn.Linear(3, 4, True)(x)
    nn.LogSigmoid()(x)
    nn.LogSoftmax(1)(x)
    nn.MSELoss(reduction='mean')(x, y)
    nn.MaxPool2d(2, 2, 1)(img)
    nn.ModuleDict({'a': nn.ReLU()})
    nn.ModuleList([nn.ReLU()])
    nn.NLLLoss(v, reduction='mean')(x, labels)
    nn.Parameter(x, True)
    nn.ReLU(True)(x)
    nn.SELU()(x)
    nn.Sequential(nn.ReLU())(x)
    nn.SiLU()(x)
    nn.Sigmoid()(x)
    nn.SmoothL1Loss(reduction='mean', beta=1.0)(x, y)
    nn.Softmax(1)(x)
    nn.Softplus(1.0, 20.0)(x)
    nn.SyncBatchNorm(4, 1e-5, 0.1, True, True).eval()(img)
    nn.Tanh()(x)
    nn.Unflatten(1, (3, 1))(x)
    nn.Linear(3, 4).load_state_dict(state)
    nn.Linear(3, 4).register_buffer('n', x, True)
    nn.Linear(3, 4).register_parameter('n', nn.Parameter(x))
    nn.Linear(3, 4).add_module('n', nn.ReLU())
    nn.Linear(3, 4).train(True)
    nn.Linear(3, 4).to(T.float64)
    nn.Linear(3, 4).apply(id)
    nn.Linear(3, 4).requires_grad_(True)
    nn.Linear(3, 4).zero_grad(True)
    nn.Linear(3, 4).get_parameter('weight')
    nn.Linear(3, 4).register_forward_hook(hook)
    nn.init.calculate_gain('leaky_relu', 0.1)
    nn.init.constant_(x, 1.0)
    nn.init.kaiming_normal_(x, 0.1, 'fan_in', 'leaky_relu')
    nn.init.kaiming_uniform_(x, 0.1, 'fan_in', 'leaky_relu')
    nn.init.normal_(x, 0.0, 1.0)
    nn.init.ones_(x)
    nn.init.orthogonal_(x, 1.0)
    nn.init.trunc_normal_(x, 0.0, 1.0, -2.0, 2.0)
    nn.init.uniform_(x, 0.0, 1.0)
    nn.init.xavier_normal_(x, 1.0)
    nn.init.xavier_uniform_(x, 1.0)
    nn.init.zeros_(x)
    nn.utils.clip_grad_norm_([leaf], 1.0, 2.0, True)
    nn.utils.clip_grad_value_([leaf], 1.0)
    nn.utils.parameters_to_vector([w])
    nn.utils.vector_to_parameters(six, [w])
    optim.SGD([w], 0.1, 0.9, 0.0, 0.01, True)
    optim.Adam([w], 0.1, (0.9, 0.99), 1e-8, 0.01, False)
    optim.AdamW([w], 0.1, (0.9, 0.99), 1e-8, 0.01, False)
    optim.RMSprop([w], 0.1, 0.99, 1e-8, 0.01, 0.5, True)
    optim.Optimizer([w], {'lr': 0.1})
    optim.SGD([w], lr=0.1).add_param_group({'params': [v]})
    optim.SGD([w], lr=0.1).load_state_dict(optim.SGD([w], lr=0.1).state_dict())
    optim.lr_scheduler.CosineAnnealingLR(optim.SGD([w], lr=0.1), 10, 0.0)
    optim.lr_scheduler.ExponentialLR(optim.SGD([w], lr=0.1), 0.9)
    optim.lr_scheduler.LambdaLR(optim.SGD([w], lr=0.1), hook)
    optim.lr_scheduler.MultiStepLR(optim.SGD([w], lr=0.1), [1, 2], 0.1)
    optim.lr_scheduler.ReduceLROnPlateau(optim.SGD([w], lr=0.1), 'min', 0.1, 10, 1e-4, 'rel', 0, 0.0)
    optim.lr_scheduler.StepLR(optim.SGD([w], lr=0.1), 2, 0.1)
    optim.lr_scheduler.ConstantLR(optim.SGD([w], lr=0.1), 0.5, 2)
    optim.lr_scheduler.LinearLR(optim.SGD([w], lr=0.1), 0.5, 1.0, 2)
    optim.lr_scheduler.MultiplicativeLR(optim.SGD([w], lr=0.1), lambda epoch: 0.5)
    optim.lr_scheduler.OneCycleLR(optim.SGD([w], lr=0.1), 0.5, 10)
    optim.lr_scheduler.CosineAnnealingWarmRestarts(optim.SGD([w], lr=0.1), 2, 2, 0.01)
    data.BatchSampler(data.SequentialSampler(range(5)), 2, True)
    data.ConcatDataset([range(3), range(2)])
    list(data.DataLoader(data.TensorDataset(x, y), batch_size=2, shuffle=True, drop_last=False))
    data.DistributedSampler(range(5), 2, 0, True, 0, False)
    data.RandomSampler(range(5), True, 3)
    data.SequentialSampler(range(5))
    data.Subset(range(5), [0, 1])
    data.SubsetRandomSampler([0, 1])
    data.TensorDataset(x, y)
    data.WeightedRandomSampler([0.5, 0.5], 2, True)
    data.default_collate([x, y])
    data.random_split(range(5), [2, 3])
    T.save({'a': x}, buffer)
    T.load(saved, 'cpu')
    """,
]


def lines() -> list[str]:
    """Each call as a line of text."""
    return [line.strip() for text in CALLS for line in text.splitlines() if line.strip()]


# ---- what they are made of ----------------------------------------------------------------


def environment(library: Any) -> dict[str, Any]:
    """The names that the calls use, fresh, in that library."""
    import io

    T, random = library, np.random.default_rng(0)

    def new(*shape: int) -> Any:
        return T.tensor(random.uniform(0.1, 0.9, shape).astype("float32"))

    nn = T.nn
    w, leaf = new(2, 3).requires_grad_(), new(2, 3).requires_grad_()
    leaf.sum().backward()
    saved = io.BytesIO()
    T.save({"a": new(2)}, saved)
    saved.seek(0)
    return {
        "T": T,
        "nn": nn,
        "F": nn.functional,
        "optim": T.optim,
        "data": T.utils.data,
        "x": new(2, 3),
        "y": new(2, 3),
        "p": new(2, 3),
        "v": new(3),
        "sq": new(3, 3),
        "batch": new(2, 3, 3),
        "six": new(6),
        "i": T.tensor([[0, 1, 1], [1, 0, 1]]),
        "j": T.tensor([0, 1]),
        "b": T.tensor([[True, False, True]] * 2),
        "img": new(2, 4, 6, 6),
        "vol": new(2, 4, 3, 3, 3),
        "seq": new(2, 4, 6),
        "k": new(4, 4, 3, 3),
        "k1": new(4, 4, 3),
        "b4": new(4),
        "labels": T.tensor([0, 2]),
        "w": w,
        "leaf": leaf,
        "w64": new(2, 3).double().requires_grad_(),
        "one": T.tensor(1.0),
        "array": np.ones(3, "float32"),
        "hook": lambda x: x * 2,
        "total": lambda x: (x * x).sum(),
        "buffer": io.BytesIO(),
        "saved": saved,
        "state": nn.Linear(3, 4).state_dict(),
    }


BAD: dict[str, Any] = {
    "'text'": lambda T: "text",
    "None": lambda T: None,
    "-1": lambda T: -1,
    "-7": lambda T: -7,
    "0": lambda T: 0,
    "2.5": lambda T: 2.5,
    "nan": lambda T: float("nan"),
    "inf": lambda T: float("inf"),
    "[]": lambda T: [],
    "['a', None]": lambda T: ["a", None],
    "{}": lambda T: {},
    "object()": lambda T: object(),
    "a tensor of shape [5, 7]": lambda T: T.ones(5, 7),
    "a tensor of shape []": lambda T: T.tensor(2.5),
    "a tensor of shape [0]": lambda T: T.zeros(0),
    "an int64 tensor": lambda T: T.tensor([[5, 7], [8, 9]]),
    "a NumPy array": lambda T: np.ones((5, 7)),
    "an array of the other backend": lambda T: transfer(np.ones((2, 3), "float32"), "strict") if T is tn else object(),
}


# arguments in which more is taken here than in PyTorch: one size or dimension for a list of them, None for "all", a device's
# number, empty tensors where nothing has to be stacked, and large numbers that PyTorch's kernel of one dtype refuses
LENIENT = {
    ("T.broadcast_to", "1"), ("T.median", "1"),
    ("T.trace", "0"), ("T.flip", "1"), ("T.reshape", "1"), ("T.tile", "1"), ("T.full", "0"), ("T.normal", "2"),
    ("T.randint", "2"), ("x.new_full", "0"), ("T.logsumexp", "1"), ("T.max", "1"), ("T.min", "1"), ("T.prod", "1"),
    ("T.squeeze", "1"), ("x.squeeze_", "0"), ("T.arange", "1"), ("T.eye", "1"), ("T.randint", "0"), ("x.to", "0"),
    ("T.round", "0"), ("T.autograd.backward", "3"), ("T.autograd.grad", "4"), ("T.autograd.functional.jacobian", "1"),
    ("T.autograd.functional.hessian", "1"), ("F.adaptive_avg_pool2d", "1"), ("nn.AdaptiveAvgPool2d", "0"), ("x.uniform_", "1"),
    ("F.pad", "1"), ("F.smooth_l1_loss", "beta"), ("nn.SmoothL1Loss", "beta"), ("nn.HuberLoss", "1"), ("nn.Parameter", "0"),
    ("data.DataLoader", "0"), ("optim.lr_scheduler.CosineAnnealingWarmRestarts", "3"),
    ("T.max", "other"), ("T.min", "other"),
    ("data.DistributedSampler", "1"),
    ("data.DistributedSampler", "2"),
    ("data.TensorDataset", "0"), ("data.TensorDataset", "1"), ("data.default_collate", "0"), ("nn.Sequential", "0"),
    ("nn.InstanceNorm1d", "2"), ("nn.InstanceNorm2d", "2"), ("nn.InstanceNorm3d", "2"), ("nn.utils.clip_grad_value_", "0"),
    ("nn.init.orthogonal_", "0"), ("nn.init.trunc_normal_", "0"), ("nn.init.uniform_", "2"), ("nn.init.xavier_uniform_", "1"),
}  # fmt: skip


class Wrong(NamedTuple):
    """A call with one argument replaced."""

    line: str
    callee: str
    argument: str
    bad: str

    def __str__(self) -> str:
        return f"{self.line}   with {self.argument} = {self.bad}"


def wrong_calls(line: str) -> Iterator[Wrong]:
    """Every argument of the outermost call (and of the module that is called) replaced by everything bad."""
    call = ast.parse(line, mode="eval").body
    while isinstance(call, ast.Call):
        callee = ast.unparse(call.func)
        if callee == "list":  # of Python
            call = call.args[0]
            continue
        for name in [*range(len(call.args)), *(k.arg for k in call.keywords)]:
            for bad in BAD:
                yield Wrong(line, callee, str(name), bad)
        call = call.func


def run(wrong: Wrong | None, line: str, T: Any, space: dict[str, Any]) -> Any:
    """The value of the line, with the wrong argument in its place."""
    tree = ast.parse(line, mode="eval")
    if wrong is not None:
        call: Any = tree.body
        while ast.unparse(call.func) != wrong.callee:
            call = call.func if isinstance(call.func, ast.Call) else call.args[0]
        place = ast.Name("bad", ast.Load())
        if wrong.argument.isdigit():
            call.args[int(wrong.argument)] = place
        else:
            next(k for k in call.keywords if k.arg == wrong.argument).value = place
        space["bad"] = BAD[wrong.bad](T)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return eval(compile(ast.fix_missing_locations(tree), "<call>", "eval"), space)
