// RUN: wgpu-opt %s | filecheck %s
// RUN: wgpu-opt %s --mlir-print-op-generic | wgpu-opt | filecheck %s

func.func @dot_general(%x: tensor<7x5xf32>, %y: tensor<5x3xf32>) -> tensor<7x3xf32> {
  // CHECK: %r = array.dot_general %x, %y batch [], [] contracting [1], [0] : (tensor<7x5xf32>, tensor<5x3xf32>) -> tensor<7x3xf32>
  %r = array.dot_general %x, %y batch [], [] contracting [1], [0] : (tensor<7x5xf32>, tensor<5x3xf32>) -> tensor<7x3xf32>
  func.return %r : tensor<7x3xf32>
}
