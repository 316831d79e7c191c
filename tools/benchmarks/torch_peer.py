"""The same works in PyTorch, eager: on the GPU without TF32 if ours runs on one, else the CPU."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from stepwell.tools.benchmarks.figures import Work
from stepwell.tools.benchmarks.models import GPTSize, LSTMSize, MLPSize
from stepwell.tools.benchmarks.problems import Values
from stepwell.tools.benchmarks.rows import Task


class TorchPeer:
    """Works of PyTorch. Raises on construction: ImportError."""

    name = "torch"

    def __init__(self, *, gpu: bool):
        self.torch: Any = import_module("torch")
        self.functional: Any = import_module("torch.nn.functional")
        self.cuda = gpu and self.torch.cuda.is_available()
        self.torch.manual_seed(0)
        if self.cuda:
            self.torch.backends.cuda.matmul.allow_tf32 = False
            self.torch.backends.cudnn.allow_tf32 = False
        self.models: Mapping[str, Callable[..., Work]] = {
            "mlp": self._mlp,
            "block": self._block,
            "lstm": self._lstm,
            "gpt": self._gpt,
        }
        torch, functional = self.torch, self.functional
        self.functions: Mapping[str, Callable[[Any, tuple[Any, ...]], Any]] = {
            "copy": lambda x, _: x[0] + 1.0,
            "matmul": lambda x, _: x[0] @ x[1],
            "matmul_nt": lambda x, _: x[0] @ x[1].mT,
            "matmul_tn": lambda x, _: x[0].mT @ x[1],
            "batched": lambda x, _: x[0] @ x[1],
            "gemv": lambda x, _: x[0] @ x[1],
            "quantized": lambda x, size: self._quantized(x, size[2]),
            "chain": lambda x, _: torch.exp(-torch.abs(x[0] * 1.5 + 0.25)) * x[0],
            "gelu": lambda x, _: self._gelu(x[0] * 1.5 + 0.25),
            "softmax": lambda x, _: torch.softmax(x[0], -1),
            "layer_norm": lambda x, size: functional.layer_norm(x[0], (size[1],), x[1], x[2]),
            "rms_norm": lambda x, size: functional.rms_norm(x[0], (size[1],), x[1], 1e-5),
            "cross_entropy": lambda x, _: functional.cross_entropy(x[0], x[1].long()),
            "sum": lambda x, _: torch.sum(x[0]),
            "sum_columns": lambda x, _: torch.sum(x[0], 0),
            "argmax": lambda x, _: torch.argmax(x[0], -1),
            "attention": lambda x, _: functional.scaled_dot_product_attention(*x, is_causal=True),
            "conv": lambda x, size: functional.conv2d(
                x[0], x[1], stride=size[-2], padding=size[-3] // 2, groups=size[-1]
            ),
            "embedding": lambda x, _: functional.embedding(x[1], x[0]),
        }

    def __str__(self) -> str:
        where = self.torch.cuda.get_device_name() if self.cuda else "CPU"
        return f"torch {self.torch.__version__} on {where}"

    def wait(self) -> None:
        """Wait for CUDA."""
        if self.cuda:
            self.torch.cuda.synchronize()

    def _normal(self, *shape: int) -> Any:
        return self.torch.randn(*shape, device="cuda" if self.cuda else "cpu")

    def work(self, task: Task, inputs: Sequence[Values]) -> Work:
        """The task on the same inputs."""
        if task.kind in self.models:
            return self.models[task.kind](*task.size)
        placed = [self.torch.from_numpy(_known(values)) for values in inputs]
        tensors = [tensor.cuda() for tensor in placed] if self.cuda else placed
        function = self.functions[task.kind]
        if not task.backward:
            return self._map(lambda x: function(x, task.size), tensors)
        *given, flow = tensors
        leaves = [given[position].requires_grad_() for position in task.backward]
        result = function(given, task.size)

        def gradients() -> Any:
            return self.torch.autograd.grad(result, leaves, flow, retain_graph=True)

        return Work(gradients, self.wait)

    def device_seconds(self, work: Work, repeats: int) -> float:
        """The time of one call on the GPU by its own clock: the median of blocks of calls."""
        for _ in range(5):
            work.call()
        work.wait()
        blocks, times = 5, list[float]()
        for _ in range(blocks):
            start, end = (self.torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            for _ in range(max(1, repeats // blocks)):
                work.call()
            end.record()
            end.synchronize()
            times.append(start.elapsed_time(end) / 1e3 / max(1, repeats // blocks))
        return statistics.median(times)

    def difference(self, work: Work, found: Sequence[Values]) -> float:
        """The largest difference of results from the peer's, relative to their largest."""
        results = work.call()
        worst = 0.0
        for mine, theirs in zip(
            found, results if isinstance(results, tuple) else (results,), strict=True
        ):
            ours = self.torch.from_numpy(np.array(mine))
            ours = (ours.cuda() if self.cuda else ours).to(self.torch.float32)
            theirs = theirs.detach().to(self.torch.float32)
            scale = float(theirs.abs().max()) or 1.0
            worst = max(worst, float((ours - theirs).abs().max()) / scale)
        return worst

    def forget(self) -> None:
        """Give memory back that no tensor holds."""
        if self.cuda:
            self.torch.cuda.empty_cache()

    def _map(self, function: Callable[[Any], Any], x: Any) -> Work:
        def call() -> Any:
            with self.torch.no_grad():
                return function(x)

        return Work(call, self.wait)

    def _gelu(self, x: Any) -> Any:
        return self.functional.gelu(x, approximate="tanh")

    def _train(self, model: Any, loss: Callable[[], Any]) -> Work:
        optimizer = self.torch.optim.Adam(model.parameters(), 1e-3, fused=self.cuda)

        def step() -> Any:
            optimizer.zero_grad()
            value = loss()
            value.backward()
            optimizer.step()
            return value

        return Work(step, self.wait)

    def _mlp(self, size: MLPSize) -> Work:
        nn = self.torch.nn
        layers: list[Any] = []
        for inputs, outputs in zip(size.widths, size.widths[1:], strict=False):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        model = self._placed(nn.Sequential(*layers[:-1]))
        x = self._normal(size.batch, size.widths[0])
        y = self._integers(size.widths[-1], size.batch)
        return self._train(model, lambda: self.functional.cross_entropy(model(x), y))

    def _lstm(self, size: LSTMSize) -> Work:
        model = self._placed(self.torch.nn.LSTM(size.width, size.width, size.layers))
        x, y = (self._normal(size.time, size.batch, size.width) for _ in range(2))
        return self._train(model, lambda: self.functional.mse_loss(model(x)[0], y))

    def _quantized(self, x: Any, group: int) -> Any:
        """Eager PyTorch widens the weights, then multiplies."""
        x, weight, scale = x
        wide = weight.to(x.dtype).unflatten(1, (-1, group)) * scale[..., None]
        return x @ wide.flatten(1).mT

    def _placed(self, model: Any) -> Any:
        return model.to("cuda") if self.cuda else model

    def _integers(self, limit: int, *shape: int) -> Any:
        return self.torch.randint(0, limit, shape, device="cuda" if self.cuda else "cpu")

    def _layers(self, width: int) -> Any:
        nn = self.torch.nn
        return nn.ModuleDict({
            "norm1": nn.LayerNorm(width), "norm2": nn.LayerNorm(width),
            "qkv": nn.Linear(width, 3 * width), "project": nn.Linear(width, width),
            "expand": nn.Linear(width, 4 * width), "contract": nn.Linear(4 * width, width),
        })  # fmt: skip

    def _forward(self, layers: Any, x: Any, heads: int) -> Any:
        batch, time, width = x.shape
        qkv = layers["qkv"](layers["norm1"](x)).view(batch, time, 3, heads, width // heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        mixed = self.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + layers["project"](mixed.transpose(1, 2).reshape(batch, time, width))
        return x + layers["contract"](self._gelu(layers["expand"](layers["norm2"](x))))

    def _block(self, size: GPTSize) -> Work:
        layers = self._placed(self._layers(size.width))
        x = self._normal(1, size.context, size.width)
        return self._map(lambda x: self._forward(layers, x, size.heads), x)

    def _gpt(self, size: GPTSize) -> Work:
        nn, width = self.torch.nn, size.width
        model = self._placed(nn.ModuleDict({
            "tokens": nn.Embedding(size.vocabulary, width),
            "positions": nn.Embedding(size.context, width),
            "blocks": nn.ModuleList([self._layers(width) for _ in range(size.layers)]),
            "norm": nn.LayerNorm(width),
            "head": nn.Linear(width, size.vocabulary, bias=False),
        }))  # fmt: skip
        tokens, target = (
            self._integers(size.vocabulary, size.batch, size.context) for _ in range(2)
        )

        def loss() -> Any:
            x = model["tokens"](tokens) + model["positions"].weight
            for layers in model["blocks"]:
                x = self._forward(layers, x, size.heads)
            logits = model["head"](model["norm"](x))
            return self.functional.cross_entropy(logits.flatten(0, 1), target.flatten())

        return self._train(model, loss)


def _known(values: Values) -> Values:
    """The values, in bytes where PyTorch has no such type."""
    return values if values.dtype.isbuiltin == 1 else values.astype(np.int8)
