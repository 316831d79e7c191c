"""ONNX's operators whose results have a size that depends on values, against onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

import stepwell as sw
from stepwell.dialects.errors import UnsupportedError

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

node = helper.make_node
BOOL, FLOAT, INT64 = TensorProto.BOOL, TensorProto.FLOAT, TensorProto.INT64


def model(
    nodes: list[Any],
    given: dict[str, Any],
    outputs: Mapping[str, int],
    opset: int = 18,
    **weights: Any,
) -> Any:
    """A model of inputs like these, all of whose sizes are known, and of outputs of these types."""
    graph = helper.make_graph(
        nodes, "test",
        [
            helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape)
            for n, v in given.items()
        ],
        [helper.make_tensor_value_info(name, kind, None) for name, kind in outputs.items()],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def compare(
    nodes: list[Any], given: dict[str, Any], outputs: Mapping[str, int], **options: Any
) -> dict[str, Any]:
    """Our outputs, which equal onnxruntime's in values, dtypes and shapes."""
    proto = model(nodes, given, outputs, **options)
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    ours = sw.onnx.load(proto)(given)
    for name, theirs in zip(outputs, session.run(list(outputs), given), strict=True):
        assert ours[name].dtype == theirs.dtype
        np.testing.assert_allclose(ours[name], theirs, rtol=1e-5, atol=1e-5, err_msg=name)
    return ours


def boxes(batches: int, classes: int, count: int, seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 6, (batches, count, 2))
    corners = np.concatenate([low, low + rng.uniform(0, 3, low.shape)], -1)
    # Many scores are equal.
    scores = rng.integers(0, 50, (batches, classes, count)) / 50
    return {"boxes": corners.astype(np.float32), "scores": scores.astype(np.float32)}


def suppression(**options: Any) -> Any:
    inputs = ["boxes", "scores", "most", "iou", "least"]
    return node("NonMaxSuppression", inputs, ["y"], **options)


@pytest.mark.parametrize("center", [0, 1])
@pytest.mark.parametrize(("most", "iou", "least"), [(200, 0.4, 0.1), (7, 0.0, 0.9), (3, 0.5, 2.0)])
def test_suppression(most: int, iou: float, least: float, center: int) -> None:
    given = boxes(2, 3, 200, seed=most)
    thresholds = {"iou": np.array([iou], np.float32), "least": np.array([least], np.float32)}
    found = compare(
        [suppression(center_point_box=center)], given, {"y": INT64},
        most=np.array([most], np.int64), **thresholds,
    )["y"]  # fmt: skip
    assert (len(found) > 0) == (least < 1)


def test_suppression_of_infinite_scores() -> None:
    given = boxes(1, 1, 9, seed=0)
    given["scores"][0, 0, [1, 4, 7]] = np.inf
    given["scores"][0, 0, [2, 3]] = -np.inf
    proto = [node("NonMaxSuppression", ["boxes", "scores", "most", "iou"], ["y"])]
    compare(proto, given, {"y": INT64}, most=np.array([9]), iou=np.array([0.3], np.float32))


def test_the_ir_of_a_suppression_does_not_grow_with_its_boxes() -> None:
    def text(count: int) -> str:
        given = boxes(1, 1, count, seed=0)
        sizes: dict[str, Any] = {
            "most": np.array([count]),
            "iou": np.float32(0.5),
            "least": np.float32(0),
        }
        return sw.onnx.load(model([suppression()], given, {"y": INT64}, **sizes)).lower().ir()

    assert text(300).count("\n") < text(150).count("\n") + 40


@pytest.mark.parametrize("shape", [(1,), (7,), (2, 3, 4)])
def test_non_zero(shape: Any) -> None:
    rng = np.random.default_rng(1)
    for x in (rng.random(shape) < 0.4, np.zeros(shape, np.float32), rng.integers(-1, 2, shape)):
        compare([node("NonZero", ["x"], ["y"])], {"x": np.asarray(x)}, {"y": INT64})


@pytest.mark.parametrize("x", [0.0, 2.0])
def test_non_zero_of_one_number(x: float) -> None:
    """ONNX says [0, count] where onnxruntime gives [1, count]."""
    proto = model([node("NonZero", ["x"], ["y"])], {"x": np.float32(x)}, {"y": INT64})
    assert sw.onnx.load(proto)({"x": np.float32(x)})["y"].shape == (0, int(x > 0))


@pytest.mark.parametrize("ordered", [0, 1])
@pytest.mark.parametrize("axis", [None, 0, 1, -1])
def test_unique(axis: int | None, ordered: int) -> None:
    rng = np.random.default_rng(0)
    options: dict[str, Any] = {} if axis is None else {"axis": axis}
    names = ["y", "first", "inverse", "counts"]
    proto = [node("Unique", ["x"], names, sorted=ordered, **options)]
    for x in (rng.integers(0, 2, (6, 3, 2)), rng.integers(0, 40, (5, 4, 2)), np.ones((1, 1, 1))):
        given = {"x": x.astype(np.float32)}
        compare(proto, given, dict(zip(names, [FLOAT, INT64, INT64, INT64], strict=True)))


@pytest.mark.parametrize("axis", [None, 0, 1, -2])
@pytest.mark.parametrize("count", [2, 3])
def test_compress(axis: int | None, count: int) -> None:
    rng = np.random.default_rng(2)
    options: dict[str, Any] = {} if axis is None else {"axis": axis}
    x = rng.normal(size=(3, 4)).astype(np.float32)
    for condition in (rng.random(count) < 0.5, np.zeros(count, np.bool_), np.ones(count, np.bool_)):
        given = {"x": x, "condition": condition}
        compare([node("Compress", ["x", "condition"], ["y"], **options)], given, {"y": FLOAT})


def regions() -> dict[str, Any]:
    """Within the images, across their edges, larger than they are, empty, and turned round."""
    rois = [
        [1.2, 2.5, 9.1, 11.3], [-5, -3, 4, 6], [-20, -30, 60, 44], [3, 3, 3, 3], [9, 8, 4, 2],
        [0, 0, 6, 6], [30, 30, 40, 40], [2, 0, 2.5, 12],
    ]  # fmt: skip
    x = np.random.default_rng(3).normal(size=(2, 3, 12, 10)).astype(np.float32)
    images = np.arange(len(rois)) % 2
    return {"x": x, "rois": np.array(rois, np.float32), "images": images}


@pytest.mark.parametrize("mode", ["avg", "max"])
@pytest.mark.parametrize("pixels", ["half_pixel", "output_half_pixel", None])
def test_regions_with_samples_of_their_own(mode: str, pixels: str | None) -> None:
    options: dict[str, Any] = {} if pixels is None else {"coordinate_transformation_mode": pixels}
    proto = node(
        "RoiAlign", ["x", "rois", "images"], ["y"],
        output_height=3, output_width=2, sampling_ratio=0, spatial_scale=0.5, mode=mode, **options,
    )  # fmt: skip
    compare([proto], regions(), {"y": FLOAT}, opset=16 if pixels else 10)


MASKED = [
    node("Greater", ["x", "zero"], ["mask"]),
    node("NonZero", ["mask"], ["places"]),
    node("Transpose", ["places"], ["rows"]),
]


@pytest.mark.parametrize("threshold", [-9.0, 0.0, 9.0])
def test_what_goes_on_with_padded_values(threshold: float) -> None:
    """Elements that a mask selects, and arithmetic with them; some, all and none of them."""
    x = np.random.default_rng(4).normal(size=(4, 5)).astype(np.float32)
    nodes = [
        *MASKED,
        node("GatherND", ["x", "rows"], ["taken"]),
        node("Mul", ["taken", "two"], ["twice"]),
        node("Unsqueeze", ["twice", "one"], ["column"]),
        node("Cast", ["rows"], ["floats"], to=FLOAT),
        node("Concat", ["floats", "column"], ["joined"], axis=1),
        node("Gather", ["joined", "order"], ["y"], axis=1),
        node("Slice", ["y", "one", "two_", "one"], ["last"]),
        node("Squeeze", ["last", "one"], ["flat"]),
        node("Split", ["rows"], ["first", "second"], axis=1, num_outputs=2),
        node("Squeeze", ["first", "one"], ["lines"]),
        node("Gather", ["x", "lines"], ["z"]),
        node("Where", ["truth", "z", "x_"], ["w"]),
    ]
    outputs = {"y": FLOAT, "flat": FLOAT, "lines": INT64, "z": FLOAT, "w": FLOAT, "second": INT64}
    compare(
        nodes, {"x": x}, outputs,
        zero=np.float32(threshold), two=np.float32(2), one=np.array([1]), two_=np.array([2]),
        order=np.array([2, 0]), truth=np.arange(5) < 3, x_=np.ones((1, 5), np.float32),
    )  # fmt: skip


def test_boxes_that_are_found() -> None:
    """The end of a detector: the rows of the boxes that stay."""
    nodes = [
        suppression(),
        node("Gather", ["y", "two"], ["positions"], axis=1),
        node("Squeeze", ["positions", "one"], ["rows"]),
        node("Squeeze", ["boxes", "zero"], ["table"]),
        node("Gather", ["table", "rows"], ["found"]),
    ]
    names: dict[str, Any] = {
        "zero": np.array([0]), "one": np.array([1]), "two": np.array([2]), "most": np.array([20]),
        "iou": np.array([0.3], np.float32), "least": np.array([0.2], np.float32),
    }  # fmt: skip
    compare(nodes, boxes(1, 1, 40, seed=1), {"found": FLOAT, "y": INT64}, **names)


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([node("ReduceSum", ["rows"], ["y"])], r"node 'y' \(ReduceSum, opset 18\): operand 'rows'"),
        ([node("Shape", ["rows"], ["y"])], "operand 'rows': its size depends on values"),
        ([node("Add", ["rows", "many"], ["y"])], "operand 'rows'"),
        ([node("Softmax", ["rows"], ["y"], axis=0)], "operand 'rows'"),
        ([node("Gather", ["rows", "one"], ["y"], axis=0)], "operand 'rows'"),
        ([node("Slice", ["rows", "one", "one"], ["y"])], "operand 'rows'"),
        ([node("Concat", ["rows", "many"], ["y"], axis=1)], "operand 'rows'"),
        ([node("Concat", ["rows", "rows"], ["y"], axis=0)], "operand 'rows', 'rows'"),
        ([node("Neg", ["rows"], ["z"]), node("CumSum", ["z", "first"], ["y"])], "operand 'z'"),
        (
            [
                node("NonZero", ["mask"], ["others"]), node("Transpose", ["others"], ["rows_"]),
                node("Add", ["rows", "rows_"], ["y"]),
            ],
            "operand 'rows', 'rows_'",
        ),
    ],
)  # fmt: skip
def test_where_padding_might_matter_it_is_refused(nodes: list[Any], message: str) -> None:
    x = np.zeros((4, 5), np.float32)
    weights: dict[str, Any] = {"zero": np.float32(0), "first": np.array(0), "one": np.array([1])}
    weights["many"] = np.ones((20, 2), np.int64)
    with pytest.raises(UnsupportedError, match=message):
        sw.onnx.load(model([*MASKED, *nodes], {"x": x}, {"y": INT64}, **weights))({"x": x})


def test_loops_and_branches_of_padded_values_are_refused() -> None:
    def value(name: str, kind: int) -> Any:
        return helper.make_tensor_value_info(name, kind, None)

    same = [node("Identity", ["going"], ["still"])]
    collects = helper.make_graph(
        [*same, node("NonZero", ["s"], ["found"]), node("Neg", ["s"], ["t"])], "collects",
        [value("i", INT64), value("going", BOOL), value("s", FLOAT)],
        [value("still", BOOL), value("t", FLOAT), value("found", INT64)],
    )  # fmt: skip
    carries = helper.make_graph(
        [*same, node("Neg", ["s"], ["t"])], "carries",
        [value("i", INT64), value("going", BOOL), value("s", INT64)],
        [value("still", BOOL), value("t", INT64)],
    )  # fmt: skip
    nodes = [
        *MASKED,
        node("Loop", ["three", "", "x"], ["last", "y"], body=collects),
        node("Loop", ["three", "", "rows"], ["z"], body=carries),
    ]
    x = np.zeros((4, 5), np.float32)
    weights: dict[str, Any] = {"zero": np.float32(0), "three": np.array(3)}
    with pytest.raises(UnsupportedError) as caught:
        sw.onnx.load(model(nodes, {"x": x}, {"y": INT64, "z": INT64}, **weights))({"x": x})
    assert "'found' in its body: its size depends on values" in str(caught.value)
    assert "node 'z' (Loop, opset 18): operand 'rows': its size depends" in str(caught.value)
