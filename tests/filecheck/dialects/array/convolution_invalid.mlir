// RUN: wgpu-opt %s --split-input-file --verify-diagnostics

func.func @f(%x: tensor<1x4x8x8xf32>, %w: tensor<6x3x3x3xf32>) {
  // expected-error @below {{array.convolution: data [1, 4, 8, 8] has 4 channels, but weight [6, 3, 3, 3] in 1 groups takes 3}}
  %0 = array.convolution %x, %w strides [1, 1] low [0, 0] high [0, 0] dilations [1, 1] groups 1 : (tensor<1x4x8x8xf32>, tensor<6x3x3x3xf32>) -> tensor<1x6x6x6xf32>
  func.return
}

// -----

func.func @f(%x: tensor<1x3x8x2xf32>, %w: tensor<6x3x3x3xf32>) {
  // expected-error @below {{array.convolution: the kernel spans 3 elements of spatial dimension 1, which has 2 with its padding}}
  %0 = array.convolution %x, %w strides [1, 1] low [0, 0] high [0, 0] dilations [1, 1] groups 1 : (tensor<1x3x8x2xf32>, tensor<6x3x3x3xf32>) -> tensor<1x6x6x0xf32>
  func.return
}

// -----

func.func @f(%x: tensor<1x3x8x8xi1>, %w: tensor<6x3x3x3xi1>) {
  // expected-error @below {{array.convolution: takes f32 f16 i32 u32, not bool}}
  %0 = array.convolution %x, %w strides [1, 1] low [0, 0] high [0, 0] dilations [1, 1] groups 1 : (tensor<1x3x8x8xi1>, tensor<6x3x3x3xi1>) -> tensor<1x6x6x6xi1>
  func.return
}

// -----

func.func @f(%x: tensor<1x3x8x8xf32>, %y: tensor<1x6x5x6xf32>) {
  // expected-error @below {{array.convolution_weight: the cotangent has shape [1, 6, 5, 6], not [1, 6, 6, 6]}}
  %0 = array.convolution_weight %x, %y kernel [3, 3] strides [1, 1] low [0, 0] high [0, 0] dilations [1, 1] groups 1 : (tensor<1x3x8x8xf32>, tensor<1x6x5x6xf32>) -> tensor<6x3x3x3xf32>
  func.return
}
