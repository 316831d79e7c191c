"""Formulas over f32 values, written with Python's operators."""

from __future__ import annotations

from typing import TypeAlias

from xdsl.dialects import arith, math
from xdsl.dialects.builtin import (
    DenseIntOrFPElementsAttr,
    FloatAttr,
    IntegerAttr,
    VectorType,
    f32,
    i1,
    i32,
)
from xdsl.ir import Attribute, Operation, SSAValue

from stepwell.dialects.emit import Emitter
from stepwell.dialects.kernel import VECTOR_FORMS

Operand: TypeAlias = "Real | float"


def like(type: Attribute, element: Attribute) -> Attribute:
    """`element`, or a vector of as many of them as `type` has."""
    return VectorType(element, type.shape) if isinstance(type, VectorType) else element


class Value:
    """An SSA value, and where operations on it go."""

    __slots__ = ("emit", "value")
    ELEMENT: Attribute

    def __init__(self, emit: Emitter, value: SSAValue):
        self.emit = emit
        self.value = value

    def _apply(
        self, op: type[Operation], element: Attribute, *others: SSAValue, **properties: Attribute
    ) -> SSAValue:
        type = like(self.value.type, element)
        if isinstance(type, VectorType):
            op = VECTOR_FORMS.get(op, op)
        operands = (self.value, *others)
        return self.emit(op.create(operands=operands, result_types=[type], properties=properties))

    def _constant(self, value: FloatAttr | IntegerAttr) -> SSAValue:
        type = like(self.value.type, value.type)
        attribute = (
            DenseIntOrFPElementsAttr.from_list(type, [value.value.data])
            if isinstance(type, VectorType)
            else value
        )
        return self.emit(
            arith.ConstantOp.create(result_types=[type], properties={"value": attribute})
        )


class Truth(Value):
    """A value of i1."""

    __slots__ = ()

    def __and__(self, other: Truth) -> Truth:
        return Truth(self.emit, self._apply(arith.AndIOp, i1, other.value))

    def __or__(self, other: Truth) -> Truth:
        return Truth(self.emit, self._apply(arith.OrIOp, i1, other.value))

    def select(self, on_true: Operand, on_false: Operand) -> Real:
        """One of two numbers."""
        real = on_true if isinstance(on_true, Real) else on_false
        assert isinstance(real, Real)
        values = [real.of(on_true).value, real.of(on_false).value]
        return Real(self.emit, self._apply(arith.SelectOp, f32, *values))


class Bits(Value):
    """A value of i32."""

    __slots__ = ()

    def of(self, other: Bits | int) -> Bits:
        if isinstance(other, Bits):
            return other
        return Bits(self.emit, self._constant(IntegerAttr(other, i32)))

    def _with(self, op: type[Operation], other: Bits | int) -> Bits:
        return Bits(self.emit, self._apply(op, i32, self.of(other).value))

    def __and__(self, other: Bits | int) -> Bits:
        return self._with(arith.AndIOp, other)

    def __or__(self, other: Bits | int) -> Bits:
        return self._with(arith.OrIOp, other)

    def __xor__(self, other: Bits | int) -> Bits:
        return self._with(arith.XOrIOp, other)

    def __add__(self, other: Bits | int) -> Bits:
        return self._with(arith.AddiOp, other)

    def __sub__(self, other: Bits | int) -> Bits:
        return self._with(arith.SubiOp, other)

    def __mul__(self, other: Bits | int) -> Bits:
        return self._with(arith.MuliOp, other)

    def __floordiv__(self, other: Bits) -> Bits:
        """The quotient towards zero."""
        return self._with(arith.DivSIOp, other)

    def __mod__(self, other: Bits) -> Bits:
        """The remainder of the sign of the dividend; zero by zero.

        Vulkan leaves the remainder of negative numbers to the driver (OpSRem), and NVIDIA's differs
        from WGSL's: it is computed from the quotient, which Vulkan defines.
        """
        rest = self - (self // other) * other
        # All bits where the divisor is not zero.
        return rest & (self.of(0) - self.one_where(other.compare("ne", 0)))

    def compare(self, predicate: str, other: int) -> Truth:
        predicate_attr = IntegerAttr(arith.CMPI_COMPARISON_OPERATIONS.index(predicate), 64)
        other_value = self.of(other).value
        return Truth(
            self.emit, self._apply(arith.CmpiOp, i1, other_value, predicate=predicate_attr)
        )

    def one_where(self, truth: Truth) -> Bits:
        """1 or 0."""
        return Bits(self.emit, truth._apply(arith.ExtUIOp, i32))

    def real(self) -> Real:
        """The f32 of these bits."""
        return Real(self.emit, self._apply(arith.BitcastOp, f32))


class Real(Value):
    """A value of f32."""

    __slots__ = ()

    def of(self, other: Operand) -> Real:
        """A number, where it is none yet as a constant."""
        if isinstance(other, Real):
            return other
        return Real(self.emit, self._constant(FloatAttr(other, f32)))

    def _with(self, op: type[Operation], *others: Operand) -> Real:
        return Real(self.emit, self._apply(op, f32, *(self.of(other).value for other in others)))

    def __add__(self, other: Operand) -> Real:
        return self._with(arith.AddfOp, other)

    def __radd__(self, other: float) -> Real:
        return self.of(other) + self

    def __sub__(self, other: Operand) -> Real:
        return self._with(arith.SubfOp, other)

    def __rsub__(self, other: float) -> Real:
        return self.of(other) - self

    def __mul__(self, other: Operand) -> Real:
        return self._with(arith.MulfOp, other)

    def __rmul__(self, other: float) -> Real:
        return self * other

    def __truediv__(self, other: Operand) -> Real:
        return self._with(arith.DivfOp, other)

    def __rtruediv__(self, other: float) -> Real:
        return self.of(other) / self

    def __neg__(self) -> Real:
        return self._with(arith.NegfOp)

    def __abs__(self) -> Real:
        return self._with(math.AbsFOp)

    def _compare(self, predicate: str, other: Operand) -> Truth:
        attribute = IntegerAttr(arith.CMPF_COMPARISON_OPERATIONS.index(predicate), 64)
        value = self._apply(arith.CmpfOp, i1, self.of(other).value, predicate=attribute)
        return Truth(self.emit, value)

    def __lt__(self, other: Operand) -> Truth:
        return self._compare("olt", other)

    def __le__(self, other: Operand) -> Truth:
        return self._compare("ole", other)

    def __gt__(self, other: Operand) -> Truth:
        return self._compare("ogt", other)

    def __ge__(self, other: Operand) -> Truth:
        return self._compare("oge", other)

    def equals(self, other: Operand) -> Truth:
        return self._compare("oeq", other)

    def minimum(self, other: Operand) -> Real:
        return self._with(arith.MinimumfOp, other)

    def exp(self) -> Real:
        return self._with(math.ExpOp)

    def exp2(self) -> Real:
        return self._with(math.Exp2Op)

    def log(self) -> Real:
        return self._with(math.LogOp)

    def log2(self) -> Real:
        return self._with(math.Log2Op)

    def sqrt(self) -> Real:
        return self._with(math.SqrtOp)

    def rsqrt(self) -> Real:
        return self._with(math.RsqrtOp)

    def floor(self) -> Real:
        return self._with(math.FloorOp)

    def trunc(self) -> Real:
        return self._with(math.TruncOp)

    def round_even(self) -> Real:
        return self._with(math.RoundEvenOp)

    def bits(self) -> Bits:
        """The bits as an integer."""
        return Bits(self.emit, self._apply(arith.BitcastOp, i32))

    def integer(self) -> Bits:
        """The integer that it is."""
        return Bits(self.emit, self._apply(arith.FPToSIOp, i32))

    def polynomial(self, *coefficients: float) -> Real:
        """Horner's rule; the coefficient of the highest power first."""
        total: Real = self.of(coefficients[0])
        for coefficient in coefficients[1:]:
            total = total * self + coefficient
        return total

    def with_sign_of(self, other: Real) -> Real:
        """The magnitude of self, the sign of other."""
        sign = other.bits() & -(2**31)
        return ((self.bits() & 0x7FFFFFFF) | sign).real()
