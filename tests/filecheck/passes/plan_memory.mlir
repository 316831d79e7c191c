// RUN: wgpu-opt %s -p plan-memory | filecheck %s

// The first and the third are never live together: two buffers hold three temporaries.
// CHECK-LABEL: func.func @alternating
// CHECK-NEXT:    %[[Z:.*]] = arith.constant 0 : index
// CHECK-NEXT:    %[[P:.*]] = memref.alloc() : memref<32xi8>
// CHECK-NEXT:    %[[Q:.*]] = memref.alloc() : memref<32xi8>
// CHECK-NEXT:    %a = memref.view %[[P]][%[[Z]]][] : memref<32xi8> to memref<8xf32>
// CHECK-NEXT:    kernel.launch @k(%x, %a)
// CHECK-NEXT:    %b = memref.view %[[Q]][%[[Z]]][] : memref<32xi8> to memref<8xf32>
// CHECK-NEXT:    kernel.launch @k(%a, %b)
// CHECK-NEXT:    %c = memref.view %[[P]][%[[Z]]][] : memref<32xi8> to memref<8xf32>
// CHECK-NEXT:    kernel.launch @k(%b, %c)
// CHECK-NEXT:    %y = memref.alloc() {stepwell.kind = "output"} : memref<8xf32>
// CHECK-NEXT:    kernel.launch @k(%c, %y)
// CHECK-NEXT:    func.return %y
func.func @alternating(%x: memref<8xf32>) -> memref<8xf32> {
  %a = memref.alloc() : memref<8xf32>
  kernel.launch @k(%x, %a) : (memref<8xf32>, memref<8xf32>) -> ()
  %b = memref.alloc() : memref<8xf32>
  kernel.launch @k(%a, %b) : (memref<8xf32>, memref<8xf32>) -> ()
  %c = memref.alloc() : memref<8xf32>
  kernel.launch @k(%b, %c) : (memref<8xf32>, memref<8xf32>) -> ()
  %y = memref.alloc() {stepwell.kind = "output"} : memref<8xf32>
  kernel.launch @k(%c, %y) : (memref<8xf32>, memref<8xf32>) -> ()
  func.return %y : memref<8xf32>
}

// The last read keeps a buffer busy: %c may not take the place of %a, which %y's launch reads.
// CHECK-LABEL: func.func @read_late
// CHECK:         memref.alloc() : memref<32xi8>
// CHECK-NEXT:    memref.alloc() : memref<32xi8>
// CHECK-NEXT:    %[[R:.*]] = memref.alloc() : memref<32xi8>
// CHECK:         %c = memref.view %[[R]]
func.func @read_late(%x: memref<8xf32>) -> memref<8xf32> {
  %a = memref.alloc() : memref<8xf32>
  kernel.launch @k(%x, %a) : (memref<8xf32>, memref<8xf32>) -> ()
  %b = memref.alloc() : memref<8xf32>
  kernel.launch @k(%a, %b) : (memref<8xf32>, memref<8xf32>) -> ()
  %c = memref.alloc() : memref<8xf32>
  kernel.launch @k(%b, %c) : (memref<8xf32>, memref<8xf32>) -> ()
  %y = memref.alloc() {stepwell.kind = "output"} : memref<8xf32>
  kernel.launch @l(%a, %c, %y) : (memref<8xf32>, memref<8xf32>, memref<8xf32>) -> ()
  func.return %y : memref<8xf32>
}

// The largest chooses first; a smaller one of another dtype fits in its memory. A bool takes four
// bytes, and f16 are rounded up to whole words.
// CHECK-LABEL: func.func @sizes
// CHECK:         %[[P:.*]] = memref.alloc() : memref<64xi8>
// CHECK-NEXT:    %[[Q:.*]] = memref.alloc() : memref<32xi8>
// CHECK-NEXT:    %a = memref.view %[[Q]]{{.*}} to memref<8xi1>
// CHECK:         %b = memref.view %[[P]]{{.*}} to memref<16xf32>
// CHECK:         %c = memref.view %[[Q]]{{.*}} to memref<7xf16>
func.func @sizes(%x: memref<8xf32>) -> memref<8xf32> {
  %a = memref.alloc() : memref<8xi1>
  kernel.launch @k(%x, %a) : (memref<8xf32>, memref<8xi1>) -> ()
  %b = memref.alloc() : memref<16xf32>
  kernel.launch @k(%a, %b) : (memref<8xi1>, memref<16xf32>) -> ()
  %c = memref.alloc() : memref<7xf16>
  kernel.launch @k(%b, %c) : (memref<16xf32>, memref<7xf16>) -> ()
  %y = memref.alloc() {stepwell.kind = "output"} : memref<8xf32>
  kernel.launch @k(%c, %y) : (memref<7xf16>, memref<8xf32>) -> ()
  func.return %y : memref<8xf32>
}

// A copy is a use too.
// CHECK-LABEL: func.func @copied
// CHECK:         %[[P:.*]] = memref.alloc() : memref<32xi8>
// CHECK-NEXT:    %[[Q:.*]] = memref.alloc() : memref<32xi8>
// CHECK-NEXT:    %a = memref.view %[[P]]
// CHECK:         %b = memref.view %[[Q]]
func.func @copied(%x: memref<8xf32>) -> memref<8xf32> {
  %a = memref.alloc() : memref<8xf32>
  kernel.launch @k(%x, %a) : (memref<8xf32>, memref<8xf32>) -> ()
  %b = memref.alloc() : memref<8xf32>
  kernel.launch @k(%x, %b) : (memref<8xf32>, memref<8xf32>) -> ()
  %y = memref.alloc() {stepwell.kind = "output"} : memref<8xf32>
  "memref.copy"(%a, %y) : (memref<8xf32>, memref<8xf32>) -> ()
  kernel.launch @k(%b, %y) : (memref<8xf32>, memref<8xf32>) -> ()
  func.return %y : memref<8xf32>
}

// Outputs and what has no elements stay as they are.
// CHECK-LABEL: func.func @nothing
// CHECK-NEXT:    memref.alloc() : memref<0xf32>
// CHECK-NEXT:    memref.alloc() {stepwell.kind = "output"} : memref<8xf32>
// CHECK-NEXT:    kernel.launch
func.func @nothing(%x: memref<8xf32>) -> memref<8xf32> {
  %a = memref.alloc() : memref<0xf32>
  %y = memref.alloc() {stepwell.kind = "output"} : memref<8xf32>
  kernel.launch @k(%x, %y) : (memref<8xf32>, memref<8xf32>) -> ()
  func.return %y : memref<8xf32>
}
