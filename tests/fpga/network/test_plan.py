"""Plans in files, and those that cannot be built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fpga.network.files import load_network, save_network
from fpga.network.folding import fold
from fpga.network.plan import Plan, generous_skip_depths, load_plan, save_plan
from hawkvision.errors import RepositoryError
from tests.fpga.networks import random_network

NETWORK = random_network(8, (4, 8), 2, seed=1)


def test_plans_survive_and_damaged_ones_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "plan.npz"
    depths = generous_skip_depths(NETWORK)
    plan = Plan(NETWORK, fold(NETWORK, 640), depths, {"stem": 2}, "small")
    save_plan(plan, path)
    again = load_plan(path)
    assert again.network.digest == NETWORK.digest == load_network(path).digest
    assert (again.folding, again.skip_depths) == (plan.folding, plan.skip_depths)
    assert (again.packed, again.profile) == ({"stem": 2}, "small")
    save_network(NETWORK, path)
    with pytest.raises(RepositoryError, match="without a plan"):
        load_plan(path)
    damaged: list[dict[str, object]] = [
        {"folding": {}},
        {"folding": {"stem": [1, 1]}, "skip_depths": []},
        {"folding": {**plan.folding, "stem": [3, 1]}, "skip_depths": list(depths.values())},
    ]
    for broken in damaged:
        save_network(NETWORK, path, plan={"packed": {}, "profile": "", **broken})
        with pytest.raises(RepositoryError, match="plan is"):
            load_plan(path)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"folding": {"stem": (3, 1)}}, "PE 3 does not divide 4"),
        ({"folding": {"stem": (1, 2)}}, "SIMD 2 does not divide 3"),
        ({"folding": {"head": (3, 1)}}, "PE 3 does not divide 4 classes"),
        ({"folding": {"stem": (0, 1)}}, "PE 0"),
        ({"folding": {"other": (1, 1)}}, "other layers"),
        ({"packed": {"stem": 9}}, "9 of"),
        ({"packed": {"other": 1}}, "other layers"),
        ({"skip_depths": {4: 9}}, "5 FIFOs for 4 blocks"),
        ({"skip_depths": {0: 0}}, "holds nothing"),
    ],
)
def test_what_cannot_be_built_is_no_plan(change: dict[str, dict[Any, Any]], why: str) -> None:
    parts: dict[str, Any] = {
        "folding": dict(fold(NETWORK, 640)),
        "skip_depths": generous_skip_depths(NETWORK),
        "packed": {"stem": 1},
    }
    for name, other in change.items():
        parts[name] = {**parts[name], **other}
    with pytest.raises(ValueError, match=why):
        Plan(NETWORK, **parts)
