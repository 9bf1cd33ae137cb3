"""Thresholds that follow the traffic: the lowest at which the recent past keeps the target.

A window of the recent past is kept as fading sums over bins of the edge's confidence (see
`counts`): how often each bin occurs, and the soft errors of both rungs in it. Answering bins from
the top at the edge and the rest in the data center, the expected error at each threshold follows,
and with it the lowest threshold for every target, absolute or relative. Calibration supplies the
window's first content, so without news the certified threshold stands. There is no integral that
could wind up: when a drift ends, its evidence fades within the window.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from hawkvision.calibration import ESCALATE_ALL, CalibrationScores
from hawkvision.cascade import Accuracy
from hawkvision.tracking.counts import BINS, Bins, bin_of, bin_width, confidence_at, place_of

State = Literal["holding", "steering", "alarm"]
Floats = npt.NDArray[np.float64]

_PRIOR_REQUESTS = 200.0
_PRIOR_PER_BIN = 4.0
_PRIOR_POOLED = 1.0
_AUDITED = 1.5
_LARGEST_SHIFT = 20.0


@dataclass(frozen=True, slots=True)
class Settings:
    """`memory` and `smoothing` in requests; thresholds rise faster than they fall.

    `step` is the largest move of a threshold at once, in log-odds; `deadband` the escalation rate
    that a lower threshold must save to be worth a move; `margin` is aimed for above the target,
    because under drift the data center is a little too sure of itself.
    """

    memory: float = 1600.0
    smoothing: float = 300.0
    smoothing_down: float = 900.0
    deadband: float = 0.03
    step: float = 1.0
    margin: float = 0.008
    relaxation: float = 0.0


@dataclass(frozen=True, slots=True)
class Steered:
    """A threshold and why it is there."""

    threshold: float
    state: State
    expected_accuracy: float


@dataclass
class TrafficModel:
    """Fading sums over bins of confidence, float64 [BINS] each.

    `compared` counts requests whose data-center answer is known, `weight` adds up their weights;
    `edge_prior` and `dc_prior` are calibration's error rates.
    """

    requests: Floats
    compared: Floats
    weight: Floats
    edge_error: Floats
    dc_error: Floats
    edge_prior: Floats
    dc_prior: Floats
    _errors: tuple[Floats, Floats] | None = None

    @classmethod
    def from_calibration(cls, scores: CalibrationScores) -> TrafficModel:
        """What calibration saw, as if it were `_PRIOR_REQUESTS` requests."""
        index = np.array([bin_of(float(c)) for c in scores.confidence])
        count = np.bincount(index, minlength=BINS).astype(float)
        scale = _PRIOR_REQUESTS / len(scores)
        edge = np.bincount(index, scores.edge_loss[0], BINS).astype(float)
        dc = np.bincount(index, scores.dc_loss[0], BINS).astype(float)
        share = np.maximum(count, 1)
        return cls(
            requests=count * scale,
            compared=count * scale,
            weight=count * scale,
            edge_error=edge * scale,
            dc_error=dc * scale,
            edge_prior=_smoothed(edge / share, count),
            dc_prior=_smoothed(dc / share, count),
        )

    def see(self, fresh: Bins, memory: float) -> float:
        """Take in what was counted since the last time; the number of requests."""
        self._errors = None
        requests = float(fresh.requests.sum())
        fade = max(0.0, 1 - requests / memory)
        self.requests = self.requests * fade + fresh.requests
        self.compared = self.compared * fade + fresh.compared
        self.weight = self.weight * fade + fresh.weight
        self.edge_error = self.edge_error * fade + fresh.edge_error
        self.dc_error = self.dc_error * fade + fresh.dc_error
        return requests

    def rates(self) -> tuple[Floats, Floats, Floats]:
        """Share of requests, edge error and data-center error by bin, [BINS] each.

        A bin leans on calibration as on a few comparisons, after calibration's rates were scaled
        by how much worse (or better) the recent past is than they say, over all such bins.
        """
        heavy = self.weight / np.maximum(self.compared, 1e-9)
        lean = _PRIOR_PER_BIN * np.where(self.compared > 0.5, heavy, 1.0)
        edge_prior = self._shifted(self.edge_error, self.edge_prior, heavy)
        dc_prior = self._shifted(self.dc_error, self.dc_prior, heavy)
        edge = (self.edge_error + lean * edge_prior) / (self.weight + lean)
        dc = (self.dc_error + lean * dc_prior) / (self.weight + lean)
        return self.requests / max(self.requests.sum(), 1e-9), edge, dc

    def _shifted(self, error: Floats, prior: Floats, heavy: Floats) -> Floats:
        """Calibration's rates, scaled within the audited bins and within the escalated ones."""
        audited = heavy > _AUDITED
        scale = np.ones(BINS)
        for part in (audited, ~audited):
            if self.compared[part].sum() > 0:
                lean = _PRIOR_POOLED * self.weight[part].sum() / self.compared[part].sum()
                expected = float((self.weight * prior)[part].sum())
                scale[part] = (error[part].sum() + lean) / (expected + lean)
        return np.asarray(np.minimum(prior * np.minimum(scale, _LARGEST_SHIFT), 1.0))

    def errors(self) -> tuple[Floats, Floats]:
        """(expected error, escalation rate) [BINS + 1] if bins below i escalate."""
        if self._errors is None:  # the same for every target
            share, edge, dc = self.rates()
            up = np.concatenate([[0.0], np.cumsum(share * dc)])
            local = np.concatenate([np.cumsum((share * edge)[::-1])[::-1], [0.0]])
            self._errors = up + local, np.concatenate([[0.0], np.cumsum(share)])
        return self._errors


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
    requests: float,
    settings: Settings,
) -> Steered:
    """The threshold for a target after `requests` more were seen.

    `floor` is the certified threshold, `current` the one in force.
    """
    error, escalated = model.errors()
    allowed = float(error[-1]) + accuracy.value if accuracy.relative else 1 - accuracy.value
    allowed = max(allowed - settings.margin, 0.3 * allowed)
    lowest = max(0.0, floor - settings.relaxation)
    now = _position(current)
    alarm = float(error.min()) > allowed
    wanted = float(error.argmin()) if alarm else _crossing(error, allowed)
    saved = np.interp(now, _PLACES, escalated) - np.interp(wanted, _PLACES, escalated)
    meets = float(np.interp(now, _PLACES, error)) <= allowed
    if not alarm and meets and 0 <= saved < settings.deadband and wanted > _position(lowest):
        wanted = now
    smoothing = settings.smoothing if wanted > now else settings.smoothing_down
    moved = now + (wanted - now) * (1 - math.exp(-requests / smoothing))
    bins = settings.step / bin_width()
    moved = min(max(moved, now - bins), now + bins)
    if wanted >= BINS and moved > BINS - 0.5:
        moved = float(BINS)
    threshold = max(lowest, _threshold(moved))
    expected = 1 - float(np.interp(_position(threshold), _PLACES, error))
    if alarm:
        return Steered(threshold, "alarm", expected)
    near = threshold - lowest < 1e-3
    return Steered(lowest if near else threshold, "holding" if near else "steering", expected)


_PLACES = np.arange(BINS + 1, dtype=float)


def _crossing(error: Floats, allowed: float) -> float:
    """The lowest place on the scale of bins from which the error is allowed, interpolated."""
    first = int(np.flatnonzero(error <= allowed)[0])
    if first == 0:
        return 0.0
    high, low = float(error[first - 1]), float(error[first])
    return first - (allowed - low) / (high - low)


def _position(threshold: float) -> float:
    """A threshold on the scale of bins; "escalate all" is BINS."""
    return float(BINS) if threshold > 1 else place_of(threshold)


def _threshold(place: float) -> float:
    return ESCALATE_ALL if place >= BINS else confidence_at(place)
