// RUN: wgpu-opt %s | filecheck %s
// RUN: wgpu-opt %s | wgpu-opt | filecheck %s

wgsl.shader @scale {
  %x = wgsl.binding 0, 0 : !wgsl.ref<storage, read, !wgsl.array<f32, 64>>
  %y = wgsl.binding 0, 1 : !wgsl.ref<storage, read_write, !wgsl.array<f32, 64>>
  %s = wgsl.binding 0, 2 : !wgsl.ref<uniform, read, !wgsl.array<vector<4xui32>, 1>>
  wgsl.entry [64, 1, 1] {
  }
}

// CHECK:       func.func @main(%x: !webgpu.buffer, %rate: f32) -> !webgpu.buffer {
func.func @main(%x: !webgpu.buffer, %rate: f32) -> !webgpu.buffer {
  // CHECK-NEXT:  %scalars = webgpu.buffer "scalars", 16
  %scalars = webgpu.buffer "scalars", 16
  // CHECK-NEXT:  webgpu.write_buffer %rate, %scalars[0] : f32
  webgpu.write_buffer %rate, %scalars[0] : f32
  // CHECK-NEXT:  %c = webgpu.buffer "constant", 256 = dense<[1, 2, 3, 4]> : tensor<4xi32>
  %c = webgpu.buffer "constant", 256 = dense<[1, 2, 3, 4]> : tensor<4xi32>
  // CHECK-NEXT:  %t = webgpu.buffer "temporary", 256
  %t = webgpu.buffer "temporary", 256
  // CHECK-NEXT:  %y = webgpu.buffer "output", 256
  %y = webgpu.buffer "output", 256
  // CHECK-NEXT:  webgpu.dispatch @scale [1, 1, 1](%x, %t, %scalars)
  webgpu.dispatch @scale [1, 1, 1] (%x, %t, %scalars)
  webgpu.dispatch @scale [1, 1, 1] (%c, %t, %scalars)
  // CHECK:       webgpu.copy %t, %y, 256
  webgpu.copy %t, %y, 256
  // CHECK-NEXT:  func.return %y : !webgpu.buffer
  func.return %y : !webgpu.buffer
}

// CHECK-LABEL: @loop
func.func @loop(%xs: !webgpu.buffer, %ys: !webgpu.buffer) {
  %x = webgpu.buffer "temporary", 16
  // CHECK:      webgpu.loop 5 {
  // CHECK-NEXT:   webgpu.copy %xs, %x, 16 from [64, -16]
  // CHECK-NEXT:   webgpu.loop 2 {
  // CHECK-NEXT:     webgpu.copy %x, %ys, 16 to [16, 32]
  // CHECK-NEXT:   }
  // CHECK-NEXT: }
  webgpu.loop 5 {
    webgpu.copy %xs, %x, 16 from [64, -16]
    webgpu.loop 2 {
      webgpu.copy %x, %ys, 16 to [16, 32]
    }
  }
  func.return
}

// CHECK-LABEL: @slices
func.func @slices(%xs: !webgpu.buffer, %ys: !webgpu.buffer, %rate: f32) {
  %scalars = webgpu.buffer "scalars", 16
  // CHECK:      webgpu.loop 5 {
  // CHECK-NEXT:   %[[X:.*]] = webgpu.slice %xs, 256 from [1024, -256]
  // CHECK-NEXT:   %[[Y:.*]] = webgpu.slice %ys, 256 from [0, 256]
  // CHECK-NEXT:   webgpu.dispatch @scale [1, 1, 1](%[[X]], %[[Y]], %scalars)
  // CHECK-NEXT: }
  webgpu.loop 5 {
    %x = webgpu.slice %xs, 256 from [1024, -256]
    %y = webgpu.slice %ys, 256 from [0, 256]
    webgpu.dispatch @scale [1, 1, 1] (%x, %y, %scalars)
  }
  func.return
}

// CHECK-LABEL: @while
func.func @while(%x: !webgpu.buffer, %y: !webgpu.buffer) {
  // CHECK: webgpu.loop 5 while %y {
  webgpu.loop 5 while %y {
    webgpu.copy %x, %y, 16
  }
  func.return
}

// CHECK-LABEL: @counts
func.func @counts(%x: !webgpu.buffer, %y: !webgpu.buffer, %rate: f32) {
  %scalars = webgpu.buffer "scalars", 16
  // CHECK: %c = webgpu.buffer "counts", 256
  %c = webgpu.buffer "counts", 256
  // CHECK-NEXT: webgpu.dispatch @scale [1, 1, 1](%x, %y, %scalars) counts %c[12]
  webgpu.dispatch @scale [1, 1, 1] (%x, %y, %scalars) counts %c[12]
  func.return
}
