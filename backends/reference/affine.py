"""Affine maps on NumPy: from an iteration space to the elements of an operand.

A value over an iteration space of rank n is an array of rank n whose size along a dimension is 1
where the value does not depend on it. So an operand that only varies along rows stays a column.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from xdsl.ir.affine import (
    AffineBinaryOpExpr,
    AffineBinaryOpKind,
    AffineConstantExpr,
    AffineDimExpr,
    AffineExpr,
    AffineMap,
)

from stepwell.backends.reference.memory import Array

Range = tuple[int, int]
"""The part `low <= d < high` of one dimension."""

_BINARY: dict[AffineBinaryOpKind, Callable[[Any, Any], Any]] = {
    AffineBinaryOpKind.Add: lambda a, b: a + b,
    AffineBinaryOpKind.Mul: lambda a, b: a * b,
    AffineBinaryOpKind.FloorDiv: lambda a, b: a // b,
    AffineBinaryOpKind.CeilDiv: lambda a, b: -(-a // b),
    AffineBinaryOpKind.Mod: lambda a, b: a % b,
}


def grid(dimension: int, part: Range, rank: int) -> Array:
    """The indices of one dimension, along its own axis of `rank`."""
    shape = [1] * rank
    shape[dimension] = part[1] - part[0]
    return np.arange(*part, dtype=np.int64).reshape(shape)


def indices(expr: AffineExpr, parts: Sequence[Range]) -> Array:
    """The value of an expression over a part of the iteration space."""
    match expr:
        case AffineDimExpr():
            return grid(expr.position, parts[expr.position], len(parts))
        case AffineConstantExpr():
            return np.full((1,) * len(parts), expr.value, np.int64)
        case AffineBinaryOpExpr():
            return _BINARY[expr.kind](indices(expr.lhs, parts), indices(expr.rhs, parts))
        case _:
            raise ValueError(f"affine expression {expr} has a symbol")


def linear(expr: AffineExpr) -> tuple[int | None, int, int] | None:
    """(d, a, b) where the expression is a*d + b of one dimension (d is None: b alone)."""
    match expr:
        case AffineDimExpr():
            return expr.position, 1, 0
        case AffineConstantExpr():
            return None, 0, expr.value
        case AffineBinaryOpExpr(kind=AffineBinaryOpKind.Add):
            left, right = linear(expr.lhs), linear(expr.rhs)
            if left is None or right is None:
                return None
            (d0, a0, b0), (d1, a1, b1) = left, right
            if d0 is not None and d1 is not None and d0 != d1:
                return None
            return (d1 if d0 is None else d0), a0 + a1, b0 + b1
        case AffineBinaryOpExpr(kind=AffineBinaryOpKind.Mul, rhs=AffineConstantExpr(value=factor)):
            inner = linear(expr.lhs)
            return inner and (inner[0], inner[1] * factor, inner[2] * factor)
        case _:
            return None


@lru_cache(maxsize=1024)
def _slices(map: AffineMap) -> tuple[tuple[int | None, int, int], ...] | None:
    """Every result as a*d + b of a dimension of its own, if they all are: then it is a slice."""
    found = [linear(expr) for expr in map.results]
    if any(f is None for f in found):
        return None
    results = tuple(f for f in found if f is not None)
    dims = [d for d, _, _ in results if d is not None]
    if len(set(dims)) != len(dims) or any(d is not None and a == 0 for d, a, _ in results):
        return None
    return results


def is_slice(map: AffineMap) -> bool:
    """Whether `read` through the map is a view of the array, to which one can write."""
    return _slices(map) is not None


def read(array: Array, map: AffineMap, parts: Sequence[Range]) -> Array:
    """The elements of `array` that the map names, over a part of the iteration space.

    `IndexError` where the map leaves the array.
    """
    results = _slices(map)
    if results is None:
        places = [indices(expr, parts) for expr in map.results]
        return gather(array, places)
    selection: list[slice] = []
    axes: list[int | None] = []
    for (dim, step, offset), size in zip(results, array.shape, strict=True):
        low, high = parts[dim] if dim is not None else (0, 1)
        if high <= low:
            selection.append(slice(0, 0))
        else:
            first, last = step * low + offset, step * (high - 1) + offset
            if min(first, last) < 0 or max(first, last) >= size:
                raise IndexError(f"index {min(first, last)} to {max(first, last)} of {size}")
            stop = last + (1 if step >= 0 else -1)
            selection.append(slice(first, stop if stop >= 0 else None, step or 1))
        axes.append(dim)
    part = array[(*selection, ...)]  # The ellipsis keeps rank 0 a view that can be written.
    # Axes without a dimension (constants) have size 1: drop them, then order the others.
    part = part.reshape([n for n, d in zip(part.shape, axes, strict=True) if d is not None])
    dims = [d for d in axes if d is not None]
    part = part.transpose(sorted(range(len(dims)), key=dims.__getitem__))
    shape = [1] * len(parts)
    for dim, size in zip(sorted(dims), part.shape, strict=True):
        shape[dim] = size
    return part.reshape(shape)


def gather(array: Array, places: Sequence[Array]) -> Array:
    """`array[places]` for index arrays that broadcast; `IndexError` for any out of bounds."""
    for place, size in zip(places, array.shape, strict=True):
        if place.size and (place.min() < 0 or place.max() >= size):
            wrong = int(place.min()) if place.min() < 0 else int(place.max())
            raise IndexError(f"index {wrong} of {size}")
    if not places:
        return array
    return array[tuple(places)]
