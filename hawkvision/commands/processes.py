"""Edge agent and gateway as child processes: start, wait until ready, stop."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from queue import Empty, SimpleQueue

from hawkvision.errors import HawkVisionError

READY_S = 60.0
STOP_S = 4.5
_READY = re.compile(r"ready on (\S+)")


class Child:
    """One `hawkvision` process; its output goes on to ours."""

    def __init__(self, name: str, options: Sequence[str], *, echo: bool = True) -> None:
        self.name = name
        self._echo = echo
        self._lines: SimpleQueue[str | None] = SimpleQueue()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "hawkvision.cli", name, *options],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                if self._echo:
                    print(line, end="", flush=True)
                self._lines.put(line)
        self._lines.put(None)

    def wait_ready(self) -> str:
        """The address in its ready line. Raises HawkVisionError if it ends or takes too long."""
        while True:
            try:
                line = self._lines.get(timeout=READY_S)
            except Empty:
                raise HawkVisionError(f"{self.name} did not get ready in {READY_S:g} s") from None
            if line is None:
                status = self.process.wait()
                raise HawkVisionError(
                    f"{self.name} ended at start with status {status}",
                    hint="Its own message stands above.",
                )
            if found := _READY.search(line):
                return found.group(1)

    @property
    def running(self) -> bool:
        """Whether the process still runs."""
        return self.process.poll() is None

    def terminate(self) -> None:
        """Ask it to drain and end."""
        if self.running:
            self.process.send_signal(signal.SIGTERM)

    def stop(self) -> None:
        """Wait for its end after `terminate`; kill it when that takes too long."""
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def stop_all(children: Sequence[Child]) -> None:
    """Drain all at once and wait for their ends."""
    for child in children:
        child.terminate()
    for child in children:
        child.stop()
