"""The units: systemd reads them, and the services work under what they forbid."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import click
import pytest

from hawkvision.cli.main import cli
from tests.deploy.tools import DEPLOY, ROOT, run, tool

UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
MOST_EXPOSED = 1.5
"""Of 10; systemd itself calls under 2.5 `OK`."""


@pytest.mark.parametrize("unit", UNITS, ids=lambda one: one.stem)
def test_systemd_reads_it(unit: Path, tmp_path: Path) -> None:
    analyze = tool("systemd-analyze")
    there = tmp_path / unit.name
    program = tmp_path / "hawkvision"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    there.write_text(unit.read_text().replace("/opt/hawkvision/bin/hawkvision", str(program)))
    assert run(analyze, "verify", there) == ""


@pytest.mark.parametrize("unit", UNITS, ids=lambda one: one.stem)
def test_it_is_confined(unit: Path) -> None:
    said = run(tool("systemd-analyze"), "security", "--offline=true", unit)
    level = re.search(r"exposure level for \S+: ([0-9.]+)", said)
    assert level is not None and float(level[1]) <= MOST_EXPOSED


@pytest.mark.parametrize("unit", UNITS, ids=lambda one: one.stem)
def test_it_starts_a_command_that_exists(unit: Path) -> None:
    command = re.search(r"ExecStart=\S+ (\w+) ", unit.read_text())
    assert command is not None
    assert cli.get_command(click.Context(cli), command[1]) is not None


def confined(unit: str, *command: str) -> subprocess.CompletedProcess[str]:
    tool("systemd-analyze")
    python = Path("/usr/bin/python3")
    has = shutil.which("python3") and python.exists()
    if not has or subprocess.run([python, "-c", "import seccomp"], capture_output=True).returncode:
        pytest.skip("no libseccomp for the system's Python: apt-get install python3-seccomp")
    return subprocess.run(
        [str(python), str(ROOT / "scripts" / "confined"), str(DEPLOY / "systemd" / unit), *command],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=100,
        check=False,
    )


def test_what_a_unit_forbids_is_forbidden() -> None:
    code = (
        "import mmap, os\n"
        "for what in (lambda: mmap.mmap(-1, 4096, prot=7), lambda: os.chroot('/')):\n"
        "    try: what()\n"
        "    except PermissionError: print('forbidden')\n"
    )
    done = confined("hawkvision-edge.service", "/usr/bin/python3", "-c", code)
    assert done.stdout.split() == ["forbidden", "forbidden"], done.stderr


def test_both_services_answer_under_what_their_units_forbid() -> None:
    python = ROOT / ".venv" / "bin" / "python"
    if not python.exists():
        pytest.skip("no .venv here")
    done = confined("hawkvision-gateway.service", str(python), "-m", "hawkvision.cli.main", "demo")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0.95" in done.stdout
