"""`convert-host-to-webgpu`: the host program becomes WebGPU buffers, dispatches and copies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NoReturn, TypeAlias

from xdsl.context import Context
from xdsl.dialects import arith, func, memref
from xdsl.dialects.builtin import (
    ArrayAttr,
    DenseArrayBase,
    DenseIntOrFPElementsAttr,
    DictionaryAttr,
    FunctionType,
    IndexType,
    IntegerAttr,
    MemRefType,
    ModuleOp,
    StringAttr,
    i32,
    i64,
)
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter

from stepwell.dialects.array.base import DTYPES, is_unsigned
from stepwell.dialects.emit import Emitter
from stepwell.dialects.errors import UnsupportedError, where
from stepwell.dialects.kernel import LaunchOp
from stepwell.dialects.webgpu import (
    BUFFER,
    SLOT_BYTES,
    BufferKind,
    BufferOp,
    CopyOp,
    DispatchOp,
    WriteBufferOp,
    array_bytes,
)
from stepwell.dialects.wgsl.module import ShaderOp
from stepwell.passes.donation import DTYPE, SHAPE, scalar_slots
from stepwell.passes.to_wgsl.scalar_copy import scalar_copy_shader

KIND = "stepwell.kind"
GRID, BINDINGS = "grid", "bindings"

_ZERO = IntegerAttr(0, IndexType())
_DTYPES = {element: name for name, element in DTYPES.items() if not is_unsigned(element)}
"""What an element type is to the caller; that it is unsigned is said by `stepwell.dtype`."""

_ALIGNMENT = 16
"""Sizes are whole vec4<f32>, so that a kernel may load the end of any array as vectors."""


class ConvertHostToWebgpuPass(ModulePass):
    """Turns host functions on memrefs into functions on WebGPU buffers.

    Kernels are shaders already (`convert-kernels-to-wgsl`); their grids move into the dispatches.
    Host scalars are passed by value and written to one uniform buffer, the last binding of the
    shaders that read it. Typed views of a pool are the pool's buffer. Shapes and dtypes go into
    attributes of the arguments and results. Arrays without elements are buffers of 0 bytes, which
    no dispatch or copy sees.

    Before:
    ```mlir
    wgsl.shader @scale attributes {grid = array<i32: 1, 1, 1>, bindings = array<i32: 0, -1, 1>} {..}
    func.func @main(%x: memref<64xf32>, %rate: memref<f32>) -> memref<64xf32> {
      %y = memref.alloc() {stepwell.kind = "output"} : memref<64xf32>
      kernel.launch @scale(%x, %rate, %y) : (memref<64xf32>, memref<f32>, memref<64xf32>) -> ()
      return %y : memref<64xf32>
    }
    ```
    After:
    ```mlir
    wgsl.shader @scale {...}
    func.func @main(%x: !webgpu.buffer {stepwell.dtype = "f32", stepwell.shape = array<i64: 64>},
                    %rate: f32 {stepwell.dtype = "f32", stepwell.shape = array<i64>})
        -> (!webgpu.buffer {stepwell.dtype = "f32", stepwell.shape = array<i64: 64>}) {
      %scalars = webgpu.buffer "scalars", 16
      webgpu.write_buffer %rate, %scalars[0] : f32
      %y = webgpu.buffer "output", 256
      webgpu.dispatch @scale [1, 1, 1](%x, %y, %scalars)
      return %y : !webgpu.buffer
    }
    ```
    """

    name = "convert-host-to-webgpu"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        shaders = {s.sym_name.data: s for s in op.ops if isinstance(s, ShaderOp)}
        constants = {g.sym_name.data: g for g in op.ops if isinstance(g, memref.GlobalOp)}
        functions = [f for f in op.ops if isinstance(f, func.FuncOp) and f.body.blocks]
        for function in functions:
            Rewriter.replace_op(function, _Host(function, shaders, constants).run(), [])
        for shader in shaders.values():
            shader.attributes.pop(GRID, None)
            shader.attributes.pop(BINDINGS, None)
            if shader.parent is None:
                op.body.block.add_op(shader)
        for constant in constants.values():
            Rewriter.erase_op(constant)


class _Host:
    """One walk over a host function."""

    def __init__(
        self,
        function: func.FuncOp,
        shaders: dict[str, ShaderOp],
        constants: dict[str, memref.GlobalOp],
    ):
        self.function, self.shaders, self.constants = function, shaders, constants
        self.slots = scalar_slots(function)
        self.block = Block(
            arg_types=[
                _memref(arg).element_type if arg in self.slots else BUFFER for arg in function.args
            ]
        )
        self.emit = Emitter(self.block, location=function.location)
        self.buffers: dict[SSAValue, SSAValue] = {}
        """The buffer of each memref that has one; host scalars do not."""
        self.constant_buffers: dict[str, SSAValue] = {}
        self.scalars: SSAValue | None = None

    def run(self) -> func.FuncOp:
        function = self.function
        for old, new in zip(function.args, self.block.args, strict=True):
            new.name_hint = old.name_hint
            if old not in self.slots:
                self.buffers[old] = new
        self._write_scalars()
        for op in function.body.block.ops:
            convert = _CONVERSIONS.get(type(op))
            if convert is None:
                _refuse(op, "convert-host-to-webgpu has no WebGPU call for it")
            self.emit.location = op.location
            convert(self, op)
        inputs, outputs = function.function_type.inputs.data, function.function_type.outputs.data
        new = func.FuncOp(
            function.sym_name.data,
            FunctionType.from_lists([arg.type for arg in self.block.args], [BUFFER] * len(outputs)),
            Region(self.block),
            function.sym_visibility,
            arg_attrs=_with_array_types(inputs, function.arg_attrs),
            res_attrs=_with_array_types(outputs, function.res_attrs),
        )
        new.attributes = dict(function.attributes)
        new.location = function.location
        return new

    def _write_scalars(self) -> None:
        if not self.slots:
            return
        self.scalars = self._buffer(BufferKind.SCALARS, len(self.slots) * SLOT_BYTES, "scalars")
        for old, new in zip(self.function.args, self.block.args, strict=True):
            if old in self.slots:
                self.emit.insert(WriteBufferOp(new, self.scalars, self.slots[old]))

    def _buffer(
        self,
        kind: BufferKind,
        bytes: int,
        hint: str | None,
        contents: DenseIntOrFPElementsAttr | None = None,
    ) -> SSAValue:
        size = -(-bytes // _ALIGNMENT) * _ALIGNMENT
        buffer = self.emit(BufferOp(kind, size, contents))
        buffer.name_hint = hint
        return buffer

    # Operations

    def allocate(self, op: Operation) -> None:
        assert isinstance(op, memref.AllocOp)
        kind = op.attributes.get(KIND, StringAttr(BufferKind.TEMPORARY.value))
        assert isinstance(kind, StringAttr)
        kind, bytes = BufferKind(kind.data), _bytes(op.memref)
        self.buffers[op.memref] = self._buffer(kind, bytes, op.memref.name_hint)

    def view(self, op: Operation) -> None:
        assert isinstance(op, memref.ViewOp)
        start = op.byte_shift.owner
        if not isinstance(start, arith.ConstantOp) or start.value != _ZERO:
            _refuse(op, "a view starts at byte 0: parts of one buffer cannot be read and written")
        self.buffers[op.result] = self.buffers[op.source]

    def get_global(self, op: Operation) -> None:
        assert isinstance(op, memref.GetGlobalOp)
        name = op.name_.root_reference.data
        constant = self.constants.get(name)
        if constant is None or not isinstance(constant.initial_value, DenseIntOrFPElementsAttr):
            _refuse(op, f"@{name} is no memref.global with contents")
        if name not in self.constant_buffers:
            self.constant_buffers[name] = self._buffer(
                BufferKind.CONSTANT, _bytes(op.memref), name, constant.initial_value
            )
        self.buffers[op.memref] = self.constant_buffers[name]

    def launch(self, op: Operation) -> None:
        assert isinstance(op, LaunchOp)
        name = op.callee.root_reference.data
        shader = self.shaders.get(name)
        grid = shader.attributes.get(GRID) if shader else None
        bindings = shader.attributes.get(BINDINGS) if shader else None
        if not isinstance(grid, DenseArrayBase) or not isinstance(bindings, DenseArrayBase):
            _refuse(op, f"@{name} is no shader with a grid; run convert-kernels-to-wgsl before")
        buffers: list[SSAValue] = []
        reads_scalars = False
        places = bindings.get_values()
        if len(places) != len(op.arguments):
            _refuse(op, f"{len(op.arguments)} arguments for the {len(places)} of @{name}")
        for position, (argument, place) in enumerate(zip(op.arguments, places, strict=True)):
            if (place < 0) != (argument in self.slots):
                _refuse(op, f"only host scalars are kernel.scalar: argument {position} of @{name}")
            if place < 0:
                reads_scalars = True
            else:
                buffers.append(self.buffers[argument])
        if reads_scalars and self.scalars is not None:
            buffers.append(self.scalars)
        self.emit.insert(DispatchOp(name, grid, buffers))

    def copy(self, op: Operation) -> None:
        assert isinstance(op, memref.CopyOp)
        bytes = _bytes(op.source)
        if not bytes:
            return
        slot, destination = self.slots.get(op.source), self.buffers[op.destination]
        if slot is None:
            size = -(-bytes // 4) * 4
            self.emit.insert(CopyOp(self.buffers[op.source], destination, size))
            return
        # The uniform buffer cannot be copied from.
        assert self.scalars is not None
        shader = scalar_copy_shader(slot)
        self.shaders.setdefault(shader.sym_name.data, shader)
        one = DenseArrayBase.from_list(i32, [1, 1, 1])
        self.emit.insert(DispatchOp(shader.sym_name.data, one, [destination, self.scalars]))

    def finish(self, op: Operation) -> None:
        for value in op.operands:
            if value in self.slots:
                _refuse(op, "a host scalar is returned through a copy")
        self.emit.insert(func.ReturnOp(*(self.buffers[value] for value in op.operands)))

    def skip(self, op: Operation) -> None:
        """Constants: views look at their own."""


def _refuse(op: Operation, message: str) -> NoReturn:
    raise UnsupportedError(f"{where(op.location)}{op.name}: {message}")


def _memref(value: SSAValue) -> MemRefType[Attribute]:
    assert isinstance(value.type, MemRefType)
    return value.type


def _bytes(value: SSAValue) -> int:
    """The bytes of a memref; those of a pool are its elements."""
    type = _memref(value)
    return array_bytes(type.get_shape(), type.element_type)


def _with_array_types(
    types: Sequence[Attribute], attributes: ArrayAttr[DictionaryAttr] | None
) -> ArrayAttr[DictionaryAttr]:
    """The attributes of arguments or results, with what their memref types said."""
    old = attributes.data if attributes is not None else [DictionaryAttr({})] * len(types)
    new: list[DictionaryAttr] = []
    for type, attrs in zip(types, old, strict=True):
        assert isinstance(type, MemRefType)
        said: dict[str, Attribute] = {
            DTYPE: StringAttr(_DTYPES[type.element_type]),
            SHAPE: DenseArrayBase.from_list(i64, list(type.get_shape())),
        }
        new.append(DictionaryAttr(said | attrs.data))
    return ArrayAttr(new)


_Convert: TypeAlias = Callable[[_Host, Operation], None]
_CONVERSIONS: dict[type[Operation], _Convert] = {
    memref.AllocOp: _Host.allocate,
    memref.ViewOp: _Host.view,
    memref.GetGlobalOp: _Host.get_global,
    memref.CopyOp: _Host.copy,
    LaunchOp: _Host.launch,
    func.ReturnOp: _Host.finish,
    arith.ConstantOp: _Host.skip,
}
