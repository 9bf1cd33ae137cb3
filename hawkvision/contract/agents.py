"""The agents of a fleet that are alive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hawkvision.contract.fields import Fields


@dataclass(frozen=True, slots=True)
class AgentStatus:
    """An agent as it reports itself; times in seconds since the epoch."""

    agent_id: str
    url: str
    tasks: tuple[str, ...]
    started_s: float
    seen_s: float

    def as_dict(self) -> dict[str, Any]:
        """The JSON object."""
        return {
            "agent_id": self.agent_id,
            "url": self.url,
            "tasks": list(self.tasks),
            "started_s": self.started_s,
            "seen_s": self.seen_s,
        }

    @classmethod
    def parse(cls, body: object) -> AgentStatus:
        """From the JSON object. Raises UnexpectedReply."""
        found = Fields.of(body, "an agent")
        return cls(
            agent_id=found.text("agent_id"),
            url=found.text("url"),
            tasks=found.texts("tasks"),
            started_s=found.number("started_s"),
            seen_s=found.number("seen_s"),
        )


def agents_body(agents: Sequence[AgentStatus]) -> dict[str, Any]:
    """The JSON object of `GET /v1/agents`."""
    return {"agents": [agent.as_dict() for agent in agents]}


def parse_agents(body: object) -> list[AgentStatus]:
    """The agents of `GET /v1/agents`. Raises UnexpectedReply."""
    found = Fields.of(body, "a list of agents")
    return [AgentStatus.parse(one.body) for one in found.children("agents")]
