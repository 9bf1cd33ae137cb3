"""Edge agent and gateway as child processes: start, wait until ready, stop."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue

from hawkvision.errors import HawkVisionError

READY_S = 120.0
"""Only a hang takes so long; the first start of a simulated board may take a minute."""

STOP_S = 4.5
_EDGE_FIRST_S = 2.0
_POLL_S = 0.1
_READY = re.compile(r"ready on (\S+)")
_PR_SET_PDEATHSIG = 1


class StartInterrupted(Exception):
    """We were told to stop before the child was ready."""


def dies_with_parent() -> Callable[[], None] | None:
    """On Linux, what a child runs first: be asked to stop when this process dies (prctl(2))."""
    if not sys.platform.startswith("linux"):
        return None
    parent, prctl = os.getpid(), ctypes.CDLL(None).prctl

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    return ask


class Child:
    """One `hawkvision` process; its output goes on to ours, or is kept in `said`.

    It has a session of its own, so that Ctrl-C reaches it through us, in the right order. `inside`
    makes another command line of it, to run it elsewhere (in a network namespace, say).
    """

    def __init__(
        self,
        name: str,
        options: Sequence[str],
        *,
        echo: bool = True,
        keep: bool = False,
        inside: Callable[[list[str]], list[str]] = list,
    ) -> None:
        self.name = name
        self.said: list[str] = []
        self._echo = echo
        self._keep = keep
        self._ready = False
        self._lines: SimpleQueue[str | None] = SimpleQueue()
        self.process = subprocess.Popen(
            inside([sys.executable, "-m", "hawkvision.cli", name, *options]),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if keep else None,
            text=True,
            start_new_session=True,
            preexec_fn=dies_with_parent(),
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                if self._echo:
                    print(line, end="", flush=True)
                if self._keep:
                    self.said.append(line)
                if not self._ready:
                    self._lines.put(line)
        self._lines.put(None)

    def wait_ready(self, stop: threading.Event | None = None, *, ready_s: float = READY_S) -> str:
        """The address in its ready line.

        Raises HawkVisionError if it ends or takes too long, StartInterrupted once `stop` is set.
        """
        end = time.monotonic() + ready_s
        while True:
            if stop is not None and stop.is_set():
                raise StartInterrupted
            try:
                line = self._lines.get(timeout=_POLL_S)
            except Empty:
                if time.monotonic() < end:
                    continue
                raise HawkVisionError(f"{self.name} did not get ready in {ready_s:g} s") from None
            if line is None:
                status = self.process.wait()
                raise HawkVisionError(
                    f"{self.name} ended at start with status {status}",
                    hint="Its own message stands above.",
                )
            if found := _READY.search(line):
                self._ready = True
                return found.group(1)

    @property
    def running(self) -> bool:
        """Whether the process still runs."""
        return self.process.poll() is None

    def terminate(self) -> None:
        """Ask it to drain and end."""
        if self.running:
            self.process.send_signal(signal.SIGTERM)

    def ended_by(self, end: float) -> bool:
        """Wait until the monotonic time `end`; whether it has ended."""
        try:
            self.process.wait(max(0.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait()


def stop_all(children: Sequence[Child]) -> None:
    """Drain the children, the last started first, so that what an edge escalates is answered.

    All have ended after STOP_S; one that drains longer is killed.
    """
    end = time.monotonic() + STOP_S
    for child in reversed(children):
        child.terminate()
        child.ended_by(min(end, time.monotonic() + _EDGE_FIRST_S))
    for child in children:
        if not child.ended_by(end):
            child.kill()
