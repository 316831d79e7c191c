"""Reductions over the same loops in one kernel, and what is written where they read it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from lowering import Array, assert_close, at_stage, on_device, program_of, traced

import stepwell as sw
from stepwell.passes import crossings, siblings

TARGETS = ["desktop", "desktop-subgroup8-threads512"]


def _moments(axis: int) -> Callable[..., Any]:
    def ours(x: Any) -> Any:
        return sw.sum(x, axis=axis), sw.sum(x * x, axis=axis), sw.max(x, axis=axis)

    return ours


def _moments_reference(x: Array, axis: int) -> tuple[Array, ...]:
    return x.sum(axis), (x * x).sum(axis), x.max(axis)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("shape", [(37, 64), (64, 64), (130, 1031), (1, 5)], ids=str)
def test_siblings(shape: tuple[int, int], axis: int, target: str) -> None:
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    program = program_of(traced(_moments(axis), [x]), target)
    wanted = _moments_reference(x.astype(np.float64), axis)
    for found, expected in zip(on_device(program, [x]), wanted, strict=True):
        assert_close(found, expected, 2e-6)
    assert program.dispatches == 1, "x is read more than once"


def test_not_siblings() -> None:
    """Rows and columns of a square have loops of the same sizes, and read it differently."""
    x = np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32)

    def ours(x: Any) -> Any:
        return sw.sum(x, axis=0), sw.sum(x, axis=1)

    program = program_of(traced(ours, [x]), "desktop")
    for found, axis in zip(on_device(program, [x]), (0, 1), strict=True):
        assert_close(found, x.astype(np.float64).sum(axis), 2e-6)


@pytest.mark.parametrize("target", TARGETS)
def test_sums_of_what_is_not_read(target: str) -> None:
    """Kernels that compute all that they sum stand beside no other."""
    program = program_of(traced(lambda: (sw.sum(sw.arange(60)), sw.max(sw.arange(60))), []), target)
    assert [int(result) for result in on_device(program, [])] == [1770, 59]


def _rms_norm(x: Any, gain: Any, flow: Any) -> Any:
    def value(x: Any, gain: Any) -> Any:
        return sw.sum(sw.rms_norm(x, x.shape[-1], gain) * flow)

    return sw.grad(value, (0, 1))(x, gain)


def _rms_norm_reference(x: Array, gain: Array, flow: Array) -> tuple[Array, ...]:
    scale = 1 / np.sqrt((x**2).mean(-1, keepdims=True) + np.finfo(np.float32).eps)
    normal, weighted = x * scale, flow * gain
    along = (weighted * normal).mean(-1, keepdims=True)
    return scale * (weighted - normal * along), (flow * normal).sum(0)


def _arrays(rows: int, columns: int) -> list[Array]:
    rng = np.random.default_rng(columns)
    shapes = ((rows, columns), (columns,), (rows, columns))
    return [rng.standard_normal(shape).astype(np.float32) for shape in shapes]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("shape", [(33, 20992), (5, 20993)], ids=str)
def test_long_rows(shape: tuple[int, int], target: str) -> None:
    """What no registers hold is read twice: for the sums of rows, and for all else."""
    arrays = _arrays(*shape)
    program = program_of(traced(_rms_norm, arrays), target)
    wanted = _rms_norm_reference(*[array.astype(np.float64) for array in arrays])
    for found, expected in zip(on_device(program, arrays), wanted, strict=True):
        assert_close(found, expected, 3e-6)
    written = [kernel.written for kernel in program.kernels.values()]
    assert len(written) == 2, "sums of rows, and results with sums of columns"
    assert min(written) <= 16 * shape[0], "more than sums of rows is kept"


@pytest.mark.parametrize(("target", "most"), [("desktop", 8), ("desktop-buffers10", 10)])
def test_buffers(target: str, most: int) -> None:
    """A layer norm's results and sums of columns are one kernel where that may bind 10 buffers."""
    x, shift, flow = _arrays(5, 20992)

    def ours(x: Any, gain: Any, shift: Any, flow: Any) -> Any:
        def value(x: Any, gain: Any, shift: Any) -> Any:
            return sw.sum(sw.layer_norm(x, x.shape[-1], gain, shift) * flow)

        return sw.grad(value, (0, 1, 2))(x, gain, shift)

    program = program_of(traced(ours, [x, shift, shift, flow]), target)
    bound = [len(kernel.accesses) for kernel in program.kernels.values()]
    assert max(bound) <= most
    assert (most in bound) == (most == 10), "the case has no use for more buffers"


def test_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same of short rows, interpreted as threads: no races, nothing out of bounds."""
    monkeypatch.setattr(siblings, "_is_long", lambda *_: True)
    monkeypatch.setattr(crossings, "_suits", lambda *_: False)
    for shape in ((12, 64), (9, 33)):
        arrays = _arrays(*shape)
        module = traced(_rms_norm, arrays)
        found = at_stage(module, "desktop", "tiled", arrays)
        wanted = _rms_norm_reference(*[array.astype(np.float64) for array in arrays])
        for result, expected in zip(found, wanted, strict=True):
            assert_close(result, expected, 3e-6)
