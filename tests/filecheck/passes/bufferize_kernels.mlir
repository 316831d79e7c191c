// RUN: wgpu-opt %s --to=fused -p bufferize-kernels | filecheck %s

// A result overwrites its donated argument: the kernel takes one buffer for both.
// CHECK:      "memref.global"() <{sym_name = "constant_0"
// CHECK:      kernel.func @map_0(%w: memref<4xf32>, %g: memref<4xf32>) {
// CHECK-NEXT:   %[[W:.*]] = bufferization.to_tensor %w restrict writable : memref<4xf32> to tensor<4xf32>
// CHECK-NEXT:   %[[G:.*]] = bufferization.to_tensor %g restrict : memref<4xf32> to tensor<4xf32>
// CHECK:        %[[D:.*]] = linalg.generic {{.*}} ins(%[[W]], %[[G]] : tensor<4xf32>, tensor<4xf32>)
// CHECK:        bufferization.materialize_in_destination %[[D]] in restrict writable %w : (tensor<4xf32>, memref<4xf32>) -> ()
// CHECK-NEXT:   kernel.return
// CHECK:      kernel.func @map_0_variant_1(%w: memref<4xf32>, %g: memref<4xf32>, %[[OUT:.*]]: memref<4xf32>) {
// CHECK-NEXT:   %{{.*}} = bufferization.to_tensor %w restrict : memref<4xf32> to tensor<4xf32>
// CHECK:        bufferization.materialize_in_destination %{{.*}} in restrict writable %[[OUT]]
// CHECK:      func.func @in_place(%w: memref<4xf32> {stepwell.donated = 0 : i32}, %g: memref<4xf32>) -> memref<4xf32> {
// CHECK-NEXT:   kernel.launch @map_0(%w, %g) : (memref<4xf32>, memref<4xf32>) -> ()
// CHECK-NEXT:   func.return %w : memref<4xf32>
func.func @in_place(%w: tensor<4xf32> {stepwell.donated = 0 : i32}, %g: tensor<4xf32>) -> tensor<4xf32> {
  %0 = array.subtract %w, %g : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  func.return %0 : tensor<4xf32>
}

// Otherwise it is a new buffer, and the same kernel has a variant for that.
// CHECK-LABEL: func.func @not_donated
// CHECK-NEXT:   %[[R:.*]] = memref.alloc() {stepwell.kind = "output"} : memref<4xf32>
// CHECK-NEXT:   kernel.launch @map_0_variant_1(%w, %g, %[[R]]) : (memref<4xf32>, memref<4xf32>, memref<4xf32>) -> ()
// CHECK-NEXT:   func.return %[[R]] : memref<4xf32>
func.func @not_donated(%w: tensor<4xf32>, %g: tensor<4xf32>) -> tensor<4xf32> {
  %0 = array.subtract %w, %g : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  func.return %0 : tensor<4xf32>
}

// The other reader of the old value runs first, although it comes later in the program.
// CHECK-LABEL: func.func @reordered
// CHECK-NEXT:   %[[M:.*]] = memref.alloc() {stepwell.kind = "output"} : memref<4xf32>
// CHECK-NEXT:   kernel.launch @reduction_{{.*}}(%w, %[[M]])
// CHECK-NEXT:   kernel.launch @map_{{.*}}(%w, %g) : (memref<4x4xf32>, memref<4x4xf32>) -> ()
// CHECK-NEXT:   func.return %w, %[[M]]
func.func @reordered(%w: tensor<4x4xf32> {stepwell.donated = 0 : i32}, %g: tensor<4x4xf32>) -> (tensor<4x4xf32>, tensor<4xf32>) {
  %0 = array.subtract %w, %g : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>
  %1 = array.max %w axes [0] : (tensor<4x4xf32>) -> tensor<4xf32>
  func.return %0, %1 : tensor<4x4xf32>, tensor<4xf32>
}

// Refused: the argument is returned too (as a copy: a caller owns what it receives).
// CHECK-LABEL: func.func @also_returned
// CHECK-NEXT:   %[[R:.*]] = memref.alloc() {stepwell.kind = "output"}
// CHECK-NEXT:   kernel.launch @map_0_variant_1(%w, %g, %[[R]])
// CHECK-NEXT:   %[[COPY:.*]] = memref.alloc() {stepwell.kind = "output"}
// CHECK-NEXT:   "memref.copy"(%w, %[[COPY]])
// CHECK-NEXT:   func.return %[[R]], %[[COPY]]
func.func @also_returned(%w: tensor<4xf32> {stepwell.donated = 0 : i32}, %g: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  %0 = array.subtract %w, %g : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  func.return %0, %w : tensor<4xf32>, tensor<4xf32>
}

// Refused: an element is read where another one is written.
// CHECK-LABEL: func.func @read_elsewhere
// CHECK-NEXT:   %[[R:.*]] = memref.alloc() {stepwell.kind = "output"}
// CHECK-NEXT:   kernel.launch @map_{{.*}}(%w, %[[R]])
// CHECK-NEXT:   func.return %[[R]]
func.func @read_elsewhere(%w: tensor<4xf32> {stepwell.donated = 0 : i32}) -> tensor<4xf32> {
  %0 = array.flip %w axes [0] : (tensor<4xf32>) -> tensor<4xf32>
  %1 = array.add %w, %0 : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  func.return %1 : tensor<4xf32>
}

// Refused: who reads the old value needs the new one as well.
// CHECK-LABEL: func.func @needed_after
// CHECK-NEXT:   %[[R:.*]] = memref.alloc() {stepwell.kind = "output"}
// CHECK-NEXT:   kernel.launch @map_{{.*}}(%w, %x, %[[R]])
// CHECK-NEXT:   %[[P:.*]] = memref.alloc() {stepwell.kind = "output"}
// CHECK-NEXT:   kernel.launch @contraction_{{.*}}(%[[R]], %w, %[[P]])
// CHECK-NEXT:   func.return %[[R]], %[[P]]
func.func @needed_after(%w: tensor<4x4xf32> {stepwell.donated = 0 : i32}, %x: tensor<4x4xf32>) -> (tensor<4x4xf32>, tensor<4x4xf32>) {
  %0 = array.add %w, %x : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>
  %1 = array.dot_general %0, %w batch [], [] contracting [1], [0] : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>
  func.return %0, %1 : tensor<4x4xf32>, tensor<4x4xf32>
}

// A matrix product reads rows of its operand many times over.
// CHECK-LABEL: func.func @product
// CHECK-NEXT:   %[[R:.*]] = memref.alloc() {stepwell.kind = "output"}
// CHECK-NEXT:   kernel.launch @contraction_{{.*}}(%w, %x, %[[R]])
func.func @product(%w: tensor<4x4xf32> {stepwell.donated = 0 : i32}, %x: tensor<4x4xf32>) -> tensor<4x4xf32> {
  %0 = array.dot_general %w, %x batch [], [] contracting [1], [0] : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>
  func.return %0 : tensor<4x4xf32>
}

// Softmax may overwrite: a row is read to its end before any of it is written.
// CHECK-LABEL: func.func @softmax
// CHECK-NEXT:   kernel.launch @reduction_{{.*}}(%x) : (memref<4x8xf32>) -> ()
// CHECK-NEXT:   func.return %x
func.func @softmax(%x: tensor<4x8xf32> {stepwell.donated = 0 : i32}) -> tensor<4x8xf32> {
  %0 = array.softmax %x axis 1 : (tensor<4x8xf32>) -> tensor<4x8xf32>
  func.return %0 : tensor<4x8xf32>
}

// Arguments, constants and what is returned twice are copied.
// CHECK-LABEL: func.func @copies
// CHECK-NEXT:   %[[E:.*]] = memref.alloc() {stepwell.kind = "output"}
// CHECK-NEXT:   kernel.launch @map_{{.*}}(%x, %[[E]])
// CHECK-NEXT:   %[[X:.*]] = memref.alloc() {stepwell.kind = "output"}
// CHECK-NEXT:   "memref.copy"(%x, %[[X]])
// CHECK-NEXT:   %[[E2:.*]] = memref.alloc() {stepwell.kind = "output"}
// CHECK-NEXT:   "memref.copy"(%[[E]], %[[E2]])
// CHECK-NEXT:   %[[G:.*]] = memref.get_global @constant_0
// CHECK-NEXT:   %[[C:.*]] = memref.alloc() {stepwell.kind = "output"}
// CHECK-NEXT:   "memref.copy"(%[[G]], %[[C]])
// CHECK-NEXT:   func.return %[[X]], %[[E]], %[[E2]], %[[C]]
func.func @copies(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) {
  %0 = array.exp %x : (tensor<4xf32>) -> tensor<4xf32>
  %1 = array.constant dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32> : tensor<4xf32>
  func.return %x, %0, %0, %1 : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
}

// What only launches see is a temporary: an allocation of no kind.
// CHECK-LABEL: func.func @temporary
// CHECK-NEXT:   %[[T:.*]] = memref.alloc() : memref<4x8xf32>
// CHECK-NEXT:   kernel.launch @contraction_[[N:.*]](%x, %w, %[[T]])
// CHECK-NEXT:   %[[R:.*]] = memref.alloc() {stepwell.kind = "output"} : memref<4x8xf32>
// CHECK-NEXT:   kernel.launch @contraction_[[N]](%[[T]], %w, %[[R]])
func.func @temporary(%x: tensor<4x8xf32>, %w: tensor<8x8xf32>) -> tensor<4x8xf32> {
  %0 = array.dot_general %x, %w batch [], [] contracting [1], [0] : (tensor<4x8xf32>, tensor<8x8xf32>) -> tensor<4x8xf32>
  %1 = array.dot_general %0, %w batch [], [] contracting [1], [0] : (tensor<4x8xf32>, tensor<8x8xf32>) -> tensor<4x8xf32>
  func.return %1 : tensor<4x8xf32>
}

// A temporary that nothing reads later is overwritten: the product and its softmax share a buffer,
// which is the one that the caller receives.
// CHECK-LABEL: func.func @dies
// CHECK-NEXT:   %[[R:.*]] = memref.alloc() {stepwell.kind = "output"} : memref<4x8xf32>
// CHECK-NEXT:   kernel.launch @contraction_{{.*}}(%x, %w, %[[R]])
// CHECK-NEXT:   kernel.launch @reduction_{{.*}}(%[[R]]) : (memref<4x8xf32>) -> ()
// CHECK-NEXT:   func.return %[[R]]
func.func @dies(%x: tensor<4x8xf32>, %w: tensor<8x8xf32>) -> tensor<4x8xf32> {
  %0 = array.dot_general %x, %w batch [], [] contracting [1], [0] : (tensor<4x8xf32>, tensor<8x8xf32>) -> tensor<4x8xf32>
  %1 = array.softmax %0 axis 1 : (tensor<4x8xf32>) -> tensor<4x8xf32>
  func.return %1 : tensor<4x8xf32>
}

// Refused: the product is read again after its softmax.
// CHECK-LABEL: func.func @lives
// CHECK-NEXT:   %[[T:.*]] = memref.alloc() : memref<4x8xf32>
// CHECK-NEXT:   kernel.launch @contraction_{{.*}}(%x, %w, %[[T]])
// CHECK-NEXT:   %[[S:.*]] = memref.alloc() {{.*}}memref<4x8xf32>
// CHECK-NEXT:   kernel.launch @reduction_{{.*}}(%[[T]], %[[S]])
func.func @lives(%x: tensor<4x8xf32>, %w: tensor<8x8xf32>) -> (tensor<4x8xf32>, tensor<4x8xf32>) {
  %0 = array.dot_general %x, %w batch [], [] contracting [1], [0] : (tensor<4x8xf32>, tensor<8x8xf32>) -> tensor<4x8xf32>
  %1 = array.softmax %0 axis 1 : (tensor<4x8xf32>) -> tensor<4x8xf32>
  %2 = array.dot_general %0, %w batch [], [] contracting [1], [0] : (tensor<4x8xf32>, tensor<8x8xf32>) -> tensor<4x8xf32>
  func.return %1, %2 : tensor<4x8xf32>, tensor<4x8xf32>
}

// What frees a megabyte runs as soon as it may: the update of %w is the last to read the temporary.
// CHECK-LABEL: func.func @frees
// CHECK:        kernel.launch @contraction_{{.*}}(%x, %[[T:.*]]) :
// CHECK:        kernel.launch @reduction_{{.*}}(%[[T]], %{{.*}})
// CHECK-NEXT:   kernel.launch @map_{{.*}}(%w, %[[T]])
// CHECK:        kernel.launch @contraction_{{.*}}(%x, %{{.*}}, %{{.*}})
func.func @frees(%w: tensor<512x512xf32> {stepwell.donated = 0 : i32}, %x: tensor<512x512xf32>) -> (tensor<512x512xf32>, tensor<512x512xf32>) {
  %0 = array.dot_general %x, %x batch [], [] contracting [1], [0] : (tensor<512x512xf32>, tensor<512x512xf32>) -> tensor<512x512xf32>
  %1 = array.sum %0 axes [0] : (tensor<512x512xf32>) -> tensor<512xf32>
  %2 = array.broadcast %1 shape [512, 512] dims [1] : (tensor<512xf32>) -> tensor<512x512xf32>
  %3 = array.dot_general %x, %2 batch [], [] contracting [1], [0] : (tensor<512x512xf32>, tensor<512x512xf32>) -> tensor<512x512xf32>
  %4 = array.flip %0 axes [0] : (tensor<512x512xf32>) -> tensor<512x512xf32>
  %5 = array.subtract %w, %4 : (tensor<512x512xf32>, tensor<512x512xf32>) -> tensor<512x512xf32>
  func.return %5, %3 : tensor<512x512xf32>, tensor<512x512xf32>
}

// What is inserted into a donated argument is all that is written: the kernel takes one buffer.
// CHECK:      kernel.func @[[INSERT:.*]](%u: memref<2xf32>, %p: memref<i32> {kernel.scalar = 0 : i32}, %x: memref<64xf32>) {
// CHECK:        %[[R:.*]] = linalg_ext.insert_slice %{{.*}} into %{{.*}} offsets [-1] starts
// CHECK-NEXT:   bufferization.materialize_in_destination %[[R]] in restrict writable %x
// CHECK-LABEL: func.func @inserted
// CHECK-NEXT:   kernel.launch @[[INSERT]](%u, %p, %x)
// CHECK-NEXT:   func.return %x
func.func @inserted(%x: tensor<64xf32> {stepwell.donated = 0 : i32}, %u: tensor<2xf32>, %p: tensor<i32>) -> tensor<64xf32> {
  %0 = array.dynamic_update_slice %x, %u, %p axis 0 : (tensor<64xf32>, tensor<2xf32>, tensor<i32>) -> tensor<64xf32>
  func.return %0 : tensor<64xf32>
}
