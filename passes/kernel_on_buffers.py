"""A kernel on memrefs instead of tensors."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects import bufferization
from xdsl.dialects.builtin import FunctionType, MemRefType, TensorType, UnitAttr
from xdsl.ir import Attribute, Block, Region, SSAValue

from stepwell.dialects.build import append, clone
from stepwell.dialects.emit import Emitter, memref_type
from stepwell.dialects.errors import UnsupportedError
from stepwell.dialects.kernel import FuncOp, ReturnOp


def buffer_type(type: Attribute) -> MemRefType[Attribute]:
    """The buffer of a tensor."""
    if not isinstance(type, TensorType):
        raise UnsupportedError(f"functions of the host take and return tensors, not {type}")
    return memref_type(type.element_type, type.get_shape())


def kernel_on_buffers(kernel: FuncOp, name: str, reused: Sequence[int | None]) -> FuncOp:
    """The kernel on memrefs; result i overwrites argument reused[i] unless that is None."""
    old = kernel.block
    returned = old.last_op
    assert isinstance(returned, ReturnOp)
    fresh = [v.type for v, r in zip(returned.values, reused, strict=True) if r is None]
    types = [buffer_type(type) for type in (*(arg.type for arg in old.args), *fresh)]
    block = Block(arg_types=types)
    emit = Emitter(block, location=kernel.location)
    mapping: dict[SSAValue, SSAValue] = {}
    for argument, new in zip(old.args, block.args, strict=False):
        new.name_hint = argument.name_hint
        mapping[argument] = emit(
            bufferization.ToTensorOp(new, restrict=True, writable=argument.index in reused)
        )
    for op in old.ops:
        if op is not returned:
            append(block, clone(op, mapping))
    outputs = iter(block.args[len(old.args) :])
    for value, position in zip(returned.values, reused, strict=True):
        destination = next(outputs) if position is None else block.args[position]
        emit.insert(
            bufferization.MaterializeInDestinationOp.build(
                operands=[mapping[value], destination],
                result_types=[[]],
                properties={"writable": UnitAttr(), "restrict": UnitAttr()},
            )
        )
    emit.insert(ReturnOp())
    attrs = list(kernel.arg_attrs.data) if kernel.arg_attrs is not None else []
    return FuncOp(
        name,
        FunctionType.from_lists(types, []),
        Region(block),
        arg_attrs=[*(a.data for a in attrs), *({} for _ in fresh)] if attrs else None,
        attributes=kernel.attributes,
        location=kernel.location,
    )
