"""Shapes: operations that move elements without computing on them, and constants."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, pairwise
from math import prod
from typing import cast

import numpy as np
from xdsl.dialects import arith
from xdsl.dialects import tensor as tensor_dialect
from xdsl.dialects.builtin import (
    AnyFloat,
    AnyTensorTypeConstr,
    DenseArrayBase,
    DenseIntOrFPElementsAttr,
    FloatAttr,
    IntegerAttr,
    IntegerType,
    LocationAttr,
    TensorType,
    i32,
    i64,
)
from xdsl.ir import Attribute, SSAValue
from xdsl.ir.affine import AffineExpr, AffineMap
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def, var_operand_def

from stepwell.dialects.array.base import (
    ArrayOp,
    IndexedOp,
    NumPyArray,
    Tensor,
    ViewOp,
    dtype_name,
    element_of,
    ints,
    is_bool,
    is_narrow,
    numpy_dtype,
    shape_of,
    signless,
    tensor,
)
from stepwell.dialects.emit import Emitter, scalar_attr
from stepwell.dialects.errors import DTypeError, ShapeError

Ints = DenseArrayBase[IntegerType]
Scalar = FloatAttr | IntegerAttr


def values(attribute: Attribute) -> tuple[int, ...]:
    """The integers of an `array<i64: ...>` attribute."""
    return cast(Ints, attribute).get_values()


def number(attribute: Attribute) -> float | int | bool:
    """The Python number of a scalar attribute."""
    scalar = cast(Scalar, attribute)
    return bool(scalar.value.data) if is_bool(scalar.type) else scalar.value.data


def _check_axes(name: str, axes: Sequence[int], rank: int, what: str = "axes") -> None:
    """`axes` are distinct and name dimensions of a tensor of that rank."""
    if len(set(axes)) != len(axes) or any(not 0 <= axis < rank for axis in axes):
        raise ShapeError(
            f"{name}: {what} {list(axes)} are not distinct dimensions of a rank-{rank} tensor"
        )


def _check_count(name: str, what: str, given: Sequence[int], rank: int) -> None:
    if len(given) != rank:
        raise ShapeError(
            f"{name}: {what} has {len(given)} entries for a tensor of {rank} dimensions"
        )


def _nowhere(result_rank: int, rank: int) -> AffineMap:
    """The source of a result without elements: no index is ever looked up."""
    return AffineMap(result_rank, 0, (AffineExpr.constant(0),) * rank)


def _reshape_groups(
    source: Sequence[int], result: Sequence[int]
) -> Iterator[tuple[list[int], list[int]]]:
    """The smallest runs of dimensions of both shapes with equal products; size-1 ones left out."""
    sources = [axis for axis, size in enumerate(source) if size != 1]
    results = [axis for axis, size in enumerate(result) if size != 1]
    s = r = 0
    while s < len(sources):
        s_end, r_end = s + 1, r + 1
        s_size, r_size = source[sources[s]], result[results[r]]
        while s_size != r_size:
            if s_size < r_size:
                s_size *= source[sources[s_end]]
                s_end += 1
            else:
                r_size *= result[results[r_end]]
                r_end += 1
        yield sources[s:s_end], results[r:r_end]
        s, r = s_end, r_end


def _digit(terms: Sequence[tuple[int, int, int]], stride: int, size: int) -> AffineExpr:
    """`(sum coefficient * dimension) floordiv stride mod size`, simplified by the known ranges.

    `terms` are (coefficient, dimension, size of the dimension). Multiples of `stride * size`
    vanish, multiples of `stride` leave the floordiv, and what is below the divisor needs none.
    """
    terms = [term for term in terms if term[0] % (stride * size)]
    whole = [term for term in terms if term[0] % stride == 0]
    rest = [term for term in terms if term[0] % stride]

    def total(terms: Sequence[tuple[int, int, int]], divisor: int = 1) -> AffineExpr:
        parts = [AffineExpr.dimension(axis) * (factor // divisor) for factor, axis, _ in terms]
        return sum(parts[1:], start=parts[0]) if parts else AffineExpr.constant(0)

    def maximum(terms: Sequence[tuple[int, int, int]]) -> int:
        return sum(factor * (extent - 1) for factor, _, extent in terms)

    digit = total(whole, stride)
    if maximum(rest) >= stride:
        digit = digit + total(rest) // stride
    return digit if maximum(terms) < stride * size else digit % size


@irdl_op_definition
class ReshapeOp(ViewOp):
    """The same elements in row-major order under another shape of equal size."""

    name = "array.reshape"
    shape = prop_def(DenseArrayBase.constr(i64))

    assembly_format = "$operand `shape` $shape attr-dict `:` functional-type(operands, results)"

    def __init__(
        self, operand: SSAValue, shape: Sequence[int], location: LocationAttr | None = None
    ):
        super().__init__(operand, shape=ints(shape), location=location)

    @classmethod
    def infer(
        cls, operands: Sequence[Tensor], properties: Mapping[str, Attribute]
    ) -> Sequence[Tensor]:
        old, new = operands[0].get_shape(), values(properties["shape"])
        if prod(old) != prod(new) or any(size < 0 for size in new):
            raise ShapeError(
                f"{cls.name}: cannot view {prod(old)} elements of shape {list(old)} as {list(new)}"
            )
        return (tensor(new, operands[0].element_type),)

    def evaluate(self, *arrays: NumPyArray) -> Sequence[NumPyArray]:
        return (arrays[0].reshape(shape_of(self.result)),)

    def source(self) -> AffineMap:
        old, new = shape_of(self.operand), shape_of(self.result)
        if prod(old) == 0:
            return _nowhere(len(new), len(old))
        exprs: list[AffineExpr] = [AffineExpr.constant(0)] * len(old)
        for sources, results in _reshape_groups(old, new):
            terms: list[tuple[int, int, int]] = []
            stride = 1
            for axis in reversed(results):
                terms.insert(0, (stride, axis, new[axis]))
                stride *= new[axis]
            stride = 1
            for axis in reversed(sources):
                exprs[axis] = _digit(terms, stride, old[axis])
                stride *= old[axis]
        return AffineMap(len(new), 0, tuple(exprs))

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        return (emit(ReshapeOp(cotangents[0], shape_of(self.operand))),)


@irdl_op_definition
class TransposeOp(ViewOp):
    """result[i] = operand[j] with j[permutation[k]] = i[k], as `numpy.transpose`."""

    name = "array.transpose"
    permutation = prop_def(DenseArrayBase.constr(i64))

    assembly_format = (
        "$operand `permutation` $permutation attr-dict `:` functional-type(operands, results)"
    )

    def __init__(
        self, operand: SSAValue, permutation: Sequence[int], location: LocationAttr | None = None
    ):
        super().__init__(operand, permutation=ints(permutation), location=location)

    @classmethod
    def infer(
        cls, operands: Sequence[Tensor], properties: Mapping[str, Attribute]
    ) -> Sequence[Tensor]:
        shape, permutation = operands[0].get_shape(), values(properties["permutation"])
        _check_count(cls.name, "permutation", permutation, len(shape))
        _check_axes(cls.name, permutation, len(shape), "permutation")
        return (tensor([shape[axis] for axis in permutation], operands[0].element_type),)

    def evaluate(self, *arrays: NumPyArray) -> Sequence[NumPyArray]:
        return (arrays[0].transpose(values(self.permutation)),)

    def inverse(self) -> tuple[int, ...]:
        """The permutation that undoes this one."""
        permutation = values(self.permutation)
        return tuple(permutation.index(axis) for axis in range(len(permutation)))

    def source(self) -> AffineMap:
        inverse = self.inverse()
        return AffineMap(len(inverse), 0, tuple(AffineExpr.dimension(axis) for axis in inverse))

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        return (emit(TransposeOp(cotangents[0], self.inverse())),)


@irdl_op_definition
class BroadcastOp(ViewOp):
    """Operand dimension k becomes dimension dims[k] of the result; size-1 ones stretch.

    `dims` increases strictly; dimensions of the result that it does not name repeat the operand.
    """

    name = "array.broadcast"
    shape = prop_def(DenseArrayBase.constr(i64))
    dims = prop_def(DenseArrayBase.constr(i64))

    assembly_format = (
        "$operand `shape` $shape `dims` $dims attr-dict `:` functional-type(operands, results)"
    )

    def __init__(
        self,
        operand: SSAValue,
        shape: Sequence[int],
        dims: Sequence[int],
        location: LocationAttr | None = None,
    ):
        super().__init__(operand, shape=ints(shape), dims=ints(dims), location=location)

    @classmethod
    def infer(
        cls, operands: Sequence[Tensor], properties: Mapping[str, Attribute]
    ) -> Sequence[Tensor]:
        old = operands[0].get_shape()
        new, dims = values(properties["shape"]), values(properties["dims"])
        _check_count(cls.name, "dims", dims, len(old))
        _check_axes(cls.name, dims, len(new), "dims")
        if list(dims) != sorted(dims):
            raise ShapeError(f"{cls.name}: dims {list(dims)} do not increase; transpose first")
        for axis, size in zip(dims, old, strict=True):
            if size not in (1, new[axis]):
                raise ShapeError(
                    f"{cls.name}: dimension of size {size} of {list(old)} cannot stretch to "
                    f"dimension {axis} of {list(new)}"
                )
        return (tensor(new, operands[0].element_type),)

    def evaluate(self, *arrays: NumPyArray) -> Sequence[NumPyArray]:
        new = shape_of(self.result)
        aligned = [1] * len(new)
        for axis, size in zip(values(self.dims), arrays[0].shape, strict=True):
            aligned[axis] = size
        return (np.broadcast_to(arrays[0].reshape(aligned), new),)

    def source(self) -> AffineMap:
        exprs = tuple(
            AffineExpr.constant(0) if size == 1 else AffineExpr.dimension(axis)
            for axis, size in zip(values(self.dims), shape_of(self.operand), strict=True)
        )
        return AffineMap(len(shape_of(self.result)), 0, exprs)

    def repeated(self) -> list[int]:
        """The dimensions of the result along which it repeats the operand."""
        kept = {
            axis
            for axis, size in zip(values(self.dims), shape_of(self.operand), strict=True)
            if size == shape_of(self.result)[axis]
        }
        return [axis for axis in range(len(shape_of(self.result))) if axis not in kept]

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        # Sums broadcast their gradients and broadcasts sum theirs: one import has to wait.
        from stepwell.dialects.array.reduction import SumOp

        (ct,) = cotangents
        if repeated := self.repeated():
            ct = emit(SumOp(ct, repeated))
        if shape_of(ct) != shape_of(self.operand):
            ct = emit(ReshapeOp(ct, shape_of(self.operand)))
        return (ct,)


@irdl_op_definition
class SliceOp(ViewOp):
    """result[i] = operand[starts + i * strides], below `limits`; strides are positive."""

    name = "array.slice"
    starts = prop_def(DenseArrayBase.constr(i64))
    limits = prop_def(DenseArrayBase.constr(i64))
    strides = prop_def(DenseArrayBase.constr(i64))

    assembly_format = (
        "$operand `starts` $starts `limits` $limits `strides` $strides attr-dict "
        "`:` functional-type(operands, results)"
    )

    def __init__(
        self,
        operand: SSAValue,
        starts: Sequence[int],
        limits: Sequence[int],
        strides: Sequence[int] | None = None,
        location: LocationAttr | None = None,
    ):
        strides = [1] * len(starts) if strides is None else strides
        super().__init__(
            operand,
            starts=ints(starts),
            limits=ints(limits),
            strides=ints(strides),
            location=location,
        )

    @classmethod
    def infer(
        cls, operands: Sequence[Tensor], properties: Mapping[str, Attribute]
    ) -> Sequence[Tensor]:
        shape = operands[0].get_shape()
        starts, limits, strides = (values(properties[n]) for n in ("starts", "limits", "strides"))
        for what, given in (("starts", starts), ("limits", limits), ("strides", strides)):
            _check_count(cls.name, what, given, len(shape))
        for axis, size in enumerate(shape):
            if not 0 <= starts[axis] <= limits[axis] <= size or strides[axis] < 1:
                raise ShapeError(
                    f"{cls.name}: {starts[axis]}:{limits[axis]}:{strides[axis]} is no slice of "
                    f"dimension {axis} of {list(shape)}"
                )
        lengths = [
            -(-(limit - start) // stride)
            for start, limit, stride in zip(starts, limits, strides, strict=True)
        ]
        return (tensor(lengths, operands[0].element_type),)

    def evaluate(self, *arrays: NumPyArray) -> Sequence[NumPyArray]:
        bounds = (values(self.starts), values(self.limits), values(self.strides))
        return (arrays[0][tuple(slice(*bound) for bound in zip(*bounds, strict=True))],)

    def source(self) -> AffineMap:
        starts, strides = values(self.starts), values(self.strides)
        if 0 in shape_of(self.result):
            return _nowhere(len(starts), len(starts))
        exprs = tuple(
            AffineExpr.dimension(axis) * stride + start
            for axis, (start, stride) in enumerate(zip(starts, strides, strict=True))
        )
        return AffineMap(len(exprs), 0, exprs)

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        low, strides = values(self.starts), values(self.strides)
        interior = [stride - 1 for stride in strides]
        high = [
            max(size - start - (length - 1) * stride - 1, 0) if length else size - start
            for size, start, stride, length in zip(
                shape_of(self.operand), low, strides, shape_of(self.result), strict=True
            )
        ]
        return (emit(PadOp(cotangents[0], low, high, 0, interior)),)


@irdl_op_definition
class FlipOp(ViewOp):
    """The elements in reverse order along `axes`."""

    name = "array.flip"
    axes = prop_def(DenseArrayBase.constr(i64))

    assembly_format = "$operand `axes` $axes attr-dict `:` functional-type(operands, results)"

    def __init__(
        self, operand: SSAValue, axes: Sequence[int], location: LocationAttr | None = None
    ):
        super().__init__(operand, axes=ints(sorted(axes)), location=location)

    @classmethod
    def infer(
        cls, operands: Sequence[Tensor], properties: Mapping[str, Attribute]
    ) -> Sequence[Tensor]:
        _check_axes(cls.name, values(properties["axes"]), operands[0].get_num_dims())
        return (operands[0],)

    def evaluate(self, *arrays: NumPyArray) -> Sequence[NumPyArray]:
        return (np.flip(arrays[0], values(self.axes)),)

    def source(self) -> AffineMap:
        axes, shape = values(self.axes), shape_of(self.operand)
        if 0 in shape:
            return _nowhere(len(shape), len(shape))
        exprs = tuple(
            AffineExpr.dimension(axis) * -1 + (size - 1)
            if axis in axes
            else AffineExpr.dimension(axis)
            for axis, size in enumerate(shape)
        )
        return AffineMap(len(exprs), 0, exprs)

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        return (emit(FlipOp(cotangents[0], values(self.axes))),)


def extract(emit: Emitter, operand: SSAValue, at: Sequence[SSAValue]) -> SSAValue:
    """`operand[at]` inside a body; the position must be in bounds."""
    return emit(tensor_dialect.ExtractOp(operand, at, element_of(operand)))


@irdl_op_definition
class PadOp(IndexedOp):
    """`low` elements of `value` before, `high` after, and `interior` between the elements."""

    name = "array.pad"
    operand = operand_def(AnyTensorTypeConstr)
    result = result_def(AnyTensorTypeConstr)
    value = prop_def(Attribute)
    low = prop_def(DenseArrayBase.constr(i64))
    high = prop_def(DenseArrayBase.constr(i64))
    interior = prop_def(DenseArrayBase.constr(i64))

    assembly_format = (
        "$operand `value` $value `low` $low `high` $high `interior` $interior attr-dict "
        "`:` functional-type(operands, results)"
    )

    def __init__(
        self,
        operand: SSAValue,
        low: Sequence[int],
        high: Sequence[int],
        value: float = 0,
        interior: Sequence[int] | None = None,
        location: LocationAttr | None = None,
    ):
        super().__init__(
            operand,
            value=scalar_attr(value, element_of(operand)),
            low=ints(low),
            high=ints(high),
            interior=ints([0] * len(low) if interior is None else interior),
            location=location,
        )

    @classmethod
    def infer(
        cls, operands: Sequence[Tensor], properties: Mapping[str, Attribute]
    ) -> Sequence[Tensor]:
        shape = operands[0].get_shape()
        low, high, interior = (values(properties[name]) for name in ("low", "high", "interior"))
        for what, given in (("low", low), ("high", high), ("interior", interior)):
            _check_count(cls.name, what, given, len(shape))
            if any(amount < 0 for amount in given):
                raise ShapeError(f"{cls.name}: {what} {list(given)} is negative; slice instead")
        _check_scalar(cls.name, properties["value"], operands[0].element_type)
        padded = [
            low[axis] + size + max(size - 1, 0) * interior[axis] + high[axis]
            for axis, size in enumerate(shape)
        ]
        return (tensor(padded, operands[0].element_type),)

    def _inside(self) -> tuple[slice, ...]:
        """The positions of the operand's elements in the result."""
        low, interior = values(self.low), values(self.interior)
        return tuple(
            slice(low[axis], low[axis] + size * (interior[axis] + 1), interior[axis] + 1)
            if size
            else slice(0, 0)
            for axis, size in enumerate(shape_of(self.operand))
        )

    def evaluate(self, *arrays: NumPyArray) -> Sequence[NumPyArray]:
        result = np.full(shape_of(self.result), number(self.value), arrays[0].dtype)
        limits = shape_of(self.result)
        inside = tuple(
            slice(s.start, min(s.stop, limit), s.step)
            for s, limit in zip(self._inside(), limits, strict=True)
        )
        result[inside] = arrays[0]
        return (result,)

    def point(
        self, emit: Emitter, index: Sequence[SSAValue], operands: Sequence[SSAValue]
    ) -> SSAValue:
        element = signless(element_of(self.operand))
        fill = emit.constant(number(self.value), element)
        shape = shape_of(self.operand)
        if 0 in shape:
            return fill
        low, high, interior = values(self.low), values(self.high), values(self.interior)
        at = list(index)
        inside: list[SSAValue] = []

        def require(predicate: str, lhs: SSAValue, bound: int) -> None:
            inside.append(emit(arith.CmpiOp(lhs, emit.constant(bound, lhs.type), predicate)))

        for axis, size in enumerate(shape):
            if low[axis]:
                require("uge", at[axis], low[axis])
                least = emit.constant(low[axis], at[axis].type)
                at[axis] = emit(arith.SubiOp(emit(arith.MaxUIOp(at[axis], least)), least))
            if step := interior[axis]:
                stride = emit.constant(step + 1, at[axis].type)
                require("eq", emit(arith.RemUIOp(at[axis], stride)), 0)
                at[axis] = emit(arith.DivUIOp(at[axis], stride))
            if high[axis]:
                require("ult", at[axis], size)
                last = emit.constant(size - 1, at[axis].type)
                at[axis] = emit(arith.MinUIOp(at[axis], last))
        value = extract(emit, operands[0], at)
        if not inside:
            return value
        every = inside[0]
        for condition in inside[1:]:
            every = emit(arith.AndIOp(every, condition))
        return emit(arith.SelectOp(every, value, fill))

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        limits = shape_of(self.result)
        inside = self._inside()
        starts = [s.start for s in inside]
        stops = [min(s.stop, limit) for s, limit in zip(inside, limits, strict=True)]
        strides = [step + 1 for step in values(self.interior)]
        return (emit(SliceOp(cotangents[0], starts, stops, strides)),)


def _check_scalar(name: str, value: Attribute, element: Attribute) -> None:
    if not isinstance(value, FloatAttr | IntegerAttr) or value.type != element:
        raise DTypeError(f"{name}: value {value} is no {dtype_name(element)} scalar")


@irdl_op_definition
class ConcatenateOp(ArrayOp):
    """The operands one after another along `axis`."""

    name = "array.concatenate"
    inputs = var_operand_def(AnyTensorTypeConstr)
    result = result_def(AnyTensorTypeConstr)
    axis = prop_def(IntegerAttr.constr(i64))

    assembly_format = "$inputs `axis` $axis attr-dict `:` functional-type(operands, results)"

    def __init__(self, inputs: Sequence[SSAValue], axis: int, location: LocationAttr | None = None):
        super().__init__(*inputs, axis=IntegerAttr(axis, i64), location=location)

    @classmethod
    def infer(
        cls, operands: Sequence[Tensor], properties: Mapping[str, Attribute]
    ) -> Sequence[Tensor]:
        if not operands:
            raise ShapeError(f"{cls.name}: needs an operand")
        axis = int(number(properties["axis"]))
        first = operands[0]
        _check_axes(cls.name, [axis], first.get_num_dims(), "axis")

        def others(operand: Tensor) -> tuple[int, ...]:
            return operand.get_shape()[:axis] + operand.get_shape()[axis + 1 :]

        for position, operand in enumerate(operands):
            if operand.element_type != first.element_type:
                raise DTypeError(
                    f"{cls.name}: operand {position} is {dtype_name(operand.element_type)}, "
                    f"operand 0 is {dtype_name(first.element_type)}; cast one"
                )
            same_rank = operand.get_num_dims() == first.get_num_dims()
            if not same_rank or others(operand) != others(first):
                raise ShapeError(
                    f"{cls.name}: operand {position} has shape {list(operand.get_shape())}, which "
                    f"differs from operand 0's {list(first.get_shape())} beyond axis {axis}"
                )
        shape = list(first.get_shape())
        shape[axis] = sum(operand.get_shape()[axis] for operand in operands)
        return (tensor(shape, first.element_type),)

    def evaluate(self, *arrays: NumPyArray) -> Sequence[NumPyArray]:
        return (np.concatenate(arrays, int(number(self.axis))),)

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        axis = int(number(self.axis))
        offsets = accumulate((shape_of(operand)[axis] for operand in self.operands), initial=0)
        shape = shape_of(self.result)
        gradients: list[SSAValue] = []
        for start, end in pairwise(offsets):
            starts, limits = [0] * len(shape), list(shape)
            starts[axis], limits[axis] = start, end
            gradients.append(emit(SliceOp(cotangents[0], starts, limits)))
        return gradients


@irdl_op_definition
class IotaOp(IndexedOp):
    """result[i] = i[axis], in any dtype but bool."""

    name = "array.iota"
    result = result_def(AnyTensorTypeConstr)
    shape = prop_def(DenseArrayBase.constr(i64))
    axis = prop_def(IntegerAttr.constr(i64))
    element = prop_def(Attribute)

    assembly_format = "$element `shape` $shape `axis` $axis attr-dict `:` type($result)"

    def __init__(
        self,
        shape: Sequence[int],
        axis: int,
        element: Attribute,
        location: LocationAttr | None = None,
    ):
        super().__init__(
            shape=ints(shape), axis=IntegerAttr(axis, i64), element=element, location=location
        )

    @classmethod
    def infer(
        cls, operands: Sequence[Tensor], properties: Mapping[str, Attribute]
    ) -> Sequence[Tensor]:
        shape, element = values(properties["shape"]), properties["element"]
        _check_axes(cls.name, [int(number(properties["axis"]))], len(shape), "axis")
        if dtype_name(element) == "bool" or is_narrow(element):
            raise DTypeError(f"{cls.name}: positions are no {dtype_name(element)}; cast them")
        return (tensor(shape, element),)

    def evaluate(self, *arrays: NumPyArray) -> Sequence[NumPyArray]:
        shape, axis = shape_of(self.result), int(number(self.axis))
        aligned = [-1 if k == axis else 1 for k in range(len(shape))]
        positions = np.arange(shape[axis]).astype(numpy_dtype(self.element)).reshape(aligned)
        return (np.broadcast_to(positions, shape),)

    def point(
        self, emit: Emitter, index: Sequence[SSAValue], operands: Sequence[SSAValue]
    ) -> SSAValue:
        position = emit(arith.IndexCastOp(index[int(number(self.axis))], i32))
        if isinstance(self.element, AnyFloat):
            return emit(arith.UIToFPOp(position, self.element))
        return position

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        return ()


@irdl_op_definition
class ConstantOp(ArrayOp):
    """A few given elements. Weights are arguments, never constants."""

    name = "array.constant"
    result = result_def(AnyTensorTypeConstr)
    value = prop_def(DenseIntOrFPElementsAttr)

    assembly_format = "$value attr-dict `:` type($result)"

    def __init__(self, array: NumPyArray, element: Attribute, location: LocationAttr | None = None):
        type_ = cast(TensorType[IntegerType], tensor(array.shape, element))
        dense = DenseIntOrFPElementsAttr.from_list(type_, array.ravel().tolist())
        super().__init__(value=dense, location=location)

    @classmethod
    def infer(
        cls, operands: Sequence[Tensor], properties: Mapping[str, Attribute]
    ) -> Sequence[Tensor]:
        dense = cast(DenseIntOrFPElementsAttr, properties["value"])
        dtype_name(dense.get_element_type())
        return (tensor(dense.get_shape(), dense.get_element_type()),)

    def evaluate(self, *arrays: NumPyArray) -> Sequence[NumPyArray]:
        return (
            np.array(self.value.get_values(), dtype=object)
            .astype(numpy_dtype(element_of(self.result)))
            .reshape(shape_of(self.result)),
        )

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        return ()


@irdl_op_definition
class FullOp(ArrayOp):
    """Every element is `value`."""

    name = "array.full"
    result = result_def(AnyTensorTypeConstr)
    value = prop_def(Attribute)
    shape = prop_def(DenseArrayBase.constr(i64))

    assembly_format = "$value `shape` $shape attr-dict `:` type($result)"

    def __init__(
        self,
        value: float,
        shape: Sequence[int],
        element: Attribute,
        location: LocationAttr | None = None,
    ):
        super().__init__(value=scalar_attr(value, element), shape=ints(shape), location=location)

    @classmethod
    def infer(
        cls, operands: Sequence[Tensor], properties: Mapping[str, Attribute]
    ) -> Sequence[Tensor]:
        value, shape = properties["value"], values(properties["shape"])
        if not isinstance(value, FloatAttr | IntegerAttr):
            raise DTypeError(f"{cls.name}: value {value} is no scalar")
        dtype_name(value.type)
        if any(size < 0 for size in shape):
            raise ShapeError(f"{cls.name}: shape {list(shape)} has a negative size")
        return (tensor(shape, value.type),)

    def evaluate(self, *arrays: NumPyArray) -> Sequence[NumPyArray]:
        element = element_of(self.result)
        return (np.full(shape_of(self.result), number(self.value), numpy_dtype(element)),)

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        return ()


OPERATIONS = [
    ReshapeOp,
    TransposeOp,
    BroadcastOp,
    SliceOp,
    FlipOp,
    PadOp,
    ConcatenateOp,
    IotaOp,
    ConstantOp,
    FullOp,
]
