// RUN: wgpu-opt %s --to=buffers | filecheck %s --check-prefix=BUFFERS
// RUN: wgpu-opt %s --to=wgsl | filecheck %s --check-prefix=HOST

// A recurrent cell, h = tanh(h w + x): one kernel, which a loop of the program runs again and again.
// It stores what is both the next carry and a slice twice. Slices of whole 256 bytes are bound where
// they are; others are copied (@odd).

// BUFFERS:      kernel.func @contraction_0
// BUFFERS:      func.func private @main_scan_0(%[[W:.*]]: memref<4x4xf32>, %[[H:.*]]: memref<16x4xf32> {stepwell.donated = 0 : i32}, %[[X:.*]]: memref<16x4xf32>) -> (memref<16x4xf32>, memref<16x4xf32>) {
// BUFFERS-NEXT:   %[[NEXT:.*]] = memref.alloc()
// BUFFERS-NEXT:   %[[Y:.*]] = memref.alloc()
// BUFFERS-NEXT:   kernel.launch @contraction_0(%[[X]], %[[H]], %[[W]], %[[NEXT]], %[[Y]])
// BUFFERS-NEXT:   func.return %[[NEXT]], %[[Y]]
// BUFFERS:      func.func @main
// BUFFERS-NEXT:   %[[STATE:.*]] = memref.alloc()
// BUFFERS-NEXT:   memref.copy
// BUFFERS-NEXT:   %[[YS:.*]] = memref.alloc()
// BUFFERS-NEXT:   kernel.loop @main_scan_0 length 5 reverse consts(%w : memref<4x4xf32>) carries(%[[STATE]] : memref<16x4xf32>) xs(%xs : memref<5x16x4xf32>) ys(%[[YS]] : memref<5x16x4xf32>)
// BUFFERS-NEXT:   func.return %[[STATE]], %[[YS]]

// HOST-LABEL:   func.func @main
// HOST-NEXT:    %[[STATE:.*]] = webgpu.buffer "output", 256
// HOST-NEXT:    webgpu.copy %h, %[[STATE]], 256
// HOST-NEXT:    %[[YS:.*]] = webgpu.buffer "output", 1280
// HOST-NEXT:    %[[NEXT:.*]] = webgpu.buffer "temporary", 256
// HOST-NEXT:    webgpu.loop 5 {
// HOST-NEXT:      %[[X:.*]] = webgpu.slice %xs, 256 from [1024, -256]
// HOST-NEXT:      %[[Y:.*]] = webgpu.slice %[[YS]], 256 from [1024, -256]
// HOST-NEXT:      webgpu.dispatch @contraction_0 [2, 1, 1](%[[X]], %[[STATE]], %w, %[[NEXT]], %[[Y]])
// HOST-NEXT:      webgpu.copy %[[NEXT]], %[[STATE]], 256
// HOST-NEXT:    }
// HOST-NEXT:    func.return %[[STATE]], %[[YS]]
func.func @main(%w: tensor<4x4xf32>, %h: tensor<16x4xf32>, %xs: tensor<5x16x4xf32>) -> (tensor<16x4xf32>, tensor<5x16x4xf32>) {
  %0, %1 = array.scan length 5 reverse consts(%w : tensor<4x4xf32>) carries(%h : tensor<16x4xf32>) xs(%xs : tensor<5x16x4xf32>) -> tensor<16x4xf32>, tensor<5x16x4xf32> {
  ^bb0(%a: tensor<4x4xf32>, %b: tensor<16x4xf32>, %c: tensor<16x4xf32>):
    %2 = array.dot_general %b, %a batch [], [] contracting [1], [0] : (tensor<16x4xf32>, tensor<4x4xf32>) -> tensor<16x4xf32>
    %3 = array.add %2, %c : (tensor<16x4xf32>, tensor<16x4xf32>) -> tensor<16x4xf32>
    %4 = array.tanh %3 : (tensor<16x4xf32>) -> tensor<16x4xf32>
    array.yield %4, %4 : tensor<16x4xf32>, tensor<16x4xf32>
  }
  func.return %0, %1 : tensor<16x4xf32>, tensor<5x16x4xf32>
}

// A sum so far needs no buffer but its own: each element is read where the next one is written.

// HOST-LABEL:   func.func @odd
// HOST-NEXT:    %[[SUM:.*]] = webgpu.buffer "output", 48
// HOST-NEXT:    webgpu.copy %h, %[[SUM]], 48
// HOST-NEXT:    %[[SUMS:.*]] = webgpu.buffer "output", 240
// HOST-NEXT:    %[[X:.*]] = webgpu.buffer "temporary", 48
// HOST-NEXT:    %[[Y:.*]] = webgpu.buffer "temporary", 48
// HOST-NEXT:    webgpu.loop 5 {
// HOST-NEXT:      webgpu.copy %xs, %[[X]], 48 from [0, 48]
// HOST-NEXT:      webgpu.dispatch @map_{{.*}} [1, 1, 1](%[[SUM]], %[[X]], %[[Y]])
// HOST-NEXT:      webgpu.copy %[[Y]], %[[SUMS]], 48 to [0, 48]
// HOST-NEXT:    }
// HOST-NEXT:    func.return %[[SUM]], %[[SUMS]]
func.func @odd(%h: tensor<3x4xf32>, %xs: tensor<5x3x4xf32>) -> (tensor<3x4xf32>, tensor<5x3x4xf32>) {
  %0, %1 = array.scan length 5 consts() carries(%h : tensor<3x4xf32>) xs(%xs : tensor<5x3x4xf32>) -> tensor<3x4xf32>, tensor<5x3x4xf32> {
  ^bb0(%a: tensor<3x4xf32>, %b: tensor<3x4xf32>):
    %2 = array.add %a, %b : (tensor<3x4xf32>, tensor<3x4xf32>) -> tensor<3x4xf32>
    array.yield %2, %2 : tensor<3x4xf32>, tensor<3x4xf32>
  }
  func.return %0, %1 : tensor<3x4xf32>, tensor<5x3x4xf32>
}
