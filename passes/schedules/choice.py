"""The ways to lay out a kernel: every schedule that suits it, with every plan it may have.

A schedule's plan is a frozen dataclass of its parameters, and its `plans` are those that suit a
kernel and a target, best first by a closed formula. The text of a choice, such as
`workgroup_tiles(down=2, across=1, threads_down=8, threads_across=16, depth=16, slices=1)`, is what
`kernel.plan` says in the IR and what tuning keeps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from stepwell.dialects.errors import StepwellError, UnsupportedError, unknown, where
from stepwell.dialects.kernel import FuncOp
from stepwell.passes.keyed import keyed
from stepwell.passes.schedules import (
    keyed_reduction,
    map,
    reduction_plans,
    register_tiles,
    short_reduction,
    subgroup_tiles,
    workgroup_tiles,
)
from stepwell.passes.schedules.attention.schedule import (
    attention_plans,
    attention_row_plans,
    schedule_attention,
    schedule_attention_rows,
)
from stepwell.passes.schedules.contraction import Contraction
from stepwell.passes.schedules.frame import Frame
from stepwell.passes.schedules.keyed_reduction import schedule_keyed_reduction
from stepwell.passes.schedules.reduction import schedule_reduction
from stepwell.passes.schedules.register_tiles import RegisterTiles
from stepwell.passes.schedules.short_reduction import schedule_short_reduction
from stepwell.passes.schedules.subgroup_tiles import SubgroupTiles
from stepwell.passes.schedules.workgroup_tiles import WorkgroupTiles
from stepwell.passes.structured import Kind


@dataclass(frozen=True)
class Choice:
    """A schedule with one of its plans."""

    schedule: str
    plan: Any
    run: Callable[[], FuncOp]
    """Lays the kernel out. A frame is built in: only one choice of a frame can be run."""

    def __str__(self) -> str:
        return self.schedule + repr(self.plan).removeprefix(type(self.plan).__qualname__)


def choices(frame: Frame) -> list[Choice]:
    """Every way to lay out the frame's kernel, best first."""
    match frame.domain.kind:
        case Kind.CONTRACTION:
            return _contractions(Contraction(frame))
        case Kind.REDUCTION:
            return _reductions(frame)
        case Kind.ATTENTION:
            return [
                Choice("attention", plan, partial(schedule_attention, frame, plan))
                for plan in attention_plans(frame)
            ] + [
                Choice("attention_rows", plan, partial(schedule_attention_rows, frame, plan))
                for plan in attention_row_plans(frame)
            ]
        case _:
            return [
                Choice("map", plan, partial(map.schedule_map, frame, plan))
                for plan in map.plans(frame)
            ]


def _reductions(frame: Frame) -> list[Choice]:
    domain, target = frame.domain, frame.target
    choices = [
        Choice("short_reduction", plan, partial(schedule_short_reduction, frame, plan))
        for plan in short_reduction.plans(domain, target)
    ]
    if (found := keyed(domain)) is not None:
        choices += [
            Choice("keyed_reduction", plan, partial(schedule_keyed_reduction, frame, found, plan))
            for plan in keyed_reduction.plans(found, target)
        ]
    choices += [
        Choice("reduction", plan, partial(schedule_reduction, frame, plan))
        for plan in reduction_plans.plans(domain, target)
    ]
    return choices


def _contractions(contraction: Contraction) -> list[Choice]:
    target = contraction.frame.target
    if target.tiles_in_workgroup_memory:
        return [
            Choice("workgroup_tiles", plan, WorkgroupTiles(contraction, plan).run)
            for plan in workgroup_tiles.plans(contraction)
        ]
    if target.subgroup_size is not None:
        return [
            Choice("subgroup_tiles", plan, SubgroupTiles(contraction, plan).run)
            for plan in subgroup_tiles.plans(contraction)
        ]
    return [
        Choice("register_tiles", plan, RegisterTiles(contraction, plan).run)
        for plan in register_tiles.plans(contraction)
    ]


def chosen(frame: Frame, wanted: str) -> Choice:
    """The choice of that text; the best if empty. Raises: StepwellError if there is none."""
    if not frame.outputs:
        op = frame.kernel
        raise UnsupportedError(f"{where(op.location)}kernel @{op.sym_name.data} writes nothing")
    found = choices(frame)
    if not wanted:
        return found[0]
    for choice in found:
        if str(choice) == wanted:
            return choice
    op = frame.kernel
    error = unknown(f"plan of kernel @{op.sym_name.data}", wanted, [str(each) for each in found])
    raise StepwellError(f"{where(op.location)}{error}")
