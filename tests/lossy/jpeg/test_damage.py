"""The damage of calibration is the transport's: about the wanted share, and never more than all."""

from __future__ import annotations

import numpy as np
import pytest

from hawkvision.lossy.jpeg.damage import lose_packets, without_packets
from tests.lossy.photos import jpeg, picture


@pytest.mark.parametrize("size", [(224, 224), (96, 96), (600, 400)])
@pytest.mark.parametrize("lost", [0.05, 0.1, 0.2, 0.3])
def test_about_the_wanted_share_is_lost(size: tuple[int, int], lost: float) -> None:
    shares = [
        without_packets(picture(seed, *size), lost, np.random.default_rng(seed)).lost_fraction
        for seed in range(30)
    ]
    assert 0.6 * lost < np.mean(shares) < 1.6 * lost + 0.01
    assert min(shares) > 0


def test_nothing_lost_changes_nothing_and_all_is_never_lost() -> None:
    image = picture(1)
    assert lose_packets(image, 0.0, np.random.default_rng(1)) is image
    assert without_packets(image, 1.0, np.random.default_rng(1)).lost_fraction < 1


def test_the_same_seed_damages_the_same_way() -> None:
    image = picture(2, 100, 60)
    one, two = (lose_packets(image, 0.2, np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(one, two) and one.shape == image.shape


def test_encoded_images_can_be_damaged_too() -> None:
    assert without_packets(jpeg(1), 0.1, np.random.default_rng(1)).lost is not None
