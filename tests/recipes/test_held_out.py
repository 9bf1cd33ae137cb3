"""Images that report only, and what a target gives on them."""

from __future__ import annotations

import numpy as np
import pytest

from hawkvision.calibration import CalibrationScores
from hawkvision.datasets import LabelledImage, in_memory
from hawkvision.repository import Repository, shipped_repository
from models.recipes.held_out import target_rows, thirds


def test_a_third_reports_and_the_order_of_the_files_does_not_matter() -> None:
    images = [LabelledImage(bytes([i]), "ab"[i % 2], f"{i:03d}.jpg") for i in range(200)]
    parts = thirds(in_memory(iter(images), ["a", "b"]))
    again = thirds(in_memory(iter(images[::-1]), ["a", "b"]))
    names = [{image.data for image in part} for part in parts]
    assert names == [{image.data for image in part} for part in again]
    assert [len(part) for part in parts] == [133, 67]
    assert not names[0] & names[1] and len(names[0] | names[1]) == 200


def _scores() -> CalibrationScores:
    return Repository(shipped_repository()).open("roadsigns").scores()


def test_a_target_escalates_what_is_below_its_threshold() -> None:
    scores = _scores()
    target = 0.9
    threshold = scores.curve().threshold_for(target)
    confidence = np.array([threshold, threshold - 0.01, threshold + 0.01, 0.0], np.float32)
    edge = np.array([False, True, True, True])
    dc = np.array([True, False, True, True])
    confidence[0] = np.nextafter(np.float32(threshold), np.float32(2))
    (row,) = target_rows(scores, (target,), confidence, edge, dc)
    assert row["certified"] and row["threshold"] == pytest.approx(threshold, abs=1e-4)
    assert row["escalation_rate"] == 0.5
    assert row["achieved"] == 0.5  # the first as the edge says, the second as the large rung says
    assert row["ci_low"] < 0.5 < row["ci_high"]


def test_a_target_beyond_the_data_is_not_certified() -> None:
    flags = np.ones(3, bool)
    (row,) = target_rows(_scores(), (0.9999,), np.ones(3, np.float32), flags, flags)
    assert row == {"target": 0.9999, "certified": False}
