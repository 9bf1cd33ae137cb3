"""Measured costs as JSON: what one machine measured is planned with on another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from hawkvision.errors import InvalidRequest
from hawkvision.planning.costs import EdgeCosts, GatewayCosts, Step

_MOST_BYTES = 1_000_000
_MOST_TIMES = 10_000
_MOST_RUNGS = 64


def as_json(edge: EdgeCosts, gateway: GatewayCosts, task: str) -> dict[str, Any]:
    """For a file."""
    return {"task": task, "edge": asdict(edge), "gateway": asdict(gateway)}


def read_edge(path: Path, task: str, rungs: int) -> EdgeCosts:
    """An agent's costs of a file, of a task with so many rungs. Raises InvalidRequest."""
    body = _read(path, task, "edge")
    try:
        return EdgeCosts(
            first=_step(body["first"]),
            escalate=_step(body["escalate"]),
            rungs=_steps(body["rungs"], rungs - 1),
            idle_cores=_number(body["idle_cores"]),
            source=str(body["source"])[:200],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path, error) from error


def read_gateway(path: Path, task: str, rungs: int) -> GatewayCosts:
    """As `read_edge`, a gateway's."""
    body = _read(path, task, "gateway")
    try:
        return GatewayCosts(
            call=_step(body["call"]),
            rungs=_steps(body["rungs"], rungs - 1),
            loop_ms=_number(body["loop_ms"]),
            idle_cores=_number(body["idle_cores"]),
            source=str(body["source"])[:200],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path, error) from error


def _read(path: Path, task: str, side: str) -> Mapping[str, Any]:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise InvalidRequest(f"{path}: larger than a file of costs is")
        body = orjson.loads(path.read_bytes())
        costs = body["costs"]
        of, found = costs["task"], costs[side]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise _damaged(path, error) from error
    if of != task:
        raise InvalidRequest(
            f"{path}: the costs are of task {str(of)[:40]!r}, not of {task!r}",
            hint="Measure this task: hawkvision plan --measure --json FILE.",
        )
    if not isinstance(found, Mapping):
        raise _damaged(path, TypeError(f"{side} is no object"))
    return found


def _damaged(path: Path, error: Exception) -> InvalidRequest:
    fault = f"missing key {error}" if isinstance(error, KeyError) else str(error)[:200]
    return InvalidRequest(
        f"{path}: no costs: {fault}", hint="Write it by hawkvision plan --measure --json FILE."
    )


def _steps(found: Any, wanted: int) -> tuple[Step, ...]:
    if not isinstance(found, list) or len(found) != wanted or wanted > _MOST_RUNGS:
        raise ValueError(f"the task has {wanted} rungs above the first")
    return tuple(_step(one) for one in found)


def _step(found: Any) -> Step:
    times = found["ms"]
    if not isinstance(times, list) or not 0 < len(times) <= _MOST_TIMES:
        raise ValueError("a step's `ms` is a list of times")
    made = Step(
        _number(found["cpu_ms"]), tuple(_number(one) for one in times), _number(found["warm"])
    )
    if list(made.ms) != sorted(made.ms):
        raise ValueError("a step's `ms` ascend")
    return made


def _number(found: Any) -> float:
    """A number of at least 0, below an hour of milliseconds."""
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 <= found <= 3.6e6:
        raise ValueError(f"{str(found)[:40]!r} is no time")
    return float(found)
