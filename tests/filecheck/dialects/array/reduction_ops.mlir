// RUN: wgpu-opt %s | filecheck %s
// RUN: wgpu-opt %s --mlir-print-op-generic | wgpu-opt | filecheck %s

func.func @sum(%x: tensor<3x5xf32>) -> tensor<3xf32> {
  // CHECK: %r = array.sum %x axes [1] : (tensor<3x5xf32>) -> tensor<3xf32>
  %r = array.sum %x axes [1] : (tensor<3x5xf32>) -> tensor<3xf32>
  func.return %r : tensor<3xf32>
}
func.func @prod(%x: tensor<3x5xf32>) -> tensor<3xf32> {
  // CHECK: %r = array.prod %x axes [1] : (tensor<3x5xf32>) -> tensor<3xf32>
  %r = array.prod %x axes [1] : (tensor<3x5xf32>) -> tensor<3xf32>
  func.return %r : tensor<3xf32>
}
func.func @max(%x: tensor<3x5xf32>) -> tensor<3xf32> {
  // CHECK: %r = array.max %x axes [1] : (tensor<3x5xf32>) -> tensor<3xf32>
  %r = array.max %x axes [1] : (tensor<3x5xf32>) -> tensor<3xf32>
  func.return %r : tensor<3xf32>
}
func.func @min(%x: tensor<3x5xf32>) -> tensor<3xf32> {
  // CHECK: %r = array.min %x axes [1] : (tensor<3x5xf32>) -> tensor<3xf32>
  %r = array.min %x axes [1] : (tensor<3x5xf32>) -> tensor<3xf32>
  func.return %r : tensor<3xf32>
}
func.func @any(%x: tensor<3x5xi1>) -> tensor<3xi1> {
  // CHECK: %r = array.any %x axes [1] : (tensor<3x5xi1>) -> tensor<3xi1>
  %r = array.any %x axes [1] : (tensor<3x5xi1>) -> tensor<3xi1>
  func.return %r : tensor<3xi1>
}
func.func @all(%x: tensor<3x5xi1>) -> tensor<3xi1> {
  // CHECK: %r = array.all %x axes [1] : (tensor<3x5xi1>) -> tensor<3xi1>
  %r = array.all %x axes [1] : (tensor<3x5xi1>) -> tensor<3xi1>
  func.return %r : tensor<3xi1>
}
func.func @mean(%x: tensor<3x5xf32>) -> tensor<3xf32> {
  // CHECK: %r = array.mean %x axes [1] : (tensor<3x5xf32>) -> tensor<3xf32>
  %r = array.mean %x axes [1] : (tensor<3x5xf32>) -> tensor<3xf32>
  func.return %r : tensor<3xf32>
}
func.func @argmax(%x: tensor<3x5xf32>) -> tensor<3xi32> {
  // CHECK: %r = array.argmax %x axes [1] : (tensor<3x5xf32>) -> tensor<3xi32>
  %r = array.argmax %x axes [1] : (tensor<3x5xf32>) -> tensor<3xi32>
  func.return %r : tensor<3xi32>
}
func.func @argmin(%x: tensor<3x5xf32>) -> tensor<3xi32> {
  // CHECK: %r = array.argmin %x axes [1] : (tensor<3x5xf32>) -> tensor<3xi32>
  %r = array.argmin %x axes [1] : (tensor<3x5xf32>) -> tensor<3xi32>
  func.return %r : tensor<3xi32>
}
