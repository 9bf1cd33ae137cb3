"""The vendors' own checkers, where `scripts/setup deploy` or `scripts/servers` put them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
_FOLDER = ROOT / ".venv-deploy" / "bin"
_HOW = {
    "hadolint": "scripts/setup deploy",
    "helm": "scripts/setup deploy",
    "kubernetes-validate": "scripts/setup deploy",
    "promtool": "apt-get install prometheus",
    "systemd-analyze": "apt-get install systemd",
}


def tool(name: str) -> str:
    """Path of a checker; skips the test where it is not installed."""
    found = shutil.which(name, path=str(_FOLDER)) or shutil.which(name)
    if found is None:
        pytest.skip(f"no {name} here: {_HOW.get(name, f'apt-get install {name}')}")
    return found


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """Run a checker; what it says. Fails the test with that where it exits with another code."""
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{said}"
    return said
