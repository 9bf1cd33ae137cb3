"""The map: confidence scaling against a model for each target, cell by cell.

A cell is a ladder, a link, a memory budget and a rate. A system that a link or a budget is all the
same to is measured once for all of them; HawkVision, where all its rungs are at the edge, too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from loadtest.bench.modeless import experiment
from loadtest.bench.modeless.analysis import (
    GAVE_UP,
    agree,
    always_the_same,
    keeps_up,
    waited,
)
from loadtest.bench.modeless.experiment import HAWKVISION, ONE_RUNG, SWITCHING, SYSTEMS, Scenario
from loadtest.bench.modeless.resampling import Floats, ratio_interval

Row = Mapping[str, Any]
_Key = tuple[str, Scenario, float]
OURS = (HAWKVISION, ONE_RUNG)


def cells(rows: Sequence[Row], records: Iterable[Row] = ()) -> list[dict[str, Any]]:
    """One for each ladder, link, budget, rate and `system` of ours, with uniform targets.

    `p99_ratio` is how many times longer model switching's P99 is, None where either has none, and
    `p99_ratio_interval` where it might lie with other traffic, None without the `records` that the
    rows are of. `stable` says that repetitions agree: on the ratio where both keep up, elsewhere on
    who does; `goodput_stable` that they do on both goodputs.
    `switching` is "misses" a target, "saturated" (it answers fewer than 99 % in time) or "keeps
    up", and `ours` the same of HawkVision. `goodput_ratio` is HawkVision's over that of `best`, the
    best baseline that meets the targets.
    """
    measured = _by_condition(rows)
    waits = _waits(records)
    found = []
    for scenario in _scenarios(rows):
        for rate in sorted({key[2] for key in measured if key[1].ladder == scenario.ladder}):
            there = {
                name: row
                for name in SYSTEMS
                if (row := _row_of(measured, name, scenario, rate)) is not None
            }
            ended = _gave_up(measured, SWITCHING, scenario, rate)
            found += [
                _cell(scenario, rate, name, there, waits)
                for name in OURS
                if name in there and (SWITCHING in there or ended)
            ]
    return found


def _scenarios(rows: Iterable[Row]) -> list[Scenario]:
    ladders = sorted({row["ladder"] for row in rows}, reverse=True)
    links = [(ms, 0.0) for ms in experiment.LINKS_MS] + [(Scenario().link_ms, experiment.DARK_S)]
    return [
        Scenario(ladder, link_ms, dark_s, budget)
        for ladder in ladders
        for link_ms, dark_s in links
        for budget in experiment.BUDGETS
    ]


def _by_condition(rows: Iterable[Row]) -> dict[_Key, Row]:
    return {
        (row["name"], scenario_of(row), row["rate"]): row
        for row in rows
        if row["mix"] == Scenario().mix
    }


def scenario_of(row: Row) -> Scenario:
    """Where a row was measured."""
    dark_s = experiment.DARK_S if row["link"] == "drops" else 0.0
    link_ms = Scenario().link_ms if dark_s else float(row["link"].split()[0])
    return Scenario(row["ladder"], link_ms, dark_s, row["budget"], row["mix"])


def _row_of(
    measured: Mapping[_Key, Row], system: str, scenario: Scenario, rate: float
) -> Row | None:
    """The system's row in this scenario, or in one that is all the same to it."""
    row = measured.get((system, experiment.condition(system, scenario), rate))
    if row is None and system == HAWKVISION:
        base = Scenario()
        at_home = replace(scenario, link_ms=base.link_ms, dark_s=base.dark_s)
        row = measured.get((system, at_home, rate))
        if row is not None and row["link_bytes_per_request"]:
            return None
    return row


def _gave_up(measured: Mapping[_Key, Row], system: str, scenario: Scenario, rate: float) -> bool:
    """Whether the system was not asked at a rate because a lower one was far too much for it."""
    there = experiment.condition(system, scenario)
    return any(
        key[:2] == (system, there) and key[2] < rate and row["in_time_share"] < GAVE_UP
        for key, row in measured.items()
    )


def _waits(records: Iterable[Row]) -> dict[_Key, list[Floats]]:
    found: dict[_Key, list[Floats]] = defaultdict(list)
    for record in records:
        key = record["system"], Scenario(**record["scenario"]), record["rate"]
        found[key].append(waited(record))
    return found


def _cell(
    scenario: Scenario,
    rate: float,
    system: str,
    there: Mapping[str, Row],
    waits: Mapping[_Key, list[Floats]],
) -> dict[str, Any]:
    ours, theirs = there[system], there.get(SWITCHING)
    fair = [row for name, row in there.items() if name not in OURS and not row["missed"]]
    best = max(fair, key=lambda row: float(row["goodput"]), default=None)
    ratio = _ratio(ours, theirs) if theirs else None
    both = [waits.get((row["name"], scenario_of(row), rate), []) for row in (ours, theirs) if row]
    return {
        "system": system,
        "ladder": scenario.ladder,
        "link": scenario.link,
        "budget": scenario.budget,
        "rate": rate,
        "p99_ratio": ratio,
        "p99_ratio_interval": ratio_interval(both[0], both[1]) if ratio and all(both) else None,
        "stable": _stable(ours, theirs),
        "ours_p99_ms": ours["p99_ms"],
        "switching_p99_ms": theirs["p99_ms"] if theirs else None,
        "ours": _state(ours),
        "switching": _state(theirs) if theirs else "saturated",
        "best": best["name"] if best else None,
        "best_keeps_up": bool(best and keeps_up(best)),
        "goodput_ratio": ours["goodput"] / best["goodput"] if best and best["goodput"] else None,
        "goodput_stable": all(agree(row["goodput_range"]) for row in (ours, best) if row),
    }


def _state(row: Row) -> str:
    if row["missed"]:
        return "misses"
    return "keeps up" if keeps_up(row) else "saturated"


def _ratio(ours: Row, theirs: Row) -> float | None:
    if not ours["p99_ms"] or not theirs["p99_ms"]:
        return None
    return float(theirs["p99_ms"] / ours["p99_ms"])


def _stable(ours: Row, theirs: Row | None) -> bool:
    """Whether the repetitions agree on the tails' ratio or, where one has ended, on who has."""
    if theirs is not None and keeps_up(ours) and keeps_up(theirs):
        pairs = zip(ours["p99_ms_repetitions"], theirs["p99_ms_repetitions"], strict=False)
        return agree([two / one if one and two else None for one, two in pairs])
    there = [row for row in (ours, theirs) if row is not None]
    return all(always_the_same(row, experiment.DEADLINE_MS) for row in there)


def verdicts(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Where the best baseline ends, scenario by scenario with several of them.

    HawkVision's goodput over the best baseline's at the lowest rate that no baseline keeps up with;
    those that miss a target are not compared. None where some baseline keeps up with every rate.
    """
    found = []
    for name in sorted({row["scenario"] for row in rows}):
        group = [row for row in rows if row["scenario"] == name]
        if sum(row["name"] not in OURS for row in group) and any(
            row["name"] == HAWKVISION for row in group
        ):
            found.append({"scenario": name, "goodput": _goodput(group)})
    return found


def _goodput(group: Sequence[Row]) -> dict[str, Any] | None:
    for rate in sorted({row["rate"] for row in group}):
        at = [row for row in group if row["rate"] == rate]
        ours = next((row for row in at if row["name"] == HAWKVISION), None)
        fair = [row for row in at if row["name"] not in OURS and not row["missed"]]
        if ours is None or not fair or any(keeps_up(row) for row in fair):
            continue
        best = max(fair, key=lambda row: float(row["goodput"]))
        if best["goodput"]:
            return {
                "rate": rate,
                "best": best["name"],
                "ratio": ours["goodput"] / best["goodput"],
                "missed": bool(ours["missed"]),
            }
    return None
