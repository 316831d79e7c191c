// RUN: wgpu-opt %s -p bound-attention,simplify-array | filecheck %s

// A window behind the query, at the last positions of a cache: known numbers are limits.

// CHECK-LABEL: func.func @window
// CHECK-NEXT:    array.attention %q, %k, %k scale 5.000000e-01 : f64 bounds [1, -1, 4, -1, 1, 3]
// CHECK-NEXT:    func.return
func.func @window(%q: tensor<2x3x4xf32>, %k: tensor<2x7x4xf32>) -> tensor<2x3x4xf32> {
  %i = array.iota i32 shape [3, 1] axis 0 : tensor<3x1xi32>
  %j = array.iota i32 shape [1, 7] axis 1 : tensor<1x7xi32>
  %four = array.full 4 : i32 shape [3, 1] : tensor<3x1xi32>
  %at = array.add %i, %four : (tensor<3x1xi32>, tensor<3x1xi32>) -> tensor<3x1xi32>
  %q0 = array.broadcast %at shape [3, 7] dims [0, 1] : (tensor<3x1xi32>) -> tensor<3x7xi32>
  %k0 = array.broadcast %j shape [3, 7] dims [0, 1] : (tensor<1x7xi32>) -> tensor<3x7xi32>
  %eight = array.full 8 : i32 shape [3, 7] : tensor<3x7xi32>
  %first = array.subtract %q0, %eight : (tensor<3x7xi32>, tensor<3x7xi32>) -> tensor<3x7xi32>
  %a = array.less_equal %k0, %q0 : (tensor<3x7xi32>, tensor<3x7xi32>) -> tensor<3x7xi1>
  %b = array.greater %k0, %first : (tensor<3x7xi32>, tensor<3x7xi32>) -> tensor<3x7xi1>
  %ab = array.logical_and %a, %b : (tensor<3x7xi1>, tensor<3x7xi1>) -> tensor<3x7xi1>
  %m = array.broadcast %ab shape [2, 3, 7] dims [1, 2] : (tensor<3x7xi1>) -> tensor<2x3x7xi1>
  %y, %l = array.attention %q, %k, %k with %m scale 0.5 : f64 bounds []
    : (tensor<2x3x4xf32>, tensor<2x7x4xf32>, tensor<2x7x4xf32>, tensor<2x3x7xi1>)
    -> (tensor<2x3x4xf32>, tensor<2x3xf32>)
  func.return %y : tensor<2x3x4xf32>
}

// Lengths of a batch are shifts of the limit -1, the same for all heads. What is added hides keys
// where it is as low as can be.

// CHECK-LABEL: func.func @lengths
// CHECK-NOT:     array.where
// CHECK:         %[[S:.*]] = array.reshape {{.*}} -> tensor<2x5x1xi32>
// CHECK-NEXT:    array.attention %q, %k, %k with %[[S]] scale 5.000000e-01 : f64 bounds [1, -1, 0, 1, 0, -1]
func.func @lengths(%q: tensor<2x5x3x4xf32>, %k: tensor<2x5x7x4xf32>, %n: tensor<2xi32>) -> tensor<2x5x3x4xf32> {
  %j = array.iota i32 shape [2, 5, 3, 7] axis 3 : tensor<2x5x3x7xi32>
  %each = array.broadcast %n shape [2, 5, 3, 7] dims [0] : (tensor<2xi32>) -> tensor<2x5x3x7xi32>
  %a = array.greater %each, %j : (tensor<2x5x3x7xi32>, tensor<2x5x3x7xi32>) -> tensor<2x5x3x7xi1>
  %zero = array.full 0.0 : f32 shape [2, 5, 3, 7] : tensor<2x5x3x7xf32>
  %low = array.full 0xFF800000 : f32 shape [2, 5, 3, 7] : tensor<2x5x3x7xf32>
  %m = array.where %a, %zero, %low : (tensor<2x5x3x7xi1>, tensor<2x5x3x7xf32>, tensor<2x5x3x7xf32>) -> tensor<2x5x3x7xf32>
  %y, %l = array.attention %q, %k, %k with %m scale 0.5 : f64 bounds [1, -1, 0]
    : (tensor<2x5x3x4xf32>, tensor<2x5x7x4xf32>, tensor<2x5x7x4xf32>, tensor<2x5x3x7xf32>)
    -> (tensor<2x5x3x4xf32>, tensor<2x5x3xf32>)
  func.return %y : tensor<2x5x3x4xf32>
}

// Beside a mask of something else, known bounds say which tiles need not be visited; lengths stay in
// the mask, as gradients have no buffer for shifts beside it.

// CHECK-LABEL: func.func @both
// CHECK:         %[[M:.*]] = array.logical_and %given
// CHECK:         array.attention %q, %k, %k with %[[M]] scale 5.000000e-01 : f64 bounds [1, -1, 0]
func.func @both(%q: tensor<3x4xf32>, %k: tensor<7x4xf32>, %n: tensor<i32>, %given: tensor<3x7xi1>) -> tensor<3x4xf32> {
  %i = array.iota i32 shape [3, 7] axis 0 : tensor<3x7xi32>
  %j = array.iota i32 shape [3, 7] axis 1 : tensor<3x7xi32>
  %length = array.broadcast %n shape [3, 7] dims [] : (tensor<i32>) -> tensor<3x7xi32>
  %a = array.less_equal %j, %i : (tensor<3x7xi32>, tensor<3x7xi32>) -> tensor<3x7xi1>
  %b = array.less %j, %length : (tensor<3x7xi32>, tensor<3x7xi32>) -> tensor<3x7xi1>
  %ab = array.logical_and %a, %b : (tensor<3x7xi1>, tensor<3x7xi1>) -> tensor<3x7xi1>
  %m = array.logical_and %given, %ab : (tensor<3x7xi1>, tensor<3x7xi1>) -> tensor<3x7xi1>
  %y, %l = array.attention %q, %k, %k with %m scale 0.5 : f64 bounds []
    : (tensor<3x4xf32>, tensor<7x4xf32>, tensor<7x4xf32>, tensor<3x7xi1>) -> (tensor<3x4xf32>, tensor<3xf32>)
  func.return %y : tensor<3x4xf32>
}

// Positions that are halved say nothing that bounds can.

// CHECK-LABEL: func.func @other
// CHECK:         array.attention %q, %k, %k with {{.*}} bounds [] :
func.func @other(%q: tensor<3x4xf32>, %k: tensor<7x4xf32>) -> tensor<3x4xf32> {
  %i = array.iota i32 shape [3, 7] axis 0 : tensor<3x7xi32>
  %j = array.iota i32 shape [3, 7] axis 1 : tensor<3x7xi32>
  %twice = array.add %i, %i : (tensor<3x7xi32>, tensor<3x7xi32>) -> tensor<3x7xi32>
  %m = array.less_equal %j, %twice : (tensor<3x7xi32>, tensor<3x7xi32>) -> tensor<3x7xi1>
  %y, %l = array.attention %q, %k, %k with %m scale 0.5 : f64 bounds []
    : (tensor<3x4xf32>, tensor<7x4xf32>, tensor<7x4xf32>, tensor<3x7xi1>) -> (tensor<3x4xf32>, tensor<3xf32>)
  func.return %y : tensor<3x4xf32>
}
