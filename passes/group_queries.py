"""`group-queries`: single queries of heads that share keys become the queries of one head."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass

from stepwell.dialects.array.attention import AttentionOp
from stepwell.dialects.array.base import ElementwiseOp, ViewOp, shape_of
from stepwell.dialects.array.shape import ConcatenateOp, FullOp, ReshapeOp, SliceOp
from stepwell.dialects.bounds import bounds_of
from stepwell.dialects.build import every
from stepwell.dialects.emit import Emitter
from stepwell.passes.index import apply_map, var
from stepwell.passes.schedules.attention.plan import Shape
from stepwell.passes.schedules.attention.row_plans import row_plans
from stepwell.passes.target import target_named


@dataclass(frozen=True)
class GroupQueriesPass(ModulePass):
    """Makes rows of one batch of single queries that see the same keys, which are then read once.

    For attention by rows of scores, whose keys, values and shifts are the same along the last of
    the batch.

    Before, where %k and %v repeat along the second dimension:
    ```mlir
    %y, %l = array.attention %q, %k, %v with %s scale 1.0 : f64 bounds [1, -1, 0] :
        (tensor<2x4x1x64xf32>, tensor<2x4x512x64xf32>, tensor<2x4x512x64xf32>, tensor<2x4x1xi32>)
        -> ...
    ```
    After:
    ```mlir
    %p, %m = array.attention %q1, %k1, %v1 with %s1 scale 1.0 : f64 bounds [1, 0, 0] :
        (tensor<2x4x64xf32>, tensor<2x512x64xf32>, tensor<2x512x64xf32>, tensor<2x1xi32>) -> ...
    %y = array.reshape %p shape [2, 4, 1, 64]
    ```
    """

    name = "group-queries"

    target: str = "software"
    """The device class, which has a schedule for rows or not."""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        target = target_named(self.target)
        for found in list(every(op)):
            if isinstance(found, AttentionOp) and found.shifts is not None:
                (*batch, queries, depth), (*_, keys, width) = map(
                    shape_of, (found.query, found.value)
                )
                axis = len(batch) - 1
                if axis < 0 or queries != 1 or batch[axis] == 1:
                    continue
                grouped = Shape(tuple(batch[:-1]), batch[-1], keys, depth, width)
                shared = found.key, found.value, found.shifts
                if row_plans(target, grouped) and all(_repeats(v, axis) for v in shared):
                    _group(found, found.shifts, axis)


def _group(op: AttentionOp, shifts: SSAValue, axis: int) -> None:
    block = op.parent
    assert block is not None
    emit = Emitter(block, before=op, location=op.location)

    def rows(value: SSAValue) -> SSAValue:
        """[batch..., group, 1, n] as [batch..., group, n]."""
        shape = shape_of(value)
        return emit(ReshapeOp(value, [*shape[:-2], shape[-1]]))

    def first(value: SSAValue) -> SSAValue:
        """The first of a group that is all the same."""
        shape = shape_of(value)
        ends = [*shape[:axis], 1, *shape[axis + 1 :]]
        found = emit(SliceOp(value, [0] * len(shape), ends))
        return emit(ReshapeOp(found, [*shape[:axis], *shape[axis + 1 :]]))

    grouped = AttentionOp(
        rows(op.query),
        first(op.key),
        first(op.value),
        mask=None if op.mask is None else rows(op.mask),
        shifts=first(shifts),
        scale=op.scale.value.data,
        softcap=op.cap,
        # The only query was the first.
        bounds=[bound._replace(query=0) for bound in bounds_of(op.bounds)],
        location=op.location,
    )
    for old, new in zip(op.results, emit.all(grouped), strict=True):
        old.replace_all_uses_with(emit(ReshapeOp(new, shape_of(old))))
    block.erase_op(op)


def _repeats(value: SSAValue, axis: int) -> bool:
    """Whether a value is the same all along an axis, as far as what computes it says."""
    owner = value.owner
    match owner:
        case FullOp():
            return True
        case ViewOp():
            place = tuple(var(size) for size in shape_of(value))
            source = apply_map(owner.source(), place)
            moving = [at for at in source if at.variables() & place[axis].variables()]
            if moving != [place[axis]]:
                return not moving
            return _repeats(owner.operand, source.index(place[axis]))
        case ConcatenateOp() if owner.axis.value.data != axis:
            return all(_repeats(operand, axis) for operand in owner.operands)
        case ElementwiseOp():
            return all(_repeats(operand, axis) for operand in owner.operands)
        case _:
            return False
