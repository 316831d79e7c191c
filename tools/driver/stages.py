"""`--to=<stage>`: the compiler's own pipeline as nodes of ours."""

from __future__ import annotations

from functools import partial

from stepwell.dialects.errors import StepwellError
from stepwell.passes.target import TARGETS, Target, target_named
from stepwell.tools.driver.diagnostics import UsageError
from stepwell.tools.driver.pipelines import PassNode, StageNode
from stepwell.tools.driver.suggest import did_you_mean


def stage_nodes(to: str, target: str | None) -> tuple[StageNode, ...]:
    """The stages down to `to`, lowered for a device target; unknown names are a `UsageError`."""
    from stepwell.passes import pipeline

    names = [stage.name for stage in pipeline.STAGES]
    if to not in names:
        close = did_you_mean(to, names) or f"; the stages are {', '.join(names)}"
        raise UsageError(f"unknown stage '{to}'{close}")
    device = _target(target)
    return tuple(
        StageNode(
            stage.name,
            tuple(PassNode(make(device)) for make in stage.passes),
            partial(pipeline.check_legal, stage=stage),
        )
        for stage in pipeline.stages_until(to)
    )


def _target(name: str | None) -> Target:
    if name is None:
        return TARGETS[0]
    try:
        return target_named(name)
    except StepwellError as error:
        raise UsageError(str(error)) from None
