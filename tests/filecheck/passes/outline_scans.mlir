// RUN: wgpu-opt %s -p outline-scans | filecheck %s

// The carry, which its next value may overwrite, is the argument between consts and slices.
// CHECK:      func.func private @main_scan_0(%a: tensor<2x2xf32>, %b: tensor<3x2xf32> {stepwell.donated = 0 : i32}, %c: tensor<3x2xf32>) -> (tensor<3x2xf32>, tensor<3x2xf32>) {
// CHECK-NEXT:   %0 = array.dot_general %b, %a
// CHECK-NEXT:   %1 = array.add %0, %c
// CHECK-NEXT:   func.return %1, %b : tensor<3x2xf32>, tensor<3x2xf32>
// CHECK-NEXT: }
// CHECK-NEXT: func.func @main
// CHECK-NEXT:   %0, %1 = linalg_ext.scan @main_scan_0 length 5 reverse consts(%w : tensor<2x2xf32>) carries(%h : tensor<3x2xf32>) xs(%xs : tensor<5x3x2xf32>) -> tensor<3x2xf32>, tensor<5x3x2xf32>
// CHECK-NEXT:   func.return %0, %1
func.func @main(%w: tensor<2x2xf32>, %h: tensor<3x2xf32>, %xs: tensor<5x3x2xf32>) -> (tensor<3x2xf32>, tensor<5x3x2xf32>) {
  %0, %1 = array.scan length 5 reverse consts(%w : tensor<2x2xf32>) carries(%h : tensor<3x2xf32>) xs(%xs : tensor<5x3x2xf32>) -> tensor<3x2xf32>, tensor<5x3x2xf32> {
  ^bb0(%a: tensor<2x2xf32>, %b: tensor<3x2xf32>, %c: tensor<3x2xf32>):
    %2 = array.dot_general %b, %a batch [], [] contracting [1], [0] : (tensor<3x2xf32>, tensor<2x2xf32>) -> tensor<3x2xf32>
    %3 = array.add %2, %c : (tensor<3x2xf32>, tensor<3x2xf32>) -> tensor<3x2xf32>
    array.yield %3, %b : tensor<3x2xf32>, tensor<3x2xf32>
  }
  func.return %0, %1 : tensor<3x2xf32>, tensor<5x3x2xf32>
}

// Slices of three f16 are no whole words: they are of four.
// CHECK:      func.func private @odd_scan_0(%{{.*}}: tensor<4xf16>) -> tensor<4xf16> {
// CHECK-NEXT:   array.slice %{{.*}} starts [0] limits [3] strides [1]
// CHECK:        %[[EXP:.*]] = array.exp
// CHECK:        %[[FLAT:.*]] = array.reshape %[[EXP]] shape [3]
// CHECK-NEXT:   %[[PAD:.*]] = array.pad %[[FLAT]] value 0.000000e+00 : f16 low [0] high [1]
// CHECK-NEXT:   func.return %[[PAD]] : tensor<4xf16>
// CHECK:      func.func @odd
// CHECK:        %[[XS:.*]] = array.pad %{{.*}} value 0.000000e+00 : f16 low [0, 0] high [0, 1]
// CHECK-NEXT:   %[[YS:.*]] = linalg_ext.scan @odd_scan_0 length 5 consts() carries() xs(%[[XS]] : tensor<5x4xf16>) -> tensor<5x4xf16>
// CHECK-NEXT:   array.slice %[[YS]] starts [0, 0] limits [5, 3]
func.func @odd(%xs: tensor<5x3xf16>) -> tensor<5x3xf16> {
  %0 = array.scan length 5 consts() carries() xs(%xs : tensor<5x3xf16>) -> tensor<5x3xf16> {
  ^bb0(%x: tensor<3xf16>):
    %1 = array.exp %x : (tensor<3xf16>) -> tensor<3xf16>
    array.yield %1 : tensor<3xf16>
  }
  func.return %0 : tensor<5x3xf16>
}

// Slices of three bytes are of four, too.
// CHECK:      func.func private @bytes_scan_0(%{{.*}}: tensor<4xi8>) -> tensor<4xi8> {
// CHECK-NEXT:   array.slice %{{.*}} starts [0] limits [3] strides [1]
// CHECK:        array.pad %{{.*}} value 0 : i8 low [0] high [1]
// CHECK:      func.func @bytes
// CHECK:        array.pad %{{.*}} value 0 : i8 low [0, 0] high [0, 1]
func.func @bytes(%xs: tensor<5x3xi8>) -> tensor<5x3xi8> {
  %0 = array.scan length 5 consts() carries() xs(%xs : tensor<5x3xi8>) -> tensor<5x3xi8> {
  ^bb0(%x: tensor<3xi8>):
    %1 = array.flip %x axes [0] : (tensor<3xi8>) -> tensor<3xi8>
    array.yield %1 : tensor<3xi8>
  }
  func.return %0 : tensor<5x3xi8>
}
