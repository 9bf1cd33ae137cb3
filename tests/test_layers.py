"""The house stands: no import runs up, none goes round in a circle, the error tree is as drawn."""

from __future__ import annotations

import re

import pytest

from hawkvision import errors
from tests.imports import Import, circles, imports

IMPORTS = imports()

PACKAGES = {
    "hawkvision": {"hawkvision"},
    "edge_agent": {"edge_agent", "hawkvision"},
    "dc_gateway": {"dc_gateway", "hawkvision"},
    "fpga": {"fpga", "hawkvision"},
    "models": {"models", "fpga", "hawkvision"},
    "loadtest": {"loadtest", "models", "fpga", "dc_gateway", "edge_agent", "hawkvision"},
}
"""What each package may import; `loadtest` stands on top and goes through public doors."""

FLOORS = (
    ("errors", "extensions", "formats", "json_schema"),
    ("tasks", "roadsigns", "power"),
    ("images", "engines", "calibration", "datasets", "oip"),
    ("cascade",),
    ("repository", "lossy", "serving"),
    ("rungs", "summary", "planning"),
    ("contract", "tracking", "updates"),
    ("client",),
    ("taskbuild",),
    ("cli", "embedded"),
)
"""Rooms of `hawkvision/` from the ground up: one imports only rooms on lower floors, or itself."""

SAME_FLOOR: dict[tuple[str, str], str] = {}
"""Rooms that may look into another of their floor, and why."""

AGENT = ("root", "fleet", "classify", "updates", "streams", "dashboard", "http", "grpc", "agent")
"""Rooms of `edge_agent/` from the ground up; `agent` puts them together."""

OFFLINE = ("hawkvision.taskbuild", "hawkvision.planning", "hawkvision.cli")
"""What no service imports."""


def room(module: str) -> str:
    """`hawkvision.lossy.wire.rtp` lies in `lossy`; the package itself in none."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def agent_room(module: str) -> str:
    """Modules beside the rooms are `root`, but for those that put the rooms together."""
    parts = module.split(".")
    if len(parts) == 1:
        return "root"
    if parts[1] in (
        "agent",
        "command",
        "loading",
        "settings",
        "table",
        "updating",
        "watching",
        "exporting",
        "workers",
    ):
        return "agent"
    return parts[1] if parts[1] in AGENT else "root"


def said(found: list[Import]) -> list[str]:
    return [f"{one.source} imports {one.target}" for one in found]


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_packages_import_only_what_they_stand_on(package: str) -> None:
    wrong = [
        one
        for one in IMPORTS
        if one.source.split(".")[0] == package and one.target.split(".")[0] not in PACKAGES[package]
    ]
    assert said(wrong) == []


def test_every_room_has_its_floor() -> None:
    rooms = {
        room(name)
        for one in IMPORTS
        for name in (one.source, one.target)
        if name.startswith("hawkvision.")
    }
    assert rooms - {"zoo"} == {name for floor in FLOORS for name in floor}


def test_no_import_runs_up_inside_hawkvision() -> None:
    height = {name: number for number, floor in enumerate(FLOORS) for name in floor}
    wrong = []
    for one in IMPORTS:
        if not (one.source.startswith("hawkvision.") and one.target.startswith("hawkvision.")):
            continue
        above, below = room(one.source), room(one.target)
        runs_up = above != below and height[above] <= height[below]
        if runs_up and (above, below) not in SAME_FLOOR:
            wrong.append(one)
    assert said(wrong) == []


def test_no_import_runs_up_inside_the_agent() -> None:
    wrong = [
        one
        for one in IMPORTS
        if one.source.startswith("edge_agent")
        and one.target.startswith("edge_agent.")
        and agent_room(one.source) != agent_room(one.target)
        and AGENT.index(agent_room(one.source)) < AGENT.index(agent_room(one.target))
    ]
    assert said(wrong) == []


def test_no_service_carries_what_is_for_building_tasks() -> None:
    wrong = [
        one
        for one in IMPORTS
        if one.source.split(".")[0] in ("edge_agent", "dc_gateway")
        and one.target.startswith(OFFLINE)
    ]
    assert said(wrong) == []


def test_nothing_goes_round_in_a_circle() -> None:
    """Neither modules, nor the rooms of `hawkvision/`; not even through a late import."""
    assert circles((one.source, one.target) for one in IMPORTS if not one.late) == []
    rooms = [
        (room(one.source), room(one.target))
        for one in IMPORTS
        if one.source.startswith("hawkvision.") and one.target.startswith("hawkvision.")
    ]
    assert circles(pair for pair in rooms if pair[0] != pair[1]) == []


def test_circles_are_found() -> None:
    edges = [("a", "b"), ("b", "c"), ("c", "a"), ("c", "d"), ("e", "e")]
    assert circles(edges) == [["a", "b", "c"]]


def test_the_error_tree_is_as_drawn() -> None:
    drawn = set(re.findall(r"── (\w+)", errors.__doc__ or ""))
    defined = {
        kind.__name__
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.HawkVisionError)
    }
    assert drawn | {"HawkVisionError"} == defined
