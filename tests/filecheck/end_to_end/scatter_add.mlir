// A scatter-add is one reduction over all updates, whose schedule reads those of a row only.
// RUN: wgpu-opt %s --to=fused | filecheck %s --check-prefix=FUSED
// RUN: wgpu-opt %s --to=tiled --target=desktop | filecheck %s

// FUSED:     kernel.func @reduction_0
// FUSED-NOT: kernel.func
// FUSED:     arith.cmpi eq
// FUSED:     arith.select
// FUSED:     arith.addf
// FUSED:     func.func @main

// CHECK:     stepwell.flops = 718336
// CHECK-SAME: kernel.plan = "keyed_reduction(rows=4, threads=256)"
// CHECK:     gpu.barrier
// CHECK:     gpu.barrier
// CHECK:     math.ctpop
// CHECK:     math.cttz
func.func @main(%x: tensor<600x64xf32>, %i: tensor<512xi32>, %u: tensor<512x64xf32>) -> tensor<600x64xf32> {
  %0 = array.scatter_add %x, %i, %u : (tensor<600x64xf32>, tensor<512xi32>, tensor<512x64xf32>) -> tensor<600x64xf32>
  func.return %0 : tensor<600x64xf32>
}
