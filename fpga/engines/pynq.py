"""The engine `pynq`: the bitstream beside a rung's file, `edge.bit` for `edge.onnx`, on its board.

The board is held by a worker process that runs under the board's own Python, because pynq pins old
versions of what the agent needs new. `HAWKVISION_PYNQ_PYTHON` names that Python.
"""

from __future__ import annotations

import io
import logging
import os
import select
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from fpga import board
from fpga.board.frames import read_frame, write_frame
from fpga.engines.serving import metadata_of, outputs_of, pictures_of
from fpga.network.files import load_network, network_beside
from fpga.network.network import Network
from hawkvision.engines.base import Batch, EngineMetadata, ModelSpec
from hawkvision.errors import EngineError
from hawkvision.tasks import Outputs

_log = logging.getLogger(__name__)
_PYTHON = "HAWKVISION_PYNQ_PYTHON"
_BOARD_PYTHON = Path("/usr/local/share/pynq-venv/bin/python3")
"""Where PYNQ's images keep theirs."""
START_S = 60.0
ANSWER_S = 10.0


def board_python() -> str:
    """The Python that has pynq: as told, PYNQ's own, or this one."""
    told = os.environ.get(_PYTHON)
    if told:
        return told
    return str(_BOARD_PYTHON) if _BOARD_PYTHON.exists() else sys.executable


class PynqEngine:
    """A network in a board's fabric. Restarts its worker once for each call that finds it gone."""

    def __init__(self, network: Network, bitfile: Path) -> None:
        self._network, self._bitfile = network, bitfile
        self._lock = threading.Lock()
        self._worker: subprocess.Popen[bytes] | None = None
        self._measured: dict[str, float] = {}
        self._start()

    @property
    def metadata(self) -> EngineMetadata:
        """See `hawkvision.engines.base.Engine`."""
        return metadata_of(self._network, "pynq")

    def measured(self) -> dict[str, float]:
        """Of the last batch: `latency_cycles`, `interval_cycles`, on some boards `watts`."""
        return self._measured

    def infer(self, batch: Batch) -> Outputs:
        """See `hawkvision.engines.base.Engine`; uint8 only, one message for a batch."""
        pictures = pictures_of(batch, self._network, "pynq")
        with self._lock:
            if self._worker is None or self._worker.poll() is not None:
                _log.warning("pynq: the worker is gone; starting another")
                self._start()
            head, body = self._ask({"pictures": len(pictures)}, pictures.tobytes(), ANSWER_S)
        self._measured = {name: float(value) for name, value in head.items() if value is not None}
        logits = np.frombuffer(body, np.int32).reshape(-1, self._network.classes)
        return outputs_of(logits, self._network)

    def close(self) -> None:
        """Let the worker end."""
        with self._lock:
            self._stop()

    def _start(self) -> None:
        self._stop()
        python = board_python()
        if shutil.which(python) is None:
            raise EngineError(f"pynq: no {python}", hint=f"Set {_PYTHON} to a Python with pynq.")
        folder = Path(board.__file__).parent
        command = [python, str(folder), str(self._bitfile), f"{self._network.digest:08x}"]
        self._worker = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        try:
            self._read(START_S)
        except EngineError:
            self._stop()
            raise

    def _stop(self) -> None:
        worker, self._worker = self._worker, None
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

    def _ask(
        self, head: dict[str, Any], body: bytes, seconds: float
    ) -> tuple[dict[str, Any], bytes]:
        assert self._worker is not None and self._worker.stdin is not None
        try:
            write_frame(self._worker.stdin, head, body)
        except OSError as error:
            raise EngineError(f"pynq: the worker is gone: {error}") from error
        return self._read(seconds)

    def _read(self, seconds: float) -> tuple[dict[str, Any], bytes]:
        """The worker's next message. Raises EngineError for its error, its end, or its silence."""
        assert self._worker is not None and self._worker.stdout is not None
        try:
            frame = read_frame(_Timed(self._worker.stdout.fileno(), seconds))
        except (TimeoutError, ValueError) as error:
            self._worker.kill()
            self._worker.wait()  # so that the next call finds it gone
            raise EngineError(f"pynq: {error}") from error
        if frame is None:
            code = self._worker.wait()
            raise EngineError(
                f"pynq: the worker ended ({code})",
                hint=f"Its log is above. {board_python()} needs pynq and, on a board, root.",
            )
        if "error" in frame[0]:
            raise EngineError(f"pynq: {frame[0]['error']}")
        return frame


class _Timed(io.RawIOBase):
    """Reads from a pipe until a time."""

    def __init__(self, descriptor: int, seconds: float) -> None:
        self._descriptor, self._until = descriptor, time.monotonic() + seconds

    def read(self, size: int = -1) -> bytes:
        left = self._until - time.monotonic()
        if left <= 0 or not select.select([self._descriptor], [], [], left)[0]:
            raise TimeoutError("the board does not answer")
        return os.read(self._descriptor, size)


def open_pynq(spec: ModelSpec, *, threads: int) -> PynqEngine:
    """Open the bitstream beside `spec.path`. Raises EngineError with the reason."""
    bitfile = spec.path.with_suffix(".bit")
    if not bitfile.exists():
        raise EngineError(
            f"{spec.path.parent} holds no {bitfile.name}",
            hint="`hawkvision fpga package` puts a bitstream beside a rung.",
        )
    return PynqEngine(load_network(network_beside(spec.path)), bitfile)
