"""What the engine did, noted: an observer that makes rows of a graph and steps of what it is told."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tinygrad_norm.autograd import Node, Tensor
from tinygrad_norm.autograd.hooks import input_name
from tinygrad_norm.autograd.observers import Observer
from tinygrad_norm.backend import is_array, raw
from tinygrad_norm.checks.notes import short
from tinygrad_norm.engine.backward import fit, leading_to, reachable, target_of
from tinygrad_norm.engine.tensor import thread
from tinygrad_norm.explorer.calls import Call, call, names_of, path_of, variable
from tinygrad_norm.explorer.sources import Sources, formula
from tinygrad_norm.explorer.values import Values
from tinygrad_norm.nn.parameter import Parameter

MOST = 3000  # steps that a page shows


class Pass:
    """One walk back: its number, the targets that need a gradient (None for all), and for each the gradients that have come."""

    def __init__(self, number: int, needed: set | None) -> None:
        self.number, self.needed, self.terms = number, needed, {}  # type: ignore[var-annotated]


class Walk(Observer):
    """Notes what happens in a `with` block.

    rows: the graph, oldest first: ops, leaves, and headings of modules; steps: what happened to which row. Both are dicts of
    what JSON can hold, with the numbers of rows, values and sources in them.
    """

    def __init__(self, names: Any = None) -> None:
        self._names, self._given = names_of("explore", names), names  # by ids, which are theirs while they are kept
        self.rows: list[dict[str, Any]] = []
        self.steps: list[dict[str, Any]] = []
        self.values, self.sources, self.missed = Values(), Sources(), 0
        self._row_of: dict[Any, int] = {}  # of Nodes and leaves
        self._open: list[tuple[Any, int, str]] = []  # the boxes the last op was in: what was called, its row and path
        self._passes: list[Pass] = []  # that are running
        self._walks = 0
        self._known: list[tuple[weakref.ref[Tensor], str]] = []  # Tensors, and what they are called
        self._edits: list[tuple[Any, int]] = []  # versions, and the steps that edited them
        self._unsettled: list[tuple[Tensor, Any, dict]] = []  # Tensors whose history may change after an edit

    def __enter__(self) -> Any:
        if self.rows:
            raise RuntimeError("a walk is of one block: call explore() for another one")
        return super().__enter__()

    def __exit__(self, *exception: Any) -> None:
        """Name what is still bound to a variable, and let go of all Tensors and Nodes."""
        super().__exit__()
        self._settle()
        self._name(sys._getframe(1).f_locals)
        self._given = None
        for forget in (self._row_of, self._open, self._known, self._edits, self._unsettled, self.sources.index):
            forget.clear()

    def _name(self, variables: Mapping[str, Any]) -> None:
        """Give results the names of the variables that hold them."""
        for name, x in variables.items():
            row = self._row_of.get(x.node) if isinstance(x, Tensor) and x.node is not None else None
            if row is not None and not name.startswith("_"):
                self.rows[row]["name"] = self.rows[row]["name"] or name

    # ---- forward ------------------------------------------------------------------------------

    def recorded(self, node: Node, inputs: Sequence, settings: Mapping, result: Tensor) -> None:
        """An op: a row, and a step that has its inputs and its result."""
        if self._full():
            return
        self._settle()
        found = call()
        self._enter(found, inputs)
        noted, sources = [], []
        for position, x in enumerate(inputs):
            named: dict[str, Any] = {"name": input_name(node, position)}
            if isinstance(x, Tensor):
                sources.append(self._row_of[x if x.node is None else x.node])
                noted.append({**named, "row": sources[-1], "value": self.values.add(x)})
            elif x is not None:
                noted.append({**named, "value": self.values.add(x)} if is_array(x) else {**named, "text": short(x)})
        op = node.plan.op
        row = self._row_of[node] = self._add("op", op.name, node.shape, sources)
        told = {name: value for name, value in settings.items() if value.__class__ in (bool, int, float, str, tuple, slice)}
        words = ", ".join(f"{name}={short(value)}" for name, value in told.items() if "context" not in settings)
        step = {"kind": "forward", "row": row, "call": found.line, "formula": formula(op), "settings": words, "inputs": noted}
        step |= {"result": self.values.add(result), "code": self.sources.of(op.forward, "the op", op)}
        saved = [v for v in zip(node.plan.names, node.saved or (), node.plan.sources) if v[2][0] == "kept" and is_array(v[1])]
        step["kept"] = [{"name": name, "value": self.values.add(x)} for name, x, _ in saved]
        self.steps.append({**step, "inside": bool(self._passes)})
        self._known.append((weakref.ref(result), f"the result of {op.name}"))

    def _enter(self, found: Call, inputs: Sequence) -> None:
        """Close the boxes that the op is not in, open those that it is in, and add its leaves: inputs outside the new ones."""
        around: list[Any] = [*self._passes, *found.modules]
        same = next((i for i, (a, b) in enumerate(zip(self._open, around)) if a[0] is not b), min(len(self._open), len(around)))
        del self._open[same:]
        leaves = [x for x in inputs if isinstance(x, Tensor) and x.node is None]
        nodes = [x.node for x in inputs if isinstance(x, Tensor) and x.node is not None]
        if unseen := [(node, None) for node in nodes if node not in self._row_of]:
            self._add_unseen(reachable(unseen)[0], found)
        for x in [x for x in leaves if not isinstance(x, Parameter)]:
            self._add_leaf(x, found)
        for i, what in enumerate(around[same:], same):
            if isinstance(what, Pass):
                path = label = f"backward {what.number}"
            else:
                parent = around[i - 1] if i and not isinstance(around[i - 1], Pass) else None
                path = path_of(what, parent, self._open[-1][2] if parent is not None else "")
                label = f"{path} {type(what.f_locals['self']).__name__}".strip()
            self._open.append((what, self._add("module", label, (), None), path))
        for x in leaves:
            self._add_leaf(x, found)

    def _add_leaf(self, x: Tensor, found: Call) -> None:
        if x not in self._row_of:
            name = self._names.get(id(x)) or found.name_of(x)
            kind = "parameter" if isinstance(x, Parameter) else "leaf" if x.needs_grad else "data"
            self._row_of[x] = self._add(kind, name or ("data" if kind == "data" else "leaf"), x.array.shape, ())
            self.rows[-1]["value"] = self.values.add(x)
            self._known.append((weakref.ref(x), name or "a leaf"))

    def _add(self, kind: str, label: str, shape: tuple, sources: Any) -> int:
        box = self._open[-1][1] if self._open else None
        given = None if sources is None else list(dict.fromkeys(sources))
        self.rows.append({"kind": kind, "label": label, "name": "", "shape": list(shape), "box": box, "sources": given})
        return len(self.rows) - 1

    def _full(self) -> bool:
        self.missed += len(self.steps) >= MOST
        return self.missed > 0

    # ---- edits --------------------------------------------------------------------------------

    def edited(self, x: Tensor, name: str) -> None:
        """An edit: a step that has the new values of all that share the memory, and later whose history changed."""
        if self._full():
            return
        known = {id(t): (t, called) for ref, called in self._known if (t := ref()) is not None}.values()
        sharing = [(t, called) for t, called in known if t is x or (t.version is not None and t.version is x.version)]
        if not any(t is x for t, _ in sharing):
            sharing.insert(0, (x, ""))
        row = next((self._row_of[at] for t, _ in sharing if (at := t.node or t) in self._row_of), None)
        if row is None:
            return
        self._settle()
        found = call()
        step: dict[str, Any] = {"kind": "edit", "row": row, "name": name, "call": found.line, "inputs": [], "changed": []}
        for t, called in sharing:
            called = variable(found.user, t) or called or "it"
            step["inputs"].append({"name": called, "row": self._row_of.get(t.node or t), "value": self.values.add(t)})
            self._unsettled.append((t, t.node, {"name": called, "before": self._row_of.get(t.node or t), "step": step}))
        self._edits.append((x.version, len(self.steps)))
        self.steps.append(step)

    def _settle(self) -> None:
        """Note which Tensors have another history since an edit."""
        pending, self._unsettled = self._unsettled, []
        for t, before, words in pending:
            if t.node is before:
                self._unsettled.append((t, before, words))
            else:
                now = {"name": words["name"], "before": words["before"], "now": self._row_of.get(t.node)}
                words["step"]["changed"].append(now)

    # ---- backward -----------------------------------------------------------------------------

    def around(self, walk: Callable) -> Callable:
        """A walk: its steps, then one for each leaf that a gradient has come to; or one that says why it failed."""

        def watched(roots: Any, wanted: Any, retain: bool, create_graph: bool, deposits: bool) -> Any:
            self._settle()
            self._walks += 1
            nodes, wants = reachable(roots)[0], None if wanted is None else set(map(target_of, wanted))
            this = Pass(self._walks, wants and leading_to(wants, nodes))
            self._add_unseen(nodes, found := call())
            for target, g in roots:
                if not isinstance(target, Node):
                    self._add_leaf(target, found)
                this.terms.setdefault(target, []).append({"row": None, "value": self.values.add(g)})
            self._passes.append(this)
            try:
                final = walk(roots, wanted, retain, create_graph, deposits)
            except Exception as error:
                self._failed(error)
                raise
            finally:
                self._passes.pop()
            self._ended(this, final, deposits)
            return final

        return watched

    def _add_unseen(self, nodes: list[Node], found: Call) -> None:
        """Rows for those of the Nodes, the newest first, that were recorded before the block."""
        for node in reversed([] if self.missed else nodes):
            if node not in self._row_of:
                for edge in node.edges:
                    if not isinstance(edge, Node):
                        self._add_leaf(edge, found)
                self._row_of[node] = self._add("op", node.plan.op.name, node.shape, [self._row_of[edge] for edge in node.edges])

    def walked(self, node: Node, g: Any, gradients: Sequence) -> None:
        """A step back: what has come for the Node, and what its vjps have made of it."""
        if self._full() or node not in self._row_of:  # a hook may have left the block
            return
        self._settle()
        this, row, plan = self._passes[-1], self._row_of[node], node.plan
        made = []
        for i, (edge, gx) in enumerate(zip(node.edges, gradients)):
            to: dict[str, Any] = {"name": input_name(node, plan.positions[i]), "row": self._row_of.get(edge), "value": None}
            if gx is not None and (this.needed is None or edge in this.needed):
                like = edge if isinstance(edge, Node) else edge.array
                fitted = self.values.add(fit(raw(gx), like.shape, like.dtype, node))
                to |= {"value": self.values.add(gx), "summed": fitted if tuple(gx.shape) != tuple(like.shape) else None}
                this.terms.setdefault(edge, []).append({"row": row, "value": fitted})
            if not plan.joint:
                to["code"] = [[f"the vjp of {to['name']}", self.sources.add(plan.vjps[i][0])]]
            made.append(to)
        hooked = node.hooks is not None and bool(node.hooks.seeing)
        through = thread.recording and plan.op.definition is not None
        joint = self.sources.of(plan.vjps[0][0], "the vjp", plan.op) if plan.joint else []
        step = {"kind": "backward", "row": row, "pass": this.number, "terms": this.terms.get(node, []), "made": made}
        step |= {"given": self.values.add(g), "hooked": hooked, "through": through}
        self.steps.append({**step, "code": joint, "asked": plan.names[: plan.used]})

    def _ended(self, this: Pass, final: Mapping, deposits: bool) -> None:
        for target, terms in this.terms.items():
            leaf = target if isinstance(target, Tensor) else None
            if (leaf is None and (deposits or target not in final)) or target not in self._row_of or self._full():
                continue
            left = leaf.grad if leaf is not None and deposits else None
            given = final.get(target, left)
            step = {"kind": "leaf", "row": self._row_of[target], "pass": this.number, "terms": terms, "kept": deposits}
            hooked = leaf is not None and leaf.hooks is not None and bool(leaf.hooks.seeing)
            self.steps.append({**step, "hooked": hooked, "given": self._value(given), "left": self._value(left)})

    def _value(self, x: Any) -> int | None:
        return None if x is None else self.values.add(x)

    def _failed(self, error: Exception) -> None:
        """A step that says why, at the Node that the walk had come to; and which edit was the cause, where one was."""
        names: dict[str, Any] = {}
        at = error.__traceback__
        while at is not None:
            if at.tb_frame.f_code.co_name in ("_walk", "_gradients"):
                names |= at.tb_frame.f_locals
            at = at.tb_next
        unfit = names["version"] if "version" in names and names["version"].count != names["count"] else self
        cause = next((step for version, step in reversed(self._edits) if version is unfit), None)
        step = {"kind": "failed", "row": self._row_of.get(names.get("node")), "pass": self._passes[-1].number, "cause": cause}
        self.steps.append({**step, "text": f"{type(error).__name__}: {error}"})
