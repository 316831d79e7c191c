"""Running a pipeline: nesting, verification between passes, printing and timing around each."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation
from xdsl.passes import ModulePass

from stepwell.tools.driver.diagnostics import DiagnosticError
from stepwell.tools.driver.failures import Places
from stepwell.tools.driver.pipelines import Nested, Node, PassNode, StageNode
from stepwell.tools.driver.printing import IRPrinter
from stepwell.tools.driver.timing import Timer
from stepwell.tools.driver.verifier import InvalidOpError, OrderedVerifier


class PassManager:
    """Runs the nodes of a pipeline on a module.

    A nested pipeline visits the direct children of its operation that have the anchor's name.
    xDSL's passes take a module, so the visited operation moves into a module of its own while a
    pass runs; what the pass leaves there takes its place. Such a pass sees nothing outside that
    operation; the result is verified when it is back.
    """

    def __init__(
        self, ctx: Context, places: Places, printer: IRPrinter, timer: Timer, *, verify_each: bool
    ):
        self._ctx = ctx
        self._places = places
        self._printer = printer
        self._timer = timer
        self._verifier = OrderedVerifier()
        self._verify_each = verify_each

    def run(self, nodes: Sequence[Node], module: ModuleOp) -> None:
        """Runs a pipeline; raises `DiagnosticError` at the first failure."""
        self._run_list(nodes, module)

    def verify(self, op: Operation, suffix: str = "") -> None:
        """Verifies an operation; `suffix` ends the message of a failure."""
        try:
            with self._timer.aside("Verification"):
                self._verifier.verify(op)
        except InvalidOpError as error:
            # Messages that front ends show too name the operation themselves.
            prefix = "" if f"{error.op.name}: " in error.message else f"'{error.op.name}' op "
            raise self._places.error(error.op, error.message + suffix, prefix) from error
        except RecursionError as error:
            raise self._places.error(op, f"the IR is nested too deeply{suffix}") from error

    def _run_list(self, nodes: Sequence[Node], module: ModuleOp) -> None:
        for index, node in enumerate(nodes):
            if isinstance(node, PassNode):
                with self._timer.scope(node.instance.name, (index, node.instance.name)):
                    self._run_pass(node.instance, module)
            elif isinstance(node, Nested):
                with self._timer.scope(f"'{node.anchor}' Pipeline", (index, node.anchor)):
                    self._run_nested(node, module, module)
            else:
                with self._timer.scope(f"stage {node.name}", node.name):
                    self._run_list(node.children, module)
                    self._check_stage(node, module)

    def _run_nested(self, node: Nested, parent: Operation, module: ModuleOp) -> None:
        children = [
            child for region in parent.regions for block in region.blocks for child in block.ops
        ]
        for child in children:
            if child.name == node.anchor:
                self._run_on_child(node.children, child, module)

    def _run_on_child(self, nodes: Sequence[Node], op: Operation, module: ModuleOp) -> None:
        """Runs passes one by one on what became of `op`."""
        current = [op]
        for index, node in enumerate(nodes):
            if isinstance(node, PassNode):
                with self._timer.scope(node.instance.name, (index, node.instance.name)):
                    current = [
                        new
                        for old in current
                        for new in self._run_isolated(node.instance, old, module)
                    ]
            elif isinstance(node, Nested):
                with self._timer.scope(f"'{node.anchor}' Pipeline", (index, node.anchor)):
                    for old in current:
                        self._run_nested(node, old, module)

    def _run_isolated(
        self, instance: ModulePass, op: Operation, module: ModuleOp
    ) -> Sequence[Operation]:
        block = op.parent
        assert block is not None, "a nested pipeline runs on operations inside another"
        follower = op.next_op
        self._printer.before_pass(instance.name, op)
        op.detach()
        wrapper = ModuleOp([op])
        wrapper.location = module.location
        try:
            self._apply(instance, wrapper)
        finally:
            results = list(wrapper.body.ops)
            for result in results:
                result.detach()
                if follower is None:
                    block.add_op(result)
                else:
                    block.insert_op_before(result, follower)
        for result in results:
            self._finish(instance, result)
        return results

    def _run_pass(self, instance: ModulePass, module: ModuleOp) -> None:
        self._printer.before_pass(instance.name, module)
        self._apply(instance, module)
        self._finish(instance, module)

    def _finish(self, instance: ModulePass, op: Operation) -> None:
        if self._verify_each:
            try:
                self.verify(op, f" (after pass '{instance.name}')")
            except DiagnosticError:
                self._report_failure(instance, op)
                raise
        self._printer.after_pass(instance.name, op)

    def _apply(self, instance: ModulePass, module: ModuleOp) -> None:
        try:
            with self._places.blame(module, f"pass '{instance.name}' failed: "):
                instance.apply(self._ctx, module)
        except DiagnosticError:
            self._report_failure(instance, module)
            raise

    def _check_stage(self, node: StageNode, module: ModuleOp) -> None:
        with self._places.blame(module, f"after stage '{node.name}': "):
            node.check(module)

    def _report_failure(self, instance: ModulePass, op: Operation) -> None:
        # Half-rewritten IR need not be printable; the diagnostic matters more.
        with suppress(Exception):
            self._printer.after_failure(instance.name, op)
