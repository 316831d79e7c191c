// RUN: not wgpu-opt %s -p convert-memref-to-ptr --mlir-pass-pipeline-crash-reproducer=%t 2>&1 | filecheck %s
// RUN: cat %t | filecheck %s --check-prefix=FILE
// RUN: not wgpu-opt %t --run-reproducer 2>&1 | filecheck %s --check-prefix=AGAIN
// RUN: not wgpu-opt %s --run-reproducer 2>&1 | filecheck %s --check-prefix=NONE

// CHECK:      failing_pass.mlir:21:3: error: pass 'convert-memref-to-ptr' failed:
// CHECK-NEXT: memref.store
// CHECK-NEXT: ^
// CHECK-NEXT: note: reproducer written to

// FILE:      // configuration: '--pass-pipeline=builtin.module(convert-memref-to-ptr)' --verify-each=1
// FILE-NEXT: // error: pass 'convert-memref-to-ptr' failed:
// FILE-NEXT: "builtin.module"() ({
// FILE:      "memref.store"

// AGAIN: error: pass 'convert-memref-to-ptr' failed:

// NONE: error: not a reproducer

func.func @f(%v: i32, %i: index, %m: memref<2xi32, affine_map<(d0) -> (d0 * 3)>>) {
  memref.store %v, %m[%i] : memref<2xi32, affine_map<(d0) -> (d0 * 3)>>
  func.return
}
