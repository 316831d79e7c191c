// RUN: wgpu-opt %s --split-input-file --verify-diagnostics

func.func @main() {
  // expected-error @below {{'input' is none of temporary, output, constant, scalars}}
  %0 = webgpu.buffer "input", 16
  func.return
}

// -----

func.func @main() {
  // expected-error @below {{size 6 is not a positive multiple of 4}}
  %0 = webgpu.buffer "output", 6
  func.return
}

// -----

func.func @main() {
  // expected-error @below {{size 0 is not a positive multiple of 4}}
  %0 = webgpu.buffer "temporary", 0
  func.return
}

// -----

func.func @main() {
  // expected-error @below {{constants have contents, other buffers have none}}
  %0 = webgpu.buffer "constant", 16
  func.return
}

// -----

func.func @main() {
  // expected-error @below {{16 bytes of contents in 8}}
  %0 = webgpu.buffer "constant", 8 = dense<[1, 2, 3, 4]> : tensor<4xi32>
  func.return
}

// -----

func.func @main(%s: f32) {
  %0 = webgpu.buffer "output", 16
  // expected-error @below {{host scalars go to a scalars buffer}}
  webgpu.write_buffer %s, %0[0] : f32
  func.return
}

// -----

func.func @main(%s: f32) {
  %0 = webgpu.buffer "scalars", 16
  // expected-error @below {{slot 4 in a buffer of 16 bytes}}
  webgpu.write_buffer %s, %0[4] : f32
  func.return
}

// -----

func.func @main(%s: f64) {
  %0 = webgpu.buffer "scalars", 16
  // expected-error @below {{f64 is not f32, f16, i32, ui32, i1 or a narrow integer}}
  "webgpu.write_buffer"(%s, %0) <{slot = 0 : i32}> : (f64, !webgpu.buffer) -> ()
  func.return
}

// -----

func.func @main(%a: !webgpu.buffer, %b: !webgpu.buffer) {
  // expected-error @below {{there is no wgsl.shader @add}}
  webgpu.dispatch @add [1, 1, 1] (%a, %b)
  func.return
}

// -----

wgsl.shader @add {
  %x = wgsl.binding 0, 0 : !wgsl.ref<storage, read, !wgsl.array<f32, 4>>
  %y = wgsl.binding 0, 1 : !wgsl.ref<storage, read_write, !wgsl.array<f32, 4>>
  wgsl.entry [4, 1, 1] {
  }
}
func.func @main(%a: !webgpu.buffer, %b: !webgpu.buffer) {
  // expected-error @below {{1 buffers for 2 bindings}}
  webgpu.dispatch @add [1, 1, 1] (%a)
  func.return
}

// -----

wgsl.shader @add {
  %x = wgsl.binding 0, 0 : !wgsl.ref<storage, read, !wgsl.array<f32, 4>>
  %y = wgsl.binding 0, 1 : !wgsl.ref<storage, read_write, !wgsl.array<f32, 4>>
  wgsl.entry [4, 1, 1] {
  }
}
func.func @main(%a: !webgpu.buffer, %b: !webgpu.buffer) {
  // expected-error @below {{is not three numbers from 1 to 65,535}}
  webgpu.dispatch @add [65536, 1, 1] (%a, %b)
  func.return
}

// -----

wgsl.shader @add {
  %x = wgsl.binding 0, 0 : !wgsl.ref<storage, read, !wgsl.array<f32, 4>>
  %y = wgsl.binding 0, 1 : !wgsl.ref<storage, read_write, !wgsl.array<f32, 4>>
  wgsl.entry [4, 1, 1] {
  }
}
func.func @main(%a: !webgpu.buffer, %b: !webgpu.buffer) {
  // expected-error @below {{bindings 0 and 1 are one buffer, and one writes it}}
  webgpu.dispatch @add [1, 1, 1] (%a, %a)
  func.return
}

// -----

wgsl.shader @add {
  %x = wgsl.binding 0, 0 : !wgsl.ref<storage, read, !wgsl.array<f32, 4>>
  %y = wgsl.binding 0, 1 : !wgsl.ref<storage, read_write, !wgsl.array<f32, 4>>
  wgsl.entry [4, 1, 1] {
  }
}
func.func @main(%a: !webgpu.buffer, %b: !webgpu.buffer) {
  %c = webgpu.buffer "constant", 16 = dense<[1, 2, 3, 4]> : tensor<4xi32>
  // expected-error @below {{a constant buffer at read_write binding 1}}
  webgpu.dispatch @add [1, 1, 1] (%a, %c)
  func.return
}

// -----

wgsl.shader @add {
  %x = wgsl.binding 0, 0 : !wgsl.ref<storage, read, !wgsl.array<f32, 4>>
  %y = wgsl.binding 0, 1 : !wgsl.ref<storage, read_write, !wgsl.array<f32, 4>>
  wgsl.entry [4, 1, 1] {
  }
}
func.func @main(%a: !webgpu.buffer, %b: !webgpu.buffer) {
  %s = webgpu.buffer "scalars", 16
  // expected-error @below {{a scalars buffer at read binding 0}}
  webgpu.dispatch @add [1, 1, 1] (%s, %b)
  func.return
}

// -----

func.func @main(%a: !webgpu.buffer, %b: !webgpu.buffer) {
  // expected-error @below {{size 3 is not a positive multiple of 4}}
  webgpu.copy %a, %b, 3
  func.return
}

// -----

func.func @main(%a: !webgpu.buffer, %b: !webgpu.buffer) {
  // expected-error @below {{from a buffer to itself}}
  webgpu.copy %a, %a, 4
  func.return
}

// -----

func.func @main(%a: !webgpu.buffer, %b: !webgpu.buffer) {
  %0 = webgpu.buffer "output", 16
  // expected-error @below {{20 bytes of a buffer of 16}}
  webgpu.copy %a, %0, 20
  func.return
}

// -----

func.func @main(%a: !webgpu.buffer) {
  %0 = webgpu.buffer "output", 16
  webgpu.loop 4 {
    // expected-error @below {{20 bytes of a buffer of 16}}
    webgpu.copy %a, %0, 8 to [0, 4]
  }
  func.return
}

// -----

func.func @main(%a: !webgpu.buffer) {
  %0 = webgpu.buffer "output", 16
  webgpu.loop 4 {
    // expected-error @below {{begins at byte -4}}
    webgpu.copy %a, %0, 4 from [8, -4]
  }
  func.return
}

// -----

func.func @main(%a: !webgpu.buffer, %b: !webgpu.buffer) {
  // expected-error @below {{runs at least once}}
  webgpu.loop 0 {
    webgpu.copy %a, %b, 4
  }
  func.return
}

// -----

func.func @main(%a: !webgpu.buffer) {
  // expected-error @below {{webgpu.buffer is no command}}
  webgpu.loop 2 {
    %0 = webgpu.buffer "output", 16
  }
  func.return
}

// -----

func.func @main(%a: !webgpu.buffer) {
  // expected-error @below {{of a whole buffer, in a loop}}
  %0 = webgpu.slice %a, 256 from [0, 256]
  func.return
}

// -----

func.func @main(%a: !webgpu.buffer, %b: !webgpu.buffer) {
  webgpu.loop 2 {
    // expected-error @below {{is for dispatches}}
    %0 = webgpu.slice %a, 256 from [0, 256]
    webgpu.copy %0, %b, 256
  }
  func.return
}

// -----

func.func @main(%a: !webgpu.buffer) {
  webgpu.loop 2 {
    // expected-error @below {{begins at byte 0, with steps of 128}}
    %0 = webgpu.slice %a, 128 from [0, 128]
  }
  func.return
}

// -----

func.func @main() {
  %a = webgpu.buffer "temporary", 512
  webgpu.loop 3 {
    // expected-error @below {{768 bytes of a buffer of 512}}
    %0 = webgpu.slice %a, 256 from [0, 256]
  }
  func.return
}

// -----

wgsl.shader @add {
  %x = wgsl.binding 0, 0 : !wgsl.ref<storage, read, !wgsl.array<f32, 4>>
  %y = wgsl.binding 0, 1 : !wgsl.ref<storage, read_write, !wgsl.array<f32, 4>>
  wgsl.entry [1, 1, 1] {
  }
}
func.func @main(%a: !webgpu.buffer) {
  webgpu.loop 2 {
    %0 = webgpu.slice %a, 256 from [0, 256]
    %1 = webgpu.slice %a, 256 from [512, 256]
    // expected-error @below {{bindings 0 and 1 are one buffer, and one writes it}}
    webgpu.dispatch @add [1, 1, 1] (%0, %1)
  }
  func.return
}

// -----

wgsl.shader @fill {
  %x = wgsl.binding 0, 0 : !wgsl.ref<storage, read_write, !wgsl.array<f32, 4>>
  wgsl.entry [1, 1, 1] {
  }
}
func.func @main(%a: !webgpu.buffer) {
  %0 = webgpu.buffer "counts", 16
  // expected-error @below {{webgpu.dispatch: counts from byte 8 on in a buffer of 16 bytes}}
  webgpu.dispatch @fill [1, 1, 1] (%a) counts %0[8]
  func.return
}

// -----

wgsl.shader @fill {
  %x = wgsl.binding 0, 0 : !wgsl.ref<storage, read_write, !wgsl.array<f32, 4>>
  wgsl.entry [1, 1, 1] {
  }
}
func.func @main(%a: !webgpu.buffer) {
  // expected-error @below {{webgpu.dispatch: counts come from a counts buffer}}
  webgpu.dispatch @fill [1, 1, 1] (%a) counts %a[0]
  func.return
}
