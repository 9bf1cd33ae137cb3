"""The accuracy that losses show, with a two-sided interval: exact for shares, by betting else."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv

from hawkvision.calibration.betting import betting_upper_bound


def interval_of(
    losses: npt.NDArray[np.floating], *, binary: bool, level: float = 0.95
) -> tuple[float, float]:
    """The interval of one minus the mean of `losses` [N] in [0, 1].

    Clopper-Pearson where losses are 0 or 1 by nature, else a betting bound on either side.
    """
    n, tail = len(losses), (1 - level) / 2
    if binary:
        right = n - int(np.count_nonzero(losses))
        low = float(betaincinv(right, n - right + 1, tail)) if right else 0.0
        high = float(betaincinv(right + 1, n - right, 1 - tail)) if right < n else 1.0
        return low, high
    spread = 2 * np.asarray(losses, np.float64)[None] - 1
    worst = float(betting_upper_bound(spread, tail)[0])
    best = float(betting_upper_bound(-spread, tail)[0])
    return (1 - worst) / 2, (1 + best) / 2
