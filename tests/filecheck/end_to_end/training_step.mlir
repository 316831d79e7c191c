// A training step of one dense layer: loss, gradients, and parameters updated in place.
// RUN: wgpu-opt %s --to=diff | filecheck %s --check-prefix=DIFF
// RUN: wgpu-opt %s --to=fused | filecheck %s --check-prefix=FUSED
// RUN: wgpu-opt %s --to=buffers | filecheck %s --check-prefix=BUFFERS
// RUN: wgpu-opt %s --to=tiled | filecheck %s --check-prefix=TILED
// RUN: wgpu-opt %s --to=wgsl | filecheck %s --check-prefix=WGSL
// RUN: wgpu-opt %s --to=wgsl -t stepwell-wgsl | filecheck %s --check-prefix=TEXT

// DIFF:      func.func @main
// DIFF-NOT:    array.value_and_grad
// DIFF:        %l = array.divide
// DIFF:        %db = array.sum %[[DZ:.*]] axes [0]
// DIFF-NEXT:   %dw = array.dot_general %x, %[[DZ]] batch [], [] contracting [0], [0]
// DIFF:        func.return %l, %w2, %b2

// The forward product takes everything along that is computed element by element, down to the
// gradient by its own result; the parameters' gradients end in their updates.
// FUSED:      kernel.func @contraction_0(%t: tensor<16x4xf32>, %b: tensor<4xf32>, %x: tensor<16x8xf32>, %w: tensor<8x4xf32>) -> (tensor<16x4xf32>, tensor<16x4xf32>) {
// FUSED:      kernel.func @reduction_1(%d: tensor<16x4xf32>) -> tensor<f32> {
// FUSED:      kernel.func @contraction_2(%w: tensor<8x4xf32>, %rate: tensor<f32> {kernel.scalar = 0 : i32}, %x: tensor<16x8xf32>, %{{.*}}: tensor<16x4xf32>) -> tensor<8x4xf32> {
// FUSED:        kernel.return %w2
// FUSED:      kernel.func @reduction_3(%b: tensor<4xf32>, %rate: tensor<f32> {kernel.scalar = 0 : i32}, %{{.*}}: tensor<16x4xf32>) -> tensor<4xf32> {
// FUSED:        kernel.return %b2
// FUSED:      func.func @main
// FUSED-NEXT:   %[[DZ:.*]], %[[D:.*]] = kernel.launch @contraction_0(%t, %b, %x, %w)
// FUSED-NEXT:   %[[L:.*]] = kernel.launch @reduction_1(%[[D]])
// FUSED-NEXT:   %[[W:.*]] = kernel.launch @contraction_2(%w, %rate, %x, %[[DZ]])
// FUSED-NEXT:   %[[B:.*]] = kernel.launch @reduction_3(%b, %rate, %[[DZ]])
// FUSED-NEXT:   func.return %[[L]], %[[W]], %[[B]]

// %w and %b are overwritten; both gradients live at once, so there are two temporaries.
// BUFFERS:      func.func @main
// BUFFERS-COUNT-2: memref.alloc() : memref<256xi8>
// BUFFERS-NOT:    memref.alloc() :
// BUFFERS:        %[[L:.*]] = memref.alloc() {stepwell.kind = "output"} : memref<f32>
// BUFFERS:        kernel.launch @contraction_2(%w, %rate, %x, %{{.*}})
// BUFFERS-NEXT:   kernel.launch @reduction_3(%b, %rate, %{{.*}})
// BUFFERS-NEXT:   func.return %[[L]], %w, %b

// The loss and the bias share a launch.
// TILED:      func.func @main
// TILED:        kernel.launch @contraction_0(
// TILED:        kernel.launch @reduction_1_reduction_3(
// TILED:        kernel.launch @contraction_2(
// TILED-NEXT:   func.return %{{.*}}, %w, %b

// WGSL:      %scalars = webgpu.buffer "scalars", 16
// WGSL-NEXT: webgpu.write_buffer %rate, %scalars[0] : f32
// WGSL-COUNT-2: webgpu.buffer "temporary", 256
// WGSL-NEXT: webgpu.dispatch @contraction_0 [2, 1, 1](%t, %b, %x, %w, %0, %1)
// WGSL-NEXT: %2 = webgpu.buffer "output", 16
// WGSL-NEXT: webgpu.dispatch @reduction_1_reduction_3 [2, 1, 1](%1, %2, %b, %0, %scalars)
// WGSL-NEXT: webgpu.dispatch @contraction_2 [1, 1, 1](%w, %x, %0, %scalars)
// WGSL-NEXT: func.return %2, %w, %b

// TEXT: // kernel contraction_0
// TEXT: // kernel reduction_1_reduction_3
// TEXT: // kernel contraction_2
// TEXT: var<storage, read_write> w: array<vec4<f32>, 8>;
// TEXT: var<uniform>

func.func @main(%x: tensor<16x8xf32>, %t: tensor<16x4xf32>, %rate: tensor<f32>,
                %w: tensor<8x4xf32> {stepwell.donated = 1 : i32},
                %b: tensor<4xf32> {stepwell.donated = 2 : i32})
    -> (tensor<f32>, tensor<8x4xf32>, tensor<4xf32>) {
  %loss, %dw, %db = array.value_and_grad %w, %b, %x, %t argnums [0, 1] : (tensor<8x4xf32>, tensor<4xf32>, tensor<16x8xf32>, tensor<16x4xf32>) -> (tensor<f32>, tensor<8x4xf32>, tensor<4xf32>) {
  ^bb0(%ww: tensor<8x4xf32>, %bb: tensor<4xf32>, %xx: tensor<16x8xf32>, %tt: tensor<16x4xf32>):
    %h = array.dot_general %xx, %ww batch [], [] contracting [1], [0] : (tensor<16x8xf32>, tensor<8x4xf32>) -> tensor<16x4xf32>
    %spread = array.broadcast %bb shape [16, 4] dims [1] : (tensor<4xf32>) -> tensor<16x4xf32>
    %z = array.add %h, %spread : (tensor<16x4xf32>, tensor<16x4xf32>) -> tensor<16x4xf32>
    %y = array.tanh %z : (tensor<16x4xf32>) -> tensor<16x4xf32>
    %d = array.subtract %y, %tt : (tensor<16x4xf32>, tensor<16x4xf32>) -> tensor<16x4xf32>
    %s = array.multiply %d, %d : (tensor<16x4xf32>, tensor<16x4xf32>) -> tensor<16x4xf32>
    %l = array.mean %s axes [0, 1] : (tensor<16x4xf32>) -> tensor<f32>
    array.yield %l : tensor<f32>
  }
  %wrate = array.broadcast %rate shape [8, 4] dims [] : (tensor<f32>) -> tensor<8x4xf32>
  %wstep = array.multiply %dw, %wrate : (tensor<8x4xf32>, tensor<8x4xf32>) -> tensor<8x4xf32>
  %w2 = array.subtract %w, %wstep : (tensor<8x4xf32>, tensor<8x4xf32>) -> tensor<8x4xf32>
  %brate = array.broadcast %rate shape [4] dims [] : (tensor<f32>) -> tensor<4xf32>
  %bstep = array.multiply %db, %brate : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %b2 = array.subtract %b, %bstep : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  func.return %loss, %w2, %b2 : tensor<f32>, tensor<8x4xf32>, tensor<4xf32>
}
