"""`convert-kernels-to-wgsl`: scheduled kernels become shaders."""

from __future__ import annotations

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from stepwell.dialects import kernel
from stepwell.passes.to_wgsl.kernel import convert_kernel


class ConvertKernelsToWgslPass(ModulePass):
    """Replaces every `kernel.func` with a grid by a `wgsl.shader` of the same name, op by op.

    Arguments are bindings of group 0 in their order; host scalars (`kernel.scalar`) share one
    uniform buffer, the last binding. The shader keeps the `grid`, and in `bindings` the binding of
    each argument (-1: a host scalar). Memory that is accessed in vectors is declared as vectors.

    Before:
    ```mlir
    kernel.func @double(%x: memref<256xf32>, %y: memref<256xf32>)
        attributes {workgroup_size = array<i32: 64, 1, 1>, grid = array<i32: 1, 1, 1>} {
      %t = gpu.thread_id x
      %four = arith.constant 4 : index
      %i = arith.muli %t, %four : index
      %v = vector.load %x[%i] : memref<256xf32>, vector<4xf32>
      %d = arith.addf %v, %v : vector<4xf32>
      vector.store %d, %y[%i] : memref<256xf32>, vector<4xf32>
      kernel.return
    }
    ```
    After:
    ```mlir
    wgsl.shader @double attributes {grid = array<i32: 1, 1, 1>, bindings = array<i32: 0, 1>} {
      %x = wgsl.binding 0, 0 : !wgsl.ref<storage, read, !wgsl.array<vector<4xf32>, 64>>
      %y = wgsl.binding 0, 1 : !wgsl.ref<storage, read_write, !wgsl.array<vector<4xf32>, 64>>
      wgsl.entry [64, 1, 1] {
        %id = wgsl.builtin "local_invocation_id" : vector<3xui32>
        %t = wgsl.extract %id[0] : vector<3xui32>
        %from = wgsl.index %x[%t] : ...
        %v = wgsl.load %from : ...
        %d = wgsl.add %v, %v : vector<4xf32>
        %to = wgsl.index %y[%t] : ...
        wgsl.store %d, %to : ...
      }
    }
    ```
    """

    name = "convert-kernels-to-wgsl"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for function in [f for f in op.ops if isinstance(f, kernel.FuncOp)]:
            op.body.block.insert_op_before(convert_kernel(function), function)
            function.detach()
