// RUN: wgpu-opt %s --split-input-file --verify-diagnostics

func.func @f(%x: tensor<4xi32>) {
  // expected-error @below {{array.sigmoid: the operand must be f32 or f16, not i32}}
  %0 = array.sigmoid %x : (tensor<4xi32>) -> tensor<4xi32>
  func.return
}

// -----

func.func @f(%x: tensor<4xf32>) {
  // expected-error @below {{array.gelu: approximate is "none" or "tanh", not "erf"}}
  %0 = array.gelu %x approximate "erf" : (tensor<4xf32>) -> tensor<4xf32>
  func.return
}

// -----

func.func @f(%x: tensor<4xf32>) {
  // expected-error @below {{array.softmax: axis 1 is no dimension of [4]}}
  %0 = array.softmax %x axis 1 : (tensor<4xf32>) -> tensor<4xf32>
  func.return
}

// -----

func.func @f(%x: tensor<2x0xf32>) {
  // expected-error @below {{array.logsumexp: axis 1 has no elements}}
  %0 = array.logsumexp %x axis 1 : (tensor<2x0xf32>) -> tensor<2xf32>
  func.return
}

// -----

func.func @f(%x: tensor<2x3xf32>, %w: tensor<3xf32>, %b: tensor<2xf32>) {
  // expected-error @below {{array.layer_norm: bias of shape [2] is not the end of the operand's shape [2, 3]}}
  %0 = array.layer_norm %x, %w, %b eps 1.0e-05 : f64 : (tensor<2x3xf32>, tensor<3xf32>, tensor<2xf32>) -> tensor<2x3xf32>
  func.return
}

// -----

func.func @f(%x: tensor<2x3xf32>, %t: tensor<2xf32>) {
  // expected-error @below {{array.cross_entropy: targets must be class numbers in i32 or u32, not f32}}
  %0 = array.cross_entropy %x, %t : (tensor<2x3xf32>, tensor<2xf32>) -> tensor<f32>
  func.return
}

// -----

func.func @f(%x: tensor<2x3xf32>, %t: tensor<3xi32>) {
  // expected-error @below {{array.cross_entropy: targets have shape [3], but the logits' [2, 3] without its last dimension is needed}}
  %0 = array.cross_entropy %x, %t : (tensor<2x3xf32>, tensor<3xi32>) -> tensor<f32>
  func.return
}

// -----

func.func @f(%x: tensor<3xf32>, %key: tensor<2xui32>) {
  // expected-error @below {{array.dropout: rate 1.0 is not in [0, 1)}}
  %0 = array.dropout %x, %key rate 1.0 : f64 : (tensor<3xf32>, tensor<2xui32>) -> tensor<3xf32>
  func.return
}
