"""Bounds proofs reach the program: kernels of a training step are trusted, a false claim is not."""

from __future__ import annotations

import pytest
from xdsl.dialects.builtin import UnitAttr

from stepwell.backends.compiler import compile_module, parse
from stepwell.dialects.kernel import IN_BOUNDS, FuncOp
from stepwell.passes.pipeline import lower
from stepwell.passes.target import TARGETS

TEXT = """
func.func @main(%x: tensor<37x5xf32>) -> tensor<37xf32> {
  %0 = array.exp %x : (tensor<37x5xf32>) -> tensor<37x5xf32>
  %1 = array.sum %0 axes [1] : (tensor<37x5xf32>) -> tensor<37xf32>
  func.return %1 : tensor<37xf32>
}
"""


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_proved_kernels_are_trusted(target):
    program = compile_module(parse(TEXT), target.name)
    assert all(kernel.trusted for kernel in program.kernels.values())
    assert all("proved in bounds" in kernel.wgsl for kernel in program.kernels.values())


def test_a_claim_in_a_module_is_not_believed():
    module = lower(parse(TEXT), TARGETS[0], "tiled")
    (kernel,) = (op for op in module.ops if isinstance(op, FuncOp))
    # Half of the rows are gone, the claim stays.
    text = str(module).replace("memref<185xf32>", "memref<90xf32>")
    assert IN_BOUNDS in text and isinstance(kernel.attributes[IN_BOUNDS], UnitAttr)
    program = compile_module(
        parse(text.replace("memref<37x5xf32>", "memref<18x5xf32>")), "software"
    )
    assert not any(kernel.trusted for kernel in program.kernels.values())
