"""Is a gradient right? Compare it with the slope that the function itself shows.

For a random cotangent c, s(x) = sum(c * f(x)) is a number, and its derivative with respect to each
single element of each input is measured by differences and compared with what `grad` gives. The
cotangent is random since a constant one is blind: the gradient of sum(batch_norm(x)) is 0 whatever
batch norm does.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_norm.autograd import Tensor, enable_grad, grad
from tinygrad_norm.autograd.function import undefined_gradients
from tinygrad_norm.backend import backend_of, overlaps_itself, xp
from tinygrad_norm.checks.notes import noted
from tinygrad_norm.engine.backward import reachable, target_of
from tinygrad_norm.engine.tensor import wrap

_STEPS = (1e-3, 1e-4, 1e-5, 1e-6)
_BEND = 1e-2  # of the slopes to the left and to the right, from where on it is looked into
_AGREEMENT = 3e-6  # of the differences at h and 2h, where nothing lies between them


class GradcheckError(RuntimeError):
    """A gradient that differs from the numerical one."""


@noted
def gradcheck(
    func: Callable,
    inputs: Tensor | Sequence[Any],
    *,
    eps: float | None = None,
    atol: float = 1e-7,
    rtol: float = 1e-6,
    seed: int = 0,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_batched_grad: bool = False,
    fast_mode: bool = False,
) -> bool:
    """Compare the gradients of `func(*inputs)` with numerical ones, in float64.

    func: a function of Tensors, or a Module, whose parameters are then checked too; it returns a
        Tensor or several. It has to give the same result each time: seed what is random in it.
    inputs: those that require grad are checked; they have to be float64.
    eps: the first step of the differences, by default 1e-3; smaller ones follow where there is a kink nearby.
    atol, rtol: |analytic - numerical| <= atol + rtol * max|numerical| of that input.
    nondet_tol: by how much the gradients of a second backward through the same graph may differ from the first's.
    check_undefined_grad: whether the gradients of zeros have to be zeros, and a Function that takes None for the gradient of
        an output that was not used (set_materialize_grads) has to manage that.
    fast_mode: accepted; every element is checked all the same. check_batched_grad=True raises NotImplementedError.

    Returns True; for a wrong gradient raises GradcheckError, which names the input, the index
    and both values, or returns False if raise_exception is False. Raises it too where the function
    has a kink at the input given: move the input away. ValueError if there is nothing to check, RuntimeError for an input
    whose elements share memory.
    """
    if check_batched_grad:
        raise NotImplementedError("check_batched_grad: there are no batched gradients: leave it out")
    checked = _checked(func, inputs)
    arguments = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    try:
        with enable_grad():
            results = _unchanged_by(func, arguments, checked)
            live = [i for i, o in enumerate(results) if o.requires_grad]  # the others are constants
            outputs = [results[i] for i in live]
            cotangents, tensors = _cotangents(outputs, seed), [t for _, t in checked]
            analytic, again = (
                grad(outputs, tensors, cotangents, retain_graph=True, allow_unused=True) if live else [None] * len(tensors)
                for _ in range(2)
            )

        def value() -> float:
            with enable_grad():  # the function may call grad itself
                results = _outputs(func(*arguments))
            return sum(float((c.array * results[i].array).sum()) for c, i in zip(cotangents, live))

        for (name, tensor), gradient in zip(checked, analytic):
            _compare(name, tensor, gradient, value, atol, rtol, _steps(eps), seed)
        _check_reentrant([name for name, _ in checked], analytic, again, nondet_tol)
        if check_undefined_grad and live:
            _check_undefined(outputs, tensors)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def _unchanged_by(func: Callable, arguments: list, checked: list[tuple[str, Tensor]]) -> list[Tensor]:
    """The outputs of the function. Raises GradcheckError if it has changed one of its inputs."""
    before = [(name, t.array, t.array.copy()) for name, t in checked]
    results = _outputs(func(*arguments))
    for name, array, kept in before:
        if not bool(((array == kept) | (array != array)).all()):
            raise GradcheckError(f"{name}: the function changed it, in place")
    return results


@noted
def gradgradcheck(
    func: Callable,
    inputs: Tensor | Sequence[Any],
    *,
    eps: float | None = None,
    atol: float = 1e-7,
    rtol: float = 1e-6,
    seed: int = 0,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_batched_grad: bool = False,
    fast_mode: bool = False,
) -> bool:
    """As gradcheck, for the second derivatives: the gradients are checked as a function of the inputs.

    The cotangent is one of its inputs.
    """
    arguments = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    checked = _checked(func, inputs)
    with enable_grad():  # the function may call grad itself
        cotangents = _cotangents(_outputs(func(*arguments)), seed + 1)
    for c in cotangents:
        c.requires_grad_()

    def gradients(*values: Any) -> list[Tensor]:
        with enable_grad():
            outputs = _outputs(func(*values[: len(arguments)]))
            live = [(o, c) for o, c in zip(outputs, values[len(arguments) :]) if o.requires_grad]
            if not live:
                return []
            tensors = [t for _, t in checked]
            found = grad([o for o, _ in live], tensors, [c for _, c in live], create_graph=True, allow_unused=True)
        return [g for g in found if g is not None and g.requires_grad]

    gradients.named_parameters = getattr(func, "named_parameters", None)  # type: ignore[attr-defined]
    return gradcheck(
        gradients, [*arguments, *cotangents], eps=eps, atol=atol, rtol=rtol, seed=seed, raise_exception=raise_exception,
        nondet_tol=nondet_tol, check_undefined_grad=check_undefined_grad, check_batched_grad=check_batched_grad,
    )  # fmt: skip


def _check_reentrant(names: list[str], first: Sequence[Tensor | None], second: Sequence[Tensor | None], most: float) -> None:
    """Raise unless two backwards through one graph have given the same."""
    for name, a, b in zip(names, first, second):
        if (a is None) != (b is None) or (a is not None and b is not None and not bool((abs(a - b) <= most).all())):
            raise GradcheckError(f"Backward is not reentrant: a second one differs, for {name}, by more than nondet_tol={most}")


def _check_undefined(outputs: list[Tensor], tensors: list[Tensor]) -> None:
    """Raise unless gradients of zeros are zeros, and each Function that may be given None can be."""
    zeros = [o.detach() * 0 for o in outputs]
    for g in grad(outputs, tensors, zeros, retain_graph=True, allow_unused=True):
        if g is not None and bool((g != 0).any()):
            raise GradcheckError("Expected all input grads to be undefined or zero when all output grads are undefined or zero")
    for node in reachable([(target_of(out), None) for out in outputs])[0]:
        try:
            found = undefined_gradients(node)
        except Exception as error:
            raise GradcheckError(f"{node.name()} does not handle undefined output grads: it failed with {error!r}") from error
        if any(g is not None and bool((g != 0).any()) for g in found):
            raise GradcheckError(f"{node.name()}: expected None or zeros where the gradients of all outputs are None")


def _outputs(result: Any) -> list[Tensor]:
    """The differentiable Tensors among what a function returned."""
    results = [result] if isinstance(result, Tensor) else list(result)
    return [r for r in results if isinstance(r, Tensor) and r.dtype.kind == "f"]


def _cotangents(outputs: list[Tensor], seed: int) -> list[Tensor]:
    random = np.random.default_rng(seed)
    return [wrap(xp(o.array).asarray(random.uniform(0.5, 1.5, o.shape) * random.choice([-1, 1], o.shape))) for o in outputs]


def _checked(func: Callable, inputs: Any) -> list[tuple[str, Tensor]]:
    """The Tensors to check, each with the name that an error gives it."""
    arguments = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    named = [(f"input {i}", t) for i, t in enumerate(arguments) if isinstance(t, Tensor) and t.requires_grad]
    parameters = getattr(func, "named_parameters", None)
    if parameters is not None:
        named += [(f"parameter {name!r}", p) for name, p in parameters() if p.requires_grad]
    if not named:
        raise ValueError("gradcheck: expected at least one input with requires_grad=True")
    for name, tensor in named:
        if tensor.dtype != np.float64:
            raise ValueError(f"gradcheck: {name} is {tensor.dtype}, expected float64: convert it with .double()")
        if overlaps_itself(tensor.array):
            raise RuntimeError(f"gradcheck: {name}: expected non-overlapping elements: call .clone() on what expand() made")
    return named


def _steps(eps: float | None) -> tuple[float, ...]:
    return _STEPS if eps is None else (eps, eps / 10, eps / 100)


def _compare(
    name: str, tensor: Tensor, gradient: Tensor | None, value: Callable, atol: float, rtol: float, steps: Any, seed: int
) -> None:
    """Compare one input's gradient with the numerical one, element by element."""
    analytic = np.zeros(tensor.shape) if gradient is None else _host(gradient.array)
    if analytic.shape != tuple(tensor.shape):
        raise GradcheckError(f"{name}: expected a gradient of shape {list(tensor.shape)}, but got {list(analytic.shape)}")
    indices = list(itertools.product(*map(range, tensor.shape)))
    start = value() if indices else 0.0
    numerical = {index: _slope(name, tensor.array, index, start, value, steps) for index in indices}
    scale = max(map(abs, numerical.values()), default=0.0)
    tolerance = atol + rtol * scale
    for index in indices:
        if not abs(analytic[index] - numerical[index]) <= tolerance:
            guess = _guess(analytic, np.array([numerical[i] for i in indices]).reshape(analytic.shape), tolerance)
            raise GradcheckError(
                f"{name}, index {index}: the gradient is {analytic[index]:.10g}, but the numerical derivative is "
                f"{numerical[index]:.10g} (tolerance {tolerance:.1g}; for a random cotangent, seed={seed} repeats it){guess}"
            )


def _guess(analytic: np.ndarray, numerical: np.ndarray, tolerance: float) -> str:
    """What may have gone wrong, if all elements are wrong in the same way."""
    if not np.isfinite(analytic).all():
        return ". It is not finite"
    if np.abs(analytic).max() <= tolerance:
        return ". It is 0 everywhere: is there a vjp for this input, and does it use g?"
    square = float((numerical * numerical).sum())
    factor = float((analytic * numerical).sum()) / square if square else 0.0
    if factor and analytic.size > 1 and np.abs(analytic - factor * numerical).max() <= 10 * tolerance:
        return f". All of it is off by the factor {factor:.6g}"
    square_ones = analytic.ndim >= 2 and analytic.shape[-1] == analytic.shape[-2]
    if square_ones and np.abs(analytic.swapaxes(-1, -2) - numerical).max() <= 10 * tolerance:
        return ". It is right when transposed"
    difference = analytic - numerical
    if analytic.size > 1 and np.ptp(difference) <= 10 * tolerance:
        return f". All of it is off by {difference.flat[0]:.6g}: a sum is missing, or counted twice"
    return ""


def _host(array: Any) -> np.ndarray:
    return array if backend_of(array).name == "numpy" else array.get()


def _slope(name: str, array: Any, index: tuple, start: float, value: Callable, steps: tuple[float, ...]) -> float:
    """The derivative of value(), which is `start` now, by array[index].

    Central differences at h and 2h, combined so that the error is of order h**4 (Richardson). Where
    a kink lies between them the two disagree: then h is made smaller, until it is out of reach. A kink at the very
    place shows by slopes that differ to the left and to the right, however small h is.
    """
    here = array[index].item()

    def at(h: float) -> float:
        array[index] = here + h
        return value()

    try:
        for h in steps:
            above, below, far = at(h), at(-h), (at(2 * h) - at(-2 * h)) / (4 * h)
            near = (above - below) / (2 * h)
            slope = (4 * near - far) / 3
            if abs(near - far) <= _AGREEMENT * (1 + abs(slope)):
                bend, bend_before = (above - 2 * start + below) / h, None
                if abs(bend) > _BEND * (1 + abs(slope)):  # a curve's bend falls with h, a kink's does not
                    bend_before = (at(2 * h) - 2 * start + at(-2 * h)) / (2 * h)
                if bend_before is None or abs(bend) < 0.75 * abs(bend_before):
                    return slope
                break
    finally:
        array[index] = here
    raise GradcheckError(f"{name}, index {index}: no derivative near {here:.6g} (a kink or a jump): move the input away")
