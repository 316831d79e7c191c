"""Every plan of a keyed reduction, at awkward shapes, on the device; and what is one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from lowering import assert_close, on_device, program_of, traced

import stepwell as sw
from stepwell.passes.keyed import Keyed
from stepwell.passes.schedules import keyed_reduction
from stepwell.passes.schedules.keyed_reduction import ROWS, Plan

Array = np.ndarray[Any, np.dtype[Any]]


def _scatter(table: sw.Array, positions: sw.Array, updates: sw.Array) -> sw.Array:
    return sw.scatter_add(table, positions, updates) * 2.0


def _wanted(table: Array, positions: Array, updates: Array) -> Array:
    result = table.astype(np.float64)
    valid = (positions >= 0) & (positions < len(table))
    np.add.at(result, positions[valid], updates[valid].astype(np.float64))
    return result * 2


def _evenly(rng: np.random.Generator, size: int, count: int) -> Array:
    return rng.integers(0, size, count)


def _all_same(rng: np.random.Generator, size: int, count: int) -> Array:
    return np.full(count, size - 1)


def _out_of_range(rng: np.random.Generator, size: int, count: int) -> Array:
    return rng.integers(-size, 2 * size, count)


# As many results as a GPU has threads: reductions to fewer are split.
CASES: dict[str, tuple[int, int, int, str, Callable[..., Array]]] = {
    "even": (512, 1024, 64, "f32", _evenly),
    "odd": (1003, 203, 33, "f32", _evenly),
    "few": (1700, 35, 20, "f32", _evenly),
    "same": (1400, 515, 24, "f32", _all_same),
    "outside": (950, 260, 36, "f32", _out_of_range),
    "half": (950, 260, 36, "f16", _evenly),
}


@pytest.mark.parametrize("target", ["software", "desktop"])
@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("case", CASES)
def test_plans(monkeypatch: pytest.MonkeyPatch, case: str, rows: int, target: str) -> None:
    size, count, width, dtype, make = CASES[case]
    used: list[Plan] = []
    every = keyed_reduction.plans

    def only(found: Keyed, target: Any) -> list[Plan]:
        used.extend(plan for plan in every(found, target) if plan.rows == rows)
        return used

    monkeypatch.setattr(keyed_reduction, "plans", only)
    monkeypatch.setattr(keyed_reduction, "FEWEST", 1)
    rng = np.random.default_rng(0)
    element = np.float16 if dtype == "f16" else np.float32
    table = rng.standard_normal((size, width)).astype(element)
    updates = rng.standard_normal((count, width)).astype(element)
    arrays = [table, make(rng, size, count).astype(np.int32), updates]
    program = program_of(traced(_scatter, arrays), target)
    assert len(used) == 1
    (result,) = on_device(program, arrays)
    assert_close(result, _wanted(*arrays), 4e-3 if dtype == "f16" else 3e-6)
    (again,) = on_device(program, arrays)
    assert np.array_equal(result, again)


def _kernels(function: Callable[..., Any], *arrays: Array) -> str:
    return "\n".join(
        k.wgsl for k in program_of(traced(function, arrays), "desktop").kernels.values()
    )


def _gradient(table: sw.Array, rows: sw.Array) -> sw.Array:
    def objective(table: sw.Array) -> sw.Array:
        return sw.sum(sw.sin(sw.take(table, rows, axis=0)))

    return sw.grad(objective)(table)


def _masked_sum(mask: sw.Array, values: sw.Array) -> sw.Array:
    return sw.sum(sw.where(mask[:, :, None], values[None], 0.0), axis=1)


def test_what_is_keyed() -> None:
    table, rows = np.zeros((1000, 64), np.float32), np.zeros(512, np.int32)
    assert "countTrailingZeros" in _kernels(_gradient, table, rows)
    mask, values = np.zeros((1000, 512), np.bool_), np.zeros((512, 64), np.float32)
    assert "countTrailingZeros" not in _kernels(_masked_sum, mask, values)
