"""Gives every kernel its schedule: from operations on whole tensors to explicit loops and memory.

Before (`buffers`):

    kernel.func @map_0(%a: memref<8xf32>, %out: memref<8xf32>) {
      %x = bufferization.to_tensor %a restrict : memref<8xf32> to tensor<8xf32>
      %y = linalg.generic ... math.exp ...
      bufferization.materialize_in_destination %y in restrict writable %out
      kernel.return
    }

After (`tiled`):

    kernel.func @map_0(%a: memref<8xf32>, %out: memref<8xf32>) attributes {
        workgroup_size = array<i32: 2, 1, 1>, grid = array<i32: 1, 1, 1>, kernel.plan = "map"} {
      %t = gpu.thread_id x
      %i = arith.muli %t, %c4
      %v = vector.load %a[%i] : memref<8xf32>, vector<4xf32>
      %e = math.exp %v : vector<4xf32>
      vector.store %e, %out[%i]
      kernel.return
    }

A kernel that has a `kernel.plan` follows it; others follow the best of `schedules/choice.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.passes import ModulePass

from stepwell.dialects.kernel import PLAN, FuncOp
from stepwell.passes.schedules.choice import chosen
from stepwell.passes.schedules.frame import Frame
from stepwell.passes.target import target_named
from stepwell.passes.work import work_of


@dataclass(frozen=True)
class ScheduleKernelsPass(ModulePass):
    """Gives every kernel its schedule for a target."""

    name = "schedule-kernels"

    target: str = "software"
    """The device class that the schedules suit."""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        target = target_named(self.target)
        for kernel in list(op.body.block.ops):
            if isinstance(kernel, FuncOp) and kernel.grid is None:
                frame = Frame(kernel, target)
                choice = chosen(frame, kernel.plan)
                tiled = choice.run()
                tiled.attributes |= {**work_of(kernel, frame.domain), PLAN: StringAttr(str(choice))}
                op.body.block.insert_op_before(tiled, kernel)
                kernel.detach()
