"""`checked`: what a signature says of its arguments, looked at before the function runs.

    @checked("C % num_groups == 0")
    def group_norm(input: Float[Tensor, "N C *S"], num_groups: PositiveInt, weight: Float[Tensor, "C"] | None = None):

kinds.py has the words. Classes are looked at in every call; shapes, dtypes, ranges, choices, and the relations that `checked`
is given, once for each combination of shapes, dtypes and settings, which is remembered. What goes wrong later gets a note with
the call.
"""

from __future__ import annotations

import ast
import functools
import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar, cast, get_args, overload

import numpy as np

from tinygrad_norm.backend import is_array
from tinygrad_norm.checks.errors import wrong_kind
from tinygrad_norm.checks.kinds import Reduction
from tinygrad_norm.checks.notes import cause, named, short, told

F = TypeVar("F", bound=Callable)
TENSORS: set[type] = {np.ndarray}  # and Tensor and Parameter, which add themselves
TENSORS_OR_NONE: set[type] = {np.ndarray, type(None)}
ONLY_TENSORS: set[type] = set()
ONLY_TENSORS_OR_NONE: set[type] = {type(None)}


def usual_tensor(kind: type) -> None:
    """Let `checked` take this class without a second look where a Tensor is expected."""
    for usual in (TENSORS, TENSORS_OR_NONE, ONLY_TENSORS, ONLY_TENSORS_OR_NONE):
        usual.add(kind)


# ---- what an annotation says --------------------------------------------------------------


def _is_number_of_kind(x: Any, kinds: str) -> bool:
    """Whether x is a Tensor that stands for a number: without dimensions, and without a history."""
    return hasattr(x, "needs_grad") and not x.array.ndim and x.array.dtype.kind in kinds and not x.needs_grad


def _is_integer(x: Any) -> bool:
    return (isinstance(x, (int, np.integer)) and not isinstance(x, bool)) or _is_number_of_kind(x, "iu")


def _is_float(x: Any) -> bool:
    return isinstance(x, (int, float, np.number, np.bool_)) or _is_number_of_kind(x, "fiub")


# for each kind: the usual classes, and what else will do
_KINDS: dict[str, tuple[set[type], Callable[[Any], bool]]] = {
    "Tensor": (TENSORS, lambda x: hasattr(x, "needs_grad") or is_array(x) or isinstance(x, np.generic)),
    "bool": ({bool}, lambda x: isinstance(x, np.bool_)),
    "int": ({int}, _is_integer),
    "float": ({float, int}, _is_float),
    "str": ({str}, lambda x: isinstance(x, str)),
}
# for each range: the kind of number, what is true of it, and how that is said
_RANGES: dict[str, tuple[str, Callable[[Any], bool], str]] = {
    "Positive": ("float", lambda v: v > 0, "{} has to be positive"),
    "NonNegative": ("float", lambda v: v >= 0, "{} has to be non-negative"),
    "Probability": ("float", lambda v: 0 <= v <= 1, "dropout probability has to be between 0 and 1"),
    "PositiveInt": ("int", lambda v: v > 0, "{} has to be positive"),
}
_DTYPES = {  # the kinds of NumPy's dtypes, how that is said, what converts to them
    "Float": ("f", "floating point", ".float()"),
    "Int": ("iu", "integer", ".long()"),
    "Number": ("fiu", "a number", ".float()"),
    "Num": ("fiub", "", ""),
}


class Rule(NamedTuple):
    """What has to be true of one argument."""

    name: str
    kind: str
    usual: set[type]
    fits: Callable[[Any], bool]
    range: str = ""
    choices: tuple = ()
    dtype: str = ""
    sizes: str | None = None  # the letters

    @property
    def is_deep(self) -> bool:
        """Whether there is more to it than the class."""
        return bool(self.range or self.choices or self.dtype)


def _rule(p: inspect.Parameter) -> Rule | None:
    """What the annotation of a parameter says, None for one that says nothing."""
    kind, *rest = re.split(r" \| (?![^\[]*\])", "" if p.annotation is p.empty else str(p.annotation))
    if rest not in ([], ["None"]) or p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
        return None
    more: dict[str, Any] = {}
    if kind in _RANGES:
        kind, more = _RANGES[kind][0], {"range": kind}
    elif found := re.fullmatch(r"(Float|Int|Num|Number|Same|SameOrFloat32)\[Tensor, ['\"](.*)['\"]\]", kind):
        kind, more = "Tensor", {"dtype": found[1], "sizes": found[2]}
    elif kind == "Reduction":
        kind, more = "str", {"choices": get_args(Reduction)}
    elif kind.startswith("Literal["):
        kind, more = "str", {"choices": ast.literal_eval(f"({kind[8:-1]},)")}
    if kind not in _KINDS:
        return None
    usual, fits = _KINDS[kind]
    if "dtype" in more:  # arrays are refused: no vjp calls such a function
        usual, fits = ONLY_TENSORS, lambda x: hasattr(x, "needs_grad")
    if rest or p.default is None:
        or_none = {id(TENSORS): TENSORS_OR_NONE, id(ONLY_TENSORS): ONLY_TENSORS_OR_NONE}
        usual = or_none.get(id(usual), {*usual, type(None)})
    return Rule(p.name, kind, usual, fits, **more)


# ---- the look at a call -------------------------------------------------------------------


def require_kind(name: str, argument: str, kind: str, value: Any) -> None:
    """Raise TypeError unless the value is what `checked` takes for that annotation."""
    if value.__class__ not in _KINDS[kind][0] and not _KINDS[kind][1](value):
        raise wrong_kind(name, argument, kind, value)


def _plain(name: str, rule: Rule, value: Any) -> Any:
    """The value of an unusual class, a Tensor that stands for a number as that number. Raises TypeError if it does not fit."""
    if not rule.fits(value):
        raise wrong_kind(name, rule.name, rule.kind + " or None" * (type(None) in rule.usual), value)
    return value.array.item() if rule.kind in ("int", "float") and hasattr(value, "needs_grad") else value


def _look(name: str, rules: list[Rule], relations: list[tuple], given: dict[str, Any], error: Any) -> None:
    """Raise for the first argument that is not what its annotation says, or the first relation that does not hold."""
    known: dict[str, Any] = {}  # the sizes of the letters
    origin: dict[str, str] = {}
    first: Any = None  # the name and the dtype of the first Tensor
    for rule in rules:
        value = given[rule.name]
        if value is None:
            continue
        if rule.choices and value not in rule.choices:
            expected = ", ".join(map(repr, rule.choices))
            raise (error or ValueError)(f"{name}(): {value} is not a valid value for {rule.name}: expected one of {expected}")
        if rule.range and not _RANGES[rule.range][1](value):
            raise (error or ValueError)(f"{name}(): {_RANGES[rule.range][2].format(rule.name)}, but got {value}")
        if rule.dtype:
            array = getattr(value, "array", value)
            first = (rule.name, array.dtype) if first is None else first
            _require_dtype(name, rule, array.dtype, first[0], first[1], error or RuntimeError)
            _match(name, rule, array.shape, known, origin)
    for source, code, parts, kind in relations:
        space = {**given, **known, "__name__": __name__}
        if any("." in part and space[part.partition(".")[0]] is None for part in parts):
            continue  # it speaks of an argument that is not there
        if not eval(code, space):
            values = ", ".join(f"{part} = {short(eval(part, space))}" + origin.get(part, "") for part in parts)
            raise (error or kind)(f"{name}(): expected {source}, but got {values}")


def _require_dtype(name: str, rule: Rule, dtype: np.dtype, first: str, like: np.dtype, error: type[Exception]) -> None:
    """Raise the error for a dtype that is not what the annotation says."""
    if rule.dtype in _DTYPES:
        kinds, said, cast_to = _DTYPES[rule.dtype]
        if dtype.kind not in kinds:
            raise error(f"{name}(): not implemented for {dtype}: {rule.name} has to be {said}, convert with {cast_to}")
    elif dtype != like and not (rule.dtype == "SameOrFloat32" and (like, dtype) == ("float16", "float32")):
        raise RuntimeError(f"{name}(): mixed dtype: {first} is {like} and {rule.name} is {dtype}: {first}.to({dtype})?")


def _match(name: str, rule: Rule, shape: tuple, known: dict[str, Any], origin: dict[str, str]) -> None:
    """Give the letters of a shape their sizes. Raises RuntimeError where they have others already."""
    letters = (rule.sizes or "").split()
    star = next((i for i, letter in enumerate(letters) if letter[0] in "*."), None)
    least = len(letters) - (star is not None)
    fits = len(shape) == least if star is None else len(shape) >= least
    if fits:
        extra = len(shape) - least
        sizes = list(shape) if star is None else [*shape[:star], shape[star : star + extra], *shape[star + extra :]]
        for letter, size in zip(letters, sizes):
            letter = letter.lstrip("*")
            if letter not in known and not letter.isdigit() and letter != "...":
                known[letter], origin[letter] = size, f" (from {rule.name} {tuple(shape)})"
            fits = fits and (letter == "..." or size == (int(letter) if letter.isdigit() else known[letter]))
    if not fits:
        mine = f" (from {rule.name} "
        bound = [n for n in (letter.lstrip("*") for letter in letters) if not origin.get(n, mine).startswith(mine)]
        where = ", ".join(f"{letter} = {known[letter]}{origin[letter]}" for letter in bound)
        expected = "(" + ", ".join(letters) + ("," if len(letters) == 1 else "") + ")"
        text = f"{rule.name} has shape {tuple(shape)}, expected {expected}" + (f" with {where}" if where else "")
        if len(letters) == 1 and letters[0] in known and len(shape) == 1:
            text = f"{rule.name} should contain {known[letters[0]]} elements not {shape[0]}: {text}"
        raise RuntimeError(f"{name}(): {text}")


def _relation(given: str | tuple[str, type[Exception]]) -> tuple[str, Any, list[str], type[Exception]]:
    """A relation between arguments and letters: its text, its code, what it speaks of, the error."""
    source, error = (given, RuntimeError) if isinstance(given, str) else given
    tree = ast.parse(source, mode="eval")
    inside = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    parts = [n for n in ast.walk(tree) if isinstance(n, (ast.Name, ast.Attribute)) and id(n) not in inside]
    names = dict.fromkeys(p for p in map(ast.unparse, parts) if p not in ("len", "tuple", "min", "max"))
    return source, compile(tree, "<relation>", "eval"), list(names), error


_NUMPY_NAMES = {"axis": "dim", "keepdims": "keepdim"}
_MOST_KNOWN = 4096  # kinds of calls that are remembered at a time


@overload
def checked(function: F, /) -> F: ...
@overload
def checked(*relations: str | tuple[str, type[Exception]], error: type[Exception] | None = ...) -> Callable[[F], F]: ...
def checked(*relations: Any, error: type[Exception] | None = None) -> Any:
    """Decorator: look at the arguments of a function as its annotations, and these relations, say.

    Raises TypeError for an argument of another kind, RuntimeError for a shape; `error`, if given, else RuntimeError for a dtype
    or a relation, and ValueError for a range or a choice. What is annotated as Tensor alone may be an array too, since vjps
    call these functions with arrays, of which NumPy makes scalars where they have no dimensions.
    """
    if relations and callable(relations[0]):
        return checked()(relations[0])

    def decorate(function: F) -> F:
        return _checked(function, [_relation(given) for given in relations], error)

    return decorate


def _checked(function: F, relations: list[tuple], error: type[Exception] | None) -> F:
    signature = inspect.signature(function)
    parameters = list(signature.parameters.values())
    if hasattr(function, "op") and parameters[0].annotation is inspect.Parameter.empty:
        parameters[0] = parameters[0].replace(annotation="Tensor")
    rules = {p.name: rule for p in parameters if p.name != "inplace" and (rule := _rule(p)) is not None}
    by_place = [(i, rules[p.name], rules[p.name].usual) for i, p in enumerate(parameters) if p.name in rules]
    by_place = [found for found in by_place if parameters[found[0]].kind is not inspect.Parameter.KEYWORD_ONLY]
    deep = [rule for rule in rules.values() if rule.is_deep]
    shaped = bool(relations) or any(rule.dtype for rule in deep)
    deep_names = {rule.name for rule in deep}
    first_deep = min((i for i, rule, _ in by_place if rule.is_deep), default=len(parameters))
    takes_numpy_names = hasattr(function, "takes_numpy_names")
    name = function.__name__
    known: set[Any] = set()

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if kwargs and takes_numpy_names:
            kwargs = {_NUMPY_NAMES.get(key, key): value for key, value in kwargs.items()}
        try:
            count = len(args)
            for place, rule, usual in by_place:
                if place >= count:
                    break
                if args[place].__class__ not in usual:
                    args = (*args[:place], _plain(name, rule, args[place]), *args[place + 1 :])
            for key in kwargs:
                if key in rules and kwargs[key].__class__ not in rules[key].usual:
                    kwargs[key] = _plain(name, rules[key], kwargs[key])
            looked = shaped or count > first_deep or (kwargs and not deep_names.isdisjoint(kwargs))
            if looked and ((key := _memo_key(args, kwargs)) is None or key not in known):
                bound = signature.bind(*args, **kwargs)
                bound.apply_defaults()
                _look(name, deep, relations, bound.arguments, error)
                if key is not None:
                    known.clear() if len(known) >= _MOST_KNOWN else known.add(key)
            return function(*args, **kwargs)
        except Exception as found:
            better = told(name, signature, args, kwargs, found)
            if better is found:
                raise
            raise better from cause(found)

    call.is_checked, call.rules = True, rules  # type: ignore[attr-defined]
    return cast(F, named(call, function))


def look_at_settings(name: str, function: Callable, settings: dict[str, Any]) -> None:
    """Raise, in the name of a layer, for settings that its function would refuse."""
    known = getattr(function, "rules", {})
    rules = [known[key] for key in settings if key in known]
    for rule in rules:
        if settings[rule.name].__class__ not in rule.usual:
            settings[rule.name] = _plain(name, rule, settings[rule.name])
    _look(name, [rule for rule in rules if rule.is_deep], [], settings, None)


_SIMPLE = {int, float, bool, str, type(None)}


def _memo_key(args: tuple, kwargs: dict) -> Any:
    """What a call has in common with others that need no second look: shapes, dtypes, settings. None if that cannot be told."""
    found: list[Any] = [len(args)]
    for value in (*args, *kwargs, *kwargs.values()) if kwargs else args:
        array = getattr(value, "array", None)
        if array is not None:
            found += (array.shape, array.dtype, value.needs_grad)
        elif value.__class__ in _SIMPLE:
            found += (value.__class__, value)
        elif value.__class__ in (tuple, list) and _SIMPLE.issuperset(map(type, value)):
            found += (value.__class__, tuple(value))
        else:
            return None
    return tuple(found)


def require_state_dict(value: Any) -> None:
    """Raise TypeError unless the value is a mapping."""
    if not isinstance(value, Mapping):
        raise TypeError(f"Expected state_dict to be dict-like, got {type(value)}.")
