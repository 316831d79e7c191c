// RUN: wgpu-opt %s --split-input-file --verify-diagnostics

// expected-error@+2 {{unknown operation 'arith.addx'; did you mean 'arith.addi'?}}
func.func @f(%a: f32) {
  %0 = arith.addx %a, %a : f32
  func.return
}

// -----

func.func @f(%a: f32) -> i32 {
  func.return %a : f32
  // expected-error @above {{'func.return' op Expected arguments to have the same types}}
}

// -----

func.func @f(%a: f32) -> f32 {
  // expected-error-re @below {{operand #{{[0-9]}} does not dominate this use}}
  %0 = "arith.negf"(%1) <{fastmath = #arith.fastmath<none>}> : (f32) -> f32
  %1 = arith.negf %a : f32
  func.return %0 : f32
}

// -----

// A place that the text gives itself: the error is here, a note says where it was traced.
func.func @f(%a: f32) -> i32 {
  // expected-note @unknown {{it was traced here}}
  // expected-error @below {{expected [i32], got [f32]}}
  func.return %a : f32 loc("user.py":3:4)
}

// -----

func.func @nothing_is_wrong_here() {
  func.return
}
