"""A contraction whose operands are staged through workgroup memory.

The workgroup loads a tile of each operand, with its depth outermost so that a thread reads vectors
of rows and of columns, then every thread multiplies its part of the tiles.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from xdsl.dialects import memref, vector
from xdsl.dialects.builtin import VectorType
from xdsl.ir import Attribute, SSAValue

from stepwell.dialects.kernel import FuncOp
from stepwell.passes.index import Index, Var, constant
from stepwell.passes.schedules.contraction import Contraction, Group
from stepwell.passes.schedules.frame import lanes
from stepwell.passes.schedules.point import quick

SIDE = 16
"""Threads along the rows and along the columns of a tile."""


class WorkgroupTiles:
    """Tiles of 16 `rows` x 16 vectors of columns, `depth` deep."""

    def __init__(self, contraction: Contraction):
        self.it = contraction
        rows, _, depth = contraction.frame.target.matmul_tile
        self.rows, self.depth = rows, depth

    def run(self) -> FuncOp:
        it, frame = self.it, self.it.frame
        tile_rows, tile_columns = SIDE * self.rows, SIDE * it.width
        row_tiles = -(-it.rows.extent // tile_rows)
        column_tiles = -(-it.columns.extent // tile_columns)
        count = it.batch.extent * row_tiles * column_tiles
        group, grid = frame.workgroup(count)
        group = frame.clamped(group, count)
        thread = frame.thread(SIDE * SIDE)
        tile = group // column_tiles
        batch = tile // row_tiles
        row_origin = (tile % row_tiles) * tile_rows
        column_origin = (group % column_tiles) * tile_columns
        across, down = thread % SIDE, thread // SIDE
        element = self._element()
        # One vector of padding keeps transposed writes off each other's banks.
        stride = tile_rows + 4
        left = frame.shared(element, self.depth * stride)
        right = frame.shared(element, self.depth * tile_columns)

        def step(index: Index, carried: Sequence[SSAValue]) -> Sequence[SSAValue]:
            origin = index * self.depth
            self._stage(0, left, stride, batch, it.rows, row_origin, tile_rows, origin, thread)
            self._stage(
                1,
                right,
                tile_columns,
                batch,
                it.columns,
                column_origin,
                tile_columns,
                origin,
                thread,
            )
            frame.barrier()
            results = self._multiply(left, stride, right, tile_columns, down, across, carried)
            frame.barrier()
            return results

        start = [it.accumulator()] * self.rows
        results = frame.loop(-(-it.depth.extent // self.depth), start, step)
        column = column_origin + across * it.width
        for number, result in enumerate(results):
            row = row_origin + down * self.rows + number
            vectors = _quotient(column, it.width)
            inside = frame.both(
                frame.below(row, it.rows.extent), frame.below(vectors, it.column_vectors)
            )
            it.epilogue(
                batch,
                frame.guarded(row, it.rows.extent),
                frame.guarded(vectors, it.column_vectors) * it.width + it.lane,
                result,
                inside,
            )
        return frame.finish(SIDE * SIDE, grid)

    def _element(self) -> Attribute:
        """The element type of the staged tiles: what is multiplied."""
        return self.it.factors[0].type

    def _stage(
        self,
        side: int,
        memory: SSAValue,
        stride: int,
        batch: Index,
        group: Group,
        origin: Index,
        size: int,
        depth_origin: Index,
        thread: Index,
    ) -> None:
        """Copies a tile of an operand, `size` of the group x depth, to memory[depth][group]."""
        it, frame, points = self.it, self.it.frame, self.it.points
        along_depth = it.runs_along(side, it.depth) and it.depth.extent % 4 == 0
        along_group = not along_depth and group.extent % 4 == 0 and size % 4 == 0
        vectored, lane = lanes(4 if along_depth or along_group else 1)
        width = lane.hi + 1
        count = size * self.depth // width
        threads = SIDE * SIDE
        for turn in range(-(-count // threads)):
            number = thread + turn * threads
            busy = frame.below(number, count)
            number = frame.guarded(number, count)
            if along_depth:
                per_row = self.depth // width
                inner, outer = number // per_row, (number % per_row) * width
                at_group, at_depth = origin + inner, depth_origin + outer + lane
            else:
                per_depth = size // width
                inner, outer = (number % per_depth) * width, number // per_depth
                at_group, at_depth = origin + inner + lane, depth_origin + outer

            def copy(
                inner: Index = inner,
                outer: Index = outer,
                at_group: Index = at_group,
                at_depth: Index = at_depth,
            ) -> tuple[()]:
                with points.over(vectored):
                    value = self._inside_or_zero(side, batch, group, at_group, at_depth)
                    if along_depth:
                        for offset in range(width):
                            at = points.index((outer + offset) * stride + inner)
                            item = points.lane(value, offset)
                            points.emit.insert(memref.StoreOp.get(item, memory, [at]))
                    else:
                        at = points.index(outer * stride + inner)
                        store = (
                            vector.StoreOp(points.broadcast(value), memory, [at])
                            if along_group
                            else memref.StoreOp.get(value, memory, [at])
                        )
                        points.emit.insert(store)
                return ()

            frame.when(busy, copy)

    def _inside_or_zero(
        self, side: int, batch: Index, group: Group, at_group: Index, at_depth: Index
    ) -> SSAValue:
        """An operand's element (or vector), zero past the end of its rows, columns or depth."""
        it, frame, points = self.it, self.it.frame, self.it.points
        width = points.lanes.width if points.lanes is not None else 1

        def base(index: Index) -> tuple[Index, Index, int]:
            """The index of the vector and the lane within it."""
            if points.lanes is None or points.lanes.var not in index.variables():
                return index, constant(0), 1
            return (
                _quotient(index.substitute({points.lanes.var: constant(0)}), width),
                Index({points.lanes.var: 1}, 0),
                width,
            )

        (group_base, group_lane, group_width) = base(at_group)
        (depth_base, depth_lane, depth_width) = base(at_depth)
        group_bound = group.extent // group_width
        depth_bound = it.depth.extent // depth_width
        inside = frame.both(
            frame.below(group_base, group_bound), frame.below(depth_base, depth_bound)
        )

        def read() -> Sequence[SSAValue]:
            row = frame.guarded(group_base, group_bound) * group_width + group_lane
            depth = frame.guarded(depth_base, depth_bound) * depth_width + depth_lane
            mapped: dict[Var, Index] = {
                **it.batch.at(batch),
                **group.at(row),
                **it.depth.at(depth),
            }
            value = it.operand(side, mapped)
            return [points.broadcast(value) if points.lanes is not None else value]

        def zero() -> Sequence[SSAValue]:
            value = points.emit.constant(0, self._element())
            return [points.broadcast(value) if points.lanes is not None else value]

        (value,) = frame.when(inside, read, zero)
        return value

    def _multiply(
        self,
        left: SSAValue,
        stride: int,
        right: SSAValue,
        tile_columns: int,
        down: Index,
        across: Index,
        carried: Sequence[SSAValue],
    ) -> Sequence[SSAValue]:
        it, points = self.it, self.it.points
        results = list(carried)
        tile = VectorType(self._element(), [4])
        for depth, part in product(range(self.depth), range(self.rows // 4)):
            at = points.index(down * self.rows + part * 4 + depth * stride)
            rows = points.emit(quick(vector.LoadOp, [left, at], tile))
            at = points.index(across * it.width + depth * tile_columns)
            with points.over(it.lanes):
                if it.lanes is not None:
                    columns = points.emit(quick(vector.LoadOp, [right, at], tile))
                else:
                    columns = points.emit(memref.LoadOp.get(right, [at]))
                for row in range(4):
                    number = part * 4 + row
                    factor = points.lane(rows, row)
                    results[number] = it.multiply_add(factor, columns, results[number])
        return results


def _quotient(index: Index, width: int) -> Index:
    """index / width of an index that is a multiple of width."""
    assert index.divisible_by(width)
    return index // width
