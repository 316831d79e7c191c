"""Every plan of a contraction in workgroup memory, at awkward shapes, on the device."""

from __future__ import annotations

import numpy as np
import pytest
from lowering import assert_close, on_device, program_of, traced

import stepwell as sw
from stepwell.passes.schedules import workgroup_tiles
from stepwell.passes.schedules.contraction import Contraction
from stepwell.passes.schedules.workgroup_tiles import PLANS, Plan

SHAPES = ((130, 37, 68), (65, 33, 47), (129, 64, 132))


def _dense(a: sw.Array, b: sw.Array, c: sw.Array) -> sw.Array:
    return sw.matmul(a, b) + c


@pytest.mark.parametrize("plan", PLANS, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_plans(monkeypatch: pytest.MonkeyPatch, plan: Plan, shape: tuple[int, int, int]) -> None:

    def only(_: Contraction) -> list[Plan]:
        return [plan]

    monkeypatch.setattr(workgroup_tiles, "plans", only)
    rows, depth, columns = shape
    rng = np.random.default_rng(0)
    arrays = [
        rng.standard_normal(size, dtype=np.float32)
        for size in ((rows, depth), (depth, columns), (columns,))
    ]
    module = traced(_dense, arrays)
    program = program_of(module, "desktop")
    (kernel,) = program.kernels.values()
    assert kernel.workgroup_size == (plan.threads, 1, 1)
    (result,) = on_device(program, arrays)
    a, b, c = (array.astype(np.float64) for array in arrays)
    assert_close(result, a @ b + c, 3e-6)
