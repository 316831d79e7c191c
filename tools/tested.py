"""Which tests call which public function, read from the text of the tests.

A test calls what it names (`sw.exp`, `nn.Linear`), and what the functions and tables name that it
names, in its file or in one beside it. Where any of these looks names up (`getattr(sw, name)`),
their strings are names too.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from inspect import unwrap
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

HOMES = {
    "sw.random": "stepwell.frontend.random",
    "sw.optim": "stepwell.frontend.optim",
    "sw.nn": "stepwell.frontend.nn",
    "sw.nn.functional": "stepwell.frontend.nn.functional",
    "sw.nn.init": "stepwell.frontend.nn.init",
}
"""The modules of public names beside `sw` itself, by the names that users call them by."""


@cache
def public() -> dict[str, Any]:
    """Every function and class that users call, by the name that they call it by."""
    import stepwell as sw

    # The classes that stand beside the functions are what these give: nobody calls them.
    found: dict[str, Any] = {
        f"sw.{name}": value
        for name in dir(sw)
        if callable(value := getattr(sw, name)) and not isinstance(value, type)
    }
    for prefix, home in HOMES.items():
        module = import_module(home)
        found |= {f"{prefix}.{name}": getattr(module, name) for name in module.__all__}
    return {name: unwrap(value) for name, value in found.items() if callable(value)}


def tests(folder: Path = ROOT / "tests") -> dict[str, list[str]]:
    """Public name -> the tests that call it, as `file::function`; under each of its names."""
    files = {path.stem: _File(path) for path in sorted(folder.rglob("*.py"))}
    callers: dict[int, set[str]] = {}
    for stem, file in files.items():
        for name in file.definitions:
            if stem.startswith("test_") and name.startswith("test_"):
                for called in _called(files, stem, name):
                    callers.setdefault(id(public()[called]), set()).add(f"{stem}::{name}")
    return {name: sorted(callers.get(id(value), ())) for name, value in public().items()}


@dataclass
class _Uses:
    """What a definition names."""

    names: set[str] = field(default_factory=set[str])
    dotted: set[str] = field(default_factory=set[str])
    lookups: set[str] = field(default_factory=set[str])
    strings: set[str] = field(default_factory=set[str])


class _File:
    """The definitions of a file, and what its names stand for in other files."""

    def __init__(self, path: Path):
        tree = ast.parse(path.read_text("utf-8"))
        self.aliases: dict[str, str] = {}
        self.imported: dict[str, tuple[str, str]] = {}
        for node in ast.walk(tree):
            self._import(node)
        self.definitions: dict[str, _Uses] = {}
        for statement in tree.body:
            for name in _defined(statement):
                self._define(name, statement)

    def _import(self, node: ast.AST) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name == "stepwell":
                    self.aliases[alias.asname or alias.name] = "sw"
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            for alias in node.names:
                name = alias.asname or alias.name
                if node.module.partition(".")[0] == "stepwell":
                    self.aliases[name] = _spelled(f"{node.module}.{alias.name}")
                else:
                    self.imported[name] = (node.module.rpartition(".")[2], alias.name)

    def _define(self, name: str, statement: ast.stmt) -> None:
        uses = self.definitions.setdefault(name, _Uses())
        if isinstance(statement, ast.Assign):
            alias = self._dotted(statement.value)
            if alias is not None:
                self.aliases[name] = alias
        for node in ast.walk(statement):
            dotted = self._dotted(node)
            if dotted is not None:
                uses.dotted.add(dotted)
            if isinstance(node, ast.Name):
                uses.names.add(node.id)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                uses.strings.add(node.value)
            elif isinstance(node, ast.Call) and _is_lookup(node):
                module = self._dotted(node.args[0])
                if module is not None:
                    uses.lookups.add(module)

    def _dotted(self, node: ast.AST) -> str | None:
        """`sw.nn.Linear` of what a name, or an attribute of one, stands for."""
        if isinstance(node, ast.Name):
            return self.aliases.get(node.id)
        if isinstance(node, ast.Attribute):
            base = self._dotted(node.value)
            return None if base is None else f"{base}.{node.attr}"
        return None


def _called(files: dict[str, _File], stem: str, name: str) -> Iterator[str]:
    """The public names that a definition reaches."""
    every = list(_reached(files, stem, name, set()))
    modules = {module for uses in every for module in uses.lookups}
    for uses in every:
        yield from uses.dotted & public().keys()
        for module in modules:
            yield from {f"{module}.{string}" for string in uses.strings} & public().keys()


def _reached(
    files: dict[str, _File], stem: str, name: str, seen: set[tuple[str, str]]
) -> Iterator[_Uses]:
    """The uses of a definition, and of those that it names."""
    if (stem, name) in seen or stem not in files:
        return
    seen.add((stem, name))
    file = files[stem]
    if name in file.imported:
        yield from _reached(files, *file.imported[name], seen)
    if name in file.definitions:
        uses = file.definitions[name]
        yield uses
        for other in sorted(uses.names):
            yield from _reached(files, stem, other, seen)


def _defined(statement: ast.stmt) -> Iterator[str]:
    """The names that a statement of a file defines."""
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        yield statement.name
    elif isinstance(statement, ast.Assign | ast.AnnAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        for target in targets:
            yield from (node.id for node in ast.walk(target) if isinstance(node, ast.Name))


def _is_lookup(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Name) and call.func.id == "getattr" and len(call.args) > 1


def _spelled(path: str) -> str:
    """`sw.nn.Linear` of stepwell.frontend.nn.Linear."""
    parts = [part for part in path.split(".")[1:] if part not in ("frontend", "operations")]
    return ".".join(["sw", *parts])
