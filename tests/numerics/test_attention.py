"""Attention and its gradients that stay whole: against NumPy, as threads and on the device."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from lowering import Array, assert_close, on_device, program_of, traced
from xdsl.dialects.builtin import ModuleOp, StringAttr

import stepwell as sw
from stepwell.backends.reference import run
from stepwell.dialects import linalg_ext
from stepwell.dialects.kernel import FuncOp
from stepwell.passes.pipeline import lower
from stepwell.passes.schedules.attention.plan import Shape, plans
from stepwell.passes.schedules.choice import choices
from stepwell.passes.schedules.frame import Frame
from stepwell.passes.target import target_named

DESKTOP = target_named("desktop")
ROOMY = target_named("desktop-workgroup48")
"""Which admits every plan."""

CASES = [
    ((2,), 16, 16, 4, 4, None, False),
    ((2,), 67, 67, 8, 8, None, True),
    ((1, 2), 40, 129, 20, 36, None, False),
    ((), 150, 70, 16, 16, None, True),
    ((), 70, 150, 16, 16, None, True),
    ((), 17, 65, 128, 128, None, True),
    ((2,), 33, 65, 8, 8, "bool", False),
    ((2,), 33, 33, 8, 8, "float", True),
]
"""Batch, queries, keys, depth, width, the type of the mask, causal."""


def attention(q: Any, k: Any, v: Any, mask: Any, causal: bool) -> tuple[Any, Any]:
    """The result, and the weights."""
    scores = q @ np.swapaxes(k, -1, -2) / np.sqrt(q.shape[-1])
    if mask is not None:
        scores = np.where(mask, scores, -np.inf) if mask.dtype == np.bool_ else scores + mask
    if causal:
        scores = np.where(np.tri(*scores.shape[-2:]) > 0, scores, -np.inf)
    weights = np.exp(scores - np.maximum(scores.max(-1, keepdims=True), -1e30))
    weights = weights / np.maximum(weights.sum(-1, keepdims=True), 1e-300)
    return weights @ v, weights


def gradients(q: Any, k: Any, v: Any, mask: Any, dout: Any, causal: bool) -> list[Any]:
    out, weights = attention(q, k, v, mask, causal)
    delta = (dout * out).sum(-1, keepdims=True)
    slopes = weights * (dout @ np.swapaxes(v, -1, -2) - delta) / np.sqrt(q.shape[-1])
    turned = np.swapaxes(slopes, -1, -2)
    return [slopes @ k, turned @ q, np.swapaxes(weights, -1, -2) @ dout]


def operands(case: Any, dtype: Any) -> list[Array]:
    """Query, key, value, what flows into the result, and the mask if there is one."""
    batch, queries, keys, depth, width, kind, _ = case
    rng = np.random.default_rng(0)
    shapes = [(queries, depth), (keys, depth), (keys, width), (queries, width)]
    arrays = [rng.standard_normal((*batch, *shape)).astype(dtype) for shape in shapes]
    if kind == "float":
        arrays.append(rng.standard_normal((*batch, queries, keys)).astype(dtype))
    if kind == "bool":
        arrays.append(rng.random((*batch, queries, keys)) < 0.5)
        arrays[-1][..., 0, :] = False  # A query that sees nothing.
    return arrays


def function_of(causal: bool) -> Any:
    """The result, and its gradients."""

    def function(q: Any, k: Any, v: Any, dout: Any, *mask: Any) -> Any:
        def objective(*qkv: Any) -> Any:
            out = sw.scaled_dot_product_attention(*qkv, *mask, is_causal=causal)
            return sw.sum(out.astype("f32") * dout)

        out = sw.scaled_dot_product_attention(q, k, v, *mask, is_causal=causal)
        return out, sw.grad(objective, (0, 1, 2))(q, k, v)

    return function


def expected(arrays: list[Array], causal: bool) -> list[Any]:
    q, k, v, dout, *masks = (a if a.dtype == np.bool_ else a.astype(np.float64) for a in arrays)
    mask = masks[0] if masks else None
    return [attention(q, k, v, mask, causal)[0], *gradients(q, k, v, mask, dout, causal)]


def kernels_of(module: ModuleOp) -> list[FuncOp]:
    return [op for op in module.body.block.ops if isinstance(op, FuncOp)]


def check(results: Any, wanted: list[Any], dtype: Any, label: str) -> None:
    tolerance = 2e-5 if dtype == np.float32 else 2e-3
    for name, result, right in zip(("out", "dq", "dk", "dv"), results, wanted, strict=True):
        assert_close(np.asarray(result), right, tolerance, f"{label} {name}")


@pytest.mark.parametrize(
    ("case", "dtype"),
    [*((case, np.float32) for case in CASES), *((case, np.float16) for case in CASES[1::3])],
    ids=str,
)
def test_as_threads(case: Any, dtype: Any) -> None:
    """No weight in storage, with a mask in one kernel more: WebGPU has eight buffers a kernel."""
    arrays = operands(case, dtype)
    module = lower(traced(function_of(case[-1]), arrays), DESKTOP, "buffers", verify_each=True)
    whole = [op for op in kernels_of(module) if "attention" in op.sym_name.data]
    assert len(whole) == (3 if case[-2] is None else 4)
    assert all(len(op.block.args) <= DESKTOP.max_storage_buffers for op in whole)
    tiled = lower(module, DESKTOP, "tiled", verify_each=True)
    check(run(tiled, "main", [a.copy() for a in arrays]), expected(arrays, case[-1]), dtype, "")


@pytest.mark.parametrize(
    ("case", "dtype"),
    [*((CASES[i], np.float32) for i in (1, 2, 4, 5, 6)), (CASES[7], np.float16)],
    ids=str,
)
def test_every_plan(case: Any, dtype: Any) -> None:
    arrays = operands(case, dtype)
    wanted = expected(arrays, case[-1])
    module = lower(traced(function_of(case[-1]), arrays), ROOMY, "buffers")
    count = max(len(choices(Frame(kernel, ROOMY))) for kernel in kernels_of(module))
    assert count > 1
    for number in range(count):
        again = module.clone()
        for kernel in kernels_of(again):
            found = choices(Frame(kernel, ROOMY))
            kernel.attributes["kernel.plan"] = StringAttr(str(found[number % len(found)]))
        tiled = lower(again, ROOMY, "tiled")
        results = run(tiled, "main", [a.copy() for a in arrays])
        check(results, wanted, dtype, f"plan {number}")


@pytest.mark.parametrize(
    ("case", "target"),
    [(CASES[-1], "desktop"), *((case, "software") for case in CASES[4::2])],
    ids=str,
)
def test_on_device(case: Any, target: str) -> None:
    """Whole, and decomposed where tiles stay out of workgroup memory."""
    arrays = operands(case, np.float32)
    program = program_of(traced(function_of(case[-1]), arrays), target)
    check(on_device(program, arrays), expected(arrays, case[-1]), np.float32, "")


def test_plans() -> None:
    """None where it should be decomposed: short, no vectors, too wide; tiles that fit else."""
    gpt = Shape((8, 12), 1024, 1024, 64, 64)
    for kind in (
        linalg_ext.AttentionOp,
        linalg_ext.AttentionQueryGradientOp,
        linalg_ext.AttentionKeyGradientOp,
    ):
        assert not plans(target_named("software"), kind, gpt)
        assert not plans(DESKTOP, kind, Shape((8,), 1, 64, 64, 64))
        assert not plans(DESKTOP, kind, Shape((8,), 64, 64, 6, 64))
        assert not plans(DESKTOP, kind, Shape((8,), 64, 64, 512, 512))
        assert plans(DESKTOP, kind, gpt)[0].rows == 64
