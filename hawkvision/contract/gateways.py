"""How an agent sees its gateways."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hawkvision.contract.fields import Fields


@dataclass(frozen=True, slots=True)
class GatewayStatus:
    """One gateway: its `preference` (0 is asked first), its `health`, and why it is left out.

    `health` is `healthy`, `draining`, `suspect`, `ejected` or `probing`; `reason` is empty unless
    it is left out.
    """

    gateway: str
    preference: int
    health: str
    reason: str
    calls_in_flight: int

    def as_dict(self) -> dict[str, Any]:
        """The JSON object."""
        return {
            "gateway": self.gateway,
            "preference": self.preference,
            "health": self.health,
            "reason": self.reason,
            "calls_in_flight": self.calls_in_flight,
        }

    @classmethod
    def parse(cls, body: object) -> GatewayStatus:
        """From the JSON object. Raises UnexpectedReply."""
        found = Fields.of(body, "a gateway")
        return cls(
            gateway=found.text("gateway"),
            preference=found.whole("preference"),
            health=found.text("health"),
            reason=found.text("reason", ""),
            calls_in_flight=found.whole("calls_in_flight"),
        )


def gateways_body(gateways: Sequence[GatewayStatus]) -> dict[str, Any]:
    """The JSON object of `GET /v1/gateways`."""
    return {"gateways": [one.as_dict() for one in gateways]}


def parse_gateways(body: object) -> list[GatewayStatus]:
    """The gateways of `GET /v1/gateways`. Raises UnexpectedReply."""
    found = Fields.of(body, "a list of gateways")
    return [GatewayStatus.parse(one.body) for one in found.children("gateways")]
