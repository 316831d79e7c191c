// RUN: wgpu-opt %s --split-input-file --verify-diagnostics

wgsl.shader @nan {
  wgsl.entry [1, 1, 1] {
    // expected-error @below {{has no literal in WGSL; load its bits from a wgsl.private_var}}
    %x = wgsl.constant 0x7fc00000 : f32
  }
}

// -----

wgsl.shader @types {
  wgsl.entry [1, 1, 1] {
    // expected-error @below {{f64 is not f32, f16, i32, ui32, i1 or a vector of 2 to 4 of them}}
    %x = "wgsl.constant"() <{value = 1.0 : f64}> : () -> f64
  }
}

// -----

wgsl.shader @operand {
  wgsl.entry [1, 1, 1] {
    %x = wgsl.constant 1 : i32
    // expected-error @below {{i32 is not f32, f16 or a vector of 2 to 4 of them}}
    %y = "wgsl.exp"(%x) : (i32) -> i32
  }
}

// -----

wgsl.shader @shift {
  wgsl.entry [1, 1, 1] {
    %x = wgsl.constant 1 : i32
    // expected-error @below {{perand 'rhs' at position 1 does not verify}}
    %y = "wgsl.shl"(%x, %x) : (i32, i32) -> i32
  }
}

// -----

// expected-error @below {{no wgsl.entry at the end}}
wgsl.shader @no_entry {
}

// -----

// expected-error @below {{group, binding (0, 1) is taken twice}}
wgsl.shader @twice {
  %a = wgsl.binding 0, 1 : !wgsl.ref<storage, read, !wgsl.array<f32, 4>>
  %b = wgsl.binding 0, 1 : !wgsl.ref<storage, read, !wgsl.array<f32, 4>>
  wgsl.entry [1, 1, 1] {
  }
}

// -----

wgsl.shader @bool_buffer {
  // expected-error @below {{i1 has no layout in a buffer; use ui32}}
  %a = wgsl.binding 0, 0 : !wgsl.ref<storage, read, !wgsl.array<i1, 4>>
  wgsl.entry [1, 1, 1] {
  }
}

// -----

wgsl.shader @uniform_stride {
  // expected-error @below {{elements f32 of a uniform array are not of 16 bytes}}
  %a = wgsl.binding 0, 0 : !wgsl.ref<uniform, read, !wgsl.array<f32, 4>>
  wgsl.entry [1, 1, 1] {
  }
}

// -----

wgsl.shader @read_only {
  %a = wgsl.binding 0, 0 : !wgsl.ref<storage, read, f32>
  wgsl.entry [1, 1, 1] {
    %x = wgsl.constant 1.0 : f32
    // expected-error @below {{ref !wgsl.ref<storage, read, f32> is read-only}}
    wgsl.store %x, %a : !wgsl.ref<storage, read, f32>
  }
}

// -----

wgsl.shader @stored_type {
  %a = wgsl.binding 0, 0 : !wgsl.ref<storage, read_write, f32>
  wgsl.entry [1, 1, 1] {
    %x = wgsl.constant 1 : i32
    // expected-error @below {{perand 'value' at position 1 does not verify}}
    "wgsl.store"(%a, %x) : (!wgsl.ref<storage, read_write, f32>, i32) -> ()
  }
}

// -----

wgsl.shader @atomic {
  %a = wgsl.binding 0, 0 : !wgsl.ref<storage, read_write, i32>
  wgsl.entry [1, 1, 1] {
    %x = wgsl.constant 1 : i32
    // expected-error @below {{is no reference to a !wgsl.atomic}}
    %y = "wgsl.atomic_add"(%a, %x) : (!wgsl.ref<storage, read_write, i32>, i32) -> i32
  }
}

// -----

wgsl.shader @component {
  wgsl.entry [1, 1, 1] {
    %v = wgsl.constant dense<1.0> : vector<2xf32>
    // expected-error @below {{vector vector<2xf32> has no component 2}}
    %x = wgsl.extract %v[2] : vector<2xf32>
  }
}

// -----

wgsl.shader @lanes {
  wgsl.entry [1, 1, 1] {
    %s = wgsl.constant 1.0 : f32
    // expected-error @below {{arguments of 3 lanes in all do not make vector<4xf32>}}
    %v = wgsl.construct %s, %s, %s : f32, f32, f32 -> vector<4xf32>
  }
}

// -----

wgsl.shader @endless {
  wgsl.entry [1, 1, 1] {
    // expected-error @below {{nothing in the body leaves the loop}}
    wgsl.loop {
    }
  }
}

// -----

wgsl.shader @lost {
  wgsl.entry [1, 1, 1] {
    // expected-error @below {{wgsl.break is in no loop}}
    wgsl.break
  }
}

// -----

wgsl.shader @builtin {
  wgsl.entry [1, 1, 1] {
    // expected-error @below {{'thread_id' is none of workgroup_id, local_invocation_id}}
    %i = wgsl.builtin "thread_id" : ui32
  }
}

// -----

wgsl.shader @bits {
  wgsl.entry [1, 1, 1] {
    %x = wgsl.constant 1.0 : f16
    // expected-error @below {{argument f16 and result i32 differ in lanes or bits}}
    %y = wgsl.bitcast %x : f16 to i32
  }
}

// -----

wgsl.shader @far {
  wgsl.entry [1, 1, 1] {
    %x = wgsl.constant 32 : ui32
    // expected-error @below {{wgsl.shl: rhs is a constant of 32 or more}}
    %y = wgsl.shl %x, %x : ui32
  }
}
