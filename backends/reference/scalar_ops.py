"""The meaning of `arith` and `math` operations on NumPy arrays of scalars or vector lanes.

Signless integers are kept signed; unsigned operations look at the same bits unsigned. WGSL's rules:
integers wrap, x / 0 = x, x % 0 = 0, shifts take their amount modulo the width, floats become
integers by saturation (NaN becomes 0). Floats are computed in their own dtype.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from xdsl.dialects import arith
from xdsl.dialects import math as math_dialect
from xdsl.dialects.builtin import VectorType
from xdsl.ir import Attribute, Operation

from stepwell.backends.reference.errors import failure
from stepwell.backends.reference.memory import Array, constant, value_dtype
from stepwell.dialects import kernel
from stepwell.dialects.array.base import wrapped

Function: TypeAlias = Callable[..., Any]
_Unary: TypeAlias = Callable[[Array], Any]
_Binary: TypeAlias = Callable[[Array, Array], Any]
_Ternary: TypeAlias = Callable[[Array, Array, Array], Any]


def scalar_function(op: Operation) -> Function:
    """What an `arith` or `math` operation computes from its operands' arrays."""
    kind = type(op)
    if kind in _PLAIN:
        return _PLAIN[kind]
    if kind in _SPECIAL:
        return _SPECIAL[kind](op)
    raise failure(op, "the reference backend has no meaning for this operation here")


def unsigned(array: Array) -> Array:
    """The same bits as unsigned integers; bools are what they are."""
    dtype = array.dtype
    return array if dtype.kind != "i" else array.view(f"u{dtype.itemsize}")


def signed(array: Array) -> Array:
    """The same bits as signed integers; bools are what they are."""
    dtype = array.dtype
    return array if dtype.kind != "u" else array.view(f"i{dtype.itemsize}")


def _unsigned(function: Function) -> _Binary:
    """The function on the bits seen unsigned."""
    return lambda a, b: signed(function(unsigned(a), unsigned(b)))


def _divisor(a: Array, b: Array) -> Array:
    """b, or 1 where it is 0: then x / 0 = x and x % 0 = 0."""
    return np.where(b == 0, np.ones((), b.dtype), b)


def _divide(a: Array, b: Array) -> Array:
    b = _divisor(a, b)
    floor = a // b
    return floor + ((floor < 0) & (floor * b != a)).astype(floor.dtype)


def _floor_divide(a: Array, b: Array) -> Array:
    return a // _divisor(a, b)


def _ceil_divide(a: Array, b: Array) -> Array:
    b = _divisor(a, b)
    floor = a // b
    return floor + (floor * b != a).astype(floor.dtype)


def _remainder(a: Array, b: Array) -> Array:
    return np.fmod(a, _divisor(a, b))


def _amount(a: Array, b: Array) -> Array:
    return b & (a.dtype.itemsize * 8 - 1)


def _shift_left(a: Array, b: Array) -> Array:
    return np.left_shift(a, _amount(a, b))


def _shift_right(a: Array, b: Array) -> Array:
    return np.right_shift(a, _amount(a, b))


def _round_half_away(x: Array) -> Array:
    whole = np.trunc(x)
    return whole + np.copysign((np.abs(x - whole) >= 0.5).astype(x.dtype), x)


def _rsqrt(x: Array) -> Array:
    return x.dtype.type(1) / np.sqrt(x)


def fused_multiply_add(a: Array, b: Array, c: Array) -> Array:
    """a * b + c, rounded once."""
    wide = np.float64 if a.dtype == np.float32 else np.float32
    return (a.astype(wide) * b.astype(wide) + c.astype(wide)).astype(a.dtype)


def _int_power(a: Array, b: Array) -> Array:
    return np.power(a, np.maximum(b, 0))


def _float_power(a: Array, b: Array) -> Array:
    return np.power(a, b.astype(a.dtype))


_ERF = np.frompyfunc(math.erf, 1, 1)


def _erf(x: Array) -> Array:
    return np.asarray(_ERF(x.astype(np.float64)), np.float64).astype(x.dtype)


def _leading_zeros(x: Array) -> Array:
    _, exponent = np.frexp(unsigned(x).astype(np.float64))
    return (x.dtype.itemsize * 8 - exponent).astype(x.dtype)


def _trailing_zeros(x: Array) -> Array:
    lowest = unsigned(x & -x).astype(np.float64)
    width = x.dtype.itemsize * 8
    return np.where(x == 0, width, np.frexp(lowest)[1] - 1).astype(x.dtype)


def _count_ones(x: Array) -> Array:
    return np.bitwise_count(unsigned(x)).astype(x.dtype)


_PLAIN: dict[type[Operation], Function] = {
    arith.AddfOp: np.add,
    arith.SubfOp: np.subtract,
    arith.MulfOp: np.multiply,
    arith.DivfOp: np.divide,
    arith.NegfOp: np.negative,
    arith.MaximumfOp: np.maximum,
    arith.MinimumfOp: np.minimum,
    arith.MaxnumfOp: np.fmax,
    arith.MinnumfOp: np.fmin,
    arith.AddiOp: np.add,
    arith.SubiOp: np.subtract,
    arith.MuliOp: np.multiply,
    arith.DivSIOp: _divide,
    arith.DivUIOp: _unsigned(_floor_divide),
    arith.FloorDivSIOp: _floor_divide,
    arith.CeilDivSIOp: _ceil_divide,
    arith.CeilDivUIOp: _unsigned(_ceil_divide),
    arith.RemSIOp: _remainder,
    arith.RemUIOp: _unsigned(_remainder),
    arith.MaxSIOp: np.maximum,
    arith.MinSIOp: np.minimum,
    arith.MaxUIOp: _unsigned(np.maximum),
    arith.MinUIOp: _unsigned(np.minimum),
    arith.AndIOp: np.bitwise_and,
    arith.OrIOp: np.bitwise_or,
    arith.XOrIOp: np.bitwise_xor,
    arith.ShLIOp: _shift_left,
    arith.ShRSIOp: _shift_right,
    arith.ShRUIOp: _unsigned(_shift_right),
    math_dialect.AbsFOp: np.abs,
    math_dialect.AbsIOp: np.abs,
    math_dialect.AcosOp: np.arccos,
    math_dialect.AcoshOp: np.arccosh,
    math_dialect.AsinOp: np.arcsin,
    math_dialect.AsinhOp: np.arcsinh,
    math_dialect.AtanOp: np.arctan,
    math_dialect.AtanhOp: np.arctanh,
    math_dialect.Atan2Op: np.arctan2,
    math_dialect.CbrtOp: np.cbrt,
    math_dialect.CeilOp: np.ceil,
    math_dialect.CopySignOp: np.copysign,
    math_dialect.CosOp: np.cos,
    math_dialect.CoshOp: np.cosh,
    math_dialect.CountLeadingZerosOp: _leading_zeros,
    math_dialect.CountTrailingZerosOp: _trailing_zeros,
    math_dialect.CtPopOp: _count_ones,
    math_dialect.ErfOp: _erf,
    math_dialect.ExpOp: np.exp,
    math_dialect.Exp2Op: np.exp2,
    math_dialect.ExpM1Op: np.expm1,
    math_dialect.FPowIOp: _float_power,
    math_dialect.FloorOp: np.floor,
    math_dialect.FmaOp: fused_multiply_add,
    math_dialect.IPowIOp: _int_power,
    math_dialect.LogOp: np.log,
    math_dialect.Log10Op: np.log10,
    math_dialect.Log1pOp: np.log1p,
    math_dialect.Log2Op: np.log2,
    math_dialect.PowFOp: np.power,
    math_dialect.RoundOp: _round_half_away,
    math_dialect.RoundEvenOp: np.rint,
    math_dialect.RsqrtOp: _rsqrt,
    math_dialect.SinOp: np.sin,
    math_dialect.SinhOp: np.sinh,
    math_dialect.SqrtOp: np.sqrt,
    math_dialect.TanOp: np.tan,
    math_dialect.TanhOp: np.tanh,
    math_dialect.TruncOp: np.trunc,
}
"""Operations that need nothing but their operands."""

_CMPI: list[_Binary] = [
    np.equal,
    np.not_equal,
    np.less,
    np.less_equal,
    np.greater,
    np.greater_equal,
    lambda a, b: np.less(unsigned(a), unsigned(b)),
    lambda a, b: np.less_equal(unsigned(a), unsigned(b)),
    lambda a, b: np.greater(unsigned(a), unsigned(b)),
    lambda a, b: np.greater_equal(unsigned(a), unsigned(b)),
]


def _unordered(a: Array, b: Array) -> Array:
    return np.isnan(a) | np.isnan(b)


def _or_unordered(compare: _Binary) -> _Binary:
    return lambda a, b: compare(a, b) | _unordered(a, b)


_CMPF: list[_Binary] = [
    lambda a, b: np.zeros(np.broadcast_shapes(a.shape, b.shape), np.bool_),
    np.equal,
    np.greater,
    np.greater_equal,
    np.less,
    np.less_equal,
    lambda a, b: np.not_equal(a, b) & ~_unordered(a, b),
    lambda a, b: ~_unordered(a, b),
    _or_unordered(np.equal),
    _or_unordered(np.greater),
    _or_unordered(np.greater_equal),
    _or_unordered(np.less),
    _or_unordered(np.less_equal),
    np.not_equal,
    _unordered,
    lambda a, b: np.ones(np.broadcast_shapes(a.shape, b.shape), np.bool_),
]
"""false, oeq, ogt, oge, olt, ole, one, ord, ueq, ugt, uge, ult, ule, une, uno, true."""


def _element(type: Attribute) -> Attribute:
    return type.element_type if isinstance(type, VectorType) else type


def _result_dtype(op: Operation) -> np.dtype[Any]:
    return value_dtype(_element(op.results[0].type))


def _saturate(dtype: np.dtype[Any], x: Array) -> Array:
    """Floats to integers of `dtype`: truncated, saturated, NaN becomes 0."""
    limits = np.iinfo(dtype)
    wide = np.nan_to_num(x.astype(np.float64), nan=0.0, posinf=np.inf, neginf=-np.inf)
    return np.clip(np.trunc(wide), float(limits.min), float(limits.max)).astype(dtype)


def _to_signed(op: Operation) -> _Unary:
    return partial(_saturate, _result_dtype(op))


def _to_unsigned(op: Operation) -> _Unary:
    target = np.dtype(f"u{_result_dtype(op).itemsize}")
    return lambda x: signed(_saturate(target, x))


def _from_signed(op: Operation) -> _Unary:
    dtype = _result_dtype(op)
    # A true i1 is -1 as a signed integer.
    return lambda x: -x.astype(dtype) if x.dtype == np.bool_ else x.astype(dtype)


def _bits(op: Operation) -> _Unary:
    """The operand of an operation as an unsigned number."""
    width = getattr(_element(op.operands[0].type), "bitwidth", 32)
    if not 1 < width < 8:
        return unsigned
    # Below 8 bits the sign is repeated in what is left of the byte.
    return lambda x: unsigned(x) & ((1 << width) - 1)


def _from_unsigned(op: Operation) -> _Unary:
    dtype, bits = _result_dtype(op), _bits(op)
    return lambda x: bits(x).astype(dtype)


def _truncate(op: Operation) -> _Unary:
    dtype = _result_dtype(op)
    if dtype == np.bool_:
        return lambda x: (x & 1).astype(np.bool_)
    target = _element(op.results[0].type)
    return lambda x: wrapped(x, target)


def _bitcast(op: Operation) -> _Unary:
    dtype = _result_dtype(op)
    return lambda x: np.asarray(x).view(dtype)


def _convert(op: Operation) -> _Unary:
    dtype = _result_dtype(op)
    return lambda x: x.astype(dtype)


def _constant(op: arith.ConstantOp) -> Function:
    value = constant(op.value)
    return lambda: value


def _select(op: arith.SelectOp | kernel.SelectOp) -> _Ternary:
    if isinstance(op.result.type, VectorType) and not isinstance(op.cond.type, VectorType):
        return lambda cond, a, b: np.where(cond[..., None], a, b)
    return lambda cond, a, b: np.where(cond, a, b)


def _extend_unsigned(op: Operation) -> _Unary:
    target, bits = f"u{_result_dtype(op).itemsize}", _bits(op)
    return lambda x: signed(bits(x).astype(target))


def _compare_integers(op: arith.CmpiOp | kernel.CmpiOp) -> Function:
    return _CMPI[op.predicate.value.data]


def _compare_floats(op: arith.CmpfOp | kernel.CmpfOp) -> Function:
    return _CMPF[op.predicate.value.data]


_SPECIAL: dict[type[Operation], Callable[[Any], Function]] = {
    arith.ConstantOp: _constant,
    arith.SelectOp: _select,
    arith.CmpiOp: _compare_integers,
    arith.CmpfOp: _compare_floats,
    arith.BitcastOp: _bitcast,
    arith.IndexCastOp: _convert,
    arith.FPToSIOp: _to_signed,
    arith.FPToUIOp: _to_unsigned,
    arith.SIToFPOp: _from_signed,
    arith.UIToFPOp: _from_unsigned,
    arith.ExtFOp: _convert,
    arith.TruncFOp: _convert,
    arith.TruncIOp: _truncate,
    arith.ExtSIOp: _from_signed,
    arith.ExtUIOp: _extend_unsigned,
}

_SPECIAL.update({form: _SPECIAL[op] for op, form in kernel.VECTOR_FORMS.items()})
"""Operations whose function depends on their properties or types."""

SCALAR_OPS: tuple[type[Operation], ...] = (*_PLAIN, *_SPECIAL)
"""The classes that `scalar_function` knows."""
