"""Which of several models make the best chain: their answers on a few images in, a ranking out.

The images must certify nothing: what is chosen by looking at them is chosen before any image of the
certificate is seen, and that holds as it stands, without a correction for the choice. So what the
chain will be certified for, by which thresholds and at what cost, is an estimate here. Few images
flatter some chain among many, and may make it look as though nothing had to be escalated at all.
Therefore nothing is read off them directly: `_DRAWS` times, as many images as will certify are
drawn from a population that these could have come from (a Bayesian bootstrap: Rubin, "The Bayesian
Bootstrap", Annals of Statistics 9, 1981), the certificate is computed, and costs are taken at its
thresholds. Pure; no model, no clock, always the same draws.

Chosen is, of the chains that will surely enough be certified for every target, that of the least
mean time plus `TAIL_SHARE` of the 99th percentile. The mean is what machines have to carry, as
times of rungs are processor time. The percentile is what people notice, and it jumps by a round
trip where more than one answer in a hundred goes over the link; with a tenth of it, a chain that
stays at the edge is worth some milliseconds of computing there, not any number of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np
import numpy.typing as npt

from hawkvision.calibration.curve import default_grid
from hawkvision.calibration.intervals import clopper_pearson_lower
from hawkvision.cascade.chain import choose_chain, of_chain
from hawkvision.cascade.cut import RungCost, best_cut, fitting, slowest_ms
from hawkvision.cascade.policy import DEFAULTS, MOST_BY_DEFAULT
from hawkvision.errors import CalibrationError

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Ranks = npt.NDArray[np.intp]

MOST_RUNGS = 3
MOST_CANDIDATES = 16
"""680 chains."""

TAIL_SHARE = 0.1
"""Of the 99th percentile, what counts beside the mean."""

SURE = 0.9
"""A chance of being certified that is enough."""

AS_SURE = 0.05
"""Where no chain is that sure, so much less than the surest one's chance is enough."""

_DRAWS = 400
_SEED = 20240229
_BEYOND_P99 = 0.01


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
    """The certificate to come: how many images, at what risk for a target."""

    images: int
    delta: float


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain and what is expected of it.

    The agent's own rule holds the first `held` rungs at the edge, in `memory_mb`. `mean_ms` and
    `p99_ms` are service times over all targets and draws alike, the link included; `slowest_ms` is
    that of an image that goes through all rungs. `escalated` is what the first rung hands on, by
    target, the mean of the draws. `accuracy` is the chain's where the first rung hands on
    everything, `highest` the median of what the certificate then reaches, `chance` the share of
    draws in which it reaches all that is wanted.
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
        return self.allowed(wanted) and self.chance > 0.5


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
    if not kept:
        raise CalibrationError("no candidates", hint="Give two or more.")
    draws = _Draws(len(kept[0].loss), certifying)
    found = [_estimate(chain, wanted, draws) for chain in _chains(kept)]
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


class _Draws:
    """Certificates that may come: how often each of the images is drawn, [B,N], and the bounds."""

    def __init__(self, images: int, certifying: Certifying) -> None:
        rng = np.random.default_rng(_SEED)
        population = rng.dirichlet(np.ones(images), _DRAWS)
        self.times = rng.multinomial(certifying.images, population)
        self._right = np.arange(certifying.images + 1)
        self._bound = clopper_pearson_lower(self._right, certifying.images, certifying.delta)

    def bounds(self, local: Floats, upper: Floats, order: Ranks, answered: Ranks) -> Doubles:
        """The running bound on accuracy by draw and threshold, [B,G], as the certificate's.

        `order` [N] is that of falling confidence, `answered` [G] how many of it each threshold
        leaves to the first rung. That of a share: of losses between 0 and 1 it is lower than the
        certificate's, if anything.
        """
        times = self.times[:, order]
        gain = np.cumsum(times * (upper - local)[order].astype(np.float64), axis=1)
        gain = np.concatenate([np.zeros((len(gain), 1)), gain], axis=1)
        right = (times @ (1 - upper[order].astype(np.float64)))[:, None] + gain[:, answered]
        return np.minimum.accumulate(np.interp(right, self._right, self._bound), axis=1)


def _estimate(chain: Sequence[Candidate], wanted: Wanted, draws: _Draws) -> Chain:
    losses = np.stack([one.loss for one in chain])
    confidence = np.stack([one.confidence for one in chain])
    middle = choose_chain(losses[1:], confidence[1:])
    upper = of_chain(losses[1:], confidence[1:], middle)
    order = np.argsort(confidence[0], kind="stable")[::-1]
    falling = confidence[0][order].astype(np.float64)
    answered = np.searchsorted(-falling, -default_grid(), "right")
    bounds = draws.bounds(losses[0], upper, order, answered)
    reached = _reached(confidence[1:, order], middle, answered)
    by_target = np.stack([_met(bounds, target, reached) for target in wanted.targets])
    memory = [one.memory_mb for one in chain]
    costs = [
        RungCost(one.milliseconds, one.milliseconds, one.memory_mb, float(share))
        for one, share in zip(chain, _by_default(bounds, reached), strict=True)
    ]
    most = len(chain) if wanted.memory_mb is None else fitting(memory, wanted.memory_mb)
    held = best_cut(costs, most=most, link_ms=wanted.link_ms, deadline_ms=wanted.deadline_ms)
    ms = np.array([one.milliseconds for one in chain], np.float64)
    if held < len(chain):
        ms[held] += wanted.link_ms  # whatever comes to that rung came over the link
    shares = by_target.mean(axis=0)
    last = int((shares[1:] > _BEYOND_P99).sum())  # the rung where all but one in a hundred end
    certified = bounds[:, 0]
    return Chain(
        rungs=tuple(one.name for one in chain),
        held=held,
        memory_mb=sum(memory[:held]),
        mean_ms=float(ms @ shares),
        p99_ms=float(ms[: last + 1].sum()),
        slowest_ms=slowest_ms(costs, held, wanted.link_ms),
        escalated=tuple(float(one[1]) for one in by_target),
        accuracy=1 - float(upper.mean(dtype=np.float64)),
        highest=float(np.median(certified)),
        chance=float((certified >= max(wanted.targets)).mean()),
    )


def _met(bounds: Doubles, target: float, reached: Doubles) -> Doubles:
    """The shares that come to each rung [R] at a target, the mean of all draws.

    At the lowest threshold that certifies it; everything escalates where none does.
    """
    place = np.maximum((bounds >= target).sum(axis=1) - 1, 0)
    return np.asarray(reached[:, place].mean(axis=1))


def _by_default(bounds: Doubles, reached: Doubles) -> Doubles:
    """As `_met`, at the accuracy that a task has by default (`policy.default_accuracy`)."""
    middle = np.median(bounds, axis=0)
    offered = [one for one in DEFAULTS if one <= middle[0]]
    shares = [_met(bounds, one, reached) for one in offered]
    fit = [one for one in shares if one[1] <= MOST_BY_DEFAULT]
    return fit[-1] if fit else _met(bounds, float(middle[0]), reached)


def _reached(confidence: Floats, thresholds: Sequence[float], answered: Ranks) -> Doubles:
    """The shares of images that come to each rung, by threshold of the first one, [R,G].

    `confidence` [R-1,N] is the others', in the order of the first one's falling confidence, of
    which it answers the first `answered` [G]; `thresholds` are those of the middle rungs.
    """
    images = confidence.shape[1]
    here = np.ones(images, bool)
    shares = [np.ones(len(answered))]
    for place in range(len(confidence)):
        before = np.concatenate([[0], np.cumsum(here)])
        shares.append((before[-1] - before[answered]) / images)
        if place < len(thresholds):
            here &= confidence[place] < thresholds[place]
    return np.stack(shares)
