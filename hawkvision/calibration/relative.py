"""Thresholds that keep the cascade within ε of its large rung, with a finite-sample guarantee.

On image i the large rung does better than the cascade by d_i = large right - cascade right, which
is in {-1, 0, 1} and is 0 wherever the image escalates. The hypotheses "E[d] > ε at threshold t"
are tested from "escalate all" downward (fixed-sequence Learn then Test, arXiv 2110.01052), each by
betting on x_i = (1 - d_i) / 2 against its mean being at most (1 - ε) / 2: the capital of a gambler
whose stakes depend on the past only exceeds 1/δ with probability at most δ (Ville), and the stakes
are those of Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting"
(JRSS-B 2024, arXiv 2010.09686, eq. 30). Most images have d = 0, so a few hundred are enough to
certify an ε that the absolute test could not tell from noise.

At "escalate all" the cascade is the large rung, so every ε ≥ 0 is certified there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hawkvision.calibration.curve import default_grid
from hawkvision.errors import CalibrationError

_STEPS = 14
_LARGEST_STAKE = 0.9
"""Of the capital, at most this share is at risk on one image."""

_PRIOR_VARIANCE = 0.01
"""Variance of x assumed before the first image; any value keeps the guarantee."""

_ORDER_SEED = 20240229

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def betting_upper_bound(differences: npt.NDArray[np.integer], delta: float) -> Floats:
    """The smallest ε [G] that a bet at risk `delta` rejects E[d] > ε for, one per row.

    `differences` int [G,N] in {-1, 0, 1}, each row in an order that does not depend on values.
    """
    x = (1.0 - np.asarray(differences, np.float64)) / 2
    stakes = _stakes(x, delta)
    low, high = np.zeros(len(x)), np.ones(len(x))
    wanted = -np.log(delta)
    for _ in range(_STEPS):
        mean = (low + high) / 2
        wins = _best_log_capital(x, stakes, mean) >= wanted
        low, high = np.where(wins, mean, low), np.where(wins, high, mean)
    return 1.0 - 2.0 * low


def _stakes(x: Floats, delta: float) -> Floats:
    """Predictable stakes λ [G,N] for a test at a known number of images."""
    images = x.shape[1]
    count = np.arange(1, images + 1)
    mean = (0.5 + np.cumsum(x, axis=1)) / (count + 1)
    spread = _PRIOR_VARIANCE + np.cumsum((x - mean) ** 2, axis=1)
    variance = np.empty_like(x)
    variance[:, 0] = _PRIOR_VARIANCE
    variance[:, 1:] = (spread / (count + 1))[:, :-1]
    return np.asarray(np.sqrt(2 * np.log(1 / delta) / (images * variance)))


def _best_log_capital(x: Floats, stakes: Floats, mean: Floats) -> Floats:
    """Largest log capital [G] on the way when betting that the mean exceeds `mean` [G]."""
    centre = np.maximum(mean, 1e-9)[:, None]
    stake = np.minimum(stakes, _LARGEST_STAKE / centre)
    growth = np.log1p(stake * (x - centre))
    return np.asarray(np.cumsum(growth, axis=1).max(axis=1))


def relative_upper_bounds(
    confidence: npt.NDArray[np.floating],
    edge_correct: Bools,
    dc_correct: Bools,
    thresholds: Floats,
    delta: float,
) -> Floats:
    """For each of the descending `thresholds` [G], the smallest certified ε, rising along them.

    Raises CalibrationError for unequal lengths or a delta outside (0, 1).
    """
    if not len(confidence) == len(edge_correct) == len(dc_correct):
        raise CalibrationError("confidences and answers differ in number")
    if not 0 < delta < 1:
        raise CalibrationError(f"delta must be in (0, 1), not {delta}")
    order = np.random.default_rng(_ORDER_SEED).permutation(len(confidence))
    if not np.isfinite(confidence).all():
        raise CalibrationError("confidences contain NaN or infinity")
    conf = np.asarray(confidence, np.float64)[order]
    lost = (dc_correct.astype(np.int8) - edge_correct.astype(np.int8))[order]
    bounds = np.zeros(len(thresholds))
    ranked = np.sort(conf)
    local = len(conf) - np.searchsorted(ranked, thresholds, side="left")
    counts, first, where = np.unique(local, return_index=True, return_inverse=True)
    distinct = np.empty(len(counts))
    for start in range(0, len(counts), 64):
        part = first[start : start + 64]
        rows = np.where(conf[None] >= thresholds[part][:, None], lost[None], 0)
        distinct[start : start + 64] = betting_upper_bound(rows, delta)
    bounds = distinct[where]
    bounds[thresholds > 1] = 0.0
    return np.maximum.accumulate(bounds)


@dataclass(frozen=True)
class RelativeCurve:
    """What each threshold certifies of the distance to the large rung; float64 [G] each.

    `upper_bound` rises along the descending `thresholds`; index 0 escalates everything.
    """

    thresholds: Floats
    upper_bound: Floats
    escalation_rate: Floats
    delta: float
    images: int

    def index_for(self, epsilon: float) -> int:
        """The grid index of the lowest threshold that certifies "at most `epsilon` below"."""
        return int(np.searchsorted(self.upper_bound, epsilon, side="right")) - 1

    def threshold_for(self, epsilon: float) -> float:
        """The lowest threshold that certifies `epsilon` ≥ 0."""
        return float(self.thresholds[self.index_for(epsilon)])


def relative_curve(
    confidence: npt.NDArray[np.floating],
    edge_correct: Bools,
    dc_correct: Bools,
    *,
    delta: float = 0.05,
    grid: Floats | None = None,
) -> RelativeCurve:
    """Compute the curve from held-out answers; `grid` must not depend on them.

    `confidence` [N] is the edge rung's, `edge_correct` and `dc_correct` bool [N]. Raises
    CalibrationError.
    """
    thresholds = default_grid() if grid is None else np.asarray(grid, np.float64)
    bounds = relative_upper_bounds(confidence, edge_correct, dc_correct, thresholds, delta)
    local = np.searchsorted(-np.sort(confidence)[::-1].astype(np.float64), -thresholds, "right")
    return RelativeCurve(
        thresholds=thresholds,
        upper_bound=bounds,
        escalation_rate=1 - local / len(confidence),
        delta=delta,
        images=len(confidence),
    )
