"""Exact intervals: of a share (Clopper and Pearson, Biometrika 26, 1934), of a mean in [0, 1].

The one place where they are written: for one share, for many at once, from either side, at a
fractional number of samples, and, by betting, for values that are no verdicts.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from hawkvision.calibration.beta import inverse, inverse_incomplete_beta
from hawkvision.calibration.betting import betting_upper_bound

Floats = npt.NDArray[np.float64]
_NOTHING = 1e-9
"""Successes or failures that are none; sums of weights are not exactly zero."""


def clopper_pearson_lower(
    successes: npt.NDArray[np.integer] | Floats, trials: int, delta: float
) -> Floats:
    """One-sided exact lower bounds of binomial shares at confidence 1 - delta.

    A fractional number of successes interpolates.
    """
    k, places = np.unique(np.asarray(successes, np.float64), return_inverse=True)
    bound = inverse_incomplete_beta(np.maximum(k, _NOTHING), trials - k + 1, delta)
    found: Floats = np.where(k > 0, bound, 0.0)[places].reshape(np.shape(successes))
    return found


@lru_cache(maxsize=4096)  # estimates ask again for what has not changed
def clopper_pearson(successes: float, trials: float, level: float = 0.95) -> tuple[float, float]:
    """Two-sided exact interval of a share; both numbers may be fractional, as effective ones are.

    (0, 1) without any trial.
    """
    tail, failures = (1 - level) / 2, trials - successes
    low, high = 0.0, 1.0
    if successes > _NOTHING:
        low = inverse(successes, failures + 1, tail)
    if failures > _NOTHING:
        high = inverse(successes + 1, failures, 1 - tail)
    return low, high


def accuracy_interval(
    losses: npt.NDArray[np.floating], *, binary: bool, level: float = 0.95
) -> tuple[float, float]:
    """Two-sided interval of one minus the mean of `losses` [N] in [0, 1].

    Clopper-Pearson where losses are 0 or 1 by nature, else a betting bound on either side.
    """
    if binary:
        return clopper_pearson(float(np.count_nonzero(losses == 0)), len(losses), level)
    tail = (1 - level) / 2
    spread = 2 * np.asarray(losses, np.float64)[None] - 1
    worst = float(betting_upper_bound(spread, tail)[0])
    best = float(betting_upper_bound(-spread, tail)[0])
    return (1 - worst) / 2, (1 + best) / 2
