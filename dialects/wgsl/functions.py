"""The builtin functions of WGSL: one class each, called by the operation's name."""

from __future__ import annotations

from abc import ABC
from typing import ClassVar

from xdsl.irdl import VarConstraint, irdl_op_definition, operand_def, result_def

from stepwell.dialects.wgsl.base import Call
from stepwell.dialects.wgsl.types import (
    BOOL,
    F32,
    FLOAT,
    FLOAT_VECTOR,
    INTEGER,
    NUMBER,
    SIGNED,
    Derived,
    element_of,
    f32,
    i1,
    i32_like,
    u32,
    vector,
)


class UnaryFunction(Call, ABC):
    """`f(x)`, of floats lane by lane."""

    T: ClassVar = VarConstraint("T", FLOAT)
    argument = operand_def(T)
    result = result_def(T)
    assembly_format = "$argument attr-dict `:` type($result)"


class BinaryFunction(Call, ABC):
    """`f(x, y)`, lane by lane."""

    T: ClassVar = VarConstraint("T", NUMBER)
    lhs = operand_def(T)
    rhs = operand_def(T)
    result = result_def(T)
    assembly_format = "$lhs `,` $rhs attr-dict `:` type($result)"


class IntegerFunction(UnaryFunction, ABC):
    """`f(x)`, of integers lane by lane."""

    T: ClassVar = VarConstraint("T", INTEGER)
    argument = operand_def(T)
    result = result_def(T)


class BoolReduction(Call, ABC):
    """`f(x)`: one bool of many."""

    argument = operand_def(BOOL)
    result = result_def(i1)
    assembly_format = "$argument attr-dict `:` type($argument)"


@irdl_op_definition
class ExpOp(UnaryFunction):
    """`e ** x`: 3 + 2 * abs(x) ULP."""

    name = "wgsl.exp"


@irdl_op_definition
class Exp2Op(UnaryFunction):
    """`2 ** x`: 3 + 2 * abs(x) ULP."""

    name = "wgsl.exp2"


@irdl_op_definition
class LogOp(UnaryFunction):
    """The natural logarithm: 3 ULP outside [0.5, 2], absolute 2**-21 inside."""

    name = "wgsl.log"


@irdl_op_definition
class Log2Op(UnaryFunction):
    """The logarithm to base 2: 3 ULP outside [0.5, 2], absolute 2**-21 inside."""

    name = "wgsl.log2"


@irdl_op_definition
class SqrtOp(UnaryFunction):
    """As accurate as `1 / inverseSqrt(x)`."""

    name = "wgsl.sqrt"


@irdl_op_definition
class InverseSqrtOp(UnaryFunction):
    """`1 / sqrt(x)`: 2 ULP."""

    name = "wgsl.inverse_sqrt"


@irdl_op_definition
class SinOp(UnaryFunction):
    """Absolute 2**-11, inside [-pi, pi] only."""

    name = "wgsl.sin"


@irdl_op_definition
class CosOp(UnaryFunction):
    """Absolute 2**-11, inside [-pi, pi] only."""

    name = "wgsl.cos"


@irdl_op_definition
class TanOp(UnaryFunction):
    """As accurate as `sin(x) / cos(x)`."""

    name = "wgsl.tan"


@irdl_op_definition
class AsinOp(UnaryFunction):
    """As accurate as `atan2(x, sqrt(1 - x * x))`."""

    name = "wgsl.asin"


@irdl_op_definition
class AcosOp(UnaryFunction):
    """As accurate as `atan2(sqrt(1 - x * x), x)`."""

    name = "wgsl.acos"


@irdl_op_definition
class AtanOp(UnaryFunction):
    """4096 ULP."""

    name = "wgsl.atan"


@irdl_op_definition
class SinhOp(UnaryFunction):
    """As accurate as `(exp(x) - exp(-x)) / 2`."""

    name = "wgsl.sinh"


@irdl_op_definition
class CoshOp(UnaryFunction):
    """As accurate as `(exp(x) + exp(-x)) / 2`."""

    name = "wgsl.cosh"


@irdl_op_definition
class TanhOp(UnaryFunction):
    """As accurate as `sinh(x) / cosh(x)`: poor near 0, and overflows."""

    name = "wgsl.tanh"


@irdl_op_definition
class FloorOp(UnaryFunction):
    """Towards minus infinity."""

    name = "wgsl.floor"


@irdl_op_definition
class CeilOp(UnaryFunction):
    """Towards infinity."""

    name = "wgsl.ceil"


@irdl_op_definition
class RoundOp(UnaryFunction):
    """To the nearest integer, halves to even."""

    name = "wgsl.round"


@irdl_op_definition
class TruncOp(UnaryFunction):
    """Towards zero."""

    name = "wgsl.trunc"


@irdl_op_definition
class FractOp(UnaryFunction):
    """`x - floor(x)`."""

    name = "wgsl.fract"


@irdl_op_definition
class SaturateOp(UnaryFunction):
    """Clamped to [0, 1]."""

    name = "wgsl.saturate"


@irdl_op_definition
class AbsOp(UnaryFunction):
    """Without the sign; of INT_MIN, itself."""

    name = "wgsl.abs"
    T: ClassVar = VarConstraint("T", SIGNED)
    argument = operand_def(T)
    result = result_def(T)


@irdl_op_definition
class SignOp(UnaryFunction):
    """-1, 0 or 1."""

    name = "wgsl.sign"
    T: ClassVar = VarConstraint("T", SIGNED)
    argument = operand_def(T)
    result = result_def(T)


@irdl_op_definition
class MinOp(BinaryFunction):
    """The smaller; which one is open where one is NaN."""

    name = "wgsl.min"


@irdl_op_definition
class MaxOp(BinaryFunction):
    """The larger; which one is open where one is NaN."""

    name = "wgsl.max"


@irdl_op_definition
class PowOp(BinaryFunction):
    """`exp2(y * log2(x))`: NaN for negative x."""

    name = "wgsl.pow"
    T: ClassVar = VarConstraint("T", FLOAT)
    lhs = operand_def(T)
    rhs = operand_def(T)
    result = result_def(T)


@irdl_op_definition
class Atan2Op(BinaryFunction):
    """The angle of the point (rhs, lhs): 4096 ULP."""

    name = "wgsl.atan2"
    T: ClassVar = VarConstraint("T", FLOAT)
    lhs = operand_def(T)
    rhs = operand_def(T)
    result = result_def(T)


@irdl_op_definition
class StepOp(BinaryFunction):
    """1 where rhs >= lhs, else 0."""

    name = "wgsl.step"
    T: ClassVar = VarConstraint("T", FLOAT)
    lhs = operand_def(T)
    rhs = operand_def(T)
    result = result_def(T)


@irdl_op_definition
class FmaOp(Call):
    """`a * b + c`, rounded once or twice."""

    name = "wgsl.fma"
    T: ClassVar = VarConstraint("T", FLOAT)
    a = operand_def(T)
    b = operand_def(T)
    c = operand_def(T)
    result = result_def(T)
    assembly_format = "$a `,` $b `,` $c attr-dict `:` type($result)"


@irdl_op_definition
class ClampOp(Call):
    """`min(max(argument, low), high)`."""

    name = "wgsl.clamp"
    T: ClassVar = VarConstraint("T", NUMBER)
    argument = operand_def(T)
    low = operand_def(T)
    high = operand_def(T)
    result = result_def(T)
    assembly_format = "$argument `,` $low `,` $high attr-dict `:` type($result)"


@irdl_op_definition
class MixOp(Call):
    """`lhs * (1 - part) + rhs * part`."""

    name = "wgsl.mix"
    T: ClassVar = VarConstraint("T", FLOAT)
    lhs = operand_def(T)
    rhs = operand_def(T)
    part = operand_def(T)
    result = result_def(T)
    assembly_format = "$lhs `,` $rhs `,` $part attr-dict `:` type($result)"


@irdl_op_definition
class LdexpOp(Call):
    """`argument * 2 ** exponent`."""

    name = "wgsl.ldexp"
    T: ClassVar = VarConstraint("T", FLOAT)
    argument = operand_def(T)
    exponent = operand_def(Derived("T", i32_like))
    result = result_def(T)
    assembly_format = "$argument `,` $exponent attr-dict `:` type($result)"


@irdl_op_definition
class DotOp(Call):
    """The sum of the products lane by lane."""

    name = "wgsl.dot"
    T: ClassVar = VarConstraint("T", FLOAT_VECTOR)
    lhs = operand_def(T)
    rhs = operand_def(T)
    result = result_def(Derived("T", element_of))
    assembly_format = "$lhs `,` $rhs attr-dict `:` type($lhs)"


@irdl_op_definition
class CountOneBitsOp(IntegerFunction):
    """How many bits are 1."""

    name = "wgsl.count_one_bits"


@irdl_op_definition
class CountLeadingZerosOp(IntegerFunction):
    """How many bits above the highest 1; 32 for 0."""

    name = "wgsl.count_leading_zeros"


@irdl_op_definition
class CountTrailingZerosOp(IntegerFunction):
    """How many bits below the lowest 1; 32 for 0."""

    name = "wgsl.count_trailing_zeros"


@irdl_op_definition
class ReverseBitsOp(IntegerFunction):
    """The bits from the other end."""

    name = "wgsl.reverse_bits"


@irdl_op_definition
class FirstLeadingBitOp(IntegerFunction):
    """The place of the highest bit that differs from the sign."""

    name = "wgsl.first_leading_bit"


@irdl_op_definition
class FirstTrailingBitOp(IntegerFunction):
    """The place of the lowest 1."""

    name = "wgsl.first_trailing_bit"


@irdl_op_definition
class AllOp(BoolReduction):
    """Whether all lanes are true."""

    name = "wgsl.all"


@irdl_op_definition
class AnyOp(BoolReduction):
    """Whether a lane is true."""

    name = "wgsl.any"


@irdl_op_definition
class Pack2x16floatOp(Call):
    """2 f32 as f16, the first in the low bits."""

    name = "wgsl.pack2x16float"
    argument = operand_def(vector(f32, 2))
    result = result_def(u32)
    assembly_format = "$argument attr-dict"


@irdl_op_definition
class Unpack2x16floatOp(Call):
    """2 f16 as f32, the first from the low bits."""

    name = "wgsl.unpack2x16float"
    argument = operand_def(u32)
    result = result_def(vector(f32, 2))
    assembly_format = "$argument attr-dict"


@irdl_op_definition
class Pack2x16snormOp(Call):
    """2 f32 as snorm16, the first in the low bits."""

    name = "wgsl.pack2x16snorm"
    argument = operand_def(vector(f32, 2))
    result = result_def(u32)
    assembly_format = "$argument attr-dict"


@irdl_op_definition
class Unpack2x16snormOp(Call):
    """2 snorm16 as f32, the first from the low bits."""

    name = "wgsl.unpack2x16snorm"
    argument = operand_def(u32)
    result = result_def(vector(f32, 2))
    assembly_format = "$argument attr-dict"


@irdl_op_definition
class Pack2x16unormOp(Call):
    """2 f32 as unorm16, the first in the low bits."""

    name = "wgsl.pack2x16unorm"
    argument = operand_def(vector(f32, 2))
    result = result_def(u32)
    assembly_format = "$argument attr-dict"


@irdl_op_definition
class Unpack2x16unormOp(Call):
    """2 unorm16 as f32, the first from the low bits."""

    name = "wgsl.unpack2x16unorm"
    argument = operand_def(u32)
    result = result_def(vector(f32, 2))
    assembly_format = "$argument attr-dict"


@irdl_op_definition
class Pack4x8snormOp(Call):
    """4 f32 as snorm8, the first in the low bits."""

    name = "wgsl.pack4x8snorm"
    argument = operand_def(vector(f32, 4))
    result = result_def(u32)
    assembly_format = "$argument attr-dict"


@irdl_op_definition
class Unpack4x8snormOp(Call):
    """4 snorm8 as f32, the first from the low bits."""

    name = "wgsl.unpack4x8snorm"
    argument = operand_def(u32)
    result = result_def(vector(f32, 4))
    assembly_format = "$argument attr-dict"


@irdl_op_definition
class Pack4x8unormOp(Call):
    """4 f32 as unorm8, the first in the low bits."""

    name = "wgsl.pack4x8unorm"
    argument = operand_def(vector(f32, 4))
    result = result_def(u32)
    assembly_format = "$argument attr-dict"


@irdl_op_definition
class Unpack4x8unormOp(Call):
    """4 unorm8 as f32, the first from the low bits."""

    name = "wgsl.unpack4x8unorm"
    argument = operand_def(u32)
    result = result_def(vector(f32, 4))
    assembly_format = "$argument attr-dict"


@irdl_op_definition
class QuantizeToF16Op(UnaryFunction):
    """The f32 rounded to what f16 can hold."""

    name = "wgsl.quantize_to_f16"
    T: ClassVar = VarConstraint("T", F32)
    argument = operand_def(T)
    result = result_def(T)
