"""Programs for GPUs: they compile, and naga accepts their shaders.

The tests run where there need be no GPU, and some passes only work for one: rows that cross, sums
side by side, sums of many workgroups, tiles in workgroup memory, subgroups. Every operation and its
gradients, random models and a sample of ONNX's own tests go through them here.
"""

from __future__ import annotations

import re

import pytest
from operations.modules import gradient_cases, gradients_of, results_of
from operations.row import Row
from operations.table import ROWS
from shaders import device, validate_naga

import stepwell as sw
from stepwell.backends.compiler import compile_module
from stepwell.backends.program import Program

PLAIN, WIDE = "desktop", "desktop-subgroup32-workgroup48-threads512"
"""What all GPUs have, and what many have."""
PARTS = 10

rows = pytest.mark.parametrize("row", ROWS, ids=[f"{i}-{r.op.name}" for i, r in enumerate(ROWS)])


_NUMBER = re.compile(r"(?<![\w.])(\d+\.?\d*(?:e[-+]?\d+)?)f")
_SMALLEST = 2.0**-126
"""GPUs take smaller numbers for zero, and divide by it."""


def validate(program: Program) -> None:
    for kernel in program.kernels.values():
        small = [text for text in _NUMBER.findall(kernel.wgsl) if 0 < float(text) < _SMALLEST]
        assert not small, f"{kernel.name} has numbers that are zero on GPUs: {small}"
        if "subgroup" in device().features or "subgroup" not in kernel.wgsl:
            # The directive is for browsers: naga refuses it.
            validate_naga(kernel.wgsl.replace("enable subgroups;", ""))


@rows
def test_operations(row: Row) -> None:
    validate(compile_module(results_of(row), WIDE))


@rows
def test_gradients(row: Row) -> None:
    cases = list(gradient_cases(row))
    if cases:
        validate(compile_module(gradients_of(cases), PLAIN))


@pytest.mark.parametrize("part", range(PARTS))
def test_random_models(part: int) -> None:
    pytest.importorskip("onnxruntime")
    from onnx_fuzz import KEPT, kept

    for number, model in enumerate(list(kept(KEPT).values())[part::PARTS]):
        loaded = sw.onnx.load(model, float64="float32")
        validate(loaded.lower(target=[PLAIN, WIDE][number % 2]).program)


@pytest.mark.parametrize("part", range(PARTS))
def test_models_of_onnx(part: int) -> None:
    """Those of several operators: the others are much like the operations."""
    pytest.importorskip("onnx")
    from onnx_cases import cases, ledger, named

    several = [n for n, (v, _) in ledger().items() if v == "pass" and ("expanded" in n or "/" in n)]
    for number, name in enumerate(several[part::PARTS]):
        case = cases()[name]
        model = sw.onnx.load(case.model, float64="float32")
        inputs = named(case.model, case.data_sets[0][0])
        program = model.lower(values=inputs, target=[PLAIN, WIDE][number % 2]).program
        validate(program)
