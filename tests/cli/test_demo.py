"""What `hawkvision demo` asks for, and where its images come from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hawkvision.calibration import lower_confidence_curve
from hawkvision.cli.demo import demo_data, spread_targets
from hawkvision.errors import DatasetError
from hawkvision.repository import Repository, shipped_repository


@pytest.mark.parametrize("dc_accuracy", [0.8, 0.95, 1.0])
def test_targets_reach_from_certified_at_the_edge_to_one_beyond_reach(dc_accuracy: float) -> None:
    rng = np.random.default_rng(3)
    confidence = rng.random(4000)
    edge = (rng.random(4000) >= 0.3 + 0.7 * confidence) * 1.0
    dc = (rng.random(4000) >= dc_accuracy) * 1.0
    curve = lower_confidence_curve(confidence, edge, dc, binary=True)
    *targets, beyond = spread_targets(curve)
    assert targets == sorted(targets) and len(targets) >= 4
    assert targets[0] <= curve.lower_bound[-1]
    assert targets[-1] <= curve.highest_certifiable < beyond < 1


def test_a_task_of_photos_asks_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HAWKVISION_DATA", raising=False)
    task = Repository(shipped_repository()).open("imagenette")
    with pytest.raises(DatasetError, match="imagenette needs labelled photos"):
        demo_data(task, None, 300)


def test_photos_are_found_through_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "imagenette.tar.gz").touch()
    monkeypatch.setenv("HAWKVISION_DATA", str(tmp_path))
    task = Repository(shipped_repository()).open("imagenette")
    assert demo_data(task, None, 300) == (str(tmp_path / "imagenette.tar.gz"), "val")
