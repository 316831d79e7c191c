"""`Module`: parameters, buffers and submodules under names, as in PyTorch.

Parameters are live: a compiled function that uses a module reads them at each call, so it sees what
`load_state_dict` or a training step put there. Buffers that `forward` updates are outputs of the
compiled function, in the memory that they had. It is compiled again when `train()` or `eval()`
changes a mode that it looked at.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from stepwell.frontend import tracing
from stepwell.frontend.array import Array, ArrayLike, Data, asarray
from stepwell.frontend.building import lift


class Variable(Array):
    """An array whose value can be replaced by another of the same shape and dtype."""

    __slots__ = ("_name",)

    def __init__(self, value: ArrayLike):
        given = asarray(value)
        super().__init__(given.data, given.dtype)
        self._name = ""

    @property
    def varies(self) -> bool:
        return True

    @property
    def name(self) -> str:
        return self._name

    def rename(self, name: str) -> None:
        """Says what reports call it."""
        self._name = name

    def assign(self, value: ArrayLike) -> None:
        """Replaces the value. Raises: ValueError unless shape and dtype are the same.

        In a compiled function the variable has the new value from here on, and after every call.
        """
        trace = tracing.current()
        if trace is not None:
            new = lift(value, self.dtype)
            if new.shape != self.shape:
                raise ValueError(
                    f"{self._name or 'a variable'} is {self.type_text()}, not {new.type_text()}"
                )
            trace.update(self, new)
            return
        new = asarray(value)
        if new.dtype is not self.dtype:
            new = asarray(new.numpy(), self.dtype)
        if new.shape != self.shape:
            raise ValueError(
                f"{self._name or 'a variable'} is {self.type_text()}, not {new.type_text()}"
            )
        self._data = new.data

    def receive(self, data: Data) -> None:
        """Takes the data that a compiled function returned for it."""
        self._data = data


class Parameter(Variable):
    """An array that training changes, if `requires_grad`."""

    __slots__ = ("requires_grad",)

    def __init__(self, value: ArrayLike, requires_grad: bool = True):
        super().__init__(value)
        self.requires_grad = requires_grad


class Buffer(Variable):
    """An array that belongs to a module's state, and that training leaves alone."""

    __slots__ = ()


class Module:
    """Subclass it, assign parameters and modules to attributes, and write `forward`."""

    def __init__(self) -> None:
        self._variables: dict[str, Array] = {}
        self._modules: dict[str, Module] = {}
        self._training = True

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What calling the module computes."""
        raise NotImplementedError(f"{type(self).__name__} has no forward()")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.forward(*args, **kwargs)

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Variable | Module) and "_modules" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__}: call super().__init__() first")
        if isinstance(value, Variable):
            self._variables[name] = value
        elif isinstance(value, Module):
            self._modules[name] = value
        else:
            object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        for registry in ("_variables", "_modules"):
            found = self.__dict__.get(registry, {})
            if name in found:
                return found[name]
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def __delattr__(self, name: str) -> None:
        for registry in (self._variables, self._modules):
            if name in registry:
                del registry[name]
                return
        object.__delattr__(self, name)

    def register_buffer(self, name: str, value: ArrayLike) -> None:
        """Adds an array to the state that is no parameter."""
        self._variables[name] = Buffer(value)

    def update_buffer(self, name: str, value: ArrayLike) -> None:
        """Gives a buffer another value, as `forward` may; see `Variable.assign`."""
        found = self._variables[name]
        if isinstance(found, Variable):
            found.assign(value)
        else:
            # `functional_call` has put an array in its place.
            self._variables[name] = asarray(value) if tracing.current() is None else lift(value)

    # State.

    def children(self) -> Iterator[Module]:
        """The modules right below this one."""
        return iter(self._modules.values())

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module and all below it, with their paths."""
        yield prefix, self
        for name, module in self._modules.items():
            yield from module.named_modules(f"{prefix}.{name}" if prefix else name)

    def modules(self) -> Iterator[Module]:
        """This module and all below it."""
        return (module for _, module in self.named_modules())

    def named_variables(self) -> Iterator[tuple[str, Variable]]:
        """All parameters and buffers with their paths, each once."""
        seen: set[int] = set()
        for prefix, module in self.named_modules():
            for name, value in module._variables.items():
                if isinstance(value, Variable) and id(value) not in seen:
                    seen.add(id(value))
                    yield (f"{prefix}.{name}" if prefix else name), value

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """All parameters with their paths, each once."""
        return ((n, v) for n, v in self.named_variables() if isinstance(v, Parameter))

    def parameters(self) -> Iterator[Parameter]:
        """All parameters, each once."""
        return (parameter for _, parameter in self.named_parameters())

    def named_buffers(self) -> Iterator[tuple[str, Buffer]]:
        """All buffers with their paths."""
        return ((n, v) for n, v in self.named_variables() if isinstance(v, Buffer))

    def state_dict(self) -> dict[str, Array]:
        """The values of all parameters and buffers by their paths, on the host."""
        return {n: Array(value.numpy(), value.dtype) for n, value in self.named_variables()}

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> None:
        """Takes the values of parameters and buffers from arrays by their paths.

        Raises: KeyError if names differ and `strict`, ValueError for other shapes.
        """
        own = dict(self.named_variables())
        missing = sorted(own.keys() - state.keys())
        unexpected = sorted(state.keys() - own.keys())
        if strict and (missing or unexpected):
            raise KeyError(
                f"{type(self).__name__}: missing {', '.join(missing) or 'nothing'}; "
                f"unexpected {', '.join(unexpected) or 'nothing'}"
            )
        for name, variable in own.items():
            if name in state:
                variable.rename(variable.name or name)
                variable.assign(state[name])

    # Mode.

    @property
    def training(self) -> bool:
        """Whether dropout and its kin are active. Compiled functions depend on it."""
        mode = self._training
        trace = tracing.current()
        if trace is not None:
            trace.guards.append(lambda: self._training == mode)
        return mode

    def train(self, mode: bool = True) -> Module:
        """Sets the mode of this module and all below it."""
        for module in self.modules():
            module._training = mode
        return self

    def eval(self) -> Module:
        """Leaves the training mode."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Module:
        """Says whether training changes the parameters."""
        for parameter in self.parameters():
            parameter.requires_grad = requires_grad
        return self

    def extra_repr(self) -> str:
        """What `repr` says about this module itself."""
        return ""

    def __repr__(self) -> str:
        lines = [
            f"  ({name}): " + repr(module).replace("\n", "\n  ")
            for name, module in self._modules.items()
        ]
        head = f"{type(self).__name__}({self.extra_repr()}"
        return head + ("\n" + "\n".join(lines) + "\n)" if lines else ")")


def functional_call(
    module: Module, values: Mapping[str, Array], args: tuple[Any, ...], **kwargs: Any
) -> Any:
    """Calls `module` with other values in place of the parameters and buffers of these paths.

    Raises: KeyError for a path that there is not.
    """
    with _replaced(module, values):
        return module(*args, **kwargs)


@contextmanager
def _replaced(module: Module, values: Mapping[str, Array]) -> Generator[None]:
    own = dict(module.named_variables())
    unknown = sorted(values.keys() - own.keys())
    if unknown:
        raise KeyError(f"{type(module).__name__} has no parameter {', '.join(unknown)}")
    replacements = {id(own[name]): value for name, value in values.items()}
    registries = [m._variables for m in module.modules()]  # pyright: ignore[reportPrivateUsage]
    saved = [dict(registry) for registry in registries]
    try:
        for registry in registries:
            for name, variable in registry.items():
                registry[name] = replacements.get(id(variable), variable)
        yield
    finally:
        for registry, before in zip(registries, saved, strict=True):
            registry.update(before)
