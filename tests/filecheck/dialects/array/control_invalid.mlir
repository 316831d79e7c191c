// RUN: wgpu-opt %s --split-input-file --verify-diagnostics

func.func @length(%xs: tensor<5x2xf32>) {
  // expected-error @below {{array.scan: xs of tensor<5x2xf32> have not length 4}}
  array.scan length 4 consts() carries() xs(%xs : tensor<5x2xf32>) {
  ^bb0(%x: tensor<2xf32>):
    array.yield
  }
  func.return
}

// -----

func.func @slices(%xs: tensor<5x2xf32>) {
  // expected-error @below {{array.scan: a step takes consts, carries and a slice of xs}}
  array.scan length 5 consts() carries() xs(%xs : tensor<5x2xf32>) {
  ^bb0(%x: tensor<5x2xf32>):
    array.yield
  }
  func.return
}

// -----

func.func @carries(%h: tensor<2xf32>) {
  // expected-error @below {{array.scan: a step's first results are the next carries}}
  %0 = array.scan length 5 consts() carries(%h : tensor<2xf32>) xs() -> tensor<2xf32> {
  ^bb0(%a: tensor<2xf32>):
    %1 = array.sum %a axes [0] : (tensor<2xf32>) -> tensor<f32>
    array.yield %1 : tensor<f32>
  }
  func.return
}

// -----

func.func @results(%xs: tensor<5x2xf32>) {
  // expected-error @below {{array.scan: result types should be tensor<5x2xf32>}}
  %0 = array.scan length 5 consts() carries() xs(%xs : tensor<5x2xf32>) -> tensor<2xf32> {
  ^bb0(%x: tensor<2xf32>):
    array.yield %x : tensor<2xf32>
  }
  func.return
}

// -----

func.func @outside(%x: tensor<2xf32>) {
  // expected-error @below {{array.yield: ends the body of an array operation}}
  array.yield %x : tensor<2xf32>
}

// -----

func.func @condition(%n: tensor<i32>) {
  // expected-error @below {{array.scan: while its first carry, a tensor<i1>, is true}}
  %0 = array.scan length 5 while consts() carries(%n : tensor<i32>) xs() -> tensor<i32> {
  ^bb0(%a: tensor<i32>):
    array.yield %a : tensor<i32>
  }
  func.return
}

// -----

func.func @stacks(%go: tensor<i1>) {
  // expected-error @below {{array.scan: one with while has carries only}}
  %0, %1 = array.scan length 5 while consts() carries(%go : tensor<i1>) xs() -> tensor<i1>, tensor<5xi1> {
  ^bb0(%a: tensor<i1>):
    array.yield %a, %a : tensor<i1>, tensor<i1>
  }
  func.return
}

// -----

func.func @arguments(%c: tensor<i1>, %x: tensor<2xf32>) {
  // expected-error @below {{array.cond: the arguments of the second branch must mirror the inputs}}
  array.cond %c(%x) : (tensor<i1>, tensor<2xf32>) -> () {
  ^bb0(%a: tensor<2xf32>):
    array.yield
  } else {
    array.yield
  }
  func.return
}

// -----

func.func @types(%c: tensor<i1>, %x: tensor<2xf32>) {
  // expected-error @below {{array.cond: the second branch yields tensor<f32>}}
  %0 = array.cond %c(%x) : (tensor<i1>, tensor<2xf32>) -> tensor<2xf32> {
  ^bb0(%a: tensor<2xf32>):
    array.yield %a : tensor<2xf32>
  } else {
  ^bb0(%a: tensor<2xf32>):
    %1 = array.sum %a axes [0] : (tensor<2xf32>) -> tensor<f32>
    array.yield %1 : tensor<f32>
  }
  func.return
}
