"""Expressions with a syntax of their own: literals, operators, conversions, vectors, reads."""

from __future__ import annotations

import math
from abc import ABC
from typing import ClassVar

import numpy as np
from xdsl.dialects.builtin import (
    DenseIntOrFPElementsAttr,
    FloatAttr,
    IntegerAttr,
    IntegerType,
    StringAttr,
    f32,
    i1,
    i32,
)
from xdsl.ir import Attribute
from xdsl.irdl import (
    AnyAttr,
    ParamAttrConstraint,
    VarConstraint,
    base,
    irdl_op_definition,
    operand_def,
    prop_def,
    result_def,
    traits_def,
    var_operand_def,
)
from xdsl.traits import ConstantLike, Pure
from xdsl.utils.exceptions import VerifyException

from stepwell.dialects.wgsl.base import ARGUMENT, Computation, Precedence, Read, Written
from stepwell.dialects.wgsl.printer import WgslPrinter
from stepwell.dialects.wgsl.types import (
    BITS,
    BOOL,
    BYTES,
    INTEGER,
    INTEGER_SCALAR,
    NUMBER,
    SIGNED,
    VALUE,
    VECTOR,
    AtomicType,
    Derived,
    RefType,
    bools_like,
    element_of,
    indexed,
    lanes_of,
    pointee,
    u32_like,
)

_F32_MAX = 3.4028234663852886e38
_COMPONENTS = "xyzw"


def float_literal(value: float, bits: int) -> str:
    """The shortest decimal text that reads back as exactly this f32 or f16."""
    text = str(np.float32(value) if bits == 32 else np.float16(value))
    if abs(float(text)) > _F32_MAX:
        text = repr(value)
    return f"{text}{'f' if bits == 32 else 'h'}"


def integer_literal(value: int, type: IntegerType) -> str:
    """The text of an i32, ui32 or i1."""
    if type == i1:
        return "true" if value else "false"
    if type != i32:
        return f"{value}u"
    # `-2147483648i` would negate a literal that is too large.
    return f"{value}i" if value > -(2**31) else f"i32({value})"


def _scalar(value: float | int, type: Attribute) -> str:
    if isinstance(type, IntegerType):
        return integer_literal(int(value), type)
    return float_literal(value, 32 if type == f32 else 16)


def literal(value: Attribute) -> str:
    """The text of a number of type f32, f16, i32, ui32 or i1."""
    assert isinstance(value, IntegerAttr | FloatAttr)
    return _scalar(value.value.data, value.type)


@irdl_op_definition
class ConstantOp(Computation):
    """`1.0f`, `7u`, `vec4<f32>(0.0f)`: a literal.

    NaN and infinities have none: load bits from a `wgsl.private_var` and `wgsl.bitcast` them.
    """

    name = "wgsl.constant"
    T: ClassVar = VarConstraint("T", VALUE)

    value = prop_def(
        ParamAttrConstraint(IntegerAttr, (AnyAttr(), T))
        | ParamAttrConstraint(FloatAttr, (AnyAttr(), T))
        | ParamAttrConstraint(DenseIntOrFPElementsAttr, (T, AnyAttr()))
    )
    result = result_def(T)

    traits = traits_def(Pure(), ConstantLike())
    assembly_format = "$value attr-dict"
    LITERAL: ClassVar = True

    def __init__(self, value: IntegerAttr | FloatAttr | DenseIntOrFPElementsAttr):
        super().__init__(properties={"value": value}, result_types=[value.get_type()])

    def verify_(self) -> None:
        if not all(map(math.isfinite, constant_values(self.value))):
            raise VerifyException(
                f"wgsl.constant: {self.value} has no literal in WGSL; load its bits from a "
                "wgsl.private_var and wgsl.bitcast them"
            )

    def written(self, printer: WgslPrinter) -> Written:
        text_of_type = printer.type(self.result.type)
        element = element_of(self.result.type)
        values = constant_values(self.value)
        if isinstance(self.value, DenseIntOrFPElementsAttr):
            if self.value.is_splat():
                values = values[:1]
            return Written(f"{text_of_type}({', '.join(_scalar(v, element) for v in values)})")
        text = _scalar(values[0], element)
        return Written(text, Precedence.UNARY if text[0] == "-" else Precedence.PRIMARY)


def constant_values(value: Attribute) -> tuple[float | int, ...]:
    match value:
        case IntegerAttr():
            return (value.value.data,)
        case FloatAttr():
            return (value.value.data,)
        case DenseIntOrFPElementsAttr():
            numbers = value.get_values()
            return tuple(number for number in numbers if not isinstance(number, tuple))
        case _:
            raise AssertionError(f"{value} is no constant")


class BinaryOperator(Computation, ABC):
    """`lhs symbol rhs`."""

    SYMBOL: ClassVar[str]
    PRECEDENCE: ClassVar[Precedence]

    lhs = operand_def()
    rhs = operand_def()
    result = result_def()

    LEFT: ClassVar[Precedence]
    RIGHT: ClassVar[Precedence]

    def written(self, printer: WgslPrinter) -> Written:
        left, right = self.operands
        lhs = printer.operand(left, self.LEFT)
        rhs = printer.operand(right, self.RIGHT)
        return Written(f"{lhs} {self.SYMBOL} {rhs}", self.PRECEDENCE)


class Additive(BinaryOperator, ABC):
    T: ClassVar = VarConstraint("T", NUMBER)
    lhs = operand_def(T)
    rhs = operand_def(T)
    result = result_def(T)
    assembly_format = "$lhs `,` $rhs attr-dict `:` type($result)"
    PRECEDENCE: ClassVar = Precedence.ADDITIVE
    LEFT: ClassVar = Precedence.ADDITIVE
    RIGHT: ClassVar = Precedence.MULTIPLICATIVE


@irdl_op_definition
class AddOp(Additive):
    """`lhs + rhs`; integers wrap."""

    name = "wgsl.add"
    SYMBOL: ClassVar = "+"


@irdl_op_definition
class SubOp(Additive):
    """`lhs - rhs`; integers wrap."""

    name = "wgsl.sub"
    SYMBOL: ClassVar = "-"


class Multiplicative(BinaryOperator, ABC):
    T: ClassVar = VarConstraint("T", NUMBER)
    lhs = operand_def(T)
    rhs = operand_def(T)
    result = result_def(T)
    assembly_format = "$lhs `,` $rhs attr-dict `:` type($result)"
    PRECEDENCE: ClassVar = Precedence.MULTIPLICATIVE
    LEFT: ClassVar = Precedence.MULTIPLICATIVE
    RIGHT: ClassVar = Precedence.UNARY


@irdl_op_definition
class MulOp(Multiplicative):
    """`lhs * rhs`; integers wrap."""

    name = "wgsl.mul"
    SYMBOL: ClassVar = "*"


class Division(Multiplicative, ABC):
    """A constant divisor of 0 is an error in WGSL where a computed one is defined."""

    def written(self, printer: WgslPrinter) -> Written:
        lhs = printer.operand(self.lhs, self.LEFT)
        constant = self.rhs.owner
        zero = isinstance(constant, ConstantOp) and 0 in constant_values(constant.value)
        read = printer.opaque if zero else printer.operand
        return Written(f"{lhs} {self.SYMBOL} {read(self.rhs, self.RIGHT)}", self.PRECEDENCE)


@irdl_op_definition
class DivOp(Division):
    """`lhs / rhs`; integers truncate, x / 0 is x and INT_MIN / -1 is INT_MIN."""

    name = "wgsl.div"
    SYMBOL: ClassVar = "/"


@irdl_op_definition
class RemOp(Division):
    """`lhs % rhs`, of the sign of lhs; of integers, x % 0 and INT_MIN % -1 are 0."""

    name = "wgsl.rem"
    SYMBOL: ClassVar = "%"


class Bitwise(BinaryOperator, ABC):
    T: ClassVar = VarConstraint("T", BITS)
    lhs = operand_def(T)
    rhs = operand_def(T)
    result = result_def(T)
    assembly_format = "$lhs `,` $rhs attr-dict `:` type($result)"
    PRECEDENCE: ClassVar = Precedence.BITWISE
    LEFT: ClassVar = Precedence.UNARY
    RIGHT: ClassVar = Precedence.UNARY


@irdl_op_definition
class AndOp(Bitwise):
    """`lhs & rhs`, bit by bit or of bools."""

    name = "wgsl.and"
    SYMBOL: ClassVar = "&"


@irdl_op_definition
class OrOp(Bitwise):
    """`lhs | rhs`, bit by bit or of bools."""

    name = "wgsl.or"
    SYMBOL: ClassVar = "|"


@irdl_op_definition
class XorOp(Bitwise):
    """`lhs ^ rhs`, bit by bit (of bools it is `wgsl.ne`)."""

    name = "wgsl.xor"
    T: ClassVar = VarConstraint("T", INTEGER)
    lhs = operand_def(T)
    rhs = operand_def(T)
    result = result_def(T)
    SYMBOL: ClassVar = "^"


class Shift(BinaryOperator, ABC):
    """A computed amount is taken modulo 32; a constant one is below 32."""

    T: ClassVar = VarConstraint("T", INTEGER)
    lhs = operand_def(T)
    rhs = operand_def(Derived("T", u32_like))
    result = result_def(T)
    assembly_format = "$lhs `,` $rhs attr-dict `:` type($lhs)"
    PRECEDENCE: ClassVar = Precedence.BITWISE
    LEFT: ClassVar = Precedence.UNARY
    RIGHT: ClassVar = Precedence.UNARY

    def verify_(self) -> None:
        amount = self.rhs.owner
        if isinstance(amount, ConstantOp) and max(constant_values(amount.value)) >= 32:
            raise VerifyException(f"{self.name}: rhs is a constant of 32 or more")


@irdl_op_definition
class ShlOp(Shift):
    """`lhs << rhs`."""

    name = "wgsl.shl"
    SYMBOL: ClassVar = "<<"


@irdl_op_definition
class ShrOp(Shift):
    """`lhs >> rhs`, which keeps the sign of an i32."""

    name = "wgsl.shr"
    SYMBOL: ClassVar = ">>"


class Comparison(BinaryOperator, ABC):
    T: ClassVar = VarConstraint("T", NUMBER)
    lhs = operand_def(T)
    rhs = operand_def(T)
    result = result_def(Derived("T", bools_like))
    assembly_format = "$lhs `,` $rhs attr-dict `:` type($lhs)"
    PRECEDENCE: ClassVar = Precedence.COMPARISON
    LEFT: ClassVar = Precedence.ADDITIVE
    RIGHT: ClassVar = Precedence.ADDITIVE


class Equality(Comparison, ABC):
    T: ClassVar = VarConstraint("T", VALUE)
    lhs = operand_def(T)
    rhs = operand_def(T)
    result = result_def(Derived("T", bools_like))


@irdl_op_definition
class EqOp(Equality):
    """`lhs == rhs`."""

    name = "wgsl.eq"
    SYMBOL: ClassVar = "=="


@irdl_op_definition
class NeOp(Equality):
    """`lhs != rhs`."""

    name = "wgsl.ne"
    SYMBOL: ClassVar = "!="


@irdl_op_definition
class LtOp(Comparison):
    """`lhs < rhs`."""

    name = "wgsl.lt"
    SYMBOL: ClassVar = "<"


@irdl_op_definition
class LeOp(Comparison):
    """`lhs <= rhs`."""

    name = "wgsl.le"
    SYMBOL: ClassVar = "<="


@irdl_op_definition
class GtOp(Comparison):
    """`lhs > rhs`."""

    name = "wgsl.gt"
    SYMBOL: ClassVar = ">"


@irdl_op_definition
class GeOp(Comparison):
    """`lhs >= rhs`."""

    name = "wgsl.ge"
    SYMBOL: ClassVar = ">="


class UnaryOperator(Computation, ABC):
    """`symbol argument`."""

    SYMBOL: ClassVar[str]

    argument = operand_def()
    result = result_def()

    def written(self, printer: WgslPrinter) -> Written:
        argument = printer.operand(self.argument, Precedence.PRIMARY)
        return Written(f"{self.SYMBOL}{argument}", Precedence.UNARY)


@irdl_op_definition
class NegOp(UnaryOperator):
    """`-argument`."""

    name = "wgsl.neg"
    T: ClassVar = VarConstraint("T", SIGNED)
    argument = operand_def(T)
    result = result_def(T)
    assembly_format = "$argument attr-dict `:` type($result)"
    SYMBOL: ClassVar = "-"


@irdl_op_definition
class NotOp(UnaryOperator):
    """`!argument`."""

    name = "wgsl.not"
    T: ClassVar = VarConstraint("T", BOOL)
    argument = operand_def(T)
    result = result_def(T)
    assembly_format = "$argument attr-dict `:` type($result)"
    SYMBOL: ClassVar = "!"


@irdl_op_definition
class ComplementOp(UnaryOperator):
    """`~argument`."""

    name = "wgsl.complement"
    T: ClassVar = VarConstraint("T", INTEGER)
    argument = operand_def(T)
    result = result_def(T)
    assembly_format = "$argument attr-dict `:` type($result)"
    SYMBOL: ClassVar = "~"


@irdl_op_definition
class SelectOp(Computation):
    """`select(on_false, on_true, condition)`; with a vector of conditions, lane by lane."""

    name = "wgsl.select"
    T: ClassVar = VarConstraint("T", VALUE)

    condition = operand_def(BOOL)
    on_true = operand_def(T)
    on_false = operand_def(T)
    result = result_def(T)

    assembly_format = (
        "$condition `,` $on_true `,` $on_false attr-dict `:` type($condition) `,` type($result)"
    )

    def verify_(self) -> None:
        lanes = lanes_of(self.condition.type)
        if lanes not in (1, lanes_of(self.result.type)):
            raise VerifyException(
                f"wgsl.select: condition {self.condition.type} does not fit {self.result.type}"
            )

    def written(self, printer: WgslPrinter) -> Written:
        condition, on_true, on_false = (printer.operand(v, ARGUMENT) for v in self.operands)
        return Written(f"select({on_false}, {on_true}, {condition})")


class Conversion(Computation, ABC):
    """A value of another type."""

    argument = operand_def(VALUE)
    result = result_def(VALUE)
    assembly_format = "$argument attr-dict `:` type($argument) `to` type($result)"


@irdl_op_definition
class ConvertOp(Conversion):
    """`f32(argument)`: the same number in another type, lane by lane.

    Floats to integers truncate and saturate; a bool is 0 or 1; to bool is `!= 0`.
    """

    name = "wgsl.convert"

    def verify_(self) -> None:
        if lanes_of(self.argument.type) != lanes_of(self.result.type):
            raise VerifyException(
                f"wgsl.convert: argument {self.argument.type} and result {self.result.type} "
                "differ in lanes"
            )

    def written(self, printer: WgslPrinter) -> Written:
        type = printer.type(self.result.type)
        return Written(f"{type}({printer.operand(self.argument, ARGUMENT)})")


@irdl_op_definition
class BitcastOp(Conversion):
    """`bitcast<u32>(argument)`: the same bits as another type, lane by lane."""

    name = "wgsl.bitcast"

    def verify_(self) -> None:
        argument, result = self.argument.type, self.result.type
        widths = [BYTES.get(element_of(type)) for type in (argument, result)]
        if lanes_of(argument) != lanes_of(result) or widths[0] != widths[1] or None in widths:
            raise VerifyException(
                f"wgsl.bitcast: argument {argument} and result {result} differ in lanes or bits"
            )

    def written(self, printer: WgslPrinter) -> Written:
        type = printer.type(self.result.type)
        return Written(f"bitcast<{type}>({printer.operand(self.argument, ARGUMENT)})")


@irdl_op_definition
class ConstructOp(Computation):
    """`vec4<f32>(a, b, c, d)`, `vec4<f32>(splat)`: a vector of scalars and smaller vectors."""

    name = "wgsl.construct"

    arguments = var_operand_def(VALUE)
    result = result_def(VECTOR)

    assembly_format = "$arguments attr-dict `:` type($arguments) `->` type($result)"
    FOLDS: ClassVar = False

    def verify_(self) -> None:
        types = [argument.type for argument in self.arguments]
        element = element_of(self.result.type)
        for i, type in enumerate(types):
            if element_of(type) != element:
                raise VerifyException(f"wgsl.construct: argument {i} is {type}, no {element}")
        lanes = sum(map(lanes_of, types))
        if lanes != lanes_of(self.result.type) and not (len(types) == 1 and lanes == 1):
            raise VerifyException(
                f"wgsl.construct: arguments of {lanes} lanes in all do not make {self.result.type}"
            )

    def written(self, printer: WgslPrinter) -> Written:
        type = printer.type(self.result.type)
        arguments = ", ".join(printer.operand(argument, ARGUMENT) for argument in self.operands)
        return Written(f"{type}({arguments})")


@irdl_op_definition
class ExtractOp(Computation):
    """`vector.x`: one component."""

    name = "wgsl.extract"
    T: ClassVar = VarConstraint("T", VECTOR)

    vector = operand_def(T)
    component = prop_def(IntegerAttr.constr(i32))
    result = result_def(Derived("T", element_of))

    assembly_format = "$vector `[` $component `]` attr-dict `:` type($vector)"

    def verify_(self) -> None:
        if not 0 <= self.component.value.data < lanes_of(self.vector.type):
            raise VerifyException(
                f"wgsl.extract: vector {self.vector.type} has no component "
                f"{self.component.value.data}"
            )

    def written(self, printer: WgslPrinter) -> Written:
        vector = printer.operand(self.vector, Precedence.PRIMARY)
        return Written(f"{vector}.{_COMPONENTS[self.component.value.data]}")


@irdl_op_definition
class SwizzleOp(Computation):
    """`vector.zyx`: some components, in any order."""

    name = "wgsl.swizzle"

    vector = operand_def(VECTOR)
    components = prop_def(StringAttr)
    result = result_def(VECTOR)

    assembly_format = "$vector $components attr-dict `:` type($vector) `->` type($result)"

    def verify_(self) -> None:
        components, source = self.components.data, self.vector.type
        if not set(components) <= set(_COMPONENTS[: lanes_of(source)]):
            raise VerifyException(f"wgsl.swizzle: vector {source} has no components {components}")
        result = self.result.type
        if lanes_of(result) != len(components) or element_of(result) != element_of(source):
            raise VerifyException(
                f"wgsl.swizzle: components {components} of {source} are no {result}"
            )

    def written(self, printer: WgslPrinter) -> Written:
        vector = printer.operand(self.vector, Precedence.PRIMARY)
        return Written(f"{vector}.{self.components.data}")


@irdl_op_definition
class IndexOp(Computation):
    """`ref[index]`: a reference to an element of an array or vector in memory."""

    name = "wgsl.index"
    R: ClassVar = VarConstraint("R", base(RefType))

    ref = operand_def(R)
    index = operand_def(INTEGER_SCALAR)
    result = result_def(Derived("R", indexed))

    assembly_format = "$ref `[` $index `]` attr-dict `:` type($ref) `,` type($index)"
    LITERAL: ClassVar = True
    FOLDS: ClassVar = False

    def written(self, printer: WgslPrinter) -> Written:
        ref = printer.operand(self.ref, Precedence.PRIMARY)
        if self.result.has_one_use():
            index = printer.stable(self.index, ARGUMENT)
        else:
            index = printer.atom(self.index)
        return Written(f"{ref}[{index}]")


@irdl_op_definition
class LoadOp(Read):
    """The value in memory now."""

    name = "wgsl.load"
    R: ClassVar = VarConstraint("R", base(RefType))

    ref = operand_def(R)
    result = result_def(VALUE & Derived("R", pointee))

    assembly_format = "$ref attr-dict `:` type($ref)"

    def verify_(self) -> None:
        assert isinstance(self.ref.type, RefType)
        if isinstance(self.ref.type.element, AtomicType):
            raise VerifyException("wgsl.load: ref is of an atomic; use wgsl.atomic_load")

    def written(self, printer: WgslPrinter) -> Written:
        return Written(printer.operand(self.ref, Precedence.PRIMARY))
