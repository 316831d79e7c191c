"""Plans of a contraction in registers, at awkward shapes, on the device."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from lowering import assert_close, device, on_device, program_of, traced

import stepwell as sw
from stepwell.passes.schedules import register_tiles, subgroup_tiles
from stepwell.passes.schedules.register_tiles import Plan

CASES = (
    (Plan(8, 1), (64, 8, 36)),
    (Plan(8, 4), (19, 9, 132)),
    (Plan(16, 2), (33, 5, 33)),
    (Plan(32, 1), (96, 6, 36)),
)
"""Plans, and rows, depth and columns."""


def _dense(a: sw.Array, b: sw.Array, c: sw.Array) -> sw.Array:
    return sw.matmul(a, b) + c


def _transposed(a: sw.Array, b: sw.Array, c: sw.Array) -> sw.Array:
    return sw.matmul(a.mT, b) + c


@pytest.mark.parametrize(("plan", "shape"), CASES, ids=str)
@pytest.mark.parametrize("schedule", [register_tiles, subgroup_tiles], ids=["alone", "subgroup"])
@pytest.mark.parametrize("function", [_dense, _transposed])
def test_plans(
    monkeypatch: pytest.MonkeyPatch,
    plan: Plan,
    shape: tuple[int, int, int],
    schedule: Any,
    function: Any,
) -> None:
    if schedule is subgroup_tiles and device().description.subgroup_size != 8:
        pytest.skip("the device has no subgroups of 8")
    monkeypatch.setattr(schedule, "plans", lambda _: [plan])
    rows, depth, columns = shape
    left = (depth, rows) if function is _transposed else (rows, depth)
    rng = np.random.default_rng(0)
    arrays = [
        rng.standard_normal(size, dtype=np.float32) for size in (left, (depth, columns), (columns,))
    ]
    target = "software-subgroup8" if schedule is subgroup_tiles else "software"
    program = program_of(traced(function, arrays), target)
    assert [kernel.plan for kernel in program.kernels.values()] == [
        f"{schedule.__name__.rpartition('.')[2]}{repr(plan).removeprefix('Plan')}"
    ]
    (result,) = on_device(program, arrays)
    a, b, c = (array.astype(np.float64) for array in arrays)
    assert_close(result, (a.T if function is _transposed else a) @ b + c, 3e-6)


def test_more_results_where_there_is_more_work() -> None:
    """A small product takes small tiles, which compile soon; a large one takes large ones."""

    def results(size: int) -> int:
        arrays = [np.zeros((size, size), np.float32)] * 2
        program = program_of(traced(lambda a, b: a @ b, arrays), "software-subgroup8")
        (kernel,) = program.kernels.values()
        rows, vectors = (int(part.partition("=")[2]) for part in kernel.plan.strip(")").split(","))
        return rows * vectors

    assert results(16) < results(512) < results(2048)
