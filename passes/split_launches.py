"""Splits launches that would keep a small GPU busy for too long: systems reset such devices.

Before, of a product of 8192 (1.1e12 operations, of which a dispatch may have 3e11):

    kernel.func @contraction_0(...) attributes {grid = array<i32: 64, 32, 1>} {
      %x = gpu.block_id x
      ...
    kernel.launch @contraction_0(%a, %b, %c)

After:

    kernel.func @contraction_0_part_0(...) attributes {grid = array<i32: 16, 32, 1>} { ... }
    kernel.func @contraction_0_part_1(...) attributes {grid = array<i32: 16, 32, 1>} {
      %i = gpu.block_id x
      %x = arith.addi %i, %c16
      ...
    kernel.launch @contraction_0_part_0(%a, %b, %c)
    kernel.launch @contraction_0_part_1(%a, %b, %c)
    ...

Workgroups do not wait for each other, so any of them may run in any dispatch. Where a part begins
is a constant of its shader: no argument says it, and bounds are proved as ever.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from xdsl.context import Context
from xdsl.dialects import arith, gpu
from xdsl.dialects.builtin import DenseArrayBase, IndexType, IntegerAttr, ModuleOp, i32
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass

from stepwell.dialects.build import clone, every
from stepwell.dialects.emit import Emitter
from stepwell.dialects.kernel import AXES, FuncOp, LaunchOp
from stepwell.passes.target import Target, target_named
from stepwell.passes.work import BYTES, FLOPS, WRITTEN


@dataclass(frozen=True)
class SplitLaunchesPass(ModulePass):
    """Makes several launches, of parts of the grid, of one that does too much."""

    name = "split-launches"

    target: str = "software"
    """The device class, which says what one dispatch may do."""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        target = target_named(self.target)
        parts: dict[str, list[str]] = {}
        for kernel in [found for found in op.body.block.ops if isinstance(found, FuncOp)]:
            count = _parts(kernel, target)
            if count > 1:
                made = _split(kernel, count)
                for part in made:
                    op.body.block.insert_op_before(part, kernel)
                parts[kernel.sym_name.data] = [part.sym_name.data for part in made]
                kernel.detach()
                kernel.erase(safe_erase=False)
        if not parts:
            return
        for launch in [found for found in every(op) if isinstance(found, LaunchOp)]:
            names = parts.get(launch.kernel_name)
            if names is not None and launch.parent is not None:
                emit = Emitter(launch.parent, before=launch, location=launch.location)
                for name in names:
                    emit.insert(LaunchOp(name, launch.arguments))
                launch.detach()
                launch.erase()


def _parts(kernel: FuncOp, target: Target) -> int:
    """How many dispatches a kernel should be; 1 for one that nothing is known of."""
    if kernel.grid is None:
        return 1
    wanted = 1
    for key, most in ((FLOPS, target.max_dispatch_flops), (BYTES, target.max_dispatch_bytes)):
        amount = kernel.attributes.get(key)
        if isinstance(amount, IntegerAttr):
            wanted = max(wanted, ceil(amount.value.data / most))
    return min(wanted, max(kernel.grid.get_values()))


def _split(kernel: FuncOp, count: int) -> list[FuncOp]:
    """The kernel in `count` parts, or one less, along the longest axis of its grid."""
    assert kernel.grid is not None
    grid = list(kernel.grid.get_values())
    axis = grid.index(max(grid))
    size = ceil(grid[axis] / count)
    return [
        _part(kernel, number, axis, first, min(size, grid[axis] - first))
        for number, first in enumerate(range(0, grid[axis], size))
    ]


def _part(kernel: FuncOp, number: int, axis: int, first: int, size: int) -> FuncOp:
    """The kernel on workgroups `first` to `first + size - 1` along an axis of its grid."""
    mapping: dict[SSAValue, SSAValue] = {}
    part = clone(kernel, mapping)
    assert part.grid is not None
    grid = list(part.grid.get_values())
    for key in (FLOPS, BYTES, WRITTEN):
        amount = part.attributes.get(key)
        if isinstance(amount, IntegerAttr):
            share = amount.value.data * size // grid[axis]
            part.attributes[key] = IntegerAttr(share, amount.type)
    grid[axis] = size
    part.grid = DenseArrayBase.from_list(i32, grid)
    part.sym_name = type(part.sym_name)(f"{kernel.sym_name.data}_part_{number}")
    ids = [op for op in every(part) if isinstance(op, gpu.BlockIdOp)]
    for op in ids if first else ():
        if AXES[op.dimension.data] == axis and op.parent is not None and op.next_op is not None:
            emit = Emitter(op.parent, before=op.next_op, location=op.location)
            begin = emit.constant(first, IndexType())
            moved = emit.insert(arith.AddiOp(op.result, begin))
            op.result.replace_uses_with_if(
                moved.results[0], lambda use, m=moved: use.operation is not m
            )
    return part
