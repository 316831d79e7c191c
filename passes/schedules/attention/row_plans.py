"""How attention of few queries is laid out on a device: the plans of a kernel, best first."""

from __future__ import annotations

from dataclasses import dataclass

from stepwell.passes.schedules.attention.plan import CHUNK, WIDTH, Shape
from stepwell.passes.target import Target

_ROWS = 4
"""Rows of scores of a subgroup at most."""
_TOGETHER = (4, 8)
"""Keys that a subgroup reads at a time."""
_REGISTERS = 48
"""Vectors of queries and results that a lane holds at most."""


@dataclass(frozen=True)
class RowPlan:
    """What a subgroup does at once."""

    rows: int
    """Queries that it has."""
    together: int
    """Keys that it reads at a time."""


def vectors_of_lane(vectors: int, lanes: int) -> int:
    """Vectors of a row of so many that each lane has."""
    return -(-vectors // lanes)


def row_plans(target: Target, shape: Shape) -> list[RowPlan]:
    """The plans for queries that see what is known at run time, best first; none where there are
    enough for tiles, for what has no whole vectors, and for lanes of unknown number.
    """
    lanes = target.subgroup_size
    if lanes is None or shape.depth % WIDTH or shape.width % WIDTH:
        return []
    if 0 in (*shape.batch, shape.depth, shape.width) or not 0 < shape.queries < CHUNK <= shape.keys:
        return []
    held = sum(vectors_of_lane(size // WIDTH, lanes) for size in (shape.depth, shape.width))
    rows = min(_ROWS, 1 << (shape.queries - 1).bit_length())
    return [
        RowPlan(count, together)
        for count in sorted({rows, 1}, reverse=True)
        for together in _TOGETHER
        if count * held <= _REGISTERS and shape.keys <= together * target.max_serial_iterations
    ]
