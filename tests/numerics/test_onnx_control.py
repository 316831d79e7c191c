"""ONNX's If, Loop and Scan: one body in the program, with the results of onnxruntime."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import stepwell as sw
from stepwell.backends.program import Command, Loop, Program
from stepwell.dialects.errors import UnsupportedError
from stepwell.frontend.onnx import importer

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

onnxruntime = pytest.importorskip("onnxruntime")

FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
node = helper.make_node


def info(name: str, element: int = FLOAT, shape: Any = None) -> Any:
    return helper.make_tensor_value_info(name, element, shape)


def graph(
    nodes: Sequence[Any], inputs: Sequence[Any], outputs: Sequence[Any], **weights: Any
) -> Any:
    tensors = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    return helper.make_graph(list(nodes), "graph", list(inputs), list(outputs), tensors)


def model(
    nodes: Sequence[Any],
    inputs: Sequence[Any],
    outputs: Sequence[Any],
    opset: int = 21,
    **weights: Any,
) -> Any:
    made = graph(nodes, inputs, outputs, **weights)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def random(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def commands(program: Program) -> int:
    """The commands that the program holds, however often they run."""

    def walk(held: Sequence[Command]) -> Iterator[Command]:
        for command in held:
            yield command
            if isinstance(command, Loop):
                yield from walk(command.commands)

    return sum(1 for _ in walk(program.commands))


def lowered(proto: Any, given: dict[str, Any], **options: Any) -> Program:
    shapes = {name: value.shape for name, value in given.items()}
    return sw.onnx.load(proto).lower(shapes, target="software", **options).program


def by_onnxruntime(proto: Any, given: dict[str, Any]) -> Any:
    providers = ["CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=providers)
    return session.run(None, given)


def agrees(proto: Any, given: dict[str, Any], rtol: float = 1e-4) -> dict[str, Any]:
    """The outputs, which equal those of onnxruntime."""
    found = sw.onnx.load(proto)(given)
    for (name, ours), theirs in zip(found.items(), by_onnxruntime(proto, given), strict=True):
        assert ours.shape == theirs.shape and ours.dtype == theirs.dtype, name
        np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=1e-5, err_msg=name)
    return found


# Scan


def recurrence(**options: Any) -> Any:
    """h = tanh(h r + x), whose weight is outside; what is collected is h and the new h - x."""
    body = graph(
        [
            node("MatMul", ["h", "r"], ["hr"]),
            node("Add", ["hr", "x"], ["sum"]),
            node("Tanh", ["sum"], ["after"]),
            node("Identity", ["h"], ["before"]),
            node("Sub", ["after", "x"], ["less"]),
        ],
        [info("h", shape=[2, 3]), info("x", shape=[2, 3])],
        [info("after"), info("before"), info("less")],
    )
    scan = node(
        "Scan", ["h0", "xs"], ["last", "all", "others"], body=body, num_scan_inputs=1, **options
    )
    return model(
        [scan], [info("h0", shape=[2, 3]), info("xs", shape=[None] * 3)],
        [info("last"), info("all"), info("others")], r=random(3, 3, seed=1) / 2,
    )  # fmt: skip


def test_a_scan_of_500_steps_holds_one() -> None:
    given = {"h0": random(2, 3), "xs": random(500, 2, 3)}
    agrees(recurrence(), given)
    short = {"h0": random(2, 3), "xs": random(5, 2, 3)}
    long_, few = lowered(recurrence(), given), lowered(recurrence(), short)
    assert len(long_.kernels) == len(few.kernels) and commands(long_) == commands(few)
    assert [c.count for c in long_.commands if isinstance(c, Loop)] == [500]


@pytest.mark.parametrize("outputs", [(0, 0), (1, 0), (1, 1)])
@pytest.mark.parametrize("inputs", [0, 1])
def test_directions_of_scans(inputs: int, outputs: tuple[int, int]) -> None:
    proto = recurrence(scan_input_directions=[inputs], scan_output_directions=outputs)
    found = sw.onnx.load(proto)({"h0": random(2, 3), "xs": random(4, 2, 3)})
    h, xs, r = random(2, 3), random(4, 2, 3), random(3, 3, seed=1) / 2
    steps: list[tuple[Any, Any]] = []
    for x in xs[::-1] if inputs else xs:
        after = np.tanh(h @ r + x)
        steps.append((h, after - x))
        h = after
    np.testing.assert_allclose(found["last"], h, rtol=1e-4, atol=1e-5)
    for name, backwards, stack in zip(
        ("all", "others"), outputs, zip(*steps, strict=True), strict=True
    ):
        expected = np.stack(stack[::-1] if backwards else stack)
        np.testing.assert_allclose(found[name], expected, rtol=1e-4, atol=1e-5)


def test_axes_of_scans() -> None:
    """Two things scanned, one along its last axis and backwards, and results put along others."""
    body = graph(
        [
            node("Mul", ["x", "y"], ["xy"]), node("Add", ["s", "xy"], ["t"]),
            node("Neg", ["xy"], ["minus"]), node("Identity", ["t"], ["sum"]),
        ],
        [info("s", shape=[3]), info("x", shape=[3]), info("y", shape=[3])],
        [info("t"), info("sum"), info("minus")],
    )  # fmt: skip
    scan = node(
        "Scan", ["s0", "xs", "ys"], ["last", "sums", "products"], body=body, num_scan_inputs=2,
        scan_input_axes=[1, -1], scan_input_directions=[0, 1], scan_output_axes=[-1, 0],
    )  # fmt: skip
    names = ("s0", "xs", "ys")
    proto = model([scan], [info(n) for n in names], [info(n) for n in ("last", "sums", "products")])
    s, xs, ys = random(3), random(3, 5), random(3, 5, seed=1)
    found = sw.onnx.load(proto)({"s0": s, "xs": xs, "ys": ys})
    products = xs * ys[:, ::-1]
    sums = s[:, None] + np.cumsum(products, axis=1)
    np.testing.assert_allclose(found["last"], sums[:, -1], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found["sums"], sums, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found["products"], -products.T, rtol=1e-4, atol=1e-5)


def test_batches_of_opset_8() -> None:
    body = graph(
        [node("Add", ["s", "x"], ["t"]), node("Identity", ["t"], ["sum"])],
        [info("s", shape=[2]), info("x", shape=[2])], [info("t"), info("sum")],
    )  # fmt: skip
    s, xs = random(3, 2), random(3, 5, 2)
    for backwards in (0, 1):
        scan = node("Scan", ["", "s0", "xs"], ["last", "sums"], body=body, num_scan_inputs=1,
                    directions=[backwards])  # fmt: skip
        proto = model([scan], [info("s0"), info("xs")], [info("last"), info("sums")], opset=8)
        found = sw.onnx.load(proto)({"s0": s, "xs": xs})
        sums = s[:, None] + np.cumsum(xs[:, ::-1] if backwards else xs, axis=1)
        np.testing.assert_allclose(found["last"], sums[:, -1], rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(found["sums"], sums, rtol=1e-5, atol=1e-5)


def test_bytes_are_scanned() -> None:
    """Slices of three bytes, which are no whole words."""
    body = graph(
        [node("Identity", ["x"], ["same"]), node("Cast", ["x"], ["wide"], to=FLOAT),
         node("Add", ["s", "wide"], ["t"])],
        [info("s", shape=[3]), info("x", TensorProto.INT8, [3])],
        [info("t"), info("same", TensorProto.INT8)],
    )  # fmt: skip
    scan = node("Scan", ["s0", "xs"], ["last", "all"], body=body, num_scan_inputs=1)
    inputs = [info("s0", shape=[3]), info("xs", TensorProto.INT8, [5, 3])]
    outputs = [info("last", shape=[3]), info("all", TensorProto.INT8, [5, 3])]
    xs = np.arange(-7, 8, dtype=np.int8).reshape(5, 3)
    agrees(model([scan], inputs, outputs), {"s0": random(3), "xs": xs})


# Loop


def counting(condition: Sequence[Any] = (), *, collects: bool = True, **weights: Any) -> Any:
    """x = x * 0.99 + i * w: `trips` times, as long as the condition's nodes say `going`."""
    nodes = [
        node("Cast", ["i"], ["fi"], to=FLOAT), node("Mul", ["fi", "w"], ["wi"]),
        node("Mul", ["x", "shrink"], ["less"]), node("Add", ["less", "wi"], ["after"]),
        *(condition or [node("Identity", ["before"], ["going"])]),
    ]  # fmt: skip
    collected = [node("Mul", ["after", "after"], ["square"])] if collects else []
    body = graph(
        [*nodes, *collected],
        [info("i", INT64, []), info("before", BOOL, []), info("x", shape=[4])],
        [info("going", BOOL), info("after"), *([info("square")] if collects else [])],
    )
    outputs = ["last", "squares"] if collects else ["last"]
    loop = node("Loop", ["trips", "", "x0"], outputs, body=body)
    inputs = [info("x0", shape=[4]), *([] if "trips" in weights else [info("trips", INT64, [])])]
    constants: dict[str, Any] = {"shrink": np.float32(0.99), "w": random(4, seed=2) / 50, **weights}
    return model([loop], inputs, [info(name) for name in outputs], **constants)


def test_a_loop_of_500_steps_holds_one() -> None:
    given = {"x0": random(4)}
    long_, few = counting(trips=np.array(500)), counting(trips=np.array(5))
    agrees(long_, given)
    long_, few = lowered(long_, given), lowered(few, given)
    assert len(long_.kernels) == len(few.kernels) and commands(long_) == commands(few)
    assert [c.count for c in long_.commands if isinstance(c, Loop)] == [500]


@pytest.mark.parametrize(("trips", "going"), [(0, True), (3, False), (1, True)])
def test_loops_of_no_steps_and_of_one(trips: int, going: bool) -> None:
    proto = counting(trips=np.array(trips), first=np.array(going))
    proto.graph.node[0].input[1] = "first"
    assert len(agrees(proto, {"x0": random(4)})["squares"]) == (trips if going else 0)


@pytest.mark.parametrize("going", [True, False])
def test_conditions_that_are_given(going: bool) -> None:
    proto = counting(trips=np.array(6), collects=False)
    proto.graph.node[0].input[1] = "first"
    proto.graph.input.append(info("first", BOOL, []))
    agrees(proto, {"x0": random(4), "first": np.array(going)})


def test_states_that_change_places() -> None:
    """One begins as a weight, and what is collected is a value from outside and a state."""
    body = graph(
        [
            node("Identity", ["before"], ["going"]), node("Identity", ["b"], ["a_"]),
            node("Add", ["a", "w"], ["b_"]), node("Identity", ["x0"], ["outside"]),
            node("Identity", ["b"], ["other"]),
        ],
        [info("i", INT64, []), info("before", BOOL, []), info("a", shape=[2]),
         info("b", shape=[2])],
        [info("going", BOOL), info("a_"), info("b_"), info("outside"), info("other")],
    )  # fmt: skip
    names = ["last_a", "last_b", "outsides", "others"]
    loop = node("Loop", ["trips", "", "x0", "w"], names, body=body)
    proto = model(
        [loop], [info("x0", shape=[2])], [info(name) for name in names],
        trips=np.array(5), w=random(2, seed=1),
    )  # fmt: skip
    agrees(proto, {"x0": random(2)})


def test_trips_that_are_known_only_when_it_runs() -> None:
    """One program for all numbers, as nothing is collected."""
    proto = counting(collects=False)
    loaded = sw.onnx.load(proto)
    for trips in (0, 1, 70):
        given = {"x0": random(4), "trips": np.array(trips)}
        (last,) = by_onnxruntime(proto, given)
        np.testing.assert_allclose(loaded(given)["last"], last, rtol=1e-4, atol=1e-5)
    assert not loaded.specialized


def test_collected_results_make_a_program_for_each_number_of_trips() -> None:
    loaded = sw.onnx.load(counting())
    for trips in (3, 5):
        assert loaded({"x0": random(4), "trips": np.array(trips)})["squares"].shape == (trips, 4)
    assert loaded.specialized == {"trips"}


@pytest.mark.parametrize("trips", [7, 1000, 2**63 - 1])
def test_conditions_that_are_computed(trips: int) -> None:
    condition = [
        node("ReduceSumSquare", ["after"], ["sum"], keepdims=0),
        node("Less", ["sum", "limit"], ["going"]),
    ]
    proto = counting(condition, collects=False, trips=np.array(trips), limit=np.float32(25))
    agrees(
        proto,
        {
            "x0": np.abs(random(4)),
        },
    )
    (loop,) = (c for c in lowered(proto, {"x0": random(4)}).commands if isinstance(c, Loop))
    assert loop.going is not None


def test_a_condition_that_is_computed_and_results_that_are_collected_are_refused() -> None:
    condition = [
        node("ReduceMax", ["after"], ["most"], keepdims=0),
        node("Less", ["most", "w0"], ["going"]),
    ]
    proto = counting(condition, trips=np.array(9), w0=np.float32(3))
    with pytest.raises(UnsupportedError, match=r"the end depends on .* and .*how many results"):
        sw.onnx.load(proto)({"x0": random(4)})


def test_states_that_no_step_changes_decide_about_shapes() -> None:
    """One of three states stays; the others are counted and computed."""
    body = graph(
        [
            node("Identity", ["before"], ["going"]), node("Identity", ["shape"], ["shape_"]),
            node("Add", ["n", "one"], ["n_"]), node("Reshape", ["x", "shape"], ["y"]),
            node("ReduceSum", ["y", "first"], ["s"], keepdims=1), node("Add", ["x", "s"], ["x_"]),
        ],
        [info("i", INT64, []), info("before", BOOL, []), info("shape", INT64, [2]),
         info("n", INT64, []), info("x", shape=[1, 6])],
        [info("going", BOOL), info("shape_", INT64), info("n_", INT64), info("x_")],
    )  # fmt: skip
    nodes = [
        node("Loop", ["trips", "true", "shape", "n", "x0"], ["kept", "count", "x"], body=body),
        node("Reshape", ["x", "kept"], ["y"]),
    ]
    proto = model(
        nodes, [info("x0", shape=[1, 6])], [info("y"), info("count", INT64)],
        trips=np.array(40), true=np.array(True), shape=np.array([1, -1]), n=np.array(2),
        one=np.array(1), first=np.array([0]),
    )  # fmt: skip
    given = {"x0": random(1, 6) / 1e12}
    agrees(proto, given)
    assert any(isinstance(command, Loop) for command in lowered(proto, given).commands)


def test_arithmetic_on_known_values_is_not_in_the_program() -> None:
    """A shape that a loop makes."""
    body = graph(
        [node("Identity", ["before"], ["going"]), node("Mul", ["n", "two"], ["n_"]),
         node("Identity", ["n_"], ["each"])],
        [info("i", INT64, []), info("before", BOOL, []), info("n", INT64, [1])],
        [info("going", BOOL), info("n_", INT64), info("each", INT64)],
    )  # fmt: skip
    nodes = [
        node("Loop", ["trips", "", "one"], ["n", "all"], body=body),
        node("Reshape", ["all", "flat"], ["sizes"]), node("Expand", ["x", "sizes"], ["y"]),
    ]  # fmt: skip
    proto = model(
        nodes, [info("x", shape=[1, 1, 1])], [info("y"), info("n", INT64)],
        trips=np.array(3), one=np.array([1]), two=np.array(2), flat=np.array([-1]),
    )  # fmt: skip
    given = {"x": random(1, 1, 1)}
    assert agrees(proto, given)["y"].shape == (2, 4, 8)
    assert not any(isinstance(command, Loop) for command in lowered(proto, given).commands)


def test_weights_of_a_body_are_taken_once() -> None:
    """Though it is traced again when it is seen that a known state changes."""
    w = random(40, 40) / 10
    body = graph(
        [node("Identity", ["before"], ["going"]), node("Add", ["n", "one"], ["n_"]),
         node("Constant", [], ["v"], value=numpy_helper.from_array(w)),
         node("MatMul", ["x", "w"], ["xw"]), node("MatMul", ["xw", "v"], ["x_"])],
        [info("i", INT64, []), info("before", BOOL, []), info("n", INT64, []),
         info("x", shape=[2, 40])],
        [info("going", BOOL), info("n_", INT64), info("x_")], w=w,
    )  # fmt: skip
    loop = node("Loop", ["trips", "", "zero", "x0"], ["count", "y"], body=body)
    proto = model(
        [loop], [info("x0", shape=[2, 40])], [info("y"), info("count", INT64)],
        trips=np.array(9), zero=np.array(0), one=np.array(1),
    )  # fmt: skip
    assert agrees(proto, {"x0": random(2, 40)})["count"] == 9
    assert len(sw.onnx.load(proto).lower({"x0": (2, 40)}).captured) == 2


def test_states_that_grow_are_written_out() -> None:
    body = graph(
        [node("Identity", ["before"], ["going"]), node("Concat", ["x", "x0"], ["x_"], axis=0)],
        [info("i", INT64, []), info("before", BOOL, []), info("x")],
        [info("going", BOOL), info("x_")],
    )
    nodes = [node("Loop", ["trips", "", "x0"], ["y"], body=body)]
    inputs = [info("x0", shape=[2]), info("trips", INT64, [])]
    loaded = sw.onnx.load(model(nodes, inputs, [info("y")]))
    for trips in (1, 3):
        found = loaded({"x0": random(2), "trips": np.array(trips)})["y"]
        np.testing.assert_array_equal(found, np.tile(random(2), trips + 1))
    assert loaded.specialized == {"trips"}
    proto = model(nodes, inputs[:1], [info("y")], trips=np.array(10_000))
    with pytest.raises(UnsupportedError, match=r"10000 steps.*carry.* begins as f32\[2\]"):
        sw.onnx.load(proto)({"x0": random(2)})


def test_loops_within_loops() -> None:
    """A Scan over rows in a Loop, whose bodies read what is outside of both."""
    scan = graph(
        [node("Mul", ["c", "w"], ["cw"]), node("Add", ["cw", "row"], ["cell"]),
         node("Tanh", ["cell"], ["c_"]), node("Add", ["c_", "fi"], ["shown"])],
        [info("c", shape=[3]), info("row", shape=[3])], [info("c_"), info("shown")],
    )  # fmt: skip
    body = graph(
        [
            node("Identity", ["before"], ["going"]),
            node("Cast", ["i"], ["fi"], to=FLOAT),
            node("Scan", ["state", "rows"], ["state_", "table"], body=scan, num_scan_inputs=1),
        ],
        [info("i", INT64, []), info("before", BOOL, []), info("state", shape=[3])],
        [info("going", BOOL), info("state_"), info("table")],
    )
    loop = node("Loop", ["trips", "", "c0"], ["last", "tables"], body=body)
    proto = model(
        [loop], [info("c0", shape=[3]), info("rows", shape=[5, 3])], [info("last"), info("tables")],
        trips=np.array(30), w=random(3, seed=3),
    )  # fmt: skip
    given = {"c0": random(3), "rows": random(5, 3)}
    agrees(proto, given)
    (outer,) = (c for c in lowered(proto, given).commands if isinstance(c, Loop))
    assert outer.count == 30
    assert [c.count for c in outer.commands if isinstance(c, Loop)] == [5]


def nest(depth: int) -> Any:
    """Loops within each other, each of which counts, and adds its number to what is innermost."""
    held = [node("Mul", ["x0", "w"], ["y0"])]
    for n in range(depth):
        body = graph(
            [
                *held,
                node("Identity", [f"before{n}"], [f"going{n}"]),
                node("Add", [f"count{n}", f"i{n}"], [f"counted{n}"]),
                node("Cast", [f"count{n}"], [f"number{n}"], to=FLOAT),
                node("Add", [f"y{n}", f"number{n}"], [f"z{n}"]),
            ],
            [info(f"i{n}", INT64, []), info(f"before{n}", BOOL, []), info(f"count{n}", INT64, []),
             info(f"x{n}", shape=[3])],
            [info(f"going{n}", BOOL), info(f"counted{n}", INT64), info(f"z{n}")],
        )  # fmt: skip
        taken = ["trips", "", "zero", f"x{n + 1}"]
        held = [node("Loop", taken, [f"last{n}", f"y{n + 1}"], f"loop {n}", body=body)]
    weights: dict[str, Any] = {"trips": np.array(2), "zero": np.array(0), "w": random(3)}
    return model(held, [info(f"x{depth}", shape=[3])], [info(f"y{depth}")], **weights)


def test_depth_does_not_multiply_traces(monkeypatch: pytest.MonkeyPatch) -> None:
    """A level adds a trace to each body inside of it: what loops found before, they keep."""
    traces = 0
    run = importer._Graphs.__call__  # pyright: ignore[reportPrivateUsage]

    def counted(self: Any, attribute: str, inputs: Any) -> Any:
        nonlocal traces
        traces += 1
        return run(self, attribute, inputs)

    monkeypatch.setattr(importer._Graphs, "__call__", counted)  # pyright: ignore[reportPrivateUsage]
    found: list[int] = []
    for depth in range(1, 7):
        traces = 0
        proto, given = nest(depth), {f"x{depth}": random(3)}
        lowered(proto, given)
        found.append(traces)
        if depth < 4:
            agrees(proto, given)
    more = [b - a for a, b in pairwise(found)]
    assert all(b - a <= 1 for a, b in pairwise(more)), found


# If


def choosing(left: Sequence[Any], right: Sequence[Any], **weights: Any) -> Any:
    """y by one of two branches, by the sum of x."""
    branches = {
        "then_branch": graph(left, [], [info("a")]), "else_branch": graph(right, [], [info("b")]),
    }  # fmt: skip
    nodes = [
        node("ReduceSum", ["x"], ["sum"], keepdims=0),
        node("Greater", ["sum", "zero"], ["positive"]),
        node("If", ["positive"], ["y"], **branches),
    ]  # fmt: skip
    return model(nodes, [info("x", shape=[6])], [info("y")], zero=np.float32(0), **weights)


def test_branches_that_data_chooses() -> None:
    """One program, whatever the data: weights inside a branch, and a value around it."""
    large = random(6, 200)
    left = [node("Constant", [], ["w"], value=numpy_helper.from_array(large)),
            node("MatMul", ["x", "w"], ["a"])]  # fmt: skip
    right = [node("Expand", ["sum", "size"], ["b"])]
    proto = choosing(left, right, size=np.array([200]))
    loaded = sw.onnx.load(proto)
    for sign in (1, -1):
        x = sign * np.abs(random(6))
        expected = x @ large if sign > 0 else np.full(200, x.sum())
        np.testing.assert_allclose(loaded({"x": x})["y"], expected, rtol=1e-4, atol=1e-5)
    assert not loaded.specialized


def test_settings_make_a_program_each() -> None:
    """The branch of one sampling rate is all that is in the program for it."""
    branches = {
        "then_branch": graph([node("MatMul", ["x", "w"], ["a"])], [], [info("a")]),
        "else_branch": graph([node("MatMul", ["w", "x"], ["b"])], [], [info("b")]),
    }
    nodes = [
        node("Equal", ["rate", "high"], ["is_high"]),
        node("If", ["is_high"], ["y"], **branches),
    ]
    inputs = [info("x", shape=[4, 4]), info("rate", INT64, [])]
    proto = model(nodes, inputs, [info("y")], w=random(4, 4, seed=1), high=np.array(16000))
    loaded = sw.onnx.load(proto, device="reference")
    x, w = random(4, 4), random(4, 4, seed=1)
    for rate, y in ((16000, x @ w), (8000, w @ x)):
        found = loaded({"x": x, "rate": np.array(rate)})["y"]
        np.testing.assert_allclose(found, y, rtol=1e-4, atol=1e-5)
    assert loaded.specialized == {"rate"}
    program = lowered(proto, {"x": x}, values={"rate": np.array(8000)})
    assert program.dispatches == 1


def test_branches_that_steps_choose() -> None:
    """By the position, whose last depends on an input."""
    branches = {
        "then_branch": graph([node("Neg", ["x"], ["a"])], [], [info("a")]),
        "else_branch": graph([node("Add", ["x", "x"], ["b"])], [], [info("b")]),
    }
    body = graph(
        [node("Identity", ["before"], ["going"]), node("Less", ["i", "three"], ["early"]),
         node("If", ["early"], ["x_"], **branches)],
        [info("i", INT64, []), info("before", BOOL, []), info("x", shape=[2])],
        [info("going", BOOL), info("x_")],
    )  # fmt: skip
    loop = node("Loop", ["trips", "", "x0"], ["y"], body=body)
    inputs = [info("x0", shape=[2]), info("trips", INT64, [])]
    loaded = sw.onnx.load(model([loop], inputs, [info("y")], three=np.array(3)), device="reference")
    x = random(2)
    for trips, y in ((2, x), (7, -16 * x)):
        np.testing.assert_allclose(loaded({"x0": x, "trips": np.array(trips)})["y"], y)
    assert not loaded.specialized


def test_branches_of_different_shapes_make_a_program_each() -> None:
    proto = choosing([node("Neg", ["x"], ["a"])], [node("Identity", ["sum"], ["b"])])
    loaded = sw.onnx.load(proto)
    for sign in (1, -1):
        x = sign * np.abs(random(6))
        np.testing.assert_allclose(loaded({"x": x})["y"], -x if sign > 0 else x.sum(), rtol=1e-6)
    assert loaded.specialized == {"x"}


def test_a_branch_that_cannot_be_chosen_when_it_runs_says_why() -> None:
    branches = {
        "then_branch": graph([node("Neg", ["x"], ["a"])], [], [info("a")]),
        "else_branch": graph([node("Identity", ["one"], ["b"])], [], [info("b")]),
    }
    body = graph(
        [node("If", ["chosen"], ["y"], name="choice", **branches)],
        [info("x", shape=[2]), info("chosen", BOOL, [])], [info("y"), info("y")],
    )  # fmt: skip
    scan = node("Scan", ["x0", "which"], ["last", "all"], body=body, num_scan_inputs=1)
    inputs = [info("x0", shape=[2]), info("which", BOOL, [5])]
    proto = model([scan], inputs, [info("last")], one=np.float32(1))
    message = r"node 'choice' \(If, opset 21\).*one program cannot hold both branches.*f32\[2\]"
    with pytest.raises(UnsupportedError, match=message):
        sw.onnx.load(proto)({"x0": random(2), "which": np.ones(5, bool)})
