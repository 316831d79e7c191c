"""Control flow: what runs again and again, and what runs or does not."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import (
    AnyTensorTypeConstr,
    IntegerAttr,
    LocationAttr,
    TensorType,
    UnitAttr,
    i1,
    i64,
)
from xdsl.ir import Block, Operation, Region, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    irdl_op_definition,
    operand_def,
    region_def,
    traits_def,
    var_operand_def,
    var_result_def,
)
from xdsl.traits import IsolatedFromAbove, Pure
from xdsl.utils.exceptions import VerifyException

from stepwell.dialects.array.differentiation import YieldOp
from stepwell.dialects.scanning import ScanningOp, stack_type


@irdl_op_definition
class ScanOp(ScanningOp):
    """carry, ys[t] = body(consts, carry, xs[t]) for each t in turn; the last carry and all ys.

    The body is one block, which sees nothing from outside: its arguments are the consts, the
    carries and a slice of each of the xs. It yields the next carries, then a slice of each of the
    ys. The results are the last carries, then the ys.
    """

    name = "array.scan"
    body = region_def("single_block")

    traits = traits_def(Pure(), IsolatedFromAbove())

    assembly_format = ScanningOp.FORMAT + " $body"

    def __init__(
        self,
        consts: Sequence[SSAValue],
        carries: Sequence[SSAValue],
        xs: Sequence[SSAValue],
        length: int,
        body: Region,
        *,
        reverse: bool = False,
        early: bool = False,
        location: LocationAttr | None = None,
    ):
        """`body` already yields."""
        terminator = body.block.last_op
        assert isinstance(terminator, YieldOp)
        values = [value.type for value in terminator.values]
        super().__init__(
            operands=[consts, carries, xs],
            result_types=[[
                *values[: len(carries)],
                *(stack_type(type, length) for type in values[len(carries) :]),
            ]],
            properties={
                "length": IntegerAttr(length, i64),
                "reverse": UnitAttr() if reverse else None,
                "early": UnitAttr() if early else None,
            },
            regions=[body],
        )  # fmt: skip
        if location is not None:
            self.location = location

    @property
    def terminator(self) -> YieldOp:
        found = self.body.block.last_op
        assert isinstance(found, YieldOp)
        return found

    def verify_(self) -> None:
        if not isinstance(self.body.block.last_op, YieldOp):
            raise VerifyException(f"{self.name}: the body must end in array.yield")
        self.check_step(
            [argument.type for argument in self.body.block.args],
            [value.type for value in self.terminator.values],
        )


@irdl_op_definition
class CondOp(IRDLOperation):
    """What `then` computes of the inputs if the condition holds, else what `otherwise` does.

    Each branch is one block, which sees nothing from outside: its arguments mirror the inputs.
    Gradients of what is not taken are zero, whatever its derivatives are.
    """

    name = "array.cond"
    condition = operand_def(TensorType(i1, []))
    inputs = var_operand_def(AnyTensorTypeConstr)
    outputs = var_result_def(AnyTensorTypeConstr)
    then = region_def("single_block")
    otherwise = region_def("single_block")

    traits = traits_def(Pure(), IsolatedFromAbove())

    assembly_format = (
        "$condition `(` $inputs `)` attr-dict-with-keyword `:` functional-type(operands, results) "
        "$then `else` $otherwise"
    )

    def __init__(
        self,
        condition: SSAValue,
        inputs: Sequence[SSAValue],
        then: Region,
        otherwise: Region,
        location: LocationAttr | None = None,
    ):
        """The branches already yield."""
        Operation.__init__(
            self,
            operands=[condition, *inputs],
            result_types=[value.type for value in _yielded(then.block)],
            regions=[then, otherwise],
            location=location,
        )

    @property
    def branches(self) -> tuple[Block, Block]:
        """What is taken if the condition holds, and what is taken else."""
        return self.then.block, self.otherwise.block

    @property
    def yielded(self) -> tuple[Sequence[SSAValue], Sequence[SSAValue]]:
        """What each branch computes."""
        return _yielded(self.then.block), _yielded(self.otherwise.block)

    def verify_(self) -> None:
        for name, block in zip(("first", "second"), self.branches, strict=True):
            if not isinstance(block.last_op, YieldOp):
                raise VerifyException(f"{self.name}: the {name} branch must end in array.yield")
            if [argument.type for argument in block.args] != [v.type for v in self.inputs]:
                raise VerifyException(
                    f"{self.name}: the arguments of the {name} branch must mirror the inputs"
                )
            expected = [value.type for value in _yielded(block)]
            if expected != [result.type for result in self.outputs]:
                raise VerifyException(
                    f"{self.name}: the {name} branch yields {', '.join(map(str, expected))}"
                )


def _yielded(block: Block) -> Sequence[SSAValue]:
    """What a branch computes."""
    terminator = block.last_op
    assert isinstance(terminator, YieldOp), "a branch yields"
    return terminator.values


OPERATIONS: list[type[Operation]] = [ScanOp, CondOp]
