// A matrix product with bias and activation: one kernel, in registers or in workgroup memory.
// RUN: wgpu-opt %s --to=linalg | filecheck %s --check-prefix=LINALG
// RUN: wgpu-opt %s --to=fused | filecheck %s --check-prefix=FUSED
// RUN: wgpu-opt %s --to=buffers | filecheck %s --check-prefix=BUFFERS
// RUN: wgpu-opt %s --to=tiled | filecheck %s --check-prefix=TILED
// RUN: wgpu-opt %s --to=wgsl | filecheck %s --check-prefix=WGSL
// RUN: wgpu-opt %s --to=tiled --target=desktop | filecheck %s --check-prefix=DESKTOP
// RUN: wgpu-opt %s --to=wgsl -t stepwell-wgsl | filecheck %s --check-prefix=TEXT

// LINALG:      func.func @main
// LINALG:        %{{.*}} = linalg.generic {{.*}} = ["parallel", "parallel", "reduction"]} ins(%x, %w : tensor<16x32xf32>, tensor<32x64xf32>)
// LINALG:        linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d1)>, affine_map<(d0, d1) -> (d0, d1)>]{{.*}} ins(%b : tensor<64xf32>)
// LINALG:          math.exp
// LINALG:        func.return %y

// FUSED:      kernel.func @contraction_0(%b: tensor<64xf32>, %x: tensor<16x32xf32>, %w: tensor<32x64xf32>) -> tensor<16x64xf32> {
// FUSED:        kernel.return %y
// FUSED:      func.func @main
// FUSED-NEXT:   kernel.launch @contraction_0(%b, %x, %w)
// FUSED-NEXT:   func.return

// BUFFERS:      func.func @main
// BUFFERS-NEXT:   %0 = memref.alloc() {stepwell.kind = "output"} : memref<16x64xf32>
// BUFFERS-NEXT:   kernel.launch @contraction_0(%b, %x, %w, %0)
// BUFFERS-NEXT:   func.return %0

// In the loop, vectors of %x along the depth and vectors of %w; the epilogue is written once.
// TILED:      kernel.func @contraction_0({{.*}}
// TILED:        scf.for
// TILED:          vector.load %x[
// TILED:          vector.load %w[
// TILED:          math.fma
// TILED:          scf.yield
// TILED:        scf.for
// TILED:          math.exp
// TILED:          vector.store %{{.*}} : memref<1024xf32>
// TILED:        kernel.return

// DESKTOP:      kernel.func @contraction_0({{.*}}
// DESKTOP-COUNT-2: memref.alloca() : memref<{{[0-9]+}}xf32, #kernel.workgroup>
// DESKTOP:        scf.for
// DESKTOP:          "gpu.barrier"
// DESKTOP:          math.fma
// DESKTOP:          "gpu.barrier"
// DESKTOP:        kernel.return

// WGSL:      %0 = webgpu.buffer "output", 4096
// WGSL-NEXT: webgpu.dispatch @contraction_0 [{{[0-9]+}}, 1, 1](%b, %x, %w, %0)
// WGSL-NEXT: func.return %0

// TEXT:      @group(0) @binding(0) var<storage, read> b: array<vec4<f32>, 16>;
// TEXT-NEXT: @group(0) @binding(1) var<storage, read> x: array<vec4<f32>, 128>;
// TEXT-NEXT: @group(0) @binding(2) var<storage, read> w: array<vec4<f32>, 512>;
// TEXT:      @compute @workgroup_size(
// TEXT:      for (
// TEXT:      fma(

func.func @main(%x: tensor<16x32xf32>, %w: tensor<32x64xf32>, %b: tensor<64xf32>) -> tensor<16x64xf32> {
  %0 = array.dot_general %x, %w batch [], [] contracting [1], [0] : (tensor<16x32xf32>, tensor<32x64xf32>) -> tensor<16x64xf32>
  %1 = array.broadcast %b shape [16, 64] dims [1] : (tensor<64xf32>) -> tensor<16x64xf32>
  %2 = array.add %0, %1 : (tensor<16x64xf32>, tensor<16x64xf32>) -> tensor<16x64xf32>
  %y = array.gelu %2 approximate "tanh" : (tensor<16x64xf32>) -> tensor<16x64xf32>
  func.return %y : tensor<16x64xf32>
}
