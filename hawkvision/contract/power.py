"""Power, energy and temperature of the machine that an agent runs on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from hawkvision.contract.fields import Fields
from hawkvision.power import Energy, NotMeasured, PowerState


@dataclass(frozen=True, slots=True)
class RailStatus:
    """A supply: by which `source` it is known, its power in W, and whether it is in the sum."""

    source: str
    rail: str
    watts: float | None
    counted: bool

    def as_dict(self) -> dict[str, Any]:
        """The JSON object."""
        return {
            "source": self.source,
            "rail": self.rail,
            "watts": self.watts,
            "counted": self.counted,
        }


@dataclass(frozen=True, slots=True)
class PowerStatus:
    """What `GET /v1/power` says: `reason` is why no energy is measured, None where it is.

    `joules` were measured over `seconds` since the agent started, `unmeasured_s` were not;
    `celsius` is by sensor.
    """

    JSON_ALSO: ClassVar[Mapping[str, type]] = {"measured": bool}

    reason: str | None
    joules: float = 0.0
    seconds: float = 0.0
    unmeasured_s: float = 0.0
    rails: tuple[RailStatus, ...] = ()
    celsius: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, state: PowerState) -> PowerStatus:
        """From what a sampler knows."""
        rails = tuple(
            RailStatus(one.source, one.name, one.watts, one.counted) for one in state.rails
        )
        if isinstance(state.total, NotMeasured):
            return cls(state.total.reason, rails=rails, celsius=state.celsius)
        total = state.total
        return cls(
            None, total.joules, total.seconds, total.unmeasured_s, rails, dict(state.celsius)
        )

    @property
    def total(self) -> Energy | NotMeasured:
        """Since the agent started; the difference of two is what lies between them."""
        if self.reason is not None:
            return NotMeasured(self.reason)
        counted = tuple(f"{one.source} {one.rail}" for one in self.rails if one.counted)
        return Energy(self.joules, self.seconds, self.unmeasured_s, counted)

    def as_dict(self) -> dict[str, Any]:
        """The JSON object."""
        return {
            "measured": self.reason is None,
            "reason": self.reason,
            "joules": self.joules,
            "seconds": self.seconds,
            "unmeasured_s": self.unmeasured_s,
            "rails": [one.as_dict() for one in self.rails],
            "celsius": dict(self.celsius),
        }

    @classmethod
    def parse(cls, body: object) -> PowerStatus:
        """From the JSON object. Raises UnexpectedReply."""
        found = Fields.of(body, "a report of power")
        return cls(
            reason=found.text_or_none("reason"),
            joules=found.number("joules"),
            seconds=found.number("seconds"),
            unmeasured_s=found.number("unmeasured_s"),
            rails=tuple(
                RailStatus(
                    one.text("source"),
                    one.text("rail"),
                    one.number_or_none("watts"),
                    one.flag("counted"),
                )
                for one in found.children("rails")
            ),
            celsius=found.named_numbers("celsius"),
        )
