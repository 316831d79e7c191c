"""An array on a device: what a program takes and returns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from stepwell.backends.errors import ArgumentError, DonatedError
from stepwell.backends.program import ELEMENT_BITS, NUMPY_DTYPES, DType, Shape, array_bytes
from stepwell.backends.wgpu.memory import Memory

if TYPE_CHECKING:
    from stepwell.backends.wgpu.device import Device

_DTYPE_NAMES: dict[np.dtype[Any], DType] = {
    dtype: name for name, dtype in NUMPY_DTYPES.items() if ELEMENT_BITS[name] >= 8
}
_NARROWER = {"float64": "float32", "int64": "int32", "uint64": "uint32"}


def dtype_name(dtype: np.dtype[Any]) -> DType:
    """The name of a NumPy dtype. Raises: ArgumentError if devices have no such type."""
    name = _DTYPE_NAMES.get(dtype)
    if name is None:
        known = ", ".join(map(str, _DTYPE_NAMES))
        hint = _NARROWER.get(dtype.name)
        raise ArgumentError(
            f"no device has arrays of {dtype}; use one of {known}"
            + (f" (x.astype(np.{hint}))" if hint else "")
        )
    return name


def type_text(shape: Shape, dtype: str) -> str:
    """How messages write a type: `f32[2, 3]`."""
    return f"{dtype}[{', '.join(map(str, shape))}]"


class DeviceArray:
    """An array of `shape` and `dtype` on `device`. Made by `Device.array` and by executors.

    Reading it waits for the device. After it was donated to a call, any use raises DonatedError.
    """

    __slots__ = ("__weakref__", "_donated_to", "_memory", "device", "dtype", "shape")

    def __init__(self, device: Device, shape: Shape, dtype: DType, memory: Memory | None) -> None:
        self.device = device
        self.shape = shape
        self.dtype: DType = dtype
        self._memory = memory
        self._donated_to: str | None = None

    @property
    def memory(self) -> Memory | None:
        """Its buffer; None for an array without elements. Raises: DonatedError."""
        if self._donated_to is not None:
            raise DonatedError(
                f"this {type_text(self.shape, self.dtype)} was donated to {self._donated_to!r}, "
                "which may have overwritten it; use what that call returned, or copy it before"
            )
        return self._memory

    @property
    def is_donated(self) -> bool:
        """Whether a call has taken this array's buffer."""
        return self._donated_to is not None

    @property
    def nbytes(self) -> int:
        """Bytes of its elements on the device."""
        return array_bytes(self.shape, self.dtype)

    def donate(self, program: str) -> None:
        """Give its buffer up to a call of `program`."""
        self._donated_to = program
        self._memory = None

    def numpy(self) -> np.ndarray[Any, Any]:
        """Wait for the value and copy it to the host."""
        return self.device.read(self)

    def __array__(
        self, dtype: np.dtype[Any] | None = None, copy: bool | None = None
    ) -> np.ndarray[Any, Any]:
        if copy is False:
            raise ValueError("an array on a device cannot be read without a copy")
        values = self.numpy()
        return values if dtype is None else values.astype(dtype)

    def __repr__(self) -> str:
        state = f", donated to {self._donated_to!r}" if self._donated_to is not None else ""
        return f"DeviceArray({type_text(self.shape, self.dtype)}{state})"
