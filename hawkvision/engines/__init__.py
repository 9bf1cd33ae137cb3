"""Engines run one network; they are found through the entry-point group `hawkvision.engines`."""

from hawkvision.engines.base import Engine, EngineMetadata, Measuring, ModelSpec
from hawkvision.engines.registry import available_engines, flavour_of, open_engine
from hawkvision.engines.runtime import check_onnx_runtime, onnx_runtime

__all__ = [
    "Engine",
    "EngineMetadata",
    "Measuring",
    "ModelSpec",
    "available_engines",
    "check_onnx_runtime",
    "flavour_of",
    "onnx_runtime",
    "open_engine",
]
