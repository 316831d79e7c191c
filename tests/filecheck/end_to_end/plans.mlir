// A kernel that says how it is to be laid out is laid out so; others say how they were.
// RUN: wgpu-opt %s --split-input-file --verify-diagnostics -p 'schedule-kernels{target=desktop}' | filecheck %s

// CHECK: kernel.func @wished({{.*}} attributes {workgroup_size = array<i32: 128, 1, 1>, {{.*}}kernel.plan = "workgroup_tiles(down=2, across=1, threads_down=8, threads_across=16, depth=16, slices=1)"
// CHECK: kernel.func @free({{.*}}kernel.plan = "workgroup_tiles(down=
kernel.func @wished(%a: memref<8x8xf32>, %b: memref<8x64xf32>, %out: memref<8x64xf32>) attributes {kernel.plan = "workgroup_tiles(down=2, across=1, threads_down=8, threads_across=16, depth=16, slices=1)"} {
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
kernel.func @free(%a: memref<8x8xf32>, %b: memref<8x64xf32>, %out: memref<8x64xf32>) {
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

// -----

// expected-error @below {{unknown plan of kernel @unknown 'maps' (there are map(width=4, threads=2, vectors=1, turns=1), map(width=4, threads=1, vectors=2, turns=1))}}
kernel.func @unknown(%a: memref<8xf32>, %out: memref<8xf32>) attributes {kernel.plan = "maps"} {
  %x = bufferization.to_tensor %a restrict : memref<8xf32> to tensor<8xf32>
  %empty = tensor.empty() : tensor<8xf32>
  %y = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]} ins(%x : tensor<8xf32>) outs(%empty : tensor<8xf32>) {
  ^bb0(%p: f32, %old: f32):
    %next = math.exp %p : f32
    linalg.yield %next : f32
  } -> tensor<8xf32>
  bufferization.materialize_in_destination %y in restrict writable %out : (tensor<8xf32>, memref<8xf32>) -> ()
  kernel.return
}
