"""Module: a tree of parameters, buffers and submodules, with a forward function.

What is assigned to an attribute is registered: a Parameter, a Module, or (by `register_buffer`) a
buffer, which is saved and moved with the module but not trained. Order is the order of assignment.
"""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from tinygrad_norm import dtypes
from tinygrad_norm.autograd import RemovableHandle, Tensor
from tinygrad_norm.checks.errors import cause, is_foreign
from tinygrad_norm.checks.notes import in_words, without_wrappers
from tinygrad_norm.nn.parameter import Parameter, reset_gradient
from tinygrad_norm.nn.state import EXTRA, IncompatibleKeys, load
from tinygrad_norm.nn.tree import Registered, Tree
from tinygrad_norm.ops.convert import to
from tinygrad_norm.warn import warn


class Module(Tree):
    """Base class of layers and models: assign parts in __init__, compute in forward.

    class Net(Module):
        def __init__(self):
            super().__init__()
            self.fc = Linear(4, 2)

        def forward(self, x):
            return self.fc(x).relu()
    """

    training: bool
    _kinds: dict[str, str]  # the registered names, in order, each "parameter", "buffer" or "module"

    def __init__(self) -> None:
        self.__dict__.update(training=True, _kinds={}, _non_persistent=set(), _pre_hooks={}, _hooks={})

    def _forward_missing(self, *inputs: Any) -> Any:
        """What calling the module computes; each Module defines its own."""
        raise NotImplementedError(f'Module [{type(self).__name__}] is missing the required "forward" function')

    forward: Callable[..., Any] = _forward_missing

    def __call__(self, *inputs: Any, **arguments: Any) -> Any:
        """Run forward, with the hooks before and after it. An error on the way gets a note that says in which layer."""
        try:
            if not self._pre_hooks and not self._hooks:
                return self.forward(*inputs, **arguments)
            for pre_hook, named in list(self._pre_hooks.values()):
                changed = pre_hook(self, inputs, arguments) if named else pre_hook(self, inputs)
                if changed is not None and named:
                    inputs, arguments = changed
                elif changed is not None:
                    inputs = changed if isinstance(changed, tuple) else (changed,)
            output = self.forward(*inputs, **arguments)
            for hook, named in list(self._hooks.values()):
                changed = hook(self, inputs, arguments, output) if named else hook(self, inputs, output)
                output = output if changed is None else changed
            return output
        except Exception as error:
            better = error if is_foreign(error) else in_words(type(self).__name__, dict(enumerate(inputs)), error)
            without_wrappers(better)
            self._note_place(better, inputs)
            if better is error:
                raise
            raise better from cause(error)

    def _note_place(self, error: Exception, inputs: tuple) -> None:
        """Add to the error "in body.2, Linear(...), given (5, 7)": the path from here to the module in which it arose."""
        inner, path, text = error.__dict__.get("_place", (None, "", ""))
        if inner is None:
            given = [str(tuple(x.shape)) if isinstance(x, Tensor) else type(x).__name__ for x in inputs]
            settings = "..."
            with contextlib.suppress(Exception):  # of a module that cannot even be printed
                settings = self.extra_repr()
            text = f"{type(self).__name__}({settings}), given {', '.join(given) or 'nothing'}"
        else:
            name = next((name for name, module in self.named_modules() if module is inner), "?")
            path = f"{name}.{path}" if path else name
            error.__notes__.pop()
        error._place = (self, path, text)  # type: ignore[attr-defined]
        error.add_note(f"in {path}, {text}" if path else f"in {text}")

    # ---- registration ---------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        kinds = self.__dict__.get("_kinds")
        kind = "parameter" if isinstance(value, Parameter) else "module" if isinstance(value, Module) else None
        if kinds is None and kind is not None:
            raise AttributeError(f"cannot assign {kind} before Module.__init__() call")
        if kinds is not None:
            old = kinds.get(name)
            if kind is not None and (old, kind) != ("parameter", "module"):
                if old != kind:
                    kinds.pop(name, None)
                    kinds[name] = kind
                    self._non_persistent.discard(name)
            elif old is not None and value is not None:
                if not (old == "buffer" and isinstance(value, Tensor)):
                    expected = "Tensor" if old == "buffer" else old.capitalize()
                    raise TypeError(f"cannot assign '{type(value).__name__}' as '{name}' ({expected} or None expected)")
            elif isinstance(value, (list, tuple)) and any(isinstance(v, (Module, Parameter)) for v in value):
                warn(
                    f"{type(self).__name__}.{name} is a plain {type(value).__name__} of modules or parameters, which "
                    "are not registered: they will not be trained, moved or saved. Use nn.ModuleList (or setattr for each).",
                )
        object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        if hasattr(type(self), name):  # a property of the user's has raised AttributeError: what it said
            return object.__getattribute__(self, name)
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __delattr__(self, name: str) -> None:
        object.__delattr__(self, name)
        self._kinds.pop(name, None)
        self._non_persistent.discard(name)

    @property
    def _parameters(self) -> Registered:
        """This module's own parameters by name, to look at and to change."""
        return Registered(self, "parameter")

    @property
    def _buffers(self) -> Registered:
        """Its own buffers."""
        return Registered(self, "buffer")

    @property
    def _modules(self) -> Registered:
        """Its direct submodules."""
        return Registered(self, "module")

    def _register(self, name: str, value: Any, kind: str, cls: type) -> None:
        if "_kinds" not in self.__dict__:
            raise AttributeError(f"cannot assign {kind} before Module.__init__() call")
        if not isinstance(name, str):
            raise TypeError(f"{kind} name should be a string. Got {type(name).__name__}")
        if not name or "." in name:
            raise KeyError(f'a name has to be a non-empty string without ".", but got {name!r}')
        taken = hasattr(self, name) and self._kinds.get(name) != kind
        if value is not None and not isinstance(value, cls) and (kind == "module" or not taken):
            raise TypeError(f"cannot assign '{type(value).__name__}' object to {kind} '{name}' ({cls.__name__} or None)")
        if taken:
            raise KeyError(f"attribute '{name}' already exists")
        self._kinds[name] = kind
        self.__dict__[name] = value

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Register a parameter under a name; None keeps the name free for one."""
        self._register(name, param, "parameter", Parameter)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Register a Tensor that is not trained; one that is not persistent is not in state_dict."""
        self._register(name, tensor, "buffer", Tensor)
        (self._non_persistent.discard if persistent else self._non_persistent.add)(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Register a submodule under a name."""
        self._register(name, module, "module", Module)

    register_module = add_module

    def register_forward_hook(
        self, hook: Callable, *, prepend: bool = False, with_kwargs: bool = False, always_call: bool = False
    ) -> RemovableHandle:
        """Call hook(module, inputs, output) after forward; what it returns, if not None, is the output.

        with_kwargs: hook(module, inputs, keywords, output); prepend: before the hooks that are there.
        """
        return RemovableHandle(self._hooks, (hook, with_kwargs), prepend)

    def register_forward_pre_hook(self, hook: Callable, *, prepend: bool = False, with_kwargs: bool = False) -> RemovableHandle:
        """Call hook(module, inputs) before forward; what it returns, if not None, are the inputs.

        with_kwargs: hook(module, inputs, keywords), which returns None or both; prepend: before the hooks that are there.
        """
        return RemovableHandle(self._pre_hooks, (hook, with_kwargs), prepend)

    def apply(self, fn: Callable[[Module], None]) -> Module:
        """Call fn on every submodule, the lowest first, then on this one."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    # ---- modes, gradients, dtype and device -----------------------------------------------

    def train(self, mode: bool = True) -> Module:
        """Training mode (or not) for this module and all below it: dropout and batch norm differ."""
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        self.training = mode
        for module in self.children():  # by their own train(), which a subclass may have changed
            module.train(mode)
        return self

    def eval(self) -> Module:
        """Evaluation mode: train(False)."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Module:
        """Train the parameters, or freeze them."""
        for p in self.parameters():
            p.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or set them to zero, in their own memory."""
        for p in self.parameters():
            reset_gradient(p, set_to_none)

    def to(self, *args: Any, dtype: Any = None, device: Any = None, non_blocking: bool = False) -> Module:
        """Move parameters and buffers to a device, or the floating point ones to a dtype, in place.

        Raises TypeError for a dtype that is not floating point.
        """
        for arg in args:
            if isinstance(arg, Tensor):
                dtype, device = arg.dtype, arg.device
            elif isinstance(arg, str) and arg not in dtypes.NAMES:
                device = arg
            elif arg is not None and not isinstance(arg, bool):
                dtype = arg
        if dtype is not None and (dtype := dtypes.of(dtype)).kind != "f":
            raise TypeError(f"nn.Module.to only accepts floating point dtypes, but got desired dtype={dtype}")
        for part in (*self.parameters(), *self.buffers()):
            for t in (part, part._grad):
                if t is not None:
                    wanted = dtype if t.dtype.kind == "f" else None
                    t.array = to(t.detach(), dtype=wanted, device=device).array
        return self

    def float(self) -> Module:
        """As float32."""
        return self.to(dtype=dtypes.float32)

    def double(self) -> Module:
        """As float64."""
        return self.to(dtype=dtypes.float64)

    def half(self) -> Module:
        """As float16."""
        return self.to(dtype=dtypes.float16)

    def cpu(self) -> Module:
        """In host memory."""
        return self.to(device="cpu")

    def cuda(self, device: Any = None) -> Module:
        """On the GPU."""
        return self.to(device="cuda" if device is None or isinstance(device, int) else device)

    # ---- state ----------------------------------------------------------------------------

    _version = 1  # of what state_dict holds

    def state_dict(self, destination: dict | None = None, prefix: str = "", keep_vars: bool = False) -> dict[str, Tensor]:
        """Parameters and persistent buffers by dotted name; they share the module's memory.

        keep_vars: the Parameters themselves, not detached.
        """
        state: Any = OrderedDict() if destination is None else destination
        if not hasattr(state, "_metadata") and isinstance(state, OrderedDict):
            state._metadata = OrderedDict()  # type: ignore[attr-defined]
        if hasattr(state, "_metadata"):
            state._metadata[prefix[:-1]] = {"version": self._version}
        for kind in ("parameter", "buffer"):
            for name, part in self._parts(kind):
                if name not in self._non_persistent:
                    state[prefix + name] = part if keep_vars else part.detach()
        if type(self).get_extra_state is not Module.get_extra_state:
            state[prefix + EXTRA] = self.get_extra_state()
        for name, module in self._parts("module"):
            module.state_dict(state, f"{prefix}{name}.", keep_vars)
        return state

    def get_extra_state(self) -> Any:
        """What else belongs into state_dict: define it together with set_extra_state."""
        raise RuntimeError(f"{type(self).__name__} has no extra state: define get_extra_state() and set_extra_state()")

    def set_extra_state(self, state: Any) -> None:
        """Take back what get_extra_state has given."""
        raise RuntimeError(f"{type(self).__name__} has no extra state: define get_extra_state() and set_extra_state()")

    def load_state_dict(self, state_dict: dict[str, Any], strict: bool = True, assign: bool = False) -> IncompatibleKeys:
        """Copy the values in. If a size does not fit or (strict) a key is missing or unexpected,
        raises RuntimeError that lists all of them, and nothing has changed.

        assign: take the Tensors themselves, with their dtype and device, in the place of copying.
        """
        return load(self, state_dict, strict, assign)

    def _load_from_state_dict(
        self,
        state_dict: dict,
        prefix: str,
        local_metadata: dict,
        strict: bool,
        missing_keys: list,
        unexpected_keys: list,
        error_msgs: list,
    ) -> None:
        """Called for each module before anything is loaded: an override may rename or change entries of state_dict, which is
        a copy, and add to error_msgs.
        """

    def _newer_keys(self, version: int | None) -> tuple[str, ...]:
        """Keys that a state_dict of this version (None: unknown) need not have."""
        return ()

    # ---- in print -------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """What stands between the parentheses in print."""
        return ""

    def __repr__(self) -> str:
        children = [f"({name}): " + repr(m).replace("\n", "\n  ") for name, m in self._parts("module")]
        extra = self.extra_repr()
        if not children:
            return f"{type(self).__name__}({extra})"
        lines = ([extra] if extra else []) + children
        return f"{type(self).__name__}(\n  " + "\n  ".join(lines) + "\n)"
