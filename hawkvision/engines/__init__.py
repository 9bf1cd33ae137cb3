"""Engines run one network; they are found through the entry-point group `hawkvision.engines`."""

from hawkvision.engines.base import Engine, EngineMetadata, Measuring, ModelSpec
from hawkvision.engines.registry import available_engines, open_engine

__all__ = ["Engine", "EngineMetadata", "Measuring", "ModelSpec", "available_engines", "open_engine"]
