// RUN: wgpu-opt %s --pass-pipeline='builtin.module(func.func(canonicalize,cse),dce)' --mlir-timing 2>&1 | filecheck %s

// CHECK:       ... Execution time report ...
// CHECK:       Total Execution Time: {{[0-9.]+}} seconds
// CHECK:       ----Wall Time----  ----Name----
// CHECK-NEXT:  {{[0-9.]+ \( *[0-9.]+%\)}}  Parser
// CHECK-NEXT:  Verification
// CHECK-NEXT:  {{[0-9.]+ \( *[0-9.]+%\)}}  'func.func' Pipeline
// CHECK-NEXT:  {{ \( *[0-9.]+%\)}}    canonicalize
// CHECK-NEXT:  {{ \( *[0-9.]+%\)}}    cse
// CHECK-NEXT:  {{ \( *[0-9.]+%\)}}  dce
// CHECK:       Rest
// CHECK-NEXT:  (100.0%)  Total

func.func @f() {
  func.return
}
func.func @g() {
  func.return
}
