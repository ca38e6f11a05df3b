"""autograd.functional beside PyTorch's: values, structure and history of every product and matrix, and the same errors."""

from __future__ import annotations

import numpy as np
import pytest

from compare.peer import tn, torch


def leaf(T, values):
    """A float64 leaf of that package, on the backend that is tested."""
    return T.tensor(values, dtype=T.float64, **({"device": tn.get_backend()} if T is tn else {}))


FUNCTIONS = {
    "one to one": lambda T: (lambda x: x**3 * 2, leaf(T, [1.0, -2.0])),
    "a number": lambda T: (lambda x: x**3, leaf(T, 2.0)),
    "one to a number": lambda T: (lambda x: (x**2).sum() * x[0], leaf(T, [1.0, 2.0, 3.0])),
    "two to a number": lambda T: (lambda x, y: (x * y**2).sum(), (leaf(T, [1.0, 2.0]), leaf(T, [3.0, -1.0]))),
    "two to two": lambda T: (lambda x, y: (x * y.sum(), y**2), (leaf(T, [1.0, 2.0]), leaf(T, [[3.0], [1.0]]))),
    "an unused input": lambda T: (lambda x, y: (x**2).sum(), (leaf(T, [1.0, 2.0]), leaf(T, [3.0]))),
    "linear": lambda T: (lambda x: (x * 3).sum(), leaf(T, [1.0, 2.0])),
    "independent of its input": lambda T: (lambda x: leaf(T, 1.0), leaf(T, [1.0, 2.0])),
    "not a tensor": lambda T: (lambda x: 3, leaf(T, [1.0])),
    "a list of inputs": lambda T: (lambda x, y: (x * y).sum(), [leaf(T, [1.0]), leaf(T, [2.0])]),
    "a number as input": lambda T: (lambda x: x, 3.0),
}
FAULTY = ("independent of its input", "not a tensor", "a list of inputs", "a number as input")
PRODUCTS = ("vjp", "jvp", "vhp", "hvp")
VECTORS = {
    "none": lambda T: None,
    "a number": lambda T: leaf(T, 2.0),
    "two": lambda T: leaf(T, [1.0, -3.0]),
    "three": lambda T: leaf(T, [1.0, 0.5, 2.0]),
    "a pair": lambda T: (leaf(T, [1.0, -1.0]), leaf(T, [2.0, 0.5])),
    "another pair": lambda T: (leaf(T, [1.0, -1.0]), leaf(T, [[2.0], [0.5]])),
    "one and one": lambda T: (leaf(T, [1.0, 2.0]), leaf(T, [1.0])),
    "not a tensor": lambda T: 3,
}


def described(found):
    """Values, shapes, structure and whether there is a history."""
    if isinstance(found, (tuple, list)):
        return type(found).__name__, [described(f) for f in found]
    return list(found.shape), np.round(np.asarray(found.detach().cpu().tolist()), 9).tolist(), found.requires_grad


def outcome(T, call):
    """What came of it; of errors, the kind."""
    try:
        return described(call(T))
    except (RuntimeError, TypeError) as error:
        return type(error).__name__


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("of", FUNCTIONS)
@pytest.mark.parametrize("name", ["jacobian", "hessian", *PRODUCTS])
def test_a_product_or_matrix_is_pytorchs(name, of, strict, create_graph) -> None:
    for at in VECTORS if name in PRODUCTS else ("none",):
        for wanted in (False, True):

            def call(T, at=at, wanted=wanted):
                function, inputs = FUNCTIONS[of](T)
                if wanted and isinstance(inputs, T.Tensor):
                    inputs.requires_grad_()
                given = {"v": VECTORS[at](T)} if name in PRODUCTS else {}
                given |= {"create_graph": True} if create_graph else {}  # else by its default
                given |= {"strict": True} if strict else {}
                return getattr(T.autograd.functional, name)(function, inputs, **given)

            ours, theirs = outcome(tn, call), outcome(torch, call)
            if (at == "not a tensor" or (of in FAULTY and at != "none")) and isinstance(
                ours, str
            ):  # two faults: either may be told
                theirs = ours if isinstance(theirs, str) else theirs
            assert ours == theirs, (at, wanted)
