"""What pip would install of HawkVision, for each Python, machine and choice of extras.

`python scripts/resolutions.py [--json FILE] [--python 3.12 …] [EXTRAS …]`, with EXTRAS as
`cpu,redis` (`core` for none), prints a table and installs nothing: `pip install --dry-run --report`
over wheels alone, first for glibc 2.28 (RHEL 8, Debian 10) and then for 2.39 (Ubuntu 24.04, JetPack
7). It asks the package index that pip is configured for, and takes a second for each combination.

pip evaluates markers of other packages for the machine it runs on (pip's documentation,
`--platform`); those of HawkVision's own requirements are evaluated here, for the machine that is
asked about. Of TensorRT only the bindings are wheels of that index, and are asked for instead:
`tensorrt-cu13` is a source stub whose build fetches NVIDIA's own wheels from NVIDIA's index.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
MACHINES = ("x86_64", "aarch64")
GLIBCS = (28, 39)
CHOICES = ("core", "cpu", "gpu", "tensorrt", "cpu,redis,report,parquet,quantize,power", "cpu,fpga")
STUBS = {"tensorrt-cu13": "tensorrt-cu13-bindings"}
"""What is no wheel, and what is asked for in its place."""

SHOWN = ("onnxruntime", "onnxruntime-gpu", *STUBS.values(), "cuda-bindings", "numpy", "scipy")
_PLATFORMS_FROM = 17


@dataclass(frozen=True)
class Resolution:
    """`packages` is empty where there is none, and `reason` says why; glibc is 2.`glibc`."""

    python: str
    machine: str
    extras: str
    glibc: int | None
    packages: dict[str, str]
    reason: str = ""


def requirements(extras: str, python: str, machine: str, root: Path = ROOT) -> list[str]:
    """Our own requirements that hold on such a machine, without their markers."""
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = list(project["dependencies"])
    for extra in extras.split(","):
        if extra != "core":
            wanted += project["optional-dependencies"][extra]
    environment = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "platform_machine": machine,
        "sys_platform": "linux",
        "platform_system": "Linux",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "os_name": "posix",
    }
    found = []
    for text in wanted:
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate(environment):
            requirement.marker = None
            requirement.name = STUBS.get(requirement.name, requirement.name)
            found.append(str(requirement))
    return found


def resolve(extras: str, python: str, machine: str, glibc: int) -> Resolution:
    """Ask pip once."""
    platforms = [
        word
        for minor in range(_PLATFORMS_FROM, glibc + 1)
        for word in ("--platform", f"manylinux_2_{minor}_{machine}")
    ]
    platforms += ["--platform", f"manylinux2014_{machine}", "--platform", f"linux_{machine}"]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
        command += ["install", "--dry-run", "--ignore-installed", "--only-binary=:all:"]
        command += ["--target", folder, "--report", str(report), "--python-version", python]
        done = subprocess.run(
            [*command, *platforms, *requirements(extras, python, machine)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            return Resolution(python, machine, extras, None, {}, _reason(done.stderr))
        body = json.loads(report.read_text("utf-8"))
    packages = {one["metadata"]["name"]: one["metadata"]["version"] for one in body["install"]}
    return Resolution(python, machine, extras, glibc, dict(sorted(packages.items())))


def _reason(said: str) -> str:
    """pip's last error: `No matching distribution found for …`."""
    errors = [line for line in said.splitlines() if line.startswith("ERROR: ")]
    return errors[-1].removeprefix("ERROR: ") if errors else "pip failed without a message"


def resolutions(choices: Sequence[str], pythons: Sequence[str]) -> Iterator[Resolution]:
    """One for each combination, with the oldest glibc of `GLIBCS` that is enough."""
    for extras in choices:
        for machine in MACHINES:
            for python in pythons:
                found = resolve(extras, python, machine, GLIBCS[0])
                for glibc in GLIBCS[1:]:
                    if not found.packages:
                        found = resolve(extras, python, machine, glibc)
                yield found


def line(found: Resolution) -> str:
    """A row of the table, in Markdown."""
    named = {name.replace("_", "-").lower(): number for name, number in found.packages.items()}
    shown = ", ".join(f"{name} {named[name]}" for name in SHOWN if name in named)
    what = f"{len(named)}: {shown}" if named else f"none: {found.reason}"
    glibc = "" if found.glibc is None else f"2.{found.glibc}"
    return f"| `{found.extras}` | {found.machine} | {found.python} | {glibc} | {what} |"


def main() -> None:
    """Print the table; status 1 where a combination has no resolution."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("extras", nargs="*", default=CHOICES)
    parser.add_argument("--python", action="append", choices=PYTHONS)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    print("| extras | machine | Python | glibc | packages |\n|---|---|---|---|---|")
    found = []
    for one in resolutions(given.extras, given.python or PYTHONS):
        found.append(one)
        print(line(one), flush=True)
    if given.json is not None:
        given.json.write_text(json.dumps([asdict(one) for one in found], indent=1), "utf-8")
    sys.exit(not all(one.packages for one in found))


if __name__ == "__main__":
    main()
