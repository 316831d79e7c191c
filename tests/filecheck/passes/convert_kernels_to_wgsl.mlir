// RUN: wgpu-opt %s -p convert-kernels-to-wgsl --split-input-file | filecheck %s

// Vectors, a host scalar, and a constant added to the index.

// CHECK:      wgsl.shader @map attributes {grid = array<i32: 2, 1, 1>, bindings = array<i32: 0, -1, 1>} {
// CHECK-NEXT:   %x = wgsl.binding 0, 0 : !wgsl.ref<storage, read, !wgsl.array<vector<4xf32>, 64>>
// CHECK-NEXT:   %y = wgsl.binding 0, 1 : !wgsl.ref<storage, read_write, !wgsl.array<vector<4xf32>, 64>>
// CHECK-NEXT:   %scalars = wgsl.binding 0, 2 : !wgsl.ref<uniform, read, !wgsl.array<vector<4xui32>, 2>>
// CHECK-NEXT:   wgsl.entry [32, 1, 1] {
kernel.func @map(%x: memref<256xf32>, %s: memref<1xf32> {kernel.scalar = 6 : i32}, %y: memref<256xf32>)
    attributes {workgroup_size = array<i32: 32, 1, 1>, grid = array<i32: 2, 1, 1>} {
  // CHECK-NEXT: %0 = wgsl.builtin "local_invocation_id" : vector<3xui32>
  // CHECK-NEXT: %t = wgsl.extract %0[0] : vector<3xui32>
  %t = "gpu.thread_id"() <{dimension = #gpu<dim x>}> : () -> index
  %c0 = arith.constant 0 : index
  %c4 = arith.constant 4 : index
  %c128 = arith.constant 128 : index
  %i = arith.muli %t, %c4 : index
  %j = arith.addi %i, %c128 : index
  // CHECK:      %[[OFFSET:.*]] = wgsl.constant 32 : ui32
  // CHECK-NEXT: %[[PLACE:.*]] = wgsl.add %t, %[[OFFSET]] : ui32
  // CHECK-NEXT: %[[REF:.*]] = wgsl.index %x[%[[PLACE]]]
  // CHECK-NEXT: %v = wgsl.load %[[REF]] : !wgsl.ref<storage, read, vector<4xf32>>
  %v = vector.load %x[%j] : memref<256xf32>, vector<4xf32>
  // CHECK-NEXT: %[[ONE:.*]] = wgsl.constant 1 : ui32
  // CHECK-NEXT: %[[SLOTS:.*]] = wgsl.index %scalars[%[[ONE]]]
  // CHECK-NEXT: %[[WORDS:.*]] = wgsl.load %[[SLOTS]]
  // CHECK-NEXT: %[[WORD:.*]] = wgsl.extract %[[WORDS]][2] : vector<4xui32>
  // CHECK-NEXT: %a = wgsl.bitcast %[[WORD]] : ui32 to f32
  %a = memref.load %s[%c0] : memref<1xf32>
  // CHECK-NEXT: %av = wgsl.construct %a : f32 -> vector<4xf32>
  %av = vector.broadcast %a : f32 to vector<4xf32>
  // CHECK-NEXT: %d = wgsl.mul %v, %av : vector<4xf32>
  %d = arith.mulf %v, %av : vector<4xf32>
  vector.store %d, %y[%j] : memref<256xf32>, vector<4xf32>
  kernel.return
}

// -----

// A loop that carries a value, an if with a result, workgroup memory and a barrier.

// CHECK-LABEL: wgsl.shader @control
kernel.func @control(%x: memref<64xf32>)
    attributes {workgroup_size = array<i32: 64, 1, 1>, grid = array<i32: 1, 1, 1>} {
  %t = "gpu.thread_id"() <{dimension = #gpu<dim x>}> : () -> index
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c64 = arith.constant 64 : index
  %zero = arith.constant 0.0 : f32
  // CHECK: %tile = wgsl.workgroup_var : !wgsl.ref<workgroup, read_write, !wgsl.array<f32, 64>>
  %tile = memref.alloca() : memref<64xf32, #kernel.workgroup>
  %v = memref.load %x[%t] : memref<64xf32>
  memref.store %v, %tile[%t] : memref<64xf32, #kernel.workgroup>
  // CHECK:      wgsl.storage_barrier
  // CHECK-NEXT: wgsl.workgroup_barrier
  "gpu.barrier"() : () -> ()
  // CHECK-NEXT: %[[ACC:.*]] = wgsl.var %zero : f32 -> !wgsl.ref<function, read_write, f32>
  // CHECK-NEXT: wgsl.for %k: ui32 = %c0 to %c64 step %c1 {
  // CHECK-NEXT:   %[[OLD:.*]] = wgsl.load %[[ACC]]
  // CHECK-NEXT:   %[[REF:.*]] = wgsl.index %tile[%k]
  // CHECK-NEXT:   %[[W:.*]] = wgsl.load %[[REF]]
  // CHECK-NEXT:   %[[NEW:.*]] = wgsl.add %[[OLD]], %[[W]] : f32
  // CHECK-NEXT:   wgsl.store %[[NEW]], %[[ACC]]
  // CHECK-NEXT: }
  // CHECK-NEXT: %sum = wgsl.load
  %sum = scf.for %k = %c0 to %c64 step %c1 iter_args(%acc = %zero) -> (f32) {
    %w = memref.load %tile[%k] : memref<64xf32, #kernel.workgroup>
    %next = arith.addf %acc, %w : f32
    scf.yield %next : f32
  }
  // CHECK-NEXT: %first = wgsl.eq %t, %c0 : ui32
  // CHECK-NEXT: %[[R:.*]] = wgsl.var -> !wgsl.ref<function, read_write, f32>
  // CHECK-NEXT: wgsl.if %first {
  // CHECK-NEXT:   wgsl.store %sum, %[[R]]
  // CHECK-NEXT: } else {
  // CHECK-NEXT:   wgsl.store %v, %[[R]]
  // CHECK-NEXT: }
  // CHECK-NEXT: wgsl.load %[[R]]
  %first = arith.cmpi eq, %t, %c0 : index
  %r = scf.if %first -> (f32) {
    scf.yield %sum : f32
  } else {
    scf.yield %v : f32
  }
  memref.store %r, %x[%t] : memref<64xf32>
  kernel.return
}

// -----

// Unsigned operations on i32, signed comparison of indices, division by a power of two.

// CHECK-LABEL: wgsl.shader @integers
kernel.func @integers(%x: memref<64xi32>, %p: memref<64xi1>)
    attributes {workgroup_size = array<i32: 64, 1, 1>, grid = array<i32: 1, 1, 1>} {
  %t = "gpu.thread_id"() <{dimension = #gpu<dim x>}> : () -> index
  %c8 = arith.constant 8 : index
  %three = arith.constant 3 : i32
  %v = memref.load %x[%t] : memref<64xi32>
  // CHECK:      %[[V:.*]] = wgsl.convert %v : i32 to ui32
  // CHECK-NEXT: %[[THREE:.*]] = wgsl.constant 3 : ui32
  // CHECK-NEXT: %[[Q:.*]] = wgsl.div %[[V]], %[[THREE]] : ui32
  // CHECK-NEXT: %q = wgsl.convert %[[Q]] : ui32 to i32
  %q = arith.divui %v, %three : i32
  // CHECK-NEXT: %e = wgsl.shr %t, %[[THREE]] : ui32
  %e = arith.divui %t, %c8 : index
  // CHECK-NEXT: %d = wgsl.sub %e, %c8 : ui32
  %d = arith.subi %e, %c8 : index
  // CHECK-NEXT: %[[D:.*]] = wgsl.convert %d : ui32 to i32
  // CHECK-NEXT: %[[EIGHT:.*]] = wgsl.constant 8 : i32
  // CHECK-NEXT: %b = wgsl.lt %[[D]], %[[EIGHT]] : i32
  %b = arith.cmpi slt, %d, %c8 : index
  // CHECK-NEXT: %[[REF:.*]] = wgsl.index %x[%t]
  // CHECK-NEXT: wgsl.store %q, %[[REF]]
  memref.store %q, %x[%t] : memref<64xi32>
  // CHECK-NEXT: %[[B:.*]] = wgsl.convert %b : i1 to ui32
  // CHECK:      wgsl.store %[[B]]
  memref.store %b, %p[%t] : memref<64xi1>
  kernel.return
}

// -----

// Vectors and scalars of one buffer: scalars are components, of 7 elements those of two vectors.
// Vectors of two widths are split.

// CHECK-LABEL: wgsl.shader @mixed
// CHECK-NEXT:    %x = wgsl.binding 0, 0 : !wgsl.ref<storage, read, !wgsl.array<vector<4xf32>, 2>>
// CHECK-NEXT:    %y = wgsl.binding 0, 1 : !wgsl.ref<storage, read_write, !wgsl.array<f32, 7>>
kernel.func @mixed(%x: memref<7xf32>, %y: memref<7xf32>)
    attributes {workgroup_size = array<i32: 1, 1, 1>, grid = array<i32: 1, 1, 1>} {
  %c0 = arith.constant 0 : index
  %c5 = arith.constant 5 : index
  %v = vector.load %x[%c0] : memref<7xf32>, vector<4xf32>
  // CHECK:      %[[WHOLE:.*]] = wgsl.constant 1 : ui32
  // CHECK-NEXT: %[[VEC:.*]] = wgsl.index %x[%[[WHOLE]]]
  // CHECK-NEXT: %[[REF:.*]] = wgsl.index %[[VEC]][%[[WHOLE]]]
  // CHECK-NEXT: %s = wgsl.load %[[REF]] : !wgsl.ref<storage, read, f32>
  %s = memref.load %x[%c5] : memref<7xf32>
  memref.store %s, %y[%c5] : memref<7xf32>
  // CHECK-COUNT-4: wgsl.store
  vector.store %v, %y[%c0] : memref<7xf32>, vector<4xf32>
  %q = vector.load %y[%c0] : memref<7xf32>, vector<2xf32>
  kernel.return
}

// -----

// An infinity comes from bits that shader compilers do not see through.

kernel.func @nan(%y: memref<1xf32>)
    attributes {workgroup_size = array<i32: 1, 1, 1>, grid = array<i32: 1, 1, 1>} {
  // CHECK:      wgsl.private_var 4286578688 : ui32
  // CHECK:      %[[BITS:.*]] = wgsl.load %inf_bits
  // CHECK-NEXT: %inf = wgsl.bitcast %[[BITS]] : ui32 to f32
  %inf = arith.constant 0xff800000 : f32
  %c0 = arith.constant 0 : index
  memref.store %inf, %y[%c0] : memref<1xf32>
  kernel.return
}

// -----

// An array of at most 1 GiB has its size, a larger one that of its binding.

// CHECK-LABEL: wgsl.shader @large
// CHECK-NEXT:    %x = wgsl.binding 0, 0 : !wgsl.ref<storage, read, !wgsl.array<f32, 268435456>>
// CHECK-NEXT:    %y = wgsl.binding 0, 1 : !wgsl.ref<storage, read_write, !wgsl.array<f32>>
kernel.func @large(%x: memref<268435456xf32>, %y: memref<268435457xf32>)
    attributes {workgroup_size = array<i32: 1, 1, 1>, grid = array<i32: 1, 1, 1>} {
  %c0 = arith.constant 0 : index
  %v = memref.load %x[%c0] : memref<268435456xf32>
  memref.store %v, %y[%c0] : memref<268435457xf32>
  kernel.return
}

// -----

// Narrow integers share words: four of 8 bits are one, stores of less than a word are atomic.

// CHECK:      wgsl.shader @packed
// CHECK-NEXT:   %x = wgsl.binding 0, 0 : !wgsl.ref<storage, read, !wgsl.array<i32, 16>>
// CHECK-NEXT:   %y = wgsl.binding 0, 1 : !wgsl.ref<storage, read_write, !wgsl.array<i32, 16>>
// CHECK-NEXT:   %z = wgsl.binding 0, 2 : !wgsl.ref<storage, read_write, !wgsl.array<!wgsl.atomic<i32>, 8>>
kernel.func @packed(%x: memref<64xi8>, %y: memref<64xi8>, %z: memref<64xi4>)
    attributes {workgroup_size = array<i32: 16, 1, 1>, grid = array<i32: 1, 1, 1>} {
  %t = "gpu.thread_id"() <{dimension = #gpu<dim x>}> : () -> index
  %c4 = arith.constant 4 : index
  %i = arith.muli %t, %c4 : index
  // CHECK:      %[[REF:.*]] = wgsl.index %x[%t]
  // CHECK-NEXT: %[[WORD:.*]] = wgsl.load %[[REF]]
  // CHECK-NEXT: %[[WORDS:.*]] = wgsl.construct %[[WORD]] : i32 -> vector<4xi32>
  // CHECK:      %[[HIGH:.*]] = wgsl.shl %[[WORDS]], %{{.*}} : vector<4xi32>
  // CHECK:      %v = wgsl.shr %[[HIGH]], %{{.*}} : vector<4xi32>
  %v = vector.load %x[%i] : memref<64xi8>, vector<4xi8>
  // CHECK-NOT:  wgsl.atomic
  // CHECK:      wgsl.store
  vector.store %v, %y[%i] : memref<64xi8>, vector<4xi8>
  %s = memref.load %x[%t] : memref<64xi8>
  %w = arith.extsi %s : i8 to i32
  %n = arith.trunci %w : i32 to i4
  // CHECK:      wgsl.atomic_and
  // CHECK:      wgsl.atomic_or
  memref.store %n, %z[%t] : memref<64xi4>
  kernel.return
}

// -----

// A number of iterations that the driver's compiler should not know: it writes out few ones.
// CHECK-LABEL: wgsl.shader @rolled
// CHECK:         %c4 = wgsl.constant 4 : ui32
// CHECK:         %[[GROUP:.*]] = wgsl.extract %{{.*}}[0] : vector<3xui32>
// CHECK:         %[[MORE:.*]] = wgsl.add %c4, %[[GROUP]] : ui32
// CHECK-NEXT:    %[[FOUR:.*]] = wgsl.min %c4, %[[MORE]] : ui32
// CHECK-NEXT:    wgsl.for %i: ui32 = %c0 to %[[FOUR]] step %c1 {
kernel.func @rolled(%x: memref<4xf32>) attributes {workgroup_size = array<i32: 1, 1, 1>, grid = array<i32: 1, 1, 1>} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %one = arith.constant 1.000000e+00 : f32
  scf.for %i = %c0 to %c4 step %c1 {
    memref.store %one, %x[%i] : memref<4xf32>
  } {kernel.rolled}
  kernel.return
}
