"""Ranges of integers in a scheduled kernel: what every value lies between, on every path.

A range is of mathematical integers. Arithmetic on a device wraps around: a result that may leave
its type is anything of the type. An `index` is a u32; an i32 is read as signed, and operations that
mean it unsigned reread it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from math import prod
from typing import NamedTuple, TypeAlias

from xdsl.dialects import arith, gpu, math, scf, vector
from xdsl.dialects.builtin import (
    DenseIntOrFPElementsAttr,
    IndexType,
    IntegerAttr,
    IntegerType,
    VectorType,
)
from xdsl.ir import Attribute, Operation, SSAValue

from stepwell.dialects import kernel

_DEEPEST = 100
"""Operands of operands that are followed; beyond them a value may be anything."""
_DEEPEST_INVERSE = 12
"""Operands that are narrowed because what they make is."""


class Range(NamedTuple):
    """Every integer from `lo` to `hi`, both included."""

    lo: int
    hi: int

    def meet(self, other: Range) -> Range:
        """What lies in both; this range where nothing does."""
        lo, hi = max(self.lo, other.lo), min(self.hi, other.hi)
        return Range(lo, hi) if lo <= hi else self

    def join(self, other: Range) -> Range:
        return Range(min(self.lo, other.lo), max(self.hi, other.hi))

    def within(self, other: Range) -> bool:
        return other.lo <= self.lo and self.hi <= other.hi


UNSIGNED = Range(0, 2**32 - 1)
SIGNED = Range(-(2**31), 2**31 - 1)
BOOL = Range(0, 1)
_WRAP = 2**32
_SIGNED_OF = {
    **{width: Range(-(1 << width - 1), (1 << width - 1) - 1) for width in (2, 4, 8, 16)},
    1: BOOL,
    32: SIGNED,
}


def unsigned(range: Range) -> Range:
    """The same 32 bits, read as unsigned."""
    if range.lo >= 0:
        return range
    return Range(range.lo + _WRAP, range.hi + _WRAP) if range.hi < 0 else UNSIGNED


def signed(range: Range) -> Range:
    """The same 32 bits, read as signed."""
    if range.hi <= SIGNED.hi:
        return range
    return Range(range.lo - _WRAP, range.hi - _WRAP) if range.lo > SIGNED.hi else SIGNED


def range_of_type(type: Attribute) -> Range:
    """Every value of a type of up to 32 bits; what is wider has no place in a kernel."""
    # By class: `isinstance` and `==` of attributes cost more than the arithmetic does.
    if type.__class__ is IndexType:
        return UNSIGNED
    element = type.element_type if isinstance(type, VectorType) else type
    if isinstance(element, IntegerType):
        return _SIGNED_OF[element.width.data]
    return UNSIGNED if isinstance(element, IndexType) else SIGNED


class Ranges:
    """The ranges of a kernel's values where a walk over it stands.

    The walk says what it enters: `given` what a loop's counter is, `where` what holds in a branch.
    A value is narrowed by what holds and computed anew from operands that were narrowed.
    """

    def __init__(self, function: kernel.FuncOp):
        assert function.workgroup_size is not None and function.grid is not None
        self.threads = tuple(function.workgroup_size.get_values())
        self.grid = tuple(function.grid.get_values())
        size = function.subgroup_size
        self.subgroup_size = None if size is None else size.value.data
        self._given: dict[SSAValue, Range] = {}
        self._facts: list[dict[SSAValue, Range]] = []
        self._known: list[dict[SSAValue, Range]] = [{}]
        self._exact: list[set[SSAValue]] = [set()]
        self._reached: list[bool] = [True]
        self._depth = 0
        self._selecting = False

    def given(self, value: SSAValue, range: Range) -> None:
        """Says what a value is that no operation computes from its operands."""
        self._given[value] = range

    def enter(self, loop: scf.ForOp) -> int:
        """Says what a loop's counter is. Returns: how often it runs at most."""
        first, end, step = (self.of(bound) for bound in (loop.lb, loop.ub, loop.step))
        self.given(loop.body.block.args[0], Range(first.lo, max(first.lo, end.hi - 1)))
        return max(0, -(-(end.hi - first.lo) // max(step.lo, 1)))

    def of(self, value: SSAValue) -> Range:
        """What the value (each lane of a vector) lies between here."""
        known = self._known[-1].get(value)
        if known is not None:
            return known
        found = self._given.get(value)
        if found is None:
            found = self._computed(value)
        for facts in self._facts:
            fact = facts.get(value)
            if fact is not None:
                found = found.meet(fact)
        self._known[-1][value] = found
        return found

    def _computed(self, value: SSAValue) -> Range:
        owner, whole = value.owner, range_of_type(value.type)
        if not isinstance(owner, Operation):
            return whole
        rule = RULES.get(type(owner))
        if rule is None or self._depth > _DEEPEST:
            return whole
        self._depth += 1
        found = rule(self, owner)
        self._depth -= 1
        return found if found is not None and found.within(whole) else whole

    @contextmanager
    def where(self, condition: SSAValue, holds: bool) -> Generator[bool]:
        """Inside, the condition is known to hold or not to. Yields whether that can ever be."""
        self._reached.append(True)
        self._facts.append({})
        self._known.append({})
        self._exact.append(set())
        self._assume(condition, holds)
        # What was computed before a fact was known may now be narrower.
        self._known[-1] = {}
        yield self._reached[-1]
        self._reached.pop()
        self._facts.pop()
        self._known.pop()
        self._exact.pop()

    @contextmanager
    def chosen(self, condition: SSAValue, holds: bool) -> Generator[bool]:
        """`where`, but for selections in selections: the cost would double with each."""
        if self._selecting:
            yield True
            return
        self._selecting = True
        with self.where(condition, holds) as reached:
            yield reached
        self._selecting = False

    def _assume(self, condition: SSAValue, holds: bool) -> None:
        match condition.owner:
            case arith.AndIOp() as op if holds:
                self._assume(op.lhs, True)
                self._assume(op.rhs, True)
            case arith.OrIOp() as op if not holds:
                self._assume(op.lhs, False)
                self._assume(op.rhs, False)
            case arith.CmpiOp() as op if range_of_type(op.lhs.type) != BOOL:
                predicate = arith.CMPI_COMPARISON_OPERATIONS[op.predicate.value.data]
                self._compare(predicate if holds else _OPPOSITE[predicate], op.lhs, op.rhs)
            case _:
                pass

    def _compare(self, predicate: str, a: SSAValue, b: SSAValue) -> None:
        if predicate[-2:] in ("gt", "ge"):
            a, b = b, a
            predicate = predicate.replace("g", "l")
        read = unsigned if predicate[0] == "u" else signed
        x, y = read(self.of(a)), read(self.of(b))
        match predicate[-2:]:
            case "eq":
                both = x.meet(y)
                self._compared(a, both)
                self._compared(b, both)
            case "ne":
                self._compared(a, _without(x, y))
                self._compared(b, _without(y, x))
            case _:
                apart = int(predicate[-2:] == "lt")
                self._compared(a, Range(x.lo, min(x.hi, y.hi - apart)))
                self._compared(b, Range(max(y.lo, x.lo + apart), y.hi))

    def _compared(self, value: SSAValue, found: Range) -> None:
        """The value lies in `found` here, in the reading that the comparison has of its bits."""
        if found.lo > found.hi:
            self._reached[-1] = False
        else:
            self._narrow(value, _own(found, value.type))

    def _narrow(self, value: SSAValue, found: Range) -> None:
        """The value lies in `found` here, and its operands where that puts them."""
        before = self.of(value)
        if max(before.lo, found.lo) > min(before.hi, found.hi):
            self._reached[-1] = False
            return
        found = before.meet(found)
        if found == before:
            return
        self._facts[-1][value] = self._known[-1][value] = found
        owner = value.owner
        inverse = _INVERSES.get(type(owner)) if isinstance(owner, Operation) else None
        if inverse is not None and self._depth < _DEEPEST_INVERSE:
            assert isinstance(owner, Operation)
            self._depth += 1
            inverse(self, owner, found)
            self._depth -= 1

    def is_exact(self, value: SSAValue) -> bool:
        """Whether the sums and products that lead to a value do not wrap around.

        What divides them term by term, such as the position of a vector, needs that.
        """
        owner = value.owner
        if owner.__class__ not in _COMBINED or any(value in known for known in self._exact):
            return True
        assert isinstance(owner, Operation)
        found = RULES[type(owner)](self, owner)
        if found is None or not found.within(range_of_type(value.type)):
            return False
        if not all(self.is_exact(operand) for operand in owner.operands):
            return False
        self._exact[-1].add(value)
        return True

    # Operands that follow from a result

    def invert_sum(self, op: Operation, found: Range) -> None:
        a, b = op.operands
        x, y = self.of(a), self.of(b)
        if Range(x.lo + y.lo, x.hi + y.hi).within(range_of_type(a.type)):
            self._narrow(a, Range(found.lo - y.hi, found.hi - y.lo))
            self._narrow(b, Range(found.lo - x.hi, found.hi - x.lo))

    def invert_difference(self, op: Operation, found: Range) -> None:
        a, b = op.operands
        x, y = self.of(a), self.of(b)
        if Range(x.lo - y.hi, x.hi - y.lo).within(range_of_type(a.type)):
            self._narrow(a, Range(found.lo + y.lo, found.hi + y.hi))
            self._narrow(b, Range(x.lo - found.hi, x.hi - found.lo))

    def invert_product(self, op: Operation, found: Range) -> None:
        for a, b in (op.operands, reversed(op.operands)):
            x, factor = self.of(a), self.of(b)
            whole = range_of_type(a.type)
            if factor.lo == factor.hi > 0 and Range(x.lo * factor.lo, x.hi * factor.lo).within(
                whole
            ):
                self._narrow(a, Range(-(-found.lo // factor.lo), found.hi // factor.lo))

    def invert_quotient(self, op: Operation, found: Range) -> None:
        divisor = self.of(op.operands[1])
        if divisor.lo == divisor.hi > 0 and self.of(op.operands[0]).lo >= 0:
            last = found.hi * divisor.lo + divisor.lo - 1
            self._narrow(op.operands[0], Range(found.lo * divisor.lo, last))

    def invert_cast(self, op: Operation, found: Range) -> None:
        self._narrow(op.operands[0], _own(found, op.operands[0].type))


def _without(x: Range, y: Range) -> Range:
    """`x` without the one value that `y` is, where that is an end of it."""
    if y.lo != y.hi:
        return x
    return Range(x.lo + (x.lo == y.lo), x.hi - (x.hi == y.hi))


_OPPOSITE = {
    "eq": "ne", "ne": "eq", "slt": "sge", "sge": "slt", "sgt": "sle", "sle": "sgt",
    "ult": "uge", "uge": "ult", "ugt": "ule", "ule": "ugt",
}  # fmt: skip

Rule: TypeAlias = Callable[[Ranges, Operation], Range | None]
"""The range of an operation's result, None or out of the type's where it may be anything."""


def _constant(ranges: Ranges, op: Operation) -> Range | None:
    assert isinstance(op, arith.ConstantOp)
    whole = range_of_type(op.result.type)
    if isinstance(op.value, IntegerAttr):
        value = op.value.value.data
        return None if whole == BOOL else Range(value, value)
    if isinstance(op.value, DenseIntOrFPElementsAttr) and whole != BOOL:
        values = [value for value in op.value.get_values() if isinstance(value, int)]
        return Range(min(values), max(values)) if values else None
    return None


def _arithmetic(combine: Callable[[Range, Range], Range | None]) -> Rule:
    """Of ranges in the type's own reading."""

    def rule(ranges: Ranges, op: Operation) -> Range | None:
        x, y = op.operands
        return None if range_of_type(x.type) is BOOL else combine(ranges.of(x), ranges.of(y))

    return rule


def _read(read: Callable[[Range], Range], combine: Callable[[Range, Range], Range | None]) -> Rule:
    """Of ranges in a given reading, whose result is in that reading too."""

    def rule(ranges: Ranges, op: Operation) -> Range | None:
        x, y = op.operands
        if range_of_type(x.type) is BOOL:
            return None
        found = combine(read(ranges.of(x)), read(ranges.of(y)))
        return None if found is None else _own(found, x.type)

    return rule


def _own(found: Range, type: Attribute) -> Range:
    """A range in the reading of a type."""
    return unsigned(found) if range_of_type(type) == UNSIGNED else signed(found)


def _product(x: Range, y: Range) -> Range:
    corners = (x.lo * y.lo, x.lo * y.hi, x.hi * y.lo, x.hi * y.hi)
    return Range(min(corners), max(corners))


def _quotient(x: Range, y: Range) -> Range | None:
    return Range(x.lo // y.hi, x.hi // y.lo) if x.lo >= 0 and y.lo > 0 else None


def _remainder(x: Range, y: Range) -> Range | None:
    if x.lo < 0 or y.lo <= 0:
        return None
    if y.lo == y.hi and x.lo // y.lo == x.hi // y.lo:
        return Range(x.lo % y.lo, x.hi % y.lo)
    return x if x.hi < y.lo else Range(0, min(x.hi, y.hi - 1))


def _ceiling(x: Range, y: Range) -> Range | None:
    return Range(-(-x.lo // y.hi), -(-x.hi // y.lo)) if x.lo >= 0 and y.lo > 0 else None


def _and(x: Range, y: Range) -> Range | None:
    return Range(0, min(x.hi, y.hi))


def _or(x: Range, y: Range) -> Range | None:
    return Range(0, (1 << max(x.hi, y.hi).bit_length()) - 1)


def _shift_left(x: Range, y: Range) -> Range | None:
    return Range(x.lo << y.lo, x.hi << y.hi) if y.hi < 32 else None


def _shift_right(x: Range, y: Range) -> Range | None:
    return Range(x.lo >> y.hi, x.hi >> y.lo) if y.hi < 32 else None


def _shift_right_signed(x: Range, y: Range) -> Range | None:
    corners = (x.lo >> y.lo, x.lo >> y.hi, x.hi >> y.lo, x.hi >> y.hi)
    return Range(min(corners), max(corners)) if y.lo >= 0 and y.hi < 32 else None


def _min(x: Range, y: Range) -> Range:
    return Range(min(x.lo, y.lo), min(x.hi, y.hi))


def _max(x: Range, y: Range) -> Range:
    return Range(max(x.lo, y.lo), max(x.hi, y.hi))


def _cast(ranges: Ranges, op: Operation) -> Range | None:
    source, type = op.operands[0], op.results[0].type
    if BOOL in (range_of_type(source.type), range_of_type(type)):
        return None
    return _own(ranges.of(source), type)


def _of_bool(true: int) -> Rule:
    def rule(ranges: Ranges, op: Operation) -> Range | None:
        of_bool = range_of_type(op.operands[0].type) == BOOL
        return Range(min(0, true), max(0, true)) if of_bool else None

    return rule


def _select(ranges: Ranges, op: Operation) -> Range | None:
    condition, x, y = op.operands
    found: list[Range] = []
    for value, holds in ((x, True), (y, False)):
        with ranges.chosen(condition, holds) as reached:
            if reached:
                found.append(ranges.of(value))
    return found[0].join(found[-1]) if found else None


def _count_of_bits(ranges: Ranges, op: Operation) -> Range | None:
    return Range(0, 32)


def _same(ranges: Ranges, op: Operation) -> Range | None:
    return ranges.of(op.operands[0])


def _elements(ranges: Ranges, op: Operation) -> Range | None:
    found = [ranges.of(element) for element in op.operands]
    return Range(min(each.lo for each in found), max(each.hi for each in found))


def _extract(ranges: Ranges, op: Operation) -> Range | None:
    assert isinstance(op, vector.ExtractOp)
    made = op.vector.owner
    position = op.static_position.get_values()
    if isinstance(made, kernel.FromElementsOp) and len(position) == 1 and not op.dynamic_position:
        return ranges.of(made.elements[position[0]])
    return ranges.of(op.vector)


def _subgroup(ranges: Ranges, op: Operation) -> Range | None:
    assert isinstance(op, kernel.SubgroupReduceOp)
    return ranges.of(op.value) if op.kind.data in ("min", "max") else None


def _place(count: Callable[[Ranges, int], int]) -> Rule:
    """0, 1, ... count - 1."""

    def rule(ranges: Ranges, op: Operation) -> Range | None:
        dimension = op.properties["dimension"]
        assert isinstance(dimension, gpu.DimensionAttr)
        return Range(0, count(ranges, kernel.AXES[dimension.data]) - 1)

    return rule


def _size(size: Callable[[Ranges, int], int]) -> Rule:
    place = _place(size)

    def rule(ranges: Ranges, op: Operation) -> Range | None:
        found = place(ranges, op)
        return None if found is None else Range(found.hi + 1, found.hi + 1)

    return rule


def _lane(ranges: Ranges, op: Operation) -> Range | None:
    """A lane is less than the subgroup size, of which the largest is 128."""
    return Range(0, (ranges.subgroup_size or 128) - 1)


def _subgroup_id(ranges: Ranges, op: Operation) -> Range | None:
    """A workgroup has no more subgroups than threads."""
    return Range(0, prod(ranges.threads) - 1)


RULES: dict[type[Operation], Rule] = {
    arith.ConstantOp: _constant,
    arith.AddiOp: _arithmetic(lambda x, y: Range(x.lo + y.lo, x.hi + y.hi)),
    arith.SubiOp: _arithmetic(lambda x, y: Range(x.lo - y.hi, x.hi - y.lo)),
    arith.MuliOp: _arithmetic(_product),
    arith.DivUIOp: _read(unsigned, _quotient),
    arith.RemUIOp: _read(unsigned, _remainder),
    arith.CeilDivUIOp: _read(unsigned, _ceiling),
    # Non-negative operands divide alike, signed or not.
    arith.DivSIOp: _arithmetic(_quotient),
    arith.FloorDivSIOp: _arithmetic(_quotient),
    arith.RemSIOp: _arithmetic(_remainder),
    arith.CeilDivSIOp: _arithmetic(_ceiling),
    arith.AndIOp: _read(unsigned, _and),
    arith.OrIOp: _read(unsigned, _or),
    arith.XOrIOp: _read(unsigned, _or),
    arith.ShLIOp: _arithmetic(lambda x, y: _shift_left(x, y) if min(x.lo, y.lo) >= 0 else None),
    arith.ShRUIOp: _read(unsigned, _shift_right),
    arith.ShRSIOp: _read(signed, _shift_right_signed),
    arith.MinUIOp: _read(unsigned, _min),
    arith.MaxUIOp: _read(unsigned, _max),
    arith.MinSIOp: _read(signed, _min),
    arith.MaxSIOp: _read(signed, _max),
    arith.IndexCastOp: _cast,
    arith.ExtUIOp: _of_bool(1),
    arith.ExtSIOp: _of_bool(-1),
    arith.SelectOp: _select,
    math.CtPopOp: _count_of_bits,
    math.CountLeadingZerosOp: _count_of_bits,
    math.CountTrailingZerosOp: _count_of_bits,
    vector.BroadcastOp: _same,
    vector.ExtractOp: _extract,
    kernel.FromElementsOp: _elements,
    kernel.SubgroupBroadcastOp: _same,
    kernel.SubgroupReduceOp: _subgroup,
    gpu.BlockIdOp: _place(lambda ranges, axis: ranges.grid[axis]),
    gpu.ThreadIdOp: _place(lambda ranges, axis: ranges.threads[axis]),
    gpu.GlobalIdOp: _place(lambda ranges, axis: ranges.grid[axis] * ranges.threads[axis]),
    gpu.BlockDimOp: _size(lambda ranges, axis: ranges.threads[axis]),
    gpu.GridDimOp: _size(lambda ranges, axis: ranges.grid[axis]),
    gpu.LaneIdOp: _lane,
    gpu.SubgroupIdOp: _subgroup_id,
    gpu.SubgroupSizeOp: lambda ranges, op: Range(1, 128),
}
"""For each operation on integers: what its result lies between."""

RULES.update({form: RULES[op] for op, form in kernel.VECTOR_FORMS.items() if op in RULES})

_INVERSES: dict[type[Operation], Callable[[Ranges, Operation, Range], None]] = {
    arith.AddiOp: Ranges.invert_sum,
    arith.SubiOp: Ranges.invert_difference,
    arith.MuliOp: Ranges.invert_product,
    arith.DivUIOp: Ranges.invert_quotient,
    arith.IndexCastOp: Ranges.invert_cast,
}


_COMBINED = frozenset({arith.AddiOp, arith.MuliOp})
_EACH = frozenset({arith.AddiOp, arith.SubiOp, arith.MinUIOp, arith.MaxUIOp, arith.RemUIOp})


def is_multiple(value: SSAValue, of: int) -> bool:
    """Whether a value is a multiple of a power of two by its form; wrapping around keeps it one."""
    owner = value.owner
    if isinstance(owner, arith.ConstantOp):
        return isinstance(owner.value, IntegerAttr) and owner.value.value.data % of == 0
    if isinstance(owner, arith.MuliOp):
        return is_multiple(owner.rhs, of) or is_multiple(owner.lhs, of)
    if owner.__class__ in _EACH and isinstance(owner, Operation):
        return all(is_multiple(operand, of) for operand in owner.operands)
    if isinstance(owner, arith.SelectOp):
        return is_multiple(owner.lhs, of) and is_multiple(owner.rhs, of)
    return isinstance(owner, arith.IndexCastOp) and is_multiple(owner.input, of)
