"""Thresholds that keep the cascade within ε of its large rung, with a finite-sample guarantee.

On image i the cascade loses d_i = cascade's loss - large rung's loss against the large rung, which
is in [-1, 1] and is 0 wherever the image escalates. The hypotheses "E[d] > ε at threshold t" are
tested from "escalate all" downward (fixed-sequence Learn then Test, arXiv 2110.01052), each by
betting. Most images have d = 0, so a few hundred are enough to certify an ε that the absolute test
could not tell from noise.

At "escalate all" the cascade is the large rung, so every ε ≥ 0 is certified there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hawkvision.calibration.betting import betting_bounds
from hawkvision.calibration.curve import default_grid
from hawkvision.errors import CalibrationError

Floats = npt.NDArray[np.float64]
Losses = npt.NDArray[np.floating]


def relative_upper_bounds(
    confidence: npt.NDArray[np.floating],
    edge_loss: Losses,
    dc_loss: Losses,
    thresholds: Floats,
    delta: float,
) -> Floats:
    """For each of the descending `thresholds` [G], the smallest certified ε, rising along them.

    Raises CalibrationError for unequal lengths or a delta outside (0, 1).
    """
    if not len(confidence) == len(edge_loss) == len(dc_loss):
        raise CalibrationError("confidences and answers differ in number")
    if not 0 < delta < 1:
        raise CalibrationError(f"delta must be in (0, 1), not {delta}")
    if not np.isfinite(confidence).all():
        raise CalibrationError("confidences contain NaN or infinity")
    lost = np.asarray(edge_loss, np.float64) - np.asarray(dc_loss, np.float64)
    bounds = betting_bounds(confidence, lost, np.zeros(len(lost)), thresholds, delta)
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
    edge_loss: Losses,
    dc_loss: Losses,
    *,
    delta: float = 0.05,
    grid: Floats | None = None,
) -> RelativeCurve:
    """Compute the curve from held-out answers; `grid` must not depend on them.

    `confidence` [N] is the edge rung's, `edge_loss` and `dc_loss` [N] in [0, 1]. Raises
    CalibrationError.
    """
    thresholds = default_grid() if grid is None else np.asarray(grid, np.float64)
    bounds = relative_upper_bounds(confidence, edge_loss, dc_loss, thresholds, delta)
    local = np.searchsorted(-np.sort(confidence)[::-1].astype(np.float64), -thresholds, "right")
    return RelativeCurve(
        thresholds=thresholds,
        upper_bound=bounds,
        escalation_rate=1 - local / len(confidence),
        delta=delta,
        images=len(confidence),
    )
