// RUN: wgpu-opt %s | filecheck %s
// RUN: wgpu-opt %s --mlir-print-op-generic | wgpu-opt | filecheck %s

// CHECK-LABEL: @attention
func.func @attention(%q: tensor<2x5x4xf16>, %k: tensor<2x3x4xf16>, %v: tensor<2x3x8xf16>,
    %m: tensor<2x5x3xi1>) -> tensor<2x5x8xf16> {
  // CHECK: linalg_ext.attention %q, %k, %v scale 5.000000e-01 : f64 bounds [1, -1, 0]
  // CHECK-SAME: -> (tensor<2x5x8xf16>, tensor<2x5xf32>)
  %y, %l = linalg_ext.attention %q, %k, %v scale 0.5 : f64 bounds [1, -1, 0]
    : (tensor<2x5x4xf16>, tensor<2x3x4xf16>, tensor<2x3x8xf16>) -> (tensor<2x5x8xf16>, tensor<2x5xf32>)
  // CHECK: linalg_ext.attention %q, %k, %v with %m scale
  %z, %n = linalg_ext.attention %q, %k, %v with %m scale 0.5 : f64 bounds []
    : (tensor<2x5x4xf16>, tensor<2x3x4xf16>, tensor<2x3x8xf16>, tensor<2x5x3xi1>)
    -> (tensor<2x5x8xf16>, tensor<2x5xf32>)
  func.return %z : tensor<2x5x8xf16>
}

// CHECK-LABEL: @gradients
func.func @gradients(%q: tensor<2x5x4xf32>, %k: tensor<2x3x4xf32>, %v: tensor<2x3x8xf32>,
    %o: tensor<2x5x8xf32>, %l: tensor<2x5xf32>, %d: tensor<2x5xf32>, %m: tensor<2x5x3xf32>)
    -> tensor<2x5x4xf32> {
  // CHECK: linalg_ext.attention_query_gradient %q, %k, %v, %o, %l, %d scale 5.000000e-01 : f64 softcap 3.000000e+01 : f64 bounds [1, -1, 0]
  // CHECK-SAME: -> tensor<2x5x4xf32>
  %dq = linalg_ext.attention_query_gradient %q, %k, %v, %o, %l, %d scale 0.5 : f64 softcap 30.0 : f64 bounds [1, -1, 0]
    : (tensor<2x5x4xf32>, tensor<2x3x4xf32>, tensor<2x3x8xf32>, tensor<2x5x8xf32>, tensor<2x5xf32>,
       tensor<2x5xf32>) -> tensor<2x5x4xf32>
  // CHECK: linalg_ext.attention_key_gradient %q, %k, %v, %o, %l, %d with %m scale
  // CHECK-SAME: -> (tensor<2x3x4xf32>, tensor<2x3x8xf32>)
  %dk, %dv = linalg_ext.attention_key_gradient %q, %k, %v, %o, %l, %d with %m scale 0.5 : f64 bounds []
    : (tensor<2x5x4xf32>, tensor<2x3x4xf32>, tensor<2x3x8xf32>, tensor<2x5x8xf32>, tensor<2x5xf32>,
       tensor<2x5xf32>, tensor<2x5x3xf32>) -> (tensor<2x3x4xf32>, tensor<2x3x8xf32>)
  func.return %dq : tensor<2x5x4xf32>
}

// CHECK-LABEL: @scan
func.func @scan(%h: tensor<2xf32>, %xs: tensor<5x2xf32>) {
  // CHECK: %0, %1 = linalg_ext.scan @step length 5 reverse consts() carries(%h : tensor<2xf32>) xs(%xs : tensor<5x2xf32>) -> tensor<2xf32>, tensor<5x2xf32>
  %0, %1 = linalg_ext.scan @step length 5 reverse consts() carries(%h : tensor<2xf32>) xs(%xs : tensor<5x2xf32>) -> tensor<2xf32>, tensor<5x2xf32>
  func.return
}

func.func private @step(%h: tensor<2xf32>, %x: tensor<2xf32>) -> (tensor<2xf32>, tensor<2xf32>) {
  func.return %x, %h : tensor<2xf32>, tensor<2xf32>
}

// CHECK-LABEL: func.func @insert_slice
func.func @insert_slice(%u: tensor<2x1x8xf32>, %x: tensor<2x64x8xf32>, %p: tensor<i32>) -> (tensor<2x64x8xf32>, tensor<2x64x8xf32>) {
  // CHECK: linalg_ext.insert_slice %u into %x offsets [0, -1, 0] starts %p : (tensor<2x1x8xf32>, tensor<2x64x8xf32>, tensor<i32>) -> tensor<2x64x8xf32>
  %a = linalg_ext.insert_slice %u into %x offsets [0, -1, 0] starts %p : (tensor<2x1x8xf32>, tensor<2x64x8xf32>, tensor<i32>) -> tensor<2x64x8xf32>
  // CHECK: linalg_ext.insert_slice %u into %x offsets [0, 5, 0] : (tensor<2x1x8xf32>, tensor<2x64x8xf32>) -> tensor<2x64x8xf32>
  %b = linalg_ext.insert_slice %u into %x offsets [0, 5, 0] : (tensor<2x1x8xf32>, tensor<2x64x8xf32>) -> tensor<2x64x8xf32>
  func.return %a, %b : tensor<2x64x8xf32>, tensor<2x64x8xf32>
}

// CHECK-LABEL: @when
func.func @when(%c: tensor<i1>, %x: tensor<2xf32>) {
  // CHECK: %0 = linalg_ext.when %c @branch(%x) : (tensor<i1>, tensor<2xf32>) -> tensor<2xf32>
  %0 = linalg_ext.when %c @branch(%x) : (tensor<i1>, tensor<2xf32>) -> tensor<2xf32>
  func.return
}

func.func private @branch(%x: tensor<2xf32>) -> tensor<2xf32> {
  func.return %x : tensor<2xf32>
}
