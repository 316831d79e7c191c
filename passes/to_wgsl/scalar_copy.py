"""The shader that copies a host scalar to a buffer: WebGPU cannot copy from a uniform buffer."""

from __future__ import annotations

from xdsl.ir import Block, Region

from stepwell.dialects.build import create
from stepwell.dialects.wgsl.expressions import IndexOp
from stepwell.dialects.wgsl.module import BindingOp, EntryOp, ShaderOp
from stepwell.dialects.wgsl.statements import StoreOp
from stepwell.dialects.wgsl.types import Access, AddressSpace, ArrayType, RefType, indexed, u32
from stepwell.passes.to_wgsl.builder import Builder
from stepwell.passes.to_wgsl.memory import load_scalar, scalars_type


def scalar_copy_shader(slot: int) -> ShaderOp:
    """`to[0] = scalars[slot]`, whatever the 4 bytes mean."""
    declarations, body = Block(), Block()
    b = Builder(declarations, body)
    to = BindingOp(0, 0, RefType(AddressSpace.STORAGE, Access.READ_WRITE, ArrayType(u32, 1)))
    scalars = BindingOp(0, 1, scalars_type(slot + 1))
    to.result.name_hint, scalars.result.name_hint = "to", "scalars"
    value = load_scalar(b, scalars.result, slot, u32)
    element = b.emit(IndexOp, (to.result, b.u32(0)), indexed(to.result.type))
    b.add(create(StoreOp, (element, value)))
    declarations.add_ops([to, scalars, EntryOp([1, 1, 1], Region(body))])
    return ShaderOp(f"copy_scalar_{slot}", Region(declarations))
