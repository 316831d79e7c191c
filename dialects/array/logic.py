"""Comparison, selection, logic, bits and conversion, elementwise."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
from xdsl.dialects import arith
from xdsl.dialects.builtin import (
    AnyFloat,
    AnyTensorTypeConstr,
    IntegerType,
    LocationAttr,
    f32,
    i1,
    i32,
)
from xdsl.ir import Attribute, SSAValue, TypeAttribute
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def

from stepwell.dialects.array.base import (
    DTYPES,
    ElementwiseOp,
    NumPyArray,
    Tensor,
    UnaryOp,
    dtype_name,
    element_of,
    is_bool,
    is_float,
    is_narrow,
    is_unsigned,
    numpy_dtype,
    signless,
    wrapped,
)
from stepwell.dialects.array.build import zeros_like
from stepwell.dialects.array.elementwise import (
    INTEGERS,
    BinaryElementwiseOp,
    Make,
    UnaryElementwiseOp,
    constant,
)
from stepwell.dialects.emit import Emitter
from stepwell.dialects.errors import DTypeError

ANY = "f32 f16 i32 u32 bool"


class DiscreteOp(BinaryElementwiseOp, ABC):
    """A binary operation through which no gradient flows."""

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        return None, None


# Comparison


class ComparisonOp(DiscreteOp, ABC):
    """A bool tensor; NaN compares false (true for not_equal)."""

    PREDICATES: ClassVar[tuple[str, str, str]]
    """The `arith` predicates for floats, signed and unsigned integers."""

    @classmethod
    def result_element(
        cls, operands: Sequence[Tensor], properties: Mapping[str, Attribute]
    ) -> Attribute:
        return i1

    def scalar(self, emit: Emitter, *operands: SSAValue) -> SSAValue:
        lhs, rhs = operands
        floating, signed, unsigned = self.PREDICATES
        if isinstance(lhs.type, AnyFloat):
            return emit(arith.CmpfOp(lhs, rhs, floating))
        predicate = unsigned if is_unsigned(element_of(self.lhs)) else signed
        return emit(arith.CmpiOp(lhs, rhs, predicate))


@irdl_op_definition
class EqualOp(ComparisonOp):
    """a == b."""

    name = "array.equal"
    ACCEPTS: ClassVar = ANY
    FUNCTION: ClassVar = np.equal
    PREDICATES: ClassVar = ("oeq", "eq", "eq")


@irdl_op_definition
class NotEqualOp(ComparisonOp):
    """a != b."""

    name = "array.not_equal"
    ACCEPTS: ClassVar = ANY
    FUNCTION: ClassVar = np.not_equal
    PREDICATES: ClassVar = ("une", "ne", "ne")


@irdl_op_definition
class LessOp(ComparisonOp):
    """a < b."""

    name = "array.less"
    FUNCTION: ClassVar = np.less
    PREDICATES: ClassVar = ("olt", "slt", "ult")


@irdl_op_definition
class LessEqualOp(ComparisonOp):
    """a <= b."""

    name = "array.less_equal"
    FUNCTION: ClassVar = np.less_equal
    PREDICATES: ClassVar = ("ole", "sle", "ule")


@irdl_op_definition
class GreaterOp(ComparisonOp):
    """a > b."""

    name = "array.greater"
    FUNCTION: ClassVar = np.greater
    PREDICATES: ClassVar = ("ogt", "sgt", "ugt")


@irdl_op_definition
class GreaterEqualOp(ComparisonOp):
    """a >= b."""

    name = "array.greater_equal"
    FUNCTION: ClassVar = np.greater_equal
    PREDICATES: ClassVar = ("oge", "sge", "uge")


@irdl_op_definition
class WhereOp(ElementwiseOp):
    """a where the condition holds, b elsewhere; the branch not taken gets a zero gradient."""

    name = "array.where"
    condition = operand_def(AnyTensorTypeConstr)
    on_true = operand_def(AnyTensorTypeConstr)
    on_false = operand_def(AnyTensorTypeConstr)
    result = result_def(AnyTensorTypeConstr)

    assembly_format = (
        "$condition `,` $on_true `,` $on_false attr-dict `:` functional-type(operands, results)"
    )

    @classmethod
    def check_dtypes(cls, operands: Sequence[Tensor]) -> None:
        if not is_bool(operands[0].element_type):
            dtype = dtype_name(operands[0].element_type)
            raise DTypeError(f"{cls.name}: the condition is {dtype}, not bool")
        on_true, on_false = (dtype_name(operand.element_type) for operand in operands[1:])
        if on_true != on_false:
            raise DTypeError(f"{cls.name}: on_true is {on_true}, on_false is {on_false}; cast one")

    @classmethod
    def result_element(
        cls, operands: Sequence[Tensor], properties: Mapping[str, Attribute]
    ) -> Attribute:
        return operands[1].element_type

    def evaluate(self, *arrays: NumPyArray) -> Sequence[NumPyArray]:
        return (np.where(*arrays),)

    def scalar(self, emit: Emitter, *operands: SSAValue) -> SSAValue:
        return emit(arith.SelectOp(*operands))

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        (ct,) = cotangents
        zero = zeros_like(emit, ct)
        return (
            None,
            emit(WhereOp(self.condition, ct, zero)),
            emit(WhereOp(self.condition, zero, ct)),
        )


# Logic and bits


class IntegerOp(DiscreteOp, ABC):
    """One `arith` operation on the bits of both operands, whatever their sign."""

    ACCEPTS: ClassVar[str] = INTEGERS


@irdl_op_definition
class LogicalAndOp(IntegerOp):
    """a and b."""

    name = "array.logical_and"
    ACCEPTS: ClassVar = "bool"
    FUNCTION: ClassVar = np.logical_and
    SIGNED: ClassVar = arith.AndIOp


@irdl_op_definition
class LogicalOrOp(IntegerOp):
    """a or b."""

    name = "array.logical_or"
    ACCEPTS: ClassVar = "bool"
    FUNCTION: ClassVar = np.logical_or
    SIGNED: ClassVar = arith.OrIOp


@irdl_op_definition
class LogicalXorOp(IntegerOp):
    """Exactly one of a and b."""

    name = "array.logical_xor"
    ACCEPTS: ClassVar = "bool"
    FUNCTION: ClassVar = np.logical_xor
    SIGNED: ClassVar = arith.XOrIOp


@irdl_op_definition
class LogicalNotOp(UnaryElementwiseOp):
    """not x."""

    name = "array.logical_not"
    ACCEPTS: ClassVar = "bool"
    FUNCTION: ClassVar = np.logical_not

    def scalar(self, emit: Emitter, *operands: SSAValue) -> SSAValue:
        return emit(arith.XOrIOp(operands[0], constant(emit, 1, operands[0])))

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        return (None,)


@irdl_op_definition
class BitwiseAndOp(IntegerOp):
    """a & b."""

    name = "array.bitwise_and"
    FUNCTION: ClassVar = np.bitwise_and
    SIGNED: ClassVar = arith.AndIOp
    UNSIGNED: ClassVar = arith.AndIOp


@irdl_op_definition
class BitwiseOrOp(IntegerOp):
    """a | b."""

    name = "array.bitwise_or"
    FUNCTION: ClassVar = np.bitwise_or
    SIGNED: ClassVar = arith.OrIOp
    UNSIGNED: ClassVar = arith.OrIOp


@irdl_op_definition
class BitwiseXorOp(IntegerOp):
    """a ^ b."""

    name = "array.bitwise_xor"
    FUNCTION: ClassVar = np.bitwise_xor
    SIGNED: ClassVar = arith.XOrIOp
    UNSIGNED: ClassVar = arith.XOrIOp


class ShiftOp(IntegerOp, ABC):
    """A shift by the low five bits of the right operand, as WGSL defines it."""

    def evaluate(self, *arrays: NumPyArray) -> Sequence[NumPyArray]:
        value, amount = arrays
        return super().evaluate(value, np.bitwise_and(amount, np.asarray(31, amount.dtype)))

    def scalar(self, emit: Emitter, *operands: SSAValue) -> SSAValue:
        value, amount = operands
        low_bits = emit(arith.AndIOp(amount, constant(emit, 31, amount)))
        return super().scalar(emit, value, low_bits)


@irdl_op_definition
class LeftShiftOp(ShiftOp):
    """a << (b mod 32)."""

    name = "array.bitwise_left_shift"
    FUNCTION: ClassVar = np.left_shift
    SIGNED: ClassVar = arith.ShLIOp
    UNSIGNED: ClassVar = arith.ShLIOp


@irdl_op_definition
class RightShiftOp(ShiftOp):
    """a >> (b mod 32): i32 keeps its sign, u32 gets zeros."""

    name = "array.bitwise_right_shift"
    FUNCTION: ClassVar = np.right_shift
    SIGNED: ClassVar = arith.ShRSIOp
    UNSIGNED: ClassVar = arith.ShRUIOp


# Conversion


class ConversionOp(ElementwiseOp, UnaryOp, ABC):
    """The operand in the dtype `element`."""

    element = prop_def(TypeAttribute)
    ACCEPTS: ClassVar[str] = ANY

    assembly_format = "$operand `to` $element attr-dict `:` functional-type(operands, results)"

    def __init__(self, operand: SSAValue, element: Attribute, location: LocationAttr | None = None):
        super().__init__(operand, element=element, location=location)

    @classmethod
    def result_element(
        cls, operands: Sequence[Tensor], properties: Mapping[str, Attribute]
    ) -> Attribute:
        dtype_name(properties["element"])
        return properties["element"]


_LARGEST = {32: 4294967040.0, 31: 2147483520.0}
"""The largest u32 and i32 that f32 can hold, by their bits."""


def _bounds(element: Attribute) -> tuple[float, float]:
    """Where conversions from floats to an integer type saturate."""
    assert isinstance(element, IntegerType)
    bits = element.bitwidth - (not is_unsigned(element))
    least = 0.0 if is_unsigned(element) else -(2.0**bits)
    return least, _LARGEST.get(bits, 2.0**bits - 1)


@irdl_op_definition
class CastOp(ConversionOp):
    """x in another dtype.

    float -> integer: toward zero, saturating at the target's bounds that f32 can hold
    (-2147483648 and 2147483520, 0 and 4294967040); NaN gives some value.
    integer -> integer: the low bits. integer -> float, f32 -> f16: to nearest even, overflow to
    inf. bool: x != 0, and 0 or 1 back.
    """

    name = "array.cast"
    ACCEPTS: ClassVar = " ".join(DTYPES)

    def evaluate(self, *arrays: NumPyArray) -> Sequence[NumPyArray]:
        (x,) = arrays
        target = numpy_dtype(self.element)
        if np.issubdtype(x.dtype, np.floating) and np.issubdtype(target, np.integer):
            x = np.clip(np.nan_to_num(x.astype(np.float64)), *_bounds(self.element))
        with np.errstate(all="ignore"):
            return (wrapped(x, self.element) if is_narrow(self.element) else x.astype(target),)

    def scalar(self, emit: Emitter, *operands: SSAValue) -> SSAValue:
        (x,) = operands
        source, target = element_of(self.operand), self.element
        low = signless(target)
        if signless(source) == low:
            return x
        if is_narrow(source):
            x = emit((arith.ExtUIOp if is_unsigned(source) else arith.ExtSIOp)(x, i32))
            if low == i32:
                return x
            source = i32
        if is_narrow(target):
            if is_float(source):
                least, most = _bounds(target)
                x = self._clipped(emit, x, least, most)
                x = emit(arith.FPToSIOp(x, i32))
            elif is_bool(source):
                x = emit(arith.ExtUIOp(x, i32))
            assert isinstance(low, IntegerType)
            return emit(arith.TruncIOp(x, low))
        if is_bool(target):
            zero = constant(emit, 0, x)
            if is_float(source):
                return emit(arith.CmpfOp(x, zero, "une"))
            return emit(arith.CmpiOp(x, zero, "ne"))

        def convert(make: Make) -> SSAValue:
            return emit(make(x, low))

        if not is_float(source):
            if not is_float(target):
                return convert(arith.ExtUIOp)
            unsigned = is_unsigned(source) or is_bool(source)
            return convert(arith.UIToFPOp if unsigned else arith.SIToFPOp)
        if is_float(target):
            return convert(arith.ExtFOp if target == f32 else arith.TruncFOp)
        x = self._clipped(emit, x, *_bounds(target))
        return convert(arith.FPToUIOp if is_unsigned(target) else arith.FPToSIOp)

    @staticmethod
    def _clipped(emit: Emitter, x: SSAValue, least: float, most: float) -> SSAValue:
        """A float as f32, between bounds."""
        if x.type != f32:
            x = emit(arith.ExtFOp(x, f32))
        x = emit(arith.MaximumfOp(x, constant(emit, least, x)))
        return emit(arith.MinimumfOp(x, constant(emit, most, x)))

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        source = element_of(self.operand)
        if not is_float(source) or not is_float(self.element):
            return (None,)
        return (emit(CastOp(cotangents[0], source)),)


@irdl_op_definition
class BitcastOp(ConversionOp):
    """The same 32 bits in another dtype."""

    name = "array.bitcast"
    ACCEPTS: ClassVar = "f32 i32 u32"

    @classmethod
    def result_element(
        cls, operands: Sequence[Tensor], properties: Mapping[str, Attribute]
    ) -> Attribute:
        element = properties["element"]
        if dtype_name(element) not in cls.ACCEPTS.split():
            raise DTypeError(f"{cls.name}: gives {cls.ACCEPTS}, not {dtype_name(element)}")
        return element

    def evaluate(self, *arrays: NumPyArray) -> Sequence[NumPyArray]:
        return (arrays[0].view(numpy_dtype(self.element)),)

    def scalar(self, emit: Emitter, *operands: SSAValue) -> SSAValue:
        low = signless(self.element)
        if operands[0].type == low:
            return operands[0]
        return emit(arith.BitcastOp(operands[0], low))

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        return (None,)


OPERATIONS = [
    EqualOp,
    NotEqualOp,
    LessOp,
    LessEqualOp,
    GreaterOp,
    GreaterEqualOp,
    WhereOp,
    LogicalAndOp,
    LogicalOrOp,
    LogicalXorOp,
    LogicalNotOp,
    BitwiseAndOp,
    BitwiseOrOp,
    BitwiseXorOp,
    LeftShiftOp,
    RightShiftOp,
    CastOp,
    BitcastOp,
]
