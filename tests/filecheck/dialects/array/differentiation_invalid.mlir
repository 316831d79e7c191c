// RUN: wgpu-opt %s --split-input-file --verify-diagnostics

func.func @f(%n: tensor<i32>, %x: tensor<f32>) {
  // expected-error @below {{array.value_and_grad: input 0 is i32; gradients are taken with respect to f32 or f16}}
  %0, %1 = array.value_and_grad %n argnums [0] : (tensor<i32>) -> (tensor<f32>, tensor<i32>) {
  ^bb0(%a: tensor<i32>):
    array.yield %x : tensor<f32>
  }
  func.return
}

// -----

func.func @f(%x: tensor<2xf32>) {
  // expected-error @below {{array.value_and_grad: the loss must be a float of rank 0, not tensor<2xf32>}}
  %0, %1 = array.value_and_grad %x argnums [0] : (tensor<2xf32>) -> (tensor<2xf32>, tensor<2xf32>) {
  ^bb0(%a: tensor<2xf32>):
    array.yield %a : tensor<2xf32>
  }
  func.return
}

// -----

func.func @f(%x: tensor<f32>) {
  // expected-error @below {{array.value_and_grad: argnums has 1, but there are 1 inputs}}
  %0, %1 = array.value_and_grad %x argnums [1] : (tensor<f32>) -> (tensor<f32>, tensor<f32>) {
  ^bb0(%a: tensor<f32>):
    array.yield %a : tensor<f32>
  }
  func.return
}

// -----

func.func @f(%x: tensor<f32>) {
  // expected-error @below {{array.value_and_grad: the body's arguments must mirror the inputs}}
  %0, %1 = array.value_and_grad %x argnums [0] : (tensor<f32>) -> (tensor<f32>, tensor<f32>) {
  ^bb0(%a: tensor<2xf32>):
    array.yield %x : tensor<f32>
  }
  func.return
}

// -----

func.func @f(%x: tensor<f32>) {
  // expected-error @below {{array.value_and_grad: result types should be tensor<f32>, tensor<f32>}}
  %0 = array.value_and_grad %x argnums [0] : (tensor<f32>) -> tensor<f32> {
  ^bb0(%a: tensor<f32>):
    array.yield %a : tensor<f32>
  }
  func.return
}

// -----

func.func @f(%x: tensor<f32>) {
  // expected-error @below {{array.checkpoint: the body's arguments must mirror the inputs}}
  %0 = array.checkpoint %x : (tensor<f32>) -> tensor<2xf32> {
  ^bb0(%a: tensor<2xf32>):
    array.yield %a : tensor<2xf32>
  }
  func.return
}

// -----

func.func @f(%x: tensor<f32>) {
  // expected-error @below {{array.checkpoint: result types should be tensor<f32>}}
  %0 = array.checkpoint %x : (tensor<f32>) -> tensor<2xf32> {
  ^bb0(%a: tensor<f32>):
    array.yield %a : tensor<f32>
  }
  func.return
}

// -----

func.func @f(%x: tensor<f32>) {
  // expected-error @below {{array.barrier: result type should be tensor<f32>, not tensor<2xf32>}}
  %0 = array.barrier %x : (tensor<f32>) -> tensor<2xf32>
  func.return
}
