"""Reductions across the rows of a kernel that goes along them: gradients of norms, column sums."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from lowering import Array, assert_close, at_stage, on_device, program_of, traced

import stepwell as sw

Function = Callable[..., Any]


def _layer_norm(x: Any, gain: Any, bias: Any, flow: Any) -> Any:
    def value(x: Any, gain: Any, bias: Any) -> Any:
        return sw.sum(sw.layer_norm(x, x.shape[-1], gain, bias) * flow)

    return sw.grad(value, (0, 1, 2))(x, gain, bias)


def _layer_norm_reference(x: Array, gain: Array, bias: Array, flow: Array) -> tuple[Array, ...]:
    centred = x - x.mean(-1, keepdims=True)
    scale = 1 / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    normal, weighted = centred * scale, flow * gain
    along = (weighted * normal).mean(-1, keepdims=True)
    rows = tuple(range(x.ndim - 1))
    dx = scale * (weighted - weighted.mean(-1, keepdims=True) - normal * along)
    return dx, (flow * normal).sum(rows), flow.sum(rows)


def _centred(x: Any, gain: Any) -> Any:
    """A result along rows and two across them, one of which is a maximum."""
    rows = tuple(range(len(x.shape) - 1))
    centred = (x - sw.mean(x, axis=-1, keepdims=True)) * gain
    return centred, sw.sum(centred * x, axis=rows), sw.max(x, axis=rows)


def _centred_reference(x: Array, gain: Array) -> tuple[Array, ...]:
    rows = tuple(range(x.ndim - 1))
    centred = (x - x.mean(-1, keepdims=True)) * gain
    return centred, (centred * x).sum(rows), x.max(rows)


SHAPES = [(64, 1024), (4, 48, 512), (80, 1031), (1024, 72), (2048, 33)]
"""Rows of whole vectors or not, and of a length that leaves some threads without a last step."""


def _arrays(shape: tuple[int, ...]) -> list[Array]:
    rng = np.random.default_rng(len(shape) + shape[-1])
    width = shape[-1:]
    return [rng.standard_normal(s).astype(np.float32) for s in (shape, width, width, shape)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("target", ["desktop", "desktop-subgroup8"])
@pytest.mark.parametrize(
    ("function", "reference", "taken"),
    [
        (_layer_norm, _layer_norm_reference, slice(None)),
        (_centred, _centred_reference, slice(2)),
    ],
    ids=["layer norm", "centred"],
)
def test_results(
    function: Function, reference: Function, taken: slice, target: str, shape: tuple[int, ...]
) -> None:
    arrays = _arrays(shape)[taken]
    program = program_of(traced(function, arrays), target)
    wanted = reference(*[array.astype(np.float64) for array in arrays])
    for number, (found, expected) in enumerate(
        zip(on_device(program, arrays), wanted, strict=True)
    ):
        assert_close(found, expected, 3e-6, f"result {number}")
    assert program.dispatches <= 3, "rows and columns are apart"


def test_threads() -> None:
    """Interpreted as threads: no races, nothing out of bounds."""
    arrays = _arrays((64, 1024))[:2]
    found = at_stage(traced(_centred, arrays), "desktop", "tiled", arrays)
    wanted = _centred_reference(*[array.astype(np.float64) for array in arrays])
    for result, expected in zip(found, wanted, strict=True):
        assert_close(result, expected, 3e-6)
