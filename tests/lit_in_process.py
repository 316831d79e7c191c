"""Runs lit tests without starting processes: `wgpu-opt` and `filecheck` are called as functions.

A RUN line is commands joined by `|`, as lit's own shell takes them, with `not`, `2>&1`, `2> file`,
`> file`, and the substitutions `%s`, `%S`, `%t` and `%%`. Commands other than `TOOLS` are errors.
"""

from __future__ import annotations

import io
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import filecheck.main

TOOLS = {
    "wgpu-opt": "stepwell.tools.wgpu_opt",
    "wgpu-run": "stepwell.tools.wgpu_run",
    "stepwell": "stepwell.tools.stepwell",
}

_RUN = re.compile(r"//\s*RUN:\s*(.*?)\s*$")


class Outcome(NamedTuple):
    """What a command did."""

    code: int
    stdout: str
    stderr: str


class LitError(AssertionError):
    """A RUN line that failed, with what its commands printed."""


def run_lines(path: Path) -> list[str]:
    """The RUN lines of a file; a backslash at the end continues on the next RUN line."""
    lines: list[str] = []
    pending = ""
    for text in path.read_text("utf-8").splitlines():
        match = _RUN.search(text)
        if match is None:
            continue
        pending += match[1]
        if pending.endswith("\\"):
            pending = pending[:-1] + " "
        else:
            lines.append(pending)
            pending = ""
    if pending:
        raise LitError(f"{path}: the last RUN line is continued by nothing")
    return lines


def run_file(path: Path, scratch: Path) -> None:
    """Runs every RUN line of a file; raises `LitError` at the first that does not exit with 0."""
    lines = run_lines(path)
    if not lines:
        raise LitError(f"{path}: no RUN line")
    for line in lines:
        outcome = run_line(line, path, scratch)
        if outcome.code != 0:
            raise LitError(f"{path}\n$ {line}\nexit code {outcome.code}\n{outcome.stderr}")


def run_line(line: str, path: Path, scratch: Path) -> Outcome:
    """Runs one pipe of commands. As in lit, it fails when any of its commands does."""
    names = {"%s": str(path), "%S": str(path.parent), "%t": str(scratch / "t"), "%%": "%"}
    text = re.sub(r"%[sSt%]", lambda match: names[match[0]], line)
    lexer = shlex.shlex(text, posix=True, punctuation_chars="|")
    lexer.whitespace_split = True
    commands: list[list[str]] = [[]]
    for word in lexer:
        if word == "|":
            commands.append([])
        else:
            commands[-1].append(word)
    code, stdin, errors = 0, "", ""
    for words in commands:
        outcome = _run_command(words, stdin)
        code = code or outcome.code
        stdin = outcome.stdout
        errors += outcome.stderr
    return Outcome(code, stdin, errors)


def _run_command(words: Sequence[str], stdin: str) -> Outcome:
    words = list(words)
    merge = "2>&1" in words
    if merge:
        words.remove("2>&1")
    files = {mark: _take_redirection(words, mark) for mark in (">", "2>")}
    negate = bool(words) and words[0] == "not"
    if negate:
        words = words[1:]
    code, out, err = call(_function(words[0]), words[1:], stdin, merge=merge)
    if negate:
        code = int(code == 0)
    if files[">"] is not None:
        Path(files[">"]).write_text(out, "utf-8")
        out = ""
    if files["2>"] is not None:
        Path(files["2>"]).write_text(err, "utf-8")
        err = ""
    return Outcome(code, out, err)


def _take_redirection(words: list[str], mark: str) -> str | None:
    if mark not in words:
        return None
    index = words.index(mark)
    target = words[index + 1]
    del words[index : index + 2]
    return target


def _function(tool: str) -> Callable[[list[str]], int | None]:
    if tool == "filecheck":
        return lambda argv: filecheck.main.main(["filecheck", *argv])
    if tool == "cat":
        return lambda argv: _cat(argv)
    if tool not in TOOLS:
        raise LitError(f"unknown command '{tool}': known are cat, filecheck, {', '.join(TOOLS)}")
    return import_module(TOOLS[tool]).main


def _cat(argv: Sequence[str]) -> int:
    sys.stdout.write("".join(Path(name).read_text("utf-8") for name in argv))
    return 0


def call(
    function: Callable[[list[str]], int | None],
    argv: list[str],
    stdin: str = "",
    *,
    merge: bool = False,
) -> Outcome:
    """Calls a tool's `main` with captured streams; an exception is a failure, not an exit code."""
    out = io.StringIO()
    err = out if merge else io.StringIO()
    previous, sys.stdin = sys.stdin, io.StringIO(stdin)
    try:
        with redirect_stdout(out), redirect_stderr(err):
            code = function(argv)
    except SystemExit as exit:
        code = exit.code if isinstance(exit.code, int) else int(exit.code is not None)
    finally:
        sys.stdin = previous
    return Outcome(code or 0, out.getvalue(), "" if merge else err.getvalue())
