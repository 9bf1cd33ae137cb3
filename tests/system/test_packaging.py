"""Which engine is installed is the user's choice, on every machine that we say we run on.

What a package index makes of it is asked by `scripts/resolutions.py`, which needs a network.
"""

from __future__ import annotations

import importlib.util
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from hawkvision.engines.runtime import WHEELS

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]


def script(name: str) -> ModuleType:
    """A file of `scripts/` as a module."""
    spec = importlib.util.spec_from_file_location(
        f"scripts_{name}", ROOT / "scripts" / f"{name}.py"
    )
    assert spec is not None and spec.loader is not None
    module = sys.modules[f"scripts_{name}"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def names(requirements: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(text).name) for text in requirements}


def test_the_core_brings_no_engine() -> None:
    assert not {name for name in names(PROJECT["dependencies"]) if name.startswith("onnxruntime")}


def test_only_the_extras_that_are_engines_bring_one_and_one_each() -> None:
    brought = {extra: names(wanted) & set(WHEELS) for extra, wanted in EXTRAS.items()}
    assert {extra: found for extra, found in brought.items() if found} == {
        "cpu": {"onnxruntime"},
        "gpu": {"onnxruntime-gpu"},
    }


def test_the_extra_tensorrt_says_which_major() -> None:
    versions = {Requirement(text).name: Requirement(text).specifier for text in EXTRAS["tensorrt"]}
    assert all(">=" in str(one) and "<" in str(one) for one in versions.values()), versions


RESOLUTIONS = script("resolutions")


@pytest.mark.parametrize("python", RESOLUTIONS.PYTHONS)
@pytest.mark.parametrize("machine", RESOLUTIONS.MACHINES)
@pytest.mark.parametrize("engine", ["cpu", "gpu"])
def test_each_machine_gets_the_engine_that_was_chosen(
    engine: str, machine: str, python: str
) -> None:
    wanted = RESOLUTIONS.requirements(engine, python, machine)
    assert len(names(wanted) & set(WHEELS)) == 1
    assert all(Requirement(text).marker is None for text in wanted)


def test_markers_are_those_of_the_machine_that_is_asked_about() -> None:
    x86, arm = (
        names(RESOLUTIONS.requirements("tensorrt", "3.12", machine))
        for machine in ("x86_64", "aarch64")
    )
    assert x86 - arm == {"tensorrt-cu13-bindings"}


def test_the_documented_table_names_every_choice() -> None:
    page = (ROOT / "docs" / "install.md").read_text("utf-8")
    assert [extra for extra in EXTRAS if f"`{extra}`" not in page] == []
    rows = [line for line in page.splitlines() if line.startswith("| `") and "aarch64" in line]
    assert len(rows) >= len(RESOLUTIONS.CHOICES)
