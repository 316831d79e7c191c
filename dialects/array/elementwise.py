"""Elementwise arithmetic and functions: one class per operation, with its scalar meaning and
gradient. Comparison, logic and conversion are in `logic.py`.
"""

from __future__ import annotations

import math as scalar_math
from abc import ABC
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
from xdsl.dialects import arith, math
from xdsl.dialects.builtin import AnyFloat, AnyTensorTypeConstr, f32, i32
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, result_def

from stepwell.dialects.array.base import (
    ElementwiseOp,
    NumPyArray,
    UnaryOp,
    element_of,
    is_unsigned,
)
from stepwell.dialects.array.build import full_like, zeros_like
from stepwell.dialects.build import create
from stepwell.dialects.emit import Emitter

Make = Callable[..., Operation]

FLOATS = "f32 f16"
INTEGERS = "i32 u32"


class UnaryElementwiseOp(ElementwiseOp, UnaryOp, ABC):
    """result[i] = f(operand[i])."""

    FUNCTION: ClassVar[Callable[[NumPyArray], Any]]
    assembly_format = "$operand attr-dict `:` functional-type(operands, results)"

    def evaluate(self, *arrays: NumPyArray) -> Sequence[NumPyArray]:
        with np.errstate(all="ignore"):
            return (np.asarray(type(self).FUNCTION(*arrays)),)


class FunctionOp(UnaryElementwiseOp, ABC):
    """A function of floats that `math` has an operation for."""

    ACCEPTS: ClassVar[str] = FLOATS
    MATH: ClassVar[Make]

    def scalar(self, emit: Emitter, *operands: SSAValue) -> SSAValue:
        return emit(type(self).MATH(*operands))


class StepOp(FunctionOp, ABC):
    """A piecewise constant function: its gradient is zero."""

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        return (None,)


class BinaryElementwiseOp(ElementwiseOp, ABC):
    """result[i] = f(lhs[i], rhs[i]): one `arith` operation for each kind of dtype."""

    lhs = operand_def(AnyTensorTypeConstr)
    rhs = operand_def(AnyTensorTypeConstr)
    result = result_def(AnyTensorTypeConstr)

    assembly_format = "$lhs `,` $rhs attr-dict `:` functional-type(operands, results)"

    FUNCTION: ClassVar[Callable[[NumPyArray, NumPyArray], Any]]
    FLOAT: ClassVar[type[Operation]]
    SIGNED: ClassVar[type[Operation]]
    UNSIGNED: ClassVar[type[Operation]]

    def evaluate(self, *arrays: NumPyArray) -> Sequence[NumPyArray]:
        with np.errstate(all="ignore"):
            return (np.asarray(type(self).FUNCTION(*arrays)),)

    def scalar(self, emit: Emitter, *operands: SSAValue) -> SSAValue:
        cls = type(self)
        if isinstance(operands[0].type, AnyFloat):
            kind = cls.FLOAT
        else:
            kind = cls.UNSIGNED if is_unsigned(element_of(self.lhs)) else cls.SIGNED
        return emit(create(kind, operands, [operands[0].type]))


def constant(emit: Emitter, value: float, like: SSAValue) -> SSAValue:
    """A scalar of the type of `like`."""
    return emit.constant(value, like.type)


# Arithmetic


@irdl_op_definition
class AddOp(BinaryElementwiseOp):
    """a + b (integers wrap)."""

    name = "array.add"
    FUNCTION: ClassVar = np.add
    FLOAT: ClassVar = arith.AddfOp
    SIGNED: ClassVar = arith.AddiOp
    UNSIGNED: ClassVar = arith.AddiOp

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        (ct,) = cotangents
        return ct, ct


@irdl_op_definition
class SubtractOp(BinaryElementwiseOp):
    """a - b (integers wrap)."""

    name = "array.subtract"
    FUNCTION: ClassVar = np.subtract
    FLOAT: ClassVar = arith.SubfOp
    SIGNED: ClassVar = arith.SubiOp
    UNSIGNED: ClassVar = arith.SubiOp

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        (ct,) = cotangents
        return ct, emit(NegativeOp(ct))


@irdl_op_definition
class MultiplyOp(BinaryElementwiseOp):
    """a * b (integers wrap)."""

    name = "array.multiply"
    FUNCTION: ClassVar = np.multiply
    FLOAT: ClassVar = arith.MulfOp
    SIGNED: ClassVar = arith.MuliOp
    UNSIGNED: ClassVar = arith.MuliOp

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        (ct,) = cotangents
        return emit(MultiplyOp(ct, self.rhs)), emit(MultiplyOp(ct, self.lhs))


def _divisor(emit: Emitter, lhs: SSAValue, rhs: SSAValue, *, unsigned: bool) -> SSAValue:
    """`rhs`, or 1 where dividing by it is undefined in `arith`: by 0, and INT_MIN by -1.

    So x / 0 = x, x % 0 = 0, INT_MIN / -1 = INT_MIN and INT_MIN % -1 = 0, as WGSL defines.
    """
    undefined = emit(arith.CmpiOp(rhs, constant(emit, 0, rhs), "eq"))
    if not unsigned:
        lowest = emit(arith.CmpiOp(lhs, constant(emit, -(2**31), lhs), "eq"))
        minus_one = emit(arith.CmpiOp(rhs, constant(emit, -1, rhs), "eq"))
        undefined = emit(arith.OrIOp(undefined, emit(arith.AndIOp(lowest, minus_one))))
    return emit(arith.SelectOp(undefined, constant(emit, 1, rhs), rhs))


def _numpy_divisor(lhs: NumPyArray, rhs: NumPyArray) -> NumPyArray:
    undefined = rhs == 0
    if np.issubdtype(lhs.dtype, np.signedinteger):
        undefined |= (lhs == np.iinfo(np.int32).min) & (rhs == -1)
    return np.where(undefined, np.ones_like(rhs), rhs)


def _divide(lhs: NumPyArray, rhs: NumPyArray) -> NumPyArray:
    if np.issubdtype(lhs.dtype, np.floating):
        return np.asarray(np.divide(lhs, rhs))
    divisor = _numpy_divisor(lhs, rhs)
    return np.asarray((lhs - np.fmod(lhs, divisor)) // divisor)


class QuotientOp(BinaryElementwiseOp, ABC):
    """a / b."""

    FUNCTION: ClassVar = _divide

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        (ct,) = cotangents
        share = emit(DivideOp(ct, self.rhs))
        return share, emit(NegativeOp(emit(MultiplyOp(share, self.result))))


@irdl_op_definition
class DivideOp(QuotientOp):
    """a / b; integers round toward zero, with x / 0 = x and INT_MIN / -1 = INT_MIN."""

    name = "array.divide"

    def scalar(self, emit: Emitter, *operands: SSAValue) -> SSAValue:
        lhs, rhs = operands
        if isinstance(lhs.type, AnyFloat):
            return emit(arith.DivfOp(lhs, rhs))
        unsigned = is_unsigned(element_of(self.lhs))
        divisor = _divisor(emit, lhs, rhs, unsigned=unsigned)
        return emit((arith.DivUIOp if unsigned else arith.DivSIOp)(lhs, divisor))


@irdl_op_definition
class ExactDivideOp(QuotientOp):
    """a / b as IEEE 754 rounds it, where `array.divide` may be some units in the last place off.

    Of a = p * 2**i and b = q * 2**j, p and q integers of 24 bits, the significand is p * 2**k / q
    rounded, where k is 23 or 24. A division of floats gives it to within 4. What that leaves of
    p * 2**k, less than 4 * q, fits 32 bits, though the numbers that it is the difference of do not.
    Where an operand or the result is no normal number, the result is that of `array.divide`.
    """

    name = "array.exact_divide"
    ACCEPTS: ClassVar = "f32"

    def scalar(self, emit: Emitter, *operands: SSAValue) -> SSAValue:
        def bits(kind: Make, *values: SSAValue | int) -> SSAValue:
            return emit(kind(*(emit.constant(v, i32) if isinstance(v, int) else v for v in values)))

        def either(condition: SSAValue, yes: float, no: float, type: Attribute) -> SSAValue:
            return emit(
                arith.SelectOp(condition, emit.constant(yes, type), emit.constant(no, type))
            )

        lhs, rhs = operands
        a, b = (emit(arith.BitcastOp(operand, i32)) for operand in operands)
        p, q = (bits(arith.OrIOp, bits(arith.AndIOp, x, 0x7FFFFF), 0x800000) for x in (a, b))
        # Exponents as they are stored, less 1: those of normal numbers are below 254.
        i, j = (
            bits(arith.SubiOp, bits(arith.AndIOp, bits(arith.ShRUIOp, x, 23), 0xFF), 1)
            for x in (a, b)
        )
        small = emit(arith.CmpiOp(p, q, "ult"))
        k, scale = either(small, 24, 23, i32), either(small, 2.0**24, 2.0**23, f32)
        ratio = emit(arith.DivfOp(emit(arith.SIToFPOp(p, f32)), emit(arith.SIToFPOp(q, f32))))
        near = emit(arith.FPToSIOp(emit(arith.MulfOp(ratio, scale)), i32))
        rest = bits(arith.SubiOp, bits(arith.ShLIOp, p, k), bits(arith.MuliOp, near, q))
        # floor(rest / q + 1/2), which is no tie; 4 is added before and taken off after: naturals.
        twice = bits(arith.AddiOp, bits(arith.MuliOp, rest, 2), bits(arith.MuliOp, q, 9))
        steps = bits(arith.DivUIOp, twice, bits(arith.MuliOp, q, 2))
        digits = bits(arith.AddiOp, near, bits(arith.SubiOp, steps, 4))
        exponent = bits(arith.AddiOp, bits(arith.SubiOp, bits(arith.SubiOp, i, j), k), 149)
        # The leading digit makes up for the 1 that the exponent lacks; a carry adds another.
        magnitude = bits(arith.AddiOp, bits(arith.ShLIOp, exponent, 23), digits)
        sign = bits(arith.AndIOp, bits(arith.XOrIOp, a, b), -(2**31))
        exact = emit(arith.BitcastOp(bits(arith.OrIOp, magnitude, sign), f32))
        largest = bits(arith.MaxUIOp, bits(arith.MaxUIOp, i, j), exponent)
        normal = emit(arith.CmpiOp(largest, emit.constant(254, i32), "ult"))
        return emit(arith.SelectOp(normal, exact, emit(arith.DivfOp(lhs, rhs))))


def _remainder(lhs: Any, rhs: Any) -> NumPyArray:
    if np.issubdtype(lhs.dtype, np.floating):
        return np.asarray(lhs - np.floor(lhs / rhs) * rhs)
    return np.asarray(np.remainder(lhs, _numpy_divisor(lhs, rhs)))


@irdl_op_definition
class RemainderOp(BinaryElementwiseOp):
    """a - floor(a / b) * b, which has the sign of b; integers: x % 0 = 0.

    For floats the formula is what is computed, so quotients above 2**24 leave no correct digit.
    """

    name = "array.remainder"
    FUNCTION: ClassVar = _remainder

    def scalar(self, emit: Emitter, *operands: SSAValue) -> SSAValue:
        lhs, rhs = operands
        if isinstance(lhs.type, AnyFloat):
            quotient = emit(math.FloorOp(emit(arith.DivfOp(lhs, rhs))))
            return emit(arith.SubfOp(lhs, emit(arith.MulfOp(quotient, rhs))))
        unsigned = is_unsigned(element_of(self.lhs))
        divisor = _divisor(emit, lhs, rhs, unsigned=unsigned)
        if unsigned:
            return emit(arith.RemUIOp(lhs, divisor))
        rest = emit(arith.RemSIOp(lhs, divisor))
        zero = constant(emit, 0, rest)
        signs_differ = emit(arith.CmpiOp(emit(arith.XOrIOp(rest, divisor)), zero, "slt"))
        wrong = emit(arith.AndIOp(signs_differ, emit(arith.CmpiOp(rest, zero, "ne"))))
        return emit(arith.SelectOp(wrong, emit(arith.AddiOp(rest, divisor)), rest))

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        (ct,) = cotangents
        quotient = emit(FloorOp(emit(DivideOp(self.lhs, self.rhs))))
        return ct, emit(NegativeOp(emit(MultiplyOp(ct, quotient))))


@irdl_op_definition
class PowOp(BinaryElementwiseOp):
    """a ** b, with a ** 0 = 1, and exact signs for negative a and whole b (NaN for other b).

    At a = b = 0 the gradients are 0; at a = 0 < b the gradient of b is 0, as in torch.
    """

    name = "array.pow"
    ACCEPTS: ClassVar = FLOATS
    FUNCTION: ClassVar = np.power

    def scalar(self, emit: Emitter, *operands: SSAValue) -> SSAValue:
        # GPUs compute exp2(b * log2(a)), which is NaN for negative a and for 0 ** 0.
        base, exponent = operands
        zero, one, two = (constant(emit, value, base) for value in (0, 1, 2))
        whole = emit(arith.CmpfOp(emit(math.FloorOp(exponent)), exponent, "oeq"))
        magnitude = emit(arith.SelectOp(whole, emit(math.AbsFOp(base)), base))
        power = emit(math.PowFOp(magnitude, exponent))
        half = emit(math.FloorOp(emit(arith.DivfOp(exponent, two))))
        parity = emit(arith.SubfOp(exponent, emit(arith.MulfOp(half, two))))
        odd = emit(arith.CmpfOp(parity, one, "oeq"))
        negative = emit(arith.AndIOp(odd, emit(arith.CmpfOp(base, zero, "olt"))))
        signed = emit(arith.SelectOp(negative, emit(arith.NegfOp(power)), power))
        return emit(arith.SelectOp(emit(arith.CmpfOp(exponent, zero, "oeq")), one, signed))

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        from stepwell.dialects.array.logic import EqualOp, GreaterEqualOp, LogicalAndOp, WhereOp

        (ct,) = cotangents
        zero, one = zeros_like(emit, self.rhs), full_like(emit, 1, self.rhs)
        # The operand that would give inf or NaN is replaced before the function, not after,
        # so that the gradient of this gradient meets no 0 * inf either.
        zero_base = emit(EqualOp(self.lhs, zero))
        both_zero = emit(LogicalAndOp(zero_base, emit(EqualOp(self.rhs, zero))))
        exponent = emit(WhereOp(both_zero, one, self.rhs))
        power = emit(PowOp(self.lhs, emit(SubtractOp(exponent, one))))
        base_share = emit(MultiplyOp(ct, emit(MultiplyOp(self.rhs, power))))
        flat = emit(LogicalAndOp(zero_base, emit(GreaterEqualOp(self.rhs, zero))))
        logarithm = emit(LogOp(emit(WhereOp(flat, one, self.lhs))))
        return base_share, emit(MultiplyOp(ct, emit(MultiplyOp(self.result, logarithm))))


@irdl_op_definition
class NegativeOp(UnaryElementwiseOp):
    """-x (integers wrap)."""

    name = "array.negative"
    FUNCTION: ClassVar = np.negative

    def scalar(self, emit: Emitter, *operands: SSAValue) -> SSAValue:
        (x,) = operands
        if isinstance(x.type, AnyFloat):
            return emit(arith.NegfOp(x))
        return emit(arith.SubiOp(constant(emit, 0, x), x))

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        return (emit(NegativeOp(*cotangents)),)


@irdl_op_definition
class AbsOp(UnaryElementwiseOp):
    """|x|, with gradient 0 at 0; abs(INT_MIN) = INT_MIN."""

    name = "array.abs"
    FUNCTION: ClassVar = np.abs

    def scalar(self, emit: Emitter, *operands: SSAValue) -> SSAValue:
        (x,) = operands
        if isinstance(x.type, AnyFloat):
            return emit(math.AbsFOp(x))
        return x if is_unsigned(element_of(self.operand)) else emit(math.AbsIOp(x))

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        return (emit(MultiplyOp(*cotangents, emit(SignOp(self.operand)))),)


@irdl_op_definition
class SignOp(UnaryElementwiseOp):
    """-1, 0 or 1; zeros keep their sign and NaN stays."""

    name = "array.sign"
    FUNCTION: ClassVar = np.sign

    def scalar(self, emit: Emitter, *operands: SSAValue) -> SSAValue:
        (x,) = operands
        zero, one = constant(emit, 0, x), constant(emit, 1, x)

        def compare(floating: str, integer: str) -> SSAValue:
            if isinstance(x.type, AnyFloat):
                return emit(arith.CmpfOp(x, zero, floating))
            return emit(arith.CmpiOp(x, zero, integer))

        if is_unsigned(element_of(self.operand)):
            return emit(arith.SelectOp(compare("one", "ne"), one, zero))
        below = emit(arith.SelectOp(compare("olt", "slt"), constant(emit, -1, x), x))
        return emit(arith.SelectOp(compare("ogt", "sgt"), one, below))

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        return (None,)


class ExtremumOp(BinaryElementwiseOp, ABC):
    """The larger or smaller operand, NaN if one is NaN; equal operands share the gradient."""

    def _wins(self, emit: Emitter, mine: SSAValue, other: SSAValue) -> SSAValue:
        """1 where `mine` is the result alone, 1/2 where both are, else 0."""
        from stepwell.dialects.array.logic import EqualOp, WhereOp

        half, one = full_like(emit, 0.5, mine), full_like(emit, 1, mine)
        share = emit(WhereOp(emit(EqualOp(mine, other)), half, one))
        chosen = emit(EqualOp(mine, self.result))
        return emit(WhereOp(chosen, share, zeros_like(emit, mine)))

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        (ct,) = cotangents
        return (
            emit(MultiplyOp(ct, self._wins(emit, self.lhs, self.rhs))),
            emit(MultiplyOp(ct, self._wins(emit, self.rhs, self.lhs))),
        )


@irdl_op_definition
class MaximumOp(ExtremumOp):
    """The larger of a and b."""

    name = "array.maximum"
    FUNCTION: ClassVar = np.maximum
    FLOAT: ClassVar = arith.MaximumfOp
    SIGNED: ClassVar = arith.MaxSIOp
    UNSIGNED: ClassVar = arith.MaxUIOp


@irdl_op_definition
class MinimumOp(ExtremumOp):
    """The smaller of a and b."""

    name = "array.minimum"
    FUNCTION: ClassVar = np.minimum
    FLOAT: ClassVar = arith.MinimumfOp
    SIGNED: ClassVar = arith.MinSIOp
    UNSIGNED: ClassVar = arith.MinUIOp


# Functions of floats


@irdl_op_definition
class ExpOp(FunctionOp):
    """e ** x."""

    name = "array.exp"
    FUNCTION: ClassVar = np.exp
    MATH: ClassVar = math.ExpOp

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        return (emit(MultiplyOp(*cotangents, self.result)),)


@irdl_op_definition
class Expm1Op(FunctionOp):
    """e ** x - 1, accurate near 0."""

    name = "array.expm1"
    FUNCTION: ClassVar = np.expm1
    MATH: ClassVar = math.ExpM1Op

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        slope = emit(AddOp(self.result, full_like(emit, 1, self.result)))
        return (emit(MultiplyOp(*cotangents, slope)),)


@irdl_op_definition
class LogOp(FunctionOp):
    """The natural logarithm: log(0) = -inf, NaN below 0."""

    name = "array.log"
    FUNCTION: ClassVar = np.log
    MATH: ClassVar = math.LogOp

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        return (emit(DivideOp(*cotangents, self.operand)),)


@irdl_op_definition
class Log1pOp(FunctionOp):
    """log(1 + x), accurate near 0."""

    name = "array.log1p"
    FUNCTION: ClassVar = np.log1p
    MATH: ClassVar = math.Log1pOp

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        argument = emit(AddOp(self.operand, full_like(emit, 1, self.operand)))
        return (emit(DivideOp(*cotangents, argument)),)


@irdl_op_definition
class SqrtOp(FunctionOp):
    """The square root: NaN below 0, and an infinite slope at 0."""

    name = "array.sqrt"
    FUNCTION: ClassVar = np.sqrt
    MATH: ClassVar = math.SqrtOp

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        doubled = emit(AddOp(self.result, self.result))
        return (emit(DivideOp(*cotangents, doubled)),)


def _rsqrt(x: Any) -> NumPyArray:
    return np.asarray(1 / np.sqrt(x), dtype=x.dtype)


@irdl_op_definition
class RsqrtOp(FunctionOp):
    """1 / sqrt(x)."""

    name = "array.rsqrt"
    FUNCTION: ClassVar = _rsqrt
    MATH: ClassVar = math.RsqrtOp

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        square = emit(MultiplyOp(self.result, self.result))
        cube = emit(MultiplyOp(square, self.result))
        slope = emit(MultiplyOp(full_like(emit, -0.5, cube), cube))
        return (emit(MultiplyOp(*cotangents, slope)),)


@irdl_op_definition
class SinOp(FunctionOp):
    """The sine of radians."""

    name = "array.sin"
    FUNCTION: ClassVar = np.sin
    MATH: ClassVar = math.SinOp

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        return (emit(MultiplyOp(*cotangents, emit(CosOp(self.operand)))),)


@irdl_op_definition
class CosOp(FunctionOp):
    """The cosine of radians."""

    name = "array.cos"
    FUNCTION: ClassVar = np.cos
    MATH: ClassVar = math.CosOp

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        slope = emit(NegativeOp(emit(SinOp(self.operand))))
        return (emit(MultiplyOp(*cotangents, slope)),)


@irdl_op_definition
class TanhOp(FunctionOp):
    """The hyperbolic tangent."""

    name = "array.tanh"
    FUNCTION: ClassVar = np.tanh
    MATH: ClassVar = math.TanhOp

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        square = emit(MultiplyOp(self.result, self.result))
        slope = emit(SubtractOp(full_like(emit, 1, square), square))
        return (emit(MultiplyOp(*cotangents, slope)),)


_erf = np.vectorize(scalar_math.erf, otypes=[np.float64])


@irdl_op_definition
class ErfOp(FunctionOp):
    """2 / sqrt(pi) * integral of exp(-t ** 2) from 0 to x."""

    name = "array.erf"
    FUNCTION: ClassVar = staticmethod(
        lambda x: _erf(x).astype(x.dtype)  # pyright: ignore[reportUnknownLambdaType]
    )
    MATH: ClassVar = math.ErfOp

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        square = emit(MultiplyOp(self.operand, self.operand))
        bell = emit(ExpOp(emit(NegativeOp(square))))
        factor = full_like(emit, 2 / scalar_math.sqrt(scalar_math.pi), bell)
        return (emit(MultiplyOp(*cotangents, emit(MultiplyOp(factor, bell)))),)


@irdl_op_definition
class FloorOp(StepOp):
    """The largest whole number <= x."""

    name = "array.floor"
    FUNCTION: ClassVar = np.floor
    MATH: ClassVar = math.FloorOp


@irdl_op_definition
class CeilOp(StepOp):
    """The smallest whole number >= x."""

    name = "array.ceil"
    FUNCTION: ClassVar = np.ceil
    MATH: ClassVar = math.CeilOp


@irdl_op_definition
class RoundOp(StepOp):
    """The nearest whole number, the even one of two."""

    name = "array.round"
    FUNCTION: ClassVar = np.rint
    MATH: ClassVar = math.RoundEvenOp


OPERATIONS = [
    AddOp,
    SubtractOp,
    MultiplyOp,
    DivideOp,
    ExactDivideOp,
    RemainderOp,
    PowOp,
    NegativeOp,
    AbsOp,
    SignOp,
    MaximumOp,
    MinimumOp,
    ExpOp,
    Expm1Op,
    LogOp,
    Log1pOp,
    SqrtOp,
    RsqrtOp,
    SinOp,
    CosOp,
    TanhOp,
    ErfOp,
    FloorOp,
    CeilOp,
    RoundOp,
]
