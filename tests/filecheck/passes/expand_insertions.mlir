// RUN: wgpu-opt %s -p expand-insertions | filecheck %s

// Not donated: a map reads and writes everything, and may share a kernel with others.
// CHECK-LABEL: func.func @kept
// CHECK-NEXT:    %[[EMPTY:.*]] = tensor.empty() : tensor<4x8xf32>
// CHECK-NEXT:    linalg.generic {{{.*}}} ins(%x : tensor<4x8xf32>) outs(%[[EMPTY]] : tensor<4x8xf32>)
// CHECK-NEXT:    ^bb0(%[[OLD:.*]]: f32, %{{.*}}: f32):
// CHECK:           %[[P:.*]] = tensor.extract %p[] : tensor<i32>
// CHECK:           arith.maxsi %[[P]], %{{.*}} : i32
// CHECK:           arith.minsi %{{.*}}, %{{.*}} : i32
// CHECK:           %[[NEW:.*]] = tensor.extract %u[%{{.*}}, %{{.*}}] : tensor<4x2xf32>
// CHECK-NEXT:      %[[R:.*]] = arith.select %{{.*}}, %[[NEW]], %[[OLD]] : f32
// CHECK-NEXT:      linalg.yield %[[R]]
func.func @kept(%x: tensor<4x8xf32>, %u: tensor<4x2xf32>, %p: tensor<i32>) -> tensor<4x8xf32> {
  %r = linalg_ext.insert_slice %u into %x offsets [0, -1] starts %p : (tensor<4x2xf32>, tensor<4x8xf32>, tensor<i32>) -> tensor<4x8xf32>
  func.return %r : tensor<4x8xf32>
}

// Donated, and each insertion overwrites what the one before has written.
// CHECK-LABEL: func.func @donated
// CHECK-NEXT:    %[[A:.*]] = linalg_ext.insert_slice %u into %x
// CHECK-NEXT:    %[[B:.*]] = linalg_ext.insert_slice %v into %[[A]]
// CHECK-NEXT:    func.return %[[B]]
func.func @donated(%x: tensor<8xf32> {stepwell.donated = 0 : i32}, %u: tensor<2xf32>, %v: tensor<3xf32>, %p: tensor<i32>) -> tensor<8xf32> {
  %a = linalg_ext.insert_slice %u into %x offsets [-1] starts %p : (tensor<2xf32>, tensor<8xf32>, tensor<i32>) -> tensor<8xf32>
  %b = linalg_ext.insert_slice %v into %a offsets [1] : (tensor<3xf32>, tensor<8xf32>) -> tensor<8xf32>
  func.return %b : tensor<8xf32>
}

// Donated, but what reads the new value reads the old one too.
// CHECK-LABEL: func.func @both
// CHECK-NOT:     linalg_ext.insert_slice
func.func @both(%x: tensor<8xf32> {stepwell.donated = 0 : i32}, %u: tensor<2xf32>, %e: tensor<8xf32>) -> (tensor<8xf32>, tensor<8xf32>) {
  %a = linalg_ext.insert_slice %u into %x offsets [2] : (tensor<2xf32>, tensor<8xf32>) -> tensor<8xf32>
  %s = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]} ins(%a, %x : tensor<8xf32>, tensor<8xf32>) outs(%e : tensor<8xf32>) {
  ^bb0(%l: f32, %r: f32, %o: f32):
    %m = arith.mulf %l, %r : f32
    linalg.yield %m : f32
  } -> tensor<8xf32>
  func.return %a, %s : tensor<8xf32>, tensor<8xf32>
}

// Of zeros: a map that writes them all writes the window too.
// CHECK-LABEL: func.func @of_zeros
// CHECK:         %[[Z:.*]] = linalg.fill
// CHECK-NOT:     linalg_ext.insert_slice
// CHECK:         linalg.generic {{.*}} ins(%[[Z]] : tensor<8xf32>)
func.func @of_zeros(%u: tensor<2xf32>) -> tensor<8xf32> {
  %c = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<8xf32>
  %z = linalg.fill ins(%c : f32) outs(%e : tensor<8xf32>) -> tensor<8xf32>
  %a = linalg_ext.insert_slice %u into %z offsets [2] : (tensor<2xf32>, tensor<8xf32>) -> tensor<8xf32>
  func.return %a : tensor<8xf32>
}
