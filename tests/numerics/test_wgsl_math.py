"""The formulas of expand-math, on the device and in the reference, against NumPy in f64."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tiled import kernel, run

Array = NDArray[Any]
PASSES = ("expand-math", "convert-kernels-to-wgsl")
erf = np.frompyfunc(math.erf, 1, 1)


def call(op: str, *arguments: Array, type: str = "f32") -> Array:
    """`op` of each element, by a kernel of one element a thread."""
    n = len(arguments[0])
    loads = [
        f"  %v{i} = memref.load %a{i}[%t] : memref<{n}x{type}>" for i in range(len(arguments))
    ]
    operands = ", ".join(f"%v{i}" for i in range(len(arguments)))
    body = "\n".join(
        [
            "  %b = gpu.block_id x",
            "  %l = gpu.thread_id x",
            "  %c64 = arith.constant 64 : index",
            "  %s = arith.muli %b, %c64 : index",
            "  %t = arith.addi %s, %l : index",
            *loads,
            f"  %r = {op} {operands} : {type}",
            f"  memref.store %r, %out[%t] : memref<{n}x{type}>",
        ]
    )
    names = [*(f"%a{i}" for i in range(len(arguments))), "%out"]
    text = kernel(", ".join(f"{name}: memref<{n}x{type}>" for name in names), body, grid=n // 64)
    return run(text, *arguments, np.zeros_like(arguments[0]), passes=PASSES)[-1]


def spread(low: float, high: float, tiny: bool = True) -> Array:
    """Numbers from low to high: evenly spaced ones, and ones close to 0."""
    even = np.linspace(low, high, 2048)
    near = np.geomspace(1e-30, min(high, 1), 1024) if tiny else even[:1024]
    signs = np.sign(low) if low < 0 else 1
    x = np.concatenate([even, near, signs * near if tiny else near]).astype(np.float32)
    return np.clip(x, np.float32(low), np.float32(high))


def ulps(actual: Array, exact: Array) -> float:
    """The largest error in units in the last place; exact results in f64."""
    unit = np.spacing(np.maximum(np.abs(exact.astype(np.float32)), np.float32(1.2e-38)))
    return float(np.max(np.abs(actual.astype(np.float64) - exact) / unit))


@dataclass(frozen=True)
class Case:
    """A function, where it is tried, and the error in ULP that its docstring promises."""

    op: str
    exact: Callable[[Array], Array]
    x: Array
    bound: float

    def __str__(self) -> str:
        return f"{self.op} in [{self.x.min():g}, {self.x.max():g}]"


EXP = 3 + 2 * 20
"""What WGSL allows of exp in [-20, 20]."""

CASES = [
    Case("erf", lambda x: erf(x).astype(np.float64), spread(-5, 5), 2),
    Case("tanh", np.tanh, spread(-12, 12), 2),
    Case("expm1", np.expm1, spread(-1, 1), 2),
    Case("expm1", np.expm1, spread(-20, 20), EXP),
    Case("log1p", np.log1p, spread(-0.999, 50), 3),
    Case("asin", np.arcsin, spread(-1, 1), 3),
    Case("acos", np.arccos, spread(-1, 1), 2),
    Case("atan", np.arctan, spread(-40, 40), 2),
    Case("sinh", np.sinh, spread(-1, 1), 3),
    Case("sinh", np.sinh, spread(-20, 20), EXP),
    Case("cosh", np.cosh, spread(-20, 20), EXP),
    Case("asinh", np.arcsinh, spread(-1e6, 1e6), 3),
    Case("acosh", np.arccosh, spread(1, 1e3, tiny=False), 3),
    Case("atanh", np.arctanh, spread(-0.999, 0.999), 4),
    Case("log10", np.log10, spread(2, 1e3, tiny=False), 4),
    Case("cbrt", np.cbrt, spread(-1e4, 1e4), 2),
    Case("tan", np.tan, spread(-1.5, 1.5), 3),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_accuracy(case: Case):
    error = ulps(call(f"math.{case.op}", case.x), case.exact(case.x.astype(np.float64)))
    assert error <= case.bound


def test_vectors():
    x = spread(-12, 12)
    body = """
  %b = gpu.block_id x
  %l = gpu.thread_id x
  %c4 = arith.constant 4 : index
  %c64 = arith.constant 64 : index
  %s = arith.muli %b, %c64 : index
  %t = arith.addi %s, %l : index
  %i = arith.muli %t, %c4 : index
  %v = vector.load %x[%i] : memref<4096xf32>, vector<4xf32>
  %r = math.tanh %v : vector<4xf32>
  vector.store %r, %y[%i] : memref<4096xf32>, vector<4xf32>"""
    text = kernel("%x: memref<4096xf32>, %y: memref<4096xf32>", body, grid=16)
    out = run(text, x, np.zeros_like(x), passes=PASSES)[1]
    assert ulps(out, np.tanh(x.astype(np.float64))) <= 2


@pytest.mark.parametrize("reach", [4, 12_000])
@pytest.mark.parametrize("name", ["sin", "cos"])
def test_periods(name: str, reach: float):
    """WGSL's own are good in [-pi, pi] only."""
    x = spread(-reach, reach)
    exact = getattr(np, name)(x.astype(np.float64))
    np.testing.assert_allclose(call(f"math.{name}", x), exact, rtol=0, atol=2e-7)


def test_atan2():
    rng = np.random.default_rng(3)
    y, x = rng.standard_normal((2, 4096)).astype(np.float32)
    x[:4], y[:4] = [0, 0, 1, -1], [1, -1, 0, 0]
    exact = np.arctan2(y.astype(np.float64), x.astype(np.float64))
    assert ulps(call("math.atan2", y, x), exact) <= 3


LIMITS = {
    "tanh": ([-1e30, -100, 100, 1e30], [-1, -1, 1, 1]),
    "erf": ([-1e30, -100, 100, 1e30], [-1, -1, 1, 1]),
    "expm1": ([-1e30, -100, 0, 1], [-1, -1, 0, math.e - 1]),
    "log1p": ([0, 1e30, 1, -0.5], [0, math.log(1e30), math.log(2), -math.log(2)]),
    "cosh": ([0, 89, -89, 1], [1, math.cosh(89), math.cosh(89), math.cosh(1)]),
    "sinh": ([0, 89, -89, 1], [0, math.sinh(89), -math.sinh(89), math.sinh(1)]),
    "asinh": ([0, 1e30, -1e30, 1], [0, math.asinh(1e30), -math.asinh(1e30), math.asinh(1)]),
    "atan": ([0, 1e30, -1e30, 1], [0, math.pi / 2, -math.pi / 2, math.pi / 4]),
    "cbrt": ([0, 1e30, -8, 1], [0, 1e10, -2, 1]),
}


@pytest.mark.parametrize("name", LIMITS)
def test_limits(name: str):
    """Far out nothing overflows on the way."""
    x, exact = LIMITS[name]
    out = call(f"math.{name}", np.resize(np.float32(x), 64))[:4]
    np.testing.assert_allclose(out, exact, rtol=3e-5, atol=1e-12)


def test_rounding():
    x = np.resize(np.float32([0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 0.49999997, 8388609.0, 7.2]), 64)
    np.testing.assert_array_equal(call("math.roundeven", x), np.rint(x))
    away = np.sign(x) * np.floor(np.abs(x.astype(np.float64)) + 0.5)
    np.testing.assert_array_equal(call("math.round", x), away)


def test_copysign():
    x, y = np.resize(np.float32([1, -2, 3, -0.0]), 64), np.resize(np.float32([-1, 2, -0.0, 1]), 64)
    np.testing.assert_array_equal(call("math.copysign", x, y), np.copysign(x, y))


@pytest.mark.parametrize("exponent", [0, 1, 2, 3, 7, 64, -1, -3, 0.5, -0.5])
def test_constant_powers(exponent: float):
    """Whole ones are products, of negative bases too; half ones are roots."""
    base = spread(-1.3, 1.3, tiny=False)
    x = np.abs(base) if exponent % 1 else base
    body = f"""
  %b = gpu.block_id x
  %l = gpu.thread_id x
  %c64 = arith.constant 64 : index
  %s = arith.muli %b, %c64 : index
  %t = arith.addi %s, %l : index
  %v = memref.load %x[%t] : memref<4096xf32>
  %e = arith.constant {float(exponent)} : f32
  %r = math.powf %v, %e : f32
  memref.store %r, %y[%t] : memref<4096xf32>"""
    text = kernel("%x: memref<4096xf32>, %y: memref<4096xf32>", body, grid=64)
    out = run(text, x, np.zeros_like(x), passes=PASSES)[1]
    exact = x.astype(np.float64) ** exponent
    assert ulps(out, exact) <= max(3, abs(exponent))


def test_powers():
    """Signs are exact; NaN where there is no real power."""
    x = np.resize(np.float32([-2, -2, -2, 2, 0, 0, 0, 1, -3, -1, 10, 0.5]), 64)
    y = np.resize(np.float32([3, 2, 0.5, -2, 0, 2, -1, 1e9, -3, 7, 5, 0.5]), 64)
    with np.errstate(all="ignore"):
        exact = x.astype(np.float64) ** y.astype(np.float64)
    np.testing.assert_allclose(call("math.powf", x, y), exact, rtol=1e-5)


def test_half_precision():
    """f16 is computed in f32: its error is the rounding."""
    x = np.linspace(-4, 4, 512).astype(np.float16)
    for name, exact in {"tanh": np.tanh, "erf": lambda x: erf(x).astype(np.float64)}.items():
        out = call(f"math.{name}", x, type="f16")
        np.testing.assert_array_equal(out, exact(x.astype(np.float64)).astype(np.float16))


@pytest.mark.parametrize("name", ["floordivsi", "ceildivsi"])
def test_rounded_division(name: str):
    x, y = np.int32([7, -7, 7, -7, 6, -6, 0, 2147483647]), np.int32([2, 2, -2, -2, 3, 3, -5, -2])
    x, y = np.resize(x, 64), np.resize(y, 64)
    exact = np.floor(x / y) if name == "floordivsi" else np.ceil(x / y)
    np.testing.assert_array_equal(call(f"arith.{name}", x, y, type="i32"), exact)
