"""ONNX's element types, and the dtypes that compute them. 64-bit integers are computed in i32, and
64-bit floats exactly, as `Float64`, unless the user says in which dtype (`doubles`).
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from stepwell.dialects.errors import UnsupportedError
from stepwell.frontend import float64
from stepwell.frontend.array import Array, asarray
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
from stepwell.frontend.elementwise import astype
from stepwell.frontend.executable import Spec
from stepwell.frontend.float64 import Float64
from stepwell.frontend.onnx.registry import Bounded, Operand, Plain, Traced, Value
from stepwell.frontend.wide import Wide

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

IN_32_BITS = 'load the model with float64="float32" to compute them in 32 bits'
"""What can be done about 64-bit floats."""
UNKNOWN_SIZE = "its size depends on values that are known only when the model runs"

_doubles: ContextVar[DType | None] = ContextVar("doubles", default=None)


@contextmanager
def doubles(dtype: DType | None) -> Generator[None]:
    """Within it, 64-bit floats are computed in `dtype`; by default exactly."""
    token = _doubles.set(dtype)
    try:
        yield
    finally:
        _doubles.reset(token)


def exact(element: int) -> bool:
    """Whether what is traced of an element type is a `Float64`."""
    return element == TensorProto.DOUBLE and _doubles.get() is None


def computed(element: int) -> DType:
    """The dtype in which an element type is computed. Raises: UnsupportedError."""
    if exact(element):
        raise UnsupportedError(f"64-bit floats have no exact form here: {IN_32_BITS}")
    found = _doubles.get() if element == TensorProto.DOUBLE else _COMPUTED.get(element)
    if found is None:
        name = TensorProto.DataType.Name(element)
        raise UnsupportedError(f"element type {name} has no dtype in WebGPU")
    return found


def numpy_dtype(element: int) -> np.dtype[Any]:
    """The NumPy dtype of an element type."""
    return helper.tensor_dtype_to_np_dtype(element)


def element_of(value: Plain) -> int:
    """The element type of an operand."""
    if isinstance(value, Float64):
        return TensorProto.DOUBLE
    if isinstance(value, Array):
        return _ELEMENTS[value.dtype]
    return helper.np_dtype_to_tensor_dtype(value.dtype)


def single(value: Value, name: str = "") -> Operand:
    """A value that is one array, as most are. Raises: UnsupportedError for others."""
    if isinstance(value, Bounded):
        raise UnsupportedError(name + UNKNOWN_SIZE)
    if isinstance(value, Float64):
        raise UnsupportedError(f"{name}64-bit floats have no exact form here: {IN_32_BITS}")
    return value


def array(value: Value) -> Array:
    """A value as an array. Raises: UnsupportedError where its dtype cannot hold its numbers, or
    its size is not known.
    """
    value = single(value)
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


def traced(value: Value) -> Traced:
    """A value as an array or, if its element type is exact, as 64-bit floats.

    Raises: UnsupportedError as `array` does.
    """
    if isinstance(value, Float64):
        return value
    if isinstance(value, np.ndarray) and exact(element_of(value)):
        return float64.from_numpy(value)
    return array(value)


def converted(x: Traced, element: int) -> Traced:
    """Numbers as another element type. Raises: UnsupportedError."""
    if exact(element):
        return x if isinstance(x, Float64) else float64.from_array(x)
    dtype = computed(element)
    if isinstance(x, Float64):
        return float64.to_array(x, dtype)
    # ONNX does not say what becomes of floats beyond a narrow integer: its tests keep low bits.
    return astype(astype(x, int32) if dtype.is_narrow else x, dtype)


# What programs take


def word(element: int) -> DType:
    """The dtype of the arrays that hold an element type. Raises: UnsupportedError."""
    return uint32 if exact(element) else computed(element)


def specified(shape: tuple[int, ...], element: int) -> Any:
    """What describes an argument to the compiler. Raises: UnsupportedError."""
    words: Any = Spec(shape, word(element))
    return Float64(Wide(words, words)) if exact(element) else words


def argument(value: np.ndarray[Any, Any]) -> Traced:
    """An argument. Raises: OverflowError for numbers beyond the dtype that computes them."""
    element = element_of(value)
    if exact(element):
        return float64.from_numpy(value, asarray)
    return asarray(held(value), computed(element))
