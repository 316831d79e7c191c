"""Appending operations: the one way the compiler's own code builds IR."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import copysign

from xdsl.dialects import arith
from xdsl.dialects.builtin import (
    UNKNOWN_LOC,
    AnyFloat,
    FloatAttr,
    IndexType,
    IntegerAttr,
    IntegerType,
    LocationAttr,
    MemRefType,
    NoneAttr,
    VectorType,
)
from xdsl.ir import Attribute, Block, Operation, OpResult, SSAValue

from stepwell.dialects.build import append, create, first_result

_NO_SPACE = NoneAttr()


class Emitter:
    """Inserts operations one after another, at the end of a block or before an operation.

    Every inserted operation without a location of its own gets the emitter's.
    """

    def __init__(
        self, block: Block, *, before: Operation | None = None, location: LocationAttr = UNKNOWN_LOC
    ):
        self.block = block
        self.before = before
        self.location = location

    def insert(self, op: Operation) -> Operation:
        """Inserts `op` and returns it."""
        if op.location is UNKNOWN_LOC:
            op.location = self.location
        if self.before is None:
            append(self.block, op)
        else:
            self.block.insert_op_before(op, self.before)
        return op

    def __call__(self, op: Operation) -> OpResult:
        """Inserts `op` and returns its first result."""
        return first_result(self.insert(op))

    def all(self, op: Operation) -> Sequence[SSAValue]:
        """Inserts `op` and returns all its results."""
        return self.insert(op).results

    def constant(self, value: float, type: Attribute) -> SSAValue:
        """An `arith.constant` of a scalar float, integer or index type."""
        value_ = scalar_attr(value, type)
        return self(create(arith.ConstantOp, (), [type], {"value": value_}))


def scalar_attr(value: float, type: Attribute) -> FloatAttr | IntegerAttr:
    """The attribute of a scalar constant; i1 true is stored as -1, as MLIR prints it."""
    return _scalar_attr(value, copysign(1.0, value), type)


@lru_cache(maxsize=4096)
def vector_type(element: Attribute, width: int) -> VectorType:
    """The vector of that many elements: xDSL takes 60 us to make one."""
    return VectorType(element, [width])


@lru_cache(maxsize=4096)
def memref_type(
    element: Attribute, shape: tuple[int, ...], space: Attribute = _NO_SPACE
) -> MemRefType[Attribute]:
    """The memref, made once for the same reason."""
    return MemRefType(element, shape, NoneAttr(), space)


@lru_cache(maxsize=4096)
def _scalar_attr(value: float, sign: float, type: Attribute) -> FloatAttr | IntegerAttr:
    """`sign` tells the zeros apart, which are equal."""
    if isinstance(type, AnyFloat):
        return FloatAttr(float(value), type)
    if isinstance(type, IntegerType):
        return IntegerAttr(int(value), type, truncate_bits=True)
    assert isinstance(type, IndexType), f"no scalar constant of type {type}"
    return IntegerAttr(int(value), type)
