"""Composites: what models are made of, defined by other `array` operations.

A composite has a gradient of its own where that is better than its decomposition's: more accurate,
or fewer operations.
"""

from __future__ import annotations

import math
from abc import ABC
from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import (
    AnyTensorTypeConstr,
    FloatAttr,
    IntegerAttr,
    LocationAttr,
    StringAttr,
    f16,
    f32,
    f64,
    i64,
)
from xdsl.ir import Attribute, Block, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def

from stepwell.dialects.array.base import (
    CompositeOp,
    NumPyArray,
    Tensor,
    UnaryOp,
    dtype_name,
    element_of,
    ints,
    is_float,
    shape_of,
    tensor,
)
from stepwell.dialects.array.build import full_like, unreduce, zeros_like
from stepwell.dialects.array.elementwise import (
    AbsOp,
    AddOp,
    DivideOp,
    ErfOp,
    ExpOp,
    Log1pOp,
    LogOp,
    MaximumOp,
    MinimumOp,
    MultiplyOp,
    NegativeOp,
    RsqrtOp,
    SubtractOp,
)
from stepwell.dialects.array.indexing import OneHotOp, TakeAlongAxisOp, TakeOp, clamped
from stepwell.dialects.array.logic import CastOp, EqualOp, GreaterEqualOp, GreaterOp, WhereOp
from stepwell.dialects.array.random import RandomUniformOp
from stepwell.dialects.array.reduction import MaxOp, SumOp
from stepwell.dialects.array.shape import BroadcastOp, ReshapeOp, number
from stepwell.dialects.emit import Emitter
from stepwell.dialects.errors import DTypeError, ShapeError

_LARGEST: dict[Attribute, float] = {f32: 3.4028234663852886e38, f16: 65504.0}
"""The largest finite number of each float dtype."""

Floats = NDArray[np.float64]


def _check_float(name: str, what: str, operand: Tensor) -> None:
    if not is_float(operand.element_type):
        raise DTypeError(
            f"{name}: {what} must be f32 or f16, not {dtype_name(operand.element_type)}"
        )


def _wide(array: NumPyArray) -> Floats:
    return array.astype(np.float64)


def _in_f32(emit: Emitter, value: SSAValue) -> SSAValue:
    return value if element_of(value) == f32 else emit(CastOp(value, f32))


def _as(emit: Emitter, value: SSAValue, like: SSAValue) -> SSAValue:
    return value if element_of(value) == element_of(like) else emit(CastOp(value, element_of(like)))


# Activations


class ActivationOp(CompositeOp, UnaryOp, ABC):
    """result[i] = f(operand[i]) on floats."""

    FUNCTION: ClassVar[Callable[[Floats], Floats]]

    assembly_format = "$operand attr-dict `:` functional-type(operands, results)"

    @classmethod
    def infer(
        cls, operands: Sequence[Tensor], properties: Mapping[str, Attribute]
    ) -> Sequence[Tensor]:
        _check_float(cls.name, "the operand", operands[0])
        return operands

    def evaluate(self, *arrays: NumPyArray) -> Sequence[NumPyArray]:
        with np.errstate(all="ignore"):
            return (np.asarray(type(self).FUNCTION(_wide(arrays[0])), arrays[0].dtype),)


def _sigmoid(x: Floats) -> Floats:
    decay = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, decay) / (1 + decay)


def _relu(x: Floats) -> Floats:
    return np.maximum(x, 0)


def _softplus(x: Floats) -> Floats:
    return np.logaddexp(x, 0)


def _silu(x: Floats) -> Floats:
    return x * _sigmoid(x)


@irdl_op_definition
class ReluOp(ActivationOp):
    """max(x, 0), with gradient 0 at 0."""

    name = "array.relu"
    FUNCTION: ClassVar = _relu

    def decompose(self, emit: Emitter, *operands: SSAValue) -> Sequence[SSAValue]:
        (x,) = operands
        return (emit(MaximumOp(x, zeros_like(emit, x))),)

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        (ct,) = cotangents
        zero = zeros_like(emit, ct)
        return (emit(WhereOp(emit(GreaterOp(self.operand, zero)), ct, zero)),)


@irdl_op_definition
class SigmoidOp(ActivationOp):
    """1 / (1 + exp(-x)), computed without overflow."""

    name = "array.sigmoid"
    FUNCTION: ClassVar = _sigmoid

    def decompose(self, emit: Emitter, *operands: SSAValue) -> Sequence[SSAValue]:
        (x,) = operands
        one = full_like(emit, 1, x)
        decay = emit(ExpOp(emit(NegativeOp(emit(AbsOp(x))))))
        positive = emit(GreaterEqualOp(x, zeros_like(emit, x)))
        numerator = emit(WhereOp(positive, one, decay))
        return (emit(DivideOp(numerator, emit(AddOp(one, decay)))),)

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        y = self.result
        slope = emit(MultiplyOp(y, emit(SubtractOp(full_like(emit, 1, y), y))))
        return (emit(MultiplyOp(cotangents[0], slope)),)


@irdl_op_definition
class SiluOp(ActivationOp):
    """x * sigmoid(x)."""

    name = "array.silu"
    FUNCTION: ClassVar = _silu

    def decompose(self, emit: Emitter, *operands: SSAValue) -> Sequence[SSAValue]:
        (x,) = operands
        return (emit(MultiplyOp(x, emit(SigmoidOp(x)))),)


@irdl_op_definition
class SoftplusOp(ActivationOp):
    """log(1 + exp(x)), computed without overflow."""

    name = "array.softplus"
    FUNCTION: ClassVar = _softplus

    def decompose(self, emit: Emitter, *operands: SSAValue) -> Sequence[SSAValue]:
        (x,) = operands
        tail = emit(Log1pOp(emit(ExpOp(emit(NegativeOp(emit(AbsOp(x))))))))
        return (emit(AddOp(emit(MaximumOp(x, zeros_like(emit, x))), tail)),)

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        return (emit(MultiplyOp(cotangents[0], emit(SigmoidOp(self.operand)))),)


_TANH_SCALE = math.sqrt(2 / math.pi)
_TANH_CUBIC = 0.044715


def _tanh_argument(x: Floats) -> Floats:
    return _TANH_SCALE * (x + _TANH_CUBIC * x**3)


@irdl_op_definition
class GeluOp(CompositeOp, UnaryOp):
    """x * Phi(x), Phi the normal distribution: by erf, or approximated by tanh (Hendrycks 2016).

    `approximate` is "none": x/2 * (1 + erf(x / sqrt(2))), or
    "tanh": x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 * x**3))).
    """

    name = "array.gelu"
    approximate = prop_def(StringAttr)

    assembly_format = (
        "$operand `approximate` $approximate attr-dict `:` functional-type(operands, results)"
    )

    def __init__(
        self, operand: SSAValue, approximate: str = "none", location: LocationAttr | None = None
    ):
        super().__init__(operand, approximate=StringAttr(approximate), location=location)

    @classmethod
    def infer(
        cls, operands: Sequence[Tensor], properties: Mapping[str, Attribute]
    ) -> Sequence[Tensor]:
        _check_float(cls.name, "the operand", operands[0])
        if properties["approximate"] not in (StringAttr("none"), StringAttr("tanh")):
            raise DTypeError(
                f'{cls.name}: approximate is "none" or "tanh", not {properties["approximate"]}'
            )
        return operands

    def evaluate(self, *arrays: NumPyArray) -> Sequence[NumPyArray]:
        x = _wide(arrays[0])
        if self.approximate.data == "tanh":
            bound = np.tanh(_tanh_argument(x))
        else:
            bound = np.vectorize(math.erf, otypes=[np.float64])(x / math.sqrt(2))
        return (np.asarray(x / 2 * (1 + bound), arrays[0].dtype),)

    def decompose(self, emit: Emitter, *operands: SSAValue) -> Sequence[SSAValue]:
        (x,) = operands

        def times(value: SSAValue, factor: float) -> SSAValue:
            return emit(MultiplyOp(value, full_like(emit, factor, value)))

        if self.approximate.data == "tanh":
            cube = emit(MultiplyOp(emit(MultiplyOp(x, x)), x))
            inner = emit(AddOp(x, times(cube, _TANH_CUBIC)))
            # (1 + tanh(t)) / 2 = sigmoid(2 t), which takes one exponential and nothing near 0.
            return (emit(MultiplyOp(x, emit(SigmoidOp(times(inner, 2 * _TANH_SCALE))))),)
        bound = emit(ErfOp(times(x, 1 / math.sqrt(2))))
        weight = emit(AddOp(full_like(emit, 1, x), bound))
        return (emit(MultiplyOp(times(x, 0.5), weight)),)


# Normalisation along an axis


class AxisOp(CompositeOp, UnaryOp, ABC):
    """An operation on floats along one axis."""

    axis = prop_def(IntegerAttr.constr(i64))

    assembly_format = "$operand `axis` $axis attr-dict `:` functional-type(operands, results)"

    def __init__(self, operand: SSAValue, axis: int, location: LocationAttr | None = None):
        super().__init__(operand, axis=IntegerAttr(axis, i64), location=location)

    @classmethod
    def infer(
        cls, operands: Sequence[Tensor], properties: Mapping[str, Attribute]
    ) -> Sequence[Tensor]:
        (operand,) = operands
        _check_float(cls.name, "the operand", operand)
        axis = int(number(properties["axis"]))
        if not 0 <= axis < operand.get_num_dims():
            raise ShapeError(
                f"{cls.name}: axis {axis} is no dimension of {list(operand.get_shape())}"
            )
        return operands

    @property
    def along(self) -> int:
        """The axis as a Python integer."""
        return int(number(self.axis))

    def _sum(self, emit: Emitter, value: SSAValue) -> SSAValue:
        """The sum along the axis, repeated along it."""
        total = emit(SumOp(value, [self.along]))
        return unreduce(emit, total, shape_of(value), [self.along])

    def _shifted(self, emit: Emitter, x: SSAValue) -> SSAValue:
        """x - max(x), whose exponentials do not overflow."""
        largest = emit(MaxOp(x, [self.along]))
        return emit(SubtractOp(x, unreduce(emit, largest, shape_of(x), [self.along])))


@irdl_op_definition
class SoftmaxOp(AxisOp):
    """exp(x) / sum(exp(x)) along the axis; NaN where all of x is -inf."""

    name = "array.softmax"

    def evaluate(self, *arrays: NumPyArray) -> Sequence[NumPyArray]:
        if arrays[0].size == 0:
            return arrays
        x = _wide(arrays[0])
        with np.errstate(all="ignore"):
            e = np.exp(x - x.max(self.along, keepdims=True))
            return (np.asarray(e / e.sum(self.along, keepdims=True), arrays[0].dtype),)

    def decompose(self, emit: Emitter, *operands: SSAValue) -> Sequence[SSAValue]:
        (x,) = operands
        if 0 in shape_of(x):
            return (x,)
        e = emit(ExpOp(self._shifted(emit, x)))
        return (emit(DivideOp(e, self._sum(emit, e))),)

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        (ct,) = cotangents
        y = self.result
        mean = self._sum(emit, emit(MultiplyOp(ct, y)))
        return (emit(MultiplyOp(y, emit(SubtractOp(ct, mean)))),)


@irdl_op_definition
class LogSoftmaxOp(AxisOp):
    """x - log(sum(exp(x))) along the axis; NaN where all of x is -inf."""

    name = "array.log_softmax"

    def evaluate(self, *arrays: NumPyArray) -> Sequence[NumPyArray]:
        if arrays[0].size == 0:
            return arrays
        x = _wide(arrays[0])
        with np.errstate(all="ignore"):
            x = x - x.max(self.along, keepdims=True)
            total = np.exp(x).sum(self.along, keepdims=True)
            return (np.asarray(x - np.log(total), arrays[0].dtype),)

    def decompose(self, emit: Emitter, *operands: SSAValue) -> Sequence[SSAValue]:
        (x,) = operands
        if 0 in shape_of(x):
            return (x,)
        shifted = self._shifted(emit, x)
        total = emit(SumOp(emit(ExpOp(shifted)), [self.along]))
        logarithm = unreduce(emit, emit(LogOp(total)), shape_of(x), [self.along])
        return (emit(SubtractOp(shifted, logarithm)),)

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        (ct,) = cotangents
        share = emit(MultiplyOp(emit(ExpOp(self.result)), self._sum(emit, ct)))
        return (emit(SubtractOp(ct, share)),)


def _finite(emit: Emitter, value: SSAValue) -> SSAValue:
    """The value, with infinities replaced by the largest finite numbers."""
    bound = _LARGEST[element_of(value)]
    low, high = full_like(emit, -bound, value), full_like(emit, bound, value)
    return emit(MinimumOp(emit(MaximumOp(value, low)), high))


@irdl_op_definition
class LogSumExpOp(AxisOp):
    """log(sum(exp(x))) along the axis, which is dropped; -inf where all of x is -inf."""

    name = "array.logsumexp"

    @classmethod
    def infer(
        cls, operands: Sequence[Tensor], properties: Mapping[str, Attribute]
    ) -> Sequence[Tensor]:
        (operand,) = super().infer(operands, properties)
        shape = list(operand.get_shape())
        axis = int(number(properties["axis"]))
        if shape.pop(axis) == 0:
            raise ShapeError(f"{cls.name}: axis {axis} has no elements")
        return (tensor(shape, operand.element_type),)

    def evaluate(self, *arrays: NumPyArray) -> Sequence[NumPyArray]:
        result = np.logaddexp.reduce(_wide(arrays[0]), axis=self.along)
        return (np.asarray(result, arrays[0].dtype),)

    def decompose(self, emit: Emitter, *operands: SSAValue) -> Sequence[SSAValue]:
        (x,) = operands
        # A finite shift keeps -inf - -inf = NaN out of rows that are infinite throughout.
        shift = _finite(emit, emit(MaxOp(x, [self.along])))
        shifted = emit(SubtractOp(x, unreduce(emit, shift, shape_of(x), [self.along])))
        total = emit(SumOp(emit(ExpOp(shifted)), [self.along]))
        return (emit(AddOp(emit(LogOp(total)), shift)),)

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        shape, axes = shape_of(self.operand), [self.along]
        shift = unreduce(emit, _finite(emit, self.result), shape, axes)
        weights = emit(ExpOp(emit(SubtractOp(self.operand, shift))))
        return (emit(MultiplyOp(unreduce(emit, cotangents[0], shape, axes), weights)),)


def _check_normalised(name: str, operand: Tensor, parameters: Mapping[str, Tensor]) -> None:
    """Parameters of a normalisation have the shape of the operand's last dimensions."""
    _check_float(name, "the operand", operand)
    shape = operand.get_shape()
    for what, parameter in parameters.items():
        if parameter.element_type != operand.element_type:
            raise DTypeError(
                f"{name}: {what} is {dtype_name(parameter.element_type)}, the operand is "
                f"{dtype_name(operand.element_type)}; cast one"
            )
        rank = parameter.get_num_dims()
        if rank == 0 or parameter.get_shape() != shape[len(shape) - rank :]:
            raise ShapeError(
                f"{name}: {what} of shape {list(parameter.get_shape())} is not the end "
                f"of the operand's shape {list(shape)}"
            )


@irdl_op_definition
class LayerNormOp(CompositeOp):
    """(x - mean) / sqrt(variance + eps) * weight + bias over the last dimensions, those of weight.

    The variance is that of the population; f16 is computed in f32.
    """

    name = "array.layer_norm"
    operand = operand_def(AnyTensorTypeConstr)
    weight = operand_def(AnyTensorTypeConstr)
    bias = operand_def(AnyTensorTypeConstr)
    result = result_def(AnyTensorTypeConstr)
    eps = prop_def(FloatAttr)

    assembly_format = (
        "$operand `,` $weight `,` $bias `eps` $eps attr-dict `:` functional-type(operands, results)"
    )

    def __init__(
        self,
        operand: SSAValue,
        weight: SSAValue,
        bias: SSAValue,
        eps: float = 1e-5,
        location: LocationAttr | None = None,
    ):
        super().__init__(operand, weight, bias, eps=FloatAttr(eps, f64), location=location)

    @classmethod
    def infer(
        cls, operands: Sequence[Tensor], properties: Mapping[str, Attribute]
    ) -> Sequence[Tensor]:
        operand, weight, bias = operands
        _check_normalised(cls.name, operand, {"weight": weight, "bias": bias})
        if bias.get_shape() != weight.get_shape():
            raise ShapeError(
                f"{cls.name}: bias of shape {list(bias.get_shape())} differs from weight's "
                f"{list(weight.get_shape())}"
            )
        return (operand,)

    def evaluate(self, *arrays: NumPyArray) -> Sequence[NumPyArray]:
        x, weight, bias = (_wide(array) for array in arrays)
        axes = tuple(range(x.ndim - weight.ndim, x.ndim))
        if x.size == 0:
            return (arrays[0],)
        centered = x - x.mean(axes, keepdims=True)
        variance = (centered**2).mean(axes, keepdims=True)
        result = centered / np.sqrt(variance + self.eps.value.data) * weight + bias
        return (np.asarray(result, arrays[0].dtype),)

    def _axes(self) -> tuple[list[int], list[int]]:
        """The dimensions of the batch and those that are normalised."""
        rank = len(shape_of(self.operand))
        first = rank - len(shape_of(self.weight))
        return list(range(first)), list(range(first, rank))

    def _mean(self, emit: Emitter, value: SSAValue) -> SSAValue:
        """The mean over the normalised dimensions, repeated along them."""
        _, axes = self._axes()
        shape = shape_of(value)
        total = emit(SumOp(value, axes))
        share = full_like(emit, 1 / prod(shape[axis] for axis in axes), total)
        return unreduce(emit, emit(MultiplyOp(total, share)), shape, axes)

    def _normalised(self, emit: Emitter, x: SSAValue) -> tuple[SSAValue, SSAValue]:
        """(x - mean) / deviation, and 1 / deviation in the shape of x."""
        _, axes = self._axes()
        shape = shape_of(x)
        centered = emit(SubtractOp(x, self._mean(emit, x)))
        total = emit(SumOp(emit(MultiplyOp(centered, centered)), axes))
        share = full_like(emit, 1 / prod(shape[axis] for axis in axes), total)
        variance = emit(MultiplyOp(total, share))
        eps = full_like(emit, self.eps.value.data, variance)
        inverse = emit(RsqrtOp(emit(AddOp(variance, eps))))
        scale = unreduce(emit, inverse, shape, axes)
        return emit(MultiplyOp(centered, scale)), scale

    def decompose(self, emit: Emitter, *operands: SSAValue) -> Sequence[SSAValue]:
        x, weight, bias = (_in_f32(emit, operand) for operand in operands)
        if 0 in shape_of(x):
            return (operands[0],)
        batch, _ = self._axes()
        normal, _ = self._normalised(emit, x)
        scaled = emit(MultiplyOp(normal, unreduce(emit, weight, shape_of(x), batch)))
        y = emit(AddOp(scaled, unreduce(emit, bias, shape_of(x), batch)))
        return (_as(emit, y, self.result),)

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        if 0 in shape_of(self.operand):
            return [zeros_like(emit, operand) for operand in self.operands]
        x, weight, ct = (_in_f32(emit, v) for v in (self.operand, self.weight, *cotangents))
        batch, _ = self._axes()
        normal, scale = self._normalised(emit, x)
        inner = emit(MultiplyOp(ct, unreduce(emit, weight, shape_of(x), batch)))
        along = self._mean(emit, emit(MultiplyOp(inner, normal)))
        tangent = emit(SubtractOp(inner, self._mean(emit, inner)))
        tangent = emit(SubtractOp(tangent, emit(MultiplyOp(normal, along))))
        gradients = (
            emit(MultiplyOp(scale, tangent)),
            emit(SumOp(emit(MultiplyOp(ct, normal)), batch)),
            emit(SumOp(ct, batch)),
        )
        return [_as(emit, gradient, self.operand) for gradient in gradients]


@irdl_op_definition
class RmsNormOp(CompositeOp):
    """x / sqrt(mean(x ** 2) + eps) * weight over the last dimensions, those of weight.

    f16 is computed in f32.
    """

    name = "array.rms_norm"
    operand = operand_def(AnyTensorTypeConstr)
    weight = operand_def(AnyTensorTypeConstr)
    result = result_def(AnyTensorTypeConstr)
    eps = prop_def(FloatAttr)

    assembly_format = (
        "$operand `,` $weight `eps` $eps attr-dict `:` functional-type(operands, results)"
    )

    def __init__(
        self,
        operand: SSAValue,
        weight: SSAValue,
        eps: float,
        location: LocationAttr | None = None,
    ):
        super().__init__(operand, weight, eps=FloatAttr(eps, f64), location=location)

    @classmethod
    def infer(
        cls, operands: Sequence[Tensor], properties: Mapping[str, Attribute]
    ) -> Sequence[Tensor]:
        operand, weight = operands
        _check_normalised(cls.name, operand, {"weight": weight})
        return (operand,)

    def evaluate(self, *arrays: NumPyArray) -> Sequence[NumPyArray]:
        x, weight = (_wide(array) for array in arrays)
        if x.size == 0:
            return (arrays[0],)
        axes = tuple(range(x.ndim - weight.ndim, x.ndim))
        square = (x**2).mean(axes, keepdims=True)
        return (np.asarray(x / np.sqrt(square + self.eps.value.data) * weight, arrays[0].dtype),)

    def _mean(self, emit: Emitter, value: SSAValue) -> SSAValue:
        """The mean over the normalised dimensions."""
        shape = shape_of(value)
        axes = range(len(shape) - len(shape_of(self.weight)), len(shape))
        total = emit(SumOp(value, axes))
        return emit(MultiplyOp(total, full_like(emit, 1 / prod(shape[a] for a in axes), total)))

    def _along(self, emit: Emitter, value: SSAValue) -> SSAValue:
        """A value for each row, repeated along it."""
        shape = shape_of(self.operand)
        return emit(BroadcastOp(value, shape, range(len(shape_of(value)))))

    def _normalised(self, emit: Emitter, x: SSAValue) -> tuple[SSAValue, SSAValue]:
        """x / rms, and 1 / rms in the shape of x."""
        square = self._mean(emit, emit(MultiplyOp(x, x)))
        eps = full_like(emit, self.eps.value.data, square)
        scale = self._along(emit, emit(RsqrtOp(emit(AddOp(square, eps)))))
        return emit(MultiplyOp(x, scale)), scale

    def decompose(self, emit: Emitter, *operands: SSAValue) -> Sequence[SSAValue]:
        x, weight = (_in_f32(emit, operand) for operand in operands)
        shape = shape_of(x)
        if 0 in shape:
            return (operands[0],)
        batch = range(len(shape) - len(shape_of(weight)))
        normal, _ = self._normalised(emit, x)
        y = emit(MultiplyOp(normal, unreduce(emit, weight, shape, batch)))
        return (_as(emit, y, self.result),)

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        if 0 in shape_of(self.operand):
            return [zeros_like(emit, operand) for operand in self.operands]
        x, weight, ct = (_in_f32(emit, v) for v in (self.operand, self.weight, *cotangents))
        shape = shape_of(x)
        batch = range(len(shape) - len(shape_of(weight)))
        normal, scale = self._normalised(emit, x)
        inner = emit(MultiplyOp(ct, unreduce(emit, weight, shape, batch)))
        share = self._along(emit, self._mean(emit, emit(MultiplyOp(inner, normal))))
        tangent = emit(SubtractOp(inner, emit(MultiplyOp(normal, share))))
        gradients = (
            emit(MultiplyOp(scale, tangent)),
            emit(SumOp(emit(MultiplyOp(ct, normal)), batch)),
        )
        return [_as(emit, gradient, self.operand) for gradient in gradients]


# Losses and the ends of models


@irdl_op_definition
class CrossEntropyOp(CompositeOp):
    """The mean over all targets of logsumexp(logits) - logits[target], classes last.

    Targets are class numbers, i32 or u32; of one that is no class the loss is NaN. f16 is computed
    in f32.
    """

    name = "array.cross_entropy"
    logits = operand_def(AnyTensorTypeConstr)
    targets = operand_def(AnyTensorTypeConstr)
    result = result_def(AnyTensorTypeConstr)

    assembly_format = "$logits `,` $targets attr-dict `:` functional-type(operands, results)"

    @classmethod
    def infer(
        cls, operands: Sequence[Tensor], properties: Mapping[str, Attribute]
    ) -> Sequence[Tensor]:
        logits, targets = operands
        _check_float(cls.name, "the logits", logits)
        if dtype_name(targets.element_type) not in ("i32", "u32"):
            raise DTypeError(
                f"{cls.name}: targets must be class numbers in i32 or u32, not "
                f"{dtype_name(targets.element_type)}"
            )
        if logits.get_num_dims() == 0 or targets.get_shape() != logits.get_shape()[:-1]:
            raise ShapeError(
                f"{cls.name}: targets have shape {list(targets.get_shape())}, but the logits' "
                f"{list(logits.get_shape())} without its last dimension is needed"
            )
        if prod(logits.get_shape()) == 0:
            raise ShapeError(f"{cls.name}: logits of shape {list(logits.get_shape())} are empty")
        return (tensor((), logits.element_type),)

    def evaluate(self, *arrays: NumPyArray) -> Sequence[NumPyArray]:
        logits, targets = _wide(arrays[0]), arrays[1].astype(np.int64)
        chosen = np.clip(targets, 0, logits.shape[-1] - 1)[..., None]
        right = np.take_along_axis(logits, chosen, -1)[..., 0]
        right = np.where(chosen[..., 0] == targets, right, np.nan)
        losses = np.logaddexp.reduce(logits, axis=-1) - right
        return (np.asarray(losses.mean(), arrays[0].dtype),)

    def _mean(self, emit: Emitter, value: SSAValue) -> SSAValue:
        return emit(MultiplyOp(value, full_like(emit, 1 / prod(shape_of(self.targets)), value)))

    def decompose(self, emit: Emitter, *operands: SSAValue) -> Sequence[SSAValue]:
        logits, targets = _in_f32(emit, operands[0]), operands[1]
        shape = shape_of(targets)
        at = emit(ReshapeOp(targets, [*shape, 1]))
        chosen = emit(ReshapeOp(emit(TakeAlongAxisOp(logits, at, len(shape))), shape))
        is_class = emit(EqualOp(targets, clamped(emit, targets, shape_of(logits)[-1])))
        chosen = emit(WhereOp(is_class, chosen, full_like(emit, math.nan, chosen)))
        losses = emit(SubtractOp(emit(LogSumExpOp(logits, len(shape))), chosen))
        total = emit(SumOp(losses, range(len(shape))))
        return (_as(emit, self._mean(emit, total), self.result),)

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        logits, ct = _in_f32(emit, self.logits), _in_f32(emit, cotangents[0])
        *batch, classes = shape_of(logits)
        # The forward pass has this sum too; softmax itself would sum again.
        total = emit(LogSumExpOp(logits, len(batch)))
        along = emit(BroadcastOp(total, shape_of(logits), range(len(batch))))
        probabilities = emit(ExpOp(emit(SubtractOp(logits, along))))
        right = emit(OneHotOp(clamped(emit, self.targets, classes), classes, f32))
        share = emit(BroadcastOp(self._mean(emit, ct), shape_of(logits), []))
        gradient = emit(MultiplyOp(share, emit(SubtractOp(probabilities, right))))
        return _as(emit, gradient, self.logits), None


@irdl_op_definition
class DropoutOp(CompositeOp):
    """x / (1 - rate) where a uniform random number reaches `rate`, else 0.

    The random numbers follow from `key` (two u32) alone: the gradient meets the same ones.
    """

    name = "array.dropout"
    operand = operand_def(AnyTensorTypeConstr)
    key = operand_def(AnyTensorTypeConstr)
    result = result_def(AnyTensorTypeConstr)
    rate = prop_def(FloatAttr)

    assembly_format = (
        "$operand `,` $key `rate` $rate attr-dict `:` functional-type(operands, results)"
    )

    def __init__(
        self, operand: SSAValue, key: SSAValue, rate: float, location: LocationAttr | None = None
    ):
        super().__init__(operand, key, rate=FloatAttr(rate, f64), location=location)

    @classmethod
    def infer(
        cls, operands: Sequence[Tensor], properties: Mapping[str, Attribute]
    ) -> Sequence[Tensor]:
        operand, key = operands
        _check_float(cls.name, "the operand", operand)
        rate = number(properties["rate"])
        if not 0 <= rate < 1:
            raise ShapeError(f"{cls.name}: rate {rate} is not in [0, 1)")
        RandomUniformOp.infer([key], {"shape": ints(operand.get_shape())})
        return (operand,)

    def evaluate(self, *arrays: NumPyArray) -> Sequence[NumPyArray]:
        x, key = arrays
        placeholder = Block(arg_types=[self.key.type]).args[0]
        (random,) = RandomUniformOp(placeholder, x.shape).evaluate(key)
        kept = np.asarray(random >= np.float32(self.rate.value.data))
        return (np.where(kept, _wide(x) / (1 - self.rate.value.data), 0).astype(x.dtype),)

    def decompose(self, emit: Emitter, *operands: SSAValue) -> Sequence[SSAValue]:
        x, key = operands
        rate = self.rate.value.data
        random = emit(RandomUniformOp(key, shape_of(x)))
        kept = emit(GreaterEqualOp(random, full_like(emit, rate, random)))
        scaled = emit(MultiplyOp(x, full_like(emit, 1 / (1 - rate), x)))
        return (emit(WhereOp(kept, scaled, zeros_like(emit, x))),)


@irdl_op_definition
class EmbeddingOp(CompositeOp):
    """The rows of `weight` that `indices` name: weight[indices]."""

    name = "array.embedding"
    weight = operand_def(AnyTensorTypeConstr)
    indices = operand_def(AnyTensorTypeConstr)
    result = result_def(AnyTensorTypeConstr)

    assembly_format = "$weight `,` $indices attr-dict `:` functional-type(operands, results)"

    @classmethod
    def infer(
        cls, operands: Sequence[Tensor], properties: Mapping[str, Attribute]
    ) -> Sequence[Tensor]:
        weight, _ = operands
        if weight.get_num_dims() != 2:
            raise ShapeError(
                f"{cls.name}: weight must be [rows, width], not {list(weight.get_shape())}"
            )
        return TakeOp.infer(operands, {"axis": IntegerAttr(0, i64)})

    def evaluate(self, *arrays: NumPyArray) -> Sequence[NumPyArray]:
        weight, indices = arrays
        return (weight[np.clip(indices.astype(np.int64), 0, max(weight.shape[0] - 1, 0))],)

    def decompose(self, emit: Emitter, *operands: SSAValue) -> Sequence[SSAValue]:
        weight, indices = operands
        return (emit(TakeOp(weight, indices, 0)),)


OPERATIONS = [
    ReluOp,
    SigmoidOp,
    SiluOp,
    SoftplusOp,
    GeluOp,
    SoftmaxOp,
    LogSoftmaxOp,
    LogSumExpOp,
    LayerNormOp,
    RmsNormOp,
    CrossEntropyOp,
    DropoutOp,
    EmbeddingOp,
]
