"""Appending operations: the one way the compiler's own code builds IR."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects import arith
from xdsl.dialects.builtin import (
    AnyFloat,
    FloatAttr,
    IndexType,
    IntegerAttr,
    IntegerType,
    LocationAttr,
    UnknownLoc,
)
from xdsl.ir import Attribute, Block, Operation, OpResult, SSAValue

_UNKNOWN = UnknownLoc()


class Emitter:
    """Inserts operations one after another, at the end of a block or before an operation.

    Every inserted operation without a location of its own gets the emitter's.
    """

    def __init__(
        self, block: Block, *, before: Operation | None = None, location: LocationAttr = _UNKNOWN
    ):
        self.block = block
        self.before = before
        self.location = location

    def insert(self, op: Operation) -> Operation:
        """Inserts `op` and returns it."""
        if isinstance(op.location, UnknownLoc):
            op.location = self.location
        if self.before is None:
            self.block.add_op(op)
        else:
            self.block.insert_op_before(op, self.before)
        return op

    def __call__(self, op: Operation) -> OpResult:
        """Inserts `op` and returns its first result."""
        return self.insert(op).results[0]

    def all(self, op: Operation) -> Sequence[SSAValue]:
        """Inserts `op` and returns all its results."""
        return self.insert(op).results

    def constant(self, value: float, type: Attribute) -> SSAValue:
        """An `arith.constant` of a scalar float, integer or index type."""
        return self(arith.ConstantOp(scalar_attr(value, type)))


def scalar_attr(value: float, type: Attribute) -> FloatAttr | IntegerAttr:
    """The attribute of a scalar constant; i1 true is stored as -1, as MLIR prints it."""
    if isinstance(type, AnyFloat):
        return FloatAttr(float(value), type)
    if isinstance(type, IntegerType):
        return IntegerAttr(int(value), type, truncate_bits=True)
    assert isinstance(type, IndexType), f"no scalar constant of type {type}"
    return IntegerAttr(int(value), type)
