"""A session in a worker process: where TensorRT is for another Python than ours (JetPack 6)."""

from __future__ import annotations

import json
import logging
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hawkvision.engines import tensorrt
from hawkvision.engines.tensorrt.lane import Tensor
from hawkvision.engines.worker.process import WorkerCommand, WorkerProcess

_log = logging.getLogger(__name__)
PYTHON = "HAWKVISION_TENSORRT_PYTHON"
BUILD_S = 1200.0
"""So long may be between two words of a build; an Orin Nano takes minutes for a step."""
ANSWER_S = 30.0


class RemoteSession:
    """One worker, one batch at a time. Restarts it once for each call that finds it gone."""

    def __init__(self, python: str, model: Path, flavour: str) -> None:
        """Start the worker; it builds the engine if need be. Raises EngineError."""
        folder = Path(tensorrt.__file__).parent
        wanted = json.dumps({"model": str(model.resolve()), "flavour": flavour})
        drop = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
        self._lock = threading.Lock()
        self._worker = WorkerProcess(
            WorkerCommand(
                "tensorrt",
                (python, str(folder), wanted),
                no_python=f"Set {PYTHON} to a Python that has TensorRT.",
                needs=f"Its log is above. {python} needs numpy, tensorrt and cuda-bindings.",
                environment={key: value for key, value in os.environ.items() if key not in drop},
            )
        )
        head = self._start()
        self.image = _tensor(head["image"])
        self.outputs = [_tensor(one) for one in head["outputs"]]
        self.most = int(head["most"])
        self.batch = self.image.shape[0] if self.image.shape[0] > 0 else None
        self.device, self.version = str(head["device"]), str(head["version"])

    def _start(self) -> dict[str, Any]:
        return self._worker.start(BUILD_S, lambda text: _log.info("tensorrt: %s", text))[0]

    def run(self, images: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
        """As `Session.run`."""
        head = {"shape": list(images.shape), "dtype": images.dtype.name}
        body = np.ascontiguousarray(images).tobytes()
        with self._lock:
            if not self._worker.running:
                _log.warning("tensorrt: the worker is gone; starting another")
                self._start()
            head, body = self._worker.ask(head, body, ANSWER_S)
        found, start = {}, 0
        for name, shape in head["outputs"]:
            size = int(np.prod(shape)) * 4
            found[name] = np.frombuffer(body[start : start + size], np.float32).reshape(shape)
            start += size
        return found

    def close(self) -> None:
        """Let the worker end."""
        with self._lock:
            self._worker.stop()


def _tensor(found: dict[str, Any]) -> Tensor:
    return Tensor(found["name"], found["dtype"], tuple(found["shape"]))
