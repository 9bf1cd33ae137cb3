"""How far a ratio of tails might lie elsewhere with other traffic: a bootstrap over slices of time.

Requests that wait in one queue are not independent, so what is drawn are slices of a measurement,
each long beside a queue's busy times (the non-overlapping blocks of Carlstein, Annals of Statistics
14, 1986). Where two systems had the same traffic the same slices are drawn of both.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
_SLICES = 20
_DRAWS = 400
_SHARES = (2.5, 97.5)


def ratio_interval(
    ours: Sequence[Floats], theirs: Sequence[Floats], share: float = 99.0, seed: int = 0
) -> list[float | None] | None:
    """95 % interval of their percentile over ours; each has an array [N] for each repetition.

    ms in the order in which requests were due, inf for what never came. A bound is None where it is
    beyond what was waited for; the whole is None where a repetition has fewer requests than slices.
    """
    if min((len(one) for one in (*ours, *theirs)), default=0) < _SLICES:
        return None
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, _SLICES, (_DRAWS, _SLICES))
    same = [len(one) for one in ours] == [len(one) for one in theirs]
    other = drawn if same else rng.integers(0, _SLICES, (_DRAWS, _SLICES))
    below, above = _tails(ours, drawn, share), _tails(theirs, other, share)
    comparable = np.isfinite(below) | np.isfinite(above)
    if not comparable.any():
        return None
    ratios = above[comparable] / below[comparable]
    bounds = np.percentile(ratios, _SHARES, method="nearest")
    return [float(one) if np.isfinite(one) and one > 0 else None for one in bounds]


def _tails(repetitions: Sequence[Floats], drawn: npt.NDArray[np.int64], share: float) -> Floats:
    """The percentile of each draw [D, S] of slices, of all repetitions together: [D]."""
    cut = [np.array_split(one, _SLICES) for one in repetitions]
    slices = [np.concatenate(parts) for parts in zip(*cut, strict=True)]
    return np.array(
        [
            np.percentile(np.concatenate([slices[one] for one in row]), share, method="higher")
            for row in drawn
        ]
    )
