// RUN: wgpu-opt %s -p "group-queries{target=desktop-subgroup32}" | filecheck %s

// Four queries share the keys and values of a head and see as many of them.

// CHECK-LABEL: func.func @shared
// CHECK:         %[[Q:.*]] = array.reshape %q shape [2, 4, 8]
// CHECK:         %[[K:.*]] = array.reshape {{.*}} -> tensor<2x32x8xf32>
// CHECK:         %[[S:.*]] = array.reshape {{.*}} -> tensor<2x1xi32>
// CHECK-NEXT:    %[[Y:.*]], %[[L:.*]] = array.attention %[[Q]], %[[K]], {{.*}} with %[[S]] scale 5.000000e-01 : f64 bounds [1, 0, 7]
// CHECK-NEXT:    %[[R:.*]] = array.reshape %[[Y]] shape [2, 4, 1, 8]
// CHECK-NEXT:    array.reshape %[[L]] shape [2, 4, 1]
// CHECK-NEXT:    func.return %[[R]]
func.func @shared(%q: tensor<2x4x1x8xf32>, %k: tensor<2x32x8xf32>, %n: tensor<2xi32>) -> tensor<2x4x1x8xf32> {
  %kk = array.broadcast %k shape [2, 4, 32, 8] dims [0, 2, 3] : (tensor<2x32x8xf32>) -> tensor<2x4x32x8xf32>
  %each = array.broadcast %n shape [2, 4] dims [0] : (tensor<2xi32>) -> tensor<2x4xi32>
  %zero = array.full 0 : i32 shape [2, 4] : tensor<2x4xi32>
  %most = array.maximum %each, %zero : (tensor<2x4xi32>, tensor<2x4xi32>) -> tensor<2x4xi32>
  %s = array.reshape %most shape [2, 4, 1] : (tensor<2x4xi32>) -> tensor<2x4x1xi32>
  %y, %l = array.attention %q, %kk, %kk with %s scale 0.5 : f64 bounds [1, -1, 7]
    : (tensor<2x4x1x8xf32>, tensor<2x4x32x8xf32>, tensor<2x4x32x8xf32>, tensor<2x4x1xi32>)
    -> (tensor<2x4x1x8xf32>, tensor<2x4x1xf32>)
  func.return %y : tensor<2x4x1x8xf32>
}

// Each of the four has a length of its own.

// CHECK-LABEL: func.func @own_lengths
// CHECK-NEXT:    array.broadcast
// CHECK-NEXT:    array.attention
func.func @own_lengths(%q: tensor<2x4x1x8xf32>, %k: tensor<2x32x8xf32>, %s: tensor<2x4x1xi32>) -> tensor<2x4x1x8xf32> {
  %kk = array.broadcast %k shape [2, 4, 32, 8] dims [0, 2, 3] : (tensor<2x32x8xf32>) -> tensor<2x4x32x8xf32>
  %y, %l = array.attention %q, %kk, %kk with %s scale 0.5 : f64 bounds [1, -1, 7]
    : (tensor<2x4x1x8xf32>, tensor<2x4x32x8xf32>, tensor<2x4x32x8xf32>, tensor<2x4x1xi32>)
    -> (tensor<2x4x1x8xf32>, tensor<2x4x1xf32>)
  func.return %y : tensor<2x4x1x8xf32>
}
