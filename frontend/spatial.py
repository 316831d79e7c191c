"""Sizes and paddings of windows, in the forms that PyTorch takes."""

from __future__ import annotations

from collections.abc import Sequence

from stepwell.dialects.errors import ShapeError

Sizes = int | Sequence[int]
Padding = int | Sequence[int] | Sequence[Sequence[int]]


def each(name: str, what: str, value: Sizes, rank: int) -> list[int]:
    """A number for each spatial axis. Raises: ShapeError."""
    given = [value] * rank if isinstance(value, int) else list(value)
    if len(given) != rank:
        raise ShapeError(f"{name}: {what} {value} must be a number or {rank} numbers")
    return given


def around(name: str, value: Padding, rank: int) -> tuple[list[int], list[int]]:
    """What is added before and after each spatial axis. Raises: ShapeError."""
    pairs: list[tuple[int, int]] = []
    for item in [value] * rank if isinstance(value, int) else value:
        low, high = (item, item) if isinstance(item, int) else item
        pairs.append((low, high))
    if len(pairs) != rank:
        raise ShapeError(f"{name}: padding {value} must be a number or {rank} of them")
    return [low for low, _ in pairs], [high for _, high in pairs]
