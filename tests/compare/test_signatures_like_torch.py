"""Names, order and defaults of arguments are PyTorch's, for each public name that both have; or a table says why not."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="comparisons need PyTorch: pip install 'tinygrad_norm[compare]'")

import tinygrad_norm as tn  # noqa: E402

# arguments that PyTorch has and that do not exist here at all: where a result is written to, layouts, out-of-scope modes
UNSUPPORTED = {"out", "layout", "memory_format", "dtype_out", "names", "sparse_grad", "driver", "_stacklevel", "is_coalesced"}
# arguments that exist here only: NumPy's names, other ways to give sizes, a generator where PyTorch's is global
OURS = {
    "axis",
    "sizes",
    "order",
    "generator",
    "bounds",
    "shape",
    "size",
    "dims",
    "repeats",
    "split_size",
    "more",
    "memory_format",
}
WRONG_TEXTS = {"value", "divisor", "tensor2", "batch2", "dimension"}
OTHER = {  # where ours differs on purpose
    "torch.set_num_threads": "the parser calls its number int",
    "torch.where": "condition alone is a form of its own there",
    "torch.normal": "three forms there",
    "torch.randint": "low may be left out, so its place is size's there",
    "torch.arange": "start may be left out",
    "torch.max": "three forms in one",
    "torch.min": "three forms in one",
    "torch.sort": "stable is keyword-only there",
    "torch.argsort": "two forms there",
    "torch.einsum": "sublists are not taken",
    "torch.std": "PyTorch's old form, which its text no longer shows: unbiased by place",
    "torch.var": "as std",
    "torch.pow": "two forms there",
    "torch.bernoulli": "the second form, with p by place, is not taken",
    "torch.norm": "dtype is by name here",
    "torch.concatenate": "dim is the first of its two names here",
    "torch.true_divide": "PyTorch's text names them otherwise than its parser",
    "torch.from_numpy": "by place only there",
    "torch.from_dlpack": "by place only there",
    "Tensor.to": "three forms in one",
    "Tensor.dot": "the parser takes tensor there too",
    "Tensor.type_as": "the parser takes other there too",
    "torch.squeeze": "two forms there",
    "F.max_pool2d": "a dispatcher there, without a signature",
    "nn.Identity": "any arguments",
    "Sequential.extend": "the names of one list of modules",
    "torch.var_mean": "as var: unbiased or correction",
    "torch.std_mean": "as std: unbiased or correction",
    "Tensor.uniform_": "from is a word of Python's: a and b, or from and to",
}


def replay(signature: str) -> list[tuple[str, Any]]:
    """Names and defaults in a signature in PyTorch's texts: "add(input, other, *, alpha=1, out=None) -> Tensor"."""
    inside = signature[signature.index("(") + 1 : signature.rindex(")")]
    found = []
    for part in re.split(r",\s*(?![^(\[]*[)\]])", inside):
        name, _, default = (p.strip() for p in part.partition("="))
        name = name.partition(":")[0].split(" ")[-1].strip("\\ ")
        if name and not name.startswith("*"):
            found.append((name, default or None))
        elif name.startswith("*") and len(name) > 1:
            found.append((name, None))
    return found


def theirs_of(function: Any, name: str) -> list[tuple[str, Any]] | None:
    """PyTorch's arguments, from the signature or the first line of the text; None if neither says."""
    try:
        parameters = inspect.signature(function).parameters.values()
        return [
            (p.name, None if p.default is p.empty else repr(p.default)) for p in parameters if p.name not in ("args", "kwargs")
        ]
    except (ValueError, TypeError):
        pass
    for line in (inspect.getdoc(function) or "").splitlines()[:4]:
        if re.match(rf"^(torch\.)?{name}\(.*\)", line.strip()):
            return replay(line.strip().split("->")[0])
    return None


def compare(where: str, name: str, theirs: Any, ours: Any, skip: int = 0) -> str | None:
    """What differs, None if nothing does."""
    if f"{where}.{name}" in OTHER or name in ("forward", "to"):
        return None
    expected = theirs_of(theirs, name)
    if expected is None:
        return None
    if not expected or {n for n, _ in expected} & WRONG_TEXTS:  # the parser takes other names than the text of a method says
        return None
    expected = [
        (n, d) for n, d in expected if n not in UNSUPPORTED and not n.startswith("*") and n not in ("self", "requires_grad_")
    ]
    parameters = list(inspect.signature(ours).parameters.values())[skip:]
    found = {p.name: p for p in parameters}
    missing = [n for n, _ in expected if n not in found and n not in ("device", "dtype", "pin_memory", "generator")]
    if missing:
        return f"{where}.{name}: no {missing} in {list(found)}"
    order = [n for n in found if n in dict(expected) and found[n].kind is not inspect.Parameter.KEYWORD_ONLY]
    wanted = [n for n, _ in expected if n in order]
    if order != wanted:
        return f"{where}.{name}: order {order}, PyTorch's is {wanted}"
    for n, default in expected:
        mine = found.get(n)
        if mine is None or default is None:
            continue
        value = None if mine.default is inspect.Parameter.empty else mine.default
        if repr(value) != default and default not in ("None", "<no value>", "torch.float32", "torch.int64"):
            try:
                if value == eval(default, {"torch": torch, "inf": float("inf")}):
                    continue
            except Exception:
                continue
            return f"{where}.{name}: {n}={value!r}, PyTorch's default is {default}"
    extra = [
        n for n in found if n not in dict(expected) and n not in OURS | {"self", "dtype", "device", "requires_grad", "input"}
    ]
    extra = [
        n for n in extra if found[n].default is inspect.Parameter.empty and found[n].kind is not inspect.Parameter.VAR_KEYWORD
    ]
    return f"{where}.{name}: {extra} are needed here only" if extra else None


def public(ours: Any, theirs: Any) -> list[str]:
    """The names that both have."""
    return sorted(n for n in dir(ours) if not n.startswith("_") and hasattr(theirs, n) and callable(getattr(ours, n)))


@pytest.mark.parametrize("name", [n for n in public(tn, torch) if not inspect.isclass(getattr(tn, n))])
def test_a_function_takes_what_pytorchs_takes(name: str) -> None:
    assert compare("torch", name, getattr(torch, name), getattr(tn, name)) is None


@pytest.mark.parametrize("name", [n for n in public(tn.Tensor, torch.Tensor) if n not in tn.dtypes.NAMES])
def test_a_method_takes_what_pytorchs_takes(name: str) -> None:
    if f"torch.{name}" in OTHER:
        return
    assert compare("Tensor", name, getattr(torch.Tensor, name), getattr(tn.Tensor, name), skip=1) is None


@pytest.mark.parametrize("name", public(tn.nn.functional, torch.nn.functional))
def test_a_functional_takes_what_pytorchs_takes(name: str) -> None:
    assert compare("F", name, getattr(torch.nn.functional, name), getattr(tn.nn.functional, name)) is None


@pytest.mark.parametrize("where", ["nn", "optim", "optim.lr_scheduler", "utils.data"])
def test_a_class_is_made_from_what_pytorchs_is_made_from(where: str) -> None:
    ours, theirs = tn, torch
    for part in where.split("."):
        ours, theirs = getattr(ours, part), getattr(theirs, part)
    names = [
        n
        for n in public(ours, theirs)
        if "tinygrad_norm" in str(getattr(getattr(ours, n), "__module__", "")) and inspect.isclass(getattr(ours, n))
    ]
    assert len(names) > 4
    found = [compare(where, n, getattr(theirs, n), getattr(ours, n)) for n in names]
    assert [f for f in found if f] == []


@pytest.mark.parametrize("name", ["Module", "Sequential", "ModuleList", "ModuleDict"])
def test_a_method_of_modules_takes_what_pytorchs_takes(name: str) -> None:
    ours, theirs = getattr(tn.nn, name), getattr(torch.nn, name)
    found = [compare(name, n, getattr(theirs, n), getattr(ours, n)) for n in public(ours, theirs)]
    assert [f for f in found if f] == []


@pytest.mark.parametrize("where", ["nn.init", "nn.utils", "autograd", "autograd.functional"])
def test_the_other_functions_take_what_pytorchs_take(where: str) -> None:
    ours, theirs = tn, torch
    for part in where.split("."):
        ours, theirs = getattr(ours, part), getattr(theirs, part)
    names = [
        n for n in public(ours, theirs) if inspect.isfunction(getattr(ours, n)) and n not in ("gradcheck", "gradgradcheck")
    ]
    found = [compare(where, n, getattr(theirs, n), getattr(ours, n)) for n in names]
    assert [f for f in found if f] == []
