"""Writing a window of a larger tensor: in place where its memory may be had, at every stage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from lowering import assert_close, at_stage, on_device, program_of, traced
from numpy.typing import NDArray
from xdsl.dialects import memref
from xdsl.dialects.builtin import ModuleOp

import stepwell as sw
from stepwell.dialects.build import every
from stepwell.dialects.kernel import FuncOp, LaunchOp
from stepwell.dialects.linalg_ext import InsertSliceOp
from stepwell.passes.pipeline import STAGES, lower
from stepwell.passes.target import target_named
from stepwell.passes.traffic import traffic

Array = NDArray[Any]
TARGETS = ("software", "desktop")
put = sw.dynamic_update_slice


def numbers(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def placed(x: Array, update: Array, position: Any, axis: int) -> Array:
    """What `dynamic_update_slice` means."""
    start = min(max(int(position), 0), x.shape[axis] - update.shape[axis])
    result = x.copy()
    window = [slice(None)] * x.ndim
    window[axis] = slice(start, start + update.shape[axis])
    result[tuple(window)] = update
    return result


@dataclass(frozen=True)
class Case:
    """A function of arrays, its meaning, and how many insertions overwrite in place."""

    name: str
    function: Callable[..., Any]
    meaning: Callable[..., Any]
    arrays: tuple[Array, ...]
    in_place: int
    donated: tuple[int, ...] = (0,)


def at(position: int, dtype: str = "int32") -> Array:
    return np.array(position, dtype)


CACHE, TOKEN = numbers(2, 3, 7, 4), numbers(2, 3, 1, 4, seed=1)


def _rows(x: Array) -> Array:
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + 1)


def _two(x: Any, a: Any, b: Any, p: Any) -> Any:
    return put(put(x, a, p, axis=1), b, p + 1, axis=1)


def _projected(x: Any, h: Any, w: Any, p: Any) -> Any:
    new = (h @ w).reshape(2, 1, 3, 4).transpose((0, 2, 1, 3))
    angle = sw.cos(p.astype("f32"))
    return put(x, new * angle + new[..., ::-1], p, axis=2)


def _projected_np(x: Array, h: Array, w: Array, p: Array) -> Array:
    new = (h @ w).reshape(2, 1, 3, 4).transpose(0, 2, 1, 3)
    return placed(x, new * np.cos(np.float32(p)) + new[..., ::-1], p, 2)


def _of_itself(x: Any, u: Any, p: Any) -> Any:
    old = sw.dynamic_slice(x, p, axis=1, length=2)
    return put(x, old * 2 + u, p, axis=1)


def _of_itself_np(x: Array, u: Array, p: Array) -> Array:
    start = min(max(int(p), 0), x.shape[1] - 2)
    return placed(x, x[:, start : start + 2] * 2 + u, p, 1)


def _between(a: Any, b: Any, u: Any, p: Any) -> Any:
    product = a @ b
    return product.max(axis=1), put(product, u, p, axis=0) @ b


def _between_np(a: Array, b: Array, u: Array, p: Array) -> Any:
    return (a @ b).max(1), placed(a @ b, u, p, 0) @ b


def _loop(x: Any, u: Any) -> Any:
    return sw.fori_loop(0, 5, lambda i, old: put(old, u * (i + 1), i * 2, axis=0), x)


def _loop_np(x: Array, u: Array) -> Array:
    for i in range(5):
        x = placed(x, u * np.float32(i + 1), i * 2, 0)
    return x


CASES = [
    *(
        Case(f"token at {p}", lambda x, u, p: put(x, u, p, axis=2),
             lambda x, u, p: placed(x, u, p, 2), (CACHE, TOKEN, at(p)), 1)
        for p in (-3, 0, 4, 6, 7, 2**31 - 1)
    ),
    Case("unsigned", lambda x, u, p: put(x, u, p, axis=2), lambda x, u, p: placed(x, u, p, 2),
         (CACHE, TOKEN, at(2**32 - 1, "uint32")), 1),
    Case("not donated", lambda x, u, p: put(x, u, p, axis=2), lambda x, u, p: placed(x, u, p, 2),
         (CACHE, TOKEN, at(3)), 0, ()),
    *(
        Case(f"last axis, {dtype}", lambda x, u, p: put(x, u, p, axis=-1),
             lambda x, u, p: placed(x, u, p, 1),
             ((numbers(5, 13) * 9).astype(dtype), (numbers(5, 6, seed=1) * 9).astype(dtype), at(3)),
             1)
        for dtype in ("float32", "float16", "int32", "uint32", "bool")
    ),
    Case("everything", lambda x, u, p: put(x, u, p, axis=1), lambda x, u, p: u.copy(),
         (numbers(3, 4), numbers(3, 4, seed=1), at(2)), 0),
    Case("nothing", lambda x, u, p: put(x, u, p, axis=1), lambda x, u, p: x.copy(),
         (numbers(3, 4), numbers(3, 0), at(2)), 0),
    Case("projection", _projected, _projected_np,
         (CACHE, numbers(2, 8, seed=2), numbers(8, 12, seed=3), at(5)), 1),
    Case("normalized rows", lambda x, u, p: put(x, sw.rms_norm(u, eps=1), p, axis=0),
         lambda x, u, p: placed(x, _rows(u), p, 0),
         (numbers(9, 33), numbers(2, 33, seed=1), at(5)), 1),
    Case("sum", lambda x, u, p: put(x, u.sum(axis=1), p, axis=0),
         lambda x, u, p: placed(x, u.sum(1), p, 0),
         (numbers(9, 5), numbers(2, 17, 5, seed=1), at(5)), 1),
    Case("one after another", _two, lambda x, a, b, p: placed(placed(x, a, p, 1), b, p + 1, 1),
         (numbers(3, 8), numbers(3, 2, seed=1), numbers(3, 3, seed=2), at(2)), 2),
    Case("the old value is read too", lambda x, u, p: (put(x, u, p, axis=0), x.sum(axis=1)),
         lambda x, u, p: (placed(x, u, p, 0), x.sum(1)),
         (numbers(9, 5), numbers(2, 5, seed=1), at(5)), 1),
    Case("both are read", lambda x, u, p: (y := put(x, u, p, axis=0), (x * y).sum()),
         lambda x, u, p: (placed(x, u, p, 0), (x * placed(x, u, p, 0)).sum()),
         (numbers(9, 5), numbers(2, 5, seed=1), at(5)), 0),
    Case("the new value is read", lambda x, u, p: (y := put(x, u, p, axis=0), y.sum(axis=1)),
         lambda x, u, p: (placed(x, u, p, 0), placed(x, u, p, 0).sum(1)),
         (numbers(9, 5), numbers(2, 5, seed=1), at(5)), 1),
    Case("of itself", _of_itself, _of_itself_np,
         (numbers(3, 8), numbers(3, 2, seed=1), at(7)), 1),
    Case("into a product", _between, _between_np,
         (numbers(9, 5), numbers(5, 5, seed=1), numbers(2, 5, seed=2), at(5)), 1, ()),
    Case("in a loop", _loop, _loop_np, (numbers(11, 3), numbers(2, 3, seed=1)), 1),
]  # fmt: skip


def insertions(module: ModuleOp) -> int:
    return sum(isinstance(op, InsertSliceOp) for op in every(module))


def copies(module: ModuleOp) -> int:
    return sum(isinstance(op, memref.CopyOp) for op in every(module))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_stage_agrees_with_numpy(case: Case, target: str) -> None:
    wanted = case.meaning(*case.arrays)
    wanted = wanted if isinstance(wanted, tuple) else (wanted,)
    for stage in (stage.name for stage in STAGES[:-1]):
        module = traced(case.function, case.arrays, case.donated)
        found = at_stage(module, target, stage, case.arrays)
        for actual, expected in zip(found, wanted, strict=True):
            assert_close(actual, expected, 1e-3, f"{case.name} at {stage}")
        if stage == "fused":
            assert insertions(module) == case.in_place
        if stage == "buffers":
            assert not (case.in_place and copies(module))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_device_agrees_with_numpy(case: Case) -> None:
    wanted = case.meaning(*case.arrays)
    wanted = wanted if isinstance(wanted, tuple) else (wanted,)
    program = program_of(traced(case.function, case.arrays, case.donated), "software")
    for actual, expected in zip(on_device(program, case.arrays), wanted, strict=True):
        assert_close(actual, expected, 1e-3)


@pytest.mark.parametrize("target", TARGETS)
def test_a_token_costs_its_own_bytes(target: str) -> None:
    """Cache and projection alike: what is read and written does not grow with the cache."""
    cache, token = (2, 4, 4096, 32), 2 * 4 * 32 * 4
    arrays = [np.zeros(cache, np.float32), numbers(2, 4, 1, 32), at(5)]
    module = traced(lambda x, u, p: put(x, u * 2, p, axis=2), arrays, [0])
    lower(module, target_named(target), "tiled")
    (kernel,) = (op for op in module.ops if isinstance(op, FuncOp))
    asked = traffic(kernel)
    assert asked.written == token
    assert token <= asked.read <= 3 * token
    assert sum(isinstance(op, LaunchOp) for op in every(module)) == 1


def test_the_report_counts_a_token_only() -> None:
    new = sw.spec((2, 4, 1, 32))
    whole, token = sw.spec((2, 4, 4096, 32)), 2 * 4 * 32 * 4
    jitted = sw.jit(lambda x, u, p: put(x, u, p, axis=2), donate_argnums=(0,))
    program = jitted.lower(whole, new, sw.spec((), "i32"), target="software").program
    (kernel,) = program.kernels.values()
    assert kernel.bytes <= 2 * token + 4


def test_what_must_be_kept_is_copied() -> None:
    """Fusion may join a reader of the old value with one of the new one."""
    arrays = [numbers(64, 64), numbers(2, 64, seed=1), at(5)]

    def both(x: Any, u: Any, p: Any) -> Any:
        old, new = x.max(axis=1), put(x, u, p, axis=0)
        return new, old * new.max(axis=1)

    module = traced(both, arrays, [0])
    found = at_stage(module, "software", "tiled", arrays)
    new = placed(arrays[0], arrays[1], arrays[2], 0)
    assert_close(found[0], new, 1e-6)
    assert_close(found[1], arrays[0].max(1) * new.max(1), 1e-6)


def _self(x: Any) -> Any:
    for _ in range(8):
        x = sw.concat([x, x], axis=0)
    return x


def _chain(*pieces: Any) -> Any:
    x = pieces[0]
    for piece in pieces[1:]:
        x = sw.concat([x, piece], axis=1)
    return x


def _chain_np(*pieces: Array) -> Array:
    return np.concatenate(pieces, 1)


def parts(count: int, *shape: int) -> tuple[Array, ...]:
    return tuple(numbers(*shape, seed=seed) for seed in range(count))


CONCATENATIONS = [
    Case("twelve", lambda *x: sw.concat([v * 2 for v in x], axis=1),
         lambda *x: np.concatenate(x, 1) * 2, parts(12, 3, 5), 2),
    Case("twelve that are read", lambda *x: sw.concat(x, axis=0).sum(axis=0),
         lambda *x: np.concatenate(x, 0).sum(0), parts(12, 3, 5), 2),
    Case("twenty, one after another", _chain, _chain_np, parts(20, 3, 2), 3),
    Case("few", lambda *x: sw.concat(x, axis=0), lambda *x: np.concatenate(x, 0),
         parts(3, 3, 5), 0),
    Case("stacked", lambda *x: sw.stack(x, axis=1), lambda *x: np.stack(x, 1),
         parts(9, 4, 3), 2),
    Case("a product and what was there", lambda x, a, b: sw.concat([x, sw.relu(a @ b)], axis=0),
         lambda x, a, b: np.concatenate([x, np.maximum(a @ b, 0)], 0),
         (numbers(6, 8), numbers(3, 5), numbers(5, 8, seed=1)), 2),
    Case("sums", lambda a, b: sw.concat([a.sum(axis=1), b.max(axis=0)], axis=0),
         lambda a, b: np.concatenate([a.sum(1), b.max(0)], 0),
         (numbers(6, 33), numbers(33, 5)), 2),
    Case("eight times itself", _self, lambda x: np.tile(x, (256, 1)), (numbers(2, 3),), 0),
    Case("a window of pieces", lambda x, a, p: put(sw.concat([x, x + 1], axis=0), a, p, axis=0),
         lambda x, a, p: placed(np.concatenate([x, x + 1], 0), a, p, 0),
         (numbers(6, 8), numbers(2, 8, seed=1), at(5)), 0),
]  # fmt: skip


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("case", CONCATENATIONS, ids=lambda case: case.name)
def test_concatenations_at_every_stage(case: Case, target: str) -> None:
    wanted = case.meaning(*case.arrays)
    for stage in (stage.name for stage in STAGES[:-1]):
        module = traced(case.function, case.arrays)
        (found,) = at_stage(module, target, stage, case.arrays)
        assert_close(found, wanted, 1e-5, f"{case.name} at {stage}")
        if stage == "fused":
            assert insertions(module) == case.in_place
        if stage == "buffers":
            assert not copies(module)
            kernels = [op for op in module.ops if isinstance(op, FuncOp)]
            assert max(len(kernel.block.args) for kernel in kernels) <= 8


@pytest.mark.parametrize("case", CONCATENATIONS, ids=lambda case: case.name)
def test_concatenations_on_the_device(case: Case) -> None:
    program = program_of(traced(case.function, case.arrays), "software")
    (found,) = on_device(program, case.arrays)
    assert_close(found, case.meaning(*case.arrays), 1e-5)
