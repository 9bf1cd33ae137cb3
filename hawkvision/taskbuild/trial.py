"""What was found by trial, and how sure that is. Pure: losses in, a verdict out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

_CHANCE = 0.01
NORMALIZATION, LAYOUT, BOTH = "normalisation", "layout", "layout and normalisation"
_KEYS = {NORMALIZATION: "normalize=", LAYOUT: "layout=", BOTH: "layout= and normalize="}


@dataclass(frozen=True, slots=True)
class Trial:
    """A choice of `what` for one rung: the best of those tried, and the next.

    `accuracy` is one minus the mean loss on `images`, by name, the best first; `chance` how likely
    a lead like the best one's over the runner-up is were both equally good.
    """

    rung: str
    chosen: str
    runner_up: str
    accuracy: Mapping[str, float]
    images: int
    chance: float
    what: str = NORMALIZATION

    @property
    def sure(self) -> bool:
        """Whether the lead is no accident."""
        return self.chance <= _CHANCE

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "rung": self.rung,
            "what": self.what,
            "normalization": self.chosen,
            "runner_up": self.runner_up,
            "accuracy": dict(self.accuracy),
            "images": self.images,
            "chance": self.chance,
            "sure": self.sure,
        }

    def __str__(self) -> str:
        right = ", ".join(f"{name} {share:.1%}" for name, share in self.accuracy.items())
        found = f"{self.rung}: {self.what} {self.chosen!r} was found by trial on {self.images}"
        verdict = (
            f"sure: such a lead over {self.runner_up!r} has a chance of {self.chance:.1g}"
            if self.sure
            else f"not sure: {self.runner_up!r} is too close (such a lead has a chance of "
            f"{self.chance:.2g}); give {_KEYS[self.what]}"
        )
        return f"{found} images of mixed classes (right on: {right}); {verdict}"


def compare(
    rung: str,
    losses: Mapping[str, Sequence[float]],
    gaps: Mapping[str, float] | None = None,
    what: str = NORMALIZATION,
) -> Trial:
    """The choice with the least mean loss; of equal ones that with the smaller gap, or the first.

    Losses are paired by image; a gap is how far confidence is from being right, at its best.

    The chance is that of the two-sided sign test on the images where the best two differ (for
    losses of 0 and 1, McNemar's exact test).
    """
    from scipy.stats import binomtest  # slow to import, and not needed to serve

    told = gaps or {}
    ranked = sorted(losses, key=lambda name: (float(np.mean(losses[name])), told.get(name, 1.0)))
    best, runner_up = ranked[0], ranked[min(1, len(ranked) - 1)]
    one, other = np.asarray(losses[best]), np.asarray(losses[runner_up])
    better, worse = int((one < other).sum()), int((one > other).sum())
    chance = float(binomtest(better, better + worse).pvalue) if better + worse else 1.0
    if len(ranked) == 1:
        chance = 0.0
    return Trial(
        rung,
        best,
        runner_up,
        {name: 1 - float(np.mean(losses[name])) for name in ranked},
        len(one),
        chance,
        what,
    )
