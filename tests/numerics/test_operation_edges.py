"""Values and gradients at the edges: what each operation's docstring promises there."""

from __future__ import annotations

import numpy as np
import pytest
from operations.levels import PLAIN
from operations.modules import module_of
from xdsl.ir import Block, Region

import stepwell as sw
from stepwell.dialects.array.base import f16, f32, i32, tensor, u32
from stepwell.dialects.array.differentiation import ValueAndGradOp, YieldOp
from stepwell.dialects.array.elementwise import (
    AbsOp,
    DivideOp,
    MaximumOp,
    PowOp,
    RemainderOp,
    RoundOp,
    SignOp,
    SqrtOp,
)
from stepwell.dialects.array.logic import CastOp, LeftShiftOp, RightShiftOp
from stepwell.dialects.array.random import RandomBitsOp
from stepwell.dialects.array.reduction import ArgmaxOp, MaxOp, ProdOp, SumOp
from stepwell.dialects.emit import Emitter

INT_MIN, INT_MAX = -(2**31), 2**31 - 1
ELEMENTS = {"float32": f32, "float16": f16, "int32": i32, "uint32": u32}


def call(build, *arrays, level):
    types = [tensor(array.shape, ELEMENTS[array.dtype.name]) for array in arrays]
    return level.execute(module_of(build, types), arrays)


def value(op, *arrays, level):
    return call(lambda emit, *a: [emit(op(*a))], *arrays, level=level)[0]


def slopes(op, *arrays, level):
    """The gradients of the sum of the result."""

    def build(emit, *arguments):
        body = Block(arg_types=[argument.type for argument in arguments])
        inner = Emitter(body)
        result = inner(op(*body.args))
        rank = len(result.type.get_shape())
        inner.insert(YieldOp(inner(SumOp(result, range(rank)))))
        every = range(len(arguments))
        return emit.insert(ValueAndGradOp(arguments, every, Region(body))).results[1:]

    return call(build, *arrays, level=level)


floats = lambda *v: np.array(v, np.float32)  # noqa: E731
ints = lambda *v: np.array(v, np.int32)  # noqa: E731
naturals = lambda *v: np.array(v, np.uint32)  # noqa: E731
inf, nan = np.inf, np.nan

VALUES = [
    (DivideOp, [ints(7, -7, INT_MIN, 5), ints(-2, 2, -1, 0)], [-3, -3, INT_MIN, 5]),
    (DivideOp, [naturals(2**32 - 1, 5), naturals(2, 0)], [2**31 - 1, 5]),
    (RemainderOp, [ints(7, -7, INT_MIN, 5), ints(-2, 2, -1, 0)], [-1, 1, 0, 0]),
    (RemainderOp, [naturals(2**32 - 1, 5), naturals(10, 0)], [5, 0]),
    (LeftShiftOp, [ints(1, 1, 3), ints(31, 32, 33)], [INT_MIN, 1, 6]),
    (RightShiftOp, [ints(-8, -1), ints(1, 31)], [-4, -1]),
    (RightShiftOp, [naturals(2**31, 8), naturals(31, 35)], [1, 1]),
    (AbsOp, [ints(INT_MIN, -3)], [INT_MIN, 3]),
    (PowOp, [floats(-2, -2, -2, 0, 0), floats(3, 2, -1, 0, 2)], [-8, 4, -0.5, 1, 0]),
    (PowOp, [floats(-2), floats(0.5)], [nan]),
    (RoundOp, [floats(0.5, 1.5, 2.5, -0.5)], [0, 2, 2, 0]),
    (SignOp, [floats(0, -3, nan)], [0, -1, nan]),
    (MaximumOp, [floats(nan, 1), floats(1, nan)], [nan, nan]),
    (lambda x: CastOp(x, i32), [floats(3e9, -3e9, -1.9)], [2147483520, INT_MIN, -1]),
    (lambda x: CastOp(x, u32), [floats(5e9, -1, 2.9)], [4294967040, 0, 2]),
    (lambda x: CastOp(x, u32), [ints(-1)], [2**32 - 1]),
    (lambda x: CastOp(x, f16), [floats(1e6, 2049)], [inf, 2048]),
    (lambda x: MaxOp(x, [0]), [floats(-inf, -inf)], -inf),
    (lambda x: ArgmaxOp(x, 0), [floats(1, 4, 4, 2)], 1),
    (lambda x: SumOp(x, [0]), [np.full(4096, 8, np.float16)], 32768),
]

SLOPES = [
    (PowOp, [floats(0, 0, 0, 2), floats(0, 1, 2, 0)], [[0, 1, 0, 0], [0, 0, 0, np.log(2)]]),
    (SqrtOp, [floats(0, 4)], [[inf, 0.25]]),
    (AbsOp, [floats(-2, 0, 2)], [[-1, 0, 1]]),
    (MaximumOp, [floats(1, 2, 3), floats(3, 2, 1)], [[0, 0.5, 1], [1, 0.5, 0]]),
    (lambda x: MaxOp(x, [0]), [floats(1, 4, 4, 2)], [[0, 0.5, 0.5, 0]]),
    (lambda x: ProdOp(x, [0]), [floats(2, 0, 3)], [[0, 6, 0]]),
    (lambda x: ProdOp(x, [0]), [floats(0, 0, 3)], [[0, 0, 0]]),
]

levels = pytest.mark.parametrize("level", PLAIN, ids=[level.name for level in PLAIN])


@levels
@pytest.mark.parametrize(("op", "arrays", "expected"), VALUES)
def test_values(op, arrays, expected, level):
    actual = value(op, *arrays, level=level)
    np.testing.assert_allclose(actual.astype(np.float64), expected, rtol=1e-6)


@pytest.mark.parametrize("level", PLAIN[1:], ids=[level.name for level in PLAIN[1:]])
@pytest.mark.parametrize(("op", "arrays", "expected"), SLOPES)
def test_slopes(op, arrays, expected, level):
    for actual, slope in zip(slopes(op, *arrays, level=level), expected, strict=True):
        np.testing.assert_allclose(actual, slope, rtol=1e-6)


@levels
def test_random_bits_depend_on_the_position_alone(level):
    flat = value(lambda key: RandomBitsOp(key, (6,)), naturals(0, 7), level=level)
    square = value(lambda key: RandomBitsOp(key, (2, 3)), naturals(0, 7), level=level)
    longer = value(lambda key: RandomBitsOp(key, (9,)), naturals(0, 7), level=level)
    assert flat.tolist() == square.ravel().tolist() == longer[:6].tolist()
    assert len(set(longer.tolist())) == 9


def test_a_sum_of_one_element_is_gathered() -> None:
    """The one position that there is is that of the sum, wherever the index comes from."""
    x = np.random.default_rng(0).normal(size=(1, 60)).astype(np.float32)

    def total(x: sw.Array, index: sw.Array) -> sw.Array:
        return sw.take(sw.sum(x, axis=1), index, axis=0)

    for device in ("reference", None):
        found = sw.jit(total, device=device)(sw.asarray(x), sw.asarray([0]))
        np.testing.assert_allclose(np.asarray(found), x.sum(axis=1), rtol=1e-5)


def test_floors_of_quotients_that_nearly_overflow() -> None:
    some = ints(0, 1, -1, 2, -2, 7, -7, INT_MAX, INT_MIN, INT_MIN + 1)
    x, y = (side.ravel() for side in np.meshgrid(some, some))
    wide = x.astype(np.int64) // np.where(y == 0, 1, y).astype(np.int64)
    np.testing.assert_array_equal(np.asarray(sw.floor_divide(x, y)), wide.astype(np.int32))
    assert np.asarray(sw.floor_divide(np.array([True, False]), np.array([True]))).tolist() == [1, 0]


def test_shrinking_keeps_nan_and_a_median_of_infinities_is_one() -> None:
    x = floats(nan, 0.2, -3, inf)
    for shrink, rest in ((sw.hardshrink, [0, -3, inf]), (sw.softshrink, [0, -2.5, inf])):
        found = np.asarray(sw.jit(shrink, device="reference")(x))
        np.testing.assert_array_equal(found, [nan, *rest])
    found = sw.median(np.stack([floats(inf, inf), floats(-inf, -inf), floats(1, 4)]), axis=1)
    np.testing.assert_array_equal(np.asarray(found), [inf, -inf, 2.5])


EMPTY = {
    "logsumexp": (lambda x: sw.logsumexp(x, axis=1, keepdims=True), (0, 3, 0), (0, 1, 0)),
    "local_response_norm": (lambda x: sw.local_response_norm(x, 3), (0, 4, 3), (0, 4, 3)),
    "unfold": (lambda x: sw.unfold(x, 2), (0, 3, 5, 5), (0, 12, 16)),
    "grid_sample": (lambda x: sw.grid_sample(x, x[..., :2]), (0, 2, 4, 4), (0, 2, 2, 4)),
}


@pytest.mark.parametrize("name", EMPTY)
def test_results_without_elements_have_their_shape(name: str) -> None:
    function, shape, expected = EMPTY[name]
    assert function(np.zeros(shape, np.float32)).shape == expected
