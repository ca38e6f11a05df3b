"""Every keyword at a value that is not its default, and every scheduler beyond its period: PyTorch computes the same.

A line runs on both libraries, in the environment of bad_input.py. That no keyword is forgotten is a test of its own.
"""

from __future__ import annotations

import ast
import inspect
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from bad_input import environment
from bad_input import lines as other_lines

import tinygrad_norm as tn

torch = pytest.importorskip("torch", reason="comparisons need PyTorch: pip install 'tinygrad_norm[compare]'")
pytestmark = pytest.mark.skipif(tn.get_backend() != "numpy", reason="PyTorch computes on the host")

LINES = """
T.unique(T.tensor([[3, 1], [3, 1], [0, 2]]), sorted=False, return_inverse=True, return_counts=True, dim=0)
T.unique(T.tensor([3, 1, 1, 0]), return_counts=True)
T.var_mean(x, unbiased=False)
T.std_mean(x, unbiased=False)
T.var(x, unbiased=False)
T.std(x, unbiased=False)
T.scatter(x, 1, i, value=2.5)
T.allclose(x, y, rtol=0.5, atol=0.5, equal_nan=True)
T.isclose(x, y, rtol=0.5, atol=0.1, equal_nan=True)
T.argsort(i, dim=0, descending=True, stable=True)
T.sort(i, dim=0, descending=True, stable=True)
T.diagonal(batch, 1, 2, 1)
T.flatten(batch, 1, 2)
T.nonzero(i, as_tuple=True)
T.repeat_interleave(x, T.tensor([1, 0, 2]), 1, output_size=3)
T.topk(x, 2, dim=0, largest=False, sorted=True)
T.arange(1, 9, step=3)
T.hstack([v, v])
T.meshgrid(v, v[:2], indexing='ij')
T.index_add(v, 0, j, v[:2], alpha=-2)
T.median(x)
T.median(x, 0, keepdim=True)
T.cumprod(batch, 1, dtype=T.float64)
T.addcmul(x, y, y, value=-0.5)
T.addcdiv(x, y, y, value=-0.5)
F.avg_pool2d(img, 3, 2, 1, ceil_mode=True, count_include_pad=False)
F.avg_pool2d(img, 2, divisor_override=7)
F.avg_pool1d(seq, 3, 2, 1, ceil_mode=True, count_include_pad=False)
F.max_pool2d(img, 3, 2, 1, dilation=2, ceil_mode=True, return_indices=True)
F.normalize(batch, p=3.0, dim=-1, eps=0.7)
F.cosine_similarity(batch, batch * 2 - 1, dim=-1, eps=2.5)
F.kl_div(x, y, reduction='sum')
F.kl_div(x, y, reduction='none', log_target=True)
F.kl_div(x, y, size_average=False)
F.batch_norm(img, T.zeros(4), T.ones(4), b4, b4, True, momentum=0.7, eps=0.3)
F.instance_norm(img, T.zeros(4), T.ones(4), None, None, use_input_stats=True, momentum=0.7, eps=0.3)
F.instance_norm(img, T.zeros(4), T.ones(4), b4, b4, use_input_stats=False, eps=0.3)
F.layer_norm(x, (3,), v, v, eps=0.3)
F.group_norm(img, 2, b4, b4, eps=0.3)
F.binary_cross_entropy(x, y, weight=c, reduction='sum')
F.binary_cross_entropy_with_logits(x, y, weight=c, pos_weight=c * 3, reduction='none')
F.conv1d(seq, k1[:, :2], b4, stride=2, padding=1, dilation=2, groups=2)
F.conv2d(img, k[:, :2], b4, stride=2, padding=1, dilation=2, groups=2)
F.conv2d(img, k, padding='same')
F.cross_entropy(x, labels, c, ignore_index=2, reduction='sum', label_smoothing=0.3)
F.cross_entropy(x, y, c, reduction='none', label_smoothing=0.3)
F.nll_loss(x, labels, c, ignore_index=2, reduction='none')
F.elu(x - 0.5, alpha=2.5)
F.leaky_relu(x - 0.5, negative_slope=0.7)
F.softplus(x * 9, beta=2.5, threshold=3)
F.huber_loss(x, y * 4, reduction='sum', delta=0.3)
F.huber_loss(x, y * 4, delta=0.3, weight=y)
F.smooth_l1_loss(x, y * 4, reduction='sum', beta=0.3)
F.l1_loss(x, y, reduction='sum')
F.l1_loss(x, y, weight=y)
F.mse_loss(x, y, reduction='sum')
F.mse_loss(x, y, weight=y)
F.pad(img, (1, 2, 0, 1), mode='reflect')
F.pad(img, (1, -1, 0, 2), mode='circular')
F.pad(img, (1, 2), mode='constant', value=2.5)
F.unfold(img, 2, dilation=2, padding=1, stride=2)
F.embedding(i + 1, sq, padding_idx=-1)
F.gelu(x, approximate='tanh')
F.prelu(img - 0.5, b4)
layer(nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False, divisor_override=5), img)
layer(nn.MaxPool2d(3, 2, 1, dilation=2, return_indices=True, ceil_mode=True), img)
layer(nn.BatchNorm1d(4, eps=0.3, momentum=0.7, affine=False, track_running_stats=True), seq)
layer(nn.BatchNorm1d(4, track_running_stats=False, bias=False), seq)
layer(nn.BatchNorm2d(4, eps=0.3, momentum=0.7, affine=False), img)
layer(nn.BatchNorm2d(4, momentum=None, track_running_stats=False, bias=False), img)
layer(nn.BatchNorm3d(4, eps=0.3, momentum=0.7, affine=False), vol)
layer(nn.BatchNorm3d(4, track_running_stats=False, bias=False), vol)
layer(nn.InstanceNorm1d(4, eps=0.3, momentum=0.7, affine=True, track_running_stats=True, bias=False), seq)
layer(nn.InstanceNorm2d(4, eps=0.3, momentum=0.7, affine=True, track_running_stats=True, bias=False), img)
layer(nn.InstanceNorm3d(4, eps=0.3, momentum=0.7, affine=True, track_running_stats=True, bias=False), vol)
layer(nn.LayerNorm(3, eps=0.3, bias=False), x)
layer(nn.LayerNorm(3, elementwise_affine=False), x)
layer(nn.GroupNorm(2, 4, eps=0.3, affine=False), img)
layer(nn.GroupNorm(2, 4, bias=False), img)
layer(nn.Conv1d(4, 6, 3, stride=2, padding=1, dilation=2, groups=2, bias=False, padding_mode='circular'), seq)
layer(nn.Conv2d(4, 6, 3, stride=2, padding=1, dilation=2, groups=2, bias=False, padding_mode='reflect'), img)
layer(nn.LazyConv1d(6, 3, stride=2, padding=1, dilation=2, groups=2, bias=False, padding_mode='circular'), seq)
layer(nn.LazyConv2d(6, 3, stride=2, padding=1, dilation=2, groups=2, bias=False, padding_mode='replicate'), img)
layer(nn.LazyBatchNorm1d(eps=0.3, momentum=0.7, affine=False, track_running_stats=False), seq)
layer(nn.LazyBatchNorm1d(bias=False), seq)
layer(nn.LazyBatchNorm2d(eps=0.3, momentum=0.7, affine=False, track_running_stats=False), img)
layer(nn.LazyBatchNorm2d(bias=False), img)
layer(nn.LazyBatchNorm3d(eps=0.3, momentum=0.7, affine=False, track_running_stats=False), vol)
layer(nn.LazyBatchNorm3d(bias=False), vol)
layer(nn.LazyLinear(5, bias=False), x)
layer(nn.Linear(3, 5, bias=False), x)
layer(nn.Embedding(3, 2, padding_idx=-1), i + 1)
layer(nn.ELU(alpha=2.5), x - 0.5)
layer(nn.GELU(approximate='tanh'), x - 0.5)
layer(nn.LeakyReLU(negative_slope=0.7), x - 0.5)
layer(nn.PReLU(num_parameters=3, init=0.7), x - 0.5)
layer(nn.Softplus(beta=2.5, threshold=3), x * 9)
layer(nn.Flatten(start_dim=2, end_dim=3), img)
layer(nn.Softmax(dim=0), x)
layer(nn.LogSoftmax(dim=0), x)
layer(nn.ZeroPad2d(2), img)
layer(nn.ReplicationPad2d((1, 0, 2, 1)), img)
layer(nn.ReflectionPad2d((1, 0, 2, 1)), img)
nn.BCELoss(weight=c, reduction='sum')(x, y)
nn.BCEWithLogitsLoss(weight=c, reduction='sum', pos_weight=c * 3)(x, y)
nn.CrossEntropyLoss(weight=c, ignore_index=2, reduction='sum', label_smoothing=0.3)(x, labels)
nn.NLLLoss(weight=c, ignore_index=2, reduction='sum')(x, labels)
nn.HuberLoss(reduction='sum', delta=0.3)(x, y * 4)
nn.SmoothL1Loss(reduction='sum', beta=0.3)(x, y * 4)
nn.L1Loss(reduction='sum')(x, y)
nn.MSELoss(reduction='none')(x, y)
nn.init.uniform_(T.ones(2, 3), a=2.0, b=2.0)
nn.init.normal_(T.ones(2, 3), mean=2.0, std=0.0)
nn.init.constant_(T.ones(2, 3), 2.0)
nn.utils.clip_grad_norm_([leaf], 0.5, norm_type=3.0, error_if_nonfinite=True)
trained(lambda p: T.optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.3, weight_decay=0.2, maximize=True))
trained(lambda p: T.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True))
trained(lambda p: T.optim.Adam(p, lr=0.1, betas=(0.5, 0.7), eps=0.1, weight_decay=0.2, amsgrad=True, maximize=True))
trained(lambda p: T.optim.Adam(p, lr=0.1, weight_decay=0.2, decoupled_weight_decay=True))
trained(lambda p: T.optim.AdamW(p, lr=0.1, betas=(0.5, 0.7), eps=0.1, weight_decay=0.2, amsgrad=True, maximize=True))
trained(lambda p: T.optim.RMSprop(p, 0.1, alpha=0.7, eps=0.1, weight_decay=0.2, momentum=0.5, centered=True, maximize=True))
rates(lambda o: S.StepLR(o, 3, gamma=0.5))
rates(lambda o: S.MultiStepLR(o, [2, 5, 5, 9], gamma=0.5))
rates(lambda o: S.ExponentialLR(o, 0.9))
rates(lambda o: S.CosineAnnealingLR(o, 5, eta_min=0.01))
rates(lambda o: S.LambdaLR(o, [lambda epoch: 0.9**epoch, lambda epoch: 1 / (1 + epoch)]))
rates(lambda o: S.MultiplicativeLR(o, lambda epoch: 0.9 + 0.1 * (epoch % 2)))
rates(lambda o: S.ConstantLR(o, factor=0.25, total_iters=4))
rates(lambda o: S.LinearLR(o, start_factor=0.25, end_factor=0.5, total_iters=4))
rates(lambda o: S.CosineAnnealingWarmRestarts(o, 3, T_mult=2, eta_min=0.01))
rates(lambda o: S.OneCycleLR(o, 0.5, epochs=10, steps_per_epoch=4, pct_start=0.4, anneal_strategy='linear', div_factor=5.0))
rates(lambda o: S.OneCycleLR(o, [0.5, 0.6], 40, base_momentum=0.7, max_momentum=0.8, final_div_factor=10.0, three_phase=True))
rates(lambda o: S.OneCycleLR(o, 0.5, 40, cycle_momentum=False))
rates(lambda o: S.SequentialLR(o, [S.LinearLR(o, 0.1, total_iters=3), S.StepLR(o, 4, 0.5), S.ExponentialLR(o, 0.8)], [3, 12]))
rates(lambda o: S.SequentialLR(o, [S.ConstantLR(o, 0.1, 2), S.CosineAnnealingWarmRestarts(o, 4)], [5]))
resumed(lambda o, last: S.StepLR(o, 3, gamma=0.5, last_epoch=last))
resumed(lambda o, last: S.MultiStepLR(o, [2, 5], gamma=0.5, last_epoch=last))
resumed(lambda o, last: S.ExponentialLR(o, 0.9, last_epoch=last))
resumed(lambda o, last: S.CosineAnnealingLR(o, 5, eta_min=0.01, last_epoch=last))
resumed(lambda o, last: S.LambdaLR(o, lambda epoch: 0.9**epoch, last_epoch=last))
resumed(lambda o, last: S.MultiplicativeLR(o, lambda epoch: 0.9, last_epoch=last))
resumed(lambda o, last: S.ConstantLR(o, factor=0.25, total_iters=6, last_epoch=last))
resumed(lambda o, last: S.LinearLR(o, start_factor=0.25, total_iters=6, last_epoch=last))
resumed(lambda o, last: S.CosineAnnealingWarmRestarts(o, 3, last_epoch=last))
resumed(lambda o, last: S.OneCycleLR(o, 0.5, 40, last_epoch=last))
jumping(lambda o: S.StepLR(o, 3, gamma=0.5))
jumping(lambda o: S.MultiStepLR(o, [2, 5], gamma=0.5))
jumping(lambda o: S.ExponentialLR(o, 0.9))
jumping(lambda o: S.CosineAnnealingLR(o, 5, eta_min=0.01))
jumping(lambda o: S.LambdaLR(o, lambda epoch: 0.9**epoch))
jumping(lambda o: S.ConstantLR(o, factor=0.25, total_iters=6))
jumping(lambda o: S.LinearLR(o, start_factor=0.25, total_iters=6))
jumping(lambda o: S.CosineAnnealingWarmRestarts(o, 3, T_mult=2))
plateau(lambda o: S.ReduceLROnPlateau(o, mode='max', factor=0.5, patience=1, threshold=0.2, cooldown=2, min_lr=[0.01, 0.002]))
plateau(lambda o: S.ReduceLROnPlateau(o, factor=0.3, patience=2, threshold_mode='abs', eps=0.002))
""".strip().splitlines()  # fmt: skip


def more(T: Any) -> dict[str, Any]:
    """What the lines use beside what bad_input.py has."""
    S = T.optim.lr_scheduler

    def layer(module: Any, x: Any) -> Any:
        """What it computes, twice, and the buffers that it leaves; its parameters are the same in both libraries."""
        module(x.detach())
        random = np.random.default_rng(3)
        with T.no_grad():
            for p in module.parameters():
                p.copy_(T.tensor(random.uniform(0.1, 0.9, tuple(p.shape)).astype("float32")))
        first = module(x)
        buffers = [b.clone() for b in module.buffers()]
        return [first, module.eval()(x.detach()), *buffers, list(module.state_dict())]

    def trained(make: Callable) -> Any:
        p = T.tensor([1.0, -2.0, 3.0]).requires_grad_()
        optimizer = make([p])
        for _ in range(4):
            optimizer.zero_grad()
            (p * p * T.tensor([1.0, 0.1, 2.0])).sum().backward()
            optimizer.step()
        return p.detach()

    def two_groups() -> Any:
        return T.optim.SGD([{"params": [T.ones(1)]}, {"params": [T.ones(1)], "lr": 0.02}], lr=0.1, momentum=0.5)

    def settings(optimizer: Any) -> list[float]:
        return [float(group[name]) for group in optimizer.param_groups for name in ("lr", "momentum")]

    def rates(make: Callable) -> list[float]:
        optimizer = two_groups()
        scheduler, found = make(optimizer), []
        for step in range(38):
            found += settings(optimizer) + list(map(float, scheduler.get_last_lr()))
            if step == 17:  # goes on from its own state
                scheduler.load_state_dict(scheduler.state_dict())
            optimizer.step()
            scheduler.step()
        return found

    def resumed(make: Callable) -> list[float]:
        optimizer, found = two_groups(), []
        scheduler = make(optimizer, -1)
        for _ in range(4):
            optimizer.step()
            scheduler.step()
        scheduler = make(optimizer, 4)
        for _ in range(9):
            found += settings(optimizer)
            optimizer.step()
            scheduler.step()
        return found

    def jumping(make: Callable) -> list[float]:
        optimizer, found = two_groups(), []
        scheduler = make(optimizer)
        for epoch in (7, 3, 20, None, 0, None):
            optimizer.step()
            scheduler.step(epoch)
            found += settings(optimizer)
        return found

    def plateau(make: Callable) -> list[float]:
        optimizer, found = two_groups(), []
        scheduler = make(optimizer)
        for metric in [1.0, 0.95, 0.94, 1.2, 1.21, 0.9, 0.9, 0.9, 0.9, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 2.0, 2.0, 2.0, 2.0]:
            scheduler.step(metric)
            found += settings(optimizer)
        return found

    c = T.tensor([0.3, 0.6, 0.9])
    return {
        "S": S,
        "c": c,
        "layer": layer,
        "trained": trained,
        "rates": rates,
        "resumed": resumed,
        "jumping": jumping,
        "plateau": plateau,
    }


def outcome(line: str, library: Any) -> list[Any]:
    """All that the line returns, and the gradients of a weighted sum of it."""
    space = environment(library) | more(library)
    inputs = {name: space[name] for name in ("x", "y", "v", "sq", "batch", "img", "seq", "vol", "k", "k1", "b4")}
    for x in inputs.values():
        x.requires_grad_(bool("running" not in line and "_norm(img, T.zeros" not in line))
    found = list(parts(eval(line, space)))
    total = sum(
        (t * library.arange(1.0, 1.0 + t.numel()).reshape(t.shape)).sum() for t in found if hasattr(t, "grad_fn") and t.grad_fn
    )
    if hasattr(total, "backward"):
        total.backward()
    return [*found, *(x.grad for x in inputs.values())]


def parts(result: Any) -> Any:
    if isinstance(result, (tuple, list)):
        for part in result:
            yield from parts(part)
    else:
        yield result


@pytest.mark.parametrize("line", LINES)
def test_pytorch_computes_the_same(line: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found, expected = outcome(line, tn), outcome(line, torch)
    assert len(found) == len(expected)
    for a, b in zip(found, expected):
        if isinstance(b, torch.Tensor):
            a, b = a.detach().numpy(), b.detach().numpy()
            np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6 * max(1.0, float(np.abs(b).max(initial=0))))
        else:
            assert a == (pytest.approx(b, rel=1e-9) if isinstance(b, float) else b)


# accepted, and change nothing; or refused (embedding's); or where a Tensor is made, which other tests look at
NOTHING = (
    "dtype device requires_grad pin_memory memory_format generator foreach fused capturable differentiable size_average reduce "
    "inplace _stacklevel sparse_grad axis size names max_norm norm_type scale_grad_by_freq sparse _weight _freeze dims shape"
).split()
ELSEWHERE = set(  # random, over processes, a base class, or a last_epoch that nothing can be made of
    "dropout dropout1d dropout2d dropout3d alpha_dropout Dropout Dropout1d Dropout2d Dropout3d AlphaDropout SyncBatchNorm "
    "LRScheduler SequentialLR Parameter kaiming_normal_ kaiming_uniform_ xavier_normal_ xavier_uniform_ trunc_normal_".split()
)


def test_no_keyword_is_forgotten() -> None:
    space = environment(tn) | more(tn)
    given: dict[Any, set[str]] = {}
    for line in [*LINES, *other_lines()]:
        for call in ast.walk(ast.parse(line)):
            if isinstance(call, ast.Call):
                try:
                    function = eval(ast.unparse(call.func), space)
                    names = list(inspect.signature(function).parameters)
                except Exception:  # a method of what only the line makes
                    continue
                defaults = inspect.signature(function).parameters
                for name, value in [*zip(names, call.args), *((k.arg, k.value) for k in call.keywords)]:
                    if name in defaults and ast.unparse(value) != repr(defaults[name].default):
                        given.setdefault(function, set()).add(name)
    forgotten = []
    for place in (tn.nn.functional, tn.nn, tn.optim, tn.optim.lr_scheduler):
        for name in place.__all__:
            function = getattr(place, name)
            if (
                name in ELSEWHERE
                or not callable(function)
                or (inspect.isclass(function) and function.__module__.endswith("module"))
            ):
                continue
            optional = {p.name for p in inspect.signature(function).parameters.values() if p.default is not p.empty}
            forgotten += [f"{name}({k}=)" for k in sorted(optional - set(NOTHING) - given.get(function, set()))]
    assert not forgotten
