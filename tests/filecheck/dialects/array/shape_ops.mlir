// The printed form, read again, gives itself; the generic form gives it too.
// RUN: wgpu-opt %s | filecheck %s
// RUN: wgpu-opt %s --mlir-print-op-generic | wgpu-opt | filecheck %s

// CHECK-LABEL: @views
func.func @views(%x: tensor<2x3x4xf32>, %row: tensor<3x1xf32>) {
  // CHECK: %0 = array.reshape %x shape [6, 4] : (tensor<2x3x4xf32>) -> tensor<6x4xf32>
  %0 = array.reshape %x shape [6, 4] : (tensor<2x3x4xf32>) -> tensor<6x4xf32>
  // CHECK: %1 = array.transpose %x permutation [2, 0, 1] : (tensor<2x3x4xf32>) -> tensor<4x2x3xf32>
  %1 = array.transpose %x permutation [2, 0, 1] : (tensor<2x3x4xf32>) -> tensor<4x2x3xf32>
  // CHECK: %2 = array.broadcast %row shape [2, 3, 4] dims [1, 2] : (tensor<3x1xf32>) -> tensor<2x3x4xf32>
  %2 = array.broadcast %row shape [2, 3, 4] dims [1, 2] : (tensor<3x1xf32>) -> tensor<2x3x4xf32>
  // CHECK: %3 = array.slice %x starts [0, 1, 0] limits [2, 3, 4] strides [1, 1, 3] : (tensor<2x3x4xf32>) -> tensor<2x2x2xf32>
  %3 = array.slice %x starts [0, 1, 0] limits [2, 3, 4] strides [1, 1, 3] : (tensor<2x3x4xf32>) -> tensor<2x2x2xf32>
  // CHECK: %4 = array.flip %x axes [0, 2] : (tensor<2x3x4xf32>) -> tensor<2x3x4xf32>
  %4 = array.flip %x axes [0, 2] : (tensor<2x3x4xf32>) -> tensor<2x3x4xf32>
  func.return
}

// CHECK-LABEL: @put_together
func.func @put_together(%x: tensor<2x3xi32>, %y: tensor<2x1xi32>) {
  // CHECK: %0 = array.pad %x value 7 : i32 low [1, 0] high [0, 2] interior [0, 1] : (tensor<2x3xi32>) -> tensor<3x7xi32>
  %0 = array.pad %x value 7 : i32 low [1, 0] high [0, 2] interior [0, 1] : (tensor<2x3xi32>) -> tensor<3x7xi32>
  // CHECK: %1 = array.concatenate %x, %y, %x axis 1 : (tensor<2x3xi32>, tensor<2x1xi32>, tensor<2x3xi32>) -> tensor<2x7xi32>
  %1 = array.concatenate %x, %y, %x axis 1 : (tensor<2x3xi32>, tensor<2x1xi32>, tensor<2x3xi32>) -> tensor<2x7xi32>
  func.return
}

// CHECK-LABEL: @constants
func.func @constants() {
  // CHECK: %0 = array.iota ui32 shape [2, 3] axis 1 : tensor<2x3xui32>
  %0 = array.iota ui32 shape [2, 3] axis 1 : tensor<2x3xui32>
  // CHECK: %1 = array.constant dense<[1.500000e+00, -2.000000e+00]> : tensor<2xf32> : tensor<2xf32>
  %1 = array.constant dense<[1.500000e+00, -2.000000e+00]> : tensor<2xf32> : tensor<2xf32>
  // CHECK: %2 = array.full true shape [2, 2] : tensor<2x2xi1>
  %2 = array.full true shape [2, 2] : tensor<2x2xi1>
  // CHECK: %3 = array.full 4294967295 : ui32 shape [] : tensor<ui32>
  %3 = array.full 4294967295 : ui32 shape [] : tensor<ui32>
  // CHECK: %4 = array.full 0xfc00 : f16 shape [0] : tensor<0xf16>
  %4 = array.full 0xfc00 : f16 shape [0] : tensor<0xf16>
  func.return
}
