"""Every schedule at awkward shapes, on every target: interpreted as threads, and on the device.

A case is a function of arrays and what NumPy computes in f64. Those that are small run at stage
`tiled` in the reference backend, which reports races, accesses out of bounds and reads of memory
that nobody wrote. All run as WGSL on the processor, and Tint accepts every shader.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import product
from math import prod
from typing import Any
from zlib import crc32

import numpy as np
import pytest
import shaders
from lowering import Array, assert_close, on_device, program_of, traced
from xdsl.dialects.builtin import ModuleOp

import stepwell as sw
from stepwell.backends.program import Dispatch, Program
from stepwell.backends.reference import run
from stepwell.dialects.kernel import SubgroupReduceOp
from stepwell.passes.pipeline import lower
from stepwell.passes.target import TARGETS, target_named

TARGET_NAMES = [target.name for target in TARGETS]
INTERPRETED = 30_000
"""Points (elements read, or multiplications) of a case that the interpreter runs too."""

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Case:
    """A function, the shapes and dtypes of its arguments, and its NumPy reference."""

    label: str
    function: Callable[..., Any]
    reference: Callable[..., Any]
    arguments: tuple[tuple[Shape, str], ...]
    points: int
    tolerance: float = 3e-6

    def arrays(self) -> list[Array]:
        rng = np.random.default_rng(crc32(self.label.encode()))
        return [_random(rng, shape, dtype) for shape, dtype in self.arguments]

    def expected(self, arrays: list[Array]) -> list[Array]:
        results = self.reference(*[_wide(array) for array in arrays])
        return [np.asarray(r) for r in (results if isinstance(results, tuple) else (results,))]

    def check(self, actual: list[Array], arrays: list[Array]) -> None:
        expected = self.expected(arrays)
        assert len(actual) == len(expected)
        for number, (result, wanted) in enumerate(zip(actual, expected, strict=True)):
            half = 1e-3 if result.dtype == np.float16 else 0
            assert_close(result, wanted, self.tolerance + half, f"{self.label}, result {number}")


def _random(rng: np.random.Generator, shape: Shape, dtype: str) -> Array:
    if dtype == "bool":
        return np.asarray(rng.random(shape) < 0.5)
    if dtype == "positive":
        return np.asarray(rng.uniform(0.5, 1.5, shape), np.float32)
    if dtype in ("i32", "u32"):
        low = -9 if dtype == "i32" else 0
        return np.asarray(rng.integers(low, 9, shape)).astype(np.int32 if low else np.uint32)
    return np.asarray(rng.uniform(-1, 1, shape)).astype(
        np.float16 if dtype == "f16" else np.float32
    )


def _wide(array: Array) -> Array:
    return array.astype(np.float64) if np.issubdtype(array.dtype, np.floating) else array


def _text(shape: Shape) -> str:
    return "x".join(map(str, shape)) or "scalar"


# ---- maps ----------------------------------------------------------------------------------------

MAP_SHAPES: list[Shape] = [
    (), (1,), (4,), (7,), (257,), (1027,), (1024,), (4, 8), (1, 1, 1), (2, 1, 13), (31, 33),
]  # fmt: skip


def _chain(x: Any, y: Any) -> Any:
    return sw.where(x > y, x * y + 1, x - y), sw.minimum(x, y)


def _chain_reference(x: Array, y: Array) -> tuple[Array, Array]:
    return np.where(x > y, x * y + 1, x - y), np.minimum(x, y)


def _logic(x: Any, y: Any) -> Any:
    return sw.logical_and(x, sw.logical_not(y)), sw.where(x, 1, 0)


def _logic_reference(x: Array, y: Array) -> tuple[Array, Array]:
    return x & ~y, np.where(x, 1, 0)


MAPS = [
    *[
        Case(f"map {dtype} {_text(shape)}", _chain, _chain_reference,
             ((shape, dtype), (shape, dtype)), prod(shape))
        for dtype, shape in [
            *product(["f32"], MAP_SHAPES), *product(["f16", "i32"], MAP_SHAPES[3:9:2]),
        ]
    ],
    *[
        Case(f"map bool {_text(shape)}", _logic, _logic_reference,
             ((shape, "bool"), (shape, "bool")), prod(shape))
        for shape in MAP_SHAPES[1:8:2]
    ],
    *[
        Case(f"transposed map {_text(shape)}", lambda x, y: x.T + y, lambda x, y: x.T + y,
             ((shape, "f32"), (shape[::-1], "f32")), prod(shape))
        for shape in [(1, 7), (5, 3), (12, 20), (33, 31), (41, 27)]
    ],
    *[
        Case(f"broadcast map {_text(shape)}", lambda x, r, c, s: x * r + c * s,
             lambda x, r, c, s: x * r + c * s,
             ((shape, "f32"), (shape[1:], "f32"), ((shape[0], 1), "f32"), ((), "f32")),
             prod(shape))
        for shape in [(1, 8), (8, 1), (5, 7), (4, 12)]
    ],
]  # fmt: skip

# ---- reductions ----------------------------------------------------------------------------------

ROWS: list[Shape] = [
    (1, 1), (7, 1), (5, 13), (1, 256), (256, 1), (2, 257), (17, 64), (1024, 4), (3, 1031),
]  # fmt: skip
LONG: list[Shape] = [(1, 70_000), (2, 70_001), (70_000, 2), (70_001, 1), (70_000, 8)]


def _softmax(x: Any, axis: int = -1) -> Array:
    shifted = np.exp(x - x.max(axis, keepdims=True))
    return shifted / shifted.sum(axis, keepdims=True)


def _normalized(x: Array) -> Array:
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)


def _sums(axis: Any) -> tuple[Callable[..., Any], Callable[..., Any]]:
    return lambda x: sw.sum(x, axis=axis), lambda x: np.asarray(x.sum(axis))


def _statistics(x: Any) -> Any:
    """One value a row, twice, and a whole row."""
    largest = sw.max(x, axis=1, keepdims=True)
    shifted = x - largest
    return sw.sum(shifted, axis=1), shifted * 2, largest


def _statistics_reference(x: Array) -> Any:
    largest = x.max(1, keepdims=True)
    return (x - largest).sum(1), (x - largest) * 2, largest


def _column_statistics(x: Any) -> Any:
    mean = sw.mean(x, axis=0)
    return mean, sw.mean(sw.square(x - mean), axis=0)


REDUCTIONS = [
    *[
        Case(f"{name} of {side} {_text(shape)}", *_sums(axis), ((shape, dtype),), prod(shape))
        for shape, dtype in [*product(ROWS, ["f32"]), *product(LONG, ["positive"])]
        for name, side, axis in [("sum", "rows", 1), ("sum", "columns", 0)]
    ],
    *[
        Case(f"sum of axes {axes} {_text(shape)}", *_sums(axes), ((shape, "f32"),), prod(shape))
        for shape, axes in [
            ((3, 5, 7), (0, 2)), ((3, 5, 7), (1,)), ((4, 8, 12), (0, 2)), ((4, 8, 12), (1,)),
            ((4, 8, 12), (0, 1)), ((2, 3, 4, 5), (1, 3)), ((2, 3, 4, 5), (0, 2)), ((7,), (0,)),
            ((6, 1, 5), (1,)), ((2, 3, 4), (0, 1, 2)),
        ]
    ],
    *[
        Case(f"{name} {dtype} {_text(shape)}", f, g, ((shape, dtype),), prod(shape))
        for shape in [(5, 13), (4, 64), (300, 3)]
        for name, dtype, f, g in [
            ("max", "f32", lambda x: sw.max(x, axis=1), lambda x: x.max(1)),
            ("column min", "i32", lambda x: sw.min(x, axis=0), lambda x: x.min(0)),
            ("sum", "i32", lambda x: sw.sum(x, axis=1), lambda x: x.sum(1, dtype=np.int32)),
            ("sum", "f16", lambda x: sw.sum(x, axis=1), lambda x: x.sum(1)),
            ("any and all", "bool", lambda x: (sw.any(x, axis=1), sw.all(x, axis=0)),
             lambda x: (x.any(1), x.all(0))),
            ("argmax", "f32", lambda x: sw.argmax(x, axis=1), lambda x: x.argmax(1)),
            ("column argmin", "f32", lambda x: sw.argmin(x, axis=0), lambda x: x.argmin(0)),
        ]
    ],
    *[
        Case(f"{name} {_text(shape)}", f, g, ((shape, "f32"),), prod(shape), tolerance)
        for shape in [*ROWS[1::2], (17, 64), (2, 70_000)]
        for name, f, g, tolerance in [
            ("softmax", lambda x: sw.softmax(x, axis=1), _softmax, 1e-5),
            ("layer norm", lambda x: sw.layer_norm(x), _normalized, 3e-4),
            ("row statistics", _statistics, _statistics_reference, 1e-5),
        ]
        if not (name == "layer norm" and shape[1] == 1)
    ],
    *[
        Case(f"column {name} {_text(shape)}", f, g, ((shape, "f32"),), prod(shape), 1e-5)
        for shape in [(5, 13), (13, 8), (300, 3)]
        for name, f, g in [
            ("softmax", lambda x: sw.softmax(x, axis=0), lambda x: _softmax(x, 0)),
            ("statistics", _column_statistics, lambda x: (x.mean(0), x.var(0))),
        ]
    ],
]  # fmt: skip

# ---- contractions --------------------------------------------------------------------------------

PRODUCTS: list[tuple[int, int, int]] = [
    (1, 1, 1), (1, 5, 3), (5, 1, 3), (5, 3, 1), (1, 64, 64), (64, 64, 1), (7, 11, 13), (8, 32, 16),
    (64, 64, 64), (65, 68, 20), (33, 35, 37), (9, 64, 70), (3, 4, 17),
]  # fmt: skip
"""Rows, columns, depth."""


def _gelu(x: Array) -> Array:
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def _dense(x: Any, w: Any, b: Any, r: Any) -> Any:
    h = x @ w + b
    return 0.5 * h * (1 + sw.tanh(0.7978845608028654 * (h + 0.044715 * h * h * h))) + r


CONTRACTIONS = [
    *[
        Case(f"matmul {m}x{n}x{k}", lambda x, y: x @ y, lambda x, y: x @ y,
             (((m, k), "f32"), ((k, n), "f32")), m * n * k, 1e-5 if k > 1000 else 3e-6)
        for m, n, k in [*PRODUCTS, (5, 8, 70_000), (1, 4, 70_000), (3, 1, 70_001)]
    ],
    *[
        Case(f"matmul {'t' * left}n{'t' * right} {m}x{n}x{k}",
             lambda x, y, left=left, right=right: (x.T if left else x) @ (y.T if right else y),
             lambda x, y, left=left, right=right: (x.T if left else x) @ (y.T if right else y),
             (((k, m) if left else (m, k), "f32"), ((n, k) if right else (k, n), "f32")), m * n * k)
        for m, n, k in [(7, 11, 13), (12, 20, 70)]
        for left, right in [(False, True), (True, False), (True, True)]
    ],
    *[
        Case(f"batched matmul {b}x{m}x{n}x{k}", lambda x, y: x @ y, lambda x, y: x @ y,
             (((b, m, k), "f32"), ((b, k, n), "f32")), b * m * n * k)
        for b, m, n, k in [(1, 3, 4, 5), (2, 1, 8, 8), (3, 7, 5, 2), (2, 65, 8, 9)]
    ],
    *[
        Case(f"matmul {dtype} {m}x{n}x{k}", lambda x, y: x @ y, lambda x, y: x @ y,
             (((m, k), dtype), ((k, n), dtype)), m * n * k)
        for m, n, k in [(1, 5, 3), (9, 64, 70), (16, 8, 2048)]
        for dtype in ["f16", "i32", "u32"]
    ],
    *[
        Case(f"dense layer {m}x{n}x{k}", _dense,
             lambda x, w, b, r: _gelu(x @ w + b) + r,
             (((m, k), "f32"), ((k, n), "f32"), ((n,), "f32"), ((m, n), "f32")), m * n * k, 1e-5)
        for m, n, k in PRODUCTS[1::3]
    ],
    *[
        Case(f"prologue {m}x{n}x{k}", lambda x, s, w: (sw.maximum(x, 0) * s) @ w,
             lambda x, s, w: (np.maximum(x, 0) * s) @ w,
             (((m, k), "f32"), ((k,), "f32"), ((k, n), "f32")), m * n * k)
        for m, n, k in PRODUCTS[2::4]
    ],
    *[
        Case(f"attention {h}x{t}x{d}",
             lambda q, k, v: sw.softmax(q @ sw.swapaxes(k, -1, -2) * 0.5, axis=-1) @ v,
             lambda q, k, v: _softmax(q @ np.swapaxes(k, -1, -2) * 0.5) @ v,
             (((h, t, d), "f32"),) * 3, h * t * t * d, 1e-5)
        for h, t, d in [(1, 1, 4), (2, 5, 3), (2, 33, 8)]
    ],
]  # fmt: skip

# ---- sizes that only the device runs -------------------------------------------------------------

LARGE = [
    Case("sum of 1e6", *_sums((0,)), (((1_000_000,), "positive"),), 1_000_000, 1e-6),
    Case("sum of 1,000,003", *_sums((0,)), (((1_000_003,), "positive"),), 1_000_003, 1e-6),
    *[
        Case(f"sum of axes {axes} {_text(shape)}", *_sums(axes), ((shape, "positive"),),
             prod(shape), 1e-6)
        for shape, axes in [((100_003,), 0), ((8_191, 12), 0), ((3, 70_001), 1),
                            ((3, 5, 40_009), (0, 2))]
    ],
    Case("map of 4,194,311", lambda x: x + 1, lambda x: x + 1, (((4_194_311,), "f32"),), 4_194_311),
    *[
        Case(f"half map of {size:,}", lambda x: x + 1, lambda x: x + 1, (((size,), "f16"),), size)
        for size in (1 << 18, (1 << 18) + 1, (1 << 19) + 1027)
    ],
    Case("map of 16,777,220", lambda x: x * 2, lambda x: x * 2,
         (((16_777_220,), "f32"),), 16_777_220),
    Case("rows of 70,000x17", *_sums(1), (((70_000, 17), "f32"),), 1_190_000),
    Case("softmax of 66,000 rows", lambda x: sw.softmax(x, axis=1), _softmax,
         (((66_000, 5), "f32"),), 330_000, 1e-5),
    Case("70,000 products", lambda x, y: x @ y, lambda x, y: x @ y,
         (((70_000, 2, 3), "f32"), ((70_000, 3, 4), "f32")), 1_680_000),
]  # fmt: skip

CASES = [*MAPS, *REDUCTIONS, *CONTRACTIONS, *LARGE]
cases = pytest.mark.parametrize("case", CASES, ids=[case.label for case in CASES])
targets = pytest.mark.parametrize("target", TARGET_NAMES)


@cache
def tiled(label: str, target: str) -> ModuleOp:
    (case,) = (case for case in CASES if case.label == label)
    module = traced(case.function, case.arrays())
    return lower(module, target_named(target), "tiled", verify_each=True)


@cache
def program(label: str, target: str) -> Program:
    """The module at stage `tiled` is lowered in place: the interpreter goes first."""
    return program_of(tiled(label, target), target)


@targets
@cases
def test_case(case: Case, target: str) -> None:
    arrays = case.arrays()
    if case.points <= INTERPRETED:
        copies = [array.copy() for array in arrays]
        results = run(tiled(case.label, target), "main", copies)
        case.check([np.asarray(result) for result in results], arrays)
    case.check(on_device(program(case.label, target), arrays), arrays)


SUBGROUPS = [
    Case(f"{label} {_text(shape)}", f, g, ((shape, dtype),), prod(shape), 1e-5)
    for shape in [(3, 257), (7, 1024), (70, 128), (2, 5001)]
    for label, dtype, f, g in [
        ("sum", "f32", *_sums(1)),
        ("sum of i32", "i32", lambda x: sw.sum(x, axis=1), lambda x: x.sum(1, dtype=np.int32)),
        ("unsigned max", "u32", lambda x: sw.max(x, axis=1), lambda x: x.max(1)),
        ("half max", "f16", lambda x: sw.max(x, axis=1), lambda x: x.max(1)),
        ("any and all", "bool", lambda x: (sw.any(x, axis=1), sw.all(x, axis=1)),
         lambda x: (x.any(1), x.all(1))),
        ("argmax", "f32", lambda x: sw.argmax(x, axis=1), lambda x: x.argmax(1)),
        ("softmax", "f32", lambda x: sw.softmax(x, axis=1), _softmax),
    ]
]  # fmt: skip
"""Rows that subgroups combine, and two types that they do not."""


@pytest.mark.parametrize("target", ["desktop-subgroup32", "software-subgroup8"])
@pytest.mark.parametrize("case", SUBGROUPS, ids=[case.label for case in SUBGROUPS])
def test_subgroups(case: Case, target: str) -> None:
    """Interpreted as threads in subgroups of the target's size; Tint accepts the shaders."""
    arrays = case.arrays()
    module = lower(traced(case.function, arrays), target_named(target), "tiled", verify_each=True)
    combined = any(isinstance(op, SubgroupReduceOp) for op in module.walk())
    if target.startswith("desktop"):
        assert combined == (arrays[0].dtype not in (np.uint32, np.float16))
    results = run(module, "main", [array.copy() for array in arrays])
    case.check([np.asarray(result) for result in results], arrays)
    if shaders.tint_command() is not None:
        kernels = program_of(module, target).kernels.values()
        shaders.validate_tint([kernel.wgsl for kernel in kernels])


@targets
def test_grids(target: str) -> None:
    """More than 65,535 workgroups are folded into two dimensions, and there are such cases."""
    grids = [
        command.grid
        for case in LARGE
        for command in program(case.label, target).commands
        if isinstance(command, Dispatch)
    ]
    assert max(max(grid) for grid in grids) <= 65_535
    assert any(grid[1] > 1 for grid in grids)


@targets
@pytest.mark.skipif(shaders.tint_command() is None, reason="node or the npm package is missing")
def test_tint(target: str) -> None:
    """Chromium's compiler accepts every shader."""
    texts = {k.wgsl for case in CASES for k in program(case.label, target).kernels.values()}
    shaders.validate_tint(sorted(texts))
