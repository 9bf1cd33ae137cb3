"""What every server does for a request, and the bare loop without one."""

from __future__ import annotations

from typing import Any

import numpy as np

from hawkvision.images import decode, fit
from hawkvision.repository import Repository, shipped_repository


class Work:
    """The smallest rung of a shipped task, on one thread of ONNX Runtime."""

    def __init__(self, task: str) -> None:
        import onnxruntime as ort

        found = Repository(shipped_repository()).open(task)
        rung = found.rungs[0]
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._session = ort.InferenceSession(
            str(rung.model.path), options, providers=["CPUExecutionProvider"]
        )
        self._source = self._session.get_inputs()[0].name
        self._geometry = rung.geometry
        self._side = max(rung.geometry.width, rung.geometry.height)
        self._nhwc = rung.model.layout == "NHWC"
        self.labels = found.labels

    def pixels(self, image: bytes) -> Any:
        """Encoded bytes to the network's input, uint8 [1,…]. Raises the image errors."""
        pixels = fit(decode(image, min_side=self._side), self._geometry)[None]
        return pixels if self._nhwc else np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))

    def best(self, image: bytes) -> int:
        """The class of the largest output."""
        return int(self._session.run(None, {self._source: self.pixels(image)})[0].argmax())

    def answer(self, image: bytes) -> dict[str, Any]:
        """What a server replies: label and class_id."""
        best = self.best(image)
        return {"label": self.labels[best], "class_id": best}
