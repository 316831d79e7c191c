"""How arrays stand in buffers: a bool as a word, narrow integers several to a byte."""

from __future__ import annotations

from typing import Any

import numpy as np

from stepwell.backends.program import ELEMENT_BITS, NUMPY_DTYPES, DType, Shape, element_count

NumPyArray = np.ndarray[Any, np.dtype[Any]]


def to_device_layout(values: NumPyArray, dtype: DType) -> NumPyArray:
    """The bytes of an array as its buffer holds them, a whole number of words.

    A bool is a u32; of integers below 8 bits, the first has the lowest bits of its byte.
    """
    if dtype == "bool":
        values = values.astype(np.uint32)
    bits = ELEMENT_BITS[dtype]
    return whole_words(_joined(values.reshape(-1), bits) if bits < 8 else values)


def whole_words(values: NumPyArray) -> NumPyArray:
    """The bytes of an array, and zeros up to a multiple of 4."""
    values = np.ascontiguousarray(values).reshape(-1)
    if not values.nbytes % 4:
        return values
    data = values.view(np.uint8)
    return np.concatenate([data, np.zeros(-data.size % 4, np.uint8)])


def from_device_layout(data: bytearray, shape: Shape, dtype: DType) -> NumPyArray:
    """The inverse of `to_device_layout`."""
    count, bits = element_count(shape), ELEMENT_BITS[dtype]
    if bits < 8:
        return _parted(np.frombuffer(data, np.uint8), bits, dtype)[:count].reshape(shape)
    stored = np.dtype(np.uint32) if dtype == "bool" else NUMPY_DTYPES[dtype]
    values = np.frombuffer(data, stored, count).reshape(shape)
    return values.astype(np.bool_) if dtype == "bool" else values


def _joined(values: NumPyArray, bits: int) -> NumPyArray:
    """Several integers in a byte."""
    parts = 8 // bits
    padded = np.concatenate([values, np.zeros(-values.size % parts, values.dtype)])
    fields = (padded.astype(np.uint8) & ((1 << bits) - 1)).reshape(-1, parts)
    shifted = fields << (np.arange(parts, dtype=np.uint8) * bits).astype(np.uint8)
    return np.bitwise_or.reduce(shifted, axis=1)


def _parted(data: NumPyArray, bits: int, dtype: DType) -> NumPyArray:
    """The integers in bytes that hold several each."""
    kept = NUMPY_DTYPES[dtype]
    left = (8 - bits - np.arange(0, 8, bits)).astype(np.uint8)
    high = (data[:, None] << left).view(kept)
    return (high >> (8 - bits)).reshape(-1)
