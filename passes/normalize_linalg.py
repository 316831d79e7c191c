"""`normalize-linalg`: `linalg` of other compilers takes the forms of the stage `linalg`."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from xdsl.context import Context
from xdsl.dialects import arith, tensor
from xdsl.dialects.builtin import (
    AffineMapAttr,
    ArrayAttr,
    DenseArrayBase,
    ModuleOp,
    TensorType,
    i32,
)
from xdsl.dialects.linalg.ops import FillOp, GenericOp, IndexOp
from xdsl.ir import Block, Operation, SSAValue
from xdsl.ir.affine import AffineDimExpr, AffineExpr, AffineMap
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter

from stepwell.dialects.array.base import is_narrow
from stepwell.dialects.build import clone
from stepwell.dialects.emit import Emitter, scalar_attr
from stepwell.dialects.linalg_ext import InsertSliceOp
from stepwell.passes import structured
from stepwell.passes.donation import host_functions
from stepwell.passes.linalg_forms import fill, map_form
from stepwell.passes.parts import copied
from stepwell.passes.tensor_forms import refusal, reshaped, take_form

_COMBINERS = (
    *(arith.AddfOp, arith.MulfOp, arith.MaximumfOp, arith.MinimumfOp, arith.AddiOp, arith.MuliOp),
    *(arith.MaxSIOp, arith.MinSIOp, arith.MaxUIOp, arith.MinUIOp, arith.AndIOp, arith.OrIOp),
)
"""Associative and commutative: a schedule may join partial results in any order."""


class NormalizeLinalgPass(ModulePass):
    """Orders loops by the result, moves constants into bodies, makes initial values inputs.

    A reduction starts from the neutral element of what it combines by; another start is combined
    with its result. Slices, reshapes, paddings and concatenations of `tensor` are generics and
    insertions, `tensor.insert_slice` is `linalg_ext.insert_slice`.

    What no schedule can do is refused here, with the location of the operation.

    Before:
    ```mlir
    %two = arith.constant 2.0 : f32
    %y = linalg.generic {indexing_maps = [(i, j) -> (i, j), (i, j) -> (j, i)]}
        ins(%x : tensor<4x8xf32>) outs(%init : tensor<8x4xf32>) {
    ^bb0(%a: f32, %before: f32):
      %0 = arith.mulf %a, %two : f32
      %1 = arith.addf %0, %before : f32
      linalg.yield %1 : f32
    }
    ```
    After:
    ```mlir
    %empty = tensor.empty() : tensor<8x4xf32>
    %y = linalg.generic {indexing_maps = [(j, i) -> (i, j), (j, i) -> (j, i), (j, i) -> (j, i)]}
        ins(%x, %init : tensor<4x8xf32>, tensor<8x4xf32>) outs(%empty : tensor<8x4xf32>) {
    ^bb0(%a: f32, %before: f32, %out: f32):
      %two = arith.constant 2.0 : f32
      %0 = arith.mulf %a, %two : f32
      %1 = arith.addf %0, %before : f32
      linalg.yield %1 : f32
    }
    ```
    """

    name = "normalize-linalg"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for function in host_functions(op):
            for inner in list(function.body.block.ops):
                take_form(inner)
            for inner in list(function.body.block.ops):
                if isinstance(inner, tensor.InsertSliceOp):
                    _clamp(inner)
                elif inner.dialect_name() == "linalg" and not isinstance(inner, FillOp):
                    _normalize(inner)


def _normalize(op: Operation) -> None:
    if not isinstance(op, GenericOp):
        raise refusal(op, "write it as linalg.generic (linalg-generalize-named-ops does)")
    if len(op.results) != 1 or not op.results:
        raise refusal(op, f"it has {len(op.results)} results; one operation for each is supported")
    for value in op.operands:
        if not isinstance(value.type, TensorType) or not value.type.has_static_shape():
            raise refusal(op, f"operand type {value.type} is no static tensor")
    _order_loops(op)
    _sink_constants(op)
    _check_narrow(op)
    if any(structured.reduction_flags(op)):
        _check_reduction(op)
        _start_neutral(op)
    elif op.body.block.args[-1].first_use is not None:
        _read_initial_value(op)


def _clamp(op: tensor.InsertSliceOp) -> None:
    """Ours clamps positions that are computed; those of MLIR's are in range, and here static."""
    if op.offsets or op.sizes or op.strides or {*op.static_strides.get_values()} - {1}:
        raise refusal(op, "offsets and sizes are static and strides are 1")
    offsets, sizes = op.static_offsets.get_values(), op.static_sizes.get_values()
    if prod(sizes) != prod(structured.shape_of(op.source)):
        raise refusal(op, f"its window {list(sizes)} has not the elements of {op.source.type}")
    if 0 in sizes:
        Rewriter.replace_op(op, [], [op.dest])
        return
    block = op.parent_block()
    assert block is not None
    source = reshaped(op.source, sizes, Emitter(block, before=op, location=op.location))
    insertion = InsertSliceOp(source, op.dest, offsets)
    insertion.location = op.location
    Rewriter.replace_op(op, insertion)


def _order_loops(op: GenericOp) -> None:
    """The loops of the result first, in the order of its dimensions, then the reductions."""
    flags, result = structured.reduction_flags(op), structured.output_map(op).results
    parallel = [expr.position for expr in result if isinstance(expr, AffineDimExpr)]
    if len(parallel) < len(result) or sorted(parallel) != [i for i, f in enumerate(flags) if not f]:
        raise refusal(op, "its output map does not give every parallel loop one dimension")
    order = [*parallel, *(loop for loop, reduced in enumerate(flags) if reduced)]
    if order == sorted(order):
        return
    new = {loop: position for position, loop in enumerate(order)}
    renamed = [AffineExpr.dimension(new[loop]) for loop in range(len(order))]
    op.properties["indexing_maps"] = ArrayAttr(
        AffineMapAttr(
            AffineMap(
                len(order),
                0,
                tuple(e.replace_dims_and_symbols(renamed, ()) for e in map.data.results),
            )
        )
        for map in op.indexing_maps
    )
    op.properties["iterator_types"] = ArrayAttr(op.iterator_types.data[loop] for loop in order)
    for inner in op.body.block.ops:
        if isinstance(inner, IndexOp):
            inner.properties["dim"] = IndexOp(new[inner.dim.value.data]).dim


def _sink_constants(op: GenericOp) -> None:
    """Copies the scalar constants that the body uses from outside into it."""
    block = op.body.block
    copies: dict[SSAValue, SSAValue] = {}
    for inner in list(block.ops):
        for index, value in enumerate(inner.operands):
            if isinstance(value.type, TensorType) or _block_of(value) is block:
                continue
            if value not in copies:
                if not isinstance(value.owner, arith.ConstantOp):
                    raise refusal(op, "its body uses a scalar from outside; make it an input")
                copy = clone(value.owner, {})
                assert block.first_op is not None
                block.insert_op_before(copy, block.first_op)
                copies[value] = copy.result
            inner.operands[index] = copies[value]


_MOVING = (
    *(arith.ConstantOp, arith.SelectOp, tensor.ExtractOp),
    *(arith.ExtSIOp, arith.ExtUIOp, arith.TruncIOp),
)
"""What may give a narrow integer: it is stored in 16 bits or less and computed in 32."""


def _check_narrow(op: GenericOp) -> None:
    for inner in op.body.block.ops:
        if isinstance(inner, _MOVING) or not inner.results:
            continue
        if is_narrow(type_ := inner.results[0].type):
            raise refusal(op, f"{inner.name} computes in {type_}; compute in i32 and truncate")


def _check_reduction(op: GenericOp) -> None:
    fill = op.outputs[0].owner
    if not isinstance(fill, FillOp) or not isinstance(fill.inputs[0].owner, arith.ConstantOp):
        raise refusal(op, "a reduction starts from a linalg.fill with a constant")
    (result,) = structured.terminator(op).operands
    accumulator = op.body.block.args[-1]
    combine = result.owner
    if not isinstance(combine, _COMBINERS):
        raise refusal(op, f"a reduction ends in one of {_combiner_names()}")
    if list(combine.operands).count(accumulator) != 1 or not accumulator.has_one_use():
        raise refusal(op, f"{combine.name} does not join the accumulator to another value")


def _start_neutral(op: GenericOp) -> None:
    """What a reduction starts from is combined with its result: a schedule starts many times."""
    combine, block, type_ = structured.combiner(op), op.parent_block(), op.results[0].type
    start, neutral = structured.start(op), structured.neutral(combine)
    if scalar_attr(start.value.data, start.type).value.data == neutral.value.data:
        return
    assert block is not None and isinstance(type_, TensorType)
    emit = Emitter(block, before=op, location=op.location)
    op.operands[len(op.inputs)] = fill(emit, neutral.value.data, type_)
    emit.before = op.next_op

    def body(inner: Emitter, values: Sequence[SSAValue]) -> SSAValue:
        return inner(copied(combine, [inner.constant(start.value.data, start.type), values[0]]))

    whole = map_form(emit, op.results, type_, body)
    op.results[0].replace_uses_with_if(whole, lambda use: use.operation is not whole.owner)


def _combiner_names() -> str:
    return ", ".join(cls.name for cls in _COMBINERS)


def _read_initial_value(op: GenericOp) -> None:
    """What the body reads of the output becomes an input."""
    block, output = op.body.block, op.outputs[0]
    before = block.args[-1]
    block.insert_arg(before.type, len(block.args))
    outer = op.parent_block()
    assert outer is not None
    empty = tensor.EmptyOp([], output.type)
    outer.insert_op_before(empty, op)
    op.properties["indexing_maps"] = ArrayAttr([*op.indexing_maps, op.indexing_maps.data[-1]])
    op.properties["operandSegmentSizes"] = DenseArrayBase.from_list(i32, [len(op.inputs) + 1, 1])
    op.operands = [*op.operands, empty.tensor]


def _block_of(value: SSAValue) -> Block | None:
    return value.owner if isinstance(value.owner, Block) else value.owner.parent_block()
