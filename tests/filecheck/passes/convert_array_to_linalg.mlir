// RUN: wgpu-opt %s -p convert-array-to-linalg | filecheck %s

// A map: the sign of the dtype goes into the operation, the ABI keeps it.
// CHECK:      func.func @unsigned(%x: tensor<4xi32> {stepwell.dtype = "u32"}, %y: tensor<4xi32>) -> (tensor<4xi32> {stepwell.dtype = "u32"}) {
// CHECK-NEXT:   %{{.*}} = tensor.empty() : tensor<4xi32>
// CHECK-NEXT:   %r = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]} ins(%x, %x : tensor<4xi32>, tensor<4xi32>)
// CHECK-NEXT:   ^bb0(%{{.*}}: i32, %{{.*}}: i32, %{{.*}}: i32):
// CHECK-NEXT:     %{{.*}} = arith.maxui %{{.*}}, %{{.*}} : i32
// CHECK-NEXT:     linalg.yield %{{.*}} : i32
func.func @unsigned(%x : tensor<4xui32>, %y : tensor<4xi32>) -> tensor<4xui32> {
  %r = array.maximum %x, %x : (tensor<4xui32>, tensor<4xui32>) -> tensor<4xui32>
  func.return %r : tensor<4xui32>
}

// A view yields its input, read through the map.
// CHECK-LABEL: func.func @reshape
// CHECK:         linalg.generic {indexing_maps = [affine_map<(d0) -> ((d0 floordiv 4), (d0 mod 4))>, affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]} ins(%x : tensor<3x4xf32>)
// CHECK-NEXT:    ^bb0(%[[X:.*]]: f32, %{{.*}}: f32):
// CHECK-NEXT:      linalg.yield %[[X]] : f32
func.func @reshape(%x : tensor<3x4xf32>) -> tensor<12xf32> {
  %r = array.reshape %x shape [12] : (tensor<3x4xf32>) -> tensor<12xf32>
  func.return %r : tensor<12xf32>
}

// The beginning of a dimension is read `mod` its size: a bare d0 would claim all of it.
// CHECK-LABEL: func.func @prefix
// CHECK:         affine_map<(d0) -> ((d0 mod 5))>
func.func @prefix(%x : tensor<5xf32>) -> tensor<3xf32> {
  %r = array.slice %x starts [0] limits [3] strides [1] : (tensor<5xf32>) -> tensor<3xf32>
  func.return %r : tensor<3xf32>
}

// A reduction: parallel loops first, the identity by linalg.fill.
// CHECK-LABEL: func.func @sum
// CHECK-NEXT:    %[[ZERO:.*]] = arith.constant 0.000000e+00 : f32
// CHECK-NEXT:    %[[EMPTY:.*]] = tensor.empty() : tensor<8xf32>
// CHECK-NEXT:    %[[INIT:.*]] = linalg.fill ins(%[[ZERO]] : f32) outs(%[[EMPTY]] : tensor<8xf32>)
// CHECK-NEXT:    linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d1, d0)>, affine_map<(d0, d1) -> (d0)>], iterator_types = ["parallel", "reduction"]} ins(%x : tensor<4x8xf32>) outs(%[[INIT]] : tensor<8xf32>)
// CHECK-NEXT:    ^bb0(%[[X:.*]]: f32, %[[PARTIAL:.*]]: f32):
// CHECK-NEXT:      %{{.*}} = arith.addf %[[PARTIAL]], %[[X]] : f32
func.func @sum(%x : tensor<4x8xf32>) -> tensor<8xf32> {
  %r = array.sum %x axes [0] : (tensor<4x8xf32>) -> tensor<8xf32>
  func.return %r : tensor<8xf32>
}

// A contraction of f16 accumulates in f32 and rounds once.
// CHECK-LABEL: func.func @matmul
// CHECK:         linalg.generic {indexing_maps = [affine_map<(d0, d1, d2) -> (d0, d2)>, affine_map<(d0, d1, d2) -> (d2, d1)>, affine_map<(d0, d1, d2) -> (d0, d1)>], iterator_types = ["parallel", "parallel", "reduction"]}
// CHECK-NEXT:    ^bb0(%[[A:.*]]: f16, %[[B:.*]]: f16, %[[C:.*]]: f32):
// CHECK-NEXT:      %[[AW:.*]] = arith.extf %[[A]] : f16 to f32
// CHECK-NEXT:      %[[BW:.*]] = arith.extf %[[B]] : f16 to f32
// CHECK-NEXT:      %[[AB:.*]] = arith.mulf %[[AW]], %[[BW]] : f32
// CHECK-NEXT:      %{{.*}} = arith.addf %[[C]], %[[AB]] : f32
// CHECK:         arith.truncf
func.func @matmul(%x : tensor<4x8xf16>, %y : tensor<8x2xf16>) -> tensor<4x2xf16> {
  %r = array.dot_general %x, %y batch [], [] contracting [1], [0] : (tensor<4x8xf16>, tensor<8x2xf16>) -> tensor<4x2xf16>
  func.return %r : tensor<4x2xf16>
}

// What no map can say computes each element at its index.
// CHECK-LABEL: func.func @iota
// CHECK:         linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>], iterator_types = ["parallel", "parallel"]} outs(%{{.*}} : tensor<2x3xi32>)
// CHECK-NEXT:    ^bb0(%{{.*}}: i32):
// CHECK-NEXT:      %{{.*}} = linalg.index 0 : index
// CHECK-NEXT:      %[[J:.*]] = linalg.index 1 : index
// CHECK-NEXT:      %{{.*}} = arith.index_cast %[[J]] : index to i32
func.func @iota() -> tensor<2x3xi32> {
  %r = array.iota i32 shape [2, 3] axis 1 : tensor<2x3xi32>
  func.return %r : tensor<2x3xi32>
}

// Splats are filled, other constants stay.
// CHECK-LABEL: func.func @constants
// CHECK:         linalg.fill
// CHECK:         arith.constant dense<[1, 2]> : tensor<2xi32>
func.func @constants() -> (tensor<2xi32>, tensor<2xi32>) {
  %a = array.constant dense<7> : tensor<2xi32> : tensor<2xi32>
  %b = array.constant dense<[1, 2]> : tensor<2xi32> : tensor<2xi32>
  func.return %a, %b : tensor<2xi32>, tensor<2xi32>
}

// A barrier has kept two equal operations apart; none is made one from here on.
// CHECK-LABEL: func.func @barrier
// CHECK:         math.exp
// CHECK:         math.exp
// CHECK-NOT:     barrier
func.func @barrier(%x : tensor<2xf32>) -> (tensor<2xf32>, tensor<2xf32>) {
  %a = array.exp %x : (tensor<2xf32>) -> tensor<2xf32>
  %b = array.barrier %x : (tensor<2xf32>) -> tensor<2xf32>
  %c = array.exp %b : (tensor<2xf32>) -> tensor<2xf32>
  func.return %a, %c : tensor<2xf32>, tensor<2xf32>
}

// A concatenation: every piece in its window of a new tensor.
// CHECK-LABEL: func.func @concatenate
// CHECK-NEXT:    %[[E:.*]] = tensor.empty() : tensor<2x7xf32>
// CHECK-NEXT:    %[[X:.*]] = tensor.insert_slice %x into %[[E]][0, 0] [2, 4] [1, 1] : tensor<2x4xf32> into tensor<2x7xf32>
// CHECK-NEXT:    %{{.*}} = tensor.insert_slice %y into %[[X]][0, 4] [2, 3] [1, 1] : tensor<2x3xf32> into tensor<2x7xf32>
func.func @concatenate(%x : tensor<2x4xf32>, %y : tensor<2x3xf32>) -> tensor<2x7xf32> {
  %r = array.concatenate %x, %y axis 1 : (tensor<2x4xf32>, tensor<2x3xf32>) -> tensor<2x7xf32>
  func.return %r : tensor<2x7xf32>
}

// What is inserted at a computed position is clamped there.
// CHECK-LABEL: func.func @insert
// CHECK-NEXT:    linalg_ext.insert_slice %u into %x offsets [0, -1] starts %p
func.func @insert(%x : tensor<2x4xf32>, %u : tensor<2x3xf32>, %p : tensor<i32>) -> tensor<2x4xf32> {
  %r = array.dynamic_update_slice %x, %u, %p axis 1 : (tensor<2x4xf32>, tensor<2x3xf32>, tensor<i32>) -> tensor<2x4xf32>
  func.return %r : tensor<2x4xf32>
}
