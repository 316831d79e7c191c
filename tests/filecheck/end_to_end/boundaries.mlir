// Why kernels end where they end: a remark for each result that another launch reads.
// RUN: wgpu-opt %s --to=fused --target=desktop --split-input-file | filecheck %s

// One of the kernels that read the rows' sums computes them, and stores them for the other.
// CHECK:      func.func @shared
// CHECK-NEXT:   kernel.launch @reduction_0(%x) {kernel.boundary = ["returned", "read by other kernels too"]}
func.func @shared(%x: tensor<16x4096xf32>, %w: tensor<16x16xf32>) -> (tensor<16x16xf32>, tensor<16x4096xf32>) {
  %s = array.sum %x axes [1] : (tensor<16x4096xf32>) -> tensor<16xf32>
  %c = array.broadcast %s shape [16, 16] dims [1] : (tensor<16xf32>) -> tensor<16x16xf32>
  %z = array.add %c, %w : (tensor<16x16xf32>, tensor<16x16xf32>) -> tensor<16x16xf32>
  %b = array.broadcast %s shape [16, 4096] dims [0] : (tensor<16xf32>) -> tensor<16x4096xf32>
  %y = array.multiply %x, %b : (tensor<16x4096xf32>, tensor<16x4096xf32>) -> tensor<16x4096xf32>
  func.return %z, %y : tensor<16x16xf32>, tensor<16x4096xf32>
}

// -----

// CHECK:      func.func @whole
// CHECK-NEXT:   kernel.launch @attention_0(%q, %k, %v) {kernel.boundary = ["of attention, which is a kernel of its own"]}
func.func @whole(%q: tensor<2x64x32xf32>, %k: tensor<2x64x32xf32>, %v: tensor<2x64x32xf32>) -> tensor<2x64x32xf32> {
  %0, %1 = array.attention %q, %k, %v scale 0.5 : f64 bounds [1, -1, 0] : (tensor<2x64x32xf32>, tensor<2x64x32xf32>, tensor<2x64x32xf32>) -> (tensor<2x64x32xf32>, tensor<2x64xf32>)
  %2 = array.exp %0 : (tensor<2x64x32xf32>) -> tensor<2x64x32xf32>
  func.return %2 : tensor<2x64x32xf32>
}

// -----

// Both that read the softmax would compute it anew. Where it is added, each element is read 8
// times; the sum of its columns has to be there first.
// CHECK:      func.func @costly
// CHECK-NEXT:   kernel.launch @reduction_0(%x) {kernel.boundary = ["several kernels read it, and computing it again in each costs more; kernels would wait for each other; it is the end of the kernel that computes what it reads"]}
func.func @costly(%x: tensor<8x16xf32>) -> tensor<8x16xf32> {
  %0 = array.softmax %x axis 1 : (tensor<8x16xf32>) -> tensor<8x16xf32>
  %1 = array.sum %0 axes [0] : (tensor<8x16xf32>) -> tensor<16xf32>
  %2 = array.broadcast %1 shape [8, 16] dims [1] : (tensor<16xf32>) -> tensor<8x16xf32>
  %3 = array.add %0, %2 : (tensor<8x16xf32>, tensor<8x16xf32>) -> tensor<8x16xf32>
  func.return %3 : tensor<8x16xf32>
}

// -----

// A product reads its operands once for each of its columns.
// CHECK:      func.func @reread
// CHECK-NEXT:   kernel.launch @map_0(%x) {kernel.boundary = ["the kernel would compute it many times over"]}
func.func @reread(%x: tensor<16x16xf32>, %w: tensor<16x16xf32>) -> tensor<16x16xf32> {
  %0 = array.exp %x : (tensor<16x16xf32>) -> tensor<16x16xf32>
  %1 = array.dot_general %0, %w batch [], [] contracting [1], [0] : (tensor<16x16xf32>, tensor<16x16xf32>) -> tensor<16x16xf32>
  func.return %1 : tensor<16x16xf32>
}

// -----

// Each gather reads the one before at each position twice: the last of eight would do so 128 times.
// CHECK:      func.func @places
// CHECK-NEXT:   kernel.launch @map_0(%p) {kernel.boundary = ["the kernel would compute it many times over"]}
func.func @places(%p: tensor<8xi32>) -> tensor<8xi32> {
  %0 = array.take %p, %p axis 0 : (tensor<8xi32>, tensor<8xi32>) -> tensor<8xi32>
  %1 = array.take %0, %0 axis 0 : (tensor<8xi32>, tensor<8xi32>) -> tensor<8xi32>
  %2 = array.take %1, %1 axis 0 : (tensor<8xi32>, tensor<8xi32>) -> tensor<8xi32>
  %3 = array.take %2, %2 axis 0 : (tensor<8xi32>, tensor<8xi32>) -> tensor<8xi32>
  %4 = array.take %3, %3 axis 0 : (tensor<8xi32>, tensor<8xi32>) -> tensor<8xi32>
  %5 = array.take %4, %4 axis 0 : (tensor<8xi32>, tensor<8xi32>) -> tensor<8xi32>
  %6 = array.take %5, %5 axis 0 : (tensor<8xi32>, tensor<8xi32>) -> tensor<8xi32>
  %7 = array.take %6, %6 axis 0 : (tensor<8xi32>, tensor<8xi32>) -> tensor<8xi32>
  func.return %7 : tensor<8xi32>
}

// -----

// The place of an element in what is reshaped again and again takes quotients of quotients.
// CHECK:      func.func @deep
// CHECK-NEXT:   kernel.launch @map_0(%x) {kernel.boundary = ["an element would take the kernel too many steps"]}
func.func @deep(%x: tensor<4x6xf32>) -> tensor<4x6xf32> {
  %0 = array.transpose %x permutation [1, 0] : (tensor<4x6xf32>) -> tensor<6x4xf32>
  %1 = array.reshape %0 shape [8, 3] : (tensor<6x4xf32>) -> tensor<8x3xf32>
  %2 = array.transpose %1 permutation [1, 0] : (tensor<8x3xf32>) -> tensor<3x8xf32>
  %3 = array.reshape %2 shape [4, 6] : (tensor<3x8xf32>) -> tensor<4x6xf32>
  %4 = array.transpose %3 permutation [1, 0] : (tensor<4x6xf32>) -> tensor<6x4xf32>
  %5 = array.reshape %4 shape [8, 3] : (tensor<6x4xf32>) -> tensor<8x3xf32>
  %6 = array.transpose %5 permutation [1, 0] : (tensor<8x3xf32>) -> tensor<3x8xf32>
  %7 = array.reshape %6 shape [4, 6] : (tensor<3x8xf32>) -> tensor<4x6xf32>
  %8 = array.transpose %7 permutation [1, 0] : (tensor<4x6xf32>) -> tensor<6x4xf32>
  %9 = array.reshape %8 shape [8, 3] : (tensor<6x4xf32>) -> tensor<8x3xf32>
  %10 = array.transpose %9 permutation [1, 0] : (tensor<8x3xf32>) -> tensor<3x8xf32>
  %11 = array.reshape %10 shape [4, 6] : (tensor<3x8xf32>) -> tensor<4x6xf32>
  func.return %11 : tensor<4x6xf32>
}

// -----

// CHECK:      func.func @buffers
// CHECK-NEXT:   kernel.launch @map_0({{.*}}) {kernel.boundary = ["the kernel would take too many buffers"]}
func.func @buffers(%a: tensor<4xf32>, %b: tensor<4xf32>, %c: tensor<4xf32>, %d: tensor<4xf32>, %e: tensor<4xf32>, %f: tensor<4xf32>, %g: tensor<4xf32>, %h: tensor<4xf32>) -> tensor<4xf32> {
  %0 = array.add %a, %b : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %1 = array.add %0, %c : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %2 = array.add %1, %d : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %3 = array.add %2, %e : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %4 = array.add %3, %f : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %5 = array.add %4, %g : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %6 = array.add %5, %h : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  func.return %6 : tensor<4xf32>
}

// -----

// CHECK:      func.func @places
// CHECK-NEXT:   kernel.launch @contraction_0(%x, %w) {kernel.boundary = ["the kernel reads it at several places"]}
func.func @places(%x: tensor<16x16xf32>, %w: tensor<16x16xf32>) -> tensor<16x16xf32> {
  %0 = array.dot_general %x, %w batch [], [] contracting [1], [0] : (tensor<16x16xf32>, tensor<16x16xf32>) -> tensor<16x16xf32>
  %1 = array.transpose %0 permutation [1, 0] : (tensor<16x16xf32>) -> tensor<16x16xf32>
  %2 = array.add %0, %1 : (tensor<16x16xf32>, tensor<16x16xf32>) -> tensor<16x16xf32>
  func.return %2 : tensor<16x16xf32>
}

// -----

// The sum of the whole goes by way of rows: the kernel of the total has one point, not 128.
// CHECK:      func.func @scattered
// CHECK-NEXT:   kernel.launch @{{.*}} {kernel.boundary = ["the kernel has no point for each of its elements"]}
func.func @scattered(%x: tensor<131072xf32>) -> tensor<f32> {
  %0 = array.sum %x axes [0] : (tensor<131072xf32>) -> tensor<f32>
  func.return %0 : tensor<f32>
}

// -----

// CHECK:      func.func @long
// CHECK-NEXT:   kernel.launch @{{.*}} {kernel.boundary = ["the kernel's rows are too long for one workgroup"]}
func.func @long(%x: tensor<8x131072xf32>, %s: tensor<8x16xf32>) -> tensor<8x131072xf32> {
  %0 = array.sum %s axes [1] : (tensor<8x16xf32>) -> tensor<8xf32>
  %1 = array.broadcast %0 shape [8, 131072] dims [0] : (tensor<8xf32>) -> tensor<8x131072xf32>
  %2 = array.multiply %x, %1 : (tensor<8x131072xf32>, tensor<8x131072xf32>) -> tensor<8x131072xf32>
  func.return %2 : tensor<8x131072xf32>
}

// -----

// CHECK:      func.func @length
// CHECK-NEXT:   kernel.launch @{{.*}} {kernel.boundary = ["the kernel has rows of another length"]}
func.func @length(%x: tensor<4x8xf32>, %y: tensor<4x16xf32>) -> tensor<4x16xf32> {
  %0 = array.sum %x axes [1] : (tensor<4x8xf32>) -> tensor<4xf32>
  %1 = array.broadcast %0 shape [4, 16] dims [0] : (tensor<4xf32>) -> tensor<4x16xf32>
  %2 = array.add %1, %y : (tensor<4x16xf32>, tensor<4x16xf32>) -> tensor<4x16xf32>
  func.return %2 : tensor<4x16xf32>
}

// -----

// Equal kernels are one, with or without a remark at their launches.
// CHECK:      kernel.func @contraction_0
// CHECK-NOT:  kernel.func
// CHECK:      func.func @loops
// CHECK-NEXT:   %0 = kernel.launch @contraction_0(%x, %w) {kernel.boundary = ["the kernel has a contraction or reduction of other loops"]}
// CHECK-NEXT:   kernel.launch @contraction_0(%0, %w) : (
func.func @loops(%x: tensor<16x16xf32>, %w: tensor<16x16xf32>) -> tensor<16x16xf32> {
  %0 = array.dot_general %x, %w batch [], [] contracting [1], [0] : (tensor<16x16xf32>, tensor<16x16xf32>) -> tensor<16x16xf32>
  %1 = array.dot_general %0, %w batch [], [] contracting [1], [0] : (tensor<16x16xf32>, tensor<16x16xf32>) -> tensor<16x16xf32>
  func.return %1 : tensor<16x16xf32>
}

// -----

// A window is written; what is computed from the old value runs before.
// CHECK:      func.func @window
// CHECK-NEXT:   %0 = kernel.launch @{{.*}}(%p, %x) {kernel.boundary = ["the kernel overwrites what it is computed from"]}
// CHECK-NEXT:   %1 = kernel.launch @{{.*}}(%p, %0, %x) {kernel.boundary = ["written over a part of another value"]}
// CHECK-NEXT:   %2 = kernel.launch @{{.*}}(%u, %p, %1) : (
func.func @window(%x: tensor<64x8xf32> {stepwell.donated = 0 : i32}, %u: tensor<2x8xf32>, %p: tensor<i32>) -> tensor<64x8xf32> {
  %0 = array.dynamic_slice %x, %p axis 0 length 2 : (tensor<64x8xf32>, tensor<i32>) -> tensor<2x8xf32>
  %1 = array.exp %0 : (tensor<2x8xf32>) -> tensor<2x8xf32>
  %2 = array.dynamic_update_slice %x, %1, %p axis 0 : (tensor<64x8xf32>, tensor<2x8xf32>, tensor<i32>) -> tensor<64x8xf32>
  %3 = array.dynamic_update_slice %2, %u, %p axis 0 : (tensor<64x8xf32>, tensor<2x8xf32>, tensor<i32>) -> tensor<64x8xf32>
  func.return %3 : tensor<64x8xf32>
}
