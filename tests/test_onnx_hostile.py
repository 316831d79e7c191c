"""ONNX models that are wrong, or want too much, are refused in time and by name."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stepwell as sw
from stepwell.backends.errors import ArgumentError
from stepwell.dialects.errors import ShapeError, UnsupportedError

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

FLOAT = TensorProto.FLOAT
node = helper.make_node


@pytest.fixture(autouse=True)
def reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEPWELL_DEVICE", "reference")


def model(*nodes: Any, element: int = FLOAT, opset: int = 21, **weights: Any) -> Any:
    """From `x` [3] to `y`."""
    graph = helper.make_graph(
        nodes, "test",
        [helper.make_tensor_value_info("x", FLOAT, [3])],
        [helper.make_tensor_value_info("y", element, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])


def run(proto: Any) -> Any:
    return sw.onnx.load(proto)({"x": np.arange(3, dtype=np.float32)})["y"]


def without_opset() -> Any:
    proto = model(node("Relu", ["x"], ["y"]))
    del proto.opset_import[:]
    return proto


def with_weight(change: Callable[[Any], None]) -> Any:
    proto = model(node("Add", ["x", "w"], ["y"]), w=np.zeros(3, np.float32))
    change(proto.graph.initializer[0])
    return proto


def shorter(weight: Any) -> None:
    weight.raw_data = weight.raw_data[:-2]


def outside(weight: Any) -> None:
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="pyproject.toml")


def functions(count: int) -> Any:
    """Functions that each call the one before twice; with a count of 1, one that calls itself."""
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("f", 1)]
    made: list[Any] = []
    for i in range(count):
        name, domain = (f"F{i - 1}", "f") if i else ("F0" if count == 1 else "Relu", "f")
        domain = "" if name == "Relu" else domain
        calls = [node(name, [a], [b], domain=domain) for a, b in ("ab", "bc")]
        made.append(helper.make_function("f", f"F{i}", ["a"], ["c"], calls, opsets))
    graph = model(node(f"F{count - 1}", ["x"], ["y"], domain="f")).graph
    return helper.make_model(graph, functions=made, opset_imports=opsets)


INVALID = {
    "no opset": (without_opset, "no opset for ONNX's own operators"),
    "a newer opset": (lambda: model(node("Relu", ["x"], ["y"]), opset=999), "opset 999 is none of"),
    "a cycle": (
        lambda: model(node("Add", ["x", "b"], ["a"]), node("Relu", ["a"], ["b"]),
                      node("Neg", ["b"], ["y"])),
        r"node 'a' \(Add\): nothing before it gives 'b'",
    ),
    "no output": (lambda: model(node("Relu", ["x"], ["z"])), "nothing gives the output 'y'"),
    "a name twice": (
        lambda: model(node("Relu", ["x"], ["y"]), node("Neg", ["x"], ["y"])), "'y' is given before"
    ),
    "an operand missing": (lambda: model(node("Reshape", ["x"], ["y"])), "input size 1"),
    "an operand too many": (lambda: model(node("Relu", ["x", "x"], ["y"])), "input size 2"),
    "an attribute missing": (lambda: model(node("Cast", ["x"], ["y"])), "'to' is missing"),
    "an attribute of another type": (
        lambda: model(node("Softmax", ["x"], ["y"], axis="a")), "Mismatched attribute type"
    ),
    "a name that is no operator": (lambda: model(node("Foo", ["x"], ["y"])), "Foo"),
    "too short a weight": (lambda: with_weight(shorter), "weight 'w': .*too small"),
    "a weight of negative size": (
        lambda: with_weight(lambda w: w.dims.__setitem__(0, -3)), "Negative dimension"
    ),
    "a weight of no type": (
        lambda: with_weight(lambda w: setattr(w, "data_type", 77)), "unknown element type 77"
    ),
    "a weight outside": (lambda: with_weight(outside), "load it by its path"),
    "a function that calls itself": (lambda: functions(1), "'F0' calls itself"),
    "functions that grow": (lambda: functions(40), "more than 1000000 nodes"),
    "another type than declared": (
        lambda: model(node("Relu", ["x"], ["y"]), element=TensorProto.INT32), "declared as INT32"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", INVALID)
def test_invalid_models_are_refused(name: str) -> None:
    proto, message = INVALID[name]
    with pytest.raises(ArgumentError, match=message):
        run(proto())


def test_all_that_is_wrong_is_said_at_once() -> None:
    proto = model(
        node("Cast", ["x"], ["a"], name="first"), node("Neg", ["b"], ["c"], name="second")
    )
    with pytest.raises(ArgumentError) as caught:
        sw.onnx.load(proto)
    for part in ("'first' (Cast)", "'second' (Neg): nothing before it gives 'b'", "the output 'y'"):
        assert part in str(caught.value)


def large(*nodes: Any, **weights: Any) -> Any:
    """`y` is x and the sum of `c`."""
    total = node("ReduceSum", ["c"], ["r"], keepdims=0)
    return model(*nodes, total, node("Add", ["x", "r"], ["y"]), **weights)


@pytest.mark.parametrize(
    ("proto", "message"),
    [
        (large(node("Range", ["a", "b", "d"], ["c"]), a=0.0, b=1e13, d=1.0), "countable"),
        (large(node("Range", ["a", "b", "d"], ["c"]), a=0.0, b=1.0, d=0.0), "division by zero"),
        (large(node("OneHot", ["i", "d", "v"], ["c"]), i=[1], d=10**12,
               v=np.array([0, 1], np.float32)), "countable"),
        (large(node("Resize", ["w", "", "s"], ["c"]), w=np.ones(1, np.float32),
               s=np.array([1e12], np.float32)), "beyond"),
        (model(node("Resize", ["x", "", "s"], ["y"], name="r"), s=np.array([np.inf], np.float32)),
         "node 'r'.*infinity"),
        (large(node("Gather", ["w", "i"], ["c"]), w=np.ones(3, np.float32), i=[7]), "out of"),
    ],
)  # fmt: skip
def test_models_that_want_too_much_are_refused(proto: Any, message: str) -> None:
    with pytest.raises((UnsupportedError, ShapeError), match=message):
        sw.onnx.load(proto, float64="float32").lower(target="software")


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("w.bin", "not regular file"),
        ("../secret.bin", "outside the directory"),
        ("{}/secret.bin", "absolute path"),
        ("link.bin", "symbolic link"),
    ],
)
def test_data_stays_in_the_folder_of_its_model(location: str, message: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(12))
    os.symlink(tmp_path / "secret.bin", folder / "link.bin")
    proto = with_weight(outside)
    proto.graph.initializer[0].external_data[0].value = location.format(tmp_path)
    (folder / "model.onnx").write_bytes(proto.SerializeToString())
    with pytest.raises(ArgumentError, match=message):
        sw.onnx.load(folder / "model.onnx")


def test_data_beside_the_model_is_read(tmp_path: Path) -> None:
    proto = with_weight(outside)
    proto.graph.initializer[0].external_data[0].value = "w.bin"
    (tmp_path / "w.bin").write_bytes(np.ones(3, np.float32).tobytes())
    (tmp_path / "model.onnx").write_bytes(proto.SerializeToString())
    np.testing.assert_array_equal(run(tmp_path / "model.onnx"), [1, 2, 3])


@pytest.mark.parametrize("cut", [0, 1, 5, 20])
def test_parts_of_files_are_refused(cut: int, tmp_path: Path) -> None:
    text = model(node("Relu", ["x"], ["y"])).SerializeToString()
    (tmp_path / "part.onnx").write_bytes(text[: len(text) - cut] if cut else b"")
    with pytest.raises(ArgumentError):
        sw.onnx.load(tmp_path / "part.onnx")


def test_negative_sizes_are_not_known_ones(tmp_path: Path) -> None:
    proto = model(node("Relu", ["x"], ["y"]))
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = -1
    loaded = sw.onnx.load(proto)
    with pytest.raises(ArgumentError, match=r"'x' has the shape .None.: say which"):
        loaded.lower()
    with pytest.raises(ArgumentError, match=r"'x' has the shape .-2.: say which"):
        loaded.lower({"x": [-2]})
    np.testing.assert_array_equal(loaded({"x": np.ones(2, np.float32)})["y"], [1, 1])


def test_a_seed_is_not_negative() -> None:
    with pytest.raises(ArgumentError, match="a seed is 0 or more, not -1"):
        sw.onnx.load(model(node("Relu", ["x"], ["y"])), seed=-1)


def test_sizes_of_one_name_agree() -> None:
    graph = helper.make_graph(
        [node("Add", ["x", "z"], ["y"])], "test",
        [helper.make_tensor_value_info(name, FLOAT, ["n"]) for name in "xz"],
        [helper.make_tensor_value_info("y", FLOAT, ["n"])],
    )  # fmt: skip
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])
    loaded = sw.onnx.load(proto)
    x = np.ones(3, np.float32)
    np.testing.assert_array_equal(loaded({"x": x, "z": x})["y"], x + x)
    with pytest.raises(ArgumentError, match="'n' is 3 in the shape of input 'x', and 1 in that"):
        loaded({"x": x, "z": x[:1]})
    with pytest.raises(ArgumentError, match="mapping of names"):
        loaded([x, x])


def test_names_from_files_do_no_harm() -> None:
    name = 'a"\n</script>`; fn main'
    proto = model(node("Relu", ["x"], [name], name=name), node("Neg", [name], ["y"]))
    np.testing.assert_array_equal(run(proto), [0, -1, -2])


@pytest.mark.parametrize("opset", [7, 8, 9, 10, 11, 12, 13, 18, 21, 24])
def test_opsets_since_7(opset: int) -> None:
    """Softmax works on rows before opset 13; ReduceSum's axes are an attribute then."""
    old = opset < 13
    nodes = [
        node("Unsqueeze", ["x"], ["u"], axes=[0]) if old else node("Unsqueeze", ["x", "a"], ["u"]),
        node("Softmax", ["u"], ["s"], axis=1),
        node("ReduceSum", ["s"], ["t"], axes=[0], keepdims=0) if old
        else node("ReduceSum", ["s", "a"], ["t"], keepdims=0),
        node("Mul", ["t", "x"], ["y"]),
    ]  # fmt: skip
    weights = {} if old else {"a": np.array([0])}
    x = np.arange(3)
    expected = np.exp(x) / np.exp(x).sum() * x
    np.testing.assert_allclose(run(model(*nodes, opset=opset, **weights)), expected, rtol=1e-5)


def test_negative_paddings_of_constants_cut() -> None:
    """ONNX's reference implementation, which folds constants, cannot do them."""
    proto = model(
        node("Pad", ["w", "p"], ["c"]), node("Add", ["x", "c"], ["y"]),
        w=np.arange(5, dtype=np.float32), p=np.array([-1, -1]),
    )  # fmt: skip
    np.testing.assert_array_equal(run(proto), [1, 3, 5])
