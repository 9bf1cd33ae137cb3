"""How many rungs an agent holds: its own rule (`cascade/cut.py`), and why."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

from hawkvision.calibration.scores import CalibrationScores
from hawkvision.cascade.chain import reached
from hawkvision.cascade.cut import LOCAL_SHARE, RungCost, best_cut, expected_ms, fitting, slowest_ms
from hawkvision.cascade.policy import CascadePolicy
from hawkvision.planning.asked import Asked
from hawkvision.planning.costs import EdgeCosts, edge_costs
from hawkvision.repository import Task


@dataclass(frozen=True, slots=True)
class Choice:
    """How many rungs an agent that is started with `--rungs auto` would hold here.

    `reasons` says by number of rungs, from 1, what speaks against it, or for it. `fits` is how many
    the memory allows.
    """

    held: int
    fits: int
    memory_mb: tuple[float, ...]
    reasons: tuple[str, ...]


def choose(task: Task, scores: CalibrationScores, asked: Asked, edge: EdgeCosts) -> Choice:
    """By the shares at the task's default accuracy and the round trip, as an agent decides."""
    costs = _costs(task, scores, asked, edge)
    memory = tuple(accumulate(cost.memory_mb for cost in costs))
    fits = len(costs)
    if asked.memory_mb is not None:
        # The first rung is always held, as an agent does.
        fits = fitting([cost.memory_mb for cost in costs], asked.memory_mb)
    link_ms, deadline_ms = asked.link.rtt_ms, asked.deadline_ms
    held = best_cut(costs, most=fits, link_ms=link_ms, deadline_ms=deadline_ms)
    reasons = []
    for count in range(1, len(costs) + 1):
        mean_ms, slowest = (
            expected_ms(costs, count, link_ms),
            slowest_ms(costs, count, link_ms),
        )
        here_ms = sum(cost.edge_ms for cost in costs[:count])
        if count > fits:
            why = f"{memory[count - 1]:.0f} MB do not fit"
        elif count > 1 and here_ms > LOCAL_SHARE * deadline_ms:
            why = f"{here_ms:.0f} ms here: over half of the deadline"
        elif slowest > deadline_ms:
            why = f"up to {slowest:.0f} ms: after the deadline"
        else:
            why = f"{mean_ms:.2f} ms on average"
        reasons.append(why)
    return Choice(held, fits, memory, tuple(reasons))


def _costs(task: Task, scores: CalibrationScores, asked: Asked, edge: EdgeCosts) -> list[RungCost]:
    """What was measured when the task was made, by how much slower the agent's machine is."""
    policy = CascadePolicy(scores, task.default_accuracy, delta=asked.delta, tiers=task.tiers)
    shares = reached(scores, policy.default.threshold, task.thresholds)
    measured = [rung.measured.get("milliseconds", 0.0) for rung in task.rungs]
    known = edge_costs(task).first.cpu_ms if all(measured) else 0.0
    slower = edge.first.cpu_ms / known if known else 1.0
    return [
        RungCost(slower * ms, ms, rung.measured.get("memory_mb", 0.0), share)
        for rung, ms, share in zip(task.rungs, measured, shares, strict=True)
    ]
