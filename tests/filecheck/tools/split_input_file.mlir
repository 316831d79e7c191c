// RUN: wgpu-opt %s --split-input-file -p cse | filecheck %s
// RUN: not wgpu-opt %s -p cse 2>&1 | filecheck %s --check-prefix=WHOLE

// CHECK:       func.func @f
// CHECK:       // -----
// CHECK-NEXT:  builtin.module {
// CHECK-NEXT:    func.func @f

// WHOLE: split_input_file.mlir:[[#]]:[[#]]: error: SSA value %x is already defined

%x = arith.constant 1 : i32
func.func @f() { func.return }

// -----

%x = arith.constant 1 : i32
func.func @f() { func.return }
