"""What the device can do at most: its copy bandwidth and its rate of multiply-adds in f32."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from stepwell.backends.device import ReferenceDevice, open_device
from stepwell.backends.program import Buffer, Dispatch, Input, Kernel, Output, Program
from stepwell.tools.benchmarks.device_time import copy_bandwidth, device_seconds
from stepwell.tools.benchmarks.figures import Benchmark, Figure, Settings

_THREADS, _STEPS, _CHAINS = 256, 256, 8
_FLOPS = _STEPS * _CHAINS * 4 * 2
"""Of one thread."""


def benchmarks(settings: Settings) -> list[Benchmark]:
    """One each; none for NumPy."""
    if isinstance(open_device(settings.device), ReferenceDevice):
        return []
    return [
        Benchmark("peak.copy", "copy bandwidth", _copy),
        Benchmark("peak.flops", "multiply-adds in f32", _multiply_adds),
    ]


def multiply_add_program(groups: int) -> Program:
    """Independent chains of multiply-adds on vectors in every thread, written by hand."""
    names = [f"v{i}" for i in range(_CHAINS)]
    declared = "".join(f"  var {v} = start + {i}.0;\n" for i, v in enumerate(names))
    steps = "".join(f"    {v} = {v} * by + start;\n" for v in names)
    text = f"""
@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>;
@compute @workgroup_size({_THREADS})
fn main(@builtin(global_invocation_id) id: vec3<u32>) {{
  let start = x[id.x];
  let by = start * 0.125;
{declared}  for (var i = 0u; i < {_STEPS}u; i++) {{
{steps}  }}
  y[id.x] = {" + ".join(names)};
}}
"""
    elements = 4 * groups * _THREADS
    size = 4 * elements
    flops = groups * _THREADS * _FLOPS
    kernel = Kernel(
        "flops", text, (_THREADS, 1, 1), ("read", "read_write"), flops, 2 * size, True
    )  # fmt: skip
    return Program(
        "flops",
        "desktop",
        {"flops": kernel},
        (Buffer(size, "input", "x"), Buffer(size, "output", "y")),
        (Input("x", (elements,), "f32", buffer=0),),
        (Output((elements,), "f32", buffer=1),),
        (Dispatch("flops", (0, 1), (groups, 1, 1)),),
    )


def peak_flops(device: Any, *, quick: bool) -> float | None:
    """Multiply-adds in f32 a second, each as two operations; None where the device has no clock."""
    groups = 2 if quick else 64 if device.description.is_software else 16384
    measured = device_seconds(multiply_add_program(groups), device, quick=quick)
    if measured is None or not measured[0]:
        return None
    return groups * _THREADS * _FLOPS / measured[0]


def _copy(settings: Settings) -> Iterator[Figure]:
    device: Any = open_device(settings.device)
    speed = copy_bandwidth(device, quick=settings.quick)
    if speed:
        yield Figure(
            "peak.copy", "a copy of 1 GB, read and written", 2e12 / speed, "ms",
            more={"gb_per_s": speed / 1e9},
        )  # fmt: skip


def _multiply_adds(settings: Settings) -> Iterator[Figure]:
    speed = peak_flops(open_device(settings.device), quick=settings.quick)
    if speed:
        yield Figure(
            "peak.flops", "10^12 operations of multiply-adds, f32", 1e15 / speed, "ms",
            more={"gflops": speed / 1e9},
        )  # fmt: skip
