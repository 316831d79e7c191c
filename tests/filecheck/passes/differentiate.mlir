// RUN: wgpu-opt %s -p differentiate --split-input-file --verify-diagnostics | filecheck %s

// CHECK-LABEL: @exp
// CHECK-NEXT: %[[y:.*]] = array.exp %x
// CHECK-NEXT: %[[one:.*]] = array.full 1.000000e+00 : f32 shape [] : tensor<f32>
// CHECK-NEXT: %[[dx:.*]] = array.multiply %[[one]], %[[y]]
// CHECK-NEXT: func.return %[[y]], %[[dx]]
func.func @exp(%x: tensor<f32>) -> (tensor<f32>, tensor<f32>) {
  %y, %dx = array.value_and_grad %x argnums [0] : (tensor<f32>) -> (tensor<f32>, tensor<f32>) {
  ^bb0(%a: tensor<f32>):
    %e = array.exp %a : (tensor<f32>) -> tensor<f32>
    array.yield %e : tensor<f32>
  }
  func.return %y, %dx : tensor<f32>, tensor<f32>
}

// -----

// What is captured is constant: d (a * x) / d a at a = x is x, not 2 x. No work is left over
// for the operand without gradient.
// CHECK-LABEL: @captured
// CHECK-NEXT: array.multiply %x, %x
// CHECK-NEXT: %[[one:.*]] = array.full 1.0
// CHECK-NEXT: %[[dx:.*]] = array.multiply %[[one]], %x
// CHECK-NEXT: func.return %[[dx]]
func.func @captured(%x: tensor<f32>) -> tensor<f32> {
  %y, %dx = array.value_and_grad %x argnums [0] : (tensor<f32>) -> (tensor<f32>, tensor<f32>) {
  ^bb0(%a: tensor<f32>):
    %p = array.multiply %a, %x : (tensor<f32>, tensor<f32>) -> tensor<f32>
    array.yield %p : tensor<f32>
  }
  func.return %dx : tensor<f32>
}

// -----

// Two paths add up; an input that the loss does not depend on has gradient 0; further results pass.
// CHECK-LABEL: @paths
// CHECK-NEXT: %[[p:.*]] = array.multiply %x, %x
// CHECK-NEXT: %[[one:.*]] = array.full 1.0
// CHECK-NEXT: %[[l:.*]] = array.multiply %[[one]], %x
// CHECK-NEXT: %[[r:.*]] = array.multiply %[[one]], %x
// CHECK-NEXT: %[[dx:.*]] = array.add %[[l]], %[[r]]
// CHECK-NEXT: %[[zero:.*]] = array.full 0.000000e+00 : f32 shape [3] : tensor<3xf32>
// CHECK-NEXT: func.return %[[p]], %n, %[[dx]], %[[zero]]
func.func @paths(%x: tensor<f32>, %n: tensor<i32>, %z: tensor<3xf32>) -> (tensor<f32>, tensor<i32>, tensor<f32>, tensor<3xf32>) {
  %0, %1, %2, %3 = array.value_and_grad %x, %n, %z argnums [0, 2] : (tensor<f32>, tensor<i32>, tensor<3xf32>) -> (tensor<f32>, tensor<i32>, tensor<f32>, tensor<3xf32>) {
  ^bb0(%a: tensor<f32>, %b: tensor<i32>, %c: tensor<3xf32>):
    %p = array.multiply %a, %a : (tensor<f32>, tensor<f32>) -> tensor<f32>
    array.yield %p, %b : tensor<f32>, tensor<i32>
  }
  func.return %0, %1, %2, %3 : tensor<f32>, tensor<i32>, tensor<f32>, tensor<3xf32>
}

// -----

// A composite with a gradient of its own stays whole, one without is decomposed, and one that no
// gradient goes through is left alone.
// CHECK-LABEL: @composites
// CHECK-NEXT: %[[s:.*]] = array.softmax %x axis 0
// CHECK-NOT: array.silu %[[s]]
// CHECK: array.sigmoid %[[s]]
// CHECK: array.silu %c
func.func @composites(%x: tensor<3xf32>, %c: tensor<3xf32>) -> tensor<3xf32> {
  %0, %1 = array.value_and_grad %x argnums [0] : (tensor<3xf32>) -> (tensor<f32>, tensor<3xf32>) {
  ^bb0(%a: tensor<3xf32>):
    %s = array.softmax %a axis 0 : (tensor<3xf32>) -> tensor<3xf32>
    %t = array.silu %s : (tensor<3xf32>) -> tensor<3xf32>
    %u = array.silu %c : (tensor<3xf32>) -> tensor<3xf32>
    %p = array.multiply %t, %u : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32>
    %l = array.sum %p axes [0] : (tensor<3xf32>) -> tensor<f32>
    array.yield %l : tensor<f32>
  }
  func.return %1 : tensor<3xf32>
}

// -----

// d2 sin(x) / d x2 = -sin(x): the inner request goes first.
// CHECK-LABEL: @second
// CHECK: array.sin %x
// CHECK: array.cos %x
// CHECK: array.sin %x
// CHECK: array.negative
// CHECK-NOT: array.value_and_grad
func.func @second(%x: tensor<f32>) -> tensor<f32> {
  %0, %1 = array.value_and_grad %x argnums [0] : (tensor<f32>) -> (tensor<f32>, tensor<f32>) {
  ^bb0(%a: tensor<f32>):
    %2, %3 = array.value_and_grad %a argnums [0] : (tensor<f32>) -> (tensor<f32>, tensor<f32>) {
    ^bb0(%b: tensor<f32>):
      %s = array.sin %b : (tensor<f32>) -> tensor<f32>
      array.yield %s : tensor<f32>
    }
    array.yield %3 : tensor<f32>
  }
  func.return %1 : tensor<f32>
}

// -----

// CHECK-LABEL: @stop
// CHECK-NOT: array.stop_gradient
// CHECK: %[[zero:.*]] = array.full 0.000000e+00 : f32 shape [] : tensor<f32>
// CHECK-NEXT: func.return %[[zero]], %x
func.func @stop(%x: tensor<f32>) -> (tensor<f32>, tensor<f32>) {
  %0, %1 = array.value_and_grad %x argnums [0] : (tensor<f32>) -> (tensor<f32>, tensor<f32>) {
  ^bb0(%a: tensor<f32>):
    %s = array.stop_gradient %a : (tensor<f32>) -> tensor<f32>
    %e = array.exp %s : (tensor<f32>) -> tensor<f32>
    array.yield %e : tensor<f32>
  }
  %2 = array.stop_gradient %x : (tensor<f32>) -> tensor<f32>
  func.return %1, %2 : tensor<f32>, tensor<f32>
}

// -----

// The backward pass keeps %x alone: it computes the exponential again, behind a barrier with the
// gradient that arrives. %n gets none. A checkpoint that no gradient goes through is its body.
// CHECK-LABEL: @checkpoint
// CHECK-NEXT: %[[e:.*]] = array.exp %x
// CHECK-NEXT: %[[s:.*]] = array.sin %[[e]]
// CHECK-NEXT: %[[one:.*]] = array.full 1.0
// CHECK-NEXT: %[[b:.*]], %[[c:.*]], %[[d:.*]] = array.barrier %x, %n, %[[one]]
// CHECK-NEXT: %[[f:.*]] = array.exp %[[b]]
// CHECK-NEXT: %[[g:.*]] = array.cos %[[f]]
// CHECK-NEXT: %[[h:.*]] = array.multiply %[[d]], %[[g]]
// CHECK-NEXT: %[[dx:.*]] = array.multiply %[[h]], %[[f]]
// CHECK-NEXT: %[[t:.*]] = array.tanh %x
// CHECK-NEXT: func.return %[[s]], %[[dx]], %[[t]]
func.func @checkpoint(%x: tensor<f32>, %n: tensor<i32>) -> (tensor<f32>, tensor<f32>, tensor<f32>) {
  %0, %1 = array.value_and_grad %x argnums [0] : (tensor<f32>) -> (tensor<f32>, tensor<f32>) {
  ^bb0(%a: tensor<f32>):
    %2, %3 = array.checkpoint %a, %n : (tensor<f32>, tensor<i32>) -> (tensor<f32>, tensor<i32>) {
    ^bb0(%b: tensor<f32>, %m: tensor<i32>):
      %e = array.exp %b : (tensor<f32>) -> tensor<f32>
      %s = array.sin %e : (tensor<f32>) -> tensor<f32>
      array.yield %s, %m : tensor<f32>, tensor<i32>
    }
    array.yield %2 : tensor<f32>
  }
  %4 = array.checkpoint %x : (tensor<f32>) -> tensor<f32> {
  ^bb0(%a: tensor<f32>):
    %t = array.tanh %a : (tensor<f32>) -> tensor<f32>
    array.yield %t : tensor<f32>
  }
  func.return %0, %1, %4 : tensor<f32>, tensor<f32>, tensor<f32>
}

// -----

// CHECK-NOT: @not_differentiable
func.func private @g(tensor<f32>) -> tensor<f32>
func.func @not_differentiable(%x: tensor<f32>) {
  %0, %1 = array.value_and_grad %x argnums [0] : (tensor<f32>) -> (tensor<f32>, tensor<f32>) {
  ^bb0(%a: tensor<f32>):
    // expected-error @below {{func.call is not differentiable}}
    %e = func.call @g(%a) : (tensor<f32>) -> tensor<f32>
    array.yield %e : tensor<f32>
  }
  func.return
}

// -----

// The gradient of a condition is one of its branches' gradients. That of the product reads the
// product itself, which the first condition gives beside its result; where the other branch is taken,
// that is zeros, and so is the gradient.
// CHECK-LABEL: @cond
// CHECK-NEXT:    %[[Y:.*]], %[[DOT:.*]] = array.cond %c(%x, %w) : (tensor<i1>, tensor<4xf32>, tensor<4xf32>) -> (tensor<f32>, tensor<f32>) {
// CHECK-NEXT:    ^bb0(%{{.*}}):
// CHECK-NEXT:      %[[PRODUCT:.*]] = array.dot_general
// CHECK-NEXT:      %[[LOG:.*]] = array.log %[[PRODUCT]]
// CHECK-NEXT:      array.yield %[[LOG]], %[[PRODUCT]]
// CHECK-NEXT:    } else {
// CHECK-NEXT:    ^bb0(%{{.*}}):
// CHECK-NEXT:      %[[CONSTANT:.*]] = array.full 1.000000e+00
// CHECK-NEXT:      %[[ZERO:.*]] = array.full 0.000000e+00
// CHECK-NEXT:      array.yield %[[CONSTANT]], %[[ZERO]]
// CHECK-NEXT:    }
// CHECK-NEXT:    %[[ONE:.*]] = array.full 1.000000e+00
// CHECK-NEXT:    %[[DX:.*]] = array.cond %c(%x, %w, %[[ONE]], %[[DOT]]) : {{.*}} -> tensor<4xf32> {
// CHECK-NEXT:    ^bb0(%{{.*}}: tensor<4xf32>, %[[W:.*]]: tensor<4xf32>, %[[SENT:.*]]: tensor<f32>, %[[READ:.*]]: tensor<f32>):
// CHECK-NEXT:      %[[QUOTIENT:.*]] = array.divide %[[SENT]], %[[READ]]
// CHECK:           array.yield
// CHECK-NEXT:    } else {
// CHECK-NEXT:    ^bb0(%{{.*}}):
// CHECK-NEXT:      %[[NONE:.*]] = array.full 0.000000e+00 : f32 shape [4]
// CHECK-NEXT:      array.yield %[[NONE]]
// CHECK-NEXT:    }
// CHECK-NEXT:    func.return %[[DX]]
func.func @cond(%c: tensor<i1>, %x: tensor<4xf32>, %w: tensor<4xf32>) -> tensor<4xf32> {
  %0, %1 = array.value_and_grad %x argnums [0] : (tensor<4xf32>) -> (tensor<f32>, tensor<4xf32>) {
  ^bb0(%a: tensor<4xf32>):
    %2 = array.cond %c(%a, %w) : (tensor<i1>, tensor<4xf32>, tensor<4xf32>) -> tensor<f32> {
    ^bb1(%b: tensor<4xf32>, %d: tensor<4xf32>):
      %3 = array.dot_general %b, %d batch [], [] contracting [0], [0] : (tensor<4xf32>, tensor<4xf32>) -> tensor<f32>
      %4 = array.log %3 : (tensor<f32>) -> tensor<f32>
      array.yield %4 : tensor<f32>
    } else {
    ^bb1(%b: tensor<4xf32>, %d: tensor<4xf32>):
      %5 = array.full 1.0 : f32 shape [] : tensor<f32>
      array.yield %5 : tensor<f32>
    }
    array.yield %2 : tensor<f32>
  }
  func.return %1 : tensor<4xf32>
}

// -----

// The gradient of a scan is a scan the other way: of the states before each step (the first one, then
// those after each but the last, which the first scan stacks) it computes the steps again, from the
// cotangent of the last state to that of the first.
// CHECK-LABEL: @scan
// CHECK:         %{{.*}}, %[[AFTER:.*]] = array.scan length 5 consts(%w : tensor<f32>) carries(%h : tensor<f32>) xs()
// CHECK-NEXT:    ^bb0(%{{.*}}: tensor<f32>, %[[H:.*]]: tensor<f32>):
// CHECK-NEXT:      %[[NEXT:.*]] = array.multiply %[[H]], %{{.*}}
// CHECK-NEXT:      array.yield %[[NEXT]], %[[NEXT]]
// CHECK-NEXT:    }
// CHECK:         %[[FIRST:.*]] = array.reshape %h shape [1]
// CHECK-NEXT:    %[[OTHERS:.*]] = array.slice %[[AFTER]] starts [0] limits [4] strides [1]
// CHECK-NEXT:    %[[STATES:.*]] = array.concatenate %[[FIRST]], %[[OTHERS]] axis 0
// CHECK:         %[[DH:.*]], %[[DW:.*]] = array.scan length 5 reverse consts(%w : tensor<f32>) carries({{.*}}) xs(%[[STATES]] : tensor<5xf32>) -> tensor<f32>, tensor<f32> {
// CHECK-NEXT:    ^bb0(%[[W:.*]]: tensor<f32>, %[[SENT:.*]]: tensor<f32>, %[[SUM:.*]]: tensor<f32>, %[[STATE:.*]]: tensor<f32>):
// CHECK-NEXT:      %[[BACK:.*]] = array.multiply %[[SENT]], %[[W]]
// CHECK-NEXT:      %[[MORE:.*]] = array.multiply %[[SENT]], %[[STATE]]
// CHECK-NEXT:      %[[TOTAL:.*]] = array.add %[[SUM]], %[[MORE]]
// CHECK-NEXT:      array.yield %[[BACK]], %[[TOTAL]]
// CHECK-NEXT:    }
// CHECK-NEXT:    func.return %[[DW]], %[[DH]]
func.func @scan(%w: tensor<f32>, %h: tensor<f32>) -> (tensor<f32>, tensor<f32>) {
  %0, %1, %2 = array.value_and_grad %w, %h argnums [0, 1] : (tensor<f32>, tensor<f32>) -> (tensor<f32>, tensor<f32>, tensor<f32>) {
  ^bb0(%a: tensor<f32>, %b: tensor<f32>):
    %3 = array.scan length 5 consts(%a : tensor<f32>) carries(%b : tensor<f32>) xs() -> tensor<f32> {
    ^bb1(%c: tensor<f32>, %d: tensor<f32>):
      %4 = array.multiply %d, %c : (tensor<f32>, tensor<f32>) -> tensor<f32>
      array.yield %4 : tensor<f32>
    }
    array.yield %3 : tensor<f32>
  }
  func.return %1, %2 : tensor<f32>, tensor<f32>
}
