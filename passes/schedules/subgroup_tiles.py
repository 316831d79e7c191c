"""Register tiles whose rows are read once a subgroup, not once a thread.

A workgroup is one subgroup. Each lane reads a few steps of the depth of some rows of the tile; a
broadcast of a constant lane spreads them. A thread's own loads are those of its columns only, so
tiles may have more rows: per product, far fewer elements are read.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.ir import SSAValue

from stepwell.dialects.kernel import FuncOp, SubgroupBroadcastOp
from stepwell.passes.index import Index
from stepwell.passes.schedules.contraction import Contraction
from stepwell.passes.schedules.register_tiles import RegisterTiles

ROWS = 16
"""Rows of a tile. Each thread has one vector of columns: more results take the device's compiler
far longer, for little speed."""


class SubgroupTiles(RegisterTiles):
    """`RegisterTiles` of 16 rows on a target of known subgroup size."""

    def __init__(self, contraction: Contraction):
        super().__init__(contraction)
        size = contraction.frame.target.subgroup_size
        assert size is not None, "the target says no subgroup size"
        self.threads = size
        self.rows = min(ROWS, contraction.rows.extent)
        self.vectors = 1

    def run(self) -> FuncOp:
        # Lanes need not be numbered as threads are: what a lane reads follows its own number.
        self.lane = self.it.frame.lane()
        return super().run()

    def _left(
        self, batch: Index, rows: Sequence[Index], position: Index, steps: int
    ) -> list[list[SSAValue]]:
        it, points = self.it, self.it.points
        parts: list[list[SSAValue]] = []
        for first in range(0, len(rows), self.threads):
            row = it.frame.clamped(self.first_row + first + self.lane, it.rows.extent)
            held = self._along_depth(0, batch, it.rows.at(row), position, steps)
            parts.extend(
                [points.emit(SubgroupBroadcastOp(value, lane)) for value in held]
                for lane in range(min(self.threads, len(rows) - first))
            )
        return parts
