"""NVIDIA's own server on this machine, with the same network: what a gateway is compared with.

The wheel `nvidia-pytriton`, in a virtual environment of its own, holds the server and its Python
backend. The model decodes and infers with our code: calls of one image each in batches that Triton
puts together, or calls as agents make them, which have shape [N] and are answered one by one.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc

from hawkvision.errors import HawkVisionError
from hawkvision.oip.inference import INPUT
from hawkvision.oip.open_inference_pb2 import ModelReadyRequest
from hawkvision.oip.open_inference_pb2_grpc import GRPCInferenceServiceStub
from hawkvision.repository import Repository, shipped_repository

_READY_S = 60.0
_STOP_S = 10.0
_LIBRARY = "libtriton_python.so"
_STUB = "triton_python_backend_stub"

_CONFIG = """\
name: "{task}"
backend: "python"
max_batch_size: {batch}
input [{{ name: "{input}" data_type: TYPE_STRING dims: [ {images} ] }}]
output [{{ name: "probabilities" data_type: TYPE_FP32 dims: [ {rows} ] }}]
instance_group [{{ count: {threads} kind: KIND_CPU }}]
version_policy: {{ all {{ }} }}
{batching}
"""

_MODEL = """\
import sys
sys.path += {path!r}
from pathlib import Path
import numpy as np
import triton_python_backend_utils as pb
from hawkvision.errors import HawkVisionError
from hawkvision.repository import Repository
from hawkvision.rungs import LoadedRung

class TritonPythonModel:
    def initialize(self, args):
        self.task = Repository(Path({repository!r})).open({task!r})
        self.rung = LoadedRung.open(self.task.rungs[-1], self.task.kind, engine="onnx-cpu")

    def execute(self, requests):
        asked, pixels = [], []
        for one in requests:
            images = pb.get_input_tensor_by_name(one, {input!r}).as_numpy().reshape(-1)
            try:
                own = [self.rung.prepare(image) for image in images]
            except HawkVisionError as error:
                text = f"{{error.code}}: {{error.message}}"
                asked.append(pb.TritonError(text, pb.TritonError.INVALID_ARG))
            else:
                asked.append(len(own))
                pixels += own
        found = None
        if pixels:
            found = self.task.kind.encode(self.rung.predict(pixels))["probabilities"]
        replies, at = [], 0
        for one in asked:
            if not isinstance(one, int):
                replies.append(pb.InferenceResponse([], error=one))
                continue
            own = np.ascontiguousarray(found[at : at + one])
            replies.append(pb.InferenceResponse([pb.Tensor("probabilities", own)]))
            at += one
        return replies
"""


def why_absent(environment: Path | None) -> str | None:
    """Why there is no Triton in a virtual environment; None where there is one."""
    if environment is None:
        return "no --triton"
    if not (_server(environment) / "bin" / "tritonserver").exists():
        return f"no nvidia-pytriton in {environment}"
    if not (_server(environment) / "python_backend_stubs" / _python() / _STUB).exists():
        return f"nvidia-pytriton in {environment} has no stub for Python {_python()}"
    return None


def _python() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _packages(environment: Path) -> Path:
    return environment / "lib" / f"python{_python()}" / "site-packages"


def _server(environment: Path) -> Path:
    return _packages(environment) / "pytriton" / "tritonserver"


class Triton:
    """A running server for one task's last rung; `inside` makes another command line of its own.

    `batches`: calls are of shape [N,1] and go together, else [N] and one by one. `folder` is empty,
    or one that held such a server before. `port` 0 is any.
    """

    def __init__(
        self,
        environment: Path,
        task: str,
        threads: int,
        folder: Path,
        inside: Callable[[list[str]], list[str]] = list,
        *,
        batches: bool = True,
        repository: Path | None = None,
        port: int = 0,
    ) -> None:
        self.address = f"127.0.0.1:{port or _free_port()}"
        self._task = task
        self._log = folder / "triton.log"
        repository = repository or shipped_repository()
        _write_model(folder / "models" / task, task, threads, batches, repository)
        server = _server(environment)
        backend = folder / "backends" / "python"
        if not backend.exists():
            backend.mkdir(parents=True)
            for name in (_LIBRARY, f"{_STUB.removesuffix('_stub')}_utils.py"):
                (backend / name).symlink_to(server / "backends" / "python" / name)
            (backend / _STUB).symlink_to(server / "python_backend_stubs" / _python() / _STUB)
        libraries = [
            str(_packages(environment) / "nvidia_pytriton.libs"),
            str(sysconfig.get_config_var("LIBDIR")),
        ]
        host, _, listens = self.address.partition(":")
        line = [
            str(server / "bin" / "tritonserver"),
            f"--model-repository={folder / 'models'}",
            f"--backend-directory={folder / 'backends'}",
            f"--grpc-address={host}",
            f"--grpc-port={listens}",
            "--allow-http=false",
            "--allow-metrics=false",
        ]
        own = {
            "LD_LIBRARY_PATH": ":".join(libraries),
            "PATH": f"{environment / 'bin'}:{os.environ['PATH']}",
            "VIRTUAL_ENV": str(environment),
        }
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                inside(line),
                stdout=log,
                stderr=log,
                env={**os.environ, **own},
                start_new_session=True,
            )

    def wait_ready(self) -> str:
        """Its address. Raises HawkVisionError where it ends or takes too long."""
        end = time.monotonic() + _READY_S
        make: Callable[[Any], Any] = GRPCInferenceServiceStub
        with grpc.insecure_channel(self.address) as channel:
            stub = make(channel)
            while time.monotonic() < end and self._process.poll() is None:
                try:
                    if stub.ModelReady(ModelReadyRequest(name=self._task), timeout=1).ready:
                        return self.address
                except grpc.RpcError:
                    pass
                time.sleep(0.2)
        said = self._log.read_text("utf-8", "replace").strip().splitlines()
        self.stop()
        raise HawkVisionError(f"Triton does not start: {' '.join(said[-1:])}")

    def kill(self) -> None:
        """SIGKILL, to it and to the processes of its models."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        """End it, at once where it does not within some seconds."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()


def _write_model(folder: Path, task: str, threads: int, batches: bool, repository: Path) -> None:
    opened = Repository(repository).open(task)
    (folder / opened.version).mkdir(parents=True, exist_ok=True)
    classes = len(opened.labels)
    config = _CONFIG.format(
        task=task,
        input=INPUT,
        threads=threads,
        batch=32 if batches else 0,
        images=1 if batches else -1,
        rows=f"{classes}" if batches else f"-1, {classes}",
        batching="dynamic_batching { }" if batches else "",
    )
    (folder / "config.pbtxt").write_text(config, "utf-8")
    path = [str(Path(entry).resolve()) for entry in sys.path if entry]
    root = str(repository.resolve())
    code = _MODEL.format(path=path, task=task, input=INPUT, repository=root)
    (folder / opened.version / "model.py").write_text(code, "utf-8")


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
