"""ONNX models of 64-bit floats: computed exactly, or refused by the node."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import stepwell as sw
from stepwell.dialects.errors import UnsupportedError

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

BOOL, DOUBLE, FLOAT, INT64 = (
    TensorProto.BOOL, TensorProto.DOUBLE, TensorProto.FLOAT, TensorProto.INT64,
)  # fmt: skip
node = helper.make_node


@pytest.fixture(autouse=True)
def reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEPWELL_DEVICE", "reference")


def loaded(nodes: Any, inputs: Any, outputs: Any, opset: int = 21, **weights: Any) -> Any:
    """A model of nodes, with inputs by name and element type and outputs likewise."""
    tensors = [numpy_helper.from_array(np.asarray(v), name) for name, v in weights.items()]
    graph = helper.make_graph(
        nodes, "test",
        [helper.make_tensor_value_info(n, e, None) for n, e in inputs.items()],
        [helper.make_tensor_value_info(n, e, None) for n, e in outputs.items()], tensors,
    )  # fmt: skip
    return sw.onnx.load(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)]))


def doubles(*shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
    """Numbers of which f32 holds few."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=shape) * 10.0 ** rng.integers(-300, 300, shape)


def same(ours: np.ndarray[Any, Any], theirs: np.ndarray[Any, Any]) -> None:
    assert ours.dtype == theirs.dtype
    np.testing.assert_array_equal(ours, theirs)


def test_arithmetic_with_weights_large_and_small() -> None:
    x, w, b = doubles(50, 40), doubles(50, 40, seed=1), doubles(40, seed=2)
    model = loaded(
        [node("Mul", ["x", "w"], ["h"]), node("Add", ["h", "b"], ["k"]),
         node("Div", ["k", "x"], ["m"]), node("Relu", ["m"], ["y"])],
        {"x": DOUBLE}, {"y": DOUBLE}, w=w, b=b,
    )  # fmt: skip
    with np.errstate(all="ignore"):
        same(model({"x": x})["y"], np.maximum((x * w + b) / x, 0.0))


def test_operands_of_old_opsets_are_aligned() -> None:
    x, y = doubles(3, 4, 5), doubles(4, seed=1)
    add = node("Add", ["x", "y"], ["z"], axis=1, broadcast=1)
    model = loaded([add], {"x": DOUBLE, "y": DOUBLE}, {"z": DOUBLE}, opset=6)
    same(model({"x": x, "y": y})["z"], x + y[:, None])


MOVED = [
    (node("Reshape", ["x", "i"], ["y"]), [3, 8], lambda x: x.reshape(3, 8)),
    (node("Transpose", ["x"], ["y"], perm=[1, 0]), [], lambda x: x.T),
    (node("Gather", ["x", "i"], ["y"], axis=1), [2, 0], lambda x: x[:, [2, 0]]),
    (node("Expand", ["x", "i"], ["y"]), [2, 4, 6], lambda x: np.broadcast_to(x, (2, 4, 6))),
    (node("Tile", ["x", "i"], ["y"]), [2, 1], lambda x: np.tile(x, (2, 1))),
    (node("Concat", ["x", "x"], ["y"], axis=0), [], lambda x: np.concatenate([x, x])),
    (node("Slice", ["x", "i", "i"], ["y"]), [1], lambda x: x[1:1]),
    (node("Trilu", ["x"], ["y"], upper=0), [], np.tril),
    (node("Identity", ["x"], ["y"]), [], np.asarray),
    (node("Pad", ["x", "i"], ["y"]), [1, 0, 0, 2], lambda x: np.pad(x, [(1, 0), (0, 2)])),
    (node("Pad", ["x", "i", "w"], ["y"]), [1, 0, 0, 2],
     lambda x: np.pad(x, [(1, 0), (0, 2)], constant_values=1e-310)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("moving", "numbers", "theirs"), MOVED, ids=lambda v: getattr(v, "op_type", "")
)
def test_what_moves_elements(moving: Any, numbers: list[int], theirs: Any) -> None:
    weights = {"i": np.array(numbers, np.int64), "w": np.float64(1e-310)}
    used = {name: weights[name] for name in moving.input if name in weights}
    x = doubles(4, 6)
    model = loaded([moving], {"x": DOUBLE}, {"y": DOUBLE}, **used)
    same(model({"x": x})["y"], theirs(x))


def test_parts_choices_and_places() -> None:
    x = doubles(4, 6)
    model = loaded(
        [node("Split", ["x"], ["a", "b"], num_outputs=2, axis=1), node("Less", ["a", "b"], ["c"]),
         node("Where", ["c", "a", "b"], ["d"]), node("ScatterND", ["d", "i", "w"], ["e"]),
         node("Clip", ["e", "", "top"], ["y"]), node("Shape", ["y"], ["s"])],
        {"x": DOUBLE}, {"c": BOOL, "y": DOUBLE, "s": INT64},
        i=[[0, 0]], w=[1e-310], top=1e200,
    )  # fmt: skip
    found = model({"x": x})
    y = np.minimum(x[:, :3], x[:, 3:])
    y[0, 0] = 1e-310
    same(found["c"], x[:, :3] < x[:, 3:])
    same(found["y"], np.minimum(y, 1e200))
    same(found["s"], np.array([4, 3]))


def test_operators_that_others_define() -> None:
    """ThresholdedRelu, LeakyRelu and LayerNormalization's kin are functions of other operators."""
    x = doubles(30)
    model = loaded(
        [node("LeakyRelu", ["x"], ["h"], alpha=0.5), node("ThresholdedRelu", ["h"], ["y"])],
        {"x": DOUBLE}, {"y": DOUBLE},
    )  # fmt: skip
    h = np.where(x < 0, x * 0.5, x)
    same(model({"x": x})["y"], np.where(h > 1, h, 0.0))


def test_casts_of_what_32_bits_hold() -> None:
    x = np.random.default_rng(0).normal(size=20).astype(np.float32)
    model = loaded(
        [node("Cast", ["x"], ["d"], to=DOUBLE), node("Mul", ["d", "d"], ["y"]),
         node("CastLike", ["y", "x"], ["z"]), node("Cast", ["y"], ["i"], to=INT64)],
        {"x": FLOAT}, {"y": DOUBLE, "z": FLOAT, "i": INT64},
    )  # fmt: skip
    found, wide = model({"x": x}), x.astype(np.float64)
    same(found["y"], wide * wide)
    same(found["z"], (wide * wide).astype(np.float32))
    same(found["i"], (wide * wide).astype(np.int64))


def test_programs_are_compiled_for_sizes_without_values() -> None:
    model = loaded([node("Add", ["x", "x"], ["y"])], {"x": DOUBLE}, {"y": DOUBLE})
    assert len(model.lower({"x": (5,)}).program.inputs) == 2


def test_all_nodes_without_an_exact_form_are_named_with_what_to_do() -> None:
    nodes = [node("Exp", ["x"], ["a"]), node("Erf", ["x"], ["b"]), node("Add", ["a", "b"], ["y"])]
    model = loaded(nodes, {"x": DOUBLE}, {"y": DOUBLE})
    with pytest.raises(UnsupportedError) as caught:
        model({"x": doubles(3)})
    text = str(caught.value)
    assert "2 nodes" in text and "(Exp" in text and "(Erf" in text
    assert text.count('load the model with float64="float32"') == 2


def test_values_that_a_branch_gives_are_refused() -> None:
    def branch(op: str) -> Any:
        out = helper.make_tensor_value_info(op, DOUBLE, None)
        return helper.make_graph([node(op, ["x"], [op])], op, [], [out])

    choice = node("If", ["c"], ["y"], then_branch=branch("Neg"), else_branch=branch("Abs"))
    flag = node("Less", ["x", "w"], ["c"])
    model = loaded([flag, choice], {"x": DOUBLE}, {"y": DOUBLE}, w=0.0)
    found = model({"x": np.array(1e300)})
    same(found["y"], np.array(1e300))
