// Bounds of positions: the loop over tiles of keys begins and ends where they say.
// RUN: wgpu-opt %s --to=linalg --target=desktop | filecheck %s --check-prefix=LINALG
// RUN: wgpu-opt %s --to=linalg --target=software | filecheck %s --check-prefix=SOFTWARE
// RUN: wgpu-opt %s --to=tiled --target=desktop | filecheck %s --check-prefix=TILED

// LINALG:      linalg_ext.attention %q, %k, %v with %n scale 5.000000e-01 : f64 bounds [-1, 1, 50, 1, 0, -1]

// SOFTWARE-NOT:     linalg_ext
// SOFTWARE-COUNT-2: arith.cmpi sle

// The last bound is the length of the batch; the window begins 50 keys before the tile's queries.
// TILED:      kernel.in_bounds
// TILED:      %[[LENGTH:.*]] = memref.load %n
// TILED:      arith.constant -50 : i32
// TILED:      arith.addi %{{.*}}, %[[LENGTH]] : i32
// TILED:      %[[END:.*]] = arith.divui
// TILED-NEXT: %[[START:.*]] = arith.divui
// TILED:      scf.for %{{.*}} = %[[START]] to %[[END]]

func.func @main(%q: tensor<2x256x8xf32>, %k: tensor<2x256x8xf32>, %v: tensor<2x256x8xf32>, %n: tensor<2x1xi32>) -> tensor<2x256x8xf32> {
  %y, %l = array.attention %q, %k, %v with %n scale 0.5 : f64 bounds [-1, 1, 50, 1, 0, -1]
    : (tensor<2x256x8xf32>, tensor<2x256x8xf32>, tensor<2x256x8xf32>, tensor<2x1xi32>)
    -> (tensor<2x256x8xf32>, tensor<2x256xf32>)
  func.return %y : tensor<2x256x8xf32>
}
