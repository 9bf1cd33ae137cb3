"""Which peers there are, and which of them a Python has."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hawkvision.errors import HawkVisionError

ROOT = Path(__file__).resolve().parent.parent.parent
"""Of the checkout, where peers find `loadtest`."""

HINT = "scripts/setup peers installs it"

_ASK = """\
import importlib.metadata as metadata, json, sys
found = {}
for name in sys.argv[1:]:
    try:
        found[name] = metadata.version(name)
    except metadata.PackageNotFoundError:
        pass
print(json.dumps({"versions": found, "paths": [path for path in sys.path if path]}))
"""


@dataclass(frozen=True, slots=True)
class Peer:
    """A server that `python -m MODULE TASK PORT OPTION…` starts; it is asked at `path`."""

    title: str
    distribution: str
    module: str
    path: str
    options: tuple[str, ...] = ()


PEERS = (
    Peer("mosec", "mosec", "loadtest.peers.mosec", "/inference"),
    Peer("mosec, batches", "mosec", "loadtest.peers.mosec", "/inference", ("8",)),
    Peer("LitServe", "litserve", "loadtest.peers.litserve", "/predict"),
    Peer("Ray Serve", "ray", "loadtest.peers.ray_serve", "/"),
)
"""Those that are Python programs; Triton is none."""

TRITON = "Triton"


@dataclass(frozen=True, slots=True)
class Environment:
    """A Python with peers: versions by distribution, and where it looks for modules."""

    python: Path
    versions: Mapping[str, str]
    paths: tuple[str, ...]

    @property
    def triton(self) -> Path:
        """The virtual environment of Triton: the one inside, where there is one."""
        own = self.python.parent.parent
        return own / "triton" if (own / "triton").is_dir() else own


def look(python: Path) -> Environment:
    """What is installed there. Raises HawkVisionError where it is no Python."""
    names = sorted({peer.distribution for peer in PEERS})
    line = [str(python.absolute()), "-c", _ASK, *names]
    try:
        said = subprocess.run(line, capture_output=True, text=True, check=True).stdout
        found = json.loads(said)
    except (OSError, subprocess.CalledProcessError, ValueError) as error:
        raise HawkVisionError(f"{python} is no Python", hint="See --peers-python.") from error
    return Environment(python.absolute(), found["versions"], (str(ROOT), *found["paths"]))


def default_python() -> Path:
    """Where `scripts/setup peers` puts them."""
    return ROOT / ".venv-peers" / "bin" / "python"
