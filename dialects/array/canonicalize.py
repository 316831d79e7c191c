"""Canonical forms of `array` operations: what the stock pass `canonicalize` does to them.

A rule looks at one operation and answers with a value to use instead, or None. It is listed under
the class it speaks of, and holds for every subclass. x + 0 -> x may lose the sign of a zero;
x * 0 stays for floats, because x may be NaN or infinite.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from math import prod
from typing import Any, TypeVar, cast

import numpy as np
from xdsl.ir import Operation, SSAValue
from xdsl.ir.affine import AffineExpr
from xdsl.pattern_rewriter import PatternRewriter, RewritePattern
from xdsl.rewriter import InsertPoint

from stepwell.dialects.array.base import (
    ArrayOp,
    ElementwiseOp,
    ReductionOp,
    ViewOp,
    element_of,
    is_float,
    is_narrow,
    numpy_dtype,
    shape_of,
)
from stepwell.dialects.array.composite import DropoutOp
from stepwell.dialects.array.contraction import DotGeneralOp
from stepwell.dialects.array.elementwise import (
    AddOp,
    BinaryElementwiseOp,
    DivideOp,
    MultiplyOp,
    NegativeOp,
    PowOp,
    SubtractOp,
)
from stepwell.dialects.array.logic import (
    BitwiseAndOp,
    BitwiseOrOp,
    BitwiseXorOp,
    CastOp,
    ConversionOp,
    LeftShiftOp,
    LogicalAndOp,
    LogicalNotOp,
    LogicalOrOp,
    LogicalXorOp,
    RightShiftOp,
    WhereOp,
)
from stepwell.dialects.array.reduction import AllOp, AnyOp, MaxOp, MinOp, SumOp
from stepwell.dialects.array.shape import (
    BroadcastOp,
    ConcatenateOp,
    ConstantOp,
    FlipOp,
    FullOp,
    PadOp,
    ReshapeOp,
    SliceOp,
    TransposeOp,
    number,
    values,
)
from stepwell.dialects.emit import Emitter

Op = TypeVar("Op", bound=Operation)
Rule = Callable[[Emitter, Any], SSAValue | None]


def splat(value: SSAValue) -> float | None:
    """The number that every element of the value is, if it is an `array.full`."""
    owner = value.owner
    return number(owner.value) if isinstance(owner, FullOp) else None


def producer(value: SSAValue, kind: type[Op]) -> Op | None:
    """The operation that computes the value, if it is of that kind."""
    owner = value.owner
    return owner if isinstance(owner, kind) else None


def full(emit: Emitter, value: float, like: SSAValue) -> SSAValue:
    return emit(FullOp(value, shape_of(like), element_of(like)))


# Every operation


def no_elements(emit: Emitter, op: ArrayOp) -> SSAValue | None:
    """f(x...) -> full, where the result has no elements."""
    if len(op.results) != 1 or 0 not in shape_of(op.results[0]) or isinstance(op, FullOp):
        return None
    return full(emit, 0, op.results[0])


# Elementwise


def elementwise_of_full(emit: Emitter, op: ElementwiseOp) -> SSAValue | None:
    """f(full a, full b) -> full f(a, b), where that is finite."""
    numbers = [splat(operand) for operand in op.operands]
    if any(value is None for value in numbers):
        return None
    arrays = [
        np.array(value, numpy_dtype(element_of(operand)))
        for value, operand in zip(numbers, op.operands, strict=True)
    ]
    (result,) = op.evaluate(*arrays)
    value = cast(float, result.item())
    return full(emit, value, op.results[0]) if math.isfinite(value) else None


NEUTRAL_RIGHT: dict[type[BinaryElementwiseOp], float] = {
    AddOp: 0,
    SubtractOp: 0,
    MultiplyOp: 1,
    DivideOp: 1,
    PowOp: 1,
    BitwiseOrOp: 0,
    BitwiseXorOp: 0,
    LeftShiftOp: 0,
    RightShiftOp: 0,
    LogicalAndOp: True,
    LogicalOrOp: False,
    LogicalXorOp: False,
}
"""f(x, n) = x."""

COMMUTATIVE = (
    AddOp,
    MultiplyOp,
    BitwiseOrOp,
    BitwiseXorOp,
    LogicalAndOp,
    LogicalOrOp,
    LogicalXorOp,
)

ABSORBING: dict[type[BinaryElementwiseOp], float] = {
    MultiplyOp: 0,
    BitwiseAndOp: 0,
    LogicalAndOp: False,
    LogicalOrOp: True,
}
"""f(x, n) = f(n, x) = n, except for floats."""


def binary_with_constant(emit: Emitter, op: BinaryElementwiseOp) -> SSAValue | None:
    """x + 0 -> x, x * 1 -> x, x and false -> false, ..."""
    kind = type(op)
    left, right = splat(op.lhs), splat(op.rhs)
    if left is None and right is None:
        return None
    neutral = NEUTRAL_RIGHT.get(kind)
    if neutral is not None:
        if right == neutral:
            return op.lhs
        if left == neutral and kind in COMMUTATIVE:
            return op.rhs
    absorbing = ABSORBING.get(kind)
    if absorbing is not None and absorbing in (left, right) and not is_float(element_of(op.lhs)):
        return full(emit, absorbing, op.result)
    return None


def involution(emit: Emitter, op: NegativeOp | LogicalNotOp) -> SSAValue | None:
    """-(-x) -> x and not (not x) -> x."""
    inner = producer(op.operand, type(op))
    return None if inner is None else inner.operand


def same_dtype(emit: Emitter, op: ConversionOp) -> SSAValue | None:
    """cast x -> x, where x has that dtype."""
    return op.operand if element_of(op.operand) == op.element else None


def cast_there_and_back(emit: Emitter, op: CastOp) -> SSAValue | None:
    """cast (cast x to t) to the dtype of x -> x, where t holds every x: f16 and integers of up to
    16 bits in f32, these in integers of 32, bool in any.
    """
    inner = producer(op.operand, CastOp)
    if inner is None or element_of(inner.operand) != op.element:
        return None
    small, large = (numpy_dtype(element) for element in (op.element, inner.element))
    lossless = (
        small == np.bool_
        or (small == np.float16 and large == np.float32)
        or (is_narrow(op.element) and large.itemsize == 4)
    )
    return inner.operand if lossless else None


def where_decided(emit: Emitter, op: WhereOp) -> SSAValue | None:
    """where(true, a, b) -> a, where(false, a, b) -> b, where(c, a, a) -> a."""
    condition, on_true, on_false = op.operands
    if on_true is on_false:
        return on_true
    decided = splat(condition)
    return None if decided is None else on_true if decided else on_false


# Views


def identity_view(emit: Emitter, op: ViewOp) -> SSAValue | None:
    """view x -> x, where every element stays where it is."""
    if op.operand.type != op.result.type:
        return None
    stays = all(
        size == 1 or source == AffineExpr.dimension(axis)
        for axis, (size, source) in enumerate(
            zip(shape_of(op.operand), op.source().results, strict=True)
        )
    )
    return op.operand if stays else None


def view_of_full(emit: Emitter, op: ViewOp) -> SSAValue | None:
    """view (full a) -> full a."""
    value = splat(op.operand)
    return None if value is None else full(emit, value, op.result)


def reshape_of_reshape(emit: Emitter, op: ReshapeOp) -> SSAValue | None:
    """reshape (reshape x) -> reshape x."""
    inner = producer(op.operand, ReshapeOp)
    return None if inner is None else emit(ReshapeOp(inner.operand, shape_of(op.result)))


def transpose_of_transpose(emit: Emitter, op: TransposeOp) -> SSAValue | None:
    """transpose (transpose x by p) by q -> transpose x by p[q]."""
    inner = producer(op.operand, TransposeOp)
    if inner is None:
        return None
    first = values(inner.permutation)
    return emit(TransposeOp(inner.operand, [first[axis] for axis in values(op.permutation)]))


def broadcast_of_broadcast(emit: Emitter, op: BroadcastOp) -> SSAValue | None:
    """broadcast (broadcast x) -> broadcast x."""
    inner = producer(op.operand, BroadcastOp)
    if inner is None:
        return None
    outer = values(op.dims)
    dims = [outer[axis] for axis in values(inner.dims)]
    return emit(BroadcastOp(inner.operand, shape_of(op.result), dims))


def broadcast_of_new_axes(emit: Emitter, op: BroadcastOp) -> SSAValue | None:
    """broadcast (reshape x) -> broadcast x, where the reshape only adds dimensions of size 1."""
    inner = producer(op.operand, ReshapeOp)
    if inner is None:
        return None
    old, new, dims = shape_of(inner.operand), shape_of(inner.result), values(op.dims)
    kept: list[int] = []
    for axis, size in enumerate(new):
        # A dimension of size 1 is matched with one of the old shape while that has one next.
        if len(kept) < len(old) and size == old[len(kept)]:
            kept.append(dims[axis])
        elif size != 1:
            return None
    if len(kept) != len(old):
        return None
    return emit(BroadcastOp(inner.operand, shape_of(op.result), kept))


def broadcast_without_repetition(emit: Emitter, op: BroadcastOp) -> SSAValue | None:
    """broadcast x -> reshape x, where nothing is repeated."""
    shape = shape_of(op.result)
    return emit(ReshapeOp(op.operand, shape)) if prod(shape) == prod(shape_of(op.operand)) else None


def slice_of_slice(emit: Emitter, op: SliceOp) -> SSAValue | None:
    """slice (slice x) -> slice x."""
    inner = producer(op.operand, SliceOp)
    if inner is None or 0 in shape_of(op.result):
        return None
    steps = values(inner.strides)

    def outside(positions: Sequence[int]) -> list[int]:
        return [
            start + position * step
            for start, position, step in zip(values(inner.starts), positions, steps, strict=True)
        ]

    strides = [a * b for a, b in zip(values(op.strides), steps, strict=True)]
    starts = outside(values(op.starts))
    limits = [
        start + (length - 1) * stride + 1
        for start, length, stride in zip(starts, shape_of(op.result), strides, strict=True)
    ]
    return emit(SliceOp(inner.operand, starts, limits, strides))


def flip_of_flip(emit: Emitter, op: FlipOp) -> SSAValue | None:
    """flip (flip x along a) along b -> flip x along the axes in one of both."""
    inner = producer(op.operand, FlipOp)
    if inner is None:
        return None
    return emit(FlipOp(inner.operand, sorted(set(values(op.axes)) ^ set(values(inner.axes)))))


# Putting together


def pad_nothing(emit: Emitter, op: PadOp) -> SSAValue | None:
    """pad x -> x without padding; pad (full a) with a -> full a."""
    if op.operand.type == op.result.type:
        return op.operand
    value = splat(op.operand)
    return full(emit, value, op.result) if value == number(op.value) and value is not None else None


def concatenate_pieces(emit: Emitter, op: ConcatenateOp) -> SSAValue | None:
    """concatenate x -> x; pieces without elements are left out; equal fulls become one.

    concatenate (concatenate x y) z -> concatenate x y z; concatenate x x -> x repeated, a view.
    """
    pieces = [piece for operand in op.operands for piece in _pieces(op, operand)]
    if len(pieces) == 1:
        return pieces[0]
    axis = int(number(op.axis))
    if len({*pieces}) == 1:
        shape = list(shape_of(pieces[0]))
        shape.insert(axis, len(pieces))
        kept = [dim for dim in range(len(shape)) if dim != axis]
        return emit(ReshapeOp(emit(BroadcastOp(pieces[0], shape, kept)), shape_of(op.result)))
    first = splat(pieces[0])
    if first is not None and all(splat(piece) == first for piece in pieces):
        return full(emit, first, op.result)
    if pieces == [*op.operands]:
        return None
    return emit(ConcatenateOp(pieces, axis))


def _pieces(op: ConcatenateOp, operand: SSAValue) -> Sequence[SSAValue]:
    """What an operand puts into a concatenation, less what has no elements."""
    inner = producer(operand, ConcatenateOp)
    if inner is not None and inner.axis == op.axis and operand.has_one_use():
        return inner.operands
    return [] if 0 in shape_of(operand) else [operand]


def splat_constant(emit: Emitter, op: ConstantOp) -> SSAValue | None:
    """constant dense<a> -> full a."""
    if not op.value.is_splat():
        return None
    return full(emit, cast(float, op.value.get_values()[0]), op.result)


# Reductions and contractions


def reduce_nothing(emit: Emitter, op: ReductionOp) -> SSAValue | None:
    """Over no axes -> x; over axes of size 1 -> reshape x; over an axis of size 0 -> identity."""
    axes = op.reduced()
    if not axes:
        return op.operand
    shape = shape_of(op.operand)
    if 0 in shape:
        return full(emit, op.identity(), op.result)
    if all(shape[axis] == 1 for axis in axes):
        return emit(ReshapeOp(op.operand, shape_of(op.result)))
    return None


def sum_of_full(emit: Emitter, op: SumOp) -> SSAValue | None:
    """sum (full a) -> full (a * count), where a float result is finite."""
    value = splat(op.operand)
    if value is None:
        return None
    total = value * prod(shape_of(op.operand)[axis] for axis in op.reduced())
    element = element_of(op.result)
    if is_float(element):
        with np.errstate(over="ignore"):
            total = float(np.array(total, numpy_dtype(element)))
        if not math.isfinite(total):
            return None
    return full(emit, total, op.result)


def choice_of_full(emit: Emitter, op: ReductionOp) -> SSAValue | None:
    """max (full a) -> full a, and so for min, any and all."""
    value = splat(op.operand)
    return None if value is None else full(emit, value, op.result)


def contract_nothing(emit: Emitter, op: DotGeneralOp) -> SSAValue | None:
    """dot_general over no elements -> full 0."""
    depth = prod(shape_of(op.lhs)[axis] for axis in values(op.lhs_contracting))
    return full(emit, 0, op.result) if depth == 0 else None


def keep_everything(emit: Emitter, op: DropoutOp) -> SSAValue | None:
    """dropout x at rate 0 -> x."""
    return op.operand if op.rate.value.data == 0 else None


RULES: dict[type[Operation], list[Rule]] = {
    ArrayOp: [no_elements],
    ElementwiseOp: [elementwise_of_full],
    BinaryElementwiseOp: [binary_with_constant],
    NegativeOp: [involution],
    LogicalNotOp: [involution],
    ConversionOp: [same_dtype],
    CastOp: [cast_there_and_back],
    WhereOp: [where_decided],
    ViewOp: [identity_view, view_of_full],
    ReshapeOp: [reshape_of_reshape],
    TransposeOp: [transpose_of_transpose],
    BroadcastOp: [broadcast_of_broadcast, broadcast_of_new_axes, broadcast_without_repetition],
    SliceOp: [slice_of_slice],
    FlipOp: [flip_of_flip],
    PadOp: [pad_nothing],
    ConcatenateOp: [concatenate_pieces],
    ConstantOp: [splat_constant],
    ReductionOp: [reduce_nothing],
    SumOp: [sum_of_full],
    MaxOp: [choice_of_full],
    MinOp: [choice_of_full],
    AnyOp: [choice_of_full],
    AllOp: [choice_of_full],
    DotGeneralOp: [contract_nothing],
    DropoutOp: [keep_everything],
}
"""The rules of each class; those of its base classes hold too and come first."""


class RewriterEmitter(Emitter):
    """An emitter whose operations the rewriter hears of, and visits."""

    def __init__(self, rewriter: PatternRewriter, op: Operation):
        assert op.parent is not None
        super().__init__(op.parent, before=op, location=op.location)
        self.anchor = op
        self.rewriter = rewriter

    def insert(self, op: Operation) -> Operation:
        op.location = self.location
        self.rewriter.insert(op, InsertPoint.before(self.anchor))
        return op


class SimplifyPattern(RewritePattern):
    """Replaces an operation by the answer of the first rule that has one."""

    def __init__(self, rules: Sequence[Rule]):
        self.rules = rules

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter, /) -> None:
        emit = RewriterEmitter(rewriter, op)
        for rule in self.rules:
            if (value := rule(emit, op)) is not None:
                rewriter.replace(op, [], [value])
                return


@cache
def rules_of(kind: type[Operation]) -> Sequence[Rule]:
    """The rules of a class of operations, in order."""
    return [rule for base in reversed(kind.__mro__) for rule in RULES.get(base, ())]


@cache
def patterns_of(kind: type[Operation]) -> tuple[RewritePattern, ...]:
    """The canonicalization patterns of a class of operations."""
    return (SimplifyPattern(rules_of(kind)),)
