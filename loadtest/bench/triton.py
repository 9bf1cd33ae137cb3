"""Triton with the largest rung of a task: what a gateway is compared with.

The model decodes and infers with our code, in batches that Triton puts together.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hawkvision.errors import HawkVisionError
from hawkvision.oip.inference import INPUT
from hawkvision.repository import Repository, shipped_repository
from loadtest.peers.tritonserver import Triton, find, write_model

_CONFIG = """\
max_batch_size: 32
input [{{ name: "{input}" data_type: TYPE_STRING dims: [ 1 ] }}]
output [{{ name: "probabilities" data_type: TYPE_FP32 dims: [ {classes} ] }}]
instance_group [{{ count: {threads} kind: KIND_CPU }}]
dynamic_batching {{ }}
"""

_MODEL = """\
import numpy as np
import triton_python_backend_utils as pb
from hawkvision.repository import Repository, shipped_repository
from hawkvision.rungs import LoadedRung

class TritonPythonModel:
    def initialize(self, args):
        self.task = Repository(shipped_repository()).open({task!r})
        self.rung = LoadedRung.open(self.task.rungs[-1], self.task.kind, engine="onnx-cpu")

    def execute(self, requests):
        images = [pb.get_input_tensor_by_name(one, {input!r}).as_numpy() for one in requests]
        pixels = [self.rung.prepare(image[0]) for rows in images for image in rows]
        found = self.task.kind.encode(self.rung.predict(pixels))["probabilities"]
        replies, at = [], 0
        for rows in images:
            own = np.ascontiguousarray(found[at : at + len(rows)])
            replies.append(pb.InferenceResponse([pb.Tensor("probabilities", own)]))
            at += len(rows)
        return replies
"""


def why_absent(environment: Path | None) -> str | None:
    """Why there is no Triton in a virtual environment; None where there is one."""
    if environment is None:
        return "no --triton"
    try:
        find(environment)
    except HawkVisionError as error:
        return str(error)
    return None


def start_triton(
    environment: Path,
    task: str,
    threads: int,
    folder: Path,
    inside: Callable[[list[str]], list[str]],
) -> Triton:
    """A running server for one task, over gRPC; `inside` makes another command line of its own.

    Raises HawkVisionError where it does not start.
    """
    classes = len(Repository(shipped_repository()).open(task).labels)
    config = _CONFIG.format(input=INPUT, classes=classes, threads=threads)
    write_model(folder / "models", task, config, _MODEL.format(task=task, input=INPUT))
    server = Triton(find(environment), folder, inside=inside)
    server.wait_ready()
    return server
