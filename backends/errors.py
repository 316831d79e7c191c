"""What can go wrong when a program runs."""

from __future__ import annotations


class DeviceError(RuntimeError):
    """A device refused or failed to do what it was asked."""


class UnknownDeviceError(DeviceError, ValueError):
    """No device has the requested name."""


class ShaderError(DeviceError):
    """A kernel's WGSL does not compile on the device.

    `kernel` is its name, `line` and `column` (from 1, None if unknown) where in `wgsl`.
    """

    def __init__(
        self, kernel: str, wgsl: str, message: str, line: int | None, column: int | None
    ) -> None:
        super().__init__(f"kernel {kernel!r} does not compile: {message}")
        self.kernel = kernel
        self.wgsl = wgsl
        self.line = line
        self.column = column


class DeviceMemoryError(DeviceError, MemoryError):
    """A buffer is larger than the device allows or has room for."""


class DeviceLostError(DeviceError):
    """The device is gone, and every array on it. Open it again and upload from the host."""


class ArgumentError(TypeError):
    """The arguments of a call do not fit the program's inputs."""


class DonatedError(DeviceError):
    """An array is used after it was donated to a call."""
