"""From the network's pixels back to the image that was sent: crops, reductions, turned photos."""

from __future__ import annotations

import io

import numpy as np
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hawkvision.images import InputGeometry, place
from hawkvision.images.placement import Placement, fitted, reduced

sides = st.integers(8, 400)
geometries = st.builds(
    InputGeometry, st.integers(4, 64), st.integers(4, 64), st.sampled_from(["cover", "stretch"])
)


@given(sides, sides, geometries, st.floats(0, 1), st.floats(0, 1))
def test_there_and_back_is_where_it_was(
    width: int, height: int, geometry: InputGeometry, x: float, y: float
) -> None:
    placement = fitted(width, height, geometry).within(
        reduced(width, height, 4 * width, 4 * height)
    )
    point = (x * geometry.width, y * geometry.height)
    assert placement.to_network(*placement.to_source(*point)) == pytest.approx(point, abs=1e-6)


@given(sides, sides, geometries)
def test_the_network_sees_a_centred_part_of_the_image(
    width: int, height: int, geometry: InputGeometry
) -> None:
    placement = fitted(width, height, geometry)
    left, top = placement.to_source(0, 0)
    right, bottom = placement.to_source(geometry.width, geometry.height)
    assert 0 <= left < right <= width + 1e-9 and 0 <= top < bottom <= height + 1e-9
    assert abs(left - (width - right)) < 1.01 and abs(top - (height - bottom)) < 1.01
    if geometry.fit == "stretch":
        assert (left, top, right, bottom) == pytest.approx((0, 0, width, height))


def spot(width: int, height: int, x: int, y: int) -> np.ndarray:
    """A dark image with one bright square of 16 px around a point."""
    image = np.full((height, width, 3), 20, np.uint8)
    image[y - 8 : y + 8, x - 8 : x + 8] = 240
    return image


def found(pixels: np.ndarray) -> tuple[float, float]:
    """The centre of what is bright."""
    bright = pixels[:, :, 0].astype(float) - 20
    bright[bright < 40] = 0
    rows, columns = np.indices(bright.shape)
    total = bright.sum()
    return ((columns + 0.5) * bright).sum() / total, ((rows + 0.5) * bright).sum() / total


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("fit_name", ["cover", "stretch"])
@pytest.mark.parametrize("size", [(640, 480), (900, 300)])
@settings(deadline=None)
@given(st.data())
def test_a_spot_is_found_where_it_was_sent(
    orientation: int, fit_name: str, size: tuple[int, int], data: st.DataObject
) -> None:
    """Through a reduction in the DCT domain, the EXIF orientation, and the crop."""
    width, height = size
    side = min(size)
    x = data.draw(st.integers((width - side) // 2 + 24, (width + side) // 2 - 24))
    y = data.draw(st.integers((height - side) // 2 + 24, (height + side) // 2 - 24))
    upright = Image.fromarray(spot(width, height, x, y))
    stored = {
        1: upright,
        3: upright.transpose(Image.Transpose.ROTATE_180),
        6: upright.transpose(Image.Transpose.ROTATE_90),
        8: upright.transpose(Image.Transpose.ROTATE_270),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    out = io.BytesIO()
    stored.save(out, "JPEG", quality=95, exif=exif)
    geometry = InputGeometry(96, 96, fit_name)  # type: ignore[arg-type]
    pixels, placement = place(out.getvalue(), geometry)
    back = placement.to_source(*found(pixels))
    assert back == pytest.approx((x, y), abs=3)


def test_an_image_that_fits_is_where_it_is() -> None:
    image = np.zeros((32, 32, 3), np.uint8)
    data = bytes(simplejpeg.encode_jpeg(image))
    pixels, placement = place(data, InputGeometry(32, 32))
    assert pixels.shape == (32, 32, 3) and placement == Placement()
