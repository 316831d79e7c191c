"""The schedule of attention of few queries, as a step of generating text has: rows of scores.

A subgroup has some queries of one of the batch, and goes over the keys that any of them sees, from
the first to the last, some at a time. Its lanes share the features: each multiplies its part of the
queries with that of a key, the subgroup sums, and each adds its part of the values. Nothing passes
through workgroup memory, and no key is read that no query sees, wherever the first and the last are
known at run time only.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import e, log2, prod

from xdsl.dialects import arith, math
from xdsl.dialects.builtin import f32, i1
from xdsl.ir import SSAValue

from stepwell.dialects import kernel
from stepwell.dialects.array.attention import LOWEST, TINIEST
from stepwell.dialects.linalg_ext import AttentionOp
from stepwell.passes.index import ZERO, Index, constant, delinearize, var
from stepwell.passes.schedules.attention.columns import Columns
from stepwell.passes.schedules.attention.lanewise import Lanewise, Values
from stepwell.passes.schedules.attention.plan import WIDTH
from stepwell.passes.schedules.attention.row_plans import RowPlan, vectors_of_lane
from stepwell.passes.schedules.frame import Frame
from stepwell.passes.schedules.point import INDEX, quick
from stepwell.passes.structured import shape_of


class Rows(Lanewise):
    """Attention by rows of scores."""

    def __init__(self, frame: Frame, op: AttentionOp, plan: RowPlan):
        super().__init__(frame, op)
        self.op, self.plan = op, plan
        self.depth, self.width = self.shape.depth // WIDTH, self.shape.width // WIDTH
        """Vectors of a query and of a result."""

    def run(self) -> kernel.FuncOp:
        size = self.frame.target.subgroup_size
        assert size is not None
        self.lanes = size
        grid = self._place()
        with self.points.over(self.vector):
            self._body()
        return self.frame.finish(size, grid)

    def _place(self) -> tuple[int, int, int]:
        """Finds the subgroup's queries and the keys that they see; returns the grid."""
        frame, rows, shape = self.frame, self.plan.rows, self.shape
        blocks = -(-shape.queries // rows)
        count = blocks * prod(shape.batch)
        group, grid = frame.workgroup(count)
        group = frame.clamped(group, count)
        self.batch = delinearize(group // blocks, shape.batch)
        self.queries = [group % blocks * rows + row for row in range(rows)]
        self.place = frame.lane()
        seen = Columns(frame, self.op, self.batch, rows_are_keys=False, count=shape.keys)
        self.own = [seen.of_any(query, query) for query in self.queries if seen.differ_by_row]
        """What each row sees, where that is not what all see."""
        if rows == 1:
            self.own = []
        last = frame.clamped(self.queries[-1], shape.queries)
        start, end = seen.of_any(self.queries[0], last)
        self.start, end = start or ZERO, end or constant(shape.keys)
        if start is not None:
            # An end before the start leaves none.
            end = self._keys(arith.SubiOp, self._keys(arith.MaxUIOp, end, start), start)
        self.count = end
        one = self.points.emit.constant(1, INDEX)
        self.last = self.points.emit(quick(arith.SubiOp, [self.points.index(end), one], INDEX))
        return grid

    def _keys(self, op: type[arith.MaxUIOp | arith.SubiOp], lhs: Index, rhs: Index) -> Index:
        """A number of keys."""
        operands = [self.points.index(operand) for operand in (lhs, rhs)]
        return var(self.shape.keys + 1, self.points.emit(quick(op, operands, INDEX)))

    def _body(self) -> None:
        frame, rows, together = self.frame, self.plan.rows, self.plan.together
        of_lane = vectors_of_lane(self.width, self.lanes)
        self.factors = [self._query(query) for query in self.queries]
        low, zero = (self.points.emit.constant(value, f32) for value in (LOWEST / 2, 0.0))
        start = [*[low] * rows, *[zero] * rows, *[self.splat(0)] * (rows * of_lane)]
        end = (self.count + (together - 1)) // together
        trips = -(-self.shape.keys // together)
        carried = frame.loop(trips, start, self._step, self.points.index(end))
        peaks, totals, values = carried[:rows], carried[rows : 2 * rows], carried[2 * rows :]
        tiny = self.points.emit.constant(TINIEST, f32)
        totals = [self.map(arith.MaximumfOp, total, tiny) for total in totals]
        for output in frame.outputs:
            if output.tensor is self.op.result:
                self._store_result(output.memref, totals, values)
            else:
                self._store_logsumexp(output.memref, peaks, totals)

    def _features(self, vectors: int) -> list[tuple[Index, Index]]:
        """Which vectors are the lane's, and their elements; it reads the last beyond the end."""
        numbers = [
            self.place + start
            for start in range(0, vectors_of_lane(vectors, self.lanes) * self.lanes, self.lanes)
        ]
        return [
            (number, self.frame.clamped(number, vectors) * WIDTH + self.lane) for number in numbers
        ]

    def _query(self, query: Index) -> Values:
        """The lane's part of a query, times the unit of scores; zero past the end."""
        frame, points = self.frame, self.points
        scale = points.emit.constant(self.unit, f32)
        row = frame.clamped(query, self.shape.queries)
        parts: list[SSAValue] = []
        for number, feature in self._features(self.depth):
            factor, inside = scale, frame.below(number, self.depth)
            if inside is not None:
                zero = points.emit.constant(0.0, f32)
                factor = points.emit(quick(arith.SelectOp, [inside, scale, zero], f32))
            value = self.wide(self.op.query, (*self.batch, row, feature))
            parts.append(self.map(arith.MulfOp, value, points.broadcast(factor)))
        return parts

    def _step(self, number: Index, carried: Values) -> Values:
        """Some keys: new maxima, sums of weights and results."""
        rows = self.plan.rows
        peaks, totals, values = carried[:rows], carried[rows : 2 * rows], carried[2 * rows :]
        positions = [number * self.plan.together + part for part in range(self.plan.together)]
        keys = [self._key(at) for at in positions]
        of_keys = [self._scores(at, key) for at, key in zip(positions, keys, strict=True)]
        new, sums, weights, shrunk = [], [], [], []
        of_lane = len(values) // rows
        for row, (peak, total) in enumerate(zip(peaks, totals, strict=True)):
            scores = [scores[row] for scores in of_keys]
            most = peak
            for score in scores:
                most = self.map(arith.MaximumfOp, most, score)
            shrink = self.map(math.Exp2Op, self.map(arith.SubfOp, peak, most))
            parts = [self.map(math.Exp2Op, self.map(arith.SubfOp, s, most)) for s in scores]
            total = self.map(arith.MulfOp, total, shrink)
            for part in parts:
                total = self.map(arith.AddfOp, total, part)
            new.append(most)
            sums.append(total)
            weights.append([self.points.broadcast(part) for part in parts])
            factor = self.points.broadcast(shrink)
            own = values[row * of_lane : (row + 1) * of_lane]
            shrunk += [self.map(arith.MulfOp, value, factor) for value in own]
        for part, key in enumerate(keys):
            for column, (_, feature) in enumerate(self._features(self.width)):
                value = self.wide(self.op.value, (*self.batch, key, feature))
                for row in range(rows):
                    at = row * of_lane + column
                    shrunk[at] = self.map(math.FmaOp, weights[row][part], value, shrunk[at])
        return [*new, *sums, *shrunk]

    def _key(self, at: Index) -> Index:
        """The key at a position among those that are seen, the last one beyond it."""
        value = quick(arith.MinUIOp, [self.points.index(at), self.last], INDEX)
        key = self.start + var(at.hi + 1, self.points.emit(value))
        return self.frame.clamped(key, self.shape.keys)

    def _scores(self, at: Index, key: Index) -> Values:
        """The scores of a key for each row; `LOWEST` where a query does not see it."""
        frame, points = self.frame, self.points
        features = [feature for _, feature in self._features(self.depth)]
        parts = [self.wide(self.op.key, (*self.batch, key, feature)) for feature in features]
        lowest = points.emit.constant(LOWEST, f32)
        beyond = frame.at_least(at, self.count)
        scores: list[SSAValue] = []
        for row, factors in enumerate(self.factors):
            total = self.map(arith.MulfOp, factors[0], parts[0])
            for factor, part in zip(factors[1:], parts[1:], strict=True):
                total = self.map(math.FmaOp, factor, part, total)
            product = points.emit(kernel.SubgroupReduceOp("add", self._across_lanes(total)))
            score = self.capped(product)
            if self.op.mask is not None:
                query = frame.clamped(self.queries[row], self.shape.queries)
                score = self.with_given(
                    points.value(self.op.mask, (*self.batch, query, key)), score
                )
            hidden = beyond
            if self.own:
                start, end = self.own[row]
                if end is not None:
                    hidden = self._either(hidden, frame.at_least(key, end))
                if start is not None:
                    hidden = self._either(hidden, frame.at_least(start, key + 1))
            scores.append(points.emit(arith.SelectOp(hidden, lowest, score)))
        return scores

    def _either(self, lhs: SSAValue, rhs: SSAValue) -> SSAValue:
        return self.points.emit(quick(arith.OrIOp, [lhs, rhs], i1))

    def _across_lanes(self, value: SSAValue) -> SSAValue:
        """The sum of a vector."""
        parts = [self.points.lane(value, lane) for lane in range(WIDTH)]
        while len(parts) > 1:
            halves = zip(parts[::2], parts[1::2], strict=True)
            parts = [self.map(arith.AddfOp, a, b) for a, b in halves]
        return parts[0]

    def _store_result(self, memory: SSAValue, totals: Values, values: Values) -> None:
        one = self.points.emit.constant(1.0, f32)
        inverse = [self.points.broadcast(self.map(arith.DivfOp, one, total)) for total in totals]
        of_lane = len(values) // len(totals)
        for row, factor in enumerate(inverse):
            for column, (number, _) in enumerate(self._features(self.width)):
                value = self.map(arith.MulfOp, values[row * of_lane + column], factor)
                feature = self.frame.guarded(number, self.width) * WIDTH + self.lane
                inside = self.frame.below(number, self.width)
                value = self.narrow(value, self.op.result)
                self._store(memory, self.op.result, row, (feature,), value, inside)

    def _store_logsumexp(self, memory: SSAValue, peaks: Values, totals: Values) -> None:
        first = self.frame.below(self.place, 1)
        with self.points.over(None):
            scale = self.points.emit.constant(1 / log2(e), f32)
            for row, (peak, total) in enumerate(zip(peaks, totals, strict=True)):
                found = self.map(arith.AddfOp, peak, self.map(math.Log2Op, total))
                found = self.map(arith.MulfOp, found, scale)
                self._store(memory, self.op.logsumexp, row, (), found, first)

    def _store(
        self, memory: SSAValue, tensor: SSAValue, row: int, rest: Sequence[Index], value: SSAValue,
        condition: SSAValue | None,
    ) -> None:  # fmt: skip
        """Writes what the tensor has for a row, if it is one and the condition holds."""
        query, count = self.queries[row], self.shape.queries

        def write() -> tuple[()]:
            place = (*self.batch, self.frame.guarded(query, count), *rest)
            self.points.store(value, memory, self.points.position(place, shape_of(tensor)))
            return ()

        self.frame.when(self.frame.both(condition, self.frame.below(query, count)), write)
