"""jit, grad and compile: trees, caches, captured arrays, donation, errors at the user's line."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import stepwell as sw
from stepwell import nn
from stepwell.frontend import operations


@pytest.fixture(autouse=True)
def reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEPWELL_DEVICE", "reference")


class Point(NamedTuple):
    x: Any
    y: Any


@dataclass
class Pair:
    left: Any
    right: Any


@pytest.mark.parametrize(
    "tree",
    [
        1.0,
        [1.0, (2.0, None)],
        {"b": 1.0, "a": {"c": [2.0]}},
        Point(1.0, {"k": 2.0}),
        Pair([1.0], 2.0),
        (),
        None,
    ],
    ids=str,
)
def test_trees_pass_through_jit(tree: Any) -> None:
    result = sw.jit(lambda t: t)(tree)
    assert type(result) is type(tree) or isinstance(tree, float)
    assert sw.tree_map(float, result) == tree


def test_tree_map_names_what_differs() -> None:
    assert sw.tree_map(lambda a, b: a + b, {"x": [1, 2]}, {"x": [10, 20]}) == {"x": [11, 22]}
    with pytest.raises(ValueError, match=r"x\.0"):
        sw.tree_map(lambda a, b: a, {"x": [1]}, {"y": 1})


def test_jit_compiles_once_for_each_shape_and_dtype() -> None:
    traces = 0

    @sw.jit
    def f(x: sw.Array, scale: float, *, offset: Any = 0.0) -> sw.Array:
        nonlocal traces
        traces += 1
        return x * scale + offset

    for scale in (1.0, 2.0, 3.5):
        assert float(f(np.float32(2), scale)) == 2 * scale
    assert traces == 1
    f(np.zeros(3, np.float32), 1.0)
    f(np.ones(3), 2.0)
    assert traces == 2
    f(np.zeros(3, np.int32), 1.0)
    f(np.zeros(3, np.float32), 1)
    assert traces == 4
    f(np.zeros(3, np.float32), 1.0, offset=np.ones(3, np.float32))
    assert traces == f.compiled == 5


def test_static_arguments_are_compiled_in() -> None:
    power = sw.jit(lambda x, n: x**n, static_argnums=1)
    assert float(power(3.0, 2)) == 9
    assert float(power(3.0, 3)) == 27
    assert power.compiled == 2
    with pytest.raises(TypeError, match="hashable"):
        sw.jit(lambda x, n: x, static_argnums=1)(1.0, [1])
    with pytest.raises(TypeError, match="static_argnums"):
        sw.jit(lambda x, mode: x)(1.0, "fast")


def test_nested_jit_is_inlined() -> None:
    inner = sw.jit(lambda x: x * 2)
    assert float(sw.jit(lambda x: inner(x) + inner(x))(3.0)) == 12
    assert inner.compiled == 0


def test_captured_arrays() -> None:
    small, large = sw.asarray([1.0, 2.0]), sw.asarray(np.arange(100.0))
    executable = sw.compile(lambda x: x + small.sum() + large.sum(), sw.spec(()))
    text = executable.ir("array")
    assert "array.constant" in text and "captured.0" in text and "99" not in text
    assert float(executable(1.0)) == 1 + 3 + 4950


def test_parameters_are_read_at_each_call() -> None:
    weight = sw.nn.Parameter([1.0, 2.0])
    f = sw.jit(lambda x: x * weight)
    np.testing.assert_array_equal(f(2.0), [2, 4])
    weight.assign([10.0, 20.0])
    np.testing.assert_array_equal(f(2.0), [20, 40])
    assert f.compiled == 1


def test_donated_arrays_are_used_up() -> None:
    @sw.jit
    def keep(state: Any, x: Any) -> Any:
        return {"s": state["s"] + x}, x

    step = sw.jit(lambda state, x: ({"s": state["s"] + x}, state["s"].sum()), donate_argnums=0)
    state = {"s": sw.zeros(3)}
    new, total = step(state, 1.0)
    np.testing.assert_array_equal(new["s"], [1, 1, 1])
    assert float(total) == 0
    with pytest.raises(RuntimeError, match="donated"):
        np.asarray(state["s"])
    text = step.lower(new, 1.0).ir()
    assert "stepwell.donated = 0 : i32" in text
    keep(new, 1.0)
    np.testing.assert_array_equal(new["s"], [1, 1, 1])


def test_executables_check_their_arguments() -> None:
    executable = sw.compile(lambda p, x: p["w"] @ x, {"w": sw.spec((2, 3))}, sw.spec((3,)))
    np.testing.assert_array_equal(executable({"w": np.ones((2, 3))}, np.ones(3)), [3, 3])
    with pytest.raises(TypeError, match=r"'p\.w' is f32\[3, 2\]; expected f32\[2, 3\]"):
        executable({"w": np.ones((3, 2))}, np.ones(3))
    with pytest.raises(TypeError, match=r"p\.w: f32\[2, 3\], x: f32\[3\]"):
        executable(np.ones(3))


def test_gradients_of_gradients_inside_and_outside_jit() -> None:
    cube = sw.grad(lambda x: x**3)
    assert float(cube(2.0)) == 12
    assert float(sw.grad(cube)(2.0)) == 12
    assert float(sw.grad(sw.grad(cube))(2.0)) == 6
    assert float(sw.jit(sw.grad(cube))(3.0)) == 18
    inner = sw.grad(lambda x: sw.grad(lambda y: x * y**2)(x) * x)
    assert float(inner(3.0)) == 2 * 3 * 9


def test_argnums_aux_and_stop_gradient() -> None:
    def f(a: sw.Array, b: sw.Array) -> tuple[sw.Array, dict[str, sw.Array]]:
        return (a * b).sum() + sw.stop_gradient(a).sum(), {"a2": a * 2}

    a, b = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    (value, aux), (da, db) = sw.value_and_grad(f, argnums=(0, 1), has_aux=True)(a, b)
    assert float(value) == 14
    np.testing.assert_array_equal(aux["a2"], 2 * a)
    np.testing.assert_array_equal(da, b)
    np.testing.assert_array_equal(db, a)
    gradient, aux = sw.grad(f, argnums=-1, has_aux=True)(a, b)
    np.testing.assert_array_equal(gradient, a)


def here() -> int:
    frame = inspect.currentframe()
    assert frame is not None and frame.f_back is not None
    return frame.f_back.f_lineno


X = np.zeros((2, 3), np.float32)
WRONG: list[tuple[Callable[[], Any], int, str]] = [
    (lambda: sw.jit(lambda x: x @ x)(X), here(), r"\[2, 3\] @ \[2, 3\]"),
    (lambda: sw.asarray(X) + np.ones(2), here(), "do not broadcast"),
    (lambda: sw.jit(lambda x: 1 if x.sum() > 0 else 2)(X), here(), "sw.where"),
    (lambda: sw.jit(lambda x: float(x[0, 0]))(X), here(), "astype"),
    (lambda: sw.jit(lambda x: [0, 1][x[0, 0].astype("i32")])(X), here(), "static_argnums"),
    (lambda: sw.jit(lambda x: np.asarray(x))(X), here(), "return the array"),
    (lambda: sw.grad(lambda x: x)(X), here(), r"returns f32\[2, 3\].*mean\(\)"),
    (lambda: sw.grad(lambda i: i * 2.0)(1), here(), "i32.*floats"),
    (lambda: sw.jit(lambda x: x[5])(X), here(), "index 5 is out of range"),
    (lambda: sw.jit(lambda x: sw.sum(x, axis=2))(X), here(), "axis 2 is out of range"),
    (lambda: sw.concat([sw.zeros((2, 2)), sw.zeros((2, 3))]), here(), r"\[2, 3\]"),
    (lambda: sw.exp(sw.zeros(3)).reshape(2), here(), "3 elements"),
    (lambda: sw.jit(lambda x: x.astype("u32") + -1)(X), here(), "-1 does not fit u32"),
    (lambda: sw.jit(lambda x: nn.Sequential(nn.BatchNorm2d(3))(x))(X), here(), "has not rank 4"),
    (lambda: sw.jit(lambda x: nn.LSTM(4, 2)(x))(X), here(), r"LSTM: takes \[length"),
    (lambda: sw.jit(lambda x: nn.functional.cross_entropy(x, X[0]))(X), here(), "targets"),
    (lambda: sw.jit(lambda x: x + None)(X), here(), "a NoneType is no operand"),
    (lambda: sw.asarray(X) + "x", here(), "a str is no operand"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "line", "message"), WRONG)
def test_errors_begin_with_the_users_line(call: Callable[[], Any], line: int, message: str) -> None:
    with pytest.raises(Exception, match=message) as caught:
        call()
    assert str(caught.value).startswith(f"{__file__}:{line}: ")


def test_leaked_tracers_are_errors() -> None:
    leaked: list[sw.Array] = []

    def leak(x: sw.Array) -> sw.Array:
        leaked.append(x * 2)
        return x.sum()

    sw.jit(leak)(X)
    with pytest.raises(TypeError, match="outlived the function"):
        sw.jit(lambda x: x + leaked[0])(X)

    def leak_from_gradient(x: sw.Array) -> sw.Array:
        sw.grad(leak)(x)
        return leaked[-1]

    with pytest.raises(TypeError, match="outlived the function"):
        sw.jit(leak_from_gradient)(X)


def test_operations_know_their_lines() -> None:
    from stepwell.dialects.errors import where
    from stepwell.frontend.compilation import trace_call

    line = here() + 1
    call = trace_call(lambda inputs: sw.tanh(inputs[0]), [sw.spec((2,))], ["x"])
    locations = {where(op.location) for op in call.traced.module.walk() if "array" in op.name}
    assert locations == {f"{__file__}:{line}: "}


def test_errors_leave_no_trace_behind() -> None:
    def fail(x: sw.Array) -> sw.Array:
        raise ZeroDivisionError

    for function in (sw.jit(fail), sw.grad(fail)):
        with pytest.raises(ZeroDivisionError):
            function(X)
    assert float(sw.asarray(1.0) + 1) == 2


def test_importing_and_loading_need_no_compiler() -> None:
    code = (
        "import sys, stepwell as sw; sw.load; sw.Executable; sw.asarray([1.0]);"
        "assert not [m for m in sys.modules if m.split('.')[0] == 'xdsl'], 'xdsl was imported'"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert not done.returncode, done.stderr


def test_public_names_exist() -> None:
    for name in dir(sw):
        assert getattr(sw, name) is not None
    source = Path(sw.__file__).read_text("utf-8")
    static = set(re.findall(r"(?:import|^ +) (\w+) as \1,?$", source, re.MULTILINE))
    assert "from stepwell.frontend.operations import *" in source
    assert static | {"__version__", *operations.__all__} == set(dir(sw))
    assert len(set(operations.__all__)) == len(operations.__all__)
