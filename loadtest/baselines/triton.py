"""Switching between variants that a real Triton loads and unloads: its explicit model control.

Triton computes; choice, memory budget, queue, decoding and the reading of outputs are those of
`Switching`. The wheel has the Python backend alone, so a variant is a process that runs ONNX
Runtime: it takes longer to load and more memory than its network.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import urllib3

from hawkvision.engines import EngineMetadata
from hawkvision.engines.base import Batch
from hawkvision.errors import EngineError
from hawkvision.rungs import LoadedRung
from hawkvision.tasks.base import Outputs
from loadtest.baselines.ladder import Ladder, Variant
from loadtest.baselines.local import Switching
from loadtest.peers.tritonserver import Triton, find, write_model

_CONFIG = """\
input [{{ name: "pixels" data_type: TYPE_UINT8 dims: [ 1, {side}, {side}, 3 ] }}]
output [{{ name: "{output}" data_type: TYPE_FP32 dims: [ 1, -1 ] }}]
instance_group [{{ count: {threads} kind: KIND_CPU }}]
"""

_MODEL = """\
import onnxruntime as ort
import triton_python_backend_utils as pb

class TritonPythonModel:
    def initialize(self, args):
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        cpu = ["CPUExecutionProvider"]
        self.session = ort.InferenceSession({path!r}, options, providers=cpu)
        self.source = self.session.get_inputs()[0].name

    def execute(self, requests):
        return [self.answer(one) for one in requests]

    def answer(self, request):
        pixels = pb.get_input_tensor_by_name(request, "pixels").as_numpy()
        [found, *_] = self.session.run(None, {{self.source: pixels}})
        return pb.InferenceResponse([pb.Tensor({output!r}, found.astype("float32"))])
"""
_OUTPUT = "logits"
_LOAD_S = 60.0
_UNLOAD_S = 5.0
_POLL_S = 0.01


class _Control:
    """Triton's HTTP API, as far as it is needed."""

    def __init__(self, address: str, threads: int) -> None:
        host, port = address.rsplit(":", 1)
        self._pool = urllib3.HTTPConnectionPool(host, int(port), maxsize=threads, retries=False)

    def ask(
        self, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> urllib3.BaseHTTPResponse:
        """POST. Raises EngineError with what Triton says."""
        try:
            reply = self._pool.request("POST", path, body, headers=headers, timeout=_LOAD_S)
        except urllib3.exceptions.HTTPError as error:
            raise EngineError(f"Triton does not answer: {error}") from error
        if reply.status != 200:
            raise EngineError(f"Triton: {reply.data[:300].decode('utf-8', 'replace')}")
        return reply

    def load(self, name: str) -> None:
        """Returns when the model is ready. Raises EngineError."""
        self.ask(f"/v2/repository/models/{name}/load")

    def unload(self, name: str) -> None:
        """Returns when the model is gone, or after some seconds. Raises EngineError."""
        self.ask(f"/v2/repository/models/{name}/unload")
        end = time.monotonic() + _UNLOAD_S
        while time.monotonic() < end:
            index = json.loads(self.ask("/v2/repository/index").data)
            states = {one["name"]: one.get("state", "UNAVAILABLE") for one in index}
            reasons = {one["name"]: one.get("reason", "") for one in index}
            if states.get(name) == "UNAVAILABLE" and reasons.get(name) == "unloaded":
                return
            time.sleep(_POLL_S)


class TritonEngine:
    """See Engine: one variant in a Triton."""

    def __init__(self, control: _Control, variant: Variant) -> None:
        self._control = control
        self._variant = variant
        control.load(variant.name)

    @property
    def metadata(self) -> EngineMetadata:
        """See Engine."""
        shape = (3, self._variant.side, self._variant.side)
        return EngineMetadata(shape, "uint8", "cpu", self._variant.precision, "triton_python")

    def infer(self, batch: Batch) -> Outputs:
        """See Engine; one image at a time."""
        rows = [self._one(image) for image in batch.transpose(0, 2, 3, 1)]
        return {_OUTPUT: np.concatenate(rows)}

    def _one(self, image: Any) -> Any:
        side = self._variant.side
        pixels = {
            "name": "pixels",
            "shape": [1, side, side, 3],
            "datatype": "UINT8",
            "parameters": {"binary_data_size": image.size},
        }
        told = {"name": _OUTPUT, "parameters": {"binary_data": True}}
        head = json.dumps({"inputs": [pixels], "outputs": [told]}).encode()
        reply = self._control.ask(
            f"/v2/models/{self._variant.name}/infer",
            head + np.ascontiguousarray(image).tobytes(),
            {"Inference-Header-Content-Length": str(len(head))},
        )
        start = int(reply.headers["Inference-Header-Content-Length"])
        return np.frombuffer(reply.data[start:], np.float32)[None]

    def close(self) -> None:
        """Unload it."""
        self._control.unload(self._variant.name)


class TritonSwitching(Switching):
    """As Switching, with a Triton of its own in `folder`, from the environment `environment`."""

    def __init__(
        self, ladder: Ladder, budget_mb: float, threads: int, environment: Path, folder: Path
    ) -> None:
        for variant in ladder.variants:
            config = _CONFIG.format(side=variant.side, output=_OUTPUT, threads=threads)
            code = _MODEL.format(path=str(variant.path.absolute()), output=_OUTPUT)
            write_model(folder / "models", variant.name, config, code)
        options = ["--model-control-mode=explicit", "--allow-grpc=false", "--http-thread-count=2"]
        self._triton = Triton(find(environment), folder, options)
        try:
            self._triton.wait_ready()
            self._control = _Control(self._triton.http, threads)
            variants = self._profiled(ladder)
            super().__init__(replace(ladder, variants=tuple(variants)), budget_mb, threads)
        except BaseException:
            self._triton.stop()
            raise

    def _profiled(self, ladder: Ladder) -> Sequence[Variant]:
        """With the time that Triton takes to load: what the smallest takes, and the difference."""
        smallest = min(ladder.variants, key=lambda one: one.load_milliseconds)
        self.open(ladder, smallest).close()
        start = time.perf_counter()
        found = self.open(ladder, smallest)
        more = (time.perf_counter() - start) * 1e3 - smallest.load_milliseconds
        found.close()
        return [
            replace(one, load_milliseconds=one.load_milliseconds + max(0.0, more))
            for one in ladder.variants
        ]

    def open(self, ladder: Ladder, variant: Variant) -> LoadedRung:
        """See Switching: by Triton."""
        return variant.around(ladder.kind, TritonEngine(self._control, variant))

    async def close(self) -> None:
        """See Answerer."""
        await super().close()
        self._triton.stop()
