// RUN: wgpu-opt %s -p convert-host-to-webgpu | filecheck %s

// The grid moves from the shader to the dispatch; other attributes stay.
// CHECK: wgsl.shader @scale attributes {stepwell.flops = 64 : i64} {
// CHECK: wgsl.shader @add {

"memref.global"() <{sym_name = "constant_0", sym_visibility = "private", type = memref<4xf32>, initial_value = dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32>, constant}> : () -> ()
wgsl.shader @scale attributes {grid = array<i32: 2, 1, 1>, bindings = array<i32: 0, -1, 1>, stepwell.flops = 64 : i64} {
  %x = wgsl.binding 0, 0 : !wgsl.ref<storage, read, !wgsl.array<f32, 4>>
  %y = wgsl.binding 0, 1 : !wgsl.ref<storage, read_write, !wgsl.array<f32, 4>>
  %s = wgsl.binding 0, 2 : !wgsl.ref<uniform, read, !wgsl.array<vector<4xui32>, 1>>
  wgsl.entry [4, 1, 1] {
  }
}
wgsl.shader @add attributes {grid = array<i32: 1, 1, 1>, bindings = array<i32: 0, 1>} {
  %x = wgsl.binding 0, 0 : !wgsl.ref<storage, read_write, !wgsl.array<f32, 4>>
  %y = wgsl.binding 0, 1 : !wgsl.ref<storage, read, !wgsl.array<f32, 4>>
  wgsl.entry [4, 1, 1] {
  }
}

// An array is a buffer and a host scalar a number; attributes say what the types no longer do.
// CHECK:       func.func @main(
// CHECK-SAME:    %w: !webgpu.buffer {stepwell.dtype = "f32", stepwell.shape = array<i64: 4>, stepwell.donated = 0 : i32},
// CHECK-SAME:    %rate: f32 {stepwell.dtype = "f32", stepwell.shape = array<i64>},
// CHECK-SAME:    %n: i32 {stepwell.dtype = "u32", stepwell.shape = array<i64>},
// CHECK-SAME:    %none: !webgpu.buffer {stepwell.dtype = "f32", stepwell.shape = array<i64: 0, 3>})
// CHECK-SAME:    -> (!webgpu.buffer {stepwell.dtype = "f32", stepwell.shape = array<i64: 4>, stepwell.name = "new"},
// CHECK-SAME:    !webgpu.buffer {stepwell.dtype = "u32", stepwell.shape = array<i64>},
// CHECK-SAME:    !webgpu.buffer {stepwell.dtype = "bool", stepwell.shape = array<i64: 2, 2>},
// CHECK-NEXT:    %scalars = webgpu.buffer "scalars", 16
// CHECK-NEXT:    webgpu.write_buffer %rate, %scalars[0] : f32
// CHECK-NEXT:    webgpu.write_buffer %n, %scalars[1] : i32
// CHECK-NEXT:    %pool = webgpu.buffer "temporary", 32
// CHECK-NEXT:    %constant = webgpu.buffer "constant", 16 = dense<[1.000000e+00, 2.000000e+00, 3.000000e+00, 4.000000e+00]> : tensor<4xf32>
// CHECK-NEXT:    webgpu.dispatch @scale [2, 1, 1](%constant, %pool, %scalars)
// CHECK-NEXT:    webgpu.dispatch @add [1, 1, 1](%w, %pool)
// A host scalar that is returned is copied by a shader.
// CHECK-NEXT:    %same = webgpu.buffer "output", 16
// CHECK-NEXT:    webgpu.dispatch @copy_scalar_1 [1, 1, 1](%same, %scalars)
// Views of a pool are the pool.
// CHECK-NEXT:    %bools = webgpu.buffer "output", 16
// CHECK-NEXT:    webgpu.copy %pool, %bools, 16
// What has no elements is not copied.
// CHECK-NEXT:    %empty = webgpu.buffer "output", 0
// CHECK-NEXT:    func.return %w, %same, %bools, %empty
func.func @main(%w: memref<4xf32> {stepwell.donated = 0 : i32}, %rate: memref<f32>, %n: memref<i32> {stepwell.dtype = "u32"}, %none: memref<0x3xf32>)
    -> (memref<4xf32> {stepwell.name = "new"}, memref<i32> {stepwell.dtype = "u32"}, memref<2x2xi1>, memref<0x3xf32>) {
  %zero = arith.constant 0 : index
  %pool = memref.alloc() : memref<20xi8>
  %t = memref.view %pool[%zero][] : memref<20xi8> to memref<4xf32>
  %c = memref.get_global @constant_0 : memref<4xf32>
  kernel.launch @scale(%c, %rate, %t) : (memref<4xf32>, memref<f32>, memref<4xf32>) -> ()
  kernel.launch @add(%w, %t) : (memref<4xf32>, memref<4xf32>) -> ()
  %same = memref.alloc() {stepwell.kind = "output"} : memref<i32>
  "memref.copy"(%n, %same) : (memref<i32>, memref<i32>) -> ()
  %bools = memref.alloc() {stepwell.kind = "output"} : memref<2x2xi1>
  %b = memref.view %pool[%zero][] : memref<20xi8> to memref<2x2xi1>
  "memref.copy"(%b, %bools) : (memref<2x2xi1>, memref<2x2xi1>) -> ()
  %empty = memref.alloc() {stepwell.kind = "output"} : memref<0x3xf32>
  "memref.copy"(%none, %empty) : (memref<0x3xf32>, memref<0x3xf32>) -> ()
  func.return %w, %same, %bools, %empty : memref<4xf32>, memref<i32>, memref<2x2xi1>, memref<0x3xf32>
}

// CHECK: wgsl.shader @copy_scalar_1 {
