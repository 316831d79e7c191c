// RUN: wgpu-opt %s -t stepwell-wgsl | filecheck %s
// RUN: wgpu-opt %s -t stepwell-wgsl{enable-subgroups=true} | filecheck %s --check-prefix=TINT

// Nested expressions get the parentheses they need; a value of two users is a let.

// CHECK:      // kernel expressions
// CHECK:      @group(0) @binding(0) var<storage, read_write> x: array<f32, 64>;
// CHECK-NEXT: @compute @workgroup_size(64, 1, 1)
// CHECK-NEXT: fn main(@builtin(global_invocation_id) global_invocation_id: vec3<u32>) {
wgsl.shader @expressions {
  %x = wgsl.binding 0, 0 : !wgsl.ref<storage, read_write, !wgsl.array<f32, 64>>
  wgsl.entry [64, 1, 1] {
    %id = wgsl.builtin "global_invocation_id" : vector<3xui32>
    // CHECK-NEXT: let i = global_invocation_id.x;
    %i = wgsl.extract %id[0] : vector<3xui32>
    %one = wgsl.constant 1 : ui32
    %next = wgsl.add %i, %one : ui32
    %r0 = wgsl.index %x[%i] : !wgsl.ref<storage, read_write, !wgsl.array<f32, 64>>, ui32
    %r1 = wgsl.index %x[%next] : !wgsl.ref<storage, read_write, !wgsl.array<f32, 64>>, ui32
    %a = wgsl.load %r0 : !wgsl.ref<storage, read_write, f32>
    %b = wgsl.load %r1 : !wgsl.ref<storage, read_write, f32>
    // CHECK-NEXT: let c = x[i] - (x[i + 1u] - 2.0f);
    %two = wgsl.constant 2.0 : f32
    %s = wgsl.sub %b, %two : f32
    %c = wgsl.sub %a, %s : f32
    // CHECK-NEXT: let m = (c + 2.0f) * c / (c * 2.0f);
    %d = wgsl.add %c, %two : f32
    %e = wgsl.mul %d, %c : f32
    %f = wgsl.mul %c, %two : f32
    %m = wgsl.div %e, %f : f32
    // CHECK-NEXT: let n = -(-m) * -1.5f;
    %n0 = wgsl.neg %m : f32
    %n1 = wgsl.neg %n0 : f32
    %minus = wgsl.constant -1.5 : f32
    %n = wgsl.mul %n1, %minus : f32
    // CHECK-NEXT: x[i] = select(m, n, (m < n) & (m + n > 2.0f));
    %p = wgsl.lt %m, %n : f32
    %mn = wgsl.add %m, %n : f32
    %q = wgsl.gt %mn, %two : f32
    %pq = wgsl.and %p, %q : i1
    %t = wgsl.select %pq, %n, %m : i1, f32
    wgsl.store %t, %r0 : !wgsl.ref<storage, read_write, f32>
    // CHECK-NEXT: x[(i ^ 1u) & (i >> 3u)] = min(max(m, 0.0f), select(0.0f, 1.0f, (i == 1u)));
    %zero = wgsl.constant 0.0 : f32
    %onef = wgsl.constant 1.0 : f32
    %three = wgsl.constant 3 : ui32
    %g = wgsl.xor %i, %one : ui32
    %h = wgsl.shr %i, %three : ui32
    %gh = wgsl.and %g, %h : ui32
    %r2 = wgsl.index %x[%gh] : !wgsl.ref<storage, read_write, !wgsl.array<f32, 64>>, ui32
    %same = wgsl.eq %i, %one : ui32
    %u = wgsl.select %same, %onef, %zero : i1, f32
    %v = wgsl.max %m, %zero : f32
    %w = wgsl.min %v, %u : f32
    wgsl.store %w, %r2 : !wgsl.ref<storage, read_write, f32>
  }
}

// A read does not pass a store or a barrier: it becomes a let before it.

// CHECK:      fn main() {
// CHECK-NEXT:   let b = x[1u];
// CHECK-NEXT:   x[0u] = 1.0f;
// CHECK-NEXT:   let c = x[0u];
// CHECK-NEXT:   storageBarrier();
// CHECK-NEXT:   x[1u] = b + c;
// CHECK-NEXT: }
wgsl.shader @order {
  %x = wgsl.binding 0, 0 : !wgsl.ref<storage, read_write, !wgsl.array<f32, 2>>
  wgsl.entry [1, 1, 1] {
    %i = wgsl.constant 0 : ui32
    %j = wgsl.constant 1 : ui32
    %r = wgsl.index %x[%i] : !wgsl.ref<storage, read_write, !wgsl.array<f32, 2>>, ui32
    %s = wgsl.index %x[%j] : !wgsl.ref<storage, read_write, !wgsl.array<f32, 2>>, ui32
    %one = wgsl.constant 1.0 : f32
    %b = wgsl.load %s : !wgsl.ref<storage, read_write, f32>
    wgsl.store %one, %r : !wgsl.ref<storage, read_write, f32>
    %c = wgsl.load %r : !wgsl.ref<storage, read_write, f32>
    wgsl.storage_barrier
    %d = wgsl.add %b, %c : f32
    wgsl.store %d, %s : !wgsl.ref<storage, read_write, f32>
  }
}

// Names are legal, distinct and short; the title cannot leave its comment.

// CHECK:      // kernel <script>?*/
// CHECK:      @group(0) @binding(0) var<storage, read_write> var_1: f32;
// CHECK:      let vec4_1 = var_1 + 1.0f;
// CHECK-NEXT: let a_b = vec4_1 + 1.0f;
// CHECK-NEXT: let v9a = a_b + a_b;
// CHECK-NEXT: let aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa = v9a + a_b;
// CHECK-NEXT: let a_b_1 = aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa + aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa;
// CHECK-NEXT: var_1 = a_b_1 + vec4_1 + v9a + a_b_1;
wgsl.shader @"<script>\0A*/" {
  %var = wgsl.binding 0, 0 : !wgsl.ref<storage, read_write, f32>
  wgsl.entry [1, 1, 1] {
    %one = wgsl.constant 1.0 : f32
    %x = wgsl.load %var : !wgsl.ref<storage, read_write, f32>
    %vec4 = wgsl.add %x, %one : f32
    %a.b = wgsl.add %vec4, %one : f32
    %_9a = wgsl.add %a.b, %a.b : f32
    %aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa = wgsl.add %_9a, %a.b : f32
    %a_b = wgsl.add %aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, %aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa : f32
    %p = wgsl.add %a_b, %vec4 : f32
    %q = wgsl.add %p, %_9a : f32
    %r = wgsl.add %q, %a_b : f32
    wgsl.store %r, %var : !wgsl.ref<storage, read_write, f32>
  }
}

// Directives only where they are needed; `enable subgroups;` for Tint alone.

// CHECK:      // kernel features
// CHECK:      enable f16;
// CHECK-NOT:  enable subgroups;
// TINT:       // kernel features
// TINT:       enable f16;
// TINT-NEXT:  enable subgroups;
// CHECK:      fn main() {
// CHECK-NEXT:   let h = subgroupAdd(f32(1.5h + x));
wgsl.shader @features {
  %x = wgsl.binding 0, 0 : !wgsl.ref<storage, read_write, f16>
  wgsl.entry [1, 1, 1] {
    %c = wgsl.constant 1.5 : f16
    %v = wgsl.load %x : !wgsl.ref<storage, read_write, f16>
    %s = wgsl.add %c, %v : f16
    %w = wgsl.convert %s : f16 to f32
    %h = wgsl.subgroup_add %w : f32
  }
}

// Constants that would overflow are computed at run time; loop bounds are names or literals.

// CHECK:      fn main() {
// CHECK-NEXT:   let big = 3e+38f;
// CHECK-NEXT:   x[0u] = big * 10.0f;
// CHECK-NEXT:   x[1u] = -0.0f;
// CHECK-NEXT:   let n = u32(x[0u]) + 1u;
// CHECK-NEXT:   for (var i = 0u; i < n; i += 2u) {
// CHECK-NEXT:     x[i] = 1e-30f;
// CHECK-NEXT:   }
wgsl.shader @constants {
  %x = wgsl.binding 0, 0 : !wgsl.ref<storage, read_write, !wgsl.array<f32, 2>>
  wgsl.entry [1, 1, 1] {
    %zero = wgsl.constant 0 : ui32
    %one = wgsl.constant 1 : ui32
    %two = wgsl.constant 2 : ui32
    %r = wgsl.index %x[%zero] : !wgsl.ref<storage, read_write, !wgsl.array<f32, 2>>, ui32
    %s = wgsl.index %x[%one] : !wgsl.ref<storage, read_write, !wgsl.array<f32, 2>>, ui32
    %big = wgsl.constant 3.0e+38 : f32
    %ten = wgsl.constant 10.0 : f32
    %product = wgsl.mul %big, %ten : f32
    wgsl.store %product, %r : !wgsl.ref<storage, read_write, f32>
    %minus = wgsl.constant -0.0 : f32
    wgsl.store %minus, %s : !wgsl.ref<storage, read_write, f32>
    %v = wgsl.load %r : !wgsl.ref<storage, read_write, f32>
    %u = wgsl.convert %v : f32 to ui32
    %n = wgsl.add %u, %one : ui32
    wgsl.for %i: ui32 = %zero to %n step %two {
      %t = wgsl.index %x[%i] : !wgsl.ref<storage, read_write, !wgsl.array<f32, 2>>, ui32
      %tiny = wgsl.constant 1.0e-30 : f32
      wgsl.store %tiny, %t : !wgsl.ref<storage, read_write, f32>
    }
  }
}
