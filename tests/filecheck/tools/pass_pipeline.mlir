// RUN: wgpu-opt %s --pass-pipeline='builtin.module(func.func(canonicalize,cse),dce)' | filecheck %s
// RUN: wgpu-opt %s -p canonicalize,cse,dce | filecheck %s
// RUN: wgpu-opt %s --canonicalize --cse --dce | filecheck %s
// RUN: cat %s | wgpu-opt - --pass-pipeline="builtin.module( func.func( cse ) )" | filecheck %s
// RUN: wgpu-opt %s --dump-pass-pipeline --pass-pipeline='builtin.module(func.func(canonicalize,cse),scf-for-loop-range-folding,scf-parallel-loop-tiling{parallel-loop-tile-sizes=4,8})' 2>&1 | filecheck %s --check-prefix=DUMP
// RUN: wgpu-opt %s --pass-pipeline='builtin.module(scf.for(cse))' | filecheck %s --check-prefix=NONE

// CHECK:       func.func @f(%a: f32, %b: f32) -> f32 {
// CHECK-NEXT:    %0 = arith.addf %a, %b : f32
// CHECK-NEXT:    %1 = arith.mulf %0, %0 : f32
// CHECK-NEXT:    func.return %1 : f32
// CHECK:       func.func private @g() -> ()

// DUMP: builtin.module(func.func(canonicalize,cse),scf-for-loop-range-folding,scf-parallel-loop-tiling{parallel_loop_tile_sizes=4,8})

// NONE:       arith.addf
// NONE-NEXT:  arith.addf

func.func @f(%a: f32, %b: f32) -> f32 {
  %0 = arith.addf %a, %b : f32
  %1 = arith.addf %a, %b : f32
  %2 = arith.mulf %0, %1 : f32
  func.return %2 : f32
}
func.func private @g() -> ()
