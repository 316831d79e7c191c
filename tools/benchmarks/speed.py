"""How fast compiled programs run, beside peers and the device's copy bandwidth in the same run.

On a GPU one operation is timed by the device's clock (PyTorch by CUDA events); models, and all
works on software devices, by the clock on the wall, ours and the peers' taking turns.
"""

from __future__ import annotations

import gc
import itertools
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from stepwell.backends.device import ReferenceDevice, open_device
from stepwell.tools.benchmarks.device_time import copy_bandwidth, device_seconds
from stepwell.tools.benchmarks.figures import PEERS, Bar, Benchmark, Figure, Settings, Work, measure
from stepwell.tools.benchmarks.rows import Task
from stepwell.tools.benchmarks.tinygrad_peer import TinygradPeer
from stepwell.tools.benchmarks.torch_peer import TorchPeer
from stepwell.tools.benchmarks.works import Prepared, missing, prepare, tasks

Peer = TorchPeer | TinygradPeer
_peers: dict[tuple[str, bool], Peer | None] = {}
_bandwidths: dict[str, float | None] = {}


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


def peer_texts() -> dict[str, str]:
    """The peers that were measured, with their versions."""
    return {name: str(peer) for (name, _), peer in _peers.items() if peer is not None}


def bandwidth(settings: Settings) -> float | None:
    """Bytes a second of a copy on our device, measured once a run; None where it has no clock."""
    device: Any = open_device(settings.device)
    if isinstance(device, ReferenceDevice):
        return None
    if str(device) not in _bandwidths:
        _bandwidths[str(device)] = copy_bandwidth(device, quick=settings.quick)
    return _bandwidths[str(device)]


def _measure(task: Task, settings: Settings, *, gpu: bool) -> Figure:
    started, start = time.perf_counter(), time.perf_counter()
    ours = prepare(task, settings)
    program = ours.program
    more = {"prepare_s": time.perf_counter() - start}
    works: dict[str, Work] = {}
    peers = {name: peer_named(name, gpu=gpu) for name in PEERS if name in settings.peers}
    for name, peer in peers.items():
        if peer is not None and (work := peer.work(task, ours.inputs)) is not None:
            works[name] = work
    torch = peers.get("torch")
    if gpu and ours.arguments and program is not None:
        seconds, by_peer = _by_device(task, settings, ours, works, torch, more)
    else:
        seconds, by_peer = _by_turns(task, settings, ours, works, torch, more)
    if task.flops:
        more["gflops"] = task.flops / seconds / 1e9
    if task.bytes:
        more["gb_per_s"] = task.bytes / seconds / 1e9
        speed = bandwidth(settings)
        if speed:
            more["copy_gb_per_s"] = speed / 1e9
            by_peer["copy"] = task.bytes / speed
    if task.rate:
        by_peer["bar"] = task.flops / task.rate
    if program is not None:
        more["dispatches"] = program.dispatches
        more["planned_mb"] = program.memory.peak / 1e6
    more["took_s"] = time.perf_counter() - started
    milliseconds = {name: 1e3 * peer for name, peer in by_peer.items()}
    return Figure(
        f"speed.{task.name}", task.what, 1e3 * seconds, "ms", milliseconds, more, task.bars
    )


def _first(task: Task, figure: Figure) -> Figure:
    """The first call of a row: tracing, compiling, making pipelines, and running."""
    more = figure.more
    peers = {name: more[key] for name in PEERS if (key := f"first_{name}_s") in more}
    return Figure(
        f"{figure.name}.first", f"first call: {task.what}",
        more["prepare_s"] + more["first_ours_s"], "s", {**peers, "bar": task.first},
        bars=(Bar("bar", 1.0, 1.0),),
    )  # fmt: skip


def _by_device(
    task: Task, settings: Settings, ours: Prepared, works: dict[str, Work], torch: Any,
    more: dict[str, float],
) -> tuple[float, dict[str, float]]:  # fmt: skip
    """Our seconds and the peers', by the clocks of the devices; results compared."""
    device: Any = open_device(settings.device)
    arguments = [argument.place(device) for argument in ours.arguments]
    assert ours.program is not None
    measured = device_seconds(
        ours.program, device, itertools.repeat(arguments), quick=settings.quick
    )
    if measured is None:
        return _by_turns(task, settings, ours, works, torch, more)
    seconds, least, results = measured
    more["least_ms"] = 1e3 * least
    found = [np.asarray(device.read(result)) for result in results]
    by_peer: dict[str, float] = {}
    if "torch" in works:
        _compare(task, torch, works["torch"], found, more)
        if torch.cuda:
            runs = max(20, min(100, int(0.2 / seconds)))
            by_peer["torch"] = torch.device_seconds(works["torch"], runs)
    others = {name: work for name, work in works.items() if name not in by_peer}
    answering = {name: others[name] for name in _first_calls(task, others, more)}
    if answering:
        timings = measure(answering, quick=settings.quick)
        by_peer |= {name: timing.median for name, timing in timings.items()}
    return seconds, by_peer


def _by_turns(
    task: Task, settings: Settings, ours: Prepared, works: dict[str, Work], torch: Any,
    more: dict[str, float],
) -> tuple[float, dict[str, float]]:  # fmt: skip
    """Our seconds and the peers' on the wall; the first call of each, which compiles, apart."""
    together = {"ours": ours.work, **works}
    first = _first_calls(task, together, more)
    if ours.inputs and "torch" in first:
        results = first["ours"] if isinstance(first["ours"], tuple) else (first["ours"],)
        _compare(task, torch, works["torch"], [np.asarray(r) for r in results], more)
    timings = measure({name: together[name] for name in first}, quick=settings.quick)
    mine = timings.pop("ours")
    more["least_ms"] = 1e3 * mine.least
    return mine.median, {name: timing.median for name, timing in timings.items()}


def _first_calls(task: Task, works: dict[str, Work], more: dict[str, float]) -> dict[str, Any]:
    """The first results of the works and their seconds; a peer that fails is left out and named."""
    results: dict[str, Any] = {}
    for name, work in works.items():
        start = time.perf_counter()
        try:
            result = work.call()
            work.wait()
        except RuntimeError as error:
            if name == "ours":
                raise
            reason = str(error).partition("\n")[0][:100]
            print(f"stepwell bench: speed.{task.name}: {name} fails: {reason}", file=sys.stderr)
            continue
        more[f"first_{name}_s"] = time.perf_counter() - start
        results[name] = result
    return results


def _compare(task: Task, torch: Any, work: Work, found: list[Any], more: dict[str, float]) -> None:
    """Notes how far our results are from PyTorch's; one line on stderr if that is too far."""
    difference = torch.difference(work, found)
    more["difference"] = difference
    if not difference <= task.tolerance:
        more["wrong"] = 1.0
        print(
            f"stepwell bench: speed.{task.name} differs from torch by {difference:.3g}, "
            f"more than {task.tolerance:g}",
            file=sys.stderr,
        )


def _benchmark(task: Task, *, gpu: bool) -> Benchmark:
    def run(settings: Settings) -> Iterator[Figure]:
        needs = missing(task)
        if needs:
            print(f"stepwell bench: no speed.{task.name}: no sw.{needs} yet", file=sys.stderr)
            return
        figure = _measure(task, settings, gpu=gpu)
        yield figure
        if task.first:
            yield _first(task, figure)
        gc.collect()
        torch = _peers.get(("torch", gpu))
        if isinstance(torch, TorchPeer):
            torch.forget()

    return Benchmark(f"speed.{task.name}", task.what, run)


def benchmarks(settings: Settings) -> list[Benchmark]:
    """One for each work on the device of the settings."""
    gpu = on_gpu(settings)
    return [_benchmark(task, gpu=gpu) for task in tasks(settings, gpu=gpu)]
