"""Runs every lit test in this process. `lit tests/filecheck` runs the same files."""

from __future__ import annotations

from pathlib import Path

import pytest
from lit_in_process import LitError, run_file

ROOT = Path(__file__).parent / "filecheck"
FILES = sorted(ROOT.rglob("*.mlir"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_lit(path: Path, tmp_path: Path) -> None:
    run_file(path, tmp_path)


FAILING = {
    "nothing to run": "// CHECK: a",
    "a check that does not match": "// RUN: wgpu-opt %s | filecheck %s\n// CHECK: arith",
    "a tool that fails": "// RUN: wgpu-opt %s -p nothing 2> %t | cat %s",
    "not of a success": "// RUN: not wgpu-opt %s | filecheck %s\n// CHECK: builtin.module",
    "an unknown command": "// RUN: rm %s",
    "a continued last line": "// RUN: wgpu-opt %s | \\",
}


@pytest.mark.parametrize("text", FAILING.values(), ids=FAILING.keys())
def test_harness_can_fail(text: str, tmp_path: Path) -> None:
    path = tmp_path / "case.mlir"
    path.write_text(text)
    with pytest.raises(LitError):
        run_file(path, tmp_path)
