"""Cumulative operations and sorting against NumPy and torch, with their gradients."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import stepwell as sw


def numbers(*shape: int, low: float = -2.0, high: float = 2.0) -> Any:
    return np.random.default_rng(len(shape)).uniform(low, high, shape).astype(np.float32)


SHAPES = [((1,), 0), ((17,), 0), ((3, 5), 1), ((5, 3), 0), ((2, 65, 3), 1), ((0,), 0)]


@pytest.mark.parametrize(("shape", "axis"), SHAPES)
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("cumulative_sum", np.cumsum),
        ("cumulative_prod", np.cumprod),
        ("cumulative_max", np.maximum.accumulate),
        ("cumulative_min", np.minimum.accumulate),
        ("cumulative_logsumexp", np.logaddexp.accumulate),
    ],
)
def test_scans(ours: str, theirs: Any, shape: tuple[int, ...], axis: int) -> None:
    x = numbers(*shape)
    wide = x.astype(np.float64)
    close = {"rtol": 1e-5, "atol": 1e-5}
    np.testing.assert_allclose(getattr(sw, ours)(x, axis=axis), theirs(wide, axis=axis), **close)
    backwards = np.flip(theirs(np.flip(wide, axis), axis=axis), axis)
    np.testing.assert_allclose(getattr(sw, ours)(x, axis=axis, reverse=True), backwards, **close)


@pytest.mark.parametrize("name", ["cumulative_sum", "cumulative_prod"])
@pytest.mark.parametrize("reverse", [False, True])
def test_exclusive_scans_leave_the_element_out(name: str, reverse: bool) -> None:
    x = np.array([[2, 3, 4, 5, 6]], np.int32)
    ours = np.asarray(getattr(sw, name)(x, axis=1, exclusive=True, reverse=reverse))
    order = x[:, ::-1] if reverse else x
    empty = 0 if name == "cumulative_sum" else 1
    whole = (np.cumsum if empty == 0 else np.cumprod)(order, axis=1)
    expected = np.concatenate([[[empty]], whole[:, :-1]], axis=1)
    np.testing.assert_array_equal(ours, expected[:, ::-1] if reverse else expected)


EXCLUSIVE = [
    ("cumulative_max", np.maximum.accumulate, -math.inf),
    ("cumulative_min", np.minimum.accumulate, math.inf),
    ("cumulative_logsumexp", np.logaddexp.accumulate, -math.inf),
]


@pytest.mark.parametrize(("name", "theirs", "empty"), EXCLUSIVE)
def test_exclusive_scans_begin_with_nothing(name: str, theirs: Any, empty: float) -> None:
    x = numbers(2, 9)
    found = getattr(sw, name)(x, exclusive=True)
    first = np.full((2, 1), empty)
    expected = np.concatenate([first, theirs(x.astype(np.float64), axis=1)[:, :-1]], axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["cumsum", "cumprod", "logcumsumexp", "cummax"])
def test_gradients_of_scans(name: str) -> None:
    torch = pytest.importorskip("torch")
    x, weights = numbers(3, 7), numbers(3, 7, low=0.5)
    tensor = torch.tensor(x, requires_grad=True)
    value = getattr(torch, name)(tensor, 1)
    value = value.values if name == "cummax" else value
    (value * torch.tensor(weights)).sum().backward()
    function = {
        "cumsum": sw.cumulative_sum,
        "cumprod": sw.cumulative_prod,
        "logcumsumexp": sw.cumulative_logsumexp,
        "cummax": sw.cumulative_max,
    }[name]
    slope = sw.grad(lambda x: (function(x, axis=1) * weights).sum())(x)
    np.testing.assert_allclose(slope, tensor.grad.numpy(), rtol=1e-4, atol=1e-5)


EDGES = [math.nan, 1.0, -0.0, 0.0, -math.inf, math.inf, 1.0, -1.0, 3e38, -3e38, 1e-30]


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int32, np.uint32, np.bool_])
def test_sorting_is_stable_for_every_dtype(dtype: Any) -> None:
    rng = np.random.default_rng(0)
    if np.issubdtype(dtype, np.floating):
        with np.errstate(over="ignore"):
            x = np.array([EDGES, EDGES[::-1]], np.float64).astype(dtype)
    elif dtype is np.bool_:
        x = rng.random((2, 11)) < 0.5
    else:
        limits = np.iinfo(dtype)
        x = rng.integers(limits.min, limits.max, (2, 11), dtype=dtype, endpoint=True)
        x[:, 3], x[0, 5], x[0, 6] = x[:, 8], limits.min, limits.max
    order = np.argsort(x, axis=-1, kind="stable")
    np.testing.assert_array_equal(sw.argsort(x), order)
    np.testing.assert_array_equal(sw.sort(x), np.take_along_axis(x, order, -1))


def test_falling_order_keeps_equal_elements_in_place() -> None:
    x = np.array([1, 3, 2, 3, 1], np.int32)
    np.testing.assert_array_equal(sw.argsort(x, descending=True), [1, 3, 2, 0, 4])
    np.testing.assert_array_equal(sw.sort(x, descending=True), [3, 3, 2, 1, 1])


def test_sorting_along_other_axes_and_its_gradient() -> None:
    torch = pytest.importorskip("torch")
    x, weights = numbers(5, 3, 2), numbers(5, 3, 2, low=0.5)
    np.testing.assert_array_equal(sw.sort(x, axis=0), np.sort(x, axis=0))
    tensor = torch.tensor(x, requires_grad=True)
    (tensor.sort(dim=0).values * torch.tensor(weights)).sum().backward()
    slope = sw.grad(lambda x: (sw.sort(x, axis=0) * weights).sum())(x)
    np.testing.assert_allclose(slope, tensor.grad.numpy(), rtol=1e-6)


@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("k", [0, 1, 3, 9])
def test_top_k(largest: bool, k: int) -> None:
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(3).permutation(36).reshape(4, 9).astype(np.float32)
    values, places = sw.top_k(x, k, largest=largest)
    expected = torch.tensor(x).topk(k, largest=largest)
    np.testing.assert_array_equal(values, expected.values.numpy())
    np.testing.assert_array_equal(places, expected.indices.numpy())
    with pytest.raises(ValueError, match="has no 10 elements"):
        sw.top_k(x, 10)


@pytest.mark.parametrize("q", [0.0, 0.3, 0.5, 0.75, 1.0])
@pytest.mark.parametrize("method", ["linear", "lower", "higher", "midpoint", "nearest"])
def test_quantiles(q: float, method: Any) -> None:
    for size in (1, 4, 7):
        x = numbers(size, 3)
        expected = np.quantile(x.astype(np.float64), q, axis=0, method=method)
        ours = sw.quantile(x, q, axis=0, interpolation=method)
        np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-6)


def test_medians() -> None:
    x = numbers(4, 5)
    np.testing.assert_allclose(sw.median(x), np.median(x), rtol=1e-6)
    np.testing.assert_allclose(sw.median(x, axis=1, keepdims=True),
                               np.median(x, axis=1, keepdims=True), rtol=1e-6)  # fmt: skip
    x[1, 2] = math.nan
    np.testing.assert_array_equal(sw.isnan(sw.median(x, axis=1)), [False, True, False, False])


@pytest.mark.parametrize("side", ["left", "right"])
def test_searchsorted(side: Any) -> None:
    x = np.array([1, 3, 3, 5], np.float32)
    values = np.array([[0, 1, 2], [3, 5, 6]], np.float32)
    np.testing.assert_array_equal(
        sw.searchsorted(x, values, side=side), np.searchsorted(x, values, side=side)
    )


@pytest.mark.parametrize("size", [0, 1, 63, 64, 1000])
def test_searchsorted_of_many(size: int) -> None:
    rng = np.random.default_rng(size)
    x, values = np.sort(rng.integers(0, 90, size)), rng.integers(-5, 95, (7, 9))
    for side in ("left", "right"):
        np.testing.assert_array_equal(
            sw.searchsorted(x.astype(np.int32), values.astype(np.int32), side=side),
            np.searchsorted(x, values, side=side),
        )


@pytest.mark.parametrize("count", [0, 1, 5000])
def test_nonzero_of_long_masks(count: int) -> None:
    mask = np.random.default_rng(count).random(count) < 0.3
    (found,) = sw.nonzero(mask, size=count)
    (expected,) = np.nonzero(mask)
    np.testing.assert_array_equal(found.numpy()[: len(expected)], expected)


@pytest.mark.parametrize("size", [2, 5, 15])
def test_nonzero_and_compress_have_a_static_bound(size: int) -> None:
    x = np.array([[0, 3, 0, 0], [1, 0, 2, 5], [0, 0, 0, 4]], np.float32)
    found = sw.nonzero(x, size=size, fill_value=-1)
    for ours, theirs in zip(found, np.nonzero(x), strict=True):
        expected = np.full(size, -1)
        expected[: min(size, len(theirs))] = theirs[:size]
        np.testing.assert_array_equal(ours, expected)
    rows = sw.compress(np.array([True, False, True]), x, size=size, fill_value=9)
    expected_rows = np.full((size, 4), 9.0)
    expected_rows[:2] = x[[0, 2]][:size]
    np.testing.assert_array_equal(rows, expected_rows)
