// A product in registers whose rows a subgroup reads once: eight at a time, four steps of the depth
// each, which it broadcasts.
// RUN: wgpu-opt %s -p 'schedule-kernels{target=software-subgroup8}' | filecheck %s

// CHECK:      kernel.func @product({{.*}} attributes {workgroup_size = array<i32: 8, 1, 1>, grid = array<i32: 2, 1, 1>, subgroup_size = 8 : i32
// CHECK:        gpu.lane_id
// CHECK:        scf.for
// CHECK:          vector.load %a[
// CHECK-COUNT-4:  vector.load %b[
// CHECK-COUNT-32: kernel.subgroup_broadcast %{{.*}}, {{[0-7]}} : f32
// CHECK-NOT:      kernel.subgroup_broadcast
// CHECK:          scf.yield
kernel.func @product(%a: memref<8x8xf32>, %b: memref<8x64xf32>, %out: memref<8x64xf32>) attributes {kernel.plan = "subgroup_tiles(rows=8, vectors=1)"} {
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
