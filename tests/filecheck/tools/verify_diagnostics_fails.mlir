// RUN: not wgpu-opt %s --split-input-file --verify-diagnostics 2>&1 | filecheck %s

// CHECK:      verify_diagnostics_fails.mlir:11:4: error: expected error "never" was not produced
// CHECK:      verify_diagnostics_fails.mlir:19:3: error: unexpected error: 'func.return' op
// CHECK:      verify_diagnostics_fails.mlir:29:3: error: unexpected error: 'func.return' op
// CHECK:      verify_diagnostics_fails.mlir:27:6: error: expected error "Expected arguments" was not produced
// CHECK:      verify_diagnostics_fails.mlir:35:6: error: expected warning "Expected arguments" was not produced
// CHECK:      verify_diagnostics_fails.mlir:42:4: error: this regular expression is malformed

// Nothing is produced.
// expected-error {{never}}
func.func @f() {
  func.return
}

// -----
// Nothing is expected.
func.func @f(%a: f32) -> i32 {
  func.return %a : f32
}

// -----

// The line is wrong.
func.func @f(%a: f32) -> i32 {

  // expected-error {{Expected arguments}}

  func.return %a : f32
}

// -----
// The severity is wrong.
func.func @f(%a: f32) -> i32 {
  // expected-warning @below {{Expected arguments}}
  func.return %a : f32
}

// -----

// The pattern is malformed.
// expected-error-re {{ {{(}} }}
