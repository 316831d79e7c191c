// RUN: wgpu-opt %s --split-input-file --verify-diagnostics

// expected-error @below {{kernel.func: kernel.return differs from the result types}}
kernel.func @results(%x: tensor<4xf32>) -> tensor<8xf32> {
  kernel.return %x : tensor<4xf32>
}

// -----

// expected-error @below {{kernel.func: the body ends with kernel.return}}
kernel.func @endless(%x: tensor<4xf32>) {
  "test.termop"() : () -> ()
}

// -----

// expected-error @below {{kernel.func @arguments: block arguments differ from its type}}
"kernel.func"() <{sym_name = "arguments", function_type = (tensor<4xf32>) -> ()}> ({
^bb0(%x: tensor<8xf32>):
  kernel.return
}) : () -> ()

// -----

// expected-error @below {{kernel.func: one arg_attrs dictionary an argument}}
"kernel.func"() <{sym_name = "attributes", function_type = () -> (), arg_attrs = [{}]}> ({
  kernel.return
}) : () -> ()

// -----

// expected-error @below {{kernel.func: workgroup_size is three positive integers}}
kernel.func @size() attributes {workgroup_size = array<i32: 64, 1>} {
  kernel.return
}

// -----

// expected-error @below {{kernel.func: grid is three positive integers}}
kernel.func @grid() attributes {grid = array<i32: 0, 1, 1>} {
  kernel.return
}

// -----

func.func @mixed(%x: tensor<4xf32>, %y: memref<4xf32>) {
  // expected-error @below {{kernel.launch: takes tensors or memrefs, not both}}
  kernel.launch @k(%x, %y) : (tensor<4xf32>, memref<4xf32>) -> ()
  func.return
}

// -----

func.func @result(%x: memref<4xf32>) {
  // expected-error @below {{kernel.launch: on memrefs it has no results}}
  %y = kernel.launch @k(%x) : (memref<4xf32>) -> memref<4xf32>
  func.return
}

// -----

func.func @returns() {
  // expected-error @below {{'kernel.return' expects parent op 'kernel.func'}}
  kernel.return
}

// -----

func.func @elements(%x: f32) {
  // expected-error @below {{kernel.from_elements: vector<4xf32> takes 4 scalars of its type}}
  %v = kernel.from_elements %x, %x : f32, f32 -> vector<4xf32>
  func.return
}

// -----

func.func @lengths(%x: vector<2xi32>) {
  // expected-error @below {{kernel.sitofp: operands and result are vectors of one length}}
  %v = kernel.sitofp %x : vector<2xi32> to vector<4xf32>
  func.return
}

// -----

func.func @kind(%x: f32) {
  // expected-error @below {{kernel.subgroup_reduce: kind is one of}}
  %y = kernel.subgroup_reduce "minus" %x : f32
  func.return
}

// -----

// expected-error @below {{kernel.func: kernel.plan is a text}}
kernel.func @plan() attributes {kernel.plan} {
  kernel.return
}

// -----

func.func @nobody(%h: memref<2xf32>) {
  // expected-error @below {{kernel.loop: there is no function @step}}
  kernel.loop @step length 5 consts() carries(%h : memref<2xf32>) xs() ys()
  func.return
}

// -----

func.func @count(%h: memref<2xf32>) {
  // expected-error @below {{kernel.loop: @step takes 1 and returns 0, a step here takes 1 and returns 1}}
  kernel.loop @step length 5 consts() carries(%h : memref<2xf32>) xs() ys()
  func.return
}

func.func private @step(%h: memref<2xf32>) {
  func.return
}

// -----

func.func @slices(%xs: memref<4x2xf32>) {
  // expected-error @below {{kernel.loop: memref<4x2xf32> has not one slice for each step}}
  kernel.loop @step length 5 consts() carries() xs(%xs : memref<4x2xf32>) ys()
  func.return
}

func.func private @step(%x: memref<2xf32>) {
  func.return
}

// -----

func.func @types(%c: memref<i1>, %x: memref<2xf32>) {
  // expected-error @below {{kernel.when: the types are not those of @branch}}
  kernel.when %c : memref<i1> @branch(%x : memref<2xf32>) results(%x : memref<2xf32>)
  func.return
}

func.func private @branch(%x: memref<2xf32>) {
  func.return
}
