"""The `webgpu` dialect: the host program of the `wgsl` stage, named after WebGPU's own calls.

    func.func @main(%x: !webgpu.buffer, %rate: f32) -> !webgpu.buffer {
      %scalars = webgpu.buffer "scalars", 16
      webgpu.write_buffer %rate, %scalars[0] : f32
      %t = webgpu.buffer "temporary", 1024
      %y = webgpu.buffer "output", 1024
      webgpu.dispatch @scale [4, 1, 1](%x, %t, %scalars)
      webgpu.copy %t, %y, 1024
      return %y : !webgpu.buffer
    }

An array is a buffer, a host scalar is a number. Shapes and dtypes are attributes of the arguments
and results (`stepwell.shape`, `stepwell.dtype`). A loop runs its commands again and again:

    webgpu.loop 10 {
      webgpu.copy %xs, %x, 64 from [0, 64]
      webgpu.dispatch @step [1, 1, 1](%x, %h)
    }

A dispatch with `counts` has the grid that three words of a buffer say: the one it gives, or zeros.

    %c = webgpu.buffer "counts", 256
    webgpu.dispatch @counts_1 [1, 1, 1](%c, %grids, %taken)
    webgpu.dispatch @branch [64, 1, 1](%x, %y) counts %c[0]

What moves through a buffer in steps of whole 256 bytes need not be copied: it is bound in place.

    webgpu.loop 10 {
      %x = webgpu.slice %xs, 256 from [0, 256]
      webgpu.dispatch @step [1, 1, 1](%x, %h)
    }
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from xdsl.dialects.builtin import (
    DenseArrayBase,
    DenseIntOrFPElementsAttr,
    FlatSymbolRefAttrConstr,
    Float16Type,
    IntegerAttr,
    IntegerType,
    StringAttr,
    SymbolRefAttr,
    i32,
    i64,
)
from xdsl.ir import (
    Attribute,
    Block,
    Dialect,
    Operation,
    ParametrizedAttribute,
    Region,
    SSAValue,
    TypeAttribute,
)
from xdsl.irdl import (
    AttrSizedOperandSegments,
    IRDLOperation,
    irdl_attr_definition,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    opt_prop_def,
    prop_def,
    region_def,
    result_def,
    traits_def,
    var_operand_def,
)
from xdsl.traits import NoTerminator, SymbolUserOpInterface
from xdsl.utils.exceptions import VerifyException
from xdsl.utils.str_enum import StrEnum

from stepwell.dialects.symbols import symbol_named
from stepwell.dialects.wgsl.module import BindingOp, ShaderOp
from stepwell.dialects.wgsl.types import SCALARS, AddressSpace, OneOf, RefType

MAX_WORKGROUPS = 65_535
"""What a dispatch may ask for in each dimension (WebGPU's default limit)."""

SLOT_BYTES = 4
"""Bytes of one host scalar in the scalars buffer."""

COUNTS_BYTES = 12
"""Bytes of one grid in a counts buffer."""

SLICE_ALIGNMENT = 256
"""Of the byte at which a binding begins (WebGPU's default limit)."""

HOST_SCALAR = OneOf(
    frozenset(SCALARS) | {IntegerType(width) for width in (2, 4, 8, 16)},
    "f32, f16, i32, ui32, i1 or a narrow integer",
)


def array_bytes(shape: Sequence[int], element: Attribute) -> int:
    """The bytes of an array's elements in a buffer."""
    return -(-prod(shape) * element_bits(element) // 8)


def element_bits(element: Attribute) -> int:
    """The bits of an element in a buffer: an integer has its own, but a bool a word."""
    if isinstance(element, Float16Type):
        return 16
    return element.bitwidth if isinstance(element, IntegerType) and element.bitwidth > 1 else 32


class BufferKind(StrEnum):
    """What a buffer of the program is for."""

    TEMPORARY = "temporary"
    """The program's own, without contents at its start."""
    OUTPUT = "output"
    """New at every call: the caller receives it."""
    CONSTANT = "constant"
    """Never written; its contents are known."""
    SCALARS = "scalars"
    """The uniform buffer of the host scalars."""
    COUNTS = "counts"
    """How many workgroups dispatches have, where the device decides: three words each."""


@irdl_attr_definition
class BufferType(ParametrizedAttribute, TypeAttribute):
    """`!webgpu.buffer`: a GPUBuffer."""

    name = "webgpu.buffer"


BUFFER = BufferType()


@irdl_op_definition
class BufferOp(IRDLOperation):
    """A buffer of `size` bytes, a multiple of 4; 0 only for an output without elements."""

    name = "webgpu.buffer"

    kind = prop_def(StringAttr)
    size = prop_def(IntegerAttr.constr(i64))
    contents = opt_prop_def(DenseIntOrFPElementsAttr)
    result = result_def(BUFFER)

    assembly_format = "$kind `,` $size (`=` $contents^)? attr-dict"

    def __init__(
        self, kind: BufferKind, size: int, contents: DenseIntOrFPElementsAttr | None = None
    ):
        super().__init__(
            properties={
                "kind": StringAttr(kind.value),
                "size": IntegerAttr(size, i64),
                "contents": contents,
            },
            result_types=[BUFFER],
        )

    def verify_(self) -> None:
        kind, size = self.kind.data, self.size.value.data
        if kind not in [known.value for known in BufferKind]:
            raise VerifyException(f"webgpu.buffer: '{kind}' is none of {', '.join(BufferKind)}")
        if size % 4 or size < 0 or (size == 0 and kind != BufferKind.OUTPUT):
            raise VerifyException(f"webgpu.buffer: size {size} is not a positive multiple of 4")
        if (kind == BufferKind.CONSTANT) != (self.contents is not None):
            raise VerifyException("webgpu.buffer: constants have contents, other buffers have none")
        if self.contents is not None:
            needed = array_bytes(self.contents.get_shape(), self.contents.get_element_type())
            if needed > size:
                raise VerifyException(f"webgpu.buffer: {needed} bytes of contents in {size}")


@irdl_op_definition
class WriteBufferOp(IRDLOperation):
    """Puts a host scalar in slot `slot` (4 bytes) of the scalars buffer."""

    name = "webgpu.write_buffer"

    value = operand_def(HOST_SCALAR)
    buffer = operand_def(BUFFER)
    slot = prop_def(IntegerAttr.constr(i32))

    assembly_format = "$value `,` $buffer `[` $slot `]` attr-dict `:` type($value)"

    def __init__(self, value: SSAValue, buffer: SSAValue, slot: int):
        super().__init__(operands=[value, buffer], properties={"slot": IntegerAttr(slot, i32)})

    def verify_(self) -> None:
        target = self.buffer.owner
        if not isinstance(target, BufferOp) or target.kind.data != BufferKind.SCALARS:
            raise VerifyException("webgpu.write_buffer: host scalars go to a scalars buffer")
        slot, size = self.slot.value.data, target.size.value.data
        if not 0 <= slot < size // SLOT_BYTES:
            raise VerifyException(f"webgpu.write_buffer: slot {slot} in a buffer of {size} bytes")


@irdl_op_definition
class SliceOp(IRDLOperation):
    """The `size` bytes of a buffer that a step of the loop around it sees, for dispatches to bind.

    `from` says at which byte they begin in the first step, and how many bytes further in each step
    after that: both are multiples of 256.
    """

    name = "webgpu.slice"

    source = operand_def(BUFFER)
    size = prop_def(IntegerAttr.constr(i64))
    taken = prop_def(DenseArrayBase.constr(i64))
    result = result_def(BUFFER)

    assembly_format = "$source `,` $size `from` $taken attr-dict"

    def __init__(self, source: SSAValue, size: int, taken: tuple[int, int]):
        super().__init__(
            operands=[source],
            properties={
                "size": IntegerAttr(size, i64),
                "taken": DenseArrayBase.from_list(i64, taken),
            },
            result_types=[BUFFER],
        )

    @property
    def place(self) -> tuple[int, int]:
        """Where it begins at the first step, and how much further at each later one."""
        first, step = self.taken.get_values()
        return first, step

    def verify_(self) -> None:
        if not isinstance(self.parent_op(), LoopOp) or isinstance(self.source.owner, SliceOp):
            raise VerifyException("webgpu.slice: of a whole buffer, in a loop")
        if len(self.taken) != 2:
            raise VerifyException("webgpu.slice: a place is where it begins and what a step adds")
        if any(not isinstance(use.operation, DispatchOp) for use in self.result.uses):
            raise VerifyException("webgpu.slice: is for dispatches")
        _verify_place(self, self.source, self.size.value.data, self.place, SLICE_ALIGNMENT)


def whole(buffer: SSAValue) -> SSAValue:
    """The buffer that it is, or that it is a slice of."""
    return buffer.owner.source if isinstance(buffer.owner, SliceOp) else buffer


def _verify_place(
    op: Operation, buffer: SSAValue, size: int, place: tuple[int, int], alignment: int
) -> None:
    """Checks that an operation finds `size` bytes there in every step of the loop around it."""
    loop = op.parent_op()
    last = loop.count.value.data - 1 if isinstance(loop, LoopOp) else 0
    held = buffer.owner.size.value.data if isinstance(buffer.owner, BufferOp) else None
    first, step = place
    if size % 4 or size < 1:
        raise VerifyException(f"{op.name}: size {size} is not a positive multiple of 4")
    for begin in (first, first + last * step):
        if begin % alignment or step % alignment or begin < 0:
            raise VerifyException(f"{op.name}: begins at byte {begin}, with steps of {step}")
        if held is not None and begin + size > held:
            raise VerifyException(f"{op.name}: {begin + size} bytes of a buffer of {held}")


class _CalleeIsShader(SymbolUserOpInterface):
    """The callee exists, and its bindings agree with the buffers."""

    def verify(self, op: Operation) -> None:
        assert isinstance(op, DispatchOp)
        shader = symbol_named(op, op.shader_name, ShaderOp)
        if shader is None:
            raise VerifyException(f"webgpu.dispatch: there is no wgsl.shader {op.callee}")
        op.verify_bindings(accesses(shader))


@irdl_op_definition
class DispatchOp(IRDLOperation):
    """Runs a shader over a grid of workgroups, with `buffers[i]` at binding `i` of group 0.

    With `counts`, over the grid that three words of that buffer say, from byte `place` on: when it
    runs, these are `grid` or zeros.
    """

    name = "webgpu.dispatch"

    callee = prop_def(FlatSymbolRefAttrConstr)
    grid = prop_def(DenseArrayBase.constr(i32))
    buffers = var_operand_def(BUFFER)
    counts = opt_operand_def(BUFFER)
    place = opt_prop_def(IntegerAttr.constr(i64))

    irdl_options = (AttrSizedOperandSegments(as_property=True),)
    traits = traits_def(_CalleeIsShader())
    assembly_format = "$callee $grid `(` $buffers `)` (`counts` $counts^ `[` $place `]`)? attr-dict"

    def __init__(
        self,
        callee: str,
        grid: DenseArrayBase[IntegerType],
        buffers: Sequence[SSAValue],
        counts: tuple[SSAValue, int] | None = None,
    ):
        buffer, place = counts or (None, None)
        super().__init__(
            operands=[buffers, buffer],
            properties={
                "callee": SymbolRefAttr(callee),
                "grid": grid,
                "place": None if place is None else IntegerAttr(place, i64),
            },
        )

    @property
    def shader_name(self) -> str:
        return self.callee.root_reference.data

    def verify_(self) -> None:
        grid = self.grid.get_values()
        if len(grid) != 3 or not all(1 <= size <= MAX_WORKGROUPS for size in grid):
            raise VerifyException(
                f"webgpu.dispatch: grid {grid} is not three numbers from 1 to {MAX_WORKGROUPS:,}"
            )
        if (self.counts is None) != (self.place is None):
            raise VerifyException("webgpu.dispatch: counts are a buffer and where they begin there")
        if self.counts is not None and self.place is not None:
            source, place = self.counts.owner, self.place.value.data
            if not isinstance(source, BufferOp) or source.kind.data != BufferKind.COUNTS:
                raise VerifyException("webgpu.dispatch: counts come from a counts buffer")
            size = source.size.value.data
            if place % SLOT_BYTES or not 0 <= place <= size - COUNTS_BYTES:
                raise VerifyException(
                    f"webgpu.dispatch: counts from byte {place} on in a buffer of {size} bytes"
                )

    def verify_bindings(self, accesses: Sequence[str]) -> None:
        """Check the buffers against what the shader does with each."""
        where = f"webgpu.dispatch of {self.callee}"
        if len(self.buffers) != len(accesses):
            raise VerifyException(
                f"{where}: {len(self.buffers)} buffers for {len(accesses)} bindings"
            )
        seen: dict[SSAValue, int] = {}
        for binding, (buffer, access) in enumerate(
            zip(map(whole, self.buffers), accesses, strict=True)
        ):
            kind = buffer.owner.kind.data if isinstance(buffer.owner, BufferOp) else "argument"
            if (kind == BufferKind.SCALARS) != (access == "uniform") or (
                kind == BufferKind.CONSTANT and access == "read_write"
            ):
                raise VerifyException(f"{where}: a {kind} buffer at {access} binding {binding}")
            other = seen.setdefault(buffer, binding)
            if other != binding and "read_write" in (access, accesses[other]):
                raise VerifyException(
                    f"{where}: bindings {other} and {binding} are one buffer, and one writes it"
                )


@irdl_op_definition
class CopyOp(IRDLOperation):
    """Copies `size` bytes (a positive multiple of 4) of one buffer to another.

    `from` and `to` say where they begin: at which byte in the first step of the loop around it, and
    how many bytes further in each step after that.
    """

    name = "webgpu.copy"

    source = operand_def(BUFFER)
    destination = operand_def(BUFFER)
    size = prop_def(IntegerAttr.constr(i64))
    taken = opt_prop_def(DenseArrayBase.constr(i64))
    put = opt_prop_def(DenseArrayBase.constr(i64))

    assembly_format = "$source `,` $destination `,` $size (`from` $taken^)? (`to` $put^)? attr-dict"

    def __init__(
        self, source: SSAValue, destination: SSAValue, size: int,
        taken: tuple[int, int] | None = None, put: tuple[int, int] | None = None,
    ):  # fmt: skip
        super().__init__(
            operands=[source, destination],
            properties={
                "size": IntegerAttr(size, i64),
                "taken": None if taken is None else DenseArrayBase.from_list(i64, taken),
                "put": None if put is None else DenseArrayBase.from_list(i64, put),
            },
        )

    @property
    def places(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Where it begins in the source and the destination: at the first step, and further."""
        found = [(0, 0) if p is None else p.get_values() for p in (self.taken, self.put)]
        (a, b), (c, d) = found
        return (a, b), (c, d)

    def verify_(self) -> None:
        if self.source is self.destination:
            raise VerifyException("webgpu.copy: from a buffer to itself")
        if any(place is not None and len(place) != 2 for place in (self.taken, self.put)):
            raise VerifyException("webgpu.copy: a place is where it begins and what a step adds")
        for buffer, place in zip(self.operands, self.places, strict=True):
            _verify_place(self, buffer, self.size.value.data, place, 4)


@irdl_op_definition
class LoopOp(IRDLOperation):
    """Runs the dispatches and copies of its body `count` times, one after another.

    With `while`, that is at most so often: it ends some time after a step that leaves zero in the
    first word of that buffer.
    """

    name = "webgpu.loop"

    count = prop_def(IntegerAttr.constr(i64))
    going = opt_operand_def(BUFFER)
    body = region_def("single_block")

    traits = traits_def(NoTerminator())
    assembly_format = "$count (`while` $going^)? $body attr-dict"

    def __init__(self, count: int, body: Block, going: SSAValue | None = None):
        super().__init__(
            operands=[going],
            properties={"count": IntegerAttr(count, i64)},
            regions=[Region(body)],
        )

    def verify_(self) -> None:
        if self.count.value.data < 1:
            raise VerifyException("webgpu.loop: runs at least once")
        for op in self.body.block.ops:
            if not isinstance(op, DispatchOp | CopyOp | LoopOp | SliceOp):
                raise VerifyException(f"webgpu.loop: {op.name} is no command")


def accesses(shader: ShaderOp) -> list[str]:
    """What a shader does with each binding of group 0: `read`, `read_write` or `uniform`."""
    found: dict[int, str] = {}
    for op in shader.body.block.ops:
        if isinstance(op, BindingOp):
            type = op.result.type
            assert isinstance(type, RefType)
            uniform = type.space == AddressSpace.UNIFORM
            found[op.place[1]] = "uniform" if uniform else type.access_name.data
    return [found[binding] for binding in sorted(found)]


WebGPU = Dialect(
    "webgpu", [BufferOp, WriteBufferOp, SliceOp, DispatchOp, CopyOp, LoopOp], [BufferType]
)
