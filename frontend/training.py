"""`train_step`: forward, backward and update as one program whose state stays on the device."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from stepwell.frontend.array import Array
from stepwell.frontend.errors import check_kind
from stepwell.frontend.executable import Executable
from stepwell.frontend.nn.module import Module, functional_call
from stepwell.frontend.optim import Optimizer, clip_grad_norm
from stepwell.frontend.transformations import Jit, value_and_grad
from stepwell.frontend.tree import flatten, paths, unflatten

Loss = Callable[[Any, Any], Array]


class TrainStep:
    """Call it with a batch: it updates the model in place and returns the loss.

    The loss is an array on the device: the host waits for it only when its value is read. The
    model's parameters are the device's arrays themselves, so nothing needs to be copied back. A new
    batch shape compiles a new program; new values of `optimizer.lr` do not.
    """

    def __init__(
        self,
        model: Module,
        loss: Loss,
        optimizer: Optimizer,
        device: str | None = None,
        max_norm: float | None = None,
    ):
        check_kind("train_step", model, Module)
        check_kind("train_step", optimizer, Optimizer)
        self.model = model
        self.optimizer = optimizer
        self.max_norm = max_norm
        self.steps = 0
        self._parameters = {
            name: parameter
            for name, parameter in model.named_parameters()
            if parameter.requires_grad
        }
        if not self._parameters:
            raise ValueError("train_step: the model has no parameter that requires a gradient")
        self._state = optimizer.init(self._parameters)
        self._jit = Jit(self._trace(loss), donate_argnums=(0, 1), device=device)

    def _trace(self, loss: Loss) -> Callable[..., Any]:
        def step(
            params: dict[str, Array],
            state: dict[str, Any],
            scalars: dict[str, Array],
            batch: tuple[Any, ...],
        ) -> tuple[Array, dict[str, Array], dict[str, Any]]:
            def objective(values: dict[str, Array]) -> Array:
                return loss(functional_call(self.model, values, batch[:-1]), batch[-1])

            value, gradients = value_and_grad(objective)(params)
            if self.max_norm is not None:
                gradients, _ = clip_grad_norm(gradients, self.max_norm)
            new_params, new_state = self.optimizer.apply(gradients, state, params, scalars)
            return value, new_params, new_state

        return step

    def _arguments(self, batch: tuple[Any, ...]) -> tuple[Any, ...]:
        numbers = self.optimizer.scalars(self.optimizer.lr, self.steps + 1)
        # Python numbers are weak: f16 parameters stay f16.
        scalars = {name: float(number) for name, number in numbers.items()}
        return self._parameters, self._state, scalars, batch

    def __call__(self, *batch: Any) -> Array:
        """One step on a batch: the model's arguments, then the target of the loss."""
        if len(batch) < 2:
            raise TypeError("a step takes the model's arguments and the loss's target: step(x, y)")
        value, params, self._state = self._jit(*self._arguments(batch))
        for name, parameter in self._parameters.items():
            parameter.receive(params[name].data)
        self.steps += 1
        return value

    @property
    def compiled(self) -> int:
        """How many programs there are: one for each shape of batches."""
        return self._jit.compiled

    def compile(self, *batch: Any, target: str | None = None) -> Executable:
        """The executable for batches like this one (arrays or specs), without running it."""
        return self._jit.lower(*self._arguments(batch), target=target)

    def state_dict(self) -> dict[str, Any]:
        """The optimizer's state and the count of steps, on the host."""
        leaves, structure = flatten(self._state)
        state = {n: leaf.numpy() for n, leaf in zip(paths(structure), leaves, strict=True)}
        return {"steps": self.steps, "state": state}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Goes on from a `state_dict`. Raises: KeyError if it is another optimizer's."""
        leaves, structure = flatten(self._state)
        values = [Array(np.array(saved["state"][name])) for name in paths(structure)]
        for old, new in zip(leaves, values, strict=True):
            if old.shape != new.shape:
                raise ValueError(f"state of shape {new.shape} for a parameter of {old.shape}")
        self._state = unflatten(structure, values)
        self.steps = int(saved["steps"])


def train_step(
    model: Module,
    loss: Loss,
    optimizer: Optimizer,
    *,
    device: str | None = None,
    max_norm: float | None = None,
) -> TrainStep:
    """A training step of a model: `loss(model(*inputs), target)`, its gradient, and the update.

    With `max_norm` gradients are scaled down to that norm over all (`optim.clip_grad_norm`).

    step = sw.train_step(model, sw.nn.functional.cross_entropy, sw.optim.Adam(lr=1e-3))
    for x, y in batches:
        loss = step(x, y)
    """
    return TrainStep(model, loss, optimizer, device, max_norm)
