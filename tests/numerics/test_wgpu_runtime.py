"""The wgpu runtime on programs written by hand. A machine without an adapter fails these."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stepwell.backends import device as choice
from stepwell.backends.device import ReferenceDevice, adapters, open_device
from stepwell.backends.errors import (
    ArgumentError,
    DeviceError,
    DeviceLostError,
    DeviceMemoryError,
    DonatedError,
    ShaderError,
    UnknownDeviceError,
)
from stepwell.backends.program import (
    NUMPY_DTYPES,
    Access,
    Buffer,
    Copy,
    Dispatch,
    DType,
    Input,
    Kernel,
    Output,
    Program,
    buffer_bytes,
)
from stepwell.backends.wgpu import ahead, native, staging
from stepwell.backends.wgpu.array import DeviceArray
from stepwell.backends.wgpu.device import DEFAULT_LIMITS, Device
from stepwell.backends.wgpu.executor import Executor
from stepwell.backends.wgpu.memory import size_class
from stepwell.passes.target import target_named

SCALE = """
struct Scalars { a: f32, b: i32, c: u32, d: u32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> s: Scalars;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x < COUNTu) { y[id.x] = x[id.x] * s.a + f32(s.b) + f32(s.c); }
}
"""
ADD_ONE = """
@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) { x[id.x] = x[id.x] + 1.0; }
"""
UNARY = """
ENABLE
@group(0) @binding(0) var<storage, read> x: array<TYPE>;
@group(0) @binding(1) var<storage, read_write> y: array<TYPE>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x < COUNTu) { let v = x[id.x]; y[id.x] = RESULT; }
}
"""


@pytest.fixture(scope="module")
def device() -> Device:
    found = open_device()
    assert isinstance(found, Device), "no WebGPU adapter: install a Vulkan driver"
    return found


def unary(
    count: int, result: str, dtype: DType = "f32", *, enable: str = "", trusted: bool = False
) -> Program:
    """y = result(v) for every element v of a vector."""
    wgsl_type = "u32" if dtype == "bool" else dtype
    text = UNARY.replace("ENABLE", enable).replace("TYPE", wgsl_type)
    text = text.replace("COUNT", str(count)).replace("RESULT", result)
    kernel = Kernel(
        "unary",
        text,
        (64, 1, 1),
        ("read", "read_write"),
        count,
        8 * count,
        trusted,
        ("shader-f16",) if dtype == "f16" else (),
    )
    size = buffer_bytes((count,), dtype)
    return Program(
        "unary",
        "default",
        {"unary": kernel},
        (Buffer(size, "input", "x"), Buffer(size, "output", "y")),
        (Input("x", (count,), dtype, 0),),
        (Output((count,), dtype, 1),),
        (Dispatch("unary", (0, 1), (-(-count // 64), 1, 1)),),
    )


def in_place() -> Program:
    """x += 1 in place."""
    kernel = Kernel("add_one", ADD_ONE, (64, 1, 1), ("read_write",))
    return Program(
        "add_one",
        "default",
        {"add_one": kernel},
        (Buffer(256, "input", "x"),),
        (Input("x", (64,), "f32", 0, donated=True),),
        (Output((64,), "f32", 0),),
        (Dispatch("add_one", (0,), (1, 1, 1)),),
    )


def scaled(count: int = 5) -> Program:
    """y = a x + b + c, with host scalars."""
    kernel = Kernel(
        "scale", SCALE.replace("COUNT", str(count)), (64, 1, 1), ("read", "read_write", "uniform")
    )
    size = buffer_bytes((count,), "f32")
    return Program(
        "scale",
        "default",
        {"scale": kernel},
        (Buffer(size, "input"), Buffer(size, "output"), Buffer(16, "scalars")),
        (
            Input("x", (count,), "f32", 0),
            Input("a", (), "f32", slot=0),
            Input("b", (), "i32", slot=1),
            Input("c", (), "bool", slot=2),
        ),
        (Output((count,), "f32", 1),),
        (Dispatch("scale", (0, 1, 2), (1, 1, 1)),),
    )


@pytest.mark.parametrize(
    ("dtype", "result", "expected"),
    [
        ("f32", "v * 2.0", lambda x: x * 2),
        ("i32", "v - 3", lambda x: x - 3),
        ("u32", "v + 3u", lambda x: x + 3),
        ("bool", "1u - v", np.logical_not),
        ("f16", "v * 2.0h", lambda x: x * 2),
    ],
)
@pytest.mark.parametrize("count", [1, 7, 64, 1001])
def test_elementwise(device: Device, dtype: DType, result: str, expected, count: int) -> None:
    if dtype == "f16" and "shader-f16" not in device.description.features:
        pytest.skip("the device has no f16")
    x = (np.random.default_rng(0).integers(0, 9, count) % 5).astype(NUMPY_DTYPES[dtype])
    enable = "enable f16;" if dtype == "f16" else ""
    (y,) = Executor(unary(count, result, dtype, enable=enable), device)(x)
    assert (y.shape, y.dtype) == ((count,), dtype)
    assert y.numpy().dtype == x.dtype
    np.testing.assert_array_equal(y.numpy(), expected(x))


def test_trusted_kernels_run_without_bounds_checks(device: Device) -> None:
    x = np.arange(100, dtype=np.float32)
    (y,) = Executor(unary(100, "v + 1.0", trusted=True), device)(x)
    np.testing.assert_array_equal(y.numpy(), x + 1)


def test_enable_subgroups_is_hidden_from_naga(device: Device) -> None:
    x = np.ones(3, np.float32)
    (y,) = Executor(unary(3, "v", enable="enable subgroups;"), device)(x)
    np.testing.assert_array_equal(y.numpy(), x)


def test_scalars_change_between_calls_without_waiting(device: Device) -> None:
    run = Executor(scaled(), device)
    x = device.array(np.arange(5, dtype=np.float32))
    results = [run(x, a, b, c)[0] for a, b, c in ((2.0, 1, True), (0.5, -4, False), (3, 0, True))]
    host = np.arange(5, dtype=np.float32)
    for y, (a, b, c) in zip(results, ((2.0, 1, True), (0.5, -4, False), (3, 0, True)), strict=True):
        np.testing.assert_array_equal(y.numpy(), np.float32(a) * host + b + c)


def test_a_scalar_may_come_from_the_device(device: Device) -> None:
    run = Executor(scaled(), device)
    x = np.arange(5, dtype=np.float32)
    a = device.array(np.array(4.0, np.float32))
    np.testing.assert_array_equal(run(x, a, 1, False)[0].numpy(), 4 * x + 1)
    np.testing.assert_array_equal(run(x, 2.0, 1, False)[0].numpy(), 2 * x + 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((2.0,), "takes 4 arguments, not 1: x: f32\\[5\\], a: f32\\[\\]"),
        ((np.zeros(4, np.float32), 1.0, 1, True), r"'x' of 'scale' is float32\[4\]; expected f32"),
        ((np.zeros(5), 1.0, 1, True), r"is float64\[5\]; expected f32\[5\]"),
        ((np.zeros(5, np.float32), "a", 1, True), "argument 'a' of 'scale' is 'a'"),
        ((np.zeros(5, np.float32), 1.0, 1.5, True), "argument 'b' of 'scale' is 1.5"),
        ((np.zeros(5, np.float32), 1.0, 2**31, True), "argument 'b' of 'scale' is 2147483648"),
        ((np.zeros(5, np.float32), np.ones(2), 1, True), r"'a' of 'scale' is float64\[2\]"),
    ],
)
def test_wrong_arguments(device: Device, arguments: tuple, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        Executor(scaled(), device)(*arguments)


def test_unsupported_dtypes_are_refused_by_name(device: Device) -> None:
    with pytest.raises(ArgumentError, match=r"arrays of float64.*x.astype\(np.float32\)"):
        device.array(np.zeros(3))
    with pytest.raises(ArgumentError, match="complex64"):
        device.array(np.zeros(3, np.complex64))


def test_donated_input_is_updated_in_place(device: Device) -> None:
    run = Executor(in_place(), device)
    first = device.array(np.zeros(64, np.float32))
    assert first.memory is not None
    serial = first.memory.serial
    state = first
    for _ in range(10):
        (state,) = run(state)
    assert state.memory is not None and state.memory.serial == serial
    np.testing.assert_array_equal(state.numpy(), np.full(64, 10, np.float32))
    assert first.is_donated and "donated to 'add_one'" in repr(first)
    with pytest.raises(DonatedError, match=r"f32\[64\] was donated to 'add_one'"):
        first.numpy()
    with pytest.raises(DonatedError):
        run(first)


def two_inputs(donated: bool) -> Program:
    text = ADD_ONE.replace(
        "@compute", "@group(0) @binding(1) var<storage, read> z: array<f32>;\n@compute"
    ).replace("+ 1.0", "+ z[id.x]")
    kernel = Kernel("add", text, (64, 1, 1), ("read_write", "read"))
    return Program(
        "add",
        "default",
        {"add": kernel},
        (Buffer(256, "input"), Buffer(256, "input")),
        (Input("x", (64,), "f32", 0, donated=donated), Input("z", (64,), "f32", 1)),
        (Output((64,), "f32", 0),),
        (Dispatch("add", (0, 1), (1, 1, 1)),),
    )


def test_a_donated_array_cannot_be_another_argument(device: Device) -> None:
    run = Executor(two_inputs(donated=True), device)
    x = device.array(np.ones(64, np.float32))
    with pytest.raises(ArgumentError, match="'x' and 'z' of 'add' are the same array"):
        run(x, x)
    assert not x.is_donated
    np.testing.assert_array_equal(run(x, np.ones(64, np.float32))[0].numpy(), 2)


def chain(count: int) -> Program:
    """Constant + x through temporaries, copies and `count` dispatches."""
    kernel = Kernel(
        "add",
        two_inputs(True).kernels["add"].wgsl,
        (64, 1, 1),
        ("read_write", "read"),
        flops=64,
        bytes=768,
    )
    return Program(
        "chain",
        "default",
        {"add": kernel},
        (
            Buffer(256, "input", "x"),
            Buffer(256, "constant", "start"),
            Buffer(256, "temporary"),
            Buffer(256, "output"),
        ),
        (Input("x", (64,), "f32", 0),),
        (Output((64,), "f32", 3),),
        (Copy(1, 2, 256), *[Dispatch("add", (2, 0), (1, 1, 1))] * count, Copy(2, 3, 256)),
        {1: np.arange(64, dtype=np.float32)},
    )


def test_copies_temporaries_and_constants(device: Device) -> None:
    run = Executor(chain(3), device)
    x = np.full(64, 2, np.float32)
    for _ in range(3):
        np.testing.assert_array_equal(run(x)[0].numpy(), np.arange(64) + 6)


def test_arrays_without_elements_have_no_buffer(device: Device) -> None:
    empty = Program(
        "empty", "default", {}, (), (Input("x", (0, 3), "f32"),), (Output((3, 0), "bool"),), ()
    )
    (y,) = Executor(empty, device)(np.zeros((0, 3), np.float32))
    assert y.numpy().shape == (3, 0) and y.numpy().dtype == np.bool_
    assert y.memory is None


def test_a_saved_program_runs_without_the_compiler(tmp_path: Path) -> None:
    chain(2).save(tmp_path / "chain.safetensors")
    script = """
import sys
import numpy as np
from stepwell.backends.device import open_device
from stepwell.backends.program import Program
from stepwell.backends.wgpu.executor import Executor
(y,) = Executor(Program.load(sys.argv[1]), open_device())(np.ones(64, np.float32))
assert (y.numpy() == np.arange(64) + 2).all()
assert "xdsl" not in sys.modules
"""
    run = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "chain.safetensors")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_a_loop_creates_no_buffers_and_no_bind_groups(device: Device) -> None:
    run = Executor(unary(64, "v + 1.0"), device)
    x = device.array(np.zeros(64, np.float32))
    for _ in range(4):
        (x,) = run(x)
    made = []
    create = device.handle.create_bind_group
    buffers = device.memory.live_bytes + device.memory.idle_bytes
    try:
        device.handle.create_bind_group = lambda **kw: made.append(kw) or create(**kw)
        for _ in range(100):
            (x,) = run(x)
    finally:
        del device.handle.create_bind_group
    assert made == []
    assert device.memory.live_bytes + device.memory.idle_bytes == buffers
    np.testing.assert_array_equal(x.numpy(), 104)


def test_idle_buffers_can_be_let_go(device: Device) -> None:
    run = Executor(unary(64, "v + 1.0"), device)
    (y,) = run(np.zeros(64, np.float32))
    gc.collect()
    device.memory.trim()
    assert device.memory.idle_bytes == 0
    np.testing.assert_array_equal(run(y)[0].numpy(), 2)


@pytest.mark.parametrize("size", [1, 16, 17, 64, 65, 100, 1000, 4096, 5000, 123_456_789])
def test_size_classes_waste_at_most_a_quarter(size: int) -> None:
    held = size_class(size)
    assert held % 16 == 0 and held >= size
    assert held <= max(16 * (-(-size // 16)), size * 1.25)
    assert size_class(held) == held


def test_equal_kernels_share_a_pipeline(device: Device) -> None:
    program = unary(64, "v * 7.0")
    renamed = replace(program.kernels["unary"], name="other", flops=3)
    first, second = device.pipelines([program.kernels["unary"], renamed])
    assert first is second


def test_software_vulkan_compiles_on_all_processors(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not device.compiles_at_dispatch:
        pytest.skip("the device compiles kernels with their pipelines")
    shares: list[tuple[Device, int]] = []
    compile_share = ahead._compile

    def spy(on: Device, kernels: list[Kernel], sizes: dict[str, list[int]]) -> None:
        shares.append((on, len(kernels)))
        compile_share(on, kernels, sizes)
        assert all(on.knows(kernel) for kernel in kernels)

    monkeypatch.setattr(ahead, "_compile", spy)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    one = in_place()
    count = 2 * ahead.FEWEST
    kernels = {
        f"add_{k}": Kernel(
            f"add_{k}", ADD_ONE.replace("1.0", f"{k}.5"), (64, 1, 1), ("read_write",)
        )
        for k in range(count)
    }
    program = replace(
        one, kernels=kernels, commands=tuple(Dispatch(name, (0,), (1, 1, 1)) for name in kernels)
    )
    monkeypatch.setenv("MESA_SHADER_CACHE_DISABLE", "true")
    Executor(program, device.another())
    assert not shares, "there is no cache to share"
    monkeypatch.delenv("MESA_SHADER_CACHE_DISABLE")
    for _ in range(2):
        executor = Executor(program, device)
        (result,) = executor(np.arange(64, dtype=np.float32))
        expected = np.arange(64) + sum(k + 0.5 for k in range(count))
        np.testing.assert_array_equal(result.numpy(), expected.astype(np.float32))
    assert [number for _, number in shares] == [ahead.FEWEST] * 2, "what is known is not new"
    assert {id(on) for on, _ in shares} > {id(device)}


def test_shader_errors_name_kernel_and_line(device: Device) -> None:
    with pytest.raises(ShaderError, match=r"kernel 'unary' does not compile") as caught:
        Executor(unary(64, "v + undefined_name"), device)
    assert caught.value.line == 7
    assert "undefined_name" in str(caught.value)


def test_a_shader_that_disagrees_with_its_bindings_is_an_error(device: Device) -> None:
    program = unary(64, "v")
    kernel = replace(program.kernels["unary"], accesses=("read",))
    program = replace(
        program,
        kernels={"unary": kernel},
        commands=(Dispatch("unary", (0,), (1, 1, 1)),),
    )
    with pytest.raises(ShaderError, match="unary"):
        Executor(program, device)


def test_requirements_are_checked_before_compiling(device: Device) -> None:
    def needs(**fields: object) -> Kernel:
        return replace(unary(64, "v").kernels["unary"], **fields)

    with pytest.raises(DeviceError, match=r"needs 262144 where .* allows"):
        device.pipelines([needs(workgroup_size=(64, 64, 64))])
    many: tuple[Access, ...] = ("read",) * 4096
    with pytest.raises(DeviceError, match="max-storage-buffers-per-shader-stage"):
        device.pipelines([needs(accesses=many)])
    with pytest.raises(DeviceError, match="compiled for subgroups of 128"):
        device.pipelines([needs(subgroup_size=128)])


def test_too_large_a_buffer_is_refused_by_name_before_the_run(device: Device) -> None:
    huge = device.description.limits["max-storage-buffer-binding-size"] // 16 * 16 + 16
    program = unary(64, "v")
    program = replace(program, buffers=(*program.buffers, Buffer(huge, "temporary", "scores")))
    program = replace(program, commands=(*program.commands, Dispatch("unary", (0, 2), (1, 1, 1))))
    with pytest.raises(DeviceMemoryError, match=rf"temporary buffer 2 \('scores'\) needs {huge:,}"):
        Executor(program, device)


def test_a_plan_beyond_memory_is_refused_before_the_run(device: Device) -> None:
    memory = device.description.memory_bytes
    if memory is None:
        pytest.skip("only software devices know their memory")
    program = unary(64, "v")
    each = 1 << 26
    extra = [Buffer(each, "temporary", f"t{i}") for i in range(memory // each + 1)]
    program = replace(program, buffers=(*program.buffers, *extra))
    with pytest.raises(DeviceMemoryError, match=r"'unary' needs .* bytes at once.*\('t0'\)"):
        Executor(program, device)


def test_upload_too_large_is_refused_by_name(device: Device) -> None:
    limit = device.description.limits["max-buffer-size"]
    with pytest.raises(DeviceMemoryError, match="the weights needs"):
        device.empty((limit,), "f32", "the weights")


def test_profile_counts_and_times_every_kernel(device: Device) -> None:
    if not device.description.has_timestamps:
        pytest.skip("the device has no timestamps")
    run = Executor(chain(5), device)
    (y,), profile = run.profile(np.ones(64, np.float32))
    np.testing.assert_array_equal(y.numpy(), np.arange(64) + 5)
    (row,) = profile.kernels
    assert (row.kernel, row.count, row.bytes, row.flops) == ("add", 5, 5 * 768, 5 * 64)
    assert 0 < row.microseconds < 1e6
    assert profile.microseconds == row.microseconds


def test_host_cost_of_a_dispatch(device: Device, capsys: pytest.CaptureFixture[str]) -> None:
    run = Executor(chain(200), device)
    x = device.array(np.zeros(64, np.float32))
    run(x)
    costs = []
    for _ in range(30):
        device.wait()
        start = time.perf_counter()
        run(x)
        costs.append((time.perf_counter() - start) / 200 * 1e6)
    with capsys.disabled():
        print(f"\nhost cost per dispatch: {min(costs):.2f} us")
    assert min(costs) < 30


def test_many_calls_ahead_do_not_pile_up(device: Device) -> None:
    run = Executor(in_place(), device)
    state = device.array(np.zeros(64, np.float32))
    for _ in range(300):
        (state,) = run(state)
    np.testing.assert_array_equal(state.numpy(), 300)


def test_a_thousand_steps_keep_nothing_and_wait_for_none_of_the_latest(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loop that uploads a batch each step and reads nothing, as training does."""
    run = Executor(two_inputs(donated=True), device)
    state = device.array(np.zeros(64, np.float32))
    batch = np.ones(64, np.float32)
    for _ in range(50):
        (state,) = run(state, batch)
    waits: list[int | None] = []
    poll, read = native.poll, native.read_mapped
    mapped: list[int] = []
    monkeypatch.setattr(native, "poll", lambda d, s: waits.append(s) or poll(d, s))
    monkeypatch.setattr(native, "read_mapped", lambda d, b, n: mapped.append(n) or read(d, b, n))
    pools = (device.memory, device.uniforms)
    buffers = [pool.live_bytes + pool.idle_bytes for pool in pools]
    bind_groups = len(device._bind_groups)
    for _ in range(1000):
        (state,) = run(state, batch)
        assert len(device._submissions) <= 32
        # Only for the oldest of those in flight, never for all that was submitted.
        assert None not in waits and (not waits or waits[-1] < device._submissions[0])
    assert mapped == []
    assert [pool.live_bytes + pool.idle_bytes for pool in pools] == buffers
    assert len(device._bind_groups) == bind_groups
    np.testing.assert_array_equal(state.numpy(), 1050)
    assert len(mapped) == 1


def test_reading_again_and_again_makes_no_buffers(device: Device) -> None:
    x = device.array(np.arange(64, dtype=np.float32))
    x.numpy()
    staging = device._staging
    held = staging.live_bytes + staging.idle_bytes
    for _ in range(100):
        np.testing.assert_array_equal(x.numpy()[:2], [0, 1])
    assert (staging.live_bytes, staging.live_bytes + staging.idle_bytes) == (0, held)


def test_large_uploads_share_a_few_buffers(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data of many pieces arrives whole and in order, and 30 uploads make no more than a ring."""
    made: list[int] = []
    create = type(device.handle).create_buffer

    def counted(handle: Any, *, size: int, **rest: Any) -> Any:
        made.append(size)
        return create(handle, size=size, **rest)

    monkeypatch.setattr(type(device.handle), "create_buffer", counted)
    pieces = staging.PIECES + 2
    count = pieces * staging.PIECE_BYTES // 4 - 3
    values = np.arange(count, dtype=np.int32)
    for _ in range(5):
        values += 1
        large = device.array(values)
        small = device.array(values[: staging.SMALL_BYTES // 4])
        np.testing.assert_array_equal(large.numpy(), values)
        np.testing.assert_array_equal(small.numpy(), values[: staging.SMALL_BYTES // 4])
        del large, small
    assert made.count(staging.PIECE_BYTES) <= staging.PIECES
    first = len(made)
    for _ in range(30):
        device.array(values)
    assert len(made) == first


def test_threads_share_a_device(device: Device) -> None:
    run = Executor(scaled(), device)
    x = np.arange(5, dtype=np.float32)
    right: list[bool] = []

    def work(a: float) -> None:
        results = [run(x, a, 0, False)[0].numpy() for _ in range(20)]
        right.append(all(np.array_equal(y, np.float32(a) * x) for y in results))

    threads = [threading.Thread(target=work, args=(float(i),)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert right == [True] * 4


def test_arrays_belong_to_their_device(device: Device) -> None:
    other = Device(adapters()[0].handle)
    x = other.array(np.zeros(64, np.float32))
    with pytest.raises(ArgumentError, match="argument 'x' is on"):
        Executor(unary(64, "v"), device)(x)


def test_default_limits(device: Device) -> None:
    small = open_device(limits="default")
    assert isinstance(small, Device)
    assert small.description.limits == DEFAULT_LIMITS
    assert small.description.features == device.description.features
    x = np.arange(64, dtype=np.float32)
    np.testing.assert_array_equal(Executor(unary(64, "v * v"), small)(x)[0].numpy(), x * x)
    needs_nine: tuple[Access, ...] = ("read",) * 9
    kernel = replace(unary(64, "v").kernels["unary"], accesses=needs_nine)
    with pytest.raises(DeviceError, match=r"allows 8 \(max-storage-buffers"):
        small.pipelines([kernel])


def test_a_missing_feature_is_named() -> None:
    bare = Device(adapters()[0].handle)
    bare.description = replace(bare.description, features=frozenset())
    f16 = unary(64, "v", "f16", enable="enable f16;")
    with pytest.raises(DeviceError, match="needs 'shader-f16'"):
        Executor(f16, bare)


def test_description(device: Device) -> None:
    about = device.description
    assert about.name and about.backend
    target = target_named(about.target_name)
    assert about.target_name.startswith("software" if about.is_software else "desktop")
    assert target.subgroup_size == about.subgroup_size
    assert target.max_workgroup_bytes <= about.limits["max-compute-workgroup-storage-size"]
    assert target.max_storage_buffers <= about.limits["max-storage-buffers-per-shader-stage"]
    if "subgroups" in about.features:
        assert about.subgroup_size in (4, 8, 16, 32, 64, 128)
    else:
        assert about.subgroup_size is None


def test_a_lost_device_is_a_typed_error() -> None:
    lost = Device(adapters()[0].handle)
    run = Executor(in_place(), lost)
    x = lost.array(np.zeros(64, np.float32))
    lost.handle.destroy()
    with pytest.raises(DeviceLostError, match="lost"):
        run(x)
    with pytest.raises(DeviceLostError, match="lost"):
        x.numpy()
    with pytest.raises(DeviceLostError, match="lost"):
        lost.array(np.zeros(64, np.float32))


def test_exit_with_live_arrays_and_work_in_flight_is_clean() -> None:
    script = """
import numpy as np
from stepwell.backends.device import open_device
device = open_device()
arrays = [device.array(np.ones(1000, np.float32)) for _ in range(20)]
class Holder:
    def __del__(self):
        self.array = None
holder = Holder(); holder.array = arrays[0]; holder.self = holder
"""
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


# Choosing


def test_names_choose_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(open_device("reference"), ReferenceDevice)
    monkeypatch.setenv("STEPWELL_DEVICE", "reference")
    assert isinstance(open_device(), ReferenceDevice)
    best = adapters()[0]
    named = open_device(best.name.upper())
    assert isinstance(named, Device)
    assert named is open_device("cpu" if best.is_software else "gpu")


def test_unknown_names_say_what_there_is() -> None:
    with pytest.raises(UnknownDeviceError, match="did you mean 'reference'") as caught:
        open_device("referense")
    assert adapters()[0].name in str(caught.value)


def test_a_kind_that_is_not_there_is_no_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    software = [adapter for adapter in adapters() if adapter.is_software]
    monkeypatch.setattr("stepwell.backends.device.adapters", lambda: software)
    with pytest.raises(UnknownDeviceError) as caught:
        open_device("gpu")
    assert "did you mean 'gpu'" not in str(caught.value)


def test_unknown_limits() -> None:
    with pytest.raises(UnknownDeviceError, match="'adapter' or 'default', not 'tiny'"):
        open_device(limits="tiny")  # type: ignore[arg-type]


def test_opengl_comes_last() -> None:
    backends = [adapter.backend for adapter in adapters() if adapter.is_software]
    assert backends == sorted(backends, key=lambda name: name.startswith("OpenGL"))


def test_without_an_adapter_numpy_computes_and_says_so() -> None:
    environment = {**os.environ, "VK_ICD_FILENAMES": "/nowhere.json", "VK_DRIVER_FILES": "/nowhere"}
    environment.pop("STEPWELL_DEVICE", None)
    script = (
        "from stepwell.backends import device as d; d.adapters = lambda: []\n"
        "print(d.open_device(), '|', d.open_device())"
    )
    run = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    )
    assert run.stdout.strip() == "NumPy (reference) | NumPy (reference)"
    assert run.stderr.count("\n") == 1 and "mesa-vulkan-drivers" in run.stderr


def test_a_new_device_can_be_opened_after_a_loss() -> None:
    first = open_device()
    try:
        choice.forget_devices()
        second = open_device()
        assert isinstance(second, Device) and second is not first
        array = second.array(np.ones(3, np.float32))
        assert isinstance(array, DeviceArray)
        np.testing.assert_array_equal(array, np.ones(3, np.float32))
    finally:
        choice.forget_devices()
