"""Software Vulkan's shaders, compiled on all processors before a program runs.

Mesa's llvmpipe compiles a kernel in its first dispatch, on the thread that submits it: one after
another, seconds for a model. A dispatch of no workgroups is enough for it. So further devices take
a share of the kernels each, on threads of their own, and the program's device finds what they have
compiled in Mesa's cache on disk.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from stepwell.backends.errors import DeviceError
from stepwell.backends.program import Dispatch, Kernel, Program, distinct, whole_vectors
from stepwell.backends.wgpu import native
from stepwell.backends.wgpu.device import Device

FEWEST = 4
"""Kernels of a share at least: opening a device takes as long as compiling a small one."""
MOST_BYTES = 64 << 20
"""Bytes that a kernel's buffers may have, which are made, and cleared, to dispatch it."""
_OFF = ("MESA_SHADER_CACHE_DISABLE", "MESA_GLSL_CACHE_DISABLE")


def compile_ahead(program: Program, device: Device) -> None:
    """Compiles the kernels of a program that are new to the device, if that is of use."""
    if not device.compiles_at_dispatch or any(_is_on(os.environ.get(name, "")) for name in _OFF):
        return
    sizes = {
        command.kernel: [program.buffers[index].bytes for index in command.buffers]
        for command in distinct(program.commands)
        if isinstance(command, Dispatch)
    }
    new = [
        program.kernels[name]
        for name, found in sizes.items()
        if sum(found) <= MOST_BYTES and not device.knows(program.kernels[name])
    ]
    count = min(os.cpu_count() or 1, len(new) // FEWEST)
    if count < 2:
        return
    # The longest first, so that the shares are alike.
    new.sort(key=lambda kernel: -len(kernel.wgsl))
    helpers: list[Device] = []
    # What fails here fails again, or does not, where the program's device does it.
    with suppress(DeviceError):
        helpers.extend(device.another() for _ in range(count - 1))
    if not helpers:
        return
    first, *others = (new[number :: len(helpers) + 1] for number in range(len(helpers) + 1))
    with ThreadPoolExecutor(len(helpers)) as threads:
        done = threads.map(_compile, helpers, others, [sizes] * len(helpers))
        _compile(device, first, sizes)
        list(done)
    for helper in helpers:
        helper.close()


def _is_on(value: str) -> bool:
    return value.lower() in ("1", "true", "y", "yes")


def _compile(device: Device, kernels: Sequence[Kernel], sizes: Mapping[str, list[int]]) -> None:
    """Makes a device dispatch no workgroup of each kernel."""
    with suppress(DeviceError), device.lock:
        for kernel in kernels:
            (pipeline,) = device.pipelines([kernel])
            bindings = [
                (
                    (device.uniforms if access == "uniform" else device.memory).allocate(
                        size, f"a binding of {kernel.name!r}"
                    ),
                    0,
                    whole_vectors(size),
                )
                for access, size in zip(kernel.accesses, sizes[kernel.name], strict=True)
            ]
            group = device.bind_group(pipeline, bindings)
            with device.commands(f"compiling {kernel.name!r}") as encoder:
                encoder.dispatches([(pipeline.id, native.object_id(group), 0, 1, 1)])
