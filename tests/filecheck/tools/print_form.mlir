// RUN: wgpu-opt %s --mlir-print-op-generic | filecheck %s --check-prefix=GENERIC
// RUN: wgpu-opt %s --print-op-generic | filecheck %s --check-prefix=GENERIC
// RUN: wgpu-opt %s --mlir-print-debuginfo | filecheck %s --check-prefix=DEBUG

// GENERIC:       "func.func"() <{sym_name = "f", function_type = (f32) -> f32}> ({
// GENERIC-NEXT:  ^bb0(%a: f32):
// GENERIC-NEXT:    %0 = "arith.negf"(%a)

// DEBUG:  arith.negf %a : f32 loc("{{.*}}print_form.mlir":13:8)
// DEBUG:  func.return %0 : f32 loc("user.py":3:4)

func.func @f(%a: f32) -> f32 {
  %0 = arith.negf %a : f32
  func.return %0 : f32 loc("user.py":3:4)
}
