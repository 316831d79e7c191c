"""A host function on memrefs as WebGPU buffers, dispatches, copies, loops and conditions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NoReturn, TypeAlias

from xdsl.dialects import arith, func, memref
from xdsl.dialects.builtin import (
    ArrayAttr,
    DenseArrayBase,
    DenseIntOrFPElementsAttr,
    DictionaryAttr,
    FunctionType,
    IndexType,
    IntegerAttr,
    IntegerType,
    MemRefType,
    StringAttr,
    TensorType,
    i32,
    i64,
)
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.rewriter import Rewriter

from stepwell.dialects.array.base import DTYPES, is_unsigned
from stepwell.dialects.emit import Emitter
from stepwell.dialects.errors import UnsupportedError, where
from stepwell.dialects.kernel import LaunchOp
from stepwell.dialects.kernel import LoopOp as RunsAgain
from stepwell.dialects.kernel import WhenOp as RunsOrNot
from stepwell.dialects.webgpu import (
    BUFFER,
    COUNTS_BYTES,
    SLICE_ALIGNMENT,
    SLOT_BYTES,
    BufferKind,
    BufferOp,
    CopyOp,
    DispatchOp,
    LoopOp,
    SliceOp,
    WriteBufferOp,
    array_bytes,
    whole,
)
from stepwell.dialects.wgsl.module import ShaderOp
from stepwell.passes.donation import DTYPE, KIND, SHAPE, scalar_slots
from stepwell.passes.to_wgsl.counts import COUNTS_THREADS, counts_shader
from stepwell.passes.to_wgsl.kernel import BINDINGS, GRID
from stepwell.passes.to_wgsl.scalar_copy import scalar_copy_shader

_ZERO = IntegerAttr(0, IndexType())
_DTYPES = {element: name for name, element in DTYPES.items() if not is_unsigned(element)}
"""What an element type is to the caller; that it is unsigned is said by `stepwell.dtype`."""

_ALIGNMENT = 16
"""Sizes are whole vec4<f32>, so that a kernel may load the end of any array as vectors."""


class Host:
    """One walk over a host function."""

    def __init__(
        self,
        function: func.FuncOp,
        shaders: dict[str, ShaderOp],
        constants: dict[str, memref.GlobalOp],
        steps: dict[str, func.FuncOp],
    ):
        self.function, self.shaders = function, shaders
        self.constants, self.steps = constants, steps
        self.slots = scalar_slots(function)
        self.block = Block(
            arg_types=[
                _memref(arg).element_type if arg in self.slots else BUFFER for arg in function.args
            ]
        )
        self.emit = Emitter(self.block, location=function.location)
        """Where commands go: the function, or a loop of it."""
        self.loops: list[LoopOp] = []
        """The loops around, the outermost first; buffers go before that."""
        self.buffers: dict[SSAValue, SSAValue] = {}
        """The buffer of each memref that has one; host scalars do not."""
        self.slices: dict[SSAValue, SSAValue] = {}
        """What a memref that a function allocates is of what the function is run for."""
        self.conditions: list[SSAValue] = []
        """The conditions around, the outermost first."""
        self.counts: dict[Operation, tuple[SSAValue, int]] = {}
        """Where the grid of a launch under conditions is."""
        self.constant_buffers: dict[str, SSAValue] = {}
        self.scalars: SSAValue | None = None

    def run(self) -> func.FuncOp:
        function = self.function
        for old, new in zip(function.args, self.block.args, strict=True):
            new.name_hint = old.name_hint
            if old not in self.slots:
                self.buffers[old] = new
        self._write_scalars()
        self._convert(function.body.block)
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

    def _convert(self, block: Block) -> None:
        for op in block.ops:
            convert = _CONVERSIONS.get(type(op))
            if convert is None:
                _refuse(op, "convert-host-to-webgpu has no WebGPU call for it")
            self.emit.location = op.location
            convert(self, op)

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
        kind = kind if size else BufferKind.OUTPUT  # No command sees it.
        around = self.loops[0] if self.loops else None
        place = Emitter(self.block, before=around, location=self.emit.location)
        buffer = place(BufferOp(kind, size, contents))
        buffer.name_hint = hint
        return buffer

    # Operations

    def allocate(self, op: Operation) -> None:
        assert isinstance(op, memref.AllocOp)
        if op.memref in self.slices:
            self.buffers[op.memref] = self.slices[op.memref]
            return
        kind = op.attributes.get(KIND, StringAttr(BufferKind.TEMPORARY.value))
        assert isinstance(kind, StringAttr)
        kind, bytes = BufferKind(kind.data), _bytes(op.memref)
        if self.loops or self.conditions:
            kind = BufferKind.TEMPORARY
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
        name = op.kernel_name
        grid = self._grid(op)
        bindings = self.shaders[name].attributes.get(BINDINGS)
        assert isinstance(bindings, DenseArrayBase)
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
        self.emit.insert(DispatchOp(name, grid, buffers, self.counts.get(op)))

    def _grid(self, op: LaunchOp) -> DenseArrayBase[IntegerType]:
        name = op.kernel_name
        shader = self.shaders.get(name)
        grid = shader.attributes.get(GRID) if shader else None
        if not isinstance(grid, DenseArrayBase):
            _refuse(op, f"@{name} is no shader with a grid; run convert-kernels-to-wgsl before")
        return grid

    def copy(self, op: Operation) -> None:
        assert isinstance(op, memref.CopyOp)
        bytes = _bytes(op.source)
        if not bytes:
            return
        slot, destination = self.slots.get(op.source), self.buffers[op.destination]
        if slot is None:
            self.emit.insert(CopyOp(self.buffers[op.source], destination, _words(bytes)))
            return
        # The uniform buffer cannot be copied from.
        assert self.scalars is not None
        shader = scalar_copy_shader(slot)
        self.shaders.setdefault(shader.sym_name.data, shader)
        one = DenseArrayBase.from_list(i32, [1, 1, 1])
        self.emit.insert(DispatchOp(shader.sym_name.data, one, [destination, self.scalars]))

    def loop(self, op: Operation) -> None:
        """The step's commands on slices of what it takes and of what it gives.

        They are bound in place, or copied where that may not be.
        """
        assert isinstance(op, RunsAgain)
        step, count = self.steps.get(op.step), len(op.steps)
        if step is None:
            _refuse(op, f"{op.callee} is no private function")
        if not count:
            return
        going = None if op.early is None else self.buffers[op.carries[0]]
        outer, loop = self.emit, LoopOp(count, Block(), going)
        outer.insert(loop)
        self.emit = Emitter(loop.body.block, location=op.location)
        self.loops.append(loop)
        returned = step.get_return_op()
        assert returned is not None
        given = returned.operands[len(op.carries) :]
        self._take(op, step, given)
        self._convert(step.body.block)
        self.emit.location = op.location
        for value, stack in zip(given, op.ys, strict=True):
            if whole(self.buffers[value]) is not self.buffers[stack]:
                self._copy(self.buffers[value], self.buffers[stack], *_place(op, value), put=True)
            self.slices.pop(value, None)
        for value, carry in zip(returned.operands, op.carries, strict=False):
            if self.buffers[value] is not self.buffers[carry]:
                self._copy(self.buffers[value], self.buffers[carry], _words(_bytes(value)))
        self.loops.pop()
        self.emit = outer
        for inner in loop.body.block.ops:
            if isinstance(inner, SliceOp) and inner.result.first_use is None:
                Rewriter.erase_op(inner)
        if loop.body.block.first_op is None:
            Rewriter.erase_op(loop)

    def _take(self, op: RunsAgain, step: func.FuncOp, given: Sequence[SSAValue]) -> None:
        """Says what the arguments of a step are, and where the slices that it gives are made."""
        same, slices = [*op.consts, *op.carries], step.args[len(step.args) - len(op.xs) :]
        for argument, value in zip(step.args, same, strict=False):
            self.buffers[argument] = self.buffers[value]
        own = [value for value in given if isinstance(value.owner, memref.AllocOp)]
        bound = _bound_in_place([*slices, *own])
        for argument, value in zip(slices, op.xs, strict=True):
            bytes, place = _place(op, argument)
            if argument in bound:
                self.buffers[argument] = self.emit(SliceOp(self.buffers[value], bytes, place))
            else:
                self.buffers[argument] = self._buffer(
                    BufferKind.TEMPORARY, bytes, argument.name_hint
                )
                self._copy(self.buffers[value], self.buffers[argument], bytes, place)
        for value, stack in zip(given, op.ys, strict=True):
            if value in bound and value in own and value not in self.slices:
                self.slices[value] = self.emit(SliceOp(self.buffers[stack], *_place(op, value)))

    def when(self, op: Operation) -> None:
        """The function's dispatches, whose grids the device makes zeros if they are not to run.

        Copies are made anyway: they write what is the function's own, or what nobody knows then.
        """
        assert isinstance(op, RunsOrNot)
        function = self.steps.get(op.step)
        if function is None:
            _refuse(op, f"{op.callee} is no private function")
        for argument, value in zip(function.args, op.inputs, strict=True):
            self.buffers[argument] = self.buffers[value]
        returned = function.get_return_op()
        assert returned is not None
        results = list(zip(returned.operands, op.outputs, strict=True))
        for value, output in results:
            if isinstance(value.owner, memref.AllocOp):
                self.slices.setdefault(value, self.buffers[output])
        self.conditions.append(self.buffers[op.condition])
        self._count(function)
        self._convert(function.body.block)
        self.conditions.pop()
        self.emit.location = op.location
        for value, output in results:
            if self.buffers[value] is not self.buffers[output]:
                self._copy(self.buffers[value], self.buffers[output], _words(_bytes(value)))
            self.slices.pop(value, None)

    def _count(self, function: func.FuncOp) -> None:
        """Writes the grids of the function's launches, or zeros unless all conditions hold."""
        launches = list(self._launches(function))
        if not launches:
            return
        grids = [size for launch in launches for size in self._grid(launch).get_values()]
        grids += [0] * (-len(grids) % COUNTS_THREADS)
        contents = DenseIntOrFPElementsAttr.from_list(TensorType(i32, [len(grids)]), grids)
        bytes = len(grids) * SLOT_BYTES
        counts = self._buffer(BufferKind.COUNTS, bytes, "counts")
        given = self._buffer(BufferKind.CONSTANT, bytes, "grids", contents)
        self.counts |= {
            launch: (counts, number * COUNTS_BYTES) for number, launch in enumerate(launches)
        }
        conditions = list(dict.fromkeys(self.conditions))
        shader = counts_shader(len(grids), len(conditions))
        name = shader.sym_name.data
        self.shaders.setdefault(name, shader)
        groups = DenseArrayBase.from_list(i32, [len(grids) // COUNTS_THREADS, 1, 1])
        self.emit.insert(DispatchOp(name, groups, [counts, given, *conditions]))

    def _launches(self, function: func.FuncOp) -> Iterator[LaunchOp]:
        """The launches that run if a function does, but those under further conditions."""
        for op in function.body.block.ops:
            if isinstance(op, LaunchOp):
                yield op
            elif isinstance(op, RunsAgain) and op.step in self.steps:
                yield from self._launches(self.steps[op.step])

    def _copy(
        self, source: SSAValue, destination: SSAValue, bytes: int,
        place: tuple[int, int] | None = None, put: bool = False,
    ) -> None:  # fmt: skip
        """Copies, from `place` on or (`put`) to there, what may be a slice."""
        if not bytes:
            return
        taken = None if put else place
        if isinstance(source.owner, SliceOp):
            source, taken = source.owner.source, source.owner.place
        self.emit.insert(CopyOp(source, destination, bytes, taken, place if put else None))

    def finish(self, op: Operation) -> None:
        if self.loops or self.conditions:
            return
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


def _place(op: RunsAgain, one: SSAValue) -> tuple[int, tuple[int, int]]:
    """The bytes of a slice, and where it begins in the first step of a loop and in later ones."""
    bytes = _bytes(one)
    if bytes % 4:
        _refuse(op, f"slices of {one.type} are not whole words; run outline-scans")
    return bytes, (op.steps[0] * bytes, -bytes if op.reverse is not None else bytes)


def _bound_in_place(slices: Iterable[SSAValue]) -> set[SSAValue]:
    """Those of the slices that a step takes and gives that its dispatches may bind."""
    return {
        value
        for value in slices
        if _bytes(value)
        and _bytes(value) % SLICE_ALIGNMENT == 0
        and all(isinstance(use.operation, LaunchOp | func.ReturnOp) for use in value.uses)
    }


def _words(bytes: int) -> int:
    """Whole words of 4 bytes, of which copies are."""
    return -(-bytes // 4) * 4


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


_Convert: TypeAlias = Callable[[Host, Operation], None]
_CONVERSIONS: dict[type[Operation], _Convert] = {
    memref.AllocOp: Host.allocate,
    memref.ViewOp: Host.view,
    memref.GetGlobalOp: Host.get_global,
    memref.CopyOp: Host.copy,
    LaunchOp: Host.launch,
    RunsAgain: Host.loop,
    RunsOrNot: Host.when,
    func.ReturnOp: Host.finish,
    arith.ConstantOp: Host.skip,
}
