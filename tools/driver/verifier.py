"""Verification that knows which operation failed, and that definitions come before uses."""

from __future__ import annotations

from xdsl.dialects.builtin import ModuleOp, UnregisteredOp
from xdsl.ir import Operation, Region, SSAValue
from xdsl.traits import IsolatedFromAbove, NoTerminator
from xdsl.utils.exceptions import VerifyException

from stepwell.passes.verification import Verifier


class InvalidOpError(Exception):
    """An operation that breaks a rule of its definition."""

    def __init__(self, op: Operation, message: str):
        super().__init__(message)
        self.op = op
        self.message = message


class OrderedVerifier:
    """Beyond xDSL's rules an operand must be defined before it is used. That is checked in regions
    of one block, except where order has no meaning (modules, unregistered operations).
    """

    def __init__(self) -> None:
        self._verifier = Verifier()

    def verify(self, op: Operation) -> None:
        """Checks an operation and all inside it; raises `InvalidOpError` at the first that fails.

        Operations equal to one that an earlier call found valid are not checked again.
        """
        self._operation(op, set(), ordered=False)

    def _operation(self, op: Operation, visible: set[SSAValue], *, ordered: bool) -> None:
        if ordered:
            for index, operand in enumerate(op.operands):
                if operand not in visible:
                    raise InvalidOpError(op, f"operand #{index} does not dominate this use")
        if op.regions:
            inner = set[SSAValue]() if op.has_trait(IsolatedFromAbove) else visible
            graph = isinstance(op, ModuleOp | UnregisteredOp) or op.dialect_name() == "hw"
            for region in op.regions:
                self._region(region, op, inner, ordered=not graph and len(region.blocks) == 1)
        self._itself(op)

    def _region(
        self, region: Region, parent: Operation, visible: set[SSAValue], *, ordered: bool
    ) -> None:
        blocks = region.blocks
        defined: list[SSAValue] = [arg for block in blocks for arg in block.args]
        if not ordered:
            defined += [result for block in blocks for op in block.ops for result in op.results]
        visible.update(defined)
        for block in blocks:
            for op in block.ops:
                self._operation(op, visible, ordered=ordered)
                if ordered:
                    visible.update(op.results)
                    defined += op.results
            if block.first_op is None and len(blocks) == 1 and not _may_be_empty(parent):
                raise InvalidOpError(parent, "an empty block needs at least a terminator")
        visible.difference_update(defined)

    def _itself(self, op: Operation) -> None:
        try:
            self._verifier.itself(op)
        except RecursionError:
            raise
        except Exception as error:
            # xDSL prints the whole IR into a failure; on invalid IR that may fail in its turn.
            cause = error if isinstance(error, VerifyException) else error.__context__ or error
            message = " ".join(str(cause).split()) or type(cause).__name__
            raise InvalidOpError(op, message) from error


def _may_be_empty(op: Operation) -> bool:
    return op.has_trait(NoTerminator, value_if_unregistered=True)
