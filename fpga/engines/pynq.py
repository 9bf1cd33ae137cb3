"""The engine `pynq`: the bitstream beside a rung's file, `edge.bit` for `edge.onnx`, on its board.

The board is held by a worker process that runs under the board's own Python, because pynq pins old
versions of what the agent needs new. `HAWKVISION_PYNQ_PYTHON` names that Python.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from pathlib import Path

import numpy as np

from fpga import board
from fpga.engines.serving import metadata_of, outputs_of, pictures_of
from fpga.network.files import load_network, network_beside
from fpga.network.network import Network
from hawkvision.engines.base import Batch, EngineMetadata, ModelSpec
from hawkvision.engines.worker.process import WorkerCommand, WorkerProcess
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
        self._network = network
        self._lock = threading.Lock()
        python = board_python()
        folder = Path(board.__file__).parent
        self._worker = WorkerProcess(
            WorkerCommand(
                "pynq",
                (python, str(folder), str(bitfile), f"{network.digest:08x}"),
                no_python=f"Set {_PYTHON} to a Python with pynq.",
                needs=f"Its log is above. {python} needs pynq and, on a board, root.",
                silent="the board does not answer",
            )
        )
        self._measured: dict[str, float] = {}
        self._worker.start(START_S)

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
            if not self._worker.running:
                _log.warning("pynq: the worker is gone; starting another")
                self._worker.start(START_S)
            head, body = self._worker.ask({"pictures": len(pictures)}, pictures.tobytes(), ANSWER_S)
        self._measured = {name: float(value) for name, value in head.items() if value is not None}
        logits = np.frombuffer(body, np.int32).reshape(-1, self._network.classes)
        return outputs_of(logits, self._network)

    def close(self) -> None:
        """Let the worker end."""
        with self._lock:
            self._worker.stop()


def open_pynq(spec: ModelSpec, *, threads: int) -> PynqEngine:
    """Open the bitstream beside `spec.path`. Raises EngineError with the reason."""
    bitfile = spec.path.with_suffix(".bit")
    if not bitfile.exists():
        raise EngineError(
            f"{spec.path.parent} holds no {bitfile.name}",
            hint="`hawkvision fpga package` puts a bitstream beside a rung.",
        )
    return PynqEngine(load_network(network_beside(spec.path)), bitfile)
