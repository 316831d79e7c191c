"""What the table of functions says: gradients against differences, dtypes below `array`, refusals.

The rows of `operations.examples` are run here by NumPy's meaning of the operations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest
from operations.examples import EXAMPLES, example
from xdsl.dialects.builtin import ModuleOp

import stepwell as sw
from stepwell.backends.reference import run
from stepwell.dialects.build import clone
from stepwell.dialects.errors import StepwellError
from stepwell.frontend.dtypes import NARROW, DType, float16, float32
from stepwell.passes.pipeline import lower
from stepwell.passes.target import target_named
from stepwell.tools import tried
from stepwell.tools.tried import Example, Outcome, Varied

FUNCTIONS = tried.functions()
STEP = 1e-3


@cache
def outcome_of(name: str) -> Outcome:
    return tried.attempt(FUNCTIONS[name], example(name, FUNCTIONS[name]))


def values(call: Example, dtype: DType, seed: int = 0) -> list[Any]:
    """Elements for the arrays of a call: integers are small and not 0."""
    rng = np.random.default_rng(seed)
    return [_value(rng, varied, dtype) for varied in call.varied]


def _value(rng: Any, varied: Varied, dtype: DType) -> Any:
    if dtype.kind == "bool":
        return rng.uniform(size=varied.shape) < 0.5
    if dtype.kind == "int":
        return rng.integers(1, 5, varied.shape).astype(dtype.numpy)
    found = rng.uniform(varied.low, varied.high, varied.shape)
    if varied.diagonal:
        found = found + varied.diagonal * np.eye(varied.shape[-1])
    return found.astype(dtype.numpy)


def of(module: ModuleOp, arrays: Sequence[Any]) -> list[Any]:
    return run(module, "main", [np.asarray(array, np.float32) for array in arrays])


def total(arrays: Sequence[Any]) -> float:
    """The sum of the squares of floats, as that whose gradient is taken."""
    return sum(float(np.sum(a.astype(np.float64) ** 2)) for a in arrays if a.dtype.kind == "f")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function(name: str) -> None:
    """It takes some dtypes, and its gradients along a direction are what differences say."""
    function, call = FUNCTIONS[name], example(name, FUNCTIONS[name])
    outcome = outcome_of(name)
    assert outcome.dtypes, f"{name} needs a row in operations/examples.py"
    if not outcome.orders:
        return
    arrays = values(call, float32)
    ways = [np.random.default_rng(1).uniform(-1, 1, array.shape) for array in arrays]
    sides = [
        [array + sign * STEP * way for array, way in zip(arrays, ways, strict=True)]
        for sign in (1, -1)
    ]
    below, _ = tried.traced(function, call, float32)
    for order in range(1, outcome.orders + 1):
        module = tried.differentiated(function, call, float32, order)
        module.verify()
        there, back = (total(of(below, side)) for side in sides)
        slopes = of(module, arrays)
        found = sum(float(np.sum(g * way)) for g, way in zip(slopes, ways, strict=True))
        assert found == pytest.approx((there - back) / (2 * STEP), rel=5e-3, abs=5e-3), order
        below = module


@pytest.mark.parametrize("name", [n for n in FUNCTIONS if example(n, FUNCTIONS[n]).varied])
def test_gradients_of_halves(name: str) -> None:
    """Where f32 has a gradient, so has f16, in f16."""
    function, call = FUNCTIONS[name], example(name, FUNCTIONS[name])
    outcome = outcome_of(name)
    if outcome.orders is not None and outcome.dtypes.get(float16) is float16:
        tried.differentiated(function, call, float16, 1).verify()


@pytest.mark.parametrize("dtype", tried.TRIED[1:], ids=str)
def test_what_is_taken_can_be_lowered(dtype: DType) -> None:
    """At `linalg` the functions give what they do at `array`."""
    wrong: list[str] = []
    for name, function in FUNCTIONS.items():
        call = example(name, function)
        if not call.varied:
            continue
        try:
            module, _ = tried.traced(function, call, dtype)
        except StepwellError:
            continue
        arrays = values(call, dtype)
        expected = run(clone(module, {}), "main", arrays)
        lower(module, target_named("software"), "linalg")
        rough = dtype is float16
        for mine, theirs in zip(run(module, "main", arrays), expected, strict=True):
            same = mine.dtype == theirs.dtype and np.allclose(
                mine, theirs, rtol=1e-2 if rough else 1e-4, atol=1e-2 if rough else 1e-4,
                equal_nan=True,
            )  # fmt: skip
            if not same:
                wrong.append(f"{name}: {mine} is not {theirs}")
    assert wrong == []


def test_narrow_integers_fare_alike() -> None:
    """int8 stands for all of them in the table."""
    for name, function in FUNCTIONS.items():
        call = example(name, function)
        if call.has_dtype:
            found = [_result(function, call, dtype) for dtype in NARROW]
            # All are kept, all give the same, or none is taken.
            assert found == list(map(str, NARROW)) or len({*found}) == 1, f"{name}: {found}"


def _result(function: Callable[..., Any], call: Example, dtype: DType) -> str:
    try:
        return str(tried.traced(function, call, dtype)[1][0])
    except StepwellError:
        return "refused"


def test_rows_name_functions() -> None:
    assert [name for name in EXAMPLES if f"sw.{name}" not in FUNCTIONS] == []


def test_refusals_name_the_line() -> None:
    """Whatever a function does not take, its error begins with the place of the call."""
    for name, function in FUNCTIONS.items():
        call = example(name, function)
        for dtype in tried.TRIED if call.varied else ():
            specs = [sw.spec(varied.shape, dtype) for varied in call.varied]
            try:
                sw.compile(
                    lambda *arrays, c=call, f=function, d=dtype: c.results(f, d, arrays),
                    *specs, target="software",
                )  # fmt: skip
            except StepwellError as error:
                assert str(error).startswith(f"{__file__}:"), f"{name}: {error}"


F32, F16, I32 = float32, float16, sw.int32


@pytest.mark.parametrize(
    ("found", "text"),
    [
        ({F32: F32, F16: F16, I32: I32}, "any"),
        ({F32: F32, F16: F16}, "f32, f16"),
        ({F32: F32}, "f32"),
        ({F32: F32, F16: F32, I32: F32}, "any to f32"),
        ({F32: F32, F16: F32}, "f32, f16 to f32"),
        ({F32: F32, F16: F32, I32: I32}, "f32, i32; others to f32"),
        ({F32: F32, I32: F32}, "f32, i32 to f32"),
    ],
)
def test_texts_of_dtypes(found: dict[DType, DType], text: str) -> None:
    assert Outcome((F32, F16, I32), found, None).dtypes_text() == text


def test_texts_of_no_dtypes_and_of_orders() -> None:
    assert Outcome((), {F32: I32}, None).dtypes_text() == "to i32"
    assert [Outcome((), {}, n).orders_text() for n in (None, 0, 1, 2)] == ["-", "0", "1", "1, 2"]
