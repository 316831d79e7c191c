"""Contractions whose depth is split: equal to NumPy in f64, interpreted and on the device."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from lowering import assert_close, at_stage, on_device, program_of, traced

import stepwell as sw

Case = tuple[Callable[..., Any], Callable[..., Any], tuple[tuple[int, ...], ...]]

_product: Callable[..., Any] = operator.matmul


def _ours(a: Any, b: Any) -> Any:
    return sw.tanh(a.T @ b.T) + 1


def _numpy(a: Any, b: Any) -> Any:
    return np.tanh(a.T @ b.T) + 1


CASES: dict[str, Case] = {
    "product": (_product, _product, ((6, 1024), (1024, 5))),
    "transposed, with an epilogue": (
        _ours,
        _numpy,
        ((1536, 7), (9, 1536)),
    ),
    "batched": (_product, _product, ((2, 3, 1020), (2, 1020, 4))),
}


@pytest.mark.parametrize("label", CASES)
def test_parts_add_up(label: str) -> None:
    ours, numpy, shapes = CASES[label]
    rng = np.random.default_rng(7)
    arrays = [rng.standard_normal(shape).astype(np.float32) / 8 for shape in shapes]
    expected = numpy(*[array.astype(np.float64) for array in arrays])
    module = traced(ours, arrays)
    (fused,) = at_stage(module.clone(), "desktop", "fused", arrays)
    assert_close(fused, expected, 1e-5)
    program = program_of(module, "desktop")
    kinds = sorted(name.partition("_")[0] for name in program.kernels)
    assert kinds == ["contraction", "reduction"], "the depth is split"
    (result,) = on_device(program, arrays)
    assert_close(result, expected, 1e-5)


@pytest.mark.parametrize("target", ["software", "desktop"])
def test_a_deep_prime_is_split_too(target: str) -> None:
    """A depth of 270,001 is 67,501 steps of four, which software Vulkan would not finish."""
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=s).astype(np.float32) for s in ((2, 270_001), (270_001, 3)))
    program = program_of(traced(operator.matmul, [a, b]), target)
    (result,) = on_device(program, [a, b])
    exact = a.astype(np.float64) @ b.astype(np.float64)
    assert np.abs(result - exact).max() < 1e-5 * np.sqrt(270_001)
