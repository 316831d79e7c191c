"""How many bytes the threads of a kernel ask storage for: what caches have to make up for.

An upper bound: guards are taken to hold, and loops to run as often as they can. What is read again
counts again, so that a product in tiles asks for each operand as many times as it has tiles.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from xdsl.dialects import arith, gpu, memref, scf, vector
from xdsl.dialects.builtin import Float16Type, VectorType
from xdsl.ir import Attribute, Block, BlockArgument, SSAValue

from stepwell.dialects.kernel import FuncOp
from stepwell.passes.ranges import Ranges


@dataclass(frozen=True)
class Traffic:
    """Bytes that a launch asks for."""

    read: int
    written: int


def traffic(kernel: FuncOp) -> Traffic:
    """What a scheduled kernel asks of its arguments' memory."""
    assert kernel.grid is not None and kernel.workgroup_size is not None
    groups = prod(int(size) for size in kernel.grid.get_values())
    walk = _Walk(kernel, int(kernel.grid.get_values()[0]))
    walk.block(kernel.block, groups * prod(int(s) for s in kernel.workgroup_size.get_values()))
    return Traffic(walk.read, walk.written)


class _Walk:
    def __init__(self, kernel: FuncOp, groups: int):
        self.kernel, self.groups = kernel, groups
        self.ranges = Ranges(kernel)
        self.read = self.written = 0

    def block(self, block: Block, times: int) -> None:
        """Counts operations that all threads together run that many times."""
        for op in block.ops:
            match op:
                case memref.LoadOp() | vector.LoadOp():
                    if self._is_storage(op.operands[0]):
                        self.read += times * _width(op.results[0].type)
                case memref.StoreOp() | vector.StoreOp():
                    if self._is_storage(op.operands[1]):
                        self.written += times * _width(op.operands[0].type)
                case scf.ForOp():
                    trips = self.ranges.enter(op)
                    self.block(op.body.block, times * trips)
                case scf.IfOp():
                    share = self._share(op.cond) if op.false_region.blocks else None
                    own = times if share is None else times * share // self.groups
                    self.block(op.true_region.block, own)
                    if op.false_region.blocks:
                        rest = times if share is None else times - own
                        self.block(op.false_region.block, rest)
                case _:
                    pass

    def _is_storage(self, memory: SSAValue) -> bool:
        return isinstance(memory, BlockArgument) and memory.block is self.kernel.block

    def _share(self, condition: SSAValue) -> int | None:
        """The first workgroups, where that is what a branch asks: launches were merged."""
        compared = condition.owner
        if isinstance(compared, arith.CmpiOp) and isinstance(compared.lhs.owner, gpu.BlockIdOp):
            return min(self.ranges.of(compared.rhs).hi, self.groups)
        return None


def _width(type: Attribute) -> int:
    """Bytes of a scalar or vector."""
    count = type.get_shape()[0] if isinstance(type, VectorType) else 1
    element = type.element_type if isinstance(type, VectorType) else type
    return count * (2 if isinstance(element, Float16Type) else 4)
