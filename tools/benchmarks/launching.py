"""What a dispatch costs the host: the slope of a call's time over its dispatches; and submits."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import stepwell as sw
from stepwell.backends.device import ReferenceDevice, open_device
from stepwell.frontend.compilation import target_of
from stepwell.tools.benchmarks.figures import Benchmark, Figure, Settings
from stepwell.tools.benchmarks.inputs import fresh_inputs
from stepwell.tools.benchmarks.models import mlp_step
from stepwell.tools.benchmarks.rows import MLP, TINY_MLP

_ELEMENTS = 1024
_SHORT = 100
"""Dispatches of a call."""


def benchmarks(settings: Settings) -> list[Benchmark]:
    """What launching costs. NumPy launches nothing."""
    if isinstance(open_device(settings.device), ReferenceDevice):
        return []
    what = f"host cost of a dispatch that needs the one before (x += 1 of {_ELEMENTS:,})"
    return [
        Benchmark("launch.dispatch", what, _dispatch),
        Benchmark("launch.call", f"host cost of a call of {_SHORT} such dispatches", _call),
        Benchmark("launch.submits", "submits of an MLP training step, counted", _submits),
    ]


def _submits(settings: Settings) -> Iterator[Figure]:
    from stepwell.backends.wgpu import native
    from stepwell.backends.wgpu.executor import Executor

    size = TINY_MLP if settings.quick else MLP
    device: Any = open_device(settings.device)
    step, batch = mlp_step(size, settings.device)
    program = step.compile(*batch).program
    executor, inputs = Executor(program, device), next(fresh_inputs(program, device))
    submit = native.Encoder.submit
    with patch.object(native.Encoder, "submit", autospec=True, side_effect=submit) as counted:
        executor(*inputs)
    device.wait()
    yield Figure("launch.submits", f"submits of an MLP step, {size}", counted.call_count, "")


def _dispatch(settings: Settings) -> Iterator[Figure]:
    short, long = (10, 20) if settings.quick else (_SHORT, 10 * _SHORT)
    calls = {count: _host_seconds(settings, count) for count in (short, long)}
    processor, wall, done = (
        1e6 * (calls[long][i] - calls[short][i]) / (long - short) for i in range(3)
    )
    yield Figure(
        "launch.dispatch",
        "host cost of a dispatch in one submit",
        processor,
        "us",
        more={"wall_us": wall, "until_done_us": done},
    )


def _call(settings: Settings) -> Iterator[Figure]:
    processor, wall, done = _host_seconds(settings, _SHORT)
    yield Figure(
        "launch.call",
        f"host cost of a call of {_SHORT} dispatches",
        1e6 * processor,
        "us",
        more={"wall_us": 1e6 * wall, "until_done_us": 1e6 * done},
    )


def _plus_one(x: sw.Array) -> sw.Array:
    return x + 1.0


def _host_seconds(settings: Settings, dispatches: int) -> tuple[float, float, float]:
    """Of one call: this thread's processor time, the time to return, the time until it is done."""
    from stepwell.backends.wgpu.executor import Executor

    device: Any = open_device(settings.device)
    tries = 3 if settings.quick else 30
    one = sw.compile(
        _plus_one, sw.spec((_ELEMENTS,)), donate_argnums=0, target=target_of(device)
    ).program
    executor = Executor(replace(one, commands=one.commands * dispatches), device)
    (x,) = executor(*next(fresh_inputs(one, device)))
    times: list[tuple[float, float, float]] = []
    for _ in range(tries + 3):
        device.wait()
        processor, wall = time.thread_time(), time.perf_counter()
        (x,) = executor(x)
        times.append((time.thread_time() - processor, time.perf_counter() - wall, 0.0))
        device.wait()
        times[-1] = (*times[-1][:2], time.perf_counter() - wall)
    processor, returned, done = (
        statistics.median(column) for column in zip(*times[3:], strict=True)
    )
    return processor, returned, done
