// The printed form, read again, gives itself; the generic form gives it too.
// RUN: wgpu-opt %s | filecheck %s
// RUN: wgpu-opt %s --mlir-print-op-generic | wgpu-opt | filecheck %s

// CHECK-LABEL: @activations
func.func @activations(%x: tensor<4xf16>) {
  // CHECK: %0 = array.relu %x : (tensor<4xf16>) -> tensor<4xf16>
  %0 = array.relu %x : (tensor<4xf16>) -> tensor<4xf16>
  // CHECK: %1 = array.sigmoid %x : (tensor<4xf16>) -> tensor<4xf16>
  %1 = array.sigmoid %x : (tensor<4xf16>) -> tensor<4xf16>
  // CHECK: %2 = array.silu %x : (tensor<4xf16>) -> tensor<4xf16>
  %2 = array.silu %x : (tensor<4xf16>) -> tensor<4xf16>
  // CHECK: %3 = array.softplus %x : (tensor<4xf16>) -> tensor<4xf16>
  %3 = array.softplus %x : (tensor<4xf16>) -> tensor<4xf16>
  // CHECK: %4 = array.gelu %x approximate "tanh" : (tensor<4xf16>) -> tensor<4xf16>
  %4 = array.gelu %x approximate "tanh" : (tensor<4xf16>) -> tensor<4xf16>
  func.return
}

// CHECK-LABEL: @normalisation
func.func @normalisation(%x: tensor<2x3xf32>, %w: tensor<3xf32>, %b: tensor<3xf32>) {
  // CHECK: %0 = array.softmax %x axis 1 : (tensor<2x3xf32>) -> tensor<2x3xf32>
  %0 = array.softmax %x axis 1 : (tensor<2x3xf32>) -> tensor<2x3xf32>
  // CHECK: %1 = array.log_softmax %x axis 0 : (tensor<2x3xf32>) -> tensor<2x3xf32>
  %1 = array.log_softmax %x axis 0 : (tensor<2x3xf32>) -> tensor<2x3xf32>
  // CHECK: %2 = array.logsumexp %x axis 0 : (tensor<2x3xf32>) -> tensor<3xf32>
  %2 = array.logsumexp %x axis 0 : (tensor<2x3xf32>) -> tensor<3xf32>
  // CHECK: %3 = array.layer_norm %x, %w, %b eps 1.000000e-05 : f64 : (tensor<2x3xf32>, tensor<3xf32>, tensor<3xf32>) -> tensor<2x3xf32>
  %3 = array.layer_norm %x, %w, %b eps 1.000000e-05 : f64 : (tensor<2x3xf32>, tensor<3xf32>, tensor<3xf32>) -> tensor<2x3xf32>
  func.return
}

// CHECK-LABEL: @ends
func.func @ends(%x: tensor<2x3xf32>, %t: tensor<2xi32>, %key: tensor<2xui32>) {
  // CHECK: %0 = array.cross_entropy %x, %t : (tensor<2x3xf32>, tensor<2xi32>) -> tensor<f32>
  %0 = array.cross_entropy %x, %t : (tensor<2x3xf32>, tensor<2xi32>) -> tensor<f32>
  // CHECK: %1 = array.dropout %x, %key rate 1.000000e-01 : f64 : (tensor<2x3xf32>, tensor<2xui32>) -> tensor<2x3xf32>
  %1 = array.dropout %x, %key rate 1.000000e-01 : f64 : (tensor<2x3xf32>, tensor<2xui32>) -> tensor<2x3xf32>
  // CHECK: %2 = array.embedding %x, %t : (tensor<2x3xf32>, tensor<2xi32>) -> tensor<2x3xf32>
  %2 = array.embedding %x, %t : (tensor<2x3xf32>, tensor<2xi32>) -> tensor<2x3xf32>
  func.return
}
