"""Parsing hand-written IR for the tests of the reference backend."""

from __future__ import annotations

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.parser import Parser
from xdsl.universe import Universe

from stepwell.dialects.registry import DIALECTS


def parse(text: str) -> ModuleOp:
    """The verified module of a text in any of the compiler's dialects."""
    context = Context()
    for name, factory in (Universe.get_multiverse().all_dialects | DIALECTS).items():
        context.register_dialect(name, factory)
    module = Parser(context, text).parse_module()
    module.verify()
    return module
