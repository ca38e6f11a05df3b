"""Modules made of modules: Sequential, ModuleList, ModuleDict."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from operator import index as as_index
from typing import Any

from tinygrad_norm.nn.module import Module


class _Row(Module):
    """Submodules in a row, under the names "0", "1", ... (or others, in a Sequential made from a dict)."""

    def _names(self) -> list[str]:
        return [name for name, kind in self._kinds.items() if kind == "module"]

    def _name_at(self, index: Any) -> str:
        """The name of the module at an index, which may count from the end."""
        names, at = self._names(), as_index(index)
        if not -len(names) <= at < len(names):
            raise IndexError(f"index {at} is out of range: there are {len(names)} modules")
        return names[at]

    def _replace(self, modules: Iterable[Module]) -> None:
        """Hold these modules, numbered from 0; parameters and buffers of its own stay."""
        modules = list(modules)
        for name in self._names():
            delattr(self, name)
        self.extend(modules)

    def __len__(self) -> int:
        return len(self._names())

    def __iter__(self) -> Iterator[Module]:
        return iter([self.__dict__[name] for name in self._names()])

    def __setitem__(self, index: Any, module: Any) -> None:
        names = self._names()[index] if isinstance(index, slice) else [self._name_at(index)]
        modules = list(module) if isinstance(index, slice) else [module]
        if len(names) != len(modules):
            raise ValueError(f"cannot assign {len(modules)} modules to a slice of {len(names)}")
        for name, m in zip(names, modules):
            _require_module(m)
            setattr(self, name, m)

    def __delitem__(self, index: Any) -> None:
        gone = set(self._names()[index]) if isinstance(index, slice) else {self._name_at(index)}
        kept = [(name, m) for name, m in zip(self._names(), self) if name not in gone]
        if all(name.isdigit() for name in self._names()):
            self._replace(m for _, m in kept)
        else:
            for name in gone:
                delattr(self, name)

    def append(self, module: Module) -> Any:
        """Add a module at the end."""
        self.add_module(str(len(self)), _require_module(module))
        return self

    def extend(self, modules: Iterable[Module]) -> Any:
        """Add several modules at the end."""
        for module in [_require_module(m) for m in modules]:
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> Any:
        """Add a module before the one at the index."""
        modules = list(self)
        if not -len(modules) <= as_index(index) <= len(modules):
            raise IndexError(f"Index out of range: {index}")
        modules.insert(index, _require_module(module))
        self._replace(modules)
        return self

    def pop(self, key: Any) -> Module:
        """Take the module at an index out, and return it."""
        module = self.__dict__[self._name_at(key)]
        del self[key]
        return module

    def __add__(self, other: Iterable[Module]) -> Any:
        if not isinstance(other, Iterable):
            return NotImplemented
        joined = [*self, *other]
        return Sequential(*joined) if isinstance(self, Sequential) else ModuleList(joined)

    def __iadd__(self, other: Iterable[Module]) -> Any:
        return self.extend(other)


def _require_module(module: Any) -> Module:
    if not isinstance(module, Module):
        raise TypeError(f"{type(module).__name__} is not a Module subclass")
    return module


class Sequential(_Row):
    """Modules one after the other: Sequential(a, b)(x) is b(a(x)). Also from a dict of names."""

    def __init__(self, *args: Any) -> None:
        super().__init__()
        if len(args) == 1 and isinstance(args[0], dict):
            for name, module in args[0].items():
                self.add_module(name, module)
        else:
            self.extend(args)

    def forward(self, input: Any) -> Any:
        """Each module on the output of the one before it."""
        for module in self:
            input = module(input)
        return input

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return Sequential({name: self.__dict__[name] for name in self._names()[index]})
        return self.__dict__[self._name_at(index)]


class ModuleList(_Row):
    """A list of modules that are registered."""

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        self.extend([] if modules is None else modules)

    def __getitem__(self, index: Any) -> Any:
        return ModuleList(list(self)[index]) if isinstance(index, slice) else self.__dict__[self._name_at(index)]


class ModuleDict(Module):
    """A dict of modules that are registered; names as strings."""

    def __init__(self, modules: Any = None) -> None:
        super().__init__()
        self.update({} if modules is None else modules)

    def __getitem__(self, key: str) -> Module:
        if key not in self:
            raise KeyError(key)
        return self.__dict__[key]

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        if key not in self:
            raise KeyError(key)
        delattr(self, key)

    def __len__(self) -> int:
        return len(self.keys())

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __contains__(self, key: object) -> bool:
        return self._kinds.get(key) == "module"  # type: ignore[call-overload]

    def keys(self) -> list[str]:
        """The names."""
        return [name for name, kind in self._kinds.items() if kind == "module"]

    def values(self) -> list[Module]:
        """The modules."""
        return [self.__dict__[name] for name in self.keys()]

    def items(self) -> list[tuple[str, Module]]:
        """The names and the modules."""
        return list(zip(self.keys(), self.values()))

    def pop(self, key: str) -> Module:
        """Take a module out, and return it."""
        module = self[key]
        del self[key]
        return module

    def clear(self) -> None:
        """Take all modules out."""
        for name in self.keys():
            delattr(self, name)

    def update(self, modules: Any) -> None:
        """Add the modules of a dict, or of (name, module) pairs."""
        for name, module in modules.items() if isinstance(modules, (Mapping, ModuleDict)) else modules:
            self[name] = module
