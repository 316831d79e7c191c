"""ONNX's random operators with a seed: distributions, and what is drawn again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import stepwell as sw
from stepwell.dialects.errors import UnsupportedError

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper  # noqa: E402

node = helper.make_node
FLOAT, BOOL = TensorProto.FLOAT, TensorProto.BOOL
COUNT = 20000


@pytest.fixture(autouse=True)
def reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEPWELL_DEVICE", "reference")


def model(*nodes: Any, x: Any = (), y: int = FLOAT, z: int = FLOAT, opset: int = 22) -> Any:
    """From `x`, a tensor of that shape, to `y` and, if a node gives it, `z`."""
    given = {name for made in nodes for name in made.output}
    graph = helper.make_graph(
        nodes, "test",
        [helper.make_tensor_value_info("x", FLOAT, x)],
        [
            helper.make_tensor_value_info(name, kind, None)
            for name, kind in (("y", y), ("z", z)) if name in given
        ],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])


def run(proto: Any, x: Any = 0.0, seed: int = 7) -> Any:
    results = sw.onnx.load(proto, seed=seed)({"x": np.float32(x)})
    return tuple(results.values()) if len(results) > 1 else results["y"]


def test_normal_numbers() -> None:
    y = run(model(node("RandomNormal", [], ["y"], shape=[COUNT], mean=3.0, scale=2.0)))
    assert y.shape == (COUNT,) and y.dtype == np.float32
    assert abs(y.mean() - 3) < 0.06 and abs(y.std() - 2) < 0.06
    like = run(model(node("RandomNormalLike", ["x"], ["y"]), x=[5, 4]), np.zeros((5, 4)))
    assert like.shape == (5, 4)


def test_uniform_numbers() -> None:
    y = run(model(node("RandomUniform", [], ["y"], shape=[COUNT], low=-1.0, high=3.0)))
    assert y.min() >= -1 and y.max() < 3 and abs(y.mean() - 1) < 0.05
    assert abs(np.histogram(y, 4)[0] / COUNT - 0.25).max() < 0.02
    half = node("RandomUniformLike", ["x"], ["y"], dtype=TensorProto.FLOAT16)
    assert run(model(half, y=TensorProto.FLOAT16)).dtype == np.float16


def test_bernoulli() -> None:
    chances = np.repeat(np.array([0.0, 0.2, 1.0], np.float32), COUNT)
    y = run(model(node("Bernoulli", ["x"], ["y"], dtype=BOOL), x=[3 * COUNT], y=BOOL), chances)
    np.testing.assert_allclose(y.reshape(3, -1).mean(1), [0, 0.2, 1], atol=0.01)


def test_multinomial() -> None:
    """Positions by unnormalised logarithms of probabilities."""
    chances = np.array([[0.1, 0.6, 0.3], [0.5, 0.5, 0]], np.float32)
    drawn = node("Multinomial", ["x"], ["y"], sample_size=COUNT, dtype=TensorProto.INT64)
    logits = np.log(np.maximum(chances, 1e-30)) + 2
    y = run(model(drawn, x=[2, 3], y=TensorProto.INT64), logits)
    assert y.shape == (2, COUNT) and y.dtype == np.int64
    for row, expected in zip(y, chances, strict=True):
        np.testing.assert_allclose(np.bincount(row, minlength=3) / COUNT, expected, atol=0.015)


def test_dropout_in_training() -> None:
    on = node("Constant", [], ["on"], value=helper.make_tensor("on", BOOL, [], [True]))
    ratio = node("Constant", [], ["ratio"], value_float=0.25)
    drop = node("Dropout", ["ones", "ratio", "on"], ["y", "z"])
    shape = node("Constant", [], ["shape"], value_ints=[COUNT])
    ones = node("Expand", ["x", "shape"], ["ones"])
    y, z = run(model(on, ratio, shape, ones, drop, x=[1], z=BOOL), np.ones(1))
    assert abs(z.mean() - 0.75) < 0.015
    np.testing.assert_allclose(y, np.where(z, 1 / 0.75, 0), rtol=1e-6)


def test_what_is_drawn_again() -> None:
    """Every node and every call draw others; the same seed draws the same, call by call."""
    proto = model(
        node("RandomNormal", [], ["y"], shape=[50]),
        node("RandomNormalLike", ["y"], ["z"]),
    )
    first, second = (sw.onnx.load(proto, seed=5) for _ in range(2))
    given = {"x": np.float32(0)}
    calls = [first(given) for _ in range(3)]
    for call in calls:
        np.testing.assert_array_equal(call["y"], second(given)["y"])
    drawn = [call[name] for call in (*calls, sw.onnx.load(proto, seed=6)(given)) for name in "yz"]
    assert len({array.tobytes() for array in drawn}) == len(drawn)


def test_steps_of_a_loop_draw_others() -> None:
    body = helper.make_graph(
        [node("RandomNormalLike", ["s"], ["t"]), node("Identity", ["going"], ["still"])], "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", BOOL, []),
            helper.make_tensor_value_info("s", FLOAT, [5]),
        ],
        [
            helper.make_tensor_value_info("still", BOOL, []),
            helper.make_tensor_value_info("t", FLOAT, [5]),
            helper.make_tensor_value_info("t", FLOAT, [5]),
        ],
    )  # fmt: skip
    count = node("Constant", [], ["count"], value_int=4)
    y = run(
        model(count, node("Loop", ["count", "", "x"], ["last", "y"], body=body), x=[5]), [0] * 5
    )
    assert y.shape == (4, 5) and len({row.tobytes() for row in y}) == 4


@pytest.mark.parametrize("op", ["RandomNormalLike", "RandomUniformLike", "Bernoulli"])
def test_without_a_seed_there_are_none(op: str) -> None:
    with pytest.raises(UnsupportedError, match=r"random numbers .* load the model with a seed"):
        sw.onnx.load(model(node(op, ["x"], ["y"])))({"x": np.float32(0)})
