"""The protocol's statistics of one model, since the service started; of one process."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

_NS_PER_S = 1e9


@dataclass(slots=True)
class Part:
    """How often something was done, and how long it took altogether."""

    count: int = 0
    ns: float = 0.0

    def add(self, seconds: float) -> None:
        """Once more."""
        self.count += 1
        self.ns += seconds * _NS_PER_S

    def as_dict(self) -> dict[str, int]:
        """As the protocol has it."""
        return {"count": self.count, "ns": int(self.ns)}


@dataclass(slots=True)
class ModelStatistics:
    """Counts of requests and their times; `images` and `executions` count inferences."""

    success: Part = field(default_factory=Part)
    fail: Part = field(default_factory=Part)
    queue: Part = field(default_factory=Part)
    compute_input: Part = field(default_factory=Part)
    compute_infer: Part = field(default_factory=Part)
    images: int = 0
    executions: int = 0
    last_ms: int = 0

    def served(self, seconds: float, images: int) -> None:
        """A request with so many images was answered."""
        self.success.add(seconds)
        self.images += images
        self.executions += 1
        self.last_ms = int(time.time() * 1e3)

    def failed(self, seconds: float) -> None:
        """A request had no answer."""
        self.fail.add(seconds)

    def as_dict(self, name: str, version: str) -> dict[str, Any]:
        """One entry of `model_stats`."""
        empty = Part()
        parts = {
            "success": self.success,
            "fail": self.fail,
            "queue": self.queue,
            "compute_input": self.compute_input,
            "compute_infer": self.compute_infer,
            "compute_output": empty,
            "cache_hit": empty,
            "cache_miss": empty,
        }
        return {
            "name": name,
            "version": version,
            "last_inference": self.last_ms,
            "inference_count": self.images,
            "execution_count": self.executions,
            "inference_stats": {key: part.as_dict() for key, part in parts.items()},
            "batch_stats": [],
        }
