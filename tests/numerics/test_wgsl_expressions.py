"""Random expressions keep their meaning through nesting, parentheses and splitting."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tiled import kernel, run

Array = NDArray[Any]
OPERATIONS: dict[str, Callable[[Array, Array], Array]] = {
    "addi": np.add,
    "subi": np.subtract,
    "muli": np.multiply,
    "andi": np.bitwise_and,
    "ori": np.bitwise_or,
    "xori": np.bitwise_xor,
    "shli": lambda a, b: a << (b & 31),
    "shrsi": lambda a, b: a >> (b & 31),
    "shrui": lambda a, b: (a.view(np.uint32) >> (b.view(np.uint32) & 31)).view(np.int32),
    "maxsi": np.maximum,
    "minui": lambda a, b: np.minimum(a.view(np.uint32), b.view(np.uint32)).view(np.int32),
    "slt": lambda a, b: np.where(a < b, a, b ^ 1),
    "ult": lambda a, b: np.where(a.view(np.uint32) < b.view(np.uint32), b, a ^ 3),
}
LEAVES = np.random.default_rng(5).integers(-(2**31), 2**31, (3, 64)).astype(np.int32)
CONSTANTS = (0, 1, -1, 5, 31, 32, 2147483647, -2147483648)


@pytest.mark.parametrize("seed", range(4))
def test_random_integers(seed: int):
    rng = random.Random(seed)
    lines = ["  %t = gpu.thread_id x"]
    values: list[tuple[str, Array]] = []
    for i, leaf in enumerate(LEAVES):
        lines.append(f"  %x{i} = memref.load %a{i}[%t] : memref<64xi32>")
        values.append((f"%x{i}", leaf))
    for i, constant in enumerate(CONSTANTS):
        lines.append(f"  %c{i} = arith.constant {constant} : i32")
        values.append((f"%c{i}", np.full(64, constant, np.int32)))
    for i in range(120):
        name = rng.choice([*OPERATIONS])
        # Mostly new values, so that expressions nest.
        (left, a), (right, b) = (
            values[-1 - min(int(rng.expovariate(0.2)), len(values) - 1)] for _ in range(2)
        )
        if name in ("slt", "ult"):
            flip = 1 if name == "slt" else 3
            lines.append(f"  %p{i} = arith.cmpi {name}, {left}, {right} : i32")
            lines.append(f"  %k{i} = arith.constant {flip} : i32")
            other, then = (right, left) if name == "slt" else (left, right)
            lines.append(f"  %e{i} = arith.xori {other}, %k{i} : i32")
            lines.append(f"  %v{i} = arith.select %p{i}, {then}, %e{i} : i32")
        else:
            lines.append(f"  %v{i} = arith.{name} {left}, {right} : i32")
        with np.errstate(all="ignore"):
            values.append((f"%v{i}", OPERATIONS[name](a, b).astype(np.int32)))
    chosen = values[-40:]
    lines.append("  %n = arith.constant 40 : index")
    lines.append("  %base = arith.muli %t, %n : index")
    for i, (value, _) in enumerate(chosen):
        lines.append(f"  %i{i} = arith.constant {i} : index")
        lines.append(f"  %o{i} = arith.addi %base, %i{i} : index")
        lines.append(f"  memref.store {value}, %out[%o{i}] : memref<2560xi32>")
    arguments = ", ".join(f"%a{i}: memref<64xi32>" for i in range(3)) + ", %out: memref<2560xi32>"
    out = run(kernel(arguments, "\n".join(lines)), *LEAVES, np.zeros(2560, np.int32))[-1]
    np.testing.assert_array_equal(out.reshape(64, 40), np.stack([v for _, v in chosen], 1))
