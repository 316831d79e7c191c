// RUN: wgpu-opt %s -p join-windows | filecheck %s

// Small pieces: a map reads each element from the piece that it lies in.
// CHECK-LABEL: func.func @small
// CHECK-NOT:     linalg_ext.insert_slice
// CHECK:         linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>]
// CHECK:           tensor.extract %b[%{{.*}}, %{{.*}}] : tensor<2x3xf32>
// CHECK:           tensor.extract %a[%{{.*}}, %{{.*}}] : tensor<2x4xf32>
// CHECK-NEXT:      arith.cmpi ule
// CHECK-NEXT:      arith.select
func.func @small(%a: tensor<2x4xf32>, %b: tensor<2x3xf32>) -> tensor<2x7xf32> {
  %e = tensor.empty() : tensor<2x7xf32>
  %0 = linalg_ext.insert_slice %a into %e offsets [0, 0] : (tensor<2x4xf32>, tensor<2x7xf32>) -> tensor<2x7xf32>
  %1 = linalg_ext.insert_slice %b into %0 offsets [0, 4] : (tensor<2x3xf32>, tensor<2x7xf32>) -> tensor<2x7xf32>
  func.return %1 : tensor<2x7xf32>
}

// A large one is copied by itself, vector by vector; the others share a map and a window.
// CHECK-LABEL: func.func @large
// CHECK:         %[[E:.*]] = tensor.empty() : tensor<1040x256xf32>
// CHECK:         %[[A:.*]] = linalg_ext.insert_slice %a into %[[E]] offsets [0, 0]
// CHECK:         %[[BC:.*]] = linalg.generic
// CHECK:         linalg_ext.insert_slice %[[BC]] into %[[A]] offsets [1024, 0] : (tensor<16x256xf32>, tensor<1040x256xf32>)
func.func @large(%a: tensor<1024x256xf32>, %b: tensor<8x256xf32>, %c: tensor<8x256xf32>) -> tensor<1040x256xf32> {
  %e = tensor.empty() : tensor<1040x256xf32>
  %0 = linalg_ext.insert_slice %a into %e offsets [0, 0] : (tensor<1024x256xf32>, tensor<1040x256xf32>) -> tensor<1040x256xf32>
  %1 = linalg_ext.insert_slice %b into %0 offsets [1024, 0] : (tensor<8x256xf32>, tensor<1040x256xf32>) -> tensor<1040x256xf32>
  %2 = linalg_ext.insert_slice %c into %1 offsets [1032, 0] : (tensor<8x256xf32>, tensor<1040x256xf32>) -> tensor<1040x256xf32>
  func.return %2 : tensor<1040x256xf32>
}

// A kernel binds eight buffers: seven pieces and a result.
// CHECK-LABEL: func.func @many
// CHECK:         %[[SEVEN:.*]] = linalg_ext.insert_slice %{{.*}} into %{{.*}} offsets [0] : (tensor<7xf32>, tensor<9xf32>)
// CHECK:         linalg_ext.insert_slice %{{.*}} into %[[SEVEN]] offsets [7] : (tensor<2xf32>, tensor<9xf32>)
func.func @many(%a: tensor<1xf32>, %b: tensor<1xf32>, %c: tensor<1xf32>, %d: tensor<1xf32>, %e: tensor<1xf32>, %f: tensor<1xf32>, %g: tensor<1xf32>, %h: tensor<1xf32>, %i: tensor<1xf32>) -> tensor<9xf32> {
  %n = tensor.empty() : tensor<9xf32>
  %0 = linalg_ext.insert_slice %a into %n offsets [0] : (tensor<1xf32>, tensor<9xf32>) -> tensor<9xf32>
  %1 = linalg_ext.insert_slice %b into %0 offsets [1] : (tensor<1xf32>, tensor<9xf32>) -> tensor<9xf32>
  %2 = linalg_ext.insert_slice %c into %1 offsets [2] : (tensor<1xf32>, tensor<9xf32>) -> tensor<9xf32>
  %3 = linalg_ext.insert_slice %d into %2 offsets [3] : (tensor<1xf32>, tensor<9xf32>) -> tensor<9xf32>
  %4 = linalg_ext.insert_slice %e into %3 offsets [4] : (tensor<1xf32>, tensor<9xf32>) -> tensor<9xf32>
  %5 = linalg_ext.insert_slice %f into %4 offsets [5] : (tensor<1xf32>, tensor<9xf32>) -> tensor<9xf32>
  %6 = linalg_ext.insert_slice %g into %5 offsets [6] : (tensor<1xf32>, tensor<9xf32>) -> tensor<9xf32>
  %7 = linalg_ext.insert_slice %h into %6 offsets [7] : (tensor<1xf32>, tensor<9xf32>) -> tensor<9xf32>
  %8 = linalg_ext.insert_slice %i into %7 offsets [8] : (tensor<1xf32>, tensor<9xf32>) -> tensor<9xf32>
  func.return %8 : tensor<9xf32>
}

// Windows that leave something out fill nothing: they stay.
// CHECK-LABEL: func.func @gap
// CHECK:         linalg_ext.insert_slice %a into %{{.*}} offsets [0]
// CHECK-NEXT:    linalg_ext.insert_slice %b into %{{.*}} offsets [5]
func.func @gap(%a: tensor<4xf32>, %b: tensor<3xf32>) -> tensor<8xf32> {
  %e = tensor.empty() : tensor<8xf32>
  %0 = linalg_ext.insert_slice %a into %e offsets [0] : (tensor<4xf32>, tensor<8xf32>) -> tensor<8xf32>
  %1 = linalg_ext.insert_slice %b into %0 offsets [5] : (tensor<3xf32>, tensor<8xf32>) -> tensor<8xf32>
  func.return %1 : tensor<8xf32>
}

// Two kernels would both read all of what these are computed from.
// CHECK-LABEL: func.func @shared
// CHECK-NOT:     linalg_ext.insert_slice
// CHECK:         linalg.generic
func.func @shared(%a: tensor<1024x256xf32>) -> tensor<2048x256xf32> {
  %e = tensor.empty() : tensor<2048x256xf32>
  %0 = linalg_ext.insert_slice %a into %e offsets [0, 0] : (tensor<1024x256xf32>, tensor<2048x256xf32>) -> tensor<2048x256xf32>
  %1 = linalg_ext.insert_slice %a into %0 offsets [1024, 0] : (tensor<1024x256xf32>, tensor<2048x256xf32>) -> tensor<2048x256xf32>
  func.return %1 : tensor<2048x256xf32>
}
