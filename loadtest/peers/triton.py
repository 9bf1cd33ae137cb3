"""Triton with two instances of a Python model, and the request that asks it."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from pathlib import Path

from loadtest.peers.tritonserver import Installed, Triton, write_model

INSTANCES = 2
_CONFIG = f"""\
max_batch_size: 32
input [{{ name: "image" data_type: TYPE_STRING dims: [ 1 ] }}]
output [{{ name: "label" data_type: TYPE_STRING dims: [ 1 ] }}]
instance_group [{{ count: {INSTANCES} kind: KIND_CPU }}]
dynamic_batching {{ }}
"""
_MODEL = "from loadtest.peers.triton_model import TritonPythonModel  # noqa: E402, F401\n"


def start(installed: Installed, task: str, folder: Path, paths: Sequence[str]) -> Triton:
    """A server with one model, named as the task; not ready yet. `paths` are for the model."""
    write_model(folder / "models", task, _CONFIG, _MODEL, paths)
    return Triton(installed, folder, ["--allow-grpc=false", "--http-thread-count=2"])


def path(task: str) -> str:
    """Where it is asked."""
    return f"/v2/models/{task}/infer"


def request(image: bytes) -> tuple[bytes, str]:
    """A body with one encoded image, as clients of Triton send binary data, and its header."""
    asked = {
        "name": "image",
        "shape": [1, 1],
        "datatype": "BYTES",
        "parameters": {"binary_data_size": len(image) + 4},
    }
    told = {"name": "label", "parameters": {"binary_data": True}}
    head = json.dumps({"inputs": [asked], "outputs": [told]}).encode()
    body = head + struct.pack("<I", len(image)) + image
    return body, f"Inference-Header-Content-Length: {len(head)}"
