// Attention in plain operations: two batched products and a softmax of rows between them.
// RUN: wgpu-opt %s --to=diff | filecheck %s --check-prefix=DIFF
// RUN: wgpu-opt %s --to=fused | filecheck %s --check-prefix=FUSED
// RUN: wgpu-opt %s --to=buffers | filecheck %s --check-prefix=BUFFERS
// RUN: wgpu-opt %s --to=tiled | filecheck %s --check-prefix=TILED
// RUN: wgpu-opt %s --to=wgsl | filecheck %s --check-prefix=WGSL
// RUN: wgpu-opt %s --to=tiled --target=desktop | filecheck %s --check-prefix=DESKTOP
// RUN: wgpu-opt %s --to=wgsl -t stepwell-wgsl | filecheck %s --check-prefix=TEXT

// DIFF:      %s = array.dot_general %q, %k batch [0], [0] contracting [2], [2]
// DIFF:      %p = array.softmax
// DIFF-NEXT: %o = array.dot_general %p, %v batch [0], [0] contracting [2], [1]

// The scale is the beginning of the softmax, whose result is not computed again by each reader.
// FUSED:      kernel.func @contraction_0(%q: tensor<2x16x8xf32>, %k: tensor<2x16x8xf32>) -> tensor<2x16x16xf32> {
// FUSED:      kernel.func @reduction_1(%s: tensor<2x16x16xf32>) -> tensor<2x16x16xf32> {
// FUSED:        arith.mulf
// FUSED:        arith.maximumf
// FUSED:        math.exp
// FUSED:        arith.divf
// FUSED:      kernel.func @contraction_2(%p: tensor<2x16x16xf32>, %v: tensor<2x16x8xf32>) -> tensor<2x16x8xf32> {
// FUSED:      func.func @main
// FUSED-NEXT:   %0 = kernel.launch @contraction_0(%q, %k)
// FUSED-NEXT:   %1 = kernel.launch @reduction_1(%0)
// FUSED-NEXT:   %2 = kernel.launch @contraction_2(%1, %v)
// FUSED-NEXT:   func.return %2

// BUFFERS:      func.func @main
// The weights overwrite the scores.
// BUFFERS:        memref.alloc() : memref<2048xi8>
// BUFFERS-NEXT:   %[[S:.*]] = memref.view
// BUFFERS-NEXT:   kernel.launch @contraction_0(%q, %k, %[[S]])
// BUFFERS-NEXT:   kernel.launch @reduction_1(%[[S]])
// BUFFERS-NEXT:   %[[O:.*]] = memref.alloc() {stepwell.kind = "output"}
// BUFFERS-NEXT:   kernel.launch @contraction_2(%[[S]], %v, %[[O]])
// BUFFERS-NEXT:   func.return %[[O]]

// TILED:      kernel.func @contraction_0({{.*}}kernel.plan = "register_tiles(
// TILED:      kernel.func @reduction_1({{.*}}kernel.plan = "reduction(
// TILED-NOT:    "gpu.barrier"
// TILED:      kernel.func @contraction_2({{.*}}kernel.plan = "register_tiles(

// DESKTOP:      kernel.func @contraction_0({{.*}}kernel.plan = "workgroup_tiles(

// WGSL:      %0 = webgpu.buffer "temporary", 2048
// WGSL-NEXT: webgpu.dispatch @contraction_0 [{{[0-9]+}}, 1, 1](%q, %k, %0)
// WGSL-NEXT: webgpu.dispatch @reduction_1 [{{[0-9]+}}, 1, 1](%0)
// WGSL-NEXT: %1 = webgpu.buffer "output", 1024
// WGSL-NEXT: webgpu.dispatch @contraction_2 [{{[0-9]+}}, 1, 1](%0, %v, %1)
// WGSL-NEXT: func.return %1

// TEXT: // kernel contraction_0
// TEXT: // kernel reduction_1
// TEXT-NOT: workgroupBarrier();
// TEXT:     = exp(
// TEXT: // kernel contraction_2

func.func @main(%q: tensor<2x16x8xf32>, %k: tensor<2x16x8xf32>, %v: tensor<2x16x8xf32>) -> tensor<2x16x8xf32> {
  %s = array.dot_general %q, %k batch [0], [0] contracting [2], [2] : (tensor<2x16x8xf32>, tensor<2x16x8xf32>) -> tensor<2x16x16xf32>
  %c = array.full 0.353553385 : f32 shape [2, 16, 16] : tensor<2x16x16xf32>
  %scaled = array.multiply %s, %c : (tensor<2x16x16xf32>, tensor<2x16x16xf32>) -> tensor<2x16x16xf32>
  %p = array.softmax %scaled axis 2 : (tensor<2x16x16xf32>) -> tensor<2x16x16xf32>
  %o = array.dot_general %p, %v batch [0], [0] contracting [2], [1] : (tensor<2x16x16xf32>, tensor<2x16x8xf32>) -> tensor<2x16x8xf32>
  func.return %o : tensor<2x16x8xf32>
}
