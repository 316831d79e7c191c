"""Every plan of a short reduction, at awkward shapes, on the device."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from lowering import assert_close, on_device, program_of, traced

import stepwell as sw
from stepwell.passes.schedules import short_reduction
from stepwell.passes.schedules.short_reduction import Plan

Array = np.ndarray[Any, np.dtype[Any]]


def _depthwise(x: sw.Array, w: sw.Array) -> sw.Array:
    return sw.maximum(sw.conv2d(x, w, padding=1, groups=x.shape[1]), 0.0)


def _depthwise_reference(x: Array, w: Array) -> Array:
    height, width = x.shape[2:]
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    parts = [
        padded[:, :, i : i + height, j : j + width] * w[None, :, 0, i, j, None, None]
        for i in range(3)
        for j in range(3)
    ]
    return np.maximum(np.sum(parts, axis=0), 0)


CASES: dict[str, tuple[Callable[..., Any], Callable[..., Any], list[tuple[int, ...]], str]] = {
    "depthwise": (_depthwise, _depthwise_reference, [(4, 16, 18, 36), (16, 1, 3, 3)], "f32"),
    "depthwise_odd": (_depthwise, _depthwise_reference, [(8, 16, 17, 19), (16, 1, 3, 3)], "f32"),
    "depthwise_f16": (_depthwise, _depthwise_reference, [(4, 16, 18, 36), (16, 1, 3, 3)], "f16"),
    "across": (partial(sw.max, axis=0), partial(np.max, axis=0), [(5, 36000)], "f32"),
    "between": (partial(sw.sum, axis=1), partial(np.sum, axis=1), [(900, 7, 37)], "f32"),
}


@pytest.mark.parametrize("target", ["software", "desktop"])
@pytest.mark.parametrize("plan", [Plan(r, w) for r in (1, 2, 4) for w in (1, 4)], ids=str)
@pytest.mark.parametrize("case", CASES)
def test_plans(monkeypatch: pytest.MonkeyPatch, case: str, plan: Plan, target: str) -> None:
    function, reference, shapes, dtype = CASES[case]
    every = short_reduction.plans
    admitted: list[Plan] = []

    def only(domain: Any, its_target: Any) -> list[Plan]:
        admitted.extend(every(domain, its_target))
        return [found for found in admitted if found == plan]

    monkeypatch.setattr(short_reduction, "plans", only)
    monkeypatch.setattr(short_reduction, "UNROLLED", 1 << 10)
    rng = np.random.default_rng(0)
    numpy_dtype = np.float16 if dtype == "f16" else np.float32
    arrays = [rng.standard_normal(shape).astype(numpy_dtype) for shape in shapes]
    program = program_of(traced(function, arrays), target)
    if plan not in admitted:
        assert any(size % 4 for size in shapes[0][-2:])
        return
    (kernel,) = program.kernels.values()
    assert "workgroupBarrier" not in kernel.wgsl
    (result,) = on_device(program, arrays)
    wanted = reference(*(array.astype(np.float64) for array in arrays))
    assert_close(result, wanted, 2e-3 if dtype == "f16" else 3e-6)


def test_long_and_contiguous_reductions_are_left_alone() -> None:
    for shape in ((40000, 33), (40000, 8)):
        x = np.zeros(shape, np.float32)
        program = program_of(traced(partial(sw.sum, axis=1), [x]), "desktop")
        assert any("workgroupBarrier" in kernel.wgsl for kernel in program.kernels.values())
