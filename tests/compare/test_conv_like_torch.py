"""Convolution and pooling give PyTorch's values and gradients, on a grid of odd arguments."""

from __future__ import annotations

import pytest

from compare.peer import same, same_error, tn, torch
from tinygrad_norm.testing import values

CONV = {  # input, weight, arguments
    "plain": ((2, 3, 6, 7), (4, 3, 3, 2), {}),
    "one_pixel": ((2, 3, 3, 3), (4, 3, 3, 3), {}),
    "kernel_1": ((2, 3, 4, 5), (4, 3, 1, 1), {}),
    "stride": ((2, 3, 7, 9), (4, 3, 3, 3), {"stride": (2, 3)}),
    "stride_larger_than_kernel": ((2, 3, 9, 8), (2, 3, 2, 2), {"stride": 3}),
    "padding": ((2, 2, 5, 4), (3, 2, 3, 3), {"padding": (2, 1)}),
    "padding_larger_than_input": ((1, 1, 2, 2), (1, 1, 3, 3), {"padding": 4}),
    "padding_and_stride": ((2, 2, 6, 5), (3, 2, 3, 4), {"padding": (1, 2), "stride": 2}),
    "same": ((2, 2, 6, 5), (3, 2, 3, 4), {"padding": "same"}),
    "same_dilated": ((2, 2, 6, 5), (3, 2, 3, 4), {"padding": "same", "dilation": (1, 2)}),
    "valid": ((2, 2, 6, 5), (3, 2, 3, 4), {"padding": "valid"}),
    "dilation": ((2, 2, 8, 9), (3, 2, 3, 2), {"dilation": (2, 3)}),
    "dilation_stride_padding": ((2, 2, 9, 9), (3, 2, 3, 3), {"dilation": 2, "stride": 2, "padding": 3}),
    "groups": ((2, 4, 5, 5), (6, 2, 3, 3), {"groups": 2}),
    "groups_stride_dilation": ((2, 4, 9, 8), (4, 2, 3, 2), {"groups": 2, "stride": 2, "dilation": 2, "padding": 1}),
    "depthwise": ((2, 3, 5, 5), (3, 1, 3, 3), {"groups": 3, "padding": 1}),
    "depthwise_multiplied": ((2, 3, 5, 5), (6, 1, 3, 3), {"groups": 3}),
    "unbatched": ((3, 5, 5), (2, 3, 3, 3), {}),
    "empty_batch": ((0, 3, 5, 5), (2, 3, 3, 3), {}),
    "one_sample": ((1, 1, 5, 5), (1, 1, 2, 2), {}),
}


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")  # PyTorch's, of its speed
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("name", CONV)
def test_conv2d(name, bias) -> None:
    shape, kernel, arguments = CONV[name]
    inputs = [values(shape, 1), values(kernel, 2)] + [values(kernel[:1], 3)] * bias
    same(lambda t, F, x, w, *b: F.conv2d(x, w, *b, **arguments), *inputs)


@pytest.mark.parametrize("name", ["stride", "padding", "groups", "dilation"])
def test_second_derivatives_of_conv2d(name) -> None:
    shape, kernel, arguments = CONV[name]

    def run(t, F, x, w):
        y = F.conv2d(x, w, **arguments)
        grad = t.autograd.grad if t is torch else t.grad
        gx, gw = grad((y * y * y).sum(), [x, w], create_graph=True)
        return [(gx * gx).sum(), (gw * gx.sum()).sum()]

    same(run, values(shape, 1), values(kernel, 2), tolerance=1e-8)


POOL = [
    {"kernel_size": 2},
    {"kernel_size": 3, "stride": 2},
    {"kernel_size": (2, 3), "stride": (1, 2), "padding": (1, 1)},
    {"kernel_size": 2, "stride": 3},
    {"kernel_size": 3, "stride": 2, "ceil_mode": True},
    {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True},
    {"kernel_size": 2, "stride": 2, "padding": 1, "ceil_mode": True},
    {"kernel_size": 1},
    {"kernel_size": 5, "stride": 4, "padding": 2, "ceil_mode": True},
]


@pytest.mark.parametrize("shape", [(2, 3, 7, 6), (1, 1, 5, 5), (3, 6, 7)], ids=str)
@pytest.mark.parametrize("arguments", POOL, ids=str)
def test_pooling(arguments, shape) -> None:
    x = values(shape, 4)
    same(lambda t, F, x: F.max_pool2d(x, **arguments, return_indices=True), x)
    same(lambda t, F, x: F.max_pool2d(t.round(x) + 0 * x, **arguments), x)  # ties
    for include in (True, False):
        same(lambda t, F, x, include=include: F.avg_pool2d(x, **arguments, count_include_pad=include), x)
    same(lambda t, F, x: F.avg_pool2d(x, **arguments, divisor_override=3), x)


def test_dilated_max_pooling_and_nan() -> None:
    same(lambda t, F, x: F.max_pool2d(x, 2, 1, dilation=(2, 3), return_indices=True), values((2, 2, 7, 8), 1))
    x = values((1, 1, 4, 4), 2)
    x[0, 0, 1, 1] = float("nan")
    same(lambda t, F, x: F.max_pool2d(x, 2, return_indices=True), x)


@pytest.mark.parametrize(
    "arguments",
    [
        {"kernel_size": 2},
        {"kernel_size": (2, 3), "stride": 2, "padding": 1},
        {"kernel_size": 2, "dilation": 2, "stride": (1, 2)},
    ],
    ids=str,
)
def test_unfold(arguments) -> None:
    same(lambda t, F, x: F.unfold(x, **arguments), values((2, 3, 5, 6), 1))
    same(lambda t, F, x: F.unfold(x, **arguments), values((3, 5, 6), 1))


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("padding", [1, (2, 0), "same", "valid"])
def test_padding_modes(mode, padding) -> None:
    theirs = torch.nn.Conv2d(2, 3, (3, 2), padding=padding, padding_mode=mode).double()
    ours = tn.nn.Conv2d(2, 3, (3, 2), padding=padding, padding_mode=mode).double()
    ours.load_state_dict({k: tn.tensor(v.numpy(), device=tn.get_backend()) for k, v in theirs.state_dict().items()})
    assert repr(ours) == repr(theirs)
    same(lambda t, F, x: (theirs if t is torch else ours)(x), values((2, 2, 5, 6), 1))


def test_modules_print_alike() -> None:
    def build(nn):
        return nn.Sequential(
            nn.Conv2d(4, 8, 3, stride=2, padding=(1, 2), dilation=2, groups=2, bias=False),
            nn.Conv2d(8, 8, (3, 1)),
            nn.MaxPool2d(2),
            nn.MaxPool2d((3, 2), stride=2, padding=1, dilation=1, ceil_mode=True),
            nn.AvgPool2d(2, 3),
        )

    assert repr(build(tn.nn)) == repr(build(torch.nn))
    x = values((2, 4, 31, 31), 1).astype("float32")
    assert build(tn.nn)(tn.tensor(x, device=tn.get_backend())).shape == tuple(build(torch.nn)(torch.tensor(x)).shape)


BAD = {
    "channels": lambda t, nn: nn.functional.conv2d(t.ones(2, 5, 8, 8), t.ones(4, 3, 3, 3)),
    "dimensions": lambda t, nn: nn.functional.conv2d(t.ones(5, 8), t.ones(4, 3, 3, 3)),
    "kernel_too_large": lambda t, nn: nn.functional.conv2d(t.ones(1, 1, 2, 2), t.ones(1, 1, 3, 3)),
    "groups": lambda t, nn: nn.functional.conv2d(t.ones(1, 4, 5, 5), t.ones(3, 2, 3, 3), groups=2),
    "no_output": lambda t, nn: nn.functional.conv2d(t.ones(1, 2, 5, 5), t.ones(0, 2, 3, 3)),
    "bias": lambda t, nn: nn.functional.conv2d(t.ones(1, 1, 5, 5), t.ones(3, 1, 3, 3), t.ones(2)),
    "dtype": lambda t, nn: nn.functional.conv2d(t.ones(1, 1, 5, 5), t.ones(1, 1, 3, 3, dtype=t.float64)),
    "stride": lambda t, nn: nn.functional.conv2d(t.ones(1, 1, 5, 5), t.ones(1, 1, 3, 3), stride=0),
    "padding": lambda t, nn: nn.functional.conv2d(t.ones(1, 1, 5, 5), t.ones(1, 1, 3, 3), padding=-1),
    "same_strided": lambda t, nn: nn.functional.conv2d(t.ones(1, 1, 5, 5), t.ones(1, 1, 3, 3), padding="same", stride=2),
    "module_groups": lambda t, nn: nn.Conv2d(3, 4, 3, groups=2),
    "module_padding": lambda t, nn: nn.Conv2d(3, 4, 3, padding="full"),
    "module_same": lambda t, nn: nn.Conv2d(3, 4, 3, padding="same", stride=2),
    "module_mode": lambda t, nn: nn.Conv2d(3, 4, 3, padding_mode="mirror"),
    "pool_padding": lambda t, nn: nn.functional.max_pool2d(t.ones(1, 1, 4, 4), 2, padding=2),
    "pool_size": lambda t, nn: nn.functional.avg_pool2d(t.ones(1, 1, 2, 2), 3),
    "pool_stride": lambda t, nn: nn.functional.max_pool2d(t.ones(1, 1, 4, 4), 2, stride=0),
    "pool_dimensions": lambda t, nn: nn.functional.max_pool2d(t.ones(4, 4), 2),
    "unfold": lambda t, nn: nn.functional.unfold(t.ones(1, 1, 2, 2), 3),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_raises_the_same_kind_of_error(name) -> None:
    same_error(BAD[name])
