"""What is run for speed, as Stepwell does it. Peers do the same by kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import stepwell as sw
from stepwell.backends.device import ReferenceDevice, open_device
from stepwell.backends.program import Program
from stepwell.frontend.executable import Executable
from stepwell.tools.benchmarks.figures import Settings, Work
from stepwell.tools.benchmarks.models import (
    Block,
    GPTSize,
    LSTMSize,
    MLPSize,
    gpt_step,
    lstm_step,
    mlp_step,
)
from stepwell.tools.benchmarks.problems import PROBLEMS, Values, inputs_of, ours
from stepwell.tools.benchmarks.rows import GPU, QUICK, SOFTWARE, Task


@dataclass(frozen=True)
class Prepared:
    """A work on our device, what it runs, and its inputs.

    `arguments` are the program's own; empty for training steps, which use theirs up.
    """

    work: Work
    executable: Executable
    inputs: Sequence[Values] = ()
    arguments: Sequence[sw.Array] = ()

    @property
    def program(self) -> Program | None:
        """The program, compiled when it is first asked for; None if NumPy runs it."""
        return self.executable.program if self.executable.on_device else None


def tasks(settings: Settings, *, gpu: bool) -> list[Task]:
    """What to run: tiny with `quick`, larger on a GPU."""
    return list(QUICK if settings.quick else GPU if gpu else SOFTWARE)


def missing(task: Task) -> str:
    """The function of `stepwell` that the task needs and there is not; else ""."""
    needs = PROBLEMS[task.kind].needs if task.kind in PROBLEMS else ""
    return needs if needs and not hasattr(sw, needs) else ""


def prepare(task: Task, settings: Settings) -> Prepared:
    """The work of a task on the device of the settings."""
    device = settings.device
    match task.kind:
        case "block":
            return _block(device, *task.size)
        case "lstm":
            return _train(device, lstm_step(_only(task, LSTMSize), device))
        case "mlp":
            return _train(device, mlp_step(_only(task, MLPSize), device))
        case "gpt":
            return _train(device, gpt_step(_only(task, GPTSize), device))
        case _:
            inputs = inputs_of(task.kind, task.size, backward=bool(task.backward))
            return _function(device, ours(task.kind, task.size, task.backward), inputs)


def waiter(device: str | None) -> Callable[[], Any]:
    """What waits for our device; NumPy is never behind."""
    opened = open_device(device)
    return (lambda: None) if isinstance(opened, ReferenceDevice) else opened.wait


def _only(task: Task, kind: type[Any]) -> Any:
    (size,) = task.size
    assert isinstance(size, kind)
    return size


def _function(
    device: str | None, function: Callable[[list[sw.Array]], Any], inputs: Sequence[Values]
) -> Prepared:
    arguments = [sw.asarray(values) for values in inputs]
    compiled = sw.jit(function, device=device)
    executable = compiled.lower(arguments)
    work = Work(lambda: compiled(arguments), waiter(device))
    return Prepared(work, executable, inputs, arguments)


def _block(device: str | None, size: GPTSize) -> Prepared:
    block = Block(size.width, size.heads)
    shape = 1, size.context, size.width
    x = np.random.default_rng(0).standard_normal(shape, np.float32)
    prepared = _function(device, lambda x: block(x[0]), [x])
    return Prepared(prepared.work, prepared.executable)


def _train(device: str | None, made: tuple[sw.TrainStep, tuple[Any, ...]]) -> Prepared:
    step, batch = made
    batch = tuple(sw.asarray(part) for part in batch)
    return Prepared(Work(lambda: step(*batch), waiter(device)), step.compile(*batch))
