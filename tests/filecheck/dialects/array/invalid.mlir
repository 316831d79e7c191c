// RUN: wgpu-opt %s --split-input-file --verify-diagnostics

func.func @shapes(%x : tensor<2x3xf32>, %y : tensor<3x2xf32>) {
  // expected-error @below {{array.add: operand 1 has shape [3, 2], operand 0 has [2, 3]}}
  %r = array.add %x, %y : (tensor<2x3xf32>, tensor<3x2xf32>) -> tensor<2x3xf32>
  func.return
}

// -----

func.func @dtypes(%x : tensor<2xf32>, %y : tensor<2xui32>) {
  // expected-error @below {{array.multiply: operand 1 is u32, operand 0 is f32; cast one}}
  %r = array.multiply %x, %y : (tensor<2xf32>, tensor<2xui32>) -> tensor<2xf32>
  func.return
}

// -----

func.func @accepts(%x : tensor<2xi32>) {
  // expected-error @below {{array.exp: takes f32 f16, not i32}}
  %r = array.exp %x : (tensor<2xi32>) -> tensor<2xi32>
  func.return
}

// -----

func.func @element(%x : tensor<2xf64>) {
  // expected-error @below {{element type f64 is none of f32, f16, i32, u32, bool}}
  %r = array.exp %x : (tensor<2xf64>) -> tensor<2xf64>
  func.return
}

// -----

func.func @dynamic(%x : tensor<?xf32>) {
  // expected-error @below {{array.exp: operand type tensor<?xf32> is no static tensor}}
  %r = array.exp %x : (tensor<?xf32>) -> tensor<?xf32>
  func.return
}

// -----

func.func @result(%x : tensor<2xf32>) {
  // expected-error @below {{array.less: result type should be tensor<2xi1>, not tensor<2xf32>}}
  %r = array.less %x, %x : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  func.return
}

// -----

func.func @condition(%x : tensor<2xf32>) {
  // expected-error @below {{array.where: the condition is f32, not bool}}
  %r = array.where %x, %x, %x : (tensor<2xf32>, tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  func.return
}

// -----

func.func @branches(%c : tensor<2xi1>, %x : tensor<2xf32>, %y : tensor<2xf16>) {
  // expected-error @below {{array.where: on_true is f32, on_false is f16; cast one}}
  %r = array.where %c, %x, %y : (tensor<2xi1>, tensor<2xf32>, tensor<2xf16>) -> tensor<2xf32>
  func.return
}

// -----

func.func @bitcast(%x : tensor<2xf32>) {
  // expected-error @below {{array.bitcast: gives f32 i32 u32, not f16}}
  %r = array.bitcast %x to f16 : (tensor<2xf32>) -> tensor<2xf16>
  func.return
}

// -----

func.func @axes(%x : tensor<2x3xf32>) {
  // expected-error @below {{array.sum: axes [1, 1] are not increasing dimensions of [2, 3]}}
  %r = array.sum %x axes [1, 1] : (tensor<2x3xf32>) -> tensor<2xf32>
  func.return
}

// -----

func.func @empty(%x : tensor<2x0xf32>) {
  // expected-error @below {{array.max: axes [1] of [2, 0] hold no elements, and there is no value for none}}
  %r = array.max %x axes [1] : (tensor<2x0xf32>) -> tensor<2xf32>
  func.return
}

// -----

func.func @contracting(%x : tensor<2x3xf32>, %y : tensor<4x5xf32>) {
  // expected-error @below {{array.dot_general: contracting axis 1 of lhs [2, 3] has size 3, axis 0 of rhs [4, 5] has size 4}}
  %r = array.dot_general %x, %y batch [], [] contracting [1], [0] : (tensor<2x3xf32>, tensor<4x5xf32>) -> tensor<2x5xf32>
  func.return
}

// -----

func.func @batch(%x : tensor<2x3xf32>, %y : tensor<4x5xf32>) {
  // expected-error @below {{array.dot_general: lhs has 1 batch axes, rhs has 0}}
  %r = array.dot_general %x, %y batch [0], [] contracting [1], [0] : (tensor<2x3xf32>, tensor<4x5xf32>) -> tensor<2x5xf32>
  func.return
}

// -----

func.func @key(%k : tensor<3xui32>) {
  // expected-error @below {{array.random_bits: the key has shape [3], not [2]}}
  %r = array.random_bits %k shape [4] : (tensor<3xui32>) -> tensor<4xui32>
  func.return
}

// -----

func.func @signless(%k : tensor<2xi32>) {
  // expected-error @below {{array.random_uniform: the key is i32, not u32}}
  %r = array.random_uniform %k shape [4] : (tensor<2xi32>) -> tensor<4xf32>
  func.return
}
