// RUN: wgpu-opt %s | filecheck %s
// RUN: wgpu-opt %s --mlir-print-op-generic | wgpu-opt | filecheck %s

func.func @threefry(%x: tensor<3x5xui32>, %y: tensor<3x5xui32>, %z: tensor<3x5xui32>, %w: tensor<3x5xui32>) -> tensor<3x5xui32> {
  // CHECK: %r = array.threefry %x, %y, %z, %w : (tensor<3x5xui32>, tensor<3x5xui32>, tensor<3x5xui32>, tensor<3x5xui32>) -> tensor<3x5xui32>
  %r = array.threefry %x, %y, %z, %w : (tensor<3x5xui32>, tensor<3x5xui32>, tensor<3x5xui32>, tensor<3x5xui32>) -> tensor<3x5xui32>
  func.return %r : tensor<3x5xui32>
}
func.func @random_bits(%x: tensor<2xui32>) -> tensor<3x5xui32> {
  // CHECK: %r = array.random_bits %x shape [3, 5] : (tensor<2xui32>) -> tensor<3x5xui32>
  %r = array.random_bits %x shape [3, 5] : (tensor<2xui32>) -> tensor<3x5xui32>
  func.return %r : tensor<3x5xui32>
}
func.func @random_uniform(%x: tensor<2xui32>) -> tensor<3x5xf32> {
  // CHECK: %r = array.random_uniform %x shape [3, 5] : (tensor<2xui32>) -> tensor<3x5xf32>
  %r = array.random_uniform %x shape [3, 5] : (tensor<2xui32>) -> tensor<3x5xf32>
  func.return %r : tensor<3x5xf32>
}
func.func @random_normal(%x: tensor<2xui32>) -> tensor<3x5xf32> {
  // CHECK: %r = array.random_normal %x shape [3, 5] : (tensor<2xui32>) -> tensor<3x5xf32>
  %r = array.random_normal %x shape [3, 5] : (tensor<2xui32>) -> tensor<3x5xf32>
  func.return %r : tensor<3x5xf32>
}
