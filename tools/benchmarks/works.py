"""What is run for speed: the works by name, as Stepwell does them. Peers do the same by kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

import stepwell as sw
from stepwell.backends.device import ReferenceDevice, open_device
from stepwell.backends.program import Program
from stepwell.tools.benchmarks.figures import Settings, Work
from stepwell.tools.benchmarks.models import Block, GPTSize, MLPSize, gpt_step, mlp_step

MLP = MLPSize((784, 512, 512, 10), 128)
TINY_MLP = MLPSize((16, 8, 4), 4)
GPT_SMALL = GPTSize(layers=4, width=256, heads=8, context=128, batch=8, vocabulary=1024)
GPT_LARGE = GPTSize(layers=12, width=768, heads=12, context=256, batch=4, vocabulary=8192)
TINY_GPT = GPTSize(layers=1, width=16, heads=2, context=8, batch=2, vocabulary=32)


@dataclass(frozen=True)
class Task:
    """A kind of work at a size. `flops` and `bytes` are the least that it takes; 0 for models."""

    name: str
    kind: str
    what: str
    size: tuple[Any, ...]
    flops: int = 0
    bytes: int = 0


@dataclass(frozen=True)
class Prepared:
    """A work on our device, and its program unless NumPy runs it."""

    work: Work
    program: Program | None


def tasks(settings: Settings, *, gpu: bool) -> list[Task]:
    """What to run: tiny with `quick`, larger on a GPU."""
    if settings.quick:
        sides, elements, rows, sizes = [16], 1 << 10, (8, 64), (TINY_MLP, TINY_GPT, TINY_GPT)
        block = TINY_GPT
    else:
        sides = [256, 512, 1024, *([2048, 4096] if gpu else [])]
        elements, rows = 1 << 24, (4096, 1024)
        sizes = (MLP, GPT_SMALL, GPT_LARGE)
        block = GPTSize(1, 768, 12, 256, 1, 1)
    area = rows[0] * rows[1]
    stream = 4 * elements if gpu else elements
    models = [Task("gpt", "gpt", f"GPT training step, {sizes[1]}", (sizes[1],))]
    if gpu:
        models.append(Task("gpt-large", "gpt", f"GPT training step, {sizes[2]}", (sizes[2],)))
    return [
        Task("copy", "copy", f"x + 1 of {stream:,} f32", (stream,), bytes=8 * stream),
        *(
            Task(f"matmul-{n}", "matmul", f"[{n}, {n}] @ [{n}, {n}] f32", (n,), 2 * n**3)
            for n in sides
        ),
        Task("gelu", "gelu", f"gelu(1.5 x + 0.25) of {elements:,}", (elements,), 0, 8 * elements),
        Task("softmax", "softmax", f"softmax of {list(rows)}", rows, bytes=8 * area),
        Task("layer-norm", "layer_norm", f"layer norm of {list(rows)}", rows, bytes=8 * area),
        Task("mlp", "mlp", f"MLP training step, {sizes[0]}", (sizes[0],)),
        Task("block", "block", f"GPT block, D{block.width} H{block.heads} T{block.context}",
             (block,)),
        *models,
    ]  # fmt: skip


def prepare(task: Task, settings: Settings) -> Prepared:
    """The work of a task on the device of the settings."""
    return OURS[task.kind](settings.device, *task.size)


def waiter(device: str | None) -> Callable[[], Any]:
    """What waits for our device; NumPy is never behind."""
    opened = open_device(device)
    return (lambda: None) if isinstance(opened, ReferenceDevice) else opened.wait


def _normal(*shape: int) -> sw.Array:
    return sw.asarray(np.random.default_rng(0).standard_normal(shape, np.float32))


def _function(
    device: str | None, function: Callable[[list[sw.Array]], sw.Array], *shapes: tuple[int, ...]
) -> Prepared:
    arguments = [_normal(*shape) for shape in shapes]
    compiled = sw.jit(function, device=device)
    executable = compiled.lower(arguments)
    program = executable.program if executable.on_device else None
    return Prepared(Work(lambda: compiled(arguments), waiter(device)), program)


def _matmul(device: str | None, n: int) -> Prepared:
    return _function(device, lambda x: x[0] @ x[1], (n, n), (n, n))


def _copy(device: str | None, n: int) -> Prepared:
    return _function(device, lambda x: x[0] + 1.0, (n,))


def _gelu(device: str | None, n: int) -> Prepared:
    return _function(device, lambda x: sw.gelu(x[0] * 1.5 + 0.25, approximate="tanh"), (n,))


def _softmax(device: str | None, *shape: int) -> Prepared:
    return _function(device, lambda x: sw.softmax(x[0]), shape)


def _layer_norm(device: str | None, rows: int, columns: int) -> Prepared:
    shapes = (rows, columns), (columns,), (columns,)
    return _function(device, lambda x: sw.layer_norm(x[0], columns, x[1], x[2]), *shapes)


def _block(device: str | None, size: GPTSize) -> Prepared:
    block = Block(size.width, size.heads)
    return _function(device, lambda x: block(x[0]), (1, size.context, size.width))


def _mlp(device: str | None, size: MLPSize) -> Prepared:
    return _train(device, mlp_step(size, device))


def _gpt(device: str | None, size: GPTSize) -> Prepared:
    return _train(device, gpt_step(size, device))


def _train(device: str | None, made: tuple[sw.TrainStep, tuple[Any, ...]]) -> Prepared:
    step, batch = made
    batch = tuple(sw.asarray(part) for part in batch)
    executable = step.compile(*batch)
    program = executable.program if executable.on_device else None
    return Prepared(Work(lambda: step(*batch), waiter(device)), program)


OURS: Mapping[str, Callable[..., Prepared]] = {
    "matmul": _matmul,
    "copy": _copy,
    "gelu": _gelu,
    "softmax": _softmax,
    "layer_norm": _layer_norm,
    "block": _block,
    "mlp": _mlp,
    "gpt": _gpt,
}
"""Each kind of work: the device's name and the task's size -> the work."""
