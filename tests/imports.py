"""Who imports whom, module by module, read from the source."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("hawkvision", "edge_agent", "dc_gateway", "fpga", "models", "loadtest")


@dataclass(frozen=True, slots=True)
class Import:
    """`source` imports `target`; `late` inside a function, where no circle can be closed."""

    source: str
    target: str
    late: bool


def module_of(path: Path) -> str:
    """`a/b/__init__.py` is `a.b`."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(packages: Iterable[str] = PACKAGES) -> list[Import]:
    """All imports of ours by ours; `from package import module` names the module."""
    files = {
        module_of(path): path for package in packages for path in (ROOT / package).rglob("*.py")
    }
    found = []
    for name, path in files.items():
        tree = ast.parse(path.read_text("utf-8"))
        functions = [
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        ]
        late = {id(inner) for function in functions for inner in ast.walk(function)}
        for node in ast.walk(tree):
            found += [
                Import(name, target, id(node) in late)
                for target in _targets(node, files)
                if target != name
            ]
    return found


def _targets(node: ast.AST, files: dict[str, Path]) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names if alias.name in files]
    if not isinstance(node, ast.ImportFrom) or node.module is None:
        return []
    inner = [f"{node.module}.{alias.name}" for alias in node.names]
    modules = [name for name in inner if name in files]
    if node.module in files and len(modules) < len(inner):
        modules.append(node.module)
    return modules


def circles(edges: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Groups of nodes that reach each other (Tarjan, SIAM J. Comput. 1, 1972)."""
    graph: dict[str, set[str]] = {}
    for source, target in edges:
        graph.setdefault(source, set()).add(target)
        graph.setdefault(target, set())
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for target in graph[node]:
            if target not in index:
                visit(target)
                low[node] = min(low[node], low[target])
            elif target in stack:
                low[node] = min(low[node], index[target])
        if low[node] == index[node]:
            group = [stack.pop()]
            while group[-1] != node:
                group.append(stack.pop())
            if len(group) > 1:
                found.append(sorted(group))

    for node in graph:
        if node not in index:
            visit(node)
    return found
