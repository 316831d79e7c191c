"""Runs kernels written by hand at the `tiled` stage: text -> wgsl -> naga, Tint and the device."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import shaders
from numpy.typing import NDArray
from xdsl.context import Context
from xdsl.dialects import get_all_dialects
from xdsl.parser import Parser

from stepwell.dialects.registry import DIALECTS
from stepwell.dialects.wgsl import ShaderOp, print_shader
from stepwell.passes.registry import PASSES

_PLACES = re.compile(r"gpu\.(\w+_id|block_dim|grid_dim) ([xyz])$", re.MULTILINE)
_PLAIN = re.compile(r"gpu\.(lane_id|subgroup_size|subgroup_id)$", re.MULTILINE)


@cache
def context() -> Context:
    """Every dialect of xDSL and ours."""
    ctx = Context()
    for name, dialect in get_all_dialects().items() | DIALECTS.items():
        ctx.register_dialect(name, dialect)
    return ctx


def generic(text: str) -> str:
    """`gpu.thread_id x` and `gpu.barrier`, which xDSL cannot parse, in the form that it can."""
    text = _PLACES.sub(r'"gpu.\1"() <{dimension = #gpu<dim \2>}> : () -> index', text)
    text = _PLAIN.sub(r'"gpu.\1"() : () -> index', text)
    return re.sub(r"gpu\.barrier$", '"gpu.barrier"() : () -> ()', text, flags=re.MULTILINE)


def lower(kernel: str, passes: Sequence[str] = ("convert-kernels-to-wgsl",)) -> ShaderOp:
    """The shader of a module with one kernel."""
    ctx = context()
    module = Parser(ctx, generic(kernel)).parse_module()
    module.verify()
    for name in passes:
        PASSES[name]()().apply(ctx, module)
        module.verify()
    (shader,) = (op for op in module.ops if isinstance(op, ShaderOp))
    return shader


def run(
    kernel: str,
    *buffers: NDArray[Any],
    scalars: NDArray[np.uint32] | None = None,
    passes: Sequence[str] = ("convert-kernels-to-wgsl",),
) -> list[NDArray[Any]]:
    """The buffers after the kernel ran, once both shader compilers accepted it."""
    shader = lower(kernel, passes)
    text = print_shader(shader)
    shaders.validate_naga(text)
    if shaders.tint_command() is not None:
        shaders.validate_tint([print_shader(shader, enable_subgroups=True)])
    grid: Any = shader.attributes["grid"]
    return shaders.dispatch(text, grid.get_values(), buffers, scalars)


def kernel(arguments: str, body: str, workgroup: int = 64, grid: int = 1) -> str:
    """The text of a kernel."""
    sizes = f"workgroup_size = array<i32: {workgroup}, 1, 1>, grid = array<i32: {grid}, 1, 1>"
    head = f"kernel.func @test({arguments}) attributes {{{sizes}}}"
    return f"{head} {{\n{body}\n  kernel.return\n}}\n"
