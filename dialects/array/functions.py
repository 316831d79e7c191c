"""Functions of floats beyond the basic ones: trigonometry, hyperbolas, logarithms by base.

Each says its slope, from which its gradient follows.
"""

from __future__ import annotations

import math as scalar_math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from xdsl.dialects import arith, math
from xdsl.ir import SSAValue
from xdsl.irdl import irdl_op_definition

from stepwell.dialects.array.build import full_like
from stepwell.dialects.array.elementwise import (
    FLOATS,
    AddOp,
    BinaryElementwiseOp,
    DivideOp,
    FunctionOp,
    MultiplyOp,
    NegativeOp,
    RsqrtOp,
    SignOp,
    StepOp,
    SubtractOp,
    constant,
)
from stepwell.dialects.emit import Emitter


def _square(emit: Emitter, x: SSAValue) -> SSAValue:
    return emit(MultiplyOp(x, x))


def _one_plus(emit: Emitter, x: SSAValue) -> SSAValue:
    return emit(AddOp(full_like(emit, 1, x), x))


def _one_minus(emit: Emitter, x: SSAValue) -> SSAValue:
    return emit(SubtractOp(full_like(emit, 1, x), x))


def _minus_one(emit: Emitter, x: SSAValue) -> SSAValue:
    return emit(SubtractOp(x, full_like(emit, 1, x)))


class SmoothOp(FunctionOp, ABC):
    """A function with a derivative."""

    @abstractmethod
    def slope(self, emit: Emitter, x: SSAValue) -> SSAValue:
        """The derivative at x (`self.result` is the value there)."""

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        return (emit(MultiplyOp(*cotangents, self.slope(emit, self.operand))),)


class QuotientOp(FunctionOp, ABC):
    """A function whose derivative is one over something simple."""

    @abstractmethod
    def divisor(self, emit: Emitter, x: SSAValue) -> SSAValue:
        """What the cotangent is divided by at x."""

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        return (emit(DivideOp(*cotangents, self.divisor(emit, self.operand))),)


@irdl_op_definition
class TanOp(SmoothOp):
    """The tangent of radians."""

    name = "array.tan"
    FUNCTION: ClassVar = np.tan
    MATH: ClassVar = math.TanOp

    def slope(self, emit: Emitter, x: SSAValue) -> SSAValue:
        return _one_plus(emit, _square(emit, self.result))


@irdl_op_definition
class AsinOp(SmoothOp):
    """The angle in [-pi/2, pi/2] whose sine is x; NaN outside [-1, 1]."""

    name = "array.asin"
    FUNCTION: ClassVar = np.arcsin
    MATH: ClassVar = math.AsinOp

    def slope(self, emit: Emitter, x: SSAValue) -> SSAValue:
        return emit(RsqrtOp(_one_minus(emit, _square(emit, x))))


@irdl_op_definition
class AcosOp(SmoothOp):
    """The angle in [0, pi] whose cosine is x; NaN outside [-1, 1]."""

    name = "array.acos"
    FUNCTION: ClassVar = np.arccos
    MATH: ClassVar = math.AcosOp

    def slope(self, emit: Emitter, x: SSAValue) -> SSAValue:
        return emit(NegativeOp(emit(RsqrtOp(_one_minus(emit, _square(emit, x))))))


@irdl_op_definition
class AtanOp(QuotientOp):
    """The angle in [-pi/2, pi/2] whose tangent is x."""

    name = "array.atan"
    FUNCTION: ClassVar = np.arctan
    MATH: ClassVar = math.AtanOp

    def divisor(self, emit: Emitter, x: SSAValue) -> SSAValue:
        return _one_plus(emit, _square(emit, x))


@irdl_op_definition
class SinhOp(SmoothOp):
    """The hyperbolic sine."""

    name = "array.sinh"
    FUNCTION: ClassVar = np.sinh
    MATH: ClassVar = math.SinhOp

    def slope(self, emit: Emitter, x: SSAValue) -> SSAValue:
        return emit(CoshOp(x))


@irdl_op_definition
class CoshOp(SmoothOp):
    """The hyperbolic cosine."""

    name = "array.cosh"
    FUNCTION: ClassVar = np.cosh
    MATH: ClassVar = math.CoshOp

    def slope(self, emit: Emitter, x: SSAValue) -> SSAValue:
        return emit(SinhOp(x))


@irdl_op_definition
class AsinhOp(SmoothOp):
    """The number whose hyperbolic sine is x."""

    name = "array.asinh"
    FUNCTION: ClassVar = np.arcsinh
    MATH: ClassVar = math.AsinhOp

    def slope(self, emit: Emitter, x: SSAValue) -> SSAValue:
        return emit(RsqrtOp(_one_plus(emit, _square(emit, x))))


@irdl_op_definition
class AcoshOp(SmoothOp):
    """The number from 0 whose hyperbolic cosine is x; NaN below 1."""

    name = "array.acosh"
    FUNCTION: ClassVar = np.arccosh
    MATH: ClassVar = math.AcoshOp

    def slope(self, emit: Emitter, x: SSAValue) -> SSAValue:
        return emit(RsqrtOp(_minus_one(emit, _square(emit, x))))


@irdl_op_definition
class AtanhOp(QuotientOp):
    """The number whose hyperbolic tangent is x; infinite at -1 and 1, NaN outside."""

    name = "array.atanh"
    FUNCTION: ClassVar = np.arctanh
    MATH: ClassVar = math.AtanhOp

    def divisor(self, emit: Emitter, x: SSAValue) -> SSAValue:
        return _one_minus(emit, _square(emit, x))


@irdl_op_definition
class Exp2Op(SmoothOp):
    """2 ** x."""

    name = "array.exp2"
    FUNCTION: ClassVar = np.exp2
    MATH: ClassVar = math.Exp2Op

    def slope(self, emit: Emitter, x: SSAValue) -> SSAValue:
        y = self.result
        return emit(MultiplyOp(y, full_like(emit, scalar_math.log(2), y)))


@irdl_op_definition
class Log2Op(QuotientOp):
    """The logarithm to base 2: -inf at 0, NaN below."""

    name = "array.log2"
    FUNCTION: ClassVar = np.log2
    MATH: ClassVar = math.Log2Op

    def divisor(self, emit: Emitter, x: SSAValue) -> SSAValue:
        return emit(MultiplyOp(x, full_like(emit, scalar_math.log(2), x)))


@irdl_op_definition
class Log10Op(QuotientOp):
    """The logarithm to base 10: -inf at 0, NaN below."""

    name = "array.log10"
    FUNCTION: ClassVar = np.log10
    MATH: ClassVar = math.Log10Op

    def divisor(self, emit: Emitter, x: SSAValue) -> SSAValue:
        return emit(MultiplyOp(x, full_like(emit, scalar_math.log(10), x)))


@irdl_op_definition
class TruncOp(StepOp):
    """The whole part: x rounded towards 0."""

    name = "array.trunc"
    FUNCTION: ClassVar = np.trunc
    MATH: ClassVar = math.TruncOp


class BinaryFunctionOp(BinaryElementwiseOp, ABC):
    """A function of two floats."""

    ACCEPTS: ClassVar[str] = FLOATS


@irdl_op_definition
class Atan2Op(BinaryFunctionOp):
    """The angle of the point (x, y) in [-pi, pi], from operands y and x."""

    name = "array.atan2"
    FUNCTION: ClassVar = np.arctan2
    FLOAT: ClassVar = math.Atan2Op

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        (ct,) = cotangents
        y, x = self.lhs, self.rhs
        share = emit(DivideOp(ct, emit(AddOp(_square(emit, x), _square(emit, y)))))
        return emit(MultiplyOp(share, x)), emit(NegativeOp(emit(MultiplyOp(share, y))))


@irdl_op_definition
class FmodOp(BinaryFunctionOp):
    """a - trunc(a / b) * b, which has the sign of a; the formula is what is computed."""

    name = "array.fmod"
    FUNCTION: ClassVar = np.fmod

    def scalar(self, emit: Emitter, *operands: SSAValue) -> SSAValue:
        a, b = operands
        whole = emit(math.TruncOp(emit(arith.DivfOp(a, b))))
        rest = emit(arith.SubfOp(a, emit(arith.MulfOp(whole, b))))
        # 0 times an infinite b is not 0.
        inside = emit(arith.CmpfOp(whole, constant(emit, 0, whole), "oeq"))
        return emit(arith.SelectOp(inside, a, rest))

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        (ct,) = cotangents
        whole = emit(TruncOp(emit(DivideOp(self.lhs, self.rhs))))
        return ct, emit(NegativeOp(emit(MultiplyOp(ct, whole))))


@irdl_op_definition
class HypotOp(BinaryFunctionOp):
    """sqrt(a ** 2 + b ** 2), computed without overflow; 0 at (0, 0) with gradient NaN there."""

    name = "array.hypot"
    FUNCTION: ClassVar = np.hypot

    def scalar(self, emit: Emitter, *operands: SSAValue) -> SSAValue:
        a, b = (emit(math.AbsFOp(operand)) for operand in operands)
        long, short = emit(arith.MaximumfOp(a, b)), emit(arith.MinimumfOp(a, b))
        one = constant(emit, 1, long)
        level = emit(arith.CmpfOp(long, short, "oeq"))
        ratio = emit(arith.SelectOp(level, one, emit(arith.DivfOp(short, long))))
        stretch = emit(math.SqrtOp(emit(arith.AddfOp(emit(arith.MulfOp(ratio, ratio)), one))))
        return emit(arith.MulfOp(long, stretch))

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        (ct,) = cotangents
        share = emit(DivideOp(ct, self.result))
        return emit(MultiplyOp(share, self.lhs)), emit(MultiplyOp(share, self.rhs))


@irdl_op_definition
class CopySignOp(BinaryFunctionOp):
    """The magnitude of a with the sign of b; zeros and infinities have signs."""

    name = "array.copysign"
    FUNCTION: ClassVar = np.copysign
    FLOAT: ClassVar = math.CopySignOp

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        signs = emit(MultiplyOp(emit(SignOp(self.lhs)), emit(SignOp(self.result))))
        return emit(MultiplyOp(*cotangents, signs)), None


OPERATIONS = [
    TanOp,
    AsinOp,
    AcosOp,
    AtanOp,
    SinhOp,
    CoshOp,
    AsinhOp,
    AcoshOp,
    AtanhOp,
    Exp2Op,
    Log2Op,
    Log10Op,
    TruncOp,
    Atan2Op,
    FmodOp,
    HypotOp,
    CopySignOp,
]
