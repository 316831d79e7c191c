// RUN: wgpu-opt %s -p outline-branches | filecheck %s

// A large product is a function, which runs or does not; the other branch is computed anyway, and the
// results of one of them are chosen.
// CHECK:      func.func private @main_branch_0(%a: tensor<512x512xf32>) -> tensor<512x512xf32> {
// CHECK-NEXT:   %[[DOT:.*]] = array.dot_general %a, %a
// CHECK-NEXT:   %[[TANH:.*]] = array.tanh %[[DOT]]
// CHECK-NEXT:   func.return %[[TANH]]
// CHECK-NEXT: }
// CHECK-NEXT: func.func @main
// CHECK-NEXT:   %[[PRODUCT:.*]] = linalg_ext.when %c @main_branch_0(%x) : (tensor<i1>, tensor<512x512xf32>) -> tensor<512x512xf32>
// CHECK-NEXT:   %[[MINUS:.*]] = array.negative %x
// CHECK-NEXT:   %[[MASK:.*]] = array.broadcast %c shape [512, 512]
// CHECK-NEXT:   %[[Y:.*]] = array.where %[[MASK]], %[[PRODUCT]], %[[MINUS]]
// CHECK-NEXT:   func.return %[[Y]]
func.func @main(%c: tensor<i1>, %x: tensor<512x512xf32>) -> tensor<512x512xf32> {
  %0 = array.cond %c(%x) : (tensor<i1>, tensor<512x512xf32>) -> tensor<512x512xf32> {
  ^bb0(%a: tensor<512x512xf32>):
    %1 = array.dot_general %a, %a batch [], [] contracting [1], [0] : (tensor<512x512xf32>, tensor<512x512xf32>) -> tensor<512x512xf32>
    %2 = array.tanh %1 : (tensor<512x512xf32>) -> tensor<512x512xf32>
    array.yield %2 : tensor<512x512xf32>
  } else {
  ^bb0(%a: tensor<512x512xf32>):
    %1 = array.negative %a : (tensor<512x512xf32>) -> tensor<512x512xf32>
    array.yield %1 : tensor<512x512xf32>
  }
  func.return %0 : tensor<512x512xf32>
}

// The second one runs where the condition is false. What is an argument or a number is not returned.
// CHECK:      func.func private @other_branch_0(%a: tensor<512x512xf32>) -> tensor<512x512xf32> {
// CHECK:      func.func @other
// CHECK-NEXT:   %[[ZERO:.*]] = array.full 0.000000e+00
// CHECK-NEXT:   %[[NOT:.*]] = array.logical_not %c
// CHECK-NEXT:   %[[PRODUCT:.*]] = linalg_ext.when %[[NOT]] @other_branch_0(%x)
// CHECK-NEXT:   %[[MASK:.*]] = array.broadcast %c
// CHECK-NEXT:   %[[FIRST:.*]] = array.where %[[MASK]], %x, %[[PRODUCT]]
// CHECK-NEXT:   %[[LAST:.*]] = array.where %c, %n, %[[ZERO]]
// CHECK-NEXT:   func.return %[[FIRST]], %x, %[[LAST]]
func.func @other(%c: tensor<i1>, %x: tensor<512x512xf32>, %n: tensor<f32>) -> (tensor<512x512xf32>, tensor<512x512xf32>, tensor<f32>) {
  %0, %1, %2 = array.cond %c(%x, %n) : (tensor<i1>, tensor<512x512xf32>, tensor<f32>) -> (tensor<512x512xf32>, tensor<512x512xf32>, tensor<f32>) {
  ^bb0(%a: tensor<512x512xf32>, %b: tensor<f32>):
    array.yield %a, %a, %b : tensor<512x512xf32>, tensor<512x512xf32>, tensor<f32>
  } else {
  ^bb0(%a: tensor<512x512xf32>, %b: tensor<f32>):
    %3 = array.dot_general %a, %a batch [], [] contracting [1], [0] : (tensor<512x512xf32>, tensor<512x512xf32>) -> tensor<512x512xf32>
    %4 = array.full 0.0 : f32 shape [] : tensor<f32>
    array.yield %3, %a, %4 : tensor<512x512xf32>, tensor<512x512xf32>, tensor<f32>
  }
  func.return %0, %1, %2 : tensor<512x512xf32>, tensor<512x512xf32>, tensor<f32>
}
