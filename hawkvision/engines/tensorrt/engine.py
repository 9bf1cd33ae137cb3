"""The engine `tensorrt`: NVIDIA's TensorRT 10 and 11, in this process or under the system's Python.

`HAWKVISION_TENSORRT_PYTHON` names a Python that has TensorRT where ours cannot (JetPack 6 brings it
for Python 3.10 alone); a Jetson's own is found by itself.
"""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy.typing as npt

from hawkvision.engines.base import Batch, EngineMetadata, ModelSpec
from hawkvision.engines.feeding import (
    check_image_input,
    feed,
    image_shape,
    in_parts,
    rows,
    wanted_outputs,
)
from hawkvision.engines.tensorrt.builder import Recipe
from hawkvision.engines.tensorrt.cuda import Cuda, open_cuda
from hawkvision.engines.tensorrt.lane import Tensor
from hawkvision.engines.tensorrt.library import load_tensorrt, make_logger
from hawkvision.engines.tensorrt.opening import open_cache, open_session
from hawkvision.engines.tensorrt.remote import PYTHON, RemoteSession
from hawkvision.tasks.base import Outputs

_log = logging.getLogger(__name__)
_JETSON = Path("/etc/nv_tegra_release")
_SYSTEM_PYTHON = "/usr/bin/python3"


class Running(Protocol):
    """A session, here or in a worker process."""

    image: Tensor
    outputs: list[Tensor]
    most: int

    def run(self, images: npt.NDArray[Any]) -> Mapping[str, npt.NDArray[Any]]:
        """At most `most` images of the file's layout; all outputs, a row for each image."""
        ...

    def close(self) -> None:
        """Give everything back."""
        ...


class TensorRTEngine:
    """A model as TensorRT runs it. `infer` may be called from several threads at once."""

    def __init__(self, spec: ModelSpec, session: Running, metadata: EngineMetadata) -> None:
        self._spec, self._session = spec, session
        check_image_input(spec, [session.image.shape], len(session.outputs))
        self._outputs = wanted_outputs(spec, [one.name for one in session.outputs])
        self._metadata = replace(
            metadata, input_shape=image_shape(session.image.shape, spec), max_batch=session.most
        )

    @property
    def metadata(self) -> EngineMetadata:
        """See `hawkvision.engines.base.Engine`."""
        return self._metadata

    def infer(self, batch: Batch) -> Outputs:
        """See `hawkvision.engines.base.Engine`."""
        return in_parts(feed(batch, self._spec), self._session.most, self._run)

    def _run(self, x: Batch) -> Outputs:
        found = self._session.run(x)
        file = self._spec.path.name
        return {name: rows(found[name], len(x), name, file) for name in self._outputs}

    def close(self) -> None:
        """Free the GPU's memory."""
        self._session.close()


def other_python() -> str | None:
    """The Python whose TensorRT is used: as told, or a Jetson's where ours has none; None: ours."""
    told = os.environ.get(PYTHON)
    if told:
        return told
    ours = importlib.util.find_spec("tensorrt") is not None
    return _SYSTEM_PYTHON if _JETSON.exists() and not ours else None


def open_here(spec: ModelSpec, trt: Any, cuda: Cuda) -> TensorRTEngine:
    """Open `spec` in this process. Raises EngineError."""

    def report(text: str) -> None:
        _log.info("tensorrt: %s", text)

    session = open_session(
        trt, cuda, make_logger(trt), spec.path, Recipe(spec.precision), open_cache(), report
    )
    described = _metadata(spec, cuda.device().name, str(trt.__version__))
    return TensorRTEngine(spec, session, described)


def open_tensorrt(spec: ModelSpec, *, threads: int) -> TensorRTEngine:
    """The entry point `tensorrt` of `hawkvision.engines`. Raises EngineError with the reason."""
    python = other_python()
    if python is None:
        return open_here(spec, load_tensorrt(), open_cuda())
    remote = RemoteSession(python, spec.path, spec.precision)
    return TensorRTEngine(spec, remote, _metadata(spec, remote.device, remote.version))


def _metadata(spec: ModelSpec, device: str, version: str) -> EngineMetadata:
    return EngineMetadata(
        input_shape=(-1, -1, -1),
        dtype=spec.dtype,
        device="tensorrt",
        precision=spec.precision,
        platform="tensorrt_plan",
        version=version,
        reason=f"on {device}",
    )
