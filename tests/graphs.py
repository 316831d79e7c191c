"""Random programs: straight lines of array operations on square matrices, for property tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

import stepwell as sw

OPERATIONS: dict[str, tuple[int, Callable[..., Any]]] = {
    "add": (2, lambda x, y: x + y),
    "subtract": (2, lambda x, y: x - y),
    "multiply": (2, lambda x, y: x * y),
    "maximum": (2, lambda x, y: sw.maximum(x, y)),
    "where": (2, lambda x, y: sw.where(x > y, x, -y)),
    "tanh": (1, lambda x: sw.tanh(x)),
    "scale": (1, lambda x: x * 0.5 + 1),
    "transpose": (1, lambda x: x.T),
    "flip": (1, lambda x: sw.flip(x, axis=1)),
    "roll": (1, lambda x: sw.roll(x, 2, axis=0)),
    "first row": (1, lambda x: sw.broadcast_to(x[:1], x.shape)),
    "softmax": (1, lambda x: sw.softmax(x, axis=-1)),
    "column softmax": (1, lambda x: sw.softmax(x, axis=0)),
    "centre rows": (1, lambda x: x - sw.mean(x, axis=1, keepdims=True)),
    "centre columns": (1, lambda x: x - sw.mean(x, axis=0)),
    "row maxima": (1, lambda x: sw.broadcast_to(sw.max(x, axis=1, keepdims=True), x.shape)),
    "matmul": (2, lambda x, y: sw.tanh(x @ y)),
}
"""How many operands each takes, and what it does. Values stay of moderate size."""


@dataclass(frozen=True)
class Graph:
    """`steps` name an operation and its operands among the arguments and earlier results."""

    size: int
    arguments: int
    steps: tuple[tuple[str, tuple[int, ...]], ...]
    results: tuple[int, ...]

    def evaluate(self, *arguments: Any, apply: Callable[..., Any] | None = None) -> list[Any]:
        """The results, each operation by `apply(name, *operands)`."""
        values = list(arguments)
        for name, operands in self.steps:
            chosen = [values[operand] for operand in operands]
            values.append(apply(name, *chosen) if apply else OPERATIONS[name][1](*chosen))
        return [values[result] for result in self.results]

    def arrays(self) -> list[NDArray[np.float32]]:
        rng = np.random.default_rng(len(self.steps))
        shape = (self.size, self.size)
        return [rng.uniform(-1, 1, shape).astype(np.float32) for _ in range(self.arguments)]


@st.composite
def graphs(draw: st.DrawFn, sizes: Sequence[int] = (5, 8), longest: int = 12) -> Graph:
    """Graphs whose last value is a result, and perhaps others that are computed."""
    arguments = draw(st.integers(1, 3))
    steps: list[tuple[str, tuple[int, ...]]] = []
    for known in range(arguments, arguments + draw(st.integers(1, longest))):
        name = draw(st.sampled_from(sorted(OPERATIONS)))
        count = OPERATIONS[name][0]
        steps.append((name, tuple(draw(st.integers(0, known - 1)) for _ in range(count))))
    last = arguments + len(steps) - 1
    others = draw(st.lists(st.integers(arguments, last), max_size=2))
    return Graph(draw(st.sampled_from(sizes)), arguments, tuple(steps), (last, *others))
