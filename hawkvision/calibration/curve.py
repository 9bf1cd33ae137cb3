"""The threshold for every accuracy target, with a finite-sample guarantee.

Learn then Test with fixed-sequence testing (Angelopoulos et al., arXiv 2110.01052). At threshold
t the cascade answers locally where confidence ≥ t and escalates the rest. The hypotheses
"accuracy(t) < target", accuracy being one minus the mean loss, are tested from "escalate all"
downward, stopping at the first that is not rejected, which costs no multiplicity. Where losses are
0 or 1, errors on n calibration images are binomial and the test is the exact binomial one, which
rejects exactly where the Clopper-Pearson lower bound reaches the target. Other losses in [0, 1]
are tested by betting (`calibration/betting.py`), which rejects exactly where the betting bound
does. Either way the running minimum of the bound, taken from the conservative end, answers every
target at once.

The grid of thresholds is fixed before any data is seen, as the method requires.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from hawkvision.calibration import shown
from hawkvision.calibration.betting import betting_bounds
from hawkvision.calibration.intervals import clopper_pearson_lower
from hawkvision.errors import CalibrationError, TargetUnreachable

ESCALATE_ALL = 1.01
"""A threshold above any confidence."""

MINIMUM_IMAGES = 20

Floats = npt.NDArray[np.float64]


def default_grid() -> Floats:
    """Thresholds from "escalate all" down to 0 ("never"), evenly spaced in log-odds."""
    log_odds = np.linspace(9.2, -9.2, 369)
    return np.concatenate([[ESCALATE_ALL], 1 / (1 + np.exp(-log_odds)), [0.0]])


@dataclass(frozen=True)
class LowerConfidenceCurve:
    """What each threshold gives on the calibration images; index 0 escalates everything.

    All arrays are float64 [G], in the grid's (descending) order. `lower_bound` is the running
    minimum of the one-sided bound on accuracy at confidence 1 - `delta`.
    """

    thresholds: Floats
    accuracy: Floats
    escalation_rate: Floats
    lower_bound: Floats
    delta: float
    images: int

    @property
    def highest_certifiable(self) -> float:
        """The highest accuracy target that can be certified."""
        return float(self.lower_bound[0])

    @cached_property
    def _falling(self) -> list[float]:
        return [-value for value in self.lower_bound.tolist()]

    def index_for(self, target: float) -> int:
        """The grid index of the lowest threshold that certifies `target`.

        Raises TargetUnreachable where not even escalating everything does.
        """
        index = bisect.bisect_right(self._falling, -target) - 1
        if index < 0:
            highest = shown.lower(self.highest_certifiable)
            raise TargetUnreachable(
                f"accuracy {shown.target(target)} cannot be certified for this task; "
                f"the highest that can is {highest} "
                f"(confidence {1 - self.delta:g}, {self.images} calibration images)",
                highest=float(highest),
                hint=f"Ask for accuracy={highest} or less, or calibrate on more images.",
            )
        return index

    def threshold_for(self, target: float) -> float:
        """The lowest threshold that certifies `target`. Raises TargetUnreachable."""
        return float(self.thresholds[self.index_for(target)])


def lower_confidence_curve(
    confidence: npt.NDArray[np.floating],
    edge_loss: npt.NDArray[np.floating],
    dc_loss: npt.NDArray[np.floating],
    *,
    binary: bool,
    delta: float = 0.05,
    grid: Floats | None = None,
) -> LowerConfidenceCurve:
    """Compute the curve from held-out answers.

    `confidence` [N] is the edge rung's, `edge_loss` and `dc_loss` [N] in [0, 1]; with `binary`
    they are 0 or 1 by nature, and not only here. `grid` must be descending and must not depend on
    these images. Raises CalibrationError for fewer than 20 images, non-finite confidences, losses
    beyond [0, 1] or a delta outside (0, 1).
    """
    images = len(confidence)
    if images < MINIMUM_IMAGES:
        raise CalibrationError(
            f"{images} calibration images are too few",
            hint="A guarantee needs some hundred labelled images; about 1,000 is a good start.",
        )
    if not len(edge_loss) == len(dc_loss) == images:
        raise CalibrationError(f"unequal lengths: {images}, {len(edge_loss)} and {len(dc_loss)}")
    if not 0 < delta < 1:
        raise CalibrationError(f"delta must be in (0, 1), not {delta}")
    if not np.isfinite(confidence).all():
        raise CalibrationError("confidences contain NaN or infinity")
    edge, dc = np.asarray(edge_loss, np.float64), np.asarray(dc_loss, np.float64)
    check_losses(edge, dc, binary=binary)
    thresholds = default_grid() if grid is None else np.asarray(grid, np.float64)
    order = np.argsort(confidence, kind="stable")[::-1]
    ranked = np.asarray(confidence, np.float64)[order]
    local = np.searchsorted(-ranked, -thresholds, side="right")
    edge_sums = np.concatenate([[0.0], np.cumsum(1 - edge[order])])
    dc_sums = np.concatenate([[0.0], np.cumsum(1 - dc[order])])
    hits = edge_sums[local] + dc_sums[-1] - dc_sums[local]
    if binary:
        bound = clopper_pearson_lower(hits, images, delta)
    else:
        bound = (1 - betting_bounds(confidence, 2 * edge - 1, 2 * dc - 1, thresholds, delta)) / 2
    return LowerConfidenceCurve(
        thresholds=thresholds,
        accuracy=hits / images,
        escalation_rate=1 - local / images,
        lower_bound=np.minimum.accumulate(bound),
        delta=delta,
        images=images,
    )


def check_losses(*losses: Floats, binary: bool) -> None:
    """Raise CalibrationError unless all lie in [0, 1], or are 0 or 1 where they are `binary`."""
    for loss in losses:
        if not ((loss >= 0) & (loss <= 1)).all():
            raise CalibrationError("losses must lie in [0, 1]")
        if binary and not ((loss == 0) | (loss == 1)).all():
            raise CalibrationError("losses of this kind of task must be 0 or 1")
