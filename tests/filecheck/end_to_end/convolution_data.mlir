// The data gradient of a strided convolution writes its phases where they belong: no kernel arranges them.
// RUN: wgpu-opt %s --to=fused | filecheck %s

// CHECK:     kernel.func @contraction_{{.*}} -> tensor<2x3x16x16xf32>
// CHECK-NOT: kernel.func
// CHECK:     func.func @main
func.func @main(%y: tensor<2x8x8x8xf32>, %w: tensor<8x3x4x4xf32>) -> tensor<2x3x16x16xf32> {
  %0 = array.convolution_data %y, %w shape [2, 3, 16, 16] strides [2, 2] low [1, 1] high [1, 1] dilations [1, 1] groups 1 : (tensor<2x8x8x8xf32>, tensor<8x3x4x4xf32>) -> tensor<2x3x16x16xf32>
  func.return %0 : tensor<2x3x16x16xf32>
}
