"""What the page shows of the present: how an agent does, and how right its answers are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edge_agent.fleet.delivered import DeliveredWindows
from hawkvision.contract.delivered import StoreStatus
from hawkvision.contract.gateways import GatewayStatus
from hawkvision.contract.power import PowerStatus
from hawkvision.tracking import estimate
from hawkvision.tracking.counts import Delivered, Sums
from hawkvision.tracking.records import OTHER_TARGET

MOST_TARGETS = 12
"""Of each task, the ones with the most requests."""


@dataclass(frozen=True, slots=True)
class WindowView:
    """What one target got in a window: the estimate that stands for all, by its `source`.

    `value`, `low` and `high` are accuracies, None before there is anything to estimate from; `n`
    is how many samples they rest on.
    """

    requests: float
    escalation_rate: float
    source: str | None = None
    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: float = 0.0


@dataclass(frozen=True, slots=True)
class TargetView:
    """One accuracy target of a task; `asked` is None for a relative one, or several together."""

    target: str
    asked: float | None
    state: str
    windows: Mapping[str, WindowView]


@dataclass(frozen=True, slots=True)
class TaskView:
    """One task and its busiest targets; `more` are not shown."""

    name: str
    version: str
    targets: tuple[TargetView, ...]
    more: int
    audit_share: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The present. `agents` is None where the store does not say; `held_back` escalations wait.

    `tracked` is off where the agent runs without a store, and counts no accuracy.
    """

    uptime_s: float
    version: str
    workers: int
    draining: bool
    tracked: bool
    tasks: tuple[TaskView, ...]
    gateways: tuple[GatewayStatus, ...]
    held_back: bool
    store: StoreStatus
    store_kind: str
    agents: int | None
    power: PowerStatus

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "uptime_s": round(self.uptime_s),
            "version": self.version,
            "workers": self.workers,
            "draining": self.draining,
            "tracked": self.tracked,
            "tasks": [asdict(one) for one in self.tasks],
            "gateways": [one.as_dict() for one in self.gateways],
            "held_back": self.held_back,
            "store": self.store.as_dict() | {"kind": self.store_kind},
            "agents": self.agents,
            "power": self.power.as_dict(),
        }


def busiest(found: DeliveredWindows) -> tuple[list[str], int]:
    """The targets of a task that are shown, sorted, and how many are not."""
    requests: dict[str, float] = {}
    for sums in found.windows.values():
        for target, measures in sums.items():
            total = Delivered.read(measures).total
            requests[target] = max(requests.get(target, 0.0), total)
    first = sorted(requests, key=lambda target: (-requests[target], target))[:MOST_TARGETS]
    return sorted(first), len(requests) - len(first)


def target_view(target: str, found: DeliveredWindows) -> TargetView:
    """What was delivered of one target, for people."""
    state = found.thresholds.get(target)
    absolute = target != OTHER_TARGET and not target.startswith("relative:")
    return TargetView(
        target,
        float(target) if absolute else None,
        "certified" if state is None else state.state,
        {
            window: _window_view(sums[target])
            for window, sums in found.windows.items()
            if target in sums
        },
    )


def _window_view(sums: Sums) -> WindowView:
    delivered = Delivered.read(sums)
    total = delivered.total
    rate = delivered.answered_by("dc") / total if total else 0.0
    best = estimate.chosen(estimate.from_all_sources(delivered))
    if best is None:
        return WindowView(total, rate)
    return WindowView(total, rate, best.source, best.value, best.low, best.high, best.n)


def store_kind(address: str) -> str:
    """`memory`, `off` or `redis`: never the address, which may hold a password."""
    return address if address in ("memory", "off") else address.split(":", 1)[0][:20]


def gateways_of(found: Sequence[GatewayStatus]) -> tuple[GatewayStatus, ...]:
    """The first so many: a page is no place for hundreds."""
    return tuple(found[:32])
