"""Every plan of a contraction in workgroup memory, at awkward shapes, on the device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from lowering import Array, assert_close, on_device, program_of, traced

from stepwell.passes.schedules import workgroup_tiles
from stepwell.passes.schedules.contraction import Contraction
from stepwell.passes.schedules.tile_plans import PLANS, Plan, Sizes, cost_in_parts, plans_for
from stepwell.passes.target import target_named

TARGET = "desktop-workgroup32"
"""A target that admits every plan."""
DEPTH = 37


def _dense(a: Any, b: Any, c: Any) -> Any:
    return a @ b + c


def _added(a: Any, b: Any, c: Any) -> Any:
    return c + a @ b


def _transposed(a: Any, b: Any, c: Any) -> Any:
    return a.T @ b.T + c


def _check(
    monkeypatch: pytest.MonkeyPatch,
    plan: Plan,
    function: Callable[..., Any],
    shapes: tuple[tuple[int, ...], ...],
    dtype: type[np.floating[Any]] = np.float32,
) -> None:
    """Compares a plan with NumPy in f64, and that it is what ran, unchecked."""

    def only(_: Contraction) -> list[Plan]:
        return [plan]

    monkeypatch.setattr(workgroup_tiles, "plans", only)
    rng = np.random.default_rng(0)
    arrays: list[Array] = [rng.standard_normal(shape).astype(dtype) for shape in shapes]
    program = program_of(traced(function, arrays), TARGET)
    (kernel,) = program.kernels.values()
    assert kernel.workgroup_size == (plan.threads, 1, 1)
    assert kernel.trusted, "every access is proved to be in bounds"
    (result,) = on_device(program, arrays)
    expected = function(*(array.astype(np.float64) for array in arrays))
    assert_close(result, expected, 3e-6 if dtype is np.float32 else 1e-3)


@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_last_tiles_overlap_those_before(monkeypatch: pytest.MonkeyPatch, plan: Plan) -> None:
    rows, columns = plan.rows + 2, plan.columns + 4
    _check(monkeypatch, plan, _dense, ((rows, DEPTH), (DEPTH, columns), (columns,)))


@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_tiles_beyond_the_operands(monkeypatch: pytest.MonkeyPatch, plan: Plan) -> None:
    rows, columns = plan.rows - 1, plan.columns - 1
    _check(monkeypatch, plan, _transposed, ((DEPTH, rows), (columns, DEPTH), (columns,)))


SHAPES = ((65, 33, 47), (300, 40, 5), (17, 8, 6), (2, 2, 2), (5, 64, 260))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("function", (_dense, _transposed))
@pytest.mark.parametrize("plan", (Plan(1, 1, 16, 16, 16), Plan(2, 1, 2, 32, 32, 4)), ids=str)
def test_shapes(
    monkeypatch: pytest.MonkeyPatch,
    plan: Plan,
    function: Callable[..., Any],
    shape: tuple[int, int, int],
) -> None:
    rows, depth, columns = shape
    operands = ((rows, depth), (depth, columns))
    if function is _transposed:
        operands = (operands[0][::-1], operands[1][::-1])
    _check(monkeypatch, plan, function, (*operands, (columns,)))


def test_halves_are_widened_in_workgroup_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    _check(
        monkeypatch, Plan(2, 1, 8, 16, 16), _dense, ((70, 36), (36, 72), (72,)), dtype=np.float16
    )


def test_costs_prefer_plans_that_fit() -> None:
    """Facts that hold whatever the weights of the formula are."""
    target = target_named("desktop-workgroup48")

    def best(batch: int, rows: int, columns: int, depth: int) -> Plan:
        return plans_for(Sizes(batch, rows, columns, depth), target)[0]

    assert best(1, 4096, 4096, 4096).results == max(plan.results for plan in PLANS)
    assert best(1, 1024, 1024, 1024).tiles(Sizes(1, 1024, 1024, 1024)) >= target.processors
    assert best(1, 4, 8192, 8192).rows <= 16
    assert best(1, 8192, 4, 8192).columns <= 16
    small = plans_for(Sizes(1, 64, 64, 64), target_named("desktop"))
    assert all(sum(plan.elements) * 4 <= 16384 for plan in small)
    few, many = Sizes(1, 128, 128, 65536), Sizes(1, 8192, 8192, 512)
    assert cost_in_parts(few, 64, target) < cost_in_parts(few, 1, target)
    assert cost_in_parts(many, 4, target) > cost_in_parts(many, 1, target)


def test_an_epilogue_in_place_runs_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles overlap, but no result is written twice: it may overwrite what it is computed from."""

    def only(_: Contraction) -> list[Plan]:
        return [Plan(2, 1, 8, 16, 16)]

    monkeypatch.setattr(workgroup_tiles, "plans", only)
    rng = np.random.default_rng(1)
    shapes = ((70, 9), (9, 90), (70, 90))
    arrays: list[Array] = [rng.standard_normal(shape, dtype=np.float32) for shape in shapes]
    program = program_of(traced(_added, arrays, donated=[2]), TARGET)
    (result,) = on_device(program, arrays)
    a, b, c = (array.astype(np.float64) for array in arrays)
    assert_close(result, c + a @ b, 3e-6)
