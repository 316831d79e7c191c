// RUN: wgpu-opt %s --pass-pipeline='builtin.module(func.func(cse))' | filecheck %s
// RUN: wgpu-opt %s --pass-pipeline='builtin.module(builtin.module(func.func(cse)))' | filecheck %s --check-prefix=DEEP
// RUN: wgpu-opt %s --pass-pipeline='builtin.module(func.func(empty-tensor-to-alloc-tensor,dce))' --print-ir-after-change 2>&1 | filecheck %s --check-prefix=ORDER

// A nested pipeline visits the direct children with the name, in place and in order; a call to a
// sibling still verifies.

// CHECK-LABEL: func.func @first
// CHECK-NEXT:    arith.addi
// CHECK-NEXT:    %{{.*}} = func.call @second
// CHECK-NEXT:    func.return
// CHECK-LABEL: func.func @second
// CHECK-LABEL: func.func @inside
// CHECK-NEXT:    arith.addi
// CHECK-NEXT:    arith.addi
// CHECK-LABEL: func.func @last

// DEEP-LABEL:  func.func @first
// DEEP-NEXT:     arith.addi
// DEEP-NEXT:     arith.addi
// DEEP-LABEL:  func.func @inside
// DEEP-NEXT:     arith.addi
// DEEP-NEXT:     func.return

// ORDER:  // -----// IR Dump After dce ('func.func' operation: @first) //----- //
// ORDER:  // -----// IR Dump After empty-tensor-to-alloc-tensor ('func.func' operation: @last) //----- //

func.func @first(%a: i32) -> i32 {
  %0 = arith.addi %a, %a : i32
  %1 = arith.addi %a, %a : i32
  %2 = func.call @second(%1) : (i32) -> i32
  func.return %2 : i32
}
func.func @second(%a: i32) -> i32 {
  func.return %a : i32
}
builtin.module {
  func.func @inside(%a: i32) -> i32 {
    %0 = arith.addi %a, %a : i32
    %1 = arith.addi %a, %a : i32
    func.return %1 : i32
  }
}
func.func @last() -> tensor<4xf32> {
  %0 = tensor.empty() : tensor<4xf32>
  func.return %0 : tensor<4xf32>
}
