// Products whose operands are staged through workgroup memory.
// RUN: wgpu-opt %s -p 'schedule-kernels{target=desktop}' | filecheck %s

// Tiles of 64x64 and 16 steps of the depth: the next ones are fetched before these are multiplied.
// Nothing in the loop is guarded; the last tiles end where rows and columns end, and write what the
// tile before has not.
// CHECK:      kernel.func @tiles({{.*}} attributes {workgroup_size = array<i32: 128, 1, 1>, grid = array<i32: 4, 1, 1>
// CHECK-COUNT-2: memref.alloca() : memref<1088xf32, #kernel.workgroup>
// CHECK:        scf.for
// CHECK-NOT:      scf.if
// CHECK:          "gpu.barrier"
// CHECK-COUNT-2:  vector.load %a[
// CHECK-COUNT-2:  vector.load %b[
// CHECK-NOT:      vector.load %{{[ab]}}[
// CHECK-COUNT-128: math.fma
// CHECK-NOT:      math.fma
// CHECK:          "gpu.barrier"
// CHECK-NEXT:     scf.yield
// CHECK:        arith.cmpi uge
// CHECK:        scf.if
// CHECK:          vector.store {{.*}} : memref<5040xf32>
// CHECK:        kernel.return
kernel.func @tiles(%a: memref<70x32xf32>, %b: memref<32x72xf32>, %out: memref<70x72xf32>) attributes {kernel.plan = "workgroup_tiles(down=2, across=1, threads_down=8, threads_across=16, depth=16, slices=1)"} {
  %x = bufferization.to_tensor %a restrict : memref<70x32xf32> to tensor<70x32xf32>
  %w = bufferization.to_tensor %b restrict : memref<32x72xf32> to tensor<32x72xf32>
  %empty = tensor.empty() : tensor<70x72xf32>
  %zero = arith.constant 0.000000e+00 : f32
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<70x72xf32>) -> tensor<70x72xf32>
  %y = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2) -> (d0, d2)>, affine_map<(d0, d1, d2) -> (d2, d1)>, affine_map<(d0, d1, d2) -> (d0, d1)>], iterator_types = ["parallel", "parallel", "reduction"]} ins(%x, %w : tensor<70x32xf32>, tensor<32x72xf32>) outs(%init : tensor<70x72xf32>) {
  ^bb0(%p: f32, %q: f32, %sum: f32):
    %product = arith.mulf %p, %q : f32
    %next = arith.addf %sum, %product : f32
    linalg.yield %next : f32
  } -> tensor<70x72xf32>
  bufferization.materialize_in_destination %y in restrict writable %out : (tensor<70x72xf32>, memref<70x72xf32>) -> ()
  kernel.return
}

// Eight rows: four slices of the workgroup multiply four of 16 steps of the depth each. Then four
// results of each thread meet in workgroup memory, and every slice adds and writes one of them.
// CHECK:      kernel.func @slices({{.*}} attributes {workgroup_size = array<i32: 128, 1, 1>
// CHECK:        memref.alloca() : memref<192xf32, #kernel.workgroup>
// CHECK-NEXT:   memref.alloca() : memref<2112xf32, #kernel.workgroup>
// CHECK:        "gpu.barrier"
// CHECK-COUNT-32: math.fma
// CHECK-NOT:    math.fma
// CHECK:        "gpu.barrier"
// CHECK-COUNT-4: vector.store {{.*}}memref<2112xf32
// CHECK:        "gpu.barrier"
// CHECK-COUNT-3: arith.addf
// CHECK-NOT:    arith.addf
// CHECK:        "gpu.barrier"
// CHECK:        kernel.return
kernel.func @slices(%a: memref<8x8xf32>, %b: memref<8x64xf32>, %out: memref<8x64xf32>) attributes {kernel.plan = "workgroup_tiles(down=2, across=1, threads_down=1, threads_across=32, depth=16, slices=4)"} {
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
