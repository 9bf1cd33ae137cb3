"""ONNX Runtime's execution providers: which are tried, with which options, and what they took.

Sources: onnxruntime.ai, "CUDA Execution Provider" and "TensorRT Execution Provider".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from hawkvision.engines.base import ModelSpec

TENSORRT = "TensorrtExecutionProvider"
CUDA = "CUDAExecutionProvider"
CPU = "CPUExecutionProvider"
SAID = {TENSORRT: "TensorRT", CUDA: "CUDA", CPU: "CPU"}
BEHIND = {TENSORRT: (CUDA, CPU), CUDA: (CPU,), CPU: ()}
"""Who takes the nodes that a provider leaves."""
BEST, MOST = 8, 32
"""Batches that TensorRT's profile is tuned for, and the largest that it takes."""

Device = Literal["best", "tensorrt", "cuda", "cpu"]
DEVICES: Mapping[str, Device] = {TENSORRT: "tensorrt", CUDA: "cuda", CPU: "cpu"}
ASKED: Mapping[Device, tuple[str, ...]] = {
    "best": (TENSORRT, CUDA, CPU),
    "tensorrt": (TENSORRT,),
    "cuda": (CUDA,),
    "cpu": (CPU,),
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """A provider that was tried before the one that runs, and why it does not."""

    provider: str
    why: str

    def __str__(self) -> str:
        return f"{SAID[self.provider]}: {self.why}"


@dataclass(frozen=True, slots=True)
class Input:
    """The one input of a file, as ONNX Runtime says it; sizes that are free are no numbers."""

    name: str
    shape: tuple[Any, ...]

    @property
    def free_batch(self) -> bool:
        """Whether the batch, and nothing else, is free."""
        sizes = [isinstance(side, int) and side > 0 for side in self.shape]
        return bool(sizes) and not sizes[0] and all(sizes[1:])

    @property
    def fixed(self) -> bool:
        """Whether every size but the batch is known."""
        return all(isinstance(side, int) and side > 0 for side in self.shape[1:])

    def of(self, batch: int) -> str:
        """The shape for a batch, as `name:8x3x224x224`."""
        return f"{self.name}:" + "x".join(str(side) for side in (batch, *self.shape[1:]))


def tensorrt_options(spec: ModelSpec, image: Input, folder: Path | None) -> dict[str, str]:
    """Caches in `folder` (None: none), a profile for a free batch, the types that the file says.

    `trt_fp16_enable` and `trt_int8_enable` allow these types, which TensorRT 10 asks for even where
    the file holds them; without them in the file nothing is rounded.
    """
    options = {"trt_int8_enable": "1"} if spec.precision.startswith("int8") else {}
    if spec.precision.startswith("fp16"):
        options["trt_fp16_enable"] = "1"
    if folder is not None:
        for cache in ("engine", "timing"):
            options[f"trt_{cache}_cache_enable"] = "1"
            options[f"trt_{cache}_cache_path"] = str(folder)
    if image.free_batch:
        for end, batch in (("min", 1), ("opt", BEST), ("max", MOST)):
            options[f"trt_profile_{end}_shapes"] = image.of(batch)
    return options


def cuda_options(*, graphs: bool = False) -> dict[str, str]:
    """Algorithms chosen by rule, not by a race at start-up; float32 stays float32."""
    options = {"cudnn_conv_algo_search": "HEURISTIC", "use_tf32": "0"}
    return {**options, "enable_cuda_graph": "1"} if graphs else options


@dataclass(frozen=True)
class Providers:
    """A provider, and those behind it, each with its options."""

    first: str
    options: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    present: Sequence[str] = ()

    def as_argument(self) -> list[tuple[str, dict[str, str]]]:
        """As `InferenceSession` takes them; of those behind, the ones that are there."""
        names = [self.first, *(name for name in BEHIND[self.first] if name in self.present)]
        return [(name, dict(self.options.get(name, {}))) for name in names]


def taken(session: Any) -> dict[str, int]:
    """How many nodes each provider runs; empty where this ONNX Runtime does not tell."""
    found: dict[str, int] = {}
    tell = getattr(session, "get_provider_graph_assignment_info", None)
    if tell is None:
        return found
    try:
        for part in tell():
            found[part.ep_name] = found.get(part.ep_name, 0) + len(part.get_nodes())
    except Exception:  # ONNX Runtime raises its own, unexported, types
        return {}
    return found


def shares(counts: Mapping[str, int]) -> str:
    """`TensorRT runs 57 of 60 nodes, CPU 3`; empty for nothing to say."""
    total = sum(counts.values())
    if len(counts) < 2:
        return ""
    ordered = sorted(counts.items(), key=lambda item: list(SAID).index(item[0]))
    words = [f"{SAID[name]} {count}" for name, count in ordered]
    first, rest = words[0].rsplit(" ", 1), words[1:]
    return ", ".join([f"{first[0]} runs {first[1]} of {total} nodes", *rest])
