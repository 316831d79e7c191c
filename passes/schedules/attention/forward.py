"""The schedule of attention: tiles of queries, an online softmax over tiles of keys.

For each tile of keys a workgroup multiplies queries and keys, brings maxima and results up to date,
and multiplies the weights with the values.
"""

from __future__ import annotations

from math import e, log2

from xdsl.dialects import arith, math
from xdsl.ir import SSAValue

from stepwell.dialects import kernel
from stepwell.dialects.array.attention import LOWEST, TINIEST
from stepwell.dialects.linalg_ext import AttentionOp
from stepwell.passes.index import Index
from stepwell.passes.schedules.attention.plan import ACROSS, VECTORS, WIDTH, Plan
from stepwell.passes.schedules.attention.tiles import Sums, Tiles, Values
from stepwell.passes.schedules.frame import Frame
from stepwell.passes.structured import shape_of

_Join = type[arith.AddfOp | arith.MaximumfOp]


class Forward(Tiles):
    """Attention by rows of queries."""

    def __init__(self, frame: Frame, op: AttentionOp, plan: Plan):
        super().__init__(frame, op, plan, rows_are_keys=False)
        self.op = op
        self.sums = Sums(op.result, op.value)

    def run(self) -> kernel.FuncOp:
        grid = self.place([self.sums])
        with self.points.over(self.vector):
            self._body()
        return self.frame.finish(self.plan.threads, grid)

    def _body(self) -> None:
        down = self.plan.down
        start = [*[self.splat(LOWEST / 2)] * down, *[self.splat(0)] * down]
        results = self.loop([*start, *self.zeros(self.sums)], self._tile)
        peaks, totals, values = self._parts(results)
        tiny, one = self.splat(TINIEST), self.splat(1)
        totals = self._over_threads(totals, arith.AddfOp)
        totals = [self.map(arith.MaximumfOp, total, tiny) for total in totals]
        inverse = [self.map(arith.DivfOp, one, total) for total in totals]
        for output in self.frame.outputs:
            if output.tensor is self.op.result:
                self.store(output.memref, self.sums, values, lambda row: self.of_row(inverse, row))
            else:
                self._store_rows(output.memref, peaks, totals)

    def _parts(self, carried: Values) -> tuple[Values, Values, Values]:
        down = self.plan.down
        return carried[:down], carried[down : 2 * down], carried[2 * down :]

    def _tile(self, origin: Index, carried: Values) -> Values:
        """One tile of keys: new maxima, sums of weights and results."""
        peaks, totals, values = self._parts(carried)
        scores = self.masked(origin, self.scores(self.op.query, self.op.key, origin))
        blocks = range(self.plan.down)
        largest = [self._row_vector(block, scores, arith.MaximumfOp) for block in blocks]
        largest = self._over_threads(largest, arith.MaximumfOp)
        new = [self.map(arith.MaximumfOp, a, b) for a, b in zip(peaks, largest, strict=True)]
        shrink = [
            self.map(math.Exp2Op, self.map(arith.SubfOp, a, b))
            for a, b in zip(peaks, new, strict=True)
        ]
        weights = [
            self.map(
                math.Exp2Op, self.map(arith.SubfOp, score, self.of_row(new, number // VECTORS))
            )
            for number, score in enumerate(scores)
        ]
        added = [self._row_vector(block, weights, arith.AddfOp) for block in blocks]
        totals = [
            self.map(math.FmaOp, a, b, c) for a, b, c in zip(totals, shrink, added, strict=True)
        ]
        values = [
            self.map(arith.MulfOp, value, self.of_row(shrink, number // self.sums.across))
            for number, value in enumerate(values)
        ]
        return [*new, *totals, *self.add(self.sums, weights, origin, values)]

    def _row_vector(self, block: int, values: Values, join: _Join) -> SSAValue:
        """For a vector of rows, the thread's columns joined."""
        rows: list[SSAValue] = []
        for row in range(block * WIDTH, (block + 1) * WIDTH):
            total = values[row * VECTORS]
            for v in range(1, VECTORS):
                total = self.map(join, total, values[row * VECTORS + v])
            parts = [self.points.lane(total, lane) for lane in range(WIDTH)]
            while len(parts) > 1:
                halves = zip(parts[::2], parts[1::2], strict=True)
                parts = [self.points.emit(join(a, b)) for a, b in halves]
            rows.append(parts[0])
        return self.gather(rows)

    def _over_threads(self, values: Values, join: _Join) -> list[SSAValue]:
        """Vectors of rows joined over the threads that share them."""
        for block, value in enumerate(values):
            self.put_rows(self.across, block, value)
        self.frame.barrier()
        results: list[SSAValue] = []
        for block in range(len(values)):
            total = self.get_rows(0, block)
            for part in range(1, ACROSS):
                total = self.map(join, total, self.get_rows(part, block))
            results.append(total)
        self.frame.barrier()
        return results

    def _store_rows(self, memory: SSAValue, peaks: Values, totals: Values) -> None:
        frame, points = self.frame, self.points
        shape = shape_of(self.op.logsumexp)
        scale = self.splat(1 / log2(e))
        found = [
            self.map(
                arith.MulfOp,
                self.map(arith.AddfOp, peak, self.map(math.Log2Op, total)),
                scale,
            )
            for peak, total in zip(peaks, totals, strict=True)
        ]
        with points.over(None):
            for row in range(self.plan.down * WIDTH):
                query = self.origin + self.row(row // WIDTH) + row % WIDTH
                value = points.lane(found[row // WIDTH], row % WIDTH)

                def write(query: Index = query, value: SSAValue = value) -> tuple[()]:
                    place = (*self.batch, frame.guarded(query, self.row_count))
                    points.store(value, memory, points.position(place, shape))
                    return ()

                first = frame.below(self.across, 1)
                frame.when(frame.both(first, frame.below(query, self.row_count)), write)
