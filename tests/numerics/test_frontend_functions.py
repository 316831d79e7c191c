"""Functions of floats against NumPy: values, edges, and the bits of special numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from against_torch import compare, numbers, torch

import stepwell as sw


def floats(*values: float) -> Any:
    return np.array(values, np.float32)


SPECIAL = floats(-math.inf, -1.5, -0.0, 0.0, 2.0, math.inf, math.nan)


@pytest.mark.parametrize("name", ["isinf", "isfinite", "isnan", "signbit"])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_bits(name: str, dtype: Any) -> None:
    x = SPECIAL.astype(dtype)
    np.testing.assert_array_equal(getattr(sw, name)(x), getattr(np, name)(x))


@pytest.mark.parametrize("name", ["isinf", "isfinite", "signbit"])
def test_bits_of_integers(name: str) -> None:
    x = np.array([-3, 0, 7], np.int32)
    np.testing.assert_array_equal(getattr(sw, name)(x), getattr(np, name)(x))


@pytest.mark.parametrize("name", ["fmax", "fmin"])
def test_extrema_skip_nan(name: str) -> None:
    a, b = (grid.ravel() for grid in np.meshgrid(SPECIAL[1:], SPECIAL[1:]))
    np.testing.assert_array_equal(getattr(sw, name)(a, b), getattr(np, name)(a, b))


def test_nan_to_num() -> None:
    for dtype in (np.float32, np.float16):
        x = SPECIAL.astype(dtype)
        np.testing.assert_array_equal(sw.nan_to_num(x, nan=7.0), np.nan_to_num(x, nan=7.0))


@pytest.mark.parametrize("name", ["copysign", "hypot", "atan2", "logaddexp"])
def test_pairs_of_edges(name: str) -> None:
    values = floats(-math.inf, -3e38, -1.5, -0.0, 0.0, 1e-30, 2.0, 3e38, math.inf)
    a, b = (grid.ravel() for grid in np.meshgrid(values, values))
    function = {"atan2": np.arctan2}.get(name) or getattr(np, name)
    with np.errstate(all="ignore"):
        expected = function(a.astype(np.float64), b.astype(np.float64)).astype(np.float32)
    np.testing.assert_allclose(getattr(sw, name)(a, b), expected, rtol=1e-6)


def test_erfc_keeps_the_digits_of_its_tail() -> None:
    x = np.linspace(-4, 8, 97, dtype=np.float32)
    expected = [math.erfc(float(v)) for v in x]
    np.testing.assert_allclose(sw.erfc(x), expected, rtol=1e-5)


def test_logit() -> None:
    x = floats(0.0, 0.2, 0.9, 1.0)
    np.testing.assert_allclose(
        sw.logit(x), [-math.inf, math.log(0.25), math.log(9), math.inf], rtol=1e-6
    )
    ends = math.log(0.1 / 0.9)
    np.testing.assert_allclose(
        sw.logit(x, eps=0.1), [ends, math.log(0.25), -ends, -ends], rtol=1e-5
    )


def test_fmod_has_the_sign_of_its_first_operand() -> None:
    x, y = np.meshgrid(np.arange(-7, 8, dtype=np.int32), np.array([-4, -3, 3, 4], np.int32))
    np.testing.assert_array_equal(sw.fmod(x, y), np.fmod(x, y))
    np.testing.assert_array_equal(sw.fmod(x, 0), np.zeros_like(x))
    a, b = x.astype(np.float32) / 2, y.astype(np.float32)
    np.testing.assert_array_equal(sw.fmod(a, b), np.fmod(a, b))


def test_whole_parts() -> None:
    x = floats(-2.5, -0.4, 0.4, 2.5)
    np.testing.assert_array_equal(sw.trunc(x), np.trunc(x))
    assert str(sw.trunc(np.array([3])).dtype) == "i32"
    np.testing.assert_allclose(sw.degrees(sw.radians(x)), x, rtol=1e-6)


DTYPES = {"f": np.float32, "i": np.int32, "u": np.uint32, "b": np.bool_}
PAIRS = {
    **dict.fromkeys(("add", "subtract", "remainder", "floor_divide"), "fiu"),
    **dict.fromkeys(("less", "less_equal", "greater", "greater_equal"), "fiu"),
    **dict.fromkeys(("equal", "not_equal"), "fiub"),
    **dict.fromkeys(("bitwise_and", "bitwise_or", "bitwise_xor"), "iub"),
    **dict.fromkeys(("bitwise_left_shift", "bitwise_right_shift"), "iu"),
    **dict.fromkeys(("logical_or", "logical_xor"), "b"),
}
SINGLE = {
    **dict.fromkeys(("negative", "positive"), "fi"),
    **dict.fromkeys(("ceil", "floor", "round", "sign"), "f"),
    "log10": "f",
    "bitwise_invert": "iub",
}


def grid_of(kind: str, name: str) -> Any:
    """Numbers, halves and equal ones among them, for a function that may not take all."""
    if kind == "b":
        return np.array([False, True])
    values = np.arange(1, 9) if name == "log10" or kind == "u" else np.arange(-6, 7)
    return (values / 2 if kind == "f" else values).astype(DTYPES[kind])


@pytest.mark.parametrize(("name", "kind"), [(n, k) for n, kinds in PAIRS.items() for k in kinds])
def test_pairs(name: str, kind: str) -> None:
    a, b = (grid.ravel() for grid in np.meshgrid(*[grid_of(kind, name)] * 2))
    if name in ("remainder", "floor_divide") or name.endswith("shift"):
        a, b = a[b > 0], b[b > 0]
    np.testing.assert_array_equal(getattr(sw, name)(a, b), getattr(np, name)(a, b), strict=True)


@pytest.mark.parametrize(("name", "kind"), [(n, k) for n, kinds in SINGLE.items() for k in kinds])
def test_single(name: str, kind: str) -> None:
    x = grid_of(kind, name)
    expected = {"bitwise_invert": np.invert}.get(name) or getattr(np, name)
    np.testing.assert_allclose(getattr(sw, name)(x), expected(x), rtol=1e-6, strict=True)


def test_bools_are_counted() -> None:
    """Arithmetic takes them as 0 and 1 in i32, products as sums do."""
    x, y = np.array([[True, False, True], [True, True, True]]), np.ones((3, 2), bool)
    wide = x.astype(np.int32)
    for found in (x @ sw.asarray(y), sw.tensordot(x, y, axes=1), sw.einsum("ij,jk", x, y)):
        np.testing.assert_array_equal(found, wide @ y.astype(np.int32), strict=True)
    np.testing.assert_array_equal(sw.floor_divide(x, True), wide, strict=True)
    np.testing.assert_array_equal(sw.fmod(x, True), wide * 0, strict=True)


def test_halves_give_halves() -> None:
    """Also where there are integers, or numbers of the function's own, beside them."""
    x, signs = np.array([[0.5, 0.25], [0.1, 0.2]], np.float16), np.array([1, -1], np.int32)
    image, boxes = np.ones((1, 1, 3, 3), np.float16), np.array([[0, 0, 2, 2]], np.float16)
    kernel, offset = np.ones((1, 1, 1, 1), np.float16), np.zeros((1, 2, 3, 3), np.float16)
    for found in (
        sw.nll_loss(x, np.array([0, 1], np.int32)),
        sw.cross_entropy(x, np.array([0, 1], np.int32), ignore_index=1),
        sw.margin_ranking_loss(x[0], x[1], signs),
        sw.roi_align(image, boxes, np.array([0], np.int32), 2, sampling_ratio=1),
        sw.deform_conv2d(image, offset, kernel),
    ):
        assert found.dtype is sw.float16
    np.testing.assert_allclose(sw.nll_loss(x, np.array([0, 1], np.int32)), -0.35, rtol=1e-3)
    ranked = sw.margin_ranking_loss(x[0], x[1], signs, margin=0.5)
    np.testing.assert_allclose(ranked, (0.1 + 0.55) / 2, rtol=1e-2)


def test_gradients_of_arithmetic() -> None:
    x, y = numbers(3, 4, low=0.5, high=3), numbers(4, seed=1, low=0.6, high=2)
    for name in ("add", "subtract", "remainder"):
        compare(getattr(sw, name), getattr(torch, name), x, y)
    for name in ("negative", "positive", "log10", "ceil", "floor", "round", "sign"):
        compare(getattr(sw, name), getattr(torch, name), x)


def test_bits_are_read_as_another_dtype() -> None:
    x = floats(-1.5, -0.0, 1e-30, math.inf)
    for dtype in (np.int32, np.uint32):
        np.testing.assert_array_equal(sw.bitcast(x, dtype), x.view(dtype), strict=True)
        np.testing.assert_array_equal(sw.bitcast(x.view(dtype), "f32"), x, strict=True)


def test_arrays_like_others() -> None:
    x = np.array([[1, 2, 3]], np.int32)
    np.testing.assert_array_equal(sw.zeros_like(x), np.zeros_like(x), strict=True)
    np.testing.assert_array_equal(sw.full_like(x, 7), np.full_like(x, 7), strict=True)
    halves = sw.full_like(x, 0.5, dtype="f32")
    np.testing.assert_array_equal(halves, np.full((1, 3), 0.5, np.float32), strict=True)
    assert sw.zeros_like(x, dtype="f16").dtype == sw.float16
    np.testing.assert_array_equal(sw.copy(x), x, strict=True)


@pytest.mark.parametrize("axis", [-1, 0])
def test_products_along_an_axis(axis: int) -> None:
    compare(
        lambda x, y: sw.vecdot(x, y, axis=axis), lambda x, y: torch.linalg.vecdot(x, y, dim=axis),
        numbers(3, 4), numbers(3, 4, seed=1),
    )  # fmt: skip


def test_dropout_keeps_the_mean() -> None:
    x, key = np.full((64, 64), 2, np.float32), sw.random.key(3)
    kept = np.asarray(sw.dropout(x, key, rate=0.25))
    assert set(np.unique(kept)) == {np.float32(0), np.float32(2 / 0.75)}
    assert abs(kept.mean() - 2) < 0.1
    np.testing.assert_array_equal(sw.dropout(x, key, rate=0.25), kept)
    slope = sw.grad(lambda x: sw.dropout(x, key, rate=0.25).sum())(x)
    np.testing.assert_allclose(slope, kept / 2, rtol=1e-6)
