"""The schedule of attention: tiles of queries, an online softmax over tiles of keys.

A workgroup owns `rows` queries. For each tile of `columns` keys it multiplies queries and keys into
scores that stay in registers, brings maxima and results up to date, and multiplies the weights with
the values. Operands pass through workgroup memory in chunks, and so do the weights: no score ever
reaches storage. Tiles that the causal mask hides are never visited; only tiles on the diagonal and
at the end are masked.

A thread holds 4 * `down` rows and 8 columns. Column j of a thread is key j * ACROSS + its place
among its neighbours, so that every thread has its part in each chunk of weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import e, log2, prod

from xdsl.dialects import arith, math, memref, vector
from xdsl.dialects.builtin import Float16Type, IntegerAttr, VectorType, f32, i1, i64
from xdsl.ir import SSAValue

from stepwell.dialects import kernel
from stepwell.dialects.linalg_ext import AttentionOp
from stepwell.passes.index import Index, delinearize
from stepwell.passes.schedules.frame import Frame, lanes
from stepwell.passes.schedules.point import quick
from stepwell.passes.structured import element_type, shape_of
from stepwell.passes.target import Target

WIDTH = 4
ACROSS = 8
"""Threads along the keys, and along the width of the values."""
VECTORS = 2
"""Vectors of keys a thread."""
CHUNK = 2 * ACROSS
"""Keys, or elements of the depth, that are in workgroup memory at once."""
COLUMNS = ACROSS * VECTORS * WIDTH
LOWEST = -1e38
VECTOR = VectorType(f32, [WIDTH])
FLAGS = VectorType(i1, [WIDTH])
_ULE, _ULT = 7, 6


@dataclass(frozen=True)
class Plan:
    """What a workgroup owns."""

    threads_down: int
    """Threads along the queries."""
    down: int
    """Vectors of queries a thread."""

    @property
    def rows(self) -> int:
        return self.threads_down * self.down * WIDTH

    @property
    def threads(self) -> int:
        return self.threads_down * ACROSS


def plans(
    target: Target, query: Sequence[int], key: Sequence[int], value: Sequence[int]
) -> list[Plan]:
    """The plans of attention on tensors of these shapes, best first; none where it should not
    stay whole: rows that are no vectors, results too wide for registers, too few rows for a tile.
    """
    (*batch, rows, depth), columns, width = query, key[-2], value[-1]
    if not target.tiles_in_workgroup_memory or depth % WIDTH or width % WIDTH:
        return []
    if min(rows, columns) < CHUNK or 0 in (*query, *value):
        return []
    own = -(-width // (ACROSS * WIDTH))
    found = [
        plan
        for plan in (Plan(16, 1), Plan(16, 2), Plan(8, 2), Plan(8, 1))
        if plan.threads <= target.max_threads
        and plan.down * own * WIDTH <= 16
        and 4 * sum(_memory(plan, width)) <= target.max_workgroup_bytes
    ]
    groups = [prod(batch) * -(-rows // plan.rows) for plan in found]
    enough = target.split_threads // (2 * ACROSS * 16)
    # Those that occupy the device, and else the smallest.
    large = [plan for plan, count in zip(found, groups, strict=True) if count >= enough]
    return [*large, *reversed([plan for plan in found if plan not in large])]


def _memory(plan: Plan, width: int) -> tuple[int, int]:
    """Elements of workgroup memory: for what has rows, for what has columns."""
    padded = -(-width // (ACROSS * WIDTH)) * ACROSS * WIDTH
    return CHUNK * (plan.rows + WIDTH), CHUNK * max(COLUMNS + WIDTH, padded)


def plans_of(frame: Frame) -> list[Plan]:
    """The plans of the frame's kernel, best first."""
    op = _operation(frame)
    return plans(frame.target, *(shape_of(v) for v in (op.query, op.key, op.value)))


def schedule_attention(frame: Frame, plan: Plan | None = None) -> kernel.FuncOp:
    """Lays the kernel out by `plan` (the target's best if None)."""
    return _Attention(frame, _operation(frame), plan or plans_of(frame)[0]).run()


def _operation(frame: Frame) -> AttentionOp:
    (op,) = (op for op in frame.domain.members if isinstance(op, AttentionOp))
    return op


class _Attention:
    def __init__(self, frame: Frame, op: AttentionOp, plan: Plan):
        self.frame, self.op, self.plan, self.points = frame, op, plan, frame.points
        self.vector, self.lane = lanes(WIDTH)
        *batch, self.queries, self.depth = shape_of(op.query)
        self.batch_shape = batch
        self.keys, self.width = shape_of(op.value)[-2:]
        self.own = -(-self.width // (ACROSS * WIDTH))
        self.row_stride = plan.rows + WIDTH
        self.column_stride = COLUMNS + WIDTH
        self.value_stride = self.own * ACROSS * WIDTH

    def run(self) -> kernel.FuncOp:
        frame, plan = self.frame, self.plan
        tiles = -(-self.queries // plan.rows)
        batches = prod(self.batch_shape)
        group, grid = frame.workgroup(tiles * batches)
        group = frame.clamped(group, tiles * batches)
        # The last queries see the most keys: they go first.
        tile = (group // batches) * -1 + (tiles - 1)
        self.batch = delinearize(group % batches, self.batch_shape)
        self.thread = frame.thread(plan.threads)
        self.across, self.down = self.thread % ACROSS, self.thread // ACROSS
        self.origin = tile * plan.rows
        sizes = _memory(plan, self.width)
        self.left, self.right = (frame.shared(f32, size) for size in sizes)
        with self.points.over(self.vector):
            self._body()
        return frame.finish(plan.threads, grid)

    def _body(self) -> None:
        frame, points, plan = self.frame, self.points, self.plan
        zero = self._splat(0)
        rows = plan.down * WIDTH
        start = [self._splat(LOWEST / 2)] * plan.down + [zero] * plan.down
        carried = [*start, *[zero] * (rows * self.own)]
        trips = -(-self.keys // COLUMNS)
        upper = None
        if self.op.causal.value.data:
            last = points.index((self.origin + (plan.rows - 1)) // COLUMNS + 1)
            upper = points.emit(arith.MinUIOp(last, points.index(Index({}, trips))))
        results = frame.loop(trips, carried, self._tile, upper)
        peaks, sums, sums_of_values = self._parts(results)
        totals = self._over_threads(sums, arith.AddfOp)
        tiny = self._splat(1e-38)
        totals = [self._emit(arith.MaximumfOp, total, tiny) for total in totals]
        one = self._splat(1)
        inverse = [self._emit(arith.DivfOp, one, total) for total in totals]
        for output in frame.outputs:
            if output.tensor is self.op.result:
                self._store_values(output.memref, inverse, sums_of_values)
            else:
                self._store_rows(output.memref, peaks, totals)

    def _parts(
        self, carried: Sequence[SSAValue]
    ) -> tuple[Sequence[SSAValue], Sequence[SSAValue], Sequence[SSAValue]]:
        down = self.plan.down
        return carried[:down], carried[down : 2 * down], carried[2 * down :]

    def _tile(self, number: Index, carried: Sequence[SSAValue]) -> Sequence[SSAValue]:
        """One tile of keys: new maxima, sums and results."""
        peaks, sums, values = self._parts(carried)
        origin = number * COLUMNS
        scores = self._masked(origin, self._scores(origin))
        largest = [
            self._row_vector(block, scores, arith.MaximumfOp) for block in range(self.plan.down)
        ]
        largest = self._over_threads(largest, arith.MaximumfOp)
        new = [self._emit(arith.MaximumfOp, a, b) for a, b in zip(peaks, largest, strict=True)]
        shrink = [
            self._emit(math.Exp2Op, self._emit(arith.SubfOp, a, b))
            for a, b in zip(peaks, new, strict=True)
        ]
        weights = [
            self._emit(
                math.Exp2Op,
                self._emit(arith.SubfOp, score, self._of_row(new, number // VECTORS)),
            )
            for number, score in enumerate(scores)
        ]
        added = [self._row_vector(block, weights, arith.AddfOp) for block in range(self.plan.down)]
        sums = [
            self._emit(math.FmaOp, a, b, c) for a, b, c in zip(sums, shrink, added, strict=True)
        ]
        values = [
            self._emit(arith.MulfOp, value, self._of_row(shrink, number // self.own))
            for number, value in enumerate(values)
        ]
        for chunk in range(COLUMNS // CHUNK):
            self._put_weights(chunk, weights)
            self._put_values(origin + chunk * CHUNK)
            self.frame.barrier()
            values = self._multiply(CHUNK, self.value_stride, self.own, values)
            self.frame.barrier()
        return [*new, *sums, *values]

    def _scores(self, origin: Index) -> Sequence[SSAValue]:
        """Scores in units of log 2, a vector of keys after the other for each row."""
        plan, frame = self.plan, self.frame
        chunks = -(-self.depth // CHUNK)
        start = [self._splat(0)] * (plan.down * WIDTH * VECTORS)

        def step(chunk: Index, sums: Sequence[SSAValue]) -> Sequence[SSAValue]:
            self._put_transposed(0, plan.rows, self.left, self.row_stride, chunk * CHUNK)
            self._put_transposed(1, COLUMNS, self.right, self.column_stride, chunk * CHUNK, origin)
            frame.barrier()
            sums = self._multiply(CHUNK, self.column_stride, VECTORS, sums)
            frame.barrier()
            return sums

        scale = self._splat(self.op.scale.value.data * log2(e))
        return [self._emit(arith.MulfOp, s, scale) for s in frame.loop(chunks, start, step)]

    def _put_transposed(
        self, side: int, size: int, memory: SSAValue, stride: int, depth: Index,
        origin: Index | None = None,
    ) -> None:  # fmt: skip
        """Queries or keys to memory[depth][row or column], zero past the end."""
        points, operand = self.points, self.op.operands[side]
        vectors = CHUNK // WIDTH
        for turn in range(-(-size * vectors // self.plan.threads)):
            number = self.thread + turn * self.plan.threads
            place, part = number // vectors, number % vectors * WIDTH
            if origin is None:
                row, bound = self.origin + place, self.queries
            else:
                block = ACROSS * WIDTH
                column = (place // block * WIDTH + place % WIDTH) * ACROSS
                row, bound = origin + column + place % block // WIDTH, self.keys
            value = self._read(operand, row, bound, depth + part, self.depth)
            for offset in range(WIDTH):
                at = points.index((part + offset) * stride + place)
                item = points.lane(value, offset)
                points.emit.insert(quick(memref.StoreOp, [item, memory, at]))

    def _put_values(self, origin: Index) -> None:
        """Values to memory[key][width], zero past the end."""
        points = self.points
        per_key = self.value_stride // WIDTH
        for turn in range(-(-CHUNK * per_key // self.plan.threads)):
            number = self.thread + turn * self.plan.threads
            key, part = number // per_key, number % per_key * WIDTH
            value = self._read(self.op.value, origin + key, self.keys, part, self.width)
            at = points.index(key * self.value_stride + part)
            points.emit.insert(quick(vector.StoreOp, [value, self.right, at]))

    def _read(
        self, operand: SSAValue, row: Index, rows: int, column: Index, columns: int
    ) -> SSAValue:
        """A vector along the last dimension, widened, zero past the end."""
        frame, points = self.frame, self.points

        def read() -> Sequence[SSAValue]:
            place = (
                *self.batch,
                frame.guarded(row, rows),
                frame.guarded(column // WIDTH, columns // WIDTH) * WIDTH + self.lane,
            )
            value = points.broadcast(points.value(operand, place))
            if isinstance(element_type(operand), Float16Type):
                value = points.emit(arith.ExtFOp.create(operands=[value], result_types=[VECTOR]))
            return [value]

        inside = frame.both(frame.below(row, rows), frame.below(column // WIDTH, columns // WIDTH))
        zero = self._splat(0)
        (value,) = frame.when(inside, read, lambda: [zero])
        return value

    def _put_weights(self, chunk: int, weights: Sequence[SSAValue]) -> None:
        """The thread's weights of a chunk of keys to memory[key][row]."""
        points, plan = self.points, self.plan
        for part, block in product(range(CHUNK // ACROSS), range(plan.down)):
            column = chunk * (CHUNK // ACROSS) + part
            which, lane = divmod(column, WIDTH)
            rows = [
                points.lane(weights[(block * WIDTH + row) * VECTORS + which], lane)
                for row in range(WIDTH)
            ]
            self._put_rows(self.across + part * ACROSS, block, self._gather(rows))

    def _put_rows(self, line: Index, block: int, value: SSAValue) -> None:
        at = self.points.index(line * self.row_stride + self._row(block))
        self.points.emit.insert(quick(vector.StoreOp, [value, self.left, at]))

    def _row(self, block: int) -> Index:
        """The first row of a thread's vector of rows, in the tile."""
        return self.down * WIDTH + block * self.plan.threads_down * WIDTH

    def _multiply(
        self, depth: int, stride: int, across: int, sums: Sequence[SSAValue]
    ) -> Sequence[SSAValue]:
        """sums + left^T right over what is in workgroup memory."""
        results = list(sums)
        for step in range(depth):
            rows = [
                self._load(self.left, self._row(block) + step * self.row_stride)
                for block in range(self.plan.down)
            ]
            columns = [
                self._load(self.right, self.across * WIDTH + (v * ACROSS * WIDTH + step * stride))
                for v in range(across)
            ]
            for row in range(self.plan.down * WIDTH):
                factor = self._of_row(rows, row)
                for v in range(across):
                    number = row * across + v
                    results[number] = self._emit(math.FmaOp, factor, columns[v], results[number])
        return results

    def _masked(self, origin: Index, scores: Sequence[SSAValue]) -> Sequence[SSAValue]:
        """Scores with the lowest value where a key is not to be seen."""
        frame, points, plan = self.frame, self.points, self.plan
        causal = self.op.causal.value.data
        ends = self.keys % COLUMNS
        if not causal and not ends and self.op.mask is None:
            return scores
        bound = points.index(Index({}, self.keys))
        end = points.index(origin + COLUMNS)
        condition = points.emit(arith.CmpiOp(bound, end, "ult"))
        if causal:
            first = points.index(self.origin + 1)
            diagonal = points.emit(arith.CmpiOp(first, end, "ult"))
            condition = points.emit(arith.OrIOp(condition, diagonal))

        def mask() -> Sequence[SSAValue]:
            lowest = self._splat(LOWEST)
            result = list(scores)
            for row, v in product(range(plan.down * WIDTH), range(VECTORS)):
                number = row * VECTORS + v
                key = origin + (self.lane + v * WIDTH) * ACROSS + self.across
                query = self.origin + self._row(row // WIDTH) + row % WIDTH
                at = points.index(key)
                if self.op.mask is not None:
                    result[number] = self._with_mask(self.op.mask, query, key, result[number])
                seen = self._compare(_ULT, at, bound)
                if causal:
                    above = self._compare(_ULE, at, points.index(query))
                    seen = points.emit(quick(arith.AndIOp, [seen, above], FLAGS))
                result[number] = points.emit(
                    quick(kernel.SelectOp, [seen, result[number], lowest], VECTOR)
                )
            return result

        return mask() if self.op.mask is not None else frame.when(condition, mask, lambda: scores)

    def _with_mask(self, mask: SSAValue, query: Index, key: Index, score: SSAValue) -> SSAValue:
        frame, points = self.frame, self.points
        row = frame.clamped(query, self.queries)
        parts: list[SSAValue] = []
        for lane in range(WIDTH):
            assert self.vector is not None
            column = frame.clamped(key.substitute({self.vector.var: Index({}, lane)}), self.keys)
            parts.append(points.value(mask, (*self.batch, row, column)))
        given = points.emit(kernel.FromElementsOp(*parts))
        lowest = self._splat(LOWEST)
        if given.type == FLAGS:
            return points.emit(quick(kernel.SelectOp, [given, score, lowest], VECTOR))
        if isinstance(element_type(mask), Float16Type):
            given = points.emit(arith.ExtFOp.create(operands=[given], result_types=[VECTOR]))
        total = self._emit(math.FmaOp, given, self._splat(log2(e)), score)
        return self._emit(arith.MaximumfOp, total, lowest)

    def _compare(self, predicate: int, lhs: SSAValue, rhs: SSAValue) -> SSAValue:
        operands = [self.points.broadcast(lhs), self.points.broadcast(rhs)]
        return self.points.emit(
            kernel.CmpiOp.create(
                operands=operands,
                result_types=[FLAGS],
                properties={"predicate": IntegerAttr(predicate, i64)},
            )
        )

    def _row_vector(
        self, block: int, values: Sequence[SSAValue], join: type[arith.AddfOp | arith.MaximumfOp]
    ) -> SSAValue:
        """For a vector of rows, the thread's columns joined."""
        rows: list[SSAValue] = []
        for row in range(block * WIDTH, (block + 1) * WIDTH):
            total = values[row * VECTORS]
            for v in range(1, VECTORS):
                total = self._emit(join, total, values[row * VECTORS + v])
            parts = [self.points.lane(total, lane) for lane in range(WIDTH)]
            while len(parts) > 1:
                halves = zip(parts[::2], parts[1::2], strict=True)
                parts = [self.points.emit(join(a, b)) for a, b in halves]
            rows.append(parts[0])
        return self._gather(rows)

    def _over_threads(
        self, values: Sequence[SSAValue], join: type[arith.AddfOp | arith.MaximumfOp]
    ) -> list[SSAValue]:
        """Vectors of rows joined over the threads that share them."""
        for block, value in enumerate(values):
            self._put_rows(self.across, block, value)
        self.frame.barrier()
        results: list[SSAValue] = []
        for block in range(len(values)):
            total: SSAValue | None = None
            for part in range(ACROSS):
                value = self._load(self.left, self._row(block) + part * self.row_stride)
                total = value if total is None else self._emit(join, total, value)
            assert total is not None
            results.append(total)
        self.frame.barrier()
        return results

    def _store_values(
        self, memory: SSAValue, inverse: Sequence[SSAValue], values: Sequence[SSAValue]
    ) -> None:
        frame, points = self.frame, self.points
        shape = shape_of(self.op.result)
        for row, v in product(range(self.plan.down * WIDTH), range(self.own)):
            query = self.origin + self._row(row // WIDTH) + row % WIDTH
            column = self.across + v * ACROSS
            value = self._emit(arith.MulfOp, values[row * self.own + v], self._of_row(inverse, row))
            if isinstance(element_type(self.op.result), Float16Type):
                narrow = VectorType(element_type(self.op.result), [WIDTH])
                value = points.emit(arith.TruncFOp.create(operands=[value], result_types=[narrow]))

            def write(
                query: Index = query, column: Index = column, value: SSAValue = value
            ) -> tuple[()]:
                place = (
                    *self.batch,
                    frame.guarded(query, self.queries),
                    frame.guarded(column, self.width // WIDTH) * WIDTH + self.lane,
                )
                points.store(value, memory, points.position(place, shape))
                return ()

            frame.when(
                frame.both(
                    frame.below(query, self.queries), frame.below(column, self.width // WIDTH)
                ),
                write,
            )

    def _store_rows(
        self, memory: SSAValue, peaks: Sequence[SSAValue], totals: Sequence[SSAValue]
    ) -> None:
        frame, points = self.frame, self.points
        shape = shape_of(self.op.logsumexp)
        scale = self._splat(1 / log2(e))
        found = [
            self._emit(
                arith.MulfOp,
                self._emit(arith.AddfOp, peak, self._emit(math.Log2Op, total)),
                scale,
            )
            for peak, total in zip(peaks, totals, strict=True)
        ]
        with points.over(None):
            for row in range(self.plan.down * WIDTH):
                query = self.origin + self._row(row // WIDTH) + row % WIDTH
                value = points.lane(found[row // WIDTH], row % WIDTH)

                def write(query: Index = query, value: SSAValue = value) -> tuple[()]:
                    place = (*self.batch, frame.guarded(query, self.queries))
                    points.store(value, memory, points.position(place, shape))
                    return ()

                first = frame.below(self.across, 1)
                frame.when(frame.both(first, frame.below(query, self.queries)), write)

    def _of_row(self, vectors: Sequence[SSAValue], row: int) -> SSAValue:
        return self.points.broadcast(self.points.lane(vectors[row // WIDTH], row % WIDTH))

    def _gather(self, values: Sequence[SSAValue]) -> SSAValue:
        return self.points.emit(kernel.FromElementsOp(*values))

    def _load(self, memory: SSAValue, position: Index) -> SSAValue:
        at = self.points.index(position)
        return self.points.emit(quick(vector.LoadOp, [memory, at], VECTOR))

    def _splat(self, value: float) -> SSAValue:
        return self.points.broadcast(self.points.emit.constant(value, f32))

    def _emit(self, op: type, *operands: SSAValue) -> SSAValue:
        return self.points.emit(quick(op, operands, VECTOR))
