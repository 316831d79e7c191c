"""The shader that says how many workgroups dispatches have which run under conditions."""

from __future__ import annotations

from xdsl.ir import Block, Region, SSAValue

from stepwell.dialects.build import create
from stepwell.dialects.wgsl.expressions import IndexOp, MulOp
from stepwell.dialects.wgsl.module import BindingOp, Builtin, EntryOp, ShaderOp
from stepwell.dialects.wgsl.statements import StoreOp
from stepwell.dialects.wgsl.types import Access, AddressSpace, ArrayType, RefType, indexed, u32
from stepwell.passes.to_wgsl.builder import Builder

COUNTS_THREADS = 64
"""Words that a workgroup writes."""


def counts_shader(words: int, conditions: int) -> ShaderOp:
    """`counts[i] = grids[i] * a[0] * b[0] ...`: bools are 0 or 1.

    One of more than one condition may be anything where an earlier one is 0.
    """
    declarations, body = Block(), Block()
    b = Builder(declarations, body)

    def binding(number: int, access: Access, name: str, length: int) -> SSAValue:
        type = RefType(AddressSpace.STORAGE, access, ArrayType(u32, length))
        op = BindingOp(0, number, type)
        op.result.name_hint = name
        declarations.add_op(op)
        return op.result

    def element(buffer: SSAValue, index: SSAValue) -> SSAValue:
        return b.emit(IndexOp, (buffer, index), indexed(buffer.type))

    counts = binding(0, Access.READ_WRITE, "counts", words)
    grids = binding(1, Access.READ, "grids", words)
    taken = [binding(2 + i, Access.READ, f"taken_{i}", 1) for i in range(conditions)]
    index = b.builtin(Builtin.GLOBAL_INVOCATION_ID, 0)
    count = b.load(element(grids, index))
    for condition in taken:
        count = b.emit(MulOp, (count, b.load(element(condition, b.u32(0)))), u32)
    b.add(create(StoreOp, (element(counts, index), count)))
    b.finish()
    declarations.add_op(EntryOp([COUNTS_THREADS, 1, 1], Region(body)))
    return ShaderOp(f"counts_{words}_{conditions}", Region(declarations))
