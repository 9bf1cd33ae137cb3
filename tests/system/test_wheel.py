"""The wheel alone, in an environment that holds what it declares and nothing else.

Nothing is downloaded: the packages that `hawkvision[cpu]` asks for are linked out of the
environment of the tests, so one that is missing in pyproject.toml is missing here too.
"""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Sequence
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
ZOO = ROOT / "models" / "zoo"


def needed(wanted: Sequence[Requirement]) -> Iterator[Distribution]:
    """The installed packages that requirements lead to, each once, with their own."""
    waiting = list(wanted)
    seen: set[tuple[str, str]] = set()
    while waiting:
        one = waiting.pop()
        extras = {"", *one.extras}
        fresh = {extra for extra in extras if (canonicalize_name(one.name), extra) not in seen}
        if not fresh:
            continue
        seen |= {(canonicalize_name(one.name), extra) for extra in fresh}
        found = distribution(one.name)
        if "" in fresh and canonicalize_name(one.name) != "hawkvision":
            yield found
        for text in found.requires or ():
            below = Requirement(text)
            if below.marker is None or any(
                below.marker.evaluate({"extra": extra}) for extra in fresh
            ):
                waiting.append(below)


def link(package: Distribution, site: Path) -> None:
    """Make an installed package visible in another environment's folder of packages."""
    tops = {file.parts[0] for file in package.files or () if file.parts[0] != ".."}
    for name in tops - {"__pycache__"}:
        source, target = Path(str(package.locate_file(name))), site / name
        if source.exists() and not target.exists():
            target.symlink_to(source)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of an environment with `hawkvision[cpu]`."""
    home = tmp_path_factory.mktemp("wheel") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True)
    python = home / "bin" / "python"
    install = ["install", "--quiet", "--no-index", "--no-deps", str(wheel)]
    subprocess.run([sys.executable, "-m", "pip", "--python", str(python), *install], check=True)
    (site,) = (home / "lib").glob("python3*/site-packages")
    for package in needed([Requirement("hawkvision[cpu]")]):
        link(package, site)
    return home / "bin"


def run(installed: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A program of the environment, outside of any checkout."""
    kept = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR") if name in os.environ}
    return subprocess.run(
        [str(installed / words[0]), *words[1:]],
        cwd=folder,
        env={**kept, "PATH": f"{installed}:/usr/bin:/bin", "COLUMNS": "100"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_holds_the_packages_and_the_tasks_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    tops = {name.split("/")[0] for name in names if ".dist-info" not in name}
    assert tops == {"hawkvision", "edge_agent", "dc_gateway", "fpga"}
    assert "hawkvision/py.typed" in names
    zoo = {f"hawkvision/zoo/{file.relative_to(ZOO)}" for file in ZOO.rglob("*.onnx")}
    assert len(zoo) > 4 and zoo <= names


def test_the_demo_runs(installed: Path, tmp_path: Path) -> None:
    done = run(installed, tmp_path, "hawkvision", "demo", "--images", "40")
    assert done.returncode == 0, done.stderr
    assert "task roadsigns" in done.stdout and "refused" in done.stdout
    assert "keep it running: hawkvision up" in done.stdout


def test_the_client_comes_from_it(installed: Path, tmp_path: Path) -> None:
    code = "import hawkvision.client as c; print(c.Client.__name__, c.__file__)"
    done = run(installed, tmp_path, "python", "-c", code)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Client {installed.parent}")


def test_the_shipped_tasks_verify(installed: Path, tmp_path: Path) -> None:
    done = run(installed, tmp_path, "hawkvision", "models", "verify")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "command", [(), ("edge",), ("dc",), ("up",), ("calibrate",), ("fpga",), ("quantize",)]
)
def test_help_is_there(installed: Path, tmp_path: Path, command: tuple[str, ...]) -> None:
    done = run(installed, tmp_path, "hawkvision", *command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Usage: hawkvision") and "Options:" in done.stdout


@pytest.mark.parametrize(
    ("command", "missing", "cure"),
    [
        (("bench", "server"), "loadtest", "pip install -e '.[cpu,dev]'"),
        (("updates", "init"), "", "pip install 'hawkvision[update]'"),
        (("fpga", "report"), "amaranth", "pip install 'hawkvision[fpga]'"),
        (("edge", "--store", "redis://127.0.0.1:1"), "redis-py", "'hawkvision[redis]'"),
    ],
)
def test_what_it_lacks_is_said_with_its_cure(
    installed: Path, tmp_path: Path, command: tuple[str, ...], missing: str, cure: str
) -> None:
    done = run(installed, tmp_path, "hawkvision", *command)
    assert done.returncode == 1
    error, hint = done.stderr.splitlines()
    assert error.startswith("error: ") and "not installed" in error and missing in error
    assert cure in hint


def test_help_of_what_it_lacks_says_so_too(installed: Path, tmp_path: Path) -> None:
    done = run(installed, tmp_path, "hawkvision", "bench", "--help")
    assert done.returncode == 0 and "not installed" in done.stdout and "checkout" in done.stdout
