"""The schedules of the gradients of attention, which compute scores and weights again.

The gradient of the query has tiles of queries and goes over keys; those of key and value have tiles
of keys and go over queries. Weights follow from the log-sum-exp of their row, so nothing is carried
from tile to tile but the results, and no two workgroups add to the same one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from math import e, log2

from xdsl.dialects import arith, math
from xdsl.ir import SSAValue

from stepwell.dialects import kernel
from stepwell.dialects.array.attention import LOWEST
from stepwell.dialects.linalg_ext import (
    AttentionGradientOp,
    AttentionKeyGradientOp,
    AttentionQueryGradientOp,
)
from stepwell.passes.index import ZERO, Index
from stepwell.passes.schedules.attention.plan import VECTORS, WIDTH, Plan
from stepwell.passes.schedules.attention.tiles import Sums, Tiles, Values
from stepwell.passes.schedules.frame import Frame

_Each = Callable[[int], SSAValue]


class Gradient(Tiles):
    """The gradient of the query by rows of queries, or of key and value by rows of keys."""

    def __init__(self, frame: Frame, op: AttentionGradientOp, plan: Plan):
        by_keys = isinstance(op, AttentionKeyGradientOp)
        super().__init__(frame, op, plan, rows_are_keys=by_keys)
        self.op = op
        query, key = (op.query, op.dout), (op.key, op.value)
        self.rows, self.columns = (key, query) if by_keys else (query, key)
        stored = {output.tensor for output in frame.outputs}
        self.of_weights: list[Sums] = []
        self.of_slopes: list[Sums] = []
        if isinstance(op, AttentionQueryGradientOp):
            self.of_slopes = [Sums(op.dquery, op.key)]
        elif isinstance(op, AttentionKeyGradientOp):
            self.of_weights = [Sums(op.dvalue, op.dout)] if op.dvalue in stored else []
            self.of_slopes = [Sums(op.dkey, op.query)] if op.dkey in stored else []

    def run(self) -> kernel.FuncOp:
        grid = self.place([*self.of_weights, *self.of_slopes])
        with self.points.over(self.vector):
            self._body()
        return self.frame.finish(self.plan.threads, grid)

    def _body(self) -> None:
        sums = [*self.of_weights, *self.of_slopes]
        tile = self._tile
        if not self.rows_are_keys:
            known = self._statistics(ZERO)
            tile = partial(self._tile, known=known)
        results = self.loop([zero for each in sums for zero in self.zeros(each)], tile)
        for each, values in self._parts(results):
            scale = self.splat(1.0 if each in self.of_weights else self.op.scale.value.data)
            for output in self.frame.outputs:
                if output.tensor is each.result:
                    self.store(output.memref, each, values, lambda row, scale=scale: scale)

    def _parts(self, carried: Values) -> Iterator[tuple[Sums, Values]]:
        """Which values belong to which sums."""
        for each in (*self.of_weights, *self.of_slopes):
            count = len(self.zeros(each))
            yield each, carried[:count]
            carried = carried[count:]

    def _tile(
        self, origin: Index, carried: Values, known: tuple[_Each, _Each] | None = None
    ) -> Values:
        """One tile: the weights and the gradient of the scores, each multiplied again."""
        minus_logsumexp, minus_delta = known or self._statistics(origin)
        parts = dict(self._parts(carried))
        (rows, slope_rows), (columns, slope_columns) = self.rows, self.columns
        scores = self.scores(rows, columns, origin)
        weights = [
            self.map(math.Exp2Op, self.map(arith.AddfOp, score, minus_logsumexp(number)))
            for number, score in enumerate(self.masked(origin, scores))
        ]
        for each in self.of_weights:
            parts[each] = self.add(each, weights, origin, parts[each])
        if self.of_slopes:
            start = [minus_delta(number) for number in range(len(weights))]
            received = self.product(slope_rows, slope_columns, origin, start)
            slopes = [self.map(arith.MulfOp, a, b) for a, b in zip(weights, received, strict=True)]
            slopes = [
                self.through_cap(slope, score) for slope, score in zip(slopes, scores, strict=True)
            ]
            for each in self.of_slopes:
                parts[each] = self.add(each, slopes, origin, parts[each])
        return [value for values in parts.values() for value in values]

    def _statistics(self, origin: Index) -> tuple[_Each, _Each]:
        """For a vector of scores by its number: minus the log-sum-exp of its queries in units of
        log 2, and minus their delta. `origin`: of the columns, if these are queries."""
        scale, most = self.splat(-log2(e)), self.splat(-LOWEST / 2)
        minus_logsumexp = [
            # A query that sees nothing may have any, and has no weights.
            self.map(arith.MinimumfOp, self.map(arith.MulfOp, each, scale), most)
            for each in self._of_queries(self.op.logsumexp, origin)
        ]
        minus_delta = [
            self.map(arith.MulfOp, each, self.splat(-1))
            for each in self._of_queries(self.op.delta, origin)
        ]
        if self.rows_are_keys:
            return (
                lambda number: minus_logsumexp[number % VECTORS],
                lambda number: minus_delta[number % VECTORS],
            )
        return (
            lambda number: self.of_row(minus_logsumexp, number // VECTORS),
            lambda number: self.of_row(minus_delta, number // VECTORS),
        )

    def _of_queries(self, rows: SSAValue, origin: Index) -> Values:
        """What `rows` has for the thread's queries, in vectors."""
        count = VECTORS if self.rows_are_keys else self.plan.down
        vectors: list[SSAValue] = []
        for number in range(count):
            queries = [
                self.in_lane(self.column(origin, number), lane)
                if self.rows_are_keys
                else self.origin + self.row(number) + lane
                for lane in range(WIDTH)
            ]
            places = [self.frame.clamped(query, self.shape.queries) for query in queries]
            vectors.append(
                self.gather([self.points.value(rows, (*self.batch, place)) for place in places])
            )
        return vectors
