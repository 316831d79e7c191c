// RUN: wgpu-opt %s -p split-launches,prove-bounds | filecheck %s

// 7e11 operations are three dispatches: their workgroups are numbered on, the last has fewer.
// CHECK:      kernel.func @long_part_0({{.*}}) attributes {workgroup_size = array<i32: 4, 1, 1>, grid = array<i32: 2, 3, 1>, stepwell.flops = 280000000000 : i64, kernel.in_bounds}
// CHECK-NEXT:   %[[Y:.*]] = "gpu.block_id"() <{dimension = #gpu<dim y>}>
// CHECK-NEXT:   %[[X:.*]] = "gpu.block_id"() <{dimension = #gpu<dim x>}>
// CHECK-NOT:    arith.addi %[[X]], %{{.*}} : index
// CHECK:      kernel.func @long_part_1({{.*}}) attributes {workgroup_size = array<i32: 4, 1, 1>, grid = array<i32: 2, 3, 1>,
// CHECK-NEXT:   "gpu.block_id"() <{dimension = #gpu<dim y>}>
// CHECK-NEXT:   %[[X:.*]] = "gpu.block_id"() <{dimension = #gpu<dim x>}>
// CHECK-NEXT:   %[[C2:.*]] = arith.constant 2 : index
// CHECK-NEXT:   %[[AT:.*]] = arith.addi %[[X]], %[[C2]] : index
// CHECK-NEXT:   arith.constant 3 : index
// CHECK:        arith.muli %[[AT]],
// CHECK:      kernel.func @long_part_2({{.*}}) attributes {workgroup_size = array<i32: 4, 1, 1>, grid = array<i32: 1, 3, 1>, stepwell.flops = 140000000000 : i64, kernel.in_bounds}
// CHECK:        arith.constant 4 : index
kernel.func @long(%x: memref<60xf32>) attributes {workgroup_size = array<i32: 4, 1, 1>, grid = array<i32: 5, 3, 1>, stepwell.flops = 700000000000 : i64} {
  %y = "gpu.block_id"() <{dimension = #gpu<dim y>}> : () -> index
  %g = "gpu.block_id"() <{dimension = #gpu<dim x>}> : () -> index
  %c3 = arith.constant 3 : index
  %c4 = arith.constant 4 : index
  %0 = arith.muli %g, %c3 : index
  %1 = arith.addi %0, %y : index
  %2 = arith.muli %1, %c4 : index
  %t = "gpu.thread_id"() <{dimension = #gpu<dim x>}> : () -> index
  %i = arith.addi %2, %t : index
  %v = memref.load %x[%i] : memref<60xf32>
  memref.store %v, %x[%i] : memref<60xf32>
  kernel.return
}

// What moves little and computes little stays, and so does what one workgroup does.
// CHECK:      kernel.func @short(
// CHECK:      kernel.func @serial(
kernel.func @short(%x: memref<60xf32>) attributes {workgroup_size = array<i32: 4, 1, 1>, grid = array<i32: 5, 1, 1>, stepwell.flops = 300000000000 : i64, stepwell.bytes = 20000000000 : i64} {
  kernel.return
}
kernel.func @serial(%x: memref<60xf32>) attributes {workgroup_size = array<i32: 4, 1, 1>, grid = array<i32: 1, 1, 1>, stepwell.flops = 700000000000 : i64} {
  kernel.return
}

// CHECK:      func.func @main(%x: memref<60xf32>) {
// CHECK-NEXT:   kernel.launch @long_part_0(%x) : (memref<60xf32>) -> ()
// CHECK-NEXT:   kernel.launch @long_part_1(%x) : (memref<60xf32>) -> ()
// CHECK-NEXT:   kernel.launch @long_part_2(%x) : (memref<60xf32>) -> ()
// CHECK-NEXT:   kernel.launch @short(%x) : (memref<60xf32>) -> ()
// CHECK-NEXT:   func.return
func.func @main(%x: memref<60xf32>) {
  kernel.launch @long(%x) : (memref<60xf32>) -> ()
  kernel.launch @short(%x) : (memref<60xf32>) -> ()
  func.return
}
