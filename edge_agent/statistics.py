"""What the Open Inference Protocol's statistics say of one task, since the agent started."""

from __future__ import annotations

from dataclasses import dataclass

from edge_agent.outcome import Outcome
from hawkvision.oip.statistics import ModelStatistics


@dataclass(slots=True)
class TaskStatistics(ModelStatistics):
    """Counts and times of a task's images, however they came; of this process alone."""

    def answered(self, outcome: Outcome) -> None:
        """Count an answer."""
        decode_s = outcome.edge.decode_ms / 1e3
        infer_s = (outcome.edge.infer_ms + outcome.escalate_ms) / 1e3
        self.served(outcome.total_s, 1)
        self.compute_input.add(decode_s)
        self.compute_infer.add(infer_s)
        self.queue.add(max(0.0, outcome.total_s - decode_s - infer_s))
