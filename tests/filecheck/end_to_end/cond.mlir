// RUN: wgpu-opt %s --to=buffers | filecheck %s --check-prefix=BUFFERS
// RUN: wgpu-opt %s --to=wgsl | filecheck %s --check-prefix=HOST

// A product that runs or does not: a shader writes its grid, or zeros, from the condition, and the
// device reads that. The choice is in the kernel of what reads it.

// BUFFERS:      func.func private @main_branch_0(%[[A:.*]]: memref<512x512xf32>) -> memref<512x512xf32> {
// BUFFERS-NEXT:   %[[DOT:.*]] = memref.alloc()
// BUFFERS-NEXT:   kernel.launch @contraction_0(%[[A]], %[[DOT]])
// BUFFERS-NEXT:   func.return %[[DOT]]
// BUFFERS:      func.func @main
// BUFFERS:        %[[Y:.*]] = memref.alloc() {stepwell.kind = "output"}
// BUFFERS-NEXT:   %[[C:.*]] = memref.view
// BUFFERS-NEXT:   "memref.copy"(%c, %[[C]])
// BUFFERS-NEXT:   kernel.when %[[C]] : memref<i1> @main_branch_0(%x : memref<512x512xf32>) results(%[[Y]] : memref<512x512xf32>)
// BUFFERS-NEXT:   kernel.launch @map_1(%[[Y]], %c, %x)
// BUFFERS-NEXT:   func.return %[[Y]]

// HOST-LABEL:   func.func @main
// HOST:         webgpu.dispatch @copy_scalar_0 [1, 1, 1](%[[C:.*]], %scalars)
// HOST-NEXT:    %[[COUNTS:.*]] = webgpu.buffer "counts", 256
// HOST-NEXT:    %[[GRIDS:.*]] = webgpu.buffer "constant", 256 = dense<[128, 1, 1, 0
// HOST-NEXT:    webgpu.dispatch @counts_64_1 [1, 1, 1](%[[COUNTS]], %[[GRIDS]], %[[C]])
// HOST-NEXT:    webgpu.dispatch @contraction_0 [128, 1, 1](%x, %[[Y:.*]]) counts %[[COUNTS]][0]
// HOST-NEXT:    webgpu.dispatch @map_1 [{{.*}}](%[[Y]], %x, %scalars)
// HOST-NEXT:    func.return %[[Y]]
// HOST:         wgsl.shader @counts_64_1
func.func @main(%c: tensor<i1>, %x: tensor<512x512xf32>) -> tensor<512x512xf32> {
  %0 = array.cond %c(%x) : (tensor<i1>, tensor<512x512xf32>) -> tensor<512x512xf32> {
  ^bb0(%a: tensor<512x512xf32>):
    %1 = array.dot_general %a, %a batch [], [] contracting [1], [0] : (tensor<512x512xf32>, tensor<512x512xf32>) -> tensor<512x512xf32>
    %2 = array.tanh %1 : (tensor<512x512xf32>) -> tensor<512x512xf32>
    array.yield %2 : tensor<512x512xf32>
  } else {
  ^bb0(%a: tensor<512x512xf32>):
    %1 = array.negative %a : (tensor<512x512xf32>) -> tensor<512x512xf32>
    array.yield %1 : tensor<512x512xf32>
  }
  func.return %0 : tensor<512x512xf32>
}
