"""Chooses where programs run: a GPU, else a CPU that speaks Vulkan, else NumPy.

`STEPWELL_DEVICE` or `device=` name one: "gpu", "cpu", "reference", or part of an adapter's name.
`STEPWELL_LIMITS=default` opens it with WebGPU's default limits instead of all that it has.
"""

from __future__ import annotations

import difflib
import os
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stepwell.backends.errors import UnknownDeviceError

if TYPE_CHECKING:
    from stepwell.backends.wgpu.device import Device, Limits

_NO_DEVICE = (
    "stepwell: no WebGPU device found, computing with NumPy instead, slowly. A GPU driver with "
    "Vulkan, Metal or Direct3D 12 gives you one; without a GPU, install Mesa's software Vulkan "
    "(apt-get install mesa-vulkan-drivers)."
)
_BACKENDS = ("Vulkan", "Metal", "D3D12", "OpenGL", "OpenGLES")
_KINDS = ("DiscreteGPU", "IntegratedGPU", "Unknown", "CPU")
_lock = threading.Lock()
_open: dict[tuple[str, str], Device | ReferenceDevice] = {}
_devices: dict[tuple[str, str], Device] = {}


@dataclass(frozen=True)
class ReferenceDevice:
    """No device: programs run in NumPy."""

    target_name: str = "software"

    def __str__(self) -> str:
        return "NumPy (reference)"


@dataclass(frozen=True)
class AdapterInfo:
    """An adapter that could be opened. `handle` is wgpu's object."""

    name: str
    backend: str
    kind: str
    handle: Any

    @property
    def is_software(self) -> bool:
        """Whether a CPU does the work."""
        return self.kind == "CPU"

    def __str__(self) -> str:
        return f"{self.name} ({'CPU' if self.is_software else 'GPU'}, {self.backend})"


def adapters() -> list[AdapterInfo]:
    """What wgpu finds on this machine, the best first: GPUs before CPUs, OpenGL last among each."""
    try:
        from stepwell.backends.wgpu.native import wgpu

        handles: list[Any] = wgpu.gpu.enumerate_adapters_sync()
    except (ImportError, OSError, RuntimeError):
        return []
    found = [
        AdapterInfo(h.info["device"], h.info["backend_type"], h.info["adapter_type"], h)
        for h in handles
    ]
    return sorted(
        found, key=lambda a: (a.is_software, _rank(_BACKENDS, a.backend), _rank(_KINDS, a.kind))
    )


def open_device(
    device: str | None = None, *, limits: Limits | None = None
) -> Device | ReferenceDevice:
    """Open the named device (see this module), or the best one; the same one every time.

    `device` and `limits` default to STEPWELL_DEVICE and STEPWELL_LIMITS. Without any adapter and
    without a name, says so on stderr and returns the reference. Raises: UnknownDeviceError.
    """
    name = (device or os.environ.get("STEPWELL_DEVICE") or "").strip()
    grant = _limits(limits or os.environ.get("STEPWELL_LIMITS") or "adapter")
    key = (name.lower(), grant)
    with _lock:
        if key not in _open:
            _open[key] = _choose(name, grant)
        return _open[key]


def forget_devices() -> None:
    """Make the next `open_device` open a new one, as after DeviceLostError."""
    with _lock:
        _open.clear()
        _devices.clear()


def _choose(name: str, limits: Limits) -> Device | ReferenceDevice:
    wanted = name.lower()
    if wanted == "reference":
        return ReferenceDevice()
    found = adapters()
    if not name and not found:
        print(_NO_DEVICE, file=sys.stderr)
        return ReferenceDevice()
    matches = [adapter for adapter in found if _matches(adapter, wanted)]
    if not matches:
        raise UnknownDeviceError(_unknown(name, found))
    return _device(matches[0], limits)


def _device(adapter: AdapterInfo, limits: Limits) -> Device:
    """One open device per adapter and limits, whatever name it was asked for by."""
    from stepwell.backends.wgpu.device import Device

    key = str(adapter), limits
    if key not in _devices:
        _devices[key] = Device(adapter.handle, limits)
    return _devices[key]


def _matches(adapter: AdapterInfo, wanted: str) -> bool:
    if wanted in ("gpu", "cpu"):
        return adapter.is_software == (wanted == "cpu")
    return wanted in str(adapter).lower()


def _unknown(name: str, found: list[AdapterInfo]) -> str:
    kinds = {"cpu" if adapter.is_software else "gpu" for adapter in found}
    names = [*kinds, "reference", *(adapter.name for adapter in found)]
    words = {word.strip("(),").lower() for candidate in names for word in candidate.split()}
    close = difflib.get_close_matches(name.lower(), sorted(words), 1)
    there = "; ".join(map(str, found)) or "no adapters"
    return (
        f"no device matches {name!r}"
        + (f"; did you mean {close[0]!r}?" if close else ".")
        + f" Found: {there}. Names: gpu, cpu, reference, or part of an adapter's name."
    )


def _limits(text: str) -> Limits:
    if text == "adapter" or text == "default":
        return text
    raise UnknownDeviceError(f"limits are 'adapter' or 'default', not {text!r}")


def _rank(order: tuple[str, ...], value: str) -> int:
    return order.index(value) if value in order else len(order)
