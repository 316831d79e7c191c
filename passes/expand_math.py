"""`expand-math`: functions that WGSL lacks, or computes too coarsely, become formulas."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from xdsl.context import Context
from xdsl.dialects import arith, math
from xdsl.dialects.builtin import (
    DenseIntOrFPElementsAttr,
    Float16Type,
    FloatAttr,
    IndexType,
    IntegerAttr,
    ModuleOp,
    VectorType,
    f16,
    f32,
)
from xdsl.dialects.linalg.ops import GenericOp
from xdsl.ir import Attribute, BlockArgument, Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter

from stepwell.dialects.build import every
from stepwell.dialects.emit import Emitter
from stepwell.dialects.wgsl.expressions import constant_values
from stepwell.passes import elementary
from stepwell.passes.real import Bits, Real, like


class ExpandMathPass(ModulePass):
    """Replaces elementary functions by formulas of arith and the functions of WGSL.

    Works in any region, on scalars and vectors; f16 is computed in f32 and rounded once. The
    formulas, their sources and errors are in `elementary.py`. `maximumf` and `minimumf` stay:
    WGSL's max and min, which need not propagate NaN.

    Before:
    ```mlir
    %y = math.log10 %x : f32
    ```
    After:
    ```mlir
    %l = math.log %x : f32
    %c = arith.constant 0.434294492 : f32
    %y = arith.mulf %l, %c : f32
    ```
    """

    name = "expand-math"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for found in [inner for inner in every(op) if type(inner) in _EXPANSIONS]:
            assert found.parent is not None
            emit = Emitter(found.parent, before=found, location=found.location)
            result = _EXPANSIONS[type(found)](emit, found)
            if result is None:
                continue
            result.name_hint = found.results[0].name_hint
            found.results[0].replace_all_uses_with(result)
            Rewriter.erase_op(found)


_Expansion: TypeAlias = Callable[[Emitter, Operation], SSAValue | None]
"""Emits what an operation computes; None leaves the operation."""


def _element(type: Attribute) -> Attribute:
    return type.element_type if isinstance(type, VectorType) else type


def _real(emit: Emitter, value: SSAValue) -> Real:
    """The value in f32."""
    if isinstance(_element(value.type), Float16Type):
        wide = like(value.type, f32)
        value = emit(arith.ExtFOp.create(operands=[value], result_types=[wide]))
    return Real(emit, value)


def _result(op: Operation, result: Real) -> SSAValue:
    """The value in the type of the operation's result."""
    type = op.results[0].type
    if isinstance(_element(type), Float16Type):
        narrow = like(type, f16)
        return result.emit(arith.TruncFOp.create(operands=[result.value], result_types=[narrow]))
    return result.value


def _formula(function: Callable[..., Real]) -> _Expansion:
    """The operation is `function` of its operands."""

    def expand(emit: Emitter, op: Operation) -> SSAValue:
        return _result(op, function(*(_real(emit, operand) for operand in op.operands)))

    return expand


def _power(emit: Emitter, op: Operation) -> SSAValue:
    base, exponent = op.operands
    known = _constant(exponent)
    power = _real(emit, exponent) if known is None else known
    return _result(op, elementary.power(_real(emit, base), power))


def _constant(value: SSAValue) -> float | None:
    """The number that a value is, also as an element of a splat that a linalg.generic reads."""
    if isinstance(value, BlockArgument):
        generic = value.block.parent_op()
        if not isinstance(generic, GenericOp) or value.index >= len(generic.inputs):
            return None
        value = generic.inputs[value.index]
    op = value.owner
    attribute = op.value if isinstance(op, arith.ConstantOp) else None
    match attribute:
        case FloatAttr() | IntegerAttr():
            return float(attribute.value.data)
        case DenseIntOrFPElementsAttr() if attribute.is_splat():
            return float(constant_values(attribute)[0])
        case _:
            return None


def _rounded_division(away: bool) -> _Expansion:
    """`x / y` towards minus infinity, or `away` from it, of signed integers.

    floor(x / y) == trunc(x / y) - (x % y != 0 and x ^ y < 0); ceil adds where the signs agree.
    Indices are unsigned and stay.
    """

    def expand(emit: Emitter, op: Operation) -> SSAValue | None:
        if isinstance(_element(op.operands[0].type), IndexType):
            return None
        x, y = (Bits(emit, operand) for operand in op.operands)
        signs = x ^ y
        quotient = x // y
        inexact = (x % y).compare("ne", 0)
        if away:
            return (quotient + quotient.one_where(inexact & signs.compare("sge", 0))).value
        return (quotient - quotient.one_where(inexact & signs.compare("slt", 0))).value

    return expand


def _remainder(emit: Emitter, op: Operation) -> SSAValue | None:
    """The signed remainder by way of the quotient. Indices are unsigned and stay."""
    if isinstance(_element(op.operands[0].type), IndexType):
        return None
    x, y = (Bits(emit, operand) for operand in op.operands)
    return (x % y).value


_EXPANSIONS: dict[type[Operation], _Expansion] = {
    arith.RemSIOp: _remainder,
    math.ErfOp: _formula(elementary.erf),
    math.TanhOp: _formula(elementary.tanh),
    math.ExpM1Op: _formula(elementary.expm1),
    math.Log1pOp: _formula(elementary.log1p),
    math.SinOp: _formula(elementary.sin),
    math.CosOp: _formula(elementary.cos),
    math.TanOp: _formula(elementary.tan),
    math.AsinOp: _formula(elementary.asin),
    math.AcosOp: _formula(elementary.acos),
    math.AtanOp: _formula(elementary.atan),
    math.Atan2Op: _formula(elementary.atan2),
    math.SinhOp: _formula(elementary.sinh),
    math.CoshOp: _formula(elementary.cosh),
    math.AsinhOp: _formula(elementary.asinh),
    math.AcoshOp: _formula(elementary.acosh),
    math.AtanhOp: _formula(elementary.atanh),
    math.Log10Op: _formula(elementary.log10),
    math.CbrtOp: _formula(elementary.cbrt),
    math.RoundOp: _formula(elementary.round_away),
    math.CopySignOp: _formula(elementary.copysign),
    math.PowFOp: _power,
    arith.FloorDivSIOp: _rounded_division(away=False),
    arith.CeilDivSIOp: _rounded_division(away=True),
}
