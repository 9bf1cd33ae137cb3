"""How many rungs of each task an agent holds: from its configuration, the tasks and the link.

Decided once, before anything is loaded: what is resident never swaps.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

from edge_agent.config import EdgeConfig
from edge_agent.link import round_trip_ms
from edge_agent.tls import link_tls
from hawkvision.cascade import CascadePolicy
from hawkvision.cascade.chain import reached
from hawkvision.cascade.cut import AUTO, RungCost, best_cut, fitting
from hawkvision.errors import HawkVisionError
from hawkvision.repository import Task
from hawkvision.rungs import LoadedRung

_log = logging.getLogger(__name__)
_RUNS = 20
_WARM_UP = 2


def rungs_held(config: EdgeConfig, tasks: Mapping[str, Task]) -> dict[str, int]:
    """By task, how many of its first rungs to load, at least one.

    Memory goes to all first rungs, then to the further ones of one task after the other. For `auto`
    the gateway is asked for a ping, and first rungs are opened and timed. Raises HawkVisionError
    where one does not open.
    """
    if isinstance(config.rungs, int):
        held = {name: min(config.rungs, len(task.rungs)) for name, task in tasks.items()}
    elif config.rungs is None and config.memory_mb is None:
        return dict.fromkeys(tasks, 1)
    else:
        held = {name: _known(task) for name, task in tasks.items()}
    if config.memory_mb is not None:
        fit = _fitting(held, tasks, config.memory_mb)
        for name, count in fit.items():
            if isinstance(config.rungs, int) and count < held[name]:
                _log.warning("task %s: of %d rungs %d fit into --memory", name, held[name], count)
        held = fit
    if config.rungs == AUTO and max(held.values()) > 1:
        addresses = [one for group in config.gateways for one in group.split(",")]
        tls = link_tls(config)
        found = [ms for one in addresses if (ms := round_trip_ms(one, tls=tls)) is not None]
        link_ms = min(found, default=None)
        held = {name: _cut(config, tasks[name], most, link_ms) for name, most in held.items()}
    return held


def _known(task: Task) -> int:
    """How many first rungs are here and were measured."""
    known = [rung.present and rung.measured.keys() >= _NEEDED for rung in task.rungs]
    return max(1, [*known, False].index(False))


_NEEDED = {"milliseconds", "memory_mb"}


def _fitting(
    wanted: Mapping[str, int], tasks: Mapping[str, Task], memory_mb: float
) -> dict[str, int]:
    """As many of the wanted rungs as fit."""
    left = memory_mb - sum(_memory_mb(task, 0) for task in tasks.values())
    held = {}
    for name, count in wanted.items():
        above = [_memory_mb(tasks[name], place) for place in range(1, count)]
        held[name] = fitting([0.0, *above], left)
        left -= sum(above[: held[name] - 1])
    return held


def _cut(config: EdgeConfig, task: Task, most: int, link_ms: float | None) -> int:
    """What costs least, and a line in the log that says why."""
    if most == 1:
        return 1
    costs = _costs(config, task)
    held = best_cut(costs, most=most, link_ms=link_ms, deadline_ms=config.deadline_ms)
    _log.info(
        "task %s: %d of %d rungs are held here (%s; here they take %s ms)",
        task.name,
        held,
        len(costs),
        "no gateway answers" if link_ms is None else f"round trip {link_ms:.1f} ms",
        ", ".join(f"{cost.edge_ms:.2g}" for cost in costs),
    )
    return held


def _memory_mb(task: Task, place: int) -> float:
    return task.rungs[place].measured.get("memory_mb", 0.0)


def _costs(config: EdgeConfig, task: Task) -> list[RungCost]:
    """What was measured when the task was made, by how much slower this machine runs it."""
    scores = task.scores()
    policy = CascadePolicy(scores, task.default_accuracy, delta=config.delta, tiers=task.tiers)
    shares = reached(scores, policy.default.threshold, task.thresholds)
    measured = [rung.measured.get("milliseconds", 0.0) for rung in task.rungs]
    slower = _first_ms(config, task) / measured[0] if measured[0] else 1.0
    return [
        RungCost(slower * ms, ms, _memory_mb(task, place), share)
        for place, (ms, share) in enumerate(zip(measured, shares, strict=True))
    ]


def _first_ms(config: EdgeConfig, task: Task) -> float:
    """What the first rung takes here for an image, ms: the median of a few runs.

    The network alone, and not its first runs, as `milliseconds` were measured: of a rung of 0.3 ms
    all else is a tenth, by which every rung would seem slower.
    """
    rung = LoadedRung.open(task.rungs[0], task.kind, engine=config.engine)
    try:
        grey, times = [rung.grey()], []
        for _ in range(_WARM_UP + _RUNS):
            start = time.perf_counter()
            rung.outputs(grey)
            times.append(time.perf_counter() - start)
    except HawkVisionError:
        return task.rungs[0].measured.get("milliseconds", 0.0)
    finally:
        rung.close()
    return sorted(times[_WARM_UP:])[_RUNS // 2] * 1e3
