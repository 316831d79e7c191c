"""Optimizers with PyTorch's names and update rules, as pure functions on trees of arrays.

    optimizer = sw.optim.AdamW(lr=3e-4, weight_decay=0.1)
    state = optimizer.init(params)
    params, state = optimizer.update(grads, state, params, step=1)

`update` may be traced. What changes from step to step (`scalars`) is a handful of numbers: inputs
of the compiled step, so that setting `optimizer.lr` compiles nothing.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np

from stepwell.frontend.array import Array, ArrayLike
from stepwell.frontend.tree import flatten, tree_map, unflatten

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "Optimizer",
]

Tree = Any
Scalars = Mapping[str, Any]


def _zeros_like(x: Array) -> Array:
    return Array(np.zeros(x.shape, x.dtype.numpy))


class Optimizer(ABC):
    """How parameters follow from gradients. `lr` may be set at any time."""

    def __init__(self, lr: float, weight_decay: float = 0.0):
        if not (lr >= 0 and weight_decay >= 0):
            raise ValueError(
                f"{type(self).__name__}: lr {lr} and weight_decay {weight_decay} are 0 or more"
            )
        self.lr = lr
        self.weight_decay = weight_decay

    @abstractmethod
    def init(self, params: Tree) -> dict[str, Tree]:
        """The state before the first step: trees like `params` by name."""

    @abstractmethod
    def scalars(self, lr: Any, step: Any) -> dict[str, Any]:
        """The numbers that a step depends on. `step` counts from 1; both may be arrays."""

    @abstractmethod
    def leaf(
        self, gradient: Array, param: Array, state: Mapping[str, Array], scalars: Scalars
    ) -> tuple[Array, dict[str, Array]]:
        """The new value and state of one parameter."""

    def apply(
        self, grads: Tree, state: Mapping[str, Tree], params: Tree, scalars: Scalars
    ) -> tuple[Tree, dict[str, Tree]]:
        """The new parameters and state, given the numbers of this step."""
        values, structure = flatten(params)
        gradients = flatten(grads)[0]
        states = {name: flatten(tree)[0] for name, tree in state.items()}
        results = [
            self.leaf(g, p, {name: leaves[i] for name, leaves in states.items()}, scalars)
            for i, (g, p) in enumerate(zip(gradients, values, strict=True))
        ]
        new_state = {name: unflatten(structure, [s[name] for _, s in results]) for name in state}
        return unflatten(structure, [value for value, _ in results]), new_state

    def update(
        self,
        grads: Tree,
        state: Mapping[str, Tree],
        params: Tree,
        lr: ArrayLike | None = None,
        step: ArrayLike = 1,
    ) -> tuple[Tree, dict[str, Tree]]:
        """The new parameters and state. `step` counts from 1; `lr` is `self.lr` by default."""
        return self.apply(grads, state, params, self.scalars(self.lr if lr is None else lr, step))


class SGD(Optimizer):
    """b = momentum * b + g; p -= lr * b, or with Nesterov p -= lr * (g + momentum * b)."""

    def __init__(
        self,
        lr: float = 1e-3,
        momentum: float = 0.0,
        *,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ):
        super().__init__(lr, weight_decay)
        if nesterov and not momentum:
            raise ValueError("SGD: nesterov needs a momentum")
        self.momentum = momentum
        self.nesterov = nesterov

    def init(self, params: Tree) -> dict[str, Tree]:
        return {"momentum": tree_map(_zeros_like, params)} if self.momentum else {}

    def scalars(self, lr: Any, step: Any) -> dict[str, Any]:
        return {"lr": lr}

    def leaf(
        self, gradient: Array, param: Array, state: Mapping[str, Array], scalars: Scalars
    ) -> tuple[Array, dict[str, Array]]:
        if self.weight_decay:
            gradient = gradient + self.weight_decay * param
        if not self.momentum:
            return param - scalars["lr"] * gradient, {}
        buffer = self.momentum * state["momentum"] + gradient
        direction = gradient + self.momentum * buffer if self.nesterov else buffer
        return param - scalars["lr"] * direction, {"momentum": buffer}


class Adam(Optimizer):
    """Kingma and Ba, 2015: p -= lr * m^ / (sqrt(v^) + eps); weight decay is added to gradients."""

    DECOUPLED = False

    def __init__(
        self,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ):
        super().__init__(lr, weight_decay)
        if np.shape(betas) != (2,) or not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"{type(self).__name__}: betas {betas} are not two from 0 to below 1")
        self.betas = betas
        self.eps = eps

    def init(self, params: Tree) -> dict[str, Tree]:
        return {"m": tree_map(_zeros_like, params), "v": tree_map(_zeros_like, params)}

    def scalars(self, lr: Any, step: Any) -> dict[str, Any]:
        first, second = (_bias_correction(beta, step) for beta in self.betas)
        numbers = {"step_size": lr / first, "scale": 1 / second**0.5}
        if self.DECOUPLED and self.weight_decay:
            numbers["keep"] = 1 - lr * self.weight_decay
        return numbers

    def leaf(
        self, gradient: Array, param: Array, state: Mapping[str, Array], scalars: Scalars
    ) -> tuple[Array, dict[str, Array]]:
        if self.weight_decay and self.DECOUPLED:
            param = param * scalars["keep"]
        elif self.weight_decay:
            gradient = gradient + self.weight_decay * param
        beta1, beta2 = self.betas
        m = beta1 * state["m"] + (1 - beta1) * gradient
        v = beta2 * state["v"] + (1 - beta2) * gradient * gradient
        divisor = v**0.5 * scalars["scale"] + self.eps
        return param - scalars["step_size"] * (m / divisor), {"m": m, "v": v}


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019): first p *= 1 - lr * decay."""

    DECOUPLED = True

    def __init__(
        self,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ):
        super().__init__(lr, betas, eps, weight_decay)


def _bias_correction(beta: float, step: Any) -> Any:
    """1 - beta ** step, exact for betas near 1 even in f32."""
    if isinstance(step, Array):
        from stepwell.frontend.elementwise import expm1

        return -expm1(step * math.log(beta))
    return 1 - beta**step
