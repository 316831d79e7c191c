// RUN: wgpu-opt %s -p inline-branches | filecheck %s

// CHECK-LABEL: @either
// CHECK-NEXT:    %[[ROOT:.*]] = array.sqrt %x
// CHECK-NEXT:    %[[MASK:.*]] = array.broadcast %c shape [4] dims [] : (tensor<i1>) -> tensor<4xi1>
// CHECK-NEXT:    %[[Y:.*]] = array.where %[[MASK]], %[[ROOT]], %x
// CHECK-NEXT:    func.return %[[Y]], %n
func.func @either(%c: tensor<i1>, %x: tensor<4xf32>, %n: tensor<f32>) -> (tensor<4xf32>, tensor<f32>) {
  %y, %m = array.cond %c(%x, %n) : (tensor<i1>, tensor<4xf32>, tensor<f32>) -> (tensor<4xf32>, tensor<f32>) {
  ^bb0(%a: tensor<4xf32>, %b: tensor<f32>):
    %0 = array.sqrt %a : (tensor<4xf32>) -> tensor<4xf32>
    array.yield %0, %b : tensor<4xf32>, tensor<f32>
  } else {
  ^bb0(%a: tensor<4xf32>, %b: tensor<f32>):
    array.yield %a, %b : tensor<4xf32>, tensor<f32>
  }
  func.return %y, %m : tensor<4xf32>, tensor<f32>
}

// The inner condition is selected where the outer one is.
// CHECK-LABEL: @nested
// CHECK-NEXT:    %[[EXP:.*]] = array.exp %x
// CHECK-NEXT:    %[[INNER:.*]] = array.where %d, %[[EXP]], %x
// CHECK-NEXT:    %[[OUTER:.*]] = array.where %c, %[[INNER]], %x
// CHECK-NEXT:    func.return %[[OUTER]]
func.func @nested(%c: tensor<i1>, %d: tensor<i1>, %x: tensor<f32>) -> tensor<f32> {
  %y = array.cond %c(%d, %x) : (tensor<i1>, tensor<i1>, tensor<f32>) -> tensor<f32> {
  ^bb0(%e: tensor<i1>, %a: tensor<f32>):
    %z = array.cond %e(%a) : (tensor<i1>, tensor<f32>) -> tensor<f32> {
    ^bb1(%b: tensor<f32>):
      %0 = array.exp %b : (tensor<f32>) -> tensor<f32>
      array.yield %0 : tensor<f32>
    } else {
    ^bb1(%b: tensor<f32>):
      array.yield %b : tensor<f32>
    }
    array.yield %z : tensor<f32>
  } else {
  ^bb0(%e: tensor<i1>, %a: tensor<f32>):
    array.yield %a : tensor<f32>
  }
  func.return %y : tensor<f32>
}

// What the first condition chose is known where the second one is the same.
// CHECK-LABEL: @same
// CHECK-NEXT:    %[[EXP:.*]] = array.exp %x
// CHECK-NEXT:    array.where %c, %[[EXP]], %x
// CHECK-NEXT:    %[[SIN:.*]] = array.sin %[[EXP]]
// CHECK-NEXT:    %[[COS:.*]] = array.cos %x
// CHECK-NEXT:    %[[Z:.*]] = array.where %c, %[[SIN]], %[[COS]]
// CHECK-NEXT:    func.return %[[Z]]
func.func @same(%c: tensor<i1>, %x: tensor<f32>) -> tensor<f32> {
  %y = array.cond %c(%x) : (tensor<i1>, tensor<f32>) -> tensor<f32> {
  ^bb0(%a: tensor<f32>):
    %0 = array.exp %a : (tensor<f32>) -> tensor<f32>
    array.yield %0 : tensor<f32>
  } else {
  ^bb0(%a: tensor<f32>):
    array.yield %a : tensor<f32>
  }
  %z = array.cond %c(%y) : (tensor<i1>, tensor<f32>) -> tensor<f32> {
  ^bb0(%a: tensor<f32>):
    %0 = array.sin %a : (tensor<f32>) -> tensor<f32>
    array.yield %0 : tensor<f32>
  } else {
  ^bb0(%a: tensor<f32>):
    %0 = array.cos %a : (tensor<f32>) -> tensor<f32>
    array.yield %0 : tensor<f32>
  }
  func.return %z : tensor<f32>
}

// A large product is worth skipping.
// CHECK-LABEL: @large
// CHECK-NEXT:    array.cond %c(%x)
func.func @large(%c: tensor<i1>, %x: tensor<512x512xf32>) -> tensor<512x512xf32> {
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
