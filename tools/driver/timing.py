"""Wall time as a tree: what `--mlir-timing` prints."""

from __future__ import annotations

import time
from collections.abc import Generator, Hashable
from contextlib import contextmanager
from dataclasses import dataclass, field

_RULE = "===" + "-" * 73 + "==="


@dataclass
class TimingNode:
    """Time spent under one label; the same key entered again adds to the same node."""

    label: str
    seconds: float = 0.0
    children: dict[Hashable, TimingNode] = field(default_factory=dict[Hashable, "TimingNode"])


class Timer:
    """Collects nested scopes."""

    def __init__(self) -> None:
        self.root = TimingNode("Total")
        self._stack = [self.root]
        self._started = time.perf_counter()

    @contextmanager
    def scope(self, label: str, key: Hashable = None) -> Generator[None]:
        """Times a block. Scopes of equal `key` (by default the label) in one parent are one."""
        node = self._stack[-1].children.setdefault(key or label, TimingNode(label))
        self._stack.append(node)
        start = time.perf_counter()
        try:
            yield
        finally:
            node.seconds += time.perf_counter() - start
            self._stack.pop()

    @contextmanager
    def aside(self, label: str) -> Generator[None]:
        """Times a block as one line of its own, which the scopes around it do not count."""
        around, self._stack = self._stack, self._stack[:1]
        start = time.perf_counter()
        try:
            with self.scope(label):
                yield
        finally:
            self._stack = around
            spent = time.perf_counter() - start
            for node in around[1:]:
                node.seconds -= spent

    def report(self) -> str:
        """The tree with seconds and the share of the total; `Rest` is what no scope covers."""
        total = max(time.perf_counter() - self._started, 1e-9)
        title = "... Execution time report ..."
        lines = [_RULE, title.center(len(_RULE)).rstrip(), _RULE]
        lines += [f"  Total Execution Time: {total:.4f} seconds", ""]
        lines.append("  ----Wall Time----  ----Name----")

        def add(seconds: float, label: str, depth: int) -> None:
            lines.append(f"  {seconds:8.4f} ({seconds / total:6.1%})  {'  ' * depth}{label}")

        def visit(node: TimingNode, depth: int) -> None:
            for child in node.children.values():
                add(child.seconds, child.label, depth)
                visit(child, depth + 1)

        visit(self.root, 0)
        add(total - sum(child.seconds for child in self.root.children.values()), "Rest", 0)
        add(total, "Total", 0)
        return "\n".join(lines) + "\n"
