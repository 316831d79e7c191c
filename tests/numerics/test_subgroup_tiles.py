"""Contractions that share rows in a subgroup: right where it has that size, refused elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
from lowering import assert_close, at_stage, device, on_device, program_of, traced

from stepwell.backends.errors import DeviceError

TARGET = "software-subgroup8"


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize(
    ("m", "n", "k"), [(16, 64, 4), (17, 68, 9), (33, 7, 5), (3, 4, 17), (8, 1028, 1), (40, 36, 8)]
)
def test_subgroup_tiles(m: int, n: int, k: int, transposed: bool):
    rng = np.random.default_rng(m * n + k)
    x = rng.standard_normal((k, m) if transposed else (m, k)).astype(np.float32)
    y = rng.standard_normal((k, n)).astype(np.float32)

    def product(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return (x.T if transposed else x) @ y

    expected = product(x.astype(np.float64), y.astype(np.float64))
    arrays = [x, y]
    (interpreted,) = at_stage(traced(product, arrays), TARGET, "tiled", arrays)
    assert_close(interpreted, expected, 3e-6)
    program = program_of(traced(product, arrays), TARGET)
    assert any("subgroupBroadcast" in kernel.wgsl for kernel in program.kernels.values())
    assert {kernel.subgroup_size for kernel in program.kernels.values()} == {8}
    if device().description.subgroup_size == 8:
        (result,) = on_device(program, arrays)
        assert_close(result, expected, 3e-6)
    else:
        with pytest.raises(DeviceError, match="subgroups of 8"):
            on_device(program, arrays)
