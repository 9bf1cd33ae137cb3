"""Folders and tars of class folders."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from hawkvision.datasets import open_labelled
from hawkvision.errors import DatasetError
from tests.models import coloured_jpeg


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for split in ("train", "val"):
        for label in ("red", "blue"):
            for index in range(2):
                path = tmp_path / "set" / split / label / f"{index}.JPEG"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(coloured_jpeg(label, seed=index))
    (tmp_path / "set" / "val" / "red" / "notes.txt").write_text("no image")
    return tmp_path / "set"


def test_a_split_holds_its_images_by_class(folder: Path) -> None:
    found = open_labelled(folder, "val")
    assert found.labels == ("blue", "red")
    assert [image.label for image in found] == ["blue", "blue", "red", "red"]


def test_a_tar_reads_like_the_folder(folder: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "set.tar.gz", "w:gz") as archive:
        archive.add(folder, "set")
    from_tar = {(i.label, i.data) for i in open_labelled(tmp_path / "set.tar.gz", "val")}
    assert from_tar == {(i.label, i.data) for i in open_labelled(folder, "val")}


def test_a_missing_split_names_those_that_exist(folder: Path) -> None:
    with pytest.raises(DatasetError, match="train, val"):
        open_labelled(folder, "test")


def test_a_missing_path_and_a_file_that_is_no_tar_are_clear(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="does not exist"):
        open_labelled(tmp_path / "nothing")
    (tmp_path / "x.tar").write_bytes(b"no tar")
    with pytest.raises(DatasetError, match="not a tar"):
        open_labelled(tmp_path / "x.tar")
