// Softmax of rows, down all stages: one kernel from `fused` on.
// RUN: wgpu-opt %s --to=linalg | filecheck %s --check-prefix=LINALG
// RUN: wgpu-opt %s --to=fused | filecheck %s --check-prefix=FUSED
// RUN: wgpu-opt %s --to=buffers | filecheck %s --check-prefix=BUFFERS
// RUN: wgpu-opt %s --to=tiled | filecheck %s --check-prefix=TILED
// RUN: wgpu-opt %s --to=wgsl | filecheck %s --check-prefix=WGSL
// RUN: wgpu-opt %s --to=wgsl -t stepwell-wgsl | filecheck %s --check-prefix=TEXT

// LINALG:      func.func @main(%x: tensor<64x8xf32>) -> tensor<64x8xf32> {
// LINALG:        "parallel", "reduction"{{.*}} ins(%x : tensor<64x8xf32>)
// LINALG:          arith.maximumf
// LINALG:        "parallel", "parallel"
// LINALG:          arith.subf
// LINALG:          math.exp
// LINALG:        "parallel", "reduction"
// LINALG:          arith.addf
// LINALG:          arith.divf
// LINALG:        func.return

// FUSED:      kernel.func @reduction_0(%x: tensor<64x8xf32>) -> tensor<64x8xf32> {
// FUSED:        kernel.return %y : tensor<64x8xf32>
// FUSED:      func.func @main(%x: tensor<64x8xf32>) -> tensor<64x8xf32> {
// FUSED-NEXT:   %0 = kernel.launch @reduction_0(%x) : (tensor<64x8xf32>) -> tensor<64x8xf32>
// FUSED-NEXT:   func.return %0 : tensor<64x8xf32>

// BUFFERS:      kernel.func @reduction_0(%x: memref<64x8xf32>, %[[Y:.*]]: memref<64x8xf32>) {
// BUFFERS-NEXT:   %{{.*}} = bufferization.to_tensor %x restrict
// BUFFERS:        bufferization.materialize_in_destination %y in restrict writable %[[Y]]
// BUFFERS:      func.func @main(%x: memref<64x8xf32>) -> memref<64x8xf32> {
// BUFFERS-NEXT:   %0 = memref.alloc() {stepwell.kind = "output"} : memref<64x8xf32>
// BUFFERS-NEXT:   kernel.launch @reduction_0(%x, %0) : (memref<64x8xf32>, memref<64x8xf32>) -> ()
// BUFFERS-NEXT:   func.return %0 : memref<64x8xf32>

// A thread a row. Each of its two vectors is loaded once and stays in a register.
// TILED:      kernel.func @reduction_0(%x: memref<512xf32>, %[[Y:.*]]: memref<512xf32>) attributes {workgroup_size = array<i32: 64, 1, 1>, grid = array<i32: 1, 1, 1>
// TILED-COUNT-2: vector.load %x[
// TILED-NOT:    vector.load
// TILED-COUNT-2: math.exp
// TILED-NOT:    math.exp
// TILED-COUNT-2: vector.store %{{.*}}, %[[Y]][
// TILED-NEXT:   kernel.return

// WGSL:      wgsl.shader @reduction_0
// WGSL:      func.func @main(
// WGSL-NEXT:   %0 = webgpu.buffer "output", 2048
// WGSL-NEXT:   webgpu.dispatch @reduction_0 [1, 1, 1](%x, %0)
// WGSL-NEXT:   func.return %0 : !webgpu.buffer

// TEXT:      @group(0) @binding(0) var<storage, read> x: array<vec4<f32>, 128>;
// TEXT-NEXT: @group(0) @binding(1) var<storage, read_write> {{.*}}: array<vec4<f32>, 128>;
// TEXT:      @compute @workgroup_size(64, 1, 1)
// TEXT:      max(
// TEXT:      exp(
// TEXT-NEXT: {{.*}} = exp(
// TEXT:      /

func.func @main(%x: tensor<64x8xf32>) -> tensor<64x8xf32> {
  %y = array.softmax %x axis 1 : (tensor<64x8xf32>) -> tensor<64x8xf32>
  func.return %y : tensor<64x8xf32>
}
