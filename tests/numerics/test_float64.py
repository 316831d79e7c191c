"""64-bit floats in integers of 32 bits: bit for bit what NumPy computes, NaNs aside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import stepwell as sw
from stepwell.frontend import float64 as f
from stepwell.frontend.dtypes import DType
from stepwell.frontend.float64 import Float64

DEVICES = ("reference", None)
devices = pytest.mark.parametrize("device", DEVICES, ids=["reference", "device"])

EDGES = np.array(
    [0.0, 5e-324, 3 * 5e-324, 2.0**-1022, np.nextafter(2.0**-1022, 0), 2.0**-538, 2.0**-537,
     1e-160, 1 / 3, 1 - 2.0**-53, 1.0, 1 + 2.0**-52, 1.5, 3.0, np.pi, 2.0**52 + 1, 2.0**53,
     2.0**53 + 2, 1e160, 2.0**1023, np.finfo(np.float64).max, np.inf, np.nan]
)  # fmt: skip
EDGES = np.concatenate([EDGES, -EDGES])


def numbers(rng: np.random.Generator, count: int, low: int, high: int) -> np.ndarray[Any, Any]:
    """Numbers whose stored exponents are in a range; half of them end in zeros."""
    digits = rng.integers(0, 2**52, count, dtype=np.uint64)
    digits = np.where(rng.random(count) < 0.5, digits & np.uint64(0x3FFFFC0000000), digits)
    exponents = rng.integers(low, high, count, dtype=np.uint64) << np.uint64(52)
    signs = rng.integers(0, 2, count, dtype=np.uint64) << np.uint64(63)
    return (signs | exponents | digits).view(np.float64)


def pairs() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """All edges with each other, all ranges, what cancels, and what is halfway between floats."""
    rng = np.random.default_rng(0)
    x, y = (grid.ravel() for grid in np.meshgrid(EDGES, EDGES))
    ranges = [(0, 2047), (1020, 1030), (0, 60), (1990, 2047), (480, 560)]
    some = np.concatenate([numbers(rng, 300, *bounds) for bounds in ranges])
    others = np.concatenate([numbers(rng, 300, *bounds) for bounds in ranges])
    steps = rng.integers(0, 3, some.size).astype(np.uint64)
    near = (-(some.view(np.uint64) + steps).view(np.float64)).copy()
    halves = np.spacing(others) * rng.choice([-1.5, -0.5, 0.5, 1.5], others.size)
    return (
        np.concatenate([x, some, some, others]),
        np.concatenate([y, others, near, halves]),
    )


def same(ours: Any, theirs: np.ndarray[Any, Any]) -> None:
    """The same bits, any NaN where there is one."""
    found = f.to_numpy(ours) if isinstance(ours, Float64) else np.asarray(ours)
    assert found.dtype == theirs.dtype and found.shape == theirs.shape
    if theirs.dtype.kind == "f":
        bits = np.dtype(f"u{theirs.dtype.itemsize}")
        equal = (found.view(bits) == theirs.view(bits)) | (np.isnan(found) & np.isnan(theirs))
    else:
        equal = found == theirs
    wrong = np.flatnonzero(~equal)
    assert not wrong.size, f"at {wrong[:5]}: {found[wrong[:5]]}, not {theirs[wrong[:5]]}"


def apply(function: Callable[..., Any], *values: np.ndarray[Any, Any], device: str | None) -> Any:
    given = [f.from_numpy(value, sw.asarray) for value in values]
    return sw.jit(function, device=device)(*given)


BINARY = {
    "add": f.add, "subtract": f.subtract, "multiply": f.multiply, "divide": f.divide,
    "equal": f.equal, "less": f.less, "less_equal": f.less_equal,
    "maximum": f.larger, "minimum": f.smaller,
}  # fmt: skip


@devices
@pytest.mark.parametrize("name", BINARY)
def test_of_two(name: str, device: str | None) -> None:
    x, y = pairs()
    if name in ("maximum", "minimum"):
        x = np.where((x == 0) & (y == 0), y, x)  # Which of two zeros NumPy takes differs.
    with np.errstate(all="ignore"):
        theirs = getattr(np, name)(x, y)
    same(apply(BINARY[name], x, y, device=device), theirs)


_CALLS = {
    name: sw.jit(function, device="reference")
    for name, function in BINARY.items()
    if name in ("add", "multiply", "divide", "less")
}


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(arrays(np.float64, (2, 64), elements=st.floats(width=64), fill=st.nothing()))
def test_of_any_two(values: np.ndarray[Any, Any]) -> None:
    x, y = (f.from_numpy(row, sw.asarray) for row in values)
    for name, call in _CALLS.items():
        with np.errstate(all="ignore"):
            same(call(x, y), getattr(np, name)(*values))


UNARY = {
    "negative": f.negative, "abs": f.absolute, "isnan": f.isnan, "isinf": f.isinf,
    "signbit": f.signbit,
}  # fmt: skip


@devices
@pytest.mark.parametrize("name", UNARY)
def test_of_one(name: str, device: str | None) -> None:
    x = pairs()[0]
    same(apply(UNARY[name], x, device=device), getattr(np, name)(x))


@devices
@pytest.mark.parametrize("dtype", [sw.float32, sw.float16], ids=str)
def test_to_other_floats(dtype: DType, device: str | None) -> None:
    """Rounded once, also to subnormal numbers and next to halves."""
    rng = np.random.default_rng(1)
    halves = rng.integers(0, 2**16, 2000, dtype=np.uint16).view(np.float16)
    singles = rng.integers(0, 2**32, 2000, dtype=np.uint32).view(np.float32)
    with np.errstate(all="ignore"):
        halves, between = (x + np.spacing(x).astype(np.float64) / 2 for x in (halves, singles))
        others = [pairs()[0], numbers(rng, 500, 860, 900), numbers(rng, 500, 990, 1040)]
        ties = [halves, np.nextafter(halves, 0), between, np.nextafter(between, 0)]
        x = np.concatenate([*others, *ties])
        theirs = x.astype(dtype.numpy)
    same(apply(lambda x: f.to_array(x, dtype), x, device=device), theirs)


@devices
def test_to_integers(device: str | None) -> None:
    rng = np.random.default_rng(2)
    edges = [0.0, -0.0, 0.5, -0.5, 1e-300, 2.0**31 - 1, 2.0**31 - 0.5, 2.0**32 - 0.5]
    x = np.array([*edges, *rng.normal(size=500) * 2.0 ** rng.integers(-3, 34, 500)])
    high = np.array([2.0**31, 2.0**32, 1e300, np.inf])
    for dtype in (sw.int32, sw.uint32):
        least, most = dtype.limits
        every = np.concatenate([x, -x, high, -high])
        theirs = np.clip(np.trunc(every), least, most).astype(dtype.numpy)
        same(apply(lambda x, d=dtype: f.to_array(x, d), every, device=device), theirs)
    same(apply(lambda x: f.to_array(x, sw.bool_), x, device=device), x != 0)
    small = np.array([3.9, -3.9, 127.0])
    same(apply(lambda x: f.to_array(x, sw.int8), small, device=device), small.astype(np.int8))


@devices
def test_from_other_dtypes(device: str | None) -> None:
    rng = np.random.default_rng(3)
    words = np.concatenate([rng.integers(0, 2**32, 500, dtype=np.uint32), np.arange(5, dtype="u4")])
    floats = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, 1e-40], np.float32)
    for x in (
        words, words.view(np.int32), words.view(np.float32), floats,
        words.astype(np.uint16).view(np.float16), words.astype(np.int8), words > 2**31,
        np.array([-(2**31), 2**31 - 1], np.int32),
    ):  # fmt: skip
        with np.errstate(all="ignore"):
            same(sw.jit(f.from_array, device=device)(sw.asarray(x)), x.astype(np.float64))


@pytest.mark.parametrize("shape", [(), (1,), (0, 3), (2, 3)])
def test_numpy_goes_there_and_back(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(4).normal(size=shape)
    same(f.from_numpy(x, sw.asarray), np.asarray(x))


def test_operands_broadcast() -> None:
    x, y = np.random.default_rng(5).normal(size=(3, 1)), np.arange(4.0)
    same(apply(f.add, x, y, device="reference"), x + y)
    same(apply(f.divide, x, y[1:], device="reference"), x / y[1:])
