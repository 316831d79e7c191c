"""Attention that stays whole: against NumPy in f64, as threads and on the device."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from lowering import assert_close, on_device, program_of, traced

import stepwell as sw
from stepwell.backends.reference import run
from stepwell.dialects.kernel import FuncOp
from stepwell.passes.pipeline import lower
from stepwell.passes.schedules.attention import plans
from stepwell.passes.target import target_named

DESKTOP = target_named("desktop")

CASES = [
    ((2,), 16, 16, 4, 4, None, False),
    ((2,), 67, 67, 8, 8, None, True),
    ((1, 2), 40, 129, 20, 36, None, False),
    ((), 150, 70, 16, 16, None, True),
    ((2,), 33, 65, 8, 8, "bool", False),
    ((2,), 33, 33, 8, 8, "float", True),
]


def attention(q: Any, k: Any, v: Any, mask: Any, causal: bool) -> Any:
    scores = q @ np.swapaxes(k, -1, -2) / np.sqrt(q.shape[-1])
    if mask is not None:
        scores = np.where(mask, scores, -np.inf) if mask.dtype == np.bool_ else scores + mask
    if causal:
        scores = np.where(np.tri(*scores.shape[-2:]) > 0, scores, -np.inf)
    weights = np.exp(scores - np.maximum(scores.max(-1, keepdims=True), -1e30))
    return weights @ v / np.maximum(weights.sum(-1, keepdims=True), 1e-300)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_whole(case: Any, dtype: Any) -> None:
    batch, queries, keys, depth, width, kind, causal = case
    rng = np.random.default_rng(0)
    shapes = [(*batch, queries, depth), (*batch, keys, depth), (*batch, keys, width)]
    arrays = [rng.standard_normal(shape).astype(dtype) for shape in shapes]
    if kind == "float":
        arrays.append(rng.standard_normal((*batch, queries, keys)).astype(dtype))
    if kind == "bool":
        arrays.append(rng.random((*batch, queries, keys)) < 0.5)
        arrays[-1][..., 0, :] = False  # A query that sees nothing.

    def function(*operands: Any) -> Any:
        return sw.scaled_dot_product_attention(*operands, is_causal=causal)

    wide = [a if a.dtype == np.bool_ else a.astype(np.float64) for a in arrays]
    q, k, v, *masks = wide
    wanted = attention(q, k, v, masks[0] if masks else None, causal)
    tolerance = 2e-5 if dtype == np.float32 else 2e-3
    tiled = lower(traced(function, arrays), DESKTOP, "tiled", verify_each=True)
    kernels = [op for op in tiled.body.block.ops if isinstance(op, FuncOp)]
    assert len(kernels) == 1
    (result,) = run(tiled, "main", [array.copy() for array in arrays])
    assert_close(np.asarray(result), wanted, tolerance)
    (result,) = on_device(program_of(tiled, "desktop"), arrays)
    assert_close(result, wanted, tolerance)


def test_plans() -> None:
    """None where it should be decomposed: short, no vectors, too wide; tiles that fit else."""
    assert not plans(target_named("software"), (8, 64, 64), (8, 64, 64), (8, 64, 64))
    assert not plans(DESKTOP, (8, 1, 64), (8, 64, 64), (8, 64, 64))
    assert not plans(DESKTOP, (8, 64, 6), (8, 64, 6), (8, 64, 64))
    assert not plans(DESKTOP, (8, 64, 64), (8, 64, 64), (8, 64, 512))
    assert plans(DESKTOP, (96, 1024, 64), (96, 1024, 64), (96, 1024, 64))[0].rows == 64
