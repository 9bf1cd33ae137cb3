"""Which of several models make the best chain: their answers on a few images in, a ranking out.

The images must certify nothing: what is chosen by looking at them is chosen before any image of the
certificate is seen, and that holds as it stands, without a correction for the choice. What the
chain will be certified for is therefore an estimate here: the certificate's own bound, as though as
many images as will certify were answered as these are. Few images flatter some chain among many;
so the chance that the estimate comes true counts too. Pure; no model, no clock.

Chosen is, of the chains that will surely enough be certified for every target, that of the least
mean time plus `TAIL_SHARE` of the 99th percentile. The mean is what machines have to carry, as
times of rungs are processor time. The percentile is what people notice, and it jumps by a round
trip where more than one answer in a hundred goes over the link; with a tenth of it, a chain that
stays at the edge is worth some milliseconds of computing there, not any number of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np
import numpy.typing as npt

from hawkvision.calibration.curve import (
    ESCALATE_ALL,
    LowerConfidenceCurve,
    lower_confidence_curve,
)
from hawkvision.cascade.chain import choose_chain, of_chain
from hawkvision.cascade.cut import RungCost, best_cut, fitting, slowest_ms
from hawkvision.cascade.policy import default_accuracy
from hawkvision.errors import CalibrationError, TargetUnreachable

Floats = npt.NDArray[np.float32]

MOST_RUNGS = 3
MOST_CANDIDATES = 16
"""680 chains."""

TAIL_SHARE = 0.1
"""Of the 99th percentile, what counts beside the mean."""

SURE = 0.9
"""A chance of being certified that is enough."""

AS_SURE = 0.05
"""Where no chain is that sure, so much less than the surest one's chance is enough."""


@dataclass(frozen=True)
class Candidate:
    """A model that may become a rung: ms for one image, resident MB, and its answers.

    `loss` in [0, 1] and calibrated `confidence` are float32 [N], of the same images for all.
    """

    name: str
    milliseconds: float
    memory_mb: float
    loss: Floats
    confidence: Floats

    @property
    def accuracy(self) -> float:
        """One minus the mean loss."""
        return 1 - float(self.loss.mean(dtype=np.float64))

    def beats(self, other: Candidate) -> bool:
        """Whether it costs no more, is right no less often, and is better in one of it.

        Of two that are equal in all, that whose name sorts first.
        """
        mine = (self.milliseconds, self.memory_mb, -self.accuracy)
        theirs = (other.milliseconds, other.memory_mb, -other.accuracy)
        if mine == theirs:
            return self.name < other.name
        return all(one <= two for one, two in zip(mine, theirs, strict=True))


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the chain is for: targets, all asked for equally often, and where it will run.

    `memory_mb` (None: no bound) is for rungs at the edge; `link_ms` a round trip.
    """

    targets: tuple[float, ...]
    memory_mb: float | None = None
    link_ms: float = 20.0
    deadline_ms: float = 1000.0


@dataclass(frozen=True, slots=True)
class Certifying:
    """The certificate to come: how many images, at what risk; `binary` as in the scores."""

    images: int
    delta: float
    binary: bool


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain and what is expected of it.

    The agent's own rule holds the first `held` rungs at the edge, in `memory_mb`. `mean_ms` and
    `p99_ms` are service times over all targets alike, the link included; `slowest_ms` is that of an
    image that goes through all rungs. `escalated` is what the first rung hands on, by target.
    `accuracy` is the chain's where the first rung hands on everything, `highest` the target that
    the certificate is then expected to reach, `chance` how likely it reaches all that are wanted.
    """

    rungs: tuple[str, ...]
    held: int
    memory_mb: float
    mean_ms: float
    p99_ms: float
    slowest_ms: float
    escalated: tuple[float, ...]
    accuracy: float
    highest: float
    chance: float

    @property
    def objective(self) -> float:
        """What is made least, ms."""
        return self.mean_ms + TAIL_SHARE * self.p99_ms

    def allowed(self, wanted: Wanted) -> bool:
        """Whether it fits into the memory at the edge, and every answer into the deadline."""
        fits = wanted.memory_mb is None or self.memory_mb <= wanted.memory_mb
        return fits and self.slowest_ms <= wanted.deadline_ms

    def meets(self, wanted: Wanted) -> bool:
        """Whether it is allowed, and will more likely than not be certified for every target."""
        return self.allowed(wanted) and self.highest >= max(wanted.targets)


@dataclass(frozen=True, slots=True)
class Ranking:
    """Chains, the best first, and the candidates that another one beats, by name."""

    chains: tuple[Chain, ...]
    beaten_by: Mapping[str, str]


def rank(candidates: Sequence[Candidate], wanted: Wanted, certifying: Certifying) -> Ranking:
    """All chains of two and three candidates, each taking longer than the one before.

    First those that meet what is wanted, by their objective, those that are sure enough before all
    others; then those that are allowed, then the rest, both by the highest target. Raises
    CalibrationError where there is no chain.
    """
    if not wanted.targets:
        raise CalibrationError("a chain is chosen for targets", hint="Give at least one.")
    if len(candidates) > MOST_CANDIDATES:
        raise CalibrationError(f"{len(candidates)} candidates are more than {MOST_CANDIDATES}")
    ordered = sorted(candidates, key=lambda one: (one.milliseconds, one.name))
    beaten_by = {}
    for one in ordered:
        better = sorted(other.name for other in ordered if other.beats(one))
        if better:
            beaten_by[one.name] = better[0]
    kept = [one for one in ordered if one.name not in beaten_by]
    found = [_estimate(chain, wanted, certifying) for chain in _chains(kept)]
    if not found:
        raise CalibrationError(
            f"{kept[0].name} is right as often as any other candidate, at the least cost: "
            "there is nothing to escalate to",
            hint="Serve it alone, or give candidates that are right more often.",
        )

    surest = max((one.chance for one in found if one.meets(wanted)), default=0.0)
    enough = min(SURE, surest - AS_SURE)

    def order(one: Chain) -> tuple[int, float, float, int, tuple[str, ...]]:
        if one.meets(wanted):
            group = 0 if one.chance >= enough else 1
            return group, one.objective, -one.highest, len(one.rungs), one.rungs
        group = 2 if one.allowed(wanted) else 3
        return group, -one.highest, one.objective, len(one.rungs), one.rungs

    return Ranking(tuple(sorted(found, key=order)), beaten_by)


def _chains(kept: Sequence[Candidate]) -> Iterator[tuple[Candidate, ...]]:
    for length in range(2, MOST_RUNGS + 1):
        for chain in combinations(kept, length):
            times = [one.milliseconds for one in chain]
            if all(shorter < longer for shorter, longer in pairwise(times)):
                yield chain


def _estimate(chain: Sequence[Candidate], wanted: Wanted, certifying: Certifying) -> Chain:
    losses = np.stack([one.loss for one in chain])
    confidence = np.stack([one.confidence for one in chain])
    middle = choose_chain(losses[1:], confidence[1:])
    upper = of_chain(losses[1:], confidence[1:], middle)
    curve = _curve_to_come(confidence[0], losses[0], upper, certifying)
    first = [_threshold(curve, target) for target in wanted.targets]
    default = _threshold(curve, default_accuracy(curve))
    reached = _reached(confidence, [default, *middle]).mean(axis=1)
    memory = [one.memory_mb for one in chain]
    costs = [
        RungCost(one.milliseconds, one.milliseconds, one.memory_mb, float(share))
        for one, share in zip(chain, reached, strict=True)
    ]
    most = len(chain) if wanted.memory_mb is None else fitting(memory, wanted.memory_mb)
    held = best_cut(costs, most=most, link_ms=wanted.link_ms, deadline_ms=wanted.deadline_ms)
    ms = np.array([one.milliseconds for one in chain], np.float64)
    if held < len(chain):
        ms[held] += wanted.link_ms  # whatever comes to that rung came over the link
    came = [_reached(confidence, [threshold, *middle]) for threshold in first]
    times = ms @ np.concatenate(came, axis=1)
    highest = curve.highest_certifiable
    return Chain(
        rungs=tuple(one.name for one in chain),
        held=held,
        memory_mb=sum(memory[:held]),
        mean_ms=float(times.mean()),
        p99_ms=float(np.quantile(times, 0.99, method="inverted_cdf")),
        slowest_ms=slowest_ms(costs, held, wanted.link_ms),
        escalated=tuple(float(one[1].mean()) for one in came),
        accuracy=1 - float(upper.mean(dtype=np.float64)),
        highest=highest,
        chance=_chance(highest - max(wanted.targets), upper, certifying.images),
    )


def _curve_to_come(
    confidence: Floats, local: Floats, upper: Floats, certifying: Certifying
) -> LowerConfidenceCurve:
    """That of the certificate, were its images answered as these are."""
    again = np.arange(certifying.images) * len(confidence) // certifying.images
    return lower_confidence_curve(
        confidence[again],
        local[again],
        upper[again],
        binary=certifying.binary,
        delta=certifying.delta,
    )


def _chance(lead: float, losses: Floats, images: int) -> float:
    """That a bound as far above its target as `lead` is still there on other images.

    Normal: the means of these `losses` and of as many as `images` others differ by chance. A
    variance of 0 is not believed of few images.
    """
    variance = max(float(losses.var(dtype=np.float64)), 1 / len(losses))
    spread = math.sqrt(variance * (1 / len(losses) + 1 / images))
    return 0.5 * (1 + math.erf(lead / spread / math.sqrt(2)))


def _threshold(curve: LowerConfidenceCurve, target: float) -> float:
    """What certifies the target; where nothing does, everything escalates."""
    try:
        return curve.threshold_for(target)
    except TargetUnreachable:
        return ESCALATE_ALL


def _reached(confidence: Floats, thresholds: Sequence[float]) -> npt.NDArray[np.bool_]:
    """Which images come to which rung [R,N], by the thresholds of all rungs but the last."""
    here = np.ones(confidence.shape, bool)
    for place, threshold in enumerate(thresholds):
        here[place + 1] = here[place] & (confidence[place] < threshold)
    return here
