"""The forms that `linalg.generic` takes at the stage `linalg`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

from xdsl.dialects import arith, tensor
from xdsl.dialects.builtin import (
    AffineMapAttr,
    ArrayAttr,
    DenseArrayBase,
    TensorType,
    i32,
)
from xdsl.dialects.linalg.attrs import IteratorTypeAttr
from xdsl.dialects.linalg.ops import FillOp, GenericOp, IndexOp, YieldOp
from xdsl.ir import Block, Region, SSAValue
from xdsl.ir.affine import AffineDimExpr, AffineExpr, AffineMap

from stepwell.dialects import linalg_ext
from stepwell.dialects.array import attention
from stepwell.dialects.array.base import InsertionOp, Tensor, is_unsigned, shape_of, type_of
from stepwell.dialects.array.shape import ConcatenateOp, number
from stepwell.dialects.build import append, create
from stepwell.dialects.emit import Emitter

Body = Callable[[Emitter, Sequence[SSAValue]], SSAValue]
"""Emits a body, given its arguments (the inputs, then the output), and returns what it yields."""

_PARALLEL = IteratorTypeAttr.parallel()
_REDUCTION = IteratorTypeAttr.reduction()


@cache
def identity(rank: int) -> AffineMapAttr:
    """(d0, ..., dn) -> (d0, ..., dn)."""
    return AffineMapAttr(AffineMap.identity(rank))


def projection(rank: int, dims: Sequence[int]) -> AffineMapAttr:
    """(d0, ..., dn) -> the dimensions `dims`, in that order."""
    return AffineMapAttr(AffineMap(rank, 0, tuple(AffineExpr.dimension(dim) for dim in dims)))


@cache
def _iterators(parallel: int, reduction: int) -> ArrayAttr[IteratorTypeAttr]:
    return ArrayAttr([_PARALLEL] * parallel + [_REDUCTION] * reduction)


@cache
def _segments(inputs: int, outputs: int) -> DenseArrayBase:
    return DenseArrayBase.from_list(i32, [inputs, outputs])


def empty(emit: Emitter, type_: Tensor) -> SSAValue:
    """A tensor whose elements mean nothing yet."""
    return emit(create(tensor.EmptyOp, (), [type_]))


def fill(emit: Emitter, value: float, type_: Tensor) -> SSAValue:
    """A tensor of equal elements; unlike a splat constant it takes no memory while compiling."""
    element = type_.element_type
    scalar = emit.constant(value, element)
    block = Block(arg_types=(element, element))
    append(block, create(YieldOp, [block.args[0]]))
    return emit(
        create(
            FillOp,
            [scalar, empty(emit, type_)],
            [type_],
            {"operandSegmentSizes": _segments(1, 1)},
            regions=[Region(block)],
        )
    )


def generic(
    emit: Emitter,
    inputs: Sequence[SSAValue],
    output: SSAValue,
    maps: Sequence[AffineMapAttr],
    reductions: int,
    body: Body,
) -> SSAValue:
    """A `linalg.generic` with one result, whose last `reductions` loops are reductions."""
    operands = [*inputs, output]
    block = Block(arg_types=[type_of(operand).element_type for operand in operands])
    inner = Emitter(block, location=emit.location)
    result = body(inner, block.args)
    inner.insert(create(YieldOp, [result]))
    return emit(
        create(
            GenericOp,
            operands,
            [output.type],
            {
                "indexing_maps": ArrayAttr(maps),
                "iterator_types": _iterators(maps[0].data.num_dims - reductions, reductions),
                "operandSegmentSizes": _segments(len(inputs), 1),
            },
            regions=[Region(block)],
        )
    )


def map_form(emit: Emitter, inputs: Sequence[SSAValue], type_: Tensor, body: Body) -> SSAValue:
    """result[i] = body(inputs[i]...)."""
    maps = [identity(type_.get_num_dims())] * (len(inputs) + 1)
    return generic(emit, inputs, empty(emit, type_), maps, 0, body)


def indices(emit: Emitter, rank: int) -> list[SSAValue]:
    """The loop indices inside a body."""
    return [emit(IndexOp(dim)) for dim in range(rank)]


def view_form(emit: Emitter, operand: SSAValue, source: AffineMap, type_: Tensor) -> SSAValue:
    """result[i] = operand[source(i)]."""
    maps = [AffineMapAttr(_within(source, type_of(operand), type_)), identity(source.num_dims)]
    return generic(emit, [operand], empty(emit, type_), maps, 0, lambda _, arguments: arguments[0])


def _within(source: AffineMap, operand: Tensor, result: Tensor) -> AffineMap:
    """`source`, where a loop that runs over part of a dimension only is written `d mod size`.

    A bare `d` claims the whole dimension: `linalg.generic` verifies that the sizes agree.
    """
    extents = result.get_shape()
    exprs = [
        expr % size if isinstance(expr, AffineDimExpr) and extents[expr.position] != size else expr
        for expr, size in zip(source.results, operand.get_shape(), strict=True)
    ]
    return AffineMap(source.num_dims, 0, tuple(exprs))


def reduction_form(
    emit: Emitter,
    inputs: Sequence[SSAValue],
    maps: Sequence[AffineMapAttr],
    reductions: int,
    identity_value: float,
    type_: Tensor,
    body: Body,
) -> SSAValue:
    """result[p] = combine over r of f(inputs[maps(p, r)]...), beginning with the identity."""
    start = fill(emit, identity_value, type_)
    rank = type_.get_num_dims()
    output = projection(rank + reductions, range(rank))
    return generic(emit, inputs, start, [*maps, output], reductions, body)


def attention_form(
    op: attention.AttendingOp, emit: Emitter, operands: Sequence[SSAValue]
) -> Sequence[SSAValue]:
    """Attention, or its gradients: one operation for that of the query, one for those of key and
    value."""
    types, given = [result.type for result in op.results], (op.scale, op.bounds, op.softcap)
    if not isinstance(op, attention.AttentionGradientOp):
        return emit.all(linalg_ext.AttentionOp(operands, types, *given))
    dquery = emit(linalg_ext.AttentionQueryGradientOp(operands, types[:1], *given))
    dkey, dvalue = emit.all(linalg_ext.AttentionKeyGradientOp(operands, types[1:], *given))
    return dquery, dkey, dvalue


def insertion_form(op: InsertionOp, emit: Emitter, operands: Sequence[SSAValue]) -> SSAValue:
    """The first operand with the second one written over a window of it."""
    destination, update = operands[:2]
    window = type_of(update).get_shape()
    if window == type_of(destination).get_shape():
        return update
    if 0 in window:
        return destination
    offsets, starts = op.window()
    lowered = dict(zip(op.operands, operands, strict=True))
    signed = [_signed(emit, start, lowered[start]) for start in starts]
    return emit(linalg_ext.InsertSliceOp(update, destination, offsets, signed))


def _signed(emit: Emitter, position: SSAValue, lowered: SSAValue) -> SSAValue:
    """A position, or the largest signed one if it is beyond that."""
    if not is_unsigned(type_of(position).element_type):
        return lowered

    def body(inner: Emitter, arguments: Sequence[SSAValue]) -> SSAValue:
        largest = inner.constant((1 << 31) - 1, arguments[0].type)
        return inner(arith.MinUIOp(arguments[0], largest))

    return map_form(emit, [lowered], type_of(lowered), body)


def concatenation_form(op: ConcatenateOp, emit: Emitter, operands: Sequence[SSAValue]) -> SSAValue:
    """Every operand in its window of one tensor."""
    axis, shape = int(number(op.axis)), shape_of(op.result)
    result = empty(emit, TensorType(type_of(operands[0]).element_type, shape))
    offsets = [0] * len(shape)
    for operand in operands:
        sizes = shape_of(operand)
        if 0 not in sizes:
            insert = tensor.InsertSliceOp.from_static_parameters(operand, result, offsets, sizes)
            result = emit(insert)
        offsets[axis] += sizes[axis]
    return result
