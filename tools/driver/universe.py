"""xDSL's dialects, passes and output formats together with ours."""

from __future__ import annotations

from functools import cache

from xdsl.context import Context
from xdsl.universe import XDSL_UNIVERSE, Universe

from stepwell.tools.universe import STEPWELL


@cache
def full_universe() -> Universe:
    """What our tools know; other plug-ins are xdsl-opt's business."""
    return Universe(
        all_dialects=XDSL_UNIVERSE.all_dialects | STEPWELL.all_dialects,
        all_passes=XDSL_UNIVERSE.all_passes | STEPWELL.all_passes,
        all_targets=XDSL_UNIVERSE.all_targets | STEPWELL.all_targets,
    )


def new_context(*, allow_unregistered: bool = False) -> Context:
    """A context that loads any of the dialects when it is first used."""
    context = Context(allow_unregistered=allow_unregistered)
    for name, factory in full_universe().all_dialects.items():
        context.register_dialect(name, factory)
    return context
