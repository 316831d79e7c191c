"""The output format `stepwell-wgsl`: the text of every shader in a module."""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.utils.exceptions import DiagnosticException
from xdsl.utils.target import Target


@dataclass(frozen=True)
class WGSLTextTarget(Target):
    """Prints the shaders in order, each after a comment with its name.

    `enable-subgroups` writes `enable subgroups;`, which browsers ask for and naga rejects.
    """

    name = "stepwell-wgsl"

    enable_subgroups: bool = False

    def emit(self, ctx: Context, module: ModuleOp, output: IO[str]) -> None:
        from stepwell.dialects.wgsl import ShaderOp, print_shader

        shaders = [op for op in module.walk() if isinstance(op, ShaderOp)]
        if not shaders:
            raise DiagnosticException(
                f"there is no {ShaderOp.name} here to print as text: lower with --to=wgsl first"
            )
        texts = (print_shader(op, enable_subgroups=self.enable_subgroups) for op in shaders)
        output.write("\n".join(text.rstrip("\n") + "\n" for text in texts))
