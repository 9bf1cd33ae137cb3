"""When an agent takes up a version, and when it goes back: states, and no I/O.

Which wave an agent is in follows from its id and the version, so nobody hands out places, and
another version finds other agents first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from hashlib import sha256

from hawkvision.updates.release import Release, Rollout
from hawkvision.updates.verdict import Verdict


class Phase(StrEnum):
    """Of one version at one agent."""

    WAITING = "waiting"
    """Its wave is not open yet."""
    TRIAL = "trial"
    """The old version serves, the new one answers a share of the requests for comparison."""
    SERVING = "serving"
    """The new version serves, the old one is beside it and answers a share."""
    ACCEPTED = "accepted"
    """The new version is the agent's own; nothing is compared any more."""
    REFUSED = "refused"
    """It never serves here."""


ENDED = (Phase.ACCEPTED, Phase.REFUSED)
PASSED = "passed"
"""What an agent's note says once the version has passed there."""

_SPAN = float(2**64)


def place_of(agent_id: str, task: str, version: str) -> float:
    """Where in [0, 1) an agent stands in the queue for a version."""
    told = "\0".join((agent_id, task, version)).encode()
    return int.from_bytes(sha256(told).digest()[:8]) / _SPAN * (1 - 1e-15)


def wave_of(rollout: Rollout, place: float) -> int:
    """The number of the first wave that holds a place."""
    return next(number for number, wave in enumerate(rollout.waves) if place < wave.share)


def opens_at(release: Release, wave: int) -> float:
    """When a wave may open at the earliest, seconds since 1970."""
    return release.released + sum(one.at_least_s for one in release.rollout.waves[:wave])


@dataclass(frozen=True, slots=True)
class Fleet:
    """What an agent knows of the others: what each notes of a version, by agent, and a halt.

    An agent that takes part has a note as soon as it knows of the version; `settled` where all of
    them have had the time to.
    """

    notes: Mapping[str, str]
    halt: str | None = None
    settled: bool = True

    def earlier_waves_passed(self, release: Release, wave: int) -> bool:
        """Whether enough agents of earlier waves passed the version, or all that there are."""
        earlier = [
            note
            for agent, note in self.notes.items()
            if note != Phase.REFUSED
            and wave_of(release.rollout, place_of(agent, release.task, release.version)) < wave
        ]
        if wave and not earlier:
            return self.settled
        passed = sum(note == PASSED for note in earlier)
        return passed >= min(release.rollout.passes, len(earlier))


ALONE = Fleet({})


@dataclass(frozen=True, slots=True)
class Course:
    """One version at one agent. Immutable; `step` gives the next state."""

    release: Release
    wave: int
    phase: Phase = Phase.WAITING
    began: float = 0.0
    passed: bool = False
    reason: str = ""

    @classmethod
    def of(cls, release: Release, agent_id: str) -> Course:
        """At its beginning."""
        place = place_of(agent_id, release.task, release.version)
        return cls(release, wave_of(release.rollout, place))

    def step(
        self, now: float, fleet: Fleet = ALONE, verdict: Verdict = Verdict.OPEN, pairs: int = 0
    ) -> Course:
        """One phase on at most; `now` in seconds since 1970."""
        if self.phase in ENDED:
            return self
        if fleet.halt is not None:
            return self.refused(f"halted in the fleet: {fleet.halt}")
        if verdict in (Verdict.WORSE, Verdict.SLOWER):
            return self.refused(f"the version is {verdict}")
        rollout, moved = self.release.rollout, replace(self, passed=self._passes(verdict))
        if self.phase is Phase.WAITING:
            if now < opens_at(self.release, self.wave):
                return self
            if not fleet.earlier_waves_passed(self.release, self.wave):
                return self
            return replace(self, phase=Phase.TRIAL, began=now)
        if self.phase is Phase.TRIAL:
            if pairs < rollout.first_pairs:
                return moved
            return replace(moved, phase=Phase.SERVING)
        watched = now - self.began >= rollout.waves[self.wave].at_least_s
        return replace(moved, phase=Phase.ACCEPTED) if moved.passed and watched else moved

    def _passes(self, verdict: Verdict) -> bool:
        return self.passed or verdict is Verdict.PASSES

    def refused(self, reason: str) -> Course:
        """It never serves here."""
        return replace(self, phase=Phase.REFUSED, reason=reason[:400])

    @property
    def note(self) -> str:
        """What the others are to know."""
        return PASSED if self.passed or self.phase is Phase.ACCEPTED else str(self.phase)
