"""The schedule of contractions: matrix products and everything that reads like one.

The loops of a contraction are grouped into batch, rows, columns and depth, each flattened. A thread
computes a tile of rows x vectors of columns in registers; where its operands come from is the
target's choice: straight from storage (`register_tiles`), or staged through workgroup memory by the
whole workgroup (`workgroup_tiles`). Operands are evaluated point by point, so any prologue is part
of the load; the epilogue is whatever the kernel stores.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf, prod

from xdsl.dialects import arith, math
from xdsl.dialects.builtin import AnyFloat, VectorType
from xdsl.dialects.linalg.ops import GenericOp
from xdsl.ir import Attribute, BlockArgument, Operation, SSAValue

from stepwell.passes import structured
from stepwell.passes.domain import Place
from stepwell.passes.index import Index, Var, apply_map, delinearize, linearize, var
from stepwell.passes.schedules.frame import Frame, Mapped, assign, extents, lanes, placed
from stepwell.passes.schedules.point import quick
from stepwell.passes.schedules.tile_plans import WIDTH, Sizes
from stepwell.passes.structured import shape_of


@dataclass(frozen=True)
class Group:
    """Some loops of the contraction, flattened into one."""

    variables: tuple[Index, ...]

    @property
    def extent(self) -> int:
        return prod(extents(self.variables))

    def at(self, position: Index) -> dict[Var, Index]:
        """The loops at a flattened position."""
        return assign(self.variables, delinearize(position, extents(self.variables)))


class Contraction:
    """What both ways of tiling share: the flattened loops, operands and the epilogue."""

    def __init__(self, frame: Frame):
        self.frame, self.points = frame, frame.points
        (self.fold,) = frame.domain.folds
        op = self.fold.op
        loops = structured.contraction_loops(op)
        assert loops is not None, "the fold of a contraction kernel is a contraction"
        self.batch, rows, columns, self.depth = (
            Group(tuple(self.fold.loops[loop] for loop in group)) for group in loops
        )
        # Vectors run along the columns: the loops along which results are closest in the output.
        self.sides = (1, 0) if self._stride(rows) < self._stride(columns) else (0, 1)
        """The operand of the rows and the operand of the columns."""
        self.rows, self.columns = (rows, columns) if self.sides == (0, 1) else (columns, rows)
        self.add = structured.combiner(op)
        (product,) = [v for v in self.add.operands if not isinstance(v, BlockArgument)]
        assert isinstance(product.owner, Operation)
        self.multiply = product.owner
        by_operand = {_source(factor).index: factor for factor in self.multiply.operands}
        self.factors = [by_operand[side] for side in self.sides]
        # Tiles in workgroup memory are made of vectors, whatever the rows of the output are.
        vectors = self.columns.extent % WIDTH == 0 or frame.target.tiles_in_workgroup_memory
        width = WIDTH if vectors else 1
        self.lanes, self.lane = lanes(width)
        self.width = width

    @property
    def column_vectors(self) -> int:
        return self.columns.extent // self.width

    @property
    def sizes(self) -> Sizes:
        """What plans are chosen by."""
        extents = [group.extent for group in (self.batch, self.rows, self.columns, self.depth)]
        along = (self.runs_along(0, self.depth), self.runs_along(1, self.depth))
        return Sizes(*extents, along_depth=along)

    def accumulator(self) -> SSAValue:
        """The initial value of a vector of results."""
        with self.points.over(self.lanes):
            return self.points.start(self.fold.op)

    def operand(self, side: int, mapped: Mapped) -> SSAValue:
        """A factor (0: of the rows, 1: of the columns) at a point."""
        return self.widened(side, self.narrow(side, mapped))

    def narrow(self, side: int, mapped: Mapped) -> SSAValue:
        """An operand at a point, before the body widens it."""
        op, number = self.fold.op, self.sides[side]
        place = apply_map(structured.input_maps(op)[number], placed(self.fold.loops, mapped))
        return self.points.value(op.inputs[number], place)

    def narrow_type(self, side: int) -> Attribute:
        """The type of an operand's elements."""
        return structured.element_type(self.fold.op.inputs[self.sides[side]])

    def widened(self, side: int, value: SSAValue) -> SSAValue:
        """The factor that the body makes of an operand."""
        owner = self.factors[side].owner
        return self.points.apply(owner, [value]) if isinstance(owner, arith.ExtFOp) else value

    def multiply_add(self, lhs: SSAValue, rhs: SSAValue, accumulator: SSAValue) -> SSAValue:
        """accumulator + lhs * rhs over the lanes of the columns."""
        with self.points.over(self.lanes):
            if self.lanes is not None:
                lhs, rhs = self.points.broadcast(lhs), self.points.broadcast(rhs)
            element = rhs.type.element_type if isinstance(rhs.type, VectorType) else rhs.type
            if isinstance(element, AnyFloat):
                return self.points.emit(
                    quick(math.FmaOp, [lhs, rhs, accumulator], accumulator.type)
                )
            product = self.points.emit(arith.MuliOp(lhs, rhs))
            return self.points.emit(arith.AddiOp(accumulator, product))

    def runs_along(self, side: int, group: Group) -> bool:
        """Whether the operand is contiguous in memory along the group's last loop."""
        return self.run_along(side, group) > 1

    def run_along(self, side: int, group: Group) -> int:
        """How many positions of the group in sequence are neighbours in memory, at least."""
        last = next((v for v in reversed(group.variables) if v.terms), None)
        position = self._position(side, {})
        if last is None or position is None:
            return 1
        (variable,) = last.terms
        return variable.hi + 1 if position.terms.get(variable) == 1 else 1

    def reads_vectors(self, side: int, group: Group) -> bool:
        """Whether the operand's elements at WIDTH positions of the group are vectors in memory."""
        if group.extent % WIDTH:
            return False
        lane = Var(WIDTH)
        along = var(group.extent // WIDTH) * WIDTH + Index({lane: 1}, 0)
        position = self._position(side, group.at(along))
        if position is None or position.terms.get(lane) != 1:
            return False
        rest = position - Index({lane: 1}, 0)
        return rest.divisible_by(WIDTH) and lane not in rest.variables()

    def _position(self, side: int, mapped: Mapped) -> Index | None:
        """Where the operand is read in the largest buffer that it is computed from, if any."""
        op, number = self.fold.op, self.sides[side]
        place = apply_map(structured.input_maps(op)[number], placed(self.fold.loops, mapped))
        sources = list(self._sources(op.inputs[number], place))
        if not sources:
            return None
        tensor, at = max(sources, key=lambda source: structured.size_of(source[0]))
        return linearize(at, shape_of(tensor))

    def _stride(self, group: Group) -> float:
        """How far apart the kernel's largest output has neighbours of the group's last loop."""
        if not group.variables or not group.variables[-1].terms:
            return inf
        (last,) = group.variables[-1].terms
        output = max(self.frame.outputs, key=lambda output: structured.size_of(output.tensor))
        position = linearize(output.place, shape_of(output.tensor))
        return position.terms.get(last, inf)

    def _sources(self, tensor: SSAValue, place: Place) -> Iterator[tuple[SSAValue, Place]]:
        """The buffers that a value is computed from, and where they are read."""
        if tensor in self.points.buffers:
            yield tensor, place
        elif isinstance(tensor.owner, GenericOp):
            maps = structured.input_maps(tensor.owner)
            for operand, map in zip(tensor.owner.inputs, maps, strict=True):
                yield from self._sources(operand, apply_map(map, place))

    def epilogue(
        self, batch: Index, row: Index, column: Index, result: SSAValue, guard: SSAValue | None
    ) -> None:
        """Writes the kernel's outputs for one result, or one in each lane evaluated over."""
        mapped = {**self.batch.at(batch), **self.rows.at(row), **self.columns.at(column)}

        def body() -> Sequence[SSAValue]:
            place = placed(self.fold.place, mapped)
            self.points.register(self.fold.op.results[0], place, result)
            return self.frame.store(self.frame.outputs, mapped)

        self.frame.when(guard, body)


def _source(value: SSAValue) -> BlockArgument:
    if not isinstance(value, BlockArgument):
        assert isinstance(value.owner, arith.ExtFOp)
        value = value.owner.input
    assert isinstance(value, BlockArgument)
    return value
