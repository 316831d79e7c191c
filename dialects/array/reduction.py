"""Reductions over any axes, which the result drops."""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, Sequence
from math import inf, prod
from typing import Any, ClassVar

import numpy as np
from xdsl.dialects import arith
from xdsl.dialects.builtin import AnyFloat, IntegerType, LocationAttr, f32, i32
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.irdl import irdl_op_definition

from stepwell.dialects.array.base import (
    AxesOp,
    CompositeOp,
    NumPyArray,
    ReductionOp,
    element_of,
    is_float,
    is_unsigned,
    shape_of,
)
from stepwell.dialects.array.build import full, full_like, unreduce, zeros_like
from stepwell.dialects.array.elementwise import DivideOp, MultiplyOp
from stepwell.dialects.array.logic import CastOp, EqualOp, WhereOp
from stepwell.dialects.array.shape import (
    ConcatenateOp,
    IotaOp,
    ReshapeOp,
    SliceOp,
    TransposeOp,
)
from stepwell.dialects.build import create
from stepwell.dialects.emit import Emitter


class FoldOp(ReductionOp, ABC):
    """A reduction by one `arith` operation for each kind of dtype."""

    FUNCTION: ClassVar[Callable[..., Any]]
    FLOAT: ClassVar[type[Operation]]
    SIGNED: ClassVar[type[Operation]]
    UNSIGNED: ClassVar[type[Operation]]

    def combine(self, emit: Emitter, accumulator: SSAValue, element: SSAValue) -> SSAValue:
        cls = type(self)
        if isinstance(accumulator.type, AnyFloat):
            kind = cls.FLOAT
        else:
            kind = cls.UNSIGNED if is_unsigned(element_of(self.operand)) else cls.SIGNED
        return emit(create(kind, [accumulator, element], [accumulator.type]))

    def evaluate(self, *arrays: NumPyArray) -> Sequence[NumPyArray]:
        (x,) = arrays
        wide = x.astype(np.float32) if self.WIDENS and x.dtype == np.float16 else x
        with np.errstate(all="ignore"):
            result = type(self).FUNCTION(wide, axis=self.reduced())
            return (np.asarray(result).astype(x.dtype),)


@irdl_op_definition
class SumOp(FoldOp):
    """The sum; 0 of no elements. Integers wrap, f16 is summed in f32."""

    name = "array.sum"
    WIDENS: ClassVar = True
    FUNCTION: ClassVar = np.sum
    FLOAT: ClassVar = arith.AddfOp
    SIGNED: ClassVar = arith.AddiOp
    UNSIGNED: ClassVar = arith.AddiOp

    def identity(self) -> float:
        return 0

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        return (unreduce(emit, cotangents[0], shape_of(self.operand), self.reduced()),)


@irdl_op_definition
class ProdOp(FoldOp):
    """The product; 1 of no elements. Integers wrap, f16 is multiplied in f32."""

    name = "array.prod"
    WIDENS: ClassVar = True
    FUNCTION: ClassVar = np.prod
    FLOAT: ClassVar = arith.MulfOp
    SIGNED: ClassVar = arith.MuliOp
    UNSIGNED: ClassVar = arith.MuliOp

    def identity(self) -> float:
        return 1

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        """Through a tree of pairwise products: exact where elements are 0, at every order."""
        (ct,) = cotangents
        shape, axes = shape_of(self.operand), self.reduced()
        kept = [axis for axis in range(len(shape)) if axis not in axes]
        count = prod(shape[axis] for axis in axes)
        rows = prod(shape[axis] for axis in kept)
        order = [*kept, *axes]
        moved = emit(TransposeOp(self.operand, order))
        level = emit(ReshapeOp(moved, [rows, count]))
        halves: list[tuple[SSAValue, SSAValue, SSAValue | None]] = []
        while (width := shape_of(level)[1]) > 1:
            half = width // 2
            left = emit(SliceOp(level, [0, 0], [rows, half]))
            right = emit(SliceOp(level, [0, half], [rows, 2 * half]))
            odd = emit(SliceOp(level, [0, width - 1], [rows, width])) if width % 2 else None
            halves.append((left, right, odd))
            level = emit(MultiplyOp(left, right))
            level = level if odd is None else emit(ConcatenateOp([level, odd], 1))
        gradient = emit(ReshapeOp(ct, [rows, 1]))
        for left, right, odd in reversed(halves):
            half = shape_of(left)[1]
            pairs = emit(SliceOp(gradient, [0, 0], [rows, half]))
            parts = [emit(MultiplyOp(pairs, right)), emit(MultiplyOp(pairs, left))]
            if odd is not None:
                parts.append(emit(SliceOp(gradient, [0, half], [rows, half + 1])))
            gradient = emit(ConcatenateOp(parts, 1))
        if count == 0:
            return (zeros_like(emit, self.operand),)
        gradient = emit(ReshapeOp(gradient, [shape[axis] for axis in order]))
        return (emit(TransposeOp(gradient, [order.index(axis) for axis in range(len(shape))])),)


class ExtremeOp(FoldOp, ABC):
    """The largest or smallest element (no elements are an error); ties share the gradient."""

    HAS_IDENTITY: ClassVar[bool] = False

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        (ct,) = cotangents
        shape, axes = shape_of(self.operand), self.reduced()
        best = emit(EqualOp(self.operand, unreduce(emit, self.result, shape, axes)))
        winners = emit(CastOp(best, element_of(ct)))
        share = emit(DivideOp(ct, emit(SumOp(winners, axes))))
        return (emit(MultiplyOp(winners, unreduce(emit, share, shape, axes))),)


def _integer_bounds(element: Attribute) -> tuple[int, int]:
    assert isinstance(element, IntegerType)
    return (0, 2**32 - 1) if is_unsigned(element) else (-(2**31), 2**31 - 1)


@irdl_op_definition
class MaxOp(ExtremeOp):
    """The largest element, NaN if one is NaN."""

    name = "array.max"
    FUNCTION: ClassVar = np.max
    FLOAT: ClassVar = arith.MaximumfOp
    SIGNED: ClassVar = arith.MaxSIOp
    UNSIGNED: ClassVar = arith.MaxUIOp

    def identity(self) -> float:
        element = element_of(self.operand)
        return -inf if is_float(element) else _integer_bounds(element)[0]


@irdl_op_definition
class MinOp(ExtremeOp):
    """The smallest element, NaN if one is NaN."""

    name = "array.min"
    FUNCTION: ClassVar = np.min
    FLOAT: ClassVar = arith.MinimumfOp
    SIGNED: ClassVar = arith.MinSIOp
    UNSIGNED: ClassVar = arith.MinUIOp

    def identity(self) -> float:
        element = element_of(self.operand)
        return inf if is_float(element) else _integer_bounds(element)[1]


class LogicalFoldOp(FoldOp, ABC):
    """A reduction of bools, through which no gradient flows."""

    ACCEPTS: ClassVar[str] = "bool"

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        return (None,)


@irdl_op_definition
class AnyOp(LogicalFoldOp):
    """Whether one element is true; false of no elements."""

    name = "array.any"
    FUNCTION: ClassVar = np.any
    SIGNED: ClassVar = arith.OrIOp

    def identity(self) -> float:
        return 0


@irdl_op_definition
class AllOp(LogicalFoldOp):
    """Whether every element is true; true of no elements."""

    name = "array.all"
    FUNCTION: ClassVar = np.all
    SIGNED: ClassVar = arith.AndIOp

    def identity(self) -> float:
        return 1


# Composites


@irdl_op_definition
class MeanOp(AxesOp, CompositeOp):
    """sum(x) / count; no elements are an error."""

    name = "array.mean"
    ACCEPTS: ClassVar = "f32 f16"
    HAS_IDENTITY: ClassVar = False

    def evaluate(self, *arrays: NumPyArray) -> Sequence[NumPyArray]:
        x: Any = arrays[0]
        return (np.asarray(np.mean(x, axis=self.reduced())).astype(x.dtype),)

    def decompose(self, emit: Emitter, *operands: SSAValue) -> Sequence[SSAValue]:
        (x,) = operands
        element = element_of(x)
        # Many f16 have a sum that overflows f16 and a mean that does not.
        wide = x if element == f32 else emit(CastOp(x, f32))
        total = emit(SumOp(wide, self.reduced()))
        count = prod(shape_of(x)[axis] for axis in self.reduced())
        mean = emit(DivideOp(total, full_like(emit, count, total)))
        return (mean if element == f32 else emit(CastOp(mean, element)),)


class ArgExtremeOp(AxesOp, CompositeOp, ABC):
    """The i32 position of the extreme along one axis, the first of equals (the last for NaN)."""

    HAS_IDENTITY: ClassVar[bool] = False
    EXTREME: ClassVar[type[ExtremeOp]]
    FUNCTION: ClassVar[Callable[..., Any]]

    def __init__(self, operand: SSAValue, axis: int, location: LocationAttr | None = None):
        super().__init__(operand, [axis], location=location)

    @classmethod
    def result_element(cls, element: Attribute) -> Attribute:
        return i32

    def evaluate(self, *arrays: NumPyArray) -> Sequence[NumPyArray]:
        (axis,) = self.reduced()
        return (np.asarray(type(self).FUNCTION(*arrays, axis=axis)).astype(np.int32),)

    def decompose(self, emit: Emitter, *operands: SSAValue) -> Sequence[SSAValue]:
        (x,) = operands
        (axis,) = self.reduced()
        shape = shape_of(x)
        best = unreduce(emit, emit(type(self).EXTREME(x, [axis])), shape, [axis])
        position = emit(IotaOp(shape, axis, i32))
        last = full(emit, shape[axis] - 1, shape, i32)
        candidates = emit(WhereOp(emit(EqualOp(x, best)), position, last))
        return (emit(MinOp(candidates, [axis])),)

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        return (None,)


@irdl_op_definition
class ArgmaxOp(ArgExtremeOp):
    """The position of the largest element."""

    name = "array.argmax"
    EXTREME: ClassVar = MaxOp
    FUNCTION: ClassVar = np.argmax


@irdl_op_definition
class ArgminOp(ArgExtremeOp):
    """The position of the smallest element."""

    name = "array.argmin"
    EXTREME: ClassVar = MinOp
    FUNCTION: ClassVar = np.argmin


OPERATIONS = [SumOp, ProdOp, MaxOp, MinOp, AnyOp, AllOp, MeanOp, ArgmaxOp, ArgminOp]
