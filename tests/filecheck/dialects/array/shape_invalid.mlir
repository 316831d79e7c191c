// RUN: wgpu-opt %s --split-input-file --verify-diagnostics

func.func @f(%x: tensor<2x3xf32>) {
  // expected-error @below {{array.reshape: cannot view 6 elements of shape [2, 3] as [5]}}
  %0 = array.reshape %x shape [5] : (tensor<2x3xf32>) -> tensor<5xf32>
  func.return
}

// -----

func.func @f(%x: tensor<2x3xf32>) {
  // expected-error @below {{array.reshape: result type should be tensor<6xf32>, not tensor<3x2xf32>}}
  %0 = array.reshape %x shape [6] : (tensor<2x3xf32>) -> tensor<3x2xf32>
  func.return
}

// -----

func.func @f(%x: tensor<2x3xf32>) {
  // expected-error @below {{array.transpose: permutation [0, 0] are not distinct dimensions of a rank-2 tensor}}
  %0 = array.transpose %x permutation [0, 0] : (tensor<2x3xf32>) -> tensor<2x2xf32>
  func.return
}

// -----

func.func @f(%x: tensor<2x3xf32>) {
  // expected-error @below {{array.broadcast: dimension of size 2 of [2, 3] cannot stretch to dimension 0 of [4, 3]}}
  %0 = array.broadcast %x shape [4, 3] dims [0, 1] : (tensor<2x3xf32>) -> tensor<4x3xf32>
  func.return
}

// -----

func.func @f(%x: tensor<2x3xf32>) {
  // expected-error @below {{array.broadcast: dims [1, 0] do not increase; transpose first}}
  %0 = array.broadcast %x shape [3, 2] dims [1, 0] : (tensor<2x3xf32>) -> tensor<3x2xf32>
  func.return
}

// -----

func.func @f(%x: tensor<5xf32>) {
  // expected-error @below {{array.slice: 2:6:1 is no slice of dimension 0 of [5]}}
  %0 = array.slice %x starts [2] limits [6] strides [1] : (tensor<5xf32>) -> tensor<4xf32>
  func.return
}

// -----

func.func @f(%x: tensor<5xf32>) {
  // expected-error @below {{array.pad: low [-1] is negative; slice instead}}
  %0 = array.pad %x value 0.0 : f32 low [-1] high [0] interior [0] : (tensor<5xf32>) -> tensor<4xf32>
  func.return
}

// -----

func.func @f(%x: tensor<5xf32>) {
  // expected-error @below {{array.pad: value 0 : i32 is no f32 scalar}}
  %0 = array.pad %x value 0 : i32 low [1] high [0] interior [0] : (tensor<5xf32>) -> tensor<6xf32>
  func.return
}

// -----

func.func @f(%x: tensor<2x3xf32>, %y: tensor<4x2xf32>) {
  // expected-error @below {{array.concatenate: operand 1 has shape [4, 2], which differs from operand 0's [2, 3] beyond axis 0}}
  %0 = array.concatenate %x, %y axis 0 : (tensor<2x3xf32>, tensor<4x2xf32>) -> tensor<6x3xf32>
  func.return
}

// -----

func.func @f(%x: tensor<2xf32>, %y: tensor<2xi32>) {
  // expected-error @below {{array.concatenate: operand 1 is i32, operand 0 is f32; cast one}}
  %0 = array.concatenate %x, %y axis 0 : (tensor<2xf32>, tensor<2xi32>) -> tensor<4xf32>
  func.return
}

// -----

func.func @f() {
  // expected-error @below {{array.iota: positions are no bool; cast them}}
  %0 = array.iota i1 shape [2] axis 0 : tensor<2xi1>
  func.return
}

// -----

func.func @f() {
  // expected-error @below {{element type f64 is none of f32, f16, i32, u32, bool}}
  %0 = array.full 1.0 : f64 shape [2] : tensor<2xf64>
  func.return
}
