"""Any image to the network's size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hawkvision.images import InputGeometry, fit
from hawkvision.images.geometry import Fit


@given(
    st.integers(1, 400),
    st.integers(1, 400),
    st.integers(1, 128),
    st.integers(1, 128),
    st.sampled_from(["cover", "stretch"]),
)
def test_the_output_has_the_asked_size(h: int, w: int, height: int, width: int, how: Fit) -> None:
    image = fit(np.zeros((h, w, 3), np.uint8), InputGeometry(width, height, how))
    assert image.shape == (height, width, 3) and image.flags.c_contiguous


def test_cover_keeps_the_middle() -> None:
    image = np.zeros((40, 120, 3), np.uint8)
    image[:, 40:80] = 255
    assert fit(image, InputGeometry(40, 40, "cover")).min() == 255


def test_stretch_keeps_everything() -> None:
    image = np.zeros((40, 120, 3), np.uint8)
    image[:, 60:] = 255
    out = fit(image, InputGeometry(40, 40, "stretch"))
    assert (out[:, 0].max(), out[:, -1].min()) == (0, 255)


def test_strong_reduction_averages() -> None:
    checks = np.indices((256, 256)).sum(axis=0) % 2 * 255
    image = np.repeat(checks[:, :, None], 3, axis=2).astype(np.uint8)
    assert fit(image, InputGeometry(32, 32)).mean() == pytest.approx(127.5, abs=1)
