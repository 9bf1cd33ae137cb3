"""What a task or an app was delivered: counts and estimates by window and target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from hawkvision.contract.apps import AppInfo
from hawkvision.contract.fields import Fields
from hawkvision.json_schema import MERGED

CERTIFIED = "certified"


@dataclass(frozen=True, slots=True)
class Estimate:
    """An accuracy with its 95 % interval, and how many samples it rests on."""

    source: str
    value: float
    low: float
    high: float
    n: float

    def as_dict(self) -> dict[str, Any]:
        """The JSON object."""
        return {
            "source": self.source,
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "n": self.n,
        }

    @classmethod
    def parse(cls, found: Fields) -> Estimate:
        """From the JSON object. Raises UnexpectedReply."""
        numbers = (found.number(name) for name in ("value", "low", "high", "n"))
        return cls(found.text("source"), *numbers)


@dataclass(frozen=True, slots=True)
class Tally:
    """What was answered, at one target or at all: `requests` of them.

    `escalation_rate` is None without requests. `degraded` counts by reason, `loss_levels` by the
    calibrated share of an image that was lost on the way, `estimates` are by source: `feedback`,
    `audits`, `prediction`; `source` names the one that rests on enough samples to stand for all.
    """

    requests: float
    escalation_rate: float | None
    audits: float
    degraded: Mapping[str, float]
    loss_levels: Mapping[str, float]
    estimates: Mapping[str, Estimate]
    source: str | None = None

    @property
    def best(self) -> Estimate | None:
        """The estimate that stands for all; an agent that names none gets its prediction shown."""
        return self.estimates.get(self.source or "prediction")

    def as_dict(self) -> dict[str, Any]:
        """The JSON object."""
        return {
            "requests": self.requests,
            "escalation_rate": self.escalation_rate,
            "audits": self.audits,
            "degraded": dict(self.degraded),
            "loss_levels": dict(self.loss_levels),
            "estimates": {name: one.as_dict() for name, one in self.estimates.items()},
            "source": self.source,
        }

    @classmethod
    def parse(cls, found: Fields) -> Tally:
        """From the JSON object. Raises UnexpectedReply."""
        return cls(
            requests=found.number("requests"),
            escalation_rate=found.number_or_none("escalation_rate"),
            audits=found.number("audits"),
            degraded=found.named_numbers("degraded"),
            loss_levels=found.named_numbers("loss_levels"),
            estimates={name: Estimate.parse(one) for name, one in found.named("estimates").items()},
            source=found.text_or_none("source"),
        )


@dataclass(frozen=True, slots=True)
class Window:
    """The last minutes or hours: all requests together, and by accuracy target."""

    overall: Tally = field(metadata=MERGED)
    targets: Mapping[str, Tally]

    def as_dict(self) -> dict[str, Any]:
        """The JSON object."""
        targets = {target: one.as_dict() for target, one in self.targets.items()}
        return {**self.overall.as_dict(), "targets": targets}

    @classmethod
    def parse(cls, found: Fields) -> Window:
        """From the JSON object. Raises UnexpectedReply."""
        targets = found.named("targets")
        return cls(
            Tally.parse(found),
            {target: Tally.parse(one) for target, one in targets.items()},
        )


@dataclass(frozen=True, slots=True)
class Threshold:
    """The confidence threshold that is in force for a target, and why."""

    threshold: float
    state: str

    def as_dict(self) -> dict[str, Any]:
        """The JSON object."""
        return {"threshold": self.threshold, "state": self.state}

    @classmethod
    def parse(cls, found: Fields) -> Threshold:
        """From the JSON object. Raises UnexpectedReply."""
        return cls(found.number("threshold"), found.text("state", CERTIFIED))


@dataclass(frozen=True, slots=True)
class StoreStatus:
    """Whether the store of counts answers, and what waits for it.

    `unavailable_since` is in seconds since the epoch, `backlog` in batches, `dropped` those that
    found no room in the journal. `journal` is `ok`, or `memory: …` with the reason why batches
    cannot be kept in its file.
    """

    available: bool
    unavailable_since: float | None = None
    reason: str = ""
    backlog: int = 0
    dropped: int = 0
    journal: str = "ok"

    def as_dict(self) -> dict[str, Any]:
        """The JSON object."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    @classmethod
    def parse(cls, found: Fields) -> StoreStatus:
        """From the JSON object. Raises UnexpectedReply."""
        return cls(
            available=found.flag("available"),
            unavailable_since=found.number_or_none("unavailable_since"),
            reason=found.text("reason", ""),
            backlog=found.whole("backlog", 0),
            dropped=found.whole("dropped", 0),
            journal=found.text("journal", "ok"),
        )


@dataclass(frozen=True, slots=True)
class AppThreshold:
    """For an app: what it asks for, the threshold in force, and the one that is certified."""

    app: AppInfo = field(metadata=MERGED)
    threshold: float
    certified_threshold: float

    def as_dict(self) -> dict[str, Any]:
        """The JSON object."""
        return {
            **self.app.as_dict(),
            "threshold": self.threshold,
            "certified_threshold": self.certified_threshold,
        }

    @classmethod
    def parse(cls, found: Fields) -> AppThreshold:
        """From the JSON object. Raises UnexpectedReply."""
        return cls(
            AppInfo.parse(found.body),
            found.number("threshold"),
            found.number("certified_threshold"),
        )


@dataclass(frozen=True, slots=True)
class Report:
    """The accuracy delivered of a task, or of one app's requests.

    `thresholds` are by target, only where the fleet's leader has set one; `windows` by their names,
    `5m`, `1h` and `24h`, as far as the store answered; `audit_share` is the share of local answers
    that the data center is asked about too. All of it is of one `version` of the task, the one that
    serves unless another was asked for; of agents that do not say, empty.
    """

    task: str
    thresholds: Mapping[str, Threshold]
    audit_share: float
    windows: Mapping[str, Window]
    store: StoreStatus
    app: AppThreshold | None = field(default=None, metadata=MERGED)
    version: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The JSON object; an app's keys stand among the others."""
        return {
            **({"task": self.task} if self.app is None else self.app.as_dict()),
            "version": self.version,
            "thresholds": {name: one.as_dict() for name, one in self.thresholds.items()},
            "audit_share": self.audit_share,
            "windows": {name: one.as_dict() for name, one in self.windows.items()},
            "store": self.store.as_dict(),
        }

    @classmethod
    def parse(cls, body: object) -> Report:
        """From the JSON object. Raises UnexpectedReply."""
        found = Fields.of(body, "a report")
        return cls(
            task=found.text("task"),
            thresholds={
                name: Threshold.parse(one) for name, one in found.named("thresholds").items()
            },
            audit_share=found.number("audit_share"),
            windows={name: Window.parse(one) for name, one in found.named("windows").items()},
            store=StoreStatus.parse(found.child("store")),
            app=AppThreshold.parse(found) if found.has("app") else None,
            version=found.text("version", ""),
        )
