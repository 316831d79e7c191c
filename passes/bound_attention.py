"""`bound-attention`: what masks of attention say about positions becomes bounds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, i32
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass

from stepwell.dialects.array.attention import LOWEST, AttentionOp
from stepwell.dialects.array.base import ViewOp, element_of, is_bool, shape_of, u32
from stepwell.dialects.array.build import full
from stepwell.dialects.array.elementwise import (
    AddOp,
    MaximumOp,
    MinimumOp,
    SubtractOp,
)
from stepwell.dialects.array.logic import (
    BitwiseAndOp,
    CastOp,
    ComparisonOp,
    GreaterEqualOp,
    GreaterOp,
    LessEqualOp,
    LessOp,
    LogicalAndOp,
    WhereOp,
)
from stepwell.dialects.array.shape import (
    BroadcastOp,
    ConcatenateOp,
    FullOp,
    IotaOp,
    ReshapeOp,
    SliceOp,
    number,
)
from stepwell.dialects.bounds import Bound, bounds_of
from stepwell.dialects.build import every
from stepwell.dialects.emit import Emitter
from stepwell.passes.index import ZERO, Index, apply_map, constant, var

_FARTHEST = 1 << 29
"""Beyond any position: limits and shifts are cut there, so that nothing overflows."""

_Place: TypeAlias = tuple[Index, ...]


class BoundAttentionPass(ModulePass):
    """Replaces masks of attention that compare positions by bounds, which schedules go by.

    A mask of nothing but such comparisons goes. Beside others they are told as bounds too, if their
    limits are known, so that the tiles that they hide are not visited.

    Before:
    ```mlir
    %q = array.iota i32 shape [64, 64] axis 0 : tensor<64x64xi32>
    %k = array.iota i32 shape [64, 64] axis 1 : tensor<64x64xi32>
    %mask = array.less_equal %k, %q : (tensor<64x64xi32>, tensor<64x64xi32>) -> tensor<64x64xi1>
    %y, %l = array.attention %x, %x, %x mask %mask scale 1.0 : f64 bounds [] : ...
    ```
    After:
    ```mlir
    %y, %l = array.attention %x, %x, %x scale 1.0 : f64 bounds [1, -1, 0] : ...
    ```

    Of `key < length[batch]` the bound is (1, 0, -1), and the shift of its limit is the length.
    """

    name = "bound-attention"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for found in list(every(op)):
            if isinstance(found, AttentionOp) and found.mask is not None and found.shifts is None:
                _bound(found, found.mask)


class _Term(NamedTuple):
    """sign * value[place], which is the same for all queries and keys."""

    sign: int
    value: SSAValue
    place: _Place


@dataclass
class _Sum:
    """positions + terms, an i32."""

    positions: Index
    terms: list[_Term]

    def plus(self, sign: int, other: _Sum) -> _Sum:
        terms = [term._replace(sign=sign * term.sign) for term in other.terms]
        return _Sum(self.positions + other.positions * sign, [*self.terms, *terms])


def _bound(op: AttentionOp, mask: SSAValue) -> None:
    """Gives `op` the bounds that its mask implies, and takes the mask if it implies no more."""
    places = tuple(var(size) for size in shape_of(mask))
    reader = _Reader(places)
    found = list(reader.conditions(mask, places))
    sums = [each for each in found if each is not None]
    whole = len(sums) == len(found)
    known = [(bound, terms) for bound, terms in sums if not terms]
    moved = [(bound, terms) for bound, terms in sums if terms] if whole else []
    if not whole and not known:
        return
    block = op.parent
    assert block is not None
    emit = Emitter(block, before=op, location=op.location)
    batch = places[:-2]
    shifts = [_shift(emit, terms, batch) for _, terms in moved]
    bounds = [*bounds_of(op.bounds), *(bound for bound, _ in (*known, *moved))]
    new = AttentionOp(
        op.query,
        op.key,
        op.value,
        mask=None if whole else mask,
        shifts=emit(ConcatenateOp(shifts, len(batch))) if shifts else None,
        scale=op.scale.value.data,
        softcap=op.cap,
        bounds=[b._replace(limit=max(-_FARTHEST, min(b.limit, _FARTHEST))) for b in bounds],
        location=op.location,
    )
    for old, result in zip(op.results, emit.all(new), strict=True):
        old.replace_all_uses_with(result)
    block.erase_op(op)


def _shift(emit: Emitter, terms: Sequence[_Term], batch: _Place) -> SSAValue:
    """Minus the sum of the terms, [batch..., 1]."""
    shape = [index.hi + 1 for index in batch]
    total = full(emit, 0, shape, i32)
    for term in terms:
        op = SubtractOp if term.sign > 0 else AddOp
        total = emit(op(total, _by_batch(emit, term, batch)))
    total = emit(MinimumOp(total, full(emit, _FARTHEST, shape, i32)))
    total = emit(MaximumOp(total, full(emit, -_FARTHEST, shape, i32)))
    return emit(ReshapeOp(total, [*shape, 1]))


def _by_batch(emit: Emitter, term: _Term, batch: _Place) -> SSAValue:
    """The term's value for each of the batch."""
    starts = [index.const for index in term.place]
    axes = [batch.index(index) for index in term.place if index.terms]
    sizes = [index.hi + 1 - start for index, start in zip(term.place, starts, strict=True)]
    ends = [start + size for start, size in zip(starts, sizes, strict=True)]
    value = emit(SliceOp(term.value, starts, ends))
    kept = [size for size, index in zip(sizes, term.place, strict=True) if index.terms]
    shape = [index.hi + 1 for index in batch]
    return emit(BroadcastOp(emit(ReshapeOp(value, kept)), shape, axes))


class _Reader:
    """Reads masks: what a value is at a place in terms of the positions of query and key."""

    def __init__(self, places: _Place):
        *self.batch, self.query, self.key = places

    def conditions(
        self, value: SSAValue, place: _Place
    ) -> Iterator[tuple[Bound, list[_Term]] | None]:
        """What a mask asks of positions: bounds with what is taken off their limits, None for
        anything else."""
        match value.owner:
            case FullOp() if is_bool(element_of(value)) and number(value.owner.value):
                return
            case ViewOp():
                yield from self.conditions(value.owner.operand, _through(value.owner, place))
            case LogicalAndOp() | BitwiseAndOp():
                for operand in value.owner.operands:
                    yield from self.conditions(operand, place)
            case ComparisonOp():
                yield self._comparison(value.owner, place)
            case WhereOp() if (_full(value.owner.on_false) or 0) <= LOWEST:
                yield from self.conditions(value.owner.condition, place)
                if _full(value.owner.on_true) != 0:
                    yield None
            case _:
                yield None

    def _comparison(self, op: ComparisonOp, place: _Place) -> tuple[Bound, list[_Term]] | None:
        sides = [self._integer(operand, place) for operand in op.operands]
        if isinstance(op, GreaterOp | GreaterEqualOp):
            sides.reverse()
        left, right = sides
        strict = isinstance(op, LessOp | GreaterOp)
        if left is None or right is None or not (strict or isinstance(op, _OR_EQUAL)):
            return None
        difference = left.plus(-1, right)
        found = dict(difference.positions.terms)
        key, query = (sum(found.pop(v, 0) for v in p.terms) for p in (self.key, self.query))
        if found or not {key, query} <= {-1, 0, 1}:
            return None
        limit = -difference.positions.const - (1 if strict else 0)
        return Bound(key, query, limit), difference.terms

    def _integer(self, value: SSAValue, place: _Place) -> _Sum | None:
        """An i32 at a place, if it is positions plus what neither query nor key changes."""
        match value.owner:
            case FullOp() if element_of(value) in (i32, u32):
                return _Sum(constant(int(number(value.owner.value))), [])
            case ViewOp():
                return self._integer(value.owner.operand, _through(value.owner, place))
            case _ if self._is_one_for_all(place):
                return _Sum(ZERO, [_Term(1, value, place)]) if element_of(value) == i32 else None
            case IotaOp() if element_of(value) in (i32, u32):
                return _Sum(place[int(number(value.owner.axis))], [])
            case CastOp() if element_of(value) == i32:
                return self._integer(value.owner.operand, place)
            case AddOp() | SubtractOp() if element_of(value) == i32:
                left, right = (self._integer(operand, place) for operand in value.owner.operands)
                if left is None or right is None:
                    return None
                return left.plus(1 if isinstance(value.owner, AddOp) else -1, right)
            case _:
                return None

    def _is_one_for_all(self, place: _Place) -> bool:
        """Whether a place is one for all queries and keys, with each of the batch at its own."""
        moving = [index for index in place if index.terms]
        own = [index for index in self.batch if index in moving]
        return moving == own


_OR_EQUAL = LessEqualOp | GreaterEqualOp


def _through(view: ViewOp, place: _Place) -> _Place:
    """Where the operand of a view is read."""
    return apply_map(view.source(), place)


def _full(value: SSAValue) -> float | None:
    """The number that fills a value, if one does."""
    while isinstance(value.owner, ViewOp):
        value = value.owner.operand
    return number(value.owner.value) if isinstance(value.owner, FullOp) else None
