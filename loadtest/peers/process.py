"""A server as a process with all its children: start, what they use, stop."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from hawkvision.cli.processes import dies_with_parent

_STOP_S = 10.0
_LEFT_S = 2.0


class Family:
    """A process and whatever it starts."""

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)
        self._before: dict[int, float] = {}

    def members(self) -> list[psutil.Process]:
        """Those that live now."""
        try:
            return [self._root, *self._root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def mark(self) -> None:
        """Count CPU time from here."""
        self._before = self._times()

    def cpu_s(self) -> float:
        """Seconds of user and system time since the mark, of those that still live."""
        return sum(spent - self._before.get(pid, 0.0) for pid, spent in self._times().items())

    def _times(self) -> dict[int, float]:
        found = {}
        for one in self.members():
            with contextlib.suppress(psutil.Error):
                times = one.cpu_times()
                found[one.pid] = float(times.user + times.system)
        return found

    def memory_mb(self) -> float:
        """What they have together, shared pages once (PSS), MiB."""
        total = 0
        for one in self.members():
            with contextlib.suppress(psutil.Error):
                total += int(one.memory_full_info().pss)
        return total / 2**20


class ServerProcess:
    """A server in a session of its own; `log` keeps what it says."""

    def __init__(self, line: Sequence[str], log: Path, more: Mapping[str, str]) -> None:
        self._log = log
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                line,
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**os.environ, **more},
                start_new_session=True,
                preexec_fn=dies_with_parent(),
            )
        self.family = Family(self.process.pid)

    @property
    def running(self) -> bool:
        """Whether the first process still runs."""
        return self.process.poll() is None

    def last_words(self) -> str:
        """The last line that it said."""
        said = self._log.read_text("utf-8", "replace").strip().splitlines()
        return said[-1].strip()[:200] if said else "it said nothing"

    def stop(self) -> None:
        """SIGTERM, then SIGKILL to whom of them is left."""
        members = self.family.members()
        if self.running:
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(_STOP_S)
        _, left = psutil.wait_procs(members, timeout=_LEFT_S)
        for one in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        psutil.wait_procs(left, timeout=_LEFT_S)
        self.process.wait()
