"""The schedule of elementwise kernels: one vector of elements a thread, in memory order."""

from __future__ import annotations

from math import prod

from stepwell.dialects.kernel import FuncOp
from stepwell.passes.index import delinearize
from stepwell.passes.schedules.frame import Frame, assign, extents, lanes

WIDTH = 4
"""Elements of a vector load: 16 bytes of f32."""


def schedule_map(frame: Frame) -> FuncOp:
    """Thread i computes elements [4 i, 4 i + 4) of the domain, or element i of an uneven one."""
    domain, points = frame.domain, frame.points
    sizes = extents(domain.parallel)
    total = prod(sizes)
    vector, lane = lanes(WIDTH if total % WIDTH == 0 else 1)
    width = lane.hi + 1
    work = total // width
    threads = min(frame.target.map_threads, work)
    group, grid = frame.workgroup(-(-work // threads))
    number = group * threads + frame.thread(threads)
    element = frame.guarded(number, work) * width + lane
    mapped = assign(domain.parallel, delinearize(element, sizes))

    def body() -> tuple[()]:
        with points.over(vector):
            return frame.store(frame.outputs, mapped)

    frame.when(frame.below(number, work), body)
    return frame.finish(threads, grid)
