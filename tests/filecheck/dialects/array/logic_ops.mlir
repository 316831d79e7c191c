// RUN: wgpu-opt %s | filecheck %s
// RUN: wgpu-opt %s --mlir-print-op-generic | wgpu-opt | filecheck %s

func.func @equal(%x: tensor<3x5xf32>, %y: tensor<3x5xf32>) -> tensor<3x5xi1> {
  // CHECK: %r = array.equal %x, %y : (tensor<3x5xf32>, tensor<3x5xf32>) -> tensor<3x5xi1>
  %r = array.equal %x, %y : (tensor<3x5xf32>, tensor<3x5xf32>) -> tensor<3x5xi1>
  func.return %r : tensor<3x5xi1>
}
func.func @not_equal(%x: tensor<3x5xf32>, %y: tensor<3x5xf32>) -> tensor<3x5xi1> {
  // CHECK: %r = array.not_equal %x, %y : (tensor<3x5xf32>, tensor<3x5xf32>) -> tensor<3x5xi1>
  %r = array.not_equal %x, %y : (tensor<3x5xf32>, tensor<3x5xf32>) -> tensor<3x5xi1>
  func.return %r : tensor<3x5xi1>
}
func.func @less(%x: tensor<3x5xf32>, %y: tensor<3x5xf32>) -> tensor<3x5xi1> {
  // CHECK: %r = array.less %x, %y : (tensor<3x5xf32>, tensor<3x5xf32>) -> tensor<3x5xi1>
  %r = array.less %x, %y : (tensor<3x5xf32>, tensor<3x5xf32>) -> tensor<3x5xi1>
  func.return %r : tensor<3x5xi1>
}
func.func @less_equal(%x: tensor<3x5xf32>, %y: tensor<3x5xf32>) -> tensor<3x5xi1> {
  // CHECK: %r = array.less_equal %x, %y : (tensor<3x5xf32>, tensor<3x5xf32>) -> tensor<3x5xi1>
  %r = array.less_equal %x, %y : (tensor<3x5xf32>, tensor<3x5xf32>) -> tensor<3x5xi1>
  func.return %r : tensor<3x5xi1>
}
func.func @greater(%x: tensor<3x5xf32>, %y: tensor<3x5xf32>) -> tensor<3x5xi1> {
  // CHECK: %r = array.greater %x, %y : (tensor<3x5xf32>, tensor<3x5xf32>) -> tensor<3x5xi1>
  %r = array.greater %x, %y : (tensor<3x5xf32>, tensor<3x5xf32>) -> tensor<3x5xi1>
  func.return %r : tensor<3x5xi1>
}
func.func @greater_equal(%x: tensor<3x5xf32>, %y: tensor<3x5xf32>) -> tensor<3x5xi1> {
  // CHECK: %r = array.greater_equal %x, %y : (tensor<3x5xf32>, tensor<3x5xf32>) -> tensor<3x5xi1>
  %r = array.greater_equal %x, %y : (tensor<3x5xf32>, tensor<3x5xf32>) -> tensor<3x5xi1>
  func.return %r : tensor<3x5xi1>
}
func.func @where(%x: tensor<3x5xi1>, %y: tensor<3x5xf32>, %z: tensor<3x5xf32>) -> tensor<3x5xf32> {
  // CHECK: %r = array.where %x, %y, %z : (tensor<3x5xi1>, tensor<3x5xf32>, tensor<3x5xf32>) -> tensor<3x5xf32>
  %r = array.where %x, %y, %z : (tensor<3x5xi1>, tensor<3x5xf32>, tensor<3x5xf32>) -> tensor<3x5xf32>
  func.return %r : tensor<3x5xf32>
}
func.func @logical_and(%x: tensor<3x5xi1>, %y: tensor<3x5xi1>) -> tensor<3x5xi1> {
  // CHECK: %r = array.logical_and %x, %y : (tensor<3x5xi1>, tensor<3x5xi1>) -> tensor<3x5xi1>
  %r = array.logical_and %x, %y : (tensor<3x5xi1>, tensor<3x5xi1>) -> tensor<3x5xi1>
  func.return %r : tensor<3x5xi1>
}
func.func @logical_or(%x: tensor<3x5xi1>, %y: tensor<3x5xi1>) -> tensor<3x5xi1> {
  // CHECK: %r = array.logical_or %x, %y : (tensor<3x5xi1>, tensor<3x5xi1>) -> tensor<3x5xi1>
  %r = array.logical_or %x, %y : (tensor<3x5xi1>, tensor<3x5xi1>) -> tensor<3x5xi1>
  func.return %r : tensor<3x5xi1>
}
func.func @logical_xor(%x: tensor<3x5xi1>, %y: tensor<3x5xi1>) -> tensor<3x5xi1> {
  // CHECK: %r = array.logical_xor %x, %y : (tensor<3x5xi1>, tensor<3x5xi1>) -> tensor<3x5xi1>
  %r = array.logical_xor %x, %y : (tensor<3x5xi1>, tensor<3x5xi1>) -> tensor<3x5xi1>
  func.return %r : tensor<3x5xi1>
}
func.func @logical_not(%x: tensor<3x5xi1>) -> tensor<3x5xi1> {
  // CHECK: %r = array.logical_not %x : (tensor<3x5xi1>) -> tensor<3x5xi1>
  %r = array.logical_not %x : (tensor<3x5xi1>) -> tensor<3x5xi1>
  func.return %r : tensor<3x5xi1>
}
func.func @bitwise_and(%x: tensor<3x5xi32>, %y: tensor<3x5xi32>) -> tensor<3x5xi32> {
  // CHECK: %r = array.bitwise_and %x, %y : (tensor<3x5xi32>, tensor<3x5xi32>) -> tensor<3x5xi32>
  %r = array.bitwise_and %x, %y : (tensor<3x5xi32>, tensor<3x5xi32>) -> tensor<3x5xi32>
  func.return %r : tensor<3x5xi32>
}
func.func @bitwise_or(%x: tensor<3x5xi32>, %y: tensor<3x5xi32>) -> tensor<3x5xi32> {
  // CHECK: %r = array.bitwise_or %x, %y : (tensor<3x5xi32>, tensor<3x5xi32>) -> tensor<3x5xi32>
  %r = array.bitwise_or %x, %y : (tensor<3x5xi32>, tensor<3x5xi32>) -> tensor<3x5xi32>
  func.return %r : tensor<3x5xi32>
}
func.func @bitwise_xor(%x: tensor<3x5xi32>, %y: tensor<3x5xi32>) -> tensor<3x5xi32> {
  // CHECK: %r = array.bitwise_xor %x, %y : (tensor<3x5xi32>, tensor<3x5xi32>) -> tensor<3x5xi32>
  %r = array.bitwise_xor %x, %y : (tensor<3x5xi32>, tensor<3x5xi32>) -> tensor<3x5xi32>
  func.return %r : tensor<3x5xi32>
}
func.func @bitwise_left_shift(%x: tensor<3x5xi32>, %y: tensor<3x5xi32>) -> tensor<3x5xi32> {
  // CHECK: %r = array.bitwise_left_shift %x, %y : (tensor<3x5xi32>, tensor<3x5xi32>) -> tensor<3x5xi32>
  %r = array.bitwise_left_shift %x, %y : (tensor<3x5xi32>, tensor<3x5xi32>) -> tensor<3x5xi32>
  func.return %r : tensor<3x5xi32>
}
func.func @bitwise_right_shift(%x: tensor<3x5xi32>, %y: tensor<3x5xi32>) -> tensor<3x5xi32> {
  // CHECK: %r = array.bitwise_right_shift %x, %y : (tensor<3x5xi32>, tensor<3x5xi32>) -> tensor<3x5xi32>
  %r = array.bitwise_right_shift %x, %y : (tensor<3x5xi32>, tensor<3x5xi32>) -> tensor<3x5xi32>
  func.return %r : tensor<3x5xi32>
}
func.func @cast(%x: tensor<13xf32>) -> tensor<13xf32> {
  // CHECK: %r = array.cast %x to f32 : (tensor<13xf32>) -> tensor<13xf32>
  %r = array.cast %x to f32 : (tensor<13xf32>) -> tensor<13xf32>
  func.return %r : tensor<13xf32>
}
func.func @bitcast(%x: tensor<7xf32>) -> tensor<7xf32> {
  // CHECK: %r = array.bitcast %x to f32 : (tensor<7xf32>) -> tensor<7xf32>
  %r = array.bitcast %x to f32 : (tensor<7xf32>) -> tensor<7xf32>
  func.return %r : tensor<7xf32>
}
