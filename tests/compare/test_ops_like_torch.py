"""The same values, gradients and dtypes as PyTorch, in float64, on a grid of ops, shapes and arguments."""

from __future__ import annotations

import numpy as np
import pytest

from compare.peer import same, same_error, tn, torch
from tinygrad_norm.testing import values

SHAPES = [(), (3,), (2, 3), (2, 3, 4), (1, 3, 1), (0, 2)]
ELEMENTWISE = {
    name: (lambda t, F, x, name=name: getattr(t, name)(x))
    for name in (
        "neg abs sign exp log1p sqrt rsqrt reciprocal square sin cos tanh sigmoid relu floor ceil round isnan isinf "
        "isfinite expm1 erf"
    ).split()
}
ELEMENTWISE |= {
    name: (lambda t, F, x, name=name: getattr(F, name)(x))
    for name in ["leaky_relu", "elu", "gelu", "silu", "softplus", "relu", "sigmoid", "tanh"]
}
ELEMENTWISE |= {
    "gelu_tanh": lambda t, F, x: F.gelu(x, approximate="tanh"),
    "elu_alpha": lambda t, F, x: F.elu(x - 1, alpha=0.3),
    "softplus_beta": lambda t, F, x: F.softplus(x, beta=3.0, threshold=4.0),
    "leaky_slope": lambda t, F, x: F.leaky_relu(x - 1, 0.2),
    "pow": lambda t, F, x: x**2.5,
    "pow_0": lambda t, F, x: x**0,
    "rpow": lambda t, F, x: 2**x,
    "rsub": lambda t, F, x: 3 - x,
    "rdiv": lambda t, F, x: 3 / x,
    "clamp": lambda t, F, x: x.clamp(0.5, 1.5),
    "clamp_min": lambda t, F, x: x.clamp(min=1.0),
    "round_decimals": lambda t, F, x: t.round(x, decimals=1),
    "masked_fill": lambda t, F, x: x.masked_fill(x > 1, 4.0),
    "where": lambda t, F, x: t.where(x > 1, x, 1.0),
    "add_alpha": lambda t, F, x: t.add(x, x, alpha=3),
    "comparison": lambda t, F, x: [
        x > 1,
        x >= 1,
        x < 1,
        x <= 1,
        x == x,
        x != x,
        ~(x > 1),
        (x > 1) & (x < 2),
        (x > 1) | (x < 2),
    ],
    "norm": lambda t, F, x: t.norm(x),
    "sum": lambda t, F, x: x.sum(),
    "flatten": lambda t, F, x: x.flatten(),
    "squeeze": lambda t, F, x: x.squeeze(),
    "unsqueeze": lambda t, F, x: x.unsqueeze(-1),
    "T": lambda t, F, x: x.reshape(-1, 1).T,
    "cumsum": lambda t, F, x: x.reshape(-1).cumsum(0),
    "repeat": lambda t, F, x: x.repeat(*[2] * (x.ndim + 1)),
    "tile": lambda t, F, x: t.tile(x, (2,)),
    "expand": lambda t, F, x: x.expand(2, *x.shape),
    "roll": lambda t, F, x: t.roll(x, 1),
    "float": lambda t, F, x: [x.float(), x.long(), x.bool(), x.int(), x.half()],
}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_elementwise(name, shape) -> None:
    same(ELEMENTWISE[name], values(shape, 1, low=0.2, high=2.5, avoid=(1.0, 1.5, 2.0, 0.5)))


@pytest.mark.parametrize(
    "pair", [((), ()), ((3,), ()), ((2, 3), (3,)), ((2, 1), (1, 3)), ((2, 1, 3), (4, 1)), ((0, 2), (2,))], ids=str
)
@pytest.mark.parametrize("name", ["add", "sub", "mul", "div", "pow", "maximum", "minimum", "true_divide"])
def test_binary(name, pair) -> None:
    same(lambda t, F, a, b: getattr(t, name)(a, b), values(pair[0], 1, low=0.3), values(pair[1], 2, low=0.3))


@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize("dim", [0, -1, (0, 1), (0, -1), (1,), None], ids=str)
@pytest.mark.parametrize("name", ["sum", "mean", "var", "std", "amax", "amin", "logsumexp", "norm", "any", "all"])
def test_reductions(name, dim, keepdim) -> None:
    if name == "logsumexp" and dim is None:
        dim = (0, 1, 2)

    def run(t, F, x):
        if name == "norm":
            return t.norm(x, 3, dim, keepdim)
        if dim is None and name in ("any", "all"):
            return getattr(x, name)()
        return getattr(t, name)(x, dim=dim, keepdim=keepdim)

    same(run, values((2, 3, 4), 3))


DIMS = {
    "prod": lambda t, F, x, d: t.prod(x, d),
    "cumsum": lambda t, F, x, d: t.cumsum(x, d),
    "softmax": lambda t, F, x, d: t.softmax(x, d),
    "log_softmax": lambda t, F, x, d: t.log_softmax(x, d),
    "max": lambda t, F, x, d: tuple(x.max(d)),
    "min": lambda t, F, x, d: tuple(x.min(d, keepdim=True)),
    "argmax": lambda t, F, x, d: x.argmax(d),
    "argmin": lambda t, F, x, d: x.argmin(d, keepdim=True),
    "var_0": lambda t, F, x, d: t.var(x, d, correction=0),
    "std_old": lambda t, F, x, d: x.std(d, False, True),
    "norm_1": lambda t, F, x, d: t.norm(x, 1, d),
    "norm_inf": lambda t, F, x, d: t.norm(x, float("inf"), d),
    "norm_0": lambda t, F, x, d: t.norm(x, 0, d).detach(),
    "flip": lambda t, F, x, d: t.flip(x, (d,)),
    "roll": lambda t, F, x, d: t.roll(x, 2, d),
    "unsqueeze": lambda t, F, x, d: x.unsqueeze(d),
    "transpose": lambda t, F, x, d: x.transpose(d, 0),
    "swapaxes": lambda t, F, x, d: t.swapaxes(x, 1, d),
    "split": lambda t, F, x, d: t.split(x, 2, d),
    "split_sizes": lambda t, F, x, d: t.split(x, [1, x.shape[d] - 1], d),
    "chunk": lambda t, F, x, d: t.chunk(x, 3, d),
    "cat": lambda t, F, x, d: t.cat([x, 2 * x], d),
    "stack": lambda t, F, x, d: t.stack([x, 2 * x], d),
    "index_select": lambda t, F, x, d: t.index_select(x, d, t.tensor([1, 0, 1])),
    "gather": lambda t, F, x, d: t.gather(x, d, (x[:2, :2, :2] > 0).long()),
    "scatter_add": lambda t, F, x, d: t.scatter_add(x, d, (x[:2, :2, :2] > 0).long(), 3 * x[:2, :2, :2]),
    "take_along_dim": lambda t, F, x, d: t.take_along_dim(x, x.argmax(d, keepdim=True), d),
    "softmax_f32": lambda t, F, x, d: t.softmax(x.float(), d, dtype=t.float64),
}


@pytest.mark.parametrize("dim", [0, 1, 2, -1])
@pytest.mark.parametrize("name", DIMS)
def test_along_a_dimension(name, dim) -> None:
    same(lambda t, F, x: DIMS[name](t, F, x, dim), values((2, 3, 4), 5))


OTHERS = {
    "reshape": lambda t, F, x: x.reshape(4, -1),
    "view": lambda t, F, x: x.view(3, 8),
    "sizes_by_name": lambda t, F, x: [x.view(size=(3, 8)), x[:1].expand(size=(5, 3, 4))],
    "permute": lambda t, F, x: x.permute(2, 0, -2),
    "mT": lambda t, F, x: x.mT,
    "flatten_1": lambda t, F, x: x.flatten(1),
    "expand_-1": lambda t, F, x: x.unsqueeze(1).expand(-1, 5, -1, 4),
    "getitem": lambda t, F, x: x[1, ..., ::2],
    "getitem_none": lambda t, F, x: x[:, None, -1],
    "getitem_lists": lambda t, F, x: x[[0, 1, 1], [2, 0, 0]],
    "getitem_tensors": lambda t, F, x: x[t.tensor([[0, 1], [1, 1]]), :, t.tensor([0, 3])],
    "getitem_mask": lambda t, F, x: x[x > 0],
    "getitem_row_mask": lambda t, F, x: x[:, t.tensor([True, False, True])],
    "pad": lambda t, F, x: F.pad(x, (1, 2, 0, -1), value=2.0),
    "pad_reflect": lambda t, F, x: F.pad(x, (2, 1), mode="reflect"),
    "pad_replicate": lambda t, F, x: F.pad(x, (2, 5), mode="replicate"),
    "pad_circular": lambda t, F, x: F.pad(x, (4, 1), mode="circular"),
    "amax_ties": lambda t, F, x: t.amax(t.round(x), (0, 1)) + t.amax(x.floor() * 0 + x.sum() * 0, 1).sum(),
    "sort_stable": lambda t, F, x: [
        *t.sort(t.round(x), dim=1, stable=True),
        t.argsort(t.round(x), dim=2, descending=True, stable=True),
    ],
    "topk": lambda t, F, x: [*t.topk(x, 2, 1, largest=False), t.topk(x, 0).values, *t.topk(x[0, 0, 0], 1)],
    "clamp_by_tensors": lambda t, F, x: [
        x.clamp(t.tensor(-0.5, dtype=t.float64), t.tensor(0.5, dtype=t.float64)),
        x.clamp(min=x.mean((0, 1)).detach()),
        x.clamp(max=t.tensor(0.1, dtype=t.float64)),
    ],
    "norms_at_zero": lambda t, F, x: [t.norm(x * 0, p) + x.sum() * 0 for p in (1, 2, 3, float("inf"))],
    "diagonals": lambda t, F, x: [x.diagonal(1, 1, 2), x.diagonal(-1, 0, -1), t.trace(x[0])],
    "addmm": lambda t, F, x: [t.addmm(x[0, :, :1], x[0], x[1].T, beta=0.5, alpha=3), t.addmm(x[0, :3, :3], x[0], x[1].T)],
    "linspace_of_integers": lambda t, F, x: [t.linspace(0, 10, 4, dtype=t.int64), t.linspace(5, -5, 1), t.linspace(0, 1, 0)],
    "max_all": lambda t, F, x: [x.max(), x.min(), x.argmax(), x.argmin()],
    "einsum": lambda t, F, x: t.einsum("abc,adc->abd", x, 2 * x),
    "einsum_trace": lambda t, F, x: t.einsum("aab->b", x[:2, :2]),
    "einsum_dots": lambda t, F, x: t.einsum("...c,c->...", x, x[0, 0]),
    "one_hot": lambda t, F, x: F.one_hot((x > 0).long(), 3),
    "matmul_batch": lambda t, F, x: x @ x.mT,
    "matmul_vector": lambda t, F, x: x @ x[0, 0],
    "vector_matmul": lambda t, F, x: x[0, :, 0] @ x,
    "dot": lambda t, F, x: x[0, 0] @ x[0, 1],
    "mm": lambda t, F, x: t.mm(x[0], x[1].T),
    "bmm": lambda t, F, x: t.bmm(x, x.mT),
    "outer": lambda t, F, x: t.outer(x[0, 0], x[1, :, 0]),
    "linear": lambda t, F, x: F.linear(x, x[0], x[1, :, 0]),
    "linear_vector": lambda t, F, x: F.linear(x[0, 0], x[0]),
    "prod_zeros": lambda t, F, x: t.prod(t.round(x)),
    "creation": lambda t, F, x: [
        t.zeros(2),
        t.ones(1, 2),
        t.full((2,), 3),
        t.full((2,), 3.0),
        t.eye(3),
        t.arange(4),
        t.arange(1, 2, 0.3),
        t.linspace(0, 1, 7),
    ],
    "promotion": lambda t, F, x: [
        x.float() * x[0, 0, 0].detach(),
        t.tensor([1, 2]) * 2.5,
        t.tensor([1, 2]) / 2,
        t.tensor([True]) + t.tensor([2], dtype=t.uint8),
        t.tensor(2.5) * t.tensor([1, 2]),
        t.tensor(2.5, dtype=t.float64) * t.ones(2),
        t.ones(2, dtype=t.float16) + t.tensor([1, 2]),
        t.exp(t.tensor([1, 2])),
        t.tensor([1, 2]).sum(),
        t.tensor([True, True]).sum(),
        t.cat([t.tensor([1]), t.tensor([1.5])]),
        t.maximum(t.tensor([1]), t.tensor([1.5])),
        t.where(t.tensor([True]), t.tensor([1]), 2.5),
    ],
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_ops(name) -> None:
    same(OTHERS[name], values((2, 3, 4), 7), tolerance=1e-6 if name in ("promotion", "creation") else 1e-10)


LOSSES = {
    "mse": lambda t, F, x, y, r: F.mse_loss(x, y, reduction=r),
    "l1": lambda t, F, x, y, r: F.l1_loss(x, y, reduction=r),
    "smooth_l1": lambda t, F, x, y, r: F.smooth_l1_loss(x, y, reduction=r),
    "smooth_l1_beta": lambda t, F, x, y, r: F.smooth_l1_loss(x, y, reduction=r, beta=0.3),
    "bce": lambda t, F, x, y, r: F.binary_cross_entropy_with_logits(3 * x, y.sigmoid(), reduction=r),
    "bce_weighted": lambda t, F, x, y, r: F.binary_cross_entropy_with_logits(
        3 * x, y.sigmoid(), weight=y.detach() ** 2, pos_weight=t.tensor([1.0, 2.0, 3.0], dtype=t.float64), reduction=r
    ),
    "cross_entropy_probabilities": lambda t, F, x, y, r: F.cross_entropy(x, y.softmax(1), reduction=r),
    "cross_entropy_smooth_probabilities": lambda t, F, x, y, r: F.cross_entropy(
        x, y.softmax(1), reduction=r, label_smoothing=0.1, weight=t.tensor([1.0, 2.0, 0.5], dtype=t.float64)
    ),
}


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("name", LOSSES)
def test_losses(name, reduction) -> None:
    same(lambda t, F, x, y: LOSSES[name](t, F, x, y, reduction), values((4, 3), 1), values((4, 3), 2))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("ignored", [-100, 1])
@pytest.mark.parametrize("shape", [(3,), (5, 3), (2, 3, 4), (2, 3, 2, 2)], ids=str)
def test_cross_entropy_of_classes(shape, ignored, weighted, smoothing, reduction) -> None:
    labels = np.random.default_rng(1).integers(0, 3, shape[:1] * (len(shape) > 1) + shape[2:])
    if len(shape) == 1:
        labels = np.array(2)

    def run(t, F, x):
        weight = t.tensor([1.0, 2.0, 0.5], dtype=t.float64) if weighted else None
        y = t.tensor(labels)
        losses = [F.cross_entropy(x, y, weight, ignore_index=ignored, reduction=reduction, label_smoothing=smoothing)]
        return [
            *losses,
            F.nll_loss(F.log_softmax(x, dim=min(1, x.ndim - 1)), y, weight, ignore_index=ignored, reduction=reduction),
        ]

    same(run, values(shape, 3))


@pytest.mark.filterwarnings("ignore:invalid value encountered")
@pytest.mark.parametrize("labels", [[-100, 2, -100], [-100, -100, -100]], ids=str)
def test_cross_entropy_where_most_classes_are_ignored(labels) -> None:
    same(lambda t, F, x: F.cross_entropy(x, t.tensor(labels)), values((3, 4), 3))


BAD = {
    "add": lambda t, nn: t.ones(2) + t.ones(3),
    "matmul": lambda t, nn: t.ones(2, 5) @ t.ones(3, 4),
    "matmul_0": lambda t, nn: t.ones(2, 5) @ t.ones(()),
    "mm": lambda t, nn: t.mm(t.ones(2), t.ones(2)),
    "reshape": lambda t, nn: t.ones(2, 3).reshape(4),
    "dim": lambda t, nn: t.ones(2).sum(1),
    "dim_twice": lambda t, nn: t.ones(2, 2).sum((0, 0)),
    "index": lambda t, nn: t.ones(2)[2],
    "too_many_indices": lambda t, nn: t.ones(2)[0, 0],
    "float_index": lambda t, nn: t.ones(2)[t.ones(2)],
    "mean_of_int": lambda t, nn: t.arange(3).mean(),
    "cat": lambda t, nn: t.cat([t.ones(2, 2), t.ones(3, 3)]),
    "stack": lambda t, nn: t.stack([t.ones(2), t.ones(3)]),
    "split": lambda t, nn: t.ones(4).split([1, 2]),
    "expand": lambda t, nn: t.ones(4).expand(3),
    "permute": lambda t, nn: t.ones(4, 2).permute(0),
    "permute_twice": lambda t, nn: t.ones(4, 2).permute(0, 0),
    "gather": lambda t, nn: t.ones(2, 2).gather(0, t.tensor([[5]])),
    "index_select": lambda t, nn: t.ones(2, 2).index_select(0, t.tensor([5])),
    "item": lambda t, nn: t.ones(2).item(),
    "bool": lambda t, nn: bool(t.ones(2)),
    "len": lambda t, nn: len(t.ones(())),
    "iter": lambda t, nn: list(t.ones(())),
    "numpy": lambda t, nn: t.ones(2, requires_grad=True).numpy(),
    "int_requires_grad": lambda t, nn: t.arange(2).requires_grad_(),
    "backward_nonscalar": lambda t, nn: (t.ones(2, requires_grad=True) * 2).backward(),
    "backward_constant": lambda t, nn: t.ones(()).backward(),
    "inplace_leaf": lambda t, nn: t.ones(2, requires_grad=True).add_(1),
    "inplace_shape": lambda t, nn: t.ones(2).add_(t.ones(2, 2)),
    "inplace_dtype": lambda t, nn: t.arange(2).add_(1.5),
    "setitem_shape": lambda t, nn: t.ones(4).__setitem__(slice(0, 2), t.ones(3)),
    "zeros": lambda t, nn: t.zeros(-1),
    "arange": lambda t, nn: t.arange(0, 5, -1),
    "randint": lambda t, nn: t.randint(3, 3, (1,)),
    "normal": lambda t, nn: t.normal(0.0, -1.0, size=(2,)),
    "clamp": lambda t, nn: t.ones(2).clamp(),
    "linear": lambda t, nn: nn.Linear(3, 2)(t.ones(4, 5)),
    "linear_dtype": lambda t, nn: nn.Linear(3, 2)(t.ones(4, 3, dtype=t.float64)),
    "reduction": lambda t, nn: nn.functional.mse_loss(t.ones(2), t.ones(2), reduction="avg"),
    "bce_shape": lambda t, nn: nn.functional.binary_cross_entropy_with_logits(t.ones(2), t.ones(3)),
    "ce_class": lambda t, nn: nn.functional.cross_entropy(t.ones(2, 3), t.tensor([0, 3])),
    "ce_batch": lambda t, nn: nn.functional.cross_entropy(t.ones(2, 3), t.tensor([0, 1, 2])),
    "ce_dtype": lambda t, nn: nn.functional.cross_entropy(t.ones(2, 3), t.ones(2)),
    "init_fan": lambda t, nn: nn.init.xavier_uniform_(t.ones(2)),
    "gain": lambda t, nn: nn.init.calculate_gain("nothing"),
    "kaiming_mode": lambda t, nn: nn.init.kaiming_uniform_(t.ones(2, 2), mode="fan"),
    "sgd_empty": lambda t, nn: t.optim.SGD([], lr=0.1),
    "sgd_lr": lambda t, nn: t.optim.SGD([t.ones(1)], lr=-1.0),
    "sgd_momentum": lambda t, nn: t.optim.SGD([t.ones(1)], lr=0.1, momentum=-1.0),
    "sgd_decay": lambda t, nn: t.optim.SGD([t.ones(1)], lr=0.1, weight_decay=-1.0),
    "sgd_nesterov": lambda t, nn: t.optim.SGD([t.ones(1)], lr=0.1, nesterov=True),
    "sgd_tensor": lambda t, nn: t.optim.SGD(t.ones(1), lr=0.1),
    "sgd_non_leaf": lambda t, nn: t.optim.SGD([t.ones(1, requires_grad=True) * 2], lr=0.1),
    "sgd_twice": lambda t, nn: t.optim.SGD([{"params": [p := t.ones(1)]}, {"params": [p]}], lr=0.1),
    "adam_beta": lambda t, nn: t.optim.Adam([t.ones(1)], betas=(1.0, 0.9)),
    "adam_eps": lambda t, nn: t.optim.Adam([t.ones(1)], eps=-1.0),
    "module_before_init": lambda t, nn: type("M", (nn.Module,), {"__init__": lambda s: setattr(s, "a", nn.Linear(1, 1))})(),
    "module_attribute": lambda t, nn: nn.Linear(1, 1).missing,
    "module_parameter": lambda t, nn: setattr(nn.Linear(1, 1), "weight", t.ones(1, 1)),
    "module_no_forward": lambda t, nn: nn.Module()(1),
    "module_train": lambda t, nn: nn.Linear(1, 1).train(2),
    "buffer_name": lambda t, nn: nn.Linear(1, 1).register_buffer("a.b", None),
    "buffer_taken": lambda t, nn: nn.Linear(1, 1).register_buffer("in_features", None),
    "load_missing": lambda t, nn: nn.Linear(1, 1).load_state_dict({}),
    "load_size": lambda t, nn: nn.Linear(1, 1).load_state_dict(nn.Linear(2, 1).state_dict()),
    "sequential_index": lambda t, nn: nn.Sequential(nn.Identity())[1],
    "loader_batch": lambda t, nn: (
        t.utils.data.DataLoader([1], batch_size=0) if hasattr(t, "utils") else t.data.DataLoader([1], batch_size=0)
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_raises_the_same_kind_of_error(name) -> None:
    if tn.get_backend() != "numpy" and name in ("gather", "index_select", "ce_class"):
        pytest.skip("on a GPU the values of an index are not looked at: that would wait for it")
    same_error(BAD[name])


def test_the_peer_is_in_float64_precision() -> None:
    assert torch.tensor(np.ones(1)).dtype == torch.float64


INPLACE = {
    "clamp_": lambda t, y, w: y.clamp_(0.2, 1),
    "mul_": lambda t, y, w: y.mul_(w),
    "imul": lambda t, y, w: y.__imul__(w),
    "idiv": lambda t, y, w: y.__itruediv__(w),
    "pow_": lambda t, y, w: y.pow_(2),
    "abs_": lambda t, y, w: y.abs_(),
    "exp_": lambda t, y, w: y.exp_(),
    "relu_": lambda t, y, w: y.relu_(),
    "view": lambda t, y, w: y[0].mul_(w[0]),
    "setitem": lambda t, y, w: y.__setitem__(0, y[1].clone() * w[0]),
    "item_times": lambda t, y, w: y.__setitem__(0, y[0].mul_(w[0])),
    "zero_": lambda t, y, w: y[:1].zero_(),
}


@pytest.mark.parametrize("name", INPLACE)
def test_in_place_edits_have_the_same_gradients(name) -> None:
    def run(t, F, x, w):
        y = x * 1
        INPLACE[name](t, y, w)
        return y * y

    same(run, values((3, 2), 1), values((3, 2), 2, low=0.3))


INDEX = {
    "int_slice_list": lambda t: (0, slice(None), [0, 1, 2]),
    "slice_int_list": lambda t: (slice(None), 0, [2, 1]),
    "int_dots_list": lambda t: (0, ..., [0, 1]),
    "tensor_without_dimensions": lambda t: (t.tensor(1), slice(None), t.tensor([0, 1])),
    "list_int": lambda t: ([0, 1], 1),
    "mask_and_int": lambda t: (t.tensor([True, False, True]), 1),
    "int_mask": lambda t: (1, t.tensor([[True, False, True], [False] * 3, [True] * 3])),
    "none_int_list": lambda t: (None, 0, slice(None), [1, 0]),
    "lists_apart": lambda t: ([0, 1], slice(None), [1, 0]),
}


@pytest.mark.parametrize("name", INDEX)
def test_integers_select_before_arrays_index(name) -> None:
    same(lambda t, F, x: x[INDEX[name](t)], values((3, 3, 3), 1))

    def assign(t, F, x):
        y = x * 1
        y[INDEX[name](t)] = (x * 2)[INDEX[name](t)] + 1
        return y

    same(assign, values((3, 3, 3), 1))


def test_bitwise_operators() -> None:
    def run(t, F, x):
        a, b = t.tensor([5, 6]), t.tensor([3, 1])
        mask = x > 0
        return [a & b, a | 1, a ^ b, ~a, 1 | a, mask & ~mask, mask | True, mask ^ mask]

    same(run, values((2,), 1))
