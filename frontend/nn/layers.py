"""Modules with PyTorch's names, parameters and initial values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, overload

from stepwell.frontend.array import Array, ArrayLike
from stepwell.frontend.nn import functional as f
from stepwell.frontend.nn import init
from stepwell.frontend.nn.module import Module, Parameter
from stepwell.frontend.shaping import flatten


class Linear(Module):
    """x @ weight.T + bias; weight is [out_features, in_features]."""

    def __init__(self, in_features: int, out_features: int, bias: bool = True):
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.weight = Parameter(init.kaiming_uniform((out_features, in_features), in_features))
        bound = max(in_features, 1) ** -0.5
        self.bias = Parameter(init.uniform((out_features,), bound)) if bias else None

    def forward(self, x: Array) -> Array:
        return f.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}, bias={self.bias is not None}"


class Embedding(Module):
    """The rows of weight [num_embeddings, embedding_dim] that integers name."""

    def __init__(self, num_embeddings: int, embedding_dim: int):
        super().__init__()
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.weight = Parameter(init.normal((num_embeddings, embedding_dim)))

    def forward(self, indices: Array) -> Array:
        return f.embedding(indices, self.weight)

    def extra_repr(self) -> str:
        return f"{self.num_embeddings}, {self.embedding_dim}"


class Dropout(Module):
    """In training, x / (1 - p) with probability 1 - p, else 0; x itself in eval mode."""

    def __init__(self, p: float = 0.5):
        super().__init__()
        if not 0 <= p < 1:
            raise ValueError(f"Dropout: p is a probability below 1, not {p}")
        self.p = p

    def forward(self, x: Array) -> Array:
        return f.dropout(x, self.p, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}"


class Flatten(Module):
    """Axes `start_dim` to `end_dim` become one."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1):
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, x: Array) -> Array:
        return flatten(x, self.start_dim, self.end_dim)


class Identity(Module):
    """x."""

    def forward(self, x: Array) -> Array:
        return x


class ModuleList(Module):
    """Modules in a list."""

    def __init__(self, modules: Iterable[Module] = ()):
        super().__init__()
        self.extend(modules)

    def append(self, module: Module) -> ModuleList:
        """Adds a module at the end."""
        self.add_module(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> ModuleList:
        """Adds modules at the end."""
        for module in modules:
            self.append(module)
        return self

    def __len__(self) -> int:
        return len(list(self.children()))

    def __iter__(self) -> Iterator[Module]:
        return self.children()

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> list[Module]: ...
    def __getitem__(self, index: int | slice) -> Module | list[Module]:
        return list(self.children())[index]

    def __setitem__(self, index: int, module: Module) -> None:
        names = [name for name, _ in self.named_children()]
        self.add_module(names[index], module)


class Sequential(ModuleList):
    """Modules that are called one after another: those given, or those of a dict, by its names."""

    def __init__(self, *modules: Module | Mapping[str, Module]):
        super().__init__()
        for module in modules:
            if isinstance(module, Mapping):
                for name, each in module.items():
                    self.add_module(name, each)
            else:
                self.append(module)

    def forward(self, x: Any) -> Any:
        for module in self:
            x = module(x)
        return x


class ModuleDict(Module):
    """Modules under names."""

    def __init__(self, modules: Mapping[str, Module] | None = None):
        super().__init__()
        for name, module in (modules or {}).items():
            self[name] = module

    def __len__(self) -> int:
        return len(list(self.children()))

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __contains__(self, name: object) -> bool:
        return name in self.keys()

    def __getitem__(self, name: str) -> Module:
        return dict(self.items())[name]

    def __setitem__(self, name: str, module: Module) -> None:
        self.add_module(name, module)

    def keys(self) -> list[str]:
        """The names."""
        return [name for name, _ in self.items()]

    def values(self) -> list[Module]:
        """The modules."""
        return list(self.children())

    def items(self) -> list[tuple[str, Module]]:
        """The names and the modules."""
        return list(self.named_children())


class ParameterList(Module):
    """Parameters in a list; of an array, one is made."""

    def __init__(self, values: Iterable[ArrayLike] = ()):
        super().__init__()
        for value in values:
            self.append(value)

    def append(self, value: ArrayLike) -> ParameterList:
        """Adds a parameter at the end."""
        made = value if isinstance(value, Parameter) else Parameter(value)
        self.register_parameter(str(len(self)), made)
        return self

    def __len__(self) -> int:
        return len(list(self.named_own()))

    def __iter__(self) -> Iterator[Array]:
        return (value for _, value in self.named_own())

    def __getitem__(self, index: int) -> Array:
        return list(self)[index]
