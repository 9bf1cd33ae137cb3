"""Run HawkVision with the oldest dependencies that pyproject.toml allows.

`python scripts/floors.py cpu [EXTRA…]` installs every lower bound, and those of the extras, into
`build/floors-…/` (kept until pyproject.toml changes), imports everything, and lets `hawkvision
demo` classify images through an agent and a gateway, which takes an engine: the extra cpu or gpu.
Status 75 (EX_TEMPFAIL): no package could be had, which says nothing of the bounds.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TEMPFAIL = 75
_BOUND = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?>=([0-9][0-9A-Za-z.]*)")
_UNREACHABLE = re.compile(
    r"Temporary failure|Failed to establish|NewConnectionError|Network is unreachable|timed out"
    r"|ProxyError|Name or service not known"
)

IMPORT_EVERYTHING = """
import importlib, pkgutil, sys
absent = set(sys.argv[1:])
for package in ("hawkvision", "edge_agent", "dc_gateway"):
    for module in pkgutil.walk_packages(importlib.import_module(package).__path__, package + "."):
        if module.name.endswith("__main__"):
            continue
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            if error.name not in absent:
                raise
"""
"""What belongs to an extra that was not asked for may be missing, and nothing else."""


def bounds(requirements: list[str]) -> dict[str, str]:
    """The lower bound of each requirement by name; those without one are a mistake."""
    found = {}
    for requirement in requirements:
        match = _BOUND.match(requirement)
        if match is None:
            raise SystemExit(f"no lower bound: {requirement}")
        marker = requirement.partition(";")[2]
        found[match[1]] = f"{match[2]};{marker}" if marker else match[2]
    return found


def install(folder: Path, pins: dict[str, str]) -> None:
    """The pinned versions, and HawkVision itself as it lies here."""
    venv.create(folder, with_pip=True, clear=True)
    pip = [folder / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "--quiet"]
    wanted = [f"{name}=={version}" for name, version in pins.items()]
    for more in (wanted, ["--no-deps", "--editable", str(ROOT)]):
        done = subprocess.run(
            [*pip, "install", "--prefer-binary", "--no-compile", *more],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            sys.stderr.write(done.stderr)
            sys.exit(TEMPFAIL if _UNREACHABLE.search(done.stderr) else 1)


def main(extras: list[str]) -> None:
    """Install once, then import and demonstrate."""
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    project = tomllib.loads(text)["project"]
    optional = project["optional-dependencies"]
    pins = bounds(project["dependencies"])
    for extra in extras:
        pins |= bounds(optional[extra])
    name = f"{sys.version_info[0]}.{sys.version_info[1]} {sorted(extras)} {text}"
    folder = ROOT / "build" / f"floors-{hashlib.sha256(name.encode()).hexdigest()[:12]}"
    ready = folder / ".ready"
    if not ready.exists():
        install(folder, pins)
        ready.touch()
    python = folder / "bin" / "python"
    absent = {"cryptography", "jinja2", "matplotlib", "model_signing", "onnx", "pyarrow", "ray"}
    absent |= {"redis", "securesystemslib", "tuf"}
    subprocess.run([python, "-c", IMPORT_EVERYTHING, *(absent - {*pins})], check=True, cwd=folder)
    demo = [folder / "bin" / "hawkvision", "demo", "--images", "40"]
    subprocess.run(demo, check=True, cwd=folder)


if __name__ == "__main__":
    main(sys.argv[1:])
