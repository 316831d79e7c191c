"""A contraction whose operands are staged through workgroup memory.

The workgroup loads a tile of each operand, with its depth outermost so that a thread reads vectors
of rows and of columns, then every thread multiplies its part of the tiles. While it multiplies, the
next tiles are on their way to registers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from xdsl.dialects import memref, vector
from xdsl.dialects.builtin import VectorType
from xdsl.ir import Attribute, SSAValue

from stepwell.dialects.kernel import FuncOp
from stepwell.passes.index import ZERO, Index
from stepwell.passes.schedules.contraction import WIDTH, Contraction, Group
from stepwell.passes.schedules.frame import lanes
from stepwell.passes.schedules.point import Lanes, quick


@dataclass(frozen=True)
class Plan:
    """What a workgroup computes, by `threads_down` x `threads_across` threads."""

    down: int
    """Blocks of 4 rows of a thread; blocks of neighbouring threads interleave."""
    across: int
    """Vectors of columns of a thread, which interleave too."""
    threads_down: int
    threads_across: int
    depth: int
    """Depth of the tiles in workgroup memory."""

    @property
    def threads(self) -> int:
        """Threads of the workgroup."""
        return self.threads_down * self.threads_across

    @property
    def rows(self) -> int:
        """Rows of a tile."""
        return self.down * self.threads_down * WIDTH

    @property
    def vectors(self) -> int:
        """Vectors of columns of a tile."""
        return self.across * self.threads_across

    @property
    def bytes(self) -> int:
        """Workgroup memory of the tiles."""
        return 4 * self.depth * (self.rows + WIDTH + self.vectors * WIDTH)

    def work(self, contraction: Contraction) -> float:
        """Results that the tiles compute, needed or not, and what reading their factors adds."""
        read = (self.down + self.across) / (self.down * self.across * WIDTH)
        return self.tiles(contraction) * self.rows * self.vectors * (1 + read)

    def tiles(self, contraction: Contraction) -> int:
        """Workgroups that the contraction takes."""
        rows = -(-contraction.rows.extent // self.rows)
        columns = -(-contraction.column_vectors // self.vectors)
        return contraction.batch.extent * rows * columns


PLANS = (
    Plan(2, 2, 16, 8, 16),
    Plan(2, 2, 8, 16, 16),
    Plan(2, 1, 8, 16, 16),
    Plan(1, 2, 4, 32, 16),
    Plan(1, 2, 4, 32, 8),
    Plan(1, 1, 16, 16, 16),
)


def plans(contraction: Contraction) -> list[Plan]:
    """Every plan that the target admits, best first: the least work, with enough tiles for it.

    Where even the smallest tiles are too few, the smallest come first.
    """
    target = contraction.frame.target
    admitted = [plan for plan in PLANS if plan.bytes <= target.max_workgroup_bytes]
    enough = target.split_threads // target.max_threads
    occupying = [plan for plan in admitted if plan.tiles(contraction) >= enough]
    rest = [plan for plan in reversed(admitted) if plan not in occupying]
    return [*sorted(occupying, key=lambda plan: plan.work(contraction)), *rest]


@dataclass
class _Side:
    """How one operand is staged."""

    side: int
    group: Group
    origin: Index
    size: int
    stride: int
    memory: SSAValue
    vector: Lanes | None
    lane: Index
    along_depth: bool


class WorkgroupTiles:
    """Tiles of `plan.rows` rows x `plan.vectors` vectors of columns, `plan.depth` deep."""

    def __init__(self, contraction: Contraction, plan: Plan | None = None):
        self.it = contraction
        self.plan = plan or plans(contraction)[0]
        self.element: Attribute = contraction.factors[0].type

    def run(self) -> FuncOp:
        it, frame, plan = self.it, self.it.frame, self.plan
        vectors = plan.vectors
        row_tiles = -(-it.rows.extent // plan.rows)
        column_tiles = -(-it.column_vectors // vectors)
        count = plan.tiles(it)
        group, grid = frame.workgroup(count)
        group = frame.clamped(group, count)
        self.thread = frame.thread(plan.threads)
        tile = group // column_tiles
        self.batch = tile // row_tiles
        row_origin = (tile % row_tiles) * plan.rows
        column_origin = (group % column_tiles) * (vectors * it.width)
        across, down = self.thread % plan.threads_across, self.thread // plan.threads_across
        # One vector of padding keeps transposed writes off each other's banks.
        left = self._side(0, it.rows, row_origin, plan.rows, WIDTH)
        right = self._side(1, it.columns, column_origin, vectors * it.width, 0)
        steps = -(-it.depth.extent // plan.depth)

        def step(index: Index, carried: Sequence[SSAValue]) -> Sequence[SSAValue]:
            tiles, sums = carried[:fetched], carried[fetched:]
            self._put(left, tiles[:half])
            self._put(right, tiles[half:])
            frame.barrier()
            following = frame.clamped(index + 1, steps) * plan.depth
            tiles = [*self._fetch(left, following), *self._fetch(right, following)]
            sums = self._multiply(left, right, down, across, sums)
            frame.barrier()
            return [*tiles, *sums]

        first = [self._fetch(left, ZERO), self._fetch(right, ZERO)]
        half, fetched = len(first[0]), len(first[0]) + len(first[1])
        sums = [it.accumulator()] * (plan.down * WIDTH * plan.across)
        results = frame.loop(steps, [*first[0], *first[1], *sums], step)[fetched:]
        blocks = product(range(plan.down), range(WIDTH), range(plan.across))
        for (block, part, vectors), result in zip(blocks, results, strict=True):
            row = row_origin + down * WIDTH + (block * plan.threads_down * WIDTH + part)
            column = _quotient(column_origin, it.width) + across + vectors * plan.threads_across
            it.epilogue(
                self.batch,
                frame.guarded(row, it.rows.extent),
                frame.guarded(column, it.column_vectors) * it.width + it.lane,
                result,
                frame.both(
                    frame.below(row, it.rows.extent), frame.below(column, it.column_vectors)
                ),
            )
        return frame.finish(plan.threads, grid)

    def _side(self, side: int, group: Group, origin: Index, size: int, padding: int) -> _Side:
        it = self.it
        along_depth = it.reads_vectors(side, it.depth) or (
            not it.reads_vectors(side, group)
            and it.depth.extent % WIDTH == 0
            and it.run_along(side, it.depth) > it.run_along(side, group)
        )
        along_group = not along_depth and group.extent % WIDTH == 0 and size % WIDTH == 0
        vector, lane = lanes(WIDTH if along_depth or along_group else 1)
        stride = size + padding
        memory = it.frame.shared(self.element, self.plan.depth * stride)
        return _Side(side, group, origin, size, stride, memory, vector, lane, along_depth)

    def _places(self, side: _Side) -> list[tuple[Index, Index, SSAValue | None]]:
        """What a thread loads in each turn: where in the tile (of the group, of the depth), and
        whether anything is left to load (None: for every thread)."""
        frame, width = self.it.frame, side.lane.hi + 1
        threads = self.plan.threads
        count = side.size * self.plan.depth // width
        places: list[tuple[Index, Index, SSAValue | None]] = []
        for turn in range(-(-count // threads)):
            number = self.thread + turn * threads
            busy = frame.below(number, count)
            number = frame.guarded(number, count)
            if side.along_depth:
                per_row = self.plan.depth // width
                places.append((number // per_row, (number % per_row) * width, busy))
            else:
                per_depth = side.size // width
                places.append(((number % per_depth) * width, number // per_depth, busy))
        return places

    def _fetch(self, side: _Side, depth_origin: Index) -> list[SSAValue]:
        """The thread's part of a tile of the operand, zero past the end."""
        with self.it.points.over(side.vector):
            return [
                self._inside_or_zero(side, side.origin + inner, depth_origin + outer, busy)
                for inner, outer, busy in self._places(side)
            ]

    def _put(self, side: _Side, values: Sequence[SSAValue]) -> None:
        """Writes the thread's part of a tile to memory[depth][group]."""
        points = self.it.points
        with points.over(side.vector):
            for (inner, outer, busy), value in zip(self._places(side), values, strict=True):

                def write(
                    inner: Index = inner, outer: Index = outer, value: SSAValue = value
                ) -> tuple[()]:
                    for offset in range(side.lane.hi + 1 if side.along_depth else 1):
                        at = points.index((outer + offset) * side.stride + inner)
                        item = points.lane(value, offset) if side.along_depth else value
                        whole = side.vector is not None and not side.along_depth
                        store = vector.StoreOp if whole else memref.StoreOp
                        points.emit.insert(quick(store, [item, side.memory, at]))
                    return ()

                self.it.frame.when(busy, write)

    def _inside_or_zero(
        self, side: _Side, at_group: Index, at_depth: Index, busy: SSAValue | None
    ) -> SSAValue:
        """An operand's element (or vector), zero past the end of its rows, columns or depth."""
        it, frame, points = self.it, self.it.frame, self.it.points
        width = side.lane.hi + 1
        group_width, depth_width = (1, width) if side.along_depth else (width, 1)
        group_count, depth_count = side.group.extent // group_width, it.depth.extent // depth_width
        group_vector = _quotient(at_group, group_width)
        depth_vector = _quotient(at_depth, depth_width)

        def spread(value: SSAValue) -> Sequence[SSAValue]:
            return [value if side.vector is None else points.broadcast(value)]

        def read() -> Sequence[SSAValue]:
            row = frame.guarded(group_vector, group_count) * group_width
            depth = frame.guarded(depth_vector, depth_count) * depth_width
            row, depth = (row, depth + side.lane) if side.along_depth else (row + side.lane, depth)
            mapped = {**it.batch.at(self.batch), **side.group.at(row), **it.depth.at(depth)}
            return spread(it.operand(side.side, mapped))

        inside = frame.both(
            busy, frame.below(group_vector, group_count), frame.below(depth_vector, depth_count)
        )
        (value,) = frame.when(inside, read, lambda: spread(points.emit.constant(0, self.element)))
        return value

    def _multiply(
        self, left: _Side, right: _Side, down: Index, across: Index, sums: Sequence[SSAValue]
    ) -> Sequence[SSAValue]:
        it, points, plan = self.it, self.it.points, self.plan
        results = list(sums)
        for depth in range(plan.depth):
            rows = [
                self._load(
                    left.memory,
                    WIDTH,
                    down * WIDTH + (block * plan.threads_down * WIDTH + depth * left.stride),
                )
                for block in range(plan.down)
            ]
            columns = [
                self._load(
                    right.memory,
                    it.width,
                    across * it.width
                    + (block * plan.threads_across * it.width + depth * right.stride),
                )
                for block in range(plan.across)
            ]
            blocks = product(range(plan.down), range(WIDTH), range(plan.across))
            for number, (block, part, column) in enumerate(blocks):
                factor = points.lane(rows[block], part)
                results[number] = it.multiply_add(factor, columns[column], results[number])
        return results

    def _load(self, memory: SSAValue, width: int, position: Index) -> SSAValue:
        points = self.it.points
        at = points.index(position)
        if width == 1:
            return points.emit(quick(memref.LoadOp, [memory, at], self.element))
        return points.emit(quick(vector.LoadOp, [memory, at], VectorType(self.element, [width])))


def _quotient(index: Index, width: int) -> Index:
    """index / width of an index that is a multiple of width."""
    assert index.divisible_by(width), f"{index} is no multiple of {width}"
    return index // width
