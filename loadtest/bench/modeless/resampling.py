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
    drawn = _times_drawn(rng)
    same = [len(one) for one in ours] == [len(one) for one in theirs]
    below = _tails(ours, drawn, share)
    above = _tails(theirs, drawn if same else _times_drawn(rng), share)
    comparable = np.isfinite(below) | np.isfinite(above)
    if not comparable.any():
        return None
    ratios = above[comparable] / below[comparable]
    bounds = np.percentile(ratios, _SHARES, method="nearest")
    return [float(one) if np.isfinite(one) and one > 0 else None for one in bounds]


def _times_drawn(rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """How often each draw has each slice, [D, S]."""
    return rng.multinomial(_SLICES, [1 / _SLICES] * _SLICES, size=_DRAWS)


def _tails(repetitions: Sequence[Floats], drawn: npt.NDArray[np.int64], share: float) -> Floats:
    """The percentile of each draw, of all repetitions together: [D].

    As `numpy.percentile` has it with method "higher"; what is drawn twice is there twice.
    """
    waits = np.concatenate(repetitions)
    slices = np.concatenate([np.arange(len(one)) * _SLICES // len(one) for one in repetitions])
    order = np.argsort(waits, kind="stable")
    up_to = np.cumsum(drawn[:, slices[order]], axis=1)
    place = np.ceil(share / 100 * (up_to[:, -1] - 1)).astype(np.int64)
    return np.asarray(waits[order][(up_to > place[:, None]).argmax(axis=1)])
