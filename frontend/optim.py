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
    "Adagrad",
    "Adam",
    "AdamW",
    "Optimizer",
    "RMSprop",
    "clip_grad_norm",
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


class RMSprop(Optimizer):
    """Tieleman and Hinton, 2012: v = alpha * v + (1 - alpha) * g ** 2; b = g / (sqrt(v) + eps),
    to which with a momentum its share of the last b is added; p -= lr * b.
    """

    def __init__(
        self,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
    ):
        super().__init__(lr, weight_decay)
        if not 0 <= alpha < 1:
            raise ValueError(f"RMSprop: alpha {alpha} is not from 0 to below 1")
        self.alpha, self.eps, self.momentum = alpha, eps, momentum

    def init(self, params: Tree) -> dict[str, Tree]:
        names = ("v", "momentum") if self.momentum else ("v",)
        return {name: tree_map(_zeros_like, params) for name in names}

    def scalars(self, lr: Any, step: Any) -> dict[str, Any]:
        return {"lr": lr}

    def leaf(
        self, gradient: Array, param: Array, state: Mapping[str, Array], scalars: Scalars
    ) -> tuple[Array, dict[str, Array]]:
        if self.weight_decay:
            gradient = gradient + self.weight_decay * param
        v = self.alpha * state["v"] + (1 - self.alpha) * gradient * gradient
        direction = gradient / (v**0.5 + self.eps)
        new = {"v": v}
        if self.momentum:
            new["momentum"] = direction = self.momentum * state["momentum"] + direction
        return param - scalars["lr"] * direction, new


class Adagrad(Optimizer):
    """Duchi, Hazan and Singer, 2011: s += g ** 2; p -= lr / (1 + (step - 1) * lr_decay) * g /
    (sqrt(s) + eps).
    """

    def __init__(
        self,
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
    ):
        super().__init__(lr, weight_decay)
        self.lr_decay, self.eps = lr_decay, eps
        self.initial_accumulator_value = initial_accumulator_value

    def init(self, params: Tree) -> dict[str, Tree]:
        def first(x: Array) -> Array:
            return Array(np.full(x.shape, self.initial_accumulator_value, x.dtype.numpy))

        return {"sum": tree_map(first, params)}

    def scalars(self, lr: Any, step: Any) -> dict[str, Any]:
        return {"lr": lr / (1 + (step - 1) * self.lr_decay)}

    def leaf(
        self, gradient: Array, param: Array, state: Mapping[str, Array], scalars: Scalars
    ) -> tuple[Array, dict[str, Array]]:
        if self.weight_decay:
            gradient = gradient + self.weight_decay * param
        total = state["sum"] + gradient * gradient
        return param - scalars["lr"] * (gradient / (total**0.5 + self.eps)), {"sum": total}


def clip_grad_norm(grads: Tree, max_norm: float) -> tuple[Tree, Array]:
    """The gradients times min(1, max_norm / (norm + 1e-6)), and `norm`, the root of the sum of the
    squares of all their elements, in f32 (PyTorch's `clip_grad_norm_`).
    """
    from stepwell.frontend.elementwise import minimum
    from stepwell.frontend.linalg import vector_norm
    from stepwell.frontend.shaping import stack

    norms = [vector_norm(gradient.astype("f32")) for gradient in flatten(grads)[0]]
    norm = vector_norm(stack(norms))
    share = minimum(max_norm / (norm + 1e-6), 1.0)

    def clipped(gradient: Array) -> Array:
        return gradient * share.astype(gradient.dtype)

    return tree_map(clipped, grads), norm


def _bias_correction(beta: float, step: Any) -> Any:
    """1 - beta ** step, exact for betas near 1 even in f32."""
    if isinstance(step, Array):
        from stepwell.frontend.elementwise import expm1

        return -expm1(step * math.log(beta))
    return 1 - beta**step
