"""Attention and its gradients that stay whole: against NumPy, as threads and on the device."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import shaders
from lowering import Array, assert_close, on_device, program_of, traced
from xdsl.dialects.builtin import ModuleOp, StringAttr

import stepwell as sw
from stepwell.backends.reference import run
from stepwell.dialects import linalg_ext
from stepwell.dialects.kernel import FuncOp
from stepwell.passes.pipeline import lower
from stepwell.passes.schedules.attention.plan import COLUMNS, PLANS, Shape, plans
from stepwell.passes.schedules.choice import choices
from stepwell.passes.schedules.frame import Frame
from stepwell.passes.target import target_named

DESKTOP = target_named("desktop")
ROOMY = target_named("desktop-workgroup48")
"""Which admits every plan."""
ROWS = max(plan.rows for plan in PLANS)

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


def raw_scores(q: Any, k: Any, cap: float | None) -> Any:
    scores = q @ np.swapaxes(k, -1, -2) / np.sqrt(q.shape[-1])
    return scores if cap is None else cap * np.tanh(scores / cap)


def attention(
    q: Any, k: Any, v: Any, mask: Any, causal: bool, cap: float | None = None
) -> tuple[Any, Any]:
    """The result, and the weights."""
    scores = raw_scores(q, k, cap)
    if mask is not None:
        scores = np.where(mask, scores, -np.inf) if mask.dtype == np.bool_ else scores + mask
    if causal:
        scores = np.where(np.tri(*scores.shape[-2:]) > 0, scores, -np.inf)
    weights = np.exp(scores - np.maximum(scores.max(-1, keepdims=True), -1e30))
    weights = weights / np.maximum(weights.sum(-1, keepdims=True), 1e-300)
    return weights @ v, weights


def gradients(
    q: Any, k: Any, v: Any, mask: Any, dout: Any, causal: bool, cap: float | None = None
) -> list[Any]:
    out, weights = attention(q, k, v, mask, causal, cap)
    delta = (dout * out).sum(-1, keepdims=True)
    slopes = weights * (dout @ np.swapaxes(v, -1, -2) - delta) / np.sqrt(q.shape[-1])
    if cap is not None:
        slopes = slopes * (1 - (raw_scores(q, k, cap) / cap) ** 2)
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


def function_of(causal: bool, cap: float | None = None) -> Any:
    """The result, and its gradients."""

    def function(q: Any, k: Any, v: Any, dout: Any, *mask: Any) -> Any:
        def objective(*qkv: Any) -> Any:
            out = sw.scaled_dot_product_attention(*qkv, *mask, is_causal=causal, softcap=cap)
            return sw.sum(out.astype("f32") * dout)

        out = sw.scaled_dot_product_attention(q, k, v, *mask, is_causal=causal, softcap=cap)
        return out, sw.grad(objective, (0, 1, 2))(q, k, v)

    return function


def expected(arrays: list[Array], causal: bool, cap: float | None = None) -> list[Any]:
    q, k, v, dout, *masks = (a if a.dtype == np.bool_ else a.astype(np.float64) for a in arrays)
    mask = masks[0] if masks else None
    given = mask, dout, causal, cap
    return [attention(q, k, v, mask, causal, cap)[0], *gradients(q, k, v, *given)]


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


def by_plan(module: Any, number: int, arrays: Any) -> Any:
    """The results where every kernel has its plan of that number."""
    again = module.clone()
    for kernel in kernels_of(again):
        found = choices(Frame(kernel, ROOMY))
        kernel.attributes["kernel.plan"] = StringAttr(str(found[number % len(found)]))
    tiled = lower(again, ROOMY, "tiled")
    return run(tiled, "main", [a.copy() for a in arrays])


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
        results = by_plan(module, number, arrays)
        check(results, wanted, dtype, f"plan {number}")


@pytest.mark.parametrize(
    ("case", "dtype"),
    [*((CASES[i], np.float32) for i in (1, 2, 6, 7)), (CASES[4], np.float16)],
    ids=str,
)
def test_every_plan_with_a_cap(case: Any, dtype: Any) -> None:
    """Scores are capped before they are masked, and never stored."""
    arrays, cap = operands(case, dtype), 0.5
    wanted = expected(arrays, case[-1], cap)
    module = lower(traced(function_of(case[-1], cap), arrays), ROOMY, "buffers", verify_each=True)
    whole = [op for op in kernels_of(module) if "attention" in op.sym_name.data]
    assert len(whole) == (3 if case[-2] is None else 4)
    for number in range(max(len(choices(Frame(kernel, ROOMY))) for kernel in whole)):
        results = by_plan(module, number, arrays)
        check(results, wanted, dtype, f"plan {number}")


@pytest.mark.parametrize("target", ["desktop", "software"])
def test_a_cap_on_device(target: str) -> None:
    case, cap = CASES[2], 0.5
    arrays = operands(case, np.float32)
    program = program_of(traced(function_of(case[-1], cap), arrays), target)
    check(on_device(program, arrays), expected(arrays, case[-1], cap), np.float32, "")
    if shaders.tint_command() is not None:
        shaders.validate_tint([kernel.wgsl for kernel in program.kernels.values()])


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


BOUNDED = [
    ((2,), 150, 150, 8, 8, {"window": (20, 0)}),
    ((), 40, 200, 8, 4, {"window": (3, 50)}),
    ((2, 1), 70, 200, 8, 8, {"window": (40, None), "is_causal": True, "offset": 130}),
    ((3, 2), 33, 130, 16, 8, {"key_lengths": [0, 1, 77]}),
    ((4, 1), 67, 200, 8, 8, {"key_lengths": [0, 1, 128, 200], "is_causal": True, "offset": "last"}),
    ((2, 1), 130, 64, 4, 4, {"window": (0, None), "offset": [-3, 70]}),
]
"""Batch, queries, keys, depth, width, and what `attention_mask` is told: `last` puts the last query
at the last key."""


def told(case: Any, known: bool) -> tuple[dict[str, Any], list[Array]]:
    """The options that are known now, and the numbers that arguments say."""
    options = dict(case[-1])
    if options.get("offset") == "last":
        options["offset"] = np.array(options["key_lengths"]) - case[1]
    arrays = {n: np.array(v, np.int32) for n, v in options.items() if np.ndim(v) and n != "window"}
    given = options if known else {n: v for n, v in options.items() if n not in arrays}
    return given | {"given": list(arrays)}, list(arrays.values())


def bounded(case: Any) -> tuple[Any, list[Array], list[Any]]:
    """A function of attention and its gradients under bounds, its arguments, what it should give.

    Keys and values of tiles that no query sees are no numbers.
    """
    batch, queries, keys, depth, width, _ = case
    options, numbers = told(case, known=False)
    names = options.pop("given")

    def function(q: Any, k: Any, v: Any, dout: Any, *numbers: Any) -> Any:
        mask = sw.attention_mask(queries, keys, **options, **dict(zip(names, numbers, strict=True)))

        def objective(*qkv: Any) -> Any:
            return sw.sum(sw.scaled_dot_product_attention(*qkv, mask) * dout)

        return sw.scaled_dot_product_attention(q, k, v, mask), sw.grad(objective, (0, 1, 2))(
            q, k, v
        )

    arrays = operands((batch, queries, keys, depth, width, None, False), np.float32)
    q, k, v, dout = (array.astype(np.float64) for array in arrays)
    seen = seen_by(case)
    wanted = [attention(q, k, v, seen, False)[0], *gradients(q, k, v, seen, dout, False)]
    if min(queries, keys) > COLUMNS:
        visible = np.broadcast_to(seen, (*batch, queries, keys)).any(-2)
        for start in range(0, keys, ROWS):
            hidden = ~visible[..., start : start + ROWS].any(-1)
            for array in arrays[1:3]:
                array[hidden, start : start + ROWS] = np.nan
    return function, [*arrays, *numbers], wanted


def seen_by(case: Any) -> Array:
    """Which keys queries see, in NumPy."""
    _, queries, keys, *_ = case
    options = told(case, known=True)[0]
    offset, lengths = (
        np.reshape(options.get(name, other), (-1, 1, 1, 1))
        for name, other in (("offset", 0), ("key_lengths", keys))
    )
    query, key = np.arange(queries)[:, None] + offset, np.arange(keys)
    before, after = options.get("window", (None, None))
    seen = key < lengths + 0 * query
    if options.get("is_causal"):
        seen = seen & (key <= query)
    if before is not None:
        seen = seen & (key >= query - before)
    if after is not None:
        seen = seen & (key <= query + after)
    return seen if seen.shape[0] > 1 else seen[0, 0]


@pytest.mark.parametrize("case", BOUNDED, ids=str)
def test_bounded_plans(case: Any) -> None:
    """No mask in storage, and by no plan a tile that nobody sees."""
    function, arrays, wanted = bounded(case)
    module = lower(traced(function, arrays), ROOMY, "buffers", verify_each=True)
    whole = [op for op in kernels_of(module) if "attention" in op.sym_name.data]
    assert len(whole) == (4 if len(arrays) > 4 else 3)
    shapes = [argument.type.get_shape() for op in whole for argument in op.block.args]
    assert all(shape[-2:] != case[1:3] for shape in shapes)
    for number in range(max(len(choices(Frame(kernel, ROOMY))) for kernel in whole)):
        results = by_plan(module, number, arrays)
        check(results, wanted, np.float32, f"plan {number}")


@pytest.mark.parametrize(
    ("case", "target"),
    [*((case, "desktop") for case in BOUNDED[2:5]), *((case, "software") for case in BOUNDED[::3])],
    ids=str,
)
def test_bounded_on_device(case: Any, target: str) -> None:
    function, arrays, wanted = bounded(case)
    if target == "software":  # Decomposed, every key counts.
        arrays = [np.nan_to_num(array) for array in arrays]
    program = program_of(traced(function, arrays), target)
    check(on_device(program, arrays), wanted, np.float32, "")
    if shaders.tint_command() is not None:
        shaders.validate_tint([kernel.wgsl for kernel in program.kernels.values()])


def test_one_kernel_where_it_may_have_more_buffers() -> None:
    case = CASES[6]
    arrays = operands(case, np.float32)
    target = target_named("desktop-buffers10")
    module = lower(traced(function_of(case[-1]), arrays), target, "buffers")
    assert len([op for op in kernels_of(module) if "attention" in op.sym_name.data]) == 3
    tiled = lower(module, target, "tiled", verify_each=True)
    check(run(tiled, "main", arrays), expected(arrays, case[-1]), np.float32, "")


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
