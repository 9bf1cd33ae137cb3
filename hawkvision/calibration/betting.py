"""Upper bounds on a mean by betting: exact at any sample size, for any values in [-1, 1].

The capital of a gambler who bets against "the mean is above b", with stakes that depend on the
past only, exceeds 1/δ with probability at most δ if it is (Ville). The stakes are those of
Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting" (JRSS-B 2024,
arXiv 2010.09686, eq. 30).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_STEPS = 14
_LARGEST_STAKE = 0.9
"""Of the capital, at most this share is at risk on one image."""

_PRIOR_VARIANCE = 0.01
"""Variance of x assumed before the first image; any value keeps the guarantee."""

_ORDER_SEED = 20240229
_ROWS = 64
"""Rows of a matrix [G,N] that are bet on at once: bounds memory."""

Floats = npt.NDArray[np.float64]


def betting_upper_bound(values: npt.NDArray[np.number], delta: float) -> Floats:
    """The smallest b [G] that a bet at risk `delta` rejects "mean > b" for, one per row.

    `values` [G,N] in [-1, 1], each row in an order that does not depend on values.
    """
    x = (1.0 - np.asarray(values, np.float64)) / 2
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


def betting_bounds(
    confidence: npt.NDArray[np.floating],
    local: npt.NDArray[np.number],
    escalated: npt.NDArray[np.number],
    thresholds: Floats,
    delta: float,
) -> Floats:
    """For each threshold [G], the bound on the mean of a cascade's values.

    An image counts with `local` [N] where `confidence` [N] reaches the threshold, and with
    `escalated` [N] below it; both in [-1, 1]. Each bound holds on its own, at risk `delta`.
    """
    order = np.random.default_rng(_ORDER_SEED).permutation(len(confidence))
    conf = np.asarray(confidence, np.float64)[order]
    here, up = np.asarray(local)[order], np.asarray(escalated)[order]
    answered = len(conf) - np.searchsorted(np.sort(conf), thresholds, side="left")
    counts, first, where = np.unique(answered, return_index=True, return_inverse=True)
    distinct = np.empty(len(counts))
    for start in range(0, len(counts), _ROWS):
        part = first[start : start + _ROWS]
        rows = np.where(conf[None] >= thresholds[part][:, None], here[None], up[None])
        distinct[start : start + _ROWS] = betting_upper_bound(rows, delta)
    return np.asarray(distinct[where])
