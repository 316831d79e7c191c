"""How attention is laid out on a device: the plans of a kernel, best first."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from stepwell.dialects.linalg_ext import AttentionKeyGradientOp, AttentionOp
from stepwell.passes.target import Target

WIDTH = 4
ACROSS = 8
"""Threads along the columns of scores, and along the width of the results."""
VECTORS = 2
"""Vectors of columns a thread."""
COLUMNS = ACROSS * VECTORS * WIDTH
CHUNK = 2 * ACROSS
"""Columns, or elements of a row, that are in workgroup memory at once: few, as what workgroups hold
limits how many run beside each other. Attention over fewer queries or keys is not worth a tile."""
_REGISTERS = 48
"""Vectors of sums and scores that a thread holds at most."""


@dataclass(frozen=True)
class Shape:
    """The sizes of attention."""

    batch: tuple[int, ...]
    queries: int
    keys: int
    depth: int
    width: int


@dataclass(frozen=True)
class Plan:
    """What a workgroup owns: rows of scores, which are queries or keys."""

    threads_down: int
    """Threads along the rows."""
    down: int
    """Vectors of rows a thread."""

    @property
    def rows(self) -> int:
        return self.threads_down * self.down * WIDTH

    @property
    def threads(self) -> int:
        return self.threads_down * ACROSS

    def memory(self, *features: int) -> tuple[int, int]:
        """Elements of workgroup memory: for what has rows, for what has columns or features."""
        widest = max(COLUMNS + WIDTH, *(vectors_across(f) * ACROSS * WIDTH for f in features))
        return CHUNK * (self.rows + WIDTH), CHUNK * widest


PLANS = (Plan(16, 1), Plan(16, 2), Plan(8, 2), Plan(8, 1))


def vectors_across(features: int) -> int:
    """Vectors of a row of so many features that a thread holds."""
    return -(-features // (ACROSS * WIDTH))


def plans(target: Target, kind: type, shape: Shape) -> list[Plan]:
    """The plans of the operation `kind` of `linalg_ext`, best first; none where it should not stay
    whole: rows that are no vectors, results too wide for registers, too few rows for a tile, or so
    many that an invocation may not go over them.
    """
    if not target.tiles_in_workgroup_memory or shape.depth % WIDTH or shape.width % WIDTH:
        return []
    if min(shape.queries, shape.keys) < CHUNK or 0 in (*shape.batch, shape.depth, shape.width):
        return []
    if max(shape.queries, shape.keys) > 4 * target.max_serial_iterations:
        return []
    results = _results(kind, shape)
    held = (1 if kind is AttentionOp else 2) * VECTORS + sum(map(vectors_across, results))
    found = [
        plan
        for plan in PLANS
        if plan.threads <= target.max_threads
        and plan.down * WIDTH * held <= _REGISTERS
        and 4 * sum(plan.memory(*results)) <= target.max_workgroup_bytes
    ]
    rows = shape.keys if kind is AttentionKeyGradientOp else shape.queries
    enough = target.split_threads // (2 * ACROSS * 16)
    # Those that occupy the device, and else the smallest.
    large = [plan for plan in found if prod(shape.batch) * -(-rows // plan.rows) >= enough]
    return [*large, *reversed([plan for plan in found if plan not in large])]


def _results(kind: type, shape: Shape) -> tuple[int, ...]:
    """The widths of the sums that a workgroup holds."""
    if kind is AttentionOp:
        return (shape.width,)
    return (shape.depth, shape.width) if kind is AttentionKeyGradientOp else (shape.depth,)
