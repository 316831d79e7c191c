"""Programs of many operations compute what their operations compute one by one."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from graphs import OPERATIONS, Graph, graphs
from hypothesis import HealthCheck, example, given, settings
from lowering import assert_close, at_stage, on_device, program_of, traced

import stepwell as sw
from stepwell.backends.program import Dispatch
from stepwell.passes.target import TARGETS

targets = pytest.mark.parametrize("target", [target.name for target in TARGETS])
seeded = settings(
    max_examples=12,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)

ONE_BY_ONE = {name: sw.jit(function, device="cpu") for name, (_, function) in OPERATIONS.items()}
"""Each operation compiled alone."""

DIAMOND = Graph(8, 2, (("tanh", (0,)), ("matmul", (2, 1)), ("flip", (3,)), ("add", (3, 4)),
                       ("add", (5, 2))), (6, 3))  # fmt: skip
"""A value that two kernels read, one of which runs before the other."""

UPDATE = Graph(5, 2, (("subtract", (0, 1)), ("centre columns", (0,)), ("roll", (2,))), (2, 3, 4))
"""The new value of an argument is computed before the last read of the old one."""

ROWS = Graph(8, 1, (("softmax", (0,)), ("row maxima", (1,)), ("multiply", (1, 2)),
                    ("centre rows", (3,))), (4, 2))  # fmt: skip
"""Several reductions of the same rows."""


def one_by_one(graph: Graph) -> list[Any]:
    """Each operation is a program of its own."""
    results = graph.evaluate(
        *[sw.asarray(array) for array in graph.arrays()],
        apply=lambda name, *operands: ONE_BY_ONE[name](*operands),
    )
    return [np.asarray(result) for result in results]


@targets
@example(graph=DIAMOND)
@example(graph=UPDATE)
@example(graph=ROWS)
@given(graph=graphs())
@seeded
def test_fused_is_unfused(graph: Graph, target: str) -> None:
    """On the device, the first argument given away."""
    arrays = graph.arrays()
    program = program_of(traced(graph.evaluate, arrays, donated=[0]), target)
    for actual, expected in zip(on_device(program, arrays), one_by_one(graph), strict=True):
        assert_close(actual, expected, 2e-5)


@targets
@example(graph=DIAMOND)
@example(graph=UPDATE)
@example(graph=ROWS)
@given(graph=graphs(sizes=(4, 5), longest=8))
@seeded
def test_fused_without_races(graph: Graph, target: str) -> None:
    """In the interpreter, which reports races, against the plain operations in NumPy."""
    arrays = graph.arrays()
    module = traced(graph.evaluate, arrays, donated=[0])
    expected = at_stage(module.clone(), target, "array", arrays)
    for actual, wanted in zip(at_stage(module, target, "tiled", arrays), expected, strict=True):
        assert_close(actual, wanted, 2e-5)


def _shape(size: int, rng: random.Random) -> tuple[int, ...]:
    """A shape of that many elements."""
    sizes: list[int] = []
    while size > 1 and len(sizes) < 3:
        sizes.append(rng.choice([d for d in range(1, size + 1) if size % d == 0]))
        size //= sizes[-1]
    return tuple(rng.sample([*sizes, size], len(sizes) + 1))


@targets
@pytest.mark.parametrize("seed", [10, 14, 15, 17, 19, 29, 41, 43, 44, 55, 66, 78, 94, 99])
def test_sums_are_read_through_views_of_views(seed: int, target: str) -> None:
    """Reshapes that divide and multiply indices again and again, with results between them."""
    rng = random.Random(seed)
    size = rng.choice([24, 30, 36, 48, 60, 77, 122, 488])
    shape, axis = _shape(size, rng), rng.randrange(2)
    x = np.random.default_rng(seed).standard_normal((*shape[:axis], 3, *shape[axis:]))
    steps = [(rng.randrange(4), _shape(size, rng), rng.random()) for _ in range(5)]

    def apply(np_or_sw: Any, x: Any) -> tuple[Any, ...]:
        results, value = [], np_or_sw.sum(x, axis=axis)
        for kind, wanted, order in steps:
            if kind == 0:
                axes = sorted(range(value.ndim), key=lambda a, order=order: (a + 1) * order % 1)
                value = np_or_sw.transpose(value, axes)
            else:
                value = np_or_sw.sin(np_or_sw.reshape(value, wanted))
            if kind > 2:
                results.append(np_or_sw.exp(value))
        return (*results, value)

    arrays = [x.astype(np.float32)]
    program = program_of(traced(lambda x: apply(sw, x), arrays), target)
    for found, expected in zip(on_device(program, arrays), apply(np, x), strict=True):
        assert_close(found, expected, 2e-5)


def test_a_sum_is_reshaped() -> None:
    x = np.random.default_rng(0).standard_normal((61, 8, 3)).astype(np.float32)
    found = sw.jit(lambda x: sw.reshape(sw.exp(sw.sum(x, axis=-1)), (8, 61)))(x)
    assert_close(found.numpy(), np.exp(x.sum(-1, np.float64)).reshape(8, 61), 2e-6)


LAUNCHES = {
    "a chain of maps": (lambda x: sw.tanh(x * 2 + 1) - x, 1),
    "softmax": (lambda x: sw.softmax(x, axis=-1), 1),
    "layer norm": (lambda x: sw.layer_norm(x), 1),
    "a dense layer": (lambda x: sw.gelu(x @ x + x[0]) + x, 1),
    "attention": (lambda x: sw.softmax(x @ x.T, axis=-1) @ x, 3),
    "two layers": (lambda x: sw.relu(x @ x) @ x, 2),
}


@targets
@pytest.mark.parametrize("name", LAUNCHES)
def test_launches(name: str, target: str) -> None:
    """How many launches common programs take."""
    function, count = LAUNCHES[name]
    program = program_of(traced(function, [np.zeros((8, 8), np.float32)]), target)
    assert sum(isinstance(command, Dispatch) for command in program.commands) == count
