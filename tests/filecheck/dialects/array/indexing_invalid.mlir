// RUN: wgpu-opt %s --split-input-file --verify-diagnostics

func.func @f(%x: tensor<4x3xf32>, %i: tensor<2xf32>) {
  // expected-error @below {{array.take: indices must be i32 or u32, not f32}}
  %0 = array.take %x, %i axis 0 : (tensor<4x3xf32>, tensor<2xf32>) -> tensor<2x3xf32>
  func.return
}

// -----

func.func @f(%x: tensor<4x3xf32>, %i: tensor<2xi32>) {
  // expected-error @below {{array.take: axis 2 is no dimension of [4, 3]}}
  %0 = array.take %x, %i axis 2 : (tensor<4x3xf32>, tensor<2xi32>) -> tensor<4x3x2xf32>
  func.return
}

// -----

func.func @f(%x: tensor<0x3xf32>, %i: tensor<2xi32>) {
  // expected-error @below {{array.take: axis 0 of [0, 3] has no elements to read}}
  %0 = array.take %x, %i axis 0 : (tensor<0x3xf32>, tensor<2xi32>) -> tensor<2x3xf32>
  func.return
}

// -----

func.func @f(%x: tensor<4x3xf32>, %i: tensor<2x1xi32>) {
  // expected-error @below {{array.take_along_axis: indices of shape [2, 1] differ from the operand's [4, 3] beyond axis 1}}
  %0 = array.take_along_axis %x, %i axis 1 : (tensor<4x3xf32>, tensor<2x1xi32>) -> tensor<2x1xf32>
  func.return
}

// -----

func.func @f(%x: tensor<4x3xf32>, %i: tensor<2xi32>, %u: tensor<2x4xf32>) {
  // expected-error @below {{array.scatter_add: updates have shape [2, 4], but indices and operand ask for [2, 3]}}
  %0 = array.scatter_add %x, %i, %u : (tensor<4x3xf32>, tensor<2xi32>, tensor<2x4xf32>) -> tensor<4x3xf32>
  func.return
}

// -----

func.func @f(%x: tensor<4x3xf32>, %at: tensor<1xi32>) {
  // expected-error @below {{array.dynamic_slice: position must have rank 0, not [1]}}
  %0 = array.dynamic_slice %x, %at axis 0 length 2 : (tensor<4x3xf32>, tensor<1xi32>) -> tensor<2x3xf32>
  func.return
}

// -----

func.func @f(%x: tensor<4x3xf32>, %u: tensor<5x3xf32>, %at: tensor<i32>) {
  // expected-error @below {{array.dynamic_update_slice: a window of shape [5, 3] does not fit into [4, 3] along axis 0}}
  %0 = array.dynamic_update_slice %x, %u, %at axis 0 : (tensor<4x3xf32>, tensor<5x3xf32>, tensor<i32>) -> tensor<4x3xf32>
  func.return
}
