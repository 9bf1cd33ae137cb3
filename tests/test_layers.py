"""No import runs upward or sideways; the error tree is as drawn."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from hawkvision import errors

ROOT = Path(__file__).resolve().parents[1]
ALLOWED = {
    "hawkvision": {"hawkvision"},
    "edge_agent": {"edge_agent", "hawkvision"},
    "dc_gateway": {"dc_gateway", "hawkvision"},
    "fpga": {"fpga", "hawkvision"},
    "models": {"models", "fpga", "hawkvision"},
}
OURS = {"hawkvision", "edge_agent", "dc_gateway", "fpga", "models", "loadtest", "tests"}


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("package", sorted(ALLOWED))
def test_no_import_runs_upward(package: str) -> None:
    wrong = {
        str(path.relative_to(ROOT)): found
        for path in (ROOT / package).rglob("*.py")
        if (found := (imported(path) & OURS) - ALLOWED[package])
    }
    assert wrong == {}


def test_the_error_tree_is_as_drawn() -> None:
    drawn = set(re.findall(r"── (\w+)", errors.__doc__ or ""))
    defined = {
        kind.__name__
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.HawkVisionError)
    }
    assert drawn | {"HawkVisionError"} == defined
