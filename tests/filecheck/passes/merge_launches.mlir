// RUN: wgpu-opt %s --to=buffers -p schedule-kernels,merge-launches | filecheck %s
// RUN: wgpu-opt %s --to=buffers -p 'schedule-kernels{target=desktop},merge-launches{target=desktop}' | filecheck %s --check-prefix=DESKTOP

// Two small launches that need nothing of each other: workgroup 0 does one, workgroup 1 the other,
// and what both read is bound once. Ids and workgroup memory belong to the whole kernel.
// DESKTOP:      kernel.func @reduction_0_reduction_1(%[[X:.*]]: memref<256xf32>, %[[R:.*]]: memref<16xf32>, %[[C:.*]]: memref<16xf32>) attributes {workgroup_size = array<i32: 64, 1, 1>, grid = array<i32: 2, 1, 1>
// DESKTOP-NEXT:   %[[ID:.*]] = "gpu.block_id"() <{dimension = #gpu<dim x>}>
// DESKTOP-NEXT:   %[[ONE:.*]] = arith.constant 1 : index
// DESKTOP-NEXT:   %[[FIRST:.*]] = arith.cmpi ult, %[[ID]], %[[ONE]] : index
// DESKTOP-NEXT:   %{{.*}} = arith.subi %[[ID]], %[[ONE]] : index
// DESKTOP:        memref.alloca() : memref<64xf32, #kernel.workgroup>
// DESKTOP:        memref.alloca() : memref<256xf32, #kernel.workgroup>
// DESKTOP-NEXT:   scf.if %[[FIRST]] {
// DESKTOP:          memref.store %{{.*}}, %[[R]]
// DESKTOP:        } else {
// DESKTOP:          vector.store %{{.*}}, %[[C]]
// DESKTOP:        kernel.return
// DESKTOP:      func.func @sums(
// DESKTOP-COUNT-2: memref.alloc()
// DESKTOP-NEXT:   kernel.launch @reduction_0_reduction_1(%x, %0, %1) :
// DESKTOP-NEXT:   func.return %0, %1
func.func @sums(%x: tensor<16x16xf32>) -> (tensor<16xf32>, tensor<16xf32>) {
  %0 = array.sum %x axes [1] : (tensor<16x16xf32>) -> tensor<16xf32>
  %1 = array.sum %x axes [0] : (tensor<16x16xf32>) -> tensor<16xf32>
  func.return %0, %1 : tensor<16xf32>, tensor<16xf32>
}

// One needs the other: two launches.
// CHECK-LABEL: func.func @dependent
// CHECK:         kernel.launch @contraction_{{[0-9]+}}(
// CHECK:         kernel.launch @contraction_{{[0-9]+}}(
// CHECK:         func.return
func.func @dependent(%x: tensor<4x8xf32>, %w: tensor<8x8xf32>) -> tensor<4x8xf32> {
  %0 = array.dot_general %x, %w batch [], [] contracting [1], [0] : (tensor<4x8xf32>, tensor<8x8xf32>) -> tensor<4x8xf32>
  %1 = array.dot_general %0, %w batch [], [] contracting [1], [0] : (tensor<4x8xf32>, tensor<8x8xf32>) -> tensor<4x8xf32>
  func.return %1 : tensor<4x8xf32>
}

// A launch moves over others that it has nothing to do with.
// CHECK-LABEL: func.func @over_another
// CHECK:         kernel.launch @contraction_{{[0-9]+_contraction_[0-9]+}}(
// CHECK:         kernel.launch @contraction_{{[0-9]+}}(
// CHECK-NOT:     kernel.launch
// CHECK:         func.return
func.func @over_another(%x: tensor<4x8xf32>, %w: tensor<8x8xf32>, %y: tensor<4x8xf32>) -> (tensor<4x8xf32>, tensor<4x8xf32>) {
  %0 = array.dot_general %x, %w batch [], [] contracting [1], [0] : (tensor<4x8xf32>, tensor<8x8xf32>) -> tensor<4x8xf32>
  %1 = array.dot_general %0, %w batch [], [] contracting [1], [0] : (tensor<4x8xf32>, tensor<8x8xf32>) -> tensor<4x8xf32>
  %2 = array.dot_general %y, %w batch [], [] contracting [1], [0] : (tensor<4x8xf32>, tensor<8x8xf32>) -> tensor<4x8xf32>
  func.return %1, %2 : tensor<4x8xf32>, tensor<4x8xf32>
}

// The new %w may not be written in the kernel that reads the old one.
// CHECK-LABEL: func.func @overwritten
// CHECK:         kernel.launch @{{.*}}(%w, %{{.*}})
// CHECK-NEXT:    kernel.launch @{{.*}}(%w, %g)
// CHECK-NEXT:    func.return
func.func @overwritten(%w: tensor<4x8xf32> {stepwell.donated = 0 : i32}, %g: tensor<4x8xf32>) -> (tensor<4x8xf32>, tensor<8xf32>) {
  %0 = array.subtract %w, %g : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
  %1 = array.sum %w axes [0] : (tensor<4x8xf32>) -> tensor<8xf32>
  func.return %0, %1 : tensor<4x8xf32>, tensor<8xf32>
}

// Large grids fill the device alone.
// CHECK-LABEL: func.func @large
// CHECK-COUNT-2: kernel.launch @map_{{[0-9]+}}(
// CHECK:         func.return
func.func @large(%x: tensor<70000xf32>, %y: tensor<70001xf32>) -> (tensor<70000xf32>, tensor<70001xf32>) {
  %0 = array.exp %x : (tensor<70000xf32>) -> tensor<70000xf32>
  %1 = array.exp %y : (tensor<70001xf32>) -> tensor<70001xf32>
  func.return %0, %1 : tensor<70000xf32>, tensor<70001xf32>
}
