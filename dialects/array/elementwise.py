"""Elementwise arithmetic: one class per operation, with its scalar meaning and gradient."""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from xdsl.dialects import arith, math
from xdsl.dialects.builtin import AnyFloat, AnyTensorTypeConstr, Attribute, i1
from xdsl.ir import Operation, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, result_def

from stepwell.dialects.array.base import (
    ElementwiseOp,
    NumPyArray,
    Tensor,
    UnaryOp,
    element_of,
    is_unsigned,
)
from stepwell.dialects.emit import Emitter

Make = Callable[..., Operation]


class UnaryElementwiseOp(ElementwiseOp, UnaryOp, ABC):
    """result[i] = f(operand[i])."""

    FUNCTION: ClassVar[Callable[[NumPyArray], Any]]
    assembly_format = "$operand attr-dict `:` functional-type(operands, results)"

    def evaluate(self, *arrays: NumPyArray) -> Sequence[NumPyArray]:
        return (np.asarray(type(self).FUNCTION(*arrays)),)


class BinaryElementwiseOp(ElementwiseOp, ABC):
    """result[i] = f(lhs[i], rhs[i])."""

    lhs = operand_def(AnyTensorTypeConstr)
    rhs = operand_def(AnyTensorTypeConstr)
    result = result_def(AnyTensorTypeConstr)

    assembly_format = "$lhs `,` $rhs attr-dict `:` functional-type(operands, results)"

    FUNCTION: ClassVar[Callable[[NumPyArray, NumPyArray], Any]]
    FLOATS: ClassVar[Make]
    INTEGERS: ClassVar[Make]

    def evaluate(self, *arrays: NumPyArray) -> Sequence[NumPyArray]:
        return (np.asarray(type(self).FUNCTION(*arrays)),)

    def scalar(self, emit: Emitter, *operands: SSAValue) -> SSAValue:
        floating = isinstance(operands[0].type, AnyFloat)
        return emit((type(self).FLOATS if floating else type(self).INTEGERS)(*operands))


@irdl_op_definition
class AddOp(BinaryElementwiseOp):
    """a + b (integers wrap)."""

    name = "array.add"
    FUNCTION: ClassVar = np.add
    FLOATS: ClassVar = arith.AddfOp
    INTEGERS: ClassVar = arith.AddiOp

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        (ct,) = cotangents
        return ct, ct


@irdl_op_definition
class MultiplyOp(BinaryElementwiseOp):
    """a * b (integers wrap)."""

    name = "array.multiply"
    FUNCTION: ClassVar = np.multiply
    FLOATS: ClassVar = arith.MulfOp
    INTEGERS: ClassVar = arith.MuliOp

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        (ct,) = cotangents
        return emit(MultiplyOp(ct, self.rhs)), emit(MultiplyOp(ct, self.lhs))


@irdl_op_definition
class ExpOp(UnaryElementwiseOp):
    """e ** x."""

    name = "array.exp"
    ACCEPTS: ClassVar = "f32 f16"
    FUNCTION: ClassVar = np.exp

    def scalar(self, emit: Emitter, *operands: SSAValue) -> SSAValue:
        return emit(math.ExpOp(*operands))

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        return (emit(MultiplyOp(cotangents[0], self.result)),)


class ComparisonOp(BinaryElementwiseOp, ABC):
    """A bool tensor; NaN compares false (true for not_equal)."""

    PREDICATES: ClassVar[tuple[str, str, str]]
    """The `arith` predicates for floats, signed and unsigned integers."""

    @classmethod
    def result_element(
        cls, operands: Sequence[Tensor], properties: Mapping[str, Attribute]
    ) -> Attribute:
        return i1

    def scalar(self, emit: Emitter, *operands: SSAValue) -> SSAValue:
        floating, signed, unsigned = self.PREDICATES
        if isinstance(operands[0].type, AnyFloat):
            return emit(arith.CmpfOp(*operands, floating))
        return emit(
            arith.CmpiOp(*operands, unsigned if is_unsigned(element_of(self.lhs)) else signed)
        )

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        return None, None


@irdl_op_definition
class LessOp(ComparisonOp):
    """a < b."""

    name = "array.less"
    FUNCTION: ClassVar = np.less
    PREDICATES: ClassVar = ("olt", "slt", "ult")


OPERATIONS = [AddOp, MultiplyOp, ExpOp, LessOp]
