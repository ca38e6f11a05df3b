"""The norms and dropout give PyTorch's outputs, gradients, buffers and errors, over shapes, arguments and both modes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compare.peer import TOLERANCE, close, same, same_error, tn, torch
from tinygrad_norm.testing import values

LAYERS = {
    "BatchNorm1d": ([(4, 3), (4, 3, 2), (2, 3, 5)], lambda nn, **k: nn.BatchNorm1d(3, **k)),
    "BatchNorm2d": ([(4, 3, 2, 2), (2, 3, 1, 3)], lambda nn, **k: nn.BatchNorm2d(3, **k)),
    "BatchNorm3d": ([(2, 3, 2, 1, 2)], lambda nn, **k: nn.BatchNorm3d(3, **k)),
    "InstanceNorm1d": ([(4, 3, 5), (3, 5)], lambda nn, **k: nn.InstanceNorm1d(3, **k)),
    "InstanceNorm2d": ([(4, 3, 2, 2), (3, 2, 3)], lambda nn, **k: nn.InstanceNorm2d(3, **k)),
    "InstanceNorm3d": ([(2, 3, 2, 1, 2), (3, 2, 2, 2)], lambda nn, **k: nn.InstanceNorm3d(3, **k)),
}
ARGUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "eps": st.sampled_from([1e-5, 1e-3, 0.1]),
        "momentum": st.sampled_from([0.1, 0.5, 1.0, None]),
        "affine": st.booleans(),
        "track_running_stats": st.booleans(),
        "bias": st.booleans(),
    },
)


def agree(ours, theirs, shapes, seed: int) -> None:
    """Three training steps and one in evaluation: outputs, gradients, buffers."""
    ours, theirs = ours.double(), theirs.double()
    random = np.random.default_rng(seed)
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        value = random.normal(size=tuple(q.shape))
        p.data = tn.tensor(value, device=tn.get_backend())
        q.data = torch.tensor(value)
    assert repr(ours) == repr(theirs)
    for step in range(4):
        if step == 3:
            ours.eval(), theirs.eval()
        x = values(shapes, seed + step)
        ours.zero_grad(), theirs.zero_grad()
        same(lambda t, F, x: (theirs if t is torch else ours)(x), x)
        for p, q in zip(ours.parameters(), theirs.parameters()):
            close(p.grad, q.grad.numpy(), TOLERANCE)
        assert list(ours.state_dict()) == list(theirs.state_dict())
        for p, q in zip(ours.state_dict().values(), theirs.state_dict().values()):
            close(p, q.numpy(), TOLERANCE)


@pytest.mark.parametrize("name", LAYERS)
@given(arguments=ARGUMENTS, seed=st.integers(0, 1000), data=st.data())
def test_batch_and_instance_norm(name, arguments, seed, data) -> None:
    shapes, make = LAYERS[name]
    shape = data.draw(st.sampled_from(shapes))
    if not arguments.get("track_running_stats", name.startswith("B")):
        arguments.pop("momentum", None)
    agree(make(tn.nn, **arguments), make(torch.nn, **arguments), shape, seed)


@pytest.mark.parametrize("shape", [(2, 3, 4), (5, 4), (3, 2, 2, 4)], ids=str)
@given(
    last=st.integers(1, 2),
    arguments=st.fixed_dictionaries(
        {}, optional={"eps": st.sampled_from([1e-5, 0.1]), "elementwise_affine": st.booleans(), "bias": st.booleans()}
    ),
    seed=st.integers(0, 1000),
)
def test_layer_norm(shape, last, arguments, seed) -> None:
    agree(tn.nn.LayerNorm(shape[-last:], **arguments), torch.nn.LayerNorm(shape[-last:], **arguments), shape, seed)


@pytest.mark.parametrize("shape", [(3, 6), (2, 6, 4), (2, 6, 2, 3)], ids=str)
@given(
    groups=st.sampled_from([1, 2, 3, 6]),
    arguments=st.fixed_dictionaries(
        {}, optional={"eps": st.sampled_from([1e-5, 0.1]), "affine": st.booleans(), "bias": st.booleans()}
    ),
    seed=st.integers(0, 1000),
)
def test_group_norm(shape, groups, arguments, seed) -> None:
    agree(tn.nn.GroupNorm(groups, 6, **arguments), torch.nn.GroupNorm(groups, 6, **arguments), shape, seed)


def test_dropout_prints_alike() -> None:
    for make in (lambda nn: nn.Dropout(0.3), lambda nn: nn.Dropout(inplace=True), lambda nn: nn.Dropout2d(0.1)):
        assert repr(make(tn.nn)) == repr(make(torch.nn))


BAD = {
    "one_value": lambda t, nn: nn.BatchNorm1d(5)(t.ones(1, 5)),
    "one_value_2d": lambda t, nn: nn.BatchNorm2d(5)(t.ones(1, 5, 1, 1)),
    "dimensions": lambda t, nn: nn.BatchNorm1d(5)(t.ones(1, 5, 2, 2)),
    "dimensions_2d": lambda t, nn: nn.BatchNorm2d(5)(t.ones(1, 5)),
    "channels": lambda t, nn: nn.BatchNorm1d(5)(t.ones(2, 6)),
    "one_pixel": lambda t, nn: nn.InstanceNorm2d(3)(t.ones(2, 3, 1, 1)),
    "instance_dimensions": lambda t, nn: nn.InstanceNorm2d(3)(t.ones(2, 3)),
    "layer_shape": lambda t, nn: nn.LayerNorm([6, 3])(t.ones(8, 6, 3, 4)),
    "layer_no_shape": lambda t, nn: nn.functional.layer_norm(t.ones(2), []),
    "groups": lambda t, nn: nn.GroupNorm(3, 4),
    "group_channels": lambda t, nn: nn.functional.group_norm(t.ones(2, 4, 3), 3),
    "no_running": lambda t, nn: nn.functional.batch_norm(t.ones(2, 4), None, None),
    "probability": lambda t, nn: nn.Dropout(1.5),
    "probability_f": lambda t, nn: nn.functional.dropout(t.ones(2), -0.1),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_raises_the_same_kind_of_error(name) -> None:
    same_error(BAD[name])
