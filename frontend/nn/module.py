"""`Module`: parameters, buffers and submodules under names, as in PyTorch.

Parameters are live: a compiled function that uses a module reads them at each call, so it sees what
`load_state_dict` or a training step put there. Buffers that `forward` updates are outputs of the
compiled function, in the memory that they had. It is compiled again when `train()` or `eval()`
changes a mode that it looked at, and when another parameter or module takes the place of one.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from stepwell.dialects.errors import DTypeError
from stepwell.frontend import tracing
from stepwell.frontend.array import Array, ArrayLike, Data, asarray
from stepwell.frontend.building import lift
from stepwell.frontend.dtypes import DType, DTypeLike, as_dtype
from stepwell.frontend.errors import check_kind


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

    def cast(self, dtype: DType) -> Variable:
        """A new variable of another dtype, with this one's value."""
        new = type(self)(self.numpy().astype(dtype.numpy))
        new.rename(self._name)
        return new


class Parameter(Variable):
    """An array that training changes, if `requires_grad`."""

    __slots__ = ("requires_grad",)

    def __init__(self, value: ArrayLike, requires_grad: bool = True):
        super().__init__(value)
        self.requires_grad = requires_grad

    def cast(self, dtype: DType) -> Parameter:
        new = Parameter(self.numpy().astype(dtype.numpy), self.requires_grad)
        new.rename(self.name)
        return new


class Buffer(Variable):
    """An array that belongs to a module's state, and that training leaves alone."""

    __slots__ = ()


class Module:
    """Subclass it, assign parameters and modules to attributes, and write `forward`."""

    def __init__(self) -> None:
        self._transient: set[str] = set()
        self._changes = 0
        self._training = True
        self._modules: dict[str, Module] = {}
        # Last: from here on attributes are registered.
        self._variables: dict[str, Array] = {}

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What calling the module computes."""
        raise NotImplementedError(f"{type(self).__name__} has no forward()")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.forward(*args, **kwargs)

    def __setattr__(self, name: str, value: Any) -> None:
        """Registers variables and modules. A buffer takes the value of any array.

        Raises: AttributeError before `super().__init__()`, TypeError for what is no parameter in
        the place of one.
        """
        kept = isinstance(value, Variable | Module)
        variables = self.__dict__.get("_variables")
        if variables is None:
            if kept:
                raise AttributeError(f"{type(self).__name__}: call super().__init__() first")
            object.__setattr__(self, name, value)
            return
        replaced = variables.get(name)
        if not kept and value is not None and replaced is not None:
            if isinstance(replaced, Parameter):
                raise TypeError(
                    f"{type(self).__name__}.{name} is a parameter: assign an `nn.Parameter` or "
                    f"None, or give it a value with `.{name}.assign(...)`"
                )
            self.update_buffer(name, value)
            return
        if not kept and name not in variables and name not in self._modules:
            object.__setattr__(self, name, value)
            return
        self._replace(name, value)

    def _replace(self, name: str, value: Any) -> None:
        """Puts an attribute where its kind belongs, and nowhere else; traces find out about it."""
        homes: list[dict[str, Any]] = [self._variables, self._modules, self.__dict__]
        home = homes[0 if isinstance(value, Variable) else 1 if isinstance(value, Module) else 2]
        for other in homes:
            if other is not home:
                other.pop(name, None)
        home[name] = value
        self._changes += 1

    def __getattr__(self, name: str) -> Any:
        for registry in ("_variables", "_modules"):
            found = self.__dict__.get(registry, {})
            if name in found:
                self.watch()
                return found[name]
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def __delattr__(self, name: str) -> None:
        for registry in (self._variables, self._modules):
            if name in registry:
                del registry[name]
                self._changes += 1
                return
        object.__delattr__(self, name)

    def watch(self) -> None:
        """A function that is traced now is traced again when another attribute replaces one."""
        trace = tracing.current()
        if trace is not None:
            seen = self._changes
            trace.guard((id(self), "changes"), lambda: self._changes == seen)

    def register_parameter(self, name: str, value: Parameter | None) -> None:
        """What assigning it to the attribute does."""
        setattr(self, name, value)

    def add_module(self, name: str, module: Module) -> None:
        """Adds a module under a name, which need not be one of Python's."""
        check_kind(type(self).__name__, module, Module)
        self._replace(name, module)

    def register_buffer(self, name: str, value: ArrayLike, persistent: bool = True) -> None:
        """Adds an array that is no parameter; to `state_dict` too if it is `persistent`."""
        self._replace(name, Buffer(value))
        self._transient.discard(name)
        if not persistent:
            self._transient.add(name)

    def update_buffer(self, name: str, value: ArrayLike) -> None:
        """Gives a buffer another value, as `forward` may; see `Variable.assign`."""
        found = self._variables[name]
        if isinstance(found, Variable):
            found.assign(value)
        else:
            # `functional_call` has put an array in its place.
            self._variables[name] = asarray(value) if tracing.current() is None else lift(value)

    # State.

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules right below this one, with their names."""
        self.watch()
        return iter(self._modules.items())

    def children(self) -> Iterator[Module]:
        """The modules right below this one."""
        return (module for _, module in self.named_children())

    def named_own(self) -> Iterator[tuple[str, Array]]:
        """The parameters and buffers of this module itself, with their names."""
        self.watch()
        return iter(self._variables.items())

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module and all below it, with their paths."""
        yield prefix, self
        for name, module in self._modules.items():
            yield from module.named_modules(f"{prefix}.{name}" if prefix else name)

    def modules(self) -> Iterator[Module]:
        """This module and all below it."""
        return (module for _, module in self.named_modules())

    def get_submodule(self, path: str) -> Module:
        """The module at a path such as `blocks.0`. Raises: AttributeError."""
        found = self
        for name in path.split(".") if path else ():
            if name not in found._modules:
                raise AttributeError(f"{type(self).__name__} has no module {path!r}")
            found = found._modules[name]
        return found

    def apply(self, function: Callable[[Module], object]) -> Module:
        """Calls `function` with all modules below this one, then with this one."""
        for module in self.children():
            module.apply(function)
        function(self)
        return self

    def _paths(self, transient: bool = True) -> Iterator[tuple[str, Variable]]:
        """All parameters and buffers under each of their paths."""
        for prefix, module in self.named_modules():
            for name, value in module._variables.items():
                if isinstance(value, Variable) and (transient or name not in module._transient):
                    yield (f"{prefix}.{name}" if prefix else name), value

    def named_variables(self) -> Iterator[tuple[str, Variable]]:
        """All parameters and buffers with their paths, each once."""
        seen: set[int] = set()
        for path, value in self._paths():
            if id(value) not in seen:
                seen.add(id(value))
                yield path, value

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """All parameters with their paths, each once."""
        return ((n, v) for n, v in self.named_variables() if isinstance(v, Parameter))

    def parameters(self) -> Iterator[Parameter]:
        """All parameters, each once."""
        return (parameter for _, parameter in self.named_parameters())

    def named_buffers(self) -> Iterator[tuple[str, Buffer]]:
        """All buffers with their paths, each once."""
        return ((n, v) for n, v in self.named_variables() if isinstance(v, Buffer))

    def buffers(self) -> Iterator[Buffer]:
        """All buffers, each once."""
        return (buffer for _, buffer in self.named_buffers())

    def state_dict(self) -> dict[str, Array]:
        """The values of parameters and persistent buffers by their paths, on the host.

        What has several paths, as tied weights have, is there under each.
        """
        return {n: Array(v.numpy(), v.dtype) for n, v in self._paths(transient=False)}

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> None:
        """Takes the values of parameters and buffers from arrays by their paths.

        One path is enough for what has several. Nothing is taken if an error is raised.

        Raises: KeyError if names differ and `strict`, ValueError for other shapes.
        """
        own = dict(self._paths(transient=False))
        given = {id(own[name]) for name in own.keys() & state.keys()}
        missing = sorted(name for name, variable in own.items() if id(variable) not in given)
        unexpected = sorted(state.keys() - own.keys())
        if strict and (missing or unexpected):
            raise KeyError(
                f"{type(self).__name__}: missing {', '.join(missing) or 'nothing'}; "
                f"unexpected {', '.join(unexpected) or 'nothing'}"
            )
        values = {name: asarray(state[name]) for name in own if name in state}
        for name, value in values.items():
            if value.shape != own[name].shape:
                raise ValueError(f"{name} is {own[name].type_text()}, not {value.type_text()}")
        for name, value in values.items():
            variable = own[name]
            variable.rename(variable.name or name)
            variable.assign(value)

    def astype(self, dtype: DTypeLike) -> Module:
        """Replaces float parameters and buffers by ones of another float dtype, tied ones by one.

        A training step that was made before goes on with the old ones.
        """
        wanted = as_dtype(dtype)
        if not wanted.is_float:
            raise DTypeError(f"{type(self).__name__}: parameters are floats, not {wanted}")
        made: dict[int, Variable] = {}
        for module in self.modules():
            for name, old in list(module._variables.items()):
                if isinstance(old, Variable) and old.dtype.is_float and old.dtype is not wanted:
                    module._replace(name, made.setdefault(id(old), old.cast(wanted)))
        return self

    def half(self) -> Module:
        """`astype` of f16."""
        return self.astype("f16")

    def float(self) -> Module:
        """`astype` of f32."""
        return self.astype("f32")

    # Mode.

    @property
    def training(self) -> bool:
        """Whether dropout and its kin are active. Compiled functions depend on it."""
        mode = self._training
        trace = tracing.current()
        if trace is not None:
            trace.guard((id(self), "mode"), lambda: self._training == mode)
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
