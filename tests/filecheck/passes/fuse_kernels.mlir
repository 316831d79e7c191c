// RUN: wgpu-opt %s --to=linalg -p fuse-kernels | filecheck %s
// RUN: wgpu-opt %s --to=linalg -p 'fuse-kernels{target=desktop}' | filecheck %s --check-prefix=DESKTOP

// A chain of maps is one kernel.
// CHECK:      kernel.func @map_0(%x: tensor<4x8xf32>, %y: tensor<4x8xf32>) -> tensor<4x8xf32> {
// CHECK:        arith.addf
// CHECK:        math.exp
// CHECK:        arith.mulf
// CHECK:        kernel.return
// CHECK-NEXT: }
// CHECK-NEXT: func.func @chain(%x: tensor<4x8xf32>, %y: tensor<4x8xf32>) -> tensor<4x8xf32> {
// CHECK-NEXT:   %0 = kernel.launch @map_0(%x, %y) : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
// CHECK-NEXT:   func.return %0 : tensor<4x8xf32>
func.func @chain(%x: tensor<4x8xf32>, %y: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %0 = array.add %x, %y : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
  %1 = array.exp %0 : (tensor<4x8xf32>) -> tensor<4x8xf32>
  %2 = array.multiply %1, %x : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
  func.return %2 : tensor<4x8xf32>
}

// What is returned and read further on is a second result of the same kernel.
// CHECK:      kernel.func @map_1(%x: tensor<4x8xf32>) -> (tensor<4x8xf32>, tensor<4x8xf32>) {
// CHECK:      func.func @both
// CHECK-NEXT:   %[[SIN:.*]], %[[EXP:.*]] = kernel.launch @map_1(%x)
// CHECK-NEXT:   func.return %[[EXP]], %[[SIN]]
func.func @both(%x: tensor<4x8xf32>) -> (tensor<4x8xf32>, tensor<4x8xf32>) {
  %0 = array.exp %x : (tensor<4x8xf32>) -> tensor<4x8xf32>
  %1 = array.sin %0 : (tensor<4x8xf32>) -> tensor<4x8xf32>
  func.return %0, %1 : tensor<4x8xf32>, tensor<4x8xf32>
}

// Views are read through, whatever they do.
// CHECK:      kernel.func @map_2(%y: tensor<32xf32>, %x: tensor<4x8xf32>) -> tensor<8x4xf32> {
// CHECK:      func.func @views
// CHECK-NEXT:   kernel.launch @map_2(%y, %x)
// CHECK-NEXT:   func.return
func.func @views(%x: tensor<4x8xf32>, %y: tensor<32xf32>) -> tensor<8x4xf32> {
  %0 = array.transpose %x permutation [1, 0] : (tensor<4x8xf32>) -> tensor<8x4xf32>
  %1 = array.reshape %y shape [8, 4] : (tensor<32xf32>) -> tensor<8x4xf32>
  %2 = array.add %0, %1 : (tensor<8x4xf32>, tensor<8x4xf32>) -> tensor<8x4xf32>
  func.return %2 : tensor<8x4xf32>
}

// Softmax is one kernel: the maximum, the sum, what is written.
// CHECK:      kernel.func @reduction_3(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
// CHECK:        arith.maximumf
// CHECK:        math.exp
// CHECK:        arith.addf
// CHECK:        arith.divf
// CHECK:      func.func @softmax
// CHECK-NEXT:   kernel.launch @reduction_3(%x)
// CHECK-NEXT:   func.return
func.func @softmax(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %0 = array.softmax %x axis 1 : (tensor<4x8xf32>) -> tensor<4x8xf32>
  func.return %0 : tensor<4x8xf32>
}

// So is layer normalization: mean, variance, what is written.
// CHECK:      kernel.func @reduction_4(
// CHECK:        "parallel", "reduction"
// CHECK:        "parallel", "reduction"
// CHECK:        math.rsqrt
// CHECK:      func.func @layer_norm
// CHECK-NEXT:   kernel.launch @reduction_4(
// CHECK-NEXT:   func.return
func.func @layer_norm(%x: tensor<6x8xf32>, %w: tensor<8xf32>, %b: tensor<8xf32>) -> tensor<6x8xf32> {
  %0 = array.layer_norm %x, %w, %b eps 1.000000e-05 : f64 : (tensor<6x8xf32>, tensor<8xf32>, tensor<8xf32>) -> tensor<6x8xf32>
  func.return %0 : tensor<6x8xf32>
}

// And its gradient by the input, which computes mean and variance again: four reductions.
// CHECK:      kernel.func @reduction_5(%dy: tensor<6x8xf32>, %w: tensor<8xf32>, %x: tensor<6x8xf32>) -> tensor<6x8xf32> {
// CHECK-COUNT-4: "parallel", "reduction"
// CHECK-NOT:    "reduction"
// CHECK:      func.func @layer_norm_gradient
// CHECK-NEXT:   kernel.launch @reduction_5(%dy, %w, %x)
// CHECK-NEXT:   func.return
func.func @layer_norm_gradient(%x: tensor<6x8xf32>, %w: tensor<8xf32>, %b: tensor<8xf32>, %dy: tensor<6x8xf32>) -> tensor<6x8xf32> {
  %0, %1 = array.value_and_grad %x, %w, %b, %dy argnums [0] : (tensor<6x8xf32>, tensor<8xf32>, tensor<8xf32>, tensor<6x8xf32>) -> (tensor<f32>, tensor<6x8xf32>) {
  ^bb0(%xx: tensor<6x8xf32>, %ww: tensor<8xf32>, %bb: tensor<8xf32>, %dd: tensor<6x8xf32>):
    %2 = array.layer_norm %xx, %ww, %bb eps 1.000000e-05 : f64 : (tensor<6x8xf32>, tensor<8xf32>, tensor<8xf32>) -> tensor<6x8xf32>
    %3 = array.multiply %2, %dd : (tensor<6x8xf32>, tensor<6x8xf32>) -> tensor<6x8xf32>
    %4 = array.sum %3 axes [0, 1] : (tensor<6x8xf32>) -> tensor<f32>
    array.yield %4 : tensor<f32>
  }
  func.return %1 : tensor<6x8xf32>
}

// A matrix product takes its bias, activation and residual along.
// CHECK:      kernel.func @contraction_6(%r: tensor<4x16xf32>, %b: tensor<16xf32>, %x: tensor<4x8xf32>, %w: tensor<8x16xf32>) -> tensor<4x16xf32> {
// CHECK:        "parallel", "parallel", "reduction"
// CHECK:        math.exp
// CHECK:      func.func @dense
// CHECK-NEXT:   kernel.launch @contraction_6(%r, %b, %x, %w)
// CHECK-NEXT:   func.return
func.func @dense(%x: tensor<4x8xf32>, %w: tensor<8x16xf32>, %b: tensor<16xf32>, %r: tensor<4x16xf32>) -> tensor<4x16xf32> {
  %0 = array.dot_general %x, %w batch [], [] contracting [1], [0] : (tensor<4x8xf32>, tensor<8x16xf32>) -> tensor<4x16xf32>
  %1 = array.broadcast %b shape [4, 16] dims [1] : (tensor<16xf32>) -> tensor<4x16xf32>
  %2 = array.add %0, %1 : (tensor<4x16xf32>, tensor<4x16xf32>) -> tensor<4x16xf32>
  %3 = array.gelu %2 approximate "tanh" : (tensor<4x16xf32>) -> tensor<4x16xf32>
  %4 = array.add %3, %r : (tensor<4x16xf32>, tensor<4x16xf32>) -> tensor<4x16xf32>
  func.return %4 : tensor<4x16xf32>
}

// It computes a cheap operand as it reads it.
// CHECK:      kernel.func @contraction_7(%w: tensor<8x16xf32>, %x: tensor<4x8xf32>, %s: tensor<8xf32>) -> tensor<4x16xf32> {
// CHECK:      func.func @cheap_operand
// CHECK-NEXT:   kernel.launch @contraction_7(%w, %x, %s)
// CHECK-NEXT:   func.return
func.func @cheap_operand(%x: tensor<4x8xf32>, %s: tensor<8xf32>, %w: tensor<8x16xf32>) -> tensor<4x16xf32> {
  %0 = array.broadcast %s shape [4, 8] dims [1] : (tensor<8xf32>) -> tensor<4x8xf32>
  %1 = array.multiply %x, %0 : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
  %2 = array.dot_general %1, %w batch [], [] contracting [1], [0] : (tensor<4x8xf32>, tensor<8x16xf32>) -> tensor<4x16xf32>
  func.return %2 : tensor<4x16xf32>
}

// It reads an element many times, so an expensive one is computed before, with what follows on it.
// CHECK:      kernel.func @map_8(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
// CHECK:        math.exp
// CHECK:        arith.mulf
// CHECK:      kernel.func @contraction_9(
// CHECK-NOT:    math.exp
// CHECK:      func.func @expensive_operand
// CHECK-NEXT:   %[[E:.*]] = kernel.launch @map_8(%x)
// CHECK-NEXT:   kernel.launch @contraction_9(%[[E]], %w)
// CHECK-NEXT:   func.return
func.func @expensive_operand(%x: tensor<4x8xf32>, %w: tensor<8x16xf32>) -> tensor<4x16xf32> {
  %0 = array.exp %x : (tensor<4x8xf32>) -> tensor<4x8xf32>
  %1 = array.multiply %0, %x : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
  %2 = array.dot_general %1, %w batch [], [] contracting [1], [0] : (tensor<4x8xf32>, tensor<8x16xf32>) -> tensor<4x16xf32>
  func.return %2 : tensor<4x16xf32>
}

// Between two products it is the epilogue of the first.
// CHECK:      kernel.func @contraction_10(%x: tensor<4x8xf32>, %w: tensor<8x16xf32>) -> tensor<4x16xf32> {
// CHECK:        math.exp
// CHECK:      kernel.func @contraction_11(
// CHECK-NOT:    math.exp
// CHECK:      func.func @layers
// CHECK-NEXT:   %[[H:.*]] = kernel.launch @contraction_10(%x, %w)
// CHECK-NEXT:   kernel.launch @contraction_11(%[[H]], %v)
// CHECK-NEXT:   func.return
func.func @layers(%x: tensor<4x8xf32>, %w: tensor<8x16xf32>, %v: tensor<16x8xf32>) -> tensor<4x8xf32> {
  %0 = array.dot_general %x, %w batch [], [] contracting [1], [0] : (tensor<4x8xf32>, tensor<8x16xf32>) -> tensor<4x16xf32>
  %1 = array.gelu %0 approximate "tanh" : (tensor<4x16xf32>) -> tensor<4x16xf32>
  %2 = array.dot_general %1, %v batch [], [] contracting [1], [0] : (tensor<4x16xf32>, tensor<16x8xf32>) -> tensor<4x8xf32>
  func.return %2 : tensor<4x8xf32>
}

// Two products never share a kernel, but equal ones are one kernel.
// CHECK:      kernel.func @contraction_12(
// CHECK-NOT:  kernel.func
// CHECK:      func.func @equal
// CHECK-NEXT:   %[[A:.*]] = kernel.launch @contraction_12(%x, %w)
// CHECK-NEXT:   %[[B:.*]] = kernel.launch @contraction_12(%[[A]], %w)
// CHECK-NEXT:   func.return %[[B]]
func.func @equal(%x: tensor<4x8xf32>, %w: tensor<8x8xf32>) -> tensor<4x8xf32> {
  %0 = array.dot_general %x, %w batch [], [] contracting [1], [0] : (tensor<4x8xf32>, tensor<8x8xf32>) -> tensor<4x8xf32>
  %1 = array.dot_general %0, %w batch [], [] contracting [1], [0] : (tensor<4x8xf32>, tensor<8x8xf32>) -> tensor<4x8xf32>
  func.return %1 : tensor<4x8xf32>
}

// Sums of rows and of columns have no common domain.
// CHECK:      func.func @rows_and_columns
// CHECK-NEXT:   kernel.launch @reduction_13(%x)
// CHECK-NEXT:   kernel.launch @reduction_14(%x)
// CHECK-NEXT:   func.return
func.func @rows_and_columns(%x: tensor<4x8xf32>) -> (tensor<4xf32>, tensor<8xf32>) {
  %0 = array.sum %x axes [1] : (tensor<4x8xf32>) -> tensor<4xf32>
  %1 = array.sum %x axes [0] : (tensor<4x8xf32>) -> tensor<8xf32>
  func.return %0, %1 : tensor<4xf32>, tensor<8xf32>
}

// The exponentials would fit in the last kernel, but the product runs before that and needs them.
// CHECK:      func.func @cycle
// CHECK-NEXT:   %[[E:.*]] = kernel.launch @map_{{.*}}(%x)
// CHECK-NEXT:   %[[P:.*]] = kernel.launch @contraction_12(%[[E]], %w)
// CHECK-NEXT:   kernel.launch @map_{{.*}}(%[[E]], %[[P]])
// CHECK-NEXT:   func.return
func.func @cycle(%x: tensor<4x8xf32>, %w: tensor<8x8xf32>) -> tensor<4x8xf32> {
  %0 = array.exp %x : (tensor<4x8xf32>) -> tensor<4x8xf32>
  %1 = array.dot_general %0, %w batch [], [] contracting [1], [0] : (tensor<4x8xf32>, tensor<8x8xf32>) -> tensor<4x8xf32>
  %2 = array.flip %1 axes [1] : (tensor<4x8xf32>) -> tensor<4x8xf32>
  %3 = array.add %1, %2 : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
  %4 = array.add %3, %0 : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
  func.return %4 : tensor<4x8xf32>
}

// Eight inputs and a result are nine storage buffers, one more than WebGPU guarantees.
// CHECK:      func.func @many
// CHECK-NEXT:   %[[AB:.*]] = kernel.launch @map_{{.*}}(%a, %b)
// CHECK-NEXT:   kernel.launch @map_{{.*}}(%h, %g, %f, %e, %d, %[[AB]], %c)
// CHECK-NEXT:   func.return
func.func @many(%a: tensor<4xf32>, %b: tensor<4xf32>, %c: tensor<4xf32>, %d: tensor<4xf32>, %e: tensor<4xf32>, %f: tensor<4xf32>, %g: tensor<4xf32>, %h: tensor<4xf32>) -> tensor<4xf32> {
  %0 = array.add %a, %b : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %1 = array.add %0, %c : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %2 = array.add %1, %d : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %3 = array.add %2, %e : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %4 = array.add %3, %f : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %5 = array.add %4, %g : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %6 = array.add %5, %h : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  func.return %6 : tensor<4xf32>
}

// Seven and a result fit; the result over a donated argument makes room for one more.
// CHECK:      func.func @many_in_place
// CHECK-NEXT:   kernel.launch @map_{{.*}}(%h, %g, %f, %e, %d, %c, %a, %b)
// CHECK-NEXT:   func.return
func.func @many_in_place(%a: tensor<4xf32> {stepwell.donated = 0 : i32}, %b: tensor<4xf32>, %c: tensor<4xf32>, %d: tensor<4xf32>, %e: tensor<4xf32>, %f: tensor<4xf32>, %g: tensor<4xf32>, %h: tensor<4xf32>) -> tensor<4xf32> {
  %0 = array.add %a, %b : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %1 = array.add %0, %c : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %2 = array.add %1, %d : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %3 = array.add %2, %e : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %4 = array.add %3, %f : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %5 = array.add %4, %g : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %6 = array.add %5, %h : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  func.return %6 : tensor<4xf32>
}

// Host scalars come from one uniform buffer: an argument says which slot.
// CHECK:      kernel.func @map_{{.*}}(%x: tensor<4xf32>, %count: tensor<f32> {kernel.scalar = 1 : i32}, %rate: tensor<f32> {kernel.scalar = 0 : i32}) -> tensor<4xf32> {
// CHECK:      func.func @scalars
func.func @scalars(%x: tensor<4xf32>, %rate: tensor<f32>, %count: tensor<f32>) -> tensor<4xf32> {
  %0 = array.broadcast %rate shape [4] dims [] : (tensor<f32>) -> tensor<4xf32>
  %1 = array.broadcast %count shape [4] dims [] : (tensor<f32>) -> tensor<4xf32>
  %2 = array.multiply %x, %1 : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %3 = array.add %2, %0 : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  func.return %3 : tensor<4xf32>
}

// What nobody reads and what has no elements is not computed.
// CHECK:      func.func @nothing
// CHECK-NOT:    kernel.launch
// CHECK:        func.return %x, %{{.*}} : tensor<4xf32>, tensor<0x3xf32>
func.func @nothing(%x: tensor<4xf32>, %none: tensor<0x3xf32>) -> (tensor<4xf32>, tensor<0x3xf32>) {
  %0 = array.exp %x : (tensor<4xf32>) -> tensor<4xf32>
  %1 = array.exp %none : (tensor<0x3xf32>) -> tensor<0x3xf32>
  func.return %x, %1 : tensor<4xf32>, tensor<0x3xf32>
}

// Both kernels read %p anyway: each computes the tanh again, which is not stored.
// CHECK:      func.func @again
// CHECK-NEXT:   %[[Q:.*]], %[[P:.*]] = kernel.launch @contraction_{{.*}}(%x, %w) {kernel.boundary = ["the kernel would compute it many times over", "kernels would wait for each other"]}
// CHECK-NEXT:   %[[R:.*]] = kernel.launch @contraction_{{.*}}(%[[P]], %[[Q]], %w)
// CHECK-NEXT:   func.return %[[R]]
func.func @again(%x: tensor<4x8xf32>, %w: tensor<8x8xf32>) -> tensor<4x8xf32> {
  %p = array.dot_general %x, %w batch [], [] contracting [1], [0] : (tensor<4x8xf32>, tensor<8x8xf32>) -> tensor<4x8xf32>
  %t = array.tanh %p : (tensor<4x8xf32>) -> tensor<4x8xf32>
  %q = array.multiply %p, %t : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
  %r = array.dot_general %q, %w batch [], [] contracting [1], [0] : (tensor<4x8xf32>, tensor<8x8xf32>) -> tensor<4x8xf32>
  %s = array.add %r, %t : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
  %u = array.multiply %s, %p : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
  func.return %u : tensor<4x8xf32>
}

// The second kernel does not read %p but for the tanh: the tanh is stored, and %p is not.
// CHECK:      func.func @once
// CHECK-NEXT:   %[[Q:.*]], %[[T:.*]] = kernel.launch @contraction_{{.*}}(%x, %w) {kernel.boundary = ["the kernel would compute it many times over", "several kernels read it, and computing it again in each costs more; kernels would wait for each other"]}
// CHECK-NEXT:   %[[R:.*]] = kernel.launch @contraction_{{.*}}(%[[T]], %[[Q]], %w)
// CHECK-NEXT:   func.return %[[R]]
func.func @once(%x: tensor<4x8xf32>, %w: tensor<8x8xf32>) -> tensor<4x8xf32> {
  %p = array.dot_general %x, %w batch [], [] contracting [1], [0] : (tensor<4x8xf32>, tensor<8x8xf32>) -> tensor<4x8xf32>
  %t = array.tanh %p : (tensor<4x8xf32>) -> tensor<4x8xf32>
  %q = array.multiply %x, %t : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
  %r = array.dot_general %q, %w batch [], [] contracting [1], [0] : (tensor<4x8xf32>, tensor<8x8xf32>) -> tensor<4x8xf32>
  %s = array.add %r, %t : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
  func.return %s : tensor<4x8xf32>
}

// Sums over the same loops: on a GPU, one kernel reads %x once.
// CHECK:        func.func @moments
// CHECK-COUNT-2:  kernel.launch
// DESKTOP:      func.func @moments
// DESKTOP-NEXT:   %[[Q:.*]], %[[S:.*]] = kernel.launch @reduction_{{.*}}(%x)
// DESKTOP-NEXT:   func.return %[[S]], %[[Q]]
func.func @moments(%x: tensor<64x96xf32>) -> (tensor<96xf32>, tensor<96xf32>) {
  %s = array.sum %x axes [0] : (tensor<64x96xf32>) -> tensor<96xf32>
  %m = array.multiply %x, %x : (tensor<64x96xf32>, tensor<64x96xf32>) -> tensor<64x96xf32>
  %q = array.sum %m axes [0] : (tensor<64x96xf32>) -> tensor<96xf32>
  func.return %s, %q : tensor<96xf32>, tensor<96xf32>
}

// Rows too long for registers: the kernel along them keeps their sums, and the one across them, which
// reads all of %x for the columns, writes the rows.
// DESKTOP:      func.func @long_rows
// DESKTOP-NEXT:   %[[S:.*]] = kernel.launch @reduction_{{.*}}(%x)
// DESKTOP-NEXT:   %[[C:.*]], %[[Y:.*]] = kernel.launch @reduction_{{.*}}(%x, %[[S]])
// DESKTOP-NEXT:   func.return %[[Y]], %[[C]]
func.func @long_rows(%x: tensor<64x50000xf32>) -> (tensor<64x50000xf32>, tensor<50000xf32>) {
  %s = array.sum %x axes [1] : (tensor<64x50000xf32>) -> tensor<64xf32>
  %b = array.broadcast %s shape [64, 50000] dims [0] : (tensor<64xf32>) -> tensor<64x50000xf32>
  %y = array.multiply %x, %b : (tensor<64x50000xf32>, tensor<64x50000xf32>) -> tensor<64x50000xf32>
  %c = array.sum %x axes [0] : (tensor<64x50000xf32>) -> tensor<50000xf32>
  func.return %y, %c : tensor<64x50000xf32>, tensor<50000xf32>
}

// What is returned beside another map, and needs the same costly one, is its kernel's second result.
// CHECK:      func.func @beside
// CHECK-NEXT:   %[[B:.*]], %[[A:.*]] = kernel.launch @map_{{.*}}(%y, %x) : (
// CHECK-NEXT:   func.return %[[A]], %[[B]]
func.func @beside(%x: tensor<4x8xf32>, %y: tensor<4x8xf32>) -> (tensor<4x8xf32>, tensor<4x8xf32>) {
  %0 = array.multiply %x, %y : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
  %1 = array.exp %0 : (tensor<4x8xf32>) -> tensor<4x8xf32>
  %2 = array.add %1, %x : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
  %3 = array.add %1, %y : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
  func.return %2, %3 : tensor<4x8xf32>, tensor<4x8xf32>
}

// Eight maps of two tensors are more than a kernel binds, and the tensors they are computed from are not.
// CHECK:      func.func @computed_from
// CHECK-NEXT:   kernel.launch @map_{{.*}}(%x, %y)
// CHECK-NEXT:   func.return
func.func @computed_from(%x: tensor<4xf32>, %y: tensor<4xf32>) -> tensor<4xf32> {
  %0 = array.add %x, %y : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %1 = array.subtract %x, %y : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %2 = array.multiply %x, %y : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %3 = array.divide %x, %y : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %4 = array.maximum %x, %y : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %5 = array.minimum %x, %y : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %6 = array.pow %x, %y : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %7 = array.remainder %x, %y : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %8 = array.subtract %0, %1 : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %9 = array.subtract %2, %3 : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %10 = array.subtract %4, %5 : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %11 = array.subtract %6, %7 : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %12 = array.multiply %8, %9 : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %13 = array.multiply %10, %11 : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %14 = array.multiply %12, %13 : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  func.return %14 : tensor<4xf32>
}
