"""A real Redis server on a free port, with its data in a folder of the test."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.processes import free_port

PATIENCE_S = 30.0


class RedisServer:
    """Starts, stops, freezes and kills one server; appends every write to its file.

    `access` is what a plain client needs beside the port, e.g. a password.
    """

    def __init__(
        self, folder: Path, *options: str, access: Mapping[str, Any] | None = None
    ) -> None:
        program = shutil.which("redis-server")
        if program is None:
            pytest.skip("redis-server is not installed")
        self._program = program
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._options = options
        self._access = dict(access or {})
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start, on the same port and data as before."""
        port = ("--port", "0", "--tls-port") if self._access.get("ssl") else ("--port",)
        words = [self._program, *port, str(self.port), "--dir", str(self._folder)]
        words += ["--appendonly", "yes", "--appendfsync", "always", "--save", ""]
        words += ["--repl-diskless-sync-delay", "0", *self._options]
        self.process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            try:
                with self.client() as client:
                    client.ping()
                return
            except redis.RedisError:
                time.sleep(0.05)
        raise AssertionError("redis-server did not start")

    def kill(self) -> None:
        """Take the server away at once."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None

    def freeze(self) -> None:
        """Stop answering without closing connections."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Go on."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def client(self) -> redis.Redis:
        """A plain client."""
        return redis.Redis(host="127.0.0.1", port=self.port, **self._access)
