"""Would the suite notice a mistake in the engine? Plant sixty-seven, one at a time, and run the tests.

    python tests/mutation/engine.py

Each is a few words changed in one function. The suite is imported once; a forked process for each mutant exchanges the
function's code and runs the tests until one fails. Prints each as it is done, and the count; exits with 1 if one survives.
"""

from __future__ import annotations

import importlib
import os
import sys
import types
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parent.parent / folder) for folder in ("", "double", "mutation", "compare")]

import pytest
from lines import planted

TESTS = Path(__file__).parent.parent
SUITE = (
    "test_errors test_engine test_edits test_autograd test_anomaly test_inplace test_tensor test_corners test_like_pytorch test_less_common "
    "test_nn test_optim test_saving test_data test_by_hand test_hidden_state"
).split()

# module: (function, what stands there, what is planted), ...
MUTANTS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "engine.backward": (
        ("_walk", "arrived[target] = arrived[target] + g if target in arrived else g\n", "arrived[target] = g\n"),
        ("_walk", "if needed is None or target in needed:", "if True:"),
        ("_walk", "g = g if target.__class__ is Node else g[...]", "pass"),
        ("_walk", "if node in captured:", "if False:"),
        ("_walk", "if not (leaf.view_of and leaf.view_of.inherits):", "if True:"),
        ("_walk", "if gx is None or (needed is not None and target not in needed):", "if gx is None:"),
        ("_walk", "(gx is g or gx is last)", "(gx is last and gx is not g)"),
        ("_walk", "(gx is g or gx is last)", "gx is g"),
        ("_gradients", "given = apart(given)", "pass"),
        ("_gradients", "if len(given) != plan.arity:", "if False:"),
        ("_walk", "arrived[target] = arrived[target] + gx", "arrived[target] = gx"),
        ("_walk", "if gx.shape != like.shape or gx.dtype is not like.dtype:", "if False:"),
        ("differentiate", "thread.recording = before", "pass"),
        ("own", "if not known and getattr(array, \"base\", None) is None:", "if not known:"),
        ("_gradients", "if version.count != count and (create_graph or slot < plan.used):", "if False:"),
        ("_gradients", "slot < plan.used", "True"),
        ("_gradients", "if not retain:", "if retain:"),
        ("_gradients", "if needed is None or edge in needed else None", ""),
        ("fit", "gx = sum_to(gx if gx.ndim >= len(shape) else gx + zeros, shape)", "gx = gx.reshape(-1)[:1].reshape((1,) * len(shape))"),
        ("deposit", "leaf._grad = old + gradient", "leaf._grad = gradient"),
        ("deposit", 'mark_edited(old, "backward")', "pass"),
        ("_deposit_used_up", "if not uses[edge] and edge in arrived:", "if edge in arrived:"),
        ("reachable", "reverse=True", "reverse=False"),
    ),
    "autograd.create_graph": (
        ("_through_definition", "_same(x) if isinstance(x := value[name], Tensor) and x.needs_grad else x", "x if (x := value[name]) is not None else x"),
    ),
    "autograd.hooks": (
        ("at_leaf", "backward.own(self._run(g), True)", "self._run(g)"),
        ("on_gradient", "backward.deposit(tensor, backward.own(g, True), True)", "backward.deposit(tensor, backward.own(g, False), True)"),
        ("_run", "g = replacement", "return replacement"),
    ),
    "autograd.requests": (
        ("_backward", "create_graph if retain is None else retain", "create_graph or retain"),
        ("grad", "create_graph if retain_graph is None else retain_graph", "create_graph or retain_graph"),
        ("_for_each", "elif not allow_unused:", "elif False:"),
        ("_backward", "x.retain_grad()", "pass"),
        ("roots_of", "out.array.size != 1", "False"),
        ("roots_of", "or (out.view_of is not None and out.view_of.inherits)", ""),
    ),
    "autograd.views": (
        ("refresh", "self.synced_at = edits", "pass"),
        ("refresh", "set_history(x, renewed.node)", "pass"),
        ("refresh", "x.needs_grad = self.inherits = True", "x.needs_grad = True"),
        ("set_history", "x.node.hooks.retained, hooks_of(node).retained = None, weakref.ref(x)", "pass"),
        ("write_through", "elif part.size:", "elif False:"),
        ("make_view", "edit_error or parent.edit_error", "edit_error"),
        ("make_view", "base, before, edit_error = parent.base, parent.steps,", "base, before, edit_error = parent.base, (),"),
        ("follow", "if x.view_of is not None:", "if False:"),
    ),
    "engine.tensor": (
        ("detach", "result.version = version_of(self)", "pass"),
        ("mark_edited", "x.version.count + 1", "x.version.count"),
        ("mark_edited", "if x.version.copies is not None:", "if False:"),
    ),
    "checks.tensors": (("require_gradient", "if g.array.shape != x.array.shape:", "if False:"),),
    "autograd.tensor_methods": (("__deepcopy__", 'self.array.copy(order="K")', "self.array"),),
    "autograd.edits": (
        ("before_edit", "source = replay(x.view_of.root(), x.view_of.steps)", "pass"),
        ("check_editable", "if x.needs_grad and x.node is None:", "if False:"),
        ("check_editable", "if x.needs_grad and x.view_of.root().node is None:", "if False:"),
        ("check_editable", "if x.view_of.edit_error:", "if False:"),
        ("rebase", 'record_edit(write_view.op, (base, value), {"steps": x.view_of.steps}, base)', "pass"),
        ("reshape_in_place", "is_stand_in, steps = True,", "is_stand_in, steps = False,"),
    ),
    "engine.op": (
        ("record", "version = x.version = x.version or Version()", "version = Version()"),
        ("record", "version = result.version = result.version or Version()", "version = Version()"),
        ("record", "guards += [(len(saved), version_of(x), version_of(x).count) for x in inputs if isinstance(x, Tensor)]", "pass"),
    ),
    "promotion": (
        ("promoted", "wanted = dtypes.DEFAULT", "pass"),
        ("promoted", "value.item() if isinstance(value, np.generic) else value", "value"),
        ("converted", 'return x - 2**bits if dtype.kind == "i" and x >= 2 ** (bits - 1) else x', "return x"),
    ),
    "autograd.modes": (
        ("__exit__", "vars(thread).update(self.before[-1])", "pass"),
        ("_resumed", "with _Recording(enabled):\n            try:", "with _Recording(True):\n            try:"),
    ),
    "optim.state": (
        ("_fitted", "copy=True", "copy=False"),
        ("_fitted", "value.detach().clone()", "value"),
    ),
    "optim.optimizer": (
        ("state_dict", "reversed(list(enumerate(order)))", "enumerate(order)"),
        ("step", "if p._grad is not None", "if True"),
    ),
    "nn.tree": (
        ("_named", "if part not in seen:", "if True:"),
    ),
    "nn.module": (
        ("train", "module.train(mode)", "pass"),
    ),
    "nn.state": (
        ("load", "if strict and keys:", "if False:"),
        ("_problem_of", "if tuple(value.shape) != tuple(current.shape)", "if False"),
    ),
    "data.dataset": (("random_split", "sizes[i % len(sizes)] += 1", "pass"),),
    "saving": (
        ("load", "metadata[_CHECKSUM] != _checksum(tree or \"\", tensors)", "False"),
    ),
}  # fmt: skip


def code_of(source: str, qualified: types.CodeType) -> types.CodeType:
    """The code in the source of the function that this code belongs to."""
    stack = [compile(source, qualified.co_filename, "exec")]
    found = []
    while stack:
        for constant in stack.pop().co_consts:
            if isinstance(constant, types.CodeType):
                stack.append(constant)
                if constant.co_qualname == qualified.co_qualname and constant.co_freevars == qualified.co_freevars:
                    found.append(constant)
    (only,) = found
    return only


def functions(module: types.ModuleType, name: str) -> list[Any]:
    """The functions of that name which the module defines, without their decorators."""
    places = [
        vars(module),
        *(vars(c) for c in vars(module).values() if isinstance(c, type) and c.__module__ == module.__name__),
    ]
    found = []
    for place in places:
        function = place.get(name)
        while hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        if isinstance(function, types.FunctionType) and function.__module__ == module.__name__:
            found.append(function)
    return found


def killed(suite: list[str], module: types.ModuleType, name: str, right: str, wrong: str) -> bool:
    """Whether the suite fails with this change, in a forked process."""
    path = Path(module.__file__ or "")
    source = planted(path.read_text(), name, right, wrong)
    child = os.fork()
    if not child:
        outcome = 2
        try:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 1)
            os.dup2(nowhere, 2)
            for function in functions(module, name):
                function.__code__ = code_of(source, function.__code__)
            status = pytest.main(
                ["-q", "-x", "-p", "no:cacheprovider", "--assert=plain", "-k", QUICK, *(str(TESTS / f"{t}.py") for t in suite)]
            )
            outcome = {pytest.ExitCode.TESTS_FAILED: 0, pytest.ExitCode.OK: 1}.get(status, 2)  # type: ignore[call-overload]
        finally:
            os._exit(outcome)
    outcome = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    said = ("killed", "passed")[outcome] if outcome in (0, 1) else "the tests did not run"
    print(f"{said}: {module.__name__}.{name}: {wrong}", flush=True)
    return outcome == 0


QUICK = "not flat_over and not 100000 and not lenet_of_the and not threads_change and not mnist and not checksum_leaves and not gzip"


def plant(planned: dict[str, tuple[tuple[str, str, str], ...]], suite: list[str]) -> int:
    """Plant every mutant, with these tests to notice it; print the survivors and the count."""
    os.environ.update(HYPOTHESIS_PROFILE="planted", OPENBLAS_NUM_THREADS="1")
    for test in suite:
        importlib.import_module(test.rpartition("/")[2])
    modules = {name: importlib.import_module(f"tinygrad_norm.{name}") for name in planned}
    tasks = [(suite, modules[name], *mutant) for name, mutants in planned.items() for mutant in mutants]
    start, step = map(int, os.environ.get("PLANTED", "0/1").split("/"))  # 0/3, 1/3 and 2/3 are the thirds
    for _, module, *change in tasks:  # each is there, and compiles, before the first one runs
        compile(planted(Path(module.__file__ or "").read_text(), *change), "", "exec")
        if not functions(module, change[0]):
            sys.exit(f"{module.__name__} has no function {change[0]}")
    tasks = tasks[start::step]
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda task: killed(*task), tasks))
    survivors = [t for t, dead in zip(tasks, results) if not dead]
    for _, module, name, _, wrong in survivors:
        print(f"survived: {module.__name__}.{name}: {wrong}")
    print(f"{len(tasks) - len(survivors)} of {len(tasks)} mutants killed")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(plant(MUTANTS, SUITE))
