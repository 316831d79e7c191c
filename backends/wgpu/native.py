"""Raw calls into wgpu-native, where wgpu-py is too slow or has no method.

A dispatch through wgpu-py's methods costs 3.3 us of Python, through these 1.4. `checked` are
wgpu-py's versions of the C functions, which raise what the driver reports during the call; `raw`
ones do not, and are for calls whose errors come out at `finish` anyway.
"""

from __future__ import annotations

import importlib
import os
import tempfile
from collections.abc import Iterable
from typing import Any

# wgpu's OpenGL backend complains on stderr where the variable is missing.
os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.gettempdir())

wgpu: Any = importlib.import_module("wgpu")
_api: Any = importlib.import_module("wgpu.backends.wgpu_native._api")
ffi: Any = _api.ffi
raw: Any = _api.lib
checked: Any = _api.libf

Step = tuple[Any, Any, Any, int, int]
"""A dispatch: the ids of pipeline and bind group, workgroups in x, y, z. Where z is 0 the device
reads these from a buffer: then x is its id, and y the byte where they are."""

CopyStep = tuple[Any, Any, int, int, int]
"""A copy: source, destination, bytes, where they begin in the destination and in the source."""


def object_id(handle: Any) -> Any:
    """The C pointer behind an object of wgpu-py."""
    return handle._internal


def shader_module(device: Any, wgsl: str, label: str, *, trusted: bool) -> Any:
    """Compile WGSL. `trusted` leaves out the bounds and loop checks that naga adds."""
    if not trusted:
        return device.create_shader_module(label=label, code=wgsl)
    text = wgsl.encode()
    data = ffi.new("char[]", text)
    source = ffi.new("WGPUShaderSourceWGSL *")
    source.chain.sType = raw.WGPUSType_ShaderSourceWGSL
    source.code.data, source.code.length = data, len(text)
    descriptor = ffi.new("WGPUShaderModuleDescriptor *")
    descriptor.nextInChain = ffi.cast("WGPUChainedStruct *", source)
    module = checked.wgpuDeviceCreateShaderModuleTrusted(object_id(device), descriptor, 0)
    return _api.GPUShaderModule(label, module, device)


def write_buffer(queue: Any, buffer: Any, address: int, size: int) -> None:
    """Copy `size` bytes (a multiple of 4) from host memory to the start of a buffer."""
    checked.wgpuQueueWriteBuffer(
        object_id(queue), object_id(buffer), 0, ffi.cast("void *", address), size
    )


def poll(device: Any, submission: int | None) -> None:
    """Wait until a submission is done; all of them for None."""
    index = ffi.NULL if submission is None else ffi.new("WGPUSubmissionIndex *", submission)
    checked.wgpuDevicePoll(object_id(device), True, index)


def timestamp_period(queue: Any) -> float:
    """Nanoseconds of one tick of the device's clock."""
    return checked.wgpuQueueGetTimestampPeriod(object_id(queue))


@ffi.callback("void(WGPUMapAsyncStatus, WGPUStringView, void *, void *)")
def _mapped(status: int, _message: Any, result: Any, _unused: Any) -> None:
    ffi.cast("int *", result)[0] = status


class Upload:
    """A MAP_WRITE buffer that is mapped when it is made, and again whenever it was copied from."""

    def __init__(self, device: Any, buffer: Any, size: int) -> None:
        self.buffer = buffer
        self._device, self._size = device, size
        self._status = ffi.new("int *", raw.WGPUMapAsyncStatus_Success)
        self._submission: int | None = None

    def fill(self, address: int, size: int) -> None:
        """Copy host memory into the buffer, which is mapped, and hand it to the device."""
        view = checked.wgpuBufferGetMappedRange(object_id(self.buffer), 0, size)
        ffi.memmove(view, ffi.cast("void *", address), size)
        checked.wgpuBufferUnmap(object_id(self.buffer))

    def map(self, submission: int) -> None:
        """Ask for the buffer back, once the device is done with the submission that copies it."""
        self._submission, self._status[0] = submission, 0
        _map(self.buffer, raw.WGPUMapMode_Write, self._size, self._status)

    def wait(self) -> None:
        """Wait until the buffer is mapped, which later submissions have no part in."""
        if self._status[0] == 0:
            poll(self._device, self._submission)
        _wait_mapped(self._device, self._status)


def _map(buffer: Any, mode: int, size: int, status: Any) -> None:
    """Ask for the first bytes of a buffer; `status`, which must live on, is set when it is."""
    info = ffi.new("WGPUBufferMapCallbackInfo *")
    info.mode = raw.WGPUCallbackMode_AllowProcessEvents
    info.callback = _mapped
    info.userdata1 = status
    checked.wgpuBufferMapAsync(object_id(buffer), mode, 0, size, info[0])


def _wait_mapped(device: Any, status: Any) -> None:
    while status[0] == 0:
        poll(device, None)
    if status[0] != raw.WGPUMapAsyncStatus_Success:
        raise wgpu.GPUInternalError(f"could not map a buffer (status {status[0]})")


def read_mapped(device: Any, buffer: Any, size: int) -> bytearray:
    """Wait for the device, then copy the first `size` bytes of a MAP_READ buffer."""
    status = ffi.new("int *", 0)
    _map(buffer, raw.WGPUMapMode_Read, size, status)
    _wait_mapped(device, status)
    buffer_id = object_id(buffer)
    try:
        view = checked.wgpuBufferGetConstMappedRange(buffer_id, 0, size)
        return bytearray(ffi.buffer(view, size))
    finally:
        checked.wgpuBufferUnmap(buffer_id)


class Encoder:
    """Records one command buffer. Use as a context manager, and `submit` inside it."""

    def __init__(self, device: Any) -> None:
        self._device = device
        self._encoder = checked.wgpuDeviceCreateCommandEncoder(object_id(device), ffi.NULL)

    def __enter__(self) -> Encoder:
        return self

    def __exit__(self, *_: object) -> None:
        raw.wgpuCommandEncoderRelease(self._encoder)

    def dispatches(self, steps: Iterable[Step], timestamps: tuple[Any, int] | None = None) -> None:
        """One compute pass. `timestamps` (query set, first index) writes its begin and end."""
        descriptor = ffi.NULL
        if timestamps is not None:
            writes = ffi.new("WGPUPassTimestampWrites *")
            writes.querySet = object_id(timestamps[0])
            writes.beginningOfPassWriteIndex = timestamps[1]
            writes.endOfPassWriteIndex = timestamps[1] + 1
            descriptor = ffi.new("WGPUComputePassDescriptor *")
            descriptor.timestampWrites = writes
        compute = checked.wgpuCommandEncoderBeginComputePass(self._encoder, descriptor)
        set_pipeline = raw.wgpuComputePassEncoderSetPipeline
        set_bind_group = raw.wgpuComputePassEncoderSetBindGroup
        dispatch = raw.wgpuComputePassEncoderDispatchWorkgroups
        dispatch_counted = raw.wgpuComputePassEncoderDispatchWorkgroupsIndirect
        null = ffi.NULL
        current: Any = None
        bound: Any = None
        try:
            for pipeline, group, x, y, z in steps:
                if pipeline is not current:
                    set_pipeline(compute, pipeline)
                    current = pipeline
                if group is not bound:
                    set_bind_group(compute, 0, group, 0, null)
                    bound = group
                if z:
                    dispatch(compute, x, y, z)
                else:
                    dispatch_counted(compute, x, y)
            checked.wgpuComputePassEncoderEnd(compute)
        finally:
            raw.wgpuComputePassEncoderRelease(compute)

    def copy(self, source: Any, destination: Any, size: int, put: int = 0, taken: int = 0) -> None:
        """Copy `size` bytes of a buffer, from `taken` on, to another, from its byte `put` on."""
        checked.wgpuCommandEncoderCopyBufferToBuffer(
            self._encoder, object_id(source), taken, object_id(destination), put, size
        )

    def resolve(self, queries: Any, count: int, destination: Any) -> None:
        """Write the first `count` timestamps of a query set to a buffer, 8 bytes each."""
        checked.wgpuCommandEncoderResolveQuerySet(
            self._encoder, object_id(queries), 0, count, object_id(destination), 0
        )

    def submit(self, queue: Any) -> int:
        """Hand the commands to the device. Returns: the submission, for `poll`."""
        commands = checked.wgpuCommandEncoderFinish(self._encoder, ffi.NULL)
        try:
            array = ffi.new("WGPUCommandBuffer[1]", [commands])
            return checked.wgpuQueueSubmitForIndex(object_id(queue), 1, array)
        finally:
            raw.wgpuCommandBufferRelease(commands)
