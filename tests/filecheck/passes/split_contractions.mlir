// RUN: wgpu-opt %s --to=linalg -p 'split-contractions{target=desktop}' | filecheck %s
// RUN: wgpu-opt %s --to=linalg -p split-contractions | filecheck %s --check-prefix=SOFTWARE

// 256 results of depth 8192: 64 parts of depth 128, then their sum.
// CHECK-LABEL: func.func @deep
// CHECK:         ins(%a : tensor<16x8192xf32>) outs(%{{.*}} : tensor<16x64x128xf32>)
// CHECK:         ins(%b : tensor<8192x16xf32>) outs(%{{.*}} : tensor<64x128x16xf32>)
// CHECK:         affine_map<(d0, d1, d2, d3) -> (d1, d0, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, d3, d2)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2)>], iterator_types = ["parallel", "parallel", "parallel", "reduction"]
// CHECK:           arith.mulf
// CHECK:           arith.addf
// CHECK:         affine_map<(d0, d1, d2) -> (d2, d0, d1)>
// CHECK:           arith.addf
// SOFTWARE-LABEL: func.func @deep
// SOFTWARE:         tensor<16x16x512xf32>
func.func @deep(%a: tensor<16x8192xf32>, %b: tensor<8192x16xf32>) -> tensor<16x16xf32> {
  %0 = array.dot_general %a, %b batch [], [] contracting [1], [0] : (tensor<16x8192xf32>, tensor<8192x16xf32>) -> tensor<16x16xf32>
  func.return %0 : tensor<16x16xf32>
}

// A prime depth has no equal parts; enough results need none.
// CHECK-LABEL: func.func @whole
// CHECK-NOT:     x8191x1
// CHECK:         tensor<16x8191xf32>, tensor<8191x16xf32>
// CHECK:         tensor<1024x512xf32>, tensor<512x1024xf32>
// CHECK-NOT:     linalg.generic
// CHECK:         func.return
func.func @whole(%a: tensor<16x8191xf32>, %b: tensor<8191x16xf32>, %c: tensor<1024x512xf32>, %d: tensor<512x1024xf32>) -> (tensor<16x16xf32>, tensor<1024x1024xf32>) {
  %0 = array.dot_general %a, %b batch [], [] contracting [1], [0] : (tensor<16x8191xf32>, tensor<8191x16xf32>) -> tensor<16x16xf32>
  %1 = array.dot_general %c, %d batch [], [] contracting [1], [0] : (tensor<1024x512xf32>, tensor<512x1024xf32>) -> tensor<1024x1024xf32>
  func.return %0, %1 : tensor<16x16xf32>, tensor<1024x1024xf32>
}

// A depth of 70,001, a prime, is more steps than an invocation may do: parts of its multiples, and a rest.
// CHECK-LABEL: func.func @prime
// CHECK:         tensor<1024x8x8750xf32>
// CHECK:         -> tensor<8x1024x1024xf32>
// CHECK:         tensor<1024x1xf32>
// CHECK:         func.return
// SOFTWARE-LABEL: func.func @prime
// SOFTWARE:       tensor<1024x2x35000xf32>
func.func @prime(%a: tensor<1024x70001xf32>, %b: tensor<70001x1024xf32>) -> tensor<1024x1024xf32> {
  %0 = array.dot_general %a, %b batch [], [] contracting [1], [0] : (tensor<1024x70001xf32>, tensor<70001x1024xf32>) -> tensor<1024x1024xf32>
  func.return %0 : tensor<1024x1024xf32>
}
