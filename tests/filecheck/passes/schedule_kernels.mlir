// RUN: wgpu-opt %s --to=buffers -p schedule-kernels | filecheck %s
// RUN: wgpu-opt %s --to=buffers -p 'schedule-kernels{target=desktop}' | filecheck %s --check-prefix=DESKTOP
// RUN: wgpu-opt %s --to=buffers -p 'schedule-kernels{target=desktop-subgroup32}' | filecheck %s --check-prefix=SUBGROUP
// RUN: wgpu-opt %s --to=buffers -p 'schedule-kernels{target=software-subgroup8}' | filecheck %s --check-prefix=BROADCAST

// A map: one vector of four elements a thread, and as many threads as that takes.
// CHECK:      kernel.func @map_0(%x: memref<8xf32>, %[[Y:.*]]: memref<8xf32>) attributes {workgroup_size = array<i32: 2, 1, 1>, grid = array<i32: 1, 1, 1>, stepwell.flops = 8 : i64, stepwell.bytes = 64 : i64, stepwell.written = 32 : i64, kernel.plan = "map(width=4, threads=2, vectors=1, turns=1)"} {
// CHECK-NEXT:   %[[T:.*]] = "gpu.thread_id"() <{dimension = #gpu<dim x>}> : () -> index
// CHECK-NEXT:   %[[FOUR:.*]] = arith.constant 4 : index
// CHECK-NEXT:   %[[I:.*]] = arith.muli %[[T]], %[[FOUR]] : index
// CHECK-NEXT:   %[[V:.*]] = vector.load %x[%[[I]]] : memref<8xf32>, vector<4xf32>
// CHECK-NEXT:   %[[E:.*]] = math.exp %[[V]] : vector<4xf32>
// CHECK-NEXT:   vector.store %[[E]], %[[Y]][%[[I]]] : memref<8xf32>, vector<4xf32>
// CHECK-NEXT:   kernel.return
func.func @vectors(%x: tensor<2x4xf32>) -> tensor<2x4xf32> {
  %0 = array.exp %x : (tensor<2x4xf32>) -> tensor<2x4xf32>
  func.return %0 : tensor<2x4xf32>
}

// An uneven number of elements: one a thread.
// CHECK:      kernel.func @map_1({{.*}} attributes {workgroup_size = array<i32: 7, 1, 1>, grid = array<i32: 1, 1, 1>
// CHECK-NOT:    vector<4x
// CHECK:        math.exp %{{.*}} : f32
// CHECK:        kernel.return
func.func @scalars(%x: tensor<7xf32>) -> tensor<7xf32> {
  %0 = array.exp %x : (tensor<7xf32>) -> tensor<7xf32>
  func.return %0 : tensor<7xf32>
}

// More threads than elements: a guard.
// CHECK:      kernel.func @map_2({{.*}} attributes {workgroup_size = array<i32: 256, 1, 1>, grid = array<i32: 2, 1, 1>
// CHECK:        %[[C:.*]] = arith.cmpi ult, %{{.*}}, %{{.*}} : index
// CHECK-NEXT:   scf.if %[[C]] {
// CHECK:          math.exp
// CHECK:        kernel.return
func.func @guard(%x: tensor<267xf32>) -> tensor<267xf32> {
  %0 = array.exp %x : (tensor<267xf32>) -> tensor<267xf32>
  func.return %0 : tensor<267xf32>
}

// More workgroups than a dimension allows are folded into two. Where a workgroup costs time of its
// own, it has few threads, and these take turns along memory.
// CHECK:      kernel.func @map_3({{.*}} attributes {workgroup_size = array<i32: 8, 1, 1>, grid = array<i32: 32769, 1, 1>
// CHECK:        scf.for %{{.*}} = %{{.*}} to %{{.*}} step
// DESKTOP:    kernel.func @map_3({{.*}} attributes {workgroup_size = array<i32: 256, 1, 1>, grid = array<i32: 32769, 2, 1>
// DESKTOP:      <dim x>
// DESKTOP:      <dim y>
func.func @folded(%x: tensor<67108868xf32>) -> tensor<67108868xf32> {
  %0 = array.exp %x : (tensor<67108868xf32>) -> tensor<67108868xf32>
  func.return %0 : tensor<67108868xf32>
}

// Rows: a thread a row where registers are what is fast, many threads a row on a GPU, which then
// combine their parts in workgroup memory.
// CHECK:      kernel.func @reduction_4(%x: memref<2048xf32>, %[[Y:.*]]: memref<64xf32>) attributes {workgroup_size = array<i32: 64, 1, 1>, grid = array<i32: 1, 1, 1>
// CHECK-NOT:    memref.alloca
// CHECK:        scf.for
// CHECK-NEXT:     arith.constant 32
// CHECK:          vector.load %x[
// CHECK-NOT:      vector.load
// CHECK:        } {kernel.rolled}
// CHECK-NOT:    gpu.barrier
// CHECK:        memref.store %{{.*}}, %[[Y]][
// CHECK-NEXT:   kernel.return
// DESKTOP:      kernel.func @reduction_4(
// DESKTOP:        memref.alloca() : memref<{{.*}}xf32, #kernel.workgroup>
// DESKTOP:        "gpu.barrier"
// DESKTOP:        scf.if
// DESKTOP:        "gpu.barrier"
// DESKTOP:        kernel.return
func.func @rows(%x: tensor<64x32xf32>) -> tensor<64xf32> {
  %0 = array.sum %x axes [1] : (tensor<64x32xf32>) -> tensor<64xf32>
  func.return %0 : tensor<64xf32>
}

// A long row is a loop over its elements. Subgroups combine it where the target has them, and every
// thread then what the eight subgroups of the row have found.
// CHECK:      kernel.func @reduction_5(
// CHECK:        scf.for %{{.*}} = %{{.*}} to %{{.*}} step %{{.*}} iter_args(%{{.*}} = %{{.*}}) -> (vector<4xf32>)
// CHECK:          vector.load
// CHECK:          arith.maximumf
// CHECK:          scf.yield
// SUBGROUP:   kernel.func @reduction_5({{.*}} attributes {workgroup_size = array<i32: 256, 1, 1>, grid = array<i32: 64, 1, 1>, subgroup_size = 32 : i32
// SUBGROUP:     %[[LANE:.*]] = "gpu.lane_id"() : () -> index
// SUBGROUP-NEXT: %[[PART:.*]] = kernel.subgroup_reduce "max" %{{.*}} : f32
// SUBGROUP-NEXT: %[[PARTS:.*]] = memref.alloca() : memref<8xf32, #kernel.workgroup>
// SUBGROUP:     arith.cmpi ult, %[[LANE]], %{{.*}} : index
// SUBGROUP-NEXT: scf.if
// SUBGROUP:       memref.store %[[PART]], %[[PARTS]][
// SUBGROUP:     "gpu.barrier"
// SUBGROUP-COUNT-8: memref.load %[[PARTS]][
// SUBGROUP-COUNT-7: arith.maximumf
// SUBGROUP:     "gpu.barrier"
// SUBGROUP:     kernel.return
func.func @long(%x: tensor<64x1024xf32>) -> tensor<64xf32> {
  %0 = array.max %x axes [1] : (tensor<64x1024xf32>) -> tensor<64xf32>
  func.return %0 : tensor<64xf32>
}

// A product: in registers, by subgroups that read rows once, or in workgroup memory.
// CHECK:      kernel.func @contraction_6(%x: memref<64xf32>, %w: memref<512xf32>, %{{.*}}: memref<512xf32>) {{.*}}stepwell.flops = 8192 : i64{{.*}}kernel.plan = "register_tiles(
// CHECK:        math.fma
// BROADCAST:  kernel.func @contraction_6({{.*}}subgroup_size = 8 : i32{{.*}}kernel.plan = "subgroup_tiles(
// DESKTOP:    kernel.func @contraction_6({{.*}}kernel.plan = "workgroup_tiles(
func.func @product(%x: tensor<8x8xf32>, %w: tensor<8x64xf32>) -> tensor<8x64xf32> {
  %0 = array.dot_general %x, %w batch [], [] contracting [1], [0] : (tensor<8x8xf32>, tensor<8x64xf32>) -> tensor<8x64xf32>
  func.return %0 : tensor<8x64xf32>
}

// Operands of f16 are widened, the sum is rounded once, at the end.
// CHECK:      kernel.func @contraction_7(
// CHECK:        arith.extf %{{.*}} : vector<4xf16> to vector<4xf32>
// CHECK:        math.fma %{{.*}} : vector<4xf32>
// CHECK:        arith.truncf %{{.*}} : vector<4xf32> to vector<4xf16>
func.func @half(%x: tensor<8x8xf16>, %w: tensor<8x64xf16>) -> tensor<8x64xf16> {
  %0 = array.dot_general %x, %w batch [], [] contracting [1], [0] : (tensor<8x8xf16>, tensor<8x64xf16>) -> tensor<8x64xf16>
  func.return %0 : tensor<8x64xf16>
}

// Integers have no fma.
// CHECK:      kernel.func @contraction_8(
// CHECK:        arith.muli %{{.*}} : vector<4xi32>
// CHECK:        arith.addi %{{.*}} : vector<4xi32>
func.func @integers(%x: tensor<8x8xi32>, %w: tensor<8x64xi32>) -> tensor<8x64xi32> {
  %0 = array.dot_general %x, %w batch [], [] contracting [1], [0] : (tensor<8x8xi32>, tensor<8x64xi32>) -> tensor<8x64xi32>
  func.return %0 : tensor<8x64xi32>
}

// The first element is the first value of a maximum; a sum adds it to 0, as 0 + -0 is 0.
// DESKTOP:    kernel.func @reduction_9(
// DESKTOP-NOT:  0xff800000
// DESKTOP:      arith.maximumf
// DESKTOP:    kernel.func @reduction_10(
// DESKTOP:      %[[ZERO:.*]] = arith.constant 0.000000e+00 : f32
// DESKTOP:      arith.addf %[[ZERO]],
func.func @starts(%x: tensor<3x2xf32>) -> (tensor<3xf32>, tensor<3xf32>) {
  %0 = array.max %x axes [1] : (tensor<3x2xf32>) -> tensor<3xf32>
  %1 = array.negative %x : (tensor<3x2xf32>) -> tensor<3x2xf32>
  %2 = array.sum %1 axes [1] : (tensor<3x2xf32>) -> tensor<3xf32>
  func.return %0, %2 : tensor<3xf32>, tensor<3xf32>
}
