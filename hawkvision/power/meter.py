"""From readings at their times to joules. Takes the time as an argument and reads no sensor."""

from __future__ import annotations

from dataclasses import dataclass

from hawkvision.power.energy import Energy
from hawkvision.power.reading import Rail, Reading

LONGEST_GAP_S = 30.0
"""Between two readings of power; what lies between ones further apart is not measured."""


@dataclass(frozen=True, slots=True)
class _Seen:
    at: float
    rail: Rail


class PowerMeter:
    """Sums energy over all counted rails: by counters where there are any, else by the trapezoid.

    A counter that begins again at its range is followed over one such turn; one that is set back
    otherwise, or a sensor that is silent, leaves that time unmeasured. Not for several threads.
    """

    def __init__(self, longest_gap_s: float = LONGEST_GAP_S) -> None:
        self._longest_gap_s = longest_gap_s
        self._seen: dict[tuple[str, str], _Seen] = {}
        self._watts: dict[tuple[str, str], float] = {}
        self._joules: dict[str, float] = {}
        self._total_joules = 0.0
        self._at: float | None = None
        self._seconds = 0.0
        self._unmeasured_s = 0.0
        self._rails: tuple[str, ...] = ()

    def add(self, now: float, reading: Reading) -> None:
        """Take a reading at `now`, seconds of a clock that does not jump."""
        before, self._at = self._at, now
        last, self._seen, self._watts = self._seen, {}, {}
        parts: dict[str, float] = {}
        counted = []
        whole = True
        for rail in reading.rails:
            joules = self._step(last.get((rail.source, rail.name)), now, rail)
            if rail.counted:
                counted.append(rail.full_name)
                whole = whole and joules is not None
                parts[rail.source] = parts.get(rail.source, 0.0) + (joules or 0.0)
        whole = whole and set(counted) >= set(self._rails)
        self._rails = tuple(dict.fromkeys((*self._rails, *counted)))
        for source, joules in parts.items():
            self._joules[source] = self._joules.get(source, 0.0) + joules
        if before is None or not self._rails:
            return
        if whole:
            self._seconds += now - before
            self._total_joules += sum(parts.values())
        else:
            self._unmeasured_s += max(0.0, now - before)

    def _step(self, last: _Seen | None, now: float, rail: Rail) -> float | None:
        """Joules since this rail was read last, None where they cannot be told."""
        key = (rail.source, rail.name)
        self._seen[key] = _Seen(now, rail)
        joules = None if last is None else self._between(last, now, rail)
        if rail.watts is not None:
            self._watts[key] = rail.watts
        elif joules is not None and last is not None:
            self._watts[key] = joules / (now - last.at)
        return joules

    def _between(self, last: _Seen, now: float, rail: Rail) -> float | None:
        seconds = now - last.at
        if not 0 < seconds <= self._longest_gap_s:
            return None
        if rail.joules is not None and last.rail.joules is not None:
            grown = rail.joules - last.rail.joules
            if grown < 0 and rail.wraps_at_j is not None:
                grown += rail.wraps_at_j
            return grown if grown >= 0 else None
        if rail.watts is not None and last.rail.watts is not None:
            return (rail.watts + last.rail.watts) / 2 * seconds
        return None

    @property
    def watts(self) -> dict[tuple[str, str], float]:
        """Power by source and rail: as read last, or over the last step of a counter."""
        return dict(self._watts)

    @property
    def joules(self) -> dict[str, float]:
        """Energy of the counted rails since the start, by source, whatever else was silent."""
        return dict(self._joules)

    @property
    def total(self) -> Energy:
        """Since the start, over the times in which all counted rails were measured."""
        return Energy(self._total_joules, self._seconds, self._unmeasured_s, self._rails)
