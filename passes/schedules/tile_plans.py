"""The plans of contractions in workgroup memory, and what each is expected to take.

The cost of a plan is a closed formula of the sizes and of the target's facts. Its unit is the time
of one multiply-add of a processor that does nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil

from stepwell.passes.target import Target

WIDTH = 4
BANKS = 32
"""Banks of workgroup memory, one element wide."""
ELEMENT_BYTES = 4
"""Of an element in workgroup memory, at most."""

STARTUP = 16
"""Steps of the depth that the first loads and the last stores of a tile take."""
SHARED_VECTOR = 8.5
"""A vector read from workgroup memory."""
ELEMENT = 20.0
"""An element of a tile read from storage, while enough others are on their way."""
WAITING = 0.31
"""Threads whose work takes as long as the latency of arithmetic, for each result of a thread."""
WAITING_ELEMENTS = 5000
"""Elements that storage hands out in the time of its latency."""
SEGMENT = 7
"""Steps of the depth that stand for what it costs to turn to another row, where an operand is read
along the depth."""
SLICED = 1.07
"""What positions that differ by slice add."""
PASS = 1_250_000.0
"""Another kernel: its launch, and that it waits for the one before."""
PART_ELEMENT = 40.0
"""Writing an element of a part and reading it to add the parts."""


@dataclass(frozen=True)
class Sizes:
    """The extents of a contraction."""

    batch: int
    rows: int
    columns: int
    depth: int
    along_depth: tuple[bool, bool] = (False, False)
    """Whether the memory of each operand runs along the depth."""


@dataclass(frozen=True)
class Plan:
    """What a workgroup computes, by `threads_down` x `threads_across` threads a slice."""

    down: int
    """Blocks of 4 rows of a thread; blocks of neighbouring threads interleave."""
    across: int
    """Vectors of columns of a thread, which interleave too."""
    threads_down: int
    threads_across: int
    depth: int
    """Depth of the tiles in workgroup memory."""
    slices: int = 1
    """Parts of that depth, each multiplied by threads of its own, which add up at the end."""

    @property
    def slice_threads(self) -> int:
        """Threads of a slice."""
        return self.threads_down * self.threads_across

    @property
    def threads(self) -> int:
        """Threads of the workgroup."""
        return self.slice_threads * self.slices

    @property
    def rows(self) -> int:
        """Rows of a tile."""
        return self.down * self.threads_down * WIDTH

    @property
    def columns(self) -> int:
        """Columns of a tile."""
        return self.across * self.threads_across * WIDTH

    @property
    def results(self) -> int:
        """Results of a thread."""
        return self.down * self.across * WIDTH * WIDTH

    @property
    def registers(self) -> int:
        """Registers of the workgroup, about: results, and the next tiles on their way."""
        fetched = (self.rows + self.columns) * self.depth // self.threads
        return self.threads * min(255, self.results * 3 // 2 + 48 + fetched)

    @property
    def elements(self) -> tuple[int, int]:
        """Elements of workgroup memory for each operand. In the larger one, slices add up."""
        left, right = (self.depth * (size + WIDTH) for size in (self.rows, self.columns))
        vectors = self.threads * WIDTH if self.slices > 1 else 0
        if self.rows > self.columns:
            return max(left, vectors), right
        return left, max(right, vectors)

    def tiles(self, sizes: Sizes) -> int:
        """Workgroups that a contraction takes."""
        return sizes.batch * ceil(sizes.rows / self.rows) * ceil(sizes.columns / self.columns)

    def cost(self, sizes: Sizes, target: Target) -> float:
        """What a contraction takes on a device with all its processors."""
        share = ceil(self.tiles(sizes) / target.processors)
        together = max(1, target.registers // self.registers)
        rounds, rest = divmod(share, together)
        whole = together * self._tile_cost(sizes, together)
        last = rest * self._tile_cost(sizes, rest) if rest else 0.0
        return (rounds * whole + last) * (sizes.depth + STARTUP)

    def _tile_cost(self, sizes: Sizes, tiles: int) -> float:
        """What a step of the depth of a tile takes, with that many on its processor."""
        vectors = (self.down + self.across) * SHARED_VECTOR / self.results
        hidden = 1 + WAITING * self.results / (tiles * self.threads)
        multiply = self.rows * self.columns * (1 + vectors) * hidden
        segments = [1 + SEGMENT / self.depth if along else 1.0 for along in sizes.along_depth]
        elements = self.rows * segments[0] + self.columns * segments[1]
        on_their_way = tiles * (self.rows + self.columns) * self.depth
        read = elements * ELEMENT * (1 + WAITING_ELEMENTS / on_their_way)
        return max(multiply, read) * (SLICED if self.slices > 1 else 1.0)


PLANS = (
    Plan(4, 2, 8, 16, 16),
    Plan(2, 4, 16, 8, 16),
    Plan(2, 2, 16, 8, 16),
    Plan(2, 2, 8, 16, 16),
    Plan(2, 2, 8, 8, 16, 2),
    Plan(2, 2, 8, 8, 32, 2),
    Plan(2, 1, 8, 16, 16),
    Plan(1, 1, 16, 16, 16),
    Plan(2, 1, 4, 32, 32, 2),
    Plan(2, 1, 4, 32, 16, 2),
    Plan(2, 1, 2, 32, 32, 4),
    Plan(2, 1, 2, 16, 64, 8),
    Plan(2, 1, 2, 32, 16, 4),
    Plan(2, 1, 1, 32, 32, 8),
    Plan(2, 1, 1, 32, 16, 4),
    Plan(1, 1, 1, 32, 32, 8),
    Plan(1, 2, 32, 4, 16, 2),
    Plan(1, 2, 32, 2, 32, 4),
    Plan(1, 2, 32, 1, 32, 8),
    Plan(1, 2, 32, 1, 16, 4),
    Plan(1, 1, 32, 1, 32, 8),
)
"""Square tiles, then tiles of few rows, then of few columns; of equal cost, the first is taken."""


def plans_for(sizes: Sizes, target: Target) -> list[Plan]:
    """Every plan that the target admits, the cheapest first."""
    admitted = [
        plan
        for plan in PLANS
        if plan.threads <= target.max_threads
        and sum(plan.elements) * ELEMENT_BYTES <= target.max_workgroup_bytes
    ]
    return sorted(admitted, key=lambda plan: plan.cost(sizes, target))


def cost_in_parts(sizes: Sizes, parts: int, target: Target) -> float:
    """What a contraction takes by its best plan if its depth is cut into parts and these added."""
    part = replace(sizes, batch=sizes.batch * parts, depth=ceil(sizes.depth / parts))
    cost = plans_for(part, target)[0].cost(part, target)
    if parts == 1:
        return cost
    results = sizes.batch * sizes.rows * sizes.columns
    element = PART_ELEMENT if sizes.columns % WIDTH == 0 else WIDTH * PART_ELEMENT
    return cost + PASS + parts * results * element / target.processors
