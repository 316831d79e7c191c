"""What compiling costs: cold and from the cache, by pass, and against the number of layers.

Times are processor seconds of the thread that compiles, which other work disturbs least; wall
seconds stand beside them. Imports are counted once, in `compile.start`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from tempfile import TemporaryDirectory
from unittest.mock import patch

import numpy as np
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

import stepwell as sw
from stepwell.backends.compiler import parse
from stepwell.backends.device import open_device
from stepwell.backends.program import Program
from stepwell.frontend.compilation import target_of
from stepwell.frontend.training import TrainStep
from stepwell.passes.pipeline import lower
from stepwell.passes.target import target_named
from stepwell.tools.benchmarks.figures import Bar, Benchmark, Figure, Settings
from stepwell.tools.benchmarks.models import Batch, GPTSize, gpt_step, mlp_step
from stepwell.tools.benchmarks.rows import GPT2, GPT_LARGE, GPT_SMALL, MLP, TINY_GPT, TINY_MLP

_REPEATS = 3
"""Compiles of each number of layers, of which the least counts."""
_WARM = 0.5
"""Seconds that a program from the cache may take."""
_FIRST = "import stepwell as sw; sw.compile(lambda x: x + 1, sw.spec((4,)), target={!r}).program"


@dataclass(frozen=True)
class Model:
    """A training step to compile. `make` gives one that has compiled nothing yet.

    `cold`: the seconds that it may take.
    """

    name: str
    what: str
    make: Callable[[], tuple[TrainStep, Batch]]
    cold: float | None = None


@dataclass(frozen=True)
class Cost:
    """Seconds of the processor and of the clock, and what was compiled."""

    processor: float
    wall: float
    program: Program


def benchmarks(settings: Settings) -> list[Benchmark]:
    """The compile times of training steps, and how they grow with the number of layers."""
    mlp = TINY_MLP if settings.quick else MLP
    layered = TINY_GPT if settings.quick else GPT_LARGE
    counts = (1, 2) if settings.quick else (1, 2, 4, 8, 12, 24)

    def gpt(name: str, size: GPTSize, cold: float | None = None) -> Model:
        return Model(name, f"GPT training step, {size}", lambda: gpt_step(size, "reference"), cold)

    models = [
        Model("mlp", f"MLP training step, {mlp}", lambda: mlp_step(mlp, "reference")),
        *(
            [gpt("gpt", TINY_GPT)]
            if settings.quick
            else [gpt("gpt", GPT_SMALL, 2), gpt("gpt-large", GPT_LARGE, 8), gpt("gpt-2", GPT2, 8)]
        ),
    ]
    by_layers = {count: gpt("layers", replace(layered, layers=count)) for count in counts}
    return [
        Benchmark("compile.start", "a fresh interpreter's first compile", _start),
        *(Benchmark(f"compile.{model.name}", model.what, _steps(model)) for model in models),
        Benchmark("compile.layers", f"GPT training step of {counts} layers", _layers(by_layers)),
    ]


def _target(settings: Settings) -> str:
    return target_of(open_device(settings.device))


def _start(settings: Settings) -> Iterator[Figure]:
    """Imports and a first compile, as a user's script pays them."""
    with _cache():
        start = time.perf_counter()
        code = _FIRST.format(_target(settings))
        subprocess.run([sys.executable, "-c", code], check=True)
        seconds = time.perf_counter() - start
    yield Figure("compile.start", "imports and x + 1, in a fresh interpreter", seconds, "s")


def _steps(model: Model) -> Callable[[Settings], Iterator[Figure]]:
    def run(settings: Settings) -> Iterator[Figure]:
        target, name = _target(settings), f"compile.{model.name}"
        _warm(target)
        with _cache():
            cold, cached = _compile(model, target), _compile(model, target)
        program = cold.program
        yield _within(model.cold, Figure(
            f"{name}.cold", model.what, cold.processor, "s",
            more={
                "wall_s": cold.wall,
                "kernels": len(program.kernels),
                "dispatches": program.dispatches,
                "copies": program.copies,
                "planned_mb": program.memory.peak / 1e6,
            },
        ))  # fmt: skip
        yield _within(model.cold and _WARM, Figure(
            f"{name}.cached", "the same from the cache", cached.processor, "s",
            more={"wall_s": cached.wall},
        ))  # fmt: skip
        yield from _passes(name, model, target)

    return run


def _within(seconds: float | None, figure: Figure) -> Figure:
    """The figure with a bar: so many seconds."""
    if seconds is None:
        return figure
    return replace(figure, peers={"bar": seconds}, bars=(Bar("bar", 1.0, 1.0),))


def _layers(models: dict[int, Model]) -> Callable[[Settings], Iterator[Figure]]:
    def run(settings: Settings) -> Iterator[Figure]:
        target = _target(settings)
        _warm(target)
        seconds: list[float] = []
        for count, model in models.items():
            costs: list[Cost] = []
            for _ in range(1 if settings.quick else _REPEATS):
                with _cache():
                    costs.append(_compile(model, target))
            cost = min(costs, key=lambda cost: cost.processor)
            seconds.append(cost.processor)
            yield Figure(
                f"compile.layers.{count}", model.what, cost.processor, "s",
                more={"wall_s": cost.wall, "kernels": len(cost.program.kernels),
                      "dispatches": cost.program.dispatches},
            )  # fmt: skip
        slope, offset = np.polyfit(list(models), seconds, 1).tolist()
        worst = max(
            abs(offset + slope * count - found)
            for count, found in zip(models, seconds, strict=True)
        )
        yield Figure(
            "compile.layers.fit",
            f"one more layer: a line of {offset:.2f} s and {slope:.3f} s a layer is off by "
            f"{worst:.2f} s at most",
            slope, "s", more={"offset_s": offset, "worst_residual_s": worst},
        )  # fmt: skip

    return run


def _passes(name: str, model: Model, target: str) -> Iterator[Figure]:
    """One figure a pass, in their order."""
    step, batch = model.make()
    module = parse(step.compile(*batch, target=target).ir("array"))
    figures: list[Figure] = []
    last = time.thread_time()

    def observe(pass_: ModulePass, lowered: ModuleOp) -> None:
        nonlocal last
        seconds = time.thread_time() - last
        operations = sum(1 for _ in lowered.walk())
        row = f"{name}.pass.{len(figures) + 1:02}"
        more = {"operations": float(operations)}
        figures.append(Figure(row, pass_.name, seconds, "s", more=more))
        last = time.thread_time()

    lower(module, target_named(target), observe=observe)
    yield from figures
    yield Figure(f"{name}.pass.end", "verification at exit", time.thread_time() - last, "s")


def _compile(model: Model, target: str) -> Cost:
    """Trace, lower and print, or find in the cache."""
    step, batch = model.make()
    wall, processor = time.perf_counter(), time.thread_time()
    program = step.compile(*batch, target=target).program
    return Cost(time.thread_time() - processor, time.perf_counter() - wall, program)


def _warm(target: str) -> None:
    """Imports what compiling needs."""
    with _cache():
        _ = sw.compile(_plus_one, sw.spec((4,)), target=target).program


def _plus_one(x: sw.Array) -> sw.Array:
    return x + 1.0


@contextmanager
def _cache() -> Generator[None]:
    """An empty cache."""
    with (
        TemporaryDirectory() as folder,
        patch.dict(os.environ, {"XDG_CACHE_HOME": folder, "STEPWELL_CACHE": "1"}),
    ):
        yield
