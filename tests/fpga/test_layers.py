"""The order of the rooms in `fpga/`: who imports whom, and what they need of the world outside."""

from __future__ import annotations

import ast
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BELOW: dict[str, set[str]] = {
    "board": set(),
    "network": set(),
    "design": {"network", "board"},
    "tools": {"network", "board", "design"},
    "engines": {"network", "board", "tools"},
    "vivado": {"network", "design"},
    "steps": {"network", "design", "tools", "vivado"},
    "command": {"network", "tools", "vivado", "steps"},
}
"""What each room may import besides itself."""
OUTSIDE: dict[str, set[str]] = {
    "board": {"hawkvision", "numpy", "pynq"},
    "network": {"numpy", "onnx", "hawkvision"},
    "design": {"numpy", "amaranth", "hawkvision"},
    "tools": {"numpy", "amaranth", "rich", "hawkvision"},
    "engines": {"numpy", "hawkvision"},
    "vivado": {"hawkvision"},
    "steps": {"numpy", "hawkvision"},
    "command": {"numpy", "click", "hawkvision"},
}
"""Packages that are not ours, besides the standard library."""


def name_of(path: Path) -> str:
    """`fpga.board.driver` for `fpga/board/driver.py`."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted((ROOT / "fpga").rglob("*.py"))}


def room_of(module: str) -> str:
    """`board` for `fpga.board.driver`; nothing for `fpga` itself."""
    return module.split(".")[1] if "." in module else ""


def imports(module: str) -> set[str]:
    """Every module that one imports, at its top or inside a function."""
    found: set[str] = set()
    package = module if MODULES[module].stem == "__init__" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(MODULES[module].read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) + 1 - node.level]
            base = ".".join([*(above if node.level else []), *filter(None, [node.module])])
            inside = {f"{base}.{alias.name}" for alias in node.names}
            found |= (inside & set(MODULES)) or {base}
    return found


@pytest.mark.parametrize("room", sorted(BELOW))
def test_no_import_runs_up(room: str) -> None:
    wrong = {
        module: up
        for module in MODULES
        if room_of(module) == room
        and (
            up := {
                name
                for name in imports(module)
                if name.split(".")[0] == "fpga" and room_of(name) not in {room, *BELOW[room]}
            }
        )
    }
    assert wrong == {}


@pytest.mark.parametrize("room", sorted(OUTSIDE))
def test_a_room_needs_no_more_of_the_world_than_it_says(room: str) -> None:
    outside = {
        name.split(".")[0]
        for module in MODULES
        if room_of(module) == room
        for name in imports(module)
    }
    assert outside - set(sys.stdlib_module_names) - {"fpga"} == OUTSIDE[room]


def test_a_board_takes_the_messages_of_workers_and_nothing_else_of_ours() -> None:
    ours = {
        name
        for module in MODULES
        if room_of(module) == "board"
        for name in imports(module)
        if name.split(".")[0] == "hawkvision"
    }
    assert ours and all(name.startswith("hawkvision.engines.worker.") for name in ours)


def test_every_room_has_its_floor() -> None:
    assert {room_of(module) for module in MODULES} - {""} == set(BELOW) == set(OUTSIDE)
    assert list(TopologicalSorter(BELOW).static_order())  # raises where rooms are in a circle


def test_no_modules_import_each_other() -> None:
    graph = {module: imports(module) & set(MODULES) for module in MODULES}
    assert list(TopologicalSorter(graph).static_order())  # raises with the circle


def test_what_a_board_runs_is_written_for_its_python() -> None:
    for module, path in MODULES.items():
        if room_of(module) == "board":
            ast.parse(path.read_text("utf-8"), feature_version=(3, 10))
