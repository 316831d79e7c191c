// The printed form, read again, gives itself; the generic form gives it too.
// RUN: wgpu-opt %s | filecheck %s
// RUN: wgpu-opt %s --mlir-print-op-generic | wgpu-opt | filecheck %s

// CHECK-LABEL: @scan
func.func @scan(%w: tensor<2xf32>, %h: tensor<2xf32>, %n: tensor<i32>, %xs: tensor<5x2xf32>) {
  // CHECK: %0, %1, %2 = array.scan length 5 reverse consts(%w : tensor<2xf32>) carries(%h, %n : tensor<2xf32>, tensor<i32>) xs(%xs : tensor<5x2xf32>) -> tensor<2xf32>, tensor<i32>, tensor<5x2xf32> {
  %0, %1, %2 = array.scan length 5 reverse consts(%w : tensor<2xf32>) carries(%h, %n : tensor<2xf32>, tensor<i32>) xs(%xs : tensor<5x2xf32>) -> tensor<2xf32>, tensor<i32>, tensor<5x2xf32> {
  ^bb0(%a: tensor<2xf32>, %b: tensor<2xf32>, %c: tensor<i32>, %d: tensor<2xf32>):
    // CHECK: array.yield %b, %c, %d : tensor<2xf32>, tensor<i32>, tensor<2xf32>
    array.yield %b, %c, %d : tensor<2xf32>, tensor<i32>, tensor<2xf32>
  }
  // CHECK: array.scan length 3 consts() carries() xs() {
  array.scan length 3 consts() carries() xs() {
    // CHECK-NEXT: array.yield
    array.yield
  }
  func.return
}

// CHECK-LABEL: @while
func.func @while(%go: tensor<i1>, %n: tensor<i32>) {
  // CHECK: %0, %1 = array.scan length 100 while consts() carries(%go, %n : tensor<i1>, tensor<i32>) xs() -> tensor<i1>, tensor<i32> {
  %0, %1 = array.scan length 100 while consts() carries(%go, %n : tensor<i1>, tensor<i32>) xs() -> tensor<i1>, tensor<i32> {
  ^bb0(%a: tensor<i1>, %b: tensor<i32>):
    array.yield %a, %b : tensor<i1>, tensor<i32>
  }
  func.return
}

// CHECK-LABEL: @cond
func.func @cond(%c: tensor<i1>, %x: tensor<2xf32>) -> tensor<2xf32> {
  // CHECK: %0 = array.cond %c(%x) : (tensor<i1>, tensor<2xf32>) -> tensor<2xf32> {
  // CHECK-NEXT: ^bb0(%a: tensor<2xf32>):
  %0 = array.cond %c(%x) : (tensor<i1>, tensor<2xf32>) -> tensor<2xf32> {
  ^bb0(%a: tensor<2xf32>):
    // CHECK: array.yield %1 : tensor<2xf32>
    %1 = array.sqrt %a : (tensor<2xf32>) -> tensor<2xf32>
    array.yield %1 : tensor<2xf32>
    // CHECK-NEXT: } else {
  } else {
  ^bb0(%a: tensor<2xf32>):
    array.yield %a : tensor<2xf32>
  }
  // CHECK: array.cond %c() : (tensor<i1>) -> () {
  array.cond %c() : (tensor<i1>) -> () {
    array.yield
  } else {
    array.yield
  }
  func.return %0 : tensor<2xf32>
}
