"""Gradients asked for, and what is kept for them: `differentiate` makes plain `array` of all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from xdsl.dialects.builtin import (
    AnyTensorTypeConstr,
    DenseArrayBase,
    IntegerType,
    LocationAttr,
    i64,
)
from xdsl.ir import Attribute, Operation, Region, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    irdl_op_definition,
    prop_def,
    region_def,
    traits_def,
    var_operand_def,
    var_result_def,
)
from xdsl.traits import IsolatedFromAbove, IsTerminator, Pure
from xdsl.utils.exceptions import VerifyException

from stepwell.dialects.array.base import (
    ArrayOp,
    NumPyArray,
    Tensor,
    UnaryOp,
    dtype_name,
    element_of,
    ints,
    is_float,
    shape_of,
)
from stepwell.dialects.emit import Emitter
from stepwell.dialects.errors import DTypeError, ShapeError, StepwellError, where


@irdl_op_definition
class ValueAndGradOp(IRDLOperation):
    """loss, aux... = body(inputs), then d loss / d inputs[k] for every k in `argnums`.

    The body is one block whose arguments mirror the inputs. It yields the loss, a float of rank 0,
    and any further values. What it captures from outside is constant to this request, though not
    to one around it.
    """

    name = "array.value_and_grad"
    inputs = var_operand_def(AnyTensorTypeConstr)
    outputs = var_result_def(AnyTensorTypeConstr)
    argnums = prop_def(DenseArrayBase.constr(i64))
    body = region_def("single_block")

    traits = traits_def(Pure())

    assembly_format = (
        "$inputs `argnums` $argnums attr-dict-with-keyword `:` "
        "functional-type(operands, results) $body"
    )

    def __init__(
        self,
        inputs: Sequence[SSAValue],
        argnums: Sequence[int],
        body: Region,
        location: LocationAttr | None = None,
    ):
        """`body` already yields; raises `DTypeError` or `ShapeError` for what has no gradient."""
        Operation.__init__(
            self,
            operands=inputs,
            result_types=[
                *(value.type for value in _terminator(body).values),
                *(inputs[k].type for k in argnums if 0 <= k < len(inputs)),
            ],
            properties={"argnums": ints(argnums)},
            regions=[body],
            location=location,
        )
        self.check()

    @property
    def requested(self) -> tuple[int, ...]:
        """The inputs whose gradient is asked for."""
        return cast("DenseArrayBase[IntegerType]", self.argnums).get_values()

    @property
    def terminator(self) -> YieldOp:
        return _terminator(self.body)

    def check(self) -> None:
        """Raises a `StepwellError` that begins with the user's line unless this has a meaning."""
        at = where(self.location)
        for position in self.requested:
            if not 0 <= position < len(self.inputs):
                raise ShapeError(
                    f"{at}{self.name}: argnums has {position}, but there are "
                    f"{len(self.inputs)} inputs"
                )
            element = element_of(self.inputs[position])
            if not is_float(element):
                raise DTypeError(
                    f"{at}{self.name}: input {position} is {dtype_name(element)}; "
                    "gradients are taken with respect to f32 or f16"
                )
        values = self.terminator.values
        if not values or shape_of(values[0]) != () or not is_float(element_of(values[0])):
            what = str(values[0].type) if values else "nothing"
            raise ShapeError(f"{at}{self.name}: the loss must be a float of rank 0, not {what}")

    def verify_(self) -> None:
        if not isinstance(self.body.block.last_op, YieldOp):
            raise VerifyException(f"{self.name}: the body must end in array.yield")
        arguments = [argument.type for argument in self.body.block.args]
        if arguments != [value.type for value in self.inputs]:
            raise VerifyException(f"{self.name}: the body's arguments must mirror the inputs")
        try:
            self.check()
        except StepwellError as error:
            raise VerifyException(str(error)) from error
        expected = [value.type for value in self.terminator.values]
        expected += [self.inputs[position].type for position in self.requested]
        if expected != [result.type for result in self.outputs]:
            wants = ", ".join(map(str, expected))
            raise VerifyException(f"{self.name}: result types should be {wants}")


@irdl_op_definition
class CheckpointOp(IRDLOperation):
    """values = body(inputs), of which a gradient keeps the inputs and computes the rest again.

    The body is one block whose arguments mirror the inputs; it sees nothing from outside.
    """

    name = "array.checkpoint"
    inputs = var_operand_def(AnyTensorTypeConstr)
    outputs = var_result_def(AnyTensorTypeConstr)
    body = region_def("single_block")

    traits = traits_def(Pure(), IsolatedFromAbove())

    assembly_format = "$inputs attr-dict-with-keyword `:` functional-type(operands, results) $body"

    def __init__(
        self, inputs: Sequence[SSAValue], body: Region, location: LocationAttr | None = None
    ):
        """`body` already yields."""
        Operation.__init__(
            self,
            operands=inputs,
            result_types=[value.type for value in _terminator(body).values],
            regions=[body],
            location=location,
        )

    @property
    def terminator(self) -> YieldOp:
        return _terminator(self.body)

    def verify_(self) -> None:
        if not isinstance(self.body.block.last_op, YieldOp):
            raise VerifyException(f"{self.name}: the body must end in array.yield")
        if [argument.type for argument in self.body.block.args] != [v.type for v in self.inputs]:
            raise VerifyException(f"{self.name}: the body's arguments must mirror the inputs")
        expected = [value.type for value in self.terminator.values]
        if expected != [result.type for result in self.outputs]:
            wants = ", ".join(map(str, expected))
            raise VerifyException(f"{self.name}: result types should be {wants}")


@irdl_op_definition
class BarrierOp(ArrayOp):
    """results[k] = operands[k], once all operands are there; what reads them is not shared.

    Nothing looks through a barrier: an operation on a result is another one than the same operation
    on the operand, and it comes after the operations that compute any operand.
    """

    name = "array.barrier"
    inputs = var_operand_def(AnyTensorTypeConstr)
    outputs = var_result_def(AnyTensorTypeConstr)

    assembly_format = "$inputs attr-dict `:` functional-type(operands, results)"

    @classmethod
    def infer(
        cls, operands: Sequence[Tensor], properties: Mapping[str, Attribute]
    ) -> Sequence[Tensor]:
        return operands

    def evaluate(self, *arrays: NumPyArray) -> Sequence[NumPyArray]:
        return arrays

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        return cotangents


@irdl_op_definition
class YieldOp(IRDLOperation):
    """What a body computes; that of a gradient request the loss first."""

    name = "array.yield"
    values = var_operand_def(AnyTensorTypeConstr)

    traits = traits_def(IsTerminator())

    assembly_format = "attr-dict ($values^ `:` type($values))?"

    def __init__(self, *values: SSAValue, location: LocationAttr | None = None):
        Operation.__init__(self, operands=values, location=location)

    def verify_(self) -> None:
        parent = self.parent_op()
        if parent is None or parent.dialect_name() != "array":
            raise VerifyException(f"{self.name}: ends the body of an array operation")


def _terminator(body: Region) -> YieldOp:
    last = body.block.last_op
    assert isinstance(last, YieldOp), "the body yields"
    return last


@irdl_op_definition
class StopGradientOp(UnaryOp):
    """x, through which no gradient flows."""

    name = "array.stop_gradient"

    assembly_format = "$operand attr-dict `:` functional-type(operands, results)"

    @classmethod
    def infer(
        cls, operands: Sequence[Tensor], properties: Mapping[str, Attribute]
    ) -> Sequence[Tensor]:
        return operands

    def evaluate(self, *arrays: NumPyArray) -> Sequence[NumPyArray]:
        return arrays

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        return (None,)


OPERATIONS = [ValueAndGradOp, CheckpointOp, BarrierOp, YieldOp, StopGradientOp]
