"""ONNX's element types, and the dtypes that compute them. 64-bit integers are computed in i32."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto, helper

from stepwell.dialects.errors import UnsupportedError
from stepwell.frontend.array import Array
from stepwell.frontend.building import lift
from stepwell.frontend.dtypes import DType, bool_, float16, float32, int32, uint32
from stepwell.frontend.onnx.registry import Value

_COMPUTED: dict[int, DType] = {
    TensorProto.FLOAT: float32,
    TensorProto.FLOAT16: float16,
    TensorProto.INT32: int32,
    TensorProto.INT64: int32,
    TensorProto.UINT32: uint32,
    TensorProto.BOOL: bool_,
}


def computed(element: int) -> DType:
    """The dtype in which an element type is computed. Raises: UnsupportedError."""
    found = _COMPUTED.get(element)
    if found is None:
        name = TensorProto.DataType.Name(element)
        raise UnsupportedError(f"element type {name} has no dtype in WebGPU")
    return found


def numpy_dtype(element: int) -> np.dtype[Any]:
    """The NumPy dtype of an element type."""
    return helper.tensor_dtype_to_np_dtype(element)


def array(value: Value) -> Array:
    """An operand as an array. Raises: UnsupportedError where its dtype cannot hold its numbers."""
    if isinstance(value, Array):
        return value
    if value.dtype == np.int64:
        limits = np.iinfo(np.int32)
        if value.size and (value.min() < limits.min or value.max() > limits.max):
            raise UnsupportedError("64-bit integers beyond 32 bits have no dtype in WebGPU")
        return lift(value.astype(np.int32))
    computed(helper.np_dtype_to_tensor_dtype(value.dtype))
    return lift(value)
