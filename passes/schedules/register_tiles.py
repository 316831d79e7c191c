"""A contraction whose threads read their operands straight from storage.

Suits processors where loads of neighbouring threads share a cache line and workgroup memory is no
faster than storage. A workgroup is one row of threads: its vectors of columns interleave, so that
every load of the right operand is one contiguous stretch for the workgroup.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from xdsl.ir import SSAValue

from stepwell.dialects.kernel import FuncOp
from stepwell.passes.index import Index, constant
from stepwell.passes.schedules.contraction import Contraction
from stepwell.passes.schedules.frame import lanes

THREADS = 8


class RegisterTiles:
    """`rows` x `vectors` results a thread, `step` steps of the depth at a time."""

    def __init__(self, contraction: Contraction):
        self.it = contraction
        rows, vectors, step = contraction.frame.target.matmul_tile
        self.rows = min(rows, contraction.rows.extent)
        self.vectors = max(1, min(vectors, contraction.column_vectors // THREADS))
        self.step = min(step, contraction.depth.extent)

    def run(self) -> FuncOp:
        it, frame = self.it, self.it.frame
        row_tiles = -(-it.rows.extent // self.rows)
        column_tiles = -(-it.column_vectors // (THREADS * self.vectors))
        group, grid = frame.workgroup(it.batch.extent * row_tiles * column_tiles)
        group = frame.clamped(group, it.batch.extent * row_tiles * column_tiles)
        thread = frame.thread(THREADS)
        tile = group // column_tiles
        batch = tile // row_tiles
        first_row = (tile % row_tiles) * self.rows
        first_column = (group % column_tiles) * (THREADS * self.vectors) + thread
        rows = [first_row + row for row in range(self.rows)]
        columns = [first_column + column * THREADS for column in range(self.vectors)]
        # Rows and columns past the end repeat the last one, and are not written.
        safe_rows = [frame.clamped(row, it.rows.extent) for row in rows]
        safe_columns = [frame.clamped(column, it.column_vectors) for column in columns]
        start = it.accumulator()
        full, rest = divmod(it.depth.extent, self.step)

        def step(position: Index, steps: int, carried: Sequence[SSAValue]) -> Sequence[SSAValue]:
            return self._step(batch, safe_rows, safe_columns, position, steps, carried)

        results = frame.loop(
            full,
            [start] * (self.rows * self.vectors),
            lambda index, carried: step(index * self.step, self.step, carried),
        )
        if rest:
            results = step(constant(full * self.step), rest, results)
        for (row, column), result in zip(product(rows, columns), results, strict=True):
            inside = frame.both(
                frame.below(row, it.rows.extent), frame.below(column, it.column_vectors)
            )
            it.epilogue(
                batch,
                frame.guarded(row, it.rows.extent),
                frame.guarded(column, it.column_vectors) * it.width + it.lane,
                result,
                inside,
            )
        return frame.finish(THREADS, grid)

    def _step(
        self,
        batch: Index,
        rows: Sequence[Index],
        columns: Sequence[Index],
        position: Index,
        steps: int,
        carried: Sequence[SSAValue],
    ) -> Sequence[SSAValue]:
        it, points = self.it, self.it.points
        at_batch = it.batch.at(batch)
        # Along the depth, the left operand is read as vectors and spread lane by lane.
        along, lane = lanes(steps if steps == 4 else 1)
        left: list[list[SSAValue]] = []
        for row in rows:
            at_row = {**at_batch, **it.rows.at(row)}
            with points.over(along):
                if along is not None:
                    vector = it.operand(0, {**at_row, **it.depth.at(position + lane)})
                    left.append([points.lane(vector, offset) for offset in range(steps)])
                else:
                    left.append(
                        [
                            it.operand(0, {**at_row, **it.depth.at(position + offset)})
                            for offset in range(steps)
                        ]
                    )
        results = list(carried)
        for offset in range(steps):
            at_depth = {**at_batch, **it.depth.at(position + offset)}
            with points.over(it.lanes):
                right = [
                    it.operand(1, {**at_depth, **it.columns.at(column * it.width + it.lane)})
                    for column in columns
                ]
            for number, (row, column) in enumerate(product(range(len(rows)), range(len(columns)))):
                results[number] = it.multiply_add(left[row][offset], right[column], results[number])
        return results
