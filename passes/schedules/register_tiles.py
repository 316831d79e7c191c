"""A contraction whose threads read their operands straight from storage.

Suits processors where loads of neighbouring threads share a cache line and workgroup memory is no
faster than storage. A workgroup is one row of threads: its vectors of columns interleave, so that
every load of the right operand is one contiguous stretch for the workgroup.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from xdsl.dialects.builtin import VectorType
from xdsl.ir import SSAValue

from stepwell.dialects.kernel import FromElementsOp, FuncOp
from stepwell.passes.index import Index, Var, constant
from stepwell.passes.schedules.contraction import WIDTH, Contraction
from stepwell.passes.schedules.frame import lanes

THREADS = 8
RESULTS = 256
"""Results of a thread at most: each is a register, or memory near the processor."""
LOAD, MULTIPLY, COMPILE = 12.0, 0.5, 5e6
"""Nanoseconds of a thread's load of one element and of one product, and of compiling the code for
one result: lavapipe on a processor with registers of 8 elements."""
LAUNCHES = 100
"""How often a kernel is launched for once that it is compiled."""


@dataclass(frozen=True)
class Plan:
    """The results of a thread."""

    rows: int
    vectors: int
    """Vectors of columns."""


def plans(contraction: Contraction) -> list[Plan]:
    """Every plan that suits the contraction, best first."""
    return ranked(contraction, THREADS, 1)


def ranked(it: Contraction, threads: int, sharing: int) -> list[Plan]:
    """Plans for workgroups of `threads`, `sharing` of which read a row together; best first."""
    most = -(-it.column_vectors // threads)
    most_results = min(RESULTS, it.frame.target.max_workgroup_bytes // (4 * threads))
    found = {
        Plan(min(rows, it.rows.extent), min(vectors, most))
        for rows in (8, 16, 32, 64)
        for vectors in (1, 2, 4, 8)
        if rows * vectors * it.width <= most_results
    }

    def cost(plan: Plan) -> float:
        down = -(-it.rows.extent // plan.rows)
        across = -(-it.column_vectors // (threads * plan.vectors))
        together = max(1, it.frame.target.split_threads // threads)
        rounds = -(-it.batch.extent * down * across // together) * together
        results = plan.rows * plan.vectors * it.width
        loads = plan.rows / sharing + plan.vectors * it.width
        launch = rounds * it.depth.extent * (LOAD * loads + MULTIPLY * results)
        return LAUNCHES * launch + COMPILE * results

    return sorted(found, key=lambda plan: (cost(plan), plan.rows, plan.vectors))


class RegisterTiles:
    """`plan.rows` x `plan.vectors` results a thread, a vector of the depth at a time."""

    threads = THREADS

    def __init__(self, contraction: Contraction, plan: Plan):
        self.it = contraction
        self.rows, self.vectors = plan.rows, plan.vectors
        self.step = min(WIDTH, contraction.depth.extent)

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
        self._write(batch, thread, first_column, results)
        return frame.finish(self.threads, grid)

    def _write(
        self, batch: Index, thread: Index, first_column: Index, results: Sequence[SSAValue]
    ) -> None:
        """The epilogue of every result: once in the kernel, in a loop over all in memory."""
        it, frame, points = self.it, self.it.frame, self.it.points
        # Compilers take far longer where an array of the thread's own is indexed by a variable.
        first = results[0].type
        element = first.element_type if isinstance(first, VectorType) else first
        memory = frame.shared(element, len(results) * self.threads * it.width)

        def at(number: Index) -> Index:
            return (number * self.threads + thread) * it.width + it.lane

        with points.over(it.lanes):
            for number, result in enumerate(results):
                points.store(result, memory, at(constant(number)))

            def write(number: Index, carried: Sequence[SSAValue]) -> Sequence[SSAValue]:
                row = self.first_row + number // self.vectors
                column = first_column + (number % self.vectors) * self.threads
                result = points.load(memory, at(number))
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
        number = 0
        for row in left:
            for column in right:
                # All steps of a result together: it moves to a register and back only once.
                for lhs, rhs in zip(row, column, strict=True):
                    results[number] = self.it.multiply_add(lhs, rhs, results[number])
                number += 1
        return results

    def _left(
        self, batch: Index, rows: Sequence[Index], position: Index, steps: int
    ) -> Iterable[list[SSAValue]]:
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
