"""Leaving out what fails, and asking it again: a circuit breaker whose pauses grow.

In until `failures` calls in a row fail; then out for a pause; then one call is let through as a
probe, whose outcome ends the pause or begins a longer one. Who is alone (nobody else is in) is
never out for longer than the first pause, so that of several one is always soon tried again.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Health(Enum):
    """What calls are for: all pass, none does, or one that finds out."""

    HEALTHY = "healthy"
    EJECTED = "ejected"
    PROBING = "probing"


@dataclass(frozen=True, slots=True)
class EjectionSettings:
    """Pauses in seconds: the first, and the longest; each is `growth` times the one before.

    With `keep_one` who is alone is never left out: for callers that have no answer of their own.
    """

    failures: int = 5
    base_s: float = 1.0
    growth: float = 2.0
    longest_s: float = 30.0
    keep_one: bool = False


class Ejection:
    """One upstream, or one model at it. `begin` a call, then say once how it ended."""

    def __init__(self, settings: EjectionSettings | None = None) -> None:
        self._settings = settings or EjectionSettings()
        self._in_a_row = 0
        self._times = 0
        self._until: float | None = None
        self._well_since = 0.0
        self._probing = False

    @property
    def health(self) -> Health:
        """The state after the last event."""
        if self._until is None:
            return Health.HEALTHY
        return Health.PROBING if self._probing else Health.EJECTED

    def may(self, now: float) -> bool:
        """Whether a call may begin at `now` (seconds, monotonic)."""
        return self._until is None or (not self._probing and now >= self._until)

    def begin(self) -> bool:
        """A call begins that `may`; whether it is a probe."""
        if self._until is None:
            return False
        self._probing = True
        return True

    def succeeded(self, now: float) -> bool:
        """A call was answered; whether that ended a pause."""
        self._in_a_row = 0
        if self._until is None:
            return False
        self._until, self._well_since, self._probing = None, now, False
        return True

    def failed(self, now: float, *, probe: bool = False, alone: bool = False) -> bool:
        """A call was not answered as it should be; whether that began the first pause in a row."""
        if self._until is not None:
            if probe:  # what was under way when the pause began says nothing new
                self._pause(now, alone)
            return False
        self._in_a_row += 1
        return self._in_a_row >= self._settings.failures and self.eject(now, alone=alone)

    def eject(self, now: float, *, alone: bool = False) -> bool:
        """Enough is known: begin a pause, if there is none; whether it began."""
        settings = self._settings
        if self._until is not None or (alone and settings.keep_one):
            return False
        if now - self._well_since > settings.longest_s:
            self._times = 0
        self._pause(now, alone)
        return True

    def no_verdict(self, *, probe: bool = False) -> None:
        """A call said nothing of the upstream: its caller went away, or was at fault."""
        if probe:
            self._probing = False

    def retry_at(self, now: float) -> None:
        """There is a sign of life: let a probe pass at `now`, if not before."""
        if self._until is not None:
            self._until = min(self._until, now)

    def _pause(self, now: float, alone: bool) -> None:
        settings = self._settings
        pause_s = settings.base_s
        if not alone:
            pause_s = min(settings.longest_s, pause_s * settings.growth ** min(self._times, 60))
            self._times += 1
        self._until, self._probing = now + pause_s, False
