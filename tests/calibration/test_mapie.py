"""Our thresholds equal those of MAPIE's Learn-then-Test controller."""

from __future__ import annotations

import numpy as np
import pytest
from mapie.risk_control import BinaryClassificationController, BinaryRisk

from hawkvision.calibration import default_grid, lower_confidence_curve
from hawkvision.errors import TargetUnreachable
from tests.calibration.test_curve import draw


@pytest.mark.filterwarnings("ignore:Fixed sequence testing requires")
@pytest.mark.filterwarnings("ignore:No predict parameters were found")
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("n", "target"), [(250, 0.8), (500, 0.85), (1000, 0.88), (400, 0.93)])
def test_mapie_finds_the_same_threshold(seed: int, n: int, target: float) -> None:
    confidence, edge, dc = draw(np.random.default_rng(seed), n)
    grid = default_grid()[1:-1]
    truth = 2 * (edge == 0).astype(int) + (
        dc == 0
    )  # both answers in one label: MAPIE knows no cascade
    risk = BinaryRisk(
        lambda label, local: np.where(local == 1, label < 2, label % 2 == 0),
        lambda label, _local: np.ones(len(label), bool),
        higher_is_better=False,
    )
    controller = BinaryClassificationController(
        predict_function=lambda x: np.stack([1 - x[:, 0], x[:, 0]], axis=1),
        risk=risk,
        target_level=1 - target,
        confidence_level=0.95,
        best_predict_param_choice=risk,
        list_predict_params=grid,
        fwer_method="fixed_sequence",
    )
    controller._calibrate(confidence[:, None], truth)
    curve = lower_confidence_curve(confidence, edge, dc, binary=True, grid=grid)
    if len(controller.valid_predict_params) == 0:
        with pytest.raises(TargetUnreachable):
            curve.threshold_for(target)
    else:
        assert curve.threshold_for(target) == min(controller.valid_predict_params)
