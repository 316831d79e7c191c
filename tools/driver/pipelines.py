"""Pipelines as text and as trees: `builtin.module(func.func(canonicalize,cse),my-pass{opt=1})`."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass
from xdsl.utils.arg_spec import parse_spec
from xdsl.utils.exceptions import ArgSpecParseError

from stepwell.tools.driver.diagnostics import DiagnosticError
from stepwell.tools.driver.source import Source
from stepwell.tools.driver.suggest import did_you_mean

PassTable: TypeAlias = Mapping[str, Callable[[], type[ModulePass]]]


@dataclass(frozen=True)
class PassNode:
    """One pass."""

    instance: ModulePass

    def __str__(self) -> str:
        return str(self.instance)


@dataclass(frozen=True)
class Nested:
    """Passes that run on each operation of one name among the direct children."""

    anchor: str
    children: tuple[Node, ...]

    def __str__(self) -> str:
        return f"{self.anchor}({','.join(map(str, self.children))})"


@dataclass(frozen=True)
class StageNode:
    """The passes of one stage; `check` raises when something above the stage remains."""

    name: str
    children: tuple[Node, ...]
    check: Callable[[ModuleOp], None] = field(compare=False)

    def __str__(self) -> str:
        return ",".join(map(str, self.children))


Node: TypeAlias = PassNode | Nested | StageNode


def pipeline_text(nodes: Sequence[Node]) -> str:
    """The `--pass-pipeline` that says the same."""
    return f"builtin.module({','.join(text for node in nodes if (text := str(node)))})"


def passes_of(nodes: Sequence[Node]) -> Iterator[ModulePass]:
    """All passes of a pipeline in order."""
    for node in nodes:
        if isinstance(node, PassNode):
            yield node.instance
        else:
            yield from passes_of(node.children)


def parse_pipeline(text: str, passes: PassTable, option: str) -> tuple[Node, ...]:
    """A pipeline anchored at `builtin.module`, as `--pass-pipeline` takes it."""
    parser = _PipelineParser(Source(f"<{option}>", text), passes)
    nodes = parser.parse_list()
    parser.expect_end()
    match nodes:
        case (Nested(anchor="builtin.module", children=children),):
            return children
        case _:
            raise parser.error(0, "a pipeline has the form 'builtin.module(pass,...)'")


def parse_pass_list(text: str, passes: PassTable, option: str) -> tuple[Node, ...]:
    """A comma-separated list of passes on the module, as `-p` takes it."""
    parser = _PipelineParser(Source(f"<{option}>", text), passes)
    nodes = parser.parse_list()
    parser.expect_end()
    return nodes


_NAME = re.compile(r"\s*([A-Za-z0-9_.-]+)\s*")
_OPTIONS = re.compile(r'\{(?:[^{}"]|"(?:\\.|[^"\\])*")*\}\s*')


class _PipelineParser:
    """list ::= element (`,` element)*;  element ::= name (`(` list `)` | `{` options `}`)?"""

    def __init__(self, source: Source, passes: PassTable):
        self.source = source
        self.passes = passes
        self.position = 0

    def error(self, position: int, message: str) -> DiagnosticError:
        return DiagnosticError.error(self.source.locate(position), message)

    def parse_list(self) -> tuple[Node, ...]:
        if self.source.text[self.position :].strip() in ("", ")"):
            return ()
        nodes = [self.parse_element()]
        while self.accept(","):
            nodes.append(self.parse_element())
        return tuple(nodes)

    def parse_element(self) -> Node:
        match = _NAME.match(self.source.text, self.position)
        if match is None:
            raise self.error(self.position, "expected the name of a pass or of an operation")
        self.position = match.end()
        if self.accept("("):
            start = self.position - 1
            children = () if self.at(")") else self.parse_list()
            if not self.accept(")"):
                raise self.error(start, "this '(' is not closed")
            return Nested(match[1], children)
        options = _OPTIONS.match(self.source.text, self.position)
        if options is None and self.at("{"):
            raise self.error(self.position, "these options are not closed")
        if options is not None:
            self.position = options.end()
        return self.make_pass(match[1], match.start(1), options[0] if options else "")

    def make_pass(self, name: str, position: int, options: str) -> PassNode:
        if name not in self.passes:
            raise self.error(position, f"unknown pass '{name}'{did_you_mean(name, self.passes)}")
        cls = load_pass(name, self.passes)
        try:
            return PassNode(cls.from_spec(parse_spec(name + options.strip())))
        except ArgSpecParseError as error:
            last = str(error).strip().splitlines()[-1].strip()
            raise self.error(position, f"options of pass '{name}': {last}") from error
        except (ValueError, TypeError) as error:
            raise self.error(position, _explain_options(cls, options, error)) from error

    def at(self, character: str) -> bool:
        return self.source.text.startswith(character, self.position)

    def accept(self, character: str) -> bool:
        if not self.at(character):
            return False
        rest = self.source.text[self.position + 1 :]
        self.position += 1 + len(rest) - len(rest.lstrip())
        return True

    def expect_end(self) -> None:
        if self.position < len(self.source.text.rstrip()):
            raise self.error(self.position, "expected ',' or the end of the pipeline")


def load_pass(name: str, passes: PassTable) -> type[ModulePass]:
    """The class of a pass."""
    return passes[name]()


def _explain_options(cls: type[ModulePass], options: str, error: Exception) -> str:
    known = [f.name.replace("_", "-") for f in dataclasses.fields(cls) if f.init]
    given = parse_spec(cls.name + options.strip()).parameters
    for option in given:
        if option.replace("_", "-") not in known:
            close = did_you_mean(option.replace("_", "-"), known)
            listed = f"; it has {', '.join(known)}" if known and not close else ""
            return f"pass '{cls.name}' has no option '{option}'{close}{listed}"
    return f"options of pass '{cls.name}': {error}"
