"""A contraction whose threads read their operands straight from storage.

Suits processors where loads of neighbouring threads share a cache line and workgroup memory is no
faster than storage. A workgroup is one row of threads: its vectors of columns interleave, so that
every load of the right operand is one contiguous stretch for the workgroup.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from xdsl.ir import SSAValue

from stepwell.dialects.kernel import FromElementsOp, FuncOp
from stepwell.passes.index import Index, Var, constant
from stepwell.passes.schedules.contraction import WIDTH, Contraction
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
        self.threads = THREADS

    def run(self) -> FuncOp:
        it, frame = self.it, self.it.frame
        row_tiles = -(-it.rows.extent // self.rows)
        column_tiles = -(-it.column_vectors // (self.threads * self.vectors))
        group, grid = frame.workgroup(it.batch.extent * row_tiles * column_tiles)
        group = frame.clamped(group, it.batch.extent * row_tiles * column_tiles)
        thread = frame.thread(self.threads)
        tile = group // column_tiles
        batch = tile // row_tiles
        self.first_row = (tile % row_tiles) * self.rows
        first_column = (group % column_tiles) * (self.threads * self.vectors) + thread
        rows = [self.first_row + row for row in range(self.rows)]
        columns = [first_column + column * self.threads for column in range(self.vectors)]
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
        self._write(batch, first_column, results)
        return frame.finish(self.threads, grid)

    def _write(self, batch: Index, first_column: Index, results: Sequence[SSAValue]) -> None:
        """The epilogue of every result: once in the kernel, in a loop over an array of them."""
        it, frame, points = self.it, self.it.frame, self.it.points
        with points.over(it.lanes):
            memory = frame.private(results, it.width)

            def write(number: Index, carried: Sequence[SSAValue]) -> Sequence[SSAValue]:
                row = self.first_row + number // self.vectors
                column = first_column + (number % self.vectors) * self.threads
                result = points.load(memory, number * it.width + it.lane)
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
                return carried

            frame.loop(len(results), [], write)

    def _step(
        self,
        batch: Index,
        rows: Sequence[Index],
        columns: Sequence[Index],
        position: Index,
        steps: int,
        carried: Sequence[SSAValue],
    ) -> Sequence[SSAValue]:
        left = self._left(batch, rows, position, steps)
        right = self._right(batch, columns, position, steps)
        results = list(carried)
        for offset in range(steps):
            for number, (row, column) in enumerate(product(left, right)):
                results[number] = self.it.multiply_add(row[offset], column[offset], results[number])
        return results

    def _left(
        self, batch: Index, rows: Sequence[Index], position: Index, steps: int
    ) -> list[list[SSAValue]]:
        """For each row, its factor at each step of the depth."""
        it, points = self.it, self.it.points
        whole = len(rows) % WIDTH == 0 and it.rows.extent % len(rows) == 0
        if whole and it.runs_along(0, it.rows) and not it.runs_along(0, it.depth):
            vector, lane = lanes(WIDTH)
            with points.over(vector):
                by_step = [
                    [
                        self._factor(0, batch, it.rows.at(row + lane), position + offset)
                        for row in rows[::WIDTH]
                    ]
                    for offset in range(steps)
                ]
            return [
                [points.lane(by_step[step][row // WIDTH], row % WIDTH) for step in range(steps)]
                for row in range(len(rows))
            ]
        return [self._along_depth(0, batch, it.rows.at(row), position, steps) for row in rows]

    def _right(
        self, batch: Index, columns: Sequence[Index], position: Index, steps: int
    ) -> list[list[SSAValue]]:
        """For each vector of columns, its factors at each step of the depth."""
        it, points = self.it, self.it.points
        if it.lanes is None or not it.runs_along(1, it.depth) or it.runs_along(1, it.columns):
            with points.over(it.lanes):
                return [
                    [
                        self._factor(
                            1, batch, it.columns.at(column * it.width + it.lane), position + offset
                        )
                        for offset in range(steps)
                    ]
                    for column in columns
                ]
        result: list[list[SSAValue]] = []
        for column in columns:
            parts = [
                self._along_depth(
                    1, batch, it.columns.at(column * it.width + lane), position, steps
                )
                for lane in range(it.width)
            ]
            result.append(
                [points.emit(FromElementsOp(*(p[step] for p in parts))) for step in range(steps)]
            )
        return result

    def _along_depth(
        self, side: int, batch: Index, at: dict[Var, Index], position: Index, steps: int
    ) -> list[SSAValue]:
        """One row's or column's factors at each step, read as a vector where that is possible."""
        points = self.it.points
        vector, lane = lanes(WIDTH if steps == WIDTH else 1)
        with points.over(vector):
            if vector is None:
                return [self._factor(side, batch, at, position + offset) for offset in range(steps)]
            factors = self._factor(side, batch, at, position + lane)
            return [points.lane(factors, offset) for offset in range(steps)]

    def _factor(self, side: int, batch: Index, at: dict[Var, Index], depth: Index) -> SSAValue:
        it = self.it
        return it.operand(side, {**it.batch.at(batch), **at, **it.depth.at(depth)})
