"""The tree that modules form: its walks, and its parts by dotted name."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any

from tinygrad_norm.autograd import Tensor
from tinygrad_norm.nn.parameter import Parameter


class Tree:
    """What a Module has registered, and what those have: parameters, buffers and modules."""

    _kinds: dict[str, str]  # the registered names, in order, each "parameter", "buffer" or "module"

    def _parts(self, kind: str) -> Iterator[tuple[str, Any]]:
        """The names and values of this module's own parameters, buffers or submodules that are not None."""
        for name, its_kind in self._kinds.items():
            if its_kind == kind and self.__dict__[name] is not None:
                yield name, self.__dict__[name]

    def named_modules(
        self, memo: set | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Any]]:
        """This module and all below it, each once, with dotted names."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, module in self._parts("module"):
            yield from module.named_modules(memo, f"{prefix}.{name}" if prefix else name, remove_duplicate)

    def _named(self, kind: str, prefix: str, recurse: bool, remove_duplicate: bool = True) -> Iterator[tuple[str, Any]]:
        seen = set()
        modules = self.named_modules(None, prefix, remove_duplicate) if recurse else [(prefix, self)]
        for path, module in modules:
            for name, part in module._parts(kind):
                if part not in seen:
                    if remove_duplicate:
                        seen.add(part)
                    yield f"{path}.{name}" if path else name, part

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """All parameters, each once, with dotted names, in the order of assignment."""
        yield from self._named("parameter", prefix, recurse, remove_duplicate)

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """All buffers, each once, with dotted names."""
        yield from self._named("buffer", prefix, recurse, remove_duplicate)

    def named_children(self) -> Iterator[tuple[str, Any]]:
        """The direct submodules, each once, with their names."""
        yield from self._named("module", "", False)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """All parameters, each once."""
        return (p for _, p in self.named_parameters(recurse=recurse))

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """All buffers, each once."""
        return (b for _, b in self.named_buffers(recurse=recurse))

    def modules(self, remove_duplicate: bool = True) -> Iterator[Any]:
        """This module and all below it, each once."""
        return (m for _, m in self.named_modules(remove_duplicate=remove_duplicate))

    def children(self) -> Iterator[Any]:
        """The direct submodules, each once."""
        return (m for _, m in self.named_children())

    def get_submodule(self, target: str) -> Any:
        """The module of that dotted name; "" is this one."""
        self._require_name(target)
        found: Any = self
        for name in target.split(".") if target else ():
            found = getattr(found, name)
        if not isinstance(found, Tree):
            raise AttributeError(f"`{target}` is not an nn.Module")
        return found

    def get_parameter(self, target: str) -> Parameter:
        """The parameter of that dotted name."""
        return self._get(target, "parameter", Parameter)

    def get_buffer(self, target: str) -> Tensor:
        """The buffer of that dotted name."""
        return self._get(target, "buffer", Tensor)

    @staticmethod
    def _require_name(target: Any) -> None:
        if not isinstance(target, str):
            raise TypeError(f"argument 'target' must be str, a dotted name, not {type(target).__name__}")

    def _get(self, target: str, kind: str, cls: type) -> Any:
        self._require_name(target)
        path, _, name = target.rpartition(".")
        owner = self.get_submodule(path)
        found = getattr(owner, name)
        if owner._kinds.get(name) != kind or not isinstance(found, cls):
            raise AttributeError(f"`{name}` is not a {kind}")
        return found


class Registered(MutableMapping):
    """The parameters, buffers or submodules of one Module by name: a view, not a copy."""

    def __init__(self, module: Any, kind: str) -> None:
        self._module, self._kind = module, kind

    def __getitem__(self, name: str) -> Any:
        if self._module._kinds.get(name) != self._kind:
            raise KeyError(name)
        return self._module.__dict__[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self._module._register(name, value, self._kind, {"parameter": Parameter, "buffer": Tensor, "module": Tree}[self._kind])

    def __delitem__(self, name: str) -> None:
        self[name]
        delattr(self._module, name)

    def __iter__(self) -> Iterator[str]:
        return iter([name for name, kind in self._module._kinds.items() if kind == self._kind])

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __repr__(self) -> str:
        return repr(dict(self))
