"""Gives kernels the plans that were measured to be the fastest.

Before:

    kernel.func @contraction_0(%a: memref<64x64xf32>, ...) { linalg.generic ... }

After, if the file has a plan for a kernel that computes the same:

    kernel.func @contraction_0(%a: memref<64x64xf32>, ...)
        attributes {kernel.plan = "workgroup_tiles(down=2, ...)"} { linalg.generic ... }

`schedule-kernels` follows it. `stepwell tune` writes such files.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.passes import ModulePass

from stepwell.dialects.kernel import PLAN, FuncOp
from stepwell.passes.fingerprint import Fingerprints
from stepwell.passes.tuning import kernel_key, read_tuning


@dataclass(frozen=True)
class ApplyTuningPass(ModulePass):
    """Gives kernels without a plan the one that a file has for what they compute."""

    name = "apply-tuning"

    file: str = ""
    """What `stepwell tune` wrote; empty: kernels stay as they are."""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        tuned = read_tuning(self.file) if self.file else {}
        if not tuned:
            return
        fingerprints = Fingerprints()
        for kernel in op.body.block.ops:
            if isinstance(kernel, FuncOp) and kernel.grid is None and not kernel.plan:
                found = tuned.get(kernel_key(kernel, fingerprints))
                if found is not None:
                    kernel.attributes[PLAN] = StringAttr(found.plan)
