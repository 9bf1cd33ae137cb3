"""From one event to increments of additive measures.

Delivered accuracy is counted for each (app, target); what steers thresholds is counted for the
whole task, by the edge's confidence in `BINS` steps of log-odds: how many requests had such a
confidence, and of those whose data-center answer is known (escalated ones for free, audited ones
with weight 1/p) the soft errors 1 - p_dc(label) of the edge's and of the data center's label.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from hawkvision.tracking.records import CountKey

BINS = 24
_RANGE = 6.0
TASK_WIDE = "*"
PROBES = "probes"
"""In place of an accuracy target, under which golden probes are counted."""

LARGEST_WEIGHT = 100.0
"""Audit weights are clipped here, so that one rare sample cannot outweigh a thousand answers."""

Add = Callable[[CountKey, str, float], None]


def bin_width() -> float:
    """Of one bin, in log-odds."""
    return 2 * _RANGE / BINS


def place_of(confidence: float) -> float:
    """Where a confidence in [0, 1] lies on the scale of bins, 0 … BINS."""
    clipped = min(max(confidence, 1e-6), 1 - 1e-6)
    z = math.log(clipped / (1 - clipped))
    return min(float(BINS), max(0.0, (z + _RANGE) / bin_width()))


def confidence_at(place: float) -> float:
    """The confidence at a place on the scale of bins; 0 at its start."""
    return 0.0 if place <= 0 else 1 / (1 + math.exp(_RANGE - place * bin_width()))


def bin_of(confidence: float) -> int:
    """The bin that a confidence in [0, 1] lies in."""
    return min(BINS - 1, int(place_of(confidence)))


def answered(
    add: Add,
    key: CountKey,
    *,
    served_by: str,
    degraded: str | None,
    loss_level: float,
    edge_confidence: float,
    answer_confidence: float,
) -> None:
    """One request was answered."""
    add(key, f"answers/{served_by}/{loss_level:g}", 1.0)
    add(key, f"confidence/{served_by}", answer_confidence)
    if degraded is not None:
        add(key, f"degraded/{degraded}", 1.0)
    if loss_level > 0:
        return
    task = CountKey(key.task, "", TASK_WIDE)
    add(task, f"bin/{bin_of(edge_confidence)}/n", 1.0)
    add(task, "edge/n", 1.0)
    add(task, "edge/confidence", edge_confidence)


def compared(
    add: Add,
    task: str,
    *,
    edge_confidence: float,
    chance_of_edge_label: float,
    chance_of_dc_label: float,
    weight: float,
) -> None:
    """Both rungs are known for a request: it escalated (weight 1), or was audited (1/p)."""
    key = CountKey(task, "", TASK_WIDE)
    name = f"bin/{bin_of(edge_confidence)}"
    clipped = min(weight, LARGEST_WEIGHT)
    add(key, f"{name}/k", 1.0)
    add(key, f"{name}/w", clipped)
    add(key, f"{name}/edge_loss", clipped * (1 - chance_of_edge_label))
    add(key, f"{name}/dc_loss", clipped * (1 - chance_of_dc_label))


def audited(
    add: Add, key: CountKey, *, agree: bool, chance_of_edge_label: float, weight: float
) -> None:
    """A locally answered request also went to the data center, with probability 1/weight."""
    clipped = min(weight, LARGEST_WEIGHT)
    loss = 1 - chance_of_edge_label
    for name, amount in (
        ("n", 1.0),
        ("w", clipped),
        ("w2", clipped * clipped),
        ("loss", clipped * loss),
        ("disagree", clipped * (not agree)),
    ):
        add(key, f"audit/{name}", amount)


def fed_back(
    add: Add, key: CountKey, *, served_by: str, label: int, class_id: int, edge_class_id: int
) -> None:
    """A true label came for an answered request."""
    add(key, f"feedback/{served_by}/n", 1.0)
    add(key, f"feedback/{served_by}/right", float(label == class_id))
    if served_by == "dc":
        paired(add, key, edge_right=label == edge_class_id, dc_right=label == class_id)


def paired(add: Add, key: CountKey, *, edge_right: bool, dc_right: bool) -> None:
    """Both rungs answered an image whose label is known."""
    add(key, "pair/n", 1.0)
    if edge_right != dc_right:
        add(key, "pair/edge" if edge_right else "pair/dc", 1.0)
