// RUN: wgpu-opt %s -p decompose-composites | filecheck %s

// A composite in a decomposition is decomposed too: silu needs a sigmoid.
// CHECK-LABEL: @silu
// CHECK-NOT: array.si
// CHECK: %[[abs:.*]] = array.abs %x
// CHECK-NEXT: %[[minus:.*]] = array.negative %[[abs]]
// CHECK-NEXT: %[[decay:.*]] = array.exp %[[minus]]
// CHECK: %[[s:.*]] = array.divide
// CHECK-NEXT: %[[y:.*]] = array.multiply %x, %[[s]]
// CHECK-NEXT: func.return %[[y]]
func.func @silu(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = array.silu %x : (tensor<4xf32>) -> tensor<4xf32>
  func.return %0 : tensor<4xf32>
}

// CHECK-LABEL: @softmax
// CHECK-NEXT: %[[m:.*]] = array.max %x axes [1] : (tensor<2x3xf32>) -> tensor<2xf32>
// CHECK-NEXT: %[[mb:.*]] = array.broadcast %[[m]] shape [2, 3] dims [0]
// CHECK-NEXT: %[[d:.*]] = array.subtract %x, %[[mb]]
// CHECK-NEXT: %[[e:.*]] = array.exp %[[d]]
// CHECK-NEXT: %[[s:.*]] = array.sum %[[e]] axes [1]
// CHECK-NEXT: %[[sb:.*]] = array.broadcast %[[s]] shape [2, 3] dims [0]
// CHECK-NEXT: %[[y:.*]] = array.divide %[[e]], %[[sb]]
// CHECK-NEXT: func.return %[[y]]
func.func @softmax(%x: tensor<2x3xf32>) -> tensor<2x3xf32> {
  %0 = array.softmax %x axis 1 : (tensor<2x3xf32>) -> tensor<2x3xf32>
  func.return %0 : tensor<2x3xf32>
}

// f16 is computed in f32 where a sum of many elements is taken.
// CHECK-LABEL: @layer_norm
// CHECK-COUNT-3: array.cast %{{.*}} to f32
// CHECK-NOT: f16>) -> tensor<2xf16>
// CHECK: array.cast %{{.*}} to f16
// CHECK-NEXT: func.return
func.func @layer_norm(%x: tensor<2x3xf16>, %w: tensor<3xf16>, %b: tensor<3xf16>) -> tensor<2x3xf16> {
  %0 = array.layer_norm %x, %w, %b eps 1.0e-05 : f64 : (tensor<2x3xf16>, tensor<3xf16>, tensor<3xf16>) -> tensor<2x3xf16>
  func.return %0 : tensor<2x3xf16>
}

// Inside a gradient request as well.
// CHECK-LABEL: @request
// CHECK: array.value_and_grad
// CHECK: %[[y:.*]] = array.maximum %{{.*}}, %{{.*}}
// CHECK-NEXT: array.yield %[[y]]
func.func @request(%x: tensor<f32>) -> tensor<f32> {
  %0, %1 = array.value_and_grad %x argnums [0] : (tensor<f32>) -> (tensor<f32>, tensor<f32>) {
  ^bb0(%a: tensor<f32>):
    %2 = array.relu %a : (tensor<f32>) -> tensor<f32>
    array.yield %2 : tensor<f32>
  }
  func.return %1 : tensor<f32>
}
