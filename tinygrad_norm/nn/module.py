"""Module: a tree of parameters, buffers and submodules, with a forward function.

What is assigned to an attribute is registered: a Parameter, a Module, or (by `register_buffer`) a
buffer, which is saved and moved with the module but not trained. Order is the order of assignment.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from tinygrad_norm import dtypes
from tinygrad_norm.autograd import RemovableHandle, Tensor, no_grad, wrap


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

    def __init__(self) -> None:
        object.__setattr__(self, "training", True)
        object.__setattr__(self, "_parameters", {})
        object.__setattr__(self, "_buffers", {})
        object.__setattr__(self, "_modules", {})
        object.__setattr__(self, "_non_persistent", set())
        object.__setattr__(self, "_forward_pre_hooks", {})
        object.__setattr__(self, "_forward_hooks", {})

    def forward(self, *inputs: Any) -> Any:
        """What calling the module computes; each Module defines its own."""
        raise NotImplementedError(f'Module [{type(self).__name__}] is missing the required "forward" function')

    def __call__(self, *inputs: Any, **arguments: Any) -> Any:
        for pre_hook in list(self._forward_pre_hooks.values()):
            changed = pre_hook(self, inputs)
            if changed is not None:
                inputs = changed if isinstance(changed, tuple) else (changed,)
        output = self.forward(*inputs, **arguments)
        for hook in list(self._forward_hooks.values()):
            changed = hook(self, inputs, output)
            output = output if changed is None else changed
        return output

    # ---- registration ---------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        parts = self.__dict__.get("_parameters")
        if parts is None:
            for kind, cls in (("parameters", Parameter), ("module", Module)):
                if isinstance(value, cls):
                    raise AttributeError(f"cannot assign {kind} before Module.__init__() call")
            object.__setattr__(self, name, value)
            return
        registries = (self._parameters, self._buffers, self._modules)
        if isinstance(value, (Parameter, Module)):
            home = self._parameters if isinstance(value, Parameter) else self._modules
            self.__dict__.pop(name, None)
            for registry in registries:
                if registry is not home:
                    registry.pop(name, None)
            home[name] = value
            return
        for registry in registries:
            if name in registry:
                if value is not None and not (registry is self._buffers and isinstance(value, Tensor)):
                    kinds = zip(registries, ("Parameter", "Tensor", "Module"))
                    expected = next(kind for r, kind in kinds if r is registry)
                    raise TypeError(f"cannot assign '{type(value).__name__}' as '{name}' ({expected} or None expected)")
                registry[name] = value
                return
        if isinstance(value, (list, tuple)) and any(isinstance(v, (Module, Parameter)) for v in value):
            warnings.warn(
                f"{type(self).__name__}.{name} is a plain {type(value).__name__} of modules or parameters, which are "
                "not registered: they will not be trained, moved or saved. Use nn.ModuleList (or setattr for each).",
                stacklevel=2,
            )
        object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        for registry in ("_parameters", "_buffers", "_modules"):
            found = self.__dict__.get(registry, {})
            if name in found:
                return found[name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __delattr__(self, name: str) -> None:
        for registry in (self._parameters, self._buffers, self._modules):
            if name in registry:
                del registry[name]
                self._non_persistent.discard(name)
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._parameters, *self._buffers, *self._modules})

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Register a parameter under a name; None keeps the name free for one."""
        self._check_name(name)
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(f"cannot assign '{type(param).__name__}' object to parameter '{name}' (Parameter or None required)")
        self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Register a Tensor that is not trained; one that is not persistent is not in state_dict."""
        self._check_name(name)
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(f"cannot assign '{type(tensor).__name__}' object to buffer '{name}' (Tensor or None required)")
        self._buffers[name] = tensor
        (self._non_persistent.discard if persistent else self._non_persistent.add)(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Register a submodule under a name."""
        self._check_name(name)
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"{type(module).__name__} is not a Module subclass")
        self._modules[name] = module

    register_module = add_module

    def _check_name(self, name: str) -> None:
        if "_parameters" not in self.__dict__:
            raise AttributeError("cannot assign parts before Module.__init__() call")
        if not isinstance(name, str) or not name or "." in name:
            raise KeyError(f'a name has to be a non-empty string without ".", but got {name!r}')
        if hasattr(self, name) and not any(name in r for r in (self._parameters, self._buffers, self._modules)):
            raise KeyError(f"attribute '{name}' already exists")

    def register_forward_hook(self, hook: Callable) -> RemovableHandle:
        """Call hook(module, inputs, output) after forward; what it returns, if not None, is the output."""
        return RemovableHandle(self._forward_hooks, hook)

    def register_forward_pre_hook(self, hook: Callable) -> RemovableHandle:
        """Call hook(module, inputs) before forward; what it returns, if not None, are the inputs."""
        return RemovableHandle(self._forward_pre_hooks, hook)

    # ---- walking the tree -----------------------------------------------------------------

    def named_modules(self, memo: set | None = None, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module and all below it, each once, with dotted names."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        memo.add(self)
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                yield from module.named_modules(memo, f"{prefix}.{name}" if prefix else name)

    def _named(self, registry: str, prefix: str, recurse: bool) -> Iterator[tuple[str, Any]]:
        seen = set()
        for path, module in self.named_modules(prefix=prefix) if recurse else [(prefix, self)]:
            for name, part in getattr(module, registry).items():
                if part is not None and part not in seen:
                    seen.add(part)
                    yield f"{path}.{name}" if path else name, part

    def named_parameters(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Parameter]]:
        """All parameters, each once, with dotted names, in the order of assignment."""
        yield from self._named("_parameters", prefix, recurse)

    def named_buffers(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Tensor]]:
        """All buffers, each once, with dotted names."""
        yield from self._named("_buffers", prefix, recurse)

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The direct submodules, each once, with their names."""
        yield from self._named("_modules", "", False)

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
                p.grad = None if set_to_none else wrap(p.grad.array * 0)

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
        state = {f"{prefix}{n}": t.detach() for n, t in self._parameters.items() if t is not None}
        for name, buffer in self._buffers.items():
            if buffer is not None and name not in self._non_persistent:
                state[f"{prefix}{name}"] = buffer.detach()
        for name, module in self._modules.items():
            if module is not None:
                state |= module.state_dict(f"{prefix}{name}.")
        return state

    def load_state_dict(self, state_dict: dict[str, Any], strict: bool = True) -> IncompatibleKeys:
        """Copy the values in. If a size does not fit or (strict) a key is missing or unexpected,
        raises RuntimeError that lists all of them, and nothing has changed."""
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
        children = [f"({name}): " + repr(m).replace("\n", "\n  ") for name, m in self._modules.items()]
        extra = self.extra_repr()
        if not children:
            return f"{type(self).__name__}({extra})"
        lines = ([extra] if extra else []) + children
        return f"{type(self).__name__}(\n  " + "\n  ".join(lines) + "\n)"


def _converted(tensor: Tensor, args: tuple, dtype: Any, device: Any) -> Tensor:
    """The Tensor on the device and, if it is floating point, in the dtype that Module.to was given."""
    moved = tensor.to(*args, dtype=dtype, device=device)
    return moved if moved.dtype == tensor.dtype or tensor.dtype.kind == "f" else moved.to(tensor.dtype)


class Sequential(Module):
    """Modules one after the other: Sequential(a, b)(x) is b(a(x)). Also from a dict of names."""

    def __init__(self, *modules: Any) -> None:
        super().__init__()
        if len(modules) == 1 and isinstance(modules[0], dict):
            for name, module in modules[0].items():
                self.add_module(name, module)
        else:
            for i, module in enumerate(modules):
                self.add_module(str(i), module)

    def forward(self, input: Any) -> Any:
        """Each module on the output of the one before it."""
        for module in self._modules.values():
            input = module(input)
        return input

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return type(self)(dict(list(self._modules.items())[index]))
        return _nth(self._modules, index)

    def append(self, module: Module) -> Sequential:
        """Add a module at the end."""
        self.add_module(str(len(self)), module)
        return self


class ModuleList(Module):
    """A list of modules that are registered."""

    def __init__(self, modules: Any = None) -> None:
        super().__init__()
        self.extend(modules or [])

    def append(self, module: Module) -> ModuleList:
        """Add a module at the end."""
        self.add_module(str(len(self)), module)
        return self

    def extend(self, modules: Any) -> ModuleList:
        """Add several modules at the end."""
        for module in modules:
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> None:
        """Add a module before the one at the index."""
        modules = list(self)
        modules.insert(index, module)
        self._modules.clear()
        self.extend(modules)

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())

    def __getitem__(self, index: Any) -> Any:
        return ModuleList(list(self)[index]) if isinstance(index, slice) else _nth(self._modules, index)

    def __setitem__(self, index: int, module: Module) -> None:
        _nth(self._modules, index)
        self.add_module(str(range(len(self))[index]), module)


def _nth(modules: dict[str, Module], index: int) -> Module:
    if not -len(modules) <= index < len(modules):
        raise IndexError(f"index {index} is out of range: there are {len(modules)} modules")
    return next(itertools.islice(modules.values(), range(len(modules))[index], None))
