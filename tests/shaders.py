"""Validates and runs WGSL in tests: naga through wgpu, Tint through node."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import wgpu
from numpy.typing import NDArray

TINT = Path(__file__).parent / "tint.mjs"


@cache
def device() -> Any:
    """A device with the features shaders may use, where the adapter has them."""
    adapters = wgpu.gpu.enumerate_adapters_sync()
    assert adapters, "there is no wgpu adapter: install a Vulkan driver (Mesa has one for the CPU)"
    adapter = next((a for a in adapters if a.info["adapter_type"] != "CPU"), adapters[0])
    wanted = {"shader-f16", "subgroup"} & set(adapter.features)
    return adapter.request_device_sync(required_features=sorted(wanted))


def validate_naga(text: str) -> None:
    """Raises where naga, the shader compiler of wgpu, rejects a shader."""
    device().create_shader_module(code=text)


@cache
def tint_command() -> tuple[list[str], dict[str, str]] | None:
    """How to run Tint, or None where node or the npm package `webgpu` is missing."""
    node = shutil.which("node")
    folders = [os.environ.get("NODE_WEBGPU"), str(TINT.parent), str(TINT.parent.parent)]
    for folder in filter(None, folders):
        if node and (Path(folder) / "node_modules" / "webgpu").is_dir():
            return [node, str(TINT)], {**os.environ, "NODE_WEBGPU": folder}
    return None


def validate_tint(texts: Sequence[str]) -> None:
    """Raises where Tint, the shader compiler of Chromium, rejects one of some shaders."""
    command = tint_command()
    assert command is not None, "node or the npm package webgpu is missing"
    lines = "".join(f"{json.dumps(text)}\n" for text in texts)
    run = subprocess.run(
        command[0], env=command[1], input=lines, capture_output=True, text=True, timeout=120
    )
    answers = [json.loads(line) for line in run.stdout.splitlines() if line.startswith("[")]
    assert len(answers) == len(texts), run.stderr
    for text, errors in zip(texts, answers, strict=True):
        assert not errors, "\n".join(errors) + "\n" + text


_BINDING = re.compile(r"@binding\((\d+)\) var<(\w+)(, read_write)?")


def _layout(text: str) -> list[dict[str, Any]]:
    """The bindings that a shader declares (an automatic layout leaves out unused ones)."""
    kinds = {("storage", ""): "read-only-storage", ("storage", ", read_write"): "storage"}
    return [
        {
            "binding": int(binding),
            "visibility": wgpu.ShaderStage.COMPUTE,
            "buffer": {"type": kinds.get((space, access), "uniform")},
        }
        for binding, space, access in _BINDING.findall(text)
    ]


def _whole_vectors(array: NDArray[Any]) -> NDArray[np.uint8]:
    """The bytes of an array, as many as memory comes in: a multiple of 16."""
    data = np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8)
    return np.pad(data, (0, -len(data) % 16))


def dispatch(
    text: str,
    grid: Sequence[int],
    buffers: Sequence[NDArray[Any]],
    scalars: NDArray[np.uint32] | None = None,
) -> list[NDArray[Any]]:
    """Runs a shader on buffers bound in order (host scalars last); the buffers after it."""
    d = device()
    module = d.create_shader_module(code=text)
    group_layout = d.create_bind_group_layout(entries=_layout(text))
    pipeline = d.create_compute_pipeline(
        layout=d.create_pipeline_layout(bind_group_layouts=[group_layout]),
        compute={"module": module, "entry_point": "main"},
    )
    usage = wgpu.BufferUsage.STORAGE | wgpu.BufferUsage.COPY_SRC
    bound = [d.create_buffer_with_data(data=_whole_vectors(a), usage=usage) for a in buffers]
    entries: list[Mapping[str, Any]] = [
        {"binding": i, "resource": {"buffer": buffer, "offset": 0, "size": buffer.size}}
        for i, buffer in enumerate(bound)
    ]
    if scalars is not None:
        padded = np.zeros(-(-len(scalars) // 4) * 4, np.uint32)
        padded[: len(scalars)] = scalars
        uniform = d.create_buffer_with_data(data=padded, usage=wgpu.BufferUsage.UNIFORM)
        place = {"buffer": uniform, "offset": 0, "size": uniform.size}
        entries.append({"binding": len(bound), "resource": place})
    group = d.create_bind_group(layout=group_layout, entries=entries)
    encoder = d.create_command_encoder()
    compute = encoder.begin_compute_pass()
    compute.set_pipeline(pipeline)
    compute.set_bind_group(0, group)
    compute.dispatch_workgroups(*grid)
    compute.end()
    d.queue.submit([encoder.finish()])
    return [
        np.frombuffer(d.queue.read_buffer(buffer), a.dtype)[: a.size].reshape(a.shape)
        for buffer, a in zip(bound, buffers, strict=True)
    ]
