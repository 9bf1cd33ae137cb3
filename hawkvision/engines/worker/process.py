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


class WorkerEnded(EngineError):
    """The process is gone, or was ended because it was `silent`; `code` as subprocess gives it."""

    def __init__(self, message: str, *, hint: str = "", code: int, silent: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.process_code = code
        self.silent = silent


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

        Each message may take `seconds`. Raises EngineError, or WorkerEnded.
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
        assert self.process.stdin is not None
        os.set_blocking(self.process.stdin.fileno(), False)
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
        """Send one message and wait for the answer, `seconds` for each.

        Raises EngineError for the worker's own error, WorkerEnded where there is no worker now.
        """
        assert self.process is not None and self.process.stdin is not None
        sink = _TimedSink(self.process.stdin.fileno(), seconds, self._command.silent)
        try:
            write_frame(sink, head, body)
        except TimeoutError as error:
            raise self._killed(error) from error
        except OSError as error:
            raise self._gone() from error
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
            raise self._killed(error) from error
        if frame is None:
            raise self._gone()
        if "error" in frame[0]:
            raise EngineError(
                f"{command.name}: {frame[0]['error']}", hint=str(frame[0].get("hint", ""))
            )
        return frame

    def _killed(self, why: Exception) -> WorkerEnded:
        """Kill it, so that the next call finds it gone."""
        assert self.process is not None
        self.process.kill()
        code = self.process.wait()
        return WorkerEnded(f"{self._command.name}: {why}", code=code, silent=True)

    def _gone(self) -> WorkerEnded:
        """It has closed its pipes: it ends, or is made to."""
        assert self.process is not None
        try:
            code = self.process.wait(2)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        command = self._command
        return WorkerEnded(
            f"{command.name}: the worker ended ({code})", hint=command.needs, code=code
        )


class _Timed(io.RawIOBase):
    """Reads from a pipe until a time."""

    def __init__(self, descriptor: int, seconds: float, silent: str) -> None:
        self._descriptor, self._until = descriptor, time.monotonic() + seconds
        self._silent = silent

    def read(self, size: int = -1) -> bytes:
        _wait(self._descriptor, select.POLLIN, self._until, self._silent)
        return os.read(self._descriptor, size)


class _TimedSink:
    """Writes to a pipe that does not block, until a time: a worker may have stopped reading."""

    def __init__(self, descriptor: int, seconds: float, silent: str) -> None:
        self._descriptor, self._until = descriptor, time.monotonic() + seconds
        self._silent = silent

    def write(self, data: memoryview, /) -> int:
        _wait(self._descriptor, select.POLLOUT, self._until, self._silent)
        return os.write(self._descriptor, data)

    def flush(self) -> None:
        """Nothing is kept back."""


def _wait(descriptor: int, event: int, until: float, silent: str) -> None:
    """Until the pipe is ready or broken; poll(2), because descriptors may be over 1023.

    Raises TimeoutError.
    """
    left_s = until - time.monotonic()
    poll = select.poll()
    poll.register(descriptor, event)
    if left_s <= 0 or not poll.poll(left_s * 1000):
        raise TimeoutError(silent)
