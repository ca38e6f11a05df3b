"""Random programs, run line by line on PyTorch and here: after each line all variables have to agree.

A program has 5 to 25 lines: tensors of all dtypes, arithmetic, reductions, views, edits, indexing, detach, no_grad, hooks,
backward. A line is Python text that runs on both; what it may be follows from what PyTorch has made of the lines before.
`python tests/compare/fuzz.py 2000` tries so many by hand, `python tests/compare/fuzz.py 1 SEED` one, and shows it.

What may differ is what the README names: PyTorch raises where ours goes on (ALLOWED).
"""

from __future__ import annotations

import random
import sys
import warnings
from typing import Any

import numpy as np
import torch

import tinygrad_norm as tn

DTYPES = ("float32", "float32", "float32", "float64", "float16", "int64", "int32", "uint8", "bool")
ERRORS = (RuntimeError, TypeError, ValueError, IndexError)
ALLOWED = (
    "modified by an inplace operation",  # an op here saves no more than PyTorch's, often less
    "view size is not compatible",  # view is reshape
    "Trying to backward through the graph a second time",  # nothing was saved that is gone
    "some elements of the input tensor and the written-to tensor refer to a single memory location",  # is done right
    "created in no_grad mode",  # a stale view is refused, here after the arguments
    "returned an invalid gradient",  # PyTorch's squeeze_ under no_grad leaves a history of another shape
    "more than one element of the written-to tensor",  # after expand(): other functions let it pass
    "detached in-place",
    "derivative for aten::floor_divide",
    "INTERNAL ASSERT",
    "not implemented for",  # a dtype that PyTorch's kernel does not have
)
TOLERANCE = {"float16": 1e-2, "float32": 2e-5, "float64": 1e-10}


class Difference(AssertionError):
    """What differs, with the program up to there."""


class Program:
    """A program as it grows: its lines, and the variables of both libraries."""

    def __init__(self, seed: int) -> None:
        self.r = random.Random(seed)
        self.seed, self.lines = seed, []
        self.spaces = [{"T": lib, "hooked": [], "np": np} for lib in (torch, tn)]
        self.count, self.over = 0, False

    # ---- what there is to work with -------------------------------------------------------

    def tensors(self, test: Any = lambda t: True) -> list[str]:
        """Names of PyTorch's tensors that pass the test."""
        return [n for n, v in self.spaces[0].items() if isinstance(v, torch.Tensor) and test(v)]

    def value(self, name: str) -> torch.Tensor:
        """PyTorch's tensor of that name."""
        return self.spaces[0][name]

    def new(self) -> str:
        """A fresh name."""
        self.count += 1
        return f"x{self.count}"

    def pick(self, test: Any = lambda t: True) -> str | None:
        """One of the tensors that pass, more often a late one."""
        names = self.tensors(test)
        return None if not names else names[-1 - int(len(names) * self.r.random() ** 2)]

    # ---- lines ----------------------------------------------------------------------------

    def create(self) -> str:
        """A tensor from numbers."""
        r, dtype = self.r, self.r.choice(DTYPES)
        shape = tuple(r.choice((1, 2, 2, 3)) for _ in range(r.choice((0, 1, 1, 2, 2, 3))))
        count = int(np.prod(shape))
        if dtype.startswith("float"):
            data = [round(r.uniform(-2, 2), 2) for _ in range(count)]
        else:
            data = [r.randrange(0, 5) for _ in range(count)] if dtype == "uint8" else [r.randrange(-4, 5) for _ in range(count)]
        grad = dtype.startswith("float") and r.random() < 0.7
        listed = np.array(data).reshape(shape).tolist()
        return f"{self.new()} = T.tensor({listed}, dtype=T.{dtype}{', requires_grad=True' if grad else ''})"

    def scalar(self) -> str:
        """A Python number."""
        return self.r.choice(("2", "3", "0.5", "-1.5", "1", "True", "2.0"))

    def other(self, a: str) -> str:
        """A second operand: a number, or a tensor that broadcasts with a (mostly)."""
        if self.r.random() < 0.35:
            return self.scalar()
        shape = self.value(a).shape

        def fits(t: torch.Tensor) -> bool:
            return all(m == n or 1 in (m, n) for m, n in zip(reversed(t.shape), reversed(shape)))

        return self.pick(fits if self.r.random() < 0.95 else lambda t: True) or self.scalar()

    def dim(self, a: str) -> str:
        """A dimension of a, mostly."""
        n = max(self.value(a).ndim, 1)
        return str(self.r.randrange(-n, n)) if self.r.random() < 0.97 else "7"

    def unary(self, a: str) -> str:
        """A function of each element."""
        name = self.r.choice(
            "neg abs exp tanh sigmoid relu sin cos square sign floor ceil trunc expm1 sqrt log1p reciprocal erf clone round "
            "isnan logical_not tan sinh cosh log2 rsqrt".split()
        )
        return f"{self.new()} = {a}.{name}()"

    def binary(self, a: str) -> str:
        """An operator, or a function of two."""
        b = self.other(a)
        form = self.r.choice(
            ("{a} + {b}", "{a} - {b}", "{a} * {b}", "{a} / {b}", "{b} * {a}", "{b} - {a}", "{a} // {b}", "{a} % {b}")
            + ("{a} < {b}", "{a} == {b}", "{a} >= {b}", "{a} != {b}", "{a} ** 2", "{a} ** {b}", "T.add({a}, {b}, alpha=2)")
            + (("T.maximum({a}, {b})", "T.minimum({a}, {b})", "T.where({a} > 0, {a}, {b})") if b.startswith("x") else ())
            + ("{a} & {b}", "{a} ^ {b}", "T.div({a}, {b}, rounding_mode='trunc')", "T.sub({a}, {b})", "T.fmod({a}, {b})")
        )
        return f"{self.new()} = " + form.format(a=a, b=b)

    def reduce(self, a: str) -> str:
        """Over a dimension, or all."""
        d, k = self.dim(a), self.r.choice(("", ", keepdim=True"))
        form = self.r.choice(
            ("sum()", "mean()", f"sum({d}{k})", f"mean({d}{k})", f"amax({d}{k})", f"max({d}{k}).values", f"min({d}{k}).indices")
            + (
                "max()",
                "min()",
                f"cumsum({d})",
                f"prod({d}{k})",
                "prod()",
                f"logsumexp({d}{k})",
                f"softmax({d})",
                f"argmax({d}{k})",
            )
            + (
                f"log_softmax({d})",
                "std()",
                f"var({d}, unbiased=False{k})",
                f"norm(2, {d}{k})",
                "norm()",
                f"all({d}{k})",
                "any()",
            )
            + (
                f"sort({d}).values",
                f"topk(1, {d}).values",
                f"argsort(dim={d}, stable=True)",
                f"sum({d}, dtype=T.float64)",
                "norm(1)",
            )
        )
        return f"{self.new()} = {a}.{form}"

    def view(self, a: str) -> str:
        """Another look at the same memory, or a copy where there is none."""
        r, t, d = self.r, self.value(a), self.dim(a)
        sizes = [n for n in (1, 2, 3, 4, 6) if t.numel() % n == 0] or [1]
        n = r.choice(sizes)
        expanded = [r.choice((2, 3)) if s == 1 else s for s in t.shape]
        form = r.choice(
            (
                "reshape(-1)",
                "view(-1)",
                f"reshape({n}, {t.numel() // n})",
                f"unsqueeze({d})",
                "squeeze()",
                f"squeeze({d})",
                "flatten()",
            )
            + (
                f"expand({expanded})",
                f"transpose({d}, {self.dim(a)})",
                "T",
                "t()",
                f"narrow({d}, 0, 1)",
                f"select({d}, 0)",
                "detach()",
            )
            + (
                f"chunk(2, {d})[0]",
                f"split(1, {d})[-1]",
                f"unbind({d})[0]",
                f"permute({r.sample(range(t.ndim), t.ndim)})",
                "contiguous()",
            )
            + (
                f"expand(2, *{list(t.shape)})",
                f"unfold({d}, 1, 1)",
                "diagonal()",
                f"view_as({a})",
                "data",
                "clone()",
            )
        )
        return f"{self.new()} = {a}.{form}"

    def index(self, a: str) -> str:
        """What stands between brackets."""
        r, t = self.r, self.value(a)
        n = t.shape[0] if t.ndim else 1
        return r.choice(
            (
                "0",
                "-1",
                "None",
                "...",
                ":1",
                "1:",
                "::2",
                "True",
                "[0]",
                f"[0, {n - 1}]",
                f"T.tensor([0, {n - 1}])",
                "T.tensor(0)",
            )
            + (
                f"{a} > 0",
                "...,0",
                ":,0",
                "None,0",
                "0:1,...,None",
                "[0,0],...",
                "()",
                "..., :1",
                "9",
                "[0],[0]",
                ":, [0]",
                "False",
            )
            + ("T.tensor([0]), 0" if t.ndim > 1 else "0",)
        )

    def cast(self, a: str) -> str:
        """Another dtype."""
        return f"{self.new()} = {a}." + self.r.choice(
            ("float()", "double()", "long()", "bool()", "half()", "to(T.int32)", "to(T.uint8)")
        )

    def joined(self, a: str) -> str:
        """Two or more tensors as one, or elements picked."""
        b = self.pick(lambda t: t.shape == self.value(a).shape) or a
        form = self.r.choice(
            (
                "T.cat([{a}, {b}])",
                "T.stack([{a}, {b}], {d})",
                "T.cat([{a}, {b}], {d})",
                "{a} @ {b}",
                "T.flip({a}, [{d}])",
                "{a}.roll(1, {d})",
            )
            + ("T.gather({a}, {d}, T.zeros({s}, dtype=T.int64))", "{a}.repeat(*{twos})", "T.tril({a})", "T.outer({a}, {b})")
            + (
                "T.nn.functional.pad({a}, (1, 1))",
                "{a}.masked_fill({a} > 0, 3)",
                "{a}.repeat_interleave(2, {d})",
                "T.dot({a}, {b})",
            )
            + ("{a}.clamp(0, 1)", "{a}.clamp({b}, {b} + 1)", "T.nn.functional.leaky_relu({a})", "T.nn.functional.elu({a}, 1.5)")
            + (
                "T.nn.functional.softplus({a})",
                "T.nn.functional.silu({a})",
                "T.nn.functional.gelu({a})",
                "T.einsum('...,...->...', {a}, {b})",
            )
            + (
                "T.nn.functional.mse_loss({a}, {b})",
                "T.nn.functional.l1_loss({a}, {b})",
                "T.nn.functional.smooth_l1_loss({a}, {b})",
            )
        )
        shape = self.value(a).shape
        return f"{self.new()} = " + form.format(a=a, b=b, d=self.dim(a), s=tuple(shape), twos=[2] * max(len(shape), 1))

    def edit(self, a: str) -> str:
        """In place."""
        b = self.other(a)
        data = "{a}.data.mul_(2)" if not self.value(a).requires_grad else "{a}.mul_(2)"
        form = self.r.choice(
            (
                "{a}.add_({b})",
                "{a}.mul_({b})",
                "{a}.sub_({b})",
                "{a}.div_({b})",
                "{a}.zero_()",
                "{a}.fill_(2)",
                "{a}.relu_()",
                "{a}.exp_()",
            )
            + (
                "{a} += {b}",
                "{a} *= {b}",
                "{a}.clamp_(0, 1)",
                "{a}.neg_()",
                "{a}.sigmoid_()",
                "{a}.masked_fill_({a} > 0, 1)",
                "{a}.abs_()",
            )
            + (
                "{a}[{i}] = {c}",
                "{a}[{i}] = {c}",
                "{a}[{i}] += 1",
                "{a}[{i}].mul_(2)",
                "{a}[{i}].zero_()",
                "{a}.square_()",
                "{a}.floor_()",
            )
            + (("{a}.copy_({b})", "{a}.copy_({b})", "{a}[{i}] = {b}") if b.startswith("x") else ("{a}.pow_(2)",))
            + ("{a}.squeeze_()", "{a}.unsqueeze_(0)", "{a}.t_()", "{a}.view(-1).mul_(2)", "{a}.reshape(-1)[0] = 5", data)
            + (
                "{a}.detach().add_(1)",
                "{a}.detach_()",
                "{a}.unsqueeze(0)[0] *= 3",
                "{a}[None].fill_(1)",
                "{a}.flatten().neg_()",
            )
        )
        return form.format(a=a, b=b, i=self.index(a), c=self.scalar())

    def grads(self, a: str) -> str:
        """Backward, hooks, flags."""
        form = self.r.choice(
            ("{a}.sum().backward()", "{a}.sum().backward(retain_graph=True)", "({a} * {a}).sum().backward(retain_graph=True)")
            + (
                "{a}.backward(T.ones_like({a}))",
                "{a}.mean().backward(retain_graph=True)",
                "{a}.retain_grad()",
                "{a}.requires_grad_()",
            )
            + ("{a}.register_hook(lambda g: hooked.append(g.clone()))", "{a}.register_hook(lambda g: g * 2)", "{a}.grad = None")
            + (
                "{n} = T.autograd.grad(({a} * {a}).sum(), {b}, retain_graph=True, allow_unused=True)[0]",
                "{a}.requires_grad_(False)",
            )
            + ("{n} = T.autograd.grad(({a} ** 3).sum(), {b}, create_graph=True, allow_unused=True)[0]", "{n} = {a}.grad")
            + (
                "{a}.grad.zero_()",
                "{n} = {a}.detach()",
                "{a}.sum().backward(inputs=[{b}], retain_graph=True)",
                "{a}.sum().backward()",
            )
        )
        seen = any(t._base is self.value(a) for t in map(self.value, self.tensors()))
        if "requires_grad_" in form and (seen or self.value(a)._is_view()):  # what that means for views is nobody's business
            form = "{a}.sum().backward()"
        b = self.pick(lambda t: t.requires_grad) or a
        return form.format(a=a, b=b, n=self.new())

    def line(self) -> str:
        """The next line."""
        if len(self.tensors()) < 2 or self.r.random() < 0.06:
            return self.create()
        kind = self.r.choices(
            (self.unary, self.binary, self.reduce, self.view, self.cast, self.joined, self.edit, self.grads, self.bracket),
            (3, 5, 3, 7, 1, 3, 8, 6, 4),
        )[0]
        test = (lambda t: t.is_floating_point()) if self.r.random() < 0.8 else (lambda t: True)
        if kind == self.grads:
            test = (lambda t: t.requires_grad) if self.r.random() < 0.95 else test
        a = self.pick(lambda t: test(t) and t.numel() < 60) or self.pick()
        made = kind(a)
        return f"with T.no_grad(): {made}" if self.r.random() < 0.08 else made

    def bracket(self, a: str) -> str:
        """Indexed."""
        return f"{self.new()} = {a}[{self.index(a)}]"

    # ---- running --------------------------------------------------------------------------

    def step(self) -> None:
        """One line more, on both; raises Difference."""
        line = self.line()
        self.lines.append(line)
        raised = []
        for space in self.spaces:
            try:
                exec(line, space)
                raised.append(None)
            except ERRORS as error:
                raised.append(error)
            except Exception as error:  # an attribute of None, say: no line to compare
                if space is self.spaces[1]:
                    self.differ(f"ours raises {type(error).__name__}: {error}")
                self.lines.pop()
                return
        theirs, ours = raised
        if theirs is not None and any(text in str(theirs) for text in ALLOWED):
            self.over = True
            return
        if theirs is None and ours is not None and "more than one element of the written-to tensor" in str(ours):
            self.over = True  # allowed there with a warning, by masked_fill_ for one
            return
        if (theirs is None) != (ours is None):
            self.differ(f"PyTorch: {type(theirs).__name__}: {theirs}; ours: {type(ours).__name__}: {ours}")
        if theirs is not None:
            if not isinstance(ours, type(theirs)) and not isinstance(theirs, type(ours)):
                self.differ(f"PyTorch raises {type(theirs).__name__}: {theirs}; ours {type(ours).__name__}: {ours}")
            if "backward" in line or "grad(" in line:  # how far it came before it failed is nobody's business
                self.over = True
        for name in list(self.spaces[0]):
            self.compare(name, *(space.get(name) for space in self.spaces))

    def compare(self, name: str, theirs: Any, ours: Any) -> None:
        """Everything that can be seen of a variable."""
        if name == "hooked":
            if len(theirs) != len(ours):
                self.differ(f"hooks ran {len(theirs)} times on PyTorch, {len(ours)} times here")
            for i, (a, b) in enumerate(zip(theirs, ours)):
                self.compare_values(f"hooked[{i}]", a, b)
            return
        if not isinstance(theirs, torch.Tensor):
            if isinstance(ours, tn.Tensor):
                self.differ(f"{name} is {theirs!r} on PyTorch, {ours!r} here")
            return
        if not isinstance(ours, tn.Tensor):
            self.differ(f"{name} is a tensor on PyTorch, {ours!r} here")
        self.compare_values(name, theirs, ours)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                theirs.is_leaf  # noqa: B018
            except RuntimeError:  # a view that PyTorch refuses to look at again; here it is refused when it is used
                return
            try:
                flags = [(t.requires_grad, t.is_leaf, t.grad is None) for t in (theirs, ours)]
            except RuntimeError as error:
                assert "modified inplace" in str(error)  # noqa: PT017  (such a view again)
                return
            if flags[0] != flags[1]:
                self.differ(f"{name}: (requires_grad, is_leaf, no grad) is {flags[0]} on PyTorch, {flags[1]} here")
            if theirs.grad is not None:
                self.compare_values(f"{name}.grad", theirs.grad, ours.grad)

    def compare_values(self, name: str, theirs: torch.Tensor, ours: tn.Tensor) -> None:
        """Shape, dtype, values."""
        seen = [(tuple(t.shape), str(t.dtype).removeprefix("torch.")) for t in (theirs, ours)]
        if seen[0] != seen[1]:
            self.differ(f"{name} is {seen[0]} on PyTorch, {seen[1]} here")
        a, b = theirs.detach().numpy(), ours.detach().cpu().numpy()
        text = "\n".join(self.lines)  # a number is as exact as the coarsest on the way to it: float32 also of integers
        coarse = (
            "float16"
            if "float16" in text or "half" in text
            else "float64"
            if text.count("dtype=T.float64") == text.count("dtype=")
            else "float32"
        )
        tolerance = max(TOLERANCE[coarse], TOLERANCE[seen[0][1]]) if seen[0][1] in TOLERANCE else 0
        with np.errstate(all="ignore"):
            if not np.allclose(b.astype(float), a.astype(float), rtol=tolerance, atol=tolerance, equal_nan=True):
                self.differ(f"{name} is\n{a}\non PyTorch,\n{b}\nhere")

    def differ(self, what: str) -> None:
        """Say what, and by which program."""
        raise Difference(f"program {self.seed}:\n" + "\n".join(f"    {line}" for line in self.lines) + f"\n{what}")


def run(seed: int) -> Program:
    """Run the program of that seed to its end."""
    program = Program(seed)
    length = program.r.randrange(5, 26)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        while len(program.lines) < length and not program.over:
            program.step()
    return program


if __name__ == "__main__":
    count, start = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    different, lines = 0, 0
    for seed in range(start, start + count):
        try:
            program = run(seed)
            lines += len(program.lines)
            if count == 1:
                print("\n".join(program.lines))
        except Difference as difference:
            different += 1
            print(difference, end="\n\n")
    print(f"{count} programs, {different} differ, {lines} lines agreed")
