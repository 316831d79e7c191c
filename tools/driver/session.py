"""One run of `wgpu-opt` on one input: parse, run the pipeline, print."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from io import StringIO
from typing import TextIO, cast

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.utils.target import Target

from stepwell.tools.driver.diagnostics import Diagnostic, DiagnosticError, Severity
from stepwell.tools.driver.failures import Places
from stepwell.tools.driver.manager import PassManager
from stepwell.tools.driver.parsing import parse_module
from stepwell.tools.driver.pipelines import Node, pipeline_text
from stepwell.tools.driver.printing import IRPrinter, PrintStyle, print_ir
from stepwell.tools.driver.reproducer import write_reproducer
from stepwell.tools.driver.source import Source
from stepwell.tools.driver.stages import Lowering
from stepwell.tools.driver.timing import Timer
from stepwell.tools.driver.universe import new_context


@dataclass(frozen=True)
class Session:
    """What stays the same for every part of a split input."""

    allow_unregistered: bool
    lowering: Lowering | None
    pipeline: tuple[Node, ...]
    dump_to: TextIO | None
    configuration: list[str]
    target: Target | None
    style: PrintStyle
    printer: IRPrinter
    timer: Timer
    verify_each: bool
    crash_reproducer: str | None

    def process(self, source: Source) -> str:
        """The output for one input; raises `DiagnosticError`."""
        ctx = new_context(allow_unregistered=self.allow_unregistered)
        with self.timer.scope("Parser"):
            module, origins = parse_module(ctx, source)
        places = Places(module, origins, source.name)
        manager = PassManager(ctx, places, self.printer, self.timer, verify_each=self.verify_each)
        manager.verify(module)
        original = print_ir(module, PrintStyle(generic=True)) if self.crash_reproducer else ""
        try:
            manager.run(self._nodes(module, places), module)
        except DiagnosticError as error:
            if self.crash_reproducer is None:
                raise
            raise self._reproduce(original, error) from error
        with self.timer.scope("Output"):
            return self._print(ctx, module, places)

    def _nodes(self, module: ModuleOp, places: Places) -> tuple[Node, ...]:
        nodes = self.pipeline
        if self.lowering is not None:
            with places.blame(module):
                nodes = self.lowering.nodes(module) + nodes
        if self.dump_to is not None:
            print(pipeline_text(nodes), file=self.dump_to)
        return nodes

    def _reproduce(self, ir: str, error: DiagnosticError) -> DiagnosticError:
        path = cast(str, self.crash_reproducer)
        diagnostic = error.diagnostic
        try:
            write_reproducer(path, ir, self.configuration, diagnostic.message)
            text = f"reproducer written to '{path}'"
        except OSError as problem:
            text = f"no reproducer: cannot write '{path}': {problem.strerror}"
        note = Diagnostic(Severity.NOTE, diagnostic.location, text)
        return DiagnosticError(dataclasses.replace(diagnostic, notes=(*diagnostic.notes, note)))

    def _print(self, ctx: Context, module: ModuleOp, places: Places) -> str:
        with places.blame(module, "cannot print the result: "):
            if self.target is None:
                return print_ir(module, self.style) + "\n"
            stream = StringIO()
            self.target.emit(ctx, module, stream)
            return stream.getvalue()
