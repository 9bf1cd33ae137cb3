"""NVIDIA's Triton as a process on this machine, from the wheel `nvidia-pytriton`.

The wheel holds the server and its Python backend, which wants an older NumPy than ours: it lies in
a virtual environment of its own. Models run under that one's Python; their file says where other
packages are.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hawkvision.errors import HawkVisionError
from loadtest.peers.ports import free_ports

_HINT = "scripts/setup peers installs one."
_READY_S = 60.0
_STOP_S = 10.0
_LIBRARY = "libtriton_python.so"
_UTILITIES = "triton_python_backend_utils.py"
_STUB = "triton_python_backend_stub"
_ASK = """\
import importlib.metadata as metadata, json, sys, sysconfig
try:
    wheel = metadata.version("nvidia-pytriton")
except metadata.PackageNotFoundError:
    wheel = None
folders = sysconfig.get_path("purelib"), sysconfig.get_config_var("LIBDIR")
print(json.dumps([wheel, "%d.%d" % sys.version_info[:2], *folders]))
"""


@dataclass(frozen=True, slots=True)
class Installed:
    """A Triton of an environment: the versions of its wheel and Python, the folders of both."""

    environment: Path
    wheel: str
    version: str
    packages: Path
    libraries: str

    @property
    def server(self) -> Path:
        """Where the wheel keeps the server."""
        return self.packages / "pytriton" / "tritonserver"

    @property
    def stub(self) -> Path:
        """What runs models under this version of Python."""
        return self.server / "python_backend_stubs" / self.version / _STUB


def find(environment: Path) -> Installed:
    """The Triton of a virtual environment. Raises HawkVisionError where there is none that fits."""
    python = environment.absolute() / "bin" / "python"
    try:
        said = subprocess.run([python, "-c", _ASK], capture_output=True, text=True, check=True)
        wheel, version, packages, libraries = json.loads(said.stdout)
    except (OSError, subprocess.CalledProcessError, ValueError) as error:
        raise HawkVisionError(f"no Python at {python}", hint=_HINT) from error
    found = Installed(environment.absolute(), str(wheel), version, Path(packages), str(libraries))
    if wheel is None or not (found.server / "bin" / "tritonserver").exists():
        raise HawkVisionError(f"no nvidia-pytriton in {environment}", hint=_HINT)
    if not found.stub.exists():
        raise HawkVisionError(
            f"nvidia-pytriton in {environment} has no stub for Python {version}", hint=_HINT
        )
    return found


def write_model(
    repository: Path,
    name: str,
    config: str,
    code: str,
    paths: Sequence[str] = tuple(sys.path),
    version: str = "1",
) -> None:
    """One `version` of a Python model; `config` goes below its name and backend.

    `paths` are where `code` finds what Triton's own environment has not; by default ours.
    """
    folder = repository / name
    (folder / version).mkdir(parents=True)
    head = f'name: "{name}"\nbackend: "python"\n'
    (folder / "config.pbtxt").write_text(head + config, "utf-8")
    head = f"import sys\n\nsys.path += {[path for path in paths if path]!r}\n"
    (folder / version / "model.py").write_text(head + code, "utf-8")


class Triton:
    """A running server over HTTP and gRPC on loopback; it has its own folder for what it writes.

    `inside` makes another command line of its own, to run it elsewhere; `grpc_port` 0 is any.
    """

    def __init__(
        self,
        installed: Installed,
        folder: Path,
        options: Sequence[str] = (),
        inside: Callable[[list[str]], list[str]] = list,
        grpc_port: int = 0,
    ) -> None:
        self.repository = folder / "models"
        self.repository.mkdir(parents=True, exist_ok=True)
        self._log = folder / "triton.log"
        backend = folder / "backends" / "python"
        backend.mkdir(parents=True)
        for name in (_LIBRARY, _UTILITIES):
            (backend / name).symlink_to(installed.server / "backends" / "python" / name)
        (backend / _STUB).symlink_to(installed.stub)
        http, grpc = free_ports(2)
        grpc = grpc_port or grpc
        self.http, self.grpc = f"127.0.0.1:{http}", f"127.0.0.1:{grpc}"
        line = [
            str(installed.server / "bin" / "tritonserver"),
            f"--model-repository={self.repository}",
            f"--backend-directory={folder / 'backends'}",
            "--http-address=127.0.0.1",
            f"--http-port={http}",
            "--grpc-address=127.0.0.1",
            f"--grpc-port={grpc}",
            "--allow-metrics=false",
            *options,
        ]
        libraries = [str(installed.packages / "nvidia_pytriton.libs"), installed.libraries]
        own = {
            "LD_LIBRARY_PATH": ":".join(libraries),
            "PATH": f"{installed.environment / 'bin'}:{os.environ['PATH']}",
            "VIRTUAL_ENV": str(installed.environment),
        }
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                inside(line), stdout=log, stderr=log, env={**os.environ, **own}
            )

    def wait_ready(self) -> None:
        """Until it answers. Raises HawkVisionError where it ends or takes too long."""
        end = time.monotonic() + _READY_S
        while time.monotonic() < end and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"http://{self.http}/v2/health/ready", timeout=1):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        said = self._log.read_text("utf-8", "replace").strip().splitlines()
        self.stop()
        raise HawkVisionError(f"Triton does not start: {' '.join(said[-1:])}")

    def stop(self) -> None:
        """End it, at once where it does not within some seconds."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
