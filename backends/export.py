"""From the `wgsl` stage to the artifact: a module becomes a `Program`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
from xdsl.dialects import func
from xdsl.dialects.builtin import (
    ArrayAttr,
    DenseArrayBase,
    DenseIntOrFPElementsAttr,
    DictionaryAttr,
    Float16Type,
    Float32Type,
    IntegerAttr,
    IntegerType,
    ModuleOp,
    StringAttr,
)
from xdsl.ir import Attribute, Operation, SSAValue

from stepwell.backends.packing import to_device_layout
from stepwell.backends.program import (
    NUMPY_DTYPES,
    Access,
    Buffer,
    BufferKind,
    Command,
    Copy,
    Dispatch,
    DType,
    Input,
    Kernel,
    Loop,
    Output,
    Program,
    Shape,
    Slice,
    Triple,
    buffer_bytes,
)
from stepwell.dialects.errors import StepwellError, UnsupportedError, where
from stepwell.dialects.kernel import IN_BOUNDS, PLAN
from stepwell.dialects.webgpu import (
    BUFFER,
    BufferOp,
    CopyOp,
    DispatchOp,
    LoopOp,
    SliceOp,
    WriteBufferOp,
    accesses,
    whole,
)
from stepwell.dialects.wgsl import ShaderOp, print_shader
from stepwell.passes.donation import DONATED, DTYPE, NAME, SHAPE
from stepwell.passes.to_wgsl.kernel import SUBGROUP_SIZE
from stepwell.passes.work import BYTES, FLOPS, WRITTEN

_FEATURES = {"f16": "shader-f16", "subgroups": "subgroups"}
"""The device feature behind each `enable` directive."""

_ENABLE = re.compile(r"^enable (\w+);$", re.MULTILINE)

Attributes = Mapping[str, Attribute]


def to_program(module: ModuleOp, *, target_name: str, entry: str = "main") -> Program:
    """The program of function `entry` of a module at the `wgsl` stage.

    Arguments and results need the attributes that `convert-host-to-webgpu` gives them. Raises:
    StepwellError when there is no such function or the module is not at the `wgsl` stage.
    """
    function = next(
        (f for f in module.ops if isinstance(f, func.FuncOp) and f.sym_name.data == entry), None
    )
    if function is None or not function.body.blocks:
        raise StepwellError(f"the module has no function @{entry}")
    return _Export(module, function, target_name).run()


class _Export:
    """One walk over the host function."""

    def __init__(self, module: ModuleOp, function: func.FuncOp, target_name: str):
        self.function, self.target_name = function, target_name
        self.shaders = {s.sym_name.data: s for s in module.ops if isinstance(s, ShaderOp)}
        self.kernels: dict[str, Kernel] = {}
        self.buffers: list[Buffer] = []
        self.index: dict[SSAValue, int] = {}
        """The number of each buffer in the program; those of 0 bytes have none."""
        self.constants: dict[int, np.ndarray[Any, np.dtype[Any]]] = {}
        self.slots: dict[SSAValue, int] = {}
        self.commands: list[Command] = []
        self.outputs: tuple[Output, ...] = ()

    def run(self) -> Program:
        function = self.function
        for position, argument in enumerate(function.args):
            if argument.type == BUFFER:
                attributes = self._of_argument(position)
                shape, dtype = _array(function, attributes)
                self._add(argument, buffer_bytes(shape, dtype), "input", _name(attributes))
        for op in function.body.block.ops:
            self._convert(op)
        inputs = tuple(self._input(position) for position in range(len(function.args)))
        program = Program(
            name=function.sym_name.data,
            target=self.target_name,
            kernels=self.kernels,
            buffers=tuple(self.buffers),
            inputs=inputs,
            outputs=self.outputs,
            commands=tuple(self.commands),
            constants=self.constants,
        )
        program.validate()
        return program

    def _add(self, value: SSAValue, size: int, kind: BufferKind, name: str = "") -> None:
        if size:
            self.index[value] = len(self.buffers)
            self.buffers.append(Buffer(size, kind, name or value.name_hint or ""))

    def _convert(self, op: Operation) -> None:
        match op:
            case BufferOp():
                self._add(op.result, op.size.value.data, cast(BufferKind, op.kind.data))
                if op.contents is not None:
                    self.constants[self.index[op.result]] = contents(op.contents)
            case WriteBufferOp():
                self.slots[op.value] = op.slot.value.data
            case DispatchOp():
                name = op.shader_name
                if name not in self.kernels:
                    self.kernels[name] = kernel(self.shaders[name])
                self.commands.append(self._dispatch(op))
            case SliceOp():
                pass
            case CopyOp():
                source, destination = self.index[op.source], self.index[op.destination]
                self.commands.append(Copy(source, destination, op.size.value.data, *op.places))
            case LoopOp():
                outer, self.commands = self.commands, []
                for inner in op.body.block.ops:
                    self._convert(inner)
                going = None if op.going is None else self.index[op.going]
                outer.append(Loop(op.count.value.data, tuple(self.commands), going))
                self.commands = outer
            case func.ReturnOp():
                self.outputs = tuple(self._output(i, value) for i, value in enumerate(op.operands))
            case _:
                raise UnsupportedError(f"{where(op.location)}{op.name}: not in a WebGPU program")

    def _dispatch(self, op: DispatchOp) -> Dispatch:
        buffers = tuple(self.index[whole(buffer)] for buffer in op.buffers)
        slices = tuple(
            Slice(binding, buffer.owner.size.value.data, *buffer.owner.place)
            for binding, buffer in enumerate(op.buffers)
            if isinstance(buffer.owner, SliceOp)
        )
        counts = None
        if op.counts is not None and op.place is not None:
            counts = self.index[op.counts], op.place.value.data
        grid = cast(Triple, op.grid.get_values())
        return Dispatch(op.shader_name, buffers, grid, slices, counts)

    def _of_argument(self, position: int) -> Attributes:
        return _attributes(self.function.arg_attrs, position)

    def _input(self, position: int) -> Input:
        attributes, argument = self._of_argument(position), self.function.args[position]
        shape, dtype = _array(self.function, attributes)
        return Input(
            name=_name(attributes) or argument.name_hint or f"arg{position}",
            shape=shape,
            dtype=dtype,
            buffer=self.index.get(argument),
            slot=self.slots.get(argument),
            donated=DONATED in attributes,
        )

    def _output(self, position: int, value: SSAValue) -> Output:
        attributes = _attributes(self.function.res_attrs, position)
        shape, dtype = _array(self.function, attributes)
        return Output(shape, dtype, self.index.get(value), _name(attributes))


def kernel(shader: ShaderOp) -> Kernel:
    """A shader as text, with what the runtime has to know of it."""
    text = print_shader(shader, enable_subgroups=True)
    size = shader.entry.workgroup_size.get_values()
    plan = shader.attributes.get(PLAN)
    return Kernel(
        name=shader.sym_name.data,
        wgsl=text,
        workgroup_size=cast(Triple, size),
        accesses=cast("tuple[Access, ...]", tuple(accesses(shader))),
        flops=_number(shader, FLOPS),
        bytes=_number(shader, BYTES),
        written=_number(shader, WRITTEN),
        trusted=IN_BOUNDS in shader.attributes,
        features=tuple(_FEATURES[name] for name in _ENABLE.findall(text)),
        subgroup_size=_number(shader, SUBGROUP_SIZE) or None,
        plan=plan.data if isinstance(plan, StringAttr) else "",
    )


def contents(dense: DenseIntOrFPElementsAttr) -> np.ndarray[Any, np.dtype[Any]]:
    """The elements as they stand in a buffer."""
    values, shape = dense.get_values(), dense.get_shape()
    match dense.get_element_type():
        case Float32Type():
            return np.array(values, np.float32).reshape(shape)
        case Float16Type():
            return np.array(values, np.float16).reshape(shape)
        case IntegerType(width=width) if width.data == 1:
            return (np.array(values) != 0).astype(np.uint32).reshape(shape)
        case IntegerType(width=width) if width.data < 32:
            narrow = cast(DType, f"i{width.data}")
            kept = np.array(values, np.int64).astype(NUMPY_DTYPES[narrow])
            return to_device_layout(kept, narrow).view(np.uint8)
        case _:
            # A signless i32 may be written as any of its 32 bits' two readings.
            return np.array(values, np.int64).astype(np.int32).reshape(shape)


def _number(shader: ShaderOp, name: str) -> int:
    value = shader.attributes.get(name)
    return value.value.data if isinstance(value, IntegerAttr) else 0


def _attributes(all: ArrayAttr[DictionaryAttr] | None, position: int) -> Attributes:
    return {} if all is None else all.data[position].data


def _name(attributes: Attributes) -> str:
    name = attributes.get(NAME)
    return name.data if isinstance(name, StringAttr) else ""


def _array(function: func.FuncOp, attributes: Attributes) -> tuple[Shape, DType]:
    shape, dtype = attributes.get(SHAPE), attributes.get(DTYPE)
    if not isinstance(shape, DenseArrayBase) or not isinstance(dtype, StringAttr):
        raise StepwellError(
            f"@{function.sym_name.data}: an argument or result without {SHAPE} and {DTYPE}; "
            "run convert-host-to-webgpu"
        )
    return tuple(shape.get_values()), cast(DType, dtype.data)
