"""NumPy's functions on Tensors: NumPy's values, and our gradients."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import close, host, leaf

import tinygrad_norm as tn
from tinygrad_norm.ops import numpy_api

pytestmark = pytest.mark.skipif(tn.get_backend() != "numpy", reason="NumPy's functions of NumPy's arrays")
X, Y = np.array([[0.5, -1.5, 2.0], [3.0, 0.25, -0.75]]), np.array([[1.5, 0.5, -2.0], [0.1, 4.0, 1.0]])
POSITIVE = {"log", "log2", "log10", "sqrt", "power", "float_power"}
WHOLE = {"bitwise_and", "bitwise_or", "bitwise_xor", "invert"}
CALLS = {
    "sum": lambda x: [np.sum(x), np.sum(x, axis=0), np.sum(x, axis=(0, 1), keepdims=True), np.sum(x, 1)],
    "mean": lambda x: [np.mean(x), np.mean(x, axis=-1, keepdims=True)],
    "prod": lambda x: [np.prod(x), np.prod(x, axis=1)],
    "var": lambda x: [np.var(x), np.var(x, axis=0, ddof=1)],
    "std": lambda x: [np.std(x), np.std(x, axis=1, keepdims=True)],
    "max": lambda x: [np.max(x), np.max(x, axis=1)],
    "amax": lambda x: [np.amax(x, axis=0)],
    "min": lambda x: [np.min(x), np.min(x, axis=1, keepdims=True)],
    "amin": lambda x: [np.amin(x)],
    "any": lambda x: [np.any(x > 1), np.any(x > 1, axis=0)],
    "all": lambda x: [np.all(x > 1), np.all(x > 1, axis=0)],
    "argmax": lambda x: [np.argmax(x), np.argmax(x, axis=1)],
    "argmin": lambda x: [np.argmin(x), np.argmin(x, axis=1)],
    "cumsum": lambda x: [np.cumsum(x), np.cumsum(x, axis=1)],
    "sort": lambda x: [np.sort(x), np.sort(x, axis=0)],
    "argsort": lambda x: [np.argsort(x), np.argsort(x, axis=0)],
    "clip": lambda x: [np.clip(x, -1, 1), np.clip(x, 0, None)],
    "where": lambda x: [np.where(x > 0, x, 0.0), np.where(X > 0, x, Y)],
    "isclose": lambda x: [np.isclose(x, X)],
    "round": lambda x: [np.round(x), np.round(x, 1)],
    "reshape": lambda x: [np.reshape(x, (3, 2)), np.reshape(x, -1)],
    "ravel": lambda x: [np.ravel(x)],
    "transpose": lambda x: [np.transpose(x), np.transpose(x, (1, 0))],
    "swapaxes": lambda x: [np.swapaxes(x, 0, 1)],
    "moveaxis": lambda x: [np.moveaxis(x, 0, 1)],
    "squeeze": lambda x: [np.squeeze(x[None]), np.squeeze(x[None], axis=0)],
    "expand_dims": lambda x: [np.expand_dims(x, 1)],
    "broadcast_to": lambda x: [np.broadcast_to(x, (2, 2, 3))],
    "tile": lambda x: [np.tile(x, (2, 1))],
    "concatenate": lambda x: [np.concatenate([x, Y]), np.concatenate((x, x), axis=1)],
    "stack": lambda x: [np.stack([x, Y], axis=1)],
    "flip": lambda x: [np.flip(x), np.flip(x, axis=1)],
    "roll": lambda x: [np.roll(x, 1), np.roll(x, 1, axis=1)],
    "repeat": lambda x: [np.repeat(x, 2), np.repeat(x, 2, axis=1)],
    "take_along_axis": lambda x: [np.take_along_axis(x, np.array([[0, 1], [2, 2]]), 1)],
    "dot": lambda x: [np.dot(x, Y.T), np.dot(x[0], Y[0]), np.dot(2.0, x)],
    "outer": lambda x: [np.outer(x[0], Y[1])],
    "einsum": lambda x: [np.einsum("ij,kj->ik", x, Y)],
    "trace": lambda x: [np.trace(x)],
    "diagonal": lambda x: [np.diagonal(x, 1)],
    "diag": lambda x: [np.diag(x[0], 1)],
    "tril": lambda x: [np.tril(x, -1)],
    "triu": lambda x: [np.triu(x)],
    "linalg.norm": lambda x: [np.linalg.norm(x), np.linalg.norm(x, axis=1), np.linalg.norm(x[0], 3)],
    "zeros_like": lambda x: [np.zeros_like(x)],
    "ones_like": lambda x: [np.ones_like(x)],
    "full_like": lambda x: [np.full_like(x, 2.0)],
    "empty_like": lambda x: [np.zeros(np.empty_like(x).shape)],
    "copy": lambda x: [np.copy(x)],
    "shape": lambda x: [np.array(np.shape(x))],
    "ndim": lambda x: [np.ndim(x)],
    "size": lambda x: [np.size(x)],
}


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("name", numpy_api.UFUNCS)
def test_an_elementwise_function_is_our_op(name) -> None:
    ufunc = getattr(np, name)
    values = [np.abs(v) + 0.1 if name in POSITIVE else v for v in (X, Y)][: ufunc.nin]
    if name == "matmul":
        values[1] = values[1].T
    if name in WHOLE:
        values = [(v > 0) for v in values]
    tensors = [tn.tensor(v) for v in values]
    found, expected = ufunc(*tensors), ufunc(*values)
    assert isinstance(found, tn.Tensor)
    close(found, expected)
    if ufunc.nin == 2:
        for mixed in (ufunc(values[0], tensors[1]), ufunc(tensors[0], values[1])):
            assert isinstance(mixed, tn.Tensor)
            close(mixed, expected)


@pytest.mark.parametrize("name", numpy_api.FUNCTIONS)
def test_a_function_is_our_op_with_numpys_arguments(name) -> None:
    for found, expected in zip(CALLS[name](leaf(X)), CALLS[name](X), strict=True):
        close(found, expected)


def test_gradients_flow_through_numpys_functions() -> None:
    x = leaf(X)
    loss = np.sum(np.exp(x) * Y, axis=0).sum() + np.mean(np.tanh(x) @ np.ones((3, 2))) + np.linalg.norm(x)
    assert isinstance(loss, tn.Tensor)
    loss.backward()
    first = np.exp(X) * Y + 2 / 4 * (1 - np.tanh(X) ** 2) + X / np.linalg.norm(X)
    close(x.grad, first)
    assert tn.gradcheck(lambda x: np.var(np.add(Y, x), axis=1, ddof=1), leaf(X))
    array = np.ones((2, 2))
    product = array @ leaf(X)
    assert isinstance(product, tn.Tensor)
    assert product.requires_grad
    assert isinstance(np.float64(2.0) * x, tn.Tensor)


def test_what_is_not_there_is_refused_where_a_gradient_would_be_lost() -> None:
    x = leaf(X)
    with pytest.raises(TypeError, match=r"np.arctan has no derivative here; the nearest that there is: tinygrad_norm\.arctan"):
        np.arctan(x)
    with pytest.raises(TypeError, match=r"nearest that there is: tinygrad_norm\.nn\.functional\.pad: use x\.detach"):
        np.pad(x, 1)
    with pytest.raises(TypeError, match=r"np\.nansum has no derivative here; the nearest that there is: np\.sum"):
        np.nansum(x)
    with pytest.raises(TypeError, match=r"np\.percentile has no derivative here"):
        np.percentile(x, 50)
    with pytest.raises(TypeError, match=r"np\.add.reduce has no derivative"):
        np.add.reduce(x)
    with pytest.raises(TypeError, match="cannot be written into an array"):
        np.add(X, x, out=np.zeros_like(X))
    array = np.ones((2, 3))
    with pytest.raises(TypeError, match="cannot be written into an array"):
        array += x
    with pytest.raises(TypeError, match=r"np\.sum of a Tensor: got an unexpected keyword argument 'where'"):
        np.sum(x, where=X > 0)


def test_of_values_without_gradients_numpys_own_functions_serve() -> None:
    x = tn.tensor(X)
    close(np.arctan(x), np.arctan(X))
    assert isinstance(np.arctan(x), np.ndarray)
    close(np.percentile(x, 50), np.percentile(X, 50))
    assert np.array_equal(x, X)
    assert np.allclose(x, X)
    close(np.histogram(x, bins=2)[0], np.histogram(X, bins=2)[0])
    np.testing.assert_allclose(x, X)
    close(np.asarray(x), X)
    assert host(np.add.reduce(x)).shape == (3,)
