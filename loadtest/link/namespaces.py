"""Two network namespaces with an emulated link between them. Needs root and `ip` (iproute2)."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hawkvision.errors import HawkVisionError
from loadtest.link.model import LinkSettings

NEAR_ADDRESS, FAR_ADDRESS = "10.77.0.1", "10.77.0.2"
_DEVICE = "hvlink"


def why_not() -> str | None:
    """Why namespaces cannot be used here, or None where they can."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return "root is needed for network namespaces"
    if shutil.which("ip") is None:
        return "the program `ip` (iproute2) is not installed"
    if not Path("/dev/net/tun").exists():
        return "/dev/net/tun does not exist"
    probe = subprocess.run(["ip", "netns", "add", _name("probe")], capture_output=True, check=False)
    if probe.returncode != 0:
        return f"no namespace can be made: {probe.stderr.decode().strip()}"
    subprocess.run(["ip", "netns", "del", _name("probe")], check=False)
    return None


def _name(side: str) -> str:
    return f"hv-{side}-{os.getpid()}"


@dataclass(frozen=True)
class LinkedPair:
    """`near` and `far` name the namespaces; commands run in one by `in_near`, `in_far`."""

    near: str
    far: str

    def in_near(self, command: Sequence[str]) -> list[str]:
        """The command line that runs in the near namespace (the camera's side)."""
        return ["ip", "netns", "exec", self.near, *command]

    def in_far(self, command: Sequence[str]) -> list[str]:
        """The command line that runs in the far namespace (the edge agent's side)."""
        return ["ip", "netns", "exec", self.far, *command]


@contextlib.contextmanager
def linked_pair(settings: LinkSettings, *, seed: int = 1) -> Iterator[LinkedPair]:
    """Make the namespaces and the link, and take them away at the end.

    Raises HawkVisionError.
    """
    reason = why_not()
    if reason is not None:
        raise HawkVisionError(f"no emulated link: {reason}")
    pair = LinkedPair(_name("near"), _name("far"))
    emulator: subprocess.Popen[str] | None = None
    try:
        for name in (pair.near, pair.far):
            _ip("netns", "add", name)
        root = str(Path(__file__).parents[2])
        emulator = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "loadtest.link.emulator",
                pair.near,
                pair.far,
                _DEVICE,
                json.dumps(dataclasses.asdict(settings)),
                str(seed),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=root,
        )
        assert emulator.stdout is not None
        if emulator.stdout.readline().strip() != "ready":
            raise HawkVisionError("the link emulator did not start")
        for name, own, other in (
            (pair.near, NEAR_ADDRESS, FAR_ADDRESS),
            (pair.far, FAR_ADDRESS, NEAR_ADDRESS),
        ):
            _ip("-n", name, "link", "set", "lo", "up")
            _ip("-n", name, "addr", "add", f"{own}/32", "peer", other, "dev", _DEVICE)
            _ip("-n", name, "link", "set", _DEVICE, "up", "txqueuelen", "2000")
        yield pair
    finally:
        if emulator is not None:
            assert emulator.stdin is not None and emulator.stdout is not None
            emulator.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                emulator.wait(3)
            emulator.kill()
            emulator.wait()
            emulator.stdout.close()
        for name in (pair.near, pair.far):
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


def _ip(*arguments: str) -> None:
    _run("ip", *arguments)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise HawkVisionError(f"{' '.join(command)}: {done.stderr.strip()}")
