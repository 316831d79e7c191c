"""What the compiler knows of a device: limits and features that schedules depend on."""

from __future__ import annotations

from dataclasses import dataclass

from stepwell.dialects.errors import unknown


@dataclass(frozen=True)
class Target:
    """A device class. The limits default to WebGPU's guaranteed ones, so kernels run anywhere."""

    name: str
    summary: str
    tiles_in_workgroup_memory: bool
    """Contractions stage their tiles in workgroup memory (GPUs) or in registers only (CPUs)."""
    row_threads: int
    """Threads that share one row of a reduction along contiguous memory."""
    map_threads: int
    """Threads of a workgroup of an elementwise kernel."""
    split_threads: int
    """Threads that a reduction should occupy; one of fewer results is split."""
    matmul_tile: tuple[int, int, int]
    """Rows, columns (in vectors of four) a thread, and the depth of one step."""
    split_elements: int = 1 << 16
    """Reductions of fewer elements are not worth a second kernel."""
    subgroup_size: int | None = None
    """Lanes of a subgroup where kernels may rely on them; None: no subgroup operations."""
    f16: bool = True
    max_storage_buffers: int = 8
    max_workgroup_bytes: int = 16384
    max_threads: int = 256
    max_workgroups: int = 65535
    max_binding_bytes: int = 128 << 20
    max_serial_iterations: int = 65535
    """Loop iterations of one invocation: software Vulkan ends loops after this many."""


TARGETS = (
    Target(
        name="software",
        summary="a CPU behind Vulkan or WebGPU: registers are cheap, workgroup memory is slow",
        tiles_in_workgroup_memory=False,
        row_threads=1,
        map_threads=64,
        split_threads=64,
        matmul_tile=(8, 2, 4),
    ),
    Target(
        name="desktop",
        summary="a GPU: wide workgroups, tiles in workgroup memory",
        tiles_in_workgroup_memory=True,
        row_threads=256,
        map_threads=256,
        split_threads=32768,
        matmul_tile=(4, 1, 16),
    ),
)
"""Every target by name; the first is the default of the tools."""


def target_named(name: str) -> Target:
    """The target called `name`; raises `StepwellError` with a suggestion."""
    for target in TARGETS:
        if target.name == name:
            return target
    raise unknown("target", name, [target.name for target in TARGETS])
