"""Elementwise operations. Operands broadcast and are promoted to one dtype (see `dtypes`)."""

from __future__ import annotations

from typing import TypeVar

from stepwell.dialects.array import elementwise as e
from stepwell.dialects.array import logic
from stepwell.dialects.array.base import DTYPES, ElementwiseOp
from stepwell.frontend.array import Array, ArrayLike
from stepwell.frontend.building import (
    broadcast_shapes,
    cast_to,
    emit,
    emit_float,
    lift,
    promote,
    promote_numbers,
    shape_of,
)
from stepwell.frontend.building import type_and_weakness as kind
from stepwell.frontend.dispatch import operation
from stepwell.frontend.dtypes import (
    DTypeLike,
    as_dtype,
    bool_,
    float32,
    moved_type,
    result_type,
    uint32,
)
from stepwell.frontend.tracing import Tracer

__all__ = [
    "abs",
    "add",
    "astype",
    "bitcast",
    "bitwise_and",
    "bitwise_invert",
    "bitwise_left_shift",
    "bitwise_or",
    "bitwise_right_shift",
    "bitwise_xor",
    "ceil",
    "clip",
    "copy",
    "cos",
    "divide",
    "equal",
    "erf",
    "exp",
    "expm1",
    "floor",
    "floor_divide",
    "greater",
    "greater_equal",
    "isnan",
    "less",
    "less_equal",
    "log",
    "log1p",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "maximum",
    "minimum",
    "multiply",
    "negative",
    "not_equal",
    "pow",
    "reciprocal",
    "remainder",
    "round",
    "rsqrt",
    "sign",
    "sin",
    "sqrt",
    "square",
    "subtract",
    "tanh",
    "where",
]

Op = TypeVar("Op", bound=ElementwiseOp)


def _emit(op: type[ElementwiseOp], *operands: ArrayLike) -> Tracer:
    tracers, weak = promote(op.name, *operands)
    return emit(op(*[t.value for t in tracers]), weak)


def _number(op: type[ElementwiseOp], *operands: ArrayLike) -> Tracer:
    """Arithmetic on at least i32: bools count as 0 and 1."""
    tracers, weak = promote_numbers(op.name, *operands)
    return emit(op(*[t.value for t in tracers]), weak)


def _logical(op: type[ElementwiseOp], *operands: ArrayLike) -> Tracer:
    shape = broadcast_shapes(op.name, [shape_of(x) for x in operands])
    return emit(op(*[lift(x, bool_, shape).value for x in operands]))


@operation
def add(x: ArrayLike, y: ArrayLike, /) -> Array:
    """x + y; integers wrap."""
    return _number(e.AddOp, x, y)


@operation
def subtract(x: ArrayLike, y: ArrayLike, /) -> Array:
    """x - y; integers wrap."""
    return _number(e.SubtractOp, x, y)


@operation
def multiply(x: ArrayLike, y: ArrayLike, /) -> Array:
    """x * y; integers wrap."""
    return _number(e.MultiplyOp, x, y)


@operation
def remainder(x: ArrayLike, y: ArrayLike, /) -> Array:
    """x - y * floor(x / y), with the sign of y."""
    return _number(e.RemainderOp, x, y)


@operation
def maximum(x: ArrayLike, y: ArrayLike, /) -> Array:
    """The larger of x and y."""
    return _number(e.MaximumOp, x, y)


@operation
def minimum(x: ArrayLike, y: ArrayLike, /) -> Array:
    """The smaller of x and y."""
    return _number(e.MinimumOp, x, y)


@operation
def divide(x: ArrayLike, y: ArrayLike, /) -> Array:
    """x / y, in floats."""
    return emit_float(e.DivideOp, x, y)


@operation
def floor_divide(x: ArrayLike, y: ArrayLike, /) -> Array:
    """The largest integer that is no larger than x / y."""
    (a, b), weak = promote_numbers("floor_divide", x, y)
    if a.dtype.is_float:
        return emit(e.FloorOp(emit(e.DivideOp(a.value, b.value)).value), weak)
    quotient = emit(e.DivideOp(a.value, b.value), weak)
    if a.dtype is uint32:
        return quotient
    # Truncation rounded up what is no whole number below 0.
    inexact = not_equal(emit(e.RemainderOp(a.value, b.value)), 0)
    below = logical_and(inexact, not_equal(less(a, 0), less(b, 0)))
    return where(below, subtract(quotient, 1), quotient)


@operation
def pow(x: ArrayLike, y: Array | int | float, /) -> Array:
    """x ** y. A Python integer y of at most 64 is computed by multiplications, 0.5 by a root."""
    if isinstance(y, float) and y == 0.5:
        return emit_float(e.SqrtOp, x)
    if isinstance(y, int) and not isinstance(y, bool) and -64 <= y <= 64:
        return _integer_power(x, y)
    return emit_float(e.PowOp, x, y)


def _integer_power(x: ArrayLike, exponent: int) -> Tracer:
    base = promote_numbers("pow", x)[0][0]
    if exponent < 0:
        positive = _integer_power(promote("pow", x, floating=True)[0][0], -exponent)
        return emit_float(e.DivideOp, 1.0, positive)
    result: Tracer | None = None
    while exponent:
        if exponent & 1:
            result = base if result is None else emit(e.MultiplyOp(result.value, base.value))
        exponent >>= 1
        if exponent:
            base = emit(e.MultiplyOp(base.value, base.value))
    return lift(1, base.dtype, base.shape) if result is None else result


@operation
def exp(x: ArrayLike, /) -> Array:
    """e ** x."""
    return emit_float(e.ExpOp, x)


@operation
def expm1(x: ArrayLike, /) -> Array:
    """e ** x - 1, exact for small x."""
    return emit_float(e.Expm1Op, x)


@operation
def log(x: ArrayLike, /) -> Array:
    """The natural logarithm."""
    return emit_float(e.LogOp, x)


@operation
def log1p(x: ArrayLike, /) -> Array:
    """log(1 + x), exact for small x."""
    return emit_float(e.Log1pOp, x)


@operation
def sqrt(x: ArrayLike, /) -> Array:
    """The square root."""
    return emit_float(e.SqrtOp, x)


@operation
def rsqrt(x: ArrayLike, /) -> Array:
    """1 / sqrt(x)."""
    return emit_float(e.RsqrtOp, x)


@operation
def sin(x: ArrayLike, /) -> Array:
    """The sine of x in radians."""
    return emit_float(e.SinOp, x)


@operation
def cos(x: ArrayLike, /) -> Array:
    """The cosine of x in radians."""
    return emit_float(e.CosOp, x)


@operation
def tanh(x: ArrayLike, /) -> Array:
    """The hyperbolic tangent."""
    return emit_float(e.TanhOp, x)


@operation
def erf(x: ArrayLike, /) -> Array:
    """The error function: 2 / sqrt(pi) times the integral of exp(-t ** 2) from 0 to x."""
    return emit_float(e.ErfOp, x)


@operation
def negative(x: ArrayLike, /) -> Array:
    """-x."""
    return _number(e.NegativeOp, x)


@operation
def abs(x: ArrayLike, /) -> Array:
    """The absolute value."""
    return _number(e.AbsOp, x)


@operation
def sign(x: ArrayLike, /) -> Array:
    """-1, 0 or 1."""
    return _number(e.SignOp, x)


@operation
def floor(x: ArrayLike, /) -> Array:
    """The largest integer that is no larger than x. Integers stay as they are."""
    return _number(e.FloorOp, x) if kind(x)[0].is_float else lift(x)


@operation
def ceil(x: ArrayLike, /) -> Array:
    """The smallest integer that is no smaller than x. Integers stay as they are."""
    return _number(e.CeilOp, x) if kind(x)[0].is_float else lift(x)


@operation
def round(x: ArrayLike, /) -> Array:
    """The nearest integer; halves go to the even one. Integers stay as they are."""
    return _number(e.RoundOp, x) if kind(x)[0].is_float else lift(x)


@operation
def equal(x: ArrayLike, y: ArrayLike, /) -> Array:
    """x == y, as bool."""
    return _emit(logic.EqualOp, x, y)


@operation
def not_equal(x: ArrayLike, y: ArrayLike, /) -> Array:
    """x != y, as bool."""
    return _emit(logic.NotEqualOp, x, y)


@operation
def less(x: ArrayLike, y: ArrayLike, /) -> Array:
    """x < y, as bool."""
    return _number(logic.LessOp, x, y)


@operation
def less_equal(x: ArrayLike, y: ArrayLike, /) -> Array:
    """x <= y, as bool."""
    return _number(logic.LessEqualOp, x, y)


@operation
def greater(x: ArrayLike, y: ArrayLike, /) -> Array:
    """x > y, as bool."""
    return _number(logic.GreaterOp, x, y)


@operation
def greater_equal(x: ArrayLike, y: ArrayLike, /) -> Array:
    """x >= y, as bool."""
    return _number(logic.GreaterEqualOp, x, y)


@operation
def logical_and(x: ArrayLike, y: ArrayLike, /) -> Array:
    """Whether both are true (not 0)."""
    return _logical(logic.LogicalAndOp, x, y)


@operation
def logical_or(x: ArrayLike, y: ArrayLike, /) -> Array:
    """Whether one is true (not 0)."""
    return _logical(logic.LogicalOrOp, x, y)


@operation
def logical_xor(x: ArrayLike, y: ArrayLike, /) -> Array:
    """Whether exactly one is true (not 0)."""
    return _logical(logic.LogicalXorOp, x, y)


@operation
def logical_not(x: ArrayLike, /) -> Array:
    """Whether x is false (0)."""
    return _logical(logic.LogicalNotOp, x)


@operation
def bitwise_and(x: ArrayLike, y: ArrayLike, /) -> Array:
    """x & y, of integers or bools."""
    both = result_type([kind(x), kind(y)]) is bool_
    return _emit(logic.LogicalAndOp if both else logic.BitwiseAndOp, x, y)


@operation
def bitwise_or(x: ArrayLike, y: ArrayLike, /) -> Array:
    """x | y, of integers or bools."""
    both = result_type([kind(x), kind(y)]) is bool_
    return _emit(logic.LogicalOrOp if both else logic.BitwiseOrOp, x, y)


@operation
def bitwise_xor(x: ArrayLike, y: ArrayLike, /) -> Array:
    """x ^ y, of integers or bools."""
    both = result_type([kind(x), kind(y)]) is bool_
    return _emit(logic.LogicalXorOp if both else logic.BitwiseXorOp, x, y)


@operation
def bitwise_invert(x: ArrayLike, /) -> Array:
    """~x, of integers or bools."""
    if kind(x)[0] is bool_:
        return _emit(logic.LogicalNotOp, x)
    ones = 0xFFFFFFFF if kind(x)[0] is uint32 else -1
    return _emit(logic.BitwiseXorOp, x, ones)


@operation
def bitwise_left_shift(x: ArrayLike, y: ArrayLike, /) -> Array:
    """x << y, of integers; y counts modulo 32."""
    return _number(logic.LeftShiftOp, x, y)


@operation
def bitwise_right_shift(x: ArrayLike, y: ArrayLike, /) -> Array:
    """x >> y, of integers; the sign is kept, y counts modulo 32."""
    return _number(logic.RightShiftOp, x, y)


@operation
def where(condition: ArrayLike, x: ArrayLike, y: ArrayLike, /) -> Array:
    """x where the condition is true, y elsewhere."""
    shape = broadcast_shapes("where", [shape_of(condition), shape_of(x), shape_of(y)])
    dtype = moved_type([kind(x), kind(y)])
    operands = (lift(condition, bool_, shape), lift(x, dtype, shape), lift(y, dtype, shape))
    weak = kind(x)[1] and kind(y)[1]
    return emit(logic.WhereOp(*[operand.value for operand in operands]), weak)


@operation
def clip(x: ArrayLike, min: ArrayLike | None = None, max: ArrayLike | None = None) -> Array:
    """x, but at least `min` and at most `max`, in the dtype of x."""
    dtype = kind(x)[0]
    result = lift(x)
    if min is not None:
        result = _number(e.MaximumOp, result, lift(min, dtype))
    if max is not None:
        result = _number(e.MinimumOp, result, lift(max, dtype))
    return cast_to(result, dtype)


@operation
def astype(x: ArrayLike, dtype: DTypeLike, /) -> Array:
    """x in another dtype. Floats are truncated towards zero to integers; bools are 0 and 1."""
    return cast_to(lift(x), as_dtype(dtype))


@operation
def bitcast(x: ArrayLike, dtype: DTypeLike, /) -> Array:
    """The bits of x read as another dtype of the same width."""
    return emit(logic.BitcastOp(lift(x).value, DTYPES[as_dtype(dtype).name]))


def square(x: ArrayLike, /) -> Array:
    """x * x."""
    return multiply(x, x)


@operation
def reciprocal(x: ArrayLike, /) -> Array:
    """1 / x."""
    return emit_float(e.DivideOp, 1.0, x)


@operation
def isnan(x: ArrayLike, /) -> Array:
    """Whether x is NaN, by its bits: WebGPU need not honour NaN in comparisons."""
    value = promote("isnan", x, floating=True)[0][0]
    bits = emit(logic.BitcastOp(cast_to(value, float32).value, DTYPES["i32"]))
    magnitude = _emit(logic.BitwiseAndOp, bits, 0x7FFFFFFF)
    return _emit(logic.GreaterOp, magnitude, 0x7F800000)


@operation
def copy(x: ArrayLike, /) -> Array:
    """The same elements in memory of their own."""
    return lift(x)
