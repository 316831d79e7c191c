"""The same works in PyTorch, eager: on the GPU without TF32 if ours runs on one, else the CPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from stepwell.tools.benchmarks.figures import Work
from stepwell.tools.benchmarks.models import GPTSize, MLPSize


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
        self.works: Mapping[str, Callable[..., Work]] = {
            "matmul": self._matmul,
            "copy": self._copy,
            "gelu": self._gelu_of_line,
            "softmax": self._softmax,
            "layer_norm": self._layer_norm,
            "mlp": self._mlp,
            "block": self._block,
            "gpt": self._gpt,
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

    def _map(self, function: Callable[[Any], Any], x: Any) -> Work:
        def call() -> Any:
            with self.torch.no_grad():
                return function(x)

        return Work(call, self.wait)

    def _matmul(self, n: int) -> Work:
        b = self._normal(n, n)
        return self._map(lambda a: a @ b, self._normal(n, n))

    def _copy(self, n: int) -> Work:
        return self._map(lambda x: x + 1.0, self._normal(n))

    def _gelu(self, x: Any) -> Any:
        return self.functional.gelu(x, approximate="tanh")

    def _gelu_of_line(self, n: int) -> Work:
        return self._map(lambda x: self._gelu(x * 1.5 + 0.25), self._normal(n))

    def _softmax(self, *shape: int) -> Work:
        return self._map(lambda x: self.torch.softmax(x, -1), self._normal(*shape))

    def _layer_norm(self, rows: int, columns: int) -> Work:
        scale, shift = self._normal(columns), self._normal(columns)
        norm = self.functional.layer_norm
        return self._map(lambda x: norm(x, (columns,), scale, shift), self._normal(rows, columns))

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
