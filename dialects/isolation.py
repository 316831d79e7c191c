"""The trait of operations that use no value from outside, which large kernels verify quickly."""
# pyright: reportPrivateUsage=false

from __future__ import annotations

from xdsl.ir import Block, BlockArgument, Operation, OpResult, SSAValue
from xdsl.traits import IsolatedFromAbove

from stepwell.dialects.build import every


class Isolated(IsolatedFromAbove):
    """xDSL's trait, which climbs from every operand; this knows the blocks that are inside."""

    def verify(self, op: Operation) -> None:
        inside = {
            id(block) for found in every(op) for region in found.regions for block in region.blocks
        }
        for found in every(op):
            for operand in found._operands:
                # What the operation itself takes is its own affair.
                if id(_block(operand)) not in inside and found is not op:
                    super().verify(op)
                    return


def _block(value: SSAValue) -> Block | None:
    """The block that a value is defined in."""
    if type(value) is OpResult:
        return value.op.parent
    return value.block if isinstance(value, BlockArgument) else None
