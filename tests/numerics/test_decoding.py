"""Attention of few queries to what is known at run time: against NumPy, as threads, on the device.

Keys and values that no query sees are no numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import shaders
from lowering import Array, assert_close, on_device, program_of, traced
from xdsl.dialects.builtin import ModuleOp, StringAttr

import stepwell as sw
from stepwell.backends.compiler import parse
from stepwell.backends.reference import run
from stepwell.dialects.kernel import FuncOp
from stepwell.passes.pipeline import lower
from stepwell.passes.schedules.attention.plan import Shape
from stepwell.passes.schedules.attention.row_plans import row_plans
from stepwell.passes.schedules.choice import choices
from stepwell.passes.schedules.frame import Frame
from stepwell.passes.structured import shape_of
from stepwell.passes.target import target_named

CPU, GPU = "software-subgroup8", "desktop-subgroup32"

CASES: list[tuple[tuple[int, ...], int, int, int, int, int, dict[str, Any]]] = [
    ((), 1, 1, 16, 4, 4, {"key_lengths": 0}),
    ((), 1, 1, 16, 4, 4, {"key_lengths": 1}),
    ((), 1, 1, 67, 8, 8, {"is_causal": True, "offset": 66}),
    ((1, 2), 2, 1, 512, 64, 36, {"is_causal": True, "offset": 300}),
    ((3, 2), 1, 1, 130, 20, 8, {"key_lengths": [0, 77, 130]}),
    ((2, 1), 1, 3, 128, 8, 8, {"is_causal": True, "offset": [-2, 61]}),
    ((2,), 1, 5, 514, 68, 64, {"is_causal": True, "offset": 255, "window": (70, 1)}),
    ((1, 2), 3, 1, 127, 4, 40, {"is_causal": True, "offset": 90, "window": (30, None)}),
    ((2, 1), 2, 5, 160, 8, 8, {"window": (9, 3), "offset": [0, 120], "key_lengths": 125}),
    ((), 1, 15, 64, 12, 8, {"is_causal": True, "key_lengths": 40, "offset": 25}),
    ((1, 1), 2, 1, 80, 8, 8, {"is_causal": True, "offset": 51, "softcap": 0.5}),
]
"""Batch and heads of keys, queries' heads to one of these, queries, keys, depth, width, and what
`attention_mask` is told, where numbers are known at run time, and attention itself."""


def seen_by(queries: int, keys: int, options: dict[str, Any]) -> Array:
    """Which keys queries see, [batch, 1, queries, keys]."""
    offset, lengths = (
        np.reshape(options.get(name, other), (-1, 1, 1, 1))
        for name, other in (("offset", 0), ("key_lengths", keys))
    )
    query, key = np.arange(queries)[:, None] + offset, np.arange(keys)
    before, after = options.get("window", (None, None))
    seen: Array = np.asarray(key < lengths + 0 * query)
    if options.get("is_causal"):
        seen = seen & (key <= query)
    if before is not None:
        seen = seen & (key >= query - before)
    return seen if after is None else seen & (key <= query + after)


def problem(case: Any, dtype: Any) -> tuple[Any, list[Array], Array]:
    """A function of attention, its arguments, what it should give."""
    batch, group, queries, keys, depth, width, options = case
    numbers = {n: np.array(options[n], np.int32) for n in ("offset", "key_lengths") if n in options}
    known = {n: v for n, v in options.items() if n not in (*numbers, "softcap")}
    cap = options.get("softcap")

    def function(q: Any, k: Any, v: Any, *given: Any) -> Any:
        mask = sw.attention_mask(queries, keys, **known, **dict(zip(numbers, given, strict=True)))
        return sw.scaled_dot_product_attention(q, k, v, mask, enable_gqa=group > 1, softcap=cap)

    rng = np.random.default_rng(0)
    heads = (*batch[:-1], batch[-1] * group) if batch else ()
    shapes = [(*heads, queries, depth), (*batch, keys, depth), (*batch, keys, width)]
    q, k, v = (rng.standard_normal(shape).astype(dtype) for shape in shapes)
    seen = seen_by(queries, keys, options)
    wide = [np.repeat(a, n, -3) if group > 1 else a for a, n in ((k, group), (v, group))]
    scores = q.astype(np.float64) @ np.swapaxes(wide[0], -1, -2) / np.sqrt(depth)
    scores = scores if cap is None else cap * np.tanh(scores / cap)
    seen = np.broadcast_to(seen if len(batch) > 1 else seen[0, 0], scores.shape)
    weights = np.where(seen, np.exp(scores - scores.max(-1, keepdims=True)), 0)
    weights /= np.maximum(weights.sum(-1, keepdims=True), 1e-300)
    wanted = weights @ wide[1]
    anyone = seen.any(-2)
    hidden = ~(anyone[..., ::group, :] if group > 1 else anyone)
    k[hidden] = v[hidden] = np.nan
    return function, [q, k, v, *numbers.values()], wanted


def kernels_of(module: ModuleOp) -> list[FuncOp]:
    return [op for op in module.body.block.ops if isinstance(op, FuncOp)]


@pytest.mark.parametrize("target", [CPU, GPU])
@pytest.mark.parametrize(
    ("case", "dtype"),
    [*((case, np.float32) for case in CASES), *((case, np.float16) for case in CASES[4::3])],
    ids=str,
)
def test_every_plan(case: Any, dtype: Any, target: str) -> None:
    function, arrays, wanted = problem(case, dtype)
    where = target_named(target)
    module = lower(traced(function, arrays), where, "buffers", verify_each=True)
    (whole,) = (op for op in kernels_of(module) if "attention" in op.sym_name.data)
    found = choices(Frame(whole, where))
    assert {choice.schedule for choice in found} == {"attention_rows"}
    for choice in found:
        again = module.clone()
        for kernel in kernels_of(again):
            if kernel.sym_name == whole.sym_name:
                kernel.attributes["kernel.plan"] = StringAttr(str(choice))
        tiled = lower(again, where, "tiled", verify_each=True)
        (result,) = run(tiled, "main", [a.copy() for a in arrays])
        assert_close(np.asarray(result), wanted, 2e-5 if dtype == np.float32 else 2e-3, str(choice))


@pytest.mark.parametrize("target", [CPU, "desktop-subgroup8"])
@pytest.mark.parametrize("case", [CASES[0], *CASES[2::3], CASES[-1]], ids=str)
def test_on_device(case: Any, target: str) -> None:
    if "subgroup" not in shaders.device().features:
        pytest.skip("the device has no subgroups")
    function, arrays, wanted = problem(case, np.float32)
    program = program_of(traced(function, arrays), target)
    assert any("attention" in name for name in program.kernels)
    if shaders.tint_command() is not None:
        shaders.validate_tint([kernel.wgsl for kernel in program.kernels.values()])
    (result,) = on_device(program, arrays)
    assert_close(result, wanted, 2e-5)


@pytest.mark.parametrize("target", [CPU, GPU])
@pytest.mark.parametrize("kind", ["f32", "i1"])
def test_beside_a_mask(kind: str, target: str) -> None:
    """What both let the queries see, and the log-sum-exp; keys in parts on a GPU."""
    module = parse(f"""
    func.func @main(%q: tensor<2x3x256xf32>, %k: tensor<2x128x256xf32>, %v: tensor<2x128x4xf32>,
        %m: tensor<2x3x128x{kind}>, %s: tensor<2x1xi32>) -> (tensor<2x3x4xf32>, tensor<2x3xf32>) {{
      %y, %l = array.attention %q, %k, %v with %m, %s scale 0.5 : f64 bounds [-1, 0, -2, 1, -1, 0]
        : (tensor<2x3x256xf32>, tensor<2x128x256xf32>, tensor<2x128x4xf32>, tensor<2x3x128x{kind}>,
           tensor<2x1xi32>) -> (tensor<2x3x4xf32>, tensor<2x3xf32>)
      func.return %y, %l : tensor<2x3x4xf32>, tensor<2x3xf32>
    }}""")
    rng, shapes = np.random.default_rng(0), ((2, 3, 256), (2, 128, 256), (2, 128, 4))
    q, k, v = (rng.standard_normal(s).astype(np.float32) for s in shapes)
    mask = rng.standard_normal((2, 3, 128)).astype(np.float32)
    shifts = np.array([[97], [4]], np.int32)
    if kind == "i1":
        mask = mask < 0.3
    arrays = [q, k, v, mask, shifts]
    wanted = [np.asarray(array) for array in run(module, "main", [a.copy() for a in arrays])]
    tiled = lower(module, target_named(target), "tiled", verify_each=True)
    for result, right in zip(run(tiled, "main", arrays), wanted, strict=True):
        assert_close(np.asarray(result), right, 2e-5)


def test_splits() -> None:
    """Keys in parts where few rows would leave the device idle, and equal ones."""
    for heads, keys, target, parts in (
        (8, 4096, CPU, None), (1, 4096, CPU, 8), (8, 4096, GPU, 64), (200, 4096, GPU, 8),
        (8, 4099, GPU, None), (1, 640, GPU, 10),
    ):  # fmt: skip
        shapes = (heads, 1, 64), (heads, keys, 64), (heads, keys, 64), ()
        arrays = [np.zeros(s, np.float32 if s else np.int32) for s in shapes]

        def function(q: Any, k: Any, v: Any, n: Any, keys: int = keys) -> Any:
            mask = sw.attention_mask(1, keys, key_lengths=n)
            return sw.scaled_dot_product_attention(q, k, v, mask)

        module = lower(traced(function, arrays), target_named(target), "buffers")
        (whole,) = (op for op in kernels_of(module) if "attention" in op.sym_name.data)
        (op,) = (op for op in whole.block.ops if op.name == "linalg_ext.attention")
        shape = shape_of(op.operands[1])
        batch = (heads,) if parts is None else (heads, parts)
        assert shape == (*batch, keys // (parts or 1), 64)


def test_plans() -> None:
    """None where it should be decomposed: no lanes, no vectors, enough queries for tiles."""
    one = Shape((8,), 1, 4096, 64, 64)
    assert row_plans(target_named(CPU), one) and row_plans(target_named(GPU), one)
    assert not row_plans(target_named("software"), one)
    assert not row_plans(target_named(GPU), Shape((8,), 16, 4096, 64, 64))
    assert not row_plans(target_named(GPU), Shape((8,), 1, 4096, 6, 64))
    assert not row_plans(target_named(GPU), Shape((8,), 1, 8, 64, 64))
