"""Property tests of gradients: hypothesis strategies, and `check_op`, which tries an op in all respects.

    from hypothesis import given
    from tinygrad_norm import testing

    @given(testing.arrays())
    def test_cube(x):
        testing.check_op(cube, x, reference=lambda x: x**3)

Needs hypothesis (`pip install "tinygrad_norm[testing]"`).
"""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

try:
    from hypothesis import strategies as st
    from hypothesis.extra import numpy as hnp
except ImportError:
    raise ImportError("tinygrad_norm.testing needs hypothesis: pip install 'tinygrad_norm[testing]'") from None

from tinygrad_norm import dtypes
from tinygrad_norm.autograd import Tensor, grad, no_grad
from tinygrad_norm.backend import backend, get_backend, is_array, transfer, xp
from tinygrad_norm.engine.tensor import wrap
from tinygrad_norm.gradcheck import GradcheckError, gradcheck, gradgradcheck
from tinygrad_norm.nn.module import Module

# ---- strategies ---------------------------------------------------------------------------


def shapes(*, min_dims: int = 0, max_dims: int = 3, min_side: int = 1, max_side: int = 3) -> st.SearchStrategy:
    """Shapes, small enough for numerical differentiation."""
    return hnp.array_shapes(min_dims=min_dims, max_dims=max_dims, min_side=min_side, max_side=max_side)


def values(
    shape: tuple[int, ...],
    seed: int,
    low: float = -2.0,
    high: float = 2.0,
    apart: float = 0.02,
    avoid: Sequence[float] = (0.0,),
) -> np.ndarray:
    """A float64 array of distinct numbers from [low, high], none within `apart` of those in `avoid`.

    Distinct numbers have no ties, and kinks are avoided: what is left is differentiable.
    """
    random = np.random.default_rng(seed)
    size = int(np.prod(shape))
    edges = np.linspace(low, high, 2 * size + 4)
    cells = random.permutation(len(edges) - 1)
    drawn = edges[cells] + random.uniform(0.2, 0.8, len(cells)) * (edges[1] - edges[0])
    clear = np.all([np.abs(drawn - a) > apart for a in avoid] or [np.full(drawn.shape, True)], axis=0)
    kept = drawn[clear]
    while len(kept) < size:  # an interval that is mostly avoided
        more = random.uniform(low, high, size)
        kept = np.concatenate([kept, *(more[np.all([np.abs(more - a) > apart for a in avoid], axis=0)],)])
    return kept[:size].reshape(shape)


def elements(
    *, ties: bool = True, zeros: bool = True, large: bool = False, inf: bool = False, nan: bool = False
) -> st.SearchStrategy:
    """Numbers at which ops are tested less often: for `arrays(elements=elements(nan=True))`.

    ties: few numbers, so that several elements are equal; zeros: 0 and -0; large: up to 1e300.
    """
    found = [st.floats(-2.0, 2.0)]
    found += [st.sampled_from([-1.0, 0.5, 1.0])] if ties else []
    found += [st.sampled_from([0.0, -0.0])] if zeros else []
    found += [st.sampled_from([-1e300, -1e20, 1e20, 1e300])] if large else []
    found += [st.sampled_from([float("inf"), float("-inf")])] if inf else []
    found += [st.just(float("nan"))] if nan else []
    return st.one_of(found)


@st.composite
def arrays(draw: Any, shape: Any = None, elements: st.SearchStrategy | None = None, **bounds: Any) -> np.ndarray:
    """float64 arrays of a shape (or of a strategy's shapes).

    Distinct numbers away from kinks, by `values` and its `bounds`; with elements, whatever that strategy gives, which
    hypothesis then makes as simple as the failure allows, element by element.
    """
    shape = draw(shapes() if shape is None else shape) if not isinstance(shape, tuple) else shape
    if elements is not None:
        return draw(hnp.arrays(np.float64, shape, elements=elements))
    return values(shape, draw(st.integers(0, 2**32 - 1)), **bounds)


@st.composite
def tensors(draw: Any, shape: Any = None, requires_grad: bool = True, dtype: Any = np.float64, **bounds: Any) -> Tensor:
    """Leaf Tensors; as `arrays`."""
    made = wrap(xp().asarray(draw(arrays(shape, **bounds)).astype(dtype)))
    return made.requires_grad_() if requires_grad else made


@st.composite
def broadcastable(draw: Any, number: int = 2, **bounds: Any) -> tuple[np.ndarray, ...]:
    """So many float64 arrays whose shapes broadcast with one another."""
    found = draw(hnp.mutually_broadcastable_shapes(num_shapes=number, max_dims=3, max_side=3))
    seeds = draw(st.integers(0, 2**32 - 1))
    return tuple(values(shape, seeds + i, **bounds) for i, shape in enumerate(found.input_shapes))


def axes(ndim: int) -> st.SearchStrategy:
    """What `dim` may be for so many dimensions: None, a dimension, several of them, negative or not."""
    if not ndim:
        return st.none()
    single = st.integers(-ndim, ndim - 1)
    several = st.lists(st.integers(0, ndim - 1), min_size=1, max_size=ndim, unique=True).map(tuple)
    return st.none() | single | several


# ---- check_op -----------------------------------------------------------------------------


def check_op(
    op: Callable,
    *inputs: Any,
    reference: Callable | None = None,
    settings: dict | None = None,
    devices: Sequence[str] | None = None,
    second: bool = True,
    exact: float = 1e-12,
    **keywords: Any,
) -> None:
    """Put an op, or any function of Tensors, through every property. Raises AssertionError.

    inputs: float64 arrays, which are differentiated, and whatever else the op takes, passed as it is.
    reference: a function of NumPy arrays with the same result. keywords: those of the op; settings: the same as a dict, for
    names that check_op has itself.
    devices: the backends to run on; by default the current one. second: check second derivatives.

    The properties: the value is the reference's; gradients and second gradients are the numerical
    ones; float32 and float64 inputs give outputs and gradients of that dtype; neither inputs nor
    cotangents are changed; no gradient shares memory with another, an input or a cotangent; under
    no_grad the result is the same and nothing is recorded; an op gives arrays what it gives Tensors.

    Example: `check_op(tn.softmax, np.array([[1.0, -2.0, 4.0]]), dim=1)`.
    """
    __tracebackhide__ = True  # a failure is shown where check_op was called
    settings = {**keywords, **(settings or {})}
    differentiable = [i for i, x in enumerate(inputs) if is_array(x) and x.dtype.kind == "f"]
    for device in devices or [get_backend()]:
        with backend(device):
            _check_on(device, op, inputs, differentiable, reference, settings, second, exact)


def _check_on(
    device: str,
    op: Callable,
    inputs: tuple,
    differentiable: list[int],
    reference: Any,
    settings: dict,
    second: bool,
    exact: float,
) -> None:
    __tracebackhide__ = True

    def leaves(dtype: Any) -> list:
        made = [transfer(x.copy(), device) if is_array(x) else x for x in inputs]
        for i in differentiable:
            made[i] = wrap(made[i].astype(dtype)).requires_grad_()
        return made

    def run(arguments: list) -> Tensor:
        return op(*arguments, **settings)

    at = f"on {device}"
    arguments = leaves(np.float64)
    out = run(arguments)
    assert isinstance(out, Tensor), f"{at}: expected a Tensor, but got {type(out).__name__}"
    if reference is not None:
        expected = np.asarray(reference(*inputs, **settings))
        _assert_close(out.array, expected, exact, f"the value {at}")
    with no_grad():
        plain = run(arguments)
    assert plain.node is None, f"{at}: recorded under no_grad"
    _assert_close(plain.array, out.array, 0, f"the value under no_grad {at}")
    if hasattr(op, "op"):
        raw = op(*[a.array if isinstance(a, Tensor) else a for a in arguments], **settings)
        _assert_close(raw, out.array, 0, f"the value for arrays {at}")
    _check_side_effects(at, inputs, arguments, differentiable, out)
    _check_dtypes(at, run, leaves, differentiable)
    _check_derivatives(at, op, run, arguments, differentiable, second)


def _check_derivatives(at: str, op: Callable, run: Callable, arguments: list, differentiable: list[int], second: bool) -> None:
    __tracebackhide__ = True
    names = names_of(op, len(arguments))
    for check, order in ((gradcheck, "first"), (gradgradcheck, "second"))[: 1 + second]:
        try:
            check(run_on(run, arguments, differentiable), [arguments[i] for i in differentiable])
        except GradcheckError as error:
            text = str(error)
            for k, i in enumerate(differentiable):
                text = text.replace(f"input {k}", f"input {names[i]!r}", 1) if text.startswith(f"input {k}") else text
            raise AssertionError(f"{getattr(op, '__name__', op)} {at}, {order} derivative: {text}") from None


def names_of(op: Callable, count: int) -> list[str]:
    """What the op calls its first arguments; their numbers if it does not say."""
    try:
        parameters = list(inspect.signature(op).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return names[:count] if len(names) >= count else [str(i) for i in range(count)]


def check_module(module: Module, *inputs: Any, second: bool = True) -> None:
    """Put a Module through what can be said of all: on these inputs, float64 arrays or whatever else it takes.

    In training and in evaluation mode, in float64: gradients (and second ones) of inputs and parameters are the
    numerical ones. Its state_dict, loaded into a copy with other values, gives the same outputs; so does a pickled one. Its
    parameters are found, and each has a gradient. What is random in it has to be off. Raises AssertionError.

    Example: `check_module(nn.Linear(3, 2), np.array([[1.0, -2.0, 4.0]]))`.
    """
    __tracebackhide__ = True
    name, net = type(module).__name__, copy.deepcopy(module).double()
    arguments = [wrap(xp().asarray(x)).requires_grad_() if is_array(x) and x.dtype.kind == "f" else x for x in inputs]
    for mode in (True, False):
        _check_mode(net.train(mode), name, arguments, second)


def _check_mode(net: Module, name: str, arguments: list, second: bool) -> None:
    __tracebackhide__ = True
    state = {k: v.clone() for k, v in net.state_dict().items()}

    def same(twin: Module) -> Any:
        twin.load_state_dict(state)
        with no_grad():
            return twin(*arguments)

    def run(*given: Any) -> Any:
        for key, buffer in net.named_buffers():
            buffer.data = state[key].clone().data  # running averages move with each call
        return net(*given)

    run.named_parameters = net.named_parameters  # type: ignore[attr-defined]
    at = f"{name}, in {'training' if net.training else 'evaluation'}"
    for check, order in ((gradcheck, "first"), (gradgradcheck, "second"))[: 1 + second]:
        try:
            check(run, arguments)
        except GradcheckError as error:
            raise AssertionError(f"{at}, {order} derivative: {error}") from None
    net.load_state_dict(state)
    net.zero_grad()
    net(*arguments).sum().backward()
    lost = [key for key, p in net.named_parameters() if p.requires_grad and p.grad is None]
    assert not lost, f"{at}: no gradient reaches {', '.join(lost)}"
    net.load_state_dict(state)
    expected = same(copy.deepcopy(net))
    other = copy.deepcopy(net)
    with no_grad():
        for p in other.parameters():
            p.add_(1.0)
    for what, twin in (("state_dict", other), ("pickle", pickle.loads(pickle.dumps(net)))):
        _assert_close(same(twin).array, expected.array, 0, f"{at}: the output after {what}")


def run_on(run: Callable, arguments: list, differentiable: list[int]) -> Callable:
    """The op as a function of its differentiable inputs alone."""

    def function(*given: Tensor) -> Tensor:
        filled = list(arguments)
        for i, tensor in zip(differentiable, given):
            filled[i] = tensor
        return run(filled)

    return function


def _check_side_effects(at: str, inputs: tuple, arguments: list, differentiable: list[int], out: Tensor) -> None:
    """Nothing is changed that was passed in, and no gradient shares memory with anything."""
    cotangent = transfer(values(out.array.shape, 1), get_backend())
    kept = cotangent.copy()
    wanted = [arguments[i] for i in differentiable]
    gradients = grad(out, wanted, wrap(cotangent), retain_graph=True, allow_unused=True)
    out.backward(wrap(cotangent))
    assert (cotangent == kept).all(), f"{at}: the cotangent was changed"
    for i in differentiable:
        assert (arguments[i].array == transfer(inputs[i], get_backend())).all(), f"{at}: input {i} was changed"
    found = [g.array for g in gradients if g is not None] + [t.grad.array for t in wanted if t.grad is not None]
    others = [t.array for t in wanted] + [cotangent, out.array]
    for k, g in enumerate(found):
        for other in found[k + 1 :] + others:
            assert not _overlap(g, other), f"{at}: a gradient shares its memory with another array"


def _overlap(a: Any, b: Any) -> bool:
    """Whether two arrays share memory, seen by writing: it works for arrays of every library."""
    if not a.size or not b.size:
        return False
    before, seen = a.copy(), b.copy()
    a[...] = a + 1
    changed = bool((b != seen).any())
    a[...] = before
    return changed


def _check_dtypes(at: str, run: Callable, leaves: Callable, differentiable: list[int]) -> None:
    """float32 in gives float32 out and float32 gradients; so for float64."""
    for dtype in (dtypes.float32, dtypes.float64):
        arguments = leaves(dtype)
        out = run(arguments)
        assert out.dtype == dtype, f"{at}: {dtype} in, but {out.dtype} out"
        out.backward(wrap(xp(out.array).ones_like(out.array)))
        for i in differentiable:
            g = arguments[i].grad
            assert g is None or g.dtype == dtype, f"{at}: the gradient of a {dtype} input is {g.dtype}"


def _assert_close(found: Any, expected: Any, tolerance: float, what: str) -> None:
    found, expected = (transfer(a, "cpu") if is_array(a) else np.asarray(a) for a in (found, expected))
    assert found.shape == expected.shape, f"{what}: expected the shape {expected.shape}, but got {found.shape}"
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance, err_msg=what)
