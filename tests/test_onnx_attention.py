"""ONNX's attention is one operation whose bounds say what queries see, and gives what ONNX says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import stepwell as sw
from stepwell.dialects.errors import UnsupportedError

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402

SHAPES = {"q": (2, 4, 20, 8), "k": (2, 2, 40, 8), "v": (2, 2, 40, 8)}
"""Of queries, keys and values: two heads of queries share one of keys."""


def model(inputs: dict[str, Any], wanted: str = "", opset: int = 25, **attributes: Any) -> Any:
    """One node `Attention` whose inputs these are; `wanted` is another output."""
    order = ("q", "k", "v", "mask", "past_key", "past_value", "lengths")
    last = max(order.index(name) for name in inputs)
    names = [name if name in inputs else "" for name in order[: last + 1]]
    outputs = ["y", "", "", wanted] if wanted else ["y"]
    graph = helper.make_graph(
        [helper.make_node("Attention", names, outputs, **attributes)],
        "attention",
        [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape
            )
            for name, value in inputs.items()
        ],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in outputs if n],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])


def numbers(**shapes: Any) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {n: rng.standard_normal(shape).astype(np.float32) for n, shape in shapes.items()}


LOWEST = np.finfo(np.float32).min
BEGUN = np.where(np.arange(40) < 30, 0, LOWEST).astype(np.float32)
NONE = np.full((20, 40), LOWEST, np.float32)
"""The lowest number hides nothing where it is added to all scores of a row."""
PAST = {"past_key": (2, 2, 9, 8), "past_value": (2, 2, 9, 8)}


@pytest.mark.parametrize(
    ("more", "attributes", "told"),
    [
        ({}, {}, "bounds []"),
        ({}, {"is_causal": 1, "scale": 0.5}, " scale 5.000000e-01 : f64 bounds [1, -1, 0]"),
        ({}, {"left_window_size": 5, "right_window_size": 0}, "bounds [-1, 1, 5, 1, -1, 0]"),
        (numbers(**PAST), {"is_causal": 1}, "bounds [1, -1, 9]"),
        ({"lengths": np.array([0, 33])}, {}, "bounds [1, 0, -1]"),
        ({"lengths": np.array([7, 33])}, {"is_causal": 1}, "bounds [1, -1, 0, 1, 0, -1]"),
        ({"mask": (BEGUN > LOWEST) & (NONE < 0)}, {"is_causal": 1}, "bounds [1, -1, 0]"),
        ({"mask": np.stack([0 * NONE + BEGUN, NONE])[:, None]}, {}, "bounds []"),
        ({"mask": BEGUN[:35] + numbers(b=(4, 20, 1))["b"]}, {"is_causal": 1}, "bounds [1, -1, 0]"),
    ],
    ids=str,
)
def test_attention_is_one_operation(more: Any, attributes: Any, told: str) -> None:
    inputs = numbers(**SHAPES) | more
    proto = model(inputs, **attributes)
    loaded = sw.onnx.load(proto, device="reference")
    ir = loaded.lower(target="desktop").ir("diff")
    lines = [line for line in ir.splitlines() if " array.attention " in line]
    assert len(lines) == 1
    assert "array.softmax" not in ir
    assert told in lines[0]
    (wanted,) = ReferenceEvaluator(proto).run(None, inputs)
    np.testing.assert_allclose(loaded(inputs)["y"], wanted, rtol=1e-4, atol=1e-5)


def test_weights_that_are_asked_for_are_kept() -> None:
    inputs = numbers(**SHAPES)
    proto = model(inputs, wanted="w", is_causal=1, qk_matmul_output_mode=3)
    loaded = sw.onnx.load(proto, device="reference")
    assert "array.attention " not in loaded.lower(target="desktop").ir("diff")
    _, wanted = ReferenceEvaluator(proto).run(["y", "w"], inputs)
    np.testing.assert_allclose(loaded(inputs)["w"], wanted, rtol=1e-4, atol=1e-5)


def test_heads_of_flat_operands_are_told() -> None:
    inputs = numbers(q=(2, 3, 8), k=(2, 5, 8), v=(2, 5, 8))
    with pytest.raises(UnsupportedError, match="8 features are not shared by 3 heads"):
        sw.onnx.load(model(inputs, opset=24, q_num_heads=3, kv_num_heads=2)).lower()
