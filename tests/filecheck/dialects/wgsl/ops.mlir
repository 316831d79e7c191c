// RUN: wgpu-opt %s | filecheck %s
// RUN: wgpu-opt %s | wgpu-opt | filecheck %s

// CHECK:       wgsl.shader @declarations {
// CHECK-NEXT:    %x = wgsl.binding 0, 0 : !wgsl.ref<storage, read, !wgsl.array<vector<4xf32>, 16>>
wgsl.shader @declarations {
  %x = wgsl.binding 0, 0 : !wgsl.ref<storage, read, !wgsl.array<vector<4xf32>, 16>>
  %y = wgsl.binding 0, 1 : !wgsl.ref<storage, read_write, !wgsl.array<ui32>>
  %u = wgsl.binding 0, 2 : !wgsl.ref<uniform, read, !wgsl.array<vector<4xui32>, 2>>
  %counts = wgsl.binding 0, 3 : !wgsl.ref<storage, read_write, !wgsl.array<!wgsl.atomic<ui32>, 4>>
  // CHECK: %tile = wgsl.workgroup_var : !wgsl.ref<workgroup, read_write, !wgsl.array<f32, 64>>
  %tile = wgsl.workgroup_var : !wgsl.ref<workgroup, read_write, !wgsl.array<f32, 64>>
  // CHECK: %inf = wgsl.private_var 2139095040 : ui32 : !wgsl.ref<private, read_write, ui32>
  %inf = wgsl.private_var 2139095040 : ui32 : !wgsl.ref<private, read_write, ui32>
  // CHECK: %rows = wgsl.const 12 : ui32
  %rows = wgsl.const 12 : ui32
  // CHECK: wgsl.entry [64, 1, 1] {
  wgsl.entry [64, 1, 1] {
    // CHECK-NEXT: %id = wgsl.builtin "global_invocation_id" : vector<3xui32>
    %id = wgsl.builtin "global_invocation_id" : vector<3xui32>
    %lane = wgsl.builtin "subgroup_invocation_id" : ui32
    // CHECK: %i = wgsl.extract %id[0] : vector<3xui32>
    %i = wgsl.extract %id[0] : vector<3xui32>
    // CHECK: %xr = wgsl.index %x[%i] : !wgsl.ref<storage, read, !wgsl.array<vector<4xf32>, 16>>, ui32
    %xr = wgsl.index %x[%i] : !wgsl.ref<storage, read, !wgsl.array<vector<4xf32>, 16>>, ui32
    // CHECK: %v = wgsl.load %xr : !wgsl.ref<storage, read, vector<4xf32>>
    %v = wgsl.load %xr : !wgsl.ref<storage, read, vector<4xf32>>
    // CHECK: %w = wgsl.swizzle %v "zyx" : vector<4xf32> -> vector<3xf32>
    %w = wgsl.swizzle %v "zyx" : vector<4xf32> -> vector<3xf32>
    %s = wgsl.extract %w[1] : vector<3xf32>
    // CHECK: %c = wgsl.construct %w, %s : vector<3xf32>, f32 -> vector<4xf32>
    %c = wgsl.construct %w, %s : vector<3xf32>, f32 -> vector<4xf32>
    // CHECK: %m = wgsl.lt %v, %c : vector<4xf32>
    %m = wgsl.lt %v, %c : vector<4xf32>
    // CHECK: %sel = wgsl.select %m, %v, %c : vector<4xi1>, vector<4xf32>
    %sel = wgsl.select %m, %v, %c : vector<4xi1>, vector<4xf32>
    // CHECK: %any = wgsl.any %m : vector<4xi1>
    %any = wgsl.any %m : vector<4xi1>
    // CHECK: %sh = wgsl.shl %i, %lane : ui32
    %sh = wgsl.shl %i, %lane : ui32
    // CHECK: %f = wgsl.convert %i : ui32 to f32
    %f = wgsl.convert %i : ui32 to f32
    // CHECK: %b = wgsl.bitcast %f : f32 to i32
    %b = wgsl.bitcast %f : f32 to i32
    // CHECK: %d = wgsl.dot %v, %sel : vector<4xf32>
    %d = wgsl.dot %v, %sel : vector<4xf32>
    // CHECK: %acc = wgsl.var %d : f32 -> !wgsl.ref<function, read_write, f32>
    %acc = wgsl.var %d : f32 -> !wgsl.ref<function, read_write, f32>
    // CHECK: %regs = wgsl.var -> !wgsl.ref<function, read_write, !wgsl.array<f32, 8>>
    %regs = wgsl.var -> !wgsl.ref<function, read_write, !wgsl.array<f32, 8>>
    // CHECK: wgsl.store %f, %acc : !wgsl.ref<function, read_write, f32>
    wgsl.store %f, %acc : !wgsl.ref<function, read_write, f32>
    %zero = wgsl.constant 0 : ui32
    %one = wgsl.constant 1 : ui32
    // CHECK: wgsl.for %k: ui32 = %zero to %rows step %one {
    wgsl.for %k: ui32 = %zero to %rows step %one {
      // CHECK-NEXT: wgsl.if %any {
      wgsl.if %any {
        // CHECK-NEXT: wgsl.continue
        wgsl.continue
      // CHECK-NEXT: } else {
      } else {
        wgsl.break
      }
    }
    // CHECK: wgsl.loop {
    wgsl.loop {
      wgsl.if %any {
        wgsl.return
      }
    }
    // CHECK: wgsl.workgroup_barrier
    wgsl.workgroup_barrier
    wgsl.storage_barrier
    // CHECK: %cr = wgsl.index %counts
    %cr = wgsl.index %counts[%zero] : !wgsl.ref<storage, read_write, !wgsl.array<!wgsl.atomic<ui32>, 4>>, ui32
    // CHECK: %old = wgsl.atomic_add %cr, %one : !wgsl.ref<storage, read_write, !wgsl.atomic<ui32>>
    %old = wgsl.atomic_add %cr, %one : !wgsl.ref<storage, read_write, !wgsl.atomic<ui32>>
    // CHECK: %o, %e = wgsl.atomic_compare_exchange_weak %cr, %zero, %one : !wgsl.ref<storage, read_write, !wgsl.atomic<ui32>>
    %o, %e = wgsl.atomic_compare_exchange_weak %cr, %zero, %one : !wgsl.ref<storage, read_write, !wgsl.atomic<ui32>>
    // CHECK: %total = wgsl.subgroup_add %d : f32
    %total = wgsl.subgroup_add %d : f32
    // CHECK: %first = wgsl.subgroup_broadcast %d, 0 : f32
    %first = wgsl.subgroup_broadcast %d, 0 : f32
    // CHECK: %other = wgsl.subgroup_shuffle_xor %d, %one : f32
    %other = wgsl.subgroup_shuffle_xor %d, %one : f32
    %t0 = wgsl.index %tile[%zero] : !wgsl.ref<workgroup, read_write, !wgsl.array<f32, 64>>, ui32
    // CHECK: %uni = wgsl.workgroup_uniform_load %t0 : !wgsl.ref<workgroup, read_write, f32>
    %uni = wgsl.workgroup_uniform_load %t0 : !wgsl.ref<workgroup, read_write, f32>
    // CHECK: %halves = wgsl.unpack2x16float %i
    %halves = wgsl.unpack2x16float %i
    // CHECK: %p = wgsl.pack2x16float %halves
    %p = wgsl.pack2x16float %halves
    // CHECK: %l = wgsl.let %f : f32
    %l = wgsl.let %f : f32
    // CHECK: wgsl.return
    wgsl.return
  }
}

// CHECK:      wgsl.shader @empty {
// CHECK-NEXT:   wgsl.entry [1, 1, 1] {
// CHECK-NEXT:   }
// CHECK-NEXT: }
wgsl.shader @empty {
  wgsl.entry [1, 1, 1] {
  }
}
