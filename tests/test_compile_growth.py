"""What a compile takes grows as the program does.

Work is counted in calls of Python functions: these are the same however busy the machine is.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from cProfile import Profile
from typing import Any

import numpy as np
import pytest

import stepwell as sw
from stepwell.frontend.array import Array

Program = Callable[[int, Array, Array], Any]
GROWTH = 2.4
"""Calls for twice the operations, where 2 is linear. A kernel more or less may be a tenth."""

COUNTS = {"shared": 256, "gradient of diamonds": 96}
"""Operations from which on kernels are as large as they may be, where that is more than usual."""


def repeated(step: Callable[[Array], Array]) -> Program:
    def program(count: int, x: Array, p: Array) -> Array:
        for _ in range(count):
            x = step(x)
        return x

    return program


def gradient_of(program: Program) -> Program:
    def gradient(count: int, x: Array, p: Array) -> Array:
        def loss(x: Array) -> Array:
            return sw.sum(program(count // 3, x, p))

        return sw.grad(loss)(x)

    return gradient


def gathers(count: int, x: Array, p: Array) -> Array:
    for _ in range(count):
        p = sw.take(p, p, axis=0)
    return p


def search(count: int, x: Array, p: Array) -> Array:
    """The steps of a binary search, each at the place that the one before found."""
    low = p * 0
    for _ in range(count):
        low = sw.where(sw.take(p, low + 1, axis=0) < p, low + 1, low)
    return low


def shared(count: int, x: Array, p: Array) -> Array:
    """Each reads the one before and one of long ago."""
    found = [x]
    for _ in range(count):
        found.append(sw.tanh(found[-1]) + found[len(found) // 2])
    return found[-1]


def random_graph(count: int, x: Array, p: Array) -> Array:
    draw = np.random.default_rng(0)
    found = [x]
    for _ in range(count):
        a, b = (found[-1 - int(draw.integers(0, min(8, len(found))))] for _ in range(2))
        choices: list[Callable[[Array, Array], Array]] = [
            lambda a, b: a + b,
            lambda a, b: sw.tanh(a),
            lambda a, b: a - sw.mean(b, axis=0, keepdims=True),
            lambda a, b: a.T * b,
            lambda a, b: a @ b,
            lambda a, b: sw.flip(a, axis=0),
            lambda a, b: sw.roll(a, 1, axis=1) + b,
        ]
        found.append(choices[int(draw.integers(0, len(choices)))](a, b))
    return found[-1]


def scan(count: int, x: Array, p: Array) -> Array:
    def step(carry: Array, row: Array) -> tuple[Array, Array]:
        for _ in range(count // 2):
            carry = sw.tanh(carry - sw.sum(carry) + row)
        return carry, carry

    return sw.scan(step, x[0], x)[1]


PROGRAMS: dict[str, Program] = {
    "chain": repeated(lambda x: sw.tanh(x) * 1.01),
    "diamonds": repeated(lambda x: sw.exp(x) * sw.tanh(x)),
    "reductions": repeated(lambda x: x - sw.sum(x, axis=1, keepdims=True)),
    "softmax": repeated(lambda x: sw.softmax(x, axis=1).T),
    "rolls": repeated(lambda x: x + sw.roll(x, 1, axis=0)),
    "concatenations": repeated(lambda x: sw.concat([x[:4], x[4:] * 1.5], axis=0)),
    "reshapes": repeated(lambda x: sw.reshape(sw.reshape(x, (4, 16)).T, (8, 8))),
    "pads": repeated(lambda x: sw.pad(x, 1)[1:, 1:] * 2.0),
    "fan": lambda count, x, p: [sw.sum(x * float(i), axis=i % 2) for i in range(count // 2)],
    "slices": lambda count, x, p: sw.stack([sw.sum(x[i % 8] * float(i)) for i in range(count)]),
    "gathers": gathers,
    "search": search,
    "shared": shared,
    "graph": random_graph,
    "scan": scan,
    "gradient of diamonds": gradient_of(repeated(lambda x: sw.exp(x) * sw.tanh(x))),
    "gradient of reductions": gradient_of(
        repeated(lambda x: x - sw.sum(x, axis=1, keepdims=True) * x)
    ),
    "gradient of a scan": gradient_of(scan),
}


def calls(program: Program, count: int) -> int:
    """The calls of a compile."""

    def run(x: Array, p: Array) -> Any:
        return program(count, x, p)

    with Profile(builtins=False) as profile:
        _ = sw.compile(run, sw.spec((8, 8)), sw.spec((8,), "i32"), target="software").program
    return sum(entry.callcount for entry in profile.getstats())


@pytest.mark.parametrize("name", PROGRAMS)
def test_work_is_linear(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEPWELL_CACHE", "0")
    count = COUNTS.get(name, 48)
    once, twice = (calls(PROGRAMS[name], count) for count in (count, 2 * count))
    assert twice < GROWTH * once, f"{once} calls, and {twice} for twice the operations"


@pytest.mark.parametrize("name", ["chain", "diamonds", "softmax", "shared", "gradient of diamonds"])
def test_programs_are_longer_than_the_stack_is_deep(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEPWELL_CACHE", "0")
    assert calls(PROGRAMS[name], sys.getrecursionlimit() // 3)
