"""What also runs in a worker: readable by Python 3.8, and importing next to nothing."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

import hawkvision

ROOT = Path(hawkvision.__file__).resolve().parent
OUR_SIDE = {"engine.py", "remote.py", "process.py", "examine.py"}
"""Run by HawkVision's own Python alone."""
FILES = [
    *sorted(
        path
        for folder in ("engines/tensorrt", "engines/worker")
        for path in (ROOT / folder).glob("*.py")
        if path.name not in OUR_SIDE
    ),
    ROOT / "engines" / "caches.py",
    ROOT / "errors.py",
]
MODULES = {f"hawkvision.{'.'.join(path.relative_to(ROOT).with_suffix('').parts)}" for path in FILES}
THIRD = {"numpy", "tensorrt", "cuda"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_worker_can_read_and_import_it(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"), feature_version=(3, 8))
    assert path.name in ("__init__.py", "__main__.py") or "annotations" in path.read_text("utf-8")
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        else:
            continue
        for name in names:
            top = name.split(".")[0]
            allowed = top in sys.stdlib_module_names or top in THIRD or name in MODULES
            assert allowed, f"{path.name} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_nothing_newer_than_3_8_is_called(path: Path) -> None:
    newer = {"removeprefix", "removesuffix", "is_relative_to", "hardlink_to", "readlink", "cache"}
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Attribute):
            assert node.attr not in newer
        if isinstance(node, ast.Call):
            words = {word.arg for word in node.keywords}
            name = node.func.id if isinstance(node.func, ast.Name) else ""
            assert not (name == "zip" and "strict" in words)
            assert not (name == "dataclass" and words & {"slots", "kw_only"})
