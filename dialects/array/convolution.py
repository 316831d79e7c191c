"""Convolutions: contractions whose operand is read through overlapping windows.

A convolution and its two gradients are three bilinear operations, each the derivative of the
others. All decompose into `array.windows`, a view, and `array.dot_general`: there is no kernel
of their own. Layouts are PyTorch's and ONNX's: data [n, groups * c, spatial...], weight
[groups * f, c, kernel...].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import (
    AnyTensorTypeConstr,
    DenseArrayBase,
    IntegerAttr,
    LocationAttr,
    i64,
)
from xdsl.ir import Attribute, SSAValue
from xdsl.ir.affine import AffineExpr, AffineMap
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def

from stepwell.dialects.array.base import (
    ArrayOp,
    CompositeOp,
    NumPyArray,
    Tensor,
    ViewOp,
    dtype_name,
    element_of,
    ints,
    shape_of,
    tensor,
)
from stepwell.dialects.array.build import full, zeros_like
from stepwell.dialects.array.contraction import DotGeneralOp
from stepwell.dialects.array.elementwise import AddOp
from stepwell.dialects.array.shape import (
    FlipOp,
    PadOp,
    ReshapeOp,
    SliceOp,
    TransposeOp,
    number,
    values,
)
from stepwell.dialects.emit import Emitter
from stepwell.dialects.errors import DTypeError, ShapeError


def _windows(size: int, kernel: int, stride: int, dilation: int) -> int:
    """How many windows fit into a dimension."""
    return max((size - dilation * (kernel - 1) - 1) // stride + 1, 0)


@irdl_op_definition
class WindowsOp(ViewOp):
    """result[p, o, k] = operand[p, o * strides + k * dilations]: windows of the last dimensions.

    The result has a dimension for the windows' position and one for the place within a window for
    each of the operand's last dimensions: first all positions, then all places.
    """

    name = "array.windows"
    kernel = prop_def(DenseArrayBase.constr(i64))
    strides = prop_def(DenseArrayBase.constr(i64))
    dilations = prop_def(DenseArrayBase.constr(i64))

    assembly_format = (
        "$operand `kernel` $kernel `strides` $strides `dilations` $dilations attr-dict "
        "`:` functional-type(operands, results)"
    )

    def __init__(
        self,
        operand: SSAValue,
        kernel: Sequence[int],
        strides: Sequence[int],
        dilations: Sequence[int],
        location: LocationAttr | None = None,
    ):
        super().__init__(
            operand,
            kernel=ints(kernel),
            strides=ints(strides),
            dilations=ints(dilations),
            location=location,
        )

    @classmethod
    def infer(
        cls, operands: Sequence[Tensor], properties: Mapping[str, Attribute]
    ) -> Sequence[Tensor]:
        shape = operands[0].get_shape()
        kernel, strides, dilations = (
            values(properties[name]) for name in ("kernel", "strides", "dilations")
        )
        rank = len(kernel)
        if rank > len(shape) or len(strides) != rank or len(dilations) != rank:
            raise ShapeError(
                f"{cls.name}: kernel {list(kernel)}, strides {list(strides)} and dilations "
                f"{list(dilations)} do not fit {list(shape)}"
            )
        if any(value < 1 for value in (*kernel, *strides, *dilations)):
            raise ShapeError(f"{cls.name}: kernel, strides and dilations are at least 1")
        first = len(shape) - rank
        sizes = map(_windows, shape[first:], kernel, strides, dilations)
        return (tensor([*shape[:first], *sizes, *kernel], operands[0].element_type),)

    def evaluate(self, *arrays: NumPyArray) -> Sequence[NumPyArray]:
        return (
            _numpy_windows(
                arrays[0], values(self.kernel), values(self.strides), values(self.dilations)
            ),
        )

    def source(self) -> AffineMap:
        kernel, strides, dilations = (
            values(p) for p in (self.kernel, self.strides, self.dilations)
        )
        rank, first = len(kernel), len(shape_of(self.operand)) - len(kernel)
        if 0 in shape_of(self.result):
            zeros = tuple(AffineExpr.constant(0) for _ in range(first + rank))
            return AffineMap(first + 2 * rank, 0, zeros)
        exprs = [AffineExpr.dimension(axis) for axis in range(first)]
        for axis in range(rank):
            position = AffineExpr.dimension(first + axis) * strides[axis]
            place = AffineExpr.dimension(first + rank + axis) * dilations[axis]
            exprs.append(position + place)
        return AffineMap(first + 2 * rank, 0, tuple(exprs))

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        kernel, strides, dilations = (
            values(p) for p in (self.kernel, self.strides, self.dilations)
        )
        (ct,) = cotangents
        shape, rank = shape_of(self.operand), len(kernel)
        first = len(shape) - rank
        if 0 in shape_of(self.result):
            return (zeros_like(emit, self.operand),)
        sizes = shape_of(self.result)[first : first + rank]
        total: SSAValue | None = None
        for place in np.ndindex(*kernel):
            starts = [0] * (first + rank) + list(place)
            limits = [*shape_of(ct)[: first + rank], *(at + 1 for at in place)]
            part = emit(ReshapeOp(emit(SliceOp(ct, starts, limits)), [*shape[:first], *sizes]))
            low = [0] * first + [at * d for at, d in zip(place, dilations, strict=True)]
            spread = [0] * first + [(n - 1) * s + 1 for n, s in zip(sizes, strides, strict=True)]
            high = [
                0 if axis < first else shape[axis] - low[axis] - spread[axis]
                for axis in range(len(shape))
            ]
            interior = [0] * first + [s - 1 for s in strides]
            part = emit(PadOp(part, low, high, 0, interior))
            total = part if total is None else emit(AddOp(total, part))
        assert total is not None
        return (total,)


def _numpy_windows(
    array: NumPyArray, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> NumPyArray:
    rank = len(kernel)
    first = array.ndim - rank
    sizes = list(map(_windows, array.shape[first:], kernel, strides, dilations))
    result = np.empty((*array.shape[:first], *sizes, *kernel), array.dtype)
    for place in np.ndindex(*kernel):
        taken = tuple(
            slice(at * d, at * d + n * s, s)
            for at, d, n, s in zip(place, dilations, sizes, strides, strict=True)
        )
        part = array[(..., *taken)]
        cut = tuple(slice(0, n) for n in sizes)
        result[(..., *([slice(None)] * rank), *place)] = part[(..., *cut)]
    return result


class _ConvolutionOp(CompositeOp):
    """What a convolution and its gradients share: how windows lie in the data."""

    lhs = operand_def(AnyTensorTypeConstr)
    rhs = operand_def(AnyTensorTypeConstr)
    result = result_def(AnyTensorTypeConstr)
    strides = prop_def(DenseArrayBase.constr(i64))
    low = prop_def(DenseArrayBase.constr(i64))
    high = prop_def(DenseArrayBase.constr(i64))
    dilations = prop_def(DenseArrayBase.constr(i64))
    groups = prop_def(IntegerAttr.constr(i64))

    def __init__(
        self,
        lhs: SSAValue,
        rhs: SSAValue,
        properties: Mapping[str, Any],
        location: LocationAttr | None = None,
    ):
        super().__init__(lhs, rhs, location=location, **properties)

    @property
    def form(self) -> dict[str, Attribute]:
        """The properties that the three operations share."""
        names = ("strides", "low", "high", "dilations", "groups")
        return {name: self.properties[name] for name in names}

    def decoded(
        self,
    ) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...], int]:
        """strides, low, high, dilations, groups."""
        return (
            values(self.strides),
            values(self.low),
            values(self.high),
            values(self.dilations),
            int(number(self.groups)),
        )


def form_of(
    strides: Sequence[int],
    low: Sequence[int],
    high: Sequence[int],
    dilations: Sequence[int],
    groups: int,
) -> dict[str, Attribute]:
    """The properties of a convolution."""
    return {
        "strides": ints(strides),
        "low": ints(low),
        "high": ints(high),
        "dilations": ints(dilations),
        "groups": IntegerAttr(groups, i64),
    }


def _output_shape(
    name: str, data: Sequence[int], weight: Sequence[int], properties: Mapping[str, Attribute]
) -> list[int]:
    """The shape of a convolution; `ShapeError` where operands and properties do not fit."""
    strides, low, high, dilations = (
        values(properties[key]) for key in ("strides", "low", "high", "dilations")
    )
    groups, rank = int(number(properties["groups"])), len(data) - 2
    if rank < 1 or len(weight) != len(data):
        raise ShapeError(
            f"{name}: data {list(data)} and weight {list(weight)} must both have a rank of 3 or "
            "more: [n, channels, spatial...] and [outputs, channels / groups, kernel...]"
        )
    for what, given in (
        ("strides", strides),
        ("low", low),
        ("high", high),
        ("dilations", dilations),
    ):
        if len(given) != rank:
            raise ShapeError(f"{name}: {what} {list(given)} must have {rank} elements")
    if any(value < 1 for value in (*strides, *dilations, groups)):
        raise ShapeError(f"{name}: strides, dilations and groups are at least 1")
    if any(value < 0 for value in (*low, *high)):
        raise ShapeError(f"{name}: padding {list(low)}, {list(high)} is negative")
    if data[1] != weight[1] * groups:
        raise ShapeError(
            f"{name}: data {list(data)} has {data[1]} channels, but weight {list(weight)} in "
            f"{groups} groups takes {weight[1] * groups}"
        )
    if weight[0] % groups:
        raise ShapeError(f"{name}: {weight[0]} outputs do not divide into {groups} groups")
    if 0 in weight[2:]:
        raise ShapeError(f"{name}: the kernel of weight {list(weight)} is empty")
    padded = [size + a + b for size, a, b in zip(data[2:], low, high, strict=True)]
    for axis, (size, k, d) in enumerate(zip(padded, weight[2:], dilations, strict=True)):
        if size < d * (k - 1) + 1:
            raise ShapeError(
                f"{name}: the kernel spans {d * (k - 1) + 1} elements of spatial dimension {axis}, "
                f"which has {size} with its padding"
            )
    sizes = map(_windows, padded, weight[2:], strides, dilations)
    return [data[0], weight[0], *sizes]


def _check_dtypes(name: str, lhs: Tensor, rhs: Tensor, accepts: str = "f32 f16") -> None:
    if lhs.element_type != rhs.element_type:
        left, right = dtype_name(lhs.element_type), dtype_name(rhs.element_type)
        raise DTypeError(f"{name}: operands are {left} and {right}; cast one")
    if dtype_name(lhs.element_type) not in accepts.split():
        raise DTypeError(f"{name}: takes {accepts}, not {dtype_name(lhs.element_type)}")


def _padded(emit: Emitter, x: SSAValue, low: Sequence[int], high: Sequence[int]) -> SSAValue:
    """`x` with zeros around its last dimensions, or without what negative amounts cut off."""
    shape = shape_of(x)
    first = len(shape) - len(low)
    if any(value < 0 for value in (*low, *high)):
        starts = [0] * first + [max(-value, 0) for value in low]
        limits = [
            *shape[:first],
            *(n - max(-value, 0) for n, value in zip(shape[first:], high, strict=True)),
        ]
        x = emit(SliceOp(x, starts, limits))
    low, high = ([max(value, 0) for value in side] for side in (low, high))
    if not any((*low, *high)):
        return x
    return emit(PadOp(x, [0] * first + list(low), [0] * first + list(high)))


def _grouped_windows(
    emit: Emitter, x: SSAValue, kernel: Sequence[int], op: _ConvolutionOp
) -> SSAValue:
    """Windows [n, g, c, positions..., kernel...] of the padded data."""
    strides, low, high, dilations, groups = op.decoded()
    n, channels, *spatial = shape_of(x)
    x = emit(ReshapeOp(x, [n, groups, channels // groups, *spatial]))
    x = _padded(emit, x, low, high)
    return emit(WindowsOp(x, kernel, strides, dilations))


def _numpy_padded(x: NumPyArray, low: Sequence[int], high: Sequence[int]) -> NumPyArray:
    return np.pad(x, [(0, 0)] * 2 + list(zip(low, high, strict=True)))


def _wide(array: NumPyArray) -> NDArray[Any]:
    return array.astype(np.float32) if array.dtype == np.float16 else array


@irdl_op_definition
class ConvolutionOp(_ConvolutionOp):
    """y[n, f, o] = sum over c, k of x[n, c, o * strides + k * dilations - low] * w[f, c, k].

    `x` is zero outside; f and c run within each of the groups. f16 is accumulated in f32.
    """

    name = "array.convolution"

    assembly_format = (
        "$lhs `,` $rhs `strides` $strides `low` $low `high` $high `dilations` $dilations "
        "`groups` $groups attr-dict `:` functional-type(operands, results)"
    )

    @classmethod
    def infer(
        cls, operands: Sequence[Tensor], properties: Mapping[str, Attribute]
    ) -> Sequence[Tensor]:
        x, weight = operands
        _check_dtypes(cls.name, x, weight, "f32 f16 i32 u32")
        shape = _output_shape(cls.name, x.get_shape(), weight.get_shape(), properties)
        return (tensor(shape, x.element_type),)

    def evaluate(self, *arrays: NumPyArray) -> Sequence[NumPyArray]:
        strides, low, high, dilations, groups = self.decoded()
        x, weight = map(_wide, arrays)
        outputs, inner, *kernel = weight.shape
        windows = _numpy_windows(_numpy_padded(x, low, high), kernel, strides, dilations)
        shape = shape_of(self.result)
        rank = len(kernel)
        result = np.empty((x.shape[0], outputs, *shape[2:]), x.dtype)
        share = outputs // groups
        for group in range(groups):
            own = slice(group * inner, (group + 1) * inner)
            out = slice(group * share, (group + 1) * share)
            axes = ([1, *range(2 + rank, 2 + 2 * rank)], list(range(1, 2 + rank)))
            product = np.tensordot(windows[:, own], weight[out], axes)
            result[:, out] = np.moveaxis(product, -1, 1)
        return (result.astype(arrays[0].dtype),)

    def decompose(self, emit: Emitter, *operands: SSAValue) -> Sequence[SSAValue]:
        x, weight = operands
        groups = int(number(self.groups))
        outputs, inner, *kernel = shape_of(weight)
        rank = len(kernel)
        windows = _grouped_windows(emit, x, kernel, self)
        weight = emit(ReshapeOp(weight, [groups, outputs // groups, inner, *kernel]))
        product = emit(
            DotGeneralOp(
                windows,
                weight,
                lhs_batch=[1],
                rhs_batch=[0],
                lhs_contracting=[2, *range(3 + rank, 3 + 2 * rank)],
                rhs_contracting=list(range(2, 3 + rank)),
            )
        )
        # [g, n, positions..., f] becomes [n, g, f, positions...].
        product = emit(TransposeOp(product, [1, 0, 2 + rank, *range(2, 2 + rank)]))
        return (emit(ReshapeOp(product, shape_of(self.result))),)

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        (ct,) = cotangents
        x, weight = self.lhs, self.rhs
        data = ConvolutionDataOp(ct, weight, self.form | {"shape": ints(shape_of(x))})
        kernel = ints(shape_of(weight)[2:])
        return emit(data), emit(ConvolutionWeightOp(x, ct, self.form | {"kernel": kernel}))


@irdl_op_definition
class ConvolutionWeightOp(_ConvolutionOp):
    """The gradient of a convolution's weight, from its data and its result's cotangent.

    w[f, c, k] = sum over n, o of x[n, c, o * strides + k * dilations - low] * y[n, f, o].
    """

    name = "array.convolution_weight"
    kernel = prop_def(DenseArrayBase.constr(i64))

    assembly_format = (
        "$lhs `,` $rhs `kernel` $kernel `strides` $strides `low` $low `high` $high `dilations` "
        "$dilations `groups` $groups attr-dict `:` functional-type(operands, results)"
    )

    @classmethod
    def infer(
        cls, operands: Sequence[Tensor], properties: Mapping[str, Attribute]
    ) -> Sequence[Tensor]:
        x, y = operands
        _check_dtypes(cls.name, x, y)
        groups = int(number(properties["groups"]))
        if x.get_num_dims() < 3 or y.get_num_dims() != x.get_num_dims() or groups < 1:
            raise ShapeError(f"{cls.name}: operands {x} and {y} are no data and result")
        inner = x.get_shape()[1] // groups
        weight = [y.get_shape()[1], inner, *values(properties["kernel"])]
        expected = _output_shape(cls.name, x.get_shape(), weight, properties)
        if list(y.get_shape()) != expected:
            raise ShapeError(
                f"{cls.name}: the cotangent has shape {list(y.get_shape())}, not {expected}"
            )
        return (tensor(weight, x.element_type),)

    def evaluate(self, *arrays: NumPyArray) -> Sequence[NumPyArray]:
        strides, low, high, dilations, groups = self.decoded()
        x, y = map(_wide, arrays)
        shape = shape_of(self.result)
        rank = len(shape) - 2
        windows = _numpy_windows(_numpy_padded(x, low, high), shape[2:], strides, dilations)
        outputs = [0, *range(2, 2 + rank)]
        inner, share = shape[1], shape[0] // groups
        parts = [
            np.tensordot(
                y[:, group * share : (group + 1) * share],
                windows[:, group * inner : (group + 1) * inner],
                (outputs, outputs),
            )
            for group in range(groups)
        ]
        return (np.concatenate(parts).astype(arrays[0].dtype),)

    def decompose(self, emit: Emitter, *operands: SSAValue) -> Sequence[SSAValue]:
        x, y = operands
        groups = int(number(self.groups))
        n, outputs, *positions = shape_of(y)
        rank = len(positions)
        windows = _grouped_windows(emit, x, values(self.kernel), self)
        y = emit(ReshapeOp(y, [n, groups, outputs // groups, *positions]))
        product = emit(
            DotGeneralOp(
                y,
                windows,
                lhs_batch=[1],
                rhs_batch=[1],
                lhs_contracting=[0, *range(3, 3 + rank)],
                rhs_contracting=[0, *range(3, 3 + rank)],
            )
        )
        return (emit(ReshapeOp(product, shape_of(self.result))),)

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        (ct,) = cotangents
        x, y = self.lhs, self.rhs
        data = ConvolutionDataOp(y, ct, self.form | {"shape": ints(shape_of(x))})
        return emit(data), emit(ConvolutionOp(x, ct, self.form))


@irdl_op_definition
class ConvolutionDataOp(_ConvolutionOp):
    """The gradient of a convolution's data, of that `shape`: a transposed convolution.

    x[n, c, i] = sum over f, o, k with o * strides + k * dilations - low = i of
    y[n, f, o] * w[f, c, k]. It is a convolution of y whose outputs are, for each channel, the
    `strides` elements that lie between two positions: no product with inserted zeros of y.
    """

    name = "array.convolution_data"
    shape = prop_def(DenseArrayBase.constr(i64))

    assembly_format = (
        "$lhs `,` $rhs `shape` $shape `strides` $strides `low` $low `high` $high `dilations` "
        "$dilations `groups` $groups attr-dict `:` functional-type(operands, results)"
    )

    @classmethod
    def infer(
        cls, operands: Sequence[Tensor], properties: Mapping[str, Attribute]
    ) -> Sequence[Tensor]:
        y, weight = operands
        _check_dtypes(cls.name, y, weight)
        shape = values(properties["shape"])
        expected = _output_shape(cls.name, shape, weight.get_shape(), properties)
        if list(y.get_shape()) != expected:
            raise ShapeError(
                f"{cls.name}: the cotangent has shape {list(y.get_shape())}, not {expected}"
            )
        return (tensor(shape, y.element_type),)

    def evaluate(self, *arrays: NumPyArray) -> Sequence[NumPyArray]:
        strides, low, high, dilations, groups = self.decoded()
        y, weight = map(_wide, arrays)
        n, channels, *spatial = shape_of(self.result)
        share, inner = weight.shape[0] // groups, weight.shape[1]
        padded = [size + a + b for size, a, b in zip(spatial, low, high, strict=True)]
        result = np.zeros((n, channels, *padded), y.dtype)
        for place in np.ndindex(*weight.shape[2:]):
            into = tuple(
                slice(at * d, at * d + (size - 1) * s + 1, s)
                for at, d, s, size in zip(place, dilations, strides, y.shape[2:], strict=True)
            )
            for group in range(groups):
                out = slice(group * share, (group + 1) * share)
                part = np.tensordot(weight[(out, slice(None), *place)], y[:, out], ((0,), (1,)))
                own = slice(group * inner, (group + 1) * inner)
                result[(slice(None), own, *into)] += np.moveaxis(part, 0, 1)
        cut = tuple(slice(a, a + size) for a, size in zip(low, spatial, strict=True))
        return (result[(slice(None), slice(None), *cut)].astype(arrays[0].dtype),)

    def decompose(self, emit: Emitter, *operands: SSAValue) -> Sequence[SSAValue]:
        y, weight = operands
        strides, low, _, dilations, groups = self.decoded()
        n, channels, *spatial = values(self.shape)
        outputs, inner, *kernel = shape_of(weight)
        rank = len(kernel)
        if 0 in (n, channels, outputs, *spatial):
            return (full(emit, 0, values(self.shape), element_of(self.result)),)
        # With a stride, the places between a dilated kernel's are zeros of the weight.
        interior = [d - 1 if s > 1 else 0 for s, d in zip(strides, dilations, strict=True)]
        spacing = [1 if s > 1 else d for s, d in zip(strides, dilations, strict=True)]
        spans = [(k - 1) * (i + 1) + 1 for k, i in zip(kernel, interior, strict=True)]
        # x[q * s + r] = sum over m of y[q + m] * w[r + low - m * s], first <= m <= last.
        reach = [(k - 1) * d for k, d in zip(spans, spacing, strict=True)]
        last = [(s - 1 + a) // s for s, a in zip(strides, low, strict=True)]
        first = [-((e - a) // s) for e, a, s in zip(reach, low, strides, strict=True)]
        taps = [
            k if s == 1 else b - a + 1
            for k, s, a, b in zip(spans, strides, first, last, strict=True)
        ]
        before = [s * b - a for s, b, a in zip(strides, last, low, strict=True)]
        before = [0 if s == 1 else value for s, value in zip(strides, before, strict=True)]
        after = [t * s - k - a for t, s, k, a in zip(taps, strides, spans, before, strict=True)]
        weight = emit(PadOp(weight, [0, 0, *before], [0, 0, *after], 0, [0, 0, *interior]))
        # [g, f, c, (m, s)...] becomes [g, c, s..., f, m...], with m descending.
        split = [size for t, s in zip(taps, strides, strict=True) for size in (t, s)]
        share = outputs // groups
        weight = emit(ReshapeOp(weight, [groups, share, inner, *split]))
        phases, steps = range(4, 3 + 2 * rank, 2), range(3, 3 + 2 * rank, 2)
        weight = emit(TransposeOp(weight, [0, 2, *phases, 1, *steps]))
        weight = emit(FlipOp(weight, list(range(3 + rank, 3 + 2 * rank))))
        weight = emit(ReshapeOp(weight, [channels * prod(strides), share, *taps]))
        sizes = [-(-size // s) for size, s in zip(spatial, strides, strict=True)]
        left = [-a for a in first]
        right = [
            size - o - a + (t - 1) * d
            for size, o, a, t, d in zip(sizes, shape_of(y)[2:], left, taps, spacing, strict=True)
        ]
        y = _padded(emit, y, left, right)
        ones, zeros = [1] * rank, [0] * rank
        x = emit(ConvolutionOp(y, weight, form_of(ones, zeros, zeros, spacing, groups)))
        x = emit(ReshapeOp(x, [n, channels, *strides, *sizes]))
        order = [axis for d in range(rank) for axis in (2 + rank + d, 2 + d)]
        x = emit(TransposeOp(x, [0, 1, *order]))
        whole = [size * s for size, s in zip(sizes, strides, strict=True)]
        x = emit(ReshapeOp(x, [n, channels, *whole]))
        if whole != spatial:
            x = emit(SliceOp(x, [0] * (2 + rank), [n, channels, *spatial]))
        return (x,)

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        (ct,) = cotangents
        y, weight = self.lhs, self.rhs
        kernel = ints(shape_of(weight)[2:])
        return (
            emit(ConvolutionOp(ct, weight, self.form)),
            emit(ConvolutionWeightOp(ct, y, self.form | {"kernel": kernel})),
        )


OPERATIONS: list[type[ArrayOp]] = [
    WindowsOp,
    ConvolutionOp,
    ConvolutionWeightOp,
    ConvolutionDataOp,
]
