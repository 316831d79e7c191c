// RUN: wgpu-opt %s --to=buffers | filecheck %s --check-prefix=BUFFERS
// RUN: wgpu-opt %s --to=wgsl | filecheck %s --check-prefix=HOST

// A loop that ends when the largest element has reached a limit. Its condition is a buffer, which
// the host reads now and then.

// BUFFERS:      kernel.loop @main_scan_0 length 1000 while consts(%{{.*}} : memref<i32>) carries(%{{.*}}, %{{.*}} : memref<i1>, memref<3xi32>) xs() ys()
// HOST:         webgpu.dispatch @copy_scalar_0 [1, 1, 1](%[[GO:.*]], %scalars)
// HOST:         webgpu.loop 1000 while %[[GO]] {
// HOST:           webgpu.dispatch
// HOST:         }
func.func @main(%go: tensor<i1>, %x: tensor<3xi32>, %limit: tensor<i32>) -> tensor<3xi32> {
  %0, %1 = array.scan length 1000 while consts(%limit : tensor<i32>) carries(%go, %x : tensor<i1>, tensor<3xi32>) xs() -> tensor<i1>, tensor<3xi32> {
  ^bb0(%a: tensor<i32>, %b: tensor<i1>, %c: tensor<3xi32>):
    %2 = array.add %c, %c : (tensor<3xi32>, tensor<3xi32>) -> tensor<3xi32>
    %m = array.broadcast %b shape [3] dims [] : (tensor<i1>) -> tensor<3xi1>
    %k = array.where %m, %2, %c : (tensor<3xi1>, tensor<3xi32>, tensor<3xi32>) -> tensor<3xi32>
    %3 = array.max %k axes [0] : (tensor<3xi32>) -> tensor<i32>
    %4 = array.less %3, %a : (tensor<i32>, tensor<i32>) -> tensor<i1>
    array.yield %4, %k : tensor<i1>, tensor<3xi32>
  }
  func.return %1 : tensor<3xi32>
}
