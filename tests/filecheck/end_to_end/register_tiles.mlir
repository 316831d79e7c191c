// A product in registers: tiles of 8 rows x 1 vector a thread, the depth in steps of four. Results
// wait in workgroup memory, and the epilogue is written once.
// RUN: wgpu-opt %s -p schedule-kernels | filecheck %s

// CHECK:      kernel.func @product(%a: memref<64xf32>, %b: memref<512xf32>, %{{.*}}: memref<512xf32>) attributes {workgroup_size = array<i32: 8, 1, 1>, grid = array<i32: 2, 1, 1>
// CHECK-NOT:    memref.alloca
// CHECK:        scf.for
// CHECK-COUNT-32: math.fma %{{.*}}, %{{.*}}, %{{.*}} : vector<4xf32>
// CHECK-NOT:    math.fma
// CHECK:        scf.yield
// CHECK-COUNT-8: vector.store %{{.*}} #kernel.workgroup
// CHECK:        scf.for
// CHECK:          vector.store %{{.*}} : memref<512xf32>
// CHECK:        kernel.return
kernel.func @product(%a: memref<8x8xf32>, %b: memref<8x64xf32>, %out: memref<8x64xf32>) attributes {kernel.plan = "register_tiles(rows=8, vectors=1)"} {
  %x = bufferization.to_tensor %a restrict : memref<8x8xf32> to tensor<8x8xf32>
  %w = bufferization.to_tensor %b restrict : memref<8x64xf32> to tensor<8x64xf32>
  %empty = tensor.empty() : tensor<8x64xf32>
  %zero = arith.constant 0.000000e+00 : f32
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<8x64xf32>) -> tensor<8x64xf32>
  %y = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2) -> (d0, d2)>, affine_map<(d0, d1, d2) -> (d2, d1)>, affine_map<(d0, d1, d2) -> (d0, d1)>], iterator_types = ["parallel", "parallel", "reduction"]} ins(%x, %w : tensor<8x8xf32>, tensor<8x64xf32>) outs(%init : tensor<8x64xf32>) {
  ^bb0(%p: f32, %q: f32, %sum: f32):
    %product = arith.mulf %p, %q : f32
    %next = arith.addf %sum, %product : f32
    linalg.yield %next : f32
  } -> tensor<8x64xf32>
  bufferization.materialize_in_destination %y in restrict writable %out : (tensor<8x64xf32>, memref<8x64xf32>) -> ()
  kernel.return
}
