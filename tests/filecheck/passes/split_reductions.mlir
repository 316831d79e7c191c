// RUN: wgpu-opt %s --to=linalg -p split-reductions | filecheck %s
// RUN: wgpu-opt %s --to=linalg -p 'split-reductions{target=desktop}' | filecheck %s --check-prefix=DESKTOP

// 64 partial sums for 64 threads, then their sum.
// CHECK-LABEL: func.func @total
// CHECK:         %[[V:.*]] = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (((d0 * 4096) + d1))>, affine_map<(d0, d1) -> (d0, d1)>], iterator_types = ["parallel", "parallel"]} ins(%x : tensor<262144xf32>)
// CHECK:         %[[P:.*]] = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0)>], iterator_types = ["parallel", "reduction"]} ins(%[[V]] : tensor<64x4096xf32>)
// CHECK:           arith.addf
// CHECK:         linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> ()>], iterator_types = ["reduction"]} ins(%[[P]] : tensor<64xf32>)
// CHECK:           arith.addf
// DESKTOP-LABEL: func.func @total
// DESKTOP:         tensor<512x512xf32>
func.func @total(%x: tensor<262144xf32>) -> tensor<f32> {
  %0 = array.sum %x axes [0] : (tensor<262144xf32>) -> tensor<f32>
  func.return %0 : tensor<f32>
}

// Few rows: the threads of all rows count together. The combiner and its identity are kept.
// CHECK-LABEL: func.func @rows
// CHECK:         ins(%x : tensor<4x65536xf32>) outs(%{{.*}} : tensor<4x16x4096xf32>)
// CHECK:         arith.constant 0xff800000 : f32
// CHECK:         "parallel", "parallel", "reduction"
// CHECK:           arith.maximumf
// CHECK:         arith.constant 0xff800000 : f32
// CHECK:         "parallel", "reduction"
// CHECK:           arith.maximumf
func.func @rows(%x: tensor<4x65536xf32>) -> tensor<4xf32> {
  %0 = array.max %x axes [1] : (tensor<4x65536xf32>) -> tensor<4xf32>
  func.return %0 : tensor<4xf32>
}

// Parts are equal: as many as the largest divisor of the length that is near. 99,990 has 55.
// CHECK-LABEL: func.func @divisor
// CHECK:         tensor<55x1818xf32>
func.func @divisor(%x: tensor<99990xf32>) -> tensor<f32> {
  %0 = array.sum %x axes [0] : (tensor<99990xf32>) -> tensor<f32>
  func.return %0 : tensor<f32>
}

// Several reduced dimensions are cut from the first on.
// CHECK-LABEL: func.func @two
// CHECK:         tensor<32x2x4096xf32>
// CHECK:         "parallel", "parallel", "reduction"
// CHECK:         "reduction", "reduction"
func.func @two(%x: tensor<32x8192xf32>) -> tensor<f32> {
  %0 = array.sum %x axes [0, 1] : (tensor<32x8192xf32>) -> tensor<f32>
  func.return %0 : tensor<f32>
}

// A prime has no parts: 64 equal ones of whole vectors, and the rest by itself.
// CHECK-LABEL: func.func @prime
// CHECK:         affine_map<(d0) -> (d0)>{{.*}} ins(%x : tensor<100003xf32>) outs(%{{.*}} : tensor<99840xf32>)
// CHECK:         affine_map<(d0, d1) -> (((d0 * 1560) + d1))>
// CHECK:         ins(%{{.*}} : tensor<64x1560xf32>)
// CHECK:         %[[MOST:.*]] = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> ()>], iterator_types = ["reduction"]} ins(%{{.*}} : tensor<64xf32>)
// CHECK:         affine_map<(d0) -> ((d0 + 99840))>{{.*}} ins(%x : tensor<100003xf32>) outs(%{{.*}} : tensor<163xf32>)
// CHECK:         %[[REST:.*]] = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> ()>], iterator_types = ["reduction"]} ins(%{{.*}} : tensor<163xf32>)
// CHECK:         ins(%[[MOST]], %[[REST]] : tensor<f32>, tensor<f32>)
// CHECK:           arith.addf
// CHECK-NOT:     linalg.generic
func.func @prime(%x: tensor<100003xf32>) -> tensor<f32> {
  %0 = array.sum %x axes [0] : (tensor<100003xf32>) -> tensor<f32>
  func.return %0 : tensor<f32>
}

// Short, or of enough rows: not worth a second kernel.
// CHECK-LABEL: func.func @short
// CHECK:         ins(%x : tensor<4096xf32>)
// CHECK:         ins(%y : tensor<64x4096xf32>)
// CHECK-NOT:     linalg.generic
func.func @short(%x: tensor<4096xf32>, %y: tensor<64x4096xf32>) -> (tensor<f32>, tensor<64xf32>) {
  %0 = array.sum %x axes [0] : (tensor<4096xf32>) -> tensor<f32>
  %1 = array.sum %y axes [1] : (tensor<64x4096xf32>) -> tensor<64xf32>
  func.return %0, %1 : tensor<f32>, tensor<64xf32>
}

// Softmax keeps its rows whole, to stay one kernel.
// CHECK-LABEL: func.func @softmax
// CHECK-NOT:     tensor<2x32x
func.func @softmax(%x: tensor<2x65536xf32>) -> tensor<2x65536xf32> {
  %0 = array.softmax %x axis 1 : (tensor<2x65536xf32>) -> tensor<2x65536xf32>
  func.return %0 : tensor<2x65536xf32>
}

// Rows that give every thread work stay whole, at any length; few of them do not.
// DESKTOP-LABEL: func.func @occupied
// DESKTOP-NOT:     linalg.generic {{.*}}"parallel", "parallel"
// DESKTOP:         ins(%x : tensor<2048x50304xf32>) outs(%{{.*}} : tensor<2048xf32>)
func.func @occupied(%x: tensor<2048x50304xf32>) -> tensor<2048xf32> {
  %0 = array.max %x axes [1] : (tensor<2048x50304xf32>) -> tensor<2048xf32>
  func.return %0 : tensor<2048xf32>
}

// Of a column sum, the chunks are outermost: neighbouring columns stay neighbours.
// DESKTOP-LABEL: func.func @columns
// DESKTOP:         affine_map<(d0, d1, d2) -> (((d0 * 512) + d2), d1)>
// DESKTOP-SAME:    outs(%{{.*}} : tensor<128x768x512xf32>)
// DESKTOP:         affine_map<(d0, d1) -> (d1, d0)>, affine_map<(d0, d1) -> (d0)>
// DESKTOP-SAME:    ins(%{{.*}} : tensor<128x768xf32>)
func.func @columns(%x: tensor<65536x768xf32>) -> tensor<768xf32> {
  %0 = array.sum %x axes [0] : (tensor<65536x768xf32>) -> tensor<768xf32>
  func.return %0 : tensor<768xf32>
}

// What takes no longer with some processors idle than another launch would stays one.
// DESKTOP-LABEL: func.func @short_columns
// DESKTOP:         ins(%x : tensor<8192x768xf32>) outs(%{{.*}} : tensor<768xf32>)
func.func @short_columns(%x: tensor<8192x768xf32>) -> tensor<768xf32> {
  %0 = array.sum %x axes [0] : (tensor<8192x768xf32>) -> tensor<768xf32>
  func.return %0 : tensor<768xf32>
}

// What is spread through maps of it counts: log(sum(exp(x))) stays with what subtracts it.
// CHECK-LABEL: func.func @logsumexp
// CHECK-NOT:     tensor<2x32x
func.func @logsumexp(%x: tensor<2x65536xf32>) -> tensor<2x65536xf32> {
  %0 = array.log_softmax %x axis 1 : (tensor<2x65536xf32>) -> tensor<2x65536xf32>
  func.return %0 : tensor<2x65536xf32>
}
