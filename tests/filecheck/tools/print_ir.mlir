// RUN: wgpu-opt %s -p canonicalize,cse --print-ir-before=cse 2>&1 | filecheck %s --check-prefix=BEFORE
// RUN: wgpu-opt %s -p canonicalize,cse --print-ir-after=canonicalize,cse 2>&1 | filecheck %s --check-prefix=AFTER
// RUN: wgpu-opt %s -p canonicalize,cse,dce --print-ir-after-change 2>&1 | filecheck %s --check-prefix=CHANGE
// RUN: wgpu-opt %s -p canonicalize,cse --mlir-print-ir-before-all --mlir-print-ir-after-all 2>&1 | filecheck %s --check-prefix=ALL
// RUN: wgpu-opt %s --pass-pipeline='builtin.module(func.func(cse))' --print-ir-after-all 2>&1 | filecheck %s --check-prefix=NESTED

// BEFORE-NOT:  canonicalize
// BEFORE:      // -----// IR Dump Before cse //----- //
// BEFORE-NEXT: builtin.module {
// BEFORE-NOT:  IR Dump

// AFTER:  // -----// IR Dump After canonicalize //----- //
// AFTER:  // -----// IR Dump After cse //----- //

// CHANGE-NOT: canonicalize
// CHANGE:     // -----// IR Dump After cse //----- //
// CHANGE-NOT: dce

// ALL:      // -----// IR Dump Before canonicalize //----- //
// ALL:      // -----// IR Dump After canonicalize //----- //
// ALL:      // -----// IR Dump Before cse //----- //
// ALL:      // -----// IR Dump After cse //----- //

// NESTED:      // -----// IR Dump After cse ('func.func' operation: @f) //----- //
// NESTED-NEXT: func.func @f
// NESTED:      // -----// IR Dump After cse ('func.func' operation: @g) //----- //
// NESTED-NEXT: func.func @g


func.func @f(%a: f32, %b: f32) -> f32 {
  %0 = arith.addf %a, %b : f32
  %1 = arith.addf %a, %b : f32
  %2 = arith.mulf %0, %1 : f32
  func.return %2 : f32
}
func.func @g() {
  func.return
}
