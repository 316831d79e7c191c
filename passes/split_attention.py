"""`split-attention`: attention of few queries goes over parts of the keys side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, f32, i32
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass

from stepwell.dialects.array.attention import AttentionOp
from stepwell.dialects.array.base import element_of, shape_of
from stepwell.dialects.array.build import full, unreduce
from stepwell.dialects.array.elementwise import (
    AddOp,
    ExpOp,
    LogOp,
    MultiplyOp,
    SubtractOp,
)
from stepwell.dialects.array.logic import CastOp
from stepwell.dialects.array.reduction import MaxOp, SumOp
from stepwell.dialects.array.shape import (
    BroadcastOp,
    ConcatenateOp,
    IotaOp,
    ReshapeOp,
    SliceOp,
    TransposeOp,
)
from stepwell.dialects.bounds import bounds_of
from stepwell.dialects.build import every
from stepwell.dialects.emit import Emitter
from stepwell.passes.schedules.attention.plan import Shape
from stepwell.passes.schedules.attention.row_plans import row_plans
from stepwell.passes.target import Target, target_named

SHORTEST = 64
"""Keys of a part at least."""


@dataclass(frozen=True)
class SplitAttentionPass(ModulePass):
    """Splits the keys of attention whose rows of scores are too few for the device into parts.

    Each part gives a result and the log-sum-exp of its scores, which say how the results add up.
    Limits of bounds move back by the keys before a part.

    Before, where query q sees the keys up to shift + q:
    ```mlir
    %y, %l = array.attention %q, %k, %v with %shifts scale 1.0 : f64 bounds [1, -1, 0] :
        (tensor<8x1x64xf32>, tensor<8x4096x64xf32>, tensor<8x4096x64xf32>, tensor<8x1xi32>) -> ...
    ```
    After:
    ```mlir
    %p, %m = array.attention %q2, %k2, %v2 with %shifts2 scale 1.0 : f64 bounds [1, -1, 0] :
        (tensor<8x64x1x64xf32>, tensor<8x64x64x64xf32>, tensor<8x64x64x64xf32>,
        tensor<8x64x1xi32>) -> ...
    %y = sum over parts of %p * exp(%m - %l), where %l = log(sum over parts of exp(%m))
    ```
    """

    name = "split-attention"

    target: str = "software"
    """The device class, which says how many subgroups occupy it."""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        target = target_named(self.target)
        for found in list(every(op)):
            if isinstance(found, AttentionOp) and found.shifts is not None:
                parts = _parts(found, target)
                if parts > 1:
                    _split(found, found.shifts, parts)


def _parts(op: AttentionOp, target: Target) -> int:
    """Into how many equal parts the keys go."""
    (*batch, queries, depth), (*_, keys, width) = shape_of(op.query), shape_of(op.value)
    plans = row_plans(target, Shape(tuple(batch), queries, keys, depth, width))
    if not plans or target.subgroup_size is None:
        return 1
    if prod(batch) * keys * (depth + width) < target.split_elements:
        return 1
    subgroups = prod(batch) * -(-queries // plans[0].rows)
    wanted = target.split_threads // target.subgroup_size / subgroups
    counts = [count for count in range(1, keys // SHORTEST + 1) if not keys % count]
    return next((count for count in counts if count >= wanted), max(counts, default=1))


def _split(op: AttentionOp, shifts: SSAValue, parts: int) -> None:
    block = op.parent
    assert block is not None
    emit = Emitter(block, before=op, location=op.location)
    *batch, queries, depth = shape_of(op.query)
    axis, keys = len(batch), shape_of(op.key)[-2] // parts
    axes = [*range(axis), axis + 1, axis + 2]
    query = emit(BroadcastOp(op.query, [*batch, parts, queries, depth], axes))
    key, value = (
        emit(ReshapeOp(operand, [*batch, parts, keys, shape_of(operand)[-1]]))
        for operand in (op.key, op.value)
    )
    mask = op.mask
    if mask is not None:
        mask = emit(ReshapeOp(mask, [*batch, queries, parts, keys]))
        mask = emit(TransposeOp(mask, [*range(axis), axis + 1, axis, axis + 2]))
    moved = AttentionOp(
        query,
        key,
        value,
        mask=mask,
        shifts=_shifts(emit, op, shifts, parts, keys),
        scale=op.scale.value.data,
        softcap=op.cap,
        bounds=bounds_of(op.bounds),
        location=op.location,
    )
    results, logsumexp = emit.all(moved)
    for old, new in zip(op.results, _joined(emit, results, logsumexp, axis), strict=True):
        old.replace_all_uses_with(new)
    block.erase_op(op)


def _shifts(emit: Emitter, op: AttentionOp, shifts: SSAValue, parts: int, keys: int) -> SSAValue:
    """What is added to each limit in each part, [batch..., parts, bounds]."""
    bounds = bounds_of(op.bounds)
    *batch, count = shape_of(shifts)
    axis, known = len(batch), len(bounds) - count
    shape = [*batch, parts, 1]
    first = emit(MultiplyOp(emit(IotaOp(shape, axis, i32)), full(emit, keys, shape, i32)))
    columns: list[SSAValue] = []
    for number, bound in enumerate(bounds):
        column = full(emit, 0, shape, i32)
        if number >= known:
            starts, ends = [0] * axis + [number - known], [*batch, number - known + 1]
            given = emit(SliceOp(shifts, starts, ends))
            column = emit(BroadcastOp(given, shape, [*range(axis), axis + 1]))
        if bound.key:
            move = SubtractOp if bound.key > 0 else AddOp
            column = emit(move(column, first))
        columns.append(column)
    return emit(ConcatenateOp(columns, axis + 1))


def _joined(emit: Emitter, results: SSAValue, logsumexp: SSAValue, axis: int) -> Sequence[SSAValue]:
    """The result and the log-sum-exp of all parts, which are along an axis."""
    element, shape = element_of(results), shape_of(results)
    peak = emit(MaxOp(logsumexp, [axis]))
    along = unreduce(emit, peak, shape_of(logsumexp), [axis])
    total = emit(SumOp(emit(ExpOp(emit(SubtractOp(logsumexp, along)))), [axis]))
    whole = emit(AddOp(emit(LogOp(total)), peak))
    along = unreduce(emit, whole, shape_of(logsumexp), [axis])
    shares = emit(ExpOp(emit(SubtractOp(logsumexp, along))))
    wide = results if element == f32 else emit(CastOp(results, f32))
    weighted = emit(MultiplyOp(wide, unreduce(emit, shares, shape, [axis + 2])))
    result = emit(SumOp(weighted, [axis]))
    return (result if element == f32 else emit(CastOp(result, element))), whole
