"""Element types, poison, and buffers: how values are kept.

A tensor is a NumPy array of its value dtype (i1 is bool, index is int64). A memref is a `Buffer`: a
flat array of the storage dtype, in which an i1 takes four bytes as on the device; integers below 8
bits take one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import (
    DenseIntOrFPElementsAttr,
    FloatAttr,
    IndexType,
    IntegerAttr,
    MemRefType,
    ShapedType,
    f64,
    i1,
    i64,
)
from xdsl.ir import Attribute

from stepwell.dialects.array.base import DTYPES, is_narrow, numpy_dtype, wrapped
from stepwell.dialects.errors import DTypeError

Array: TypeAlias = NDArray[Any]
DType: TypeAlias = np.dtype[Any]

_VALUE: dict[Attribute, DType] = {
    **{element: numpy_dtype(element) for element in DTYPES.values()},
    f64: np.dtype(np.float64),
    i64: np.dtype(np.int64),
    IndexType(): np.dtype(np.int64),
}

POISON = np.frombuffer(np.uint32(0x7FC07FC0).tobytes(), np.uint8)
"""Four bytes that stand in memory nobody wrote: a NaN as f32 and as two f16, 2143322048 as an
integer, and no bool."""


@cache
def value_dtype(element: Attribute) -> DType:
    """The NumPy dtype of values of an element type; raises `DTypeError` for one without."""
    if element not in _VALUE:
        raise DTypeError(f"the reference backend has no element type {element}")
    return _VALUE[element]


@cache
def storage_dtype(element: Attribute) -> DType:
    """The NumPy dtype of elements in a buffer: a bool is a uint32 that is 0 or 1."""
    return np.dtype(np.uint32) if element == i1 else value_dtype(element)


def poison(shape: Sequence[int], dtype: DType) -> Array:
    """An array that nobody wrote (true, where the elements are bools)."""
    if dtype == np.bool_:
        return np.ones(shape, dtype)
    count = math.prod(shape)
    pattern = np.resize(POISON, max(4, dtype.itemsize)).view(dtype)[0]
    return np.full(count, pattern, dtype).reshape(shape)


def constant(attribute: Attribute) -> Array:
    """The value of a scalar or dense constant."""
    match attribute:
        case IntegerAttr() | FloatAttr():
            dtype = value_dtype(attribute.type)
            value = attribute.value.data
            if dtype.kind == "i":
                # 0xffffffff : i32 is -1.
                return np.asarray(np.int64(_wrap(int(value))).astype(dtype))
            return np.asarray(value, dtype)
        case DenseIntOrFPElementsAttr():
            element = attribute.get_element_type()
            data = attribute.data.data
            if element == i1:
                flat = np.frombuffer(data, np.uint8) != 0
            elif is_narrow(element):
                flat = wrapped(np.array(attribute.get_values()), element)
            else:
                flat = np.frombuffer(data, value_dtype(element))
            return flat.reshape(attribute.get_shape())
        case _:
            raise DTypeError(f"the reference backend has no constant {attribute}")


def _wrap(value: int) -> int:
    return (value + 2**63) % 2**64 - 2**63


def shape_of(type: Attribute) -> tuple[int, ...]:
    """The static shape of a tensor, vector or memref type; () for a scalar."""
    return type.get_shape() if isinstance(type, ShapedType) else ()


@dataclass(eq=False)
class Buffer:
    """A memref: `flat` holds its elements in row-major order, and may alias other buffers."""

    flat: Array
    element: Attribute
    shape: tuple[int, ...]

    @staticmethod
    def allocate(type: MemRefType[Attribute]) -> Buffer:
        """New memory, full of poison."""
        shape = type.get_shape()
        storage = storage_dtype(type.element_type)
        size = math.prod(shape) * storage.itemsize
        raw = np.resize(POISON, size) if size else np.empty(0, np.uint8)
        return Buffer(raw.view(storage), type.element_type, shape)

    @staticmethod
    def of(array: Array, element: Attribute) -> Buffer:
        """A copy of an array's values."""
        flat = np.array(array, storage_dtype(element)).reshape(-1)
        return Buffer(flat, element, array.shape)

    def view(self, byte_shift: int, type: MemRefType[Attribute]) -> Buffer:
        """The memory from `byte_shift` on as `type`; `ValueError` where it does not fit."""
        shape = type.get_shape()
        storage = storage_dtype(type.element_type)
        size = math.prod(shape) * storage.itemsize
        raw = self.flat.view(np.uint8)
        if byte_shift < 0 or byte_shift + size > raw.size:
            raise ValueError(
                f"bytes {byte_shift} to {byte_shift + size} of a buffer of {raw.size} bytes"
            )
        return Buffer(raw[byte_shift : byte_shift + size].view(storage), type.element_type, shape)

    def values(self) -> Array:
        """A copy of the contents as values; `ValueError` where a bool is neither 0 nor 1."""
        return from_storage(self.flat, self.element).reshape(self.shape)

    def assign(self, array: Array) -> None:
        """Writes an array of the same shape."""
        self.flat[:] = np.broadcast_to(array, self.shape).reshape(-1)


def from_storage(stored: Array, element: Attribute) -> Array:
    """A copy of stored elements as values; `ValueError` where a bool is neither 0 nor 1."""
    if element == i1:
        if stored.size and stored.max() > 1:
            wrong = int(stored.max())
            raise ValueError(f"read {wrong:#x} as a bool, which is 0 or 1: unwritten memory?")
        return stored != 0
    return stored.copy()
