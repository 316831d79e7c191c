// The printed form, read again, gives itself; the generic form gives it too.
// RUN: wgpu-opt %s | filecheck %s
// RUN: wgpu-opt %s | wgpu-opt | filecheck %s
// RUN: wgpu-opt %s --mlir-print-op-generic | wgpu-opt | filecheck %s

// On tensors, with a host scalar.
// CHECK:      kernel.func @scale(%x: tensor<4xf32>, %s: tensor<f32> {kernel.scalar = 2 : i32}) -> tensor<4xf32> {
// CHECK-NEXT:   kernel.return %x : tensor<4xf32>
// CHECK-NEXT: }
kernel.func @scale(%x: tensor<4xf32>, %s: tensor<f32> {kernel.scalar = 2 : i32}) -> tensor<4xf32> {
  kernel.return %x : tensor<4xf32>
}

// On memrefs, with a schedule and other attributes.
// CHECK:      kernel.func @lanes(%x: memref<4xf32>) attributes {workgroup_size = array<i32: 64, 1, 1>, grid = array<i32: 3, 2, 1>, stepwell.flops = 7 : i64} {
kernel.func @lanes(%x: memref<4xf32>) attributes {workgroup_size = array<i32: 64, 1, 1>, grid = array<i32: 3, 2, 1>, stepwell.flops = 7 : i64} {
  %a, %b = "test.op"() : () -> (f32, i32)
  // CHECK: %v = kernel.from_elements %a, %a, %a, %a : f32, f32, f32, f32 -> vector<4xf32>
  %v = kernel.from_elements %a, %a, %a, %a : f32, f32, f32, f32 -> vector<4xf32>
  // CHECK-NEXT: %w = kernel.from_elements %b, %b : i32, i32 -> vector<2xi32>
  %w = kernel.from_elements %b, %b : i32, i32 -> vector<2xi32>
  // CHECK-NEXT: %c = kernel.cmpf 4, %v, %v : vector<4xf32> -> vector<4xi1>
  %c = kernel.cmpf 4, %v, %v : vector<4xf32> -> vector<4xi1>
  // CHECK-NEXT: %d = kernel.cmpi 2, %w, %w : vector<2xi32> -> vector<2xi1>
  %d = kernel.cmpi 2, %w, %w : vector<2xi32> -> vector<2xi1>
  // CHECK-NEXT: %e = kernel.select %c, %v, %v : vector<4xi1>, vector<4xf32>
  %e = kernel.select %c, %v, %v : vector<4xi1>, vector<4xf32>
  // CHECK-NEXT: %f = kernel.sitofp %w : vector<2xi32> to vector<2xf32>
  %f = kernel.sitofp %w : vector<2xi32> to vector<2xf32>
  // CHECK-NEXT: %g = kernel.uitofp %w : vector<2xi32> to vector<2xf32>
  %g = kernel.uitofp %w : vector<2xi32> to vector<2xf32>
  // CHECK-NEXT: %h = kernel.fptosi %v : vector<4xf32> to vector<4xi32>
  %h = kernel.fptosi %v : vector<4xf32> to vector<4xi32>
  // CHECK-NEXT: %i = kernel.fptoui %v : vector<4xf32> to vector<4xi32>
  %i = kernel.fptoui %v : vector<4xf32> to vector<4xi32>
  // CHECK-NEXT: %j = kernel.extui %d : vector<2xi1> to vector<2xi32>
  %j = kernel.extui %d : vector<2xi1> to vector<2xi32>
  // CHECK-NEXT: %k = kernel.extsi %d : vector<2xi1> to vector<2xi32>
  %k = kernel.extsi %d : vector<2xi1> to vector<2xi32>
  // CHECK-NEXT: %l = kernel.trunci %w : vector<2xi32> to vector<2xi1>
  %l = kernel.trunci %w : vector<2xi32> to vector<2xi1>
  // CHECK-NEXT: %m = kernel.index_cast %w : vector<2xi32> to vector<2xindex>
  %m = kernel.index_cast %w : vector<2xi32> to vector<2xindex>
  // CHECK-NEXT: %n = kernel.subgroup_reduce "add" %a : f32
  %n = kernel.subgroup_reduce "add" %a : f32
  // CHECK-NEXT: %o = kernel.subgroup_broadcast %v, 3 : vector<4xf32>
  %o = kernel.subgroup_broadcast %v, 3 : vector<4xf32>
  // CHECK-NEXT: %p = memref.alloca() : memref<8xf32, #kernel.workgroup>
  %p = memref.alloca() : memref<8xf32, #kernel.workgroup>
  // CHECK-NEXT: kernel.return
  kernel.return
}

// CHECK:      func.func @on_tensors
func.func @on_tensors(%x: tensor<4xf32>, %s: tensor<f32>) -> tensor<4xf32> {
  // CHECK-NEXT: %y = kernel.launch @scale(%x, %s) : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
  %y = kernel.launch @scale(%x, %s) : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
  func.return %y : tensor<4xf32>
}

// CHECK:      func.func @on_memrefs
func.func @on_memrefs(%x: memref<4xf32>) {
  // CHECK-NEXT: kernel.launch @lanes(%x) : (memref<4xf32>) -> ()
  kernel.launch @lanes(%x) : (memref<4xf32>) -> ()
  func.return
}

// CHECK-LABEL: @loop
func.func @loop(%w: memref<f32>, %h: memref<2xf32>, %xs: memref<5x2xf32>, %ys: memref<5x2xf32>) {
  // CHECK-NEXT: kernel.loop @step length 5 reverse consts(%w : memref<f32>) carries(%h : memref<2xf32>) xs(%xs : memref<5x2xf32>) ys(%ys : memref<5x2xf32>)
  kernel.loop @step length 5 reverse consts(%w : memref<f32>) carries(%h : memref<2xf32>) xs(%xs : memref<5x2xf32>) ys(%ys : memref<5x2xf32>)
  func.return
}

func.func private @step(%w: memref<f32>, %h: memref<2xf32>, %x: memref<2xf32>) -> (memref<2xf32>, memref<2xf32>) {
  func.return %h, %x : memref<2xf32>, memref<2xf32>
}

// CHECK-LABEL: @when
func.func @when(%c: memref<i1>, %x: memref<2xf32>, %y: memref<2xf32>) {
  // CHECK-NEXT: kernel.when %c : memref<i1> @branch(%x : memref<2xf32>) results(%y : memref<2xf32>)
  kernel.when %c : memref<i1> @branch(%x : memref<2xf32>) results(%y : memref<2xf32>)
  func.return
}

func.func private @branch(%x: memref<2xf32>) -> memref<2xf32> {
  func.return %x : memref<2xf32>
}
