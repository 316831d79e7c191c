"""Register tiles whose rows are read once a subgroup, not once a thread.

A workgroup is one subgroup. Each lane reads a few steps of the depth of some rows of the tile, or
some rows at a step where rows are contiguous; a broadcast of a constant lane spreads them. A
thread's own loads are those of its columns only, so tiles may have more rows: per product, far
fewer elements are read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from xdsl.ir import SSAValue

from stepwell.dialects.kernel import FuncOp, SubgroupBroadcastOp
from stepwell.passes.index import Index
from stepwell.passes.schedules.contraction import WIDTH, Contraction
from stepwell.passes.schedules.frame import lanes
from stepwell.passes.schedules.register_tiles import Plan, RegisterTiles, ranked


def plans(contraction: Contraction) -> list[Plan]:
    """Every plan that suits the contraction on a target of known subgroup size, best first."""
    size = contraction.frame.target.subgroup_size
    assert size is not None, "the target says no subgroup size"
    return ranked(contraction, size, size)


class SubgroupTiles(RegisterTiles):
    """`RegisterTiles` on a target of known subgroup size."""

    def __init__(self, contraction: Contraction, plan: Plan):
        super().__init__(contraction, plan)
        size = contraction.frame.target.subgroup_size
        assert size is not None, "the target says no subgroup size"
        self.threads = size

    def run(self) -> FuncOp:
        # Lanes need not be numbered as threads are: what a lane reads follows its own number.
        self.lane = self.it.frame.lane()
        return super().run()

    def _left(
        self, batch: Index, rows: Sequence[Index], position: Index, steps: int
    ) -> Iterable[list[SSAValue]]:
        if self._reads_across(len(rows), steps):
            return self._across_rows(batch, position, steps)
        it = self.it
        held: list[list[SSAValue]] = []
        for first in range(0, len(rows), self.threads):
            row = it.frame.clamped(self.first_row + first + self.lane, it.rows.extent)
            held.append(self._along_depth(0, batch, it.rows.at(row), position, steps))
        return (
            [self._from(value, number % self.threads) for value in held[number // self.threads]]
            for number in range(len(rows))
        )

    def _reads_across(self, rows: int, steps: int) -> bool:
        """Whether lanes read vectors of rows, each at a step of its own."""
        it = self.it
        whole = rows % WIDTH == 0 and it.rows.extent % rows == 0
        return (
            whole
            and (rows // WIDTH * steps) % self.threads == 0
            and it.runs_along(0, it.rows)
            and not it.runs_along(0, it.depth)
        )

    def _across_rows(self, batch: Index, position: Index, steps: int) -> Iterator[list[SSAValue]]:
        it, across = self.it, self.rows // WIDTH
        vector, lane = lanes(WIDTH)
        held: list[SSAValue] = []
        with it.points.over(vector):
            for first in range(0, across * steps, self.threads):
                number = self.lane + first
                row = self.first_row + number % across * WIDTH + lane
                step = position + number // across
                held.append(self._factor(0, batch, it.rows.at(row), step))

        def factor(row: int, step: int) -> SSAValue:
            load, source = divmod(step * across + row // WIDTH, self.threads)
            return self._from(it.points.lane(held[load], row % WIDTH), source)

        return ([factor(row, step) for step in range(steps)] for row in range(self.rows))

    def _from(self, value: SSAValue, lane: int) -> SSAValue:
        """`value` as one lane has it."""
        return self.it.points.emit(SubgroupBroadcastOp(value, lane))
