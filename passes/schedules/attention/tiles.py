"""What the schedules of attention share: a workgroup's rows of scores, tile by tile of columns.

A tile of scores stays in registers: a thread holds 4 * `down` rows and 8 columns. Column j of a
thread is column j * ACROSS + its place among its neighbours. Operands pass through workgroup memory
in chunks, and tiles of scores where they are multiplied again: none ever reaches storage. Rows are
queries and columns keys, or the other way around. Tiles that no row sees are never visited; only
those that some row does not see whole are masked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod

from xdsl.dialects import arith, math, memref, vector
from xdsl.dialects.builtin import IntegerAttr, VectorType, f32, i1, i64
from xdsl.ir import SSAValue

from stepwell.dialects import kernel
from stepwell.dialects.array.attention import LOWEST
from stepwell.dialects.linalg_ext import AttendingOp
from stepwell.passes.index import ZERO, Index, constant, delinearize
from stepwell.passes.schedules.attention.columns import Columns
from stepwell.passes.schedules.attention.lanewise import VECTOR, Lanewise, Values
from stepwell.passes.schedules.attention.plan import (
    ACROSS,
    CHUNK,
    COLUMNS,
    VECTORS,
    WIDTH,
    Plan,
    vectors_across,
)
from stepwell.passes.schedules.frame import Frame
from stepwell.passes.schedules.point import quick
from stepwell.passes.structured import shape_of

FLAGS = VectorType(i1, [WIDTH])
_ULT, _UGE = 6, 9


@dataclass(frozen=True)
class Sums:
    """Sums over columns: of scores times rows of `operand`, which are as wide as the result."""

    result: SSAValue
    operand: SSAValue

    @property
    def features(self) -> int:
        return shape_of(self.result)[-1]

    @property
    def across(self) -> int:
        """Vectors of a row that a thread holds."""
        return vectors_across(self.features)

    @property
    def stride(self) -> int:
        """Elements between two rows of the operand in workgroup memory."""
        return self.across * ACROSS * WIDTH


class Tiles(Lanewise):
    """A workgroup's rows, and what it does with a tile of scores."""

    def __init__(self, frame: Frame, op: AttendingOp, plan: Plan, *, rows_are_keys: bool):
        super().__init__(frame, op)
        self.plan, self.rows_are_keys = plan, rows_are_keys
        counts = self.shape.queries, self.shape.keys
        self.row_count, self.column_count = reversed(counts) if rows_are_keys else counts
        self.row_stride = plan.rows + WIDTH
        self.column_stride = COLUMNS + WIDTH

    def place(self, sums: Sequence[Sums]) -> tuple[int, int, int]:
        """Finds the workgroup's rows and allocates memory; returns the grid."""
        frame, plan = self.frame, self.plan
        tiles = -(-self.row_count // plan.rows)
        batches = prod(self.shape.batch)
        group, grid = frame.workgroup(tiles * batches)
        group = frame.clamped(group, tiles * batches)
        tile = group // batches
        if not self.rows_are_keys:
            # The last queries see the most keys, the first keys are seen by most: they go first.
            tile = tile * -1 + (tiles - 1)
        self.batch = delinearize(group % batches, self.shape.batch)
        self.thread = frame.thread(plan.threads)
        self.across, self.down = self.thread % ACROSS, self.thread // ACROSS
        self.origin = tile * plan.rows
        self.seen = Columns(
            frame, self.attention, self.batch,
            rows_are_keys=self.rows_are_keys, count=self.column_count,
        )  # fmt: skip
        sizes = plan.memory(*(each.features for each in sums))
        self.left, self.right = (frame.shared(f32, size) for size in sizes)
        return grid

    def loop(self, carried: Values, tile: Callable[[Index, Values], Values]) -> Values:
        """Runs `tile` for every tile of columns that any of the rows sees, by its first column."""
        trips = -(-self.column_count // COLUMNS)
        first, last = self.origin, self.origin + (self.plan.rows - 1)
        start, end = self.seen.of_any(first, last)
        self.seen_by_all = self.seen.of_all(first, last)
        return self.frame.loop(
            trips,
            carried,
            lambda number, carried: tile(number * COLUMNS, carried),
            None if end is None else self.points.index((end + (COLUMNS - 1)) // COLUMNS),
            None if start is None else self.points.index(start // COLUMNS),
        )

    def product(self, rows: SSAValue, columns: SSAValue, origin: Index, start: Values) -> Values:
        """start + rows columns^T for a tile: for each row, its vectors of columns."""
        own = len(self._places(self.plan.rows))

        def fetch(chunk: Index) -> Values:
            return [
                *self._fetch_transposed(rows, chunk * CHUNK),
                *self._fetch_transposed(columns, chunk * CHUNK, origin),
            ]

        def put(chunk: Index, values: Values) -> None:
            self._put_transposed(values[:own], self.plan.rows, self.left, self.row_stride)
            self._put_transposed(values[own:], COLUMNS, self.right, self.column_stride)

        trips = -(-shape_of(rows)[-1] // CHUNK)
        return self._in_chunks(trips, fetch, put, self.column_stride, VECTORS, start)

    def scores(self, rows: SSAValue, columns: SSAValue, origin: Index) -> Values:
        """Scores in units of log 2, before any is masked."""
        scale = self.splat(self.unit)
        start = [self.splat(0)] * (self.plan.down * WIDTH * VECTORS)
        products = self.product(rows, columns, origin, start)
        return [self.capped(self.map(arith.MulfOp, each, scale)) for each in products]

    def add(self, sums: Sums, scores: Values, origin: Index, values: Values) -> Values:
        """values + scores operand, over a tile."""
        points, trips = self.points, COLUMNS // CHUNK

        def put(chunk: Index, values: Values) -> None:
            self._put_rows_of(sums, values)
            # Registers have no index: which scores are next is a branch.
            for number in range(trips):
                operands = points.index(chunk), points.index(constant(number))
                self.frame.when(
                    points.emit(arith.CmpiOp(*operands, "eq")),
                    lambda number=number: self._put_scores(scores, number),
                )

        def fetch(chunk: Index) -> Values:
            return self._fetch_rows_of(sums, origin + chunk * CHUNK)

        return self._in_chunks(trips, fetch, put, sums.stride, sums.across, values)

    def _in_chunks(
        self,
        trips: int,
        fetch: Callable[[Index], Values],
        put: Callable[[Index, Values], None],
        stride: int,
        across: int,
        sums: Values,
    ) -> Values:
        """sums + left^T right in chunks: each is fetched into registers while the one before it is
        multiplied."""
        first = fetch(ZERO)
        count = len(first)

        def step(chunk: Index, carried: Values) -> Values:
            put(chunk, carried[:count])
            self.frame.barrier()
            following = carried[:count]
            if trips > 1:
                following = fetch(self.frame.clamped(chunk + 1, trips))
            sums = self._multiply(stride, across, carried[count:])
            self.frame.barrier()
            return [*following, *sums]

        return self.frame.loop(trips, [*first, *sums], step)[count:]

    def zeros(self, sums: Sums) -> Values:
        return [self.splat(0)] * (self.plan.down * WIDTH * sums.across)

    def _places(self, size: int) -> list[tuple[Index, Index]]:
        """What a thread fetches of a chunk of so many rows or columns: which, and the first of four
        elements."""
        vectors = CHUNK // WIDTH
        numbers = self._numbers(size * vectors)
        return [(number // vectors, number % vectors * WIDTH) for number in numbers]

    def _numbers(self, count: int) -> list[Index]:
        """The thread's part of so many vectors, a multiple of the number of threads."""
        assert count % self.plan.threads == 0
        return [self.thread + start for start in range(0, count, self.plan.threads)]

    def _fetch_transposed(
        self, operand: SSAValue, depth: Index, origin: Index | None = None
    ) -> Values:
        """The thread's part of a chunk of rows (columns from `origin` on)."""
        features = shape_of(operand)[-1]
        values: list[SSAValue] = []
        for place, part in self._places(self.plan.rows if origin is None else COLUMNS):
            if origin is None:
                row, bound = self.origin + place, self.row_count
            else:
                block = ACROSS * WIDTH
                column = (place // block * WIDTH + place % WIDTH) * ACROSS
                row, bound = origin + column + place % block // WIDTH, self.column_count
            values.append(self._read(operand, row, bound, depth + part, features))
        return values

    def _put_transposed(self, values: Values, size: int, memory: SSAValue, stride: int) -> None:
        """Writes that part to memory[depth][row or column]."""
        points = self.points
        for (place, part), value in zip(self._places(size), values, strict=True):
            for offset in range(WIDTH):
                at = points.index((part + offset) * stride + place)
                item = points.lane(value, offset)
                points.emit.insert(quick(memref.StoreOp, [item, memory, at]))

    def _row_places(self, sums: Sums) -> list[tuple[Index, Index]]:
        """What a thread fetches of a chunk of the operand's rows: which, and the first of four
        elements."""
        vectors = sums.stride // WIDTH
        numbers = self._numbers(CHUNK * vectors)
        return [(number // vectors, number % vectors * WIDTH) for number in numbers]

    def _fetch_rows_of(self, sums: Sums, origin: Index) -> Values:
        """The thread's part of a chunk of the operand's rows."""
        return [
            self._read(sums.operand, origin + column, self.column_count, part, sums.features)
            for column, part in self._row_places(sums)
        ]

    def _put_rows_of(self, sums: Sums, values: Values) -> None:
        """Writes that part to memory[column][feature]."""
        points = self.points
        for (column, part), value in zip(self._row_places(sums), values, strict=True):
            at = points.index(column * sums.stride + part)
            points.emit.insert(quick(vector.StoreOp, [value, self.right, at]))

    def _read(
        self, operand: SSAValue, row: Index, rows: int, column: Index, columns: int
    ) -> SSAValue:
        """A vector along the last dimension, widened, zero past the end."""
        frame = self.frame

        def read() -> Values:
            place = (
                *self.batch,
                frame.guarded(row, rows),
                frame.guarded(column // WIDTH, columns // WIDTH) * WIDTH + self.lane,
            )
            return [self.wide(operand, place)]

        inside = frame.both(frame.below(row, rows), frame.below(column // WIDTH, columns // WIDTH))
        zero = self.splat(0)
        (value,) = frame.when(inside, read, lambda: [zero])
        return value

    def _put_scores(self, scores: Values, chunk: int) -> tuple[()]:
        """The thread's scores of a chunk of columns to memory[column][row]."""
        own = CHUNK // ACROSS
        for part, block in product(range(own), range(self.plan.down)):
            which, lane = divmod(chunk * own + part, WIDTH)
            rows = [
                self.points.lane(scores[(block * WIDTH + row) * VECTORS + which], lane)
                for row in range(WIDTH)
            ]
            self.put_rows(self.across + part * ACROSS, block, self.gather(rows))
        return ()

    def put_rows(self, line: Index, block: int, value: SSAValue) -> None:
        """A vector of the thread's rows to memory[line]."""
        at = self.points.index(line * self.row_stride + self.row(block))
        self.points.emit.insert(quick(vector.StoreOp, [value, self.left, at]))

    def get_rows(self, line: int, block: int) -> SSAValue:
        """A vector of the thread's rows in memory[line]."""
        return self._load(self.left, self.row(block) + line * self.row_stride)

    def row(self, block: int) -> Index:
        """The first row of a thread's vector of rows, in the tile."""
        return self.down * WIDTH + block * self.plan.threads_down * WIDTH

    def column(self, origin: Index, vector: int) -> Index:
        """The columns of a thread's vector of columns."""
        return origin + (self.lane + vector * WIDTH) * ACROSS + self.across

    def _multiply(self, stride: int, across: int, sums: Values) -> Values:
        """sums + left^T right over what is in workgroup memory."""
        results = list(sums)
        for line in range(CHUNK):
            rows = [self.get_rows(line, block) for block in range(self.plan.down)]
            columns = [
                self._load(self.right, self.across * WIDTH + (v * ACROSS * WIDTH + line * stride))
                for v in range(across)
            ]
            for row in range(self.plan.down * WIDTH):
                factor = self.of_row(rows, row)
                for v in range(across):
                    number = row * across + v
                    results[number] = self.map(math.FmaOp, factor, columns[v], results[number])
        return results

    def masked(self, origin: Index, scores: Values) -> Values:
        """Scores with `LOWEST` where a query does not see a key."""
        frame, points, plan = self.frame, self.points, self.plan
        mask, seen = self.attention.mask, self.seen
        if mask is None and not seen.limits and not self.column_count % COLUMNS:
            return scores

        def masked() -> Values:
            lowest = self.splat(LOWEST)
            result: list[SSAValue] = []
            for row in range(plan.down * WIDTH):
                at = self.origin + self.row(row // WIDTH) + row % WIDTH
                start, end = seen.of_any(at, at)
                for v in range(VECTORS):
                    score, column = scores[row * VECTORS + v], self.column(origin, v)
                    if mask is not None:
                        query, key = (column, at) if self.rows_are_keys else (at, column)
                        score = self._with_mask(mask, query, key, score)
                    inside = self._compare(_ULT, column, end or constant(self.column_count))
                    if start is not None:
                        begun = self._compare(_UGE, column, start)
                        inside = points.emit(quick(arith.AndIOp, [inside, begun], FLAGS))
                    result.append(
                        points.emit(quick(kernel.SelectOp, [inside, score, lowest], VECTOR))
                    )
            return result

        if mask is not None:
            return masked()
        start, end = self.seen_by_all
        end = points.index(end or constant(self.column_count))
        past = points.emit(arith.CmpiOp(end, points.index(origin + COLUMNS), "ult"))
        if start is not None:
            before = arith.CmpiOp(points.index(origin), points.index(start), "ult")
            past = points.emit(quick(arith.OrIOp, [past, points.emit(before)], i1))
        return frame.when(past, masked, lambda: scores)

    def _with_mask(self, mask: SSAValue, query: Index, key: Index, score: SSAValue) -> SSAValue:
        shape = self.shape
        parts: list[SSAValue] = []
        for lane in range(WIDTH):
            row = self.frame.clamped(self.in_lane(query, lane), shape.queries)
            column = self.frame.clamped(self.in_lane(key, lane), shape.keys)
            parts.append(self.points.value(mask, (*self.batch, row, column)))
        return self.with_given(self.gather(parts), score)

    def _compare(self, predicate: int, lhs: Index, rhs: Index) -> SSAValue:
        operands = [self.points.broadcast(self.points.index(side)) for side in (lhs, rhs)]
        return self.points.emit(
            kernel.CmpiOp.create(
                operands=operands,
                result_types=[FLAGS],
                properties={"predicate": IntegerAttr(predicate, i64)},
            )
        )

    def store(
        self, memory: SSAValue, sums: Sums, values: Values, factor: Callable[[int], SSAValue]
    ) -> None:
        """Writes sums, times a factor of their row."""
        frame, points = self.frame, self.points
        shape, vectors = shape_of(sums.result), sums.features // WIDTH
        for number, (row, v) in enumerate(
            product(range(self.plan.down * WIDTH), range(sums.across))
        ):
            at = self.origin + self.row(row // WIDTH) + row % WIDTH
            column = self.across + v * ACROSS
            value = self.map(arith.MulfOp, values[number], factor(row))
            value = self.narrow(value, sums.result)

            def write(at: Index = at, column: Index = column, value: SSAValue = value) -> tuple[()]:
                place = (
                    *self.batch,
                    frame.guarded(at, self.row_count),
                    frame.guarded(column, vectors) * WIDTH + self.lane,
                )
                points.store(value, memory, points.position(place, shape))
                return ()

            inside = frame.both(frame.below(at, self.row_count), frame.below(column, vectors))
            frame.when(inside, write)

    def in_lane(self, index: Index, lane: int) -> Index:
        """An index along a vector, in one of its lanes."""
        assert self.vector is not None
        return index.substitute({self.vector.var: constant(lane)})

    def of_row(self, vectors: Values, row: int) -> SSAValue:
        """What vectors of rows hold for a row, in every lane."""
        return self.points.broadcast(self.points.lane(vectors[row // WIDTH], row % WIDTH))

    def gather(self, values: Values) -> SSAValue:
        return self.points.emit(kernel.FromElementsOp(*values))

    def _load(self, memory: SSAValue, position: Index) -> SSAValue:
        at = self.points.index(position)
        return self.points.emit(quick(vector.LoadOp, [memory, at], VECTOR))
