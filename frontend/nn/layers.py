"""Modules with PyTorch's names, parameters and initial values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from stepwell.frontend.array import Array
from stepwell.frontend.errors import check_kind
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

    def __init__(self, modules: Sequence[Module] = ()):
        super().__init__()
        for module in modules:
            self.append(module)

    def append(self, module: Module) -> ModuleList:
        """Adds a module at the end."""
        check_kind(type(self).__name__, module, Module)
        self._modules[str(len(self._modules))] = module
        return self

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())

    def __getitem__(self, index: int) -> Module:
        return list(self._modules.values())[index]


class Sequential(ModuleList):
    """Modules that are called one after another."""

    def __init__(self, *modules: Module):
        super().__init__(modules)

    def forward(self, x: Any) -> Any:
        for module in self:
            x = module(x)
        return x
