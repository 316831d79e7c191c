// RUN: wgpu-opt %s --to=linalg | filecheck %s --check-prefix=LINALG
// RUN: wgpu-opt %s --to=linalg | wgpu-opt --to=tiled | filecheck %s --check-prefix=TILED
// RUN: wgpu-opt %s --to=tiled --target=desktop --dump-pass-pipeline 2>&1 | filecheck %s --check-prefix=DUMP
// RUN: wgpu-opt %s --to=fused -p dce --timing 2>&1 | filecheck %s --check-prefix=TIME
// RUN: wgpu-opt %s --to=wgsl -t stepwell-wgsl | filecheck %s --check-prefix=WGSL
// RUN: wgpu-opt %s --to=tiled | not wgpu-opt --to=linalg 2>&1 | filecheck %s --check-prefix=BELOW
// RUN: not wgpu-opt %s --to=lnalg 2>&1 | filecheck %s --check-prefix=STAGE
// RUN: not wgpu-opt %s --to=tiled --target=desktob 2>&1 | filecheck %s --check-prefix=TARGET
// RUN: not wgpu-opt %s --target=desktop 2>&1 | filecheck %s --check-prefix=ALONE
// RUN: not wgpu-opt %s -p 'scf-parallel-loop-tiling{parallel-loop-tile-sizes=4}' --to=fused --target=x 2>&1 | filecheck %s --check-prefix=CHOICES

// LINALG-NOT: array.
// LINALG:     linalg.generic
// LINALG:     math.exp

// TILED-NOT:  linalg
// TILED:      kernel.func @{{.*}} attributes {workgroup_size = array<i32:
// TILED:      math.exp

// DUMP: builtin.module(bound-attention,differentiate,inline-branches,simplify-array,{{.*}}schedule-kernels{target="desktop"}{{.*}})

// TIME: stage diff
// TIME: stage linalg
// TIME: stage fused
// TIME: dce

// WGSL: @compute @workgroup_size(
// WGSL: exp(

// BELOW: <stdin>:{{.*}}: error: {{.*}} is not legal at stage 'linalg'

// STAGE: wgpu-opt: error: unknown stage 'lnalg'; did you mean 'linalg'?

// TARGET: wgpu-opt: error: unknown target 'desktob' (there are software, desktop); did you mean 'desktop'?

// ALONE: wgpu-opt: error: --target says what --to lowers for: it needs --to

// CHOICES: wgpu-opt: error: unknown target 'x' (there are software, desktop)

func.func @main(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %0 = array.exp %x : (tensor<4x8xf32>) -> tensor<4x8xf32>
  func.return %0 : tensor<4x8xf32>
}
