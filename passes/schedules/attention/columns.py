"""Which columns of scores a row sees: an interval, which the bounds of attention say.

With a row put in, a bound is one of columns: they end somewhere, begin somewhere, or there are none
at all. Over neighbouring rows ends and beginnings move one way, so the first and the last row say
what any of the rows between them sees, and what all of them see.
"""

from __future__ import annotations

from typing import NamedTuple

from xdsl.dialects import arith
from xdsl.dialects.builtin import i32
from xdsl.ir import Operation, SSAValue

from stepwell.dialects.bounds import bounds_of
from stepwell.dialects.build import create
from stepwell.dialects.linalg_ext import AttendingOp
from stepwell.passes.domain import Place
from stepwell.passes.index import Index, constant, var
from stepwell.passes.schedules.frame import Frame
from stepwell.passes.schedules.point import INDEX, quick


class Interval(NamedTuple):
    """Columns from `start` to before `end`; None for the first and for all."""

    start: Index | None
    end: Index | None


class _Limit(NamedTuple):
    """row * r + column * c <= limit + shift."""

    row: int
    column: int
    limit: int
    shift: SSAValue | None


class Columns:
    """The columns that the rows of one of the batch see."""

    def __init__(
        self, frame: Frame, op: AttendingOp, batch: Place, *, rows_are_keys: bool, count: int
    ):
        self.points, self.count = frame.points, count
        bounds = bounds_of(op.bounds)
        known = len(op.known_bounds)
        self.limits: list[_Limit] = []
        for number, (key, query, limit) in enumerate(bounds):
            shift = None
            if op.shifts is not None and number >= known:
                shift = self.points.value(op.shifts, (*batch, constant(number - known)))
            row, column = (key, query) if rows_are_keys else (query, key)
            self.limits.append(_Limit(row, column, limit, shift))

    @property
    def differ_by_row(self) -> bool:
        """Whether rows see different columns."""
        return any(limit.row for limit in self.limits)

    def of_any(self, first: Index, last: Index) -> Interval:
        """An interval that has what any row from the first to the last sees."""
        return self._interval(first, last)

    def of_all(self, first: Index, last: Index) -> Interval:
        """What every row from the first to the last sees."""
        return self._interval(last, first)

    def _interval(self, least: Index, most: Index) -> Interval:
        """What the limits leave, each with the row that is `least` for it."""
        start: SSAValue | None = None
        end: SSAValue | None = None
        for limit in self.limits:
            row = least if limit.row > 0 else most
            if limit.column < 0:
                value = self._sum(limit.row, row, -limit.limit, arith.SubiOp, limit.shift)
                start = value if start is None else self._emit(arith.MaxSIOp, start, value)
                continue
            value = self._sum(-limit.row, row, limit.limit + 1, arith.AddiOp, limit.shift)
            if not limit.column:
                zero = self._constant(0)
                some = self.points.emit(arith.CmpiOp(value, zero, "sgt"))
                value = self.points.emit(arith.SelectOp(some, self._constant(self.count), zero))
            end = value if end is None else self._emit(arith.MinSIOp, end, value)
        return Interval(self._clipped(start), self._clipped(end))

    def _sum(
        self, sign: int, row: Index, number: int, join: type[Operation], shift: SSAValue | None
    ) -> SSAValue:
        """sign * row + number, joined with the shift."""
        value = self._constant(number)
        if sign:
            position = self.points.emit(create(arith.IndexCastOp, [self.points.index(row)], [i32]))
            value = self._emit(arith.AddiOp if sign > 0 else arith.SubiOp, value, position)
        return value if shift is None else self._emit(join, value, shift)

    def _clipped(self, value: SSAValue | None) -> Index | None:
        """A number of columns: at least none, and at most all."""
        if value is None:
            return None
        value = self._emit(arith.MaxSIOp, value, self._constant(0))
        value = self._emit(arith.MinSIOp, value, self._constant(self.count))
        index = self.points.emit(create(arith.IndexCastOp, [value], [INDEX]))
        return var(self.count + 1, index)

    def _constant(self, value: int) -> SSAValue:
        return self.points.emit.constant(value, i32)

    def _emit(self, op: type[Operation], lhs: SSAValue, rhs: SSAValue) -> SSAValue:
        return self.points.emit(quick(op, [lhs, rhs], i32))
