"""A simulated fleet beside a real one: what `hawkvision bench fleet --json` measured, predicted."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from hawkvision.errors import InvalidRequest
from hawkvision.repository import Repository, shipped_repository
from loadtest.bench.fleet_sim import results
from loadtest.bench.fleet_sim.fleet import SimulatedFleet
from loadtest.bench.fleet_sim.jobs import BEAT_EVERY_S
from loadtest.bench.fleet_sim.settings import Phase, Simulation
from loadtest.bench.fleet_sim.traffic import Traffic
from loadtest.traffic import TrafficSettings, load_traffic

_LINK_S = 0.001
"""Between processes of one machine."""

_ESCALATIONS = 16
"""As `bench fleet` sets `max_escalations`."""


def read_real(path: Path) -> dict[str, Any]:
    """What the real fleet's run wrote. Raises InvalidRequest."""
    try:
        real: dict[str, Any] = json.loads(path.read_text("utf-8"))
        for name in ("agents", "gateways", "rate", "seconds", "task", "targets", "redis", "seed"):
            real[name]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidRequest(
            f"{path} is no result of hawkvision bench fleet: {error!r}",
            hint="Write one with hawkvision bench fleet --json FILE.",
        ) from error
    if real["redis"] is None:
        raise InvalidRequest(f"{path} says nothing of a Redis", hint="Its store must be one.")
    return real


def compare(real: dict[str, Any], plan: Simulation, seeds: int) -> dict[str, Any]:
    """Simulate the settings of a real run, with several seeds; what each figure was and is.

    `predicted` is the mean over seeds, `low` and `high` the least and the most.
    """
    alike = replace(
        plan,
        task=real["task"],
        agents=real["agents"],
        rate=real["rate"],
        targets=tuple(real["targets"]),
        gateways=real["gateways"],
        known=real["gateways"],
        phases=(Phase(real["seconds"], 0.0),),
        agent=replace(
            plan.agent,
            link_s=_LINK_S,
            max_escalations=_ESCALATIONS,
            store_s=_store_s(real),
            scrape_s=0.0,
        ),
        outage=None,
    )
    traffic = _same_images(real)
    found = [
        _figures(replace(alike, seed=real["seed"] + number), traffic) for number in range(seeds)
    ]
    measured = _measured(real)
    rows = []
    for name, value in measured.items():
        predicted = [one[name] for one in found if name in one]
        if not predicted:
            continue
        rows.append(
            {
                "figure": name,
                "measured": value,
                "predicted": math.fsum(predicted) / len(predicted),
                "low": min(predicted),
                "high": max(predicted),
            }
        )
    return {"rows": rows, "seeds": seeds, "conserved": [one["conserved"] for one in found]}


def _measured(real: dict[str, Any]) -> dict[str, float]:
    redis = real["redis"]
    out = {"answers/s": real["answered"] / real["seconds"]}
    for row in real["results"]:
        out[f"delivered at {row['target']:g}"] = row["achieved"]
    for row in real["results"]:
        out[f"escalated at {row['target']:g}"] = row["escalation_rate"]
    out["counted of answered"] = real["counted"] / real["answered"]
    out["degraded"] = sum(row["n"] * row["degraded_rate"] for row in real["results"])
    return out | _redis(redis)


def _redis(redis: dict[str, Any]) -> dict[str, float]:
    commands = redis["commands_per_s"]
    out = {f"{name}/s": value for name, value in commands.items() if name != "subscribe"}
    out["commands/s"] = sum(commands.values())
    out["kB/s in"] = redis["bytes_in_per_s"] / 1e3
    out["kB/s out"] = redis["bytes_out_per_s"] / 1e3
    out["core busy"] = redis.get("cpu", redis.get("busy", 0.0))
    return out


def _store_s(real: dict[str, Any]) -> float:
    """How long a call to the store took agents of a busy machine, by how late heartbeats were:
    half of that, as the other half are timers that fire late."""
    beats = real["redis"]["commands_per_s"].get("sadd", 0.0) / real["agents"]
    return max(0.0, 1 / beats - BEAT_EVERY_S) / 2 if beats > 0 else 0.0


def _same_images(real: dict[str, Any]) -> Traffic | None:
    """The images that the real fleet was asked, where they were drawn; else calibration's."""
    if real.get("images") is None:
        return None
    task = Repository(shipped_repository()).open(real["task"])
    return Traffic.of_images(task, load_traffic(TrafficSettings(None, None, **real["images"])))


def _figures(plan: Simulation, traffic: Traffic | None) -> dict[str, float]:
    ran = SimulatedFleet(plan, traffic).run()
    rows = results.accuracy(ran, 0, plan.seconds)
    kept = results.conserved(ran)
    out = {"answers/s": kept["answered"] / plan.seconds}
    for row in rows:
        out[f"delivered at {row['target']:g}"] = row["achieved"]
        out[f"escalated at {row['target']:g}"] = row["escalation_rate"]
    out["counted of answered"] = kept["counted"] / kept["answered"]
    out["degraded"] = float(sum(ran.record.refusals.values()))
    out["conserved"] = kept["answered"] - kept["counted"] - kept["kept"] - kept["lost"]
    return out | _redis(ran.record.rates(0, plan.seconds))
