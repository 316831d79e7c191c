"""`arith`, `math`, `vector` and `kernel` operations on values become `wgsl` expressions.

Signless i32 is WGSL's i32: operations that read it unsigned go through u32. An index is a u32; what
compares indices signed (`slt`, `maxsi`...) goes through i32, so that the difference of two indices
may be compared with 0. Division of indices is unsigned.
"""

from __future__ import annotations

import math as pymath
from collections.abc import Callable
from typing import TypeAlias

from xdsl.dialects import arith, math, vector
from xdsl.dialects.builtin import (
    DenseIntOrFPElementsAttr,
    FloatAttr,
    IndexType,
    IntegerAttr,
    IntegerType,
    f32,
    i1,
    i32,
)
from xdsl.ir import Attribute, Operation, SSAValue

from stepwell.dialects import kernel
from stepwell.dialects.build import first_result
from stepwell.dialects.wgsl import expressions as e
from stepwell.dialects.wgsl import functions as f
from stepwell.dialects.wgsl.types import bools_like, element_of, lanes_of, u32, with_element
from stepwell.passes.to_wgsl.builder import Builder, constant_of, unsupported

Rule: TypeAlias = Callable[[Builder, Operation], SSAValue]
"""Makes the `wgsl` value of an operation's result."""


def _index(op: Operation) -> bool:
    return isinstance(element_of(op.operands[0].type), IndexType)


def _bool(op: Operation) -> bool:
    return element_of(op.operands[0].type) == i1


def _operands(b: Builder, op: Operation) -> list[SSAValue]:
    return [b.value(operand) for operand in op.operands]


def _as_result(b: Builder, op: Operation, value: SSAValue) -> SSAValue:
    """A value in the element type that the operation's result has."""
    return b.convert(value, element_of(b.type(first_result(op).type)))


# Constants


def _constant(b: Builder, op: Operation) -> SSAValue:
    assert isinstance(op, arith.ConstantOp)
    type = b.type(op.result.type)
    value = op.value
    if isinstance(value, IntegerAttr):
        return b.number(_integer(value.value.data, op.result.type, type), type)
    if isinstance(value, FloatAttr):
        number = value.value.data
        return b.number(number, type) if pymath.isfinite(number) else b.nonfinite(number, type)
    if not isinstance(value, DenseIntOrFPElementsAttr):
        unsupported(op, f"the constant {value} has no WGSL form")
    numbers = e.constant_values(value)
    if isinstance(value.get_element_type(), IntegerType):
        source, target = value.get_element_type(), element_of(type)
        numbers = tuple(_integer(int(number), source, target) for number in numbers)
    if value.is_splat() and pymath.isfinite(numbers[0]):
        return b.number(numbers[0], type)
    element = element_of(type)
    scalars = {
        n: b.number(n, element) if pymath.isfinite(n) else b.nonfinite(n, element) for n in numbers
    }
    return b.emit(e.ConstructOp, [scalars[n] for n in numbers], type)


def _integer(number: int, source: Attribute, target: Attribute) -> int:
    """An integer as its WGSL type has it. Signless attributes hold true as -1."""
    if target == i1:
        return number & 1
    if target == u32:
        return number % 2**32
    bits = source.bitwidth if isinstance(source, IntegerType) else 32
    return number if bits == 32 else (number + (1 << bits - 1)) % (1 << bits) - (1 << bits - 1)


# Arithmetic


def _same(target: type[Operation]) -> Rule:
    """`op(x, ...)` is `target(x, ...)`, of the same type."""

    def rule(b: Builder, op: Operation) -> SSAValue:
        return b.emit(target, _operands(b, op), b.type(first_result(op).type))

    return rule


def _as(element: IntegerType, target: type[Operation]) -> Rule:
    """`op(x, y)` is `target` of the operands read as `element`, and back."""

    def rule(b: Builder, op: Operation) -> SSAValue:
        operands = [b.convert(b.value(operand), element) for operand in op.operands]
        result = b.emit(target, operands, operands[0].type)
        return _as_result(b, op, result)

    return rule


def _of_bools(bools: type[Operation], otherwise: Rule) -> Rule:
    """`bools` where the operands are i1, else `otherwise`."""
    of_bools = _same(bools)
    return lambda b, op: of_bools(b, op) if _bool(op) else otherwise(b, op)


def _of_indices(indices: Rule, otherwise: Rule) -> Rule:
    return lambda b, op: indices(b, op) if _index(op) else otherwise(b, op)


def _fold(number: Callable[[int, int], int], otherwise: Rule) -> Rule:
    """Two constants are one (shader compilers reject sums that overflow)."""

    def rule(b: Builder, op: Operation) -> SSAValue:
        lhs, rhs = _operands(b, op)
        left, right = constant_of(lhs), constant_of(rhs)
        if left is None or right is None or _bool(op):
            return otherwise(b, op)
        return b.convert(
            b.number(number(left, right) % 2**32, with_element(lhs.type, u32)), element_of(lhs.type)
        )

    return rule


def _divide(b: Builder, op: Operation) -> SSAValue:
    """`x / 2**k` == `x >> k`, unsigned."""
    lhs, rhs = (b.convert(operand, u32) for operand in _operands(b, op))
    divisor = constant_of(rhs)
    if divisor is not None and divisor > 0 and divisor & (divisor - 1) == 0:
        shift = b.number(divisor.bit_length() - 1, rhs.type)
        result = lhs if divisor == 1 else b.emit(e.ShrOp, (lhs, shift), lhs.type)
    else:
        result = b.emit(e.DivOp, (lhs, rhs), lhs.type)
    return _as_result(b, op, result)


def _remainder(b: Builder, op: Operation) -> SSAValue:
    """`x % 2**k` == `x & (2**k - 1)`, unsigned."""
    lhs, rhs = (b.convert(operand, u32) for operand in _operands(b, op))
    divisor = constant_of(rhs)
    if divisor is not None and divisor > 0 and divisor & (divisor - 1) == 0:
        result = b.emit(e.AndOp, (lhs, b.number(divisor - 1, rhs.type)), lhs.type)
    else:
        result = b.emit(e.RemOp, (lhs, rhs), lhs.type)
    return _as_result(b, op, result)


def _ceil_divide(b: Builder, op: Operation) -> SSAValue:
    """`ceil(x / y)` == `x / y + (x % y != 0)`, unsigned."""
    lhs, rhs = (b.convert(operand, u32) for operand in _operands(b, op))
    type = lhs.type
    rest = b.emit(e.RemOp, (lhs, rhs), type)
    up = b.emit(e.NeOp, (rest, b.number(0, type)), bools_like(type))
    result = b.emit(e.AddOp, (b.emit(e.DivOp, (lhs, rhs), type), b.convert(up, u32)), type)
    return _as_result(b, op, result)


def _shift(target: type[Operation], element: IntegerType | None) -> Rule:
    """Shifts the left operand, read as `element`, by the right one modulo 32."""

    def rule(b: Builder, op: Operation) -> SSAValue:
        lhs, rhs = _operands(b, op)
        if element is not None:
            lhs = b.convert(lhs, element)
        constant = constant_of(rhs)
        amount = with_element(rhs.type, u32)
        rhs = b.convert(rhs, u32) if constant is None else b.number(constant % 32, amount)
        result = b.emit(target, (lhs, rhs), lhs.type)
        return _as_result(b, op, result)

    return rule


# Comparison

_ORDER = {"lt": e.LtOp, "le": e.LeOp, "gt": e.GtOp, "ge": e.GeOp}
_OPPOSITE = {"lt": "ge", "le": "gt", "gt": "le", "ge": "lt"}


def _compare_integers(b: Builder, op: Operation) -> SSAValue:
    assert isinstance(op, arith.CmpiOp | kernel.CmpiOp)
    predicate = arith.CMPI_COMPARISON_OPERATIONS[op.predicate.value.data]
    lhs, rhs = _operands(b, op)
    if predicate in ("eq", "ne"):
        target: type[Operation] = e.EqOp if predicate == "eq" else e.NeOp
    else:
        target = _ORDER[predicate[1:]]
        element = i32 if predicate[0] == "s" else u32
        if _bool(op) and element == i32:
            # As a signed number, true is -1.
            lhs, rhs = rhs, lhs
            element = u32
        lhs, rhs = b.convert(lhs, element), b.convert(rhs, element)
    return b.emit(target, (lhs, rhs), bools_like(lhs.type))


def _compare_floats(b: Builder, op: Operation) -> SSAValue:
    """Predicates that hold for NaN are the negation of the opposite one.

    Shader compilers may take `x != x` for false: whether x is NaN is read from its bits.
    """
    assert isinstance(op, arith.CmpfOp | kernel.CmpfOp)
    predicate = arith.CMPF_COMPARISON_OPERATIONS[op.predicate.value.data]
    lhs, rhs = _operands(b, op)
    type = bools_like(lhs.type)

    def compare(name: str) -> SSAValue:
        return b.emit(_ORDER[name], (lhs, rhs), type)

    def negate(value: SSAValue) -> SSAValue:
        return b.emit(e.NotOp, (value,), type)

    def apart() -> SSAValue:
        return b.emit(e.OrOp, (compare("lt"), compare("gt")), type)

    def nan() -> SSAValue:
        if lhs is rhs:
            return is_nan(b, lhs)
        return b.emit(e.OrOp, (is_nan(b, lhs), is_nan(b, rhs)), type)

    match predicate:
        case "false" | "true":
            return b.number(predicate == "true", type)
        case "uno":
            return nan()
        case "ord":
            return negate(nan())
        case "une" if lhs is rhs:
            return nan()
        case "oeq":
            return b.emit(e.EqOp, (lhs, rhs), type)
        case "une":
            return b.emit(e.NeOp, (lhs, rhs), type)
        case "one":
            return apart()
        case "ueq":
            return negate(apart())
        case _ if predicate[0] == "o":
            return compare(predicate[1:])
        case _:
            return negate(compare(_OPPOSITE[predicate[1:]]))


def is_nan(b: Builder, value: SSAValue) -> SSAValue:
    """`(bits & 0x7fffffff) > 0x7f800000`."""
    bits = b.emit(e.BitcastOp, (b.convert(value, f32),), with_element(value.type, u32))
    magnitude = b.emit(e.AndOp, (bits, b.number(0x7FFFFFFF, bits.type)), bits.type)
    infinity = b.number(0x7F800000, bits.type)
    return b.emit(e.GtOp, (magnitude, infinity), bools_like(value.type))


# Conversions


def _cast(b: Builder, op: Operation) -> SSAValue:
    return _as_result(b, op, b.value(op.operands[0]))


def _from_unsigned(b: Builder, op: Operation) -> SSAValue:
    value = b.value(op.operands[0])
    if element_of(value.type) != i1:
        value = b.low_bits(value, _width(op.operands[0]))
    return _as_result(b, op, value)


def _to_unsigned(b: Builder, op: Operation) -> SSAValue:
    value = b.convert(b.value(op.operands[0]), u32)
    return _as_result(b, op, value)


def _to_signed(b: Builder, op: Operation) -> SSAValue:
    value = b.convert(b.value(op.operands[0]), i32)
    return _as_result(b, op, value)


def _from_signed(b: Builder, op: Operation) -> SSAValue:
    """i1 is -1 where it is true."""
    value = b.value(op.operands[0])
    if element_of(value.type) == i1:
        value = b.convert(value, i32)
        value = b.emit(e.NegOp, (value,), value.type)
    return _as_result(b, op, value)


def _width(value: SSAValue) -> int:
    """The bits of an integer."""
    element = element_of(value.type)
    return element.bitwidth if isinstance(element, IntegerType) else 32


def _truncate(b: Builder, op: Operation) -> SSAValue:
    value = b.value(op.operands[0])
    type = b.type(op.results[0].type)
    if element_of(type) != i1:
        return b.narrowed(value, _width(op.results[0]))
    low = b.emit(e.AndOp, (value, b.number(1, value.type)), value.type)
    return b.emit(e.NeOp, (low, b.number(0, value.type)), type)


def _bitcast(b: Builder, op: Operation) -> SSAValue:
    return b.emit(e.BitcastOp, _operands(b, op), b.type(op.results[0].type))


# Vectors


def _broadcast(b: Builder, op: Operation) -> SSAValue:
    value, type = b.value(op.operands[0]), b.type(op.results[0].type)
    if lanes_of(value.type) != 1:
        return value
    attribute = value.owner.value if isinstance(value.owner, e.ConstantOp) else None
    if isinstance(attribute, IntegerAttr | FloatAttr):
        return b.number(attribute.value.data, type)
    return b.splat(value, type)


def _static_position(op: vector.ExtractOp | vector.InsertOp) -> int:
    position = op.static_position.get_values()
    if len(position) != 1 or op.dynamic_position:
        unsupported(op, "the position is not one constant")
    return position[0]


def _extract(b: Builder, op: Operation) -> SSAValue:
    assert isinstance(op, vector.ExtractOp)
    return b.component(b.value(op.vector), _static_position(op))


def _insert(b: Builder, op: Operation) -> SSAValue:
    """A vector with one lane replaced is made of its lanes."""
    assert isinstance(op, vector.InsertOp)
    into, position = b.value(op.dest), _static_position(op)
    lanes = [
        b.value(op.source) if lane == position else b.component(into, lane)
        for lane in range(lanes_of(into.type))
    ]
    made = b.emit(e.ConstructOp, lanes, into.type)
    between = into.owner
    if isinstance(between, e.ConstructOp) and op.dest.has_one_use() and not into.uses:
        between.detach()
        between.erase()
    return made


def _shuffle(b: Builder, op: Operation) -> SSAValue:
    assert isinstance(op, vector.ShuffleOp)
    v1, v2 = _operands(b, op)
    first = lanes_of(v1.type)
    lanes = [
        b.component(v1, i) if i < first else b.component(v2, i - first)
        for i in op.mask.get_values()
    ]
    return b.emit(e.ConstructOp, lanes, b.type(op.result.type))


_KINDS: dict[str, type[Operation]] = {
    "add": e.AddOp, "mul": e.MulOp, "and": e.AndOp, "or": e.OrOp, "xor": e.XorOp,
    "minsi": f.MinOp, "maxsi": f.MaxOp, "minui": f.MinOp, "maxui": f.MaxOp,
    "minnumf": f.MinOp, "maxnumf": f.MaxOp, "minimumf": f.MinOp, "maximumf": f.MaxOp,
}  # fmt: skip


def _reduce(b: Builder, op: Operation) -> SSAValue:
    """The lanes combined, first to last."""
    assert isinstance(op, vector.ReductionOp)
    kind = op.kind.data.value
    value = b.value(op.vector)
    if kind in ("minui", "maxui"):
        value = b.convert(value, u32)
    parts = [b.component(value, lane) for lane in range(lanes_of(value.type))]
    if op.acc is not None:
        parts.insert(0, b.convert(b.value(op.acc), element_of(value.type)))
    total = parts[0]
    for part in parts[1:]:
        total = b.emit(_KINDS[kind], (total, part), part.type)
    return _as_result(b, op, total)


def _select(b: Builder, op: Operation) -> SSAValue:
    return b.emit(e.SelectOp, _operands(b, op), b.type(op.results[0].type))


RULES: dict[type[Operation], Rule] = {
    arith.ConstantOp: _constant,
    arith.AddfOp: _same(e.AddOp),
    arith.SubfOp: _same(e.SubOp),
    arith.MulfOp: _same(e.MulOp),
    arith.DivfOp: _same(e.DivOp),
    arith.NegfOp: _same(e.NegOp),
    arith.MaximumfOp: _same(f.MaxOp),
    arith.MaxnumfOp: _same(f.MaxOp),
    arith.MinimumfOp: _same(f.MinOp),
    arith.MinnumfOp: _same(f.MinOp),
    arith.AddiOp: _fold(lambda x, y: x + y, _of_bools(e.NeOp, _same(e.AddOp))),
    arith.SubiOp: _fold(lambda x, y: x - y, _of_bools(e.NeOp, _same(e.SubOp))),
    arith.MuliOp: _fold(lambda x, y: x * y, _of_bools(e.AndOp, _same(e.MulOp))),
    arith.DivUIOp: _divide,
    arith.DivSIOp: _of_indices(_divide, _same(e.DivOp)),
    arith.RemUIOp: _remainder,
    arith.RemSIOp: _of_indices(_remainder, _same(e.RemOp)),
    arith.FloorDivSIOp: _of_indices(_divide, lambda b, op: unsupported(op, "run expand-math")),
    arith.CeilDivSIOp: _of_indices(_ceil_divide, lambda b, op: unsupported(op, "run expand-math")),
    arith.CeilDivUIOp: _ceil_divide,
    arith.AndIOp: _same(e.AndOp),
    arith.OrIOp: _same(e.OrOp),
    arith.XOrIOp: _of_bools(e.NeOp, _same(e.XorOp)),
    arith.MaxUIOp: _of_bools(e.OrOp, _as(u32, f.MaxOp)),
    arith.MinUIOp: _of_bools(e.AndOp, _as(u32, f.MinOp)),
    arith.MaxSIOp: _of_bools(e.AndOp, _as(i32, f.MaxOp)),
    arith.MinSIOp: _of_bools(e.OrOp, _as(i32, f.MinOp)),
    arith.ShLIOp: _shift(e.ShlOp, None),
    arith.ShRUIOp: _shift(e.ShrOp, u32),
    arith.ShRSIOp: _shift(e.ShrOp, i32),
    arith.CmpiOp: _compare_integers,
    arith.CmpfOp: _compare_floats,
    arith.SelectOp: _select,
    arith.IndexCastOp: _cast,
    arith.ExtFOp: _cast,
    arith.TruncFOp: _cast,
    arith.SIToFPOp: _from_signed,
    arith.UIToFPOp: _from_unsigned,
    arith.FPToSIOp: _to_signed,
    arith.FPToUIOp: _to_unsigned,
    arith.ExtUIOp: _from_unsigned,
    arith.ExtSIOp: _from_signed,
    arith.TruncIOp: _truncate,
    arith.BitcastOp: _bitcast,
    math.AbsFOp: _same(f.AbsOp),
    math.AbsIOp: _same(f.AbsOp),
    math.CeilOp: _same(f.CeilOp),
    math.CosOp: _same(f.CosOp),
    math.CountLeadingZerosOp: _same(f.CountLeadingZerosOp),
    math.CountTrailingZerosOp: _same(f.CountTrailingZerosOp),
    math.CtPopOp: _same(f.CountOneBitsOp),
    math.Exp2Op: _same(f.Exp2Op),
    math.ExpOp: _same(f.ExpOp),
    math.FloorOp: _same(f.FloorOp),
    math.FmaOp: _same(f.FmaOp),
    math.Log2Op: _same(f.Log2Op),
    math.LogOp: _same(f.LogOp),
    math.PowFOp: _same(f.PowOp),
    math.RoundEvenOp: _same(f.RoundOp),
    math.RsqrtOp: _same(f.InverseSqrtOp),
    math.SinOp: _same(f.SinOp),
    math.SqrtOp: _same(f.SqrtOp),
    math.TruncOp: _same(f.TruncOp),
    vector.BroadcastOp: _broadcast,
    vector.ExtractOp: _extract,
    vector.InsertOp: _insert,
    vector.ShuffleOp: _shuffle,
    vector.ReductionOp: _reduce,
    vector.FMAOp: _same(f.FmaOp),
    vector.BitcastOp: _bitcast,
    kernel.FromElementsOp: _same(e.ConstructOp),
}
"""For each operation on values: what makes its `wgsl` value."""

RULES.update({form: RULES[op] for op, form in kernel.VECTOR_FORMS.items()})
