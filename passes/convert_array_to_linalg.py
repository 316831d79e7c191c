"""`convert-array-to-linalg`: every `array` operation becomes one structured operation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, cast

from xdsl.context import Context
from xdsl.dialects import arith, func
from xdsl.dialects.builtin import (
    ArrayAttr,
    DenseIntOrFPElementsAttr,
    DictionaryAttr,
    FunctionType,
    ModuleOp,
    StringAttr,
    TensorType,
    f16,
    f32,
)
from xdsl.ir import Attribute, Block, Operation, SSAValue
from xdsl.passes import ModulePass

from stepwell.dialects.array.attention import AttendingOp
from stepwell.dialects.array.base import (
    ArrayOp,
    ElementwiseOp,
    IndexedOp,
    InsertionOp,
    ReductionOp,
    Tensor,
    ViewOp,
    dtype_name,
    is_unsigned,
    signless,
    tensor,
    type_of,
)
from stepwell.dialects.array.contraction import DotGeneralOp
from stepwell.dialects.array.differentiation import BarrierOp
from stepwell.dialects.array.shape import ConcatenateOp, ConstantOp, FullOp, number
from stepwell.dialects.build import clone, create
from stepwell.dialects.emit import Emitter
from stepwell.dialects.errors import UnsupportedError, where
from stepwell.passes.donation import DTYPE
from stepwell.passes.linalg_forms import (
    attention_form,
    concatenation_form,
    empty,
    fill,
    generic,
    identity,
    indices,
    insertion_form,
    map_form,
    projection,
    reduction_form,
    view_form,
)

Values = Sequence[SSAValue]


def _low(type_: Attribute) -> Attribute:
    """The type of a value below `array`: tensors of ui32 become tensors of i32, and so on."""
    if isinstance(type_, TensorType) and is_unsigned(type_.element_type):
        return TensorType(signless(type_.element_type), type_.shape, type_.encoding)
    return type_


def _result(op: ArrayOp) -> Tensor:
    result = _low(op.results[0].type)
    assert isinstance(result, TensorType)
    return result


def _elementwise(op: ElementwiseOp, emit: Emitter, operands: Values) -> SSAValue:
    return map_form(emit, operands, _result(op), lambda inner, args: op.scalar(inner, *args[:-1]))


def _view(op: ViewOp, emit: Emitter, operands: Values) -> SSAValue:
    return view_form(emit, operands[0], op.source(), _result(op))


def _indexed(op: IndexedOp, emit: Emitter, operands: Values) -> SSAValue:
    def body(inner: Emitter, _: Values) -> SSAValue:
        return op.point(inner, indices(inner, _result(op).get_num_dims()), operands)

    return map_form(emit, [], _result(op), body)


def _narrow(emit: Emitter, value: SSAValue, result: Tensor) -> SSAValue:
    """The f32 accumulator rounded to the f16 result."""
    return map_form(emit, [value], result, lambda inner, args: inner(arith.TruncFOp(args[0], f16)))


def _widen(emit: Emitter, value: SSAValue, type_: Attribute) -> SSAValue:
    return value if value.type == type_ else emit(arith.ExtFOp(value, f32))


def _accumulator(result: Tensor, widens: bool) -> Tensor:
    return tensor(result.get_shape(), f32) if widens and result.element_type == f16 else result


def _reduction(op: ReductionOp, emit: Emitter, operands: Values) -> SSAValue:
    (operand,) = operands
    result, axes = _result(op), op.reduced()
    accumulator = _accumulator(result, op.WIDENS)
    rank = type_of(operand).get_num_dims()
    kept = [axis for axis in range(rank) if axis not in axes]
    loops = [*kept, *axes]
    source = projection(rank, [loops.index(axis) for axis in range(rank)])

    def body(inner: Emitter, arguments: Values) -> SSAValue:
        element, partial = arguments
        return op.combine(inner, partial, _widen(inner, element, partial.type))

    total = reduction_form(emit, [operand], [source], len(axes), op.identity(), accumulator, body)
    return total if accumulator == result else _narrow(emit, total, result)


def _dot_general(op: DotGeneralOp, emit: Emitter, operands: Values) -> SSAValue:
    result = _result(op)
    accumulator = _accumulator(result, True)
    (lb, lf, lc), (rb, rf, rc) = op.dimensions()
    loops = len(lb) + len(lf) + len(rf) + len(lc)
    depth = range(loops - len(lc), loops)
    batch = range(len(lb))
    rows = range(len(lb), len(lb) + len(lf))
    columns = range(len(lb) + len(lf), loops - len(lc))

    def source(axes: list[int], dims: list[int]) -> Any:
        position = dict(zip(axes, dims, strict=True))
        return projection(loops, [position[axis] for axis in range(len(axes))])

    maps = [
        source(lb + lf + lc, [*batch, *rows, *depth]),
        source(rb + rf + rc, [*batch, *columns, *depth]),
    ]
    floating = accumulator.element_type in (f16, f32)
    multiply, add = (arith.MulfOp, arith.AddfOp) if floating else (arith.MuliOp, arith.AddiOp)

    def product(inner: Emitter, arguments: Values) -> SSAValue:
        lhs, rhs, partial = arguments
        lhs, rhs = (_widen(inner, value, partial.type) for value in (lhs, rhs))
        return inner(create(multiply, [lhs, rhs], [lhs.type]))

    def body(inner: Emitter, arguments: Values) -> SSAValue:
        partial = arguments[2]
        return inner(create(add, [partial, product(inner, arguments)], [partial.type]))

    if not lc:
        maps.append(identity(loops))
        total = generic(emit, operands, empty(emit, accumulator), maps, 0, product)
        return total if accumulator == result else _narrow(emit, total, result)
    total = reduction_form(emit, operands, maps, len(lc), 0, accumulator, body)
    return total if accumulator == result else _narrow(emit, total, result)


def _full(op: FullOp, emit: Emitter, operands: Values) -> SSAValue:
    return fill(emit, number(op.value), _result(op))


def _constant(op: ConstantOp, emit: Emitter, operands: Values) -> SSAValue:
    result = _result(op)
    if 0 in result.get_shape():
        return fill(emit, 0, result)
    value = cast("DenseIntOrFPElementsAttr[Any]", op.value)
    if value.is_splat():
        return fill(emit, value.get_values()[0], result)
    return emit(arith.ConstantOp(DenseIntOrFPElementsAttr(cast(Any, result), value.data)))


Form = Callable[[Any, Emitter, Values], SSAValue]

_FORMS: dict[type[ArrayOp], Form] = {
    ElementwiseOp: _elementwise,
    ViewOp: _view,
    ConcatenateOp: concatenation_form,
    IndexedOp: _indexed,
    InsertionOp: insertion_form,
    ReductionOp: _reduction,
    DotGeneralOp: _dot_general,
    FullOp: _full,
    ConstantOp: _constant,
}


@cache
def _form(type_: type[Operation]) -> Form | None:
    """How operations of that class are written in linalg."""
    return next((form for base, form in _FORMS.items() if issubclass(type_, base)), None)


def _lower(op: Operation, values: dict[SSAValue, SSAValue], block: Block) -> None:
    """Appends the low form of `op` to `block` and records the values of its results."""
    emit = Emitter(block, location=op.location)
    operands = [values[operand] for operand in op.operands]
    if isinstance(op, AttendingOp):
        results: Values = attention_form(op, emit, operands)
    elif isinstance(op, BarrierOp):
        results = operands
    elif form := _form(type(op)):
        results = [form(op, emit, operands)]
    elif op.name.startswith("array."):
        raise UnsupportedError(
            f"{where(op.location)}{op.name} has no linalg form; "
            "run differentiate, inline-branches, outline-scans and decompose-composites first"
        )
    elif op.regions:
        results = emit.all(clone(op, values))
    else:
        results = emit.all(
            type(op).create(
                operands=operands,
                result_types=[_low(result.type) for result in op.results],
                properties=op.properties,
                attributes=op.attributes,
                successors=op.successors,
            )
        )
    for old, new in zip(op.results, results, strict=True):
        new.name_hint = old.name_hint or new.name_hint
        values[old] = new


def _dtype_attributes(
    types: Sequence[Attribute], attributes: ArrayAttr[DictionaryAttr] | None
) -> ArrayAttr[DictionaryAttr] | None:
    """The attributes of arguments or results, which keep the dtype that their types lose."""
    if all(type_ == _low(type_) for type_ in types):
        return attributes
    old = attributes.data if attributes is not None else [DictionaryAttr({})] * len(types)
    return ArrayAttr(
        DictionaryAttr({**entry.data, **_dtype_attribute(type_)})
        for type_, entry in zip(types, old, strict=True)
    )


def _dtype_attribute(type_: Attribute) -> dict[str, Attribute]:
    if not isinstance(type_, TensorType) or type_ == _low(type_):
        return {}
    return {DTYPE: StringAttr(dtype_name(type_.element_type))}


def _convert(function: func.FuncOp) -> None:
    inputs, outputs = function.function_type.inputs, function.function_type.outputs
    old = function.body.block
    new = Block(arg_types=[_low(type_) for type_ in inputs])
    values: dict[SSAValue, SSAValue] = {}
    for before, after in zip(old.args, new.args, strict=True):
        after.name_hint = before.name_hint
        values[before] = after
    for op in old.ops:
        _lower(op, values, new)
    function.body.detach_block(old)
    function.body.add_block(new)
    function.function_type = FunctionType.from_lists(
        [_low(type_) for type_ in inputs], [_low(type_) for type_ in outputs]
    )
    function.arg_attrs = _dtype_attributes(inputs.data, function.arg_attrs)
    function.res_attrs = _dtype_attributes(outputs.data, function.res_attrs)


class ConvertArrayToLinalgPass(ModulePass):
    """Turns every `array` operation into one structured operation on tensors.

    Elementwise, view, reduction, contraction and indexed operations each have one form of
    `linalg.generic` (see `linalg_forms`); constants are `linalg.fill` or `arith.constant`.
    Unsigned tensors become signless, with the sign in the scalar operations; a function keeps
    `stepwell.dtype = "u32"` on such arguments and results. f16 is accumulated in f32. Barriers go.

    Before:
    ```mlir
    %s = array.sum %x axes array<i64: 1> : (tensor<4x8xf32>) -> tensor<4xf32>
    ```
    After:
    ```mlir
    %zero = arith.constant 0.0 : f32
    %e = tensor.empty() : tensor<4xf32>
    %init = linalg.fill ins(%zero : f32) outs(%e : tensor<4xf32>) -> tensor<4xf32>
    %s = linalg.generic {
        indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0)>],
        iterator_types = ["parallel", "reduction"]}
        ins(%x : tensor<4x8xf32>) outs(%init : tensor<4xf32>) {
    ^0(%element : f32, %partial : f32):
      %sum = arith.addf %partial, %element : f32
      linalg.yield %sum : f32
    } -> tensor<4xf32>
    ```
    """

    name = "convert-array-to-linalg"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for function in [found for found in op.ops if isinstance(found, func.FuncOp)]:
            if function.body.blocks:
                _convert(function)
