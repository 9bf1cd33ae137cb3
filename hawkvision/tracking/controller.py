"""Thresholds that follow the traffic: the lowest at which the recent past keeps the target.

A window of the recent past is kept as fading sums over bins of the edge's confidence (see
`observe`): how often each bin occurs, and the soft errors of both rungs in it. Answering bins from
the top at the edge and the rest in the data center, the expected error at each threshold follows,
and with it the lowest threshold for every target, absolute or relative. Calibration supplies the
window's first content, so without news the certified threshold stands. There is no integral that
could wind up: when a drift ends, its evidence fades within the window.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from hawkvision.calibration import ESCALATE_ALL, CalibrationScores
from hawkvision.cascade import Accuracy, RelativeAccuracy
from hawkvision.tracking.observe import BINS, bin_of, lower_edge

State = Literal["holding", "steering", "alarm", "frozen"]
Floats = npt.NDArray[np.float64]

_PRIOR_REQUESTS = 200.0
_PRIOR_PER_BIN = 3.0


@dataclass(frozen=True, slots=True)
class Settings:
    """`memory` in requests; `step` the largest move of a threshold at once, in bins;
    `deadband` in escalation rate.
    """

    memory: float = 800.0
    deadband: float = 0.02
    step: int = 3
    relaxation: float = 0.0


@dataclass(frozen=True, slots=True)
class Steered:
    """A threshold and why it is there."""

    threshold: float
    state: State
    expected_accuracy: float


@dataclass
class TrafficModel:
    """Fading sums over bins of confidence, float64 [BINS] each."""

    requests: Floats
    weight: Floats
    edge_loss: Floats
    dc_loss: Floats
    prior: tuple[Floats, Floats, Floats] = field(repr=False)

    @classmethod
    def from_calibration(cls, scores: CalibrationScores) -> TrafficModel:
        """What calibration saw, as if it were `_PRIOR_REQUESTS` requests."""
        index = np.array([bin_of(float(c)) for c in scores.confidence])
        count = np.bincount(index, minlength=BINS).astype(float)
        scale = _PRIOR_REQUESTS / len(scores)
        edge = np.bincount(index, ~scores.edge_correct[0], BINS).astype(float)
        dc = np.bincount(index, ~scores.dc_correct[0], BINS).astype(float)
        share = np.maximum(count, 1)
        return cls(
            count * scale,
            count * scale,
            edge * scale,
            dc * scale,
            (count * scale, _smoothed(edge / share, count), _smoothed(dc / share, count)),
        )

    def see(self, sums: Mapping[str, float], memory: float) -> float:
        """Take in what was counted since the last time; the number of requests."""
        fresh = np.zeros((4, BINS))
        for row, name in enumerate(("n", "w", "edge_loss", "dc_loss")):
            for index in range(BINS):
                fresh[row, index] = sums.get(f"bin/{index}/{name}", 0.0)
        requests = float(fresh[0].sum())
        fade = max(0.0, 1 - requests / memory)
        self.requests = self.requests * fade + fresh[0]
        self.weight = self.weight * fade + fresh[1]
        self.edge_loss = self.edge_loss * fade + fresh[2]
        self.dc_loss = self.dc_loss * fade + fresh[3]
        return requests

    def rates(self) -> tuple[Floats, Floats, Floats]:
        """Share of requests, edge error and data-center error by bin, [BINS] each.

        A bin without evidence leans on calibration, weighted as a few requests.
        """
        _, edge_prior, dc_prior = self.prior
        weight = self.weight + _PRIOR_PER_BIN
        edge = (self.edge_loss + _PRIOR_PER_BIN * edge_prior) / weight
        dc = (self.dc_loss + _PRIOR_PER_BIN * dc_prior) / weight
        return self.requests / max(self.requests.sum(), 1e-9), edge, dc

    def errors(self) -> tuple[Floats, Floats]:
        """(expected error, escalation rate) [BINS + 1] if bins below i escalate."""
        share, edge, dc = self.rates()
        up = np.concatenate([[0.0], np.cumsum(share * dc)])
        local = np.concatenate([np.cumsum((share * edge)[::-1])[::-1], [0.0]])
        return up + local, np.concatenate([[0.0], np.cumsum(share)])


def _smoothed(rate: Floats, count: Floats) -> Floats:
    """Bins that calibration never saw take the rate of their nearest neighbour."""
    seen = np.flatnonzero(count > 0)
    nearest = seen[np.abs(np.arange(len(rate))[:, None] - seen[None]).argmin(axis=1)]
    return np.asarray(rate[nearest])


def steer(
    model: TrafficModel,
    accuracy: Accuracy,
    *,
    floor: float,
    current: float,
    frozen: bool,
    settings: Settings,
) -> Steered:
    """The threshold for a target now. `floor` is the certified one, `current` that in force."""
    error, escalated = model.errors()
    if isinstance(accuracy, RelativeAccuracy):
        allowed = float(error[-1]) + accuracy.epsilon
    else:
        allowed = 1 - accuracy
    lowest = max(0.0, floor - settings.relaxation)
    if frozen:
        return Steered(lowest, "frozen", 1 - _at(error, lowest))
    meeting = np.flatnonzero(error <= allowed)
    if len(meeting):
        wanted, state = int(meeting[0]), "steering"
    else:
        wanted, state = int(error.argmin()), "alarm"
    now = _index(current)
    if state == "steering" and error[now] <= allowed and wanted < now:
        gain = escalated[now] - escalated[wanted]
        if gain < settings.deadband:
            wanted = now  # not worth moving for
    moved = min(max(wanted, now - settings.step), now + settings.step)
    threshold = max(lowest, _edge(moved))
    if threshold <= lowest + 1e-9 and state != "alarm":
        return Steered(lowest, "holding", 1 - _at(error, lowest))
    return Steered(threshold, "alarm" if state == "alarm" else "steering", 1 - float(error[moved]))


def _edge(index: int) -> float:
    return ESCALATE_ALL if index >= BINS else lower_edge(index)


def _index(threshold: float) -> int:
    """The first bin that is answered at the edge under a threshold."""
    if threshold > 1:
        return BINS
    index = bin_of(threshold)
    return index if lower_edge(index) >= threshold - 1e-9 else index + 1


def _at(error: Floats, threshold: float) -> float:
    return float(error[_index(threshold)])
