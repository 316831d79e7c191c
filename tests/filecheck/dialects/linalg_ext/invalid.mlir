// RUN: wgpu-opt %s --split-input-file --verify-diagnostics

func.func @depths(%q: tensor<5x4xf32>, %k: tensor<3x2xf32>, %v: tensor<3x8xf32>) {
  // expected-error @below {{linalg_ext.attention: query (5, 4), key (3, 2) and value (3, 8) do not fit}}
  %y, %l = linalg_ext.attention %q, %k, %v scale 0.5 : f64 bounds [1, -1, 0]
    : (tensor<5x4xf32>, tensor<3x2xf32>, tensor<3x8xf32>) -> (tensor<5x8xf32>, tensor<5xf32>)
  func.return
}

// -----

func.func @mask(%q: tensor<5x4xf32>, %k: tensor<3x4xf32>, %v: tensor<3x8xf32>, %m: tensor<5x4xi1>) {
  // expected-error @below {{linalg_ext.attention: the mask has the shape of the scores}}
  %y, %l = linalg_ext.attention %q, %k, %v with %m scale 0.5 : f64 bounds [1, -1, 0]
    : (tensor<5x4xf32>, tensor<3x4xf32>, tensor<3x8xf32>, tensor<5x4xi1>)
    -> (tensor<5x8xf32>, tensor<5xf32>)
  func.return
}

// -----

func.func @results(%q: tensor<5x4xf32>, %k: tensor<3x4xf32>, %v: tensor<3x8xf32>) {
  // expected-error @below {{linalg_ext.attention: result is tensor<5x8xf32>, not tensor<5x4xf32>}}
  %y, %l = linalg_ext.attention %q, %k, %v scale 0.5 : f64 bounds [1, -1, 0]
    : (tensor<5x4xf32>, tensor<3x4xf32>, tensor<3x8xf32>) -> (tensor<5x4xf32>, tensor<5xf32>)
  func.return
}

// -----

func.func @delta(%q: tensor<5x4xf32>, %k: tensor<3x4xf32>, %v: tensor<3x8xf32>,
    %o: tensor<5x8xf32>, %l: tensor<5xf32>, %d: tensor<5xf16>) {
  // expected-error @below {{linalg_ext.attention_query_gradient: delta is tensor<5xf32>, not tensor<5xf16>}}
  %dq = linalg_ext.attention_query_gradient %q, %k, %v, %o, %l, %d scale 0.5 : f64 bounds [1, -1, 0]
    : (tensor<5x4xf32>, tensor<3x4xf32>, tensor<3x8xf32>, tensor<5x8xf32>, tensor<5xf32>,
       tensor<5xf16>) -> tensor<5x4xf32>
  func.return
}

// -----

func.func @dvalue(%q: tensor<5x4xf32>, %k: tensor<3x4xf32>, %v: tensor<3x8xf32>,
    %o: tensor<5x8xf32>, %l: tensor<5xf32>) {
  // expected-error @below {{linalg_ext.attention_key_gradient: dvalue is tensor<3x8xf32>, not tensor<3x4xf32>}}
  %dk, %dv = linalg_ext.attention_key_gradient %q, %k, %v, %o, %l, %l scale 0.5 : f64 bounds [1, -1, 0]
    : (tensor<5x4xf32>, tensor<3x4xf32>, tensor<3x8xf32>, tensor<5x8xf32>, tensor<5xf32>,
       tensor<5xf32>) -> (tensor<3x4xf32>, tensor<3x4xf32>)
  func.return
}

// -----

func.func @nobody(%xs: tensor<5x2xf32>) {
  // expected-error @below {{linalg_ext.scan: there is no function @step}}
  linalg_ext.scan @step length 5 consts() carries() xs(%xs : tensor<5x2xf32>)
  func.return
}

// -----

func.func @types(%xs: tensor<5x2xf32>) {
  // expected-error @below {{linalg_ext.scan: a step takes consts, carries and a slice of xs}}
  linalg_ext.scan @step length 5 consts() carries() xs(%xs : tensor<5x2xf32>)
  func.return
}

func.func private @step(%x: tensor<3xf32>) {
  func.return
}

// -----

func.func @beyond(%u: tensor<2x3xf32>, %x: tensor<2x8xf32>) {
  // expected-error @below {{linalg_ext.insert_slice: a window (2, 3) at (0, 6) does not fit into (2, 8)}}
  %r = linalg_ext.insert_slice %u into %x offsets [0, 6] : (tensor<2x3xf32>, tensor<2x8xf32>) -> tensor<2x8xf32>
  func.return
}

// -----

func.func @elements(%u: tensor<2x3xf16>, %x: tensor<2x8xf32>) {
  // expected-error @below {{linalg_ext.insert_slice: update and destination differ in element type}}
  %r = linalg_ext.insert_slice %u into %x offsets [0, 0] : (tensor<2x3xf16>, tensor<2x8xf32>) -> tensor<2x8xf32>
  func.return
}

// -----

func.func @no_start(%u: tensor<2x3xf32>, %x: tensor<2x8xf32>) {
  // expected-error @below {{linalg_ext.insert_slice: every offset of -1 takes one of the starts}}
  %r = linalg_ext.insert_slice %u into %x offsets [0, -1] : (tensor<2x3xf32>, tensor<2x8xf32>) -> tensor<2x8xf32>
  func.return
}

// -----

func.func @result(%u: tensor<2x3xf32>, %x: tensor<2x8xf32>) {
  // expected-error @below {{linalg_ext.insert_slice: the result has the type of the destination}}
  %r = linalg_ext.insert_slice %u into %x offsets [0, 0] : (tensor<2x3xf32>, tensor<2x8xf32>) -> tensor<2x3xf32>
  func.return
}

// -----

func.func @cap(%q: tensor<5x4xf32>, %k: tensor<3x4xf32>) {
  // expected-error @below {{softcap 0.0 is no positive number}}
  %y, %l = linalg_ext.attention %q, %k, %k scale 0.5 : f64 softcap 0.0 : f64 bounds []
    : (tensor<5x4xf32>, tensor<3x4xf32>, tensor<3x4xf32>) -> (tensor<5x4xf32>, tensor<5xf32>)
  func.return
}

// -----

func.func @nobody(%c: tensor<i1>) {
  // expected-error @below {{linalg_ext.when: there is no function @branch}}
  linalg_ext.when %c @branch() : (tensor<i1>) -> ()
  func.return
}

// -----

func.func @types(%c: tensor<i1>, %x: tensor<2xf32>) {
  // expected-error @below {{linalg_ext.when: the types are not those of @branch}}
  linalg_ext.when %c @branch(%x) : (tensor<i1>, tensor<2xf32>) -> ()
  func.return
}

func.func private @branch(%x: tensor<3xf32>) {
  func.return
}
