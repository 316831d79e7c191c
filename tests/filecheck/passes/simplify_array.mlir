// RUN: wgpu-opt %s -p simplify-array | filecheck %s

// What a rule makes is simplified as well; what was computed before is not computed again; what
// nobody uses goes.

// CHECK-LABEL: func.func @main
// CHECK-NEXT:    %[[E:.*]] = array.exp %x : (tensor<4xf32>) -> tensor<4xf32>
// CHECK-NEXT:    %[[P:.*]] = array.multiply %[[E]], %[[E]] :
// CHECK-NEXT:    func.return %[[P]] : tensor<4xf32>
func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  %zero = array.full 0.0 : f32 shape [4] : tensor<4xf32>
  %0 = array.add %x, %zero : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %1 = array.exp %0 : (tensor<4xf32>) -> tensor<4xf32>
  %2 = array.exp %x : (tensor<4xf32>) -> tensor<4xf32>
  %3 = array.multiply %1, %2 : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %unused = array.tanh %3 : (tensor<4xf32>) -> tensor<4xf32>
  func.return %3 : tensor<4xf32>
}

// A region sees what was computed before it; what it computes stays inside.

// CHECK-LABEL: func.func @request
// CHECK-NEXT:    %[[E:.*]] = array.exp %x
// CHECK-NEXT:    array.value_and_grad
// CHECK-NEXT:    ^{{.*}}(%y: tensor<4xf32>):
// CHECK-NEXT:      %[[M:.*]] = array.multiply %[[E]], %y
// CHECK-NEXT:      array.sum %[[M]]
// CHECK:         array.multiply %[[E]], %x
func.func @request(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<f32>, tensor<4xf32>) {
  %0 = array.exp %x : (tensor<4xf32>) -> tensor<4xf32>
  %value, %gradient = array.value_and_grad %x argnums [0] : (tensor<4xf32>) -> (tensor<f32>, tensor<4xf32>) {
  ^bb0(%y: tensor<4xf32>):
    %1 = array.exp %x : (tensor<4xf32>) -> tensor<4xf32>
    %2 = array.multiply %1, %y : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
    %3 = array.sum %2 axes [0] : (tensor<4xf32>) -> tensor<f32>
    array.yield %3 : tensor<f32>
  }
  %4 = array.multiply %0, %x : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  func.return %4, %value, %gradient : tensor<4xf32>, tensor<f32>, tensor<4xf32>
}

// A scan loses the carry that nothing reads, the one that no step changes, and zeros that it reads.
// CHECK-LABEL: @scan
// CHECK-NEXT:    %0 = array.scan length 5 consts(%k : tensor<2xf32>) carries(%h : tensor<2xf32>) xs() -> tensor<2xf32> {
// CHECK-NEXT:    ^bb0(%c: tensor<2xf32>, %b: tensor<2xf32>):
// CHECK-NEXT:      %1 = array.add %b, %c
// CHECK-NEXT:      array.yield %1 : tensor<2xf32>
// CHECK-NEXT:    }
// CHECK-NEXT:    func.return %0, %k
func.func @scan(%h: tensor<2xf32>, %k: tensor<2xf32>, %n: tensor<2xf32>) -> (tensor<2xf32>, tensor<2xf32>) {
  %zeros = array.full 0.0 : f32 shape [5, 2] : tensor<5x2xf32>
  %0, %1, %2, %3 = array.scan length 5 consts(%n : tensor<2xf32>) carries(%h, %k, %n : tensor<2xf32>, tensor<2xf32>, tensor<2xf32>) xs(%zeros : tensor<5x2xf32>) -> tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<5x2xf32> {
  ^bb0(%a: tensor<2xf32>, %b: tensor<2xf32>, %c: tensor<2xf32>, %d: tensor<2xf32>, %x: tensor<2xf32>):
    %4 = array.add %b, %c : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
    %5 = array.multiply %d, %x : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
    %6 = array.add %5, %a : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
    array.yield %4, %c, %6, %5 : tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>
  }
  func.return %0, %1 : tensor<2xf32>, tensor<2xf32>
}

// A scan of one step is that step, one of none is what it begins with.
// CHECK-LABEL: @short
// CHECK-NEXT:    %[[X:.*]] = array.reshape %xs shape [2]
// CHECK-NEXT:    %[[SUM:.*]] = array.add %h, %[[X]]
// CHECK-NEXT:    %[[YS:.*]] = array.reshape %[[SUM]] shape [1, 2]
// CHECK-NEXT:    %[[NONE:.*]] = array.full 0.000000e+00 : f32 shape [0, 2]
// CHECK-NEXT:    func.return %[[SUM]], %[[YS]], %h, %[[NONE]]
func.func @short(%h: tensor<2xf32>, %xs: tensor<1x2xf32>, %none: tensor<0x2xf32>) -> (tensor<2xf32>, tensor<1x2xf32>, tensor<2xf32>, tensor<0x2xf32>) {
  %0, %1 = array.scan length 1 consts() carries(%h : tensor<2xf32>) xs(%xs : tensor<1x2xf32>) -> tensor<2xf32>, tensor<1x2xf32> {
  ^bb0(%a: tensor<2xf32>, %x: tensor<2xf32>):
    %4 = array.add %a, %x : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
    array.yield %4, %4 : tensor<2xf32>, tensor<2xf32>
  }
  %2, %3 = array.scan length 0 consts() carries(%h : tensor<2xf32>) xs(%none : tensor<0x2xf32>) -> tensor<2xf32>, tensor<0x2xf32> {
  ^bb1(%b: tensor<2xf32>, %y: tensor<2xf32>):
    %5 = array.add %b, %y : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
    array.yield %5, %5 : tensor<2xf32>, tensor<2xf32>
  }
  func.return %0, %1, %2, %3 : tensor<2xf32>, tensor<1x2xf32>, tensor<2xf32>, tensor<0x2xf32>
}

// What a scan adds up of products, step by step, is one product of all steps; so is a sum of what is
// stacked for it.
// CHECK-LABEL: @sums
// CHECK-NEXT:    %[[D:.*]] = array.scan length 5 consts() carries() xs(%b : tensor<5x3x4xf32>) -> tensor<5x3x4xf32> {
// CHECK:           array.exp
// CHECK:           array.yield
// CHECK-NEXT:    }
// CHECK-NEXT:    %[[W:.*]] = array.dot_general %a, %[[D]] batch [], [] contracting [0, 1], [0, 1] : (tensor<5x3x4xf32>, tensor<5x3x4xf32>) -> tensor<4x4xf32>
// CHECK-NEXT:    %[[T:.*]] = array.transpose %[[W]]
// CHECK-NEXT:    %[[S:.*]] = array.sum %[[D]] axes [0, 1]
// CHECK-NEXT:    %[[B:.*]] = array.add %s, %[[S]]
// CHECK-NEXT:    func.return %[[T]], %[[B]]
func.func @sums(%a: tensor<5x3x4xf32>, %b: tensor<5x3x4xf32>, %s: tensor<4xf32>) -> (tensor<4x4xf32>, tensor<4xf32>) {
  %zero = array.full 0.0 : f32 shape [4, 4] : tensor<4x4xf32>
  %0, %1 = array.scan length 5 consts() carries(%zero, %s : tensor<4x4xf32>, tensor<4xf32>) xs(%a, %b : tensor<5x3x4xf32>, tensor<5x3x4xf32>) -> tensor<4x4xf32>, tensor<4xf32> {
  ^bb0(%c: tensor<4x4xf32>, %d: tensor<4xf32>, %e: tensor<3x4xf32>, %f: tensor<3x4xf32>):
    %2 = array.exp %f : (tensor<3x4xf32>) -> tensor<3x4xf32>
    %3 = array.dot_general %e, %2 batch [], [] contracting [0], [0] : (tensor<3x4xf32>, tensor<3x4xf32>) -> tensor<4x4xf32>
    %4 = array.transpose %3 permutation [1, 0] : (tensor<4x4xf32>) -> tensor<4x4xf32>
    %5 = array.add %c, %4 : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>
    %6 = array.sum %2 axes [0] : (tensor<3x4xf32>) -> tensor<4xf32>
    %7 = array.add %d, %6 : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
    array.yield %5, %7 : tensor<4x4xf32>, tensor<4xf32>
  }
  func.return %0, %1 : tensor<4x4xf32>, tensor<4xf32>
}

// A condition loses the result that nothing reads, with what only it needs.
// CHECK-LABEL: @cond
// CHECK-NEXT:    %0 = array.cond %c(%x) : (tensor<i1>, tensor<2xf32>) -> tensor<2xf32> {
// CHECK-NEXT:    ^bb0(%a: tensor<2xf32>):
// CHECK-NEXT:      %1 = array.exp %a
// CHECK-NEXT:      array.yield %1 : tensor<2xf32>
// CHECK-NEXT:    } else {
// CHECK-NEXT:    ^bb0(%d: tensor<2xf32>):
// CHECK-NEXT:      array.yield %d : tensor<2xf32>
// CHECK-NEXT:    }
// CHECK-NEXT:    func.return %0
func.func @cond(%c: tensor<i1>, %x: tensor<2xf32>, %y: tensor<2xf32>) -> tensor<2xf32> {
  %0, %1 = array.cond %c(%y, %x) : (tensor<i1>, tensor<2xf32>, tensor<2xf32>) -> (tensor<2xf32>, tensor<2xf32>) {
  ^bb0(%b: tensor<2xf32>, %a: tensor<2xf32>):
    %2 = array.sin %b : (tensor<2xf32>) -> tensor<2xf32>
    %3 = array.exp %a : (tensor<2xf32>) -> tensor<2xf32>
    array.yield %2, %3 : tensor<2xf32>, tensor<2xf32>
  } else {
  ^bb0(%b: tensor<2xf32>, %d: tensor<2xf32>):
    array.yield %b, %d : tensor<2xf32>, tensor<2xf32>
  }
  func.return %1 : tensor<2xf32>
}

// A known condition is none.
// CHECK-LABEL: @known
// CHECK-NEXT:    %0 = array.exp %x
// CHECK-NEXT:    func.return %0
func.func @known(%x: tensor<2xf32>) -> tensor<2xf32> {
  %c = array.full -1 : i1 shape [] : tensor<i1>
  %0 = array.cond %c(%x) : (tensor<i1>, tensor<2xf32>) -> tensor<2xf32> {
  ^bb0(%a: tensor<2xf32>):
    %1 = array.exp %a : (tensor<2xf32>) -> tensor<2xf32>
    array.yield %1 : tensor<2xf32>
  } else {
  ^bb0(%a: tensor<2xf32>):
    array.yield %a : tensor<2xf32>
  }
  func.return %0 : tensor<2xf32>
}
