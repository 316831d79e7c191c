// RUN: not wgpu-opt %s 2>&1 | filecheck %s

// One diagnostic with file, line, column, source line and caret; no traceback, no output.

// CHECK-NOT:   Traceback
// CHECK:       {{^.*}}bad_input.mlir:12:8: error: unknown operation 'arith.addx'; did you mean 'arith.addi'?
// CHECK-NEXT:  {{^}}  %0 = arith.addx %a, %a : f32
// CHECK-NEXT:  {{^}}       ^
// CHECK-NOT:   {{.}}

func.func @f(%a: f32) {
  %0 = arith.addx %a, %a : f32
  func.return
}
