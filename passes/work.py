"""How much a kernel does: the figures that profiles compare with the device's limits."""

from __future__ import annotations

from math import prod

from xdsl.dialects import bufferization
from xdsl.dialects.builtin import Float16Type, IntegerAttr, MemRefType, TensorType, i64
from xdsl.dialects.linalg.ops import GenericOp
from xdsl.ir import Attribute

from stepwell.dialects.kernel import FuncOp
from stepwell.dialects.linalg_ext import AttentionOp
from stepwell.passes import structured

FLOPS = "stepwell.flops"
"""Arithmetic operations of a launch, one for each scalar operation of a body and point."""
BYTES = "stepwell.bytes"
"""Bytes that a launch must move at least: each operand read once, each result written once."""


def byte_size(type: Attribute) -> int:
    """Bytes of an array in device memory; a bool takes four. WebGPU counts in words of four."""
    assert isinstance(type, MemRefType | TensorType)
    width = 2 if isinstance(type.element_type, Float16Type) else 4
    return -(-prod(type.get_shape()) * width // 4) * 4


def work_of(kernel: FuncOp) -> dict[str, Attribute]:
    """The attributes that say how much a kernel on buffers does."""
    flops = moved = 0
    for op in kernel.block.ops:
        if isinstance(op, GenericOp):
            arithmetic = sum(
                inner.dialect_name() in ("arith", "math") for inner in op.body.block.ops
            )
            flops += prod(structured.loop_sizes(op)) * arithmetic
        elif isinstance(op, AttentionOp):
            products = 2 * (structured.shape_of(op.query)[-1] + structured.shape_of(op.value)[-1])
            scores = structured.size_of(op.logsumexp) * structured.shape_of(op.key)[-2]
            flops += scores * products // (2 if op.causal.value.data else 1)
        elif isinstance(op, bufferization.ToTensorOp):
            moved += byte_size(op.memref.type)
        elif isinstance(op, bufferization.MaterializeInDestinationOp):
            moved += byte_size(op.dest.type)
    return {FLOPS: IntegerAttr(flops, i64), BYTES: IntegerAttr(moved, i64)}


def added(a: dict[str, Attribute], b: dict[str, Attribute]) -> dict[str, Attribute]:
    """The work of two kernels together."""
    total: dict[str, Attribute] = {}
    for key in (FLOPS, BYTES):
        x, y = a.get(key), b.get(key)
        if isinstance(x, IntegerAttr) and isinstance(y, IntegerAttr):
            total[key] = IntegerAttr(x.value.data + y.value.data, i64)
    return total
