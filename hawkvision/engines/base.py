"""What every engine offers, and what it is told about the model it runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

Batch = npt.NDArray[np.uint8] | npt.NDArray[np.float32]
Logits = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """How to feed a model file.

    `layout` and `dtype` are the file's own; `mean` and `std` (in 0…255 units, per channel) are
    applied for float32 inputs. `output` says whether the file ends in logits or probabilities.
    `select` lists the outputs to keep, in the order of the task's labels; empty keeps all. A file
    with one output (the logit or probability of class 1) has two classes.
    """

    path: Path
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    dtype: Literal["uint8", "float32"] = "float32"
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    output: Literal["logits", "probabilities"] = "logits"
    precision: str = "fp32"
    channels: Literal["RGB", "BGR"] = "RGB"
    select: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class EngineMetadata:
    """What an engine runs: per-image input shape (C,H,W), classes, where and how precisely."""

    input_shape: tuple[int, int, int]
    dtype: str
    classes: int
    device: str
    precision: str


class Engine(Protocol):
    """A loaded network. `infer` may be called from several threads at once."""

    @property
    def metadata(self) -> EngineMetadata:
        """Shapes, device and precision."""
        ...

    def infer(self, batch: Batch) -> Logits:
        """Run uint8 pixels or float32 [N,C,H,W] to logits float32 [N,K].

        uint8 is RGB 0…255 in any memory order (a transposed NHWC view costs nothing);
        float32 is already normalised. Raises EngineError.
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
