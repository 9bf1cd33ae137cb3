"""Which local answers the data center checks too: a base share, more after a shift alarm.

The alarm is free: the mean edge confidence of the recent past against that of calibration.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """Shares of local answers; a boost lasts for so many requests and then rests as long again."""

    base: float = 0.03
    boosted: float = 0.09
    boost_requests: float = 500.0
    rest_requests: float = 4000.0
    alarm_z: float = 6.0
    least_shift: float = 0.03
    memory: float = 300.0


class AuditPolicy:
    """Sans-I/O; fed with sums, asked for the share in force."""

    def __init__(self, mean: float, deviation: float, settings: AuditSettings) -> None:
        self._deviation = max(deviation, 1e-3)
        self._settings = settings
        self._n = 0.0
        self._sum = 0.0
        self._boost_left = 0.0
        self._rest_left = 0.0
        self._level = mean
        self.alarms = 0

    def see(self, requests: float, confidence_sum: float) -> None:
        """Take in requests since the last time and the sum of their edge confidence."""
        if requests <= 0:
            return
        settings = self._settings
        fade = max(0.0, 1 - requests / settings.memory)
        self._n = self._n * fade + requests
        self._sum = self._sum * fade + confidence_sum
        self._boost_left = max(0.0, self._boost_left - requests)
        if self._boost_left == 0:
            self._rest_left = max(0.0, self._rest_left - requests)
        mean = self._sum / self._n
        shift = abs(mean - self._level)
        z = shift / (self._deviation / self._n**0.5)
        enough = self._n >= 50
        if enough and z > settings.alarm_z and shift > settings.least_shift:
            self._level = mean
            if self._rest_left == 0 and self._boost_left == 0:
                self.alarms += 1
                self._boost_left = settings.boost_requests
                self._rest_left = settings.rest_requests

    @property
    def boosted(self) -> bool:
        """Whether an alarm is in force."""
        return self._boost_left > 0

    @property
    def share(self) -> float:
        """The probability that a local answer is audited."""
        return self._settings.boosted if self.boosted else self._settings.base
