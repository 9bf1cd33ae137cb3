"""What the Open Inference Protocol's statistics say of one task, since the agent started."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from edge_agent.outcome import Outcome

_NS_PER_MS = 1e6


@dataclass(slots=True)
class _Part:
    count: int = 0
    ns: float = 0.0

    def add(self, ms: float) -> None:
        self.count += 1
        self.ns += ms * _NS_PER_MS

    def as_dict(self) -> dict[str, int]:
        return {"count": self.count, "ns": int(self.ns)}


@dataclass(slots=True)
class TaskStatistics:
    """Counts and times of a task's images, however they came; of this process alone."""

    success: _Part = field(default_factory=_Part)
    fail: _Part = field(default_factory=_Part)
    queue: _Part = field(default_factory=_Part)
    decode: _Part = field(default_factory=_Part)
    infer: _Part = field(default_factory=_Part)
    last_ms: int = 0

    def answered(self, outcome: Outcome) -> None:
        """Count an answer."""
        total = outcome.total_s * 1e3
        infer = outcome.edge.infer_ms + outcome.escalate_ms
        self.success.add(total)
        self.decode.add(outcome.edge.decode_ms)
        self.infer.add(infer)
        self.queue.add(max(0.0, total - outcome.edge.decode_ms - infer))
        self.last_ms = int(time.time() * 1e3)

    def failed(self, total_s: float) -> None:
        """Count an image without an answer."""
        self.fail.add(total_s * 1e3)

    def as_dict(self, name: str, version: str) -> dict[str, Any]:
        """One entry of `model_stats`."""
        parts = {
            "success": self.success,
            "fail": self.fail,
            "queue": self.queue,
            "compute_input": self.decode,
            "compute_infer": self.infer,
            "compute_output": _Part(),
            "cache_hit": _Part(),
            "cache_miss": _Part(),
        }
        return {
            "name": name,
            "version": version,
            "last_inference": self.last_ms,
            "inference_count": self.success.count,
            "execution_count": self.success.count,
            "inference_stats": {key: part.as_dict() for key, part in parts.items()},
            "batch_stats": [],
        }
