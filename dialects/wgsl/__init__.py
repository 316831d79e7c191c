"""The `wgsl` dialect: one operation per WGSL construct, each of which prints itself.

A shader is a `wgsl.shader` with global declarations and one `wgsl.entry`. Values have builtin types
(`i32` is WGSL's i32, `ui32` its u32, `i1` its bool) or are vectors of 2 to 4; memory is behind
`!wgsl.ref`. `print_shader` gives the text.
"""

from __future__ import annotations

from types import ModuleType

from xdsl.ir import Attribute, Dialect, Operation, ParametrizedAttribute

from stepwell.dialects.wgsl import concurrency, expressions, functions, module, statements, types
from stepwell.dialects.wgsl.module import ShaderOp, print_shader


def _defined(source: ModuleType, kind: type) -> list[type]:
    """The named classes of a kind that a module defines, in order."""
    return [
        value
        for value in vars(source).values()
        if isinstance(value, type)
        and issubclass(value, kind)
        and value.__module__ == source.__name__
        and "name" in vars(value)
    ]


_OPERATIONS: list[type[Operation]] = [
    operation
    for source in (module, statements, expressions, functions, concurrency)
    for operation in _defined(source, Operation)
]
_TYPES: list[type[Attribute]] = _defined(types, ParametrizedAttribute)

WGSL = Dialect("wgsl", _OPERATIONS, _TYPES)

__all__ = ["WGSL", "ShaderOp", "print_shader"]
