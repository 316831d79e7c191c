"""Launches in parts do what they do whole, and none is longer than a small GPU may be busy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from lowering import assert_close, on_device, program_of, traced

import stepwell as sw
from stepwell.backends.program import Dispatch
from stepwell.passes import split_launches
from stepwell.passes.target import TARGETS, target_named

FUNCTIONS: dict[str, Callable[[sw.Array, sw.Array], sw.Array]] = {
    "a product": lambda x, y: sw.gelu(x @ y.T + 1),
    "rows": lambda x, y: sw.softmax(x, axis=-1) + y,
    "columns": lambda x, y: (x * y).sum(axis=0),
    "a map": lambda x, y: sw.tanh(x) * y[::-1],
}


def few(most: int) -> Callable[[str], object]:
    """Targets whose dispatches may do little."""
    return lambda name: replace(target_named(name), max_dispatch_flops=most)


@pytest.mark.parametrize("target", [target.name for target in TARGETS])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_parts_are_the_whole(name: str, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(70, 37)).astype(np.float32) for _ in range(2)]
    module = traced(FUNCTIONS[name], arrays, donated=[0])
    whole = program_of(module.clone(), target)
    expected = on_device(whole, arrays)
    most = max(kernel.flops for kernel in whole.kernels.values())
    monkeypatch.setattr(split_launches, "target_named", few(most // 2))
    parts = program_of(module, target)
    assert parts.dispatches > whole.dispatches
    for result, wanted in zip(on_device(parts, arrays), expected, strict=True):
        assert_close(result, wanted, 1e-5)


@pytest.mark.parametrize("target", [target.name for target in TARGETS])
def test_no_dispatch_is_long(target: str) -> None:
    def step(x: sw.Array, w: sw.Array, y: sw.Array) -> sw.Array:
        return sw.grad(lambda w: sw.cross_entropy(x @ w, y))(w)

    specs = sw.spec((8192, 768)), sw.spec((768, 50304)), sw.spec((8192,), "i32")
    program = sw.compile(step, *specs, target=target, device="reference").program
    limit = target_named(target).max_dispatch_flops
    flops = [program.kernels[c.kernel].flops for c in program.commands if isinstance(c, Dispatch)]
    assert max(flops) <= 1.1 * limit
    assert sum(flops) > 2 * 2 * 8192 * 768 * 50304
