"""How fast compiled programs run: wall and device time, rates, and peers in the same run."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterator
from typing import Any

from stepwell.backends.device import ReferenceDevice, open_device
from stepwell.backends.program import Program
from stepwell.tools.benchmarks.figures import Benchmark, Figure, Settings, Work, measure
from stepwell.tools.benchmarks.inputs import fresh_inputs
from stepwell.tools.benchmarks.tinygrad_peer import TinygradPeer
from stepwell.tools.benchmarks.torch_peer import TorchPeer
from stepwell.tools.benchmarks.works import Task, prepare, tasks

Peer = TorchPeer | TinygradPeer
_peers: dict[tuple[str, bool], Peer | None] = {}


def on_gpu(settings: Settings) -> bool:
    """Whether our device is a GPU."""
    device = open_device(settings.device)
    return not isinstance(device, ReferenceDevice) and not device.description.is_software


def peer_named(name: str, *, gpu: bool) -> Peer | None:
    """The peer, if it is installed; one line on stderr if it is not."""
    key = name, gpu
    if key not in _peers:
        try:
            _peers[key] = TorchPeer(gpu=gpu) if name == "torch" else TinygradPeer()
        except (ImportError, OSError, RuntimeError) as error:
            print(f"stepwell bench: no peer {name}: {error}", file=sys.stderr)
            _peers[key] = None
    return _peers[key]


def device_seconds(program: Program, device: Any, repeats: int) -> float | None:
    """The median over runs of the summed device time of a program's kernels, on random inputs."""
    from stepwell.backends.wgpu.executor import Executor

    if not device.description.has_timestamps:
        return None
    executor, inputs = Executor(program, device), fresh_inputs(program, device)
    times = [executor.profile(*next(inputs))[1].microseconds / 1e6 for _ in range(repeats + 1)]
    return statistics.median(times[1:])


def _measure(task: Task, settings: Settings, *, gpu: bool) -> Figure:
    ours = prepare(task, settings)
    works: dict[str, Work] = {"ours": ours.work}
    for name in sorted(settings.peers):
        peer = peer_named(name, gpu=gpu)
        if peer is not None:
            works[name] = peer.works[task.kind](*task.size)
    timings = measure(works, quick=settings.quick)
    more: dict[str, float] = {"least_ms": 1e3 * timings["ours"].least}
    seconds = timings["ours"].median
    if ours.program is not None:
        more["dispatches"] = ours.program.dispatches
        on_device = device_seconds(
            ours.program, open_device(settings.device), 1 if settings.quick else 5
        )
        if on_device:
            more["device_ms"] = 1e3 * on_device
            seconds = on_device
    if task.flops:
        more["gflops"] = task.flops / seconds / 1e9
    if task.bytes:
        more["gb_per_s"] = task.bytes / seconds / 1e9
    return Figure(
        f"speed.{task.name}",
        task.what,
        1e3 * timings.pop("ours").median,
        "ms",
        {name: 1e3 * timing.median for name, timing in timings.items()},
        more,
    )


def _benchmark(task: Task, *, gpu: bool) -> Benchmark:
    def run(settings: Settings) -> Iterator[Figure]:
        yield _measure(task, settings, gpu=gpu)

    return Benchmark(f"speed.{task.name}", task.what, run)


def benchmarks(settings: Settings) -> list[Benchmark]:
    """One for each work on the device of the settings."""
    gpu = on_gpu(settings)
    return [_benchmark(task, gpu=gpu) for task in tasks(settings, gpu=gpu)]
