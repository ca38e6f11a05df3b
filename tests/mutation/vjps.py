"""Is every derivative tested? Negate each vjp in turn, and see that the op table notices.

    python tests/mutation/vjps.py

For each vjp of each op the cases of op_table.py that use it are run until one fails. A vjp that is
zero by definition (sign, floor, ...) is replaced by the identity instead, since -0 is 0. Prints the
count, and exits with 1 if a mutant survives.
"""

from __future__ import annotations

import gc
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path[:0] = [str(Path(__file__).parent.parent), str(Path(__file__).parent.parent / "double")]

from op_table import CASES, Case
from test_autograd import test_gradients_come_back_in_the_dtype_of_their_input
from test_backend import test_gradients_flow_between_backends
from test_distributed import (
    test_all_reduce_in_one_process_is_the_identity,
    test_sync_batch_norm_over_two_shares_is_batch_norm_over_both,
)

from tinygrad_norm import testing
from tinygrad_norm.engine.op import Op, Plan


def sync_norm_of_two_shares() -> None:
    """SyncBatchNorm over two threads that stand for processes."""
    with pytest.MonkeyPatch.context() as patch:
        test_sync_batch_norm_over_two_shares_is_batch_norm_over_both((3, 2), True, False, "numpy", patch)


OTHER_TESTS = {
    "sync_normalize": [sync_norm_of_two_shares],
    "to_dtype": [test_gradients_come_back_in_the_dtype_of_their_input],
    "all_reduce": [test_all_reduce_in_one_process_is_the_identity],
    "to_device": [test_gradients_flow_between_backends],  # the table goes there and back, and -1 * -1 is 1
}
ZERO = {"sign", "floor", "ceil", "trunc", "round", "rounded_div", "filled"}
NONE = {  # of these nothing can be wrong: the derivative is refused, or is 0 since the op is linear in pieces
    ("floor_divide", "input"),
    ("floor_divide", "other"),
    ("relu_gradient", "y"),
    ("leaky_relu_gradient", "x"),
}


def run(case: Case, second: bool = False, examples: int = 5) -> None:
    """One case of the table, on a few inputs; second derivatives as well if asked."""

    @hypothesis.settings(
        max_examples=examples, phases=[hypothesis.Phase.generate], deadline=None, database=None, derandomize=True
    )
    @given(data=st.data())
    def check(data: Any) -> None:
        inputs, settings = data.draw(case.inputs)
        testing.check_op(case.function, *inputs, reference=case.reference, settings=settings, second=second and case.second)

    check()


def users() -> dict[Op, list[Case]]:
    """Which cases use which op, seen by watching what is planned."""
    found: dict[Op, list[Case]] = {}
    planned: set[Op] = set()
    original = Plan.__init__

    def watch(self: Plan, op: Op, *rest: Any) -> None:
        planned.add(op)
        original(self, op, *rest)

    Plan.__init__ = watch  # type: ignore[method-assign]
    for case in CASES:
        planned.clear()
        for op in all_ops():
            op.plans.clear()
        run(case, second=True, examples=1)
        for op in planned:
            found.setdefault(op, []).append(case)
    Plan.__init__ = original  # type: ignore[method-assign]
    return found


def all_ops() -> list[Op]:
    """Every op of the package."""
    return sorted((o for o in gc.get_objects() if isinstance(o, Op)), key=lambda o: o.name)


def mutants(op: Op) -> Iterator[tuple[str, Callable[[], None]]]:
    """For each differentiable input, its name and what plants the mutant."""

    def wrong(vjp: Callable) -> Callable:
        return (lambda g, *rest: g) if op.forward.__name__.strip("_") in ZERO else (lambda *args: -vjp(*args))

    for name, (vjp, names) in list(op.vjps.items()):
        yield name, lambda name=name, vjp=vjp, names=names: op.vjps.update({name: (wrong(vjp), names)})
    if op.joint is not None:
        joint, names = op.joint
        count = 1 if op.variadic else len(op.inputs)
        for i in range(count):

            def negated(*args: Any, i: int = i) -> list:
                every = list(joint(*args))
                return [-x if x is not None and (k == i or op.variadic) else x for k, x in enumerate(every)]

            yield (op.variadic or op.inputs[i]), lambda negated=negated: setattr(op, "joint", (negated, names))


def killed(op: Op, plant: Callable[[], None], cases: list[Case]) -> bool:
    """Whether one of the cases, or of the other tests named above, fails with the mutant in place."""
    vjps, joint = dict(op.vjps), op.joint
    plant()
    op.plans.clear()
    try:
        first = [partial(run, case, examples=2) for case in cases]
        second = [partial(run, case, second=True) for case in cases]
        for check in [*first, *OTHER_TESTS.get(op.name, []), *second]:
            try:
                check()
            except Exception:
                return True
        return False
    finally:
        op.vjps, op.joint = vjps, joint
        op.plans.clear()


def main() -> int:
    """Plant every mutant; print the survivors and the count."""
    warnings.simplefilter("ignore")
    using = users()
    survivors, total = [], 0
    for op in all_ops():
        for name, plant in mutants(op):
            if op.joint is not None and name == "target" and op.name == "cross_entropy":
                continue  # classes have no gradient
            if (op.name, name) in NONE:
                continue
            total += 1
            dead = killed(op, plant, using.get(op, []))
            print(f"{'killed' if dead else 'passed'}: {op.name}.{name}", flush=True)
            if not dead:
                survivors.append(f"{op.name}.{name}")
    for survivor in survivors:
        print(f"survived: the negated vjp of {survivor}")
    print(f"{total - len(survivors)} of {total} mutants killed")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
