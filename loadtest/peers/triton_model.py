"""The model of `triton.py`, which Triton's Python backend runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import triton_python_backend_utils as pb

from loadtest.peers.work import Work


class TritonPythonModel:
    """Encoded images in, labels out; several requests come at once and leave at once."""

    def initialize(self, args: dict[str, str]) -> None:
        """Once in each instance."""
        self._work = Work(args["model_name"])
        self._labels = [label.encode() for label in self._work.labels]

    def execute(self, requests: list[Any]) -> list[Any]:
        """Each request has one image, [1,1] BYTES."""
        return [self._reply(one) for one in requests]

    def _reply(self, request: Any) -> Any:
        image = pb.get_input_tensor_by_name(request, "image").as_numpy()
        best = self._work.best(image.flat[0])
        label = np.array([[self._labels[best]]], np.object_)
        return pb.InferenceResponse([pb.Tensor("label", label)])
