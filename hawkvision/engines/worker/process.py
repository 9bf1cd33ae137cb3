"""A worker process as its engine sees it: started, asked one thing at a time, ended."""

from __future__ import annotations

import io
import os
import select
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hawkvision.engines.worker.frames import read_frame, write_frame
from hawkvision.errors import EngineError

Frame = tuple[dict[str, Any], bytes]


@dataclass(frozen=True, slots=True)
class WorkerCommand:
    """How a worker is started, and what is said when it cannot be.

    `name` is the engine's, before every message; `no_python` and `needs` are the hints where there
    is no such interpreter and where it ends by itself; `silent` is said of a worker that does not
    answer.
    """

    name: str
    arguments: Sequence[str]
    no_python: str
    needs: str
    silent: str = "the worker does not answer"
    environment: Mapping[str, str] | None = None


class WorkerProcess:
    """One worker. Not to be used from two threads at once; its engine holds a lock."""

    def __init__(self, command: WorkerCommand) -> None:
        self._command = command
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether it can be asked."""
        return self.process is not None and self.process.poll() is None

    def start(self, seconds: float, progress: Callable[[str], None] | None = None) -> Frame:
        """End the last one and start another; its first message that is no `progress`.

        Each message may take `seconds`. Raises EngineError.
        """
        self.stop()
        command = self._command
        python = command.arguments[0]
        if shutil.which(python) is None:
            raise EngineError(f"{command.name}: no {python}", hint=command.no_python)
        self.process = subprocess.Popen(
            list(command.arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env=None if command.environment is None else dict(command.environment),
        )
        try:
            while True:
                frame = self._read(seconds)
                if "progress" not in frame[0]:
                    return frame
                if progress is not None:
                    progress(str(frame[0]["progress"]))
        except EngineError:
            self.stop()
            raise

    def ask(self, head: dict[str, Any], body: bytes, seconds: float) -> Frame:
        """Send one message and wait for the answer. Raises EngineError."""
        assert self.process is not None and self.process.stdin is not None
        try:
            write_frame(self.process.stdin, head, body)
        except OSError as error:
            raise EngineError(f"{self._command.name}: the worker is gone: {error}") from error
        return self._read(seconds)

    def stop(self) -> None:
        """Let it end; kill it after two seconds."""
        worker, self.process = self.process, None
        if worker is None:
            return
        for stream in (worker.stdin, worker.stdout):
            if stream is not None:
                stream.close()
        try:
            worker.wait(2)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()

    def _read(self, seconds: float) -> Frame:
        """The next message. Raises EngineError for the worker's error, its end, or its silence."""
        command = self._command
        assert self.process is not None and self.process.stdout is not None
        try:
            frame = read_frame(_Timed(self.process.stdout.fileno(), seconds, command.silent))
        except (TimeoutError, ValueError) as error:
            self.process.kill()
            self.process.wait()  # so that the next call finds it gone
            raise EngineError(f"{command.name}: {error}") from error
        if frame is None:
            code = self.process.wait()
            raise EngineError(f"{command.name}: the worker ended ({code})", hint=command.needs)
        if "error" in frame[0]:
            raise EngineError(
                f"{command.name}: {frame[0]['error']}", hint=str(frame[0].get("hint", ""))
            )
        return frame


class _Timed(io.RawIOBase):
    """Reads from a pipe until a time."""

    def __init__(self, descriptor: int, seconds: float, silent: str) -> None:
        self._descriptor, self._until = descriptor, time.monotonic() + seconds
        self._silent = silent

    def read(self, size: int = -1) -> bytes:
        left = self._until - time.monotonic()
        if left <= 0 or not select.select([self._descriptor], [], [], left)[0]:
            raise TimeoutError(self._silent)
        return os.read(self._descriptor, size)
