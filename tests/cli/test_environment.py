"""Options by environment: their own names, and what is misspelt."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.models import build_tiny_repository


def run(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hawkvision.cli", *words],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    ("command", "name", "nearest"),
    [
        ("edge", "HAWKVISION_EDGE_PROT", "HAWKVISION_EDGE_PORT"),
        ("dc", "HAWKVISION_DC_THREAD", "HAWKVISION_DC_THREADS"),
        ("up", "HAWKVISION_UP_GATEWAY_PROT", "HAWKVISION_UP_GATEWAY_PORT"),
        ("up", "HAWKVISION_EDGE_PROT", "HAWKVISION_EDGE_PORT"),
        ("edge", "HAWKVISION_EDEG_PORT", "HAWKVISION_EDGE_PORT"),
        ("edge", "HAWKVISON_EDGE_STORE", "HAWKVISION_EDGE_STORE"),
        ("models", "HAWKVISION_MODELS_SHOW_LINKMS", "HAWKVISION_MODELS_SHOW_LINK_MS"),
    ],
)
def test_a_misspelt_variable_is_refused(command: str, name: str, nearest: str) -> None:
    done = run(*((command, "list") if command == "models" else (command,)), **{name: "1"})
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        f"error: the environment variable {name} sets no option of this command",
        f"Is {nearest} meant?",
    ]


@pytest.mark.parametrize("name", ["HAWKVISION_EDGE_PROT", "HAWKVISION_DATA", "HAWKVISION_OTHER"])
def test_what_is_another_s_is_passed_over(name: str) -> None:
    assert run("models", "list", **{name: "1"}).returncode == 0


@pytest.mark.parametrize("name", ["MODEL_REPOSITORY", "ROOT"])
def test_a_variable_has_the_option_s_own_name(name: str, tmp_path: Path) -> None:
    root = build_tiny_repository(tmp_path)
    done = run("models", "list", **{f"HAWKVISION_MODELS_LIST_{name}": str(root)})
    assert "tiny" in done.stdout and "roadsigns" not in done.stdout


@pytest.mark.parametrize("name", ["TASK", "TASKS"])
@pytest.mark.parametrize("command", ["edge", "dc"])
def test_tasks_are_chosen_by_environment(command: str, name: str) -> None:
    done = run(command, **{f"HAWKVISION_{command.upper()}_{name}": "no-such-task"})
    assert done.returncode == 1
    assert "rror: no task 'no-such-task'" in done.stderr


@pytest.mark.parametrize(
    ("gateway", "said"),
    [("nonsense", "names no port"), ("http://dc:8001", "Give dc:8001"), ("dc:0", "is no port")],
)
def test_a_gateway_that_cannot_be_is_refused_at_the_start(gateway: str, said: str) -> None:
    for words, variables in (
        (("edge", "--gateway", gateway), {}),
        (("edge",), {"HAWKVISION_EDGE_GATEWAY": gateway}),
    ):
        done = run(*words, **variables)
        assert done.returncode == 2
        assert "'--gateway'" in done.stderr and said in done.stderr
        assert "Traceback" not in done.stderr
