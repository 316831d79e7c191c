"""Control flow: what runs again and again."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import IntegerAttr, LocationAttr, UnitAttr, i64
from xdsl.ir import Operation, Region, SSAValue
from xdsl.irdl import irdl_op_definition, region_def, traits_def
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


OPERATIONS: list[type[Operation]] = [ScanOp]
