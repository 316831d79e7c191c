"""ONNX's element types, and the dtypes that compute them. 64-bit integers are computed in i32, and
64-bit floats not at all, unless the user says in which dtype (`doubles`).
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from stepwell.dialects.errors import UnsupportedError
from stepwell.frontend.array import Array
from stepwell.frontend.building import lift
from stepwell.frontend.dtypes import (
    NARROW,
    DType,
    bool_,
    float16,
    float32,
    int32,
    to_numpy,
    uint32,
)
from stepwell.frontend.onnx.registry import Bounded, Operand, Value

_COMPUTED: dict[int, DType] = {
    TensorProto.FLOAT: float32,
    TensorProto.FLOAT16: float16,
    TensorProto.INT32: int32,
    TensorProto.INT64: int32,
    TensorProto.UINT32: uint32,
    TensorProto.BOOL: bool_,
    **{TensorProto.DataType.Value(dtype.long_name.upper()): dtype for dtype in NARROW},
}
_ELEMENTS = {dtype: element for element, dtype in reversed(_COMPUTED.items())}

UNKNOWN_SIZE = "its size depends on values that are known only when the model runs"

_doubles: ContextVar[DType | None] = ContextVar("doubles", default=None)


@contextmanager
def doubles(dtype: DType | None) -> Generator[None]:
    """Within it, 64-bit floats are computed in `dtype`; by default they are refused."""
    token = _doubles.set(dtype)
    try:
        yield
    finally:
        _doubles.reset(token)


def computes_doubles() -> bool:
    return _doubles.get() is not None


def computed(element: int) -> DType:
    """The dtype in which an element type is computed. Raises: UnsupportedError."""
    found = _doubles.get() if element == TensorProto.DOUBLE else _COMPUTED.get(element)
    if found is None:
        name = TensorProto.DataType.Name(element)
        raise UnsupportedError(f"element type {name} has no dtype in WebGPU")
    return found


def numpy_dtype(element: int) -> np.dtype[Any]:
    """The NumPy dtype of an element type."""
    return helper.tensor_dtype_to_np_dtype(element)


def element_of(value: Operand) -> int:
    """The element type of an operand."""
    if isinstance(value, Array):
        return _ELEMENTS[value.dtype]
    return helper.np_dtype_to_tensor_dtype(value.dtype)


def array(value: Value) -> Array:
    """An operand as an array. Raises: UnsupportedError where its dtype cannot hold its numbers, or
    its size is not known.
    """
    if isinstance(value, Bounded):
        raise UnsupportedError(UNKNOWN_SIZE)
    if isinstance(value, Array):
        return value
    try:
        return lift(Array(held(value), computed(element_of(value))))
    except OverflowError as error:
        raise UnsupportedError(str(error)) from None


def held(value: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The value in the dtype that computes it. Raises: OverflowError for numbers beyond it."""
    dtype = computed(element_of(value))
    with np.errstate(over="ignore"):
        narrowed = to_numpy(value, dtype)
    if value.dtype == np.float64 and (np.isinf(narrowed) & np.isfinite(value)).any():
        raise OverflowError(f"64-bit floats beyond the largest {dtype} have no dtype in WebGPU")
    return narrowed
