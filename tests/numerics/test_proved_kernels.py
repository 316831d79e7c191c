"""Every kernel is proved to be in bounds, and to end before software Vulkan ends its loops.

The operation table is tried for the target whose tiles have workgroup memory: `test_operations` has
it for the other, and maps have the same schedule on both. What takes long is only lowered here.
"""

from __future__ import annotations

from typing import Any

import pytest
from operations import attention, composite, contraction, convolution, indexing, reduction
from operations.levels import not_proved, too_long
from operations.modules import results_of
from operations.row import Row

import stepwell as sw
from stepwell.frontend.compilation import trace_call
from stepwell.passes.pipeline import lower
from stepwell.passes.target import target_named

TABLES = (reduction, contraction, convolution, indexing, composite, attention)
ROWS = [row for table in TABLES for row in table.ROWS]


@pytest.mark.parametrize("row", ROWS, ids=[row.op.name for row in ROWS])
def test_every_kernel_is_proved(row: Row) -> None:
    target = target_named("desktop-subgroup32-workgroup48")
    module = lower(results_of(row), target, "tiled")
    assert not_proved(module) == []
    assert too_long(module) == []


S = sw.spec
DEEP = 1_000_003  # A prime.
LONG: dict[str, tuple[Any, ...]] = {
    "deep product": (lambda x, y: x @ y, S((16, 1_000_000)), S((1_000_000, 16))),
    "deep product of a prime": (lambda x, y: x @ y, S((3, DEEP)), S((DEEP, 5))),
    "deep products": (lambda x, y: x @ y, S((4, 64, 300_000)), S((4, 300_000, 64))),
    "matrix and vector": (lambda x, y: x @ y, S((8, DEEP)), S((DEEP,))),
    "sum": (lambda x: (x * x).sum(), S((100_000_007,))),
    "sum of f16": (lambda x: x.sum(), S((100_000_007,), "f16")),
    "sum of rows": (lambda x: x.sum(axis=-1), S((64, 4_000_000))),
    "sum of columns": (lambda x: x.sum(axis=0), S((4_000_037, 7))),
    "argmax": (lambda x: sw.argmax(x, axis=-1), S((3, 10_000_019))),
    "softmax": (lambda x: sw.softmax(x, axis=-1), S((3, DEEP))),
    "softmax of columns": (lambda x: sw.softmax(x, axis=0), S((DEEP, 3))),
    "norm": (lambda x: sw.layer_norm(x), S((3, DEEP))),
    "cross entropy": (sw.grad(sw.cross_entropy), S((64, DEEP)), S((64,), "i32")),
    "gradient of an embedding": (
        sw.grad(lambda w, i: (sw.take(w, i, axis=0) ** 2).sum()),
        *(S((50304, 64)), S((200_000,), "i32")),
    ),
    "gradient of a convolution": (
        sw.grad(lambda w, x: (sw.conv2d(x, w, padding=1) ** 2).sum()),
        *(S((64, 64, 3, 3)), S((32, 64, 224, 224))),
    ),
    "attention": (sw.scaled_dot_product_attention, S((1, 64, 64)), *[S((1, 1_000_000, 64))] * 2),
    "gradient of attention": (
        sw.grad(lambda q, k, v: (sw.scaled_dot_product_attention(q, k, v) ** 2).sum()),
        *(S((1, 512, 64)), S((1, 262_144, 64)), S((1, 262_144, 64))),
    ),
    "map": (lambda x: sw.tanh(x) + 1, S((200_000_003,))),
}


@pytest.mark.parametrize("target", ["software", "software-subgroup8", "desktop-subgroup32"])
@pytest.mark.parametrize("name", LONG)
def test_long_kernels_end(name: str, target: str) -> None:
    function, *specs = LONG[name]
    call = trace_call(lambda inputs: function(*inputs), specs, [f"x{i}" for i in range(len(specs))])
    module = lower(call.traced.module, target_named(target), "tiled")
    assert not_proved(module) == []
    assert too_long(module) == []
