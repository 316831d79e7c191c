"""onnxruntime's own operators give what it gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import stepwell as sw
from stepwell.dialects.errors import UnsupportedError

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
from onnx import helper  # noqa: E402

RNG = np.random.default_rng(0)


def floats(*shape: int) -> Any:
    return RNG.standard_normal(shape).astype(np.float32)


def ints(*values: Any) -> Any:
    return np.array(values, np.int32)


def model(op: str, inputs: dict[str, Any], outputs: str, domain: str, attributes: Any) -> Any:
    """One node; inputs that are None are left out, outputs named `_` are not asked for."""
    names = ["" if value is None else name for name, value in inputs.items()]
    wanted = ["" if name == "_" else name for name in outputs.split()]
    node = helper.make_node(op, names, wanted, domain=domain, **attributes)
    given = {name: value for name, value in inputs.items() if value is not None}

    def info(name: str, value: Any) -> Any:
        element = helper.np_dtype_to_tensor_dtype(value.dtype)
        return helper.make_tensor_value_info(name, element, value.shape)

    graph = helper.make_graph(
        [node], "contrib",
        [info(name, value) for name, value in given.items()],
        [helper.make_tensor_value_info(name, 1, None) for name in wanted if name],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def compare(
    op: str, inputs: dict[str, Any], outputs: str = "y", domain: str = "com.microsoft",
    valid: Any = slice(None), **attributes: Any,
) -> Any:  # fmt: skip
    """Our results beside onnxruntime's; `valid` is the part of the first one that counts."""
    proto = model(op, inputs, outputs, domain, attributes)
    given = {name: value for name, value in inputs.items() if value is not None}
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    theirs = session.run(None, given)
    loaded = sw.onnx.load(proto, device="reference")
    for number, (ours, wanted) in enumerate(zip(loaded(given).values(), theirs, strict=True)):
        part = valid if number == 0 else slice(None)
        np.testing.assert_allclose(ours[part], wanted[part], rtol=2e-4, atol=2e-5)
    return loaded


def test_activations() -> None:
    x, bias = floats(3, 8), floats(8)
    compare("Gelu", {"x": x})
    compare("BiasGelu", {"x": x, "bias": bias})
    compare("FastGelu", {"x": x, "bias": bias})
    compare("QuickGelu", {"x": x}, alpha=1.5)


def test_normalisations() -> None:
    x, skip, gamma, beta, bias = floats(2, 3, 8), floats(2, 3, 8), *(floats(8) for _ in range(3))
    compare("SimplifiedLayerNormalization", {"x": x, "scale": gamma}, domain="", epsilon=1e-3)
    inputs = {"x": x, "skip": skip, "gamma": gamma, "beta": beta, "bias": bias}
    compare("SkipLayerNormalization", inputs, "y _ _ sum", epsilon=1e-3)
    compare("SkipLayerNormalization", inputs | {"beta": None, "bias": None})
    del inputs["beta"]
    compare("SkipSimplifiedLayerNormalization", inputs, "y _ _ sum", epsilon=1e-3)
    with pytest.raises(UnsupportedError, match="output 'mean'"):
        sw.onnx.load(model("SkipLayerNormalization", inputs, "y mean", "com.microsoft", {})).lower()


@pytest.mark.parametrize("interleaved", [0, 1])
def test_rotations(interleaved: int) -> None:
    tables = {"cos": floats(20, 4), "sin": floats(20, 4)}
    place = np.array([[3, 1, 0], [5, 6, 7]])
    flat = {"x": floats(2, 3, 24), "place": place, **tables}
    compare("RotaryEmbedding", flat, interleaved=interleaved)
    first = flat | {"x": floats(2, 5, 3, 8), "place": np.array([4])}
    compare("RotaryEmbedding", first, interleaved=interleaved)
    partial = flat | {"x": floats(2, 3, 30)}
    compare("RotaryEmbedding", partial, num_heads=3, rotary_embedding_dim=8)


def grouped(
    count: int, past: int, total: int, last: Any, heads: int = 4, shared: int = 2, depth: int = 16
) -> dict[str, Any]:
    """The inputs of a step of so many positions."""
    batch = len(last)
    return {
        "q": floats(batch, count, heads * depth),
        "k": floats(batch, count, shared * depth),
        "v": floats(batch, count, shared * depth),
        "past_key": floats(batch, shared, past, depth),
        "past_value": floats(batch, shared, past, depth),
        "last": last,
        "total": np.array(total, np.int32),
    }


OUTPUTS = "y present_key present_value"


@pytest.mark.parametrize(
    "attributes", [{}, {"softcap": 0.7, "scale": 0.2}, {"local_window_size": 4}]
)
@pytest.mark.parametrize(
    ("count", "past", "total", "last"),
    [(6, 0, 6, ints(5, 5)), (1, 8, 9, ints(8, 8)), (3, 7, 10, ints(9))],
    ids=["prompt", "step", "steps"],
)
def test_grouped_queries(count: int, past: int, total: int, last: Any, attributes: Any) -> None:
    inputs = grouped(count, past, total, last)
    loaded = compare(
        "GroupQueryAttention", inputs, OUTPUTS, num_heads=4, kv_num_heads=2, **attributes
    )
    ir = loaded.lower(values={"total": inputs["total"]}, target="desktop").ir("diff")
    assert ir.count("array.attention ") == 1
    assert f"bounds [1, {-1 if count > 1 else 0}, 0" in ir


def test_grouped_queries_of_prompts_that_end_early() -> None:
    inputs = grouped(6, 0, 6, ints(5, 3))
    mine = (np.array([0] * 6 + [1] * 4), np.array([*range(6), *range(4)]))
    compare("GroupQueryAttention", inputs, OUTPUTS, valid=mine, num_heads=4, kv_num_heads=2)


@pytest.mark.parametrize("interleaved", [0, 1])
def test_grouped_queries_that_are_turned(interleaved: int) -> None:
    tables = {"cos": floats(20, 8), "sin": floats(20, 8)}
    options = {"num_heads": 4, "kv_num_heads": 2, "do_rotary": 1, "rotary_interleaved": interleaved}
    compare("GroupQueryAttention", grouped(5, 0, 5, ints(4, 4)) | tables, OUTPUTS, **options)
    compare("GroupQueryAttention", grouped(1, 6, 7, ints(6, 6)) | tables, OUTPUTS, **options)


def test_grouped_queries_in_one() -> None:
    inputs = grouped(1, 6, 7, ints(6, 6)) | {"q": floats(2, 1, 128), "k": None, "v": None}
    compare("GroupQueryAttention", inputs, OUTPUTS, num_heads=4, kv_num_heads=2)
    with pytest.raises(UnsupportedError, match="smooth_softmax 1"):
        options = {"num_heads": 4, "kv_num_heads": 2, "smooth_softmax": 1}
        proto = model("GroupQueryAttention", inputs, "y", "com.microsoft", options)
        sw.onnx.load(proto).lower(values={"total": inputs["total"]})


def several(**more: Any) -> dict[str, Any]:
    names = ["q", "k", "v", "bias", "padding", "added", "past_key", "past_value"]
    inputs = {"q": floats(2, 5, 24), "k": floats(2, 7, 24), "v": floats(2, 7, 24)} | more
    last = max(names.index(name) for name in inputs)
    return {name: inputs.get(name) for name in names[: last + 1]}


@pytest.mark.parametrize(
    ("inputs", "attributes"),
    [
        (several(), {"scale": 0.3}),
        (several(bias=floats(72)), {}),
        (several(padding=ints([1] * 7, [1, 1, 1, 0, 0, 0, 0])), {}),
        (several(added=floats(1, 3, 5, 7)), {}),
        (several(padding=ints([1] * 7, [0, 1, 1, 1, 1, 1, 1]), added=floats(2, 3, 5, 7)), {}),
        (several(k=floats(2, 5, 24), v=floats(2, 5, 24)), {"unidirectional": 1}),
    ],
    ids=["scale", "bias", "padding", "added", "both", "causal"],
)
def test_several_heads(inputs: dict[str, Any], attributes: dict[str, Any]) -> None:
    compare("MultiHeadAttention", inputs, num_heads=3, **attributes)


def test_several_heads_with_a_past() -> None:
    inputs = several(
        k=floats(2, 5, 24), v=floats(2, 5, 24),
        past_key=floats(2, 3, 4, 8), past_value=floats(2, 3, 4, 8),
    )  # fmt: skip
    compare("MultiHeadAttention", inputs, OUTPUTS, num_heads=3)
