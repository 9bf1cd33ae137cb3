"""A Triton that offers one task as agents ask for it: its last rung, calls of shape [N]."""

from __future__ import annotations

from pathlib import Path

import psutil

from hawkvision.oip.inference import INPUT
from hawkvision.repository import Repository
from loadtest.peers.tritonserver import Triton, find, write_model

_CONFIG = """\
max_batch_size: 0
input [{{ name: "{input}" data_type: TYPE_STRING dims: [ -1 ] }}]
output [{{ name: "probabilities" data_type: TYPE_FP32 dims: [ -1, {classes} ] }}]
instance_group [{{ count: 1 kind: KIND_CPU }}]
version_policy: {{ all {{ }} }}
"""

_MODEL = """\
from pathlib import Path

import triton_python_backend_utils as pb
from hawkvision.errors import HawkVisionError
from hawkvision.repository import Repository
from hawkvision.rungs import LoadedRung

class TritonPythonModel:
    def initialize(self, args):
        self.task = Repository(Path({repository!r})).open({task!r})
        self.rung = LoadedRung.open(self.task.rungs[-1], self.task.kind, engine="onnx-cpu")

    def execute(self, requests):
        return [self.answer(one) for one in requests]

    def answer(self, request):
        images = pb.get_input_tensor_by_name(request, {input!r}).as_numpy()
        try:
            predictions = self.rung.predict([self.rung.prepare(image) for image in images])
        except HawkVisionError as error:
            text = f"{{error.code}}: {{error.message}}"
            return pb.InferenceResponse([], error=pb.TritonError(text, pb.TritonError.INVALID_ARG))
        found = self.task.kind.encode(predictions)["probabilities"]
        return pb.InferenceResponse([pb.Tensor("probabilities", found)])
"""


def start_triton(
    environment: Path, repository: Path, name: str, folder: Path, port: int = 0
) -> Triton:
    """One that answers gRPC; `folder` is its own, and empty. Raises HawkVisionError."""
    task = Repository(repository).open(name)
    config = _CONFIG.format(input=INPUT, classes=len(task.labels))
    code = _MODEL.format(input=INPUT, repository=str(repository.resolve()), task=name)
    write_model(folder / "models", name, config, code, version=task.version)
    server = Triton(find(environment), folder, grpc_port=port)
    server.wait_ready()
    return server


def kill(server: Triton) -> None:
    """SIGKILL, to it and to the processes of its models."""
    for one in psutil.Process(server.process.pid).children(recursive=True):
        one.kill()
    server.process.kill()
    server.process.wait()


def port_of(server: Triton) -> int:
    """Where it answers gRPC."""
    return int(server.grpc.rpartition(":")[2])
