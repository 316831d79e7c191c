// What holds for every operation; those of each family are in <family>_ops.mlir.
// RUN: wgpu-opt %s --mlir-print-debuginfo | filecheck %s

// The five dtypes, and the place in the user's program.
// CHECK-LABEL: @dtypes
func.func @dtypes(%a: tensor<2xf32>, %b: tensor<2xf16>, %c: tensor<2xi32>, %d: tensor<2xui32>, %e: tensor<2xi1>) {
  // CHECK: array.flip %a axes [0] : (tensor<2xf32>) -> tensor<2xf32> loc("model.py":3:7)
  %0 = array.flip %a axes [0] : (tensor<2xf32>) -> tensor<2xf32> loc("model.py":3:7)
  // CHECK: array.flip %b axes [0] : (tensor<2xf16>) -> tensor<2xf16>
  %1 = array.flip %b axes [0] : (tensor<2xf16>) -> tensor<2xf16>
  // CHECK: array.flip %c axes [0] : (tensor<2xi32>) -> tensor<2xi32>
  %2 = array.flip %c axes [0] : (tensor<2xi32>) -> tensor<2xi32>
  // CHECK: array.flip %d axes [0] : (tensor<2xui32>) -> tensor<2xui32>
  %3 = array.flip %d axes [0] : (tensor<2xui32>) -> tensor<2xui32>
  // CHECK: array.flip %e axes [0] : (tensor<2xi1>) -> tensor<2xi1>
  %4 = array.flip %e axes [0] : (tensor<2xi1>) -> tensor<2xi1>
  func.return
}
