"""What the compiler knows of a device: limits and features that schedules depend on.

A target's name is its class followed by what else kernels may count on, as in
"desktop-subgroup32-workgroup32-threads512-buffers10": subgroups of 32 lanes, 32 KiB of workgroup
memory, workgroups of 512 threads and kernels that bind 10 storage buffers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from stepwell.dialects.errors import StepwellError, unknown


@dataclass(frozen=True)
class Target:
    """A device class. The limits default to WebGPU's guaranteed ones, so kernels run anywhere."""

    name: str
    summary: str
    tiles_in_workgroup_memory: bool
    """Contractions stage their tiles in workgroup memory (GPUs) or in registers only (CPUs)."""
    row_threads: int
    """Threads that share one row of a reduction along contiguous memory."""
    row_registers: int
    """Elements of a longer row that a thread keeps in registers from one pass to the next."""
    map_threads: int
    """Threads of a workgroup of an elementwise kernel."""
    map_turns: int
    """Vectors that a thread of an elementwise kernel takes in turn, where there are enough."""
    split_threads: int
    """Threads that a reduction should occupy; one of fewer results is split."""
    small_grid: int
    """Workgroups of a kernel that leaves room for another beside it, at most."""
    split_elements: int = 1 << 16
    """Reductions of fewer elements are not worth a second kernel."""
    unrolled_trips: int = 0
    """Iterations of a loop at most that the driver's compiler writes out, and takes long to."""
    launch_elements: int = 1 << 14
    """Elements of 32 bits that a kernel moves in the time that launching one takes."""
    subgroup_size: int | None = None
    """Lanes of a subgroup where kernels may rely on them; None: no subgroup operations."""
    f16: bool = True
    processors: int = 128
    """Processors that run workgroups side by side, where tiles are in workgroup memory."""
    registers: int = 65536
    """Registers of a processor."""
    cache_bytes: int = 36 << 20
    """What they read lately, all together, and may read again at a fraction of the cost."""
    max_storage_buffers: int = 8
    max_workgroup_bytes: int = 16384
    max_threads: int = 256
    max_row_threads: int = 0
    """Threads of a workgroup whose one row is long, where a device has more than `max_threads`."""
    max_workgroups: int = 65535
    max_dispatch_flops: int = 300_000_000_000
    max_dispatch_bytes: int = 20_000_000_000
    """What a small GPU does in a second: systems reset a device that is busy for two."""
    max_serial_iterations: int = 65535
    """Loop iterations of one invocation: software Vulkan ends loops after this many."""
    tuning: str = ""
    """A file of plans that kernels follow, as `stepwell tune` writes it; empty: none."""


TARGETS = (
    Target(
        name="software",
        summary="a CPU behind Vulkan or WebGPU: registers are cheap, workgroup memory is slow",
        tiles_in_workgroup_memory=False,
        row_threads=1,
        row_registers=128,
        map_threads=256,
        map_turns=64,
        split_threads=64,
        small_grid=8,
        unrolled_trips=32,
    ),
    Target(
        name="desktop",
        summary="a GPU: wide workgroups, tiles in workgroup memory",
        tiles_in_workgroup_memory=True,
        row_threads=256,
        row_registers=160,
        map_threads=256,
        map_turns=1,
        split_threads=32768,
        small_grid=256,
        launch_elements=1 << 22,
    ),
)
"""Every target by name; the first is the default of the tools."""


SUBGROUP_SIZES = (4, 8, 16, 32, 64, 128)
"""The subgroup sizes that WebGPU knows."""

WIDE_THREADS = 512
"""Threads of a workgroup that has a long row, where a device allows as many."""

MANY_BUFFERS = 10
"""Storage buffers of a kernel, where a device allows as many: the next step that browsers grant."""

_FEATURE = re.compile(r"-(subgroup|workgroup|threads|buffers)(\d+)")


def target_named(name: str) -> Target:
    """The target called `name`, with its features; raises `StepwellError` with a suggestion."""
    base = _FEATURE.sub("", name)
    for target in TARGETS:
        if target.name == base:
            return _with_features(target, name)
    raise unknown("target", name, [target.name for target in TARGETS])


def _with_features(target: Target, name: str) -> Target:
    """`target` with the features in `name`. Raises: StepwellError for one that no device has."""
    target = replace(target, name=name)
    for feature, value in _FEATURE.findall(name):
        number = int(value)
        if feature == "subgroup":
            if number not in SUBGROUP_SIZES:
                sizes = ", ".join(map(str, SUBGROUP_SIZES))
                raise StepwellError(f"target '{name}': a subgroup has {sizes} lanes, not {number}")
            # Lanes of a subgroup combine what they have without memory.
            threads = max(number, target.row_threads)
            target = replace(target, subgroup_size=number, row_threads=threads)
        elif feature == "workgroup":
            target = replace(target, max_workgroup_bytes=number << 10)
        elif feature == "buffers":
            target = replace(target, max_storage_buffers=number)
        elif number & (number - 1) or not number:
            raise StepwellError(f"target '{name}': {number} threads are no power of two")
        else:
            target = replace(target, max_row_threads=number)
    return target


def with_features(
    base: str,
    subgroup_size: int | None,
    workgroup_bytes: int,
    workgroup_threads: int,
    storage_buffers: int,
) -> str:
    """The name of the target `base` on a device with that measured subgroup size, that much
    workgroup memory, that many threads of a workgroup and storage buffers of a kernel."""
    name = base
    if subgroup_size in SUBGROUP_SIZES:
        name += f"-subgroup{subgroup_size}"
    if workgroup_bytes > target_named(base).max_workgroup_bytes:
        name += f"-workgroup{workgroup_bytes >> 10}"
    if workgroup_threads >= WIDE_THREADS and target_named(base).tiles_in_workgroup_memory:
        name += f"-threads{WIDE_THREADS}"
    if storage_buffers >= MANY_BUFFERS:
        name += f"-buffers{MANY_BUFFERS}"
    return name
