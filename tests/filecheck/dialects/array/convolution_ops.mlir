// The printed form, read again, gives itself; the generic form gives it too.
// RUN: wgpu-opt %s | filecheck %s
// RUN: wgpu-opt %s --mlir-print-op-generic | wgpu-opt | filecheck %s

// CHECK-LABEL: @convolutions
func.func @convolutions(%x: tensor<2x4x8x8xf32>, %w: tensor<6x4x3x3xf32>, %y: tensor<2x6x4x4xf32>) {
  // CHECK: %0 = array.windows %x kernel [3, 3] strides [2, 2] dilations [1, 1] : (tensor<2x4x8x8xf32>) -> tensor<2x4x3x3x3x3xf32>
  %0 = array.windows %x kernel [3, 3] strides [2, 2] dilations [1, 1] : (tensor<2x4x8x8xf32>) -> tensor<2x4x3x3x3x3xf32>
  // CHECK: %1 = array.convolution %x, %w strides [2, 2] low [1, 1] high [1, 1] dilations [1, 1] groups 1 : (tensor<2x4x8x8xf32>, tensor<6x4x3x3xf32>) -> tensor<2x6x4x4xf32>
  %1 = array.convolution %x, %w strides [2, 2] low [1, 1] high [1, 1] dilations [1, 1] groups 1 : (tensor<2x4x8x8xf32>, tensor<6x4x3x3xf32>) -> tensor<2x6x4x4xf32>
  // CHECK: %2 = array.convolution_weight %x, %y kernel [3, 3] strides [2, 2] low [1, 1] high [1, 1] dilations [1, 1] groups 1 : (tensor<2x4x8x8xf32>, tensor<2x6x4x4xf32>) -> tensor<6x4x3x3xf32>
  %2 = array.convolution_weight %x, %y kernel [3, 3] strides [2, 2] low [1, 1] high [1, 1] dilations [1, 1] groups 1 : (tensor<2x4x8x8xf32>, tensor<2x6x4x4xf32>) -> tensor<6x4x3x3xf32>
  // CHECK: %3 = array.convolution_data %y, %w shape [2, 4, 8, 8] strides [2, 2] low [1, 1] high [1, 1] dilations [1, 1] groups 1 : (tensor<2x6x4x4xf32>, tensor<6x4x3x3xf32>) -> tensor<2x4x8x8xf32>
  %3 = array.convolution_data %y, %w shape [2, 4, 8, 8] strides [2, 2] low [1, 1] high [1, 1] dilations [1, 1] groups 1 : (tensor<2x6x4x4xf32>, tensor<6x4x3x3xf32>) -> tensor<2x4x8x8xf32>
  func.return
}
