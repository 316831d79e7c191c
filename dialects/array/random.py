"""Counter-based random numbers: the same key gives the same bits on every device.

Threefry-2x32 with 20 rounds (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011).
Element i, in row-major order, encrypts the counter (0, i) under the key and is the xor of both
words, which is what `jax.random.bits` gives with `jax_threefry_partitionable`.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping, Sequence
from math import pi, prod
from typing import ClassVar, cast

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects import arith
from xdsl.dialects.builtin import (
    AnyTensorTypeConstr,
    DenseArrayBase,
    IntegerType,
    LocationAttr,
    f32,
    i64,
)
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def

from stepwell.dialects.array.base import (
    CompositeOp,
    ElementwiseOp,
    NumPyArray,
    Tensor,
    dtype_name,
    ints,
    shape_of,
    tensor,
    u32,
)
from stepwell.dialects.array.build import full, full_like
from stepwell.dialects.array.elementwise import CosOp, LogOp, MultiplyOp, SqrtOp, SubtractOp
from stepwell.dialects.array.logic import BitcastOp, BitwiseOrOp, RightShiftOp
from stepwell.dialects.array.shape import BroadcastOp, IotaOp, ReshapeOp, SliceOp
from stepwell.dialects.emit import Emitter
from stepwell.dialects.errors import DTypeError, ShapeError

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA
"""Constants of Threefry-2x32: rotation distances of odd and even groups of rounds, key parity."""


def threefry(
    k0: NDArray[np.uint32], k1: NDArray[np.uint32], c0: NDArray[np.uint32], c1: NDArray[np.uint32]
) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """The two words of the counter (c0, c1) encrypted under the key (k0, k1)."""
    keys = (k0, k1, k0 ^ k1 ^ np.uint32(_PARITY))
    x0, x1 = c0 + keys[0], c1 + keys[1]
    for group in range(5):
        for distance in _ROTATIONS[group % 2]:
            x0 = x0 + x1
            x1 = (x1 << np.uint32(distance)) | (x1 >> np.uint32(32 - distance))
            x1 = x1 ^ x0
        x0 = x0 + keys[(group + 1) % 3]
        x1 = x1 + keys[(group + 2) % 3] + np.uint32(group + 1)
    return x0, x1


@irdl_op_definition
class ThreefryOp(ElementwiseOp):
    """The xor of both words of the counter (c0, c1) encrypted under the key (k0, k1)."""

    name = "array.threefry"
    k0 = operand_def(AnyTensorTypeConstr)
    k1 = operand_def(AnyTensorTypeConstr)
    c0 = operand_def(AnyTensorTypeConstr)
    c1 = operand_def(AnyTensorTypeConstr)
    result = result_def(AnyTensorTypeConstr)
    ACCEPTS: ClassVar = "u32"

    assembly_format = "$k0 `,` $k1 `,` $c0 `,` $c1 attr-dict `:` functional-type(operands, results)"

    def evaluate(self, *arrays: NumPyArray) -> Sequence[NumPyArray]:
        k0, k1, c0, c1 = (array.astype(np.uint32) for array in arrays)
        with np.errstate(over="ignore"):
            x0, x1 = threefry(k0, k1, c0, c1)
        return (np.asarray(x0 ^ x1),)

    def scalar(self, emit: Emitter, *operands: SSAValue) -> SSAValue:
        k0, k1, c0, c1 = operands

        def word(value: int) -> SSAValue:
            return emit.constant(value, k0.type)

        parity = emit(arith.XOrIOp(emit(arith.XOrIOp(k0, k1)), word(_PARITY)))
        keys = (k0, k1, parity)
        x0, x1 = emit(arith.AddiOp(c0, k0)), emit(arith.AddiOp(c1, k1))
        for group in range(5):
            for distance in _ROTATIONS[group % 2]:
                x0 = emit(arith.AddiOp(x0, x1))
                left = emit(arith.ShLIOp(x1, word(distance)))
                right = emit(arith.ShRUIOp(x1, word(32 - distance)))
                x1 = emit(arith.XOrIOp(emit(arith.OrIOp(left, right)), x0))
            x0 = emit(arith.AddiOp(x0, keys[(group + 1) % 3]))
            injected = emit(arith.AddiOp(keys[(group + 2) % 3], word(group + 1)))
            x1 = emit(arith.AddiOp(x1, injected))
        return emit(arith.XOrIOp(x0, x1))

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        return None, None, None, None


class RandomOp(CompositeOp, ABC):
    """Random elements of a given shape from a key of two u32."""

    key = operand_def(AnyTensorTypeConstr)
    result = result_def(AnyTensorTypeConstr)
    shape = prop_def(DenseArrayBase.constr(i64))
    ELEMENT: ClassVar[Attribute] = f32

    assembly_format = "$key `shape` $shape attr-dict `:` functional-type(operands, results)"

    def __init__(self, key: SSAValue, shape: Sequence[int], location: LocationAttr | None = None):
        super().__init__(key, shape=ints(shape), location=location)

    @classmethod
    def infer(
        cls, operands: Sequence[Tensor], properties: Mapping[str, Attribute]
    ) -> Sequence[Tensor]:
        (key,) = operands
        if key.element_type != u32:
            raise DTypeError(f"{cls.name}: the key is {dtype_name(key.element_type)}, not u32")
        if key.get_shape() != (2,):
            raise ShapeError(f"{cls.name}: the key has shape {list(key.get_shape())}, not [2]")
        shape = cast("DenseArrayBase[IntegerType]", properties["shape"]).get_values()
        if prod(shape) > 2**32:
            raise ShapeError(f"{cls.name}: {list(shape)} has more than 2**32 elements")
        return (tensor(shape, cls.ELEMENT),)

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        return (None,)


def _bits(key: NumPyArray, shape: Sequence[int]) -> NDArray[np.uint32]:
    counter = np.arange(prod(shape), dtype=np.uint32)
    k0, k1 = key.astype(np.uint32)
    with np.errstate(over="ignore"):
        x0, x1 = threefry(
            np.full_like(counter, k0), np.full_like(counter, k1), np.zeros_like(counter), counter
        )
    return (x0 ^ x1).reshape(shape)


def _unit(bits: NDArray[np.uint32]) -> NDArray[np.float32]:
    return ((bits >> np.uint32(9)) | np.uint32(0x3F800000)).view(np.float32) - np.float32(1)


@irdl_op_definition
class RandomBitsOp(RandomOp):
    """32 random bits an element."""

    name = "array.random_bits"
    ELEMENT: ClassVar = u32

    def evaluate(self, *arrays: NumPyArray) -> Sequence[NumPyArray]:
        return (_bits(arrays[0], shape_of(self.result)),)

    def decompose(self, emit: Emitter, *operands: SSAValue) -> Sequence[SSAValue]:
        (key,) = operands
        shape = shape_of(self.result)
        flat = [prod(shape)]

        def word(index: int) -> SSAValue:
            return emit(BroadcastOp(emit(SliceOp(key, [index], [index + 1])), flat, [0]))

        zero = full(emit, 0, flat, u32)
        bits = emit(ThreefryOp(word(0), word(1), zero, emit(IotaOp(flat, 0, u32))))
        return (emit(ReshapeOp(bits, shape)),)


@irdl_op_definition
class RandomUniformOp(RandomOp):
    """Uniform on [0, 1) in steps of 2**-23: bits >> 9 are the mantissa of a float in [1, 2)."""

    name = "array.random_uniform"

    def evaluate(self, *arrays: NumPyArray) -> Sequence[NumPyArray]:
        return (_unit(_bits(arrays[0], shape_of(self.result))),)

    def decompose(self, emit: Emitter, *operands: SSAValue) -> Sequence[SSAValue]:
        bits = emit(RandomBitsOp(operands[0], shape_of(self.result)))
        mantissa = emit(RightShiftOp(bits, full_like(emit, 9, bits)))
        word = emit(BitwiseOrOp(mantissa, full_like(emit, 0x3F800000, bits)))
        number = emit(BitcastOp(word, f32))
        return (emit(SubtractOp(number, full_like(emit, 1, number))),)


@irdl_op_definition
class RandomNormalOp(RandomOp):
    """Standard normal by Box and Muller: sqrt(-2 log(1 - u)) * cos(2 pi v - pi).

    u and v are the two halves of a uniform tensor of shape [2, *shape].
    """

    name = "array.random_normal"

    def evaluate(self, *arrays: NumPyArray) -> Sequence[NumPyArray]:
        u, v = _unit(_bits(arrays[0], (2, *shape_of(self.result))))
        radius = np.sqrt(np.float32(-2) * np.log(np.float32(1) - u))
        return (radius * np.cos(v * np.float32(2 * pi) - np.float32(pi)),)

    def decompose(self, emit: Emitter, *operands: SSAValue) -> Sequence[SSAValue]:
        shape = shape_of(self.result)
        both = emit(RandomUniformOp(operands[0], (2, *shape)))

        def half(index: int) -> SSAValue:
            starts = [index] + [0] * len(shape)
            return emit(ReshapeOp(emit(SliceOp(both, starts, [index + 1, *shape])), shape))

        u, v = half(0), half(1)
        logarithm = emit(LogOp(emit(SubtractOp(full_like(emit, 1, u), u))))
        radius = emit(SqrtOp(emit(MultiplyOp(full_like(emit, -2, u), logarithm))))
        # The angle lies in [-pi, pi), where WGSL promises accuracy.
        turn = emit(MultiplyOp(v, full_like(emit, 2 * pi, v)))
        angle = emit(SubtractOp(turn, full_like(emit, pi, v)))
        return (emit(MultiplyOp(radius, emit(CosOp(angle)))),)


OPERATIONS = [ThreefryOp, RandomBitsOp, RandomUniformOp, RandomNormalOp]
