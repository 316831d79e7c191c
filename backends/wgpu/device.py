"""A WebGPU device: what it is, its memory, its compiled kernels, and transfers to and from it."""

from __future__ import annotations

import os
import re
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from stepwell.backends.errors import (
    ArgumentError,
    DeviceError,
    DeviceLostError,
    DeviceMemoryError,
    ShaderError,
)
from stepwell.backends.packing import from_device_layout, to_device_layout
from stepwell.backends.program import Access, DType, Kernel, Shape, buffer_bytes
from stepwell.backends.wgpu import native
from stepwell.backends.wgpu.array import (
    DeviceArray,
    dtype_name,
)
from stepwell.backends.wgpu.memory import Memory, MemoryPool
from stepwell.backends.wgpu.native import wgpu
from stepwell.backends.wgpu.staging import UploadRing
from stepwell.passes.target import with_features

Limits = Literal["adapter", "default"]

DEFAULT_LIMITS = {
    "max-bind-groups": 4,
    "max-bindings-per-bind-group": 1000,
    "max-storage-buffers-per-shader-stage": 8,
    "max-uniform-buffers-per-shader-stage": 12,
    "max-uniform-buffer-binding-size": 64 << 10,
    "max-storage-buffer-binding-size": 128 << 20,
    "max-buffer-size": 256 << 20,
    "max-compute-workgroup-storage-size": 16 << 10,
    "max-compute-invocations-per-workgroup": 256,
    "max-compute-workgroup-size-x": 256,
    "max-compute-workgroup-size-y": 256,
    "max-compute-workgroup-size-z": 64,
    "max-compute-workgroups-per-dimension": 65_535,
}
"""What every WebGPU device has, of what compute uses (https://www.w3.org/TR/webgpu/#limits)."""

_NATIVE_FEATURES = {"shader-f16": "shader-f16", "subgroups": "subgroup"}
_TIMESTAMPS = "timestamp-query"
_SUBMITS_AHEAD = 32
_BIND_GROUPS = 16_384
_SUBGROUP_PROBE = """
@group(0) @binding(0) var<storage, read_write> size: array<u32>;
@compute @workgroup_size(64)
fn main(@builtin(subgroup_size) here: u32, @builtin(local_invocation_index) index: u32) {
  if (index == 0u) { size[0] = here; }
}
"""
_ENABLE_SUBGROUPS = re.compile(r"\benable\s+subgroups\s*;")


@dataclass(frozen=True)
class DeviceDescription:
    """What is known of an open device.

    `features` are those of `program.FEATURES` that it has; `subgroup_size` was measured on it;
    `memory_bytes` is None where only the driver knows; `target_name` is the compiler's target for
    it: "software" where a CPU does the work, else "desktop", with what the device has beyond that.
    """

    name: str
    backend: str
    driver: str
    is_software: bool
    features: frozenset[str]
    has_timestamps: bool
    subgroup_size: int | None
    limits: dict[str, int]
    memory_bytes: int | None
    target_name: str

    def __str__(self) -> str:
        return f"{self.name} ({self.backend}, {self.driver})"


Binding = tuple[Memory, int, int]
"""A buffer, at which byte what is bound of it begins, and how many bytes these are."""


@dataclass(frozen=True)
class Pipeline:
    """A kernel compiled on one device. `accesses` are those of its bind group `layout`."""

    handle: Any
    id: Any
    layout: Any
    accesses: tuple[Access, ...]


class Device:
    """An open WebGPU device. Safe to use from several threads: `lock` guards every call.

    `limits="default"` asks for WebGPU's default limits, which every browser grants; optional
    shader features are there as the adapter has them. Raises: DeviceError if the adapter refuses.
    """

    def __init__(self, adapter: Any, limits: Limits = "adapter") -> None:
        self.lock = threading.RLock()
        self._opened = adapter, limits
        has = frozenset(adapter.features)
        features = frozenset(
            name for name, native_name in _NATIVE_FEATURES.items() if native_name in has
        )
        wanted = [_NATIVE_FEATURES[name] for name in sorted(features)]
        wanted += [_TIMESTAMPS] if _TIMESTAMPS in has else []
        required = dict(adapter.limits) if limits == "adapter" else DEFAULT_LIMITS
        with self._errors("opening the device"):
            self.handle: Any = adapter.request_device_sync(
                required_features=wanted, required_limits=required
            )
        self.queue: Any = self.handle.queue
        self._modules: dict[tuple[str, bool], Any] = {}
        self._pipelines: dict[tuple[str, str, tuple[Access, ...], bool], Pipeline] = {}
        self._layouts: dict[tuple[Access, ...], tuple[Any, Any]] = {}
        self._bind_groups: OrderedDict[tuple[Any, ...], Any] = OrderedDict()
        self._submissions: deque[int] = deque()
        self.trims = 0
        """Counts the times that idle buffers, and every bind group with them, were let go."""
        granted: dict[str, int] = {
            name: DEFAULT_LIMITS[name] if limits == "default" else self.handle.limits[name]
            for name in DEFAULT_LIMITS
        }
        largest = granted["max-buffer-size"] & ~15
        usage = wgpu.BufferUsage
        storage = usage.STORAGE | usage.COPY_SRC | usage.COPY_DST
        self.memory = MemoryPool(self._creator(storage), self._forget_bind_groups, largest)
        self.uniforms = MemoryPool(
            self._creator(usage.UNIFORM | usage.COPY_DST), self._forget_bind_groups, largest
        )
        self.counts = MemoryPool(
            self._creator(storage | usage.INDIRECT), self._forget_bind_groups, largest
        )
        self._uploads = UploadRing(self.handle)
        self._staging = MemoryPool(
            self._creator(usage.MAP_READ | usage.COPY_DST), lambda: None, largest
        )
        self.description = _describe(
            adapter, limits, features, granted, self._measure_subgroup(features)
        )

    def __str__(self) -> str:
        return str(self.description)

    def _creator(self, usage: int) -> Callable[[int], Any]:
        def create(size: int) -> Any:
            with self._errors(f"creating a buffer of {size:,} bytes"):
                return self.handle.create_buffer(size=size, usage=usage)

        return create

    def another(self) -> Device:
        """A further device of the same adapter. Raises: DeviceError."""
        return Device(*self._opened)

    def close(self) -> None:
        """Let go of everything at once. No array or program may be left on the device."""
        self.wait()
        self.handle.destroy()

    @property
    def compiles_at_dispatch(self) -> bool:
        """Whether kernels are compiled when they are first dispatched, not with their pipelines."""
        return self.description.is_software and "Mesa" in self.description.driver

    # Arrays

    def array(
        self, values: np.ndarray[Any, Any], label: str = "an array", dtype: DType | None = None
    ) -> DeviceArray:
        """Copy a NumPy array to the device. `dtype`: of those that are the same in NumPy."""
        dtype = dtype or dtype_name(values.dtype)
        if values.size == 0:
            return DeviceArray(self, values.shape, dtype, None)
        data = to_device_layout(values, dtype)
        with self.lock:
            memory = self.memory.allocate(buffer_bytes(values.shape, dtype), label)
            self.write(memory.buffer, data)
        return DeviceArray(self, values.shape, dtype, memory)

    def empty(self, shape: Shape, dtype: DType, label: str = "an array") -> DeviceArray:
        """An array with unspecified contents."""
        size = buffer_bytes(shape, dtype)
        memory = self.memory.allocate(size, label) if size else None
        return DeviceArray(self, shape, dtype, memory)

    def read(self, array: DeviceArray) -> np.ndarray[Any, Any]:
        """Wait for an array's value and copy it to the host."""
        if array.device is not self:
            raise ArgumentError("the array is on another device")
        memory = array.memory
        if memory is None:
            return from_device_layout(bytearray(), array.shape, array.dtype)
        data = self.read_buffer(memory.buffer, -(-array.nbytes // 4) * 4)
        return from_device_layout(data, array.shape, array.dtype)

    def read_buffer(self, buffer: Any, size: int) -> bytearray:
        """Wait for the device and copy the first `size` bytes (a multiple of 4) of a buffer."""
        with self.lock, self._errors("reading a buffer"):
            staging = self._staging.allocate(size, "a read-back buffer")
            with native.Encoder(self.handle) as encoder:
                encoder.copy(buffer, staging.buffer, size)
                encoder.submit(self.queue)
            self._submissions.clear()
            return native.read_mapped(self.handle, staging.buffer, size)

    def write(self, buffer: Any, data: np.ndarray[Any, Any]) -> None:
        """Copy contiguous host memory, a multiple of 4 bytes, to the start of a buffer."""
        with self.lock, self._errors("writing a buffer"):
            self._uploads.write(buffer, data.ctypes.data, data.nbytes)

    def wait(self) -> None:
        """Wait until the device has done everything that it was asked to."""
        with self.lock, self._errors("waiting for the device"):
            native.poll(self.handle, None)
            self._submissions.clear()

    @contextmanager
    def commands(self, what: str) -> Generator[native.Encoder]:
        """Record commands and submit them on exit; `what` says in errors what they were for.

        Waits only when the device is many submissions behind, which bounds what it must hold.
        """
        with self.lock, self._errors(what), native.Encoder(self.handle) as encoder:
            yield encoder
            self._submissions.append(encoder.submit(self.queue))
            if len(self._submissions) > _SUBMITS_AHEAD:
                native.poll(self.handle, self._submissions.popleft())

    # Kernels

    def pipelines(self, kernels: Sequence[Kernel]) -> list[Pipeline]:
        """Compile kernels, those with equal text once, several at a time. Raises: ShaderError."""
        with self.lock:
            for kernel in kernels:
                self._require(kernel)
                self._layout(kernel.accesses)
            distinct = {_pipeline_key(kernel): kernel for kernel in kernels}
            missing = [k for key, k in distinct.items() if key not in self._pipelines]
            if len(missing) > 1:
                with ThreadPoolExecutor(min(len(missing), os.cpu_count() or 1)) as workers:
                    compiled = list(workers.map(self._compile, missing))
            else:
                compiled = [self._compile(kernel) for kernel in missing]
            for kernel, pipeline in zip(missing, compiled, strict=True):
                self._pipelines[_pipeline_key(kernel)] = pipeline
            return [self._pipelines[_pipeline_key(kernel)] for kernel in kernels]

    def knows(self, kernel: Kernel) -> bool:
        """Whether it has a pipeline of the kernel."""
        return _pipeline_key(kernel) in self._pipelines

    def bind_group(self, pipeline: Pipeline, bindings: Sequence[Binding]) -> Any:
        """The bind group of buffers, from a byte of each on so many; cached."""
        key = (pipeline.accesses, *((memory.serial, *part) for memory, *part in bindings))
        group = self._bind_groups.get(key)
        if group is None:
            entries = [
                {"binding": i, "resource": {"buffer": memory.buffer, "offset": at, "size": size}}
                for i, (memory, at, size) in enumerate(bindings)
            ]
            with self._errors("binding buffers"):
                group = self.handle.create_bind_group(layout=pipeline.layout, entries=entries)
            self._bind_groups[key] = group
            if len(self._bind_groups) > _BIND_GROUPS:
                self._bind_groups.popitem(last=False)
        return group

    def _forget_bind_groups(self) -> None:
        self._bind_groups.clear()
        self.trims += 1

    def _layout(self, accesses: tuple[Access, ...]) -> tuple[Any, Any]:
        """The bind group layout and pipeline layout of bindings with these accesses."""
        if accesses not in self._layouts:
            entries = [
                {
                    "binding": i,
                    "visibility": wgpu.ShaderStage.COMPUTE,
                    "buffer": {"type": _BINDING_TYPES[access]},
                }
                for i, access in enumerate(accesses)
            ]
            with self._errors("laying out bindings"):
                group = self.handle.create_bind_group_layout(entries=entries)
                layout = self.handle.create_pipeline_layout(bind_group_layouts=[group])
            self._layouts[accesses] = group, layout
        return self._layouts[accesses]

    def _compile(self, kernel: Kernel) -> Pipeline:
        # naga knows subgroups without the directive, and rejects the directive.
        text = _ENABLE_SUBGROUPS.sub("", kernel.wgsl)
        group, layout = self._layouts[kernel.accesses]
        try:
            module = native.shader_module(self.handle, text, kernel.name, trusted=kernel.trusted)
            handle = self.handle.create_compute_pipeline(
                label=kernel.name,
                layout=layout,
                compute={"module": module, "entry_point": kernel.entry_point},
            )
        except wgpu.GPUError as error:
            raise _shader_error(kernel, text, error) from error
        return Pipeline(handle, native.object_id(handle), group, kernel.accesses)

    def _require(self, kernel: Kernel) -> None:
        """Check that the device can run a kernel."""
        about, limits = self.description, self.description.limits
        where = f"kernel {kernel.name!r}"
        for feature in kernel.features:
            if feature not in about.features:
                raise DeviceError(f"{where} needs {feature!r}, which {about} does not have")
        if kernel.subgroup_size not in (None, about.subgroup_size):
            raise DeviceError(
                f"{where} was compiled for subgroups of {kernel.subgroup_size}; {about} has "
                f"{about.subgroup_size}: compile it for target {about.target_name!r}"
            )
        sizes = {
            f"max-compute-workgroup-size-{axis}": size
            for axis, size in zip("xyz", kernel.workgroup_size, strict=True)
        }
        x, y, z = kernel.workgroup_size
        sizes["max-compute-invocations-per-workgroup"] = x * y * z
        uniforms = kernel.accesses.count("uniform")
        sizes["max-uniform-buffers-per-shader-stage"] = uniforms
        sizes["max-storage-buffers-per-shader-stage"] = len(kernel.accesses) - uniforms
        for limit, size in sizes.items():
            if size > limits[limit]:
                raise DeviceError(
                    f"{where} needs {size} where {about} allows {limits[limit]} ({limit})"
                )

    def _measure_subgroup(self, features: Iterable[str]) -> int | None:
        if "subgroups" not in features:
            return None
        with self._errors("measuring the subgroup size"):
            module = self.handle.create_shader_module(code=_SUBGROUP_PROBE)
            probe = self.handle.create_compute_pipeline(
                layout="auto", compute={"module": module, "entry_point": "main"}
            )
            memory = self.memory.allocate(16, "the subgroup probe")
            resource = {"buffer": memory.buffer, "offset": 0, "size": 16}
            group = self.handle.create_bind_group(
                layout=probe.get_bind_group_layout(0),
                entries=[{"binding": 0, "resource": resource}],
            )
            with self.commands("measuring the subgroup size") as encoder:
                ids = native.object_id(probe), native.object_id(group)
                encoder.dispatches([(*ids, 1, 1, 1)])
            return int(np.frombuffer(self.read_buffer(memory.buffer, 4), np.uint32)[0])

    @contextmanager
    def _errors(self, what: str) -> Generator[None]:
        """Turn the errors of wgpu into those of `stepwell.backends.errors`."""
        try:
            yield
        except wgpu.GPUOutOfMemoryError as error:
            raise DeviceMemoryError(f"out of device memory while {what}: {error}") from error
        except (wgpu.GPUError, RuntimeError) as error:
            if isinstance(error, DeviceError):
                raise
            if re.search(r"\blost\b|device .*(destroyed|invalid)", str(error), re.IGNORECASE):
                raise DeviceLostError(f"the device was lost while {what}: {error}") from error
            raise DeviceError(f"{what} failed: {error}") from error


_BINDING_TYPES: dict[Access, str] = {
    "read": "read-only-storage",
    "read_write": "storage",
    "uniform": "uniform",
}


def _pipeline_key(kernel: Kernel) -> tuple[str, str, tuple[Access, ...], bool]:
    return kernel.wgsl, kernel.entry_point, kernel.accesses, kernel.trusted


def _shader_error(kernel: Kernel, text: str, error: Exception) -> ShaderError:
    """naga reports `wgsl:LINE:COLUMN` and most often the source; add the line where it does not."""
    message = str(error).strip()
    place = re.search(r"wgsl:(\d+):(\d+)", message)
    if place is None:
        return ShaderError(kernel.name, text, message, None, None)
    line, column = int(place[1]), int(place[2])
    lines = text.splitlines()
    if line <= len(lines) and lines[line - 1].strip() not in message:
        message += f"\n{line} | {lines[line - 1]}"
    return ShaderError(kernel.name, text, message, line, column)


def _describe(
    adapter: Any,
    limits: Limits,
    features: frozenset[str],
    granted: dict[str, int],
    subgroup_size: int | None,
) -> DeviceDescription:
    info: dict[str, Any] = adapter.info
    is_software = info["adapter_type"] == "CPU"
    return DeviceDescription(
        name=str(info["device"]),
        backend=str(info["backend_type"]),
        driver=str(info["description"]),
        is_software=is_software,
        features=features,
        has_timestamps=_TIMESTAMPS in adapter.features,
        subgroup_size=subgroup_size,
        limits=granted,
        memory_bytes=_host_memory() if is_software else None,
        target_name=with_features(
            "software" if is_software else "desktop",
            subgroup_size,
            granted["max-compute-workgroup-storage-size"],
            min(
                granted["max-compute-invocations-per-workgroup"],
                granted["max-compute-workgroup-size-x"],
            ),
            granted["max-storage-buffers-per-shader-stage"],
        ),
    )


def _host_memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
