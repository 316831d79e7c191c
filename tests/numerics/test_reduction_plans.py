"""Reductions along and across rows by plans of every kind, at awkward shapes, on the device.

Small shapes have few plans of their own: rows that are held in part, or walked back and forth, are
asked for here by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from lowering import Array, assert_close, at_stage, on_device, program_of, traced

import stepwell as sw
from stepwell.dialects.errors import UnsupportedError
from stepwell.dialects.kernel import FuncOp
from stepwell.passes.pipeline import lower
from stepwell.passes.schedules import choice
from stepwell.passes.schedules.choice import Choice
from stepwell.passes.schedules.frame import Frame
from stepwell.passes.schedules.reduction import schedule_reduction
from stepwell.passes.schedules.reduction_plans import Plan, plans
from stepwell.passes.target import target_named

TARGETS = ("software-subgroup8", "desktop-subgroup8-threads512")


def _softmax(x: Array) -> Array:
    exp = np.exp(x - x.max(-1, keepdims=True))
    return exp / exp.sum(-1, keepdims=True)


WORK: dict[str, tuple[Callable[..., Any], Callable[..., Any], tuple[int, ...]]] = {
    "rows": (sw.softmax, _softmax, (3, 2060)),
    "odd rows": (sw.softmax, _softmax, (3, 1031)),
    "columns": (lambda x: x.sum(axis=0), lambda x: x.sum(axis=0), (1031, 12)),
    "odd columns": (lambda x: x.max(axis=0), lambda x: x.max(axis=0), (517, 7)),
}
PLANS: dict[str, list[Plan]] = {
    "rows": [
        Plan(1, 32, 1, 4, 5, 3, turning=True),
        Plan(2, 16, 1, 4, 0, 4, turning=True),
        Plan(2, 64, 1, 4, 3, 2, turning=True),
        Plan(1, 512, 1, 4, 1, 8),
        Plan(1, 64, 1, 4, 8, 4),
    ],
    "odd rows": [
        Plan(1, 16, 1, 1, 7, 8, turning=True),
        Plan(4, 8, 1, 1, 100, 16, turning=True),
        Plan(1, 512, 1, 1, 2, 8),
    ],
    "columns": [Plan(2, 128, 4, 1, 0, 8), Plan(3, 1, 4, 1, 0, 8), Plan(1, 32, 4, 1, 32, 8)],
    "odd columns": [Plan(4, 8, 1, 1, 0, 8), Plan(2, 64, 1, 1, 8, 8), Plan(1, 256, 1, 1, 2, 8)],
}


def _use(monkeypatch: pytest.MonkeyPatch, plan: Plan) -> None:
    def only(frame: Frame) -> list[Choice]:
        return [Choice("reduction", plan, partial(schedule_reduction, frame, plan))]

    monkeypatch.setattr(choice, "choices", only)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    ("name", "plan"), [(name, plan) for name, found in PLANS.items() for plan in found], ids=str
)
def test_plans(name: str, plan: Plan, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, numpy, shape = WORK[name]
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    _use(monkeypatch, plan)
    (found,) = on_device(program_of(traced(ours, [x]), target), [x])
    assert_close(found, numpy(x.astype(np.float64)), 2e-6)


@pytest.mark.parametrize("threads", [8, 4])
def test_in_turn(threads: int) -> None:
    """Rows one after another: a gain is read before the first of them, and only there."""
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=shape).astype(np.float32) for shape in ((64, 64), (64,))]

    def ours(x: Any, gain: Any) -> Any:
        return sw.softmax(x) * gain

    plan = Plan(2, threads, 1, 4, 16 // threads, 1, in_turn=16)
    with pytest.MonkeyPatch.context() as patch:
        _use(patch, plan)
        program = program_of(traced(ours, arrays), "software-subgroup8")
        (found,) = on_device(program, arrays)
    assert_close(found, _softmax(arrays[0].astype(np.float64)) * arrays[1], 2e-6)
    (kernel,) = program.kernels.values()
    before, loop = kernel.wgsl.split("for (", 1)
    (gain,) = re.findall(r"(\w+): array<vec4<f32>, 16>", before)
    assert f"{gain}[" in before and f"{gain}[" not in loop


def test_turning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Interpreted as threads: no races, nothing out of bounds."""
    x = np.random.default_rng(0).normal(size=(2, 264)).astype(np.float32)
    _use(monkeypatch, Plan(1, 8, 1, 4, 1, 3, turning=True))
    (found,) = at_stage(traced(sw.softmax, [x]), "desktop", "tiled", [x])
    assert_close(found, _softmax(x.astype(np.float64)), 2e-6)


def _frames(name: str, rows: int, length: int, target: str) -> Frame:
    """The frame of the one kernel of softmax, which is not run."""
    ours, _, _ = WORK[name]
    x = np.broadcast_to(np.float32(0), (rows, length))
    module = lower(traced(ours, [x]), target_named(target), "buffers")
    (kernel,) = [op for op in module.body.block.ops if isinstance(op, FuncOp)]
    return Frame(kernel, target_named(target))


@pytest.mark.parametrize("target", [*TARGETS, "desktop"])
@pytest.mark.parametrize("length", [1, 5, 64, 1031, 4096, 65536])
def test_what_is_held(target: str, length: int) -> None:
    frame = _frames("rows", 1024, length, target)
    for plan in plans(frame.domain, frame.target):
        assert plan.held <= length // (plan.width * plan.threads)


def test_too_much_held() -> None:
    frame = _frames("rows", 3, 2060, "desktop")
    with pytest.raises(UnsupportedError, match="holds 9 steps of a thread that has 8"):
        schedule_reduction(frame, Plan(1, 64, 1, 4, 9, 4))


def test_long_rows() -> None:
    """Where a device has wide workgroups, long rows take them, and hold as much together."""
    frame = _frames("rows", 1024, 65536, "desktop-subgroup32-threads512")
    best, narrow = (
        next(p for p in plans(frame.domain, frame.target) if p.threads <= most and p.held)
        for most in (512, 256)
    )
    assert best.threads == 512 and narrow.threads == 256
    assert best.threads * best.held <= narrow.threads * narrow.held
    assert not best.turning, "what is left of 128 rows fits the cache"
