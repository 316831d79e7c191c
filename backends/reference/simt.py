"""Kernels at the `tiled` stage: all invocations in lockstep, vectorised over lanes.

Every scalar is an array (workgroups, threads), every vector one of (workgroups, threads, elements);
an axis has size 1 where the value does not vary along it, so uniform values stay single. Divergence
is a mask of active lanes. A kernel is compiled once, to a list of closures over a list of values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from xdsl.dialects import memref, vector
from xdsl.dialects.builtin import MemRefType, VectorType
from xdsl.ir import Attribute, Block, BlockArgument, Operation, SSAValue

from stepwell.backends.reference.errors import failure
from stepwell.backends.reference.memory import Array, Buffer, storage_dtype
from stepwell.backends.reference.races import Clock, Races
from stepwell.backends.reference.spaces import Space
from stepwell.dialects import kernel

_LANES = 1 << 15
"""The most lanes that run at once, if the values of a lane are small."""

_BYTES = 1 << 28
"""The most memory that the values of all these lanes may take."""


class State:
    """What changes while some workgroups run: their values and which of their lanes are active."""

    __slots__ = ("clock", "mask", "values", "workgroups")

    def __init__(self, slots: int, workgroups: Array, threads: int):
        self.values: list[Any] = [None] * slots
        self.mask: Array | None = None
        self.workgroups = workgroups
        self.clock = Clock(workgroups, threads)


Step: TypeAlias = Callable[[State], None]
StepMaker: TypeAlias = Callable[["Compiler", Any], Step]


@dataclass(frozen=True)
class Code:
    """A block: where its arguments go, its steps, and where what it yields is."""

    arguments: list[int]
    steps: list[Step]
    yields: list[int]

    def run(self, state: State, arguments: Sequence[Any] = ()) -> list[Any]:
        values = state.values
        for slot, argument in zip(self.arguments, arguments, strict=True):
            values[slot] = argument
        for step in self.steps:
            step(state)
        return [values[slot] for slot in self.yields]


@dataclass
class Compiler:
    """Turns the blocks of one kernel into code. `makers` say how each operation becomes a step."""

    makers: Mapping[type[Operation], StepMaker]
    workgroup_size: tuple[int, int, int]
    grid: tuple[int, int, int]
    subgroup_size: int
    lane_bytes: int = 0
    _slots: dict[SSAValue, int] = field(default_factory=dict)

    @property
    def threads(self) -> int:
        return math.prod(self.workgroup_size)

    @property
    def slots(self) -> int:
        return len(self._slots)

    def define(self, value: SSAValue) -> int:
        """The slot of a value, new at its first mention."""
        if value not in self._slots:
            self._slots[value] = len(self._slots)
            self.lane_bytes += 8 * width_of(value.type) if is_data(value.type) else 0
        return self._slots[value]

    def all(self, values: Sequence[SSAValue]) -> list[int]:
        return [self.define(value) for value in values]

    def block(self, block: Block) -> Code:
        """The code of a block, whose terminator's operands are what it yields."""
        arguments = self.all(block.args)
        terminator = block.last_op
        assert terminator is not None
        steps = [self.step(op) for op in block.ops if op is not terminator]
        return Code(arguments, steps, self.all(terminator.operands))

    def step(self, op: Operation) -> Step:
        maker = self.makers.get(type(op))
        if maker is None:
            raise failure(op, "the reference backend has no meaning for this operation in a kernel")
        return maker(self, op)


def is_data(type: Attribute) -> bool:
    """Whether a value of the type is an array of lanes (and not a memory)."""
    return not isinstance(type, MemRefType)


def width_of(type: Attribute) -> int:
    """The number of scalars in a value of the type."""
    return math.prod(type.get_shape()) if isinstance(type, VectorType) else 1


@dataclass
class Kernel:
    """A compiled kernel."""

    function: kernel.FuncOp
    code: Code
    compiler: Compiler
    written: set[int]
    """The arguments that it stores to."""
    read: set[int]
    """The arguments that it loads from."""

    def launch(self, op: Operation, buffers: Sequence[Buffer]) -> None:
        """Runs all workgroups on the buffers; `op` is whom errors of the binding name."""
        self._check_bindings(op, buffers)
        spaces = [self._space(index, buffer) for index, buffer in enumerate(buffers)]
        for workgroups in self._batches():
            state = State(self.compiler.slots, workgroups, self.compiler.threads)
            self.code.run(state, spaces)

    def _batches(self) -> Iterator[Array]:
        """The workgroups' numbers, as many at a time as memory allows."""
        count = math.prod(self.compiler.grid)
        lanes = min(_LANES, _BYTES // max(1, self.compiler.lane_bytes))
        size = max(1, lanes // self.compiler.threads)
        for low in range(0, count, size):
            yield np.arange(low, min(low + size, count), dtype=np.int64)

    def _space(self, index: int, buffer: Buffer) -> Space:
        type = self.function.block.args[index].type
        assert isinstance(type, MemRefType)
        written = index in self.written
        return Space(
            buffer.flat,
            type.element_type,
            math.prod(type.get_shape()),
            races=Races(buffer.flat.size, reads=index in self.read) if written else None,
            padded=True,
            writable=buffer.flat.flags.writeable and self.function.scalar_slot(index) is None,
        )

    def _check_bindings(self, op: Operation, buffers: Sequence[Buffer]) -> None:
        for index, (buffer, argument) in enumerate(
            zip(buffers, self.function.block.args, strict=True)
        ):
            type = argument.type
            assert isinstance(type, MemRefType)
            count = math.prod(type.get_shape())
            if storage_dtype(type.element_type) != buffer.flat.dtype or count > buffer.flat.size:
                raise failure(
                    op,
                    f"argument {index} has {buffer.flat.size} elements of {buffer.element}, "
                    f"the kernel takes {type}",
                )
            for other in range(len(buffers)):
                if other == index or not ({index, other} & self.written):
                    continue
                if np.may_share_memory(buffer.flat, buffers[other].flat):
                    raise failure(
                        op, f"arguments {index} and {other} share memory, and one is written"
                    )


_STORES = (memref.StoreOp, vector.StoreOp, memref.AtomicRMWOp)
_LOADS = (memref.LoadOp, vector.LoadOp, memref.AtomicRMWOp)


def compile_kernel(
    function: kernel.FuncOp, makers: Mapping[type[Operation], StepMaker], subgroup_size: int
) -> Kernel:
    """The kernel, ready to be launched again and again.

    Subgroups have `subgroup_size` lanes unless the kernel itself counts on another number.
    """
    assert function.grid is not None
    if function.workgroup_size is None:
        raise failure(function, "a kernel with a grid needs a workgroup_size")
    x, y, z = function.workgroup_size.get_values()
    gx, gy, gz = function.grid.get_values()
    if function.subgroup_size is not None:
        subgroup_size = function.subgroup_size.value.data
    compiler = Compiler(makers, (x, y, z), (gx, gy, gz), subgroup_size)
    code = compiler.block(function.block)
    written: set[int] = set()
    read: set[int] = set()
    for op in function.walk():
        for operand in op.operands:
            if not isinstance(operand, BlockArgument) or operand.block is not function.block:
                continue
            if isinstance(op, _STORES):
                written.add(operand.index)
            if isinstance(op, _LOADS):
                read.add(operand.index)
    return Kernel(function, code, compiler, written, read)
