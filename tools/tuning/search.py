"""Times every plan of a kernel on a device, and compares what it computes with the default's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stepwell.backends.compiler import compile_module
from stepwell.backends.errors import DeviceError
from stepwell.backends.program import Program
from stepwell.backends.wgpu.executor import Executor
from stepwell.dialects.errors import StepwellError
from stepwell.dialects.kernel import FuncOp
from stepwell.passes.target import Target
from stepwell.tools.benchmarks.device_time import device_seconds
from stepwell.tools.benchmarks.inputs import fresh_inputs
from stepwell.tools.tuning.isolation import isolated, plans_of

Values = np.ndarray[Any, np.dtype[Any]]

GAIN = 1.05
"""How many times as fast a plan has to be to be kept: clocks are not that exact."""
TOLERANCE = {"f": 1e-4, "e": 1e-2}
"""The largest difference of f32 and f16 from the default plan's results, relative to the largest of
them: plans sum in another order."""


@dataclass(frozen=True)
class Trial:
    """What a plan took, in microseconds, or why it does not count."""

    plan: str
    microseconds: float = 0.0
    failure: str = ""


@dataclass(frozen=True)
class Outcome:
    """The plans of a kernel that were tried, the default first, and the one to keep."""

    trials: tuple[Trial, ...]
    best: Trial

    @property
    def default(self) -> Trial:
        return self.trials[0]

    @property
    def gain(self) -> float:
        """How many times as fast as the default plan the best one is."""
        return self.default.microseconds / self.best.microseconds if self.best.microseconds else 1.0

    @property
    def failures(self) -> list[Trial]:
        return [trial for trial in self.trials if trial.failure]


def tune(
    kernel: FuncOp, target: Target, device: Any, *, most: int | None = None, quick: bool = False
) -> Outcome:
    """The fastest of a kernel's plans: of the first `most`, of all if None.

    Raises: DeviceError for a device without timestamps, StepwellError if the default plan fails.
    """
    if not device.description.has_timestamps:
        raise DeviceError(f"{device} has no timestamp queries to tune with")
    plans = plans_of(kernel, target)[:most]
    if len(plans) == 1:
        alone = Trial(plans[0])
        return Outcome((alone,), alone)
    search = _Search(kernel, target, device, quick)
    trials = [search.default(plans[0]), *(search.trial(plan) for plan in plans[1:])]
    fastest = min((t for t in trials if not t.failure), key=lambda trial: trial.microseconds)
    if fastest is trials[0]:
        return Outcome(tuple(trials), fastest)
    # Once more in turn: the first to be timed may have found the device's clock still low.
    trials[0], again = (search.again(trial) for trial in (trials[0], fastest))
    best = again if trials[0].microseconds >= GAIN * again.microseconds else trials[0]
    return Outcome(tuple(trials), best)


class _Search:
    def __init__(self, kernel: FuncOp, target: Target, device: Any, quick: bool):
        self.kernel, self.target, self.device, self.quick = kernel, target, device, quick
        self.expected: list[Values] = []
        self.calls: Iterator[list[Any]] = iter(())
        """Arguments of call after call, the same for every plan."""

    def default(self, plan: str) -> Trial:
        program = self._program(plan)
        self.calls = fresh_inputs(program, self.device)
        self.expected = self._results(program)
        return Trial(plan, self._time(program))

    def trial(self, plan: str) -> Trial:
        try:
            program = self._program(plan)
            failure = difference(self._results(program), self.expected)
            return Trial(plan, 0.0 if failure else self._time(program), failure)
        except (StepwellError, DeviceError) as error:
            return Trial(plan, failure=str(error))

    def again(self, trial: Trial) -> Trial:
        return Trial(trial.plan, min(trial.microseconds, self._time(self._program(trial.plan))))

    def _program(self, plan: str) -> Program:
        return compile_module(isolated(self.kernel, plan), self.target.name)

    def _results(self, program: Program) -> list[Values]:
        outputs = Executor(program, self.device)(*next(self.calls))
        return [output.numpy() for output in outputs]

    def _time(self, program: Program) -> float:
        measured = device_seconds(program, self.device, self.calls, quick=self.quick)
        return 1e6 * measured[0] if measured else 0.0


def difference(found: Sequence[Values], expected: Sequence[Values]) -> str:
    """How results differ by more than rounding; empty if they do not."""
    for number, (mine, other) in enumerate(zip(found, expected, strict=True)):
        if not mine.size:
            continue
        wide, reference = mine.astype(np.float64), other.astype(np.float64)
        scale = float(np.max(np.abs(reference))) or 1.0
        distance = float(np.max(np.abs(wide - reference))) / scale
        tolerance = TOLERANCE.get(mine.dtype.char, 0.0)
        if not distance <= tolerance and not np.array_equal(mine, other, equal_nan=True):
            return f"result {number} differs by {distance:.2g} of its largest element"
    return ""
