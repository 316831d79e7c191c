"""The same works in tinygrad on its WEBGPU device, under TinyJit: its users' fast path.

It needs the packages tinygrad and dawn-python (Dawn's library).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from stepwell.tools.benchmarks.figures import Work
from stepwell.tools.benchmarks.models import GPTSize, MLPSize
from stepwell.tools.benchmarks.problems import Values
from stepwell.tools.benchmarks.rows import Task


class TinygradPeer:
    """Works of tinygrad. Raises on construction: ImportError."""

    name = "tinygrad"

    def __init__(self) -> None:
        dawn = find_spec("pydawn")
        if dawn is None or dawn.origin is None:
            raise ImportError("no package dawn-python")
        library = Path(dawn.origin).parent / "lib" / "libwebgpu_dawn_x86_64.so"
        os.environ.setdefault("WEBGPU_PATH", str(library))
        os.environ.setdefault("DEV", "WEBGPU")
        self.tg: Any = import_module("tinygrad")
        self.nn: Any = import_module("tinygrad.nn")
        self.context: Any = import_module("tinygrad.helpers").Context
        self.device: Any = self.tg.Device[self.tg.Device.DEFAULT]
        self.models: Mapping[str, Callable[..., Work]] = {
            "mlp": self._mlp,
            "block": self._block,
            "gpt": self._gpt,
        }
        self.functions: Mapping[str, Callable[[Any, tuple[Any, ...]], Any]] = {
            "copy": lambda x, _: x[0] + 1.0,
            "matmul": lambda x, _: x[0] @ x[1],
            "gelu": lambda x, _: (x[0] * 1.5 + 0.25).gelu(),
            "softmax": lambda x, _: x[0].softmax(-1),
            "layer_norm": lambda x, _: x[0].layernorm(-1) * x[1] + x[2],
            "conv": lambda x, size: x[0].conv2d(
                x[1], stride=size[-2], padding=size[-3] // 2, groups=size[-1]
            ),
        }

    def __str__(self) -> str:
        from importlib.metadata import version

        return f"tinygrad {version('tinygrad')} on {self.tg.Device.DEFAULT}"

    def wait(self) -> None:
        """Wait for the device."""
        self.device.synchronize()

    def _normal(self, *shape: int) -> Any:
        return self.tg.Tensor.randn(*shape).contiguous().realize()

    def work(self, task: Task, inputs: Sequence[Values]) -> Work | None:
        """The task on the same inputs; None for those that it is not compared on."""
        if task.kind in self.models:
            return self.models[task.kind](*task.size)
        if task.kind not in self.functions or task.backward:
            return None
        tensors = [self.tg.Tensor(values).realize() for values in inputs]
        return self._map(lambda x: self.functions[task.kind](x, task.size), tensors)

    def _map(self, function: Callable[[Any], Any], x: Any) -> Work:
        def realized(x: Any) -> Any:
            return function(x).realize()

        jitted = self.tg.TinyJit(realized)
        return Work(lambda: jitted(x), self.wait)

    def _integers(self, limit: int, *shape: int) -> Any:
        values = np.random.default_rng(0).integers(0, limit, shape).astype(np.int32)
        return self.tg.Tensor(values).realize()

    def _train(self, parameters: Any, loss: Callable[[], Any]) -> Work:
        optimizer = self.nn.optim.Adam(parameters, 1e-3)

        def step() -> Any:
            optimizer.zero_grad()
            value = loss().backward()
            optimizer.step()
            return value.realize()

        jitted = self.tg.TinyJit(step)

        def call() -> Any:
            with self.context(TRAINING=1):
                return jitted()

        return Work(call, self.wait)

    def _mlp(self, size: MLPSize) -> Work:
        layers = [self.nn.Linear(*pair) for pair in zip(size.widths, size.widths[1:], strict=False)]
        x, y = self._normal(size.batch, size.widths[0]), self._integers(size.widths[-1], size.batch)

        def loss() -> Any:
            values = x
            for layer in layers[:-1]:
                values = layer(values).relu()
            return layers[-1](values).sparse_categorical_crossentropy(y)

        return self._train(self.nn.state.get_parameters(layers), loss)

    def _layers(self, width: int) -> dict[str, Any]:
        nn = self.nn
        return {
            "norm1": nn.LayerNorm(width), "norm2": nn.LayerNorm(width),
            "qkv": nn.Linear(width, 3 * width), "project": nn.Linear(width, width),
            "expand": nn.Linear(width, 4 * width), "contract": nn.Linear(4 * width, width),
        }  # fmt: skip

    def _forward(self, layers: dict[str, Any], x: Any, heads: int) -> Any:
        batch, time, width = x.shape
        qkv = layers["qkv"](layers["norm1"](x)).reshape(batch, time, 3, heads, width // heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        mixed = q.scaled_dot_product_attention(k, v, is_causal=True)
        x = x + layers["project"](mixed.transpose(1, 2).reshape(batch, time, width))
        return x + layers["contract"](layers["expand"](layers["norm2"](x)).gelu())

    def _block(self, size: GPTSize) -> Work:
        layers = self._layers(size.width)
        for parameter in self.nn.state.get_parameters(layers):
            parameter.realize()
        x = self._normal(1, size.context, size.width)
        return self._map(lambda x: self._forward(layers, x, size.heads), x)

    def _gpt(self, size: GPTSize) -> Work:
        nn = self.nn
        tokens, norm = nn.Embedding(size.vocabulary, size.width), nn.LayerNorm(size.width)
        positions = nn.Embedding(size.context, size.width)
        blocks = [self._layers(size.width) for _ in range(size.layers)]
        head = nn.Linear(size.width, size.vocabulary, bias=False)
        inputs, target = (
            self._integers(size.vocabulary, size.batch, size.context) for _ in range(2)
        )

        def loss() -> Any:
            x = tokens(inputs) + positions.weight
            for layers in blocks:
                x = self._forward(layers, x, size.heads)
            logits = head(norm(x)).reshape(-1, size.vocabulary)
            return logits.sparse_categorical_crossentropy(target.flatten())

        parameters = nn.state.get_parameters([tokens, norm, positions, blocks, head])
        return self._train(parameters, loss)
