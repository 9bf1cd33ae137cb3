"""The shipped imagenette task on real photos over real HTTP; needs HAWKVISION_DATA."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hawkvision.cli.evaluate import evaluate
from hawkvision.repository import shipped_repository
from tests.processes import edge, gateway

PHOTOS = Path(os.environ.get("HAWKVISION_DATA", "")) / "imagenette.tar.gz"


@pytest.mark.data
@pytest.mark.skipif(
    "HAWKVISION_DATA" not in os.environ or not PHOTOS.exists(),
    reason="set HAWKVISION_DATA to a folder with imagenette.tar.gz to test on real photos",
)
async def test_certified_targets_hold_on_photos_and_escalation_rises() -> None:
    targets = [0.80, 0.85, 0.90, 0.99]
    options = ("--task", "imagenette")
    with (
        gateway(shipped_repository(), *options) as dc,
        edge(shipped_repository(), dc.address, *options) as agent,
    ):
        _, rows, _ = await evaluate(
            url=f"http://{agent.address}",
            data=str(PHOTOS),
            split="val",
            task=None,
            targets=targets,
            limit=600,
            concurrency=4,
        )
    *certified, refused = rows
    assert all(row.certified and row.n == 600 and row.failed == 0 for row in certified)
    assert all((row.ci_high or 0) >= float(row.target) for row in certified)
    rates = [row.escalation_rate or 0.0 for row in certified]
    assert rates == sorted(rates) and rates[-1] > rates[0]
    assert (refused.n, refused.certified) == (0, False)
    assert 0.9 <= (refused.highest_certifiable or 0) < 0.99
