"""docs/embedding.md, run as it stands: the compiler as a library of another tool."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shaders
from pages import python_blocks

import stepwell as sw
from stepwell.backends.device import ReferenceDevice, open_device
from stepwell.backends.program import Dispatch, Program

PAGE = Path(__file__).parents[1] / "docs" / "embedding.md"


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the names in the page are after all of its blocks have run."""
    found: dict[str, Any] = {"__name__": "embedding"}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("embedding"))
        for block in python_blocks(PAGE):
            exec(block, found)
        found["saved"] = Path("matmul_relu.safetensors").resolve()
    return found


def test_product_and_relu_are_one_kernel(names: dict[str, Any]) -> None:
    program: Program = names["program"]
    assert len(program.kernels) == 1
    assert [type(command) for command in program.commands] == [Dispatch]
    assert [entry.shape for entry in program.inputs] == [(64, 96), (96, 32)]
    for kernel in program.kernels.values():
        shaders.validate_naga(kernel.wgsl)


def test_the_saved_program_runs(names: dict[str, Any]) -> None:
    assert not isinstance(open_device(), ReferenceDevice)
    rng = np.random.default_rng(0)
    a = rng.normal(size=(64, 96)).astype(np.float32)
    b = rng.normal(size=(96, 32)).astype(np.float32)
    result = np.asarray(sw.load(names["saved"])(a, b))
    expected = np.maximum(a.astype(np.float64) @ b, 0)
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-4)


def test_a_stage_on_the_way(names: dict[str, Any]) -> None:
    assert names["ran"] == [
        *("normalize-linalg", "join-windows", "expand-insertions"),
        *("split-reductions", "split-contractions", "fuse-kernels", "expand-math"),
        *("bufferize-kernels", "plan-memory", "apply-tuning", "schedule-kernels"),
        *("merge-launches", "split-launches", "prove-bounds"),
    ]
    assert "grid = array<i32:" in str(names["part"])


def test_passes_in_another_pipeline(names: dict[str, Any]) -> None:
    text = str(names["source"])
    assert text.count("kernel.func") == 1
    assert "array." not in text


def test_no_device_and_no_front_end_is_touched() -> None:
    """Lowering and export work where wgpu is not installed."""
    code = "\n".join([
        "import os, sys, tempfile",
        "sys.modules['wgpu'] = None",
        "os.chdir(tempfile.mkdtemp())",
        *python_blocks(PAGE),
        "sys.exit(any(name.startswith('stepwell.frontend') for name in sys.modules))",
    ])  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
