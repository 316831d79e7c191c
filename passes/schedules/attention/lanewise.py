"""What all schedules of attention compute with: values and vectors of f32."""

from __future__ import annotations

from collections.abc import Sequence
from math import e, log2

from xdsl.dialects import arith, math
from xdsl.dialects.builtin import Float16Type, VectorType, f32, i1
from xdsl.ir import SSAValue

from stepwell.dialects import kernel
from stepwell.dialects.array.attention import LOWEST
from stepwell.dialects.linalg_ext import AttendingOp
from stepwell.passes.domain import Place
from stepwell.passes.elementary import tanh
from stepwell.passes.real import Real
from stepwell.passes.schedules.attention.plan import WIDTH, Shape
from stepwell.passes.schedules.frame import Frame, lanes
from stepwell.passes.schedules.point import quick
from stepwell.passes.structured import element_type, shape_of

VECTOR = VectorType(f32, [WIDTH])

Values = Sequence[SSAValue]


def shape_of_attention(op: AttendingOp) -> Shape:
    (*batch, queries, depth), (*_, keys, width) = shape_of(op.query), shape_of(op.value)
    return Shape(tuple(batch), queries, keys, depth, width)


class Lanewise:
    """Vectors along features, and scores."""

    def __init__(self, frame: Frame, op: AttendingOp):
        self.frame, self.points, self.attention = frame, frame.points, op
        self.vector, self.lane = lanes(WIDTH)
        self.shape = shape_of_attention(op)

    @property
    def unit(self) -> float:
        """What products of queries and keys are multiplied by before they are capped."""
        scale, cap = self.attention.scale.value.data, self.attention.cap
        return scale * log2(e) if cap is None else scale / cap

    def capped(self, value: SSAValue) -> SSAValue:
        """The score of a product times the unit, in units of log 2."""
        cap = self.attention.cap
        if cap is None:
            return value
        share = tanh(Real(self.points.emit, value)).value
        return self.map(arith.MulfOp, share, self.like(cap * log2(e), share))

    def through_cap(self, slope: SSAValue, score: SSAValue) -> SSAValue:
        """The gradient of what was capped to that score, in units of log 2: times 1 - tanh^2."""
        cap = self.attention.cap
        if cap is None:
            return slope
        share = self.map(arith.MulfOp, score, self.like(1 / (cap * log2(e)), score))
        lost = self.map(arith.MulfOp, share, share)
        return self.map(arith.MulfOp, slope, self.map(arith.SubfOp, self.like(1.0, lost), lost))

    def splat(self, value: float) -> SSAValue:
        return self.points.broadcast(self.points.emit.constant(value, f32))

    def map(self, op: type, *operands: SSAValue) -> SSAValue:
        """`op` lane by lane."""
        return self.points.emit(quick(op, operands, operands[0].type))

    def wide(self, operand: SSAValue, place: Place) -> SSAValue:
        """The vector at a place, in f32."""
        value = self.points.broadcast(self.points.value(operand, place))
        if isinstance(element_type(operand), Float16Type):
            return self.points.emit(arith.ExtFOp.create(operands=[value], result_types=[VECTOR]))
        return value

    def like(self, value: float, other: SSAValue) -> SSAValue:
        """A number, in every lane if the other has lanes."""
        number = self.points.emit.constant(value, f32)
        return self.points.broadcast(number) if isinstance(other.type, VectorType) else number

    def with_given(self, given: SSAValue, score: SSAValue) -> SSAValue:
        """A score in units of log 2, with what a mask has for it."""
        lowest = self.like(LOWEST, score)
        select, element = arith.SelectOp, given.type
        if isinstance(element, VectorType):
            select, element = kernel.SelectOp, element.element_type
        if element == i1:
            return self.points.emit(quick(select, [given, score, lowest], score.type))
        if isinstance(element, Float16Type):
            given = self.points.emit(
                arith.ExtFOp.create(operands=[given], result_types=[score.type])
            )
        total = self.map(math.FmaOp, given, self.like(log2(e), score), score)
        return self.map(arith.MaximumfOp, total, lowest)

    def narrow(self, value: SSAValue, result: SSAValue) -> SSAValue:
        """A vector as elements of a result."""
        if isinstance(element_type(result), Float16Type):
            narrow = VectorType(element_type(result), [WIDTH])
            return self.points.emit(arith.TruncFOp.create(operands=[value], result_types=[narrow]))
        return value
