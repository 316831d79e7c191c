"""What a program's kernels are, what they move and compute, and why their values are stored."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from xdsl.dialects import func
from xdsl.dialects.builtin import ArrayAttr, ModuleOp, StringAttr

from stepwell.backends.export import to_program
from stepwell.backends.program import Copy, Dispatch, Program, Triple, array_bytes, in_order
from stepwell.backends.wgpu.executor import Executor
from stepwell.dialects.kernel import FuncOp, LaunchOp
from stepwell.passes.boundary import BOUNDARY
from stepwell.passes.peak import Peak, peak
from stepwell.passes.pipeline import lower
from stepwell.passes.target import Target
from stepwell.passes.traffic import Traffic, traffic
from stepwell.passes.work import byte_size
from stepwell.tools.benchmarks.device_time import copy_bandwidth
from stepwell.tools.benchmarks.inputs import fresh_inputs
from stepwell.tools.benchmarks.peak import peak_flops

_RUNS = 10


@dataclass(frozen=True)
class KernelRow:
    """A kernel. Figures are of one launch, times of all launches of a run, in microseconds."""

    kernel: str
    launches: int
    plan: str
    workgroup_size: Triple
    grid: Triple
    proved: bool
    flops: int
    read: int
    """The least bytes: each element that it reads, once."""
    written: int
    asked: Traffic | None = None
    """What its threads ask storage for, if its IR is known."""
    microseconds: float | None = None
    roofline: float | None = None
    """What the bytes or the flops take at the device's peak, whichever is longer."""

    @property
    def bytes(self) -> int:
        """The least that one launch moves."""
        return self.read + self.written

    @property
    def asked_times(self) -> float | None:
        """How often the threads ask for a byte that is to be moved."""
        if self.asked is None or not self.bytes:
            return None
        return (self.asked.read + self.asked.written) / self.bytes


@dataclass(frozen=True)
class Stored:
    """A result of a kernel at `fused` that other kernels read: its bytes, and why it is stored."""

    kernel: str
    launches: int
    bytes: int
    why: str


@dataclass(frozen=True)
class Report:
    """A program. `least` is what it must move at least, were it one kernel: its arguments and
    constants read once, its results written once."""

    name: str
    target: str
    device: str
    least: int
    copied: int
    planned: int
    kernels: tuple[KernelRow, ...]
    stored: tuple[Stored, ...] = ()
    peak: Peak | None = None
    """Where temporaries hold most, if the IR is known and has any."""

    @property
    def launches(self) -> int:
        return sum(row.launches for row in self.kernels)

    @property
    def bytes(self) -> int:
        """The least that its kernels and copies move, one after the other."""
        return sum(row.launches * row.bytes for row in self.kernels) + self.copied


@dataclass(frozen=True)
class Details:
    """What only IR says: why results are stored, where temporaries hold most, and what threads ask
    for by kernel."""

    stored: tuple[Stored, ...] = ()
    peak: Peak | None = None
    asked: Mapping[str, Traffic] = field(default_factory=dict[str, Traffic])


@dataclass(frozen=True)
class Measured:
    """What a device takes for all launches of each kernel, and what it could do at its peak."""

    device: str
    microseconds: Mapping[str, float]
    bandwidth: float
    flops: float

    def roofline(self, launches: int, bytes: int, flops: int) -> float:
        """Microseconds."""
        return 1e6 * launches * max(bytes / self.bandwidth, flops / self.flops)


def compiled(module: ModuleOp, target: Target) -> tuple[Program, Details]:
    """The program of a module at any stage, which is lowered in place."""
    lower(module, target, "fused")
    stored = tuple(_stored(module))
    lower(module, target, "buffers")
    functions = [op for op in module.ops if isinstance(op, func.FuncOp)]
    held = next((peak(op) for op in functions if op.sym_name.data == "main"), None)
    lower(module, target, "tiled")
    asked = {op.sym_name.data: traffic(op) for op in module.ops if isinstance(op, FuncOp)}
    return to_program(lower(module, target), target_name=target.name), Details(stored, held, asked)


def measured(program: Program, device: Any, *, quick: bool) -> Measured | None:
    """The median of several runs of each kernel; None where the device has no clock."""
    bandwidth, flops = copy_bandwidth(device, quick=quick), peak_flops(device, quick=quick)
    if not bandwidth or not flops:
        return None
    executor, calls = Executor(program, device), fresh_inputs(program, device)
    runs = [executor.profile(*next(calls))[1] for _ in range(2 * _RUNS)][_RUNS:]
    times: dict[str, list[float]] = {}
    for run in runs:
        for kernel in run.kernels:
            times.setdefault(kernel.kernel, []).append(kernel.microseconds)
    medians = {kernel: statistics.median(found) for kernel, found in times.items()}
    return Measured(str(device), medians, bandwidth, flops)


def report(
    program: Program, name: str, details: Details | None = None, times: Measured | None = None
) -> Report:
    """What is known of a program, its kernels in the order in which they first run."""
    details = details or Details()
    commands = [*in_order(program.commands)]
    dispatches = [command for command in commands if isinstance(command, Dispatch)]
    counts = Counter(dispatch.kernel for dispatch in dispatches)
    grids = {dispatch.kernel: dispatch.grid for dispatch in dispatches}
    rows: list[KernelRow] = []
    for kernel in (program.kernels[name] for name in counts):
        launches = counts[kernel.name]
        rows.append(
            KernelRow(
                kernel.name,
                launches,
                kernel.plan,
                kernel.workgroup_size,
                grids[kernel.name],
                kernel.trusted,
                kernel.flops,
                kernel.bytes - kernel.written,
                kernel.written,
                details.asked.get(kernel.name),
                times.microseconds.get(kernel.name) if times else None,
                times.roofline(launches, kernel.bytes, kernel.flops) if times else None,
            )
        )
    copied = sum(2 * command.bytes for command in commands if isinstance(command, Copy))
    interface = sum(
        array_bytes(entry.shape, entry.dtype) for entry in (*program.inputs, *program.outputs)
    ) + sum(array.nbytes for array in program.constants.values())
    moved = sum(row.launches * row.bytes for row in rows) + copied
    return Report(
        name,
        program.target,
        times.device if times else "",
        # Arguments may be read in part.
        min(interface, moved),
        copied,
        program.memory.peak,
        tuple(rows),
        details.stored,
        details.peak,
    )


def _stored(module: ModuleOp) -> Iterable[Stored]:
    """The remarks of `fuse-kernels`, equal ones counted, the most bytes first."""
    counts: Counter[tuple[str, int, str]] = Counter()
    for op in module.walk():
        remarks = op.attributes.get(BOUNDARY)
        if isinstance(op, LaunchOp) and isinstance(remarks, ArrayAttr):
            for result, remark in zip(op.results, remarks.data, strict=True):
                assert isinstance(remark, StringAttr)
                kernel = op.kernel_name
                counts[kernel, byte_size(result.type), remark.data] += 1
    found = [Stored(kernel, n, bytes, why) for (kernel, bytes, why), n in counts.items()]
    return sorted(found, key=lambda row: -row.launches * row.bytes)
