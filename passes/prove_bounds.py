"""Proves that kernels stay inside their memory: then the device need not check.

Before:

    kernel.func @map_0(%a: memref<1000xf32>, %out: memref<1000xf32>)
        attributes {workgroup_size = array<i32: 256, 1, 1>, grid = array<i32: 4, 1, 1>} {
      %i = block_id * 256 + thread_id                 // 0 to 1023
      %inside = arith.cmpi ult, %i, %c1000
      scf.if %inside {
        %x = memref.load %a[%i]                       // 0 to 999

After: `kernel.in_bounds` is one of the attributes.

Proved are, by ranges of integers (`passes/ranges.py`) that know of wrapping around: every position
of every load and store, all elements of a vector, and that every loop ends. A kernel of which that
cannot be shown says in `kernel.not_proved` where it fails, and runs in a shader whose accesses the
device checks. A claim that stands already, in IR from elsewhere, is no proof: it is made anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

from xdsl.context import Context
from xdsl.dialects import memref, scf, vector
from xdsl.dialects.builtin import (
    ArrayAttr,
    MemRefType,
    ModuleOp,
    NoneAttr,
    StringAttr,
    UnitAttr,
    VectorType,
)
from xdsl.ir import Attribute, Block, BlockArgument, Operation, SSAValue
from xdsl.passes import ModulePass

from stepwell.dialects.errors import where
from stepwell.dialects.kernel import IN_BOUNDS, NOT_PROVED, FuncOp
from stepwell.dialects.wgsl.module import ShaderOp
from stepwell.passes.ranges import Range, Ranges, is_multiple, range_of_type

_MOST = 4
"""Failures that are reported of a kernel."""


class ProveBoundsPass(ModulePass):
    """Marks the kernels whose accesses are proved to be in bounds."""

    name = "prove-bounds"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for kernel in op.body.block.ops:
            if isinstance(kernel, FuncOp | ShaderOp):
                kernel.attributes.pop(IN_BOUNDS, None)
                kernel.attributes.pop(NOT_PROVED, None)
            if isinstance(kernel, FuncOp) and kernel.grid is not None:
                kernel.attributes |= _outcome(failures(kernel))


def _outcome(found: Sequence[str]) -> dict[str, Attribute]:
    if not found:
        return {IN_BOUNDS: UnitAttr()}
    shown = list(found[:_MOST])
    if len(found) > _MOST:
        shown.append(f"and {len(found) - _MOST} more")
    return {NOT_PROVED: ArrayAttr([StringAttr(text) for text in shown])}


def failures(kernel: FuncOp) -> list[str]:
    """What could not be proved of a scheduled kernel, none if it stays in bounds."""
    proof = _Proof(kernel)
    proof.block(kernel.block)
    return proof.failures


def serial_iterations(kernel: FuncOp) -> int:
    """Iterations of all loops together that an invocation of a scheduled kernel does at most."""
    proof = _Proof(kernel)
    proof.block(kernel.block)
    return proof.iterations


class _Proof:
    """One walk over a kernel."""

    def __init__(self, kernel: FuncOp):
        self.ranges = Ranges(kernel)
        self.failures: list[str] = []
        self.iterations = 0

    def block(self, block: Block) -> None:
        for op in block.ops:
            visit = _VISITS.get(type(op))
            if visit is not None:
                visit(self, op)
            elif not _is_harmless(type(op)):
                self._unknown(op)

    def _fail(self, op: Operation, message: str) -> None:
        self.failures.append(f"{where(op.location)}{op.name} {message}")

    def _unknown(self, op: Operation) -> None:
        """An operation without a visit may be anything if it has regions or sees memory."""
        if op.regions:
            self._fail(op, "is not known to end")
        for value in (*op.operands, *op.results):
            if isinstance(value.type, MemRefType):
                self._fail(op, "is an access that is not followed")

    # Memory

    def load(self, op: Operation) -> None:
        self._access(op, op.operands[0], op.operands[1:], op.results[0].type)

    def store(self, op: Operation) -> None:
        self._access(op, op.operands[1], op.operands[2:], op.operands[0].type)

    def _access(
        self, op: Operation, memory: SSAValue, position: Sequence[SSAValue], accessed: Attribute
    ) -> None:
        type = memory.type
        assert isinstance(type, MemRefType)
        width = accessed.get_shape()[0] if isinstance(accessed, VectorType) else 1
        whole = isinstance(memory, BlockArgument) or isinstance(memory.owner, memref.AllocaOp)
        if not whole or not isinstance(type.layout, NoneAttr):
            return self._fail(op, f"of {type}, a part of other memory")
        for axis, (index, size) in enumerate(zip(position, type.get_shape(), strict=True), 1):
            last = width - 1 if axis == len(position) else 0
            found = self.ranges.of(index)
            if not 0 <= found.lo <= found.hi + last < size:
                elements = f"{width} elements at {found.lo} to {found.hi}"
                self._fail(op, f"takes {elements} of {size} of {memory.name_hint or type}")
            elif not self.ranges.is_exact(index):
                self._fail(op, f"of {memory.name_hint or type} at what may wrap around")
        if width > 1 and not is_multiple(position[-1], width):
            self._fail(op, f"of {memory.name_hint or type} is not known to be aligned")

    def allocate(self, op: Operation) -> None:
        """Memory itself is safe, what accesses it is visited."""

    # Control flow

    def branch(self, op: Operation) -> None:
        assert isinstance(op, scf.IfOp)
        passed: list[list[Range]] = []
        before, most = self.iterations, 0
        for region, holds in zip(op.regions, (True, False), strict=True):
            if region.blocks:
                with self.ranges.where(op.cond, holds) as reached:
                    if reached:
                        self.iterations = before
                        self.block(region.block)
                        most = max(most, self.iterations)
                        passed.append(self._passed_on(region.block))
        self.iterations = max(before, most)
        for number, result in enumerate(op.results if passed else ()):
            found = [values[number] for values in passed]
            self.ranges.given(result, Range(min(x.lo for x in found), max(x.hi for x in found)))

    def _passed_on(self, block: Block) -> list[Range]:
        assert block.last_op is not None
        return [self.ranges.of(value) for value in block.last_op.operands]

    def loop(self, op: Operation) -> None:
        assert isinstance(op, scf.ForOp)
        end, step = self.ranges.of(op.ub), self.ranges.of(op.step)
        if step.lo < 1 or end.hi - 1 + step.hi > range_of_type(op.lb.type).hi:
            self._fail(op, "is not known to end")
        trips = self.ranges.enter(op)
        before, self.iterations = self.iterations, 0
        self.block(op.body.block)
        self.iterations = before + trips * (1 + self.iterations)


@cache
def _is_harmless(kind: type[Operation]) -> bool:
    """Whether operations of that class see no memory and contain no others."""
    return kind.name.partition(".")[0] in ("arith", "math")


_VISITS: dict[type[Operation], Callable[[_Proof, Operation], None]] = {
    memref.LoadOp: _Proof.load,
    vector.LoadOp: _Proof.load,
    memref.StoreOp: _Proof.store,
    vector.StoreOp: _Proof.store,
    memref.AllocaOp: _Proof.allocate,
    scf.IfOp: _Proof.branch,
    scf.ForOp: _Proof.loop,
}
