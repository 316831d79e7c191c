"""What other compilers' `tensor` operations are in the forms of the stage `linalg`.

Slices and reshapes are views; a pad is a map that looks whether it is inside; the parts of a
concatenation are written over windows of one tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from xdsl.dialects import arith, tensor
from xdsl.dialects.builtin import TensorType
from xdsl.ir import Operation, SSAValue
from xdsl.rewriter import Rewriter

from stepwell.dialects.array import shape
from stepwell.dialects.array.base import ArrayOp, ViewOp, shape_of, type_of
from stepwell.dialects.emit import Emitter
from stepwell.dialects.errors import ShapeError, UnsupportedError, where
from stepwell.passes.linalg_forms import concatenation_form, fill, indices, map_form, view_form


def refusal(op: Operation, reason: str) -> UnsupportedError:
    """That this operation is not supported, and why."""
    return UnsupportedError(f"{where(op.location)}{op.name}: {reason}")


def take_form(op: Operation) -> bool:
    """Replaces an operation of `tensor` that has another form; whether it has one.

    Raises: UnsupportedError for computed sizes, offsets and paddings.
    """
    lower = _FORMS.get(type(op))
    if lower is None:
        return False
    for value in (*op.operands, *op.results):
        if not isinstance(value.type, TensorType) or not value.type.has_static_shape():
            raise refusal(op, "offsets, sizes, strides and shapes are static")
    block = op.parent_block()
    assert block is not None
    try:
        result = lower(op, Emitter(block, before=op, location=op.location))
    except ShapeError as error:
        raise refusal(op, str(error)) from None
    if result.type != op.results[0].type:
        raise refusal(op, f"it gives {result.type}, not {op.results[0].type}")
    Rewriter.replace_op(op, [], [result])
    return True


def _as_array(op: ArrayOp, lower: Callable[[], SSAValue]) -> SSAValue:
    """What an operation of `array` that stands nowhere is lowered to."""
    try:
        return lower()
    finally:
        op.erase()


def _view(op: ViewOp, emit: Emitter) -> SSAValue:
    result = type_of(op.results[0])
    return _as_array(op, lambda: view_form(emit, op.operands[0], op.source(), result))


def reshaped(value: SSAValue, sizes: Sequence[int], emit: Emitter) -> SSAValue:
    """The same elements under another shape."""
    return value if shape_of(value) == tuple(sizes) else _view(shape.ReshapeOp(value, sizes), emit)


def _slice(op: tensor.ExtractSliceOp, emit: Emitter) -> SSAValue:
    starts, sizes = op.static_offsets.get_values(), op.static_sizes.get_values()
    strides = op.static_strides.get_values()
    limits = [
        start + max(size - 1, 0) * stride + (size > 0)
        for start, size, stride in zip(starts, sizes, strides, strict=True)
    ]
    part = _view(shape.SliceOp(op.source, starts, limits, strides), emit)
    # Dimensions of one element may be left out.
    return reshaped(part, shape_of(op.result), emit)


def _reshape(op: tensor.CollapseShapeOp | tensor.ExpandShapeOp, emit: Emitter) -> SSAValue:
    return reshaped(op.src, shape_of(op.result), emit)


def _pad(op: tensor.PadOp, emit: Emitter) -> SSAValue:
    value = cast(tensor.YieldOp, op.region.block.last_op).operands[0].owner
    if not isinstance(value, arith.ConstantOp):
        raise refusal(op, "what it pads with is an arith.constant")
    number: Any = value.value
    if 0 in shape_of(op.source):
        return fill(emit, shape.number(number), type_of(op.result))
    low, high = op.static_low.get_values(), op.static_high.get_values()
    padded = shape.PadOp(op.source, low, high, shape.number(number))
    result = type_of(padded.result)

    def body(inner: Emitter, _: Sequence[SSAValue]) -> SSAValue:
        return padded.point(inner, indices(inner, result.get_num_dims()), [op.source])

    return _as_array(padded, lambda: map_form(emit, [], result, body))


def _concatenation(op: tensor.ConcatOp, emit: Emitter) -> SSAValue:
    whole = shape.ConcatenateOp(op.inputs, op.dim.value.data)
    return _as_array(whole, lambda: concatenation_form(whole, emit, op.inputs))


_FORMS: dict[type[Operation], Callable[[Any, Emitter], SSAValue]] = {
    tensor.ExtractSliceOp: _slice,
    tensor.CollapseShapeOp: _reshape,
    tensor.ExpandShapeOp: _reshape,
    tensor.PadOp: _pad,
    tensor.ConcatOp: _concatenation,
}
