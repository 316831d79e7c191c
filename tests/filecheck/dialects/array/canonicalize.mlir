// RUN: wgpu-opt %s -p canonicalize | filecheck %s

// CHECK-LABEL: @neutral
// CHECK-NEXT: func.return %x, %x, %x, %x, %x
func.func @neutral(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) {
  %0 = array.full 0.0 : f32 shape [4] : tensor<4xf32>
  %1 = array.full 1.0 : f32 shape [4] : tensor<4xf32>
  %a = array.add %0, %x : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %b = array.subtract %x, %0 : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %c = array.multiply %1, %x : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %d = array.divide %x, %1 : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %e = array.pow %x, %1 : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  func.return %a, %b, %c, %d, %e : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
}

// 0 - x and 1 / x are not x; x * 0 is NaN for some floats, 0 for every integer.
// CHECK-LABEL: @not_neutral
// CHECK: array.subtract
// CHECK-NEXT: array.divide
// CHECK-NEXT: array.multiply %x
// CHECK-NEXT: %[[zero:.*]] = array.full 0 : i32 shape [4] : tensor<4xi32>
// CHECK-NEXT: func.return %{{.*}}, %{{.*}}, %{{.*}}, %[[zero]]
func.func @not_neutral(%x: tensor<4xf32>, %i: tensor<4xi32>) -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xi32>) {
  %0 = array.full 0.0 : f32 shape [4] : tensor<4xf32>
  %1 = array.full 1.0 : f32 shape [4] : tensor<4xf32>
  %i0 = array.full 0 : i32 shape [4] : tensor<4xi32>
  %a = array.subtract %0, %x : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %b = array.divide %1, %x : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %c = array.multiply %x, %0 : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %d = array.multiply %i, %i0 : (tensor<4xi32>, tensor<4xi32>) -> tensor<4xi32>
  func.return %a, %b, %c, %d : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xi32>
}

// CHECK-LABEL: @constants
// CHECK-NEXT: array.full 6.000000e+00 : f32 shape [2] : tensor<2xf32>
// CHECK-NEXT: array.full true shape [2] : tensor<2xi1>
// CHECK-NEXT: %[[zero:.*]] = array.full 0.000000e+00 : f32 shape [2] : tensor<2xf32>
// CHECK-NEXT: array.log %[[zero]]
func.func @constants() -> (tensor<2xf32>, tensor<2xi1>, tensor<2xf32>) {
  %2 = array.constant dense<2.0> : tensor<2xf32> : tensor<2xf32>
  %3 = array.full 3.0 : f32 shape [2] : tensor<2xf32>
  %a = array.multiply %2, %3 : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  %b = array.less %2, %3 : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xi1>
  %0 = array.full 0.0 : f32 shape [2] : tensor<2xf32>
  %c = array.log %0 : (tensor<2xf32>) -> tensor<2xf32>
  func.return %a, %b, %c : tensor<2xf32>, tensor<2xi1>, tensor<2xf32>
}

// CHECK-LABEL: @twice
// CHECK-NEXT: func.return %x, %b
func.func @twice(%x: tensor<4xf32>, %b: tensor<4xi1>) -> (tensor<4xf32>, tensor<4xi1>) {
  %0 = array.negative %x : (tensor<4xf32>) -> tensor<4xf32>
  %1 = array.negative %0 : (tensor<4xf32>) -> tensor<4xf32>
  %2 = array.logical_not %b : (tensor<4xi1>) -> tensor<4xi1>
  %3 = array.logical_not %2 : (tensor<4xi1>) -> tensor<4xi1>
  func.return %1, %3 : tensor<4xf32>, tensor<4xi1>
}

// f16 -> f32 -> f16 loses nothing, f32 -> f16 -> f32 does.
// CHECK-LABEL: @casts
// CHECK-NEXT: array.cast %x
// CHECK-NEXT: array.cast
// CHECK-NEXT: func.return %x, %h, %{{.*}}
func.func @casts(%x: tensor<4xf32>, %h: tensor<4xf16>) -> (tensor<4xf32>, tensor<4xf16>, tensor<4xf32>) {
  %0 = array.cast %x to f32 : (tensor<4xf32>) -> tensor<4xf32>
  %1 = array.cast %h to f32 : (tensor<4xf16>) -> tensor<4xf32>
  %2 = array.cast %1 to f16 : (tensor<4xf32>) -> tensor<4xf16>
  %3 = array.cast %x to f16 : (tensor<4xf32>) -> tensor<4xf16>
  %4 = array.cast %3 to f32 : (tensor<4xf16>) -> tensor<4xf32>
  func.return %0, %2, %4 : tensor<4xf32>, tensor<4xf16>, tensor<4xf32>
}

// CHECK-LABEL: @where
// CHECK-NEXT: func.return %x, %y, %x
func.func @where(%c: tensor<4xi1>, %x: tensor<4xf32>, %y: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) {
  %true = array.full true shape [4] : tensor<4xi1>
  %false = array.full false shape [4] : tensor<4xi1>
  %0 = array.where %true, %x, %y : (tensor<4xi1>, tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %1 = array.where %false, %x, %y : (tensor<4xi1>, tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %2 = array.where %c, %x, %x : (tensor<4xi1>, tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  func.return %0, %1, %2 : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
}

// CHECK-LABEL: @identity_views
// CHECK-NEXT: func.return %x, %x, %x, %x, %x, %x
func.func @identity_views(%x: tensor<3x1xf32>) -> (tensor<3x1xf32>, tensor<3x1xf32>, tensor<3x1xf32>, tensor<3x1xf32>, tensor<3x1xf32>, tensor<3x1xf32>) {
  %0 = array.reshape %x shape [3, 1] : (tensor<3x1xf32>) -> tensor<3x1xf32>
  %1 = array.transpose %x permutation [0, 1] : (tensor<3x1xf32>) -> tensor<3x1xf32>
  %2 = array.broadcast %x shape [3, 1] dims [0, 1] : (tensor<3x1xf32>) -> tensor<3x1xf32>
  %3 = array.slice %x starts [0, 0] limits [3, 1] strides [1, 1] : (tensor<3x1xf32>) -> tensor<3x1xf32>
  %4 = array.flip %x axes [1] : (tensor<3x1xf32>) -> tensor<3x1xf32>
  %5 = array.pad %x value 0.0 : f32 low [0, 0] high [0, 0] interior [0, 0] : (tensor<3x1xf32>) -> tensor<3x1xf32>
  func.return %0, %1, %2, %3, %4, %5 : tensor<3x1xf32>, tensor<3x1xf32>, tensor<3x1xf32>, tensor<3x1xf32>, tensor<3x1xf32>, tensor<3x1xf32>
}

// CHECK-LABEL: @square_transpose
// CHECK-NEXT: array.transpose
func.func @square_transpose(%x: tensor<3x3xf32>) -> tensor<3x3xf32> {
  %0 = array.transpose %x permutation [1, 0] : (tensor<3x3xf32>) -> tensor<3x3xf32>
  func.return %0 : tensor<3x3xf32>
}

// CHECK-LABEL: @views_of_views
// CHECK-NEXT: %{{.*}} = array.reshape %x shape [4, 6] : (tensor<2x3x4xf32>) -> tensor<4x6xf32>
// CHECK-NEXT: %{{.*}} = array.transpose %x permutation [1, 2, 0] : (tensor<2x3x4xf32>) -> tensor<3x4x2xf32>
// CHECK-NEXT: %{{.*}} = array.slice %x starts [0, 2, 1] limits [1, 3, 4] strides [1, 1, 2] : (tensor<2x3x4xf32>) -> tensor<1x1x2xf32>
// CHECK-NEXT: %{{.*}} = array.flip %x axes [0, 2] : (tensor<2x3x4xf32>) -> tensor<2x3x4xf32>
func.func @views_of_views(%x: tensor<2x3x4xf32>) -> (tensor<4x6xf32>, tensor<3x4x2xf32>, tensor<1x1x2xf32>, tensor<2x3x4xf32>) {
  %0 = array.reshape %x shape [24] : (tensor<2x3x4xf32>) -> tensor<24xf32>
  %1 = array.reshape %0 shape [4, 6] : (tensor<24xf32>) -> tensor<4x6xf32>
  %2 = array.transpose %x permutation [2, 0, 1] : (tensor<2x3x4xf32>) -> tensor<4x2x3xf32>
  %3 = array.transpose %2 permutation [2, 0, 1] : (tensor<4x2x3xf32>) -> tensor<3x4x2xf32>
  %4 = array.slice %x starts [0, 1, 1] limits [2, 3, 4] strides [1, 1, 1] : (tensor<2x3x4xf32>) -> tensor<2x2x3xf32>
  %5 = array.slice %4 starts [0, 1, 0] limits [1, 2, 3] strides [1, 1, 2] : (tensor<2x2x3xf32>) -> tensor<1x1x2xf32>
  %6 = array.flip %x axes [0, 1] : (tensor<2x3x4xf32>) -> tensor<2x3x4xf32>
  %7 = array.flip %6 axes [1, 2] : (tensor<2x3x4xf32>) -> tensor<2x3x4xf32>
  func.return %1, %3, %5, %7 : tensor<4x6xf32>, tensor<3x4x2xf32>, tensor<1x1x2xf32>, tensor<2x3x4xf32>
}

// CHECK-LABEL: @broadcasts
// CHECK-NEXT: %{{.*}} = array.broadcast %x shape [2, 3, 4] dims [1] : (tensor<3xf32>) -> tensor<2x3x4xf32>
// CHECK-NEXT: %{{.*}} = array.broadcast %x shape [2, 3, 4] dims [1] : (tensor<3xf32>) -> tensor<2x3x4xf32>
// CHECK-NEXT: %{{.*}} = array.reshape %x shape [1, 3, 1] : (tensor<3xf32>) -> tensor<1x3x1xf32>
func.func @broadcasts(%x: tensor<3xf32>) -> (tensor<2x3x4xf32>, tensor<2x3x4xf32>, tensor<1x3x1xf32>) {
  %0 = array.broadcast %x shape [2, 3] dims [1] : (tensor<3xf32>) -> tensor<2x3xf32>
  %1 = array.broadcast %0 shape [2, 3, 4] dims [0, 1] : (tensor<2x3xf32>) -> tensor<2x3x4xf32>
  %2 = array.reshape %x shape [1, 3, 1] : (tensor<3xf32>) -> tensor<1x3x1xf32>
  %3 = array.broadcast %2 shape [2, 3, 4] dims [0, 1, 2] : (tensor<1x3x1xf32>) -> tensor<2x3x4xf32>
  %4 = array.broadcast %x shape [1, 3, 1] dims [1] : (tensor<3xf32>) -> tensor<1x3x1xf32>
  func.return %1, %3, %4 : tensor<2x3x4xf32>, tensor<2x3x4xf32>, tensor<1x3x1xf32>
}

// A reshape that does more than add dimensions of size 1 stays.
// CHECK-LABEL: @broadcast_of_split
// CHECK-NEXT: array.reshape
// CHECK-NEXT: array.broadcast
func.func @broadcast_of_split(%x: tensor<6xf32>) -> tensor<2x3x4xf32> {
  %0 = array.reshape %x shape [2, 3] : (tensor<6xf32>) -> tensor<2x3xf32>
  %1 = array.broadcast %0 shape [2, 3, 4] dims [0, 1] : (tensor<2x3xf32>) -> tensor<2x3x4xf32>
  func.return %1 : tensor<2x3x4xf32>
}

// CHECK-LABEL: @of_full
// CHECK-NEXT: %{{.*}} = array.full 2.000000e+00 : f32 shape [2, 3] : tensor<2x3xf32>
// CHECK-NEXT: %{{.*}} = array.full 2.000000e+00 : f32 shape [5] : tensor<5xf32>
// CHECK-NEXT: %{{.*}} = array.full 2.000000e+00 : f32 shape [6] : tensor<6xf32>
// CHECK-NEXT: %{{.*}} = array.full 6.000000e+00 : f32 shape [] : tensor<f32>
// CHECK-NEXT: %{{.*}} = array.full 2.000000e+00 : f32 shape [] : tensor<f32>
func.func @of_full() -> (tensor<2x3xf32>, tensor<5xf32>, tensor<6xf32>, tensor<f32>, tensor<f32>) {
  %x = array.full 2.0 : f32 shape [3] : tensor<3xf32>
  %0 = array.broadcast %x shape [2, 3] dims [1] : (tensor<3xf32>) -> tensor<2x3xf32>
  %1 = array.pad %x value 2.0 : f32 low [1] high [1] interior [0] : (tensor<3xf32>) -> tensor<5xf32>
  %2 = array.concatenate %x, %x axis 0 : (tensor<3xf32>, tensor<3xf32>) -> tensor<6xf32>
  %3 = array.sum %x axes [0] : (tensor<3xf32>) -> tensor<f32>
  %4 = array.max %x axes [0] : (tensor<3xf32>) -> tensor<f32>
  func.return %0, %1, %2, %3, %4 : tensor<2x3xf32>, tensor<5xf32>, tensor<6xf32>, tensor<f32>, tensor<f32>
}

// CHECK-LABEL: @pieces
// CHECK-NEXT: %{{.*}} = array.concatenate %x, %y axis 0
// CHECK-NEXT: func.return %x, %{{.*}}
func.func @pieces(%x: tensor<3xf32>, %y: tensor<3xf32>, %none: tensor<0xf32>) -> (tensor<3xf32>, tensor<6xf32>) {
  %0 = array.concatenate %none, %x axis 0 : (tensor<0xf32>, tensor<3xf32>) -> tensor<3xf32>
  %1 = array.concatenate %x, %none, %y axis 0 : (tensor<3xf32>, tensor<0xf32>, tensor<3xf32>) -> tensor<6xf32>
  func.return %0, %1 : tensor<3xf32>, tensor<6xf32>
}

// One after another is one; what only another concatenation reads goes into that.
// CHECK-LABEL: @chain
// CHECK-NEXT: %[[R:.*]] = array.concatenate %x, %y, %x axis 0
// CHECK-NEXT: func.return %[[R]]
func.func @chain(%x: tensor<3xf32>, %y: tensor<2xf32>) -> tensor<8xf32> {
  %0 = array.concatenate %x, %y axis 0 : (tensor<3xf32>, tensor<2xf32>) -> tensor<5xf32>
  %1 = array.concatenate %0, %x axis 0 : (tensor<5xf32>, tensor<3xf32>) -> tensor<8xf32>
  func.return %1 : tensor<8xf32>
}

// A value with itself is a view.
// CHECK-LABEL: @repeated
// CHECK-NEXT: %[[B:.*]] = array.broadcast %x shape [2, 3, 4] dims [0, 2] : (tensor<2x4xf32>) -> tensor<2x3x4xf32>
// CHECK-NEXT: %[[R:.*]] = array.reshape %[[B]] shape [2, 12] : (tensor<2x3x4xf32>) -> tensor<2x12xf32>
// CHECK-NEXT: func.return %[[R]]
func.func @repeated(%x: tensor<2x4xf32>) -> tensor<2x12xf32> {
  %0 = array.concatenate %x, %x, %x axis 1 : (tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>) -> tensor<2x12xf32>
  func.return %0 : tensor<2x12xf32>
}

// CHECK-LABEL: @reductions
// CHECK-NEXT: %[[r:.*]] = array.reshape %x shape [3] : (tensor<3x1xf32>) -> tensor<3xf32>
// CHECK-NEXT: %[[one:.*]] = array.full 1.000000e+00 : f32 shape [2] : tensor<2xf32>
// CHECK-NEXT: %[[zero:.*]] = array.full 0.000000e+00 : f32 shape [2, 4] : tensor<2x4xf32>
// CHECK-NEXT: func.return %x, %[[r]], %[[one]], %[[zero]]
func.func @reductions(%x: tensor<3x1xf32>, %none: tensor<2x0xf32>, %other: tensor<0x4xf32>) -> (tensor<3x1xf32>, tensor<3xf32>, tensor<2xf32>, tensor<2x4xf32>) {
  %0 = array.sum %x axes [] : (tensor<3x1xf32>) -> tensor<3x1xf32>
  %1 = array.max %x axes [1] : (tensor<3x1xf32>) -> tensor<3xf32>
  %2 = array.prod %none axes [1] : (tensor<2x0xf32>) -> tensor<2xf32>
  %3 = array.dot_general %none, %other batch [], [] contracting [1], [0] : (tensor<2x0xf32>, tensor<0x4xf32>) -> tensor<2x4xf32>
  func.return %0, %1, %2, %3 : tensor<3x1xf32>, tensor<3xf32>, tensor<2xf32>, tensor<2x4xf32>
}

// CHECK-LABEL: @no_elements
// CHECK-NEXT: %[[e:.*]] = array.full 0.000000e+00 : f32 shape [0, 3] : tensor<0x3xf32>
// CHECK-NEXT: func.return %[[e]]
func.func @no_elements(%x: tensor<0x3xf32>) -> tensor<0x3xf32> {
  %0 = array.exp %x : (tensor<0x3xf32>) -> tensor<0x3xf32>
  %1 = array.softmax %0 axis 0 : (tensor<0x3xf32>) -> tensor<0x3xf32>
  func.return %1 : tensor<0x3xf32>
}

// CHECK-LABEL: @dropout_nothing
// CHECK-NEXT: func.return %x
func.func @dropout_nothing(%x: tensor<3xf32>, %key: tensor<2xui32>) -> tensor<3xf32> {
  %0 = array.dropout %x, %key rate 0.0 : f64 : (tensor<3xf32>, tensor<2xui32>) -> tensor<3xf32>
  func.return %0 : tensor<3xf32>
}
