// A convolution is one contraction that reads windows of its padded data.
// RUN: wgpu-opt %s --to=linalg | filecheck %s --check-prefix=LINALG
// RUN: wgpu-opt %s --to=fused | filecheck %s --check-prefix=FUSED

// LINALG: func.func @main
// LINALG: affine_map<(d0, d1, d2, d3, d4, d5, d6) -> (d0, d1, d2, (d3 + d5), (d4 + d6))>
// LINALG: "reduction", "reduction", "reduction"
// FUSED: kernel.func @contraction_
// FUSED-NOT: kernel.func @contraction_
// FUSED: func.func @main
func.func @main(%x: tensor<2x4x8x8xf32>, %w: tensor<8x4x3x3xf32>) -> tensor<2x8x8x8xf32> {
  %0 = array.convolution %x, %w strides [1, 1] low [1, 1] high [1, 1] dilations [1, 1] groups 1 : (tensor<2x4x8x8xf32>, tensor<8x4x3x3xf32>) -> tensor<2x8x8x8xf32>
  func.return %0 : tensor<2x8x8x8xf32>
}
