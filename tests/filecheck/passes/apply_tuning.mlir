// RUN: wgpu-opt %s -p 'apply-tuning{file="%S/apply_tuning.json"}' | filecheck %s
// RUN: wgpu-opt %s -p apply-tuning | filecheck %s --check-prefix=WITHOUT
// RUN: not wgpu-opt %s -p 'apply-tuning{file="%s"}' 2>&1 | filecheck %s --check-prefix=WRONG
// RUN: not wgpu-opt %s -p 'apply-tuning{file="%S/none.json"}' 2>&1 | filecheck %s --check-prefix=NONE

// Without a file every kernel keeps the default.
// WITHOUT-NOT: kernel.plan = "map"
// WITHOUT:     kernel.plan = "mine"
// WRONG: apply_tuning.mlir' is not what `stepwell tune` writes
// NONE:  cannot read tuned plans from

// What a kernel computes says which plan it gets, not its name.
// CHECK: kernel.func @any_name(%a: memref<8xf32>, %out: memref<8xf32>) attributes {kernel.plan = "map"} {
kernel.func @any_name(%a: memref<8xf32>, %out: memref<8xf32>) {
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

// The same of other shapes is another kernel.
// CHECK: kernel.func @larger(%a: memref<16xf32>, %out: memref<16xf32>) {
kernel.func @larger(%a: memref<16xf32>, %out: memref<16xf32>) {
  %x = bufferization.to_tensor %a restrict : memref<16xf32> to tensor<16xf32>
  %empty = tensor.empty() : tensor<16xf32>
  %y = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]} ins(%x : tensor<16xf32>) outs(%empty : tensor<16xf32>) {
  ^bb0(%p: f32, %old: f32):
    %next = math.exp %p : f32
    linalg.yield %next : f32
  } -> tensor<16xf32>
  bufferization.materialize_in_destination %y in restrict writable %out : (tensor<16xf32>, memref<16xf32>) -> ()
  kernel.return
}

// A plan that stands already is kept.
// CHECK: kernel.func @planned(%a: memref<8xf32>, %out: memref<8xf32>) attributes {kernel.plan = "mine"} {
kernel.func @planned(%a: memref<8xf32>, %out: memref<8xf32>) attributes {kernel.plan = "mine"} {
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
