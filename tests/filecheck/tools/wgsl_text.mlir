// RUN: wgpu-opt %s -t stepwell-wgsl | filecheck %s
// RUN: wgpu-opt %s -t 'stepwell-wgsl{enable-subgroups=true}' | filecheck %s
// RUN: cat %s | not wgpu-opt - -t stepwell-wgsl -p dce,empty 2>&1 | filecheck %s --check-prefix=PASS
// RUN: not wgpu-opt %S/timing.mlir -t stepwell-wgsl 2>&1 | filecheck %s --check-prefix=NONE
// RUN: not wgpu-opt %s -t 'stepwell-wgsl{subgroups=true}' 2>&1 | filecheck %s --check-prefix=OPTION

// CHECK:      var<storage, read_write> y: array<u32>;
// CHECK:      @compute @workgroup_size(64, 1, 1)
// CHECK:      y[{{.*}}] = {{.*}};

// PASS: error: unknown pass 'empty'

// NONE: timing.mlir:1:1: error: cannot print the result: there is no wgsl.shader here to print as text: lower with --to=wgsl first

// OPTION: wgpu-opt: error: output format 'stepwell-wgsl': Provided arguments ["subgroups"] not found

wgsl.shader @ids {
  %y = wgsl.binding 0, 0 : !wgsl.ref<storage, read_write, !wgsl.array<ui32>>
  wgsl.entry [64, 1, 1] {
    %id = wgsl.builtin "global_invocation_id" : vector<3xui32>
    %i = wgsl.extract %id[0] : vector<3xui32>
    %place = wgsl.index %y[%i] : !wgsl.ref<storage, read_write, !wgsl.array<ui32>>, ui32
    wgsl.store %i, %place : !wgsl.ref<storage, read_write, ui32>
  }
}
