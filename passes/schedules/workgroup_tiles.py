"""A contraction whose operands are staged through workgroup memory.

The workgroup loads a tile of each operand, with its depth outermost so that a thread reads vectors
of rows and of columns, then every thread multiplies its part of the tiles. While it multiplies, the
next tiles are on their way to registers. Where a contraction has few rows or columns, several
slices of the workgroup share a tile of results: each multiplies a part of the depth, and what they
have is added in workgroup memory.

Nothing in the loop is guarded. The last tile of rows or columns ends where these end, and repeats
some that the one before has, which it does not write; the first tile of the depth is the one that
is not whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import product
from math import gcd

from xdsl.dialects import memref, vector
from xdsl.dialects.builtin import MemRefType
from xdsl.ir import Attribute, SSAValue

from stepwell.dialects.emit import vector_type
from stepwell.dialects.kernel import FuncOp
from stepwell.passes.index import ZERO, Index, constant
from stepwell.passes.schedules.contraction import Contraction, Group
from stepwell.passes.schedules.frame import lanes
from stepwell.passes.schedules.point import Lanes, quick
from stepwell.passes.schedules.tile_plans import BANKS, PLANS, WIDTH, Plan, plans_for

__all__ = ["PLANS", "Plan", "WorkgroupTiles", "plans"]

NEAR = (4, 8)
"""Threads down and across that are neighbours: their loads from workgroup memory overlap most."""


def plans(contraction: Contraction) -> list[Plan]:
    """Every plan that suits the contraction and its target, the cheapest first."""
    return plans_for(contraction.sizes, contraction.frame.target)


@dataclass
class _Side:
    """How one operand is staged."""

    side: int
    group: Group
    origin: Index
    size: int
    padding: int
    """Elements that keep threads that write along the depth off each other's banks: after each
    `width` steps of the depth."""
    memory: SSAValue
    vector: Lanes | None
    lane: Index
    along_depth: bool

    @property
    def width(self) -> int:
        """Elements that a thread reads at once."""
        return self.lane.hi + 1

    def place(self, depth: Index, inner: Index) -> Index:
        """Where an element of the tile is in workgroup memory."""
        return depth * self.size + (depth // self.width) * self.padding + inner


@dataclass
class _Span:
    """The rows or the columns of a workgroup's tile."""

    extent: int
    size: int
    first: Index
    """The first that is the tile's own."""
    origin: Index
    """The first that it computes."""


class WorkgroupTiles:
    """Tiles of `plan.rows` x `plan.columns`, `plan.depth` deep."""

    def __init__(self, contraction: Contraction, plan: Plan | None = None):
        self.it = contraction
        self.plan = plan or plans(contraction)[0]
        self.element: Attribute = contraction.factors[0].type

    def run(self) -> FuncOp:
        it, frame, plan = self.it, self.it.frame, self.plan
        row_tiles = -(-it.rows.extent // plan.rows)
        column_tiles = -(-it.columns.extent // plan.columns)
        count = plan.tiles(it.sizes)
        group, grid = frame.workgroup(count)
        group = frame.clamped(group, count)
        self.thread = frame.thread(plan.threads)
        self.slice = self.thread // plan.slice_threads
        self.down, self.across = self._position(self.thread % plan.slice_threads)
        tile = group // column_tiles
        self.batch = tile // row_tiles
        self.rows = self._span(it.rows.extent, plan.rows, tile % row_tiles)
        self.columns = self._span(it.columns.extent, plan.columns, group % column_tiles)
        left = self._side(0, it.rows, self.rows)
        right = self._side(1, it.columns, self.columns)
        steps = -(-it.depth.extent // plan.depth)
        rest = it.depth.extent - (steps - 1) * plan.depth

        def step(index: Index, carried: Sequence[SSAValue]) -> Sequence[SSAValue]:
            tiles, sums = carried[:fetched], carried[fetched:]
            self._put(left, tiles[:half])
            self._put(right, tiles[half:])
            frame.barrier()
            if steps > 1:
                following = frame.clamped(index, steps - 1) * plan.depth + rest
                tiles = [
                    *self._fetch(left, following, plan.depth),
                    *self._fetch(right, following, plan.depth),
                ]
            sums = self._multiply(left, right, sums)
            frame.barrier()
            return [*tiles, *sums]

        first = [self._fetch(left, ZERO, rest), self._fetch(right, ZERO, rest)]
        half, fetched = len(first[0]), len(first[0]) + len(first[1])
        sums = [it.accumulator()] * (plan.results // WIDTH)
        results = frame.loop(steps, [*first[0], *first[1], *sums], step)[fetched:]
        if plan.slices == 1:
            self._write(results, lambda number: number)
        else:
            larger = left if plan.rows > plan.columns else right
            self._add_slices(larger.memory, results)
        return frame.finish(plan.threads, grid)

    def _position(self, thread: Index) -> tuple[Index, Index]:
        """Where a thread of a slice is, down and across."""
        plan, (down, across) = self.plan, NEAR
        if plan.threads_down % down or plan.threads_across % across:
            return thread // plan.threads_across, thread % plan.threads_across
        block, near = thread // (down * across), thread % (down * across)
        blocks = plan.threads_across // across
        return (
            (block // blocks) * down + near // across,
            (block % blocks) * across + near % across,
        )

    def _span(self, extent: int, size: int, tile: Index) -> _Span:
        first = tile * size
        if extent % size == 0 or extent < size:
            return _Span(extent, size, first, first)
        unit = WIDTH if extent % WIDTH == 0 else 1
        last = (extent - size) // unit
        origin = self.it.frame.clamped(tile * (size // unit), last + 1) * unit
        return _Span(extent, size, first, origin)

    def _side(self, side: int, group: Group, span: _Span) -> _Side:
        it, plan = self.it, self.plan
        run, extent = it.run_along(side, it.depth), it.depth.extent
        along_depth = it.reads_vectors(side, it.depth) or (
            not it.reads_vectors(side, group)
            and (extent % WIDTH == 0 or run == extent)
            and run > it.run_along(side, group)
        )
        extent = it.depth.extent if along_depth else group.extent
        vector, lane = lanes(WIDTH if extent % WIDTH == 0 else 1)
        memory = it.frame.shared(self.element, plan.elements[side])
        # Threads that read on along the depth should write to other banks.
        padding = max(WIDTH, BANKS * (lane.hi + 1) // plan.depth) if along_depth else 0
        return _Side(
            side, group, span.origin, span.size, padding, memory, vector, lane, along_depth
        )

    def _places(self, side: _Side) -> list[tuple[Index, Index, SSAValue | None]]:
        """What a thread loads in each turn: where in the tile (of the group, of the depth), and
        whether it is there (None: it is); else it is what another thread loads too."""
        frame, width, threads = self.it.frame, side.width, self.plan.threads
        count = side.size * self.plan.depth // width
        places: list[tuple[Index, Index, SSAValue | None]] = []
        for turn in range(-(-count // threads)):
            number = self.thread + turn * threads
            own = frame.below(number, count)
            number = frame.clamped(number, count)
            if side.along_depth:
                per_row = self.plan.depth // width
                places.append((number // per_row, (number % per_row) * width, own))
            else:
                per_depth = side.size // width
                places.append(((number % per_depth) * width, number // per_depth, own))
        return places

    def _fetch(self, side: _Side, depth_origin: Index, rest: int) -> list[SSAValue]:
        """The thread's part of a tile of the operand, zero from step `rest` of its depth on."""
        it, frame, points = self.it, self.it.frame, self.it.points
        width = side.width
        group_width, depth_width = (1, width) if side.along_depth else (width, 1)

        def spread(value: SSAValue) -> Sequence[SSAValue]:
            return [value if side.vector is None else points.broadcast(value)]

        def fetched(inner: Index, outer: Index) -> SSAValue:
            step = _quotient(outer, depth_width)

            def read() -> Sequence[SSAValue]:
                group = _quotient(side.origin + inner, group_width)
                group = frame.clamped(group, side.group.extent // group_width) * group_width
                depth = depth_origin + frame.guarded(step, rest // depth_width) * depth_width
                at = side.lane if side.along_depth else ZERO
                mapped = it.batch.at(self.batch) | it.depth.at(depth + at)
                at = ZERO if side.along_depth else side.lane
                return spread(it.narrow(side.side, mapped | side.group.at(group + at)))

            def zero() -> Sequence[SSAValue]:
                return spread(points.emit.constant(0, it.narrow_type(side.side)))

            if step.lo >= rest // depth_width:
                return zero()[0]
            (value,) = frame.when(frame.below(step, rest // depth_width), read, zero)
            return value

        with points.over(side.vector):
            return [fetched(inner, outer) for inner, outer, _ in self._places(side)]

    def _put(self, side: _Side, values: Sequence[SSAValue]) -> None:
        """Writes the thread's part of a tile to memory[depth][group]."""
        points = self.it.points
        with points.over(side.vector):
            for (inner, outer, own), value in zip(self._places(side), values, strict=True):

                def write(
                    inner: Index = inner, outer: Index = outer, value: SSAValue = value
                ) -> tuple[()]:
                    value = self.it.widened(side.side, value)
                    for offset in range(side.width if side.along_depth else 1):
                        at = points.index(side.place(outer + offset, inner))
                        item = points.lane(value, offset) if side.along_depth else value
                        whole = side.vector is not None and not side.along_depth
                        store = vector.StoreOp if whole else memref.StoreOp
                        points.emit.insert(quick(store, [item, side.memory, at]))
                    return ()

                self.it.frame.when(own, write)

    def _multiply(self, left: _Side, right: _Side, sums: Sequence[SSAValue]) -> Sequence[SSAValue]:
        it, points, plan = self.it, self.it.points, self.plan
        results = list(sums)
        steps = plan.depth // plan.slices
        for step in range(steps):
            depth = self.slice * steps + step
            rows = [
                self._load(left.memory, left.place(depth, self._row(block)))
                for block in range(plan.down)
            ]
            columns = [
                self._load(right.memory, right.place(depth, self._column(block)))
                for block in range(plan.across)
            ]
            blocks = product(range(plan.down), range(WIDTH), range(plan.across))
            for number, (block, part, column) in enumerate(blocks):
                factor = points.lane(rows[block], part)
                results[number] = it.multiply_add(factor, columns[column], results[number])
        return results

    def _load(self, memory: SSAValue, position: Index) -> SSAValue:
        points = self.it.points
        type_ = vector_type(self.element, WIDTH)
        return points.emit(quick(vector.LoadOp, [memory, points.index(position)], type_))

    def _row(self, block: Index | int) -> Index:
        """The first row in the tile of a block of the thread's rows."""
        return _scaled(block, self.plan.threads_down * WIDTH) + self.down * WIDTH

    def _column(self, block: Index | int) -> Index:
        """The first column in the tile of a vector of the thread's columns."""
        return _scaled(block, self.plan.threads_across * WIDTH) + self.across * WIDTH

    def _add_slices(self, memory: SSAValue, results: Sequence[SSAValue]) -> None:
        """Adds what the slices have, and writes it. Each slice adds other results."""
        it, frame, points, plan = self.it, self.it.frame, self.it.points, self.plan
        assert isinstance(memory.type, MemRefType)
        room = memory.type.get_shape()[0] // (plan.threads * WIDTH)
        together = gcd(len(results), 1 << min(room, plan.slices).bit_length() - 1)
        own = self.thread % plan.slice_threads
        for first in range(0, len(results), together):
            if first:
                frame.barrier()
            for number, result in enumerate(results[first : first + together]):
                at = points.index((self.thread + number * plan.threads) * WIDTH)
                points.emit.insert(quick(vector.StoreOp, [result, memory, at]))
            frame.barrier()

            def add(first: int = first) -> tuple[()]:
                mine = frame.guarded(self.slice, together)
                parts = [
                    self._load(memory, (mine * plan.threads + own + part) * WIDTH)
                    for part in range(0, plan.threads, plan.slice_threads)
                ]
                with points.over(it.lanes):
                    total = reduce(lambda lhs, rhs: points.apply(it.add, [lhs, rhs]), parts)
                self._write([total], lambda number: mine + number + first)  # noqa: B023
                return ()

            frame.when(frame.below(self.slice, together), add)

    def _write(self, results: Sequence[SSAValue], numbered: Callable[[Index], Index]) -> None:
        """Writes vectors of results, given the number that each has among the thread's.

        Where rows of the output are not made of vectors, element by element in a loop.
        """
        it, points = self.it, self.it.points
        if it.columns.extent % WIDTH == 0:
            with points.over(it.lanes):
                for number, result in enumerate(results):
                    self._write_one(numbered(constant(number)), WIDTH, it.lane, result)
            return
        with points.over(it.lanes):
            memory = it.frame.private(results, WIDTH)

        def write(position: Index, carried: Sequence[SSAValue]) -> Sequence[SSAValue]:
            number, lane = position // WIDTH, position % WIDTH
            self._write_one(numbered(number), 1, lane, points.load(memory, position))
            return carried

        with points.over(None):
            it.frame.loop(len(results) * WIDTH, [], write)

    def _write_one(self, number: Index, width: int, lane: Index, result: SSAValue) -> None:
        """Writes a vector of results, or one of its lanes where `width` is one."""
        it, frame, across = self.it, self.it.frame, self.plan.across
        block, part = number // (WIDTH * across), (number // across) % WIDTH
        row = self.rows.origin + self._row(block) + part
        column = self.columns.origin + self._column(number % across)
        if width == 1:
            column, lane = column + lane, ZERO
        if row.lo >= self.rows.extent or column.lo >= self.columns.extent:
            return
        inside = frame.both(self._owns(self.rows, row, 1), self._owns(self.columns, column, width))
        row = frame.guarded(row, self.rows.extent)
        vectors = self.columns.extent // width
        column = frame.guarded(_quotient(column, width), vectors) * width
        it.epilogue(self.batch, row, column + lane, result, inside)

    def _owns(self, span: _Span, index: Index, width: int) -> SSAValue | None:
        """Whether the tile is the one to write a row or a vector of columns; None: it is."""
        if span.extent < span.size:
            return self.it.frame.below(_quotient(index, width), span.extent // width)
        if span.extent % span.size == 0:
            return None
        return self.it.frame.at_least(index, span.first)


def _scaled(index: Index | int, factor: int) -> Index:
    return constant(index * factor) if isinstance(index, int) else index * factor


def _quotient(index: Index, width: int) -> Index:
    """index / width of an index that is a multiple of width."""
    assert index.divisible_by(width), f"{index} is no multiple of {width}"
    return index // width
