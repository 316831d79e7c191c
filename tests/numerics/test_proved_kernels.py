"""Every kernel of the operation table is proved to be in bounds where tiles have workgroup memory.

That the kernels of the other target are proved is part of `test_operations`. Maps have the same
schedule on both.
"""

from __future__ import annotations

import pytest
from operations import attention, composite, contraction, convolution, indexing, reduction
from operations.levels import not_proved
from operations.row import Row
from test_operations import module_of, spread, take

from stepwell.passes.pipeline import lower
from stepwell.passes.target import target_named

TABLES = (reduction, contraction, convolution, indexing, composite, attention)
ROWS = [row for table in TABLES for row in table.ROWS]


@pytest.mark.parametrize("row", ROWS, ids=[row.op.name for row in ROWS])
def test_every_kernel_is_proved(row: Row) -> None:
    _, types = spread(row.cases)

    def build(emit, *arguments):
        left = list(arguments)
        return [case.build(emit, *take(left, case)) for case in row.cases]

    target = target_named("desktop-subgroup32-workgroup48")
    assert not_proved(lower(module_of(build, types), target, "tiled")) == []
