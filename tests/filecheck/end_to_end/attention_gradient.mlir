// Attention and its gradients: whole on GPUs, decomposed elsewhere.
// RUN: wgpu-opt %s --to=linalg --target=desktop | filecheck %s --check-prefix=LINALG
// RUN: wgpu-opt %s --to=linalg --target=software | filecheck %s --check-prefix=SOFTWARE
// RUN: wgpu-opt %s --to=buffers --target=desktop | filecheck %s --check-prefix=BUFFERS
// RUN: wgpu-opt %s --to=fused --target=desktop-buffers10 | filecheck %s --check-prefix=TEN
// RUN: wgpu-opt %s --to=tiled --target=desktop | filecheck %s --check-prefix=TILED

// LINALG-LABEL: @main
// LINALG:       linalg_ext.attention_query_gradient %q, %k, %v, %o, %l, %d scale
// LINALG:       linalg_ext.attention_key_gradient %q, %k, %v, %o, %l, %d scale
// LINALG-NOT:   linalg.generic
// LINALG-LABEL: @masked
// LINALG:       linalg_ext.attention_query_gradient
// LINALG:       %dk, %dv = linalg_ext.attention_key_gradient

// SOFTWARE-NOT: linalg_ext

// BUFFERS:      kernel.func @attention_0(
// BUFFERS:      kernel.func @attention_1(
// BUFFERS:      func.func @main
// BUFFERS:        kernel.launch @attention_0(%q, %k, %v, %o, %l, %d, %{{.*}})
// BUFFERS:        kernel.launch @attention_1(%q, %k, %v, %o, %l, %d, %{{.*}}, %{{.*}})
// The mask is a ninth buffer of a kernel for both.
// BUFFERS:      func.func @masked
// BUFFERS-COUNT-3: kernel.launch
// BUFFERS:      func.return
// TEN:          func.func @masked
// TEN-COUNT-2:  kernel.launch
// TEN-NEXT:     func.return

// Tiles of keys begin with the first queries that see them; every access is proved in bounds.
// TILED:        kernel.func @attention_1(
// TILED-SAME:   grid = array<i32: 6, 1, 1>
// TILED-SAME:   kernel.plan = "attention(threads_down=8, down=1)", kernel.in_bounds
// TILED:        scf.for
// TILED:        math.fma
// TILED:        math.exp2

func.func @main(%q: tensor<2x70x8xf32>, %k: tensor<2x70x8xf32>, %v: tensor<2x70x8xf32>,
    %o: tensor<2x70x8xf32>, %l: tensor<2x70xf32>, %d: tensor<2x70xf32>)
    -> (tensor<2x70x8xf32>, tensor<2x70x8xf32>, tensor<2x70x8xf32>) {
  %dq, %dk, %dv = array.attention_gradient %q, %k, %v, %o, %l, %d scale 0.5 : f64 bounds [1, -1, 0]
    : (tensor<2x70x8xf32>, tensor<2x70x8xf32>, tensor<2x70x8xf32>, tensor<2x70x8xf32>,
       tensor<2x70xf32>, tensor<2x70xf32>)
    -> (tensor<2x70x8xf32>, tensor<2x70x8xf32>, tensor<2x70x8xf32>)
  func.return %dq, %dk, %dv : tensor<2x70x8xf32>, tensor<2x70x8xf32>, tensor<2x70x8xf32>
}

func.func @masked(%q: tensor<2x70x8xf32>, %k: tensor<2x70x8xf32>, %v: tensor<2x70x8xf32>,
    %o: tensor<2x70x8xf32>, %l: tensor<2x70xf32>, %d: tensor<2x70xf32>, %m: tensor<2x70x70xi1>)
    -> (tensor<2x70x8xf32>, tensor<2x70x8xf32>, tensor<2x70x8xf32>) {
  %dq, %dk, %dv = array.attention_gradient %q, %k, %v, %o, %l, %d with %m scale 0.5 : f64 bounds []
    : (tensor<2x70x8xf32>, tensor<2x70x8xf32>, tensor<2x70x8xf32>, tensor<2x70x8xf32>,
       tensor<2x70xf32>, tensor<2x70xf32>, tensor<2x70x70xi1>)
    -> (tensor<2x70x8xf32>, tensor<2x70x8xf32>, tensor<2x70x8xf32>)
  func.return %dq, %dk, %dv : tensor<2x70x8xf32>, tensor<2x70x8xf32>, tensor<2x70x8xf32>
}
