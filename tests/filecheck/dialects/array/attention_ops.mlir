// RUN: wgpu-opt %s | wgpu-opt | filecheck %s

// CHECK-LABEL: @main
func.func @main(%q: tensor<2x5x4xf32>, %k: tensor<2x3x4xf32>, %v: tensor<2x3x8xf32>,
    %m: tensor<2x5x3xi1>) -> tensor<2x5x8xf32> {
  // CHECK: array.attention %q, %k, %v scale 5.000000e-01 : f64 bounds [1, -1, 0]
  // CHECK-SAME: -> (tensor<2x5x8xf32>, tensor<2x5xf32>)
  %y, %l = array.attention %q, %k, %v scale 0.5 : f64 bounds [1, -1, 0]
    : (tensor<2x5x4xf32>, tensor<2x3x4xf32>, tensor<2x3x8xf32>) -> (tensor<2x5x8xf32>, tensor<2x5xf32>)
  // CHECK: array.attention %q, %k, %v with %m scale 5.000000e-01 : f64 softcap 2.000000e+01 : f64 bounds []
  %z, %n = array.attention %q, %k, %v with %m scale 0.5 : f64 softcap 20.0 : f64 bounds []
    : (tensor<2x5x4xf32>, tensor<2x3x4xf32>, tensor<2x3x8xf32>, tensor<2x5x3xi1>)
    -> (tensor<2x5x8xf32>, tensor<2x5xf32>)
  // CHECK: array.attention_gradient %q, %k, %v, %y, %l, %n with %m scale
  %dq, %dk, %dv = array.attention_gradient %q, %k, %v, %y, %l, %n with %m scale 0.5 : f64 bounds []
    : (tensor<2x5x4xf32>, tensor<2x3x4xf32>, tensor<2x3x8xf32>, tensor<2x5x8xf32>, tensor<2x5xf32>,
       tensor<2x5xf32>, tensor<2x5x3xi1>)
    -> (tensor<2x5x4xf32>, tensor<2x3x4xf32>, tensor<2x3x8xf32>)
  func.return %z : tensor<2x5x8xf32>
}
