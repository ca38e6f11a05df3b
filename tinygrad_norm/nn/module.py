"""Module: a tree of parameters, buffers and submodules, with a forward function.

What is assigned to an attribute is registered: a Parameter, a Module, or (by `register_buffer`) a
buffer, which is saved and moved with the module but not trained. Order is the order of assignment.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from tinygrad_norm import dtypes
from tinygrad_norm.autograd import RemovableHandle, Tensor, no_grad
from tinygrad_norm.ops.creation import zeros_like


class Parameter(Tensor):
    """A leaf Tensor that a Module trains: it requires grad, and assigning it registers it."""

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        super().__init__(data.detach() if isinstance(data, Tensor) else data, requires_grad)

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"


class IncompatibleKeys(NamedTuple):
    """What load_state_dict(strict=False) passed over."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Module:
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

    def forward(self, *inputs: Any) -> Any:
        """What calling the module computes; each Module defines its own."""
        raise NotImplementedError(f'Module [{type(self).__name__}] is missing the required "forward" function')

    def __call__(self, *inputs: Any, **arguments: Any) -> Any:
        """Run forward, with the hooks before and after it."""
        if self._pre_hooks:
            for pre_hook in list(self._pre_hooks.values()):
                changed = pre_hook(self, inputs)
                if changed is not None:
                    inputs = changed if isinstance(changed, tuple) else (changed,)
        output = self.forward(*inputs, **arguments)
        if self._hooks:
            for hook in list(self._hooks.values()):
                changed = hook(self, inputs, output)
                output = output if changed is None else changed
        return output

    # ---- registration ---------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        kinds = self.__dict__.get("_kinds")
        kind = "parameter" if isinstance(value, Parameter) else "module" if isinstance(value, Module) else None
        if kinds is None and kind is not None:
            raise AttributeError(f"cannot assign {kind} before Module.__init__() call")
        if kinds is not None:
            if kind is not None:
                if kinds.get(name) != kind:
                    kinds.pop(name, None)
                    kinds[name] = kind
            elif (old := kinds.get(name)) is not None and value is not None:
                if not (old == "buffer" and isinstance(value, Tensor)):
                    expected = "Tensor" if old == "buffer" else old.capitalize()
                    raise TypeError(f"cannot assign '{type(value).__name__}' as '{name}' ({expected} or None expected)")
            elif isinstance(value, (list, tuple)) and any(isinstance(v, (Module, Parameter)) for v in value):
                warnings.warn(
                    f"{type(self).__name__}.{name} is a plain {type(value).__name__} of modules or parameters, which "
                    "are not registered: they will not be trained, moved or saved. Use nn.ModuleList (or setattr for each).",
                    stacklevel=2,
                )
        object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __delattr__(self, name: str) -> None:
        object.__delattr__(self, name)
        self._kinds.pop(name, None)
        self._non_persistent.discard(name)

    def _parts(self, kind: str) -> Iterator[tuple[str, Any]]:
        """The names and values of this module's own parameters, buffers or submodules that are not None."""
        for name, its_kind in self._kinds.items():
            if its_kind == kind and self.__dict__[name] is not None:
                yield name, self.__dict__[name]

    def _register(self, name: str, value: Any, kind: str, cls: type) -> None:
        if "_kinds" not in self.__dict__:
            raise AttributeError(f"cannot assign {kind} before Module.__init__() call")
        if not isinstance(name, str) or not name or "." in name:
            raise KeyError(f'a name has to be a non-empty string without ".", but got {name!r}')
        if hasattr(self, name) and name not in self._kinds:
            raise KeyError(f"attribute '{name}' already exists")
        if value is not None and not isinstance(value, cls):
            raise TypeError(
                f"cannot assign '{type(value).__name__}' object to {kind} '{name}' ({cls.__name__} or None required)"
            )
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

    def register_forward_hook(self, hook: Callable) -> RemovableHandle:
        """Call hook(module, inputs, output) after forward; what it returns, if not None, is the output."""
        return RemovableHandle(self._hooks, hook)

    def register_forward_pre_hook(self, hook: Callable) -> RemovableHandle:
        """Call hook(module, inputs) before forward; what it returns, if not None, are the inputs."""
        return RemovableHandle(self._pre_hooks, hook)

    # ---- walking the tree -----------------------------------------------------------------

    def named_modules(self, memo: set | None = None, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module and all below it, each once, with dotted names."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        memo.add(self)
        yield prefix, self
        for name, module in self._parts("module"):
            yield from module.named_modules(memo, f"{prefix}.{name}" if prefix else name)

    def _named(self, kind: str, prefix: str, recurse: bool) -> Iterator[tuple[str, Any]]:
        seen = set()
        for path, module in self.named_modules(prefix=prefix) if recurse else [(prefix, self)]:
            for name, part in module._parts(kind):
                if part not in seen:
                    seen.add(part)
                    yield f"{path}.{name}" if path else name, part

    def named_parameters(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Parameter]]:
        """All parameters, each once, with dotted names, in the order of assignment."""
        yield from self._named("parameter", prefix, recurse)

    def named_buffers(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Tensor]]:
        """All buffers, each once, with dotted names."""
        yield from self._named("buffer", prefix, recurse)

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The direct submodules, each once, with their names."""
        yield from self._named("module", "", False)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """All parameters, each once."""
        return (p for _, p in self.named_parameters(recurse=recurse))

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """All buffers, each once."""
        return (b for _, b in self.named_buffers(recurse=recurse))

    def modules(self) -> Iterator[Module]:
        """This module and all below it, each once."""
        return (m for _, m in self.named_modules())

    def children(self) -> Iterator[Module]:
        """The direct submodules, each once."""
        return (m for _, m in self.named_children())

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
        for module in self.modules():
            module.training = mode
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
        """Forget the gradients, or set them to zero."""
        for p in self.parameters():
            if p.grad is not None:
                p.grad = None if set_to_none else zeros_like(p.grad)

    def to(self, *args: Any, dtype: Any = None, device: Any = None) -> Module:
        """Move parameters and buffers to a device, or the floating point ones to a dtype, in place."""
        for tensor in (*self.parameters(), *self.buffers()):
            for t in (tensor, tensor.grad):
                if t is not None:
                    t.array = _converted(t.detach(), args, dtype, device).array
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

    def cuda(self) -> Module:
        """On the GPU."""
        return self.to(device="cuda")

    # ---- state ----------------------------------------------------------------------------

    def state_dict(self, prefix: str = "") -> dict[str, Tensor]:
        """Parameters and persistent buffers by dotted name; they share the module's memory."""
        state = {f"{prefix}{name}": p.detach() for name, p in self._parts("parameter")}
        for name, buffer in self._parts("buffer"):
            if name not in self._non_persistent:
                state[f"{prefix}{name}"] = buffer.detach()
        for name, module in self._parts("module"):
            state |= module.state_dict(f"{prefix}{name}.")
        return state

    def load_state_dict(self, state_dict: dict[str, Any], strict: bool = True) -> IncompatibleKeys:
        """Copy the values in. If a size does not fit or (strict) a key is missing or unexpected,
        raises RuntimeError that lists all of them, and nothing has changed.
        """
        own = self.state_dict()
        missing = [key for key in own if key not in state_dict]
        unexpected = [key for key in state_dict if key not in own]
        problems = []
        if strict and unexpected:
            problems.append("Unexpected key(s) in state_dict: " + ", ".join(f'"{k}"' for k in unexpected) + ". ")
        if strict and missing:
            problems.append("Missing key(s) in state_dict: " + ", ".join(f'"{k}"' for k in missing) + ". ")
        for key in own.keys() & state_dict.keys():
            if tuple(state_dict[key].shape) != tuple(own[key].shape):
                problems.append(
                    f"size mismatch for {key}: copying a param with shape {tuple(state_dict[key].shape)} from checkpoint, "
                    f"the shape in current model is {tuple(own[key].shape)}."
                )
        if problems:
            raise RuntimeError(f"Error(s) in loading state_dict for {type(self).__name__}:\n\t" + "\n\t".join(problems))
        with no_grad():
            for key in own.keys() & state_dict.keys():
                own[key].copy_(state_dict[key])
        return IncompatibleKeys(missing, unexpected)

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


def _converted(tensor: Tensor, args: tuple, dtype: Any, device: Any) -> Tensor:
    """The Tensor on the device and, if it is floating point, in the dtype that Module.to was given."""
    moved = tensor.to(*args, dtype=dtype, device=device)
    return moved if moved.dtype == tensor.dtype or tensor.dtype.kind == "f" else moved.to(tensor.dtype)


class _Container(Module):
    """Submodules in a row."""

    def __len__(self) -> int:
        return len(self._kinds)

    def __iter__(self) -> Iterator[Module]:
        return (module for _, module in self._parts("module"))

    def _at(self, index: int) -> str:
        """The name of the module at an index, which may count from the end."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"index {index} is out of range: there are {len(self)} modules")
        return list(self._kinds)[index]

    def append(self, module: Module) -> Any:
        """Add a module at the end."""
        self.add_module(str(len(self)), module)
        return self

    def extend(self, modules: Any) -> Any:
        """Add several modules at the end."""
        for module in modules:
            self.append(module)
        return self


class Sequential(_Container):
    """Modules one after the other: Sequential(a, b)(x) is b(a(x)). Also from a dict of names."""

    def __init__(self, *modules: Any) -> None:
        super().__init__()
        if len(modules) == 1 and isinstance(modules[0], dict):
            for name, module in modules[0].items():
                self.add_module(name, module)
        else:
            self.extend(modules)

    def forward(self, input: Any) -> Any:
        """Each module on the output of the one before it."""
        for module in self:
            input = module(input)
        return input

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return type(self)(dict(list(self._parts("module"))[index]))
        return getattr(self, self._at(index))


class ModuleList(_Container):
    """A list of modules that are registered."""

    def __init__(self, modules: Any = None) -> None:
        super().__init__()
        self.extend(modules or [])

    def insert(self, index: int, module: Module) -> None:
        """Add a module before the one at the index."""
        modules = list(self)
        modules.insert(index, module)
        self._kinds.clear()
        for i, m in enumerate(modules):
            self._kinds[str(i)] = "module"
            self.__dict__[str(i)] = m

    def __getitem__(self, index: Any) -> Any:
        return ModuleList(list(self)[index]) if isinstance(index, slice) else getattr(self, self._at(index))

    def __setitem__(self, index: int, module: Module) -> None:
        setattr(self, self._at(index), module)
