"""`--to=<stage>`: the compiler's own pipeline as nodes of ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

from xdsl.dialects.builtin import ModuleOp

from stepwell.dialects.errors import StepwellError
from stepwell.passes.target import TARGETS, Target, target_named
from stepwell.tools.driver.diagnostics import UsageError
from stepwell.tools.driver.pipelines import PassNode, StageNode
from stepwell.tools.driver.suggest import did_you_mean


class _Named(Protocol):
    @property
    def name(self) -> str: ...


_NamedT = TypeVar("_NamedT", bound=_Named)


def _named(kind: str, name: str, table: Sequence[_NamedT]) -> _NamedT:
    for entry in table:
        if entry.name == name:
            return entry
    names = [entry.name for entry in table]
    close = did_you_mean(name, names) or f"; there are {', '.join(names)}"
    raise UsageError(f"unknown {kind} '{name}'{close}")


@dataclass(frozen=True)
class Lowering:
    """Down to the stage `to`, with schedules for `target`."""

    to: str
    target: Target

    @staticmethod
    def named(to: str, target: str | None) -> Lowering:
        """From names on a command line. Raises: UsageError."""
        from stepwell.passes.pipeline import STAGES

        try:
            device = TARGETS[0] if target is None else target_named(target)
        except StepwellError as error:
            raise UsageError(str(error)) from error
        return Lowering(_named("stage", to, STAGES).name, device)

    def nodes(self, module: ModuleOp) -> tuple[StageNode, ...]:
        """The stages from below the one that `module` is at down to `to`. Raises: StepwellError.

        For a module that is below `to` already, nothing but the check of `to`, which it fails.
        """
        from stepwell.passes.pipeline import check_legal, stage_of, stages_until

        start = stage_of(module)
        stages = stages_until(self.to)
        if start not in stages:
            stage = stages[-1]
            return (StageNode(stage.name, (), partial(check_legal, stage=stage)),)
        return tuple(
            StageNode(
                stage.name,
                tuple(PassNode(make(self.target)) for make in stage.passes),
                partial(check_legal, stage=stage),
            )
            for stage in stages[stages.index(start) + 1 :]
        )
