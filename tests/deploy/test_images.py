"""The recipes of images. `scripts/images` builds and runs them; that takes minutes and root."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tests.deploy.tools import DEPLOY, ROOT, run, tool

FILES = sorted((DEPLOY / "docker").glob("*.Dockerfile"))


def extras(text: str) -> set[str]:
    found = re.findall(r"EXTRAS=(\S+)", text) + re.findall(r'"/src\[([a-z,]+)\]"', text)
    return {name for one in found for name in one.split(",")}


@pytest.mark.parametrize("file", FILES, ids=lambda one: one.name)
def test_hadolint_has_nothing_to_say(file: Path) -> None:
    said = run(tool("hadolint"), "--config", ROOT / ".hadolint.yaml", file)
    assert said == ""


@pytest.mark.parametrize("file", FILES, ids=lambda one: one.name)
def test_nothing_runs_as_root_and_extras_exist(file: Path) -> None:
    text = file.read_text()
    last = [line for line in text.splitlines() if line.startswith("USER ")][-1]
    assert last == "USER 10001:10001"
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert extras(text) and extras(text) <= set(known)


def test_what_is_copied_into_an_image_is_named_one_by_one() -> None:
    lines = (ROOT / ".dockerignore").read_text().split()
    assert lines[0] == "*"  # secrets/, build/ and .git are not among what is taken back
    kept = {line.removeprefix("!") for line in lines if line.startswith("!")}
    assert all((ROOT / name).exists() for name in kept)
    assert not kept & {".git", "deploy", "build", "tests"}
