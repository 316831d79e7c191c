"""How much a kernel does: the figures that profiles compare with the device's limits."""

from __future__ import annotations

from math import prod

from xdsl.dialects import bufferization
from xdsl.dialects.builtin import IntegerAttr, MemRefType, TensorType, i64
from xdsl.dialects.linalg.ops import GenericOp
from xdsl.dialects.tensor import ExtractOp
from xdsl.ir import Attribute, SSAValue

from stepwell.dialects.kernel import FuncOp
from stepwell.dialects.linalg_ext import AttendingOp, InsertSliceOp
from stepwell.dialects.webgpu import array_bytes
from stepwell.passes import structured
from stepwell.passes.domain import Domain
from stepwell.passes.keyed import keyed

FLOPS = "stepwell.flops"
"""Arithmetic operations of a launch, one for each scalar operation of a body and point."""
BYTES = "stepwell.bytes"
"""Bytes that a launch must move at least: each element that it reads once, each result once."""
WRITTEN = "stepwell.written"
"""Those of them that it writes."""


def byte_size(type: Attribute) -> int:
    """Bytes of an array in device memory, in which WebGPU counts words of four."""
    assert isinstance(type, MemRefType | TensorType)
    return -(-array_bytes(type.get_shape(), type.element_type) // 4) * 4


def work_of(kernel: FuncOp, domain: Domain) -> dict[str, Attribute]:
    """The attributes that say how much a kernel on buffers, with that domain, does."""
    flops = read = written = 0
    found = keyed(domain)
    for op in kernel.block.ops:
        if isinstance(op, GenericOp):
            arithmetic = sum(
                inner.dialect_name() in ("arith", "math") for inner in op.body.block.ops
            )
            loops = prod(structured.loop_sizes(op))
            if found is not None and loops == found.points:
                loops //= found.row.hi + 1  # Each element belongs to one row.
            flops += loops * arithmetic
        elif isinstance(op, AttendingOp):
            flops += op.flops
        elif isinstance(op, bufferization.ToTensorOp):
            size = structured.size_of(op.tensor) or 1
            read += byte_size(op.memref.type) * min(_elements_read(op.tensor, domain), size) // size
        elif isinstance(op, bufferization.MaterializeInDestinationOp):
            owner = op.source.owner
            stored = owner.update if isinstance(owner, InsertSliceOp) else op.source
            written += byte_size(stored.type)
    return {
        FLOPS: IntegerAttr(flops, i64),
        BYTES: IntegerAttr(read + written, i64),
        WRITTEN: IntegerAttr(written, i64),
    }


def _elements_read(tensor: SSAValue, domain: Domain) -> int:
    """At most so many elements of a tensor are read: views read a part, gathers some rows."""
    places = domain.places.get(tensor, ())
    count = sum(
        prod(variable.extent for variable in {v for index in place for v in index.variables()})
        for place in places
    )
    uses = [use.operation for use in tensor.uses]
    extracted = [op.parent_op() for op in uses if isinstance(op, ExtractOp)]
    if len(extracted) < len(uses):
        return count
    return sum(prod(structured.loop_sizes(op)) for op in extracted if isinstance(op, GenericOp))


def added(a: dict[str, Attribute], b: dict[str, Attribute]) -> dict[str, Attribute]:
    """The work of two kernels together."""
    total: dict[str, Attribute] = {}
    for key in (FLOPS, BYTES, WRITTEN):
        x, y = a.get(key), b.get(key)
        if isinstance(x, IntegerAttr) and isinstance(y, IntegerAttr):
            total[key] = IntegerAttr(x.value.data + y.value.data, i64)
    return total
