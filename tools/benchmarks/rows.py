"""The rows of `speed` as data: what to run at which size, the least it takes, and the bars.

There is a table for GPUs, one for software devices and one of tiny sizes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from stepwell.frontend.dtypes import as_dtype
from stepwell.tools.benchmarks.figures import Bar
from stepwell.tools.benchmarks.models import GPTSize, LSTMSize, MLPSize

MLP = MLPSize((784, 512, 512, 10), 128)
TINY_MLP = MLPSize((16, 8, 4), 4)
GPT_SMALL = GPTSize(layers=4, width=256, heads=8, context=128, batch=8, vocabulary=1024)
GPT_LARGE = GPTSize(layers=12, width=768, heads=12, context=256, batch=4, vocabulary=8192)
GPT2 = GPTSize(layers=12, width=768, heads=12, context=1024, batch=8, vocabulary=50304)
BLOCK = GPTSize(1, 768, 12, 256, 1, 1)
LSTM = LSTMSize(layers=2, width=256, time=128, batch=32)
TINY_LSTM = LSTMSize(layers=1, width=8, time=4, batch=2)
TINY_GPT = GPTSize(layers=1, width=16, heads=2, context=8, batch=2, vocabulary=32)


@dataclass(frozen=True)
class Task:
    """A row. `flops` and `bytes` are the least that it takes; 0 for models.

    `backward`: the gradients of the inputs at these positions. `rate`: the FLOP/s of the bar "bar".
    `first`: the seconds of a bar for the first call, with compiling as the caches are.
    `tolerance`: the largest difference from a peer's results, relative to their largest.
    """

    name: str
    kind: str
    what: str
    size: tuple[Any, ...]
    flops: int = 0
    bytes: int = 0
    bars: tuple[Bar, ...] = ()
    backward: tuple[int, ...] = ()
    rate: float = 0.0
    first: float = 0.0
    tolerance: float = 1e-4


_MEMORY = (Bar("copy", 0.7, 0.9),)
_THIN = (Bar("copy", 0.65, 0.9),)
_CHAIN = (Bar("copy", 0.9, 0.97),)
_MATMUL = (Bar("torch", 0.8, 1.0), Bar("tinygrad", 5, 10))
_CONVOLUTION = (Bar("torch", 0.6, 1.0),)


def _matmul(m: int, k: int, n: int, name: str, kind: str = "matmul", *bars: Bar) -> Task:
    forms = {"matmul": "A B", "matmul_nt": "A B^T", "matmul_tn": "A^T B"}
    return Task(
        f"matmul-{name}", kind, f"{forms[kind]}, [{m}, {k}, {n}] f32", (m, k, n),
        2 * m * k * n, 4 * (m * k + k * n + m * n), bars,
    )  # fmt: skip


def _square(n: int, *bars: Bar, kind: str = "matmul") -> Task:
    return _matmul(n, n, n, f"{n}{kind.removeprefix('matmul').replace('_', '-')}", kind, *bars)


def _batched(b: int, m: int, k: int, n: int) -> Task:
    return Task(
        "matmul-batched", "batched", f"{b} times [{m}, {k}] @ [{k}, {n}] f32", (b, m, k, n),
        2 * b * m * k * n, 4 * b * (m * k + k * n + m * n), _MATMUL[:1],
    )  # fmt: skip


def _half_matmul(n: int) -> Task:
    return Task(
        f"matmul-{n}-f16", "matmul", f"[{n}, {n}] @ [{n}, {n}] f16, sums in f32",
        (n, n, n, "f16"), 2 * n**3, 6 * n * n, (Bar("bar", 1.0, 1.0),), rate=50e12, tolerance=2e-3,
    )  # fmt: skip


def _thin(m: int, n: int) -> Task:
    return _matmul(m, n, n, f"thin-{m}", "matmul", *_THIN)


def _gemv(n: int) -> Task:
    return Task(
        "gemv", "gemv", f"[{n}, {n}] @ [{n}] f32", (n,), 2 * n * n, 4 * (n * n + 2 * n), _THIN
    )


def _map(kind: str, n: int, *bars: Bar, half: bool = False) -> Task:
    whats = {
        "copy": "x + 1",
        "chain": "exp(-|1.5 x + 0.25|) x",
        "gelu": "gelu(1.5 x + 0.25)",
    }
    dtype = "f16" if half else "f32"
    return Task(
        kind + ("-f16" if half else ""), kind, f"{whats[kind]} of {n:,} {dtype}",
        (n, "f16") if half else (n,), bytes=(4 if half else 8) * n, bars=bars,
        tolerance=2e-3 if half else 1e-5,
    )  # fmt: skip


def _rows(kind: str, shape: tuple[int, int], *bars: Bar, half: bool = False) -> list[Task]:
    """A row-wise operation and its gradients."""
    rows, columns = shape
    weights = {"softmax": 0, "layer_norm": 2, "rms_norm": 1}[kind]
    words, width, dtype = kind.replace("_", " "), 2 if half else 4, "f16" if half else "f32"
    name = f"{kind.replace('_', '-')}-{columns}" + ("-f16" if half else "")
    forward = Task(
        name, kind, f"{words} of [{rows}, {columns}] {dtype}",
        (rows, columns, "f16") if half else (rows, columns),
        bytes=width * (2 * rows + weights) * columns, bars=bars, tolerance=4e-3 if half else 1e-4,
    )  # fmt: skip
    if half:
        return [forward]
    return [forward, replace(
        forward, name=f"{name}-backward", what=f"gradients of {forward.what}",
        bytes=4 * (3 * rows + 2 * weights) * columns, backward=tuple(range(1 + weights)),
    )]  # fmt: skip


def _cross_entropy(rows: int, classes: int, *bars: Bar) -> list[Task]:
    what = f"cross entropy of [{rows}, {classes}] f32"
    size, logits = (rows, classes), 4 * rows * classes
    name = "cross-entropy"
    return [
        Task(name, "cross_entropy", what, size, bytes=logits, bars=bars),
        Task(f"{name}-backward", "cross_entropy", f"gradient of {what}", size, bytes=2 * logits,
             bars=bars, backward=(0,)),
    ]  # fmt: skip


def _reduction(kind: str, rows: int, columns: int, *bars: Bar, half: bool = False) -> Task:
    whats = {"sum": "sum", "sum_columns": "sum of the columns", "argmax": "argmax of the rows"}
    return Task(
        kind.replace("_", "-") + ("-f16" if half else ""), kind,
        f"{whats[kind]} of [{rows}, {columns}] {'f16' if half else 'f32'}",
        (rows, columns, "f16") if half else (rows, columns),
        bytes=(2 if half else 4) * rows * columns, bars=bars,
        # The sum of as many normal numbers is nearly zero beside them.
        tolerance=1e-2 if half else 1e-3,
    )  # fmt: skip


def _attention(batch: int, heads: int, time: int, width: int) -> list[Task]:
    size = batch, heads, time, width
    what = f"causal attention, B{batch} H{heads} T{time} d{width}"
    half = batch * heads * time * time * width  # A product of half of the positions.
    tensor = 4 * prod(size)
    return [
        Task("attention", "attention", what, size, 2 * half, 4 * tensor,
             (Bar("torch", 0.7, 1.0),)),
        Task("attention-backward", "attention", f"gradients of {what}", size, 5 * half, 7 * tensor,
             (Bar("torch", 0.6, 1.0),), (0, 1, 2)),
    ]  # fmt: skip


def _convolutions(
    name: str, batch: int, channels: int, side: int, filters: int, kernel: int,
    stride: int = 1, groups: int = 1, bars: tuple[Bar, ...] = _CONVOLUTION,
) -> list[Task]:  # fmt: skip
    """A convolution, the gradient of its input and that of its filters."""
    out = (side + 2 * (kernel // 2) - kernel) // stride + 1
    results, weights = batch * filters * out * out, filters * channels // groups * kernel**2
    forward = Task(
        f"conv-{name}", "conv",
        f"conv2d {kernel}x{kernel} {channels}->{filters} {side}x{side} stride {stride} "
        f"groups {groups} batch {batch}",
        (batch, channels, side, filters, kernel, stride, groups),
        2 * results * channels // groups * kernel**2,
        4 * (batch * channels * side * side + weights + results), bars,
    )  # fmt: skip
    return [
        forward,
        replace(forward, name=f"conv-{name}-dgrad", what=f"data gradient of {forward.what}",
                backward=(0,)),
        replace(forward, name=f"conv-{name}-wgrad", what=f"weight gradient of {forward.what}",
                backward=(1,), tolerance=1e-3),
    ]  # fmt: skip


def _embedding(rows: int, width: int, tokens: int, *bars: Bar) -> list[Task]:
    size, what = (rows, width, tokens), f"embedding [{rows}, {width}] of {tokens} tokens"
    taken = 4 * tokens * width
    return [
        Task("embedding", "embedding", what, size, bytes=2 * taken, bars=bars),
        Task("embedding-backward", "embedding", f"gradient of {what}", size,
             bytes=taken + 4 * rows * width, bars=bars, backward=(0,)),
    ]  # fmt: skip


def _quantized(dtype: str, rows: int, width: int, group: int) -> Task:
    """A square layer that reads packed integers, with a scale for each group of them."""
    weights = width * width * as_dtype(dtype).bits // 8 + 4 * width * width // group
    return Task(
        f"matmul-{dtype}-{rows}", "quantized",
        f"[{rows}, {width}] f32 @ [{width}, {width}] {dtype}, a scale for {group}",
        (rows, width, group, dtype), 2 * rows * width * width, weights + 8 * rows * width,
    )  # fmt: skip


def _model(name: str, kind: str, size: GPTSize | LSTMSize | MLPSize, *bars: Bar) -> Task:
    whats = {
        "gpt": "GPT training step",
        "lstm": "LSTM training step",
        "mlp": "MLP training step",
        "block": "GPT block",
    }
    return Task(name, kind, f"{whats[kind]}, {size}", (size,), bars=bars, tolerance=1e-3)


def _each(*groups: Task | Iterable[Task]) -> tuple[Task, ...]:
    return tuple(
        task for group in groups for task in ([group] if isinstance(group, Task) else group)
    )


_ROWS = ((65536, 1024), (16384, 4096), (1024, 65536))

GPU = _each(
    _map("copy", 1 << 26),
    (_square(n, *_MATMUL) for n in (1024, 2048, 4096, 8192)),
    (_square(n, *_MATMUL[:1], kind=kind) for kind in ("matmul_nt", "matmul_tn")
     for n in (1024, 4096)),
    _batched(64, 512, 512, 64),
    _matmul(1000, 1017, 1033, "odd", "matmul", Bar("torch", 0.6, 1.0)),
    _half_matmul(4096),
    (_map("chain", 1 << 28, *_CHAIN, half=half) for half in (False, True)),
    _map("gelu", 1 << 26, Bar("copy", 0.9, 0.97), Bar("tinygrad", 5, 10)),
    (task for kind in ("softmax", "layer_norm", "rms_norm") for shape in _ROWS
     for task in _rows(kind, shape, *_MEMORY)),
    (task for kind in ("softmax", "layer_norm") for task in
     _rows(kind, (16384, 4096), *_MEMORY, half=True)),
    _cross_entropy(8192, 50304, *_MEMORY),
    _reduction("sum", 8192, 32768, *_MEMORY),
    _reduction("sum", 8192, 32768, *_MEMORY, half=True),
    _reduction("sum_columns", 8192, 768, *_MEMORY),
    _reduction("argmax", 8192, 32768, *_MEMORY),
    _gemv(8192),
    (_thin(m, 8192) for m in (1, 2, 4, 8, 16)),
    _attention(8, 12, 1024, 64),
    _convolutions("3x3", 32, 64, 56, 64, 3),
    _convolutions("1x1", 32, 256, 56, 64, 1),
    _convolutions("7x7", 32, 3, 224, 64, 7, 2),
    _convolutions("depthwise", 32, 64, 56, 64, 3, groups=64),
    _embedding(50304, 768, 8192, Bar("torch", 1.0, 1.5)),
    (_quantized(dtype, rows, 8192, 128) for dtype in ("int8", "int4") for rows in (1, 16)),
    _model("mlp", "mlp", MLP),
    _model("lstm", "lstm", LSTM),
    _model("gpt", "gpt", GPT_SMALL, Bar("torch", 1.2, 2.0), Bar("tinygrad", 5, 10)),
    _model("gpt-large", "gpt", GPT_LARGE, Bar("torch", 0.9, 1.1), Bar("tinygrad", 5, 10)),
    _model("gpt-2", "gpt", GPT2, Bar("torch", 0.9, 1.1), Bar("tinygrad", 5, 10)),
)  # fmt: skip
"""Issue 3's table for GPUs. Copy bandwidth is measured in the same run."""


def _software_rows(kind: str) -> Task:
    (forward, _) = _rows(kind, (4096, 1024), Bar("tinygrad", 3, 6))
    return replace(forward, name=kind.replace("_", "-"))


SOFTWARE = _each(
    _map("copy", 1 << 24),
    (_square(n, Bar("tinygrad", 5, 7)) for n in (256, 512, 1024)),
    _map("gelu", 1 << 24, Bar("tinygrad", 2.5, 3.2), Bar("torch", 1.0, 1.0)),
    _software_rows("softmax"),
    _software_rows("layer_norm"),
    _convolutions("3x3", 8, 64, 56, 64, 3, bars=(Bar("tinygrad", 3, 6),))[0],
    _model("mlp", "mlp", MLP, Bar("tinygrad", 5, 8)),
    _model("block", "block", BLOCK, Bar("tinygrad", 6, 10)),
    replace(_model("gpt", "gpt", GPT_SMALL, Bar("tinygrad", 7, 10)), first=3.0),
)
"""The table for software Vulkan."""

QUICK = _each(
    _map("copy", 1 << 10),
    _square(16, *_MATMUL),
    (_square(16, kind=kind) for kind in ("matmul_nt", "matmul_tn")),
    _batched(2, 8, 8, 4),
    _map("chain", 1 << 10, *_CHAIN),
    _map("gelu", 1 << 10, Bar("torch", 1.0, 1.0)),
    (replace(task, name=task.name.replace("-64", "")) for kind in
     ("softmax", "layer_norm", "rms_norm") for task in _rows(kind, (8, 64), *_MEMORY)),
    _cross_entropy(8, 32, *_MEMORY),
    (_reduction(kind, 16, 32) for kind in ("sum", "sum_columns", "argmax")),
    _gemv(16),
    _attention(1, 2, 8, 4),
    _convolutions("3x3", 1, 4, 8, 4, 3),
    _embedding(32, 8, 16),
    _quantized("int4", 2, 16, 8),
    _model("mlp", "mlp", TINY_MLP),
    _model("lstm", "lstm", TINY_LSTM),
    _model("block", "block", TINY_GPT),
    replace(_model("gpt", "gpt", TINY_GPT), first=60.0),
)  # fmt: skip
"""Every kind at a tiny size."""
