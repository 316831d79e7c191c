"""`convert-host-to-webgpu`: the host program becomes WebGPU buffers, dispatches and copies."""

from __future__ import annotations

from xdsl.context import Context
from xdsl.dialects import memref
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter

from stepwell.dialects.wgsl.module import ShaderOp
from stepwell.passes.donation import host_functions, is_step
from stepwell.passes.host_commands import Host
from stepwell.passes.to_wgsl.kernel import BINDINGS, GRID


class ConvertHostToWebgpuPass(ModulePass):
    """Turns host functions on memrefs into functions on WebGPU buffers.

    Kernels are shaders already (`convert-kernels-to-wgsl`); their grids move into the dispatches.
    Host scalars are passed by value and written to one uniform buffer, the last binding of the
    shaders that read it. Typed views of a pool are the pool's buffer. Shapes and dtypes go into
    attributes of the arguments and results. Arrays without elements are buffers of 0 bytes, which
    no dispatch or copy sees. A `kernel.loop` becomes a `webgpu.loop` with the commands of the
    function that it calls, on slices of what it takes and gives, which are bound where they are if
    they are whole blocks of 256 bytes, else copied; what the function allocates is allocated once.
    A `kernel.when` becomes the dispatches of the function that it calls, whose grids are counts
    that a shader writes before them: those of the shaders, or zeros if the condition is false.

    Before:
    ```mlir
    wgsl.shader @scale attributes {grid = array<i32: 1, 1, 1>, bindings = array<i32: 0, -1, 1>} {..}
    func.func @main(%x: memref<64xf32>, %rate: memref<f32>) -> memref<64xf32> {
      %y = memref.alloc() {stepwell.kind = "output"} : memref<64xf32>
      kernel.launch @scale(%x, %rate, %y) : (memref<64xf32>, memref<f32>, memref<64xf32>) -> ()
      return %y : memref<64xf32>
    }
    ```
    After:
    ```mlir
    wgsl.shader @scale {...}
    func.func @main(%x: !webgpu.buffer {stepwell.dtype = "f32", stepwell.shape = array<i64: 64>},
                    %rate: f32 {stepwell.dtype = "f32", stepwell.shape = array<i64>})
        -> (!webgpu.buffer {stepwell.dtype = "f32", stepwell.shape = array<i64: 64>}) {
      %scalars = webgpu.buffer "scalars", 16
      webgpu.write_buffer %rate, %scalars[0] : f32
      %y = webgpu.buffer "output", 256
      webgpu.dispatch @scale [1, 1, 1](%x, %y, %scalars)
      return %y : !webgpu.buffer
    }
    ```
    """

    name = "convert-host-to-webgpu"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        shaders = {s.sym_name.data: s for s in op.ops if isinstance(s, ShaderOp)}
        constants = {g.sym_name.data: g for g in op.ops if isinstance(g, memref.GlobalOp)}
        functions = host_functions(op)
        steps = {f.sym_name.data: f for f in functions if is_step(f)}
        for function in functions:
            if not is_step(function):
                Rewriter.replace_op(function, Host(function, shaders, constants, steps).run(), [])
        for step in steps.values():
            Rewriter.erase_op(step)
        for shader in shaders.values():
            shader.attributes.pop(GRID, None)
            shader.attributes.pop(BINDINGS, None)
            if shader.parent is None:
                op.body.block.add_op(shader)
        for constant in constants.values():
            Rewriter.erase_op(constant)
