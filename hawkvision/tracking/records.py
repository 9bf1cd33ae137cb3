"""What is counted and stored. All statistics are additive, so that a fleet's are sums."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any, NamedTuple

import orjson

from hawkvision.tracking.trust import vouched


class CountKey(NamedTuple):
    """Whose requests: the task, the app as it is counted ("" for none, see `trust`) and the
    accuracy target as it was asked. A tuple, because every request looks some up."""

    task: str
    app: str
    target: str


Counts = Mapping[CountKey, Mapping[str, float]]
"""Amounts by the measures of `counts`, e.g. `answers/edge/0`; a store does not interpret them."""

OTHER_APP = "*other"
OTHER_TARGET = "other"
"""Under which a task's apps and targets beyond a bound are counted; no client can ask for these."""


def other(task: str, *, with_key: bool = False) -> CountKey:
    """What stands for a task's apps and targets that are not counted apart: those that showed
    their keys, or those that did not."""
    return CountKey(task, vouched(OTHER_APP) if with_key else OTHER_APP, OTHER_TARGET)


@dataclass(frozen=True, slots=True)
class Batch:
    """What one agent counted over a short time; a store counts each `batch_id` once.

    `time_s` is when, in seconds since the epoch by the agent's clock, which may have jumped since.
    """

    batch_id: str
    time_s: float
    counts: Counts

    def encode(self) -> bytes:
        """As JSON."""
        rows = [
            [key.task, key.app, key.target, dict(measures)] for key, measures in self.counts.items()
        ]
        return orjson.dumps([self.batch_id, self.time_s, rows])

    @classmethod
    def decode(cls, data: bytes) -> Batch:
        """From JSON. Raises ValueError for anything else."""
        try:
            batch_id, time_s, rows = orjson.loads(data)
            counts = {
                CountKey(str(task), str(app), str(target)): {
                    str(name): float(amount) for name, amount in measures.items()
                }
                for task, app, target, measures in rows
            }
            return cls(str(batch_id), float(time_s), counts)
        except (TypeError, AttributeError) as error:
            raise ValueError(f"not a batch: {error}") from error


def merge(counts: dict[CountKey, dict[str, float]], more: Counts) -> None:
    """Add `more` to `counts`; amounts that are no finite number would spoil a sum for ever."""
    for key, measures in more.items():
        into = counts.setdefault(key, {})
        for name, amount in measures.items():
            if isfinite(amount):
                into[name] = into.get(name, 0.0) + amount


@dataclass(frozen=True, slots=True)
class Fresh:
    """What a task counted since a cursor was given, and the cursor to ask with the next time.

    `baseline`: nobody can tell, because there was no cursor, or its store began anew, or it is
    too old. Then `counts` is empty, and reading goes on from here.
    """

    counts: Counts
    cursor: str
    baseline: bool = False


@dataclass(frozen=True, slots=True)
class AppTarget:
    """What requests of an app ask for; `accuracy` as on a request, e.g. `0.95`."""

    app: str
    task: str
    accuracy: str
    deadline_ms: float | None = None


@dataclass(frozen=True, slots=True)
class ThresholdState:
    """The threshold in force for a target, and why; `fence` is the lead that set it."""

    target: str
    threshold: float
    state: str
    fence: int
    time_s: float


@dataclass(frozen=True, slots=True)
class Change:
    """What a store tells: `what` is a task or `apps`; `states` are thresholds that came into force,
    where they are told with it."""

    what: str
    states: tuple[ThresholdState, ...] = ()


@dataclass(frozen=True, slots=True)
class AgentInfo:
    """An agent as it reports itself."""

    agent_id: str
    url: str
    tasks: tuple[str, ...]
    started_s: float
    seen_s: float


def to_json(record: AppTarget | ThresholdState | AgentInfo) -> bytes:
    """A record as a JSON object."""
    return orjson.dumps(asdict(record))


def app_target(raw: Mapping[str, Any]) -> AppTarget:
    """An app's target from a JSON object."""
    deadline = raw.get("deadline_ms")
    return AppTarget(
        str(raw["app"]),
        str(raw["task"]),
        str(raw["accuracy"]),
        None if deadline is None else float(deadline),
    )


def threshold_state(raw: Mapping[str, Any]) -> ThresholdState:
    """A threshold from a JSON object."""
    return ThresholdState(
        str(raw["target"]),
        float(raw["threshold"]),
        str(raw["state"]),
        int(raw["fence"]),
        float(raw["time_s"]),
    )


def agent_info(raw: Mapping[str, Any]) -> AgentInfo:
    """An agent from a JSON object."""
    return AgentInfo(
        str(raw["agent_id"]),
        str(raw["url"]),
        tuple(str(task) for task in raw["tasks"]),
        float(raw["started_s"]),
        float(raw["seen_s"]),
    )
