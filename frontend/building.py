"""What the bodies of operations are written with: lifting, casting and broadcasting operands."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from xdsl.ir import Operation

from stepwell.dialects.array.base import DTYPES, ElementwiseOp, whole
from stepwell.dialects.array.logic import CastOp
from stepwell.dialects.array.shape import BroadcastOp, ConstantOp, FullOp, ReshapeOp
from stepwell.dialects.errors import DTypeError, ShapeError
from stepwell.frontend import tracing
from stepwell.frontend.array import Array, ArrayLike, Axes, NumPyArray, Shape
from stepwell.frontend.dtypes import (
    DType,
    Scalar,
    bool_,
    dtype_of,
    int32,
    result_type,
    scalar_dtype,
    to_numpy,
)
from stepwell.frontend.tracing import CONSTANT_LIMIT, Captured, Trace, Tracer


def trace() -> Trace:
    """The trace being recorded. Bodies of operations always have one."""
    found = tracing.current()
    assert found is not None, "operations are recorded inside a trace"
    return found


def emit(op: Operation, weak: bool = False) -> Tracer:
    return trace().emit(op, weak)


def type_and_weakness(x: ArrayLike) -> tuple[DType, bool]:
    """The dtype of an operand, and whether it is weak."""
    if isinstance(x, Tracer):
        return x.dtype, x.weak
    if isinstance(x, Array):
        return x.dtype, False
    if isinstance(x, bool | int | float) and not isinstance(x, np.generic):
        return scalar_dtype(x), True
    return dtype_of(_checked_array(x).dtype), False


def shape_of(x: ArrayLike) -> Shape:
    return x.shape if isinstance(x, Array) else np.shape(x)


def lift(x: ArrayLike, dtype: DType | None = None, shape: Shape | None = None) -> Tracer:
    """An operand as a traced value, cast to `dtype` and broadcast to `shape` if they are given."""
    if isinstance(x, bool | int | float) and not isinstance(x, np.generic):
        return _full(x, dtype or scalar_dtype(x), shape or (), weak=dtype is None)
    tracer = _lift_array(x)
    if dtype is not None:
        tracer = cast_to(tracer, dtype)
    return tracer if shape is None else broadcast(tracer, shape)


def _full(value: Scalar, dtype: DType, shape: Shape, weak: bool) -> Tracer:
    _check_sizes(shape)
    return emit(FullOp(scalar_in(value, dtype), shape, DTYPES[dtype.name]), weak)


def _check_sizes(shape: Shape) -> None:
    if any(whole(size) < 0 for size in shape):
        raise ShapeError(f"a shape of {list(shape)}: sizes are 0 or more")


def scalar_in(value: Scalar, dtype: DType) -> Scalar:
    """The number as an element of the dtype: floats beyond its range are infinite.

    Raises: DTypeError for a number that no integer of the dtype is.
    """
    if dtype.kind == "bool":
        return bool(value)
    if dtype.kind == "int":
        least, most = dtype.limits
        if not least <= value <= most:
            raise DTypeError(f"{value} does not fit {dtype} (from {least} to {most})")
        return value
    with np.errstate(over="ignore"):
        return float(dtype.numpy.type(value))


def _lift_array(x: ArrayLike) -> Tracer:
    if isinstance(x, Tracer):
        return trace().own(x)
    if not isinstance(x, Array):
        values = _checked_array(x)
        x = Array(to_numpy(values), dtype_of(values.dtype))
    small = x.size <= CONSTANT_LIMIT and not x.varies and isinstance(x.data, np.ndarray)
    if small:
        constant = ConstantOp(x.numpy(), DTYPES[(int32 if x.dtype.is_narrow else x.dtype).name])
        return cast_to(emit(constant), x.dtype)
    return Tracer(trace(), trace().capture(x, lambda: _capture(x)))


def _checked_array(x: ArrayLike) -> NumPyArray:
    """An operand of no class of ours, as NumPy's. Raises: DTypeError for what has no numbers."""
    array = np.asarray(x)
    if array.dtype.kind in "OSU":
        raise DTypeError(f"a {type(x).__name__} is no operand: pass arrays or numbers")
    return array


def _capture(array: Array) -> tuple[Tracer, Captured]:
    name = array.name or f"captured.{len(trace().captured)}"
    return trace().argument(array.shape, array.dtype, name), Captured(name, lambda: array)


def cast_to(x: Tracer, dtype: DType) -> Tracer:
    """`x` in another dtype."""
    return x if x.dtype is dtype else emit(CastOp(x.value, DTYPES[dtype.name]))


def broadcast(x: Tracer, shape: Shape) -> Tracer:
    """`x` stretched to `shape` by NumPy's rule."""
    if x.shape == shape:
        return x
    _check_sizes(shape)
    offset = len(shape) - x.ndim
    if offset < 0 or any(
        mine not in (1, size) for mine, size in zip(x.shape, shape[offset:], strict=True)
    ):
        raise ShapeError(f"shape {list(x.shape)} does not broadcast to {list(shape)}")
    op = BroadcastOp(x.value, shape, range(offset, len(shape)))
    return emit(op, x.weak)


def broadcast_shapes(name: str, shapes: Sequence[Shape]) -> Shape:
    """The shape that NumPy's rule gives operands of these shapes. Raises: ShapeError."""
    distinct = {shape for shape in shapes if shape}
    if len(distinct) <= 1:
        return distinct.pop() if distinct else ()
    result: list[int] = []
    for back in range(1, max((len(shape) for shape in shapes), default=0) + 1):
        sizes = {shape[-back] for shape in shapes if len(shape) >= back} - {1}
        if len(sizes) > 1:
            listed = " and ".join(str(list(shape)) for shape in shapes)
            raise ShapeError(
                f"{name}: operands of shapes {listed} do not broadcast: axis -{back} has sizes "
                f"{' and '.join(map(str, sorted(sizes)))}"
            )
        result.insert(0, sizes.pop() if sizes else 1)
    return tuple(result)


def promote(name: str, *operands: ArrayLike, floating: bool = False) -> tuple[list[Tracer], bool]:
    """The operands in their common shape and (float) dtype, and whether all are weak."""
    kinds = [type_and_weakness(operand) for operand in operands]
    dtype = result_type(kinds)
    if floating:
        dtype = result_type([(dtype, False), (scalar_dtype(1.0), True)])
    shape = broadcast_shapes(name, [shape_of(operand) for operand in operands])
    return [lift(x, dtype, shape) for x in operands], all(weak for _, weak in kinds)


def promote_numbers(name: str, *operands: ArrayLike) -> tuple[list[Tracer], bool]:
    """Like `promote`, for arithmetic: bools count as 0 and 1."""
    tracers, weak = promote(name, *operands)
    if tracers[0].dtype is bool_:
        return [cast_to(tracer, int32) for tracer in tracers], False
    return tracers, weak


def as_float(x: ArrayLike) -> Tracer:
    """An operand in a float dtype: integers and bools become f32."""
    return promote("float", x, floating=True)[0][0]


def as_number(x: ArrayLike) -> Tracer:
    """An operand that arithmetic is defined on: bools and narrow integers become i32."""
    tracer = lift(x)
    stored = tracer.dtype is bool_ or tracer.dtype.is_narrow
    return cast_to(tracer, int32) if stored else tracer


def emit_float(op: type[ElementwiseOp], *operands: ArrayLike) -> Tracer:
    """An elementwise operation on operands in their common shape and float dtype."""
    tracers, weak = promote(op.name, *operands, floating=True)
    return emit(op(*[tracer.value for tracer in tracers]), weak)


def axis_of(name: str, axis: int, rank: int) -> int:
    """An axis counted from 0. Raises: ShapeError if there is none."""
    axis = whole(axis)
    if not -rank <= axis < rank:
        raise ShapeError(f"{name}: axis {axis} is out of range for an array of rank {rank}")
    return axis % rank


def axes_of(name: str, axis: Axes, rank: int) -> tuple[int, ...]:
    """Sorted distinct axes; all of them for None."""
    if axis is None:
        return tuple(range(rank))
    axes = axis if isinstance(axis, Sequence) else (axis,)
    found = sorted(axis_of(name, a, rank) for a in axes)
    if len(set(found)) != len(found):
        raise ShapeError(f"{name}: axis {tuple(axes)} names an axis twice")
    return tuple(found)


def reshape_to(x: Tracer, shape: Shape) -> Tracer:
    """`x` under another shape, if it has not got it already."""
    return x if x.shape == shape else emit(ReshapeOp(x.value, shape), x.weak)
