"""The command line itself: finding commands, errors in one line, exit statuses."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from click.testing import CliRunner

import hawkvision
from hawkvision.cli.main import cli
from hawkvision.extensions import extra_with
from tests.client.agent import Agent, serving
from tests.processes import free_port


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hawkvision.cli", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_help_lists_every_registered_command() -> None:
    shown = CliRunner().invoke(cli, ["--help"]).output
    for entry in entry_points(group="hawkvision.commands"):
        assert f"\n  {entry.name} " in shown


def test_the_version_is_the_package_s() -> None:
    done = run("--version")
    assert (done.returncode, done.stdout.split()[-1]) == (0, hawkvision.__version__)


def test_an_unknown_command_is_a_usage_error() -> None:
    assert run("clasify").returncode == 2


def test_an_error_is_one_line_and_a_hint_on_stderr() -> None:
    done = run("models", "show", "no-such-task")
    assert (done.returncode, done.stdout) == (1, "")
    message, hint = done.stderr.splitlines()
    assert message.startswith("error: ") and "no-such-task" in message
    assert hint


def test_nobody_listening_is_an_error_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"image")
    url = f"http://127.0.0.1:{free_port()}"
    done = run("classify", str(tmp_path / "photo.jpg"), "--url", url)
    assert done.returncode == 1
    assert "hawkvision up" in done.stderr


def test_one_failed_image_fails_the_command_after_all_were_tried(tmp_path: Path) -> None:
    for name, content in (("a", b"one"), ("b", b"corrupt"), ("c", b"escalate")):
        (tmp_path / name).write_bytes(content)
    with serving() as agent:
        done = run("classify", *(str(tmp_path / name) for name in "abc"), "--url", agent.url)
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 2
    assert "corrupt_image" in done.stderr


def test_a_module_that_is_not_installed_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    info = tmp_path / "extra-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: extra\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[hawkvision.commands]\nabsent = no_such_module:x\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    done = run("absent", "--any", "words")
    assert done.returncode == 1
    assert done.stderr.startswith("error: `hawkvision absent` needs the module no_such_module")


def test_an_option_may_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "photo").write_bytes(b"image")
    with serving() as agent:
        monkeypatch.setenv("HAWKVISION_CLASSIFY_URL", agent.url)
        done = run("classify", str(tmp_path / "photo"), "--accuracy", "0.9")
        _check(agent)
    assert done.returncode == 0


def _check(agent: Agent) -> None:
    assert [query["accuracy"] for query in agent.queries] == ["0.9"]


@pytest.mark.parametrize(
    ("module", "extra"),
    [("psutil", "loadtest"), ("amaranth.hdl", "fpga"), ("torch", "train"), ("loadtest", None)],
)
def test_the_extra_that_holds_a_module_is_named(module: str, extra: str | None) -> None:
    assert extra_with(module) == extra
