// RUN: wgpu-opt %s -p expand-math | filecheck %s

// CHECK-LABEL: func.func @log10
func.func @log10(%x: f32) -> f32 {
  // CHECK-NEXT: %[[L:.*]] = math.log %x : f32
  // CHECK-NEXT: %[[C:.*]] = arith.constant 0.434294492 : f32
  // CHECK-NEXT: %y = arith.mulf %[[L]], %[[C]] : f32
  %y = math.log10 %x : f32
  func.return %y : f32
}

// f16 is widened, and rounded once.

// CHECK-LABEL: func.func @half
func.func @half(%x: f16) -> f16 {
  // CHECK-NEXT: %[[W:.*]] = arith.extf %x : f16 to f32
  // CHECK-NEXT: math.log %[[W]] : f32
  // CHECK:      %y = arith.truncf %{{.*}} : f32 to f16
  %y = math.log10 %x : f16
  func.return %y : f16
}

// CHECK-LABEL: func.func @vector
func.func @vector(%x: vector<4xf32>) -> vector<4xf32> {
  // CHECK-NEXT: %[[L:.*]] = math.log %x : vector<4xf32>
  // CHECK-NEXT: %[[C:.*]] = arith.constant dense<0.434294492> : vector<4xf32>
  // CHECK-NEXT: arith.mulf %[[L]], %[[C]] : vector<4xf32>
  %y = math.log10 %x : vector<4xf32>
  func.return %y : vector<4xf32>
}

// A whole constant exponent is a product; also where a linalg.generic reads it from a splat.

// CHECK-LABEL: func.func @cube
func.func @cube(%x: tensor<4xf32>) -> tensor<4xf32> {
  %three = arith.constant dense<3.0> : tensor<4xf32>
  %empty = tensor.empty() : tensor<4xf32>
  %y = linalg.generic {
    indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>, affine_map<(i) -> (i)>],
    iterator_types = ["parallel"]
  } ins(%x, %three : tensor<4xf32>, tensor<4xf32>) outs(%empty : tensor<4xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    // CHECK:      ^bb{{.*}}(%a: f32, %b: f32, %out: f32):
    // CHECK-NEXT: %[[SQUARE:.*]] = arith.mulf %a, %a : f32
    // CHECK-NEXT: %p = arith.mulf %a, %[[SQUARE]] : f32
    // CHECK-NEXT: linalg.yield %p : f32
    %p = math.powf %a, %b : f32
    linalg.yield %p : f32
  } -> tensor<4xf32>
  func.return %y : tensor<4xf32>
}

// CHECK-LABEL: func.func @root
func.func @root(%x: f32) -> f32 {
  // CHECK:      %y = math.sqrt %x : f32
  %half = arith.constant 0.5 : f32
  %y = math.powf %x, %half : f32
  func.return %y : f32
}

// Division of i32 towards minus infinity. Indices are unsigned.

// CHECK-LABEL: func.func @floor_division
func.func @floor_division(%x: i32, %y: i32, %i: index, %j: index) -> (i32, index) {
  // CHECK-NEXT: %[[SIGNS:.*]] = arith.xori %x, %y : i32
  // CHECK-NEXT: %[[Q:.*]] = arith.divsi %x, %y : i32
  // CHECK:      arith.muli %{{.*}}, %y : i32
  // CHECK:      %q = arith.subi %[[Q]], %{{.*}} : i32
  %q = arith.floordivsi %x, %y : i32
  // CHECK-NEXT: arith.floordivsi %i, %j : index
  %r = arith.floordivsi %i, %j : index
  func.return %q, %r : i32, index
}

// The remainder of i32 is computed from the quotient: Vulkan's is undefined for negative numbers.

// CHECK-LABEL: func.func @remainder
func.func @remainder(%x: i32, %y: i32, %i: index, %j: index) -> (i32, index) {
  // CHECK-NEXT: %[[Q:.*]] = arith.divsi %x, %y : i32
  // CHECK-NEXT: %[[P:.*]] = arith.muli %[[Q]], %y : i32
  // CHECK-NEXT: %[[R:.*]] = arith.subi %x, %[[P]] : i32
  // CHECK:      %r = arith.andi %[[R]], %{{.*}} : i32
  %r = arith.remsi %x, %y : i32
  // CHECK-NEXT: arith.remsi %i, %j : index
  %s = arith.remsi %i, %j : index
  func.return %r, %s : i32, index
}

// CHECK-LABEL: func.func @nothing_is_left
// CHECK-NOT: math.tanh
// CHECK-NOT: math.erf
// CHECK-NOT: math.sin
// CHECK-NOT: math.log1p
// CHECK-NOT: math.expm1
func.func @nothing_is_left(%x: f32) -> (f32, f32, f32, f32, f32) {
  %a = math.tanh %x : f32
  %b = math.erf %x : f32
  %c = math.sin %x : f32
  %d = math.log1p %x : f32
  %e = math.expm1 %x : f32
  func.return %a, %b, %c, %d, %e : f32, f32, f32, f32, f32
}
