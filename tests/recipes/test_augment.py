"""Lost bands of rows and how the gaps are filled."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.recipes.augment import fill_rows, lose_rows


@given(st.integers(1, 70), st.integers(1, 5), st.floats(0, 1), st.integers(0, 1000))
def test_what_arrived_is_unchanged(height: int, width: int, lost: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
    before = image.copy()
    damaged = lose_rows(image, lost, rng)
    assert damaged.shape == image.shape and damaged.dtype == np.uint8
    assert (image == before).all()
    bands = -(-height // 16)
    kept = sum(
        (damaged[16 * band : 16 * band + 16] == image[16 * band : 16 * band + 16]).all()
        for band in range(bands)
    )
    assert kept >= bands - max(1, round(lost * bands)) * (lost > 0)


def test_a_gap_is_interpolated_between_its_neighbours() -> None:
    ramp = np.repeat(np.arange(0, 200, 2, dtype=np.uint8)[:, None, None], 3, axis=2)
    missing = np.zeros(100, bool)
    missing[40:56] = True
    filled = fill_rows(np.where(missing[:, None, None], 0, ramp).astype(np.uint8), missing)
    assert np.abs(filled.astype(int) - ramp).max() <= 1


def test_edges_repeat_the_nearest_row_and_nothing_at_all_is_grey() -> None:
    image = np.full((32, 2, 3), 7, np.uint8)
    top = np.arange(32) < 16
    assert (fill_rows(image, top) == 7).all()
    assert (fill_rows(image, ~top) == 7).all()
    assert (fill_rows(image, np.ones(32, bool)) == 128).all()


@pytest.mark.parametrize("lost", [0.1, 0.3, 0.5])
def test_the_share_lost_is_what_was_asked(lost: float) -> None:
    image = np.random.default_rng(0).integers(0, 256, (320, 4, 3)).astype(np.uint8)
    damaged = lose_rows(image, lost, np.random.default_rng(1))
    assert (damaged != image).any(axis=(1, 2)).mean() == pytest.approx(lost, abs=0.05)
