"""The plug-in that puts Stepwell's dialects, passes and shader text into every xDSL tool."""

from __future__ import annotations

from xdsl.universe import Universe
from xdsl.utils.target import Target

from stepwell.dialects.registry import DIALECTS
from stepwell.passes.registry import PASSES


def _wgsl_target() -> type[Target]:
    from stepwell.tools.wgsl_target import WGSLTextTarget

    return WGSLTextTarget


STEPWELL = Universe(
    all_dialects=dict(DIALECTS),
    all_passes=dict(PASSES),
    all_targets={"stepwell-wgsl": _wgsl_target},
)
