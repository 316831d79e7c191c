"""Functions and the host program: calls, kernel launches, buffers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from xdsl.dialects import bufferization, func, memref
from xdsl.dialects.builtin import DenseIntOrFPElementsAttr, MemRefType
from xdsl.ir import Operation

from stepwell.backends.reference import simt_control, simt_ops
from stepwell.backends.reference.errors import failure
from stepwell.backends.reference.machine import Frame, Handlers
from stepwell.backends.reference.memory import Buffer, constant, poison, shape_of, value_dtype
from stepwell.backends.reference.scalar_ops import SCALAR_OPS, scalar_function
from stepwell.backends.reference.scanning import loop, scan
from stepwell.backends.reference.simt import compile_kernel
from stepwell.dialects import kernel, linalg_ext

_MAKERS = {**simt_ops.MAKERS, **simt_control.MAKERS}


def _symbol(frame: Frame, op: Operation, name: str) -> Any:
    """The operation that defines `name`; an error at `op` if there is none."""
    found = frame.machine.symbols.get(name)
    if found is None:
        raise failure(op, f"there is no @{name} in the module")
    return found


def _call(frame: Frame, op: func.CallOp, operands: list[Any]) -> Sequence[Any]:
    callee = _symbol(frame, op, op.callee.root_reference.data)
    if op.parent_op() is callee:
        raise failure(op, "a function that calls itself never ends")
    return Frame(frame.machine).run(callee.body.block, operands)


def _launch(frame: Frame, op: kernel.LaunchOp, operands: list[Any]) -> Sequence[Any]:
    """Up to `buffers` a kernel is a function; at `tiled` it has a grid, and lanes."""
    function = _symbol(frame, op, op.kernel_name)
    if function.grid is None:
        return Frame(frame.machine).run(function.block, operands)
    compiled = frame.machine.kernels
    if function not in compiled:
        compiled[function] = compile_kernel(function, _MAKERS, frame.machine.subgroup_size)
    compiled[function].launch(op, operands)
    return ()


def _scan(frame: Frame, op: linalg_ext.ScanOp, operands: list[Any]) -> Sequence[Any]:
    return scan(frame.machine, op, _symbol(frame, op, op.step).body.block, operands)


def _loop(frame: Frame, op: kernel.LoopOp, operands: list[Any]) -> Sequence[Any]:
    return loop(frame.machine, op, _symbol(frame, op, op.step).body.block, operands)


def _when(frame: Frame, op: linalg_ext.WhenOp, operands: list[Any]) -> Sequence[Any]:
    condition, *inputs = operands
    if condition:
        return Frame(frame.machine).run(_symbol(frame, op, op.step).body.block, inputs)
    return [poison(shape_of(v.type), value_dtype(v.type.element_type)) for v in op.outputs]  # type: ignore[attr-defined]


def _run_or_not(frame: Frame, op: kernel.WhenOp, operands: list[Any]) -> Sequence[Any]:
    condition, *inputs = operands[: 1 + len(op.inputs)]
    results: Sequence[Any] = [Buffer.allocate(_memref(value.type)) for value in op.outputs]
    if condition.values():
        results = Frame(frame.machine).run(_symbol(frame, op, op.step).body.block, inputs)
    for buffer, value in zip(operands[1 + len(op.inputs) :], results, strict=True):
        buffer.flat[:] = value.flat
    return ()


def _scalar(frame: Frame, op: Operation, operands: list[Any]) -> Sequence[Any]:
    return (scalar_function(op)(*operands),)


def _checked(op: Operation, action: Callable[[], Any]) -> Any:
    """The result of an access to a buffer; what is wrong with it is an error at `op`."""
    try:
        return action()
    except (IndexError, ValueError) as error:
        raise failure(op, str(error)) from error


def _memref(type: Any) -> MemRefType[Any]:
    assert isinstance(type, MemRefType)
    return type


def _alloc(frame: Frame, op: memref.AllocOp, operands: list[Any]) -> Sequence[Any]:
    return (Buffer.allocate(_memref(op.memref.type)),)


def _view(frame: Frame, op: memref.ViewOp, operands: list[Any]) -> Sequence[Any]:
    source, shift = operands
    return (_checked(op, lambda: source.view(int(shift), _memref(op.result.type))),)


def _cast(frame: Frame, op: Operation, operands: list[Any]) -> Sequence[Any]:
    return (_checked(op, lambda: operands[0].view(0, _memref(op.results[0].type))),)


def _get_global(frame: Frame, op: memref.GetGlobalOp, operands: list[Any]) -> Sequence[Any]:
    definition = _symbol(frame, op, op.name_.root_reference.data)
    if not isinstance(definition.initial_value, DenseIntOrFPElementsAttr):
        raise failure(op, "the global has no value")
    type = _memref(op.memref.type)
    buffer = Buffer.of(constant(definition.initial_value), type.element_type)
    buffer.flat.flags.writeable = False
    return (Buffer(buffer.flat, type.element_type, type.get_shape()),)


def _copy(frame: Frame, op: memref.CopyOp, operands: list[Any]) -> Sequence[Any]:
    source, destination = operands

    def copy() -> None:
        destination.flat[:] = source.flat

    _checked(op, copy)
    return ()


def _place(buffer: Buffer, indices: Sequence[Any]) -> int:
    return int(np.ravel_multi_index([int(index) for index in indices], buffer.shape))


def _load(frame: Frame, op: memref.LoadOp, operands: list[Any]) -> Sequence[Any]:
    buffer, *indices = operands
    return (_checked(op, lambda: buffer.values().reshape(-1)[_place(buffer, indices)]),)


def _store(frame: Frame, op: memref.StoreOp, operands: list[Any]) -> Sequence[Any]:
    value, buffer, *indices = operands

    def store() -> None:
        buffer.flat[_place(buffer, indices)] = value

    _checked(op, store)
    return ()


def _to_tensor(frame: Frame, op: bufferization.ToTensorOp, operands: list[Any]) -> Sequence[Any]:
    return (_checked(op, operands[0].values),)


def _to_buffer(frame: Frame, op: bufferization.ToBufferOp, operands: list[Any]) -> Sequence[Any]:
    return (Buffer.of(operands[0], _memref(op.memref.type).element_type),)


def _materialize(
    frame: Frame, op: bufferization.MaterializeInDestinationOp, operands: list[Any]
) -> Sequence[Any]:
    source, destination = operands
    if not isinstance(destination, Buffer):
        return (source,)
    _checked(op, lambda: destination.assign(source))
    return ()


def _alloc_tensor(
    frame: Frame, op: bufferization.AllocTensorOp, operands: list[Any]
) -> Sequence[Any]:
    if op.copy is not None:
        return (frame.values[op.copy],)
    type: Any = op.tensor.type
    return (poison(shape_of(type), value_dtype(type.element_type)),)


def _dealloc(frame: Frame, op: memref.DeallocOp, operands: list[Any]) -> Sequence[Any]:
    return ()


HANDLERS: Handlers = {
    **dict.fromkeys(SCALAR_OPS, _scalar),
    func.CallOp: _call,
    kernel.LaunchOp: _launch,
    linalg_ext.ScanOp: _scan,
    kernel.LoopOp: _loop,
    linalg_ext.WhenOp: _when,
    kernel.WhenOp: _run_or_not,
    memref.AllocOp: _alloc,
    memref.ViewOp: _view,
    memref.CastOp: _cast,
    memref.ReinterpretCastOp: _cast,
    memref.CollapseShapeOp: _cast,
    memref.ExpandShapeOp: _cast,
    memref.GetGlobalOp: _get_global,
    memref.CopyOp: _copy,
    memref.LoadOp: _load,
    memref.StoreOp: _store,
    memref.DeallocOp: _dealloc,
    bufferization.ToTensorOp: _to_tensor,
    bufferization.ToBufferOp: _to_buffer,
    bufferization.MaterializeInDestinationOp: _materialize,
    bufferization.AllocTensorOp: _alloc_tensor,
}
