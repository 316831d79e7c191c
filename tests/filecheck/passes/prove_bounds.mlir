// RUN: wgpu-opt %s -p prove-bounds | filecheck %s

// A guard, and a vector behind it.
// CHECK: kernel.func @guarded({{.*}} grid = array<i32: 4, 1, 1>, kernel.in_bounds}
kernel.func @guarded(%x: memref<1000xf32>) attributes {workgroup_size = array<i32: 64, 1, 1>, grid = array<i32: 4, 1, 1>} {
  %b = "gpu.block_id"() <{dimension = #gpu<dim x>}> : () -> index
  %t = "gpu.thread_id"() <{dimension = #gpu<dim x>}> : () -> index
  %c64 = arith.constant 64 : index
  %c4 = arith.constant 4 : index
  %c250 = arith.constant 250 : index
  %s = arith.muli %b, %c64 : index
  %i = arith.addi %s, %t : index
  %inside = arith.cmpi ult, %i, %c250 : index
  scf.if %inside {
    %p = arith.muli %i, %c4 : index
    %v = vector.load %x[%p] : memref<1000xf32>, vector<4xf32>
    vector.store %v, %x[%p] : memref<1000xf32>, vector<4xf32>
  }
  kernel.return
}

// One vector too many.
// CHECK: kernel.func @past_the_end({{.*}}kernel.not_proved = ["{{.*}}vector.load takes 4 elements at 0 to 1000 of 1000 of x"]}
kernel.func @past_the_end(%x: memref<1000xf32>) attributes {workgroup_size = array<i32: 251, 1, 1>, grid = array<i32: 1, 1, 1>} {
  %t = "gpu.thread_id"() <{dimension = #gpu<dim x>}> : () -> index
  %c4 = arith.constant 4 : index
  %p = arith.muli %t, %c4 : index
  %v = vector.load %x[%p] : memref<1000xf32>, vector<4xf32>
  kernel.return
}

// The guard holds of what has wrapped around: the position of the vector does not follow from it.
// CHECK: kernel.func @wrapping({{.*}}kernel.not_proved = ["{{.*}}vector.load of x at what may wrap around"]}
kernel.func @wrapping(%x: memref<1000xf32>, %n: memref<1xi32>) attributes {workgroup_size = array<i32: 1, 1, 1>, grid = array<i32: 1, 1, 1>} {
  %c0 = arith.constant 0 : index
  %c4 = arith.constant 4 : index
  %c997 = arith.constant 997 : index
  %n0 = memref.load %n[%c0] : memref<1xi32>
  %n1 = arith.index_cast %n0 : i32 to index
  %p = arith.muli %n1, %c4 : index
  %inside = arith.cmpi ult, %p, %c997 : index
  scf.if %inside {
    %v = vector.load %x[%p] : memref<1000xf32>, vector<4xf32>
  }
  kernel.return
}

// An index from data: clamped, it is known; a bound below zero is far above as an index.
// CHECK: kernel.func @gathered({{.*}}, kernel.in_bounds}
kernel.func @gathered(%x: memref<10xf32>, %n: memref<1xi32>) attributes {workgroup_size = array<i32: 1, 1, 1>, grid = array<i32: 1, 1, 1>} {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0 : i32
  %nine = arith.constant 9 : i32
  %n0 = memref.load %n[%c0] : memref<1xi32>
  %n1 = arith.maxsi %n0, %zero : i32
  %n2 = arith.minsi %n1, %nine : i32
  %p = arith.index_cast %n2 : i32 to index
  %v = memref.load %x[%p] : memref<10xf32>
  kernel.return
}

// CHECK: kernel.func @clamped_above_only({{.*}}kernel.not_proved = ["{{.*}}memref.load takes 1 elements at 0 to 4294967295 of 10 of x"]}
kernel.func @clamped_above_only(%x: memref<10xf32>, %n: memref<1xi32>) attributes {workgroup_size = array<i32: 1, 1, 1>, grid = array<i32: 1, 1, 1>, kernel.in_bounds} {
  %c0 = arith.constant 0 : index
  %nine = arith.constant 9 : i32
  %n0 = memref.load %n[%c0] : memref<1xi32>
  %n2 = arith.minsi %n0, %nine : i32
  %p = arith.index_cast %n2 : i32 to index
  %v = memref.load %x[%p] : memref<10xf32>
  kernel.return
}

// Each arm of a merged kernel knows its workgroups; the numbers were computed before the branch.
// CHECK: kernel.func @merged({{.*}}, kernel.in_bounds}
kernel.func @merged(%x: memref<4xf32>, %y: memref<2xf32>) attributes {workgroup_size = array<i32: 1, 1, 1>, grid = array<i32: 6, 1, 1>} {
  %b = "gpu.block_id"() <{dimension = #gpu<dim x>}> : () -> index
  %c4 = arith.constant 4 : index
  %first = arith.cmpi ult, %b, %c4 : index
  %rest = arith.subi %b, %c4 : index
  %f = arith.constant 0.0 : f32
  scf.if %first {
    memref.store %f, %x[%b] : memref<4xf32>
  } else {
    memref.store %f, %y[%rest] : memref<2xf32>
  }
  kernel.return
}

// What follows from a quotient: half of the threads of a tree.
// CHECK: kernel.func @tree({{.*}}, kernel.in_bounds}
kernel.func @tree(%x: memref<64xf32>) attributes {workgroup_size = array<i32: 64, 1, 1>, grid = array<i32: 1, 1, 1>} {
  %t = "gpu.thread_id"() <{dimension = #gpu<dim x>}> : () -> index
  %c4 = arith.constant 4 : index
  %c8 = arith.constant 8 : index
  %c32 = arith.constant 32 : index
  %part = arith.divui %t, %c4 : index
  %busy = arith.cmpi ult, %part, %c8 : index
  %other = arith.addi %t, %c32 : index
  scf.if %busy {
    %v = memref.load %x[%other] : memref<64xf32>
  }
  kernel.return
}

// A loop that goes on until the counter wraps around may not end.
// CHECK: kernel.func @endless({{.*}}kernel.not_proved = ["{{.*}}scf.for is not known to end"]}
kernel.func @endless(%n: memref<1xi32>) attributes {workgroup_size = array<i32: 1, 1, 1>, grid = array<i32: 1, 1, 1>} {
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %n0 = memref.load %n[%c0] : memref<1xi32>
  %n1 = arith.index_cast %n0 : i32 to index
  scf.for %i = %c0 to %n1 step %c2 {
    scf.yield
  }
  kernel.return
}

// The sum over a subgroup may be any number; the lane is less than the size the kernel is made for.
// CHECK: kernel.func @subgroup_sum({{.*}}kernel.not_proved
kernel.func @subgroup_sum(%n: memref<1xi32>, %x: memref<64xf32>) attributes {workgroup_size = array<i32: 64, 1, 1>, grid = array<i32: 1, 1, 1>} {
  %c0 = arith.constant 0 : index
  %n0 = memref.load %n[%c0] : memref<1xi32>
  %sum = kernel.subgroup_reduce "add" %n0 : i32
  %i = arith.index_cast %sum : i32 to index
  %v = memref.load %x[%i] : memref<64xf32>
  kernel.return
}

// CHECK: kernel.func @lane({{.*}}, kernel.in_bounds}
kernel.func @lane(%x: memref<32xf32>) attributes {workgroup_size = array<i32: 64, 1, 1>, grid = array<i32: 1, 1, 1>, subgroup_size = 32 : i32} {
  %l = "gpu.lane_id"() : () -> index
  %v = memref.load %x[%l] : memref<32xf32>
  kernel.return
}

// CHECK: kernel.func @lane_of_any_size({{.*}}kernel.not_proved
kernel.func @lane_of_any_size(%x: memref<32xf32>) attributes {workgroup_size = array<i32: 64, 1, 1>, grid = array<i32: 1, 1, 1>} {
  %l = "gpu.lane_id"() : () -> index
  %v = memref.load %x[%l] : memref<32xf32>
  kernel.return
}

// What is never reached may be out of bounds: no thread of 8 has a number of 8 or more.
// CHECK: kernel.func @never({{.*}}, kernel.in_bounds}
kernel.func @never(%x: memref<8xf32>) attributes {workgroup_size = array<i32: 8, 1, 1>, grid = array<i32: 1, 1, 1>} {
  %t = "gpu.thread_id"() <{dimension = #gpu<dim x>}> : () -> index
  %c8 = arith.constant 8 : index
  %beyond = arith.cmpi uge, %t, %c8 : index
  %i = scf.if %beyond -> (index) {
    %j = arith.addi %t, %c8 : index
    %v = memref.load %x[%j] : memref<8xf32>
    scf.yield %j : index
  } else {
    scf.yield %t : index
  }
  %w = memref.load %x[%i] : memref<8xf32>
  kernel.return
}

// CHECK: kernel.func @seldom({{.*}}kernel.not_proved = ["{{.*}}memref.load takes 1 elements at 15 to 15 of 8
kernel.func @seldom(%x: memref<8xf32>) attributes {workgroup_size = array<i32: 8, 1, 1>, grid = array<i32: 1, 1, 1>} {
  %t = "gpu.thread_id"() <{dimension = #gpu<dim x>}> : () -> index
  %c7 = arith.constant 7 : index
  %c8 = arith.constant 8 : index
  %last = arith.cmpi uge, %t, %c7 : index
  scf.if %last {
    %j = arith.addi %t, %c8 : index
    %v = memref.load %x[%j] : memref<8xf32>
  }
  kernel.return
}
