"""From a `tiled` module written by hand to a program that runs: the last two passes and export."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiled import context, generic
from xdsl.dialects.builtin import DenseIntOrFPElementsAttr, ModuleOp, TensorType, f16, f32, i1, i32
from xdsl.parser import Parser

from stepwell.backends.device import open_device
from stepwell.backends.export import contents, to_program
from stepwell.backends.program import Buffer, Copy, Dispatch, Input, Output, Program
from stepwell.backends.wgpu.device import Device
from stepwell.backends.wgpu.executor import Executor
from stepwell.dialects.errors import StepwellError, UnsupportedError
from stepwell.passes.convert_host_to_webgpu import ConvertHostToWebgpuPass
from stepwell.passes.convert_kernels_to_wgsl import ConvertKernelsToWgslPass

WORKGROUP = "workgroup_size = array<i32: 8, 1, 1>, grid = array<i32: 2, 1, 1>"

TILED = """
"memref.global"() <{sym_name = "bias", sym_visibility = "private", type = memref<2xf32>,
                    initial_value = dense<[0.5, -1.0]> : tensor<2xf32>, constant}> : () -> ()

kernel.func @scale(%g: memref<16xf32>, %rate: memref<f32> {kernel.scalar = 0 : i32},
                   %bias: memref<2xf32>, %t: memref<16xf32>)
    attributes {WORKGROUP, stepwell.flops = 32 : i64, stepwell.bytes = 136 : i64} {
  INDEX
  %two = arith.constant 2 : index
  %parity = arith.remui %i, %two : index
  %x = memref.load %g[%i] : memref<16xf32>
  %r = memref.load %rate[] : memref<f32>
  %b = memref.load %bias[%parity] : memref<2xf32>
  %xr = arith.mulf %x, %r : f32
  %y = arith.addf %xr, %b : f32
  memref.store %y, %t[%i] : memref<16xf32>
  kernel.return
}

kernel.func @add(%w: memref<16xf32>, %t: memref<16xf32>) attributes {WORKGROUP} {
  INDEX
  %a = memref.load %w[%i] : memref<16xf32>
  %b = memref.load %t[%i] : memref<16xf32>
  %y = arith.addf %a, %b : f32
  memref.store %y, %w[%i] : memref<16xf32>
  kernel.return
}

kernel.func @divide(%u: memref<16xi32>, %n: memref<i32> {kernel.scalar = 1 : i32},
                    %y: memref<16xi32>) attributes {WORKGROUP} {
  INDEX
  %a = memref.load %u[%i] : memref<16xi32>
  %b = memref.load %n[] : memref<i32>
  %q = arith.divui %a, %b : i32
  memref.store %q, %y[%i] : memref<16xi32>
  kernel.return
}

kernel.func @both(%p: memref<16xi1>, %flag: memref<i1> {kernel.scalar = 2 : i32},
                  %y: memref<16xi1>) attributes {WORKGROUP} {
  INDEX
  %a = memref.load %p[%i] : memref<16xi1>
  %b = memref.load %flag[] : memref<i1>
  %q = arith.andi %a, %b : i1
  memref.store %q, %y[%i] : memref<16xi1>
  kernel.return
}

func.func @main(%w: memref<16xf32> {stepwell.donated = 0 : i32, stepwell.name = "weight"},
                %g: memref<4x4xf32>, %rate: memref<f32>,
                %u: memref<16xi32> {stepwell.dtype = "u32"},
                %n: memref<i32> {stepwell.dtype = "u32"},
                %p: memref<16xi1>, %flag: memref<i1>, %none: memref<0x3xf32>)
    -> (memref<16xf32>, memref<16xi32> {stepwell.dtype = "u32", stepwell.name = "quotient"},
        memref<4x4xi1>, memref<4x4xf32>, memref<i32> {stepwell.dtype = "u32"}, memref<2xf32>,
        memref<0x3xf32>) {
  %zero = arith.constant 0 : index
  %pool = memref.alloc() : memref<64xi8>
  %t = memref.view %pool[%zero][] : memref<64xi8> to memref<16xf32>
  %bias = memref.get_global @bias : memref<2xf32>
  kernel.launch @scale(%g, %rate, %bias, %t)
    : (memref<4x4xf32>, memref<f32>, memref<2xf32>, memref<16xf32>) -> ()
  kernel.launch @add(%w, %t) : (memref<16xf32>, memref<16xf32>) -> ()
  %q = memref.alloc() {stepwell.kind = "output"} : memref<16xi32>
  kernel.launch @divide(%u, %n, %q) : (memref<16xi32>, memref<i32>, memref<16xi32>) -> ()
  %s = memref.view %pool[%zero][] : memref<64xi8> to memref<4x4xi1>
  kernel.launch @both(%p, %flag, %s) : (memref<16xi1>, memref<i1>, memref<4x4xi1>) -> ()
  %bools = memref.alloc() {stepwell.kind = "output"} : memref<4x4xi1>
  "memref.copy"(%s, %bools) : (memref<4x4xi1>, memref<4x4xi1>) -> ()
  %same = memref.alloc() {stepwell.kind = "output"} : memref<4x4xf32>
  "memref.copy"(%g, %same) : (memref<4x4xf32>, memref<4x4xf32>) -> ()
  %number = memref.alloc() {stepwell.kind = "output"} : memref<i32>
  "memref.copy"(%n, %number) : (memref<i32>, memref<i32>) -> ()
  %constant = memref.alloc() {stepwell.kind = "output"} : memref<2xf32>
  %again = memref.get_global @bias : memref<2xf32>
  "memref.copy"(%again, %constant) : (memref<2xf32>, memref<2xf32>) -> ()
  %empty = memref.alloc() {stepwell.kind = "output"} : memref<0x3xf32>
  "memref.copy"(%none, %empty) : (memref<0x3xf32>, memref<0x3xf32>) -> ()
  func.return %w, %q, %bools, %same, %number, %constant, %empty
    : memref<16xf32>, memref<16xi32>, memref<4x4xi1>, memref<4x4xf32>, memref<i32>,
      memref<2xf32>, memref<0x3xf32>
}
"""

INDEX = """%block = gpu.block_id x
  %thread = gpu.thread_id x
  %size = arith.constant 8 : index
  %start = arith.muli %block, %size : index
  %i = arith.addi %start, %thread : index"""


def parsed(text: str) -> ModuleOp:
    text = generic(text.replace("INDEX", INDEX).replace("WORKGROUP", WORKGROUP))
    module = Parser(context(), text).parse_module()
    module.verify()
    return module


def exported(text: str) -> Program:
    module = parsed(text)
    for lowering in (ConvertKernelsToWgslPass(), ConvertHostToWebgpuPass()):
        lowering.apply(context(), module)
        module.verify()
    return to_program(module, target_name="software")


@pytest.fixture(scope="module")
def device() -> Device:
    found = open_device()
    assert isinstance(found, Device), "no WebGPU adapter: install a Vulkan driver"
    return found


@pytest.fixture(scope="module")
def program() -> Program:
    return exported(TILED)


def test_the_signature(program: Program) -> None:
    assert [replace(entry, buffer=None) for entry in program.inputs] == [
        Input("weight", (16,), "f32", donated=True),
        Input("g", (4, 4), "f32"),
        Input("rate", (), "f32", slot=0),
        Input("u", (16,), "u32"),
        Input("n", (), "u32", slot=1),
        Input("p", (16,), "bool"),
        Input("flag", (), "bool", slot=2),
        Input("none", (0, 3), "f32"),
    ]
    assert [replace(result, buffer=None) for result in program.outputs] == [
        Output((16,), "f32"),
        Output((16,), "u32", name="quotient"),
        Output((4, 4), "bool"),
        Output((4, 4), "f32"),
        Output((), "u32"),
        Output((2,), "f32"),
        Output((0, 3), "f32"),
    ]


def test_what_has_a_buffer(program: Program) -> None:
    """In place is the input's buffer, the pool is one, and no elements have none."""
    assert program.outputs[0].buffer == program.inputs[0].buffer is not None
    assert program.outputs[-1].buffer is program.inputs[-1].buffer is None
    temporaries = [buffer for buffer in program.buffers if buffer.kind == "temporary"]
    assert temporaries == [Buffer(64, "temporary", "pool")]
    assert [buffer.bytes for buffer in program.buffers if buffer.kind == "constant"] == [16]
    assert [type(command) for command in program.commands] == [
        *[Dispatch] * 4, Copy, Copy, Dispatch, Copy,
    ]  # fmt: skip
    assert program.commands[0].grid == (2, 1, 1)


def test_the_kernels(program: Program) -> None:
    scale = program.kernels["scale"]
    assert scale.accesses == ("read", "read", "read_write", "uniform")
    assert (scale.workgroup_size, scale.flops, scale.bytes) == ((8, 1, 1), 32, 136)
    assert program.kernels["add"].accesses == ("read_write", "read")
    assert program.features == frozenset()


def test_it_runs(program: Program, device: Device, tmp_path: Path) -> None:
    program.save(tmp_path / "program")
    executor = Executor(Program.load(tmp_path / "program"), device)
    random = np.random.default_rng(0)
    w, g = random.normal(size=16).astype(np.float32), random.normal(size=(4, 4)).astype(np.float32)
    u = random.integers(2**31, 2**32, 16, np.uint32)
    p = random.random(16) < 0.5
    none = np.zeros((0, 3), np.float32)
    for rate, n, flag in ((0.25, 2**31 + 5, True), (-3.0, 7, False)):
        outputs = executor(w, g, rate, u, n, p, flag, none)
        new, quotient, both, same, number, constant, empty = (np.asarray(o) for o in outputs)
        bias = np.tile(np.array([0.5, -1.0], np.float32), 8)
        np.testing.assert_allclose(new, w + (g.ravel() * np.float32(rate) + bias), rtol=1e-6)
        np.testing.assert_array_equal(quotient, u // np.uint32(n))
        np.testing.assert_array_equal(both, (p & flag).reshape(4, 4))
        np.testing.assert_array_equal(same, g)
        np.testing.assert_array_equal(constant, bias[:2])
        assert number == n and number.dtype == np.uint32 and both.dtype == np.bool_
        assert empty.shape == (0, 3)


def test_a_module_at_the_wgsl_stage(device: Device) -> None:
    """f16 in, f16 out: the kernel requires the feature, and 3 elements are padded to a buffer."""
    text = """
    wgsl.shader @copy {
      %x = wgsl.binding 0, 0 : !wgsl.ref<storage, read, !wgsl.array<f16, 3>>
      %y = wgsl.binding 0, 1 : !wgsl.ref<storage, read_write, !wgsl.array<f16, 3>>
      wgsl.entry [3, 1, 1] {
        %i = wgsl.builtin "local_invocation_index" : ui32
        %from = wgsl.index %x[%i] : !wgsl.ref<storage, read, !wgsl.array<f16, 3>>, ui32
        %v = wgsl.load %from : !wgsl.ref<storage, read, f16>
        %to = wgsl.index %y[%i] : !wgsl.ref<storage, read_write, !wgsl.array<f16, 3>>, ui32
        wgsl.store %v, %to : !wgsl.ref<storage, read_write, f16>
      }
    }
    func.func @main(%x: !webgpu.buffer {stepwell.dtype = "f16", stepwell.shape = array<i64: 3>})
        -> (!webgpu.buffer {stepwell.dtype = "f16", stepwell.shape = array<i64: 3>}) {
      %y = webgpu.buffer "output", 16
      webgpu.dispatch @copy [1, 1, 1](%x, %y)
      func.return %y : !webgpu.buffer
    }
    """
    program = to_program(parsed(text), target_name="software")
    assert program.kernels["copy"].features == ("shader-f16",)
    if "shader-f16" in device.description.features:
        x = np.array([1.5, -2.0, 0.25], np.float16)
        (y,) = Executor(program, device)(x)
        np.testing.assert_array_equal(np.asarray(y), x)


def test_constants_keep_their_bits() -> None:
    def dense(values: list[float], element: object) -> np.ndarray:
        return contents(DenseIntOrFPElementsAttr.from_list(TensorType(element, [2]), values))

    np.testing.assert_array_equal(dense([1, 0], i1), np.array([1, 0], np.uint32), strict=True)
    np.testing.assert_array_equal(dense([-1, 5], i32), np.array([-1, 5], np.int32), strict=True)
    np.testing.assert_array_equal(dense([0.1, 5], f16), np.array([0.1, 5], np.float16), strict=True)
    np.testing.assert_array_equal(dense([0.1, 5], f32), np.array([0.1, 5], np.float32), strict=True)


def test_what_cannot_be_exported_says_why() -> None:
    with pytest.raises(StepwellError, match="no function @main"):
        exported("func.func @other() { func.return }")
    with pytest.raises(StepwellError, match="run convert-host-to-webgpu"):
        to_program(
            parsed("func.func @main(%x: !webgpu.buffer) { func.return }"), target_name="software"
        )
    with pytest.raises(UnsupportedError, match=r"memref\.alloc: not in a WebGPU program"):
        text = "func.func @main() { %x = memref.alloc() : memref<f32> func.return }"
        to_program(parsed(text), target_name="software")
    with pytest.raises(UnsupportedError, match="@k is no shader with a grid"):
        exported(
            "func.func @main(%x: memref<4xf32>) "
            "{ kernel.launch @k(%x) : (memref<4xf32>) -> () func.return }"
        )
    with pytest.raises(UnsupportedError, match=r"only host scalars .* argument 1"):
        exported(
            TILED.replace("%rate: memref<f32>,", "%rate: memref<f32> {stepwell.donated = 0 : i32},")
        )
