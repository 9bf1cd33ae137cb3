"""What every engine offers, and what it is told about the model it runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from hawkvision.tasks.base import Outputs

Batch = npt.NDArray[np.uint8] | npt.NDArray[np.float32]
Dtype = Literal["uint8", "float16", "float32", "float64"]
DTYPES: tuple[Dtype, ...] = ("uint8", "float16", "float32", "float64")


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """How to feed a model file.

    `layout` and `dtype` are the file's own; `mean` and `std` (in 0…255 units, per channel) are
    applied for inputs of floats. `outputs` names the file's outputs that are wanted; empty takes
    the first one.
    """

    path: Path
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    dtype: Dtype = "float32"
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    precision: str = "fp32"
    channels: Literal["RGB", "BGR"] = "RGB"
    outputs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EngineMetadata:
    """What an engine runs: per-image input shape (C,H,W), by what, where and how precisely.

    `platform` names the runtime and the format as the Open Inference Protocol does, e.g.
    `onnxruntime_onnx`; `version` is the runtime's; `max_batch` is the largest batch that is worth
    one call (0: any). `reason` says in a few words why this device and no other, for people.
    """

    input_shape: tuple[int, int, int]
    dtype: str
    device: str
    precision: str
    platform: str = "unknown"
    version: str = ""
    max_batch: int = 0
    reason: str = ""


class Engine(Protocol):
    """A loaded network. `infer` may be called from several threads at once."""

    @property
    def metadata(self) -> EngineMetadata:
        """Shapes, device and precision."""
        ...

    def infer(self, batch: Batch) -> Outputs:
        """Run uint8 pixels or float32 [N,C,H,W] to outputs float32 [N,…] by name.

        uint8 is RGB 0…255 in any memory order (a transposed NHWC view costs nothing);
        float32 is already normalised. An engine converts to the file's own type where that is
        another float. Raises EngineError.
        """
        ...

    def close(self) -> None:
        """Free the network's memory; later calls of `infer` fail."""
        ...


@runtime_checkable
class Measuring(Protocol):
    """An engine whose hardware counts for itself."""

    def measured(self) -> dict[str, float]:
        """Quantities of the last batch by name, as `latency_cycles` or `watts`; never waits."""
        ...
