// RUN: wgpu-opt %s | filecheck %s
// RUN: wgpu-opt %s --mlir-print-op-generic | wgpu-opt | filecheck %s

func.func @add(%x: tensor<3x5xf32>, %y: tensor<3x5xf32>) -> tensor<3x5xf32> {
  // CHECK: %r = array.add %x, %y : (tensor<3x5xf32>, tensor<3x5xf32>) -> tensor<3x5xf32>
  %r = array.add %x, %y : (tensor<3x5xf32>, tensor<3x5xf32>) -> tensor<3x5xf32>
  func.return %r : tensor<3x5xf32>
}
func.func @subtract(%x: tensor<3x5xf32>, %y: tensor<3x5xf32>) -> tensor<3x5xf32> {
  // CHECK: %r = array.subtract %x, %y : (tensor<3x5xf32>, tensor<3x5xf32>) -> tensor<3x5xf32>
  %r = array.subtract %x, %y : (tensor<3x5xf32>, tensor<3x5xf32>) -> tensor<3x5xf32>
  func.return %r : tensor<3x5xf32>
}
func.func @multiply(%x: tensor<3x5xf32>, %y: tensor<3x5xf32>) -> tensor<3x5xf32> {
  // CHECK: %r = array.multiply %x, %y : (tensor<3x5xf32>, tensor<3x5xf32>) -> tensor<3x5xf32>
  %r = array.multiply %x, %y : (tensor<3x5xf32>, tensor<3x5xf32>) -> tensor<3x5xf32>
  func.return %r : tensor<3x5xf32>
}
func.func @divide(%x: tensor<3x5xf32>, %y: tensor<3x5xf32>) -> tensor<3x5xf32> {
  // CHECK: %r = array.divide %x, %y : (tensor<3x5xf32>, tensor<3x5xf32>) -> tensor<3x5xf32>
  %r = array.divide %x, %y : (tensor<3x5xf32>, tensor<3x5xf32>) -> tensor<3x5xf32>
  func.return %r : tensor<3x5xf32>
}
func.func @exact_divide(%x: tensor<3x5xf32>, %y: tensor<3x5xf32>) -> tensor<3x5xf32> {
  // CHECK: %r = array.exact_divide %x, %y : (tensor<3x5xf32>, tensor<3x5xf32>) -> tensor<3x5xf32>
  %r = array.exact_divide %x, %y : (tensor<3x5xf32>, tensor<3x5xf32>) -> tensor<3x5xf32>
  func.return %r : tensor<3x5xf32>
}
func.func @remainder(%x: tensor<3x5xf32>, %y: tensor<3x5xf32>) -> tensor<3x5xf32> {
  // CHECK: %r = array.remainder %x, %y : (tensor<3x5xf32>, tensor<3x5xf32>) -> tensor<3x5xf32>
  %r = array.remainder %x, %y : (tensor<3x5xf32>, tensor<3x5xf32>) -> tensor<3x5xf32>
  func.return %r : tensor<3x5xf32>
}
func.func @pow(%x: tensor<3x5xf32>, %y: tensor<3x5xf32>) -> tensor<3x5xf32> {
  // CHECK: %r = array.pow %x, %y : (tensor<3x5xf32>, tensor<3x5xf32>) -> tensor<3x5xf32>
  %r = array.pow %x, %y : (tensor<3x5xf32>, tensor<3x5xf32>) -> tensor<3x5xf32>
  func.return %r : tensor<3x5xf32>
}
func.func @negative(%x: tensor<3x5xf32>) -> tensor<3x5xf32> {
  // CHECK: %r = array.negative %x : (tensor<3x5xf32>) -> tensor<3x5xf32>
  %r = array.negative %x : (tensor<3x5xf32>) -> tensor<3x5xf32>
  func.return %r : tensor<3x5xf32>
}
func.func @abs(%x: tensor<3x5xf32>) -> tensor<3x5xf32> {
  // CHECK: %r = array.abs %x : (tensor<3x5xf32>) -> tensor<3x5xf32>
  %r = array.abs %x : (tensor<3x5xf32>) -> tensor<3x5xf32>
  func.return %r : tensor<3x5xf32>
}
func.func @sign(%x: tensor<3x5xf32>) -> tensor<3x5xf32> {
  // CHECK: %r = array.sign %x : (tensor<3x5xf32>) -> tensor<3x5xf32>
  %r = array.sign %x : (tensor<3x5xf32>) -> tensor<3x5xf32>
  func.return %r : tensor<3x5xf32>
}
func.func @maximum(%x: tensor<3x5xf32>, %y: tensor<3x5xf32>) -> tensor<3x5xf32> {
  // CHECK: %r = array.maximum %x, %y : (tensor<3x5xf32>, tensor<3x5xf32>) -> tensor<3x5xf32>
  %r = array.maximum %x, %y : (tensor<3x5xf32>, tensor<3x5xf32>) -> tensor<3x5xf32>
  func.return %r : tensor<3x5xf32>
}
func.func @minimum(%x: tensor<3x5xf32>, %y: tensor<3x5xf32>) -> tensor<3x5xf32> {
  // CHECK: %r = array.minimum %x, %y : (tensor<3x5xf32>, tensor<3x5xf32>) -> tensor<3x5xf32>
  %r = array.minimum %x, %y : (tensor<3x5xf32>, tensor<3x5xf32>) -> tensor<3x5xf32>
  func.return %r : tensor<3x5xf32>
}
func.func @exp(%x: tensor<3x5xf32>) -> tensor<3x5xf32> {
  // CHECK: %r = array.exp %x : (tensor<3x5xf32>) -> tensor<3x5xf32>
  %r = array.exp %x : (tensor<3x5xf32>) -> tensor<3x5xf32>
  func.return %r : tensor<3x5xf32>
}
func.func @expm1(%x: tensor<3x5xf32>) -> tensor<3x5xf32> {
  // CHECK: %r = array.expm1 %x : (tensor<3x5xf32>) -> tensor<3x5xf32>
  %r = array.expm1 %x : (tensor<3x5xf32>) -> tensor<3x5xf32>
  func.return %r : tensor<3x5xf32>
}
func.func @log(%x: tensor<3x5xf32>) -> tensor<3x5xf32> {
  // CHECK: %r = array.log %x : (tensor<3x5xf32>) -> tensor<3x5xf32>
  %r = array.log %x : (tensor<3x5xf32>) -> tensor<3x5xf32>
  func.return %r : tensor<3x5xf32>
}
func.func @log1p(%x: tensor<3x5xf32>) -> tensor<3x5xf32> {
  // CHECK: %r = array.log1p %x : (tensor<3x5xf32>) -> tensor<3x5xf32>
  %r = array.log1p %x : (tensor<3x5xf32>) -> tensor<3x5xf32>
  func.return %r : tensor<3x5xf32>
}
func.func @sqrt(%x: tensor<3x5xf32>) -> tensor<3x5xf32> {
  // CHECK: %r = array.sqrt %x : (tensor<3x5xf32>) -> tensor<3x5xf32>
  %r = array.sqrt %x : (tensor<3x5xf32>) -> tensor<3x5xf32>
  func.return %r : tensor<3x5xf32>
}
func.func @rsqrt(%x: tensor<3x5xf32>) -> tensor<3x5xf32> {
  // CHECK: %r = array.rsqrt %x : (tensor<3x5xf32>) -> tensor<3x5xf32>
  %r = array.rsqrt %x : (tensor<3x5xf32>) -> tensor<3x5xf32>
  func.return %r : tensor<3x5xf32>
}
func.func @sin(%x: tensor<3x5xf32>) -> tensor<3x5xf32> {
  // CHECK: %r = array.sin %x : (tensor<3x5xf32>) -> tensor<3x5xf32>
  %r = array.sin %x : (tensor<3x5xf32>) -> tensor<3x5xf32>
  func.return %r : tensor<3x5xf32>
}
func.func @cos(%x: tensor<3x5xf32>) -> tensor<3x5xf32> {
  // CHECK: %r = array.cos %x : (tensor<3x5xf32>) -> tensor<3x5xf32>
  %r = array.cos %x : (tensor<3x5xf32>) -> tensor<3x5xf32>
  func.return %r : tensor<3x5xf32>
}
func.func @tanh(%x: tensor<3x5xf32>) -> tensor<3x5xf32> {
  // CHECK: %r = array.tanh %x : (tensor<3x5xf32>) -> tensor<3x5xf32>
  %r = array.tanh %x : (tensor<3x5xf32>) -> tensor<3x5xf32>
  func.return %r : tensor<3x5xf32>
}
func.func @erf(%x: tensor<3x5xf32>) -> tensor<3x5xf32> {
  // CHECK: %r = array.erf %x : (tensor<3x5xf32>) -> tensor<3x5xf32>
  %r = array.erf %x : (tensor<3x5xf32>) -> tensor<3x5xf32>
  func.return %r : tensor<3x5xf32>
}
func.func @floor(%x: tensor<3x5xf32>) -> tensor<3x5xf32> {
  // CHECK: %r = array.floor %x : (tensor<3x5xf32>) -> tensor<3x5xf32>
  %r = array.floor %x : (tensor<3x5xf32>) -> tensor<3x5xf32>
  func.return %r : tensor<3x5xf32>
}
func.func @ceil(%x: tensor<3x5xf32>) -> tensor<3x5xf32> {
  // CHECK: %r = array.ceil %x : (tensor<3x5xf32>) -> tensor<3x5xf32>
  %r = array.ceil %x : (tensor<3x5xf32>) -> tensor<3x5xf32>
  func.return %r : tensor<3x5xf32>
}
func.func @round(%x: tensor<3x5xf32>) -> tensor<3x5xf32> {
  // CHECK: %r = array.round %x : (tensor<3x5xf32>) -> tensor<3x5xf32>
  %r = array.round %x : (tensor<3x5xf32>) -> tensor<3x5xf32>
  func.return %r : tensor<3x5xf32>
}
