"""The device's own clock: the time of a program, and what moving memory takes."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from stepwell.backends.program import (
    Buffer,
    Dispatch,
    Input,
    Kernel,
    Output,
    Program,
)
from stepwell.tools.benchmarks.inputs import fresh_inputs

_THREADS = 256
_COPY = """
@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>;
@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
  let i = (group.y * groups.x + group.x) * 256u + thread;
  if (i < arrayLength(&x)) { y[i] = x[i]; }
}
"""
"""Written by hand, so that the yardstick does not depend on the compiler."""


def copy_program(elements: int) -> Program:
    """Copies that many f32, a multiple of 4."""
    size, groups = 4 * elements, -(-elements // (4 * _THREADS))
    across = min(groups, 32768)
    kernel = Kernel("copy", _COPY, (_THREADS, 1, 1), ("read", "read_write"), 0, 2 * size, True)
    return Program(
        "copy",
        "desktop",
        {"copy": kernel},
        (Buffer(size, "input", "x"), Buffer(size, "output", "y")),
        (Input("x", (elements,), "f32", buffer=0),),
        (Output((elements,), "f32", buffer=1),),
        (Dispatch("copy", (0, 1), (across, -(-groups // across), 1)),),
    )


def device_seconds(
    program: Program,
    device: Any,
    calls: Iterator[Sequence[Any]] | None = None,
    *,
    quick: bool = False,
) -> tuple[float, float, tuple[Any, ...]] | None:
    """The median and the least device time of a run of the program's kernels, and its results.

    Runs follow each other in one submission, at least 20 of them after as many to warm up; the
    time of a run is the sum of its dispatches. `calls` are the arguments of call after call, random
    ones if None. None without timestamps, or where nothing is dispatched.
    """
    from stepwell.backends.wgpu.executor import Executor

    if not device.description.has_timestamps or not program.dispatches:
        return None
    calls = calls or fresh_inputs(program, device)
    once = Executor(program, device)
    once(*next(calls))
    _, first = once.profile(*next(calls))
    del once
    runs = 3 if quick else max(20, min(100, int(2e5 / max(first.microseconds, 1.0))))
    repeated = Executor(replace(program, commands=program.commands * runs), device)
    times: list[float] = []
    results: tuple[Any, ...] = ()
    for _ in range(2):
        results, profile = repeated.profile(*next(calls))
        spans = np.reshape(profile.dispatches, (runs, program.dispatches)).sum(axis=1)
        times = [float(span) / 1e6 for span in spans]
    return statistics.median(times), min(times), results


def copy_bandwidth(device: Any, *, quick: bool) -> float | None:
    """Bytes a second that the device reads and writes when it copies, the best of three sizes."""
    best = 0.0
    for elements in (1 << 12,) if quick else (1 << 26, 1 << 27, 1 << 28):
        if 4 * elements > device.description.limits["max-storage-buffer-binding-size"]:
            continue
        measured = device_seconds(copy_program(elements), device, quick=quick)
        if measured is None or not measured[0]:
            return None
        best = max(best, 8 * elements / measured[0])
    return best or None
