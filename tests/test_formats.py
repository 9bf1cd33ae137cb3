"""One list of formats: what counts as data is what the agent answers."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from hawkvision.datasets import open_labelled
from hawkvision.errors import DatasetError, UnsupportedImage
from hawkvision.formats import OTHER_SUFFIXES, SUFFIXES, format_of
from hawkvision.images import decode


def saved(suffix: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(out, Image.registered_extensions()[suffix])
    return out.getvalue()


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_what_is_listed_is_read(suffix: str) -> None:
    data = saved(suffix)
    found = format_of(data)
    assert found is not None and suffix in found.suffixes
    assert decode(data).shape == (8, 8, 3)


@pytest.mark.parametrize("suffix", [".bmp", ".gif", ".tif", ".ppm"])
def test_what_is_not_listed_is_neither_answered_nor_data(suffix: str, tmp_path: Path) -> None:
    assert suffix in OTHER_SUFFIXES
    (tmp_path / "red").mkdir()
    (tmp_path / "red" / f"a{suffix}").write_bytes(saved(suffix))
    with pytest.raises(UnsupportedImage, match="not an image"):
        decode(saved(suffix))
    with pytest.raises(DatasetError, match=r"1 images .* formats that are not read") as refused:
        open_labelled(tmp_path)
    assert "JPEG, PNG or WebP" in refused.value.hint
    (tmp_path / "red" / "b.PNG").write_bytes(saved(".png"))
    assert len(list(open_labelled(tmp_path))) == 1
