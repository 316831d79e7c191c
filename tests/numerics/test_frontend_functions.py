"""Functions of floats against NumPy: values, edges, and the bits of special numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

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
