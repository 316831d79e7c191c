"""Scatter-add of many rows: updates are sorted by their position, then summed in runs.

Comparing every element with every update costs size * count * width. Here the positions are ranked
(count * count comparisons of numbers), the updates gathered in that order, and the sums of runs of
equal positions grow by a factor of `RADIX` with each pass over them. The order of every sum is
fixed, and nothing depends on the order in which threads run.
"""

from __future__ import annotations

from xdsl.dialects.builtin import f16, f32, i32
from xdsl.ir import Attribute, SSAValue

from stepwell.dialects.array.base import element_of, is_unsigned, shape_of
from stepwell.dialects.array.build import full_like, zeros_like
from stepwell.dialects.array.convolution import WindowsOp
from stepwell.dialects.array.elementwise import AddOp, MaximumOp, MinimumOp, SubtractOp
from stepwell.dialects.array.logic import (
    CastOp,
    EqualOp,
    LessEqualOp,
    LessOp,
    LogicalAndOp,
    LogicalOrOp,
    WhereOp,
)
from stepwell.dialects.array.reduction import SumOp
from stepwell.dialects.array.shape import (
    BroadcastOp,
    IotaOp,
    PadOp,
    ReshapeOp,
    TransposeOp,
)
from stepwell.dialects.emit import Emitter

RADIX = 4
"""How many partial sums one pass joins."""
LAUNCHES = 1 << 16
"""The points of a kernel that take as long as the launches that sorting needs."""


def _passes(count: int) -> int:
    """Passes after which a sum may reach over all updates."""
    passes, reach = 0, 1
    while reach < count:
        reach *= RADIX
        passes += 1
    return passes


def is_sorting_cheaper(size: int, count: int, width: int) -> bool:
    """Whether to sort `count` updates of `size` rows of `width` elements."""
    compared = size * count * width
    sorted_ = count * width * RADIX * _passes(count) + 2 * count * count + size * (count + width)
    return compared > sorted_ + LAUNCHES


def _count(emit: Emitter, condition: SSAValue) -> SSAValue:
    """How many elements of each row are true, as i32."""
    return emit(SumOp(emit(CastOp(condition, i32)), [1]))


def _rows(emit: Emitter, value: SSAValue, columns: int) -> SSAValue:
    """[n] as [n, columns]: each element repeated along a row."""
    return emit(BroadcastOp(value, [shape_of(value)[0], columns], [0]))


def _columns(emit: Emitter, value: SSAValue, rows: int) -> SSAValue:
    """[n] as [rows, n]: each element repeated along a column."""
    return emit(BroadcastOp(value, [rows, shape_of(value)[0]], [1]))


def _iota(emit: Emitter, size: int, element: Attribute) -> SSAValue:
    return emit(IotaOp([size], 0, element))


def _keys(emit: Emitter, indices: SSAValue, size: int) -> SSAValue:
    """Positions as i32; `size` for those out of range."""
    bound = full_like(emit, size, indices)
    if is_unsigned(element_of(indices)):
        return emit(CastOp(emit(MinimumOp(indices, bound)), i32))
    negative = emit(LessOp(indices, zeros_like(emit, indices)))
    return emit(WhereOp(negative, bound, emit(MinimumOp(indices, bound))))


def _order(emit: Emitter, keys: SSAValue) -> SSAValue:
    """The permutation that sorts keys; equal ones stay in order."""
    (count,) = shape_of(keys)
    own, other = _rows(emit, keys, count), _columns(emit, keys, count)
    numbers = _iota(emit, count, i32)
    earlier = emit(LessOp(_columns(emit, numbers, count), _rows(emit, numbers, count)))
    tie = emit(LogicalAndOp(emit(EqualOp(other, own)), earlier))
    rank = _count(emit, emit(LogicalOrOp(emit(LessOp(other, own)), tie)))
    found = emit(EqualOp(_columns(emit, rank, count), _rows(emit, numbers, count)))
    places = _columns(emit, numbers, count)
    return emit(SumOp(emit(WhereOp(found, places, zeros_like(emit, places))), [1]))


def _before(emit: Emitter, value: SSAValue, distance: int, fill: float) -> SSAValue:
    """result[k, c, j] = value[k - j * distance, c], `fill` before the first; j below the radix."""
    reach = (RADIX - 1) * distance
    padded = emit(PadOp(value, [reach, 0], [0, 0], fill))
    windows = emit(WindowsOp(emit(TransposeOp(padded, [1, 0])), [RADIX], [1], [distance]))
    return emit(TransposeOp(windows, [1, 0, 2]))


def _run_sums(emit: Emitter, keys: SSAValue, values: SSAValue) -> SSAValue:
    """For each row of `values`, its sum with the rows before it that have the same key."""
    count, width = shape_of(values)
    wide = [count, width, RADIX]
    column = emit(ReshapeOp(keys, [count, 1]))
    distance = 1
    for _ in range(_passes(count)):
        near = emit(ReshapeOp(_before(emit, column, distance, -1), [count, RADIX]))
        same = emit(EqualOp(near, _rows(emit, keys, RADIX)))
        same = emit(BroadcastOp(same, wide, [0, 2]))
        parts = _before(emit, values, distance, 0)
        values = emit(SumOp(emit(WhereOp(same, parts, zeros_like(emit, parts))), [2]))
        distance *= RADIX
    return values


def scatter_sorted(
    emit: Emitter, operand: SSAValue, indices: SSAValue, updates: SSAValue
) -> SSAValue:
    """operand [size, width] plus the updates [count, width] of each row; f16 is summed in f32."""
    # Imported here: `indexing` has both what this serves and what it needs.
    from stepwell.dialects.array.indexing import TakeOp

    size, width = shape_of(operand)
    element = element_of(operand)
    keys = _keys(emit, indices, size)
    order = _order(emit, keys)
    ordered = emit(TakeOp(keys, order, 0))
    values = emit(TakeOp(updates, order, 0))
    if element == f16:
        operand, values = (emit(CastOp(value, f32)) for value in (operand, values))
    sums = _run_sums(emit, ordered, values)
    # The last of a row's updates has its sum; it is where those of greater rows begin.
    (count,) = shape_of(keys)
    numbers = _iota(emit, size, i32)
    upto = _count(emit, emit(LessEqualOp(_columns(emit, keys, size), _rows(emit, numbers, count))))
    last = emit(MaximumOp(emit(SubtractOp(upto, full_like(emit, 1, upto))), zeros_like(emit, upto)))
    hit = emit(EqualOp(emit(TakeOp(ordered, last, 0)), numbers))
    found = emit(TakeOp(sums, last, 0))
    added = emit(WhereOp(_rows(emit, hit, width), found, zeros_like(emit, found)))
    result = emit(AddOp(operand, added))
    return emit(CastOp(result, f16)) if element == f16 else result
