"""Verilog to a shared library: Verilator writes C++, g++ compiles it, a folder keeps it."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from fpga.tools.needs import SIMULATION
from hawkvision.errors import EngineError

_BUILD_VERSION = 2


def build_library(source: str, top: str, harness: str, cache: Path) -> Path:
    """A shared library of Verilog and a C++ harness around `V{top}`, compiled once.

    Processes that want the same one at the same time wait for the first. Raises EngineError.
    """
    SIMULATION.check()
    digest = hashlib.sha256(f"{_BUILD_VERSION}{harness}{source}".encode()).hexdigest()[:24]
    library = cache / digest / "libhv.so"
    if library.exists():
        return library
    with _alone(library.parent):
        if not library.exists():
            _build(source, top, harness, library)
    return library


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold a folder, which is made, against other processes."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(source: str, top: str, harness: str, library: Path) -> None:
    cache = library.parent.parent
    root = Path(_output("verilator", "--getenv", "VERILATOR_ROOT")) / "include"
    includes = [f"-I{root}", f"-I{root}/vltstd", "-I.", "-Iobj"]
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        folder = Path(scratch)
        (folder / "top.v").write_text(source)
        (folder / "harness.cpp").write_text(harness)
        lint = ["-Wno-fatal", "-Wno-WIDTH", "-Wno-UNOPTFLAT", "--noassert"]
        start = ["--x-assign", "fast", "--x-initial", "fast", "-O3"]
        shape = ["--output-split", "20000", "--top-module", top, "-Mdir", "obj"]
        _run(["verilator", "--cc", *lint, *start, *shape, "top.v"], folder)
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            objects = list(pool.map(lambda unit: _compiled(unit, folder, includes), _units(folder)))
        runtime = _runtime(root, cache, includes)
        _run(["g++", "-shared", "-o", "libhv.so", *objects, *runtime, "-lpthread"], folder)
        (folder / "libhv.so").replace(library)


def _units(folder: Path) -> list[tuple[str, str]]:
    """Sources to compile and how much to optimize each.

    Reading Verilator's headers is most of the work for a small file, so files are compiled
    together: what runs once (its names say `Slow`), and for each processor a share of the rest.
    """
    once: list[Path] = []
    shares: list[list[Path]] = [[folder / "harness.cpp"]]
    shares += [[] for _ in range((os.cpu_count() or 1) - 1)]
    for path in sorted(folder.glob("obj/*.cpp"), key=lambda path: (-path.stat().st_size, path)):
        rest = min(shares, key=lambda share: sum(one.stat().st_size for one in share))
        (once if "Slow" in path.name else rest).append(path)
    found = []
    for index, (paths, level) in enumerate([(once, "-O0"), *((share, "-O1") for share in shares)]):
        lines = [f'#include "{path.relative_to(folder)}"\n' for path in paths]
        (folder / f"unit{index}.cpp").write_text("".join(lines))
        found.append((f"unit{index}", level))
    return found


def _runtime(root: Path, cache: Path, includes: list[str]) -> list[str]:
    """Verilator's own code, compiled once for each version."""
    version = hashlib.sha256(_output("verilator", "--version").encode()).hexdigest()[:12]
    folder = cache / f"runtime-{version}"
    found = []
    with _alone(folder):
        for name in ("verilated", "verilated_threads"):
            target = folder / f"{name}.o"
            if not target.exists():
                partial = target.with_suffix(".partial")
                line = ["g++", "-O2", "-fPIC", "-c", str(root / f"{name}.cpp"), "-o", str(partial)]
                _run(line + includes, folder)
                partial.replace(target)
            found.append(str(target))
    return found


def _compiled(unit: tuple[str, str], folder: Path, includes: list[str]) -> str:
    name, level = unit
    target = f"{name}.o"
    _run(["g++", level, "-fPIC", "-c", f"{name}.cpp", "-o", target, *includes], folder)
    return target


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise EngineError(f"{command[0]}: {(done.stderr or done.stdout)[-800:]}")
