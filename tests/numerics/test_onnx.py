"""ONNX models as functions: names, dtypes, shapes that inputs decide, refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stepwell as sw
from stepwell.backends.errors import ArgumentError
from stepwell.dialects.errors import UnsupportedError

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


@pytest.fixture(autouse=True)
def reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEPWELL_DEVICE", "reference")


def model(nodes: list[Any], inputs: list[Any], outputs: list[Any], **weights: Any) -> Any:
    tensors = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "test", inputs, outputs, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])


def info(name: str, element: int, shape: Any) -> Any:
    return helper.make_tensor_value_info(name, element, shape)


def dense() -> Any:
    rng = np.random.default_rng(0)
    return model(
        [
            helper.make_node("Gemm", ["x", "w", "b"], ["h"], transB=1),
            helper.make_node("Relu", ["h"], ["y"]),
        ],
        [info("x", FLOAT, ["batch", 40])],
        [info("y", FLOAT, ["batch", 30])],
        w=rng.normal(size=(30, 40)).astype(np.float32),
        b=rng.normal(size=30).astype(np.float32),
    )


def test_a_model_from_a_file_is_a_function_of_named_arrays(tmp_path: Path) -> None:
    proto = dense()
    onnx.save(proto, tmp_path / "dense.onnx")
    loaded = sw.onnx.load(tmp_path / "dense.onnx")
    w, b = (numpy_helper.to_array(t) for t in proto.graph.initializer)
    for batch in (1, 5):
        x = np.random.default_rng(batch).normal(size=(batch, 40)).astype(np.float32)
        y = loaded({"x": x})["y"]
        assert y.dtype == np.float32
        np.testing.assert_allclose(y, np.maximum(x @ w.T + b, 0), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "inputs x are missing"),
        ({"z": np.zeros(1)}, "no input 'z': they are x"),
        ({"x": np.zeros((2, 40))}, "float64, not float32"),
        ({"x": np.zeros((2, 41), np.float32)}, r"shape \[2, 41\], not \['batch', 40\]"),
    ],
)
def test_wrong_inputs_are_refused(inputs: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        sw.onnx.load(dense())(inputs)


def test_inputs_that_decide_about_shapes_are_found_and_compiled_for() -> None:
    """The shape comes from an input by way of other operators."""
    proto = model(
        [
            helper.make_node("Add", ["n", "one"], ["m"]),
            helper.make_node("Concat", ["m", "rest"], ["shape"], axis=0),
            helper.make_node("Reshape", ["x", "shape"], ["y"]),
        ],
        [info("x", FLOAT, [12]), info("n", INT64, [1])],
        [info("y", FLOAT, None)],
        one=np.array([1], np.int64), rest=np.array([-1], np.int64),
    )  # fmt: skip
    loaded = sw.onnx.load(proto)
    x = np.arange(12, dtype=np.float32)
    for n in (1, 2, 1):
        y = loaded({"x": x, "n": np.array([n], np.int64)})["y"]
        np.testing.assert_array_equal(y, x.reshape(n + 1, -1))
    assert loaded.specialized == {"n"}


def test_the_ir_and_its_weights_are_written(tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    from stepwell.tools.stepwell import main

    proto = dense()
    proto.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.ones((30, 40), np.float32), "w"))
    onnx.save(proto, tmp_path / "dense.onnx")
    out, weights = tmp_path / "dense.mlir", tmp_path / "dense.safetensors"
    command = ["import", str(tmp_path / "dense.onnx"), "-o", str(out), "--weights", str(weights)]
    assert main([*command, "--shape", "x=3,40"]) == 0
    assert "array.dot_general" in out.read_text()
    assert "tensor<3x40xf32>" in out.read_text()
    np.testing.assert_array_equal(load_file(weights)["w"], np.ones((30, 40)))


def test_import_takes_values_that_decide_about_shapes(tmp_path: Path) -> None:
    from stepwell.tools.stepwell import main

    nodes = [
        helper.make_node("Unsqueeze", ["n", "zero"], ["s"]),
        helper.make_node("Expand", ["x", "s"], ["y"]),
    ]
    inputs = [info("x", FLOAT, [1]), info("n", INT64, [])]
    proto = model(nodes, inputs, [info("y", FLOAT, None)], zero=np.array([0], np.int64))
    onnx.save(proto, tmp_path / "model.onnx")
    command = ["import", str(tmp_path / "model.onnx"), "-o", str(tmp_path / "model.mlir")]
    assert main(command) == 1
    assert main([*command, "--value", "n=5"]) == 0
    assert "tensor<5xf32>" in (tmp_path / "model.mlir").read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "input 'x' has the shape ['batch', 40]"),
        (["--shape", "x=3,41"], "shape [3, 41]"),
        (["--shape", "x"], "'x' is not INPUT=N,N..."),
        (["--shape", "z=1", "--shape", "x=1,40"], "no input 'z'"),
        (["--shape", "x=1,40", "--weights", "nowhere/w"], "cannot write nowhere/w"),
        (["--shape", "x=1,40", "-o", "nowhere/m"], "'nowhere/m': No such file"),
        (["--seed", "-1"], "a seed is 0 or more"),
    ],
)
def test_import_refuses_in_one_line(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from stepwell.tools.stepwell import main

    onnx.save(dense(), tmp_path / "dense.onnx")
    assert main(["import", str(tmp_path / "dense.onnx"), *options]) == 1
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error


def test_files_that_are_no_models_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from stepwell.tools.stepwell import main

    (tmp_path / "nonsense.onnx").write_bytes(b"no model")
    for name in ("nonsense.onnx", "missing.onnx"):
        assert main(["import", str(tmp_path / name)]) == 1
        assert capsys.readouterr().err.startswith("stepwell import: error: ")


def test_the_backend_of_onnx() -> None:
    from stepwell.frontend.onnx import backend

    proto = dense()
    x = np.ones((2, 40), np.float32)
    expected = sw.onnx.load(proto)({"x": x})["y"]
    prepared = backend.prepare(proto)
    np.testing.assert_array_equal(prepared.run([x]).y, expected)
    np.testing.assert_array_equal(backend.run_model(proto, {"x": x})[0], expected)
    node = helper.make_node("Add", ["a", "b"], ["c"])
    np.testing.assert_array_equal(backend.run_node(node, [x, x])[0], x + x)
    assert backend.supports_device("CPU") and not backend.supports_device("TPU")


def test_what_is_known_belongs_to_the_shapes_of_its_call() -> None:
    proto = model(
        [helper.make_node("Shape", ["x"], ["s"]), helper.make_node("Neg", ["x"], ["y"])],
        [info("x", FLOAT, ["n"])], [info("s", INT64, [1]), info("y", FLOAT, ["n"])],
    )  # fmt: skip
    loaded = sw.onnx.load(proto)
    for n in (2, 3, 2):
        x = np.arange(n, dtype=np.float32)
        found = loaded({"x": x})
        np.testing.assert_array_equal(found["s"], [n])
        np.testing.assert_array_equal(found["y"], -x)


def test_weights_that_webgpu_cannot_hold_are_refused() -> None:
    proto = model(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        [info("x", TensorProto.UINT64, [2000])], [info("y", TensorProto.UINT64, [2000])],
        w=np.zeros(2000, np.uint64),
    )  # fmt: skip
    with pytest.raises(UnsupportedError, match="UINT64"):
        sw.onnx.load(proto)({"x": np.zeros(2000, np.uint64)})


def test_floats_of_64_bits_are_computed_in_32_on_request() -> None:
    proto = model(
        [
            helper.make_node("Mul", ["x", "w"], ["h"]),
            helper.make_node("Cast", ["h"], ["y"], to=TensorProto.DOUBLE),
        ],
        [info("x", TensorProto.DOUBLE, [2000])], [info("y", TensorProto.DOUBLE, [2000])],
        w=np.full(2000, 1 / 3),
    )  # fmt: skip
    loaded = sw.onnx.load(proto, float64="float32")
    x = np.linspace(-1, 1, 2000)
    y = loaded({"x": x})["y"]
    assert y.dtype == np.float64
    np.testing.assert_allclose(y, x / 3, rtol=1e-6, atol=1e-7)
    with pytest.raises(OverflowError, match="beyond the largest f32"):
        loaded({"x": np.full(2000, 1e300)})
    with pytest.raises(TypeError, match="no dtype of Stepwell"):
        sw.onnx.load(proto, float64="float64")


def test_the_bits_of_64_bit_numbers_are_refused() -> None:
    proto = model(
        [helper.make_node("BitCast", ["x"], ["y"], to=TensorProto.DOUBLE)],
        [info("x", INT64, [2])], [info("y", TensorProto.DOUBLE, [2])],
    )  # fmt: skip
    proto.opset_import[0].version = 26
    with pytest.raises(UnsupportedError, match="bits of 64-bit numbers"):
        sw.onnx.load(proto, float64="float32")({"x": np.zeros(2, np.int64)})


def test_every_node_without_a_meaning_is_named_at_once() -> None:
    proto = model(
        [
            helper.make_node("Binarizer", ["x"], ["a"], name="first", domain="ai.onnx.ml"),
            helper.make_node("Relu", ["x"], ["b"]),
            helper.make_node("StringNormalizer", ["b"], ["c"], name="second"),
        ],
        [info("x", FLOAT, [3])],
        [info("a", FLOAT, None), info("c", TensorProto.STRING, None)],
    )
    with pytest.raises(UnsupportedError, match="2 nodes are not supported") as caught:
        sw.onnx.load(proto)({"x": np.zeros(3, np.float32)})
    assert "node 'first' (ai.onnx.ml.Binarizer, opset 1)" in str(caught.value)
    assert "node 'second' (StringNormalizer, opset 21)" in str(caught.value)
    assert "Relu" not in str(caught.value)


def test_integers_of_64_bits_are_exact_or_refused() -> None:
    proto = model(
        [helper.make_node("Add", ["x", "x"], ["y"])],
        [info("x", INT64, [2])], [info("y", INT64, [2])],
    )  # fmt: skip
    loaded = sw.onnx.load(proto)
    y = loaded({"x": np.array([3, -4], np.int64)})["y"]
    assert y.dtype == np.int64
    np.testing.assert_array_equal(y, [6, -8])
    with pytest.raises(OverflowError, match="no 64-bit integers"):
        loaded({"x": np.array([2**40, 0], np.int64)})


def test_a_branch_is_chosen_by_what_is_known() -> None:
    def branch(name: str, op: str) -> Any:
        return helper.make_graph(
            [helper.make_node(op, ["x"], [name])], name, [], [info(name, FLOAT, None)]
        )

    proto = model(
        [
            helper.make_node("Size", ["x"], ["n"]),
            helper.make_node("Greater", ["n", "limit"], ["large"]),
            helper.make_node(
                "If", ["large"], ["y"],
                then_branch=branch("a", "Neg"), else_branch=branch("b", "Abs"),
            ),
        ],
        [info("x", FLOAT, ["n"])], [info("y", FLOAT, None)],
        limit=np.array(2, np.int64),
    )  # fmt: skip
    loaded = sw.onnx.load(proto)
    for x in (np.array([1.0, -2.0], np.float32), np.array([1.0, -2.0, 3.0], np.float32)):
        expected = -x if x.size > 2 else np.abs(x)
        np.testing.assert_array_equal(loaded({"x": x})["y"], expected)


def test_recurrent_networks_equal_torch() -> None:
    """A bidirectional LSTM of torch, with its weights in ONNX's order of gates."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    net = torch.nn.LSTM(5, 4, bidirectional=True)
    order = [0, 3, 1, 2]

    def gates(parameter: Any) -> Any:
        parts = np.split(parameter.detach().numpy(), 4)
        return np.concatenate([parts[i] for i in order])

    sides = ["", "_reverse"]
    w = np.stack([gates(getattr(net, f"weight_ih_l0{s}")) for s in sides])
    r = np.stack([gates(getattr(net, f"weight_hh_l0{s}")) for s in sides])
    b = np.stack([
        np.concatenate([gates(getattr(net, f"bias_{k}_l0{s}")) for k in ("ih", "hh")])
        for s in sides
    ])  # fmt: skip
    proto = model(
        [helper.make_node("LSTM", ["x", "w", "r", "b"], ["y"], hidden_size=4,
                          direction="bidirectional")],
        [info("x", FLOAT, [6, 2, 5])], [info("y", FLOAT, None)], w=w, r=r, b=b,
    )  # fmt: skip
    x = np.random.default_rng(0).normal(size=(6, 2, 5)).astype(np.float32)
    y = sw.onnx.load(proto)({"x": x})["y"]
    expected = net(torch.tensor(x))[0].detach().numpy().reshape(6, 2, 2, 4).transpose(0, 2, 1, 3)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)


def test_a_transform_of_another_length_equals_numpy() -> None:
    """Cut, continued with zeros, one-sided and back."""
    x = np.random.default_rng(0).normal(size=(2, 9, 3, 1)).astype(np.float32)
    for length in (7, 9, 12):
        proto = model(
            [
                helper.make_node("DFT", ["x", "n", "axis"], ["half"], onesided=1),
                helper.make_node("DFT", ["half", "n", "axis"], ["back"], onesided=1, inverse=1),
            ],
            [info("x", FLOAT, x.shape)], [info("half", FLOAT, None), info("back", FLOAT, None)],
            n=np.array(length), axis=np.array(1),
        )  # fmt: skip
        found = sw.onnx.load(proto)({"x": x})
        half = np.fft.rfft(x[..., 0], length, axis=1)
        expected = np.stack([half.real, half.imag], axis=-1)
        np.testing.assert_allclose(found["half"], expected, rtol=1e-4, atol=1e-5)
        back = np.fft.irfft(half, length, axis=1)[..., None]
        np.testing.assert_allclose(found["back"], back, rtol=1e-4, atol=1e-5)
