// The printed form, read again, gives itself; the generic form gives it too.
// RUN: wgpu-opt %s | filecheck %s
// RUN: wgpu-opt %s --mlir-print-op-generic | wgpu-opt | filecheck %s

// CHECK-LABEL: @read
func.func @read(%x: tensor<4x3xf32>, %i: tensor<2x5xi32>, %k: tensor<4x1xui32>, %at: tensor<i32>) {
  // CHECK: %0 = array.take %x, %i axis 1 : (tensor<4x3xf32>, tensor<2x5xi32>) -> tensor<4x2x5xf32>
  %0 = array.take %x, %i axis 1 : (tensor<4x3xf32>, tensor<2x5xi32>) -> tensor<4x2x5xf32>
  // CHECK: %1 = array.take_along_axis %x, %k axis 1 : (tensor<4x3xf32>, tensor<4x1xui32>) -> tensor<4x1xf32>
  %1 = array.take_along_axis %x, %k axis 1 : (tensor<4x3xf32>, tensor<4x1xui32>) -> tensor<4x1xf32>
  // CHECK: %2 = array.dynamic_slice %x, %at axis 0 length 2 : (tensor<4x3xf32>, tensor<i32>) -> tensor<2x3xf32>
  %2 = array.dynamic_slice %x, %at axis 0 length 2 : (tensor<4x3xf32>, tensor<i32>) -> tensor<2x3xf32>
  func.return
}

// CHECK-LABEL: @write
func.func @write(%x: tensor<4x3xf32>, %i: tensor<2xi32>, %u: tensor<2x3xf32>, %at: tensor<ui32>) {
  // CHECK: %0 = array.scatter_add %x, %i, %u : (tensor<4x3xf32>, tensor<2xi32>, tensor<2x3xf32>) -> tensor<4x3xf32>
  %0 = array.scatter_add %x, %i, %u : (tensor<4x3xf32>, tensor<2xi32>, tensor<2x3xf32>) -> tensor<4x3xf32>
  // CHECK: %1 = array.dynamic_update_slice %x, %u, %at axis 0 : (tensor<4x3xf32>, tensor<2x3xf32>, tensor<ui32>) -> tensor<4x3xf32>
  %1 = array.dynamic_update_slice %x, %u, %at axis 0 : (tensor<4x3xf32>, tensor<2x3xf32>, tensor<ui32>) -> tensor<4x3xf32>
  // CHECK: %2 = array.one_hot %i size 4 as f16 : (tensor<2xi32>) -> tensor<2x4xf16>
  %2 = array.one_hot %i size 4 as f16 : (tensor<2xi32>) -> tensor<2x4xf16>
  func.return
}
