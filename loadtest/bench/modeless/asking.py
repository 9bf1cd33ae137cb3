"""The client's process, asked one plan after another."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from types import TracebackType
from typing import Any

from hawkvision.errors import HawkVisionError
from loadtest.bench.modeless.systems import Ground

_LAST = 300
"""So many characters of what it said last stand in an error."""


class Asking:
    """`python -m loadtest.bench.modeless.client` on cores of its own, until it is closed."""

    def __init__(self, ground: Ground) -> None:
        line = [sys.executable, "-m", "loadtest.bench.modeless.client"]
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by __exit__
        self._process = subprocess.Popen(
            ground.inside(ground.other_cores, line),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
        )

    def __enter__(self) -> Asking:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()
        self._said.close()

    def ask(self, plan: dict[str, Any]) -> dict[str, list[Any]]:
        """The columns of what came back. Raises HawkVisionError with what it said, if it ended."""
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(plan) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except OSError:
            line = ""
        if not line:
            self._process.wait()
            self._said.seek(0)
            raise HawkVisionError(f"the client failed: {self._said.read().strip()[-_LAST:]}")
        columns: dict[str, list[Any]] = json.loads(line)
        return columns
