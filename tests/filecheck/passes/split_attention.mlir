// RUN: wgpu-opt %s -p "split-attention{target=desktop-subgroup32}" | filecheck %s

// Keys in 64 parts of 64, of which part p sees those up to the shift - 64 p.

// CHECK-LABEL: func.func @step
// CHECK-NEXT:    %[[Q:.*]] = array.broadcast %q shape [8, 64, 1, 64] dims [0, 2, 3]
// CHECK-NEXT:    %[[K:.*]] = array.reshape %k shape [8, 64, 64, 64]
// CHECK-NEXT:    %[[V:.*]] = array.reshape %k shape [8, 64, 64, 64]
// CHECK-NEXT:    %[[I:.*]] = array.iota i32 shape [8, 64, 1] axis 1
// CHECK-NEXT:    %[[N:.*]] = array.full 64 : i32
// CHECK-NEXT:    %[[F:.*]] = array.multiply %[[I]], %[[N]]
// CHECK:         %[[G:.*]] = array.broadcast {{.*}} shape [8, 64, 1] dims [0, 2]
// CHECK-NEXT:    %[[S:.*]] = array.subtract %[[G]], %[[F]]
// CHECK:         %[[P:.*]], %[[M:.*]] = array.attention %[[Q]], %[[K]], %[[V]] with {{.*}} scale 1.250000e-01 : f64 bounds [1, 0, 0]
// CHECK-NEXT:    array.max %[[M]] axes [1]
// CHECK:         %[[Y:.*]] = array.sum {{.*}} axes [1] : (tensor<8x64x1x64xf32>) -> tensor<8x1x64xf32>
// CHECK-NEXT:    func.return %[[Y]]
func.func @step(%q: tensor<8x1x64xf32>, %k: tensor<8x4096x64xf32>, %s: tensor<8x1xi32>) -> tensor<8x1x64xf32> {
  %y, %l = array.attention %q, %k, %k with %s scale 0.125 : f64 bounds [1, 0, 0]
    : (tensor<8x1x64xf32>, tensor<8x4096x64xf32>, tensor<8x4096x64xf32>, tensor<8x1xi32>)
    -> (tensor<8x1x64xf32>, tensor<8x1xf32>)
  func.return %y : tensor<8x1x64xf32>
}

// No shift, no run-time number: it is decomposed.

// CHECK-LABEL: func.func @known
// CHECK-NEXT:    array.attention %q, %k, %k scale
func.func @known(%q: tensor<8x1x64xf32>, %k: tensor<8x4096x64xf32>) -> tensor<8x1x64xf32> {
  %y, %l = array.attention %q, %k, %k scale 0.125 : f64 bounds [1, 0, 80]
    : (tensor<8x1x64xf32>, tensor<8x4096x64xf32>, tensor<8x4096x64xf32>)
    -> (tensor<8x1x64xf32>, tensor<8x1xf32>)
  func.return %y : tensor<8x1x64xf32>
}
