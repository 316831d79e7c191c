"""What a row of the operation table is: an operation and the cases it is tried on.

A case makes operands and says in NumPy, on float64 or int64, what the result must be. It never
calls the operation's own `evaluate`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

import numpy as np
from xdsl.ir import Attribute, SSAValue

from stepwell.dialects.array.base import DTYPES, Tensor, numpy_dtype, tensor

Build = Callable[..., SSAValue]
Shape = tuple[int, ...]

SHAPES: list[Shape] = [(), (1,), (7,), (3, 5), (4, 8), (2, 1, 13), (0, 3)]
"""Rank 0, size 1, primes, nothing a multiple of a tile, and no elements."""


@dataclass(frozen=True)
class Argument:
    """An operand: its shape, its dtype and where its elements lie.

    `values` are the elements in turn, or bounds (low, high) of uniform ones.
    """

    shape: Shape
    dtype: str = "f32"
    bounds: tuple[float, float] = (-2, 2)
    values: Sequence[float] | None = None

    @property
    def element(self) -> Attribute:
        return DTYPES[self.dtype]

    @property
    def type(self) -> Tensor:
        return tensor(self.shape, self.element)

    def make(self, rng: np.random.Generator) -> np.ndarray[Any, Any]:
        dtype = numpy_dtype(self.element)
        if self.values is not None:
            return np.resize(np.array(self.values, dtype=dtype), self.shape)
        if self.dtype == "bool":
            return np.asarray(rng.random(self.shape) < 0.5)
        low, high = self.bounds
        if self.dtype[0] in "iu":
            return np.asarray(rng.integers(int(low), int(high), self.shape, endpoint=True), dtype)
        return np.asarray(rng.uniform(low, high, self.shape)).astype(dtype)


@dataclass(frozen=True)
class Case:
    """One way to call an operation."""

    label: str
    arguments: tuple[Argument, ...]
    build: Build
    reference: Callable[..., Any]
    gradient: tuple[int, ...] = ()
    """The arguments whose gradient is compared with differences of the reference."""
    torch: Callable[..., Any] | None = None
    """(torch, *tensors) -> the same result, for the gradients of both libraries to agree."""
    ulps: float = 4
    """How far a float result may be off on a CPU, in units of its dtype's epsilon."""

    def operands(self) -> list[np.ndarray[Any, Any]]:
        rng = np.random.default_rng(crc32(self.label.encode()))
        return [argument.make(rng) for argument in self.arguments]


@dataclass(frozen=True)
class Row:
    """An operation and its cases."""

    op: type
    cases: list[Case] = field(default_factory=list[Case])


def wide(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The dtype that references compute in."""
    if np.issubdtype(array.dtype, np.floating):
        return array.astype(np.float64)
    return array if array.dtype == np.bool_ else array.astype(np.int64)


Bounds = tuple[float, float]


def elementwise(
    op: Any,
    reference: Callable[..., Any],
    *bounds: Bounds,
    dtypes: str = "f32 f16",
    torch: Callable[..., Any] | None = None,
    gradient: bool = True,
    ulps: float = 4,
) -> Row:
    """A row for an operation whose operands share shape and dtype: one case a shape and dtype.

    `bounds` holds the range of each operand's elements.
    """
    cases = [
        Case(
            f"{dtype}-{'x'.join(map(str, shape)) or 'scalar'}",
            tuple(Argument(shape, dtype, _fit(bound, dtype)) for bound in bounds),
            lambda emit, *operands: emit(op(*operands)),
            reference,
            gradient=tuple(range(len(bounds))) if gradient and dtype == "f32" else (),
            torch=torch,
            ulps=ulps,
        )
        for dtype in dtypes.split()
        for shape in SHAPES
    ]
    return Row(op, cases)


def _fit(bound: Bounds, dtype: str) -> Bounds:
    low, high = bound
    return (max(low, 0), high) if dtype == "u32" else (low, high)
