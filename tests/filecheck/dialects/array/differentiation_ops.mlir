// The printed form, read again, gives itself; the generic form gives it too.
// RUN: wgpu-opt %s | filecheck %s
// RUN: wgpu-opt %s --mlir-print-op-generic | wgpu-opt | filecheck %s

// CHECK-LABEL: @request
func.func @request(%x: tensor<2xf32>, %n: tensor<2xi32>) {
  // CHECK: %0, %1, %2 = array.value_and_grad %x, %n argnums [0] : (tensor<2xf32>, tensor<2xi32>) -> (tensor<f32>, tensor<2xi32>, tensor<2xf32>) {
  %0, %1, %2 = array.value_and_grad %x, %n argnums [0] : (tensor<2xf32>, tensor<2xi32>) -> (tensor<f32>, tensor<2xi32>, tensor<2xf32>) {
  ^bb0(%a: tensor<2xf32>, %b: tensor<2xi32>):
    // CHECK: %3 = array.stop_gradient %a : (tensor<2xf32>) -> tensor<2xf32>
    %3 = array.stop_gradient %a : (tensor<2xf32>) -> tensor<2xf32>
    // CHECK: %4 = array.multiply %3, %x : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
    %4 = array.multiply %3, %x : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
    // CHECK: %5 = array.sum %4 axes [0] : (tensor<2xf32>) -> tensor<f32>
    %5 = array.sum %4 axes [0] : (tensor<2xf32>) -> tensor<f32>
    array.yield %5, %b : tensor<f32>, tensor<2xi32>
  }
  func.return
}

// CHECK-LABEL: @checkpoint
func.func @checkpoint(%x: tensor<2xf32>, %n: tensor<2xi32>) {
  // CHECK: %0, %1 = array.checkpoint %x, %n : (tensor<2xf32>, tensor<2xi32>) -> (tensor<2xf32>, tensor<2xi32>) {
  %0, %1 = array.checkpoint %x, %n : (tensor<2xf32>, tensor<2xi32>) -> (tensor<2xf32>, tensor<2xi32>) {
  ^bb0(%a: tensor<2xf32>, %b: tensor<2xi32>):
    // CHECK: %2, %3 = array.barrier %a, %b : (tensor<2xf32>, tensor<2xi32>) -> (tensor<2xf32>, tensor<2xi32>)
    %2, %3 = array.barrier %a, %b : (tensor<2xf32>, tensor<2xi32>) -> (tensor<2xf32>, tensor<2xi32>)
    // CHECK: array.yield %2, %3 : tensor<2xf32>, tensor<2xi32>
    array.yield %2, %3 : tensor<2xf32>, tensor<2xi32>
  }
  func.return
}
