"""What operations with bodies share: at `array` these are regions, below it functions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from xdsl.dialects import func
from xdsl.dialects.builtin import (
    AnyTensorTypeConstr,
    FlatSymbolRefAttrConstr,
    IntegerAttr,
    SymbolRefAttr,
    TensorType,
    UnitAttr,
    i1,
    i64,
)
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.irdl import (
    AttrSizedOperandSegments,
    IRDLOperation,
    opt_prop_def,
    prop_def,
    var_operand_def,
    var_result_def,
)
from xdsl.traits import SymbolUserOpInterface
from xdsl.utils.exceptions import VerifyException

from stepwell.dialects.symbols import symbol_named


class SteppingOp(IRDLOperation, ABC):
    """What runs a step for t from 0 to length - 1, or back to 0."""

    length = prop_def(IntegerAttr.constr(i64))
    reverse = opt_prop_def(UnitAttr)
    early = opt_prop_def(UnitAttr)

    irdl_options = (AttrSizedOperandSegments(as_property=True),)

    FORMAT: ClassVar[str] = (
        "`length` $length (`reverse` $reverse^)? (`while` $early^)? "
        "`consts` `(` ($consts^ `:` type($consts))? `)` "
        "`carries` `(` ($carries^ `:` type($carries))? `)` "
        "`xs` `(` ($xs^ `:` type($xs))? `)` "
    )

    @property
    def steps(self) -> range:
        """The positions in their order."""
        order = range(self.length.value.data)
        return order[::-1] if self.reverse is not None else order

    @abstractmethod
    def check_step(self, inputs: Sequence[Attribute], outputs: Sequence[Attribute]) -> None:
        """Raises: VerifyException unless a step of these types goes with the operands."""


class CalleeIsStep(SymbolUserOpInterface):
    """The callee is a function whose types are those of a step."""

    def verify(self, op: Operation) -> None:
        assert isinstance(op, CallingOp)
        type = function_named(op, op.step).function_type
        op.check_step(type.inputs.data, type.outputs.data)


class CallingOp(IRDLOperation, ABC):
    """What runs a private function of the module."""

    callee = prop_def(FlatSymbolRefAttrConstr)

    @property
    def step(self) -> str:
        """The name of the function."""
        return self.callee.root_reference.data

    @abstractmethod
    def check_step(self, inputs: Sequence[Attribute], outputs: Sequence[Attribute]) -> None:
        """Raises: VerifyException unless a function of these types goes with the operands."""


class RepeatingOp(CallingOp, SteppingOp, ABC):
    """One whose step is a private function of the module."""

    def __init__(
        self, callee: str, operands: Sequence[Sequence[SSAValue]],
        types: Sequence[Attribute] | None, length: IntegerAttr, reverse: UnitAttr | None,
        early: UnitAttr | None,
    ):  # fmt: skip
        super().__init__(
            operands=operands,
            result_types=[] if types is None else [types],
            properties={
                "callee": SymbolRefAttr(callee),
                "length": length,
                "reverse": reverse,
                "early": early,
            },
        )


class ScanningOp(SteppingOp, ABC):
    """carry, ys[t] = step(consts, carry, xs[t]) for t from 0 to length - 1, or back to 0.

    The results are the last carries, then the ys, each with `length` in front of its shape.
    With `while` it ends before the first step whose first carry, a bool, is false; then it has
    carries only, which steps behind the end, some of which may be run, must not change.
    """

    consts = var_operand_def(AnyTensorTypeConstr)
    carries = var_operand_def(AnyTensorTypeConstr)
    xs = var_operand_def(AnyTensorTypeConstr)
    outputs = var_result_def(AnyTensorTypeConstr)

    FORMAT: ClassVar[str] = SteppingOp.FORMAT + "(`->` type($outputs)^)? attr-dict-with-keyword"

    @property
    def last(self) -> Sequence[SSAValue]:
        """The results that are the last carries."""
        return self.results[: len(self.carries)]

    @property
    def ys(self) -> Sequence[SSAValue]:
        """The results that are stacked, step by step."""
        return self.results[len(self.carries) :]

    def check_step(self, inputs: Sequence[Attribute], outputs: Sequence[Attribute]) -> None:
        length = self.length.value.data
        if length < 0:
            raise VerifyException(f"{self.name}: a length of {length}")
        for value in self.xs:
            if shape_of(value.type)[:1] != (length,):
                raise VerifyException(f"{self.name}: xs of {value.type} have not length {length}")
        if self.early is not None:
            if len(self.results) != len(self.carries) or self.xs or self.reverse is not None:
                raise VerifyException(f"{self.name}: one with while has carries only")
            if not self.carries or self.carries[0].type != TensorType(i1, []):
                raise VerifyException(f"{self.name}: while its first carry, a tensor<i1>, is true")
        same = [value.type for value in (*self.consts, *self.carries)]
        if [*same, *(slice_type(value.type) for value in self.xs)] != list(inputs):
            raise VerifyException(f"{self.name}: a step takes consts, carries and a slice of xs")
        carried = list(outputs[: len(self.carries)])
        if carried != [value.type for value in self.carries]:
            raise VerifyException(f"{self.name}: a step's first results are the next carries")
        wanted = [*carried, *(stack_type(type, length) for type in outputs[len(carried) :])]
        if wanted != [result.type for result in self.results]:
            raise VerifyException(
                f"{self.name}: result types should be {', '.join(map(str, wanted))}"
            )


def function_named(op: Operation, name: str) -> func.FuncOp:
    """The function of that name in the module that holds `op`. Raises: VerifyException."""
    found = symbol_named(op, name, func.FuncOp)
    if found is None:
        raise VerifyException(f"{op.name}: there is no function @{name}")
    return found


def shape_of(type: Attribute) -> tuple[int, ...]:
    assert isinstance(type, TensorType)
    return type.get_shape()


def slice_type(type: Attribute) -> Attribute:
    """The type of one step of a stack."""
    assert isinstance(type, TensorType)
    return TensorType(type.element_type, type.get_shape()[1:])


def stack_type(type: Attribute, length: int) -> Attribute:
    """The type of `length` values one after another."""
    assert isinstance(type, TensorType)
    return TensorType(type.element_type, [length, *type.get_shape()])
