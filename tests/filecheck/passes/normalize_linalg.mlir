// RUN: wgpu-opt %s -p normalize-linalg --split-input-file --verify-diagnostics | filecheck %s

// A constant from outside moves into the body.

// CHECK-LABEL: @constant
// CHECK:       ^bb0(%x: f32, %y: f32):
// CHECK-NEXT:    %zero{{.*}} = arith.constant 0.000000e+00 : f32
// CHECK-NEXT:    arith.maximumf %x, %zero
func.func @constant(%a: tensor<4xf32>) -> tensor<4xf32> {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<4xf32>
  %0 = linalg.generic {
    indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>], iterator_types = ["parallel"]
  } ins(%a : tensor<4xf32>) outs(%empty : tensor<4xf32>) {
  ^bb0(%x: f32, %y: f32):
    %1 = arith.maximumf %x, %zero : f32
    linalg.yield %1 : f32
  } -> tensor<4xf32>
  func.return %0 : tensor<4xf32>
}

// -----

// The loops follow the result's dimensions, the reduction is last; linalg.index is renamed.

// CHECK-LABEL: @loops
// CHECK: affine_map<(d0, d1, d2) -> (d2, d1)>, affine_map<(d0, d1, d2) -> (d0, d1)>
// CHECK-SAME: iterator_types = ["parallel", "parallel", "reduction"]
// CHECK: linalg.index 2
func.func @loops(%a: tensor<8x4xi32>) -> tensor<2x4xi32> {
  %zero = arith.constant 0 : i32
  %empty = tensor.empty() : tensor<2x4xi32>
  %init = linalg.fill ins(%zero : i32) outs(%empty : tensor<2x4xi32>) -> tensor<2x4xi32>
  %0 = linalg.generic {
    indexing_maps = [affine_map<(k, n, m) -> (k, n)>, affine_map<(k, n, m) -> (m, n)>],
    iterator_types = ["reduction", "parallel", "parallel"]
  } ins(%a : tensor<8x4xi32>) outs(%init : tensor<2x4xi32>) {
  ^bb0(%x: i32, %acc: i32):
    %k = linalg.index 0 : index
    %1 = arith.index_cast %k : index to i32
    %2 = arith.muli %x, %1 : i32
    %3 = arith.addi %acc, %2 : i32
    linalg.yield %3 : i32
  } -> tensor<2x4xi32>
  func.return %0 : tensor<2x4xi32>
}

// -----

// What a map reads of its output is an input.

// CHECK-LABEL: @initial(
// CHECK-SAME:    %a: tensor<4xf32>, %init: tensor<4xf32>)
// CHECK:       %[[EMPTY:.*]] = tensor.empty()
// CHECK:       ins(%a, %init : tensor<4xf32>, tensor<4xf32>) outs(%[[EMPTY]] : tensor<4xf32>)
func.func @initial(%a: tensor<4xf32>, %init: tensor<4xf32>) -> tensor<4xf32> {
  %0 = linalg.generic {
    indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>], iterator_types = ["parallel"]
  } ins(%a : tensor<4xf32>) outs(%init : tensor<4xf32>) {
  ^bb0(%x: f32, %y: f32):
    %1 = arith.addf %x, %y : f32
    linalg.yield %1 : f32
  } -> tensor<4xf32>
  func.return %0 : tensor<4xf32>
}

// -----

// A sum starts many times in a schedule; what it is to start from is added once.

// CHECK-LABEL: @start_of_a_sum(
// CHECK:       %[[ZERO:.*]] = arith.constant -0.000000e+00 : f32
// CHECK:       %[[FILL:.*]] = linalg.fill ins(%[[ZERO]] : f32)
// CHECK:       %[[SUM:.*]] = linalg.generic
// CHECK-SAME:    iterator_types = ["reduction"]
// CHECK:       linalg.generic
// CHECK-SAME:    ins(%[[SUM]] : tensor<f32>)
// CHECK:         %[[FIVE:.*]] = arith.constant 5.000000e+00 : f32
// CHECK-NEXT:    arith.addf %[[FIVE]], %{{.*}} : f32
func.func @start_of_a_sum(%a: tensor<4xf32>) -> tensor<f32> {
  %five = arith.constant 5.0 : f32
  %empty = tensor.empty() : tensor<f32>
  %start = linalg.fill ins(%five : f32) outs(%empty : tensor<f32>) -> tensor<f32>
  %0 = linalg.generic {
    indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> ()>], iterator_types = ["reduction"]
  } ins(%a : tensor<4xf32>) outs(%start : tensor<f32>) {
  ^bb0(%x: f32, %acc: f32):
    %1 = arith.addf %acc, %x : f32
    linalg.yield %1 : f32
  } -> tensor<f32>
  func.return %0 : tensor<f32>
}

// -----

func.func @named(%a: tensor<4x4xf32>, %init: tensor<4x4xf32>) -> tensor<4x4xf32> {
  // expected-error@+1 {{linalg.matmul: write it as linalg.generic}}
  %0 = linalg.matmul ins(%a, %a : tensor<4x4xf32>, tensor<4x4xf32>) outs(%init : tensor<4x4xf32>) -> tensor<4x4xf32>
  func.return %0 : tensor<4x4xf32>
}

// -----

func.func @start(%a: tensor<4xf32>, %init: tensor<f32>) -> tensor<f32> {
  // expected-error@+1 {{linalg.generic: a reduction starts from a linalg.fill with a constant}}
  %0 = linalg.generic {
    indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> ()>], iterator_types = ["reduction"]
  } ins(%a : tensor<4xf32>) outs(%init : tensor<f32>) {
  ^bb0(%x: f32, %acc: f32):
    %1 = arith.addf %x, %acc : f32
    linalg.yield %1 : f32
  } -> tensor<f32>
  func.return %0 : tensor<f32>
}

// -----

func.func @combiner(%a: tensor<4xf32>) -> tensor<f32> {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<f32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<f32>) -> tensor<f32>
  // expected-error@+1 {{linalg.generic: a reduction ends in one of arith.addf, arith.mulf}}
  %0 = linalg.generic {
    indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> ()>], iterator_types = ["reduction"]
  } ins(%a : tensor<4xf32>) outs(%init : tensor<f32>) {
  ^bb0(%x: f32, %acc: f32):
    %1 = arith.subf %acc, %x : f32
    linalg.yield %1 : f32
  } -> tensor<f32>
  func.return %0 : tensor<f32>
}

// -----

func.func @scalar(%a: tensor<4xf32>, %s: f32) -> tensor<4xf32> {
  %empty = tensor.empty() : tensor<4xf32>
  // expected-error@+1 {{its body uses a scalar from outside; make it an input}}
  %0 = linalg.generic {
    indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>], iterator_types = ["parallel"]
  } ins(%a : tensor<4xf32>) outs(%empty : tensor<4xf32>) {
  ^bb0(%x: f32, %y: f32):
    %1 = arith.addf %x, %s : f32
    linalg.yield %1 : f32
  } -> tensor<4xf32>
  func.return %0 : tensor<4xf32>
}

// -----

func.func @narrow(%a: tensor<4xi8>) -> tensor<4xi8> {
  %empty = tensor.empty() : tensor<4xi8>
  // expected-error@+1 {{linalg.generic: arith.addi computes in i8; compute in i32 and truncate}}
  %0 = linalg.generic {
    indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>], iterator_types = ["parallel"]
  } ins(%a : tensor<4xi8>) outs(%empty : tensor<4xi8>) {
  ^bb0(%x: i8, %y: i8):
    %1 = arith.addi %x, %x : i8
    linalg.yield %1 : i8
  } -> tensor<4xi8>
  func.return %0 : tensor<4xi8>
}

// -----

// CHECK-LABEL: @window
// CHECK:       linalg_ext.insert_slice %u into %x offsets [0, 5] : (tensor<2x3xf32>, tensor<2x8xf32>) -> tensor<2x8xf32>
func.func @window(%u: tensor<2x3xf32>, %x: tensor<2x8xf32>) -> tensor<2x8xf32> {
  %0 = tensor.insert_slice %u into %x[0, 5] [2, 3] [1, 1] : tensor<2x3xf32> into tensor<2x8xf32>
  func.return %0 : tensor<2x8xf32>
}

// -----

func.func @strided(%u: tensor<2x3xf32>, %x: tensor<2x8xf32>) -> tensor<2x8xf32> {
  // expected-error @below {{tensor.insert_slice: offsets and sizes are static and strides are 1}}
  %0 = tensor.insert_slice %u into %x[0, 0] [2, 3] [1, 2] : tensor<2x3xf32> into tensor<2x8xf32>
  func.return %0 : tensor<2x8xf32>
}

// -----

// CHECK-LABEL: @fewer_dimensions
// CHECK:       %[[ROW:.*]] = linalg.generic {{.*}} ins(%u : tensor<3xf32>)
// CHECK:       linalg_ext.insert_slice %[[ROW]] into %x offsets [0, 0] : (tensor<1x3xf32>, tensor<2x8xf32>)
func.func @fewer_dimensions(%u: tensor<3xf32>, %x: tensor<2x8xf32>) -> tensor<2x8xf32> {
  %0 = tensor.insert_slice %u into %x[0, 0] [1, 3] [1, 1] : tensor<3xf32> into tensor<2x8xf32>
  func.return %0 : tensor<2x8xf32>
}

// -----

func.func @too_few(%u: tensor<3xf32>, %x: tensor<2x8xf32>) -> tensor<2x8xf32> {
  // expected-error @below {{tensor.insert_slice: its window [2, 3] has not the elements of tensor<3xf32>}}
  %0 = tensor.insert_slice %u into %x[0, 0] [2, 3] [1, 1] : tensor<3xf32> into tensor<2x8xf32>
  func.return %0 : tensor<2x8xf32>
}

// -----

// Slices and reshapes are views.

// CHECK-LABEL: @views
// CHECK:       affine_map<(d0, d1) -> (((d0 * 2) + 1), (d1 + 3))>
// CHECK:       ins(%x : tensor<4x8xf32>) outs(%{{.*}} : tensor<2x1xf32>)
// CHECK:       affine_map<(d0) -> (d0, 0)>
// CHECK:       affine_map<(d0) -> ((d0 floordiv 8), (d0 mod 8))>
// CHECK:       affine_map<(d0, d1, d2) -> (d0, ((d1 * 4) + d2))>
func.func @views(%x: tensor<4x8xf32>) -> (tensor<2xf32>, tensor<32xf32>, tensor<4x2x4xf32>) {
  %0 = tensor.extract_slice %x[1, 3] [2, 1] [2, 1] : tensor<4x8xf32> to tensor<2xf32>
  %1 = tensor.collapse_shape %x [[0, 1]] : tensor<4x8xf32> into tensor<32xf32>
  %2 = tensor.expand_shape %x [[0], [1, 2]] output_shape [4, 2, 4] : tensor<4x8xf32> into tensor<4x2x4xf32>
  func.return %0, %1, %2 : tensor<2xf32>, tensor<32xf32>, tensor<4x2x4xf32>
}

// -----

// CHECK-LABEL: @pad
// CHECK:       %[[X:.*]] = tensor.extract %x[%{{.*}}]
// CHECK:       arith.select %{{.*}}, %[[X]], %{{.*}} : f32
// CHECK-NOT:   tensor.pad
func.func @pad(%x: tensor<4xf32>) -> tensor<7xf32> {
  %two = arith.constant 2.0 : f32
  %0 = tensor.pad %x low[1] high[2] {
  ^bb0(%i: index):
    tensor.yield %two : f32
  } : tensor<4xf32> to tensor<7xf32>
  func.return %0 : tensor<7xf32>
}

// -----

// CHECK-LABEL: @concat
// CHECK:       %[[FIRST:.*]] = linalg_ext.insert_slice %x into %{{.*}} offsets [0]
// CHECK:       linalg_ext.insert_slice %y into %[[FIRST]] offsets [4]
func.func @concat(%x: tensor<4xf32>, %y: tensor<3xf32>) -> tensor<7xf32> {
  %0 = tensor.concat dim(0) %x, %y : (tensor<4xf32>, tensor<3xf32>) -> tensor<7xf32>
  func.return %0 : tensor<7xf32>
}

// -----

func.func @computed(%x: tensor<8xf32>, %i: index) -> tensor<3xf32> {
  // expected-error @below {{tensor.extract_slice: offsets, sizes, strides and shapes are static}}
  %0 = tensor.extract_slice %x[%i] [3] [1] : tensor<8xf32> to tensor<3xf32>
  func.return %0 : tensor<3xf32>
}
