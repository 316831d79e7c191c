"""Device time of every kernel of a program, by timestamp queries."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from stepwell.backends.errors import DeviceError
from stepwell.backends.program import Dispatch, Program, in_order
from stepwell.backends.wgpu import native
from stepwell.backends.wgpu.device import Device
from stepwell.backends.wgpu.native import wgpu

_DISPATCHES_PER_SET = 2048
"""WebGPU allows 4,096 queries in a set, and a dispatch takes two."""


@dataclass(frozen=True)
class KernelTime:
    """All dispatches of one kernel in a call: their number, device time, bytes and flops."""

    kernel: str
    count: int
    microseconds: float
    bytes: int
    flops: int

    @property
    def gigabytes_per_second(self) -> float:
        """Least traffic over time; 0 where the clock was too coarse."""
        return self.bytes / self.microseconds / 1e3 if self.microseconds else 0.0

    @property
    def gigaflops(self) -> float:
        """Billions of floating point operations a second; 0 where the clock was too coarse."""
        return self.flops / self.microseconds / 1e3 if self.microseconds else 0.0


@dataclass(frozen=True)
class Profile:
    """One call's kernels, the slowest first, and the microseconds of each dispatch in order."""

    kernels: tuple[KernelTime, ...]
    dispatches: tuple[float, ...] = ()

    @property
    def microseconds(self) -> float:
        """Device time of all kernels."""
        return sum(kernel.microseconds for kernel in self.kernels)


def summarize(program: Program, microseconds: list[float]) -> Profile:
    """Sum the times of a program's dispatches, in their order, by kernel."""
    counts: dict[str, int] = {}
    times: dict[str, float] = {}
    dispatches = [c for c in in_order(program.commands) if isinstance(c, Dispatch)]
    for command, time in zip(dispatches, microseconds, strict=True):
        counts[command.kernel] = counts.get(command.kernel, 0) + 1
        times[command.kernel] = times.get(command.kernel, 0.0) + time
    rows = [
        KernelTime(
            name,
            count,
            times[name],
            count * program.kernels[name].bytes,
            count * program.kernels[name].flops,
        )
        for name, count in counts.items()
    ]
    return Profile(tuple(sorted(rows, key=lambda row: -row.microseconds)), tuple(microseconds))


class Timer:
    """Two timestamps around every dispatch of one command buffer."""

    def __init__(self, device: Device, dispatches: int) -> None:
        self._device = device
        self._count = 0
        sizes = [
            min(_DISPATCHES_PER_SET, dispatches - start)
            for start in range(0, dispatches, _DISPATCHES_PER_SET)
        ]
        usage = wgpu.BufferUsage.QUERY_RESOLVE | wgpu.BufferUsage.COPY_SRC
        handle = device.handle
        self._sets: list[tuple[Any, Any, int]] = [
            (
                handle.create_query_set(type="timestamp", count=2 * size),
                handle.create_buffer(size=16 * size, usage=usage),
                size,
            )
            for size in sizes
        ]

    def dispatch(self, encoder: native.Encoder, step: native.Step) -> None:
        """Record one dispatch in a pass of its own."""
        number, index = divmod(self._count, _DISPATCHES_PER_SET)
        encoder.dispatches([step], (self._sets[number][0], 2 * index))
        self._count += 1

    def resolve(self, encoder: native.Encoder) -> None:
        """Record that the timestamps become readable."""
        for queries, buffer, size in self._sets:
            encoder.resolve(queries, 2 * size, buffer)

    def microseconds(self) -> list[float]:
        """Wait for the device. Returns: the time of each dispatch, in order."""
        period = native.timestamp_period(self._device.queue)
        times: list[float] = []
        for _, buffer, size in self._sets:
            ticks = np.frombuffer(self._device.read_buffer(buffer, 16 * size), np.uint64)
            spans = (ticks[1::2] - ticks[::2]).astype(np.float64)
            times += (spans * period / 1e3).tolist()
        return times

    def destroy(self) -> None:
        """Free the query sets now: drivers have few."""
        for queries, buffer, _ in self._sets:
            queries.destroy()
            buffer.destroy()


@contextmanager
def timed(device: Device, dispatches: int) -> Generator[Timer]:
    """A timer for that many dispatches. Raises: DeviceError if the device has no timestamps."""
    if not device.description.has_timestamps:
        raise DeviceError(f"{device.description} has no timestamp queries to profile with")
    timer = Timer(device, dispatches)
    try:
        yield timer
    finally:
        timer.destroy()
